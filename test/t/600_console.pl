# The console: what SHOW shows, column by column, what the commands do, and who may give them.

use strict;
use warnings;

use Howdah;
use IPC::Run ();
use Test::More;
use Wire;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 5})->start;
my $pgbouncer = Howdah->is_pgbouncer;    # 1.18, whose columns are fewer

sub console { return Wire->to($h)->login(user => 'admin', database => 'pgbouncer', @_); }

# SHOW

my $socket = 'type user database replication state addr port local_addr local_port connect_time request_time wait'
  . ' wait_us close_needed ptr link remote_pid tls application_name prepared_statements id';
my $buffers = 'recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail';
my @counts = qw(server_assignment_count xact_count query_count);
my @ps = qw(client_parse_count server_parse_count bind_count client_login_count);
my %columns = (
    CLIENTS => $socket,
    SERVERS => $socket,
    SOCKETS => "$socket $buffers",
    ACTIVE_SOCKETS => "$socket $buffers",
    POOLS => 'database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel'
      . ' sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts',
    DATABASES => 'name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime'
      . ' pool_mode load_balance_hosts max_connections current_connections max_client_connections'
      . ' current_client_connections paused disabled',
    USERS => 'name pool_size reserve_pool_size pool_mode max_user_connections current_connections'
      . ' max_user_client_connections current_client_connections',
    STATS => join(' ', 'database',
        map({ "total_$_" } @counts, qw(received sent xact_time query_time wait_time), @ps),
        map({ "avg_$_" } @counts, qw(recv sent xact_time query_time wait_time), @ps)),
    STATS_TOTALS => join(' ', 'database', @counts, qw(bytes_received bytes_sent xact_time query_time wait_time), @ps),
    STATS_AVERAGES => join(' ', 'database', @counts, qw(bytes_received bytes_sent xact_time query_time wait_time),
        map { "avg_$_" } @ps),
    TOTALS => 'name value',
    LISTS => 'list items',
    PEERS => 'peer_id host port pool_size',
    PEER_POOLS => 'peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login',
    STATE => 'key value',
    CONFIG => 'key value default changeable',
    VERSION => 'version',
    WAITERS => 'database user id wait wait_us addr port application_name waits_for',
    LATENCY => 'database kind count p50 p90 p99 p99.9 max',
    MEM => 'name size used free memtotal',
    DNS_HOSTS => 'hostname ttl addrs',
    NODES => 'cluster node host port state role no_reads timeline lsn lag_ms lag_bytes replay_paused age_ms error outstanding'
      . ' latency_us reads writes ejections ejected_ms',
    FAILOVERS => 'time cluster from to timeline without_ms',
    DNS_ZONES => 'zonename serial count');

my $client = Wire->to($h)->login(user => 'app', database => 'app', application_name => 'a test');
$client->rows('begin');

for my $what (sort keys %columns) {
  SKIP: {
        skip "PgBouncer 1.18 has other columns in $what", 1
          if $pgbouncer && $what !~ /^(LISTS|MEM|CONFIG|DNS_ZONES|VERSION)$/;
        my ($names) = eval { $h->show_table($what) };
        is(join(' ', @{$names // []}), $columns{$what}, "the columns of SHOW $what") or diag($@);
    }
}

# The types that drivers see: int4, int8, numeric, else text.
my %type = (23 => 'int4', 20 => 'int8', 1700 => 'numeric', 25 => 'text');

sub types
{
    my ($what) = @_;
    my $c = console();
    $c->send(Wire::query("SHOW $what"));
    my ($description) = grep { $_->[0] eq 'T' } $c->recv_until('Z');
    my $body = substr($description->[1], 2);
    my %types;
    while ($body =~ s/^([^\0]*)\0(.{18})//s) {
        my $oid = (unpack('N n N', $2))[2];
        $types{$1} = $type{$oid} // $oid;
    }
    return \%types;
}

my $of_sockets = 'port local_port wait wait_us close_needed remote_pid prepared_statements id';
my %numbers = (
    CLIENTS => {int4 => $of_sockets},
    SERVERS => {int4 => $of_sockets},
    SOCKETS => {int4 => "$of_sockets $buffers"},
    ACTIVE_SOCKETS => {int4 => "$of_sockets $buffers"},
    POOLS => {int4 => join(' ', grep { /^(cl|sv)_|^maxwait/ } split(/ /, $columns{POOLS}))},
    DATABASES => {int4 => 'port pool_size min_pool_size reserve_pool_size server_lifetime max_connections current_connections'
          . ' max_client_connections current_client_connections paused disabled'},
    USERS => {int4 => 'max_user_connections current_connections max_user_client_connections current_client_connections'},
    (map { ($_ => {numeric => $columns{$_} =~ s/^database //r}) } qw(STATS STATS_TOTALS STATS_AVERAGES)),
    TOTALS => {numeric => 'value'},
    LISTS => {int4 => 'items'},
    WAITERS => {int4 => 'id wait wait_us port'},
    LATENCY => {int8 => 'count p50 p90 p99 p99.9 max'},
    MEM => {int4 => 'size used free memtotal'},
    DNS_HOSTS => {int8 => 'ttl'},
    NODES => {int4 => 'port outstanding ejections',
        int8 => 'timeline lag_ms lag_bytes age_ms latency_us reads writes ejected_ms'},
    FAILOVERS => {int8 => 'timeline without_ms'},
    DNS_ZONES => {int8 => 'serial', int4 => 'count'});
for my $what ($pgbouncer ? () : grep { $columns{$_} } sort keys %numbers, qw(STATE CONFIG VERSION)) {
    my %expected = map { ($_ => 'text') } split(/ /, $columns{$what});
    for my $type (keys %{$numbers{$what} // {}}) {
        $expected{$_} = $type for split(/ /, $numbers{$what}{$type});
    }
    is_deeply(types($what), \%expected, "the types of SHOW $what");
}

my ($row) = grep { $_->{user} eq 'app' } @{$h->show('clients')};
is($row->{type}, 'C', 'SHOW CLIENTS: type');
is($row->{database}, 'app', '... database');
is($row->{state}, 'active', '... state');
is($row->{addr}, '127.0.0.1', '... address');
is($row->{port}, $client->socket->sockport, '... port');
is($row->{local_port}, $h->port, '... local port');
is($row->{application_name}, 'a test', '... application name') if !$pgbouncer;
like($row->{connect_time}, qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/, '... time of the connection');
my ($server) = grep { $_->{user} eq 'app' } @{$h->show('servers')};
is($server->{type}, 'S', 'SHOW SERVERS: type');
is($server->{state}, 'active', '... state');
is($server->{port}, $node->port, '... port');
is($server->{remote_pid}, $client->value('select pg_backend_pid()'), '... process of the server');
is($server->{link}, $row->{ptr}, '... the client that has it');
is($row->{link}, $server->{ptr}, '... and the other way round');

($row) = grep { $_->{database} eq 'app' } @{$h->show('pools')};
is_deeply([@$row{qw(user cl_active cl_waiting sv_active sv_idle pool_mode)}], ['app', 1, 0, 1, 0, 'transaction'],
    'SHOW POOLS');
$client->rows('commit');
($row) = grep { $_->{database} eq 'app' } @{$h->show('pools')};
is_deeply([@$row{qw(sv_active sv_idle)}], [0, 1], '... after the transaction');
my @pools = map { "$_->{database}/$_->{user}" } @{$h->show('pools')};
is_deeply(\@pools, ['app/app', 'pgbouncer/pgbouncer'], '... and the console itself');

($row) = grep { $_->{name} eq 'app' } @{$h->show('databases')};
is_deeply([@$row{qw(host port database force_user pool_size paused disabled current_connections)}],
    ['127.0.0.1', $node->port, 'app', '', 5, 0, 0, 1], 'SHOW DATABASES');

my %list = map { $_->{list} => $_->{items} } @{$h->show('lists')};
is_deeply([sort keys %list],
    [sort qw(databases users pools free_clients used_clients login_clients free_servers used_servers),
        qw(dns_names dns_zones dns_queries dns_pending), $pgbouncer ? () : qw(peers peer_pools)], 'SHOW LISTS');
is($list{databases}, 3, '... with the console among the databases');
is($list{used_servers}, 1, '... and its servers');

sub stats
{
    my ($row) = grep { $_->{database} eq 'app' } @{$h->show('stats')};
    return $row;
}
my $before = stats();
$client->value('select 1') for 1 .. 10;
$client->rows('begin');
$client->value('select 1');
$client->rows('commit');
$h->poll_until(sub { stats()->{total_query_count} >= $before->{total_query_count} + 13 }, 'the queries are counted');
my $after = stats();
is($after->{total_query_count} - $before->{total_query_count}, 13, 'SHOW STATS: queries');
is($after->{total_xact_count} - $before->{total_xact_count}, 11, '... transactions');
cmp_ok($after->{total_received}, '>', $before->{total_received}, '... bytes received');
cmp_ok($after->{total_sent}, '>', $before->{total_sent}, '... bytes sent');
cmp_ok($after->{total_query_time}, '>', $before->{total_query_time}, '... time');

my %config = map { $_->{key} => $_ } @{$h->show('config')};
is($config{default_pool_size}{value}, 5, 'SHOW CONFIG: value');
is($config{default_pool_size}{default}, 20, '... default');
is($config{default_pool_size}{changeable}, 'yes', '... changeable');
is($config{listen_port}{changeable}, 'no', '... or not');

my ($status, $version) = $h->run_program('-V');
is($h->show('version')->[0]{version}, (split(/\n/, $version))[0], 'SHOW VERSION says what -V says');

my $c = console();
$c->send(Wire::query('SHOW HELP'));
my @messages = $c->recv_until('Z');
like(Wire::types(@messages), $pgbouncer ? qr/^NCZ$/ : qr/^NTD+CZ$/, 'SHOW HELP is a notice, and rows');
my $notice = Wire::error_fields($messages[0][1]);
is($notice->{C}, '00000', '... which is no error');
is($notice->{M}, 'Console usage', '... with its title');
like($notice->{D}, qr/PAUSE.*RESUME.*SHUTDOWN/s, '... and the commands');
SKIP: {
    skip 'no rows there', 4 if $pgbouncer;
    my @help = @{$h->show('help')};
    is($notice->{D}, join('', "\n", map { "\t$_->{command}\n" } @help), '... which are those of the rows');
    is_deeply([grep { $_->{description} eq '' || $_->{users} !~ /^(admin|stats)_users$/ } @help], [], 'each has a description');
    my %users = map { $_->{command} => $_->{users} } @help;
    is($users{'KILL_CLIENT id'}, 'admin_users', 'who may do it');
    is($users{'SHOW POOLS'}, 'stats_users', '... or see it');
}

# The grammar

sub tag
{
    my ($command) = @_;
    $c->send(Wire::query($command));
    my @all = $c->recv_until('Z');
    my $error = Wire::first_error(@all);
    return "$error->{S} $error->{C} $error->{M}" if $error;
    my ($complete) = grep { $_->[0] eq 'C' } @all;
    return substr($complete->[1], 0, -1);
}

is(tag('show version'), 'SHOW', 'commands in lower case');
is(tag('  SHOW   VERSION ; '), 'SHOW', '... with blanks and a semicolon');
is(tag('SET default_pool_size = 6'), 'SET' . ($pgbouncer ? '' : ' default_pool_size=6'), 'SET changes a setting') if !$pgbouncer;
SKIP: {
    skip 'another answer there', 2 if $pgbouncer;
    is((grep { $_->{key} eq 'default_pool_size' } @{$h->show('config')})[0]{value}, 6, '... for now');
    like(tag('SET default_pool_size = many'), qr/^ERROR/, '... but not to nonsense');
}
like(tag($_), $pgbouncer ? qr/^ERROR 08P01 / : qr/^ERROR 42601 /, "refused: $_") for 'nonsense', 'SHOW nonsense', 'SELECT 1';
like(tag('PAUSE no_such_database'), $pgbouncer ? qr/^ERROR 08P01 / : qr/^ERROR 3D000 /, 'refused: PAUSE no_such_database');
if (!$pgbouncer) {
    is(tag('BEGIN'), 'BEGIN', 'what drivers send around their commands is accepted');
    is(tag('COMMIT'), 'COMMIT', '... and does nothing');
}
is(tag('SHOW VERSION'), 'SHOW', 'the session goes on after errors');

# PAUSE, RESUME

is(tag('PAUSE'), 'PAUSE', 'PAUSE');
$client->send(Wire::query('select 1'));
$h->poll_until(sub { (grep { $_->{database} eq 'app' } @{$h->show('pools')})[0]{cl_waiting} == 1 }, 'the client waits');
ok(!$client->readable, 'a query waits');
is($node->safe_psql('postgres', q(select count(*) from pg_stat_activity where usename = 'app')), '0', 'the servers are closed');
like(tag('PAUSE'), qr/^ERROR.*already/, 'once is enough');
is(tag('RESUME'), 'RESUME', 'RESUME');
is(Wire::types($client->recv_until('Z')), 'TDCZ', '... lets it go on');
like(tag('RESUME'), qr/^ERROR.*not paused/, '... and nothing is left to resume');

$client->rows('begin');
$c->send(Wire::query('PAUSE app'));
$h->poll_until(sub { (grep { $_->{name} eq 'app' } @{$h->show('databases')})[0]{paused} == 1 }, 'the database pauses');
ok(!$c->readable, 'PAUSE waits for the end of a transaction');
$client->rows('commit');
is(Wire::types($c->recv_until('Z')), 'CZ', '... and answers then');
is($h->safe_psql('postgres', 'select 1'), '1', 'another database is not paused');
is(tag('RESUME app'), 'RESUME', 'RESUME of the database');
is($client->value('select 1'), '1', '... and it is back');

# RECONNECT, DISABLE, ENABLE, KILL, WAIT_CLOSE

my $pid = $client->value('select pg_backend_pid()');
is(tag('RECONNECT app'), 'RECONNECT', 'RECONNECT');
is(tag('WAIT_CLOSE app'), 'WAIT_CLOSE', '... and WAIT_CLOSE');
isnt($client->value('select pg_backend_pid()'), $pid, '... give a new server');
is(tag('DISABLE app'), 'DISABLE', 'DISABLE');
my ($code, $out, $err) = $h->psql('app', 'select 1');
isnt($code, 0, '... lets nobody in');
like($err, qr/database "app" is disabled/, '... and says so') if !$pgbouncer;
is($client->value('select 1'), '1', '... but those who are in go on');
is(tag('ENABLE app'), 'ENABLE', 'ENABLE');
is($h->safe_psql('app', 'select 1'), '1', '... lets them in again');
is(tag('KILL app'), 'KILL', 'KILL');
like(Wire::first_error($client->recv_all)->{M}, qr/database removed/, '... drops the clients');
is(tag('RESUME app'), 'RESUME', '... until RESUME');
is($h->safe_psql('app', 'select 1'), '1', '... brings the database back');

SKIP: {
    skip 'not there', 3 if $pgbouncer;
    $client = Wire->to($h)->login(user => 'app', database => 'app');
    my ($id) = map { $_->{id} } grep { $_->{user} eq 'app' && $_->{port} == $client->socket->sockport } @{$h->show('clients')};
    is(tag("KILL_CLIENT $id"), 'KILL_CLIENT', 'KILL_CLIENT');
    is(Wire::first_error($client->recv_all)->{M}, 'admin forced disconnect', '... drops one client');
    like(tag('KILL_CLIENT 999999'), qr/^ERROR.*client not found/, '... and knows who is there');
}

# Who may do what

$c = console(user => 'stats');
is(tag('SHOW POOLS'), 'SHOW', 'stats_users may look');
like(tag('PAUSE'), qr/^ERROR/, '... but not touch');
my $error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'pgbouncer'));
like($error->{M}, qr/not allowed/, 'nobody else may look');

# Drivers: psycopg 2 sends simple queries, psycopg 3 and asyncpg the extended protocol.
sub driver
{
    my ($name, $script) = @_;
    my ($out, $err) = ('', '');
    my $run = IPC::Run::start(['/usr/bin/python3', '-c', $script, $h->port], '<', '/dev/null', '>', \$out, '2>', \$err,
        IPC::Run::timeout(30));
    my $good = eval { $run->finish } // 0;
    return ok($good && $out eq "app\npgbouncer\n", "SHOW POOLS through $name") || diag($out, $err);
}

driver('psycopg2', <<'END');
import psycopg2, sys
c = psycopg2.connect(host="127.0.0.1", port=sys.argv[1], user="admin", dbname="pgbouncer")
c.autocommit = True
cursor = c.cursor()
cursor.execute("SHOW POOLS")
names = sorted({row[0] for row in cursor.fetchall()} - {"postgres"})
print("\n".join(names))
END
SKIP: {
    skip 'PgBouncer has no extended protocol on its console', 8 if $pgbouncer;
    driver('psycopg 3', <<'END');
import psycopg, sys
with psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=admin dbname=pgbouncer", autocommit=True) as c:
    rows = c.execute("SHOW POOLS").fetchall() + c.execute("SHOW POOLS", prepare=True).fetchall()
    print("\n".join(sorted({row[0] for row in rows} - {"postgres"})))
    assert isinstance(rows[0][2], int)
END
    $c = console();
    $c->send(Wire::parse('', 'SHOW VERSION'), Wire::describe('S', ''), Wire::bind('', '', []), Wire::describe('P', ''),
        Wire::execute(''), Wire::sync());
    is(Wire::types($c->recv_until('Z')), '1tT2TDCZ', 'every step of the extended protocol is answered');

    # Drivers fetch in parts within a transaction only: there a portal outlives Sync.
    $c->send(Wire::query('BEGIN'));
    is(($c->recv_until('Z'))[-1][1], 'T', 'BEGIN begins a transaction');
    $c->send(Wire::parse('', 'SHOW CONFIG'), Wire::bind('p', '', []), Wire::execute('p', 2), Wire::sync());
    is(Wire::types($c->recv_until('Z')), '12DDsZ', '... in which rows are fetched in parts');
    $c->send(Wire::execute('p', 3), Wire::sync());
    is(Wire::types($c->recv_until('Z')), 'DDDsZ', '... also after a Sync');
    $c->send(Wire::query('COMMIT'));
    is(($c->recv_until('Z'))[-1][1], 'I', '... until COMMIT');
    $c->send(Wire::execute('p', 3), Wire::sync());
    is(Wire::first_error($c->recv_until('Z'))->{C}, '34000', '... which ends them');
    is(Wire::types(console(extra_float_digits => 2, 'no.such' => 'x')->send(Wire::query('SHOW VERSION'))->recv_until('Z')), 'TDCZ',
        'drivers may send what they like in their startup packet');
}

# SHUTDOWN

$h->safe_psql('app', 'select 1');
SKIP: {
    skip 'other words there', 4 if $pgbouncer;
    $client = Wire->to($h)->login(user => 'app', database => 'app');
    $client->rows('begin');
    my $waiting = Wire->to($h)->login(user => 'app', database => 'app');
    $c = console();
    $c->send(Wire::query('SHUTDOWN WAIT_FOR_SERVERS'));
    $h->poll_until(sub { !eval { Wire->to($h); 1 } }, 'the port is closed');
    is($client->value('select 5'), '5', 'SHUTDOWN WAIT_FOR_SERVERS lets a transaction end');
    $client->rows('commit');
    $h->wait_for_exit('... and howdah then ends');

    $h->start;
    $client = Wire->to($h)->login(user => 'app', database => 'app');
    $c = console();
    $c->send(Wire::query('SHUTDOWN WAIT_FOR_CLIENTS'));
    $h->poll_until(sub { !eval { Wire->to($h); 1 } }, 'the port is closed');
    is($client->value('select 6'), '6', 'SHUTDOWN WAIT_FOR_CLIENTS lets the clients go on');
    $client->close;
    $c->close;
    $h->wait_for_exit('... and howdah ends when they are gone');
    $h->start;
}
$c = console();
$client = Wire->to($h)->login(user => 'app', database => 'app');
$c->send(Wire::query('SHUTDOWN'));
$h->wait_for_exit('SHUTDOWN ends it at once');
is(scalar(@{[grep { $_->[0] ne 'E' } eval { $client->recv_all }]}), 0, '... and the clients with it');

Howdah->finish;
