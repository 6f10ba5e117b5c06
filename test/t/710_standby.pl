# What src/sql/standby.def and src/route/reads.c take for a read: PostgreSQL itself runs it on a standby.

use strict;
use warnings;

use Howdah;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $table = "$Howdah::ROOT/src/sql/standby.def";
plan skip_all => 'the sources are not visible from here' unless -r $table;

my %calls = slurp_file($table) =~ /^STANDBY\("(.*)", (\w+)\)$/mg;

my $primary = Howdah->node('primary', init => {allows_streaming => 1}, conf => 'max_prepared_transactions = 2');
$primary->safe_psql('app', <<'END');
create table t (id int primary key, x text);
insert into t select i, i::text from generate_series(1, 100) i;
create table p (id int) partition by list (id);
create table p1 partition of p for values in (1);
create unlogged table u (id int);
create view vu as select * from u;
create sequence s;
select lo_from_bytea(4711, 'abc');
END
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'port = ' . $standby->port);
$standby->start;
$primary->wait_for_catchup($standby);

# (how it went, output or the error's SQLSTATE)
sub run
{
    my ($node, $sql) = @_;
    my ($ok, $out, $err) = $node->psql('app', $sql, extra_params => ['-v', 'VERBOSITY=verbose']);
    return $ok == 0 ? (1, $out) : (0, $err =~ /(?:ERROR|FATAL):  (\w{5}):/ ? $1 : $err);
}

subtest 'functions without arguments that read: there, and the same as on the primary' => sub {
    my $functions = $primary->safe_psql('app', <<'END');
select proname, provolatile from pg_proc
 where pronamespace = 'pg_catalog'::regnamespace and pronargs = 0 and prokind = 'f'
   and prorettype::regtype::text !~ 'trigger|internal|handler' order by 1
END
    my %moving = map { $_ => 1 } qw(now statement_timestamp transaction_timestamp pg_backend_pid inet_server_port);
    for my $line (split /\n/, $functions) {
        my ($name, $volatility) = split /\|/, $line;
        next unless ($calls{$name} // 'READS') eq 'READS';
        my ($ok, $out) = run($standby, "select * from pg_catalog.\"$name\"()");
        ok($ok, "$name() runs") or diag($out);
        next if $volatility eq 'v' || $moving{$name} || $name =~ /^pg_stat_get_/; # each node has its own
        is($out, (run($primary, "select * from pg_catalog.\"$name\"()"))[1], "$name() says what it says on the primary");
    }
};

subtest 'volatile functions with arguments that read' => sub {
    my %arguments = (
        bernoulli => undef,
        currtid2 => "'t', '(0,1)'",
        lo_get => '4711',
        pg_partition_ancestors => "'p1'",
        pg_partition_tree => "'p'",
        pg_sleep => '0',
        pg_sleep_for => "'0'",
        pg_sleep_until => 'now()',
        set_config => "'a.b', 'c', true",
        system => undef);
    my @rest = grep { $calls{$_} eq 'READS' && !exists $arguments{$_} } sort keys %calls;
    is_deeply(\@rest, [qw(clock_timestamp current_query gen_random_uuid pg_is_in_recovery pg_stat_get_recovery_prefetch random timeofday)], 'the others have none');
    for my $name (sort keys %arguments) {
        my ($ok, $out) = run($standby,
            defined $arguments{$name} ? "select $name($arguments{$name})" : "select count(*) from t tablesample $name (50)");
        ok($ok, "$name() runs") or diag($out);
    }
};

subtest 'statements that read' => sub {
    for my $sql ('select * from t', 'table t', 'values (1)', 'with recursive a as (select 1) select * from a',
        'copy t to stdout', 'copy (select * from t) to stdout',
        'explain insert into t values (1)', 'explain update t set x = 1', 'explain delete from t',
        'explain select * from t for update', "explain select nextval('s')", 'explain create table n as select 1',
        'explain declare c cursor for select 1', 'explain analyze select * from t',
        'begin read only; select 1; commit', 'begin; select 1; commit',
        'begin isolation level repeatable read, read only; declare c cursor for select * from t; fetch all from c; end',
        'begin; set transaction read only; end', 'show work_mem', 'set work_mem = 1000', 'reset all', 'discard all',
        "set default_transaction_isolation = 'serializable'\\; select 1", 'begin; savepoint a; rollback to a; end',
        'select count(*) from information_schema.columns') {
        my ($ok, $out) = run($standby, $sql);
        ok($ok, $sql) or diag($out);
    }
};

subtest 'statements that do not, and what a client would get' => sub {
    for my $try (
        ['select * from u', '0A000'], ['select * from vu', '0A000'], ['explain select * from u', '0A000'],
        ['begin read write', '0A000'], ['begin isolation level serializable; select 1', '0A000'],
        ["set default_transaction_isolation = 'serializable'; select 1", '0A000'],
        ['explain analyze insert into t values (1000)', '25006'], ['select * from t for share', '25006'],
        ["select nextval('s')", '25006'], ['select txid_current()', '25006'], ["select pg_notify('a', 'b')", '25006'],
        ['listen a', '25006'], ['create temp table n (a int)', '25006'],
        ['select pg_current_wal_lsn()', '55000']) {
        my ($sql, $code) = @$try;
        is_deeply([run($standby, $sql)], [0, $code], "$sql: $code");
    }
    # No error tells that these were in the wrong place.
    for my $sql ('select pg_advisory_lock(1)', 'select last_value from s', 'select pg_export_snapshot()',
        'select * from pg_locks', 'select pg_postmaster_start_time()') {
        my ($ok, $out) = run($standby, $sql);
        ok($ok, "$sql runs, and means something else") or diag($out);
    }
};

Howdah->finish;
