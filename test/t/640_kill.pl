# KILL_CLIENT and KILL_SERVER: one connection goes, the others stay.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 has neither' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 3})->start;
my $c = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');

sub login { return Wire->to($h)->login(user => 'app', database => 'app'); }

sub tag
{
    my ($command) = @_;
    $c->send(Wire::query($command));
    my @all = $c->recv_until('Z');
    my $error = Wire::first_error(@all);
    return "$error->{C} $error->{M}" if $error;
    my ($complete) = grep { $_->[0] eq 'C' } @all;
    return substr($complete->[1], 0, -1);
}

sub client_of { my ($client) = @_; return (grep { $_->{port} == $client->socket->sockport } @{$h->show('clients')})[0] // {}; }
sub server_of { my ($client) = @_; my $ptr = client_of($client)->{ptr}; return (grep { $_->{link} eq $ptr } @{$h->show('servers')})[0] // {}; }
sub server_with { my ($pid) = @_; return (grep { $_->{remote_pid} == $pid } @{$h->show('servers')})[0]; }

sub backend_is_gone
{
    my ($pid, $what) = @_;
    $node->poll_query_until('postgres', "select not exists (select from pg_stat_activity where pid = $pid)") or die "$what: $pid stays";
    return pass($what);
}

# An idle one.
my $client = login();
my $pid = $client->value('select pg_backend_pid()');
is(tag('KILL_SERVER ' . server_with($pid)->{id}), 'KILL_SERVER', 'KILL_SERVER of an idle server');
backend_is_gone($pid, '... closes it');
isnt($client->value('select pg_backend_pid()'), $pid, '... and nobody notices');
like($h->log, qr/admin forced disconnect/, '... but the log');

# One in a transaction.
my ($left, $right) = (login(), login());
$_->rows('begin') for $left, $right;
my $other = $right->value('select pg_backend_pid()');
$pid = $left->value('select pg_backend_pid()');
is(tag('KILL_SERVER ' . server_of($left)->{id}), 'KILL_SERVER', 'KILL_SERVER of a server in a transaction');
my $error = Wire::first_error($left->recv_all);
is_deeply([@$error{qw(S C M)}], ['FATAL', '57P01', 'admin forced disconnect'], '... its client is told, and closed');
backend_is_gone($pid, '... the server is closed');
is($right->value('select pg_backend_pid()'), $other, '... another transaction goes on');
$right->rows('commit');

# One that runs a statement: it is cancelled, as nobody wants it any more.
$client->rows('begin');
$pid = $client->value('select pg_backend_pid()');
$client->send(Wire::query('select pg_sleep(600)'));
$node->poll_query_until('postgres', "select exists (select from pg_stat_activity where pid = $pid and query ~ 'sleep')");
is(tag('KILL_SERVER ' . server_of($client)->{id}), 'KILL_SERVER', 'KILL_SERVER of a server at work');
is(Wire::first_error($client->recv_all)->{M}, 'admin forced disconnect', '... its client is told');
backend_is_gone($pid, '... and its statement does not run on');

# In the middle of an answer there is no place for an error.
$client = login();
$client->send(Wire::query("select repeat('x', 1000) from generate_series(1, 100000)"));
$h->poll_until(sub { server_of($client)->{id} && client_of($client)->{state} eq 'active' }, 'an answer is under way');
is(tag('KILL_SERVER ' . server_of($client)->{id}), 'KILL_SERVER', 'KILL_SERVER in the middle of an answer');
ok(defined eval { $client->recv_all; 1 } || $@ =~ /closed in the middle/, '... ends the client');
is($h->is_alive, 1, '... and nothing else');

# What waits goes on when the server is replaced.
my @holders = map { login() } 1 .. 3;
$_->rows('begin') for @holders;
my $waiting = login();
$waiting->send(Wire::query('select 1'));
$h->poll_until(sub { @{$h->show('waiters')} == 1 }, 'one waits');
is(tag('KILL_SERVER ' . server_of($holders[0])->{id}), 'KILL_SERVER', 'KILL_SERVER of a full pool');
is(Wire::types($waiting->recv_until('Z')), 'TDCZ', '... makes room for who waits');
$_->rows('commit') for @holders[1, 2];

# A client that waits.
$_->rows('begin') for @holders = map { login() } 1 .. 3;
$waiting->send(Wire::query('select 1'));
$h->poll_until(sub { @{$h->show('waiters')} == 1 }, 'one waits');
is(tag('KILL_CLIENT ' . $h->show('waiters')->[0]{id}), 'KILL_CLIENT', 'KILL_CLIENT of one that waits');
is(Wire::first_error($waiting->recv_all)->{M}, 'admin forced disconnect', '... tells it');
is_deeply($h->show('waiters'), [], '... and it waits no more');
$_->rows('commit') for @holders;

# The console's own.
my $console = Wire->to($h)->login(user => 'stats', database => 'pgbouncer');
is(tag('KILL_CLIENT ' . client_of($console)->{id}), 'KILL_CLIENT', 'KILL_CLIENT of another console');
is(Wire::first_error($console->recv_all)->{M}, 'admin forced disconnect', '... closes it');
$console = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
$console->send(Wire::query('KILL_CLIENT ' . client_of($console)->{id}));
is(Wire::first_error($console->recv_all)->{M}, 'admin forced disconnect', 'KILL_CLIENT of oneself');

for my $what (qw(client server)) {
    my $command = 'KILL_' . uc($what);
    is(tag("$command 999999"), "42704 $what not found", "$command of nobody");
    is(tag("$command 99999999999999999999999"), "42704 $what not found", '... with a number that is too long');
    is(tag("$command 0x7f0a"), "22023 invalid $what pointer supplied", '... with what is no number');
    like(tag($command), qr/^42601 /, '... without one');
}
my ($id) = map { $_->{id} } @{$h->show('servers')};
like(tag("KILL_CLIENT $id"), qr/client not found/, 'the id of a server is not that of a client');
($id) = map { $_->{id} } grep { $_->{user} eq 'app' } @{$h->show('clients')};
like(tag("KILL_SERVER $id"), qr/server not found/, '... nor the other way round');
my $stats = Wire->to($h)->login(user => 'stats', database => 'pgbouncer');
$stats->send(Wire::query("KILL_SERVER $id"));
is(Wire::first_error($stats->recv_until('Z'))->{C}, '42501', 'who may only look closes nothing');

Howdah->finish;
