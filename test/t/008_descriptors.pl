# Out of file descriptors: those who are in go on, those who come wait, and nobody spins.

use strict;
use warnings;

use Howdah;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'PgBouncer pauses for five seconds' if Howdah->is_pgbouncer;

my $LIMIT = 60;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, wrapper => ['sh', '-c', "ulimit -n $LIMIT; exec \"\$@\"", 'sh'],
    settings => {pool_mode => 'transaction', default_pool_size => 2, tcp_defer_accept => 0})->start;
like($h->log, qr/kernel file descriptor limit: $LIMIT \(hard: $LIMIT\)/, 'the limit is in force');
like($h->log, qr/WARNING the limit of file descriptors is $LIMIT, but/, '... and warned of');

# CPU time in seconds.
sub cpu
{
    my @stat = split(/ /, Howdah::slurp('/proc/' . $h->pid . '/stat') =~ s/.*\) //r);
    return ($stat[11] + $stat[12]) / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
}

my $first = Wire->to($h)->login(user => 'app', database => 'app');
is($first->value('select 1'), '1', 'a client is in');

# More come than there is room for.  The kernel takes them all.
my @crowd = map { Wire->to($h) } 1 .. $LIMIT + 20;
$h->wait_for_log(qr/WARNING accept\(\) failed: Too many open files; new clients wait$/m);
pass('too many clients: the log says that accept() failed');
is($first->value('select 2'), '2', 'who is in goes on');

my ($cpu, $began) = (cpu(), time);
$first->value('select pg_sleep(2)');
my $share = (cpu() - $cpu) / (time - $began);
cmp_ok($share, '<', 0.1, 'waiting costs next to nothing') or diag("$share of a CPU");
my $lines = () = $h->log =~ /accept\(\) failed/g;
cmp_ok($lines, '<=', 4, '... and fills no log') or diag("$lines lines");

# Some go, and those who waited come in.
$_->close for splice(@crowd, 0, 60);
my $last = $crowd[-1];
$last->login(user => 'app', database => 'app');
is($last->value('select 3'), '3', 'who has waited comes in when others leave');
$h->wait_for_log(qr/LOG accepting clients again$/m);
pass('... and the log says so');
$_->close for splice(@crowd, 0, $#crowd);
is($h->safe_psql('app', 'select 4'), '4', 'new ones come in as ever');

# The pause ends with the shutdown of TCP, but not for the unix socket.
my $path = $h->dir . '/.s.PGSQL.' . $h->port;
@crowd = map { Wire->to($h) } 1 .. $LIMIT + 20;
$h->poll_until(sub { $h->fd_count >= $LIMIT }, 'there is no room again');
$h->signal('TERM');
$h->wait_for_log(qr/got SIGTERM/);
my $console = Wire->unix($path);
$_->close for @crowd;
$console->login(user => 'admin', database => 'pgbouncer');
is(Wire::types((eval { $console->send(Wire::query('SHOW VERSION')); $console->recv_until('Z') })), 'TDCZ', 'the console is open while howdah shuts down');
$console->close;
$first->close;
$last->close;
$h->wait_for_exit('... and it ends');

Howdah->finish;
