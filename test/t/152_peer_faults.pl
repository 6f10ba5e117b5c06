# Peers that are down, silent or wrong, keys that nobody has given out, and peers that come and go by RELOAD:
# every request ends, at a bounded time, and no socket stays behind.

use strict;
use warnings;

use Howdah;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'PgBouncer has peers since 1.19' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');

# A peer of our own, that does what the test wants.
sub fake
{
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 100, ReuseAddr => 1) || die "no listener: $@";
}

sub peer { my ($socket, $more) = @_; return 'host=127.0.0.1 port=' . $socket->sockport . ($more // ''); }

sub peers_text
{
    my (%peers) = @_;
    return {extra => "[peers]\n" . join('', map { "$_ = $peers{$_}\n" } sort { $a <=> $b } keys %peers)};
}

sub key { my ($id, $hops) = @_; return unpack('N2', pack('C v a4 C', 1, $id, 'abcd', 0xa8 | $hops)); }
sub accepted { my ($fake) = @_; return IO::Select->new($fake)->can_read($Howdah::TIMEOUT) ? scalar($fake->accept) : die 'nobody connects'; }
sub request { my ($h, $id, $hops) = @_; return Wire->to($h)->raw(Wire::cancel(key($id, $hops // 3))); }

sub pool
{
    my ($h, $id) = @_;
    my ($row) = grep { $_->{peer_id} == $id } @{$h->show('peer_pools')};
    return join(' ', map { "$_=$row->{$_}" } grep { $_ ne 'peer_id' && $row->{$_} } sort keys %$row);
}

my ($silent, $garbage, $full, $none) = map { fake() } 1 .. 4;
my $unused = $none->sockport;
$none->close;

my %peers = (
    1 => 'host=127.0.0.1',    # itself
    2 => peer($silent, ' pool_size=2'),
    3 => peer($garbage),
    4 => "host=127.0.0.1 port=$unused",
    5 => 'host=/nonexistent',
    6 => 'host=127.0.0.1 pool_size=0',
    7 => 'host=localhost port=' . $silent->sockport,
    8 => 'host=no-such-host.invalid',
    16383 => peer($full));
my $h = Howdah->new(node => $node, workers => 2, %{peers_text(%peers)},
    databases => {app => 'host=127.0.0.1 dbname=app pool_size=1 port=' . $node->port},
    settings => {peer_id => 1, cancel_wait_timeout => 30, default_pool_size => 3, client_login_timeout => 1})->start;
$h->safe_psql('app', 'select 1');
my $sockets = $h->fd_count;

sub no_socket_stays
{
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok(eval { $h->poll_until(sub { $h->fd_count <= $sockets }, 'all sockets are closed') },
        "... and no socket stays behind, $name") || diag($h->fd_count . " > $sockets");
}

# What a peer gets, and when the client is told

my $c = request($h, 2);
my $peer = accepted($silent);
sysread($peer, my $packet, 100);
is(unpack('H*', $packet), unpack('H*', pack('N2', 16, 80877102) . pack('C v a4 C', 1, 2, 'abcd', 0xaa)),
    'the peer gets the key with one hop less');
is(pool($h, 2), 'cl_active_cancel_req=1 sv_active_cancel=1', '... as SHOW PEER_POOLS tells');
my %memory = map { $_->{name} => $_ } @{$h->show('mem')};
is_deeply([map { $memory{$_}{used} } qw(peer peer_request)], [1, 1], '... and SHOW MEM');
ok(!$c->readable(1.5), '... and the client waits, longer than a login may take');
$peer->close;
is(scalar($c->recv_all), 0, '... until the peer has closed its connection');
is(pool($h, 2), '', '... and then all is over');
for my $hops (1, 2) {
    $c = request($h, 2, $hops);
    $peer = accepted($silent);
    sysread($peer, $packet, 100);
    is(unpack('C', substr($packet, 15)), 0xa8 | $hops - 1, "of $hops hops one is taken");
    $peer->close;
    $c->recv_all;
}
request($h, 2)->close;
$peer = accepted($silent);
is(sysread($peer, $packet, 100), 16, 'a client that leaves at once has its request done');
$peer->close;
$c = request($h, 7);
$peer = accepted($silent);
is(sysread($peer, $packet, 100), 16, 'a peer may have a name');
$peer->close;
$c->recv_all;
no_socket_stays('of peers that answer');

# Keys

my $position = $h->log_position;
is(scalar(request($h, 2, 0)->recv_all), 0, 'a key without hops is not passed on');
$h->wait_for_log(qr/C-0x\w+: \(nodb\)\/\(nouser\)\@127\.0\.0\.1:\d+ closing because: failed to forward cancel request because its TTL was exhausted \(age/, $position);
for my $id (0, 9, 16384, 65535) {
    $position = $h->log_position;
    is(scalar(request($h, $id)->recv_all), 0, "a key of the unknown peer $id");
    $h->wait_for_log(qr/closing because: could not find peer to forward request to \(age/, $position);
}
is(scalar(request($h, 1)->recv_all), 0, 'a key that this process would have given out, but has not');
for my $bytes (0, 4, 7, 9, 12, 100, 260, 9000) {
    my $w = Wire->to($h)->raw(pack('N2', 8 + $bytes, 80877102) . substr(pack('C v a4 C', 1, 2, 'abcd', 3) . 'x' x $bytes, 0, $bytes));
    $w->shut_write;
    is(scalar(grep { $_->[0] ne 'E' } $w->recv_all), 0, "a key of $bytes bytes");
}
ok(!IO::Select->new($silent)->can_read(0), '... and nothing of them has reached the peer');
no_socket_stays('of keys');

# Peers that do not work

my %reason = (
    3 => qr/peer 3: unexpected answer/,
    4 => qr/peer 4: connect failed: Connection refused/,
    5 => qr/peer 5: connect failed: No such file or directory/,
    6 => qr/closing because: pool_size of the peer is 0/,
    8 => qr/peer 8: DNS lookup failed: /);
for my $id (sort keys %reason) {
    $position = $h->log_position;
    my @clients = map { request($h, $id) } 1 .. 20;
    if ($id == 3) {
        for (1 .. 20) {
            $peer = accepted($garbage);
            syswrite($peer, 'HTTP/1.1 400 Bad Request' x 100);
        }
    }
    is(scalar(map { $_->recv_all } @clients), 0, "20 requests to peer $id end");
    $h->wait_for_log($reason{$id}, $position);
    is(pool($h, $id), '', '... and none is left');
}
no_socket_stays('of peers that do not work');

# One that never answers

my @clients = map { request($h, 2) } 1 .. 50;
$h->poll_until(sub { pool($h, 2) eq 'cl_active_cancel_req=2 cl_waiting_cancel_req=48 sv_active_cancel=2' }, 'two are there, 48 wait');
my @taken = map { accepted($silent) } 1 .. 2;
ok(!IO::Select->new($silent)->can_read(0.2), 'of 50 requests two are under way, and 48 wait');
$_->close for splice(@clients, 40);
(shift @taken)->close;
push @taken, accepted($silent);
$h->poll_until(sub { pool($h, 2) eq 'cl_active_cancel_req=2 cl_waiting_cancel_req=47 sv_active_cancel=2' }, 'the next one is there');
pass('when one is done the next one goes');
is($h->safe_psql('app', 'select 7'), '7', '... and all others work as ever');

# With RELOAD

$h->reconfigure(%{peers_text(%peers, 2 => peer($silent, ' pool_size=5'))})->reload;
push @taken, map { accepted($silent) } 1 .. 3;
ok(!IO::Select->new($silent)->can_read(0.2), 'RELOAD with a larger pool_size lets more go');
$position = $h->log_position;
delete $peers{2};
$h->reconfigure(%{peers_text(%peers)})->reload;
$h->wait_for_log(qr/peer 2: could not find peer to forward request to/, $position);
is(scalar(grep { $_->{peer_id} == 2 } @{$h->show('peers')}), 0, 'a RELOAD removes the peer');
$_->close for @taken;
is(scalar(map { $_->recv_all } @clients), 0, '... which ends what waited for it');
request($h, 2)->recv_all;
$peers{2} = peer($silent, ' pool_size=2');
$h->reconfigure(%{peers_text(%peers)}, settings => {cancel_wait_timeout => 0.5})->reload;
no_socket_stays('of what waited');

# With cancel_wait_timeout

$position = $h->log_position;
my $began = time;
@clients = map { request($h, 2) } 1 .. 50;
is(scalar(map { $_->recv_all } @clients), 0, '50 requests to a peer that never answers are closed without a word');
cmp_ok(time - $began, '>', 0.4, '... after cancel_wait_timeout');
cmp_ok(time - $began, '<', 10 * Howdah::slowness(), '... and not much later');
$h->wait_for_log(qr/peer 2: cancel_wait_timeout/, $position);
accepted($silent)->close while IO::Select->new($silent)->can_read(0);

# One whose queue is full: connections stay in SYN-SENT.
my $narrow = fake();
listen($narrow, 0);
my @fill = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $narrow->sockport, Blocking => 0) } 1 .. 4;
$peers{10} = peer($narrow, ' pool_size=4');
$h->reconfigure(%{peers_text(%peers)}, settings => {cancel_wait_timeout => 2})->reload;
@clients = map { request($h, 10) } 1 .. 8;
$h->poll_until(sub { pool($h, 10) eq 'cl_waiting_cancel_req=8 sv_login=4' }, 'four connect, four wait');
is(scalar(map { $_->recv_all } @clients), 0, 'as are those to one that does not even accept');
no_socket_stays('of peers that do not answer');

# More than may wait
$h->reconfigure(settings => {cancel_wait_timeout => 30})->reload;
$position = $h->log_position;
@clients = map { request($h, 2) } 1 .. 1010;
$h->wait_for_log(qr/closing because: too many cancel requests wait for the peer/, $position);
is(pool($h, 2), 'cl_active_cancel_req=2 cl_waiting_cancel_req=1000 sv_active_cancel=2', 'of 1,010 requests 8 are refused');
$_->close for @clients;
$h->reconfigure(settings => {cancel_wait_timeout => 0.1})->reload;

# Peers that take each other for a third

my @pair = map { Howdah->new(node => $node, settings => {peer_id => $_}) } 1 .. 2;
$_->reconfigure(%{peers_text(3 => 'host=127.0.0.1 port=' . $pair[$_ == $pair[0] ? 1 : 0]->port)})->start for @pair;
is(scalar(request($pair[0], 3)->recv_all), 0, 'a key that goes round between two peers comes to an end');
$pair[1]->wait_for_log(qr/its TTL was exhausted/);
is(scalar(() = ($pair[0]->log . $pair[1]->log) =~ /TTL was exhausted/g), 1, '... once, after three hops');
ok($pair[1]->log =~ /TTL was exhausted/, '... at the second');

# peer_id that changes

$c = Wire->to($pair[0])->login(user => 'app', database => 'app');

sub cancels
{
    my ($name, $way) = @_;
    $c->send(Wire::query('select pg_sleep(61)'));
    $h->poll_until(sub { $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where query = 'select pg_sleep(61)' and state = 'active')) }, 'it runs');
    Wire->to($way)->raw(Wire::cancel(@{$c->key}))->recv_all;
    my $error = Wire::first_error($c->recv_until('Z'));
    is($error && $error->{C}, '57014', $name);
    return;
}

cancels('a client of a peer can be cancelled', $pair[0]);
$pair[0]->console('SET peer_id = 5');
cancels('... after the number of its process has changed too', $pair[0]);
my $new = Wire->to($pair[0])->login(user => 'app', database => 'app');
is(unpack('x v', pack('N2', @{$new->key})), 5, 'new clients get keys with the new number');
$pair[0]->console('SET peer_id = 0');
cancels('... and after it has none', $pair[0]);
my (undef, $said, $text) = $pair[0]->console_try('SET peer_id = 16384');
like("$said$text", qr/./, 'a number that is too large is refused');

# The end, with requests of every state under way

$h->reconfigure(settings => {cancel_wait_timeout => 30})->reload;
accepted($silent)->close while IO::Select->new($silent)->can_read(0);
@clients = map { request($h, $_) } (2) x 5, (10) x 6, (8) x 3;
$h->poll_until(sub { pool($h, 2) ne '' && pool($h, 10) ne '' }, 'they are under way');
$h->stop;

Howdah->finish;
