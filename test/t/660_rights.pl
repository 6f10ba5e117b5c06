# Who comes into the console, when, and how a command that waits is cancelled.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 differs' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, users => [[admin => 'secret'], [stats => 'secret'], [pgbouncer => 'secret'], [app => 'secret']],
    settings => {auth_type => 'scram-sha-256', pool_mode => 'transaction', default_pool_size => 5, max_user_client_connections => 2,
        max_db_client_connections => 3})->start;
$node->safe_psql('postgres', q(create role admin login; alter role app password 'secret'));

sub unix_socket { return Wire->unix($h->dir . '/.s.PGSQL.' . $h->port); }

sub error_of
{
    my ($client, %login) = @_;
    my $error = Wire::first_error($client->try_login(%login));
    return $error ? "$error->{C} $error->{M}" : 'let in';
}

sub answer
{
    my ($client, $command) = @_;
    $client->send(Wire::query($command)) if $command;
    my @all = $client->recv_until('Z');
    my $error = Wire::first_error(@all);
    return "$error->{C} $error->{M}" if $error;
    return substr((grep { $_->[0] eq 'C' } @all)[0][1], 0, -1);
}

# The user who runs howdah needs no password, on the unix socket, as the user pgbouncer, for the console.

my $own = unix_socket();
my @messages = $own->try_login(user => 'pgbouncer', database => 'pgbouncer');
like(Wire::types(@messages), qr/^RS+KZ$/, 'who runs howdah is not asked for a password');
is(answer($own, 'SHOW VERSION'), 'SHOW', '... and may look');
is(answer($own, 'RELOAD'), 'RELOAD', '... and may do everything');
is(error_of(unix_socket(), user => 'pgbouncer', database => 'pgbouncer', password => 'wrong'), 'let in', '... whatever the password');
my %wrong = (password => 'wrong');
like(error_of(Wire->to($h), user => 'pgbouncer', database => 'pgbouncer', %wrong), qr/^28P01/, 'not over TCP');
like(error_of(unix_socket(), user => 'admin', database => 'pgbouncer', %wrong), qr/^28P01/, 'not as another user');
like(error_of(unix_socket(), user => 'pgbouncer', database => 'app', %wrong), qr/^28P01/, 'not for another database');
like(error_of(unix_socket(), user => 'pgbouncer', %wrong), qr/^let in/, '... though that of its own name is the console');
is(error_of(Wire->to($h), user => 'pgbouncer', database => 'pgbouncer', password => 'secret'), '28000 not allowed',
    '... and elsewhere the name gives no right');

# The others.

my %console = (database => 'pgbouncer', password => 'secret');
is(error_of(Wire->to($h), user => 'admin', %console), 'let in', 'admin_users with their password');
is(error_of(Wire->to($h), user => 'stats', %console), 'let in', '... and stats_users');
is(error_of(Wire->to($h), user => 'app', %console), '28000 not allowed', '... but nobody else');

# Limits of clients: those of users and databases are not for admins, and consoles count nowhere.

my @clients = map { Wire->to($h)->login(user => 'app', database => 'app', password => 'secret') } 1 .. 2;
is(error_of(Wire->to($h), user => 'app', database => 'app', password => 'secret'),
    '53300 client connections exceeded (max_user_client_connections)', 'a user has a limit');
my @admins = map { Wire->to($h)->login(user => 'admin', database => 'app', password => 'secret') } 1 .. 4;
is($_->value('select current_user'), 'admin', 'an admin has none, nor does the database for an admin') for @admins;
sub count { return (grep { $_->{name} eq 'app' } @{$h->show('databases', password => 'secret')})[0]{current_client_connections}; }
is(count(), 6, '... but is counted');
$clients[0]->close;
$h->poll_until(sub { count() == 5 }, 'one is gone');
is(error_of(Wire->to($h), user => 'app', database => 'app', password => 'secret'),
    '53300 client connections exceeded (max_db_client_connections)', '... as the others see');
$_->close for @admins, @clients;

# A cancel request ends the wait, and what it waits for.

my $admin = Wire->to($h)->login(user => 'admin', %console);
my $watch = Wire->to($h)->login(user => 'admin', %console);
my $client = Wire->to($h)->login(user => 'app', database => 'app', password => 'secret');
sub cancel { my ($of) = @_; my $c = Wire->to($h)->raw(Wire::cancel(@{$of->key})); $c->recv_all; return; }
sub paused { return ($watch->rows("SHOW STATE (value) WHERE key = 'paused'"))[0][0]; }
sub suspended { return ($watch->rows("SHOW STATE (value) WHERE key = 'suspended'"))[0][0]; }
my $by_user = '57014 canceling statement due to user request';

isnt(join(' ', @{$admin->key}), join(' ', @{$watch->key}), 'consoles have keys of their own');
$client->rows('begin');
$admin->send(Wire::query('PAUSE'));
$h->poll_until(sub { paused() eq 'yes' }, 'the pause has begun');
cancel($watch);
is(paused(), 'yes', 'the key of another console cancels nothing');
ok(!$admin->readable, '... of ours');
Wire->to($h)->raw(Wire::cancel($admin->key->[0], $admin->key->[1] ^ 1))->recv_all;
is(paused(), 'yes', '... nor does a wrong secret');
cancel($admin);
is(answer($admin), $by_user, 'a cancel request ends PAUSE');
is(paused(), 'no', '... and the pause');
is($client->value('select 1'), '1', '... all goes on');

$admin->send(Wire::query('PAUSE app'));
$h->poll_until(sub { ($watch->rows("SHOW DATABASES (paused) WHERE name = 'app'"))[0][0] }, 'the database pauses');
cancel($admin);
is(answer($admin), $by_user, 'a cancel request ends PAUSE of a database');
is(($watch->rows("SHOW DATABASES (paused) WHERE name = 'app'"))[0][0], 0, '... and that pause');

$client->raw('Q');
$h->poll_until(sub { ($watch->rows("SHOW SOCKETS (recv_pos) WHERE port = " . $client->socket->sockport))[0][0] == 1 }, 'a message is half way');
$admin->send(Wire::query('SUSPEND'));
$h->poll_until(sub { suspended() eq 'yes' }, 'the suspension has begun');
cancel($admin);
is(answer($admin), $by_user, 'a cancel request ends SUSPEND');
is(suspended(), 'no', '... and the suspension');
$client->raw(substr(Wire::query('select 1'), 1));
is(Wire::types($client->recv_until('Z')), 'TDCZ', '... all goes on');

$admin->send(Wire::query('RECONNECT app; WAIT_CLOSE app'));
$admin->recv_until('C');
cancel($admin);
is(answer($admin), $by_user, 'a cancel request ends WAIT_CLOSE');
$client->rows('commit');
cancel($admin);
is(answer($admin, 'SHOW VERSION'), 'SHOW', 'with nothing under way it is for nobody');
cancel($own);
is(answer($own, 'SHOW VERSION'), 'SHOW', 'the session goes on');

# auth_type any asks nobody, and lets everybody look.

my $open = Howdah->new(node => $node, settings => {auth_type => 'any'},
    databases => {app => 'host=127.0.0.1 port=' . $node->port . ' dbname=app user=app'})->start;
my $anybody = Wire->to($open)->login(user => 'whoever', database => 'pgbouncer');
is(answer($anybody, 'SHOW POOLS'), 'SHOW', 'auth_type any: everybody may look');
is(answer($anybody, 'PAUSE'), '42501 admin access needed', '... but not touch');
is(answer(Wire->to($open)->login(user => 'admin', database => 'pgbouncer'), 'RELOAD'), 'RELOAD', '... admin_users may');
$open->stop;

# While it shuts down the console is there, on the unix socket.

$client->rows('begin');
my $idle = Wire->to($h)->login(user => 'app', database => 'app', password => 'secret');
is(answer($admin, 'SHUTDOWN WAIT_FOR_CLIENTS'), 'SHUTDOWN', 'SHUTDOWN WAIT_FOR_CLIENTS');
$h->poll_until(sub { !eval { Wire->to($h); 1 } }, 'the port is closed');
is(error_of(unix_socket(), user => 'app', database => 'app', password => 'secret'), '57P01 pooler is shutting down', 'no client is let in');
my $late = unix_socket()->login(user => 'admin', %console);
is(answer($late, 'SHOW POOLS'), 'SHOW', 'the console is there, on the unix socket');
is(unix_socket()->login(user => 'pgbouncer', database => 'pgbouncer')->value('SHOW VERSION') =~ /howdah/, 1, '... without a password too');
like(answer($late, $_), qr/^55000 pooler is shutting down/, "$_ is of no use") for 'PAUSE', 'RESUME', 'SUSPEND', 'DRAIN';
is(answer($late, 'SHUTDOWN WAIT_FOR_SERVERS'), 'SHUTDOWN', 'another SHUTDOWN is');
is(answer($late, 'SHOW STATE'), 'SHOW', '... and the console is still there');
$client->rows('commit');
$h->wait_for_exit('... until no server is in use');

Howdah->finish;
