# Real drivers run a real workload through transaction pooling.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Howdah;
use IPC::Run ();
use Test::More;

plan skip_all => 'PgBouncer 1.18 has no prepared statements in transaction mode' if Howdah->is_pgbouncer;

my $drivers = dirname(dirname(abs_path($0))) . '/drivers';
my $modules = dirname(dirname($drivers)) . '/build/drivers/node_modules';
my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 4})->start;
$node->safe_psql('app', 'grant all on schema public to public');
my @where = ('127.0.0.1', $h->port, 'app', 'app');
$ENV{NODE_PATH} = "$modules:/usr/share/nodejs";

sub runs
{
    my ($what, @command) = @_;
    my ($out, $err) = ('', '');
    my $ok = IPC::Run::run([@command, @where], '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(60 * Howdah::slowness()));
    ok($ok && $out =~ /^done$/m, $what) or diag($err);
    return;
}

sub have { my (@command) = @_; return IPC::Run::run([@command], '<', \'', '>', \my $out, '2>', \my $err) ? 1 : 0; }

for ([psycopg3 => 'psycopg'], [psycopg2 => 'psycopg2'], [asyncpg => 'asyncpg']) {
    my ($driver, $module) = @$_;
    ok(have('/usr/bin/python3', '-c', "import $module"), "$driver is installed");
    runs($driver, '/usr/bin/python3', "$drivers/python.py", $driver);
}
SKIP: {
    my $there = eval { have('node', '-e', "require('pg')") };
    skip 'node-postgres is not installed: make drivers', 1 if !$there && !$ENV{DRIVERS_MUST};
    runs('node-postgres', 'node', "$drivers/node.js");
}
is($h->is_alive ? 1 : 0, 1, 'howdah lives');

Howdah->finish;
