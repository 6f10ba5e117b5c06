# Where the log goes: the file, which may be moved away, syslog, and the levels.

use strict;
use warnings;

use Howdah;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;
use Wire;

plan skip_all => 'another log there' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $file = PostgreSQL::Test::Utils::tempdir_short() . '/log';
my $h = Howdah->new(node => $node, settings => {logfile => $file});
$h->{logfile} = $file;
$h->start;
my $client = Wire->to($h)->login(user => 'app', database => 'app');

# A line

my $stamp = qr/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+/;
my $pid = $h->pid;
my @odd = grep { !/^$stamp \[$pid\] (?:FATAL|ERROR|WARNING|LOG|DEBUG) \S/ } split(/\n/, $h->log);
is(scalar(@odd), 0, 'every line has its time, process and level') or diag(@odd);
ok($h->poll_until(sub { $h->output eq $h->log }, 'both are the same'), 'standard error gets the same');

# The file

rename($file, "$file.1") or die "rename: $!";
is($client->value('select 1'), '1', 'a log that was moved away is written to');
$h->signal('HUP');
$h->poll_until(sub { -e $file }, 'SIGHUP opens a new one');
$h->console('RECONNECT app');
like($h->log, qr/RECONNECT 'app' command issued/, '... which has what comes then');
unlike(Howdah::slurp("$file.1"), qr/RECONNECT 'app'/, '... and the old one has not');

rename($file, "$file.2") or die "rename: $!";
my ($status, $output) = $h->reload;
is($status, 0, 'RELOAD succeeds');
ok(-e $file, '... and opens it as well');

rename($file, "$file.3") or die "rename: $!";
my $text = Howdah::slurp($h->ini);
Howdah::spew($h->ini, "$text\nno_such_setting = 1\n");
($status) = $h->reload;
isnt($status, 0, 'RELOAD of a wrong file fails');
ok(-e $file, '... but opens the log anew');
Howdah::spew($h->ini, $text);

$h->{logfile} = "$file.other";
$h->reconfigure(settings => {logfile => "$file.other"})->reload;
like($h->console('SHOW CONFIG'), qr/^logfile\|\Q$file.other\E\|/m, 'logfile may change');
$client->close;
$h->wait_for_log(qr/closing because: client/);
pass('... and the lines go there');

($status, $output) = $h->reconfigure(settings => {logfile => '/nonexistent/log'})->reload;
isnt($status, 0, 'a log file that cannot be opened is refused');
$h->wait_for_log(qr{ERROR could not open the log file "/nonexistent/log": No such file});
like($h->console('SHOW CONFIG'), qr/^logfile\|\Q$file.other\E\|/m, '... and the old one stays');
($status, $output, my $error) = $h->console_try(q(SET logfile = '/nonexistent/log'));
like($error, qr/could not open the log file/, '... as with SET');

my $position = $h->log_position;
$h->reconfigure(settings => {logfile => undef})->reload;
$h->console('RECONNECT app');
unlike(substr($h->log, $position), qr/RECONNECT/, 'without logfile nothing is written to it any more');
like($h->output, qr/RECONNECT 'app' command issued/, '... but to standard error');
$h->reconfigure(settings => {logfile => "$file.other"})->reload;

my ($failed, $message) = Howdah->new(node => $node, settings => {logfile => '/nonexistent/log'})
  ->expect_start_failure('a log file that cannot be opened stops the start');
like($message, qr{could not open the log file "/nonexistent/log": No such file}, '... and the message says so');

# Levels

unlike($h->log, qr/ DEBUG /, 'no debug lines');
$h->console('SET verbose = 1');
Wire->to($h)->raw('GET / HTTP/1.0');
$h->wait_for_log(qr/ DEBUG C-0x/);
pass('... before verbose asks for them');
$h->console('SET verbose = 0');
$position = $h->log_position;
Wire->to($h)->raw('GET / HTTP/1.0')->recv_all;
unlike(substr($h->log, $position), qr/ DEBUG /, '... and no more after');
$h->stop;

$h = Howdah->new(node => $node, arguments => ['-v', '-q'])->start;
Wire->to($h)->raw('GET / HTTP/1.0')->recv_all;
$h->wait_for_log(qr/ DEBUG C-0x/);
pass('-v asks for debug lines');
$h->console('SET verbose = 0');
$position = $h->log_position;
Wire->to($h)->raw('GET / HTTP/1.0')->recv_all;
$h->wait_for_log(qr/ DEBUG C-0x/, $position);
pass('... and the setting does not undo that');
is($h->output, '', '-q: nothing on standard error');
$h->stop;

# syslog

my $dev = PostgreSQL::Test::Utils::tempdir_short();
my @with_dev = ('unshare', '--mount', '--', $^X, "$Howdah::ROOT/test/perl/with-dev.pl", $dev);
SKIP: {
    skip 'no /dev of our own here', 13 if system(@with_dev, 'true') != 0;
    my $syslog = IO::Socket::UNIX->new(Local => "$dev/log", Type => SOCK_DGRAM) or die "$dev/log: $!";
    my @lines;
    my $received = sub {
        my ($regex) = @_;
        $h->poll_until(sub {
            while (defined($syslog->recv(my $line, 65536, MSG_DONTWAIT()))) { push @lines, $line; }
            grep { $_ =~ $regex } @lines;
        }, "syslog has $regex");
        return 1;
    };

    $h = Howdah->new(node => $node, wrapper => \@with_dev,
        settings => {syslog => 1, syslog_ident => 'pooler', syslog_facility => 'local3'})->start;
    $pid = $h->pid;
    # local3 is 19, info 6, warning 4
    ok($received->(qr/^<158>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d pooler\[$pid\]: process up: \S/),
        'a line in syslog has facility and level, time, ident and process');
    like($h->log, qr/process up/, '... the log file has it too');
    is(scalar(grep { /\n|\d{4}-\d\d-\d\d / } @lines), 0, '... with its own time only, and no line feed');
    $client = Wire->to($h);
    $client->try_login(user => 'app', database => 'nowhere');
    ok($received->(qr/^<156>.*C-0x.* pooler error: no such database: nowhere$/), 'a warning is one there');

    $h->reconfigure(settings => {syslog_ident => 'other', syslog_facility => 'AUTH'})->reload;
    $h->console('RECONNECT app');
    ok($received->(qr/^<38>.* other\[$pid\]: RECONNECT 'app' command issued/), 'RELOAD changes ident and facility');
    is(($h->console('SHOW CONFIG') =~ /^syslog_facility\|(.*)$/m)[0], 'auth|daemon|yes', '... as SHOW CONFIG shows');

    # A syslog that does not read holds nobody up, and one that was started anew is found.
    Wire->to($h)->try_login(user => 'app', database => 'nowhere') for 1 .. 600;
    is($h->safe_psql('app', 'select 1'), '1', 'a syslog that does not read stops nothing');
    close($syslog);
    unlink("$dev/log");
    is($h->safe_psql('app', 'select 2'), '2', '... nor does one that is gone');
    $syslog = IO::Socket::UNIX->new(Local => "$dev/log", Type => SOCK_DGRAM) or die "$dev/log: $!";
    @lines = ();
    $h->console('RECONNECT app');
    ok($received->(qr/RECONNECT 'app'/), 'a new syslog is found');

    $h->console('SET syslog = 0');
    $received->(qr/closing because: client close request/);
    @lines = ();
    $h->console('RECONNECT app');
    $h->console('SET syslog = 1');
    $h->console('SHOW VERSION');
    $received->(qr/./);
    is(scalar(grep { /RECONNECT/ } @lines), 0, 'syslog = 0 ends it');
    $h->stop;

    # Even if syslog has never been there
    unlink("$dev/log");
    $h = Howdah->new(node => $node, wrapper => \@with_dev, settings => {syslog => 1})->start;
    is($h->safe_psql('app', 'select 3'), '3', 'no syslog at all is no reason not to start');
    $h->stop;
}

($status, $output) = Howdah->new(node => $node, settings => {syslog_facility => 'kern'})
  ->expect_start_failure('an unknown facility is refused');
like($output, qr/value "kern": expected auth, authpriv, daemon, user, local0, .*, local7/, '... with those that are known');

Howdah->finish;
