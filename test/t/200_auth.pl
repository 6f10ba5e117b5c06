# Who gets in: every way to ask a client, every form of a secret, every way that a server may ask.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

my $node = Howdah->node('main', hba => [
    'host all by_clear 127.0.0.1/32 password',
    'host all by_md5 127.0.0.1/32 md5',
    'host all by_scram 127.0.0.1/32 scram-sha-256',
    'host all verified 127.0.0.1/32 scram-sha-256',
    'host all all 127.0.0.1/32 trust']);

sub role
{
    my ($name, $password, $encryption) = @_;
    $node->safe_psql('postgres', "set password_encryption = '$encryption'; create role $name login password '$password'");
    return $node->safe_psql('postgres', "select rolpassword from pg_authid where rolname = '$name'");
}

my $of_md5 = role('as_md5', 'pw of md5', 'md5');
my $of_scram = role('as_scram', 'pw of scram', 'scram-sha-256');
role('as_plain', 'unused', 'md5');
my $verifier = role('verified', 'pw of verifier', 'scram-sha-256');
role('by_clear', 'server clear', 'scram-sha-256');
my $server_md5 = role('by_md5', 'server md5', 'md5');
role('by_scram', 'server scram', 'scram-sha-256');

my @users = (
    ['admin', 'admin secret'],
    ['as_plain', 'pw "of" plain'],
    ['as_md5', $of_md5],
    ['as_scram', $of_scram],
    ['verified', $verifier],
    ['by_clear', 'server clear'],
    ['by_md5', $server_md5],
    ['by_scram', 'server scram']);
my %password = (as_plain => 'pw "of" plain', as_md5 => 'pw of md5', as_scram => 'pw of scram');

my $h = Howdah->new(node => $node, users => \@users, settings => {auth_type => 'md5'})->start;
my $invalid_password = Howdah->is_pgbouncer ? '08P01' : '28P01';
my $no_database = Howdah->is_pgbouncer ? '08P01' : '3D000';

sub use_auth_type
{
    my ($type, %more) = @_;
    my ($status, $output) = $h->reconfigure(settings => {auth_type => $type}, %more)->reload;
    is($status, 0, "auth_type = $type") or diag($output);
    return;
}

# The messages of an attempt to log in, and the fields of the error.
sub attempt
{
    my (%parameters) = @_;
    my $client = Wire->to($h);
    my @messages = $client->try_login(database => 'app', %parameters);
    my $error = Wire::first_error(@messages);
    is($client->recv, undef, '... and the connection is closed') if $error;
    return ($error, Wire::types(@messages));
}

# What a client is asked for, and the form of its secret

my %accepted = (
    plain => {as_plain => 1, as_md5 => 1, as_scram => 1},
    md5 => {as_plain => 1, as_md5 => 1, as_scram => 1},
    'scram-sha-256' => {as_plain => 1, as_scram => 1});

for my $type (sort keys %accepted) {
    use_auth_type($type);
    for my $user (sort keys %password) {
        my ($status, $out, $err) =
          $h->psql('app', 'select session_user', user => $user, password => $password{$user});
        if ($accepted{$type}{$user}) {
            is($out, $user, "$type lets $user in") or diag($err);
        } else {
            isnt($status, 0, "$type cannot let $user in");
        }
        ($status, $out, $err) = $h->psql('app', 'select 1', user => $user, password => 'wrong');
        isnt($status, 0, "$type refuses a wrong password for $user");
        like($err, qr/authentication failed/, '... and says so');
    }

    # Nobody learns who exists.
    my ($wrong, $wrong_types) = attempt(user => 'as_plain', password => 'wrong');
    my ($unknown, $unknown_types) = attempt(user => 'no_such_user', password => 'wrong');
    my ($nowhere) = attempt(user => 'as_plain', password => 'wrong', database => 'no_such_database');
    is($wrong->{C}, $invalid_password, "$type: the SQLSTATE of a wrong password");
    is($wrong->{S}, 'FATAL', '... its severity');
    is_deeply($unknown, $wrong, '... an unknown user gets the very same error');
    is($unknown_types, $wrong_types, '... after the same messages');
    is_deeply($nowhere, $wrong, '... and an unknown database is not told');

    my ($error) = attempt(user => 'as_plain', password => $password{as_plain}, database => 'no_such_database');
    is($error->{C}, $no_database, '... but after the right password it is');
    like($error->{M}, qr/^no such database: no_such_database$/, '... with its name');

  SKIP: {
        skip 'PgBouncer 1.18 lets it in', 1 if Howdah->is_pgbouncer && $type =~ /scram/;
        ($error) = attempt(user => 'app', password => '');
        ok($error, 'an empty secret lets nobody in');
    }
}

use_auth_type('trust');
is($h->safe_psql('app', 'select session_user', user => 'as_md5', password => 'wrong'), 'as_md5',
    'trust asks for nothing');
my ($error) = attempt(user => 'no_such_user');
like($error->{M}, qr/authentication failed/, '... but the user must be in the list');
like($error->{C}, qr/^28/, '... SQLSTATE') if !Howdah->is_pgbouncer;

# What the server asks us for

for my $user (qw(by_clear by_md5 by_scram)) {
    is($h->safe_psql('app', 'select session_user', user => $user), $user, "the server asks $user");
}

my $server = 'host=127.0.0.1 port=' . $node->port . ' dbname=app';
use_auth_type('trust', databases => {
    forced => "$server user=by_scram password='server scram'",
    wrong => "$server user=by_scram password=wrong",
    listed => "$server user=by_md5"});
is($h->safe_psql('forced', 'select session_user', user => 'as_plain'), 'by_scram',
    'the user and the password of the connection string');
is($h->safe_psql('listed', 'select session_user', user => 'as_plain'), 'by_md5',
    'the user of the connection string, its password from the list');
($error) = attempt(user => 'as_plain', database => 'wrong');
is($error->{C}, $invalid_password, q(a server's refusal comes with its own SQLSTATE));
like($error->{M}, qr/password authentication failed for user "by_scram"/, '... and text');

# The verifier alone is enough: the keys come from the client.
use_auth_type('scram-sha-256');
is($h->safe_psql('app', 'select session_user', user => 'verified', password => 'pw of verifier'),
    'verified', 'SCRAM passes through with nothing but a verifier');
isnt(($h->psql('app', 'select 1', user => 'verified', password => 'wrong'))[0], 0,
    '... and still refuses a wrong password');

SKIP: {
    skip 'PgBouncer 1.18 keeps the keys of the old verifier', 2 if Howdah->is_pgbouncer;

    # The same password with another salt is of no use at the server.
    my $other_verifier = role('other', 'pw of verifier', 'scram-sha-256');
    use_auth_type('scram-sha-256', users => [(grep { $_->[0] ne 'verified' } @users), ['verified', $other_verifier]]);
    $h->console('RECONNECT');
    my ($status, $out, $err) =
      $h->psql('app', 'select 1', user => 'verified', password => 'pw of verifier', connect_timeout => 10);
    isnt($status, 0, 'another verifier of the same password does not pass through');
}

# Anybody

SKIP: {
    skip 'PgBouncer 1.18 ends with a fatal error', 2 if Howdah->is_pgbouncer;
    use_auth_type('any', databases => {
        map { ($_ => "$server user=by_clear password='server clear'") } qw(app postgres forced wrong listed)});
    is($h->safe_psql('app', 'select session_user', user => 'whoever'), 'by_clear',
        'any: whoever comes is the forced user');
}

# Nothing of all this is in the log.
for my $secret ('pw of', 'server clear', 'server md5', 'server scram', 'admin secret', $of_md5, $of_scram, $verifier) {
    ok(index($h->log, $secret) < 0, 'a secret is not in the log');
}

Howdah->finish;
