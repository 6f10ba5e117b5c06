# How howdah starts, says what is wrong with its settings, listens, and ends.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

my $node = Howdah->node('main');
my $plain = Howdah->new(node => $node);

# The command line

my ($status, $output) = $plain->run_program('-V');
is($status, 0, '-V succeeds');
like($output, qr/\d+\.\d+/, '-V tells the version');
($status, $output) = $plain->run_program('--help');
is($status, 0, '--help succeeds');
like($output, qr/usage/i, '--help tells the usage');
($status) = $plain->run_program();
isnt($status, 0, 'a file must be named');
($status) = $plain->run_program('--no-such-option', $plain->ini);
isnt($status, 0, 'an unknown option is refused');
($status, $output) = $plain->run_program('/nonexistent/howdah.ini');
isnt($status, 0, 'a missing file is refused');
like($output, qr/nonexistent/, '... and named');

# Settings

sub refused
{
    my ($name, $match, %options) = @_;
    my ($status, $output) = Howdah->new(node => $node, %options)->expect_start_failure("$name is refused");
    like($output, $match, '... and the message says so');
    return;
}

refused('an unknown setting', qr/defualt_pool_size/, settings => {defualt_pool_size => 10});
refused('an unknown section', qr/pgbounzer|section/, extra => "[pgbounzer]\nx = y\n");
refused('a bad number', qr/default_pool_size/, settings => {default_pool_size => 'many'});
refused('a bad word', qr/pool_mode/, settings => {pool_mode => 'transactional'});
refused('a broken connection string', qr/app|host/, databases => {app => 'host'});
refused('an unknown word in a connection string', qr/hots/, databases => {app => 'hots=127.0.0.1'});
refused('the name of the console for a database', qr/pgbouncer/, databases => {pgbouncer => 'host=127.0.0.1'});
refused('a missing section [pgbouncer]', qr/./, ini => "[databases]\napp = host=127.0.0.1\n");

SKIP: {
    skip 'PgBouncer has no --check', 8 if Howdah->is_pgbouncer;

    ($status, $output) = $plain->run_program('--check', $plain->ini);
    is($status, 0, '--check accepts a good file') or diag($output);

    my $bad = Howdah->new(ini => <<'END');
[databases]
app = host=127.0.0.1 prot=5432

[pgbouncer]
pool_mode = transactional
listen_port = 6432
default_pool_size = many
defualt_pool_size = 20
END
    ($status, $output) = $bad->run_program('--check', $bad->ini);
    is($status, 1, '--check refuses a bad file with status 1');
    my $file = quotemeta($bad->ini);
    like($output, qr/$file:2: .*prot/, '... tells the line of the connection string');
    like($output, qr/$file:5: .*pool_mode/, '... of the bad word');
    like($output, qr/$file:7: .*default_pool_size/, '... of the bad number');
    like($output, qr/$file:8: .*defualt_pool_size/, '... of the unknown setting');
    unlike($output, qr/:(1|4|6): /, '... and of no line that is right');
    ok(!-e $bad->pidfile, '... and starts nothing');
}

# Where it listens

my $h = Howdah->new(node => $node, settings => {listen_addr => '127.0.0.1, ::1'})->start;
is($h->safe_psql('app', 'select 1'), '1', 'a client comes in by IPv4');
is($h->safe_psql('app', 'select 2', host => '::1'), '2', '... by IPv6');
is($h->safe_psql('app', 'select 3', host => $h->dir), '3', '... and by the unix socket');
is(Howdah::slurp($h->pidfile) + 0, $h->pid, 'the pid file holds the process id');
my $socket = $h->dir . '/.s.PGSQL.' . $h->port;
ok(-S $socket, 'the socket has the name that libpq looks for');
is((stat($socket))[2] & 0777, 0777, '... and the mode of unix_socket_mode');

SKIP: {
    skip 'PgBouncer starts without the address', 3 if Howdah->is_pgbouncer;
    my ($failed, $message) = Howdah->new(node => $node, settings => {listen_port => $h->port})
      ->expect_start_failure('a port in use is refused');
    like($message, qr/in use|already running|Address/i, '... and the message says so');
    is($h->safe_psql('app', 'select 4'), '4', 'the first one goes on');
}

$h->stop;
ok(!-e $h->pidfile, 'the pid file is gone at the end');
ok(!-e $socket, '... and so is the socket');

$h = Howdah->new(node => $node, settings => {listen_addr => undef})->start;
is($h->safe_psql('app', 'select 1', host => $h->dir), '1', 'without listen_addr there is the unix socket');
is(eval { Wire->to($h); 1 }, undef, '... and no TCP');
$h->stop;

# How it ends

for my $signal (qw(TERM INT QUIT)) {
    next if Howdah->is_pgbouncer && $signal eq 'QUIT';    # 1.18 leaves a core
    $h = Howdah->new(node => $node)->start;
    $h->safe_psql('app', 'select 1');
    $h->signal($signal)->wait_for_exit("SIG$signal ends it with status 0 when nobody is there");
}

$h = Howdah->new(node => $node)->start;
my $idle = Wire->to($h)->login(user => 'app', database => 'app');
$h->signal('TERM');
SKIP: {
    skip 'SIGTERM does not wait for clients there', 3 if Howdah->is_pgbouncer;
    $h->poll_until(sub { !eval { Wire->to($h); 1 } }, 'the port is closed');
    is($idle->value('select 7'), '7', 'after SIGTERM a client goes on');
    ok($h->is_alive, '... and howdah waits for it');
    $idle->close;
}
$h->wait_for_exit('SIGTERM ends it when the last client left');

SKIP: {
    skip 'another meaning there', 2 if Howdah->is_pgbouncer;
    $h = Howdah->new(node => $node)->start;
    $idle = Wire->to($h)->login(user => 'app', database => 'app');
    $h->signal('TERM');
    $h->poll_until(sub { !eval { Wire->to($h); 1 } }, 'the port is closed');
    $h->signal('TERM')->wait_for_exit('a second SIGTERM ends it at once');

    $h = Howdah->new(node => $node)->start;
    $idle = Wire->to($h)->login(user => 'app', database => 'app');
    $h->signal('QUIT')->wait_for_exit('SIGQUIT ends it at once');
}

Howdah->finish;
