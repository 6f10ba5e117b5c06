
# How many servers there may be, and must: limits over pools, the reserve, the minimum; and what a new
# or a long idle server is asked.

use strict;
use warnings;

use Howdah;
use IO::Select;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Wire;

my $node = Howdah->node('main');
my @names = qw(one two three);
$node->safe_psql('postgres', "create role $_ login") for @names;
$node->safe_psql('postgres', "grant all on database app to $_") for @names;
my $app = $node->connstr('app');

sub start
{
    my (%options) = @_;
    return Howdah->new(node => $node, users => [map { [$_, ''] } @names], databases => $options{databases} // {app => $app, other => $app},
        extra => $options{extra}, settings => {pool_mode => 'transaction', %{$options{settings}}})->start;
}

sub client
{
    my ($h, $user, $database) = @_;
    return Wire->to($h)->login(user => $user // 'app', database => $database // 'app');
}

# One that asks at once, without waiting for its welcome: the first of a pool needs a server for that.
sub asker
{
    my ($h, $user, $database, $sql) = @_;
    my $client = Wire->to($h);
    $client->send(Wire::startup(user => $user, database => $database) . Wire::query($sql));
    return $client;
}

sub rows_of
{
    my ($h, $what, %which) = @_;
    my @rows = @{$h->show($what)};
    for my $key (keys %which) { @rows = grep { ($_->{$key} // '') eq $which{$key} } @rows; }
    return @rows;
}

sub servers { my ($h, %which) = @_; return scalar(rows_of($h, 'servers', %which)); }
sub pool { my ($h, $column, %which) = @_; my $sum = 0; $sum += $_->{$column} for rows_of($h, 'pools', %which); return $sum; }
sub waits { my ($h, $count) = @_; return $h->poll_until(sub { pool($h, 'cl_waiting') == $count }, "$count clients wait"); }
sub backends { return $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where datname = 'app')); }

# Of all its threads.
sub cpu_seconds
{
    my ($h) = @_;
    my @fields = split(/ /, PostgreSQL::Test::Utils::slurp_file('/proc/' . $h->pid . '/stat') =~ s/^.*\) //sr);
    return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# max_db_connections: over all users of a database; idle ones give way

for my $workers (1, 2) {
    my $h = start(settings => {max_db_connections => 3, default_pool_size => 3, workers => $workers});
    my @idle = map { client($h, 'one') } 1 .. 3;
    $_->rows('begin') for @idle;
    is(servers($h, database => 'app'), 3, "$workers workers: one user may have them all");
    my $second = asker($h, 'two', 'app', 'select current_user');
    waits($h, 1);
    is(backends(), '3', '... then another waits');
    $idle[0]->rows('commit');
    $second->recv_until('Z');
    my ($row) = grep { $_->[0] eq 'D' } $second->recv_until('Z');
    is((Wire::data_row($row->[1]))[0], 'two', '... until one is idle: that gives way');
    is(backends(), '3', '... and there are never more');
    like($h->log, qr{app/one\S+ closing because: evicted}, '... which the log tells');
    is(client($h, 'three', 'other')->value('select 1'), '1', 'another database has its own limit');
    $_->rows('commit') for @idle[1, 2];
    is(client($h, 'two')->value('select 1'), '1', 'idle ones of the same user are used');

    # All want all the time: nobody starves, the limit holds.
    my %done;
    my @busy = map { my $user = $_; map { [$user, client($h, $user)] } 1 .. 4 } @names;
    $_->[1]->send(Wire::query('select pg_sleep(0.02)')) for @busy;
    my $select = IO::Select->new(map { $_->[1]->socket } @busy);
    my %by_socket = map { $_->[1]->socket => $_ } @busy;
    my $until = time + 4;
    my $most = 0;
    while (time < $until) {
        for my $socket ($select->can_read(1)) {
            my ($user, $client) = @{$by_socket{$socket}};
            $client->recv_until('Z');
            $done{$user}++;
            $client->send(Wire::query('select pg_sleep(0.02)'));
        }
        my $now = servers($h, database => 'app');
        $most = $now if $now > $most;
    }
    ok((grep { $done{$_} } @names) == 3, 'of three users none starves') or diag(explain(\%done));
    cmp_ok($most, '<=', 3, '... and the limit holds all the time');
    $_->[1]->recv_until('Z', 30) for @busy;
    $h->stop;
}

# max_user_connections: over all databases of a user

{
    my $h = start(settings => {max_user_connections => 2, default_pool_size => 2}, extra => "[users]\ntwo = max_user_connections=1\n");
    my @held = map { client($h, 'one', $_) } 'app', 'other';
    $_->rows('begin') for @held;
    my $third = client($h, 'one', 'app');
    $third->send(Wire::query('select 1'));
    waits($h, 1);
    is(servers($h, user => 'one'), 2, 'max_user_connections bounds the servers of a user');
    my $before = cpu_seconds($h);
    $h->poll_until(sub { pool($h, 'maxwait') >= 2 }, 'it waits for a while');
    cmp_ok(cpu_seconds($h) - $before, '<', 1, '... and nobody is busy with its waiting');
    is(client($h, 'three')->value('select 1'), '1', '... of that user only');
    $held[1]->rows('commit');
    $third->recv_until('Z');
    is(servers($h, user => 'one', database => 'other'), 0, '... and an idle one of another database gives way');
    my @own = map { client($h, 'two') } 1 .. 2;
    $own[0]->rows('begin');
    $own[1]->send(Wire::query('select 1'));
    waits($h, 1);
    is(servers($h, user => 'two'), 1, 'a user may have a limit of its own');
    $own[0]->close;
    $own[1]->recv_until('Z');
    $h->stop;
}

# The reserve

{
    my $h = start(settings => {default_pool_size => 1, reserve_pool_size => 2, reserve_pool_timeout => 1},
        databases => {app => $app, none => "$app reserve_pool_size=0"});
    my @clients = map { client($h) } 1 .. 5;
    $_->send(Wire::query('begin')) for @clients;
    waits($h, 4);
    is(servers($h), 1, 'the reserve is not used at once');
    $h->poll_until(sub { servers($h) == 3 }, 'the reserve is used');
    waits($h, 2);
    is(servers($h), 3, '... to its size');
    like($h->log, qr/taking connection from reserve_pool/, '... which the log tells');
    my @none = map { client($h, 'app', 'none') } 1 .. 2;
    $_->send(Wire::query('begin')) for @none;
    $h->poll_until(sub { pool($h, 'maxwait', database => 'none') >= 2 }, 'they have waited for long');
    is(servers($h, database => 'none'), 1, 'a database may have none');
    $h->stop;
}

# The minimum

{
    my $h = start(settings => {min_pool_size => 2, default_pool_size => 5, server_idle_timeout => 1, workers => 1},
        databases => {app => $app, forced => "$app user=app min_pool_size=3", one => "$app pool_size=1 user=one", late => $app});
    $h->poll_until(sub { servers($h, database => 'forced') == 3 }, 'a pool with a user of its own is filled');
    pass('min_pool_size is there before any client, if the pool has a user of its own');
    $h->poll_until(sub { servers($h, database => 'one') == 1 }, 'one is filled too');
    is(servers($h, database => 'one'), 1, '... but not beyond pool_size');
    is(servers($h, database => 'app'), 0, '... else not');
    my $client = client($h);
    $h->poll_until(sub { servers($h, database => 'app') == 2 }, 'a client has come');
    pass('... but when a client has come');
    my @more = map { client($h) } 1 .. 4;
    $_->rows('begin') for @more;
    is(servers($h, database => 'app'), 4, 'more when they are needed');
    $_->rows('commit') for @more;
    $h->poll_until(sub { servers($h, database => 'app') == 2 }, 'the others are idle for too long');
    pass('server_idle_timeout leaves the minimum');
    my $pid = $client->value('select pg_backend_pid()');
    $node->safe_psql('postgres', q(select pg_terminate_backend(pid) from pg_stat_activity where datname = 'app'));
    $h->poll_until(sub { pool($h, 'sv_idle', database => 'forced') == 3 && pool($h, 'sv_idle', database => 'app') == 2 }, 'they are there again');
    pass('those that die are replaced');
    $h->stop;
}

# What a new server is asked

{
    my $long = q(select set_config(''search_path'', ''fresh'', false) /* ) . 'x' x 5000 . ' */';
    my $h = start(settings => {}, databases => {
        app => "$app connect_query='$long'",
        bad => "$app connect_query='select nonsense'",
        open => "$app connect_query='begin; set search_path = here; savepoint a'",
        session => "$app pool_mode=session connect_query='set work_mem = ''5MB'''"});
    is(client($h)->value('show search_path'), 'fresh', 'connect_query, of any length, has run');
    is(client($h, 'app', 'bad')->value('select 1'), '1', 'when it fails the server is used all the same');
    like($h->log, qr/connect_query failed: ERROR column "nonsense" does not exist/, '... and the log tells');
    is(client($h, 'app', 'open')->value('show search_path'), '"$user", public', 'a transaction that it leaves open is rolled back');
    is(client($h, 'app', 'session')->value('show work_mem'), '5MB', 'it runs for a server of session mode too');
    $h->stop;
}

# What a server is asked that was idle for long

{
    my $h = start(settings => {server_check_delay => 0, server_check_query => 'select 1 as check_it', default_pool_size => 1});
    my $log = $node->logfile;
    $node->append_conf('postgresql.conf', 'log_statement = all');
    $node->reload;
    $node->poll_query_until('postgres', 'show log_statement', 'all');
    my $client = client($h);
    my $pid = $client->value('select pg_backend_pid()');
    $node->poll_query_until('postgres', "select query = 'select pg_backend_pid()' from pg_stat_activity where pid = $pid");
    is($client->value('select pg_backend_pid()'), $pid, 'a server that passes its test is used');
    my $text = PostgreSQL::Test::Utils::slurp_file($log);
    is(scalar(() = $text =~ /statement: select 1 as check_it/g), 2, '... and was tested each time: not when it was new');
    $node->append_conf('postgresql.conf', 'log_statement = none');
    $node->reload;
    $h->stop;

    $h = start(settings => {server_check_delay => 0, server_check_query => 'select nonsense', default_pool_size => 1});
    $client = client($h);
    $pid = $client->value('select pg_backend_pid()');
    isnt($client->value('select pg_backend_pid()'), $pid, 'one that fails is replaced, and the client does not see it');
    like($h->log, qr/closing because: test query failed/, '... but the log tells');
    $h->stop;

    # A server that has gone without a word, as behind a firewall: only a test finds out.
    $h = start(settings => {server_check_delay => 0, server_connect_timeout => 1, default_pool_size => 3});
    my @clients = map { client($h) } 1 .. 3;
    $_->rows('begin') for @clients;
    my @pids = map { $_->value('select pg_backend_pid()') } @clients;
    $_->rows('commit') for @clients;
    kill STOP => $_ for @pids;
    is($clients[0]->value('select 1', 30), '1', 'servers that do not answer are found by <empty> queries');
    kill CONT => $_ for @pids;
    $h->stop;

    $h = start(settings => {server_check_query => '', server_check_delay => 0, default_pool_size => 1});
    $client = client($h);
    is($client->value('select pg_backend_pid()'), $client->value('select pg_backend_pid()'), 'without a query there is no test');
    $h->stop;
}

# Lists of hosts

{
    my $port = $node->port;
    my $dir = $node->host;
    my $h = start(settings => {default_pool_size => 4}, databases => {
        app => "host=127.0.0.1,$dir port=$port dbname=app",
        fixed => "host=127.0.0.1,$dir port=$port dbname=app load_balance_hosts=disable",
        half => "host=/nonexistent,$dir port=$port dbname=app load_balance_hosts=disable",
        turns => "host=/nonexistent,$dir port=$port dbname=app"});
    my @clients = map { client($h) } 1 .. 4;
    $_->rows('begin') for @clients;
    my %where;
    $where{$_->{addr}}++ for rows_of($h, 'servers', database => 'app');
    is_deeply(\%where, {'127.0.0.1' => 2, unix => 2}, 'the hosts of a list take turns');
    @clients = map { client($h, 'app', 'fixed') } 1 .. 4;
    $_->rows('begin') for @clients;
    %where = ();
    $where{$_->{addr}}++ for rows_of($h, 'servers', database => 'fixed');
    is_deeply(\%where, {'127.0.0.1' => 4}, '... or the first has them all');
    is(client($h, 'app', 'half')->value('select 1'), '1', '... until it fails');
    @clients = map { client($h, 'app', 'half') } 1 .. 3;
    $_->rows('begin') for @clients;
    is(servers($h, database => 'half', addr => 'unix'), 3, '... then the next');
    is(client($h, 'app', 'turns')->value('select 1'), '1', 'a host that is down does not keep the others from their turns');
    $h->stop;
}

# Clients in the queue

{
    my $h = start(settings => {default_pool_size => 1, query_wait_notify => 1, query_wait_timeout => 30}, extra => "[users]\ntwo = query_timeout=1\n",
        databases => {app => "$app user=app"});
    my $holder = client($h);
    $holder->rows('begin');
    my $waiter = client($h);
    $waiter->send(Wire::query('select 1'));
    my ($notice) = $waiter->recv_until('N');
    is(Wire::error_fields($notice->[1])->{M}, 'No server connection available in postgres backend, client being queued', 'who waits is told so');
    my $limited = client($h, 'two');
    $limited->send(Wire::query('select 1'));
    my $error = Wire::first_error($limited->recv_all);
    is($error->{M}, 'query_timeout', 'query_timeout counts the time in the queue');
    is($error->{C}, '57014', '... SQLSTATE');
    $holder->rows('commit');
    is(Wire::types($waiter->recv_until('Z')), 'TDCZ', '... and nothing is sent twice');
    $h->stop;
}

# Simple queries refused

{
    my $h = start(settings => {disable_pqexec => 1});
    my $client = client($h);
    $client->send(Wire::parse('', 'select 1'), Wire::bind('', '', []), Wire::execute(''), Wire::sync());
    is(Wire::types($client->recv_until('Z')), '12DCZ', 'disable_pqexec leaves the extended protocol');
    $client->send(Wire::query('select 1'));
    my $error = Wire::first_error($client->recv_all);
    is($error->{M}, 'PQexec disallowed', '... and refuses the simple one');
    is($error->{S}, 'FATAL', '... for good');
    $h->stop;
}

# server_fast_close

{
    my $h = start(settings => {pool_mode => 'session', server_fast_close => 1});
    my ($idle, $busy) = (client($h), client($h));
    $busy->rows('begin');
    $h->console('RECONNECT');
    my $error = Wire::first_error($idle->recv_all);
    is($error->{M}, 'database configuration changed', 'server_fast_close ends an idle session after RECONNECT');
    is($busy->value('select 1'), '1', '... but no transaction');
    $busy->send(Wire::query('commit'));
    my @last = $busy->recv_all;
    like(Wire::types(@last), qr/^CZE$/, '... before it is over');
    is(client($h)->value('select 1'), '1', 'new clients come in');
    $h->stop;
}

# server_lifetime

{
    my $h = start(settings => {server_lifetime => 2, default_pool_size => 2});
    my @clients = map { client($h) } 1 .. 2;
    $_->rows('begin') for @clients;
    $clients[0]->rows('commit');
    is(servers($h), 2, 'servers live');
    $h->poll_until(sub { servers($h, state => 'idle') == 0 }, 'one is too old');
    is(servers($h, state => 'active'), 1, 'server_lifetime closes servers that are free');
    $clients[1]->rows('commit');
    $h->poll_until(sub { servers($h) == 0 }, 'the other too');
    pass('... and the others when they are');
    $h->stop;
}

Howdah->finish;
