# libpq_pipeline of PostgreSQL's own tests: directly and through howdah, with the same traces.

use strict;
use warnings;

use Howdah;
use IPC::Run ();
use Test::More;

my $tests = $ENV{REGRESS_DIR} or die "REGRESS_DIR names no directory: start this by scripts/regress\n";
my $node = Howdah->node('main');
$node->safe_psql('postgres', 'alter role app superuser');    # the tests set lc_messages
my @ways = qw(direct session transaction);
$node->safe_psql('postgres', "create database $_") for @ways;    # each begins where there is nothing
my $h = Howdah->new(
    node => $node,
    databases => {
        session => $node->connstr('session') . ' pool_mode=session',
        transaction => $node->connstr('transaction') . ' pool_mode=transaction',
    })->start;
my $dir = $h->dir;
my %address = (
    direct => $node->connstr('direct') . ' user=app',
    map { ($_ => $h->connstr(dbname => $_)) } qw(session transaction));

# Exit status, what it said, and the trace of the messages, if the program makes one.
sub run_test
{
    my ($name, $connstr) = @_;
    my ($said, $trace) = ('', "$dir/trace");
    unlink $trace;
    my $run = IPC::Run::start(["$tests/libpq_pipeline", '-r', 700, '-t', $trace, $name, $connstr], '<', \'',
        '>', \$said, '2>&1', IPC::Run::timeout($Howdah::TIMEOUT));
    if (!eval { $run->finish; 1 }) {
        $run->kill_kill(grace => 1);
        return ("did not end: $@", $said, Howdah::slurp($trace));
    }
    return ($run->full_result(0), $said, Howdah::slurp($trace));
}

my @names = map { split } `"$tests/libpq_pipeline" tests`;
for my $name (@names) {
    my $traced = -e "$tests/traces/$name.trace";
    for my $way (@ways) {
        my ($status, $said, $trace) = run_test($name, $address{$way});
        is($status, 0, "$name, $way") or diag($said);
        is($trace, Howdah::slurp("$tests/traces/$name.trace"), '... with the messages that were expected') if $traced;
    }
}

Howdah->finish;
