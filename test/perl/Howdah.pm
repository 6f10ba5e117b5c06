
=head1 NAME

Howdah - a howdah for a test, in front of PostgreSQL::Test::Cluster nodes

=head1 SYNOPSIS

    my $node = Howdah->node('main');    # a server with the role "app" and the database "app"
    my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction'})->start;

    is($h->safe_psql('app', 'select 1'), '1', 'a query comes back');
    is($h->show('pools')->[0]{cl_active}, 1, '...');
    $h->reconfigure(settings => {default_pool_size => 3})->reload;
    Howdah->finish;    # stops everything, checks how it ended, says done_testing

=head1 DESCRIPTION

The program comes from the environment variable HOWDAH (F<test/run-tap> sets it).  A test starts as
many of them as it likes; each has a directory, a TCP port and a unix socket of its own.  The user
"app" is known to it without a secret, "admin" may use every command of the console, "stats" may look.

A program that dies, exits with another status than 0 when it is stopped, or leaves a report of a
sanitizer behind fails the test that started it.

HOWDAH may also name PgBouncer, to see what that does with the same test.  Settings which it does not
know are left out then; C<< Howdah->is_pgbouncer >> tells.

=cut

package Howdah;

use strict;
use warnings;

use Fcntl qw(F_DUPFD);
use File::Basename qw(basename);
use IO::Socket::INET;
use IPC::Run ();
use POSIX qw(:sys_wait_h dup2 setsid _exit);
use Test::More;
use Time::HiRes qw(time);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our $PROGRAM = $ENV{HOWDAH} or die "HOWDAH names no program: start tests with test/run-tap\n";
our $ROOT = $ENV{HOWDAH_ROOT} // '.';
our $TIMEOUT = $ENV{PG_TEST_TIMEOUT_DEFAULT} // 60;

my %FRESH = (app => '', admin => '', stats => '');    # what the user list holds by default
my @UNKNOWN_TO_PGBOUNCER = qw(workers);
my @running;
my $count = 0;
my $broken = 0;

# A time limit ends the test this way: END must run.
$SIG{TERM} = sub { die "got SIGTERM\n" };

# The sanitizers slow the program down; a test that measures time multiplies by this.
sub slowness { return ($ENV{SANITIZE} // '') =~ /thread/ ? 10 : $ENV{SANITIZE} ? 4 : 1; }

sub is_pgbouncer { return basename($PROGRAM) =~ /pgbouncer/ ? 1 : 0; }

=head1 SERVERS

=head2 Howdah->node($name, %options)

Starts a PostgreSQL server on 127.0.0.1 with room for 100 connections, the role and the database
"app", and C<conf> appended to F<postgresql.conf>.  C<hba>, a list of lines, replaces F<pg_hba.conf>.

=cut

sub node
{
    my ($class, $name, %options) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name // 'main');
    $node->init(%{$options{init} // {}});
    $node->append_conf('postgresql.conf', join("\n",
        "listen_addresses = '127.0.0.1'", 'max_connections = 100', 'restart_after_crash = on',
        'log_statement = none', 'log_connections = off', 'log_disconnections = off',
        $options{conf} // '') . "\n");
    $node->start;
    $node->safe_psql('postgres', 'create role app login');
    $node->safe_psql('postgres', 'create database app owner app');
    if ($options{hba}) {
        unlink $node->data_dir . '/pg_hba.conf';
        $node->append_conf('pg_hba.conf', join("\n", 'local all all trust', @{$options{hba}}) . "\n");
        $node->reload;
    }
    return $node;
}

=head1 LIFE

=head2 Howdah->new(%options)

=over

=item node: the server that the databases default to

=item databases: name => connection string; default: "app" and "postgres" of the node

=item settings: key => value of the section [pgbouncer]; undef leaves a default of the tests out

=item users: [[name, secret], ...] of the user list, added to app, admin and stats

=item user_settings: name => text of the section [users]

=item workers: how many, default 2

=item port: one that others have too, which needs so_reuseport; default: one of its own

=item extra: text at the end of the file

=item ini: the whole text of the file instead of all that

=item wrapper: [words] to put in front of the program; they must end by exec

=item environment: {name => value} for the program

=item arguments: [words] for the program, before the file

=item sockets: [handles] that the program gets from its service manager

=back

=cut

sub new
{
    my ($class, %options) = @_;
    my $name = basename($0, '.pl') . '_howdah' . ++$count;
    my $self = bless {
        name => $name,
        dir => PostgreSQL::Test::Utils::tempdir_short(),
        logfile => "$PostgreSQL::Test::Utils::log_path/$name.log",
        port => $options{port} // PostgreSQL::Test::Cluster::get_free_port(),
        options => {workers => 2, %options},
    }, $class;
    $self->write_files;
    return $self;
}

sub port { return $_[0]{port}; }
sub dir { return $_[0]{dir}; }
sub pid { return $_[0]{pid}; }
sub ini { return "$_[0]{dir}/howdah.ini"; }
sub pidfile { return "$_[0]{dir}/howdah.pid"; }

sub settings
{
    my ($self) = @_;
    my %settings = (
        listen_addr => '127.0.0.1',
        listen_port => $self->port,
        unix_socket_dir => $self->dir,
        auth_type => 'trust',
        auth_file => "$self->{dir}/userlist.txt",
        admin_users => 'admin',
        stats_users => 'stats',
        logfile => $self->{logfile},
        pidfile => $self->pidfile,
        workers => $self->{options}{workers},
        %{$self->{options}{settings} // {}});
    delete @settings{@UNKNOWN_TO_PGBOUNCER} if is_pgbouncer();
    delete $settings{$_} for grep { !defined $settings{$_} } keys %settings;
    return \%settings;
}

sub databases
{
    my ($self) = @_;
    my $node = $self->{options}{node};
    return $self->{options}{databases} // {} if $self->{options}{databases} || !$node;
    my $server = 'host=127.0.0.1 port=' . $node->port;
    return {app => "$server dbname=app", postgres => "$server dbname=postgres"};
}

sub write_files
{
    my ($self) = @_;
    my %users = (%FRESH, map { ($_->[0] => $_->[1]) } @{$self->{options}{users} // []});
    spew("$self->{dir}/userlist.txt",
        join('', map { sprintf(qq("%s" "%s"\n), quote($_), quote($users{$_})) } sort keys %users));
    spew($self->ini, $self->{options}{ini} // $self->ini_text);
    return $self;
}

sub ini_text
{
    my ($self) = @_;
    my %section = (
        databases => $self->databases,
        users => $self->{options}{user_settings} // {},
        pgbouncer => $self->settings);
    my $text = '';
    for my $name (qw(databases users pgbouncer)) {
        my $keys = $section{$name};
        $text .= "[$name]\n" . join('', map { "$_ = $keys->{$_}\n" } grep { defined $keys->{$_} } sort keys %$keys);
    }
    return $text . ($self->{options}{extra} // '');
}

=head2 $h->start, $h->stop, Howdah->finish

C<start> returns when the console answers.  C<stop> ends the program at once, and is a test: did it exit
with status 0, without a report of a sanitizer?  C<finish> stops all, and ends the test file.

=cut

sub start
{
    my ($self) = @_;
    $self->{pid} = $self->spawn($self->command_line);
    push @running, $self;
    $self->poll_until(sub { $self->must_live; $self->accepts }, 'howdah accepts connections');
    return $self;
}

=head2 $h->reboot

Starts another process with C<-R> and the same files; returns an object for it, when it has taken over.  The
old one is still C<$h>: it ends when its last client has left.

=cut

sub reboot
{
    my ($self, %options) = @_;
    my $next = bless {%$self, options => {%{$self->{options}}, arguments => ['-R'], %options}}, ref $self;
    $next->write_files;
    my $position = $next->log_position;
    $next->{pid} = $next->spawn($next->command_line);
    push @running, $next;
    $next->poll_until(sub { $next->must_live; substr($next->log, $position) =~ /took over \d+ clients from process $self->{pid}\b/ },
        'the new process has taken over');
    return $next;
}

sub command_line
{
    my ($self) = @_;
    my ($wrapper, $arguments) = @{$self->{options}}{qw(wrapper arguments)};
    return (@{$wrapper // []}, command($PROGRAM), @{$arguments // []}, $self->ini);
}

sub stop
{
    my ($self, %options) = @_;
    return if !$self->{pid};
    $self->signal($options{signal} // (is_pgbouncer() ? 'TERM' : 'QUIT'));
    return $self->wait_for_exit('howdah ends with status 0, and nothing to report');
}

# The program is expected to end by itself, or was told to.  Counts as one test.
sub wait_for_exit
{
    my ($self, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $ended = eval { $self->poll_until(sub { !$self->is_alive }, 'howdah ends') };
    $self->kill if !$ended;
    my @reports = $self->sanitizer_reports;
    my $well = $ended && ($self->{status} == 0 || is_pgbouncer() && $self->{status} == 1 << 8);    # 1.18 at SIGTERM
    my $good = ok($well && !@reports, $name // 'howdah ended with status 0');
    if (!$good) {
        diag($ended ? "wait status $self->{status}" : 'howdah did not end');
        diag($_) for @reports;
    }
    return $good;
}

sub finish
{
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $_->stop for grep { $_->{pid} } @running;
    done_testing();
    return;
}

sub kill
{
    my ($self) = @_;
    return if !$self->{pid};
    CORE::kill('KILL', $self->{pid});
    waitpid($self->{pid}, 0);
    $self->{status} = $?;
    delete $self->{pid};
    return;
}

sub restart
{
    my ($self) = @_;
    $self->stop;
    return $self->start;
}

sub signal
{
    my ($self, $name) = @_;
    CORE::kill($name, $self->{pid}) or die "howdah is gone: $!";
    return $self;
}

sub is_alive
{
    my ($self) = @_;
    return 0 if !$self->{pid};
    return 1 if waitpid($self->{pid}, WNOHANG) == 0;
    $self->{status} = $?;
    delete $self->{pid};
    return 0;
}

sub must_live
{
    my ($self) = @_;
    return 1 if $self->is_alive;
    $broken = 1;
    die "howdah ended with wait status $self->{status}\n" . $self->output . $self->log
      . join("\n", $self->sanitizer_reports);
}

=head2 $h->run_program(@arguments)

Runs the program in the foreground; returns its exit status and all that it printed.  C<expect_start_failure>
does so with the file of this object, and tests that the status is not 0.

=cut

sub run_program
{
    my ($self, @arguments) = @_;
    my $output = '';
    local %ENV = (%ENV, $self->sanitizer_environment);
    my $run = IPC::Run::start([command($PROGRAM), @arguments], '<', \'', '>', \$output, '2>&1',
        IPC::Run::timeout(15));
    if (!eval { $run->finish; 1 }) {
        $run->kill_kill(grace => 1);
        return (-1, "$output\n(still ran after 15 s)");
    }
    return ($run->full_result(0) >> 8, $output);
}

sub expect_start_failure
{
    my ($self, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $output) = $self->run_program($self->ini);
    cmp_ok($status, '>', 0, $name // 'howdah refuses to start') or diag($output);
    return ($status, $output . $self->log);
}

=head2 Howdah->supports($setting, $value)

Whether this version takes the setting: it knows more of them than it obeys, and says so.

=cut

sub supports
{
    my ($class, $setting, $value) = @_;
    return 1 if is_pgbouncer();
    my $probe = $class->new(settings => {$setting => $value}, databases => {app => 'host=127.0.0.1'});
    my ($status) = $probe->run_program('--check', $probe->ini);
    return $status == 0;
}

=head2 $h->reconfigure(%options), $h->reload

Change what was given to C<new> and write the files anew; C<settings> and C<databases> are merged with what
was there.  RELOAD through the console; returns (status, output).

=cut

sub reconfigure
{
    my ($self, %options) = @_;
    my $old = $self->{options};
    for my $key (qw(settings user_settings)) {
        $options{$key} = {%{$old->{$key} // {}}, %{$options{$key}}} if $options{$key};
    }
    $options{databases} = {%{$self->databases}, %{$options{databases}}} if $options{databases};
    $self->{options} = {%$old, %options};
    return $self->write_files;
}

sub reload
{
    my ($self) = @_;
    my ($status, $out, $err) = $self->console_try('RELOAD');
    return ($status, $out . $err);
}

=head1 CLIENTS

=head2 $h->connstr(%keywords)

For libpq; the host is 127.0.0.1, the user app, the database app unless said otherwise, and the password
the secret of the user list if that is a plain one.

=cut

sub password
{
    my ($self, $user) = @_;
    my %secrets = map { ($_->[0] => $_->[1]) } @{$self->{options}{users} // []};
    my $secret = $secrets{$user} // '';
    return $secret =~ /^(md5|SCRAM)|^$/ ? 'none' : $secret;
}

sub connstr
{
    my ($self, %keywords) = @_;
    %keywords = (host => '127.0.0.1', port => $self->port, user => 'app', dbname => 'app',
        connect_timeout => $TIMEOUT, %keywords);
    $keywords{password} //= $self->password($keywords{user});
    return join(' ', map { "$_='" . ($keywords{$_} =~ s/(['\\])/\\$1/gr) . "'" } sort keys %keywords);
}

# psql($database, $sql, %keywords): (status, standard output, standard error)
sub psql
{
    my ($self, $database, $sql, %keywords) = @_;
    return $self->run_psql(['-Atq', '-v', 'VERBOSITY=verbose'], $sql, dbname => $database, %keywords);
}

sub safe_psql
{
    my ($self, $database, $sql, %keywords) = @_;
    my ($status, $out, $err) = $self->psql($database, $sql, %keywords);
    die "psql failed: $err\nSQL: $sql\n" if $status != 0;
    return $out;
}

# Commands of the console one by one, as the user "admin"; tags are printed.
sub console_try
{
    my ($self, $command, %keywords) = @_;
    return $self->run_psql(['-At'], $command, dbname => 'pgbouncer', user => 'admin', %keywords);
}

sub console
{
    my ($self, $command, %keywords) = @_;
    my ($status, $out, $err) = $self->console_try($command, %keywords);
    die "console: $command: $err" if $status != 0 || $err =~ /ERROR|FATAL/;
    return $out;
}

# The rows of SHOW $what, as hashes by column.
sub show
{
    my ($self, $what, %keywords) = @_;
    my ($columns, @rows) = $self->show_table($what, %keywords);
    return [map { my %row; @row{@$columns} = @$_; \%row } @rows];
}

# The columns of SHOW $what, then its rows, each a list.
sub show_table
{
    my ($self, $what, %keywords) = @_;
    my ($status, $out, $err) = $self->run_psql(
        ['-A', '-F', "\x1f", '-R', "\x1e", '-P', 'footer=off'], "SHOW $what",
        dbname => 'pgbouncer', user => 'admin', %keywords);
    die "SHOW $what: $err" if $status != 0;
    return map { [split(/\x1f/, $_, -1)] } split(/\x1e/, $out, -1);
}

sub run_psql
{
    my ($self, $options, $sql, %keywords) = @_;
    my ($out, $err) = ('', '');
    my @command = ('psql', '-X', @$options, '-v', 'ON_ERROR_STOP=1', '-f', '-', '-d',
        $self->connstr(%keywords));
    # From a file: a psql that cannot connect ends without reading, and would break a pipe.
    my $input = "$self->{dir}/input.sql";
    spew($input, $sql);
    my $run = IPC::Run::start(\@command, '<', $input, '>', \$out, '2>', \$err,
        IPC::Run::timeout($TIMEOUT));
    if (!eval { $run->finish; 1 }) {
        my $reason = $@;
        $run->kill_kill(grace => 1);
        die "psql did not end ($reason): $sql\n$out$err";
    }
    chomp($out, $err);
    return ($run->full_result(0) >> 8, $out, $err);
}

# psql in the background, with query(), query_until() and quit(): see PostgreSQL::Test::BackgroundPsql.
sub background_psql
{
    my ($self, $database, %keywords) = @_;
    my $node = $self->{options}{node} or die 'a node is needed';
    return $node->background_psql($database, connstr => $self->connstr(dbname => $database, %keywords),
        on_error_stop => 0);
}

=head1 LOOKING IN

=cut

sub log { return slurp($_[0]{logfile}); }
sub output { return slurp("$_[0]{dir}/output"); }

# Where the log ends now, for wait_for_log.
sub log_position { return -s $_[0]{logfile} // 0; }

sub wait_for_log
{
    my ($self, $regex, $position) = @_;
    $self->poll_until(sub { substr($self->log, $position // 0) =~ $regex }, "the log matches $regex");
    return 1;
}

# Asks until the answer is true, and returns it; dies at the deadline.
sub poll_until
{
    my ($self, $question, $what, $timeout) = @_;
    my $deadline = time + ($timeout // $TIMEOUT);
    for (;;) {
        my $answer = $question->();
        return $answer if $answer;
        die "timed out waiting until $what\n" if time > $deadline;
        select(undef, undef, undef, 0.02);
    }
}

# How many kilobytes are resident, file descriptors open, threads alive.
sub rss_kb { return $_[0]->proc_status('VmRSS'); }
sub thread_count { return $_[0]->proc_status('Threads'); }
sub fd_count { return scalar(() = glob("/proc/$_[0]{pid}/fd/*")); }

sub proc_status
{
    my ($self, $key) = @_;
    return slurp("/proc/$self->{pid}/status") =~ /^\Q$key\E:\s+(\d+)/m ? $1 : undef;
}

sub accepts
{
    my ($self) = @_;
    my ($status) = $self->console_try('SHOW VERSION', $self->console_address);
    return $status == 0;
}

# Some tests have no TCP, some no unix socket, some other ones: what answers will do.
sub console_address
{
    my ($self) = @_;
    return %{$self->{console}} if $self->{console};
    return ($self->settings->{unix_socket_dir} // '') eq $self->dir ? (host => $self->dir) : ();
}

=head1 INSIDE

=cut

sub sanitizer_environment
{
    my ($self) = @_;
    my $common = "log_path=$self->{dir}/sanitizer:exitcode=86:print_summary=1";
    my $suppressions = "$ROOT/test/tsan.supp";
    return (
        ASAN_OPTIONS => "$common:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
        UBSAN_OPTIONS => "$common:print_stacktrace=1",
        TSAN_OPTIONS => "$common:second_deadlock_stack=1:history_size=4"
          . (-e $suppressions ? ":suppressions=$suppressions" : ''));
}

sub sanitizer_reports
{
    my ($self) = @_;
    return map { slurp($_) } sort(glob("$self->{dir}/sanitizer.*"));
}

# ThreadSanitizer of this age cannot place its shadow where new kernels put things at random.
sub command { return ((($ENV{SANITIZE} // '') =~ /thread/ ? ('setarch', '-R') : ()), @_); }

sub spawn
{
    my ($self, @command) = @_;
    my $pid = fork() // die "could not fork: $!";
    return $pid if $pid;
    my %environment = ($self->sanitizer_environment, %{$self->{options}{environment} // {}});
    @ENV{keys %environment} = values %environment;
    hand_over(@{$self->{options}{sockets} // []});
    $SIG{TERM} = 'DEFAULT';
    setsid();    # a ^C at the terminal ends the test, and the test ends this
    open(STDIN, '<', '/dev/null');
    open(STDOUT, '>>', "$self->{dir}/output");
    open(STDERR, '>&', \*STDOUT);
    no warnings 'exec';
    exec(@command) or _exit(127);
}

# As systemd does it: descriptors from 3 on, and the process they are meant for.
sub hand_over
{
    my (@sockets) = @_;
    return if !@sockets;
    my @copies = map { fcntl($_, F_DUPFD, 100) } @sockets;    # out of the way
    dup2($copies[$_], 3 + $_) for 0 .. $#copies;
    POSIX::close($_) for @copies;
    @ENV{qw(LISTEN_FDS LISTEN_PID)} = (scalar(@sockets), $$);
    return;
}

sub quote { return $_[0] =~ s/"/""/gr; }

sub spew
{
    my ($path, $text) = @_;
    open(my $file, '>', $path) or die "$path: $!";
    print {$file} $text;
    close($file) or die "$path: $!";
    return;
}

sub slurp
{
    my ($path) = @_;
    open(my $file, '<', $path) or return '';
    local $/ = undef;
    return scalar(<$file>) // '';
}

# Keeps what the program said beside the other logs, which outlive the test when it fails.
sub keep_output
{
    my ($self) = @_;
    my $output = $self->output;
    my $text = join("\n", index($self->log, $output) < 0 ? $output : (), $self->sanitizer_reports);
    spew("$PostgreSQL::Test::Utils::log_path/$self->{name}.out", $text) if $text =~ /\S/;
    return;
}

END {
    my $status = $?;
    for my $howdah (@running) {
        $howdah->keep_output;
        next if !$howdah->{pid};
        if (!$howdah->is_alive) {
            diag("howdah had ended by itself, wait status $howdah->{status}");
            $broken = 1;
        }
        $howdah->kill;
    }
    $? = $status || $broken;
}

1;
