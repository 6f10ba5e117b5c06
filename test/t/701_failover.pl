# The primary of a cluster dies without a word, or falls silent.

use strict;
use warnings;

use Clusters;
use Howdah;
use Test::More;
use Time::HiRes qw(time);
use Wire;

my $slow = Howdah->slowness;
my $a = Howdah->node('a', init => {allows_streaming => 1});
$a->safe_psql('postgres', 'create role prober login');
$a->backup('base');

my ($b, $c) = map { Clusters::standby($_, $a) } qw(b c);
my $h = Howdah->new(
    databases => {app => 'cluster=main dbname=app', sessions => 'cluster=main dbname=app pool_mode=session'},
    settings => {pool_mode => 'transaction', default_pool_size => 3},
    extra => Clusters::section('main', [$a, $b, $c]))->start;

sub state_of { my ($name) = @_; return (map { $_->{state} } grep { $_->{node} eq $name } @{$h->show('nodes')})[0]; }

my $client = Wire->to($h)->login(user => 'app', database => 'app');
is($client->value('select inet_server_port()'), $a->port, 'the primary serves');

# ---- kill -9, and a promotion ----

$a->stop('immediate');
$client->send(Wire::query('select inet_server_port()'));
$h->poll_until(sub { grep { $_->{database} eq 'app' && $_->{cl_waiting} == 1 } @{$h->show('pools')} }, 'the client waits');
$b->promote;
my ($row) = grep { $_->[0] eq 'D' } $client->recv_until('Z');
is($row && substr($row->[1], 6), $b->port, 'after a crash a client that waited goes on at the new primary');

# ---- the new one is frozen, with idle servers and one in a transaction; the last standby is promoted ----

my $stuck = Wire->to($h)->login(user => 'app', database => 'app');
$stuck->rows('begin');
my $idle = Wire->to($h)->login(user => 'app', database => 'sessions');
is($idle->value('select inet_server_port()'), $b->port, 'a client in session mode');
my $pid = $b->{_pid};
my @frozen = ($pid, split(/\n/, `pgrep -P $pid`));
kill('STOP', @frozen);
$h->poll_until(sub { state_of('b') eq 'down' }, 'silence is noticed');
my $late = Wire->to($h)->login(user => 'app', database => 'app');
$late->send(Wire::query('select inet_server_port()'));
$c->promote;
($row) = grep { $_->[0] eq 'D' } $late->recv_until('Z');
is($row && substr($row->[1], 6), $c->port, 'after a promotion clients go on, though the old primary is frozen');
is($client->value('select inet_server_port()'), $c->port, '... those that were idle too');
sub assert_deposed
{
    my ($lost, $what) = @_;
    my ($fatal) = grep { $_->[0] eq 'E' } $lost->recv_until('E');
    like($fatal->[1], qr/^SFATAL\0.*\0C57P01\0Mcluster "main" has another primary now, or none\0.*\0HConnect again\./s, $what);
    is_deeply([$lost->recv_all], [], '... and closed');
    return;
}

assert_deposed($stuck, 'a client in a transaction on the old one, which is frozen still, is told');
assert_deposed($idle, '... and so is one in session mode that does nothing');
my $open = Wire->to($h)->login(user => 'app', database => 'app');
$open->rows('begin');
kill('CONT', @frozen);
# Both were promoted from timeline 1, so that nothing tells which is right.
$h->poll_until(sub { state_of('b') eq 'conflict' }, 'the old one is seen again');
is(state_of('c'), 'conflict', 'two promotions of the same timeline: no primary');
assert_deposed($open, '... and what is under way ends');
$h->poll_until(sub { !grep { ($_->{database} // '') =~ /^(app|sessions)$/ } @{$h->show('servers')} }, 'no server is left');

Howdah->finish;
