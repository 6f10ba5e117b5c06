# Settings follow their client from server to server; what cannot follow keeps its server, for as long as it is
# there, within limits that an admin sets.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not follow sessions' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', q{
    create role clerk; grant clerk to app; create role stranger;
    create table if not exists t(a int); grant all on t to public;
    create function sets_six() returns text language plpgsql as $$
    begin
        perform set_config('work_mem', '5MB', false);
        perform set_config('my.tenant', 'six', false);
        perform set_config('DateStyle', 'German', false);
        create temp table if not exists six(a int);
        perform pg_advisory_lock_shared(6);
        execute 'listen six';
        return 'done';
    end $$;
    create function locks() returns void language sql as 'select pg_advisory_lock_shared(8)';
    create function harmless() returns int language sql as 'select 1'});

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 4,
        query_wait_timeout => 10, query_wait_notify => 0, %settings})->start;
}
sub client { my ($h, @more) = @_; return Wire->to($h)->login(user => 'app', database => 'app', @more); }
sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app', @_); }
sub error { my ($c, $sql) = @_; return Wire::first_error($c->send(Wire::query($sql))->recv_until('Z')); }
sub pins { my ($h) = @_; return join(' ', sort map { $_->{reasons} } @{$h->show('PINS')}); }

# A client has its answer before the server has been asked what it has left.
sub pins_are
{
    my ($h, $expected, $name) = @_;
    my $end = time + 10 * Howdah::slowness();
    select(undef, undef, undef, 0.01) while pins($h) ne $expected && time < $end;
    is(pins($h), $expected, $name);
    return;
}

# Takes servers away, so that a client gets another one each time: the others hold all but one of the pool.
sub elsewhere
{
    my ($c, $holders, $sql) = @_;
    my %seen;
    for my $free (0 .. $#$holders) {
        $holders->[$_]->rows('begin') for grep { $_ != $free } 0 .. $#$holders;
        $seen{$c->value($sql)} = 1;
        $holders->[$_]->rows('commit') for grep { $_ != $free } 0 .. $#$holders;
    }
    return join(' / ', sort keys %seen);
}

# From server to server

my $h = start();
my @holders = map { client($h) } 1 .. 4;
my $c = client($h);
my %values = (work_mem => '7MB', statement_timeout => '12s', search_path => '"we ird", public', 'my.tenant' => "o'brien \\ 7",
    IntervalStyle => 'iso_8601', default_transaction_isolation => 'repeatable read', lock_timeout => '1min',
    'my.empty' => '', 'my.latin' => "\xc3\xa9\xe2\x82\xac", TimeZone => 'Asia/Tokyo', bytea_output => 'escape');
for my $name (sort keys %values) {
    $c->rows("select set_config('$name', \$q\$$values{$name}\$q\$, false)");
}
for my $name (sort keys %values) {
    is(elsewhere($c, \@holders, "show $name"), $values{$name}, "$name follows its client to every server");
}
isnt(elsewhere($c, \@holders, 'select pg_backend_pid()'), $c->value('select pg_backend_pid()'), '... and there are several');
for my $name (sort keys %values) {
    my $default = direct()->value("select coalesce(nullif(current_setting('$name', true), ''), 'none')");
    is(elsewhere($_, [@holders[1 .. 3]], "select coalesce(nullif(current_setting('$name', true), ''), 'none')"), $default,
        "... and is not there for another client: $name") for $holders[0];
}
$c->rows("set my.latin = '\xc3\xa9'");
$c->rows(q(set client_encoding = 'LATIN1'));
is(elsewhere($c, \@holders, 'show my.latin') , "\xe9", 'a value follows in whatever encoding') ;
$c->rows('reset client_encoding');
is(elsewhere($c, \@holders, 'show my.latin'), "\xc3\xa9", '... and is the same afterwards');
$c->rows('begin; set local work_mem = 123456; commit');
is(elsewhere($c, \@holders, 'show work_mem'), '7MB', 'SET LOCAL ends with its transaction');
$c->rows('reset work_mem');
is(elsewhere($c, \@holders, 'show work_mem'), direct()->value('show work_mem'), 'RESET: the default');
is(elsewhere($c, \@holders, 'show statement_timeout'), '12s', '... and no other setting is touched');
$c->rows('begin; reset statement_timeout; rollback');
is(elsewhere($c, \@holders, 'show statement_timeout'), '12s', 'RESET rolled back');
$c->rows('reset all');
is(elsewhere($c, \@holders, 'show statement_timeout'), '0', 'RESET ALL');
is(elsewhere($c, \@holders, 'show lock_timeout'), '0', '... of all of them');
$c->rows(q(set work_mem = '8MB'));
$c->rows('discard all');
is(elsewhere($c, \@holders, 'show work_mem'), direct()->value('show work_mem'), 'DISCARD ALL');
pins_are($h, '', 'nothing of that keeps a server');

# By parameters of a statement

$c->send(Wire::parse('s', 'select set_config($1, $2, $3)'), Wire::sync())->recv_until('Z');
$c->send(Wire::bind('', 's', ['my.bound', 'b', 'false']), Wire::execute(''), Wire::sync())->recv_until('Z');
is(elsewhere($c, \@holders, 'show my.bound'), 'b', 'set_config() with a bound name');
$c->send(Wire::bind('', 's', ['work_mem', '9MB', 'true']), Wire::execute(''), Wire::sync())->recv_until('Z');
is(elsewhere($c, \@holders, 'show work_mem'), direct()->value('show work_mem'), '... and with a bound "local"');
$c->send(Wire::parse('', 'set work_mem = 999'), Wire::sync())->recv_until('Z');
$holders[0]->rows('begin');
$holders[0]->rows('set work_mem = 998');
$c->send(Wire::bind('', '', []), Wire::execute(''), Wire::sync())->recv_until('Z');
$holders[0]->rows('rollback');
is(elsewhere($c, \@holders, 'show work_mem'), '999kB', 'a SET that is parsed in one transaction, and executed in another');

# Next to each other in one packet

$c->send(Wire::query('set work_mem = 1000'), Wire::query('show work_mem'), Wire::query('begin'), Wire::query('set work_mem = 1001'),
    Wire::query('rollback'), Wire::query('show work_mem'));
my @seen = map { Wire::data_row($_->[1]) } grep { $_->[0] eq 'D' } map { $c->recv_until('Z') } 1 .. 6;
is("@seen", '1000kB 1000kB', 'several queries in one packet');
is(elsewhere($c, \@holders, 'show work_mem'), '1000kB', '... leave what they leave');
$h->stop;

# At login

$h = start();
@holders = map { client($h) } 1 .. 4;
$c = client($h, work_mem => '3MB', options => '-c statement_timeout=77s -c my.wish=w', search_path => 'mine');
is(elsewhere($c, \@holders, q(select concat_ws(' ', current_setting('work_mem'), current_setting('statement_timeout'),
    current_setting('my.wish'), current_setting('search_path')))), '3MB 77s w mine', 'any parameter of the login follows');
is(elsewhere($holders[0], [@holders[1 .. 3]], 'show work_mem'), direct()->value('show work_mem'), '... its client and no other');
$c->rows(q(set work_mem = '4MB'));
$c->rows('reset work_mem');
is($c->value('show work_mem'), '3MB', 'RESET goes back to what the login has asked for');
is(elsewhere($c, \@holders, 'show work_mem'), '3MB', '... on every server');
$c->rows(q(set work_mem = '4MB'));
is(join(' ', map { $_->[0] } $c->rows('reset work_mem; show work_mem')) eq '3MB' || $c->value('show work_mem') eq '3MB', 1, '... also in one query with others');
$c->rows(q(begin; set work_mem = '4MB'; set statement_timeout = 1000; commit));
$c->rows('begin');
$c->rows('reset work_mem');
is($c->value('show work_mem'), '3MB', '... and in a transaction');
$c->rows('rollback');
is(elsewhere($c, \@holders, 'show work_mem'), '4MB', '... which may be rolled back');
for my $all ('reset all', 'discard all') {
    $c->rows(q(set work_mem = '4MB'));
    $c->rows($all);
    is(elsewhere($c, \@holders, q(select concat_ws(' ', current_setting('work_mem'), current_setting('statement_timeout'),
        current_setting('my.wish'), current_setting('search_path')))), '3MB 77s w mine', "$all does, too");
}
for my $bad ([work_mem => 'much'], [no_such_setting => '1'], [options => '-c statement_timeout=soon'], [log_statement => 'all'],
    [ignore_system_indexes => 'on']) {
    my $error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', @$bad));
    my $expected = Wire::first_error(Wire->tcp('127.0.0.1', $node->port)->try_login(user => 'app', database => 'app', @$bad));
    $expected->{C} = '55P02' if $bad->[0] eq 'ignore_system_indexes'; # a server takes it at its own start only
    is("$error->{S} $error->{C}", "FATAL $expected->{C}", "@$bad fails the login");
}
is(client($h, work_mem => '3MB')->value('show work_mem'), '3MB', 'the next one is let in');
$h->stop;

# Pins end with what they are for

$h = start(pin_max_percent => 100);
$c = client($h);
for my $case (['create temp table x(a int)', 'drop table x', 'temp'], ['create temp table x(a int)', 'discard temp', 'temp'],
    ['select pg_advisory_lock(1)', 'select pg_advisory_unlock(1)', 'advisory'],
    ['select pg_advisory_lock(2)', 'select pg_advisory_unlock_all()', 'advisory'],
    ['declare k cursor with hold for select 1', 'close k', 'hold_cursor'], ['declare k cursor with hold for select 1', 'close all', 'hold_cursor'],
    ['set role clerk', 'reset role', 'role'], ['set role clerk', 'set role none', 'role'],
    ['set howdah.pin = on', 'set howdah.pin = off', 'requested'],
    ['/* howdah: pin=on */ select 1', 'select 2 -- howdah: pin=off', 'requested'], ['select 1 /* howdah: pin=maybe */', 'select 1', ''], ['create temp table y(a int)', 'discard all', 'temp'],
    ['begin; create temp table z(a int) on commit drop', 'commit', '']) {
    my ($begin, $end, $reason) = @$case;
    $c->rows($begin);
    pins_are($h, $reason, "$begin: " . ($reason || 'no pin'));
    $c->rows($end);
    pins_are($h, '', "... until $end");
}
$c->rows('create temp table x(a int)');
pins_are($h, 'temp', 'a pin');
my ($row) = @{$h->show('PINS')};
is($row->{statement}, 'create temp table x(a int)', 'SHOW PINS tells which statement it was');
is($row->{pid}, $c->value('select pg_backend_pid()'), '... and which server');
my %counts = map { $_->{reason} => $_ } @{$h->show('PIN_COUNTS')};
is("$counts{temp}{now} $counts{temp}{total} $counts{advisory}{now} $counts{advisory}{total}", '1 4 0 2', 'SHOW PIN_COUNTS counts them');
$c->rows('select pg_advisory_lock(3)');
pins_are($h, 'temp,advisory', 'there may be several reasons');
$c->rows('drop table x');
pins_are($h, 'advisory', '... each with an end of its own');
$c->send(Wire::query('begin'))->recv_until('Z');
$c->close;
$h->poll_until(sub { pins($h) eq '' }, 'a client that leaves in a transaction is pinned no more');
is($node->safe_psql('app', q(select count(*) from pg_locks where locktype = 'advisory')), '0', '... and its lock is gone') ;
$h->stop;

# LOAD and setseed() cannot be undone

$h = start(default_pool_size => 1);
$c = client($h);
my $pid = $c->value('select pg_backend_pid()');
$c->rows('select setseed(0.5)');
pins_are($h, 'seed', 'setseed() keeps its server');
is($c->value('select random()'), direct()->value('select random() from (select setseed(0.5)) s'), '... and counts');
$c->send(Wire::terminate());
$c->recv_all;
isnt(client($h)->value('select pg_backend_pid()'), $pid, '... which is closed after it');
$h->stop;

# Of what sequences have given to another client nothing is seen

$h = start(default_pool_size => 1, workers => 1);
$node->safe_psql('app', 'create table numbered(a serial, b int); grant all on numbered, numbered_a_seq to app');
my $inserter = client($h);
for my $protocol ('simple', 'unnamed', 'named') {
    for my $read (q(select lastval()), q(select currval('numbered_a_seq'))) {
        $c = client($h);
        $inserter->rows('insert into numbered(b) values (1)');
        my $ask = $protocol eq 'simple' ? Wire::query($read)
            : join('', Wire::parse($protocol eq 'named' ? 's' : '', $read), Wire::bind('', $protocol eq 'named' ? 's' : '', []), Wire::execute(''), Wire::sync());
        for my $time ('the first time', 'the second time') {
            is(Wire::first_error($c->send($ask)->recv_until('Z'))->{C}, '55000', "$read, $protocol, $time: not that of another client");
            $ask = join('', Wire::bind('', 's', []), Wire::execute(''), Wire::sync()) if $protocol eq 'named';
            $inserter->rows('insert into numbered(b) values (1)');
        }
        $c->rows('begin');
        my $own = $c->value('insert into numbered(b) values (2) returning a');
        is($c->value($read), $own, '... its own in one transaction');
        $c->rows('commit');
    }
}
is(($c->rows('insert into numbered(b) values (3); select lastval()'))[0][0], $c->value('select max(a) from numbered'), '... or in one query');
$h->stop;
$h = start(default_pool_size => 2, session_state => 'strict');
$c = client($h);
my $drawn = $c->value(q(select nextval('numbered_a_seq')));
is($c->value('select lastval()'), $drawn, 'session_state = strict: nextval() keeps its server');
pins_are($h, 'sequence', '... which SHOW PINS tells');
$h->stop;

# Roles

$h = start(session_role => 'carry');
@holders = map { client($h) } 1 .. 4;
$c = client($h);
$c->rows(q(set work_mem = '2MB'));
$c->rows('set role clerk');
is(elsewhere($c, \@holders, 'select current_user::text'), 'clerk', 'session_role = carry: a role follows');
pins_are($h, '', '... without a pin');
is(elsewhere($holders[0], [@holders[1 .. 3]], 'select current_user::text'), 'app', '... and is nobody else\'s');
$c->rows(q(set work_mem = '6MB'));
is(elsewhere($c, \@holders, q(select concat_ws(' ', current_user, current_setting('work_mem')))), 'clerk 6MB', '... with the settings');
$c->rows('reset role');
is(elsewhere($c, \@holders, 'select current_user::text'), 'app', '... until it is reset');
$h->stop;

# Functions

sub six { my ($c) = @_; return $c->value(q{select concat_ws('|', current_setting('work_mem'), coalesce(nullif(current_setting('my.tenant', true), ''), 'none'),
    current_setting('DateStyle'), (select count(*) from pg_class where relnamespace = pg_my_temp_schema()),
    (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), (select count(*) from pg_listening_channels()))}); }
my $clean = six(direct());
for my $how ('probe', 'reset', 'pin') {
    $h = start(function_state => $how, default_pool_size => 2, pin_max_percent => 50);
    $c = client($h);
    my $other = client($h);
    is(six($other), $clean, "function_state = $how: a clean session");
    is($c->value('select sets_six()'), 'done', '... a function does it all');
    is(six($other), $clean, '... and another client sees nothing of it');
    my %pins = (probe => 'temp,advisory', reset => '', pin => 'function');
    pins_are($h, $pins{$how}, '... pins: ' . ($pins{$how} || 'none'));
    my $listeners = grep { $_->{state} eq 'listening' } @{$h->show('SERVERS')};
    is($listeners, $how eq 'probe' ? 1 : 0, $how eq 'probe' ? '... another server listens' : '... no other server listens');
    my $expected = six_of_direct();
    $expected =~ s/\|1\z/|0/ if $how eq 'probe';
    is(six($c), $expected, '... its own client does') if $how ne 'reset';
    if ($how ne 'reset') {
        $other->rows(q{notify six, 'heard'});
        like(($c->recv_until('A'))[0][1], qr/six\0heard/, '... and hears');
    }
    $c->send(Wire::terminate());
    $c->recv_all;
    is(six($other), $clean, '... also when it has gone') for 1 .. 3;
    $h->stop;
}
sub six_of_direct { my $d = direct(); $d->rows('select sets_six()'); return six($d); }
$h = start(default_pool_size => 2);
$c = client($h);
is($c->value('select harmless()'), '1', 'a harmless function');
pins_are($h, '', '... pins nothing');
$c->rows('do $$ begin perform set_config(\'work_mem\', \'5MB\', false); end $$');
is($c->value('show work_mem'), '5MB', 'DO is a function, too');
is(client($h)->value('show work_mem'), direct()->value('show work_mem'), '... of its own client');
$h->stop;

# What is learned of functions

$h = start(default_pool_size => 2, workers => 1);
$c = client($h);
my $log = sub { return scalar(() = Howdah::slurp($node->logfile) =~ /SELECT 't' WHERE EXISTS/g); };
$node->safe_psql('postgres', 'alter system set log_statement = \'all\'');
$node->reload;
$h->poll_until(sub { $c->value('show log_statement') eq 'all' }, 'statements are logged');
my $seen = $log->();
$c->value('select harmless()') for 1 .. 40;
is($log->() - $seen, 20, 'a function that does nothing is asked about twenty times');
$seen = $log->();
$c->rows('select harmless(), sets_six()');
$c->rows(q(drop table six; select pg_advisory_unlock_all(); unlisten *));
$c->value('select harmless()') for 1 .. 3;
ok($log->() > $seen, '... together with another it is, too');
$c->rows('select pg_advisory_lock_shared(7)');
$c->value('select harmless(), locks()') for 1 .. 25;
$c->rows('select pg_advisory_unlock_all()');
my $innocent = client($h);
$innocent->value('select locks()');
pins_are($h, 'advisory', 'who has a lock already teaches nothing of what others take');
$innocent->rows('select pg_advisory_unlock_all()');
$node->safe_psql('postgres', 'alter system reset log_statement');
$node->reload;
$h->stop;

# Not too many

$h = start(default_pool_size => 4, pin_max_percent => 50);
my @clients = map { client($h) } 1 .. 4;
$clients[$_]->rows('select pg_advisory_lock(' . (100 + $_) . ')') for 0, 1;
pins_are($h, 'advisory advisory', 'two of four are pinned');
my $error = error($clients[2], 'create temp table more(a int)');
is("$error->{S} $error->{C}", 'ERROR 53300', 'more than pin_max_percent of a pool are not pinned');
like($error->{M}, qr/too many clients keep a server .*pin_max_percent/, '... and the error says so');
like($error->{H}, qr/SHOW PINS/, '... and where to look');
is($clients[2]->value('select 1'), '1', '... the client stays');
my @messages = $clients[2]->send(Wire::parse('', 'create temp table more(a int)'), Wire::bind('', '', []), Wire::execute(''), Wire::sync())->recv_until('Z');
is(Wire::types(@messages), '1EZ', '... in the extended protocol, too');
is(Wire::first_error(@messages)->{C}, '53300', '... with the same error');
$clients[2]->rows('begin');
is(error($clients[2], 'create temp table more(a int)')->{C}, '53300', '... in a transaction');
is(error($clients[2], 'select 1')->{C}, '25P02', '... which has failed');
$clients[2]->rows('rollback');
$clients[0]->rows('create temp table more(a int)');
pins_are($h, 'advisory temp,advisory', 'who is pinned already may have more reasons');
$clients[1]->rows('select pg_advisory_unlock_all()');
$h->poll_until(sub { @{$h->show('PINS')} == 1 }, 'a pin ends');
$clients[2]->rows('create temp table more(a int)');
pins_are($h, 'temp temp,advisory', 'there is room again when one ends');
$h->stop;

# Not too long

$h = start(pin_idle_timeout => 1);
$c = client($h);
$c->rows('select pg_advisory_lock(1)');
@messages = $c->recv_all;
is(Wire::types(@messages), 'NE', 'pin_idle_timeout: a notice, and the end');
is(Wire::first_error(@messages)->{M}, 'pin_idle_timeout', '... with its name');
$h->stop;

# Not too much

$h = start(default_pool_size => 2);
$c = client($h);
$c->rows("set my.large = '" . ('x' x 9000) . "'");
pins_are($h, 'settings_too_many', 'a value that is too long to be carried');
is(length($c->value('show my.large')), 9000, '... stays where it is');
$c = client($h, user => 'app');
is($c->value(q(select length(current_setting('my.large', true)))) // '0', '0', '... and is nobody else\'s');
$h->stop;

# off, as in PgBouncer

$h = start(session_state => 'off', default_pool_size => 1);
$c = client($h);
$c->rows(q(set work_mem = '7MB'));
is(client($h)->value('show work_mem'), '7MB', 'session_state = off: what one client sets the next one has');
$h->stop;
$h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', session_state => 'off', default_pool_size => 1},
    databases => {app => 'host=127.0.0.1 port=' . $node->port . ' dbname=app session_state=track'})->start;
$c = client($h);
$c->rows(q(set work_mem = '7MB'));
is(client($h)->value('show work_mem'), direct()->value('show work_mem'), '... unless the database says something else');

Howdah->finish;
