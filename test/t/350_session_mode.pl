
# Session mode is a direct connection: what the startup packet says, what comes unasked, what is last.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

my $node = Howdah->node('main');
my $h = Howdah->new(
    node => $node,
    settings => {pool_mode => 'session', default_pool_size => 2, workers => 1, ignore_startup_parameters => 'extra_float_digits'},
    databases => {
        app => $node->connstr('app'),
        shared => $node->connstr('app') . ' pool_mode=transaction',
    })->start;

sub client { return Wire->to($h)->login(user => 'app', database => 'app', @_); }

sub pool
{
    my ($column, $database) = @_;
    my ($row) = grep { $_->{database} eq ($database // 'app') && $_->{user} eq 'app' } @{$h->show('pools')};
    return $row ? $row->{$column} : 0;
}

sub leave
{
    my (@clients) = @_;
    my $idle = pool('sv_idle');
    $_->send(Wire::terminate()) for @clients;
    return $h->poll_until(sub { pool('sv_active') == 0 && pool('sv_tested') == 0 }, 'the servers are free again');
}

# The startup packet

my $first = client(search_path => 'pg_catalog', options => '-c statement_timeout=12345 -c geqo=off', DateStyle => 'German');
is($first->value('show search_path'), 'pg_catalog', 'a startup parameter that nobody follows reaches the server');
is($first->value('show statement_timeout'), '12345ms', '... and so do options');
is($first->value('show geqo'), 'off', '... all of them');
is($first->parameters->{DateStyle}, 'German, DMY', '... and the client is told what became of them');
$first->rows(q(set search_path = 'elsewhere'; set datestyle = iso));
$first->rows('reset search_path; reset datestyle');
is($first->value('show search_path'), 'pg_catalog', 'RESET goes back to it, as on a direct connection');
is($first->value('show datestyle'), 'German, DMY', '... also for what howdah follows');
my $pid = $first->value('select pg_backend_pid()');
is($first->key->[0], $pid, 'the key has the process id of the server');
my $other = client(search_path => 'pg_catalog', options => '-c statement_timeout=12345 -c geqo=off', DateStyle => 'German');
isnt($other->key->[1], $first->key->[1], '... and a secret of its own');
leave($first, $other);
my $again = client(search_path => 'pg_catalog', options => '-c statement_timeout=12345 -c geqo=off', DateStyle => 'German');
ok((grep { $again->key->[0] == $_ } $pid, $other->key->[0]), 'a client that begins alike gets a server that is there');
is($again->value('show search_path'), 'pg_catalog', '... which has it all');
my $plain = client();
ok(!(grep { $plain->key->[0] == $_ } $pid, $other->key->[0]), 'one that begins otherwise gets its own, though the pool is full');
is($plain->value('show search_path'), '"$user", public', '... with nothing of it');
is(pool('sv_active') + pool('sv_idle'), 2, '... in the place of one that was idle');
leave($again, $plain);

my $named = client(application_name => 'one');
$pid = $named->key->[0];
is($named->value('show application_name'), 'one', 'application_name is there');
leave($named);
$named = client(application_name => 'two');
is($named->key->[0], $pid, '... but does not keep servers apart');
is($named->value('show application_name'), 'two', '... and is the new one');
is($named->value(q(select application_name from pg_stat_activity where pid = pg_backend_pid())), 'two', '... everywhere');
$named->close;
leave();

$first = client(extra_float_digits => '3');
is($first->value('show extra_float_digits'), '1', 'ignore_startup_parameters still drops what it names');
leave($first);

my $error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', options => '-c no_such_thing=1'));
is($error->{C}, '42704', 'what the server refuses is told in its own words');
is($error->{M}, 'unrecognized configuration parameter "no_such_thing"', '... text');
is($error->{S}, 'FATAL', '... severity');
is(client()->value('select 1'), '1', '... and hurts nobody else');
leave();
$error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', work_mem => 'x' x 9000));
is($error->{C}, '54000', 'more than a server takes is refused here');

is(Wire->to($h)->login(user => 'app', database => 'shared', search_path => 'x')->value('show search_path'), 'x',
    'in transaction mode it follows the client');

# A full pool, and who waits for what

my @holders = map { client(search_path => 'a') } 1 .. 2;
my @waiting = map { Wire->to($h) } 1 .. 3;
my @begins = ({search_path => 'b'}, {search_path => 'a'}, {search_path => 'c'});
for my $i (0 .. 2) {
    $waiting[$i]->send(Wire::startup(user => 'app', database => 'app', %{$begins[$i]}));
    $h->poll_until(sub { pool('cl_waiting') == $i + 1 }, 'one more waits');
}
$holders[0]->send(Wire::terminate());
$waiting[0]->recv_until('Z');
is($waiting[0]->value('show search_path'), 'b', 'the oldest waiter is the first to get a server, of its own kind');
ok(!$waiting[1]->readable && !$waiting[2]->readable, '... the others go on waiting');
$holders[1]->send(Wire::terminate());
$waiting[1]->recv_until('Z');
is($waiting[1]->value('show search_path'), 'a', 'then the next');
$waiting[0]->close;
$waiting[2]->recv_until('Z');
is($waiting[2]->value('show search_path'), 'c', 'then the last');
leave($waiting[1], $waiting[2]);

# What comes unasked

my $listener = client();
$listener->rows('listen news');
client()->rows(q(notify news, 'today'));
my ($note) = $listener->recv_until('A');
is((split(/\0/, substr($note->[1], 4)))[1], 'today', 'a notification reaches a client that is idle');
$node->safe_psql('postgres', 'select pg_terminate_backend(' . $listener->key->[0] . ')');
my @last = $listener->recv_all;
$error = Wire::first_error(@last);
is($error->{C}, '57P01', 'the last words of the server too');
is(scalar(grep { $_->[0] eq 'E' } @last), 1, '... and nothing of ours');
leave();

my $busy = client();
$busy->send(Wire::query('select pg_sleep(100)'));
$h->poll_until(sub { $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where query like '%pg_sleep(100)%' and state = 'active' and usename = 'app')) eq '1' }, 'it sleeps');
Wire->to($h)->send(Wire::cancel(@{$busy->key}));
is(Wire::first_error($busy->recv_until('Z'))->{C}, '57014', 'a cancel request with that key is right');
leave($busy);

# What a role or a database begins with is what it was when the server was opened

leave(client());
$node->safe_psql('postgres', 'alter role app set work_mem = 1234');
is(client()->value('show work_mem'), '4MB', 'ALTER ROLE SET does not reach a server that is there');
leave();
is(($h->console_try('RECONNECT app'))[0], 0, 'RECONNECT');
is(client()->value('show work_mem'), '1234kB', '... but the next');
leave();

# Another mode while they are connected

my $keeps = client(search_path => 'pg_catalog');
my $follows = client(DateStyle => 'German');
my ($status) = $h->reconfigure(settings => {pool_mode => 'transaction'})->reload;
is($status, 0, 'pool_mode = transaction');
is($keeps->value('show search_path'), 'pg_catalog', 'who began with what SET cannot follow keeps its server');
is($keeps->value('select pg_backend_pid()'), $keeps->key->[0], '... all the time');
is($follows->value('show datestyle'), 'German, DMY', 'who did not, is told apart no more');
$h->poll_until(sub { pool('sv_active') == 1 }, 'its server is free');
is($follows->value('show datestyle'), 'German, DMY', '... and takes its settings along');
$_->close for $keeps, $follows;

# Many kinds of clients, few servers, two workers: everybody gets its own kind

my $many = Howdah->new(node => $node, settings => {pool_mode => 'session', default_pool_size => 3, workers => 2})->start;
my @crowd;
for my $i (0 .. 39) {
    my $client = Wire->to($many);
    $client->send(Wire::startup(user => 'app', database => 'app', search_path => 'kind' . $i % 5) . Wire::query('show search_path') . Wire::terminate());
    push @crowd, $client;
}
my @got = map { my ($row) = grep { $_->[0] eq 'D' } $_->recv_all; $row ? (Wire::data_row($row->[1]))[0] : 'nothing' } @crowd;
is_deeply(\@got, [map { 'kind' . $_ % 5 } 0 .. 39], 'everybody gets a server of its kind');
is((grep { $_->{user} eq 'app' } @{$many->show('pools')})[0]{cl_waiting}, 0, '... and nobody is left');

Howdah->finish;
