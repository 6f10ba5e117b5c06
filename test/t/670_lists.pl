# SHOW DATABASES, USERS and POOLS: who is in them, in which order; the columns of cancel requests.

use strict;
use warnings;

use Howdah;
use IPC::Run ();
use Test::More;
use Wire;

my $node = Howdah->node('main');
$node->safe_psql('postgres', "create role $_ login") for qw(zoe bob);
my $server = 'host=127.0.0.1 port=' . $node->port;
my $h = Howdah->new(node => $node, users => [[zoe => ''], [bob => '']],
    databases => {zeta => "$server dbname=app", alpha => "$server dbname=app", Middle => "$server dbname=app", pgb => "$server dbname=app"},
    user_settings => {known => 'pool_mode=session', bob => 'pool_mode=transaction'},
    settings => {pool_mode => 'transaction', default_pool_size => 3})->start;
my $pgbouncer = Howdah->is_pgbouncer;

sub names { my ($what, $column) = @_; return [map { $_->{$column} } @{$h->show($what)}]; }

is_deeply(names('databases', 'name'), [qw(Middle alpha pgb pgbouncer zeta)], 'databases, by name, the console among them');
my @users = qw(admin app bob known pgbouncer stats zoe);
is_deeply(names('users', 'name'), \@users, 'users of the user list and of the settings, by name');
my %lists = map { $_->{list} => $_->{items} } @{$h->show('lists')};
is_deeply([@lists{qw(databases users)}], [5, 7], 'SHOW LISTS counts as many');

my ($known) = grep { $_->{name} eq 'known' } @{$h->show('users')};
is($known->{pool_mode}, 'session', 'what the settings say of a user');
my ($zoe) = grep { $_->{name} eq 'zoe' } @{$h->show('users')};
is($zoe->{pool_mode}, '', '... or do not say');

# Pools: by database, then user.
my @clients = map { Wire->to($h)->login(user => $_->[0], database => $_->[1]) }
  ([zoe => 'zeta'], [app => 'zeta'], [bob => 'alpha'], [zoe => 'Middle'], [app => 'pgb']);
$_->value('select 1') for @clients;
is_deeply([map { "$_->{database}/$_->{user}" } @{$h->show('pools')}],
    [qw(Middle/zoe alpha/bob pgb/app pgbouncer/pgbouncer zeta/app zeta/zoe)], 'pools, by database and user');
if (!$pgbouncer) {
    ($zoe) = grep { $_->{name} eq 'zoe' } @{$h->show('users')};
    is_deeply([@$zoe{qw(current_client_connections current_connections)}], [2, 2], 'a user has clients and servers in several pools');
    is_deeply(names('users', 'name'), \@users, '... and is there once');
}

# Cancel requests that are under way: to a server that does not accept, and to one that does not answer.
SKIP: {
    skip 'PgBouncer 1.18 has other states', 9 if $pgbouncer;
    my ($client, $other) = @clients[0, 3];    # of pools with one server each
    my ($postmaster) = $node->safe_psql('postgres', q(select pg_read_file('postmaster.pid'))) =~ /^(\d+)/;
    my @columns = qw(cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled);

    sub pool_of
    {
        my ($database) = @_;
        my ($row) = grep { $_->{database} eq $database && $_->{user} eq 'zoe' } @{$h->show('pools')};
        return [@$row{@columns}];
    }

    is_deeply(pool_of('zeta'), [0, 0, 0, 0, 0], 'nothing is under way');
    $client->send(Wire::query('select pg_sleep(600)'));
    $node->poll_query_until('postgres', q(select exists (select from pg_stat_activity where query like '%sleep(600)%' and pid <> pg_backend_pid())));
    kill('STOP', $postmaster) or die;
    my $cancel = Wire->to($h)->raw(Wire::cancel(@{$client->key}));
    $h->poll_until(sub { pool_of('zeta')->[0] == 1 }, 'the cancel request has been sent');
    is_deeply(pool_of('zeta'), [1, 0, 1, 1, 0], 'a cancel request that has been sent');
    is_deeply(pool_of('Middle'), [0, 0, 0, 0, 0], '... is in its pool alone');
    # Its server has nothing to do any more, but the signal may still come.
    my ($pid) = map { $_->{remote_pid} } grep { $_->{database} eq 'zeta' && $_->{user} eq 'zoe' } @{$h->show('servers')};
    kill('INT', $pid);
    is(Wire::first_error($client->recv_until('Z'))->{C}, '57014', 'another signal was quicker');
    $h->poll_until(sub { pool_of('zeta')->[4] == 1 }, 'the server waits for the cancel request');
    is_deeply(pool_of('zeta'), [1, 0, 0, 1, 1], 'a server that is free but for the cancel request');
    kill('CONT', $postmaster);
    $h->poll_until(sub { "@{pool_of('zeta')}" eq '0 0 0 0 0' }, 'it has come');
    is($cancel->recv, undef, '... and who asked for it is told');
    is($client->value('select 1'), '1', '... the server is lent again');

    my @nft = (['add', 'table', 'inet', 't'], ['add', 'chain', 'inet', 't', 'c', '{ type filter hook output priority 0; }'],
        ['add', 'rule', 'inet', 't', 'c', 'tcp', 'dport', $node->port, 'tcp', 'flags', 'syn', 'drop']);
    $other->send(Wire::query('select pg_sleep(601)'));
    $node->poll_query_until('postgres', q(select exists (select from pg_stat_activity where query like '%sleep(601)%' and pid <> pg_backend_pid())));
    my $filtered = !grep { !IPC::Run::run(['nft', @$_], '>', \my $out, '2>', \my $err) } @nft;
    skip 'no firewall of our own here', 2 if !$filtered;
    $cancel = Wire->to($h)->raw(Wire::cancel(@{$other->key}));
    $h->poll_until(sub { pool_of('Middle')->[1] == 1 }, 'the cancel request waits for its connection');
    is_deeply(pool_of('Middle'), [0, 1, 1, 1, 0], 'a cancel request that could not be sent yet');
    IPC::Run::run(['nft', 'delete', 'table', 'inet', 't']);
    is(Wire::first_error($other->recv_until('Z'))->{C}, '57014', '... is sent when it can be');
}

# Limits, lists of hosts, and servers that are tested or begin with a query.
if (!$pgbouncer) {
    my $list = 'host=127.0.0.1,127.0.0.1 port=' . $node->port . ' dbname=app';
    my $l = Howdah->new(node => $node, user_settings => {app => 'reserve_pool_size=4 max_user_connections=5'},
        databases => {list => "$list min_pool_size=1 reserve_pool_size=2 max_db_connections=7 load_balance_hosts=disable",
            robin => $list, slow => "$server dbname=app connect_query='select pg_advisory_xact_lock(8)'", plain => "$server dbname=app"},
        settings => {pool_mode => 'transaction', min_pool_size => 0, reserve_pool_size => 3, max_db_connections => 9,
            max_user_connections => 8, server_check_delay => 0, server_check_query => 'select pg_advisory_xact_lock(7)'})->start;
    my %database = map { $_->{name} => $_ } @{$l->show('databases')};
    my @limits = qw(min_pool_size reserve_pool_size max_connections load_balance_hosts current_connections);
    is_deeply([@{$database{list}}{@limits}], [1, 2, 7, 'disable', 0], 'SHOW DATABASES: limits of its own');
    is_deeply([@{$database{robin}}{@limits}], [0, 3, 9, 'round-robin', 0], '... and those of the settings');
    is_deeply([@{$database{plain}}{@limits}], [0, 3, 9, '', 0], '... of one host, which needs no balance');
    my %user = map { $_->{name} => $_ } @{$l->show('users')};
    is_deeply([map { $_ =~ s/^ +//r } @{$user{app}}{qw(reserve_pool_size max_user_connections)}], [4, 5], 'SHOW USERS: limits of its own');
    is_deeply([@{$user{stats}}{qw(reserve_pool_size max_user_connections)}], ['', 8], '... and those of the settings');

    sub of { my ($what, $of, @columns) = @_; my ($row) = grep { $_->{database} eq $of } @{$l->show($what)}; return [@{$row // {}}{@columns}]; }
    sub lock_of { my ($key) = @_; my $holder = $node->background_psql('app'); $holder->query_safe("select pg_advisory_lock($key)"); return $holder; }
    my %wire = map { $_ => Wire->to($l)->login(user => 'app', database => $_) } qw(list plain);
    my @servers = qw(sv_active sv_idle sv_used sv_tested sv_login);
    $_->rows('begin') for values %wire;
    is_deeply(of(pools => list => @servers, 'load_balance_hosts'), [1, 0, 0, 0, 0, 'disable'], 'SHOW POOLS: a list of hosts');
    is_deeply(of(pools => plain => @servers, 'load_balance_hosts'), [1, 0, 0, 0, 0, ''], '... and one host');
    is((grep { $_->{name} eq 'list' } @{$l->show('databases')})[0]{current_connections}, 1, '... SHOW DATABASES counts servers');
    is((grep { $_->{name} eq 'app' } @{$l->show('users')})[0]{current_connections}, 2, '... and so does SHOW USERS');
    $_->rows('commit') for values %wire;
    is_deeply(of(pools => plain => @servers), [0, 0, 1, 0, 0], 'a server that must be tested first');
    is_deeply(of(servers => plain => 'state'), ['used'], '... is "used"');
    is_deeply([grep { $_->{type} eq 'S' } @{$l->show('active_sockets')}], [], '... and not active');
    my $seven = lock_of(7);
    $wire{plain}->send(Wire::query('select 1'));
    $l->poll_until(sub { of(pools => plain => 'sv_tested')->[0] == 1 }, 'it is tested');
    is_deeply(of(pools => plain => @servers, 'cl_waiting'), [0, 0, 0, 1, 0, 1], 'a server that is tested');
    is_deeply(of(servers => plain => 'state'), ['tested'], '... is "tested"');
    $seven->quit;
    is(Wire::types($wire{plain}->recv_until('Z')), 'TDCZ', '... and then lent');
    my $eight = lock_of(8);
    $wire{slow} = Wire->to($l)->raw(Wire::startup(user => 'app', database => 'slow'));
    $l->poll_until(sub { (of(servers => slow => 'remote_pid')->[0] // 0) > 0 }, 'a server begins with its query');
    is_deeply(of(pools => slow => @servers), [0, 0, 0, 0, 1], 'a server that begins with a query');
    is_deeply(of(servers => slow => 'state'), ['new'], '... is "new"');
    $eight->quit;
    $wire{slow}->recv_until('Z');
    $l->stop;
}

Howdah->finish;
