# SHOW WAITERS: who waits for a server, for how long, and why.

use strict;
use warnings;

use Howdah;
use IO::Socket::INET;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer has no such command' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
my $closed = PostgreSQL::Test::Cluster::get_free_port();
my $server = 'host=127.0.0.1 port=' . $node->port;
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1},
    databases => {app => "$server dbname=app", postgres => "$server dbname=postgres",
        silent => 'host=127.0.0.1 port=' . $silent->sockport, closed => "host=127.0.0.1 port=$closed"})->start;

sub login { return Wire->to($h)->login(user => 'app', database => 'app', @_); }
sub waiters { return $h->show('waiters'); }

is_deeply(waiters(), [], 'nobody waits');
my $holder = login();
my @waiting = map { login(application_name => "waiter $_") } 1 .. 3;
is_deeply(waiters(), [], 'a client without a query does not wait');
$holder->rows('begin');
for my $i (0 .. 2) {
    $waiting[$i]->send(Wire::query('select 1'));
    $h->poll_until(sub { @{waiters()} == $i + 1 }, 'one more waits');
}
my @rows = @{waiters()};
is_deeply([map { $_->{application_name} } @rows], ['waiter 1', 'waiter 2', 'waiter 3'], 'the oldest first, whatever worker they are on');
is_deeply([@{$rows[0]}{qw(database user addr port waits_for)}],
    ['app', 'app', '127.0.0.1', $waiting[0]->socket->sockport, 'free server'], 'what is told of each');
my ($client) = grep { $_->{port} == $waiting[1]->socket->sockport } @{$h->show('clients')};
is($rows[1]{id}, $client->{id}, '... its id is that of SHOW CLIENTS');
my @times = map { $_->{wait} * 1e6 + $_->{wait_us} } @rows;
ok($times[0] > $times[1] && $times[1] > $times[2] && $times[2] > 0, '... for how long it waits') or diag("@times");
my $later = waiters()->[0];
cmp_ok($later->{wait} * 1e6 + $later->{wait_us}, '>', $times[0], '... which grows');

$holder->rows('commit');
$_->recv_until('Z') for @waiting;
is_deeply(waiters(), [], 'all were served');

# What they wait for.

sub waits_for
{
    my ($database) = @_;
    my ($row) = grep { $_->{database} eq $database } @{waiters()};
    return $row ? $row->{waits_for} : '';
}

$h->console('PAUSE app');
$holder->send(Wire::query('select 1'));
$h->poll_until(sub { waits_for('app') eq 'end of the pause' }, 'a paused database');
$h->console('RESUME app');
$holder->recv_until('Z');
is_deeply(waiters(), [], 'a client of a paused database waits for its end');

my @hopeful;
for my $database (qw(silent closed)) {
    push @hopeful, Wire->to($h)->raw(Wire::startup(user => 'app', database => $database));
}
$h->poll_until(sub { waits_for('silent') eq 'connection to a server' }, 'a server that does not answer');
pass('a client that logs in waits for the first connection');
$h->poll_until(sub { waits_for('closed') eq 'next try to connect' }, 'a server that cannot be reached');
pass('... or for the next try');

Howdah->finish;
