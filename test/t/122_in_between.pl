# What stands between two messages, or between two servers: messages that wait for a reply, answers that howdah
# makes up, the unnamed statement, and messages that ask for nothing.

use strict;
use warnings;

use FakeServer;
use Howdah;
use POSIX qw(_exit);
use Socket qw(SOL_SOCKET SO_SNDBUF);
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

my $sync = Wire::sync();
my $limit = 10 * Howdah::slowness();

sub start
{
    my ($databases, %settings) = @_;
    return Howdah->new(%$databases, workers => 1,
        settings => {pool_mode => 'transaction', default_pool_size => 1, %settings})->start;
}

sub fake_databases { my ($fake) = @_; return {databases => {app => 'host=127.0.0.1 port=' . $fake->port}}; }
sub client { my ($h) = @_; return Wire->to($h)->login(user => 'app', database => 'app'); }

sub wait_for_waiting
{
    my ($h) = @_;
    $h->poll_until(sub { grep { $_->{user} eq 'app' && $_->{cl_waiting} == 1 } @{$h->show('pools')} }, 'a client waits');
    return;
}

# What comes until so many ReadyForQuery have, as types.
sub types_of
{
    my ($c, $ready) = @_;
    my @types = map { eval { Wire::types($c->recv_until('Z', $limit)) } // return join(' ', 'then', $@) } 1 .. $ready;
    return join('', @types);
}

# A Bind that waits for the reply to its Parse, behind as much as a slow server takes for a while

my $fake = FakeServer->start(receive_buffer => 2048, answer => sub {
    my ($type, $body) = @_;
    return (FakeServer::complete('BEGIN') . FakeServer::ready('T')) if $body =~ /^begin/;
    return (FakeServer::HOLD, FakeServer::plain('Q'), FakeServer::HOLD) if $body =~ /^slow/;
    return FakeServer::plain($type);
});
my $h = start(fake_databases($fake), tcp_socket_buffer => 16384);
for my $n (map { $_ * 2 + 1 } 2 .. 12) {
    my ($holder, $c) = map { client($h) } 1 .. 2;
    setsockopt($c->socket, SOL_SOCKET, SO_SNDBUF, 4_000_000);
    $holder->rows('begin');
    $c->send(Wire::query('slow'), (Wire::query('q' . 'x' x 7999)) x $n,
        Wire::parse("s$n", "select $n"), $sync, Wire::bind('', "s$n", []), Wire::execute(''), $sync);
    wait_for_waiting($h);
    $holder->rows('commit');
    $fake->wait_for(qr/^held/);
    $fake->go;
    my $first = types_of($c, 1);
    $fake->wait_for(qr/^held/);
    $fake->go;
    my $got = $first . types_of($c, $n + 2);
    is($got, 'CZ' x ($n + 1) . '1Z' . '2CZ', "$n long queries, then a Bind that waits for its Parse");
    $_->close for $holder, $c;
    last if $got =~ /then/;
}
$h->stop;
$fake->stop;

# An answer of ours while a message of the server's has come by half

my $columns = 100;
my $described = Wire::message('T', pack('n', $columns)
    . join('', map { sprintf("column%04d\0", $_) . pack('N n N n N n', 0, 0, 25, 65535, 4294967295, 0) } 1 .. $columns));
$fake = FakeServer->start(answer => sub {
    my ($type) = @_;
    return (Wire::message('t', pack('n', 0)) . substr($described, 0, 1000), FakeServer::HOLD, substr($described, 1000)) if $type eq 'D';
    return FakeServer::plain($type);
});
$h = start(fake_databases($fake));
my ($other, $c) = map { client($h) } 1 .. 2;
$other->send(Wire::parse('theirs', 'select 42'), $sync)->recv_until('Z');
$c->send(Wire::parse('wide', 'select wide'), $sync)->recv_until('Z');
$c->send(Wire::describe('S', 'wide'), Wire::flush());
$fake->wait_for(qr/^held/);
my $partly = $c->recv($limit);
$c->send(Wire::parse('mine', 'select 42'), Wire::close_object('S', 'nobody'), $sync);
$fake->go;
my @messages = eval { $c->recv_until('Z', $limit) };
is(Wire::types($partly, @messages), 'tT13Z', 'our ParseComplete comes behind the RowDescription that is under way');
ok(($messages[0][1] // '') eq substr($described, 5), '... which is whole');
$h->stop;
$fake->stop;

# The unnamed statement stays until the next one, wherever the first batch was cut

my $node = Howdah->node('main');
$h = start({node => $node}, default_pool_size => 2);
my $direct = sub { Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app') };
my @use = (Wire::bind('', '', []), Wire::execute(''), $sync);
my $long = 'select 7 /*' . 'x' x 70_000 . '*/';
my %first = (
    'Parse and Sync' => [[Wire::parse('', 'select 5'), $sync]],
    'a use of it' => [[Wire::parse('', 'select 5'), @use]],
    'Describe' => [[Wire::parse('', 'select 5'), Wire::describe('S', ''), $sync]],
    'two uses of it' => [[Wire::parse('', 'select 5'), @use], [@use]],
    'a text of 70,000 bytes' => [[Wire::parse('', $long), Wire::describe('S', ''), $sync]],
    'a text of 70,000 bytes, and a use' => [[Wire::parse('', $long), @use]],
    'a batch that fails' => [[Wire::parse('', 'select 5'), Wire::bind('', 'nobody', []), $sync]],
    'a Parse that fails' => [[Wire::parse('', 'select 5'), $sync], [Wire::parse('', 'selec'), $sync]],
    'a Close' => [[Wire::parse('', 'select 5'), $sync], [Wire::close_object('S', ''), $sync]],
    'a simple query' => [[Wire::parse('', 'select 5'), $sync], [Wire::query('select 1')]]);
for my $name (sort keys %first) {
    for my $slowly (0, 1) {
        next if $slowly && $name =~ /70,000/;
        my @seen = map {
            my $c = $_;
            join(' ', map { join('', map { $_->[0] . ($_->[0] eq 'D' ? '=' . (Wire::data_row($_->[1]))[0] : '') }
                eval { $c->send(@$_)->recv_until('Z', $limit) }) } @{$first{$name}}, [@use])
        } client($h)->slowly($slowly), $direct->();
        is($seen[0], $seen[1], "the unnamed statement after $name" . ($slowly ? ' (byte by byte)' : ''));
    }
}

my $first = client($h);
$first->send(Wire::bind('', 'nobody', []), Wire::parse('', 'select 6'), $sync)->recv_until('Z');
is(Wire::first_error($first->send(@use)->recv_until('Z'))->{C}, '26000', 'a Parse that was skipped leaves no unnamed statement');
$first->send(Wire::parse('', 'select 5'), $sync)->recv_until('Z');
$first->send(Wire::bind('', 'nobody', []), Wire::parse('', 'select 6'), $sync)->recv_until('Z');
my @rows = map { Wire::data_row($_->[1]) } grep { $_->[0] eq 'D' } $first->send(@use)->recv_until('Z');
unlike("@rows", qr/6/, '... nor one in place of another');
$first->send(Wire::bind('', 'nobody', []), Wire::parse('', 'select 6'), $sync, Wire::parse('', 'select 7'), $sync);
$first->recv_until('Z') for 1 .. 2;
is(Wire::types($first->send(@use)->recv_until('Z')), '2DCZ', '... but one of a later batch is there');
$h->stop;

# Messages that ask for nothing, in front of a statement that is cancelled while it waits

my $narrow = start({node => $node});
for my $case (['Flush', Wire::flush()], ['what is left of a COPY', Wire::copy_data('x'), Wire::copy_done()]) {
    my ($name, @nothing) = @$case;
    my ($holder, $c) = map { client($narrow) } 1 .. 2;
    $holder->rows('begin');
    $c->send(@nothing, Wire::query('select 1'));
    wait_for_waiting($narrow);
    Wire->to($narrow)->raw(Wire::cancel(@{$c->key}));
    my $error = Wire::first_error(eval { $c->recv_until('Z', $limit) });
    is($error && $error->{C}, '57014', "$name and a Query: the cancel is answered");
    $holder->rows('rollback');
    is(eval { $c->value('select 2', $limit) } // $@, '2', '... and the next one is served');
    $_->close for $holder, $c;
}

# ... and without end: others are served all the same

sub begin_flood
{
    my ($messages) = @_;
    my $flooder = client($narrow);
    my $pid = fork() // die "could not fork: $!";
    return ($pid, $flooder) if $pid;
    1 while eval { $flooder->raw($messages) };
    _exit(0);
}

my %floods = (
    'Flush' => Wire::flush() x 262_144,
    'CopyData' => Wire::copy_data('x' x 59) x 4096);
my $victim = client($narrow);
for my $name (sort keys %floods) {
    my ($pid, $flooder) = begin_flood($floods{$name});
    my ($begin, $worst, $served) = (time, 0, 0);
    while ($served < 200 && time - $begin < $limit) {
        my $asked = time;
        last if !eval { $victim->value('select 1', 2 * $limit) };
        $worst = time - $asked if time - $asked > $worst;
        $served++;
    }
    kill('KILL', $pid);
    waitpid($pid, 0);
    $flooder->close;
    cmp_ok($served, '>=', 200, sprintf('a client that sends %s without end: %d queries of another in %.1f s, the slowest took %.3f s',
        $name, $served, time - $begin, $worst));
}

Howdah->finish;
