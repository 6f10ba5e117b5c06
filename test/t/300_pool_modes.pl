# Sessions, transactions, statements: who gets a server, for how long, and who waits.

use strict;
use warnings;

use Howdah;
use IO::Select;
use Test::More;
use Time::HiRes qw(time);
use Wire;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table served (place serial, who int); grant all on served, served_place_seq to app');
my $h = Howdah->new(node => $node, settings => {default_pool_size => 1, pool_mode => 'session'})->start;

sub client { return Wire->to($h)->login(user => 'app', database => 'app', @_); }

# A column of the pool app/app.
sub pool
{
    my ($column) = @_;
    my ($row) = grep { $_->{database} eq 'app' && $_->{user} eq 'app' } @{$h->show('pools')};
    return $row ? $row->{$column} : 0;
}

sub wait_for_waiters
{
    my ($count) = @_;
    return $h->poll_until(sub { pool('cl_waiting') == $count }, "$count clients wait");
}

# A fresh pool with these settings, for clients that come from now on.
sub use_settings
{
    my (%settings) = @_;
    my ($status, $output) = $h->reconfigure(settings => \%settings)->reload;
    is($status, 0, join(', ', map { "$_ = $settings{$_}" } sort keys %settings)) or diag($output);
    $h->console('RECONNECT');
    return;
}

# Session

my $first = client();
my $pid = $first->value('select pg_backend_pid()');
is($first->value('select pg_backend_pid()'), $pid, 'a session keeps its server');
$first->rows(q(set search_path = 'left_behind'));
$first->rows('create temp table left_behind (i int)');
my $second = Wire->to($h);
$second->send(Wire::startup(user => 'app', database => 'app'));
wait_for_waiters(1);
ok(!$second->readable, 'the next one waits for its server before it is welcome');
is(pool('cl_active'), 1, 'SHOW POOLS tells who is active');
is(pool('sv_active'), 1, '... with one server');
$first->send(Wire::terminate());
my ($row) = grep { $_->[0] eq 'K' } $second->recv_until('Z');
is(unpack('N', $row->[1]), $pid, 'it gets the same server when the first one leaves, and is told its process id');
is($second->value('select pg_backend_pid()'), $pid, '... which is true');
is($second->value('show search_path'), '"$user", public', '... with nothing left of its settings');
is($second->value(q(select count(*) from pg_class where relname = 'left_behind')), '0', '... or its tables');
$second->send(Wire::terminate());

# Transaction

use_settings(pool_mode => 'transaction');
($first, $second) = (client(), client());
$pid = $first->value('select pg_backend_pid()');
is($second->value('select pg_backend_pid()'), $pid, 'two clients share a server');
$first->rows('begin');
$second->send(Wire::query('select 1'));
wait_for_waiters(1);
is($first->value('select pg_backend_pid()'), $pid, 'a transaction keeps its server');
ok(!$second->readable, 'the other one waits');
$first->rows('commit');
is(Wire::types($second->recv_until('Z')), 'TDCZ', 'its turn comes after the commit');
$first->rows('begin');
like(eval { $first->rows('select 1/0'); 'no error' } // $@, qr/^22012/, 'an error in a transaction');
$second->send(Wire::query('select 1'));
wait_for_waiters(1);
ok(!$second->readable, '... does not end it');
$first->rows('rollback');
$second->recv_until('Z');

$first->rows('begin');
$first->rows('create table never_there (i int)');
$first->close;
is($second->value(q(select count(*) from pg_class where relname = 'never_there')), '0',
    'who leaves in a transaction leaves nothing behind');
$second->close;

# Statement

use_settings(pool_mode => 'statement');
$first = client();
is($first->value('select 1'), '1', 'a statement is answered');
$first->send(Wire::query('begin'));
my $error = Wire::first_error($first->recv_all);
is($error->{M}, 'transaction blocks not allowed in statement pooling mode', 'a transaction block is not');
is($error->{S}, 'FATAL', '... and ends the connection');

# Limits

use_settings(pool_mode => 'transaction', default_pool_size => 3);
my @clients = map { client() } 1 .. 5;
$_->send(Wire::query('begin; select pg_backend_pid()')) for @clients;
wait_for_waiters(2);
is(pool('sv_active'), 3, 'a pool has so many servers');
is($node->safe_psql('postgres', q(select count(*) from pg_stat_activity where usename = 'app' and state like 'idle in%')),
    '3', '... and the server agrees');
my $ready = IO::Select->new(map { $_->socket } @clients);
my $done = 0;
while ($done < 5) {
    my ($socket) = $ready->can_read($Wire::TIMEOUT) or last;
    my ($client) = grep { $_->socket == $socket } @clients;
    $client->recv_until('Z');
    $client->rows('commit');
    $ready->remove($socket);
    $done++;
}
is($done, 5, 'all were served in the end');

$_->close for @clients;

SKIP: {
    skip 'max_db_connections is not in this version', 3 if !Howdah->supports(max_db_connections => 2);
    use_settings(max_db_connections => 2);
    @clients = map { client() } 1 .. 5;
    $_->send(Wire::query('begin')) for @clients;
    wait_for_waiters(3);
    is(pool('sv_active'), 2, 'max_db_connections bounds the servers of a database');
    $_->close for @clients;
    wait_for_waiters(0);
    use_settings(max_db_connections => 0);
}

SKIP: {
    skip 'max_user_connections is not in this version', 3 if !Howdah->supports(max_user_connections => 1);
    use_settings(max_user_connections => 1);
    @clients = map { client() } 1 .. 2;
    $_->send(Wire::query('begin')) for @clients;
    wait_for_waiters(1);
    is(pool('sv_active'), 1, 'max_user_connections bounds the servers of a user');
    $_->close for @clients;
    wait_for_waiters(0);
    use_settings(max_user_connections => 0);
}

use_settings(default_pool_size => 1);
SKIP: {
    skip 'reserve_pool_size is not in this version', 4 if !Howdah->supports(reserve_pool_size => 1);
    use_settings(reserve_pool_size => 1, reserve_pool_timeout => 1);
    @clients = map { client() } 1 .. 3;
    $_->send(Wire::query('begin')) for @clients;
    $h->poll_until(sub { pool('sv_active') == 2 }, 'the reserve is used');
    pass('after reserve_pool_timeout there is one more server');
    wait_for_waiters(1);
    is(pool('sv_active'), 2, '... and not more');
    $_->close for @clients;
    wait_for_waiters(0);
    use_settings(reserve_pool_size => 0);
}

use_settings(query_wait_timeout => 1);
@clients = map { client() } 1 .. 2;
$clients[0]->rows('begin');
$clients[1]->send(Wire::query('select 1'));
$error = Wire::first_error($clients[1]->recv_all);
is($error->{M}, 'query_wait_timeout', 'who waits for longer than query_wait_timeout is told so');
is($clients[0]->value('select 1'), '1', '... and nobody else');
$clients[0]->close;

use_settings(query_wait_timeout => 120, max_client_conn => 2);
$h->poll_until(sub { pool('cl_active') == 0 }, 'the clients from above are gone');
@clients = map { client() } 1 .. 2;
my $third = Wire->to($h);
$error = Wire::first_error($third->try_login(user => 'app', database => 'app'));
is($error->{M}, 'no more connections allowed (max_client_conn)', 'one client more than max_client_conn is refused');
is($error->{C}, '53300', '... SQLSTATE') if !Howdah->is_pgbouncer;
SKIP: {
    skip 'PgBouncer 1.18 counts the console', 1 if Howdah->is_pgbouncer;
    is(eval { scalar(@{$h->show('version')}) } // $@, 1, '... but the console is open');
}
$clients[0]->send(Wire::terminate());
$h->poll_until(sub { eval { client()->value('select 1') } }, 'there is room');
pass('there is room again when one has left');
$_->close for @clients;
use_settings(max_client_conn => 100);

# The queue

my $holder = client();
$holder->rows('begin');
my @arrival;
@clients = ();
for my $i (0 .. 19) {
    push @clients, client();
    $arrival[$i] = time;
    $clients[$i]->send(Wire::query("insert into served (who) values ($i)"));
    wait_for_waiters($i + 1);
}
cmp_ok(pool('maxwait') * 1e6 + pool('maxwait_us'), '>', 0, 'SHOW POOLS tells for how long the oldest waits');
$holder->rows('commit');
$_->recv_until('Z') for @clients;
my @order = split(/\n/, $node->safe_psql('app', 'select who from served order by place'));
is_deeply([sort { $a <=> $b } @order], [0 .. 19], 'who waited was served, once');
my $worst = 0;
for my $place (1 .. $#order) {
    for my $before (@order[0 .. $place - 1]) {
        my $ahead = $arrival[$before] - $arrival[$order[$place]];
        $worst = $ahead if $ahead > $worst;
    }
}
cmp_ok($worst, '<', 0.05 * Howdah::slowness(), 'in the order of arrival, but for a little slack')
  or diag("order: @order");

# Twelve who always want more, one server, two workers: nobody starves.
my %turns = map { ($_ => 0) } 0 .. 11;
my %longest = %turns;
my $until = time + 3;
@clients = map { client() } 0 .. 11;
my (%number, %since);
$ready = IO::Select->new;
for my $i (0 .. $#clients) {
    $number{$clients[$i]->socket} = $i;
    $ready->add($clients[$i]->socket);
    $since{$i} = time;
    $clients[$i]->send(Wire::query('select 1'));
}
while (time < $until) {
    for my $socket ($ready->can_read($Wire::TIMEOUT)) {
        my $i = $number{$socket};
        $clients[$i]->recv_until('Z');
        my $waited = time - $since{$i};
        $longest{$i} = $waited if $waited > $longest{$i};
        $turns{$i}++;
        $since{$i} = time;
        $clients[$i]->send(Wire::query('select 1'));
    }
}
my ($least, $most) = (sort { $a <=> $b } values %turns)[0, -1];
my ($wait) = sort { $b <=> $a } values %longest;
cmp_ok($least, '>', 0, 'everybody had a turn');
cmp_ok($least, '>=', $most / 4, 'the turns are spread fairly') or diag(explain(\%turns));
cmp_ok($wait, '<', 0.5 * Howdah::slowness(), 'nobody waited for long') or diag(explain(\%longest));
$_->recv_until('Z') for @clients;

Howdah->finish;
