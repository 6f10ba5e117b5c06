# Whatever one client sets is nothing to another: not at its login, not in a statement that both prepare, not in
# parameters that no server reports, and not what somebody listens to.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 has no prepared statements in transaction mode' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $sync = Wire::sync();

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1, %settings})->start;
}

sub client { my ($h, @more) = @_; return Wire->to($h)->login(user => 'app', database => 'app', @more); }
sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app', @_); }

# A value that says only a part, behind somebody who has set the whole

for my $others ('SQL, DMY', 'Postgres, DMY') {
    for my $wish ('ISO', 'German', 'MDY', 'ISO, DMY') {
        my $h = start();
        my $direct = direct(DateStyle => $wish);
        my $expected = "$direct->{parameters}{DateStyle}, " . $direct->value(q(select '01/02/2020'::date));
        my $other = client($h);
        $other->rows("set datestyle = '$others'");
        for my $how ('the first', 'the next') {
            my $c = client($h, DateStyle => $wish);
            is("$c->{parameters}{DateStyle}, " . $c->value(q(select '01/02/2020'::date)), $expected,
                "DateStyle=$wish behind '$others': $how client");
        }
        is($other->value('show datestyle'), $others, '... and the other keeps its own');
        $h->stop;
    }
}

# One text, prepared under different settings: its literals are what each client's settings make of them

my $h = start();
sub prepared { my ($c, $sql) = @_; return (map { Wire::data_row($_->[1]) } grep { $_->[0] eq 'D' }
    $c->send(Wire::parse('s', $sql), Wire::bind('', 's', []), Wire::execute(''), Wire::close_object('S', 's'), $sync)->recv_until('Z'))[0]; }

my %texts = (
    TimeZone => [q(select extract(epoch from '2020-01-01 00:00'::timestamptz)::text), 'UTC', 'America/New_York', 'Asia/Tokyo'],
    DateStyle => [q(select '01/02/2020'::date - '2020-01-01'::date), 'ISO, MDY', 'ISO, DMY', 'German, DMY'],
    client_encoding => [qq(select length('\xc3\xa9')), 'LATIN1', 'UTF8', 'LATIN1']);
for my $name (sort keys %texts) {
    my ($sql, @values) = @{$texts{$name}};
    my @clients = map { client($h, $name => $_) } @values;
    for my $round (1 .. 2) {
        is_deeply([map { prepared($_, $sql) } @clients], [map { direct($name => $_)->value($sql) } @values],
            "$name: a statement means to each client what it does in PostgreSQL, round $round");
    }
}
my ($off, $on) = map { client($h) } 1 .. 2;
$off->rows('set standard_conforming_strings = off; set escape_string_warning = off');
is(join(' ', map { prepared($_, q(select length('a\\\\b'))) } $off, $on, $off, $on), '3 4 3 4', '... and so does standard_conforming_strings');

# A name that was given under other settings: the statement keeps what they made of it while the server has it

my $changes = client($h, TimeZone => 'UTC');
$changes->send(Wire::parse('kept', $texts{TimeZone}[0]), $sync)->recv_until('Z');
$changes->rows(q(set timezone = 'Asia/Tokyo'));
my $late = client($h, TimeZone => 'Asia/Tokyo');
is(prepared($late, $texts{TimeZone}[0]), direct(TimeZone => 'Asia/Tokyo')->value($texts{TimeZone}[0]),
    'what a client has prepared before it changed a setting is not given to who has that setting');
my ($set, $sees) = map { client($h) } 1 .. 2;
$set->send(Wire::query(q(set timezone = 'Asia/Tokyo')), Wire::parse('t', $texts{TimeZone}[0]), $sync);
$set->recv_until('Z') for 1 .. 2;
is(prepared($sees, $texts{TimeZone}[0]), $sees->value($texts{TimeZone}[0]), '... nor is what it prepares in the same packet as SET');
$h->stop;

# Parameters that are not reported by this server

$h = start(track_extra_parameters => 'search_path, statement_timeout');
my @defaults = map { direct()->value("show $_") } qw(search_path statement_timeout);
my ($without, $with, $own) = (client($h), client($h, search_path => 'tenant_a', statement_timeout => 5000), client($h, search_path => 'tenant_b'));
for my $round (1 .. 2) {
    is(join(' ', $with->value('show search_path'), $with->value('show statement_timeout')), 'tenant_a 5s', 'search_path and statement_timeout at login');
    is(join(' ', $without->value('show search_path'), $without->value('show statement_timeout')), "@defaults", '... are not for who has asked for neither');
    is(join(' ', $own->value('show search_path'), $own->value('show statement_timeout')), "tenant_b $defaults[1]", '... nor for who has asked for another');
}
is(client($h)->value('show search_path'), $defaults[0], '... nor for who comes later');
$h->stop;

# A value that PostgreSQL does not take fails the login, and costs no server

$h = start();
my $c = client($h);
my $backend = $c->value('select pg_backend_pid()');
for my $bad ([TimeZone => 'Nowhere/Land'], [DateStyle => 'no'], [client_encoding => 'none']) {
    my $error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', @$bad));
    is("$error->{S} $error->{C}", 'FATAL 22023', "@$bad is refused");
    is($c->value('select pg_backend_pid()'), $backend, '... and the server stays');
}
$h->stop;

# LISTEN, where sessions are not followed

$h = start(session_state => 'off');
my ($listener, $deaf) = map { client($h) } 1 .. 2;
$listener->rows('listen secret');
$deaf->rows('select 1');
my $notifier = direct();
$notifier->rows(q(notify secret, 'for one only'));
my @messages = map { $deaf->send(Wire::query('select 1'))->recv_until('Z') } 1 .. 3;
is(Wire::types(@messages), 'TDCZ' x 3, 'what one client listens to is not told to another');
$listener->rows('begin; listen secret');
$listener->rows('commit');
$notifier->rows(q(notify secret, 'again'));
@messages = map { $deaf->send(Wire::query('select 1'))->recv_until('Z') } 1 .. 3;
is(Wire::types(@messages), 'TDCZ' x 3, '... nor if it was in a transaction');
$listener->send(Wire::parse('', 'listen secret'), Wire::bind('', '', []), Wire::execute(''), $sync)->recv_until('Z');
$notifier->rows(q(notify secret, 'once more'));
@messages = map { $deaf->send(Wire::query('select 1'))->recv_until('Z') } 1 .. 3;
is(Wire::types(@messages), 'TDCZ' x 3, '... nor in the extended protocol');

Howdah->finish;
