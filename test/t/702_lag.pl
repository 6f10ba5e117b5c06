# How far the standbys of a cluster are behind, and what is made of it.

use strict;
use warnings;

use Clusters;
use Howdah;
use Test::More;
use Wire;

my $slow = Howdah->slowness;
my $a = Howdah->node('a', init => {allows_streaming => 1}, conf => "wal_keep_size = 64MB\nwal_writer_delay = 50ms");
$a->safe_psql('postgres', 'create role prober login');
$a->safe_psql('app', 'create table t (id int, text text); alter table t owner to app');
$a->backup('base');

my ($b, $c) = map { Clusters::standby($_, $a) } qw(b c);
my $max_lag = 1500 * $slow;

sub section { return Clusters::section('main', [$a, $b, $c], max_lag => "${max_lag}ms", @_); }

my $h = Howdah->new(databases => {app => 'cluster=main dbname=app'},
    settings => {pool_mode => 'transaction'}, extra => section())->start;

sub row { my ($name) = @_; return (grep { $_->{node} eq $name } @{$h->show('nodes')})[0]; }
sub why { return row($_[0])->{no_reads} // ''; }
sub lag { my $ms = row($_[0])->{lag_ms}; return defined $ms && $ms ne '' ? $ms : -1; }

sub becomes
{
    my ($name, $why, $what) = @_;
    return ok($h->poll_until(sub { why($name) eq $why }, "$name: '$why'"), $what) || diag(explain($h->show('nodes')));
}

# Of each node so many answers more.
sub answers
{
    my ($n) = @_;
    my ($answered, %age) = (0);
    $h->poll_until(sub {
        for my $row (grep { $_->{node} eq 'b' } @{$h->show('nodes')}) {
            $answered++ if defined $age{b} && $row->{age_ms} < $age{b};
            $age{b} = $row->{age_ms};
        }
        return $answered >= $n;
    }, "$n answers");
    return;
}

sub write_something { $a->safe_psql('app', q(insert into t values (1, 'x'))); return; }

# ---- nobody writes ----

becomes($_, '', "$_ serves reads") for 'b', 'c';
is(why('a'), 'not in read_from', 'the primary does not');
is_deeply([map { row($_)->{role} } qw(a b c)], [qw(primary standby standby)], 'roles');
is(row('b')->{replay_paused}, 'no', 'replay is not paused');
is(row('a')->{replay_paused} // '', '', '... of the primary nothing is said');
my $lines = () = $h->log =~ /is behind/g;
answers(25 * $slow);
cmp_ok(lag('b'), '<', $max_lag, 'behind a primary where nobody writes, a standby does not lag');
cmp_ok(lag('c'), '<', $max_lag, '... nor does the other');
is(row('b')->{lag_bytes}, 0, '... not in bytes either');

# The insert position then stands behind the long header of a file of WAL.
for my $round (1 .. 2) {
    my $at = '';
    for (1 .. 5) { # the server itself may write something meanwhile: then it is tried again
        $a->safe_psql('postgres', 'select pg_switch_wal()');
        answers(25);
        $at = $a->safe_psql('postgres', 'select pg_current_wal_insert_lsn()');
        last if $at =~ m{/[0-9A-F]+000028$};
    }
    note("the server has written each time, at last up to $at") if $at !~ m{/[0-9A-F]+000028$};
    cmp_ok(lag('b'), '<', $max_lag, "after a switch of WAL there is no lag ($round)");
    is(row('b')->{lag_bytes}, 0, '... in bytes');
    write_something();
}
is((() = $h->log =~ /is behind/g), $lines, '... and there never was any');

# ---- replay stands still ----

# Some seconds after the last write PostgreSQL itself writes a record, once: then the pause begins anew.
my ($at, $why) = ('');
for (1 .. 3) {
    $b->safe_psql('postgres', 'select pg_wal_replay_resume()');
    becomes('b', '', 'b has everything');
    $at = row('a')->{lsn};
    $b->safe_psql('postgres', 'select pg_wal_replay_pause()');
    $h->poll_until(sub { row('b')->{replay_paused} eq 'yes' }, 'the pause is seen');
    answers(25 * $slow);
    $why = why('b');
    last if row('a')->{lsn} eq $at;
}
is($why, '', 'a pause alone is no lag, if nothing is written');
write_something();
becomes('b', 'behind', 'a paused standby is behind once something was written');
cmp_ok(lag('b'), '>=', $max_lag, '... by the time since then');
cmp_ok(row('b')->{lag_bytes}, '>', 0, '... and by bytes');
is(why('c'), '', '... the other is not');
my $before = lag('b');
write_something();
answers(5);
cmp_ok(lag('b'), '>', $before, '... and its lag grows');
like($h->log, qr/WARNING cluster "main": node "b" is behind by [\d.]+ s, more than max_lag/, '... and that is in the log');
$b->safe_psql('postgres', 'select pg_wal_replay_resume()');
becomes('b', '', 'it goes on, and serves reads again');
cmp_ok(lag('b'), '<', $max_lag, '... without lag');
like($h->log, qr/node "b" has caught up/, '... and that is in the log');

# ---- the sender of WAL is frozen: nothing on the standby tells that there is more ----

my $sender = $a->safe_psql('postgres', q(select pid from pg_stat_replication where application_name = 'c'));
kill('STOP', $sender);
write_something();
becomes('c', 'behind', 'a standby that is sent nothing is behind');
is(why('b'), '', '... the other is not');
cmp_ok(row('c')->{lag_bytes}, '>', 0, '... in bytes too');
kill('CONT', $sender);
becomes('c', '', '... until it is');

# ---- the standby itself ----

my $c_pid = $c->safe_psql('postgres', q(select pid from pg_stat_activity where application_name = 'howdah probe'));
$c->restart;
becomes('c', '', 'a standby serves reads after a restart');
$c->stop('fast');
becomes('c', 'not usable', 'one that is down is not usable');
$c->start;
becomes('c', '', '... until it is up');

# ---- bytes ----

$h->reconfigure(extra => section(max_lag => '0', max_lag_bytes => '64kB'));
is(($h->reload)[0], 0, 'a bound in bytes, none in time');
$b->safe_psql('postgres', 'select pg_wal_replay_pause()');
write_something();
answers(25 * $slow);
is(why('b'), '', 'a little WAL is within the bound, however long it stays');
$a->safe_psql('app', q(insert into t select i, repeat('y', 500) from generate_series(1, 300) i));
becomes('b', 'behind in bytes', 'much is not');
$b->safe_psql('postgres', 'select pg_wal_replay_resume()');
becomes('b', '', '... until it is replayed');

# ---- by hand ----

sub console { my ($command) = @_; my ($status, $out, $err) = $h->psql('pgbouncer', $command, user => 'admin'); return $status == 0 ? 'done' : $err; }

is(console('EJECT b'), 'done', 'EJECT');
is(why('b'), 'ejected by hand', '... takes effect at once');
is(($h->reload)[0], 0, '... a RELOAD does not end it');
is(why('b'), 'ejected by hand', '... it does not');
is(console('ADMIT main.b'), 'done', 'ADMIT, with the name of the cluster');
is(why('b'), '', '... ends it');
like(console('EJECT x'), qr/no such node: x/, 'a node that there is not');
like(console('EJECT other.b'), qr/no such node: other\.b/, '... or not in that cluster');

# ---- failovers ----

is(scalar(grep { $_->{cluster} } @{$h->show('failovers')}), 0, 'there was no failover yet');
$h->reconfigure(extra => section());
is(($h->reload)[0], 0, 'the first bound again');
$a->stop('fast');
$h->poll_until(sub { row('a')->{state} eq 'down' }, 'the primary is down');
$b->promote;
$h->poll_until(sub { row('b')->{state} eq 'primary' }, 'there is another');
my ($failover) = @{$h->show('failovers')};
is("$failover->{cluster}: $failover->{from} to $failover->{to} on $failover->{timeline}", 'main: a to b on 2', 'SHOW FAILOVERS');
cmp_ok($failover->{without_ms}, '>', 0, '... with the time without a primary');
like($failover->{time}, qr/^\d{4}-\d\d-\d\d /, '... and when that was');
is(lag('c'), -1, 'a standby of the old one: its lag is not known');
is(why('c'), 'lag not known', '... and it serves no reads');
$c->append_conf('postgresql.conf', "primary_conninfo = 'application_name=c host=" . $b->host . ' port=' . $b->port . "'");
$b->safe_psql('postgres', 'grant pg_monitor to prober');
$c->reload;
becomes('c', '', 'it follows the new one, and serves reads again');
is(row('c')->{timeline}, 2, '... on its timeline');

Howdah->finish;
