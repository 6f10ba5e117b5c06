# One script of statements that change the session gives the same results directly and through transaction
# pooling with four servers, while others make sure that each transaction gets another one.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Howdah;
use IPC::Run ();
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not follow sessions' if Howdah->is_pgbouncer;

my $session = dirname(dirname(abs_path($0))) . '/drivers/session.py';
my $node = Howdah->node('main');
$node->safe_psql('app', q(create role clerk; grant clerk to app; grant all on schema public to public;
    create schema tenant; grant all on schema tenant to public; create sequence numbers; grant all on numbers to public));
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 4, server_round_robin => 1,
        pin_max_percent => 75, query_wait_notify => 0, workers => 1})->start;

# All four are there, and taken in turn: a transaction of another client between two of ours.
my @others = map { Wire->to($h)->login(user => 'app', database => 'app') } 1 .. 4;
$_->rows('begin') for @others;
$_->rows('commit') for @others;

my @names = ('work_mem', 'statement_timeout', 'lock_timeout', 'search_path', 'my.tenant', 'my.user_id', 'extra_float_digits',
    'bytea_output', 'IntervalStyle', 'DateStyle', 'TimeZone', 'default_transaction_isolation', 'default_transaction_read_only',
    'enable_seqscan', 'random_page_cost', 'client_min_messages', 'row_security', 'standard_conforming_strings');
my $show = 'select ' . join(q( || '|' || ), map { "coalesce(nullif(current_setting('$_', true), ''), 'none')" } @names);
my $objects = q(select (select string_agg(relname, ',' order by relname) from pg_class where relnamespace = pg_my_temp_schema())::text,
    (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())::text,
    (select string_agg(name, ',' order by name) from pg_cursors where is_holdable), current_user::text);
$objects =~ s/\s+/ /g;

my @script = (
    # Rails, Django, Hibernate, PostgREST: what they send on a new connection or at each request
    q(set client_min_messages to 'warning'), q(set standard_conforming_strings = on), q(set intervalstyle = iso_8601),
    q(set session timezone to 'UTC'), q(set extra_float_digits = 3), q(set application_name = 'PostgreSQL JDBC Driver'),
    q(select set_config('search_path', 'tenant, public', false)), q(select set_config('jit', 'off', false)),
    q(set session characteristics as transaction isolation level read committed), q(set search_path to "$user", public),
    q(show search_path), q(show transaction isolation level), q(set statement_timeout = '30s'), q(set lock_timeout to 5000),
    q(begin), q(set local role clerk), q(select set_config('my.user_id', '42', true)), q(select current_user::text, current_setting('my.user_id')),
    q(commit), q(discard all),
    # each kind, in each kind of transaction
    map({ my $set = $_; ($set, ['begin', $set, 'commit'], ['begin', $set, 'rollback'], ['begin', 'savepoint s', $set, 'rollback to s', 'commit'],
        ['begin', 'savepoint s', $set, 'release s', 'commit'], ['begin', $set, 'select 1/0', 'rollback']) }
        q(set work_mem = '5MB'), q(set my.tenant = 'a''b'), q(set search_path = tenant, "Odd ""one"""), q(set timezone = 'Asia/Tokyo'),
        q(set datestyle = 'German'), q(set session my.user_id to 7), q(select set_config('random_page_cost', '1.5', false)),
        q(select set_config('my.' || 'tenant', 'dyna' || 'mic', false)), q(set default_transaction_read_only = on),
        q(set default_transaction_read_only = off), q(reset work_mem), q(reset my.tenant), q(set enable_seqscan = off), q(reset all),
        q(set session characteristics as transaction isolation level serializable), q(reset default_transaction_isolation),
        q(create temp table if not exists tt(a int)), q(drop table if exists tt), q(select pg_advisory_lock(7)), q(select pg_advisory_unlock_all()),
        q(set role clerk), q(reset role)),
    q(declare held cursor with hold for select generate_series(1, 5)), q(fetch 2 from held), q(fetch 2 from held), q(close held),
    q(create temp table counted(a serial)), q(insert into counted default values), q(insert into counted default values), q(table counted),
    q(drop table counted), q(set work_mem = '1MB'; set work_mem = '2MB'; select 1/0; set work_mem = '3MB'),
    q(set work_mem = '1MB'; set my.tenant = 'multi'; show work_mem), q(begin; set my.tenant = 'inside'; commit; show my.tenant),
    q(do $$ begin perform set_config('lock_timeout', '77s', false); end $$), q(select set_config('nothing.like_that', null, false)),
    q(set no_such_setting = 1), q(set work_mem = 'much'), q(set timezone to local), q(set names 'LATIN1'), q(set names 'UTF8'),
    q(set xml option document), q(set constraints all deferred), q(discard plans), q(discard temp), q(discard all));

# Flat, with a look after each transaction.
my @flat = map { ((ref($_) ? @$_ : $_), $show, $objects) } @script;
cmp_ok(scalar(@script), '>', 150, 'a script of some hundred statements');

sub psql
{
    my ($port, @more) = @_;
    my ($out, $err) = ('', '');
    my $text = join("\n", map { /^(begin|commit|savepoint)/ || /;$/ ? "$_;" : "$_;" } @flat) . "\n";
    IPC::Run::run(['psql', '-X', '-h', '127.0.0.1', '-p', $port, '-U', 'app', '-d', 'app', '-A', '-v', 'VERBOSITY=sqlstate', @more], '<', \$text,
        '>', \$out, '2>&1', IPC::Run::timeout(120 * Howdah::slowness()));
    return $out;
}

sub first_difference
{
    my ($got, $expected) = map { [split(/\n/, $_[$_])] } 0, 1;
    for my $i (0 .. ($#$got > $#$expected ? $#$got : $#$expected)) {
        return "line $i: " . ($got->[$i] // 'nothing') . ' instead of ' . ($expected->[$i] // 'nothing')
            if ($got->[$i] // '') ne ($expected->[$i] // '');
    }
    return 'none';
}

sub same
{
    my ($what, $run) = @_;
    my $expected = $run->($node->port);
    my $got = $run->($h->port);
    cmp_ok(length($expected), '>', 1000, "$what: there is something to compare");
    is(first_difference($got, $expected), 'none', "$what: through the pool as directly");
    is(first_difference($run->($h->port), $expected), 'none', '... and once more, on servers that were used');
    $h->poll_until(sub { @{$h->show('PINS')} == 0 }, 'no pins are left');
    is(scalar(@{$h->show('PINS')}), 0, '... no server is kept');
    return;
}

same('psql', \&psql);
my %seen;
$seen{$others[0]->value('select pg_backend_pid()')} = 1 for 1 .. 8;
is(scalar(keys %seen), 4, 'four servers were taken in turn');

same('psycopg 3', sub {
    my ($port) = @_;
    my ($out, $err) = ('', '');
    my $text = join('', map { "$_\n" } grep { !/;/ } @flat);
    IPC::Run::run(['/usr/bin/python3', $session, '127.0.0.1', $port, 'app', 'app'], '<', \$text, '>', \$out, '2>', \$err,
        IPC::Run::timeout(120 * Howdah::slowness())) or diag($err);
    return $out;
}) if IPC::Run::run(['/usr/bin/python3', '-c', 'import psycopg'], '2>', \my $none);

# pgbench -M prepared: each client has settings of its own, and looks for them in every transaction.

my $script = "$ENV{TESTDIR}/session.sql";
Howdah::spew($script, <<'EOS');
set my.client = :client_id
select set_config('work_mem', (1000 + :client_id)::text, false);
select current_setting('my.client')::int = :client_id and current_setting('work_mem') = (1000 + :client_id)::text || 'kB' as own \gset
\if :own
begin;
set local work_mem = 4321;
select current_setting('work_mem') = '4321kB' as own \gset
commit;
\endif
\if :own
select current_setting('work_mem') = (1000 + :client_id)::text || 'kB' as own \gset
\endif
\if :own
select 1;
\else
select 1 / 0;
\endif
EOS
Howdah::spew($script, Howdah::slurp($script) =~ s/^set my.client = :client_id$/select set_config('my.client', (:client_id)::text, false);/mr);
# With more clients than servers pgbench stands in its own way where it prepares: it waits for one of them alone.
for my $protocol ('simple', 'extended', 'prepared') {
    my $clients = $protocol eq 'prepared' ? 4 : 12;
    my ($out, $err) = ('', '');
    my $good = IPC::Run::run(['pgbench', '-n', '-h', '127.0.0.1', '-p', $h->port, '-U', 'app', '-M', $protocol, '-c', $clients, '-j', 2, '-t', 60,
            '-f', $script, 'app'], '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(120 * Howdah::slowness()));
    ok($good && $out =~ m{actually processed: (\d+)/\1$}m, "pgbench -M $protocol: $clients clients on four servers, each with its own settings")
        or diag($out . $err);
}

Howdah->finish;
