# -R: a new process takes over sockets and clients from the one that runs, and nobody notices.

use strict;
use warnings;

use Howdah;
use IPC::Run ();
use Test::More;
use Wire;

plan skip_all => 'PgBouncer restarts in another way' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my %settings = (pool_mode => 'transaction', default_pool_size => 10, max_client_conn => 500);

# Under load

sub pgbench
{
    my ($h, $mode, $seconds) = @_;
    my %run = (out => '', err => '');
    $run{handle} = IPC::Run::start(
        ['pgbench', '-n', '-S', '-M', $mode, '-c', 40, '-j', 2, '-T', $seconds, $h->connstr],
        '<', \'', '>', \$run{out}, '2>', \$run{err});
    return \%run;
}

$node->safe_psql('app', 'grant all on schema public to app');
$node->command_ok(['pgbench', '-i', '-q', '-s', 1, '-d', $node->connstr('app') . ' user=app'], 'tables for pgbench');

for my $mode (Howdah::slowness() > 4 ? 'prepared' : qw(simple extended prepared)) {
    my $h = Howdah->new(node => $node, settings => \%settings)->start;
    my $load = pgbench($h, $mode, 5 * Howdah::slowness());
    $h->poll_until(sub { grep({ $_->{database} eq 'app' } @{$h->show('clients')}) >= 40 }, 'all clients are there');
    for my $n (1 .. 3) {
        my $next = $h->reboot;
        $h->wait_for_exit("$mode: the old process ends, restart $n");
        $h = $next;
        is(scalar(grep { $_->{database} eq 'app' } @{$h->show('clients')}), 40, '... and all clients are with the new one');
    }
    is(Howdah::slurp($h->pidfile), $h->pid . "\n", "$mode: the pid file is the last one's");
    $load->{handle}->finish;
    is($load->{handle}->full_result(0), 0, "$mode: pgbench ends well") or diag($load->{err});
    unlike($load->{out} . $load->{err}, qr/aborted|fatal|error/i, '... without an error');
    like($load->{out}, qr/number of failed transactions: 0 /, '... and without a failed transaction') if $load->{out} =~ /failed/;
    unlike($h->log, qr/WARNING|ERROR|FATAL/, '... and none is in the log');
    $h->stop;
    ok(!-e $h->pidfile, '... which removes the pid file at its end');
}

Howdah->finish;
