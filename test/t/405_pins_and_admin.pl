# What an admin does while clients keep servers for the state of their session, or carry settings: nothing hangs, is
# lost in silence, or is left to others.

use strict;
use warnings;

use Howdah;
use Sessions;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not follow sessions' if Howdah->is_pgbouncer;

my $node = Howdah->node('main', conf => 'max_prepared_transactions = 5');
$node->safe_psql('app', q{
    create role boss login superuser; create role clerk; grant clerk to app; create table t(a int);
    grant all on t to app; grant all on schema public to app});
my $server = 'host=127.0.0.1 port=' . $node->port . ' dbname=app';

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, workers => 2, settings => {pool_mode => 'transaction', default_pool_size => 4, pin_max_percent => 100,
        query_wait_timeout => 10, query_wait_notify => 0, %settings})->start;
}
sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app', @_); }
sub boss { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'boss', database => 'app'); }
sub servers { my ($h) = @_; return scalar(grep { $_->{database} eq 'app' } @{$h->show('SERVERS')}); }
sub backends { return $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where usename = 'app')); }

# Four clients that keep a server, each for another reason.
sub keepers
{
    my ($h) = @_;
    my @c = map { client($h) } 1 .. 4;
    $c[0]->rows('create temp table kept(a int)');
    $c[0]->rows('insert into kept values (7)');
    $c[1]->rows('select pg_advisory_lock(1)');
    $c[2]->rows('declare k cursor with hold for select 7');
    $c[3]->rows(q(set howdah.pin = on));
    pins_are($h, 'advisory hold_cursor requested temp', 'four clients keep a server');
    return @c;
}
sub kept
{
    my (@c) = @_;
    return join(' ', map { $_->[0] } $c[0]->rows('table kept'), $c[1]->rows('select count(*) from pg_locks where locktype = $$advisory$$ and pid = pg_backend_pid()'),
        $c[2]->rows('fetch all from k; close k; declare k cursor with hold for select 7'), $c[3]->rows('show howdah.pin'));
}
my $all = '7 1 7 on';

# PAUSE, as in session mode: waits for them, and they go on meanwhile

my $h = start(default_pool_size => 5);
my @c = keepers($h);
my $free = client($h);
$free->rows(q(set work_mem = '3MB'));
my $admin = console($h);
$admin->send(Wire::query('PAUSE app'));
becomes(sub { (grep { $_->{name} eq 'app' } @{$h->show('databases')})[0]{paused} }, '1', 'PAUSE has begun');
becomes(sub { servers($h) }, 4, '... servers that nobody keeps are closed');
is(kept(@c), $all, '... who keeps one goes on');
$free->send(Wire::query('show work_mem'));
ok(!$admin->readable(0.1) && !$free->readable, '... PAUSE waits for them, others wait');
$c[0]->rows('drop table kept');
$c[1]->rows('select pg_advisory_unlock_all()');
$c[2]->rows('close k');
ok(!$admin->readable(0.1), '... and for the last of them');
$c[3]->rows('set howdah.pin = off');
is(Wire::types($admin->recv_until('Z')), 'CZ', '... and comes to its end when no pin is left');
is(pins($h) . now($h), '', '... none is');
$_->send(Wire::query('select 1')) for @c;
$admin->rows('RESUME app');
is(Wire::types($_->recv_until('Z')), 'TDCZ', 'RESUME: all go on') for $free, @c;
is($free->value('show work_mem'), '3MB', '... with their settings');
$h->stop;

# The same while a client is idle in a transaction, and is asked about

$h = start();
($free, my $busy) = (client($h), client($h));
$free->rows('select 1');
$busy->rows('begin; set work_mem = $$3MB$$; create temp table later(a int)');
$admin = console($h);
$admin->send(Wire::query('PAUSE'));
becomes(sub { servers($h) }, 1, 'PAUSE with one in a transaction');
$busy->rows('commit');
pins_are($h, 'temp', '... which keeps its server then');
ok(!$admin->readable(0.1), '... and is waited for');
$busy->rows('drop table later');
is(Wire::types($admin->recv_until('Z')), 'CZ', '... until it does not');
$admin->rows('RESUME');
is($busy->value('show work_mem'), '3MB', '... its setting is there afterwards');
$h->stop;

# DRAIN does not end a pin, and waits for it

$h = start();
@c = keepers($h);
$admin = console($h);
is(Wire::types($admin->send(Wire::query('DRAIN app'))->recv_until('Z')), 'CZ', 'DRAIN');
is(kept(@c), $all, '... takes nobody the server that it keeps');
$admin->send(Wire::query('WAIT_CLOSE app'));
ok(!$admin->readable(0.1), 'WAIT_CLOSE waits');
leave($_) for @c[0, 1, 2];
$c[3]->rows('set howdah.pin = off');
is(Wire::types($admin->recv_until('Z')), 'CZ', '... until the last has left, or keeps none any more');
is(pins($h) . now($h) . backends(), '0', '... and nothing is left');
$admin->rows('RESUME app');
is($c[3]->value('select 1'), '1', '... and RESUME');
$h->stop;

# KILL_CLIENT, KILL

$h = start();
@c = keepers($h);
my ($row) = grep { $_->{reasons} eq 'temp' } @{$h->show('PINS')};
my ($victim) = grep { $_->{port} == $c[0]->socket->sockport } @{$h->show('CLIENTS')};
console($h)->rows("KILL_CLIENT $victim->{id}");
is(Wire::first_error($c[0]->recv_all)->{C}, '57P01', 'KILL_CLIENT of one that keeps a server');
pins_are($h, 'advisory hold_cursor requested', '... ends its pin');
is(now($h), 'advisory=1 hold_cursor=1 requested=1', '... which PIN_COUNTS knows');
is(client($h)->value(q(select count(*) from pg_class where relname = 'kept')), '0', '... its table is gone') ;
$admin = console($h);
is(Wire::types($admin->send(Wire::query('KILL app'))->recv_until('Z')), 'CZ', 'KILL');
is(Wire::first_error($_->recv_all)->{C}, '57P01', '... tells them') for @c[1 .. 3];
is(pins($h) . now($h) . servers($h), '0', '... and nothing is left');
$admin->rows('RESUME app');
is(client($h)->value(q(select count(*) from pg_locks where locktype = 'advisory')), '0', '... not on the servers either');
$h->stop;

# KILL while a server is asked, and while something is taken back

sub blocked
{
    my ($h, $sql, $act) = @_;
    my ($lock, $c) = (boss(), client($h));
    $c->rows('create temp table asked(a int)');
    pins_are($h, 'temp', 'one keeps a server');
    $lock->rows('begin; lock table pg_catalog.pg_depend in access exclusive mode');
    $c->rows($sql);
    $h->poll_until(sub { $lock->value(q(select count(*) from pg_stat_activity where wait_event_type = 'Lock')) }, 'the server waits');
    $act->($c, $lock);
    $lock->rows('commit') ;
    return $c;
}

for my $how ('KILL', 'KILL_CLIENT', 'PAUSE', 'DRAIN', 'SUSPEND', 'RECONNECT', 'SHUTDOWN') {
    $h = start();
    my $watch = console($h);
    my $end;
    my $asked = blocked($h, 'do $$ begin perform set_config($q$work_mem$q$, $q$5MB$q$, false); perform pg_advisory_lock(9); end $$', sub {
        my ($c, $lock) = @_;
        my ($who) = grep { $_->{port} == $c->socket->sockport } @{$h->show('CLIENTS')};
        $admin = console($h);
        $admin->send(Wire::query($how eq 'KILL_CLIENT' ? "KILL_CLIENT $who->{id}" : $how =~ /SUSPEND|SHUTDOWN/ ? $how : "$how app"));
        if ($how =~ /PAUSE|SHUTDOWN/) { $admin->readable(0.2); } elsif ($how eq 'SUSPEND') { $admin->readable(0.5) } else { $admin->recv_until('Z'); }
        $end = $lock;
    });
    if ($how =~ /KILL/) {
        is(Wire::first_error($asked->recv_all)->{C}, '57P01', "$how while the server is asked");
        $admin->rows('RESUME app') if $how eq 'KILL';
    } elsif ($how eq 'SHUTDOWN') {
        $asked->recv_all;
        $h->wait_for_exit("$how while the server is asked");
        next;
    } else {
        if ($how eq 'PAUSE') {
            pins_are($h, 'temp,advisory', 'PAUSE while the server is asked');
            $asked->rows('drop table asked; select pg_advisory_unlock_all()');
            $admin->recv_until('Z');
        } elsif ($how eq 'SUSPEND') {
            $admin->recv_until('Z');
        }
        $admin->rows($how eq 'SUSPEND' ? 'RESUME' : 'RESUME app') if $how ne 'RECONNECT';
        is($asked->value('select 1'), '1', "$how while the server is asked");
        leave($asked);
    }
    pins_are($h, '', '... leaves no pin');
    is(now($h), '', '... and counts none');
    $c[0] = client($h);
    is(setting($c[0], 'work_mem') . ' ' . $c[0]->value(q(select count(*) from pg_locks where locktype = 'advisory')), '4MB 0', '... nothing is left to others');
    $h->stop;
}

# RECONNECT: who keeps a server keeps it; with server_fast_close he is closed, as a session is

for my $fast (0, 1) {
    $h = start(server_fast_close => $fast);
    @c = keepers($h);
    $busy = client($h);
    $c[0]->rows('begin');
    console($h)->rows('RECONNECT app');
    if (!$fast) {
        is(kept(@c), $all, 'RECONNECT: who keeps a server keeps it');
        $c[0]->rows('commit');
        my $pid = $c[3]->value('select pg_backend_pid()');
        $c[3]->rows('set howdah.pin = off');
        isnt($c[3]->value('select pg_backend_pid()'), $pid, '... and has another one when the pin is over');
    } else {
        is(Wire::first_error($_->recv_all)->{M}, 'database configuration changed', 'server_fast_close: it is closed, as a session is') for @c[1 .. 3];
        is($c[0]->value('table kept'), '7', '... in a transaction it goes on');
        $c[0]->send(Wire::query('commit'));
        is(Wire::types($c[0]->recv_all), 'CZE', '... to its end');
        pins_are($h, '', '... no pin is left');
    }
    $h->stop;
}

# DISABLE keeps nobody from going on

$h = start();
@c = keepers($h);
console($h)->rows('DISABLE app');
is(kept(@c), $all, 'DISABLE: who keeps a server goes on');
$c[3]->rows('set howdah.pin = off');
is($c[3]->value('select 1'), '1', '... also without');
is(Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app'))->{C}, '55000', '... nobody is let in');
console($h)->rows('ENABLE app');
is(client($h)->value('select 1'), '1', 'ENABLE');
$h->stop;

# SUSPEND

$h = start();
@c = keepers($h);
my $watch = console($h);
is(Wire::types($watch->send(Wire::query('SUSPEND'))->recv_until('Z')), 'CZ', 'SUSPEND');
$watch->rows('RESUME');
is(kept(@c), $all, '... and RESUME: all is as before');
$h->stop;

# SHUTDOWN

for my $how ('WAIT_FOR_SERVERS', 'WAIT_FOR_CLIENTS') {
    $h = start(default_pool_size => 5);
    @c = keepers($h);
    $free = client($h);
    $free->rows('select 1');
    $admin = console($h);
    $admin->send(Wire::query("SHUTDOWN $how"));
    my @said = eval { $admin->recv_until('Z') };
    is(kept(@c), $all, "SHUTDOWN $how: who keeps a server goes on");
    if ($how eq 'WAIT_FOR_CLIENTS') {
        leave($_) for @c, $free;
    } else {
        leave($_) for @c[0 .. 2];
        $c[3]->rows('set howdah.pin = off');
    }
    $admin->close;
    $h->wait_for_exit('... until the last is gone');
    is(backends(), '0', '... as are the servers');
}

# -R: who keeps a server stays with it in the old process; who carries settings takes them along

$h = start(default_pool_size => 6);
@c = keepers($h);
$free = client($h);
$free->rows(q(set work_mem = '3MB'; set my.carried = 'c'));
$busy = client($h);
$c[3]->rows('set howdah.pin = off');
$busy->rows('begin; set work_mem = $$4MB$$');
my $old = $h;
$h = $h->reboot;
is($free->value(q(select concat_ws(' ', current_setting('work_mem'), current_setting('my.carried')))), '3MB c', '-R: carried settings come along');
is($c[3]->value('show howdah.pin'), 'off', '... also of one that kept a server before');
is(join(' ', $c[0]->value('table kept'), $c[1]->value(q(select count(*) from pg_locks where locktype = 'advisory')), $c[2]->value('fetch all from k')), '7 1 7',
    '... who keeps a server keeps it');
$busy->rows('commit');
is($busy->value('show work_mem'), '4MB', '... who was in a transaction comes afterwards');
becomes(sub { scalar grep { $_->{user} eq 'app' } @{$h->show('CLIENTS')} }, 3, '... the others stay');
$c[0]->rows('drop table kept');
$c[1]->rows('select pg_advisory_unlock_all()');
becomes(sub { scalar grep { $_->{user} eq 'app' } @{$h->show('CLIENTS')} }, 5, '... until their pin is over');
leave($c[2]);
$old->wait_for_exit('the old process ends with the last pin');
is($_->value('select 1'), '1', '... and they go on in the new one') for @c[0, 1];
is(client($h)->value(q(select count(*) from pg_locks where locktype = 'advisory')), '0', '... nothing is left behind');
$h->stop;

Howdah->finish;
