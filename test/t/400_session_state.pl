# What a client does to its session: the next client of the same server sees nothing of it, and the client
# itself finds it again, on whatever server, whichever way its transaction ended.  More of LISTEN is in 410_listen.pl.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not follow sessions' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', q{
    create function set_six() returns text language plpgsql as $$
    begin
        perform set_config('work_mem', '5MB', false);
        perform set_config('my.tenant', 'six', false);
        perform set_config('DateStyle', 'German', false);
        create temp table if not exists six(a int);
        perform pg_advisory_lock(6);
        execute 'listen six';
        return 'done';
    end $$;
    create function prepares(name text) returns void language plpgsql as $$
    begin
        execute format('prepare %I as select 1', name);
    end $$;
    create table if not exists kept(a int);
    grant all on kept to public});

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1,
        query_wait_timeout => 10, query_wait_notify => 0, pin_max_percent => 100, %settings})->start;
}
sub client { my ($h, @more) = @_; return Wire->to($h)->login(user => 'app', database => 'app', @more); }

# What there is to be seen of each kind of state, as one text.
my %look = (
    settings => q{select concat_ws('|', current_setting('work_mem'), current_setting('statement_timeout'),
        current_setting('search_path'), coalesce(nullif(current_setting('my.tenant', true), ''), 'none'),
        current_setting('DateStyle'), current_setting('TimeZone'), current_setting('IntervalStyle'),
        current_setting('default_transaction_read_only'))},
    temp => q{select coalesce(string_agg(relname, ',' order by relname), 'none') from pg_class
        where relnamespace = pg_my_temp_schema()},
    lock => q{select coalesce(string_agg(objid::text, ',' order by objid), 'none') from pg_locks
        where locktype = 'advisory' and pid = pg_backend_pid()},
    cursor => q{select coalesce(string_agg(name, ','), 'none') from pg_cursors where is_holdable},
    listen => q{select coalesce(string_agg(c, ','), 'none') from pg_listening_channels() c},
    prepare => q{select coalesce(string_agg(name, ','), 'none') from pg_prepared_statements
        where from_sql and name !~ '^HOWDAH_'},
    role => q{select current_user || ' ' || session_user});

# kind => [statement, what is to be looked at]
my @kinds = (
    ['SET', 'settings', q{set work_mem = '7MB'}],
    ['SET of a reported one', 'settings', q{set timezone = 'Asia/Tokyo'}],
    ['SET of a list', 'settings', q{set search_path = "we ird", public}],
    ['SET of a custom one', 'settings', q{set my.tenant = 'o''brien \ 7'}],
    ['SET SESSION', 'settings', q{set session statement_timeout to '12s'}],
    ['SET SESSION CHARACTERISTICS', 'settings', q{set session characteristics as transaction read only}],
    ['SET TIME ZONE', 'settings', q{set time zone 'Europe/Paris'}],
    ['SET SCHEMA', 'settings', q{set schema 'other'}],
    ['set_config', 'settings', q{select set_config('my.tenant', 'x' || 'y', false)}],
    ['set_config deep inside', 'settings',
        q{select * from (select 1 where exists (select set_config('work_mem', '9MB', false))) s}],
    ['two SETs in one query', 'settings', q{set work_mem = '6MB'; set statement_timeout = '14s'}],
    ['CREATE TEMP TABLE', 'temp', q{create temp table t(a int)}],
    ['CREATE in pg_temp', 'temp', q{create table pg_temp.t2(a int)}],
    ['SELECT INTO TEMP', 'temp', q{select 1 as a into temp t3}],
    ['CREATE TEMP VIEW', 'temp', q{create temp view v as select 1 as a}],
    ['CREATE TEMP SEQUENCE', 'temp', q{create temp sequence s}],
    ['pg_advisory_lock', 'lock', q{select pg_advisory_lock(42)}],
    ['pg_try_advisory_lock_shared', 'lock', q{select pg_try_advisory_lock_shared(43)}],
    ['WITH HOLD', 'cursor', q{declare held cursor with hold for select 1}, 1],
    ['LISTEN', 'listen', q{listen somewhere}],
    ['PREPARE by a function', 'prepare', q{select prepares('p')}]);

my %endings = (
    'alone' => sub { my ($c, $sql) = @_; $c->rows($sql); },
    'committed' => sub { my ($c, $sql) = @_; $c->rows($_) for 'begin', $sql, 'commit'; },
    'rolled back' => sub { my ($c, $sql) = @_; $c->rows($_) for 'begin', $sql, 'rollback'; },
    'rolled back to a savepoint' => sub {
        my ($c, $sql) = @_;
        $c->rows($_) for 'begin', 'savepoint a', $sql, 'rollback to a', 'commit';
    },
    'released' => sub {
        my ($c, $sql) = @_;
        $c->rows($_) for 'begin', 'savepoint a', $sql, 'release a', 'commit';
    },
    'failed' => sub {
        my ($c, $sql) = @_;
        $c->rows('begin'); $c->rows($sql); $c->send(Wire::query('select 1/0'))->recv_until('Z'); $c->rows('rollback');
    },
    'in one query with an error' => sub {
        my ($c, $sql) = @_;
        $c->send(Wire::query("$sql; select 1/0"))->recv_until('Z');
    },
    'in a query that commits by itself' => sub { my ($c, $sql) = @_; $c->rows("begin; $sql; commit"); },
    'by the extended protocol' => sub {
        my ($c, $sql) = @_;
        for my $part (split(/;\s*/, $sql)) {
            $c->send(Wire::parse('', $part), Wire::bind('', '', []), Wire::execute(''), Wire::sync())->recv_until('Z');
        }
    });

my $pinned = sub { my ($h) = @_; return scalar(@{$h->show('PINS')}); };

# Another server hears for it, and its own is free; listens: it would hear on a direct connection.
my $check_listen = sub {
    my ($h, $client, $other, $listens, $what) = @_;
    my $n = sub { return scalar(grep { $_->{state} eq 'listening' } @{$h->show('SERVERS')}); };
    $h->poll_until(sub { $n->() == $listens && !$pinned->($h) }, "$what: its own server is free");
    is($n->(), $listens, "$what: " . ($listens ? 'another server listens' : 'no server listens'));
    return if !$listens;
    is_deeply([$other->rows(q{notify somewhere, 'news'})], [], '... somebody notifies');
    my ($message) = $client->recv_until('A');
    is(join(' ', unpack('x4 Z* Z*', $message->[1])), 'somewhere news', '... it hears that');
};

for my $ending (sort keys %endings) {
    my $h = start();
    my $fresh = client($h);
    my %clean = map { $_ => $fresh->value($look{$_}) } keys %look;
    for my $case (@kinds) {
        my ($name, $kind, $sql) = @$case;
        my $direct = Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app');
        $endings{$ending}->($direct, $sql);
        my $expected = $direct->value($look{$kind});
        $direct->send(Wire::terminate());
        my $a = client($h);
        $endings{$ending}->($a, $sql);
        if ($kind eq 'listen') {
            $check_listen->($h, $a, $fresh, $expected ne $clean{$kind} ? 1 : 0, "$name, $ending");
            $expected = $clean{$kind};
        }
        my $keeps = $kind ne 'settings' && $expected ne $clean{$kind} ? 1 : 0;
        # It has its answer before the server has been asked what it has left.
        $h->poll_until(sub { $pinned->($h) == $keeps }, "$name: pinned or not");
        is($pinned->($h), $keeps, "$name, $ending: " . ($keeps ? 'keeps its server' : 'keeps no server'));
        is($fresh->value($look{$kind}), $clean{$kind}, '... another client sees nothing of it') if !$keeps;
        is($a->value($look{$kind}), $expected, '... it finds what it would find directly');
        $a->send(Wire::terminate());
        $a->recv_all;
        is_deeply({map { $_ => $fresh->value($look{$_}) } keys %look}, \%clean, '... after it nothing is left');
    }
    $h->stop;
}

Howdah->finish;
