# howdah under systemd: what it tells, the sockets it gets, the watchdog, and the journal.

use strict;
use warnings;

use Howdah;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM SOCK_STREAM);
use Test::More;
use Time::HiRes qw(clock_gettime time CLOCK_MONOTONIC);
use Wire;

require 'syscall.ph';

use constant {PTRACE_ATTACH => 16, PTRACE_DETACH => 17, WALL => 0x40000000};

plan skip_all => 'another service there' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $tmp = PostgreSQL::Test::Utils::tempdir_short();
my ($status, $version) = Howdah->new(node => $node)->run_program('-V');
my $built = $version =~ /^systemd: yes$/m;

# What systemd would receive

my $manager = IO::Socket::UNIX->new(Local => "$tmp/notify", Type => SOCK_DGRAM) or die "$tmp/notify: $!";
my @told;

# The next message that matches; those before it are dropped.
sub wait_for
{
    my ($regex, $timeout) = @_;
    my $deadline = time + ($timeout // $Howdah::TIMEOUT);
    for (;;) {
        while (my $message = shift @told) { return $message if $message =~ $regex; }
        my $left = $deadline - time;
        return undef if $left < 0 || !IO::Select->new($manager)->can_read($left);
        $manager->recv(my $message, 65536);
        push @told, $message;
    }
}

sub supervised
{
    my (%options) = @_;
    return Howdah->new(node => $node, settings => $options{settings},
        environment => {NOTIFY_SOCKET => "$tmp/notify", %{$options{environment} // {}}})->start;
}

SKIP: {
    skip 'built without libsystemd', 1 if !$built;

    my $h = supervised(settings => {stats_period => '0.2', log_stats => 0});
    is(wait_for(qr/READY/), 'READY=1', 'READY=1 when it has started');
    is(wait_for(qr/STATUS/) =~ s/\d+/N/gr,
        'STATUS=stats: N xacts/s, N queries/s, N client parses/s, N server parses/s, N binds/s, '
          . 'N client logins/s, in N B/s, out N B/s, xact N us, query N us, wait N us',
        'the line of statistics is the status, even if it is not logged');

    for my $how ('SIGHUP', 'RELOAD', 'RELOAD of a wrong file') {
        my $before = clock_gettime(CLOCK_MONOTONIC);
        my $text = Howdah::slurp($h->ini);
        Howdah::spew($h->ini, "$text\nno_such_setting = 1\n") if $how =~ /wrong/;
        if ($how eq 'SIGHUP') { $h->signal('HUP'); }
        else { $h->reload; }
        like(wait_for(qr/RELOADING/), qr/^RELOADING=1\nMONOTONIC_USEC=\d+$/, "RELOADING=1 at $how");
        is(wait_for(qr/READY/), 'READY=1', '... and READY=1 after it');
        Howdah::spew($h->ini, $text);
    }
    $h->signal('HUP');
    my ($stamp) = wait_for(qr/RELOADING/) =~ /MONOTONIC_USEC=(\d+)/;
    my $late_s = clock_gettime(CLOCK_MONOTONIC) - $stamp / 1e6;
    ok($late_s > -0.1 && $late_s < $Howdah::TIMEOUT, '... with the time on the clock that systemd reads');

    my $idle = Wire->to($h)->login(user => 'app', database => 'app');
    $h->signal('TERM');
    is(wait_for(qr/STOPPING/), 'STOPPING=1', 'STOPPING=1 when SIGTERM begins to wait for clients');
    ok($h->is_alive, '... before it ends');
    $idle->close;
    $h->wait_for_exit;
    is(wait_for(qr/STOPPING/, 0), undef, '... and only once');
    for my $signal (qw(INT QUIT)) {
        $h = supervised();
        $h->signal($signal)->wait_for_exit;
        is(wait_for(qr/STOPPING/), 'STOPPING=1', "STOPPING=1 at SIG$signal");
    }
    is(wait_for(qr/WATCHDOG/, 0), undef, 'no WATCHDOG=1 that nobody waits for');
}

# The watchdog

# Stops one thread of many; false if that is not allowed.
sub stop_thread
{
    my ($tid) = @_;
    return 0 if syscall(SYS_ptrace(), PTRACE_ATTACH, $tid + 0, 0, 0) < 0;
    waitpid($tid, WALL);
    return 1;
}

sub thread_named
{
    my ($h, $name) = @_;
    my ($task) = grep { Howdah::slurp("$_/comm") eq "$name\n" } glob('/proc/' . $h->pid . '/task/*');
    return $task =~ s{.*/}{}r;
}

SKIP: {
    skip 'built without libsystemd', 1 if !$built;

    my $h = supervised(environment => {WATCHDOG_USEC => 400_000});
    ok(wait_for(qr/^WATCHDOG=1$/), 'WATCHDOG=1') for 1 .. 3;
    $h->stop;

    $h = supervised(environment => {WATCHDOG_USEC => 200_000, WATCHDOG_PID => 1});
    $h->safe_psql('app', 'select pg_sleep(0.4)');
    is(wait_for(qr/WATCHDOG/, 0), undef, '... but not if another process is meant');
    $h->stop;

    $h = supervised(environment => {WATCHDOG_USEC => 200_000});
    ok(wait_for(qr/WATCHDOG/), 'WATCHDOG=1 comes');
    my $thread = thread_named($h, 'howdah:1');
  SKIP: {
        skip 'no thread may be stopped here', 2 if !stop_thread($thread);
        1 while wait_for(qr/WATCHDOG/, 0.1);
        is(wait_for(qr/WATCHDOG/, 1), undef, '... until one worker does not answer');
        syscall(SYS_ptrace(), PTRACE_DETACH, $thread + 0, 0, 0);
        ok(wait_for(qr/WATCHDOG/), '... and again when it does');
    }
    $h->stop;
}

# Sockets that systemd has opened

sub tcp_listener
{
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 10) // die "listen: $!";
}

SKIP: {
    skip 'built without libsystemd', 1 if !$built;

    my $tcp = tcp_listener();
    my $port = $tcp->sockport;
    my $path = "$tmp/.s.PGSQL.5432";
    my $unix = IO::Socket::UNIX->new(Local => $path, Type => SOCK_STREAM, Listen => 10) or die "$path: $!";
    my $h = Howdah->new(node => $node, sockets => [$tcp, $unix]);
    $h->{console} = {host => $tmp, port => 5432};
    $h->start;
    close($_) for $tcp, $unix;

    is($h->safe_psql('app', 'select 1', port => $port), '1', 'a client comes in by a TCP socket of systemd');
    is($h->safe_psql('app', 'select 2', host => $tmp, port => 5432), '2', '... and by a unix socket');
    like($h->log, qr/LOG listening on 127\.0\.0\.1:$port, from systemd$/m, '... which are in the log');
    like($h->log, qr/LOG listening on unix:\Q$path\E, from systemd$/m, '... both');
    is(eval { Wire->to($h); 1 }, undef, 'listen_addr is not used then');
    ok(!-e $h->dir . '/.s.PGSQL.' . $h->port, '... nor is unix_socket_dir');

    my @clients = map { Wire->tcp('127.0.0.1', $port)->login(user => 'app', database => 'app') } 1 .. 12;
    is(scalar(grep { $_->value('select 7') eq '7' } @clients), 12, 'many clients come in');
    $h->signal('TERM');
    $h->poll_until(sub { !eval { Wire->tcp('127.0.0.1', $port); 1 } }, 'the port is closed');
    my @refused = Wire->unix($path)->try_login(user => 'app', database => 'app');
    like(Wire::first_error(@refused)->{M}, qr/pooler is shutting down/, 'at SIGTERM the unix socket stays');
    $_->close for @clients;
    $h->wait_for_exit;
    ok(-S $path, 'the file of the socket is not removed: it is not ours');

    open(my $file, '<', $0) or die "$0: $!";
    $h = Howdah->new(node => $node, sockets => [$file]);
    $h->{pid} = $h->spawn($h->command_line);
    $h->poll_until(sub { !$h->is_alive }, 'howdah ends');
    is($h->{status} >> 8, 1, 'what is no listening socket is refused');
    like($h->output, qr/FATAL file descriptor 3 from systemd is not a socket that listens/, '... with a message');
}

# The journal

{
    my $h = Howdah->new(node => $node);
    Howdah::spew($h->dir . '/output', '');
    my ($device, $inode) = stat($h->dir . '/output');
    $h->{options}{environment} = {JOURNAL_STREAM => "$device:$inode"};
    $h->start;
    Wire->to($h)->try_login(user => 'app', database => 'nowhere');
    $h->poll_until(sub { $h->output =~ /nowhere$/m }, 'the line is there');
    like($h->output, qr/^<6>process up: \S/m, 'the journal gets lines with their priority');
    like($h->output, qr/^<4>C-0x\w+: .* pooler error: no such database: nowhere$/m, '... whichever it is');
    is(scalar(grep { !/^<\d>\S/ || /\d{4}-\d\d-\d\d / } split(/\n/, $h->output)), 0, '... and without a time');
    like($h->log, qr/^\d{4}-\d\d-\d\d .* LOG process up: /m, 'the log file has lines as ever');
    $h->stop;

    $h = Howdah->new(node => $node, environment => {JOURNAL_STREAM => "$device:" . ($inode + 1)})->start;
    like($h->output, qr/^\d{4}-\d\d-\d\d .* LOG process up: /m, 'standard error that is not the journal has them too');
    $h->stop;
}

# The unit

SKIP: {
    my $unit = Howdah::slurp("$Howdah::ROOT/etc/howdah.service");
    skip 'no systemd-analyze here, or no unit', 2 if !-x '/usr/bin/systemd-analyze' || !$unit;
    Howdah::spew("$tmp/howdah.service", $unit =~ s{/usr/local/bin/howdah}{$Howdah::PROGRAM}gr);
    my $said = `systemd-analyze verify --man=no $tmp/howdah.service 2>&1`;
    is($?, 0, 'systemd takes the unit');
    is($said, '', '... without a word');
}

Howdah->finish;
