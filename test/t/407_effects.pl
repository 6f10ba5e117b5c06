# Roles that cannot be taken any more, settings that a server refuses, transactions in two phases, portals, plans that
# are stale: what a client does to its session follows it, and nothing runs as somebody else.

use strict;
use warnings;

use Howdah;
use Sessions;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not follow sessions' if Howdah->is_pgbouncer;

my $node = Howdah->node('main', conf => 'max_prepared_transactions = 5');
$node->safe_psql('app', q{
    create role boss login superuser; create role clerk; create role fleeting; grant clerk, fleeting to app;
    create table done(who text, search text); grant all on done to public; grant all on schema public to public;
    create schema mine; grant all on schema mine to public});

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, workers => 2, settings => {pool_mode => 'transaction', default_pool_size => 2, pin_max_percent => 100,
        query_wait_timeout => 10, query_wait_notify => 0, %settings})->start;
}
sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app', @_); }

# Lets it have another server than the one that it had.
sub elsewhere
{
    my ($h, $c, $act) = @_;
    my ($other, $pid) = (client($h), $c->value('select pg_backend_pid()'));
    $other->rows('begin');
    for (1 .. 10) {
        last if $other->value('select pg_backend_pid()') == $pid;
        $other->rows('rollback');
        my $third = client($h);
        $third->rows('begin');
        $other->rows('begin');
        $third->rows('rollback');
        leave($third);
    }
    my @answer = $act->();
    $other->rows('rollback');
    leave($other);
    return wantarray ? @answer : $answer[0];
}

# Roles follow as they are set, whatever becomes of the transaction

my $h = start(session_role => 'carry');
my ($c, $d) = (client($h), direct());
my $who = q(select concat_ws(' ', session_user, current_user, current_setting('role')));
for my $sql ('set role clerk', 'begin; set role none; rollback', 'begin; set local role none; commit', 'begin; savepoint s; set role none; rollback to s; commit',
    'begin; set local role fleeting; select 1; rollback', 'begin; set role fleeting; savepoint s; set role none; rollback to s; commit', 'set role clerk; select 1/0',
    q(select set_config('role', 'clerk', false)), q(select set_config('role', 'fleeting', true)), 'reset all', 'reset session authorization', 'set session authorization app',
    'set session authorization default', 'set role nobody_such', 'set role boss', 'reset role', 'set session authorization boss', 'begin; set role clerk; commit',
    'set role none', 'set role "clerk"; set work_mem = 100', 'discard all', q(do $$ begin set role clerk; end $$), q(alter role app set role = 'clerk'), 'discard all',
    'alter role app reset role', 'set local role clerk') {
    my @seen = map {
        eval { $_->rows($sql) };
        eval { $_->rows('rollback') };
        $_;
    } $c, $d;
    my ($expected, $got) = ($d->value($who), $c->value($who));
    is($got, $expected, "$sql: as without a proxy");
    is(elsewhere($h, $c, sub { $c->value($who) }), $expected, '... on another server, too');
    my $other = client($h);
    is($other->value('select current_user::text'), 'app', '... nobody else has it');
    leave($other);
}
$h->stop;
$node->safe_psql('postgres', 'alter role app reset role');

# A role that cannot be taken any more: nothing runs as another

for my $case (['a role that is gone', 'drop role fleeting', 'create role fleeting; grant fleeting to app'], ['a role that is not granted any more', 'revoke fleeting from app', 'grant fleeting to app']) {
    my ($name, $sql, $restore) = @$case;
    for my $how ('simple', 'extended', 'pipeline') {
        $h = start(session_role => 'carry');
        ($c, my $third) = (client($h), client($h));
        $c->rows('set role fleeting');
        $node->safe_psql('app', $sql);
        $node->safe_psql('app', 'truncate done');
        my @answer = elsewhere($h, $c, sub {
            my $insert = q(insert into done values (current_user));
            $c->send($how eq 'simple' ? Wire::query($insert)
                : $how eq 'extended' ? (Wire::parse('', $insert), Wire::bind('', '', []), Wire::execute(''), Wire::sync())
                : (map { Wire::query($insert) } 1 .. 3));
            return $c->recv_all(10);
        });
        my $error = Wire::first_error(@answer);
        like($error->{C} . ' ' . $error->{M}, qr/^(22023 role "fleeting" does not exist|42501 permission denied to set role "fleeting"|22023 invalid value for parameter "role")/,
            "$name, $how: an error that says so");
        is($error->{S}, 'FATAL', '... which is the end');
        is($node->safe_psql('app', 'select count(*) from done'), '0', '... and nothing was run as somebody else');
        is($third->value('select current_user::text'), 'app', '... others go on');
        $node->safe_psql('app', $restore);
        $h->stop;
    }
}

# A setting that is refused: nothing runs without it

for my $case (['track'], ['strict']) {
    $h = start(session_state => $case->[0]);
    $c = client($h);
    $node->safe_psql('app', 'grant set on parameter log_min_duration_statement to app');
    $c->rows(q(set log_min_duration_statement = '1h'));
    my @answer = elsewhere($h, $c, sub {
        $node->safe_psql('app', q(revoke set on parameter log_min_duration_statement from app; truncate done));
        $c->send(Wire::query('insert into done values (current_user)'));
        return $c->recv_all(10);
    });
    is(code(@answer), '42501', "$case->[0]: a setting that a server refuses is an error");
    is($node->safe_psql('app', 'select count(*) from done'), '0', '... and nothing was run without it');
    $node->safe_psql('app', 'grant set on parameter log_min_duration_statement to app');
    is(client($h)->value('select 1'), '1', '... others go on');
    $h->stop;
}

# A name that is reserved where a library was loaded

$h = start();
$c = client($h);
$c->rows('set plpgsql.mine = 1');
is(setting($c, 'plpgsql.mine'), '1', 'a name that a library reserves, before it is loaded');
my $loader = client($h);
my @answer = elsewhere($h, $c, sub { $loader->rows('do $$ begin end $$'); $c->send(Wire::query('select 1')); return $c->recv_until('ZE'); });
like(Wire::types(@answer), qr/^(TDCZ|E)$/, '... is carried, or refused: ' . code(@answer));
is(client($h)->value('select 1'), '1', '... others go on');
$h->stop;

# Two phases

$h = start();
($c, my $other) = (client($h), client($h));
$c->rows(q(begin; set work_mem = '7MB'; insert into done values ('two'); prepare transaction 'one'));
is(elsewhere($h, $c, sub { setting($c, 'work_mem') }), '7MB', 'PREPARE TRANSACTION: a setting is kept, as by PostgreSQL');
is(setting($other, 'work_mem'), '4MB', '... by its client');
pins_are($h, '', '... and no server for it');
$other->rows(q(commit prepared 'one'));
is(setting($c, 'work_mem'), '7MB', 'COMMIT PREPARED, by another client');
is(setting($other, 'work_mem'), '4MB', '... does nothing to settings');
for my $case (['create temp table two(a int)', '0A000', ''], ['listen two', '0A000', ''], ['select pg_advisory_lock(2)', '', 'advisory'],
    ['declare two cursor with hold for select 1', '0A000', ''], [q(set role clerk), '', 'role'], ['set local work_mem = 99', '', '']) {
    my ($sql, $code, $pins) = @$case;
    $c->rows("begin; $sql");
    is(code($c->send(Wire::query(q(prepare transaction 'one')))->recv_until('Z')), $code, "$sql: PREPARE TRANSACTION " . ($code || 'works'));
    $c->rows('rollback');
    pins_are($h, $pins, '... pins: ' . ($pins || 'none'));
    $c->rows(q(rollback prepared 'one')) if $code eq '';
    $c->rows('select pg_advisory_unlock_all(); reset role');
    pins_are($h, '', '... none afterwards');
}
is(setting($c, 'work_mem'), '7MB', '... the setting is still there');
$h->stop;

# Portals: what is done row by row

sub answers { my ($c, @messages) = @_; return Wire::types($c->send(@messages)->recv_until('Z')); }
$h = start();
($c, $other) = (client($h), client($h));
my $rows = q(select set_config('work_mem', m || 'MB', false) from generate_series(5, 8) m);
is(answers($c, Wire::parse('', $rows), Wire::bind('', '', []), Wire::execute('', 2), Wire::sync()), '12DDsZ', 'two of four rows');
is(setting($c, 'work_mem'), '6MB', '... the second is what counts');
is(setting($other, 'work_mem'), '4MB', '... for its client');
is(answers($c, Wire::parse('', $rows), Wire::bind('', '', []), Wire::execute('', 1), Wire::execute('', 2), Wire::close_object('P', ''), Wire::sync()), '12DsDDs3Z',
    'a portal that is closed early');
is(setting($c, 'work_mem'), '7MB', '... the third');
$c->send(Wire::parse('', $rows), Wire::bind('p', '', []), Wire::execute('p', 1), Wire::flush())->recv_until('s');
pins_are($h, '', '... Flush only');
$c->send(Wire::execute('p', 3), Wire::flush())->recv_until('sC');
$c->send(Wire::sync())->recv_until('Z');
is(elsewhere($h, $c, sub { setting($c, 'work_mem') }), '8MB', '... and more of it later: the last');
$c->rows('begin');
is(answers($c, Wire::parse('', $rows), Wire::bind('q', '', []), Wire::execute('q', 1), Wire::sync()), '12DsZ', 'in a transaction');
$c->rows('savepoint s');
is(answers($c, Wire::execute('q', 2), Wire::sync()), 'DDsZ', '... over several batches');
$c->rows('rollback to s');
$c->rows('commit');
is(elsewhere($h, $c, sub { setting($c, 'work_mem') }), setting($c, 'work_mem'), '... with a savepoint: what PostgreSQL says');
$c->send(Wire::parse('', $rows), Wire::bind('', '', []), Wire::execute('', 1), Wire::flush())->recv_until('s');
$c->close;
is(setting($other, 'work_mem'), '4MB', 'who leaves in the middle leaves nothing');
is(setting(client($h), 'work_mem'), '4MB', '... to nobody') for 1 .. 3;
$c = client($h);
my $locks = q(select pg_advisory_lock(m) from generate_series(1, 3) m);
is(answers($c, Wire::parse('', $locks), Wire::bind('', '', []), Wire::execute('', 2), Wire::sync()), '12DDsZ', 'locks, row by row');
pins_are($h, 'advisory', '... keep the server');
is(answers($c, Wire::parse('', 'select pg_advisory_unlock(m) from generate_series(1, 2) m'), Wire::bind('', '', []), Wire::execute('', 1), Wire::sync()), '12DsZ', '... one is given up');
pins_are($h, 'advisory', '... which is not all');
is($c->value(q(select count(*) from pg_locks where locktype = 'advisory')), '1', '... one is left');
leave($c);
pins_are($h, '', '... until it leaves');
$c = client($h);
$c->send(Wire::parse('', q(select set_config('work_mem', (m || case when m > 6 then 'bad' else 'MB' end), false) from generate_series(5, 8) m)), Wire::bind('', '', []),
    Wire::execute('', 0), Wire::parse('', 'select 1'), Wire::sync());
is(code($c->recv_until('Z')), '22023', 'a row that fails');
is(setting($c, 'work_mem'), '4MB', '... takes all back');
leave($_) for $c, $other;
$h->stop;

# A plan that is stale, of a statement that does something to the session

$h = start(default_pool_size => 1);
$node->safe_psql('app', 'create table plan(a int, b text); grant all on plan to app; insert into plan values (5, $$x$$)');
($c, $other) = (client($h), client($h));
my $stale = q(select p.*, set_config('work_mem', a || 'MB', false), pg_advisory_lock(a) from plan p);
$c->send(Wire::parse('s', $stale), Wire::sync())->recv_until('Z');
my @run = (Wire::bind('', 's', []), Wire::describe('P', ''), Wire::execute(''), Wire::sync());
is(answers($c, @run), '2TDCZ', 'a statement that sets and locks');
pins_are($h, 'advisory', '... keeps its server');
$node->safe_psql('app', 'alter table plan add c int; update plan set a = 6');
is(answers($c, @run), '12TDCZ' =~ s/^1//r, '... is run once more when its plan is stale');
is(setting($c, 'work_mem'), '6MB', '... with its effect');
is($c->value(q(select string_agg(objid::text, ' ' order by objid) from pg_locks where locktype = 'advisory')), '5 6', '... which it has once');
is($c->value('select pg_advisory_unlock(5)') . $c->value('select pg_advisory_unlock(6)'), 'tt', '... ');
is($c->value('select pg_advisory_unlock(6)'), 'f', '... ');
pins_are($h, '', '... and keeps nothing');
is(setting($other, 'work_mem'), '4MB', '... nobody else has it');
$node->safe_psql('app', 'alter table plan add d int; update plan set a = 7');
is(answers($c, @run), '2TDCZ', 'stale again, with settings in front');
is(setting($c, 'work_mem'), '7MB', '... with its effect');
$c->rows('select pg_advisory_unlock_all()');
$h->stop;

# A cancel request that comes late meets our question

$h = start(default_pool_size => 1);
for my $how ('cancel request', 'pg_cancel_backend()') {
    ($c, my $lock) = (client($h), Wire->tcp('127.0.0.1', $node->port)->login(user => 'boss', database => 'app'));
    my $blocked = q(select coalesce(max(pid), 0) from pg_stat_activity where wait_event_type = 'Lock');
    $lock->rows('begin; lock table pg_catalog.pg_depend in access exclusive mode');
    $c->rows(q(do $$ begin perform set_config('work_mem', '7MB', false), pg_advisory_lock(7); end $$));
    my $pid = $h->poll_until(sub { $lock->value($blocked) }, 'the question waits');
    if ($how eq 'cancel request') {
        Wire->to($h)->raw(Wire::cancel(@{$c->key}))->recv_all;
    } else {
        $lock->value("select pg_cancel_backend($pid)");
        $h->poll_until(sub { $lock->value($blocked) }, 'it waits again');
    }
    $lock->rows('commit');
    pins_are($h, 'advisory', "$how while a server is asked: the answer comes all the same");
    is($c->value('show work_mem'), '7MB', '... the session is as it was');
    $c->rows('select pg_advisory_unlock_all()');
    pins_are($h, '', '... and keeps nothing longer than it must');
    is(setting(client($h), 'work_mem'), '4MB', '... nor leaves it to others');
    leave($c);
}
$h->stop;

# Who begins with a role

$h = start(default_pool_size => 2);
for my $how ('pin', 'carry') {
    $h->reconfigure(settings => {session_role => $how})->reload;
    $c = client($h, options => '-c role=clerk');
    is($c->value('select current_user::text'), 'clerk', "session_role = $how: a role of the login");
    $c->rows('do $$ begin end $$');
    pins_are($h, '', '... keeps no server');
    is(elsewhere($h, $c, sub { $c->value('select current_user::text') }), 'clerk', '... and follows');
    $c->rows('set role none');
    pins_are($h, '', '... nor does its end');
    is(elsewhere($h, $c, sub { $c->value('select current_user::text') }), 'app', '... which follows, too');
    $c->rows('reset role');
    pins_are($h, '', '... RESET goes back to it');
    is(elsewhere($h, $c, sub { $c->value('select current_user::text') }), 'clerk', '... for good');
    is(client($h)->value('select current_user::text'), 'app', '... nobody else has it');
    $c->rows('set role fleeting');
    pins_are($h, $how eq 'pin' ? 'role' : '', '... another role');
    $c->rows('discard all');
    pins_are($h, '', '... until DISCARD ALL');
    is($c->value('select current_user::text'), 'clerk', '... ');
    leave($c);
}
$h->stop;

# What is asked and sent of our own does not count

for my $state ('track', 'off') {
    $h = start(default_pool_size => 2, session_state => $state, workers => 1, stats_period => 60);
    ($c, $other) = (client($h, application_name => 'x', $state eq 'track' ? (work_mem => '3MB') : ()), client($h));
    my $count = sub { my ($row) = grep { $_->{database} eq 'app' } @{$h->show('STATS_TOTALS')}; return "$row->{xact_count} $row->{query_count}"; };
    my $before = $count->();
    $c->rows($_) for q(set work_mem = '7MB'), q(select set_config('my.x', 'y', false)), 'select 1', 'reset work_mem', 'begin; select 1', 'set work_mem = 77', 'commit';
    $other->rows('select 1');
    $c->rows('create temp table counted(a int)');
    $c->rows('drop table counted') ;
    $c->send(Wire::parse('', 'select currval($$x$$)'), Wire::bind('', '', []), Wire::execute(''), Wire::sync())->recv_until('Z');
    $other->rows('do $$ begin end $$');
    leave($c);
    $other->rows('select 1');
    is($count->(), join(' ', map { (split(/ /, $before))[$_] + (11, 13)[$_] } 0, 1), "$state: only what clients have asked for is counted");
    $h->stop;
}

Howdah->finish;
