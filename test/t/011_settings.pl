# The settings: the sample file, SHOW CONFIG, SET, --check and the parser know the same ones, with the same
# defaults; and a pgbouncer.ini that spells every default out is a file like any other.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');

# What PgBouncer 1.25 has in [pgbouncer], in the order of its SHOW CONFIG, with the defaults.
my $pgbouncer = <<'END';
admin_users =
application_name_add_host = 0
auth_dbname =
auth_file =
auth_hba_file =
auth_ident_file =
auth_ldap_options =
auth_query = SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin
auth_type = md5
auth_user =
autodb_idle_timeout = 3600
cancel_wait_timeout = 10
client_idle_timeout = 0
client_login_timeout = 60
client_tls13_ciphers =
client_tls_ca_file =
client_tls_cert_file =
client_tls_ciphers = default
client_tls_dheparams = auto
client_tls_ecdhcurve = auto
client_tls_key_file =
client_tls_protocols = secure
client_tls_sslmode = disable
conffile =
default_pool_size = 20
disable_pqexec = 0
dns_max_ttl = 15
dns_nxdomain_ttl = 15
dns_zone_check_period = 0
idle_transaction_timeout = 0
ignore_startup_parameters =
job_name = pgbouncer
listen_addr =
listen_backlog = 128
listen_port = 6432
log_connections = 1
log_disconnections = 1
log_pooler_errors = 1
log_stats = 1
logfile =
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
pidfile =
pkt_buf = 4096
pool_mode = session
pool_idle_timeout = 0
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
server_tls13_ciphers =
server_tls_ca_file =
server_tls_cert_file =
server_tls_ciphers = default
server_tls_key_file =
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
unix_socket_dir = /tmp
unix_socket_group =
unix_socket_mode = 0777
user =
verbose = 0
END
my $fixed = 'disable_pqexec job_name listen_addr listen_backlog listen_port pidfile pkt_buf resolv_conf so_reuseport'
  . ' track_extra_parameters unix_socket_dir unix_socket_group unix_socket_mode user';

# A list of [name, default, changeable].
sub rows_of_pgbouncer
{
    my %fixed = map { $_ => 1 } split(/ /, $fixed);
    return map { [$1, $2, $fixed{$1} ? 'no' : 'yes'] if /^(\S+) =\s?(.*)$/ } split(/\n/, $pgbouncer);
}

sub rows_of_sample
{
    my ($text) = @_;
    my ($settings) = $text =~ /^\[howdah\]\n(.*)/ms or die 'no section [howdah]';
    my @rows;
    for my $paragraph (split(/\n\n+/, $settings =~ s/^\n+//r)) {
        my ($name, $default) = $paragraph =~ /^;(\w+) =[ ]?(.*)$/m or die "no setting: $paragraph";
        push @rows, [$name, $default, $paragraph =~ /^;; read at start only$/m ? 'no' : 'yes'];
    }
    return @rows;
}

sub names { return join(' ', map { $_->[0] } @_); }

# The sample

my $h = Howdah->new(node => $node)->start;
my ($status, $sample) = $h->run_program('--sample');
is(Howdah::slurp("$Howdah::ROOT/etc/howdah.ini"), $sample, 'etc/howdah.ini is what --sample writes')
  if -r "$Howdah::ROOT/etc/howdah.ini";
my @sample = rows_of_sample($sample);
my ($columns, @config) = $h->show_table('config');
is(names(@sample), names(@config), 'the sample names the settings of SHOW CONFIG, in its order');
is_deeply(\@sample, [map { [@$_[0, 2, 3]] } @config], '... with the same defaults, and says which can change');

my %given = (%{$h->settings}, conffile => $h->ini);
is_deeply({map { $_->[0] => $_->[1] } @config}, {(map { $_->[0] => $_->[2] } @config), %given},
    'the values are the defaults, but for what the file says');

# PgBouncer's

my @same = rows_of_pgbouncer();
is(scalar(@same), 100, 'PgBouncer has a hundred settings');
my %own = map { $_->[0] => 1 } @config;
delete @own{map { $_->[0] } @same};
my %ours = (workers => 0, session_state => 'track', function_state => 'probe', session_role => 'pin',
    max_parse_length => 65536, pin_idle_timeout => 0, pin_max_percent => 50, balance => 'least_outstanding',
    max_lag => '10s', max_lag_bytes => 0, read_from => 'prefer_standby', read_functions => '', read_write_split => 0,
    reads_follow_writes => 'session', write_functions => '', write_patterns => '', zone => '');
is_deeply([sort keys %own], [sort keys %ours], 'some are our own');
is_deeply([grep { !$own{$_->[0]} } @sample], \@same, '... all others are there, in PgBouncer\'s order and with its defaults');

# SET

my $c = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
my (@taken, @refused);
for my $row (@sample) {
    my ($name, $default) = @$row;
    $c->send(Wire::query("SET $name = '" . ($default =~ s/'/''/gr) . "'"));
    my $error = Wire::first_error($c->recv_until('Z'));
    push @taken, $name if !$error;
    push @refused, $name if $error && $error->{C} eq '55000';
}
is("@taken", join(' ', map { $_->[0] } grep { $_->[2] eq 'yes' } @sample), 'SET takes the defaults of all that can change');
is("@refused", join(' ', map { $_->[0] } grep { $_->[2] eq 'no' } @sample), '... and refuses the others');
$h->stop;

# --check

sub check { my ($text) = @_; my $probe = Howdah->new(ini => $text); return (quotemeta($probe->ini), $probe->run_program('--check', $probe->ini)); }

my $all = $sample =~ s/^;(?=[^; ])//mgr;
(my $file, $status, my $output) = check($all);
is($status, 0, '--check takes the sample with all defaults set') or diag($output);
my %useless = map { $_ => 1 } $output =~ /setting "(\w+)": /g;
my %marked = map { /^;(\w+) =/m ? ($1 => 1) : () } grep { /^;; without effect: /m } split(/\n\n/, $sample);
delete $useless{server_tls_sslmode};    # the value, not the setting
is_deeply(\%useless, \%marked, '... and warns of those that the sample says to be without effect');

my $misspelt = "[howdah]\n" . join('', map { "$_->[0]_ = $_->[1]\n" } @sample);
($file, $status, $output) = check($misspelt);
is($status, 1, '--check refuses names that are none');
is_deeply([$output =~ /$file:(\d+): unknown setting "\w+_"$/mg], [2 .. 1 + @sample], '... each of them, by its line');

# A pgbouncer.ini with every key of every section at its default.  What a test must have for itself comes last.

my $server = 'host=127.0.0.1 port=' . $node->port;
my $old = Howdah->new(node => $node);
my $own = join('', map { "$_ = " . $old->settings->{$_} . "\n" }
      qw(listen_addr listen_port unix_socket_dir auth_type auth_file admin_users logfile pidfile));
my $ini = <<"END";
[databases]
app = $server dbname=app user='' password='' auth_user='' auth_query='' auth_dbname='' pool_size=-1 min_pool_size=-1 reserve_pool_size=-1 connect_query='' pool_mode=session query_wait_timeout=120 load_balance_hosts=round-robin max_db_connections=-1 max_db_client_connections=-1 server_lifetime=0 client_encoding='' datestyle='' timezone='' application_name=''
old = $server dbname=app reserve_pool=-1
[users]
app = pool_mode=session pool_size=-1 reserve_pool_size=-1 max_user_connections=-1 max_user_client_connections=-1 transaction_timeout=0 idle_transaction_timeout=0 query_timeout=0 query_wait_timeout=120 client_idle_timeout=0
[peers]
1 = host=127.0.0.1 port=6432 pool_size=-1
[pgbouncer]
$pgbouncer$own
END
$old->{options}{ini} = $ini =~ s/^conffile =$/'conffile = ' . $old->ini/mer;
$old->write_files;
($status, $output) = $old->run_program('--check', $old->ini);
is($status, 0, '--check takes a pgbouncer.ini with every key of every section') or diag($output);
unlike($output, qr/^error/m, '... without an error');
$old->start;
is($old->safe_psql('app', 'select 1'), '1', '... and howdah works with it');
is($old->safe_psql('old', 'select 2'), '2', '... also with the other name of a key');
unlike($old->log . $old->output, qr/ERROR|FATAL/, '... and has nothing to complain of');
my %values = map { $_->{key} => $_->{value} } @{$old->show('config')};
my %expected = (%ours, (map { $_->[0] => $_->[1] } @same), conffile => $old->ini,
    map { $_ => $old->settings->{$_} }
      qw(listen_addr listen_port unix_socket_dir auth_type auth_file admin_users logfile pidfile));
is_deeply(\%values, \%expected, '... with the values that it says');

Howdah->finish;
