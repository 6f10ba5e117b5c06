# Eight clients write and read at once, over standbys that are late.

use strict;
use warnings;

use Clusters;
use Howdah;
use Test::More;
use Wire;

use constant {CLIENTS => 8, PAIRS => 10_000};

my ($a, $b, $c) = my @nodes = Clusters::nodes(qw(a b c));
$a->safe_psql('app', 'create table t (id int primary key, v int); alter table t owner to app; insert into t select n, 0 from generate_series(1, ' . CLIENTS . ') n');
for my $node (@nodes) {
    $node->append_conf('postgresql.conf', "log_statement = none");
    $node->append_conf('postgresql.conf', 'recovery_min_apply_delay = 60ms') if $node != $a;
    $node->reload;
}
my $h = Howdah->new(
    databases => {app => 'cluster=main dbname=app', off => 'cluster=main dbname=app reads_follow_writes=off'},
    settings => {pool_mode => 'transaction', default_pool_size => 8, query_wait_timeout => 120},
    extra => Clusters::section('main', \@nodes, read_write_split => 'on', max_lag => '60s', probe_interval => '50ms'))->start;

# Of one client: how many reads did not show what it had written, and how many a standby has served.
sub pairs
{
    my ($database, $id, $n) = @_;
    my $client = Wire->to($h)->login(user => 'app', database => $database);
    my ($stale, $standby) = (0, 0);
    for my $v (1 .. $n) {
        $client->rows("update t set v = $v where id = $id");
        # Now and then it is so slow that a standby can have it.
        $client->value('select pg_sleep(0.2)') if $v % 250 == 0;
        my ($row) = $client->rows("select v, pg_is_in_recovery() from t where id = $id");
        $stale++ if $row->[0] ne $v;
        $standby++ if $row->[1] eq 't';
    }
    $client->send(Wire::terminate());
    return ($stale, $standby);
}

sub storm
{
    my ($database, $n) = @_;
    my @pipes;
    for my $id (1 .. CLIENTS) {
        pipe(my $out, my $in) or die "pipe: $!\n";
        my $pid = fork() // die "fork: $!\n";
        if ($pid == 0) {
            my @result = eval { pairs($database, $id, $n) };
            print {$in} @result ? "@result\n" : "failed: $@\n";
            close $in;
            require POSIX;
            POSIX::_exit(0);
        }
        close $in;
        push @pipes, [$pid, $out];
    }
    my ($stale, $standby, $failed) = (0, 0, '');
    for my $each (@pipes) {
        my $line = readline($each->[1]) // 'failed: no answer';
        waitpid($each->[0], 0);
        if ($line =~ /^(\d+) (\d+)$/) { $stale += $1; $standby += $2; } else { $failed .= $line; }
    }
    is($failed, '', "$database: no client has failed");
    return ($stale, $standby);
}

for my $database (qw(app off)) {
    my $probe = Wire->to($h)->login(user => 'app', database => $database);
    ok($h->poll_until(sub { $probe->value('select pg_is_in_recovery() from t limit 1') eq 't' }, 'reads'), "$database: reads go to standbys");
    $probe->close;
}
my ($stale, $standby) = storm('app', PAIRS / CLIENTS);
is($stale, 0, PAIRS . ' pairs of write and read: no read is stale');
cmp_ok($standby, '>', 0, "... and standbys have served some ($standby)");
($stale, $standby) = storm('off', 50);
cmp_ok($stale, '>', 0, "with reads_follow_writes = off some are ($stale of " . 50 * CLIENTS . ')');
$h->stop;
Howdah->finish;
