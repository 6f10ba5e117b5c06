# -R when something is wrong: the running process goes on as if nothing had happened.

use strict;
use warnings;

use File::Basename qw(dirname);
use Howdah;
use IPC::Run ();
use Test::More;
use Wire;

plan skip_all => 'PgBouncer restarts in another way' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my %settings = (pool_mode => 'transaction', default_pool_size => 5);
my $h = Howdah->new(node => $node, settings => \%settings);

sub client { my (%p) = @_; return Wire->to($h)->login(user => 'app', database => 'app', %p); }
sub door { return $h->dir . '/.s.PGSQL.' . $h->port . '.takeover'; }

# What the one that asks has got, one letter a record.
sub misbehave
{
    my (@deed) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run(['/usr/bin/python3', dirname($0) . '/takeover.py', door(), @deed], '<', \'', '>', \$out, '2>', \$err,
        IPC::Run::timeout($Howdah::TIMEOUT));
    diag($err) if $err ne '';
    return $out;
}

my @clients;

sub all_goes_on
{
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @answers = map { $_->send(Wire::query('select 1')); Wire::types($_->recv_until('Z')) } @clients;
    is(join(' ', @answers), join(' ', ('TDCZ') x @clients), "$name: all clients are served");
    is(client()->value('show TimeZone'), $node->safe_psql('app', 'show TimeZone'), '... and new ones are let in');
    is(Howdah::slurp($h->pidfile), $h->pid . "\n", '... by the process that the pid file names');
    return;
}

# Nobody there

$h->{options}{arguments} = ['-R'];
$h->start;
like($h->log, qr/there is no process to take over from, starting as usual/, 'without a running process -R starts as usual, and says so');
is((stat(door()))[2] & 07777, 0600, 'the door is for nobody else');
@clients = map { client() } 1 .. 12;
all_goes_on('after that');

# Settings

my $text = Howdah::slurp($h->ini);
for (['no_such_setting = 1', qr/no_such_setting/], ['logfile = /no/such/dir/log', qr/log/],
    ['unix_socket_dir =', qr/a takeover needs the setting "unix_socket_dir"/]) {
    my ($line, $message) = @$_;
    Howdah::spew($h->ini, "$text\n$line\n");
    my ($status, $output) = $h->run_program('-R', $h->ini);
    is($status, 1, "-R with \"$line\" fails");
    like($output, $message, '... with a message');
    all_goes_on('... and then');
}
Howdah::spew($h->ini, $text);

# Paused

$h->console('PAUSE');
my ($status, $output) = $h->run_program('-R', $h->ini);
is($status, 1, '-R fails while the process is paused');
like($output, qr/the running process does not hand over: pooler is paused: RESUME it first/, '... with a message');
$h->console('RESUME');
all_goes_on('after the pause');

# At the door

like(misbehave('version'), qr/N this version cannot hand over to that one/, 'another version is refused');
all_goes_on('another version');
for my $deed ('garbage', 'long', 'flood') {
    is(misbehave($deed), '', "$deed: the door is closed");
    all_goes_on($deed);
}
my $fds = $h->fd_count;
like(misbehave('leave'), qr/^H (S )?P D (L ){3}I $/, 'who asks is lent all');
$h->wait_for_log(qr/does not take over: it has gone; all goes on as before/);
all_goes_on('one that leaves then');
my @silent = map { IO::Socket::UNIX->new(Peer => door()) } 1 .. 2;
is($silent[1] && sysread($silent[1], my $no, 100) > 0, 1, 'while one asks another is told no');
like($no, qr/another process is about to take over/, '... and why');
@silent = ();
all_goes_on('silent ones');

# In the middle

my $busy = client();
$busy->rows('begin');
push @clients, $busy;
my $position = $h->log_position;
is(misbehave('die', 0) =~ tr/C//, 1, 'one that dies with the first client');
$h->wait_for_log(qr/does not take over: it has gone/, $position);
all_goes_on('one that died');
$busy->rows('begin');

my $waiter = client();
$h->reconfigure(settings => {default_pool_size => 1})->reload;
$h->console('RECONNECT');    # closes those that are idle
$waiter->send(Wire::query('select 4'));
$h->poll_until(sub { grep { $_->{cl_waiting} } @{$h->show('pools')} }, 'a client waits');
$position = $h->log_position;
misbehave('die', 0);
$h->wait_for_log(qr/does not take over: it has gone/, $position);
ok(!$waiter->readable(0.1), 'a client that waited waits again');
$busy->rows('commit');
is(Wire::types($waiter->recv_until('Z')), 'TDCZ', '... and gets its server');
all_goes_on('that');

$position = $h->log_position;
like(misbehave('wrong'), qr/N $/, 'one that takes what it has not got is told no');
$h->wait_for_log(qr/does not take over: it has broken the rules/, $position);
@clients = grep { my $c = $_; eval { $c->value('select 1') } } @clients;
all_goes_on('... and then');

my $before = @clients;
is(misbehave('die', 3) =~ tr/C//, 4, 'one that has taken three clients, and dies');
@clients = grep { my $c = $_; $c->send(Wire::query('select 1')); eval { $c->recv_until('Z'); 1 } } @clients;
is(scalar(@clients), $before - 3, '... takes those with it, as a process that dies does');
all_goes_on('... and then');
$h->poll_until(sub { $h->fd_count <= $fds }, 'no descriptor is lost');
pass('no descriptor is lost');

# And still

my $next = $h->reboot;
$h->wait_for_exit('after all that a takeover works');
$h = $next;
all_goes_on('after it');
$h->stop;
ok(!-e door(), 'the door goes with the last process');

# When the running process is at fault

sub lender
{
    my ($deed) = @_;
    $h = Howdah->new(node => $node, settings => \%settings, arguments => ['-R']);
    my %run = (out => '', err => '');
    $run{handle} = IPC::Run::start(['/usr/bin/python3', dirname($0) . '/takeover.py', door(), 'lend', $deed, $h->port],
        '<', \'', '>', \$run{out}, '2>', \$run{err}, IPC::Run::timeout($Howdah::TIMEOUT));
    $run{handle}->pump until $run{out} =~ /ready/;
    return \%run;
}

for (['version', qr/the running process does not hand over: its version hands over in another way \(99, not 1\)/],
    ['garbage', qr/the running process does not hand over: it does not answer as howdah would/],
    ['nothing', qr/the running process does not hand over: it lends what is of no use/]) {
    my ($deed, $message) = @$_;
    my $lender = lender($deed);
    ($status, $output) = $h->run_program('-R', $h->ini);
    is($status, 1, "from one with $deed nothing is taken over");
    like($output, $message, '... with a message');
    $lender->{handle}->finish;
}

for my $deed ('die', 'dead') {
    my $lender = lender($deed);
    $h->{console} = {};
    $h->start;
    $lender->{handle}->finish;
    like($h->log, qr/WARNING process \d+ has gone before all its clients had come/, "$deed: the running process dies");
    is(client()->value('select 1'), '1', '... and the new one serves');
    is(Howdah::slurp($h->pidfile), $h->pid . "\n", '... as the pid file says');
    $next = $h->reboot;
    $h->wait_for_exit('... and can be followed');
    $next->stop;
}

my $lender = lender('no');
$h->{pid} = $h->spawn($h->command_line);
$h->wait_for_exit('one that is told no in the middle ends');
like($h->log, qr/does not hand over any more: not today/, '... with a message');
ok(-e door(), '... and leaves the door to the other');
$lender->{handle}->finish;

Howdah->finish;
