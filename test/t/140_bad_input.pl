# What breaks the protocol is refused, costs nobody else anything, and no server connection.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 fails some of these' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node,
    settings => {pool_mode => 'transaction', default_pool_size => 1, client_login_timeout => 5, max_client_conn => 3000})->start;

sub client { return Wire->to($h)->login(user => 'app', database => 'app'); }
sub last_error { my ($c) = @_; return Wire::first_error(eval { $c->recv_all(10) }) // {C => 'none', M => "closed $@"}; }

my $other = client();
my $pid = $other->value('select pg_backend_pid()');

sub undisturbed
{
    my ($what) = @_;
    is(eval { $other->value('select pg_backend_pid()') } // $@, $pid, "$what: the others and the server go on");
    return;
}

# Before login

for my $length (0, 3, 4, 7, 0xffffffff, 0x7fffffff, 10_005, 70_000) {
    my $c = Wire->to($h);
    eval { $c->raw(pack('N', $length) . 'x' x ($length < 100_000 ? $length : 8)) };
    is(last_error($c)->{C}, $length == 4 || $length == 7 ? 'none' : 'none', "a startup packet of length $length");
}
for my $junk ("GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", join('', map { chr(int(rand(256))) } 1 .. 200), "\0" x 100) {
    my $c = Wire->to($h)->raw($junk);
    like(last_error($c)->{C}, qr/^(none|08P01|0A000)$/, 'junk: ' . unpack('H8', $junk));
}
my $startup = Wire::startup(user => 'app', database => 'app');
is(last_error(Wire->to($h)->raw(pack('NN', 9, 0x00030000) . "\0"))->{C}, '28000', 'no user');
is(last_error(Wire->to($h)->raw(substr(pack('N', 0) . pack('N', 0x00030000) . "user\0app", 0)))->{C}, 'none', 'a length of zero');
is(last_error(Wire->to($h)->raw(pack('N', 8 + 9) . pack('N', 0x00030000) . "user\0app\0"))->{C}, '08P01', 'no terminator');
is(last_error(Wire->to($h)->raw(Wire::startup(user => 'app', _version => 0x00020000)))->{C}, '0A000', 'protocol 2');
is(last_error(Wire->to($h)->raw(Wire::ssl_request() . $startup))->{M}, 'received unencrypted data after SSL request',
    'bytes behind SSLRequest');
is(last_error(Wire->to($h)->raw(Wire::gss_request() . 'x'))->{M}, 'received unencrypted data after GSSAPI encryption request',
    'bytes behind GSSENCRequest');
my $twice = Wire->to($h)->raw(Wire::ssl_request());
is($twice->recv_byte, 'N', 'SSLRequest');
is(last_error($twice->raw(Wire::ssl_request()))->{C}, '0A000', '... twice');
my $new = Wire->to($h);
my @messages = $new->try_login(user => 'app', database => 'app', _version => 0x00030002, '_pq_.nonsense' => 'on');
is(scalar(grep { $_->[0] eq 'v' } @messages), 1, 'protocol 3.2 is negotiated down, once');
is($new->value('select 1'), '1', '... and works');
is(Wire->to($h)->slowly(1)->login(user => 'app', database => 'app')->value('select 1'), '1', 'a login byte by byte');
my ($v) = grep { $_->[0] eq 'v' } @messages;
like($v->[1], qr/_pq_\.nonsense/, '... with the option that is not known');
undisturbed('bad startup packets');

# After login

for my $type (split(//, 'QPBDECHSFdcfX')) {
    for my $length (0, 3, 0xffffffff, 0x80000000, 0x7fffffff, 0x40000001) {
        my $c = client()->raw($type . pack('N', $length));
        my $error = last_error($c);
        is("$error->{C} $error->{M}", '08P01 invalid message length', sprintf('%s of length %x', $type, $length));
    }
}
for my $type (split(//, 'HSXEDCcf')) {
    next if $type eq 'X';
    is(last_error(client()->raw($type . pack('N', 10_005)))->{C}, '08P01', "$type of 10,005 bytes");
}
for my $type ("\0", 'z', 'p', 'R', '1', "\xff") {
    my $error = last_error(client()->raw($type . pack('N', 4)));
    is("$error->{C} $error->{M}", '08P01 invalid frontend message type ' . ord($type), 'a message of type ' . ord($type));
}
is(last_error(client()->raw($startup))->{C}, '08P01', 'a second startup packet');
undisturbed('bad messages');

my $c = client();
is(Wire::first_error($c->send(Wire::message('Q', "select 1"))->recv_until('Z'))->{C}, '08P01', 'a Query without NUL is for the server to refuse');
is(Wire::first_error($c->send(Wire::message('P', 'x'), Wire::sync())->recv_until('Z'))->{C}, '08P01', 'a Parse without NUL');
is(Wire::first_error($c->send(Wire::message('B', "\0x"), Wire::sync())->recv_until('Z'))->{C}, '08P01', 'a Bind without NUL');
is(Wire::first_error($c->send(Wire::message('D', 'qx' . "\0"), Wire::sync())->recv_until('Z'))->{C}, '08P01', 'a Describe of neither');
$c->send(Wire::copy_data('x'), Wire::copy_done(), Wire::copy_fail('x'));
is($c->value('select 2'), '2', 'COPY messages outside COPY are ignored');
undisturbed('bad contents');

# Half a message does not hold the only server

my $half = client();
$half->raw('Q' . pack('N', 100) . 'select');
undisturbed('half a query');
$half->close;
my $one = client();
$one->raw('Q');
undisturbed('one byte');
$one->raw(substr(Wire::query('select 7'), 1));
is((map { Wire::data_row($_->[1]) } grep { $_->[0] eq 'D' } $one->recv_until('Z'))[0], '7', '... and the rest is understood');

# Many half-open connections

my $before = $h->fd_count;
my @open = map { my $w = Wire->to($h); $w->raw(substr($startup, 0, $_ % 9)); $w } 1 .. 2000;
undisturbed('2,000 half-open connections');
my $rss = $h->rss_kb;
cmp_ok($rss, '<', 400_000, '... in bounded memory') if !$ENV{SANITIZE};
my $late = last_error($open[-1]);
is($late->{M}, 'client_login_timeout', '... and are closed in time');
$h->poll_until(sub { $h->fd_count <= $before + 5 }, 'all of them');
undisturbed('the end of the half-open connections');

Howdah->finish;
