# RELOAD with other settings for session state, while clients keep servers, carry settings, and are at work: nothing
# is left to others, or lost in silence.

use strict;
use warnings;

use Howdah;
use Sessions;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not follow sessions' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', q{create role clerk; grant clerk to app; grant all on schema public to app});

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, workers => 2, settings => {pool_mode => 'transaction', default_pool_size => 1, pin_max_percent => 100,
        query_wait_timeout => 10, query_wait_notify => 0, server_fast_close => 0, %settings})->start;
}

# The workers have it when a client of each would.
sub set
{
    my ($h, %settings) = @_;
    $h->reconfigure(settings => \%settings)->reload;
    $h->console_try('SHOW CLIENTS');    # behind the reload, on every worker
    return;
}

# What is left of somebody to a client that comes now.
sub state
{
    my ($c) = @_;
    return $c->value(q{select concat_ws(' ', current_setting('work_mem'), coalesce(nullif(current_setting('my.own', true), ''), 'none'),
        (select count(*) from pg_class where relnamespace = pg_my_temp_schema()),
        (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), current_user)});
}
my $clean = '4MB none 0 0 app';
my %modes = (session => {pool_mode => 'session'}, off => {pool_mode => 'transaction', session_state => 'off'},
    track => {pool_mode => 'transaction', session_state => 'track'}, strict => {pool_mode => 'transaction', session_state => 'strict'},
    statement => {pool_mode => 'statement', session_state => 'track'});

# Settings that are carried, and set meanwhile, from each mode to each

for my $from (sort keys %modes) {
    for my $to (sort keys %modes) {
        next if $from eq $to || $to eq 'off';
        my $h = start(%{$modes{$from}});
        my $c = client($h);
        $c->rows(q(set work_mem = '7MB'; select set_config('my.own', 'x', false)));
        $c->rows('select pg_advisory_lock(1)') if $from ne 'off';
        set($h, %{$modes{$to}});
        my $now = state($c);
        is($now, '7MB x 0 1 app', "$from to $to: the client has what it had") if $from ne 'off';
        $c->rows('select pg_advisory_unlock_all()');
        my $doubt = $from eq 'session' && $to eq 'strict';
        pins_are($h, $doubt ? 'unknown' : '', $doubt ? '... strict keeps what is in doubt' : '... a pin can end');
        leave($c) if $to eq 'session' || $doubt;
        my $other = client($h);
        is(state($other), $clean, "$from to $to: another client has nothing of it");
        leave($other) if $to eq 'session';
        if ($to ne 'session' && !$doubt) {
            is(setting($c, 'work_mem'), $from eq 'off' ? '4MB' : '7MB', "$from to $to: its setting follows");
            leave($c);
            is(state(client($h)), $clean, '... and ends with it');
        }
        $h->stop;
    }
}

# There and back again

for my $first ('track') {
    for my $second ('session', 'off') {
        my $h = start(%{$modes{$first}}, default_pool_size => 2);
        my ($c, $busy, $idle) = map { client($h) } 1 .. 3;
        $c->rows('create temp table kept(a int)');
        $idle->rows(q(set work_mem = '5MB'));
        pins_are($h, 'temp', "$first to $second and back: one keeps its server");
        $busy->rows(q(begin; set work_mem = '6MB'));
        set($h, %{$modes{$second}});
        $c->rows('drop table kept');
        $c->rows(q(select pg_advisory_lock(2)));
        $busy->rows(q(set work_mem = '8MB'));
        set($h, %{$modes{$first}});
        $busy->rows('commit');
        is(setting($busy, 'work_mem'), '8MB', '... what was set in a transaction follows');
        $c->rows('select pg_advisory_unlock_all()');
        pins_are($h, '', '... no pin is left of what is gone');
        is(setting($idle, 'work_mem'), '5MB', '... what was set before is carried on');
        leave($_) for $c, $busy, $idle;
        is(state(client($h)), $clean, '... and nothing is left to others');
        $h->stop;
    }
}

# What a client has prepared in session mode

my $h = start(pool_mode => 'session');
my $c = client($h);
$c->send(Wire::parse('mine', 'select 7'), Wire::sync())->recv_until('Z');
$c->rows('prepare own as select 8');
set($h, pool_mode => 'transaction');
is($c->value('execute own'), '8', 'what was prepared in session mode can be executed');
my @answer = $c->send(Wire::bind('', 'mine', []), Wire::execute(''), Wire::sync())->recv_until('Z');
is(Wire::types(@answer), '2DCZ', '... also by the protocol');
pins_are($h, 'sql_prepare', '... as the server is kept for it');
$c->rows('deallocate all');
pins_are($h, '', '... until it is deallocated');
is(client($h)->value('select 1'), '1', '... and others get it');
$h->stop;

# Who listens in session mode

$h = start(pool_mode => 'session', default_pool_size => 2);
($c, my $teller) = (client($h), client($h));
$c->rows('listen news');
set($h, pool_mode => 'transaction');
$teller->rows(q(notify news, '1'));
like($c->recv(10)->[1], qr/news.1/, 'who listens in session mode hears');
$c->rows('select 1');
pins_are($h, '', '... keeps no server then');
$teller->rows(q(notify news, '2'));
like($c->recv(10)->[1], qr/news.2/, '... and still hears');
set($h, pool_mode => 'session');
$teller->rows(q(notify news, '3'));
like($c->recv(10)->[1], qr/news.3/, '... back again, too');
$c->rows('unlisten news');
$teller->rows(q(notify news, '4'));
ok(!$c->readable(0.1), '... until UNLISTEN');
$h->stop;

# session_role

$h = start(session_role => 'carry', default_pool_size => 2);
$c = client($h);
$c->rows('set role clerk');
set($h, session_role => 'pin');
is($c->value('select current_user::text'), 'clerk', 'a carried role is there after session_role = pin');
$c->rows('reset role');
is($c->value('select current_user::text'), 'app', '... until it is reset');
my $other = client($h);
$other->rows('begin');
is($c->value('select current_user::text'), 'app', '... for good, on another server, too');
$other->rows('commit');
pins_are($h, '', '... and keeps no server then');
$c->rows('set role clerk');
pins_are($h, 'role', 'it keeps its server now');
set($h, session_role => 'carry');
is($c->value('select current_user::text'), 'clerk', '... and has it after session_role = carry');
$c->rows('set role clerk');
pins_are($h, '', '... which carries it from the next SET ROLE on');
is($c->value('select current_user::text'), 'clerk', '... ');
is(client($h)->value('select current_user::text'), 'app', '... and nobody else has it');
$h->stop;

# function_state

$node->safe_psql('app', q{create function sets() returns text language sql as $$ select set_config('work_mem', '9MB', false) $$});
for my $to ('trust', 'reset', 'probe') {
    $h = start(function_state => 'pin');
    $c = client($h);
    $c->rows('select sets()');
    pins_are($h, 'function', "function_state = pin to $to: a pin");
    set($h, function_state => $to);
    is($c->value('show work_mem'), '9MB', '... the client has what the function has set');
    leave($c);
    is(client($h)->value('show work_mem'), '4MB', '... nobody else has');
    $h->stop;
}

# Limits

$h = start(default_pool_size => 4);
my @c = map { client($h) } 1 .. 3;
$c[$_]->rows("select pg_advisory_lock($_)") for 0 .. 2;
set($h, pin_max_percent => 25);
pins_are($h, 'advisory advisory advisory', 'pin_max_percent below what there is: nobody loses a server');
my $more = client($h);
is(code($more->send(Wire::query('select pg_advisory_lock(9)'))->recv_until('Z')), '53300', '... nobody gets one more');
set($h, default_pool_size => 1);
is(join('', map { $_->value('select 1') } @c), '111', 'pool_size below what there is: they go on');
$more->send(Wire::query('select 5'));
leave($_) for @c;
is(Wire::types($more->recv_until('Z')), 'TDCZ', '... and others when they have left');
becomes(sub { scalar @{$h->show('SERVERS')} }, 1, '... with as many servers as allowed');
pins_are($h, '', '... no pin is left');
set($h, pin_idle_timeout => 1);
$more->rows('select pg_advisory_lock(9)');
is(Wire::types($more->recv_all), 'NE', 'pin_idle_timeout from now on');
$h->stop;

# A database that goes

$h = start(default_pool_size => 2);
$c = client($h);
$c->rows('select pg_advisory_lock(1)');
$h->{options}{databases} = {postgres => 'host=127.0.0.1 port=' . $node->port};
$h->write_files;
$h->reload;
is(code($c->recv_all), '57P01', 'a database that is removed closes who keeps a server');
becomes(sub { pins($h) . scalar(grep { $_->{now} } @{$h->show('PIN_COUNTS')}) }, '0', '... and no pin is left');
is($node->safe_psql('app', q(select count(*) from pg_locks where locktype = 'advisory')), '0', '... nor a lock');
$h->stop;

Howdah->finish;
