# DRAIN: leases end with the transaction, in session mode too; servers are closed, clients stay.

use strict;
use warnings;

use FakeServer;
use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer has no such command' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $server = 'host=127.0.0.1 port=' . $node->port;
my $held = 0;
my $fake = FakeServer->start(answer => sub {
    my ($type, $body) = @_;
    return (FakeServer::HOLD, FakeServer::plain('Q')) if $type eq 'Q' && $body =~ /application_name/ && !$held++;
    return FakeServer::plain($type);
});
my $h = Howdah->new(node => $node, settings => {default_pool_size => 5, track_extra_parameters => 'IntervalStyle,search_path'},
    databases => {sess => "$server dbname=app pool_mode=session", tran => "$server dbname=app pool_mode=transaction",
        postgres => "$server dbname=postgres pool_mode=session",
        fake => 'host=127.0.0.1 port=' . $fake->port . ' pool_mode=session'})->start;
my $c = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');

sub login { my ($database, %startup) = @_; return Wire->to($h)->login(user => 'app', database => $database, %startup); }

sub tag
{
    my ($command, $console) = @_;
    $console //= $c;
    $console->send(Wire::query($command));
    my @all = $console->recv_until('Z');
    my $error = Wire::first_error(@all);
    return "$error->{C} $error->{M}" if $error;
    my ($complete) = grep { $_->[0] eq 'C' } @all;
    return substr($complete->[1], 0, -1);
}

sub servers { my ($database) = @_; return [grep { $_->{database} eq $database } @{$h->show('servers')}]; }
sub backends { return $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where usename = 'app')); }

# A session between transactions gives its server up, one in a transaction at its end.
my ($idle, $busy) = (login('sess'), login('sess'));
$idle->rows("set timezone = 'Asia/Tokyo'");
my $old = $idle->value('select pg_backend_pid()');
$busy->rows('begin');
is(tag('DRAIN sess'), 'DRAIN', 'DRAIN answers at once, though a transaction is open');
$h->poll_until(sub { @{servers('sess')} == 1 }, 'the server of the idle session is closed');
pass('an idle session gives its server up');
my ($left) = @{servers('sess')};
is_deeply([@$left{qw(state close_needed)}], ['active', 1], '... one in a transaction does not');
is($busy->value('select 1'), '1', '... which goes on');
is((grep { $_->{name} eq 'sess' } @{$h->show('databases')})[0]{paused}, 1, 'the database is paused');
my $other = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
$other->send(Wire::query('WAIT_CLOSE sess'));
$idle->send(Wire::query('show timezone'));
$h->poll_until(sub { @{$h->show('waiters')} == 1 }, 'the idle session waits with its next statement');
ok(!$other->readable, 'WAIT_CLOSE waits for the last server');
$busy->rows('commit');
is(Wire::types($other->recv_until('Z')), 'CZ', '... and answers when it is closed');
is(backends(), '0', '... as it is');
ok(!$idle->readable, 'clients wait');
is(tag('RESUME sess'), 'RESUME', 'RESUME ends it');
my @answer = $idle->recv_until('Z');
my ($row) = grep { $_->[0] eq 'D' } @answer;
is((Wire::data_row($row->[1]))[0], 'Asia/Tokyo', '... the session goes on, with its parameters');
isnt($idle->value('select pg_backend_pid()'), $old, '... on another server');
is($busy->value('select 1'), '1', '... the other one too');

# A statement at work, a pipeline without its Sync, a COPY: nothing is cut.
my $copy = login('sess');
$copy->rows('create temp table t (i int)');
$copy->send(Wire::query('copy t from stdin'));
$copy->recv_until('G');
my $pipeline = login('sess');
$pipeline->send(Wire::parse('', 'select 7'), Wire::bind('', '', []), Wire::execute(''), Wire::flush());
$pipeline->recv_until('C');
my $working = login('sess');
$busy->rows('begin');
$busy->rows('select pg_advisory_xact_lock(1)');
$working->send(Wire::query('select pg_advisory_xact_lock(1)'));
$node->poll_query_until('app', 'select exists (select from pg_locks where not granted)');
is(tag('DRAIN sess'), 'DRAIN', 'DRAIN with all kinds of work under way');
$h->poll_until(sub { @{servers('sess')} == 4 }, 'idle ones are closed');
$copy->send(Wire::copy_data("1\n"), Wire::copy_done());
is(Wire::types($copy->recv_until('Z')), 'CZ', 'a COPY goes to its end');
$pipeline->send(Wire::bind('', '', []), Wire::execute(''), Wire::sync());
is(Wire::types($pipeline->recv_until('Z')), '2DCZ', '... and a batch to its Sync');
$busy->rows('commit');
is(Wire::types($working->recv_until('Z')), 'TDCZ', '... and a statement to its answer');
$h->poll_until(sub { @{servers('sess')} == 0 }, 'all servers are closed');
is(backends(), '0', 'then no server is left');
is(tag('RESUME sess'), 'RESUME', 'RESUME');
is($_->value('select 1'), '1', 'and all go on') for $copy, $pipeline, $working, $busy;
is(Wire::first_error(do { $copy->send(Wire::query('table t')); $copy->recv_until('Z') })->{C}, '42P01',
    'what lived in the server is gone with it');

# Transaction mode, and all databases.
my $tran = login('tran');
$tran->rows('begin');
is(tag('DRAIN'), 'DRAIN', 'DRAIN of all');
$h->poll_until(sub { @{$h->show('servers')} == 1 }, 'only that of the open transaction is left');
$_->send(Wire::query('select 1')) for $copy, $idle;
$h->poll_until(sub { @{$h->show('waiters')} == 2 }, 'clients wait');
my $new = Wire->to($h);
$new->raw(Wire::startup(user => 'app', database => 'postgres'));
$h->poll_until(sub { @{$h->show('waiters')} == 3 }, 'a new one too');
$tran->rows('commit');
$h->poll_until(sub { @{$h->show('servers')} == 0 }, 'then none is');
is((grep { $_->{key} eq 'paused' } @{$h->show('state')})[0]{value}, 'yes', 'SHOW STATE says paused');
is(tag('RESUME'), 'RESUME', 'RESUME of all');
is(Wire::types($_->recv_until('Z')), 'TDCZ', 'a client goes on') for $copy, $idle;
is($tran->value('select 1'), '1', '... and another');
ok((grep { $_->[0] eq 'Z' } $new->recv_until('ZE')), '... and the new one is let in');

# PAUSE waits for sessions, DRAIN makes it come to its end.
my $holder = login('postgres');
$holder->value('select 1');
$other->send(Wire::query('PAUSE postgres'));
$h->poll_until(sub { (grep { $_->{name} eq 'postgres' } @{$h->show('databases')})[0]{paused} }, 'the pause has begun');
$new->send(Wire::terminate());
ok(!$other->readable, 'PAUSE waits for a session to end');
is(tag('DRAIN postgres'), 'DRAIN', 'a pause may become a drain');
is(Wire::types($other->recv_until('Z')), 'CZ', '... and then comes to its end');
like(tag('DRAIN postgres'), qr/^55000 already suspended\/paused/, 'once is enough');
like(tag('PAUSE postgres'), qr/^55000 already suspended\/paused/, '... and no pause is needed any more');
is(tag('RESUME postgres'), 'RESUME', 'RESUME');
is($holder->value('select 1'), '1', '... and the session goes on');

# A session that began with what no other server has keeps it.  Nobody is closed, whatever server_fast_close says.
$h->reconfigure(settings => {server_fast_close => 1})->reload;
$_->close for $copy, $pipeline, $working, $idle, $busy;
$h->poll_until(sub { !grep { $_->{state} ne 'idle' } @{servers('sess')} }, 'the others have left');
my $plain = login('sess', datestyle => 'German', application_name => 'plain');
my @own = (login('sess', options => '-c geqo=off'), login('sess', statement_timeout => '12345'), login('sess', search_path => 'pg_catalog'));
my %before = map { $_ => $_->value('select pg_backend_pid()') } $plain, @own;
is(tag('DRAIN sess'), 'DRAIN', 'DRAIN with sessions that began with parameters');
$h->poll_until(sub { @{servers('sess')} == 3 }, 'one session gives its server up');
$plain->send(Wire::query('select current_setting($$datestyle$$), current_setting($$application_name$$), pg_backend_pid()'));
is_deeply([map { $_->value('select pg_backend_pid()') } @own], [@before{@own}], 'what no other server has stays with its session');
is($own[2]->value('show search_path'), 'pg_catalog', '... such as a parameter that is followed, but not reported');
ok(!$plain->readable, 'the other one waits');
$other->send(Wire::query('WAIT_CLOSE sess'));
$own[0]->close;
$h->poll_until(sub { @{servers('sess')} == 2 }, 'one of them has left');
ok(!$other->readable, 'WAIT_CLOSE waits for sessions that keep theirs');
$_->send(Wire::terminate()) for @own[1, 2];
is(Wire::types($other->recv_until('Z')), 'CZ', '... until they leave');
is(tag('RESUME sess'), 'RESUME', 'RESUME');
($row) = map { [Wire::data_row($_->[1])] } grep { $_->[0] eq 'D' } $plain->recv_until('Z');
is_deeply([@$row[0, 1]], ['German, DMY', 'plain'], 'what can be set is set on another server');
isnt($row->[2], $before{$plain}, '... which it is');

# A drain that begins at the end of a login, when the client has its server already.
my $late = Wire->to($h)->raw(Wire::startup(user => 'app', database => 'fake', application_name => "caf\xc3\xa9"));
$fake->wait_for(qr/^held/);
is(tag('DRAIN fake'), 'DRAIN', 'DRAIN while a session gets its parameters');
$fake->go;
is((grep { $_->[0] eq 'Z' } $late->recv_until('ZE')) ? 1 : 0, 1, 'it is let in');
$h->poll_until(sub { @{servers('fake')} == 0 }, '... and gives its server up');
$late->send(Wire::query('select 1'));
$h->poll_until(sub { @{$h->show('waiters')} == 1 }, 'its first statement waits');
is(tag('RESUME fake'), 'RESUME', 'RESUME');
is(Wire::types($late->recv_until('Z')), 'CZ', '... and it goes on');

like(tag('DRAIN no_such_database'), qr/^3D000 /, 'a database that there is not');
like(tag('DRAIN pgbouncer'), qr/^55000 /, 'the console is no database to drain');
my $stats = Wire->to($h)->login(user => 'stats', database => 'pgbouncer');
like(tag('DRAIN', $stats), qr/^42501 /, 'who may only look drains nothing');

Howdah->finish;
