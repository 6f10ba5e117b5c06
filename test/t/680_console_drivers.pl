# Every SHOW of the console, through real drivers, over the simple and the extended protocol, in text and in
# binary.  What a driver lacks is told; a driver that is not installed is skipped.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Howdah;
use IPC::Run ();
use Test::More;
use Wire;

plan skip_all => 'PgBouncer has no extended protocol on its console' if Howdah->is_pgbouncer;

my $drivers = dirname(dirname(abs_path($0))) . '/drivers';
my $node = Howdah->node('main');
my $server = 'host=localhost port=' . $node->port;    # a name, so that SHOW DNS_HOSTS has a row
my $h = Howdah->new(node => $node, databases => {app => "$server dbname=app"}, user_settings => {app => 'pool_size=7'},
    settings => {pool_mode => 'transaction', default_pool_size => 7, server_connect_timeout => 5})->start;
my @where = ('127.0.0.1', $h->port, 'admin', 'pgbouncer');

# So that no table is empty: clients that work, wait and idle.
my @clients = map { Wire->to($h)->login(user => 'app', database => 'app') } 1 .. 9;
$_->rows('begin') for @clients[0 .. 6];
$clients[7]->send(Wire::query('select 1'));
$h->poll_until(sub { @{$h->show('waiters')} == 1 }, 'one waits');

sub run
{
    my (@command) = @_;
    my ($out, $err) = ('', '');
    my $good = eval { IPC::Run::run([@command], '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(60 * Howdah::slowness())) };
    return ($good && $out =~ /^done$/m, "$out$err" . ($@ // ''));
}

sub reads
{
    my ($driver, @command) = @_;
    my ($good, $output) = run(@command);
    return ok($good, "every SHOW through $driver") || diag($output);
}

sub have { return IPC::Run::run([@_], '<', \'', '>', \my $out, '2>', \my $err) ? 1 : 0; }

for ([psycopg3 => 'psycopg'], [psycopg2 => 'psycopg2'], [asyncpg => 'asyncpg']) {
    my ($driver, $module) = @$_;
  SKIP: {
        skip "$driver is not installed", 1 if !$ENV{DRIVERS_MUST} && !have('/usr/bin/python3', '-c', "import $module");
        reads($driver, '/usr/bin/python3', "$drivers/console.py", $driver, @where);
    }
}

SKIP: {
    my $program = $h->dir . '/console';
    my $include = `pg_config --includedir`;
    chomp($include);
    skip 'libpq is not installed', 1 if !$ENV{DRIVERS_MUST} && !-e "$include/libpq-fe.h";
    my ($built, $output) = run('sh', '-c', "cc -Wall -o $program -I$include $drivers/console.c -lpq && echo done");
    $built ? reads('libpq', $program, $h->connstr(user => 'admin', dbname => 'pgbouncer')) : (fail('libpq') || diag($output));
}

SKIP: {
    my $jar = '/usr/share/java/postgresql.jar';
    skip 'JDBC is not installed', 1 if !$ENV{DRIVERS_MUST} && !(-e $jar && have('javac', '-version'));
    reads('JDBC', 'java', '-cp', $jar, "$drivers/Console.java", @where);
}

is($h->is_alive ? 1 : 0, 1, 'howdah lives');
$_->rows('commit') for @clients[0 .. 6];

Howdah->finish;
