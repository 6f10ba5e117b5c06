# SHOW SOCKETS and ACTIVE_SOCKETS: what the buffers really hold.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer keeps other buffers' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 2, tcp_defer_accept => 0})->start;

sub socket_of
{
    my ($client, $what) = @_;
    my ($row) = grep { $_->{type} eq 'C' && $_->{port} == $client->socket->sockport } @{$h->show($what // 'sockets')};
    return $row // {};
}

sub server_of
{
    my ($client) = @_;
    my $ptr = socket_of($client)->{ptr};
    my ($row) = grep { $_->{type} eq 'S' && $_->{link} eq $ptr } @{$h->show('sockets')};
    return $row // {};
}

my $stranger = Wire->to($h);
$h->poll_until(sub { socket_of($stranger)->{state} }, 'the stranger is there');
my $row = socket_of($stranger);
is_deeply([@$row{qw(state user database recv_pos)}], ['cl_login', '(nouser)', '(nodb)', 0], 'a client that has said nothing');
$stranger->raw("\0\0");
$h->poll_until(sub { socket_of($stranger)->{recv_pos} == 2 }, 'two bytes of a startup packet are held');
is(socket_of($stranger)->{pkt_avail}, 2, 'two bytes of a startup packet');
is(socket_of($stranger, 'active_sockets')->{state}, 'cl_login', '... which is activity');
is_deeply(socket_of($stranger, 'clients'), {}, 'SHOW CLIENTS does not know it');

my $client = Wire->to($h)->login(user => 'app', database => 'app');
is(socket_of($client)->{state}, 'cl_idle', 'an idle client');
is_deeply(socket_of($client, 'active_sockets'), {}, '... is not active');
$client->rows('begin');
is(socket_of($client)->{state}, 'cl_active', 'an active client');
is(server_of($client)->{state}, 'sv_active', '... and its server');
is(socket_of($client, 'active_sockets')->{state}, 'cl_active', '... is active');
is_deeply([@{socket_of($client)}{qw(recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail)}], [(0) x 7],
    'nothing is under way');

# A message of an ordinary size is kept until it is whole.
my $query = Wire::query('select 1');
$client->raw(substr($query, 0, 10));
$h->poll_until(sub { socket_of($client)->{recv_pos} == 10 }, 'half of a query is held');
is_deeply([@{socket_of($client)}{qw(pkt_remain pkt_avail)}], [0, 10], 'half of a query');
$client->raw(substr($query, 10));
$client->recv_until('Z');
is(socket_of($client)->{recv_pos}, 0, '... is held no more');

# A long one streams.
$query = Wire::query('select ' . 'x' x 100000);
$client->raw(substr($query, 0, 60000));
$h->poll_until(sub { socket_of($client)->{pkt_remain} == length($query) - 60000 }, 'a long query streams');
is(server_of($client)->{send_remain}, length($query) - 60000, 'what the server still has to get of a long query');
is(socket_of($client)->{recv_pos}, 0, '... of which nothing is held');
$client->raw(substr($query, 60000));
$client->recv_until('Z');
$client->rows('rollback');

# Who does not read.
$client->send(Wire::query("select repeat('x', 1000) from generate_series(1, 100000)"));
$h->poll_until(sub { socket_of($client)->{send_avail} > 0 && server_of($client)->{pkt_avail} > 0 }, 'the client does not read');
cmp_ok(socket_of($client)->{send_avail}, '>', 0, 'output that waits for the client');
cmp_ok(server_of($client)->{pkt_avail}, '>', 0, '... and input that waits for it');
$client->recv_until('Z');
$h->poll_until(sub { socket_of($client)->{state} eq 'cl_idle' }, 'the client is idle');
is_deeply([@{socket_of($client)}{qw(recv_pos pkt_remain send_remain pkt_avail send_avail)}], [(0) x 5], '... until it has read');

# States, of servers too.
my @holders = map { Wire->to($h)->login(user => 'app', database => 'app') } 1 .. 2;
$_->rows('begin') for @holders;
$client->send(Wire::query('select 1'));
$h->poll_until(sub { socket_of($client)->{state} eq 'cl_waiting' }, 'the client waits');
cmp_ok(socket_of($client)->{pkt_avail}, '>', 0, 'a waiting query stays in the kernel');
is(socket_of($client)->{recv_pos}, 0, '... and nothing of it is held');
is(socket_of($client, 'active_sockets')->{state}, 'cl_waiting', '... it is active');
$_->rows('commit') for @holders;
$client->recv_until('Z');
is_deeply([sort map { $_->{state} } grep { $_->{type} eq 'S' } @{$h->show('sockets')}], ['sv_idle', 'sv_idle'], 'idle servers');
is_deeply([map { "$_->{user} $_->{state}" } grep { $_->{database} eq 'pgbouncer' } @{$h->show('active_sockets')}],
    ['admin cl_active'], 'the console itself');

# A server that does not answer to its login.
my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
$h->reconfigure(databases => {silent => 'host=127.0.0.1 port=' . $silent->sockport})->reload;
my $hopeful = Wire->to($h);
$hopeful->raw(Wire::startup(user => 'app', database => 'silent'));
$h->poll_until(sub { grep { $_->{state} eq 'sv_login' } @{$h->show('sockets')} }, 'a server logs in');
my ($server) = grep { $_->{state} eq 'sv_login' } @{$h->show('active_sockets')};
is($server->{port}, $silent->sockport, 'a server that logs in');
is(socket_of($hopeful)->{state}, 'cl_waiting', '... and who waits for it');

Howdah->finish;
