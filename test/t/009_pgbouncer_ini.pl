# Files of PgBouncer start howdah as they are.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 knows fewer settings' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $port = $node->port;

# What a distribution installs: nearly all is commented out, and the settings stand in groups.

my $h = Howdah->new(node => $node);
my $dir = $h->dir;
my $packaged = <<"END";
;;;
;;; PgBouncer configuration file
;;;

;; database name = connect string
;;
;; connect string params:
;;   dbname= host= port= user= password= auth_user=

[databases]

;; over Unix socket
;foodb =

;; elsewhere
;bardb = host=localhost dbname=bazdb

;* = host=testserver

[users]

;user1 = pool_mode=transaction max_user_connections=10

[pgbouncer]

;;;
;;; Administrative settings
;;;

logfile = $h->{logfile}
pidfile = $dir/howdah.pid

;; IP address or * which means all IPs
listen_addr = localhost
listen_port = @{[$h->port]}

;unix_socket_dir = /tmp
;unix_socket_mode = 0777
;unix_socket_group =
unix_socket_dir = $dir

;client_tls_ca_file = <system default>

auth_type = md5
auth_file = $dir/userlist.txt

;; none of these is set
;admin_users = user2, someadmin, otheradmin
;pool_mode = session
# this neither
;conffile
;%include /etc/pgbouncer/pgbouncer-other.ini
END

Howdah::spew($h->ini, $packaged);
my ($status, $output) = $h->run_program('--check', $h->ini);
is("$status $output", "0 @{[$h->ini]}: no errors\n", 'the file of a distribution has nothing wrong');
$h->{pid} = $h->spawn($h->command_line);
$h->poll_until(sub { $h->must_live; eval { Wire->to($h); 1 } }, 'howdah listens');
my $error = Wire::first_error(Wire->to($h)->try_login(user => 'nobody', database => 'nowhere', password => 'x'));
like($error->{M}, qr/password authentication failed/, 'it listens on localhost');
ok(-S "$dir/.s.PGSQL." . $h->port, '... and on the unix socket');
is(Howdah::slurp("$dir/howdah.pid") + 0, $h->pid, '... and has its pid file');
$h->stop;

# Every setting, at PgBouncer's default.  What is a place, a user or a file stands above.

my $defaults = <<'END';
admin_users = admin
application_name_add_host = 0
auth_query = SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin
autodb_idle_timeout = 3600
cancel_wait_timeout = 10
client_idle_timeout = 0
client_login_timeout = 60
client_tls_ciphers = default
client_tls_dheparams = auto
client_tls_ecdhcurve = auto
client_tls_protocols = secure
client_tls_sslmode = disable
default_pool_size = 20
disable_pqexec = 0
dns_max_ttl = 15
dns_nxdomain_ttl = 15
dns_zone_check_period = 0
idle_transaction_timeout = 0
ignore_startup_parameters =
job_name = pgbouncer
listen_backlog = 128
log_connections = 1
log_disconnections = 1
log_pooler_errors = 1
log_stats = 1
login_notify_message =
max_client_conn = 100
max_db_client_connections = 0
max_db_connections = 0
max_packet_size = 2147483647
max_prepared_statements = 200
max_user_client_connections = 0
max_user_connections = 0
min_pool_size = 0
peer_id = 0
pkt_buf = 4096
pool_idle_timeout = 0
pool_mode = session
query_timeout = 0
query_wait_notify = 5
query_wait_timeout = 120
reserve_pool_size = 0
reserve_pool_timeout = 5
resolv_conf =
sbuf_loopcnt = 5
scram_iterations = 4096
server_check_delay = 30
server_check_query = <empty>
server_connect_timeout = 15
server_fast_close = 0
server_idle_timeout = 600
server_lifetime = 3600
server_login_retry = 15
server_reset_query = DISCARD ALL
server_reset_query_always = 0
server_round_robin = 0
server_tls_ciphers = default
server_tls_protocols = secure
server_tls_sslmode = prefer
so_reuseport = 0
stats_period = 60
stats_users =
suspend_timeout = 10
syslog = 0
syslog_facility = daemon
syslog_ident = pgbouncer
tcp_defer_accept = 1
tcp_keepalive = 1
tcp_keepcnt = 0
tcp_keepidle = 0
tcp_keepintvl = 0
tcp_socket_buffer = 0
tcp_user_timeout = 0
track_extra_parameters = IntervalStyle
transaction_timeout = 0
unix_socket_group =
unix_socket_mode = 0777
verbose = 0
END

$h = Howdah->new(node => $node, users => [['admin', 'secret']]);
$packaged =~ s/\Q$dir\E/$h->dir/ge;
$packaged =~ s/^listen_port.*/listen_port = @{[$h->port]}/m;
Howdah::spew($h->ini, $packaged . $defaults);
$h->start;
is_deeply([map { $_->{key} } grep { $_->{value} ne $_->{default} } @{$h->show('config')}],
    [qw(admin_users auth_file conffile listen_addr listen_port logfile pidfile unix_socket_dir)],
    'every setting is at its default, but for places');
$h->stop;

# What has grown over years: many databases and users, an included file, groups of settings.

my @users = map { sprintf('user_%03d', $_) } 1 .. 120;
my $secret = sub { my ($user) = @_; return 'md5' . md5_hex("secret of $user$user"); };
$h = Howdah->new(node => $node, users => [['admin', 'secret'], ['app', 'secret'], map { [$_, $secret->($_)] } @users]);
my $databases = '';
for my $i (1 .. 200) {
    my $options =
        $i % 5 == 0 ? ' pool_size=3 pool_mode=session'
      : $i % 5 == 1 ? ' user=app password=unused'
      : $i % 5 == 2 ? " client_encoding=UTF8 datestyle=ISO timezone='Europe/Vienna'"
      : $i % 5 == 3 ? ' application_name=legacy query_wait_timeout=30'
      : '';
    $databases .= "customer_$i = host=127.0.0.1 port=$port dbname=app$options\n";
    $databases .= "; customer_$i has moved in spring\n" if $i % 20 == 0;
}
Howdah::spew($h->dir . '/databases.ini', $databases);
my $grown = <<"END";
[databases]
%include @{[$h->dir]}/databases.ini
'name with blank' = host=127.0.0.1 port=$port dbname=app
* = host=127.0.0.1 port=$port

[users]
@{[map { "$_ = pool_mode=" . ($_ =~ /7$/ ? 'session' : 'transaction') . " max_user_client_connections=50\n" } @users]}
[pgbouncer]
logfile=$h->{logfile}
pidfile=@{[$h->pidfile]}
listen_addr=127.0.0.1, ::1
listen_port=@{[$h->port]}
unix_socket_dir=@{[$h->dir]}
unix_socket_mode=0770
auth_type=md5
auth_file=@{[$h->dir]}/userlist.txt
admin_users=admin,postgres
stats_users=stats
pool_mode=transaction
server_reset_query=DISCARD ALL
server_reset_query_always=0
ignore_startup_parameters=extra_float_digits,search_path,options
max_client_conn=5000
default_pool_size=5
server_lifetime=1200
server_idle_timeout=60
server_connect_timeout=5
server_login_retry=1
query_wait_timeout=60
client_idle_timeout=0
idle_transaction_timeout=300
client_login_timeout=30
tcp_keepalive=1
tcp_keepcnt=3
tcp_keepidle=60
tcp_keepintvl=10
application_name_add_host=1
log_connections=0
log_disconnections=0
stats_period=60
pkt_buf=8192
sbuf_loopcnt=5
listen_backlog=512
so_reuseport=0
END
$h->{options}{ini} = $grown;
$h->write_files;
$node->safe_psql('postgres', 'create role user_003 login; create role user_007 login; create database "name with blank"');
$h->start;
my @shown = grep { $_->{name} =~ /^customer_/ } @{$h->show('databases', password => 'secret')};
is(scalar(@shown), 200, 'a file with 200 databases: all are there');
for my $i (3, 5, 100, 200) {
    is($h->safe_psql("customer_$i", 'select current_database()', user => 'user_003', password => 'secret of user_003'),
        'app', "a client comes in to customer_$i");
}
is($h->safe_psql('customer_1', 'select current_user', user => 'user_003', password => 'secret of user_003'),
    'app', '... to one with a user of its own');
is($h->safe_psql('customer_2', 'show timezone', user => 'user_003', password => 'secret of user_003'),
    'Europe/Vienna', '... to one with a time zone');
is($h->safe_psql('name with blank', 'select 1', user => 'user_003', password => 'secret of user_003'), '1', '... with a blank in its name');
is($h->safe_psql('postgres', 'select current_database()', user => 'user_007', password => 'secret of user_007'), 'postgres', '... to one without a name');
my $client = Wire->to($h)->login(user => 'user_003', database => 'customer_4', password => 'secret of user_003', extra_float_digits => '3', search_path => 'x');
is($client->value('select 1'), '1', 'a client with the parameters of JDBC');
($status, $output) = $h->console_try('RELOAD', password => 'secret');
is($status, 0, 'RELOAD') or diag($output);
is($client->value('select 2'), '2', '... disturbs nobody');

Howdah->finish;
