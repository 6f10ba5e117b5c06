# The reported session parameters follow the client: exact values, no leaks.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'howdah does it better' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');

sub client
{
    my ($h, %parameters) = @_;
    return Wire->to($h)->login(user => 'app', database => 'app', %parameters);
}

my %values = (
    TimeZone => ['UTC', 'Europe/Berlin', 'America/New_York'],
    DateStyle => ['ISO, MDY', 'German, DMY', 'SQL, DMY'],
    IntervalStyle => ['postgres', 'iso_8601', 'sql_standard'],
    client_encoding => ['UTF8', 'LATIN1', 'SQL_ASCII'],
    standard_conforming_strings => ['on', 'off', 'on'],
    application_name => ['', q(it's a "name" with \\ in it), 'x' x 63]);

for my $size (1, 2) {
    my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => $size})->start;
    my @clients = map { client($h) } 0 .. 2;
    for my $name (sort keys %values) {
        for my $i (1, 2) {
            my $quoted = $values{$name}[$i] =~ s/'/''/gr;
            $clients[$i]->rows($name eq 'client_encoding' || $name =~ /Style|Time/ ? "set $name = '$quoted'"
                : $quoted =~ /\\/ ? 'set application_name = E\'' . $quoted =~ s/\\/\\\\/gr . "'" : "set $name = '$quoted'");
        }
        my $default = $clients[0]->value("show $name");
        for my $round (1 .. 5) {
            for my $i (2, 0, 1) {
                my $expected = $i ? $values{$name}[$i] : $default;
                is($clients[$i]->value("show $name"), $expected, "$name of client $i, pool of $size") if $round == 5;
                is($clients[$i]->value("show $name"), $expected, "... again") if $round == 5;
                die "$name leaked" if $clients[$i]->value("show $name") ne $expected;
            }
        }
        isnt($default, $values{$name}[1], "a client that set nothing has the default of $name");
    }
    $clients[1]->rows('begin');
    $clients[1]->rows("set timezone = 'Asia/Tokyo'");
    $clients[1]->rows('rollback');
    is($clients[1]->value('show timezone'), 'Europe/Berlin', 'a SET that was rolled back is not kept');
    $clients[1]->rows('begin');
    $clients[1]->rows("set local timezone = 'Asia/Tokyo'");
    $clients[1]->rows('commit');
    is($clients[1]->value('show timezone'), 'Europe/Berlin', '... nor is SET LOCAL');
    $clients[1]->rows('reset timezone');
    is($clients[2]->value('show timezone'), 'America/New_York', 'RESET of one client is not felt by another');
}

# At login

my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1,
        ignore_startup_parameters => 'extra_float_digits', session_state => 'off'})->start;
my $c = client($h, timezone => 'utc', datestyle => 'german', application_name => "o'clock \\");
is($c->parameters->{TimeZone}, 'UTC', 'a client is told how the server spells its TimeZone');
is($c->parameters->{DateStyle}, 'German, DMY', '... and DateStyle');
is($c->parameters->{application_name}, "o'clock \\", '... and its name');
is($c->value('show timezone'), 'UTC', 'the value is set');
is($c->value('show application_name'), "o'clock \\", '... quotes and all');
$c = client($h, timezone => 'utc');
is($c->parameters->{TimeZone}, 'UTC', '... and the second one is told the same');
is(client($h)->value('show datestyle'), 'ISO, MDY', 'the next client has its own DateStyle');
my $error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', timezone => 'Nowhere/Land'));
is("$error->{S} $error->{C}", 'FATAL 22023', 'an invalid value fails the login');
like($error->{M}, qr/Nowhere/, q(... with PostgreSQL's own text));
is(client($h)->value('select 1'), '1', '... and does no harm');
$error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', work_mem => '1MB'));
like($error->{M}, qr/^unsupported startup parameter: work_mem/, 'a parameter that does not follow the client is refused');
is(client($h, extra_float_digits => 3)->value('select 1'), '1', '... unless it is to be ignored');
is(client($h, options => '-c timezone=Asia/Tokyo')->value('show timezone'), 'Asia/Tokyo', 'options: -c');
is(client($h, options => '--datestyle=sql')->value('show datestyle'), 'SQL, MDY', 'options: --');
$error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', options => '-x'));
like($error->{M}, qr/^unsupported options startup parameter/, 'options: nothing else');
is(client($h, application_name => 'y' x 100)->parameters->{application_name}, 'y' x 63, 'a name that is too long is cut as by the server');

Howdah->finish;
