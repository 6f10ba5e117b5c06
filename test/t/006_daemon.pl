# howdah in the background, its pid file, and the user that it becomes.

use strict;
use warnings;

use Howdah;
use POSIX ();
use Test::More;
use Wire;

plan skip_all => 'PgBouncer is another daemon' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');

sub pid_in { my ($path) = @_; return (Howdah::slurp($path) =~ /^(\d+)\n\z/)[0] // 0; }
sub runs { my ($pid) = @_; return kill(0, $pid) && Howdah::slurp("/proc/$pid/stat") !~ /\) Z /; }

# Background

my $h = Howdah->new(node => $node, settings => {pidfile => undef});
my ($status, $output) = $h->run_program('-d', $h->ini);
is($status, 1, '-d without pidfile is refused');
like($output, qr/FATAL --daemon needs the setting "pidfile"/, '... with a message');

$h = Howdah->new(node => $node);
($status, $output) = $h->run_program('-d', $h->ini);
is($status, 0, '-d succeeds') or diag($output);
my $pid = pid_in($h->pidfile);
ok(runs($pid), '... and leaves a process, whose id is in the pid file');
is($h->safe_psql('app', 'select 1'), '1', '... and which serves already');
like($output, qr/LOG listening on 127\.0\.0\.1:/, '... having told what it does until it was ready');
is((split(/ /, Howdah::slurp("/proc/$pid/stat") =~ s/.*\) //r))[3], $pid, '... in a session of its own');
is(join(' ', map { readlink("/proc/$pid/fd/$_") } 0 .. 2), '/dev/null /dev/null /dev/null', '... without a terminal');

# One at a time

my $other = Howdah->new(node => $node, settings => {pidfile => $h->pidfile});
($status, $output) = $other->run_program('-d', $other->ini);
is($status, 1, 'another one with the same pid file is refused');
like($output, qr/FATAL pidfile "\Q@{[$h->pidfile]}\E" is locked, another instance is running/, '... with a message');
is(pid_in($h->pidfile), $pid, '... and the pid file is as it was');

$other = Howdah->new(node => $node, settings => {listen_port => $h->port});
($status, $output) = $other->run_program('-d', $other->ini);
is($status, 1, 'what goes wrong after the fork is known to who waits');
like($output, qr/FATAL could not listen on 127\.0\.0\.1:\d+: .*in use/, '... and said');
ok(!-e $other->pidfile, '... and leaves no pid file');

kill('TERM', $pid);
$h->poll_until(sub { !runs($pid) }, 'the daemon ends');
ok(!-e $h->pidfile, 'SIGTERM ends it, and removes the pid file');
is(join('', $h->sanitizer_reports), '', '... and there was nothing to report');

# What a crash leaves behind

$h = Howdah->new(node => $node)->start;
$h->kill;
ok(-e $h->pidfile, 'after a crash the pid file is still there');
$h->start;
is(pid_in($h->pidfile), $h->pid, '... and does not hinder the next');
like($h->log, qr/LOG the pidfile "\Q@{[$h->pidfile]}\E" is stale, and overwritten$/m, '... which tells');
$h->stop;

Howdah::spew($h->pidfile, "$$\n");
$h->start;
is(pid_in($h->pidfile), $h->pid, 'nor does one whose number is that of another program by now');
Howdah::spew($h->pidfile . '.new', "1\n");
rename($h->pidfile . '.new', $h->pidfile) or die "rename: $!";
$h->stop;
is(pid_in($h->pidfile), 1, 'what somebody else has put in its place stays');

($status, $output) =
  Howdah->new(node => $node, settings => {pidfile => '/nonexistent/pid'})->expect_start_failure('a pid file that cannot be written is refused');
like($output, qr{FATAL could not write the pidfile "/nonexistent/pid": No such file}, '... with a message');

# Silence

my $wrong = Howdah->new(node => $node, settings => {defualt_pool_size => 1});
($status, $output) = $wrong->run_program('-q', $wrong->ini);
is("$status $output", '1 ', '-q is silent about wrong settings too, but for its status');
$wrong = Howdah->new(node => $node, settings => {user => 'no_such_user'});
($status, $output) = $wrong->run_program('-q', $wrong->ini);
is("$status $output", '1 ', '... and about all else');

# Who it is

my $me = getpwuid($>);
$h = Howdah->new(node => $node, arguments => ['-u', $me])->start;
is($h->safe_psql('app', 'select 1'), '1', '-u with the present user changes nothing');
$h->stop;
($status, $output) = $h->run_program('--user=no_such_user', $h->ini);
is($status, 1, '-u with an unknown user is refused');
like($output, qr/FATAL unknown user: no_such_user/, '... with a message');
($status, $output) = $wrong->run_program($wrong->ini);
like($output, qr/FATAL unknown user: no_such_user/, '... as with the setting');
SKIP: {
    skip 'the user is root', 2 if $> == 0;
    ($status, $output) = $h->run_program('-u', 'root', $h->ini);
    is($status, 1, '-u with a user that one cannot become is refused');
    like($output, qr/FATAL could not become the user: root|does not run as root/, '... with a message');
}
SKIP: {
    my @as_root = ('unshare', '--map-root-user', '--');
    skip 'nobody can be root here', 2 if system(@as_root, 'true') != 0;
    local $Howdah::PROGRAM = 'unshare';
    ($status, $output) = $h->run_program('--map-root-user', '--', $ENV{HOWDAH}, $h->ini);
    is($status, 1, 'root is refused');
    like($output, qr/FATAL howdah does not run as root: give another user with -u or the setting "user"/, '... with a message');
}

Howdah->finish;
