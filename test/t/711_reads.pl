# Reads go to standbys, all else to the primary: by what the servers themselves have run.

use strict;
use warnings;

use Clusters;
use Howdah;
use Test::More;
use Wire;

my ($a, $b, $c) = my @nodes = Clusters::nodes(qw(a b c));
$a->safe_psql('app', q{
    create table t (id int primary key, v text); insert into t select n, 'v' || n from generate_series(1, 100) n;
    create unlogged table u (id int); create sequence s; create view safe as select * from t where id < 10;
    create view counted as select nextval('s') as n; create materialized view m as select count(*) from t;
    create function stable_one() returns int language sql stable as 'select 1';
    create function volatile_one() returns int language sql volatile as 'select 1';
    create function writes() returns void language sql volatile as 'insert into t values (1000 + (random() * 1e8)::int)';
    create function liar() returns int language plpgsql stable as 'begin perform set_config(''my.x'', ''1'', true); insert into t values (2000 + (random() * 1e8)::int); return 1; end';
    alter table t owner to app; alter view safe owner to app; alter table u owner to app; alter sequence s owner to app;
    alter view counted owner to app; alter materialized view m owner to app});
my $h = Howdah->new(
    databases => {app => 'cluster=main dbname=app'},
    settings => {pool_mode => 'transaction', default_pool_size => 5, query_wait_timeout => 60},
    extra => Clusters::section('main', \@nodes, read_write_split => 'on', max_lag => '5s'))->start;

sub ready
{
    my ($name) = @_;
    return grep { $_->{node} eq $name && $_->{state} eq 'standby' && length($_->{lag_ms} // '') && $_->{lag_ms} < 1000 } @{$h->show('NODES')};
}
ok($h->poll_until(sub { ready('b') && ready('c') }, 'both standbys are fresh'), 'the cluster is ready');

my $client = Wire->to($h)->login(user => 'app', database => 'app');
my $marks = 0;
my $reads = sub {
    my ($probe) = @_;
    return $h->poll_until(sub { my $mark = 'probe' . ++$marks; $client->rows("$probe /* $mark */"); Clusters::where($mark, @nodes) ne 'a' }, $probe);
};
ok($reads->('select 1 from t'), 'reads go to a standby once the catalog is known');

# In its own right: a new client each time has written nothing, and follows nothing.
sub place
{
    my ($messages, $mark) = @_;
    my $fresh = Wire->to($h)->login(user => 'app', database => 'app');
    $fresh->send(@$messages)->recv_until('Z');
    $fresh->send(Wire::terminate());
    $fresh->recv_all;
    return Clusters::where($mark, @nodes);
}

sub simple { my ($sql, $mark) = @_; return [Wire::query("$sql /* $mark */")]; }

sub extended
{
    my ($sql, $mark) = @_;
    return [Wire::parse('', "$sql /* $mark */"), Wire::bind('', ''), Wire::execute(''), Wire::sync()];
}

my $table = do { local $/; <DATA> };
my ($n, %seen) = (0);
for my $line (grep { /\S/ && !/^#/ } split(/\n/, $table)) {
    my ($expected, $sql) = $line =~ /^(\S+)\s+(.*)$/;
    for my $way ([simple => \&simple], [extended => \&extended]) {
        my ($how, $make) = @$way;
        next if $how eq 'extended' && $sql =~ /;/;
        my $mark = 'm' . ++$n . 'x';
        my $place = place($make->($sql, $mark), $mark);
        $seen{$place}++;
        is($place eq 'a' ? 'primary' : $place =~ /^[bc]$/ ? 'standby' : $place, $expected, "$how: $sql");
    }
}
ok($seen{b} && $seen{c}, 'both standbys have served');
$h->stop;
Howdah->finish;

__DATA__
standby select 1
standby select 1;
standby values (1), (2)
standby table t
standby select * from t
standby select * from t where id = 5
standby select v, count(*) from t group by v having count(*) > 0 order by 1 limit 3
standby select * from t x join t y using (id) where x.id < 5
standby select * from t x left join lateral (select * from t where id = x.id) y on true limit 1
standby with w as (select * from t) select count(*) from w
standby with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select * from r
standby select * from t where id in (select id from t where id < 3)
standby select exists (select 1 from t)
standby select 1 union select 2
standby select 1 intersect select 1
standby select 1 except select 2
standby select * from safe
standby select * from m
standby select now()
standby select clock_timestamp()
standby select random()
standby select gen_random_uuid()
standby select pg_backend_pid()
standby select pg_sleep(0)
standby select stable_one()
standby select upper('a'), length('abc'), coalesce(null, 1)
standby select sum(id) over (order by id) from t limit 1
standby select array_agg(id), string_agg(v, ',') from t
standby select json_build_object('a', 1)
standby select generate_series(1, 3)
standby select case when id > 1 then 'a' else 'b' end from t
standby select (select max(id) from t)
standby select distinct v from t
standby select distinct on (v) v, id from t order by v, id
standby select id::text, cast(id as bigint) from t
standby select * from t tablesample system (50)
standby select * from t order by random() limit 1
standby select current_date, current_timestamp, localtime
standby select current_user, session_user
standby select count(*) filter (where id > 5) from t
standby select grouping(v) from t group by rollup (v)
standby select * from unnest(array[1, 2])
standby select to_char(now(), 'YYYY')
standby select date_trunc('day', now())
standby select * from pg_class limit 1
standby select * from pg_stat_activity limit 1
standby select * from information_schema.tables limit 1
standby copy t to stdout
standby copy (select * from t) to stdout
standby copy (select 1) to stdout with csv
standby explain select * from t
standby explain analyze select * from t
standby explain (costs off) select 1
standby select 1; select 2
standby select * from t fetch first 3 rows only
standby select * from t offset 5
standby select '/* for update */' from t
standby select 'insert into t values (1)' from t
standby begin read only; select 1; commit
standby start transaction read only; select * from t; commit
standby begin isolation level repeatable read read only; select 1; commit
primary insert into t values (101)
primary insert into t values (102) returning id
primary update t set v = v where id = 1
primary delete from t where id = 101
primary insert into t select 103
primary with w as (insert into t values (104) returning id) select * from w
primary with w as (update t set v = v where id = 1 returning *) select * from w
primary with w as (delete from t where id = 104 returning *) select * from w
primary select * from (with w as (delete from t where id = 9999 returning *) select 1) x
primary select * from t for update
primary select * from t for share
primary select * from t for no key update
primary select * from t for key share
primary with w as (select * from t for update) select * from w
primary select * from (select * from t for update) x
primary select * into t2 from t
primary create table t3 (a int)
primary create table t4 as select 1
primary create temp table t5 (a int)
primary drop table if exists t3
primary alter table t add column if not exists w int
primary create index if not exists ti on t (v)
primary truncate u
primary vacuum t
primary analyze t
primary refresh materialized view m
primary select nextval('s')
primary select setval('s', 5)
primary select * from counted
primary select * from u
primary select * from s
primary select pg_advisory_lock(1)
primary select pg_advisory_xact_lock(1)
primary select pg_try_advisory_lock(1)
primary select pg_advisory_unlock(1)
primary select 1 where pg_try_advisory_xact_lock(2)
primary select txid_current()
primary select pg_current_xact_id()
primary select pg_notify('a', 'b')
primary notify a
primary listen a
primary unlisten *
primary select volatile_one()
primary select writes()
primary select id from t where id = volatile_one()
primary select 1 order by volatile_one()
primary select lo_create(0)
primary select lo_from_bytea(0, 'x')
standby select set_config('my.x', 'y', false)
primary select pg_export_snapshot()
primary select pg_current_wal_lsn()
primary select pg_switch_wal()
primary select query_to_xml('select 1', true, true, '')
primary select no_such_function()
primary select no_such_schema.f()
primary lock table t
standby begin; select 1; commit
primary begin read write; select 1; commit
primary begin isolation level serializable read only; select 1; commit
primary begin; insert into t values (105); commit
primary select 1; insert into t values (106)
primary explain analyze insert into t values (107)
primary explain analyze update t set v = v where id = 1
primary set work_mem = '5MB'
primary reset work_mem
primary discard plans
primary do 'begin end'
primary call nothing()
primary comment on table t is 'x'
primary grant select on t to public
primary prepare p as select 1; execute p; deallocate p
primary declare c cursor with hold for select 1; close c
primary checkpoint
primary select frobnicate from from
primary merge into t using (select 1 as id) x on t.id = x.id when matched then do nothing
primary select liar() from writes()
