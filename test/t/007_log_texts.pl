# The lines of the log that operators and their scripts look for.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 has other words' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $server = 'host=127.0.0.1 port=' . $node->port;
my $h;
my $position;

sub started
{
    my (%options) = @_;
    $h = Howdah->new(node => $node, workers => 1, %options);
    $h->start;
    $position = $h->log_position;
    return $h;
}

# What the log has since the last look.
sub logged
{
    my ($regex, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $found = eval { $h->wait_for_log($regex, $position) };
    ok($found, $name) or diag("no $regex in\n" . substr($h->log, $position));
    return;
}

sub not_logged
{
    my ($regex, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    unlike(substr($h->log, $position), $regex, $name);
    return;
}

sub look_from_here { $position = $h->log_position; return; }
sub login { return Wire->to($h)->login(user => 'app', database => 'app', @_); }
sub try_login { return Wire->to($h)->try_login(user => 'app', database => 'app', @_); }

# At the start

started(settings => {listen_addr => '127.0.0.1,::1', max_client_conn => 77});
$position = 0;
my $version = (split(/\n/, ($h->run_program('-V'))[1]))[0];
logged(qr/LOG kernel file descriptor limit: \d+ \(hard: \d+\); max_client_conn: 77, max expected fd use: \d+$/m,
    'the limit of descriptors');
logged(qr/LOG listening on 127\.0\.0\.1:@{[$h->port]}$/m, 'a TCP address');
logged(qr/LOG listening on \[::1\]:@{[$h->port]}$/m, '... of IPv6');
logged(qr/LOG listening on unix:\Q@{[$h->dir]}\E\/\.s\.PGSQL\.@{[$h->port]}$/m, 'the unix socket');
logged(qr/LOG process up: \Q$version\E, libevent \S+ \(epoll\), adns: \S+, tls: OpenSSL .*$/m, 'the process');

# Clients

my $peer = qr/C-0x[0-9a-f]+: /;
my $client = login();
logged(qr/LOG $peer\S+\@127\.0\.0\.1:\d+ login attempt: db=app user=app tls=no replication=no$/m, 'a login');
my $backend = qr/S-0x[0-9a-f]+: app\/app\@127\.0\.0\.1:@{[$node->port]} /;
logged(qr/LOG ${backend}new connection to server \(from 127\.0\.0\.1:\d+\)$/m, 'a new server');
$client->send(Wire::terminate());
logged(qr/LOG ${peer}app\/app\@127\.0\.0\.1:\d+ closing because: client close request \(age=\d+s\)$/m, 'a good-bye');
$client = login();
$client->close;
logged(qr/closing because: client unexpected eof \(age=\d+s\)$/m, 'none');
$client = Wire->tcp('::1', $h->port)->login(user => 'app', database => 'app');
logged(qr/C-0x\w+: \S+\@\[::1\]:\d+ login attempt/, 'an IPv6 address');
try_login(database => 'nowhere');
logged(qr/WARNING ${peer}\S+\@127\.0\.0\.1:\d+ pooler error: no such database: nowhere$/m, 'an error');
logged(qr/LOG ${peer}\S+ login failed: db=nowhere user=app$/m, 'a login that failed');
logged(qr/LOG ${peer}\S+ closing because: no such database: nowhere \(age=\d+s\)$/m, '... and its end');
look_from_here();
$client->send(Wire::message('~', ''));
logged(qr/WARNING ${peer}app\/app\@\S+ pooler error: invalid frontend message type/, 'bad input');
not_logged(qr/login failed/, '... is no login that failed');
look_from_here();
console();
is(scalar(() = substr($h->log, $position) =~ /login attempt: db=pgbouncer user=admin/g), 1, 'a login to the console, once');
sub console { return $h->console('SHOW VERSION'); }

# Cancel requests

$client = login();
look_from_here();
Wire->to($h)->raw(Wire::cancel(1, 2))->recv_all;
logged(qr/LOG $peer\S+ closing because: bad cancel key \(age=0s\)$/m, 'a cancel request with a wrong key');
Wire->to($h)->raw(Wire::cancel(@{$client->key}))->recv_all;
logged(qr/closing because: cancel request for idle client \(/, '... for an idle client');
$client->send(Wire::query('select pg_sleep(60)'));
$node->poll_query_until('postgres', q(select count(*) > 0 from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active' and usename = 'app'));
Wire->to($h)->raw(Wire::cancel(@{$client->key}))->recv_all;
logged(qr/closing because: successfully sent cancel request \(/, '... and one that was sent');
$client->recv_until('Z');

# Servers

my $pid = $client->value('select pg_backend_pid()');
$client->close;
$h->poll_until(sub { $h->show('pools')->[0]{sv_idle} > 0 }, 'the server is idle');
look_from_here();
$node->safe_psql('postgres', q(select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'));
logged(qr/LOG ${backend}closing because: server connection closed \(age=\d+s\)$/m, 'a server that ends');
$h->safe_psql('app', 'select 1');
$h->console('PAUSE app');
logged(qr/${backend}closing because: pause mode /, 'PAUSE');
$h->console('RESUME app');
$h->safe_psql('app', 'select 1');
$h->console('RECONNECT app');
logged(qr/${backend}closing because: close_needed /, 'RECONNECT');
$h->safe_psql('app', 'select 1');
$h->reconfigure(databases => {app => "$server dbname=postgres"})->reload;
logged(qr/${backend}closing because: connect string changed /, 'another connection string');
$h->reconfigure(databases => {app => "$server dbname=app"})->reload;
my @clients = map { login() } 1 .. 3;
$_->value('select 1') for @clients;
$h->reconfigure(settings => {default_pool_size => 1})->reload;
$_->close for @clients;
logged(qr/${backend}closing because: too many servers in the pool /, 'a smaller pool');
$h->reconfigure(settings => {server_reset_query => 'select no_such_column'})->reload;
$h->safe_psql('app', 'select 1');
logged(qr/${backend}closing because: reset query failed /, 'a reset query that fails');
$h->reconfigure(settings => {server_reset_query => undef, server_idle_timeout => '0.1'})->reload;
$h->safe_psql('app', 'select 1');
logged(qr/${backend}closing because: server idle timeout /, 'server_idle_timeout');
$h->reconfigure(settings => {server_idle_timeout => undef, server_lifetime => '0.1'})->reload;
$h->safe_psql('app', 'select 1');
logged(qr/${backend}closing because: server lifetime over /, 'server_lifetime');
$h->reconfigure(settings => {server_lifetime => undef})->reload;
$client = login();
$client->raw(substr(Wire::query('select ' . '1' x 40000), 0, 30000));
$h->poll_until(sub { $h->show('pools')->[0]{sv_active} > 0 }, 'the server has a part of it');
$client->close;
logged(qr/${backend}closing because: client disconnect before everything was sent to the server /,
    'half a statement');

$client = login();
$client->value('select 1');
$h->reconfigure(settings => {query_wait_timeout => '0.1', pool_mode => 'transaction'})->reload;
$client->rows('begin');
my $waits = login();
$waits->send(Wire::query('select 1'));
logged(qr/WARNING ${peer}app\/app\@\S+ pooler error: query_wait_timeout$/m, 'query_wait_timeout');
logged(qr/LOG ${peer}app\/app\@\S+ closing because: query_wait_timeout \(/, '... as a reason');
$h->stop;

# Servers that cannot be had, databases that nobody has named

started(databases => {'*' => $server, unreachable => 'host=127.0.0.1 port=1'}, settings => {client_login_timeout => 1});
$h->safe_psql('app', 'select 1');
$h->safe_psql('app', 'select 2');
$h->safe_psql('postgres', 'select 1');
logged(qr/LOG registered new auto-database: app$/m, 'a database that "*" stands for');
is(scalar(() = substr($h->log, $position) =~ /registered new auto-database: app$/mg), 1, '... once');
logged(qr/LOG registered new auto-database: postgres$/m, '... and another');
try_login(database => 'unreachable');
logged(qr/LOG S-0x\w+: unreachable\/app\@127\.0\.0\.1:1 closing because: connect failed \(age=0s\)$/m, 'no server');
logged(qr/LOG $peer\S+ login failed: db=unreachable user=app$/m, '... and a client that waited for it');
not_logged(qr/auto-database: unreachable/, '... whose database has a name');
try_login(database => 'missing');
logged(qr/WARNING S-0x\w+: missing\/app\@\S+ server login failed: FATAL database "missing" does not exist$/m,
    'a server that refuses the login');
$h->stop;

# Statistics, and settings that silence some

my $number = qr/\d+/;
started(settings => {stats_period => '0.1'});
logged(qr{LOG stats: $number xacts/s, $number queries/s, $number client parses/s, $number server parses/s, $number binds/s, $number client logins/s, in $number B/s, out $number B/s, xact $number us, query $number us, wait $number us$}m,
    'the line of statistics');
$h->stop;

started(settings => {stats_period => '0.1', log_stats => 0, log_connections => 0, log_disconnections => 0, log_pooler_errors => 0});
$h->safe_psql('app', 'select 1');
try_login(database => 'nowhere');
$h->poll_until(sub { (grep { $_->{database} eq 'app' } @{$h->show('stats')})[0]{avg_query_count} }, 'a period is over');
not_logged(qr/stats:/, 'log_stats = 0');
not_logged(qr/login|new connection/, 'log_connections = 0');
not_logged(qr/closing because/, 'log_disconnections = 0');
not_logged(qr/pooler error/, 'log_pooler_errors = 0');
$h->stop;

# Too few descriptors

started(settings => {max_client_conn => 100_000_000});
$position = 0;
logged(qr/WARNING the limit of file descriptors is \d+, but max_client_conn and the pools may need \d+: raise it, or lower them$/m,
    'too few descriptors');
$h->stop;
started();
$position = 0;
not_logged(qr/limit of file descriptors is/, '... or enough');
$h->reconfigure(settings => {max_client_conn => 100_000_000})->reload;
logged(qr/WARNING the limit of file descriptors is \d+, but/, '... until a reload asks for more');
look_from_here();
$h->reload;
not_logged(qr/limit of file descriptors is/, '... once');
$h->stop;

Howdah->finish;
