# Peers: three processes behind one port, and a cancel request that arrives at any of them reaches the
# statement that it is meant for.

use strict;
use warnings;

use Howdah;
use IPC::Run ();
use Test::More;
use Wire;

plan skip_all => 'PgBouncer has peers since 1.19' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $port = PostgreSQL::Test::Cluster::get_free_port();

my @h = map {
    Howdah->new(node => $node, port => $port, workers => $_,
        settings => {pool_mode => 'transaction', default_pool_size => 5, so_reuseport => 1, peer_id => 255 + $_})
} 1 .. 3;
my $peers = "[peers]\n" . join('', map { 255 + $_ . " = host=${\$h[$_ - 1]->dir} port=$port pool_size=$_\n" } 1 .. 3);
$_->reconfigure(extra => $peers)->start for @h;

# One of the three, or whichever the kernel chooses.
sub at { my ($h) = @_; return Wire->unix($h->dir . "/.s.PGSQL.$port"); }
sub any { return Wire->tcp('127.0.0.1', $port); }
sub login { my ($c) = @_; return $c->login(user => 'app', database => 'app'); }
sub bytes { my ($c) = @_; return pack('N2', @{$c->key}); }
sub peer_id { my ($c) = @_; return unpack('x v', bytes($c)); }
sub code { my $e = Wire::first_error(@_); return $e ? $e->{C} : ''; }

sub active
{
    my ($like) = @_;
    return $node->safe_psql('postgres',
        "select count(*) from pg_stat_activity where state = 'active' and query like '$like' and pid <> pg_backend_pid()");
}

# One port

my ($status, $output) = Howdah->new(node => $node, port => $port)
  ->expect_start_failure('a process without so_reuseport keeps away from their port');
like($output, qr/could not listen on 127\.0\.0\.1:$port.*in use/, '... and says why');

my @clients = map { login(any()) } 1 .. 60;
my %seen = map { peer_id($_) => 1 } @clients;
is_deeply([sort keys %seen], [256, 257, 258], 'the kernel gives each of the three some of the clients');
is(scalar(grep { unpack('C', bytes($_)) < 128 } @clients), 60, 'keys begin with a positive process id');
is(scalar(grep { (unpack('C8', bytes($_)))[7] % 4 == 3 } @clients), 60, '... have three hops to go');
my %random = map { substr(bytes($_), 0, 1) . substr(bytes($_), 3) => 1 } @clients;
is(scalar(keys %random), 60, '... and are all different');
$_->close for @clients;

my $alone = Howdah->new(node => $node, settings => {pool_mode => 'transaction'})->start;
%seen = map { peer_id($_) => 1, 'last' . ((unpack('C8', bytes($_)))[7] % 4) => 1 } map { login(Wire->to($alone)) } 1 .. 40;
cmp_ok(scalar(keys %seen), '>', 20, 'without peer_id keys are random where the peers have theirs');
$alone->stop;

# A console's statement, through another process

my $admin = at($h[0])->login(user => 'admin', database => 'pgbouncer');
my $busy = login(at($h[0]));
is(peer_id($admin), 256, 'the key of a console tells whose it is');
$busy->rows('begin');
$admin->send(Wire::query('PAUSE'));
$h[0]->poll_until(sub { (grep { $_->{key} eq 'paused' } @{$h[0]->show('state')})[0]{value} eq 'yes' }, 'it pauses');
at($h[1])->raw(Wire::cancel($admin->key->[0], $admin->key->[1] ^ 4))->recv_all;
ok(!$admin->readable, 'a key that is wrong in one bit cancels nothing there');
at($_)->raw(Wire::cancel(@{$admin->key}))->recv_all for $h[1];
is(code($admin->recv_until('Z')), '57014', 'a cancel request for a console reaches it');
$_->close for $admin, $busy;

# From each to each

for my $home (@h) {
    my $c = login(at($home));
    for my $way (@h) {
        $c->send(Wire::query('select pg_sleep(61)'));
        $home->poll_until(sub { active('%pg_sleep(61)%') == 1 }, 'it runs');
        my @answer = at($way)->raw(Wire::cancel(@{$c->key}))->recv_all;
        is(scalar(@answer), 0, "a cancel for a client of " . peer_id($c) . ': the connection is closed');
        is(code($c->recv_until('Z')), '57014', '... and the statement is cancelled');
    }
    my ($pid, $secret) = @{$c->key};
    $c->send(Wire::query('select pg_sleep(0.3)'));
    at($h[0])->raw(Wire::cancel($pid, $secret ^ 4))->recv_all;
    at($h[1])->raw(Wire::cancel($pid ^ 1 << 24, $secret))->recv_all;
    is(code($c->recv_until('Z')), '', 'a key that is wrong in one bit cancels nothing');
    $c->send(Wire::query('select pg_sleep(61)'));
    $home->poll_until(sub { active('%pg_sleep(61)%') == 1 }, 'it runs');
    at($home)->raw(Wire::cancel($pid, $secret - 3))->recv_all;
    is(code($c->recv_until('Z')), '57014', 'one that has made all its hops does');
}

# A client in the queue of another process

my @busy = map { login(at($h[0])) } 1 .. 5;
$_->rows('begin') for @busy;
my $waiter = login(at($h[0]));
$waiter->send(Wire::query('select 3'));
$h[0]->poll_until(sub { (grep { $_->{database} eq 'app' } @{$h[0]->show('pools')})[0]{cl_waiting} == 1 }, 'a client waits');
at($h[2])->raw(Wire::cancel(@{$waiter->key}))->recv_all;
is(code($waiter->recv_until('Z')), '57014', 'a waiting client can be cancelled through a peer');
$_->rows('commit') for @busy;

# Drivers, which reach whichever process the kernel chooses

my @psql = map {
    IPC::Run::start(['psql', '-X', '-At', '-d', $h[0]->connstr, '-c', 'select pg_sleep(62)'], '<', \'', '>', \my $out, '2>', \my $err)
} 1 .. 6;
$h[0]->poll_until(sub { active('%pg_sleep(62)%') == 6 }, 'six psql run');
$_->signal('INT') for @psql;
$_->finish for @psql;
is(scalar(grep { ($_->full_result(0) >> 8) == 1 } @psql), 6, '^C in psql cancels');
is(active('%pg_sleep(62)%'), 0, '... at the server too');

for my $module (qw(psycopg2 psycopg)) {
    my ($out, $err) = ('', '');
    IPC::Run::run(['/usr/bin/python3', '-', $h[0]->connstr], '<', \<<"END", '>', \$out, '2>', \$err, IPC::Run::timeout(60));
import sys, threading, time
import $module as driver
cancelled = 0
def work():
    global cancelled
    c = driver.connect(sys.argv[1])
    timer = threading.Timer(0.3, c.cancel)
    timer.start()
    try:
        c.cursor().execute("select pg_sleep(63)")
    except driver.Error as e:
        cancelled += (getattr(e, "pgcode", None) or getattr(e, "sqlstate", None)) == "57014"
    timer.join()
    c.close()
threads = [threading.Thread(target=work) for _ in range(10)]
for t in threads: t.start()
for t in threads: t.join()
print(cancelled)
END
    is($out, "10\n", "cancel() of $module cancels") or diag($err);
}

# 200 races: two clients of different processes are cancelled all the time, the others never.

my %victim;
while (keys %victim < 3) {
    my $c = login(any());
    $victim{peer_id($c)} //= $c;
}
my @victims = values %victim;
my @others = map { my $h = $_; map { login(at($h)) } 1 .. 2 } @h;
my ($hit, $wrong, @cancels) = (0, 0);
for my $round (1 .. 67) {
    $_->send(Wire::query("select pg_sleep(0.01), 'v$round'")) for @victims;
    push @cancels, map { any()->raw(Wire::cancel(@{$_->key})) } @victims;
    $_->send(Wire::query("select 'o$round', pg_sleep(0.001)")) for @others;
    for my $victim (@victims) {
        $hit++ if code($victim->recv_until('Z')) eq '57014';
    }
    for my $other (@others) {
        my @rows = $other->recv_until('Z');
        my ($row) = grep { $_->[0] eq 'D' } @rows;
        $wrong++ if code(@rows) || !$row || (Wire::data_row($row->[1]))[0] ne "o$round";
    }
}
is(scalar(grep { @{[$_->recv_all]} } @cancels), 0, '201 cancels were taken');
is($wrong, 0, '... nobody else was cancelled, and every answer was the right one');
cmp_ok($hit, '>', 20, "... $hit statements were cancelled");

# SHOW

is_deeply([map { join(' ', @$_) } $h[0]->show_table('peers')],
    ['peer_id host port pool_size', map { 255 + $_ . " ${\$h[$_ - 1]->dir} $port $_" } 1 .. 3], 'SHOW PEERS');
is_deeply([map { join(' ', @$_) } $h[1]->show_table('peer_pools', host => $h[1]->dir)],
    ['peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login', map { 255 + $_ . ' 0 0 0 0' } 1 .. 3],
    'SHOW PEER_POOLS');
my %lists = map { $_->{list} => $_->{items} } @{$h[2]->show('lists', host => $h[2]->dir)};
is("$lists{peers} $lists{peer_pools}", '3 3', 'SHOW LISTS counts them');
for my $what (qw(peers peer_pools)) {
    my $c = at($h[0])->login(user => 'admin', database => 'pgbouncer');
    $c->send(Wire::query("show $what"));
    my ($description) = grep { $_->[0] eq 'T' } $c->recv_until('Z');
    my $types = join(' ', map { (unpack('N n N', $_))[2] } $description->[1] =~ /[a-z_]+\0(.{18})/gs);
    is($types, $what eq 'peers' ? '23 25 23 23' : '23 23 23 23 23', "the types of SHOW \U$what");
}

# One that waits for the end of its last client

$_->close for @busy, $waiter, @victims, @others;
my $last = login(at($h[2]));
$last->send(Wire::query('select pg_sleep(64)'));
$h[2]->poll_until(sub { active('%pg_sleep(64)%') == 1 }, 'it runs');
$h[2]->signal('TERM');
$h[2]->poll_until(sub { eval { !grep { peer_id(login(any())) == 258 } 1 .. 20 } }, 'it takes no more clients at the port');
any()->raw(Wire::cancel(@{$last->key}))->recv_all;
is(code($last->recv_until('Z')), '57014', 'a process that shuts down still gets the cancel requests for its clients');
$last->close;
$h[2]->wait_for_exit('... and ends when they are gone');

Howdah->finish;
