# The first client that brings a value of a parameter which no server has spelt yet: its login waits for a
# server to say how, and must look like any other login meanwhile.  libpq gives up on anything in front of
# AuthenticationOk.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 tells the value as the client spelt it' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my %cases = (
    'a TimeZone' => {timezone => 'utc'},
    'a DateStyle' => {datestyle => 'german'},
    'an encoding' => {client_encoding => 'latin1'},
    'an IntervalStyle' => {intervalstyle => 'iso_8601'},
    'a name' => {application_name => 'first'},
    'all of them' => {timezone => 'europe/berlin', datestyle => 'sql,dmy', client_encoding => 'latin9',
        intervalstyle => 'sql_standard', application_name => 'all'},
    'options' => {options => '-c timezone=asia/tokyo'});

for my $auth (qw(trust scram-sha-256)) {
    for my $warm (0, 1) {
        my $h = Howdah->new(node => $node, users => $auth eq 'trust' ? [] : [['app', 'secret'], ['admin', 'secret']],
            settings => {pool_mode => 'transaction', default_pool_size => 1, auth_type => $auth})->start;
        my %login = (user => 'app', database => 'app', $auth eq 'trust' ? () : (password => 'secret'));
        my $warmer = $warm ? Wire->to($h)->login(%login) : undef;
        $warmer->value('select 1') if $warm;
        for my $name (sort keys %cases) {
            my $how = "$name, $auth, " . ($warm ? 'a server is there' : 'perhaps no server yet');
            my ($first, $second) = map {
                my $c = Wire->to($h);
                my @messages = $c->try_login(%login, %{$cases{$name}});
                my $told = Wire::types(@messages);
                $c->close;
                [$told, {%{$c->parameters}}]
            } 1 .. 2;
            like($first->[0], qr/^R+S+KZ$/, "$how: nothing in front of AuthenticationOk");
            is_deeply($second, $first, '... and the next such client is told the same');
        }
        $warmer->close if $warm;
    }
}

# The same with libpq, which turns PGTZ and PGDATESTYLE into start-up parameters

for my $variable (['PGTZ', 'america/new_york', 'America/New_York', 'timezone'], ['PGDATESTYLE', 'postgres,dmy', 'Postgres, DMY', 'datestyle']) {
    my ($key, $value, $expected, $name) = @$variable;
    my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1})->start;
    local $ENV{$key} = $value;
    my ($status, $out, $err) = $h->psql('app', "show $name");
    is("$status $out", "0 $expected", "psql with $key, the first client of all") or diag($err);
    ($status, $out, $err) = $h->psql('app', "show $name");
    is("$status $out", "0 $expected", '... and the second') or diag($err);
}

Howdah->finish;
