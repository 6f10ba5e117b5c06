# Ways to leave something to another client's session, or to lose what is one's own, that no ordinary client tries.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not follow sessions' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', q{
    create role boss login superuser; create role clerk; grant clerk to app; grant all on schema public to app;
    create table numbered(a serial, b int); grant all on numbered, numbered_a_seq to app});

# One server: what is left on it, the next client sees.
sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, workers => 1, settings => {pool_mode => 'transaction', default_pool_size => 1,
        query_wait_timeout => 2, query_wait_notify => 0, %settings})->start;
}
sub client { my ($h, @more) = @_; return Wire->to($h)->login(user => 'app', database => 'app', @more); }
sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app', @_); }
sub setting { my ($c, $name) = @_; return $c->value("select coalesce(nullif(current_setting('$name', true), ''), 'none')"); }

my $h = start();
my ($c, $other) = (client($h), client($h));

# Custom settings that no statement has named

$c->rows(q(select set_config('my.' || 'dynamic', 'left', false)));
is(setting($c, 'my.dynamic'), 'left', 'set_config() with a name that only the server knows keeps the server');
$c->send(Wire::terminate());
$c->recv_all;
$c = client($h);
is(setting($other, 'my.dynamic'), 'none', '... and is nobody else\'s');
$c->rows(q{select set_config(n, v, false) from (values ('work_mem', '11MB'), ('my.row', 'left')) t(n, v)});
is(setting($c, 'work_mem') . setting($c, 'my.row'), '11MBleft', '... of several rows, too');
$c->send(Wire::terminate());
$c->recv_all;
$c = client($h);
is(setting($other, 'work_mem') . setting($other, 'my.row'), '4MBnone', '... which are taken back when their client has left');
$c->send(Wire::function_call(2078, 'my.called', 'left', 'f'))->recv_until('Z');
is(setting($other, 'my.called'), 'none', '... by a function call message');
$c->rows(q(set my.long = 'left'; /* ) . ('x' x 3000000) . '*/');
is(setting($other, 'my.long'), 'none', '... in a text that is too long to be parsed');
$c->rows(q(set work_mem = '7MB'));
$c->rows(q(select set_config('my.' || 'dynamic', 'mine', false)));
is(setting($c, 'work_mem'), '7MB', 'other settings are still its own');
is(setting($c, 'my.dynamic'), 'mine', '... and that one, for it keeps the server');
$c->send(Wire::terminate());
$c->recv_all;
$c = client($h);

# Temporary tables that no statement calls so

sub hidden { return $_[0]->value(q(select count(*) from pg_class where relname = 'hidden' and relnamespace = pg_my_temp_schema())); }
for my $create ('create table hidden(a int)', 'select 1 as a into hidden', 'create view hidden as select 1', 'create sequence hidden') {
    for my $how ('an earlier transaction', 'the login', 'the same transaction') {
        $c = client($h, $how eq 'the login' ? (search_path => 'pg_temp, public') : ());
        $c->rows('set search_path = pg_temp, public') if $how eq 'an earlier transaction';
        $c->rows('begin');
        $c->send(Wire::parse('', 'select set_config($1, $2, false)'), Wire::bind('', '', ['search_path', 'pg_temp']), Wire::execute(''),
            Wire::sync())->recv_until('Z') if $how eq 'the same transaction';
        $c->rows($create);
        $c->rows('commit');
        $h->poll_until(sub { join('', map { $_->{reasons} } @{$h->show('PINS')}) eq 'temp' }, 'it keeps its server');
        is(hidden($c), '1', "$create, search_path of $how: is its client's");
        $c->send(Wire::terminate());
        $c->recv_all;
        $other = client($h);
        is(hidden($other), '0', '... and nobody else\'s');
    }
}

# Texts that mean two things

my $text = q(select '\\'', set_config($$my.string$$, $$left$$, false) --');
$c = client($h);
$c->send(Wire::query('set standard_conforming_strings = off'), Wire::query($text));
$c->recv_until('Z') for 1, 2;
is(setting($other, 'my.string'), 'none', 'backslashes that mean something else since the statement before');
$c->send(Wire::parse('s', $text), Wire::sync())->recv_until('Z');
$c->rows('set standard_conforming_strings = on');
$c->send(Wire::bind('', 's', []), Wire::execute(''), Wire::sync())->recv_until('Z');
is(setting($other, 'my.string'), 'none', '... that meant something else when the statement was prepared');
$c = client($h, client_encoding => 'SJIS');
$c->rows(qq(select E'\x95\x5c', set_config(\$\$my.sjis\$\$, \$\$left\$\$, false), ''));
is(setting($other, 'my.sjis'), 'none', '... that are a part of a character');

# Values and names of any encoding

$c = client($h, client_encoding => 'SJIS');
$other = client($h);
for my $value ("\x95\x5c", "\x95\x5c' x", "\x95\x5cn \$q0\$ \$q1", '\\', '$q0$\\', '\\$q0') {
    $c->rows("set my.sjis = '" . ($value =~ s/'/''/gr) . "'");
    is(setting($other, 'my.sjis'), 'none', 'a value with bytes that are backslashes is not that of others');
    is(setting($c, 'my.sjis'), $value, '... and its client finds it: ' . unpack('H*', $value));
}
$c = client($h, client_encoding => 'LATIN1');
$other->rows("set my.value = '\xc3\xa9'");
$c->rows("set my.\xe9 = 'latin'");
is(setting($other, 'my.value'), "\xc3\xa9", 'a name that is not ASCII is of no harm to others');
is(setting($other, "my.\xc3\xa9"), 'none', '... is not left to them');
is(setting($c, "my.\xe9"), 'latin', '... and its client finds the setting');

# More than fits in a row that is read whole

$c = client($h);
$c->rows('begin');
$c->rows("set my.large$_ = '" . ("\xe2\x82\xac" x 2700) . "'") for 1 .. 20;
$c->rows('commit');
is($c->value('select length(current_setting($$my.large20$$))'), '2700', 'many long values in one transaction');
$c->send(Wire::terminate());
$c->recv_all;
is(setting(client($h), 'my.large20'), 'none', '... are left to nobody');

# More than is asked for

$c = client($h);
$c->rows('begin');
$c->rows(join(';', map { my $n = $_; map { "set my.many${n}_$_ = 'x'" } 1 .. 1000 } $_)) for 1 .. 3;
$c->rows('commit');
$h->poll_until(sub { join('', map { $_->{reasons} } @{$h->show('PINS')}) eq 'settings_too_many' }, 'so many settings keep their server');
is($c->value('select current_setting($$my.many3_1000$$)'), 'x', 'more settings than anybody asks for are its client\'s');
$c->send(Wire::terminate());
$c->recv_all;
is(setting(client($h), 'my.many3_1000'), 'none', '... and nobody else\'s');

# RESET is not the last word

my %wishes = (work_mem => '3MB', DateStyle => 'German', application_name => 'wish', options => '-c my.wish=w');
my ($c2, $d) = (client($h, %wishes), direct(%wishes));
for my $sql ('reset %s; select 1/0', "reset %s; set %s = '%v'", 'begin; savepoint s; reset %s; rollback to s; commit', 'begin; reset %s; commit',
    "begin; set %s = '%v'; reset %s; rollback", "reset all; set %s = '%v'", "set %s = '%v'; reset all", 'reset all', 'discard all') {
    for my $case (['work_mem', '4MB', '9MB'], ['DateStyle', 'SQL, DMY', 'ISO, YMD'], ['application_name', 'x', 'y'], ['my.wish', 'x', 'y']) {
        my ($name, $first, $second) = @$case;
        my $text = $sql =~ s/%s/$name/gr =~ s/%v/$second/gr;
        my @values = map {
            $_->rows("set $name = '$first'");
            eval { $_->rows($text) };
            $_->value("show $name");
        } $c2, $d;
        is($values[0], $values[1], "$text: as without a proxy");
    }
}

$h->stop;

# Not too many

$h = start(default_pool_size => 4, pin_max_percent => 50);
my @clients = map { client($h) } 1 .. 3;
$_->rows('set role clerk') for @clients[0, 1];
$h->poll_until(sub { @{$h->show('PINS')} == 2 }, 'two of four are pinned');
is(Wire::first_error($clients[2]->send(Wire::query('set role clerk'))->recv_until('Z'))->{C}, '53300', 'SET ROLE, too, keeps no more servers than allowed');
$clients[2]->rows($_) for 'reset role', 'reset session authorization';
is($clients[2]->value('select current_user::text'), 'app', '... what ends one is always allowed');
$h->stop;

# Who leaves while his settings are on their way

$h = start();
my $default = direct()->value('show work_mem');
my %seen;
for my $round (1 .. 50) {
    $c = client($h, work_mem => '3MB', options => '-c my.wish=w');
    $c->raw($round % 2 ? Wire::query('select 1') : substr(Wire::query('select ' . ('x' x 20000)), 0, 17000));
    $c->close;
    $other = client($h);
    $seen{$other->value('show work_mem') . ' ' . setting($other, 'my.wish')} = 1;
    $other->close;
}
is(join(', ', sort keys %seen), "$default none", 'settings of a client that leaves while they are set are not left to the next one');
$h->stop;

# While the server is asked

sub asked_and_blocked
{
    my ($ask, $act) = @_;
    my $lock = Wire->tcp('127.0.0.1', $node->port)->login(user => 'boss', database => 'app');
    $lock->rows('begin; lock table pg_catalog.pg_depend in access exclusive mode');
    $ask->rows('do $$ begin end $$');
    $h->poll_until(sub { $lock->value(q(select count(*) from pg_stat_activity where wait_event_type = 'Lock')) }, 'the question waits');
    $act->();
    $lock->rows('commit');
    return;
}

$h = start(default_pool_size => 2);
$c = client($h);
$c->rows('listen news');
asked_and_blocked($c, sub { direct()->rows(q(notify news, 'told')) });
like($c->recv(10)->[1], qr/news.told/, 'a notification that comes while the server is asked is not lost');
$h->stop;

$h = start(default_pool_size => 2, query_timeout => 1);
$c = client($h);
asked_and_blocked($c, sub {
    my @messages = eval { $c->send(Wire::query('select 1'))->recv_until('EZ', 10) };
    is(eval { Wire::first_error(@messages)->{C} }, '57014', 'query_timeout: also if the question takes too long');
});
$c = client($h);
$c->rows('select pg_advisory_lock(1)');
$c->rows('select 1');
sleep 2;
is($c->value('select 2'), '2', '... and no longer than it takes');
$h->stop;

# Numbers that others have drawn, the first time that anybody of the pool asks, in the middle of a transaction

sub failed { my ($client, $sql) = @_; return Wire::first_error($client->send(Wire::query($sql))->recv_until('Z')) // {C => 'none'}; }

$h = start();
my $currval = q(select currval('numbered_a_seq'));
my $inserter = client($h);
$inserter->rows('insert into numbered(b) values (1)');
$other = client($h);
$other->rows('begin');
is(failed($other, $currval)->{C}, '40001', 'currval() in a transaction that had begun before anybody used it: not what another has drawn');
is(failed($other, 'select 1')->{C}, '25P02', '... and the transaction has failed');
$other->rows('rollback');
$other->rows($_) for 'begin', 'insert into numbered(b) values (2)';
my $drawn = $other->value('select max(a) from numbered');
is($other->value($currval), $drawn, '... which goes through when it is run again');
is($other->value('select lastval()'), $drawn, '... with lastval(), too');
$other->rows('commit');
$inserter->rows('begin');
is(failed($inserter, $currval)->{C}, '55000', 'what has not been drawn in the transaction is an error of PostgreSQL');
$inserter->rows('rollback');
$inserter->rows("begin");
$inserter->send(Wire::parse("", $currval), Wire::bind("", ""), Wire::execute(""), Wire::sync());
is(Wire::first_error($inserter->recv_until('Z'))->{C}, '55000', '... by a batch of messages');
$inserter->rows('rollback');
$_->close for $inserter, $other;
$h->stop;

$h = start();
$c = client($h);
$c->rows($_) for 'begin', 'insert into numbered(b) values (3)';
is($c->value($currval), $c->value('select max(a) from numbered'), 'a server that nobody else has had needs no second try');
$c->rows('commit');
$c->close;
$h->stop;

# What keeps a server is looked at again

sub pins { my ($what) = @_; return $h->poll_until(sub { join(' ', map { $_->{reasons} } @{$h->show('PINS')}) eq $what }, "pins: '$what'"); }

$node->safe_psql('app', q{create function lets_go() returns void language sql as 'select pg_advisory_unlock_all()'});
$h = start(default_pool_size => 3, function_state => 'trust');
$c = client($h);
$c->send(Wire::query(q(set data_directory = 'x')))->recv_until('Z');
is($c->value('select 1'), '1', 'after SET of a setting that may not be read');
is(scalar @{$h->show('PINS')}, 0, '... no server is kept');
$c->rows(q(set work_mem = '5MB'; set my.own = 'mine'));
is(failed($c, q(set data_directory = 'x'))->{C}, '55P02', '... by one that has set others');
is(setting($c, 'work_mem') . setting($c, 'my.own'), '5MBmine', '... which are still its own');
$c->rows("set my.long = '" . ('x' x 9000) . "'");
ok(pins('settings_too_many'), 'a long setting keeps its server');
$c->rows('begin; reset all; rollback');
is(length setting($c, 'my.long'), 9000, '... also when RESET ALL was rolled back');
ok(pins('settings_too_many'), '... as it was');
$c->rows('discard all');
ok(pins(''), 'DISCARD ALL ends that');
for my $n (1 .. 70) { $c->rows("set my.pile$n = 1"); $c->rows('reset all'); }
ok(pins(''), 'custom settings that were reset do not count');
$c->rows('select pg_advisory_lock(7)');
ok(pins('advisory'), 'an advisory lock keeps its server');
$c->rows('select lets_go()');
ok($h->poll_until(sub { $c->rows('select 1'); return !@{$h->show('PINS')}; }, 'unpinned'), '... and its end by a function is found');
$c->close;

# What asks for a pin in its own words is held to pin_max_percent as well

$h->reconfigure(settings => {pin_max_percent => 30});
$h->reload;
my ($holder, $late) = (client($h), client($h));
$holder->rows('set howdah.pin = on');
ok(pins('requested'), 'one of three servers is kept');
is(failed($late, 'set howdah.pin = on')->{C}, '53300', 'SET howdah.pin beyond pin_max_percent');
is(failed($late, '/* howdah: pin=on */ select 1')->{C}, '53300', '... and a comment');
is(failed($late, q(select set_config('my.' || 'x', '1', false)))->{C}, '53300', '... and set_config() with a computed name');
is($late->value('select 1'), '1', '... and its client goes on');
$holder->rows('set howdah.pin = off');
ok(pins(''), 'when the other one lets go');
$late->rows('set howdah.pin = on');
ok(pins('requested'), '... there is room');
$_->close for $holder, $late;
$h->stop;

Howdah->finish;
