# Clients that leave when it is least convenient: nobody waits for what they have left, and no slot is lost.

use strict;
use warnings;

use Howdah;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);
use Test::More;
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table target (t text); grant all on target to app');
my $most = 20;
my $h = Howdah->new(node => $node, workers => 1,
    settings => {pool_mode => 'transaction', default_pool_size => 1, max_client_conn => $most, query_wait_timeout => 0})->start;
my $limit = 8 * Howdah::slowness();
my $sync = Wire::sync();

sub client { return Wire->to($h)->login(user => 'app', database => 'app'); }

sub reset_it
{
    my ($c) = @_;
    setsockopt($c->socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    return $c->close;
}

# The only server is there for the next one.
sub next_is_served
{
    my ($what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $next = client();
    my $got = eval { $next->value('select 1', $limit) } // $@;
    is($got, '1', "$what: the next client is served");
    $next->close;
    $h->restart if $got ne '1';
    return;
}

# In the middle of a result that nobody has read

for my $megabytes (3, 7, 9, 11) {
    for my $goodbye ('', Wire::terminate()) {
        my $c = client();
        setsockopt($c->socket, SOL_SOCKET, SO_RCVBUF, 4096);
        $c->send(Wire::query("select repeat('x', 1000) from generate_series(1, ${megabytes}000)"));
        $h->poll_until(sub { $node->safe_psql('postgres', qq(select count(*) from pg_stat_activity where datname = 'app'
            and query ~ 'repeat.*${megabytes}000' and (wait_event = 'ClientWrite' or state = 'idle'))) }, 'nothing moves any more');
        $c->raw($goodbye);
        $c->close;
        next_is_served("$megabytes MB not read, " . ($goodbye ? 'Terminate' : 'no Terminate'));
    }
}

# In COPY FROM STDIN, as PQfinish() does it

my $copy = Wire::query('copy target from stdin');
my $data = Wire::copy_data("a\n");
my %copies = (
    'a COPY' => sub { $_[0]->send($copy)->recv_until('G'); $_[0]->send($data, Wire::terminate()) },
    'a COPY in one packet' => sub { $_[0]->send($copy, $data, Wire::terminate()) },
    'a COPY of the extended protocol' => sub {
        $_[0]->send(Wire::parse('', 'copy target from stdin'), Wire::bind('', '', []), Wire::execute(''), $sync)->recv_until('G');
        $_[0]->send($data, Wire::terminate());
    },
    'a COPY without Terminate' => sub { $_[0]->send($copy)->recv_until('G'); $_[0]->send($data) });
for my $name (sort keys %copies) {
    my $c = client();
    $copies{$name}->($c);
    $c->close;
    next_is_served("in the middle of $name");
}
is($node->safe_psql('app', 'select count(*) from target'), '0', '... and nothing was committed');
my $complete = client();
$complete->send($copy, $data, Wire::copy_done(), Wire::terminate());
$complete->recv_all;
is($node->safe_psql('app', 'select count(*) from target'), '1', 'but a COPY that is complete in front of Terminate is');

# Behind an error in a batch whose Sync never comes

for my $goodbye ('', Wire::terminate()) {
    my $c = client();
    $c->send(Wire::parse('', 'select pg_sleep(0.3)'), Wire::bind('', '', []), Wire::execute(''), Wire::bind('', 'nobody', []),
        Wire::query('select 1'), $goodbye);
    $h->poll_until(sub { $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where datname = 'app' and query ~ 'pg_sleep')) }, 'it has begun');
    $c->close;
    next_is_served('an error, a Query and no Sync, ' . ($goodbye ? 'Terminate' : 'no Terminate'));
}

# A reset that comes in one event with something that asks for nothing

sub with_reset
{
    my ($bytes, $c) = @_;
    $h->signal('STOP');
    $c->raw($bytes);
    reset_it($c);
    $h->signal('CONT');
    return;
}

my %bytes = (
    'half a message' => substr(Wire::query('select 1'), 0, 7),
    'a Flush' => Wire::flush(),
    'half a batch' => substr(Wire::parse('x', 'select 1'), 0, 12));
for my $name (sort keys %bytes) {
    for (1 .. $most) {
        my $c = eval { client() } or last;
        with_reset($bytes{$name}, $c);
    }
    ok(eval { $h->poll_until(sub { grep({ $_->{user} eq 'app' } @{$h->show('clients')}) == 0 }, 'all have gone', $limit) },
        "a reset behind $name is noticed");
    next_is_served('... and');
}
for (1 .. $most) {
    my $c = Wire->to($h);
    with_reset(Wire::startup(user => 'app', database => 'app'), $c);
}
ok(eval { $h->poll_until(sub { grep({ $_->{user} eq 'app' } @{$h->show('clients')}) == 0 }, 'all have gone', $limit) },
    'a reset behind the startup packet is noticed');
next_is_served('... and');

# The same of a client whose statement was cancelled while it waited

for (1 .. 5) {
    my ($holder, $c, $canceler) = (client(), client(), Wire->to($h));
    $holder->rows('begin');
    $c->send(Wire::query('select 1'));
    $h->poll_until(sub { grep { $_->{user} eq 'app' && $_->{cl_waiting} == 1 } @{$h->show('pools')} }, 'it waits');
    $h->signal('STOP');
    $canceler->raw(Wire::cancel(@{$c->key}));
    reset_it($c);
    $h->signal('CONT');
    $holder->rows('rollback');
}
ok(eval { $h->poll_until(sub { grep({ $_->{user} eq 'app' } @{$h->show('clients')}) == 0 }, 'all have gone', $limit) },
    'a reset behind a statement that was cancelled is noticed');
next_is_served('... and');
my ($holder, $c) = (client(), client());
$holder->rows('begin');
$c->send(Wire::parse('', 'select 1'), Wire::bind('', '', []));
$h->poll_until(sub { grep { $_->{user} eq 'app' && $_->{cl_waiting} == 1 } @{$h->show('pools')} }, 'it waits');
Wire->to($h)->raw(Wire::cancel(@{$c->key}));
$h->poll_until(sub { grep { $_->{user} eq 'app' && $_->{cl_waiting} == 0 } @{$h->show('pools')} }, 'it is cancelled');
with_reset(substr(Wire::execute(''), 0, 6), $c);
ok(eval { $h->poll_until(sub { grep({ $_->{user} eq 'app' } @{$h->show('clients')}) == 1 }, 'it has gone', $limit) },
    '... and one in the middle of a batch that was cancelled');
$holder->close;
next_is_served('... and');

Howdah->finish;
