# RELOAD takes new settings over, and keeps the old ones when the new ones are wrong.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {default_pool_size => 7, pool_mode => 'session'})->start;

sub setting
{
    my ($name) = @_;
    my ($row) = grep { $_->{key} eq $name } @{$h->show('config')};
    return $row->{value};
}

sub database
{
    my ($name) = @_;
    my ($row) = grep { $_->{name} eq $name } @{$h->show('databases')};
    return $row;
}

# What may change

is(setting('default_pool_size'), '7', 'the setting of the file holds');
$h->reconfigure(settings => {default_pool_size => 9, pool_mode => 'transaction'});
my ($status, $output) = $h->reload;
is($status, 0, 'RELOAD succeeds') or diag($output);
like($output, qr/^RELOAD$/m, '... with its own tag');
is(setting('default_pool_size'), '9', 'a changed number holds');
is(setting('pool_mode'), 'transaction', '... and a changed word');

$h->reconfigure(settings => {default_pool_size => undef})->reload;
is(setting('default_pool_size'), '20', 'a removed setting is at its default again');

my $position = $h->log_position;
$h->reconfigure(settings => {default_pool_size => 11})->signal('HUP');
$h->poll_until(sub { setting('default_pool_size') eq '11' }, 'SIGHUP reloads');
like(substr($h->log, $position), qr/SIGHUP/, 'SIGHUP is in the log');

my $port = setting('listen_port');
$h->reconfigure(settings => {listen_port => 1})->reload;
is(setting('listen_port'), $port, 'a setting that cannot change keeps its value');
is($h->safe_psql('app', 'select 1'), '1', '... and clients come in as before');
$h->reconfigure(settings => {listen_port => $port});

# Databases come, change and go

my $server = 'host=127.0.0.1 port=' . $node->port;
$h->reconfigure(databases => {second => "$server dbname=postgres pool_size=3"})->reload;
is($h->safe_psql('second', 'select current_database()'), 'postgres', 'a new database is there');
is(database('second')->{pool_size}, '3', '... with its own pool size');

$h->reconfigure(databases => {second => "$server dbname=app pool_size=4"})->reload;
is($h->safe_psql('second', 'select current_database()'), 'app', 'a changed one leads elsewhere');
is(database('second')->{pool_size}, '4', '... with the new pool size');

my $client = Wire->to($h)->login(user => 'app', database => 'second');
my $other = Wire->to($h)->login(user => 'app', database => 'app');
my $databases = $h->databases;
delete $databases->{second};
$h->{options}{databases} = $databases;
$h->write_files->reload;
is(database('second'), undef, 'a removed database is gone');
my $error = Wire::first_error($client->recv_all);
like($error->{M}, qr/database removed/, '... and so are its clients');
is($other->value('select 5'), '5', '... but no others');
my ($code, $out, $err) = $h->psql('second', 'select 1');
isnt($code, 0, '... and nobody gets in');
like($err, qr/no such database: second/, '... who had the right to');

# The user list

($code, $out, $err) = $h->psql('app', 'select 1', user => 'late');
isnt($code, 0, 'an unknown user does not get in');
$node->safe_psql('postgres', 'create role late login');
$h->reconfigure(users => [['late', 'secret']])->reload;
is($h->safe_psql('app', 'select current_user', user => 'late'), 'late', 'a new user does, after RELOAD');
$h->reconfigure(users => [])->reload;
SKIP: {
    skip 'PgBouncer keeps it', 1 if Howdah->is_pgbouncer;
    ($code, $out, $err) = $h->psql('app', 'select 1', user => 'late');
    isnt($code, 0, '... and does not, when removed from the list');
}

# What is wrong

my $text = Howdah::slurp($h->ini);
for my $case (
    ['an unknown setting', "no_such_setting = 1\n"],
    ['a bad value', "pool_mode = sometimes\n"],
    ['a line without sense', "what is this\n"]) {
    my ($name, $line) = @$case;
    $position = $h->log_position;
    Howdah::spew($h->ini, $text =~ s/default_pool_size = 11/default_pool_size = 12/r . $line);
    ($status, $output) = $h->reload;
  SKIP: {
        skip 'PgBouncer 1.18 always succeeds', 2 if Howdah->is_pgbouncer;
        isnt($status, 0, "RELOAD fails for $name");
        like($output, qr/RELOAD failed/, '... and says so');
    }
    $h->wait_for_log(qr/no_such_setting|pool_mode|what is this|syntax|\.ini:\d+/, $position);
    is($h->safe_psql('app', 'select 6'), '6', '... clients go on');
    is($other->value('select 7'), '7', '... also those that were there');
  SKIP: {
        skip 'PgBouncer takes over what stands above the error', 1 if Howdah->is_pgbouncer;
        is(setting('default_pool_size'), '11', '... with the old settings, all of them');
    }
}

Howdah::spew($h->ini, $text);
($status, $output) = $h->reload;
is($status, 0, 'a file put right is accepted again') or diag($output);

unlink $h->ini;
($status, $output) = $h->reload;
SKIP: {
    skip 'PgBouncer 1.18 always succeeds', 1 if Howdah->is_pgbouncer;
    isnt($status, 0, 'RELOAD fails when the file is gone');
}
is($h->safe_psql('app', 'select 8'), '8', '... and clients go on');

Howdah->finish;
