# Signals, and what happens to whom while howdah shuts down.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'signals have other meanings there' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');

sub started
{
    my (%settings) = @_;
    return Howdah->new(node => $node,
        settings => {pool_mode => 'transaction', default_pool_size => 1, %settings})->start;
}

sub login
{
    my ($h) = @_;
    return Wire->to($h)->login(user => 'app', database => 'app');
}

sub unix { my ($h) = @_; return Wire->unix($h->dir . '/.s.PGSQL.' . $h->port); }

sub port_closes
{
    my ($h) = @_;
    return $h->poll_until(sub { !eval { Wire->to($h); 1 } }, 'the port is closed');
}

sub error_of
{
    my (@messages) = @_;
    my $error = Wire::first_error(@messages) // return 'no error';
    return "$error->{S} $error->{C} $error->{M}";
}

# SIGTERM

my $h = started();
my ($first, $second) = (login($h), login($h));
$h->signal('TERM');
port_closes($h);
like($h->log, qr/LOG got SIGTERM, shutting down, waiting for all clients disconnect$/m, 'SIGTERM is in the log');
is($first->value('select 1'), '1', '... and those who are in go on');
is($second->value('select pg_backend_pid() > 0'), 't', '... all of them');
is(error_of(unix($h)->try_login(user => 'app', database => 'app')), 'FATAL 57P01 pooler is shutting down',
    'who comes by the unix socket is told');
is($h->console('SHOW VERSION', host => $h->dir), (split(/\n/, ($h->run_program('-V'))[1]))[0],
    '... but the console is open there');
like(($h->console_try('RESUME', host => $h->dir))[2], qr/pooler is shutting down/, '... which cannot bring it back');
$h->signal($_) for qw(USR1 USR2);
$h->wait_for_log(qr/got $_, but pooler is shutting down/) for qw(SIGUSR1 SIGUSR2);
is($first->value('select 2'), '2', 'SIGUSR1 and SIGUSR2 change nothing any more');
$first->close;
is($second->value('select 3'), '3', 'it waits for the last client');
$second->close;
$h->wait_for_exit('... and ends with it');
like($h->log, qr/LOG client connections dropped, exiting$/m, '... as the log tells');

for my $again (qw(TERM INT QUIT)) {
    $h = started();
    $first = login($h);
    $first->rows('begin');
    $h->signal('TERM');
    port_closes($h);
    $h->signal($again)->wait_for_exit("SIG$again after SIGTERM ends it at once");
    is(error_of($first->recv_all), 'FATAL 57P01 pooler is shutting down', '... which the clients are told');
    like($h->log, qr/LOG got SIG$again while shutting down, fast exit$/m, '... and the log');
}

# SIGINT

$h = started(tcp_defer_accept => 0);
my ($busy, $queued, $idle, $late) = map { login($h) } 1 .. 4;
my $login = Wire->to($h);    # has not said yet who it is
$busy->rows('begin');
$queued->send(Wire::query('select 1'));
$h->poll_until(sub { $h->show('pools')->[0]{cl_waiting} == 1 }, 'one waits');
$h->signal('INT');
port_closes($h);
like($h->log, qr/LOG got SIGINT, shutting down, /m, 'SIGINT is in the log');
is(error_of($queued->recv_all), 'FATAL 57P01 server shutting down', 'who waits for a server is told');
$late->send(Wire::query('select 1'));
is(error_of($late->recv_all), 'FATAL 57P01 server shutting down', '... and who asks for one later');
$login->raw(Wire::startup(user => 'app', database => 'app'));
is(error_of($login->recv_all), 'FATAL 57P01 pooler is shutting down', '... and who was about to log in');
is(error_of(unix($h)->try_login(user => 'app', database => 'app')), 'FATAL 57P01 pooler is shutting down',
    '... and who comes by the unix socket');
is($busy->value('select 2'), '2', 'a transaction goes on');
$busy->rows('commit');
$h->wait_for_exit('... and howdah ends with it');
like($h->log, qr/LOG server connections dropped, exiting$/m, '... as the log tells');
is(error_of($idle->recv_all), 'FATAL 57P01 pooler is shutting down', '... and an idle client is told then');

for my $again (qw(INT TERM)) {
    $h = started();
    $first = login($h);
    $first->rows('begin');
    $h->signal('INT');
    port_closes($h);
    $h->signal($again)->wait_for_exit("SIG$again after SIGINT ends it at once");
}

# In session mode a server is free when its client has left.
$h = started(pool_mode => 'session');
$first = login($h);
$first->value('select 1');
$h->signal('INT');
port_closes($h);
is($first->value('select 2'), '2', 'in session mode a client that has a server goes on after SIGINT');
$first->close;
$h->wait_for_exit('... and howdah ends when it has left');

# SIGQUIT

$h = started();
$first = login($h);
$first->rows('begin');
$h->signal('QUIT')->wait_for_exit('SIGQUIT ends it at once');
like($h->log, qr/LOG got SIGQUIT, fast exit$/m, '... as the log tells');

# SIGUSR1, SIGUSR2

$h = started();
$first = login($h);
$h->signal('USR1');
$h->poll_until(sub { (grep { $_->{key} eq 'paused' } @{$h->show('state')})[0]{value} eq 'yes' }, 'it pauses');
$first->send(Wire::query('select 1'));
$h->poll_until(sub { $h->show('pools')->[0]{cl_waiting} == 1 }, 'the client waits');
ok(!$first->readable, 'SIGUSR1 is PAUSE');
$h->signal('USR2');
is(Wire::types($first->recv_until('Z')), 'TDCZ', 'SIGUSR2 is RESUME');
like($h->log, qr/LOG got SIGUSR1, pausing all activity$/m, '... as the log tells');
like($h->log, qr/LOG got SIGUSR2, continuing from PAUSE$/m, '... both');
$h->signal('USR2');
$h->wait_for_log(qr/got SIGUSR2, but pooler is not paused/);
is($first->value('select 2'), '2', 'SIGUSR2 without a pause is no more than a line in the log');
$h->signal('USR1');
$h->poll_until(sub { (grep { $_->{key} eq 'paused' } @{$h->show('state')})[0]{value} eq 'yes' }, 'it pauses');
$first->send(Wire::query('select 1'));
$h->signal('TERM');
port_closes($h);
$first->close;
$h->wait_for_exit('SIGTERM ends a paused one too, when the clients have left');

Howdah->finish;
