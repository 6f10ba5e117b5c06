# The ends of those who keep a server, and what their servers do then: while something is taken back, in the middle of
# a takeover, when PostgreSQL ends it.

use strict;
use warnings;

use Howdah;
use Sessions;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not follow sessions' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', q{create role boss login superuser; create role clerk; grant clerk to app; create role deputy; grant all on schema public to public});

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, workers => 2, users => [['boss', '']], settings => {pool_mode => 'transaction', default_pool_size => 2, pin_max_percent => 100,
        query_wait_timeout => 10, query_wait_notify => 0, %settings})->start;
}
sub boss { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'boss', database => 'app'); }
my $waiting = q(select coalesce(max(pid), 0) from pg_stat_activity where wait_event_type = 'Lock');

# While something is taken back, an admin acts

for my $how ('PAUSE', 'DRAIN', 'SUSPEND', 'RECONNECT', 'KILL', 'SHUTDOWN WAIT_FOR_SERVERS', '-R', 'nothing') {
    my $h = start();
    my ($c, $lock) = (client($h), boss());
    $c->rows('create temp table taken(a int)');
    $c->rows(q(select pg_advisory_lock(1); set work_mem = '7MB'));
    pins_are($h, 'temp,advisory', "$how: one keeps a server");
    $lock->rows('begin; lock table pg_catalog.pg_depend in access exclusive mode');
    leave($c);
    my $pid = $h->poll_until(sub { $lock->value($waiting) }, 'what it has left is taken back');
    is(pins($h) . now($h), '', '... nobody is pinned');
    my ($admin, $old) = console($h);
    if ($how eq '-R') {
        $old = $h;
        $h = $h->reboot;
    } elsif ($how ne 'nothing') {
        $admin->send(Wire::query($how =~ /SUSPEND|SHUTDOWN/ ? $how : "$how app"));
    }
    my $early = $how =~ /PAUSE|SUSPEND/ ? $admin->readable(0.1) : 0;
    ok(!$early, '... it waits for that') if $how =~ /PAUSE|SUSPEND/;
    $lock->rows('commit');
    if ($how =~ /SHUTDOWN/) {
        $h->wait_for_exit('... and then it ends');
        next;
    }
    $old->wait_for_exit('... the old process ends then') if $old;
    if ($how !~ /-R|nothing/) {
        is(Wire::types($admin->recv_until('Z')), 'CZ', '... and is answered');
        $admin->rows($how eq 'SUSPEND' ? 'RESUME' : 'RESUME app') if $how ne 'RECONNECT';
    }
    my @others = map { client($h) } 1 .. 2;
    $_->rows('begin') for @others;
    is(join(' ', map { setting($_, 'work_mem') . $_->value('select count(*) from pg_class where relnamespace = pg_my_temp_schema()')
            . $_->value(q(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())) } @others), '4MB00 4MB00', '... nothing is left to others');
    $h->stop;
}

# -R while a server is asked

my $h = start();
my ($c, $lock) = (client($h), boss());
$lock->rows('begin; lock table pg_catalog.pg_depend in access exclusive mode');
$c->rows(q(do $$ begin perform set_config('work_mem', '7MB', false); end $$));
$h->poll_until(sub { $lock->value($waiting) }, 'the server is asked');
my $old = $h;
$h = $h->reboot;
$lock->rows('commit');
$old->wait_for_exit('-R while a server is asked');
is($c->value('show work_mem'), '7MB', '... what it says comes along');
is(client($h)->value('show work_mem'), '4MB', '... for its client');
$h->stop;

# PostgreSQL ends it, or KILL_SERVER does

for my $how ('pg_terminate_backend', 'KILL_SERVER', 'a crash') {
    $h = start();
    ($c, my $other) = (client($h), client($h));
    $c->rows('create temp table gone(a int)');
    pins_are($h, 'temp', "$how: one keeps a server");
    my ($row) = @{$h->show('PINS')};
    if ($how eq 'KILL_SERVER') {
        my ($server) = grep { $_->{remote_pid} == $row->{pid} } @{$h->show('SERVERS')};
        console($h)->rows("KILL_SERVER $server->{id}");
    } elsif ($how eq 'a crash') {
        kill('QUIT', $row->{pid});
    } else {
        boss()->value("select pg_terminate_backend($row->{pid})");
    }
    like(code($c->recv_all), qr/^(57P01|57P02|08006)$/, '... it is told');
    pins_are($h, '', '... no pin is left');
    is(now($h), '', '... and none is counted');
    my ($pool) = grep { $_->{database} eq 'app' && $_->{user} eq 'app' } @{$h->show('POOLS')};
    is("$pool->{cl_active} $pool->{sv_active}", '1 0', '... the other one is there');
    $h->poll_until(sub { eval { client($h)->value('select 1') } }, 'PostgreSQL is there');
    $h->stop;
}

# What SHOW POOLS says of who keeps a server: as of a session

$h = start();
($c, my $other) = (client($h), client($h));
$other->rows('select 1');
$c->rows('select pg_advisory_lock(1)');
pins_are($h, 'advisory', 'one keeps a server');
my ($pool) = grep { $_->{database} eq 'app' && $_->{user} eq 'app' } @{$h->show('POOLS')};
is("$pool->{cl_active} $pool->{cl_waiting} $pool->{sv_active}", '2 0 1', 'SHOW POOLS') or diag(explain($pool));
$h->stop;

# Who may be somebody else: SET SESSION AUTHORIZATION of a superuser

$h = start(session_role => 'carry', default_pool_size => 1);
sub acts { return $_[0]->value(q(select concat_ws(' ', session_user, current_user, current_setting('log_statement'), current_setting('work_mem')))); }
my @b = map { Wire->to($h)->login(user => 'boss', database => 'app') } 1 .. 2;
$b[0]->rows(q(set log_statement = 'ddl'));
$b[0]->rows(q(set session authorization deputy));
$b[0]->rows(q(set work_mem = '3MB'));
is(acts($b[0]), 'deputy deputy ddl 3MB', 'SET SESSION AUTHORIZATION follows');
is(acts($b[1]), 'boss boss none 4MB', '... its client');
is(acts($b[0]), 'deputy deputy ddl 3MB', '... with what only the other may set');
is(code($b[0]->send(Wire::query('create role no_such'))->recv_until('Z')), '42501', '... and may not do what it may not');
$b[0]->rows('begin; set local session authorization default; commit');
is(acts($b[1]), 'boss boss none 4MB', '... nobody else has it');
is(acts($b[0]), 'deputy deputy ddl 3MB', '... and a local one ends with its transaction');
$b[0]->rows('set role none');
is(code($b[0]->send(Wire::query('set role clerk'))->recv_until('Z')), '42501', 'a role that the other may not take');
$b[0]->rows('reset session authorization');
is(acts($b[1]), 'boss boss none 4MB', 'another one');
is(acts($b[0]), 'boss boss ddl 3MB', 'RESET SESSION AUTHORIZATION ends it');
$b[0]->rows('set session authorization deputy');
acts($b[1]);
boss()->rows('drop role deputy');
$b[0]->send(Wire::query('create table by_whom(a int)'));
is(code($b[0]->recv_all), '22023', 'who is not there any more');
is($node->safe_psql('app', q(select count(*) from pg_class where relname = 'by_whom')), '0', '... does nothing as somebody else');
is(acts($b[1]), 'boss boss none 4MB', '... others go on');
$h->stop;

# Those who listen, and RELOAD

for my $to ({pool_mode => 'session'}, {session_state => 'off'}) {
    my $name = join(' = ', %$to);
    $h = start(default_pool_size => 2);
    ($c, $other) = (client($h), client($h));
    $c->rows('listen news');
    pins_are($h, '', "$name: one listens");
    $h->reconfigure(settings => $to)->reload;
    $h->show('CLIENTS');
    $other->rows(q(notify news, '1'));
    like($c->recv(10)->[1], qr/news.1/, '... and hears');
    $c->rows('listen more');
    $other->rows(q(notify more, '2'));
    like($c->recv(10)->[1], qr/more.2/, '... also what it wants from then on');
    $c->rows('unlisten news');
    $other->rows($_) for q(notify news, '3'), q(notify more, '4');
    like($c->recv(10)->[1], qr/more.4/, '... and does not want any more');
    $h->reconfigure(settings => {pool_mode => 'transaction', session_state => 'track'})->reload;
    $h->show('CLIENTS');
    $other->rows(q(notify more, '5'));
    like($c->recv(10)->[1], qr/more.5/, '... and back again');
    $c->rows('unlisten *');
    pins_are($h, '', '... nothing is kept');
    $h->stop;
}

Howdah->finish;
