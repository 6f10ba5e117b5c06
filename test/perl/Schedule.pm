=head1 NAME

Schedule - a schedule of PostgreSQL's own tests, directly and through howdah

=head1 SYNOPSIS

    Schedule::compare(
        program => $ENV{PG_REGRESS},
        tests => 'regress/parallel_schedule',
        least => 150,
        runs => [{name => 'all', settings => {pool_mode => 'session'}}]);

=head1 DESCRIPTION

C<tests> is the schedule's file below the directory that F<test/regress/fetch> has filled, which REGRESS_DIR
names; it has that many tests at C<least>.  It runs once directly, then for each of C<runs> through howdah with
its C<settings>, each time on a cluster of its own; C<arguments> go to the program.  The same tests must fail,
with the same differences to what was expected.  Of a test that is C<known> to differ, the changed lines are
given.  What came out lies among the logs, below the name of the run.

=cut

package Schedule;

use strict;
use warnings;

use File::Basename qw(dirname);
use Howdah;
use IPC::Run ();
use Test::More;

my $LIMIT = 1000;    # seconds for one run
my $dir = $ENV{REGRESS_DIR} or die "REGRESS_DIR names no directory: this is started by test/regress/run\n";

# As pg_regress makes its own clusters.
sub new_cluster
{
    my ($name) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init;
    $node->append_conf('postgresql.conf', join("\n", 'log_statement = none', 'wal_level = replica',
        'max_wal_senders = 10', 'max_prepared_transactions = 2', 'max_connections = 150') . "\n");
    $node->start;
    return $node;
}

# What the program says of each test, and the differences of those that failed.
sub run_schedule
{
    my ($suite, $name, $host, $port, @arguments) = @_;
    my $output = "$PostgreSQL::Test::Utils::log_path/$name";
    mkdir($output) or die "$output: $!";
    my $said = '';
    my $run = IPC::Run::start([$suite->{program}, "--host=$host", "--port=$port", "--bindir=$dir/bin",
        "--dlpath=$dir/lib", '--inputdir=' . dirname("$dir/$suite->{tests}"), "--outputdir=$output",
        "--schedule=$dir/$suite->{tests}", '--max-concurrent-tests=20', @arguments],
        '<', \'', '>', \$said, '2>&1', IPC::Run::timeout($LIMIT));
    if (!eval { $run->finish; 1 }) {
        my $reason = $@;
        $run->kill_kill(grace => 1);
        die "$suite->{program} did not end ($reason):\n$said";
    }
    my %result = $said =~ /^(?:test|\s)\s+([\w-]+)\s+\.\.\. (ok|FAILED|failed \(ignored\))/mg;
    my ($summary) = $said =~ /^\s*((?:All )?\d+ .* (?:passed|failed).*?)\s*$/m;
    diag("$name: ", $summary // "\n$said");
    return {result => \%result, differences => differences("$output/regression.diffs")};
}

# By test, without the heads, in which paths and times are.
sub differences
{
    my ($file) = @_;
    my ($test, %text);
    for my $line (split(/^/, Howdah::slurp($file))) {
        if ($line =~ m{^diff .*/results/([\w-]+)\.out$}) {
            $test = $1;
        }
        elsif ($line !~ m{^(---|\+\+\+) /}) {
            $text{$test} .= $line;
        }
    }
    return \%text;
}

sub run_directly
{
    my ($suite) = @_;
    my $node = new_cluster('direct');
    my $outcome = run_schedule($suite, 'direct', $node->host, $node->port);
    $node->stop;
    return $outcome;
}

sub run_behind
{
    my ($suite, $run) = @_;
    my $node = new_cluster($run->{name});
    my $h = Howdah->new(
        node => $node,
        databases => {'*' => 'host=' . $node->host . ' port=' . $node->port},
        users => [[scalar(getpwuid($<)), '']],
        settings => {
            default_pool_size => 40,
            max_client_conn => 200,
            listen_addr => undef,
            %{$run->{settings} // {}},
        })->start;
    my $outcome = run_schedule($suite, $run->{name}, $h->dir, $h->port, @{$run->{arguments} // []});
    $h->stop;
    $node->stop('immediate');
    return $outcome;
}

sub compare_one
{
    my ($direct, $behind, $name, $known) = @_;
    is_deeply([sort keys %{$behind->{result}}], [sort keys %{$direct->{result}}], "$name: the same tests run");
    for my $test (sort keys %{$direct->{result}}) {
        my ($theirs, $ours) = map { "$_->{result}{$test}\n" . ($_->{differences}{$test} // '') } $direct, $behind;
        if (ref $known->{$test}) {    # a reason, where the text is not the same each time
            isnt($ours, $theirs, "$name: $test differs: ${$known->{$test}}");
        }
        elsif ($known->{$test}) {
            is(join('', $ours =~ /^[+-].*\n/mg), $known->{$test}, "$name: $test differs as it must");
        }
        else {
            ok($ours eq $theirs, "$name: $test") or diag(substr($ours, 0, 2000));
        }
    }
    return;
}

sub compare
{
    my (%suite) = @_;
    my $direct = run_directly(\%suite);
    cmp_ok(scalar(keys %{$direct->{result}}), '>=', $suite{least}, 'the schedule ran to its end');
    for my $run (@{$suite{runs}}) {
        compare_one($direct, run_behind(\%suite, $run), $run->{name}, $run->{known} // {});
    }
    return;
}

1;
