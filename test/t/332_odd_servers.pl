# Servers that say what PostgreSQL says seldom or never, at the worst moment: that costs nobody but them.

use strict;
use warnings;

use FakeServer;
use Howdah;
use Test::More;
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

sub in_front_of
{
    my ($fake, %settings) = @_;
    return Howdah->new(
        databases => {app => 'host=127.0.0.1 port=' . $fake->port},
        workers => 1,
        settings => {pool_mode => 'transaction', default_pool_size => 1, server_login_retry => 0.1, %settings})->start;
}

sub client { my ($h) = @_; return Wire->to($h)->login(user => 'app', database => 'app'); }

# More in one packet with the ReadyForQuery of the login

my %behind = (
    'a notice' => FakeServer::notice('hello'),
    'the end by an administrator' => FakeServer::error('FATAL', '57P01', 'terminating connection due to administrator command'),
    'half a message' => substr(FakeServer::notice('hello'), 0, 7));
for my $name (sort keys %behind) {
    my $fake = FakeServer->start(behind_login => $behind{$name});
    my $h = in_front_of($fake);
    my $waiting = Wire->to($h)->raw(Wire::startup(user => 'app', database => 'app'));
    $fake->wait_for(qr/^login/);
    $fake->wait_for(qr/^closed/);
    ok($h->console('SHOW POOLS'), "$name behind the login: that server is not used");
    $h->stop;
    $fake->stop;
}

# A login without end

my %floods = (
    'notices' => FakeServer::notice('x' x 40_000) x 20,
    'small notices' => FakeServer::notice('x') x 5000,
    'parameters' => join('', map { Wire::message('S', "p$_\0" . 'v' x 1000 . "\0") } 1 .. 100));
for my $name (sort keys %floods) {
    my $fake = FakeServer->start(flood => $floods{$name});
    my $h = in_front_of($fake);
    my $waiting = Wire->to($h)->raw(Wire::startup(user => 'app', database => 'app'));
    $fake->wait_for(qr/^closed/);
    ok($h->console('SHOW POOLS'), "a login that consists of $name without end, ends");
    cmp_ok($h->rss_kb, '<', 200_000, '... in bounded memory') if !$ENV{SANITIZE};
    $h->stop;
    $fake->stop;
}

# The last answer and the end of the connection in one event

my $fake = FakeServer->start(answer => sub {
    my ($type, $body, $number) = @_;
    return (FakeServer::HOLD, FakeServer::plain('Q'), FakeServer::CLOSE) if $body =~ /^bye/;
    return $type eq 'Q' ? FakeServer::complete("SELECT $number") . FakeServer::ready() : FakeServer::plain($type);
});
my $h = in_front_of($fake);
my $good = 0;
for my $round (1 .. 5) {
    my ($last, $next) = (client($h), client($h));
    $last->send(Wire::query('bye'));
    $fake->wait_for(qr/^held/);
    $h->signal('STOP');
    $fake->go;
    $fake->wait_for(qr/^closed/);
    $h->signal('CONT');
    my $types = Wire::types($last->recv_until('Z'));
    $good++ if "$types " . Wire::types(eval { $next->send(Wire::query('next'))->recv_until('Z') }) eq 'CZ CZ';
    $_->close for $last, $next;
}
is($good, 5, 'a server that has closed behind its last answer is not lent again');

Howdah->finish;
