# PostgreSQL's own programs in session mode: they do, and say, what they do and say on a direct connection.

use strict;
use warnings;

use Howdah;
use IPC::Run ();
use Test::More;

my $node = Howdah->node('main', hba => ['host all secretive 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust']);
$node->safe_psql('postgres', 'alter role app createdb createrole; create role secretive login');
my $h = Howdah->new(
    node => $node,
    databases => {'*' => 'host=127.0.0.1 port=' . $node->port},
    users => [['secretive', 'new secret']],
    settings => {pool_mode => 'session', default_pool_size => 10})->start;
my $dir = $h->dir;
my %port = (direct => $node->port, behind => $h->port);

# Runs a program against the port; returns its status and what it said.
sub run_at
{
    my ($where, $input, @command) = @_;
    my $said = '';
    local @ENV{qw(PGHOST PGPORT PGUSER PGCONNECT_TIMEOUT)} = ('127.0.0.1', $port{$where}, 'app', $Howdah::TIMEOUT);
    delete local $ENV{PGDATABASE};
    my $run = IPC::Run::start(\@command, '<', \$input, '>', \$said, '2>&1', IPC::Run::timeout($Howdah::TIMEOUT));
    if (!eval { $run->finish; 1 }) {
        $run->kill_kill(grace => 1);
        die "@command did not end ($@):\n$said";
    }
    return ($run->full_result(0) >> 8, $said);
}

sub succeeds
{
    my ($where, $name, @command) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $said) = run_at($where, '', @command);
    is($status, 0, $name) or diag($said);
    return $said;
}

# The same at both, each in a database of its own, whose name is put for DB.
sub same
{
    my ($name, $input, @command) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %got;
    for my $where (qw(direct behind)) {
        my ($status, $said) = run_at($where, $input, map { s/\bDB\b/db_$where/r } @command);
        $said =~ s/\bdb_$where\b/DB/g;
        $said =~ s/^(lo_import|lo_unlink) \d+$/$1 OID/mg;
        $got{$where} = "status $status\n$said";
    }
    is($got{behind}, $got{direct}, $name);
    like($got{direct}, qr/^status 0$/m, '... and well');
    return $got{direct};
}

# Dumps have a key in them that nobody can guess.
sub dump_of
{
    my ($where, $database) = @_;
    return succeeds($where, "pg_dump of $database, $where", 'pg_dump', $database) =~ s/^\\(un)?restrict \S+$/\\$1restrict/mgr;
}

same('createdb', '', 'createdb', 'DB');
same('pg_isready', '', 'pg_isready', '-q');

# psql

my @psql = ('psql', '-X', '-a', '-d', 'DB');
Howdah::spew("$dir/rows", join('', map { "$_\trow $_\n" } 1 .. 20000));
same('\copy in both directions', <<"EOS", @psql);
create table copied(i int primary key, t text);
\\copy copied from '$dir/rows'
\\copy copied from '$dir/rows'
\\copy (select * from copied order by i limit 5) to stdout
\\copy copied(i) from stdin
20001
20002
\\.
\\copy (select i, t from copied where t is not null order by i) to '$dir/rows.back'
\\copy nowhere from '$dir/rows'
select count(*) from copied;
EOS
is(Howdah::slurp("$dir/rows.back"), Howdah::slurp("$dir/rows"), '... nothing is lost');

same('FETCH_COUNT', <<'EOS', @psql);
\set FETCH_COUNT 7
select i, t from copied where i < 30 order by i;
select 10 / (3 - i) from copied where i < 5 order by i;
select count(*) from copied;
EOS

Howdah::spew("$dir/object", join('', map { pack('N', $_ * 2654435761 % 2**32) } 1 .. 100000));
my $said = same('large objects', <<"EOS", @psql);
\\lo_import '$dir/object'
\\set object :LASTOID
select length(lo_get(:object));
\\lo_export :object '$dir/object.back'
begin;
select lo_open(:object, x'60000'::int) as fd \\gset
select lo_lseek(:fd, 4, 0);
select loread(:fd, 8);
end;
\\lo_unlink :object
select count(*) from pg_largeobject_metadata;
\\lo_import '$dir/rows'
EOS
is(Howdah::slurp("$dir/object.back"), Howdah::slurp("$dir/object"), '... come back as they went');

same('\gdesc, \crosstabview, \watch and multiple statements', <<'EOS', @psql);
select 1 as a, 'x'::text as b \gdesc
select i % 2 as a, i % 3 as b, count(*) from copied group by 1, 2 order by 1, 2 \crosstabview
select 1 \; select 2 \; select 1/0 \; select 3
\set ON_ERROR_ROLLBACK on
begin;
insert into copied values (30000);
insert into copied values (30000);
rollback;
select count(*) from copied where i = 30000;
EOS

# Without a terminal psql reads passwords where it reads all else.
$node->safe_psql('postgres', 'grant secretive to app with admin option');
my ($status, $output) = run_at('behind', "new secret\nnew secret\n", 'setsid', '-w', 'psql', '-X', '-d', 'postgres', '-c', '\password secretive');
is($status, 0, '\password') or diag($output);
is($node->safe_psql('postgres', 'select 1', connstr => $node->connstr('postgres') . q( user=secretive password='new secret')),
    '1', '... is the password of the server');

# Dumps

succeeds('behind', 'pgbench -i', qw(pgbench -i -q -s 1 --foreign-keys db_behind));
my $dump = dump_of('direct', 'db_behind');
is(dump_of('behind', 'db_behind'), $dump, '... the same as the direct one');
cmp_ok(length($dump), '>', 1_000_000, '... of some length');
succeeds('behind', 'pg_dump by several sessions, with one snapshot', qw(pg_dump -Fd -j 3 -f), "$dir/dump", 'db_behind');
succeeds('behind', 'createdb for the copy', 'createdb', 'restored');
succeeds('behind', 'pg_restore by several sessions', qw(pg_restore -j 3 -d restored), "$dir/dump");
is(dump_of('behind', 'restored'), $dump, '... brings back what was dumped');
Howdah::spew("$dir/dump.sql", $dump =~ s/^\\(un)?restrict.*\n//mgr);
succeeds('behind', 'createdb for another', 'createdb', 'replayed');
succeeds('behind', 'psql replays a dump', 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/dump.sql", 'replayed');
is(dump_of('direct', 'replayed'), $dump, '... with the same end');

# The others

same('vacuumdb -j 4', '', qw(vacuumdb -j 4 -z -d DB -t copied));
same('vacuumdb in stages', '', qw(vacuumdb -j 4 --analyze-in-stages -d DB -t copied));
same('reindexdb -j 4', '', qw(reindexdb -j 4 -d DB -t copied -t copied));
same('clusterdb', '', qw(clusterdb -d DB));
same('createuser', '', qw(createuser -l DB));
same('dropuser', '', qw(dropuser DB));

# pgbench

Howdah::spew("$dir/pipeline", <<'EOS');
\set aid random(1, 100000)
\startpipeline
begin;
update pgbench_accounts set abalance = abalance + 1 where aid = :aid;
select abalance from pgbench_accounts where aid = :aid;
end;
\endpipeline
EOS
for my $protocol (qw(simple extended prepared)) {
    for my $script ('-b tpcb-like', '-b select-only', $protocol eq 'simple' ? () : "-f $dir/pipeline") {
        $said = succeeds('behind', "pgbench -M $protocol $script", 'pgbench', '-n', '-M', $protocol, split(' ', $script),
            qw(-c 4 -j 2 -t 50 db_behind));
        like($said, qr{actually processed: 200/200$}m, '... all of it');
        like($said, qr/failed transactions: 0 /, '... and well');
    }
}

is($node->safe_psql("db_behind", "select (select sum(tbalance) from pgbench_tellers) - (select sum(delta) from pgbench_history)"), "0",
    "the books balance");

# Notifications

my $listener = $h->background_psql('db_behind');
$listener->query('listen news');
succeeds('behind', 'notify', qw(psql -X -d db_behind -c), q(notify news, 'today'));
like($listener->query('select 1'), qr/Asynchronous notification "news" with payload "today" received/, 'psql hears of it in another session');
$listener->quit;

# The end of a database: the pool's idle servers are in the way, until they are told to go, or forced

is(($h->console_try('RECONNECT restored'))[0], 0, 'RECONNECT');
succeeds('behind', 'dropdb then', 'dropdb', 'restored');

$listener = undef;
for my $round (1 .. 2) {
    same('dropdb --force', '', 'dropdb', '--force', 'DB');
    same('createdb, once more', '', 'createdb', 'DB');
    same('the new database is not the old one', 'select count(*) from pg_class where relname = $$copied$$', @psql);
}

Howdah->finish;
