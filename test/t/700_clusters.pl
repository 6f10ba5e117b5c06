# A database on a cluster: its servers are the primary's, wherever that is now.

use strict;
use warnings;

use Clusters;
use Howdah;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Wire;

my $slow = Howdah->slowness;
my $a = Howdah->node('a', init => {allows_streaming => 1}, conf => 'wal_keep_size = 64MB');
$a->safe_psql('postgres', 'create role prober login');
$a->safe_psql('app', 'create table t (id int primary key); alter table t owner to app');
$a->backup('base');

my $b = Clusters::standby('b', $a);
my $c = Clusters::standby('c', $a);

my $h = Howdah->new(
    databases => {app => 'cluster=main dbname=app', other => 'cluster=main dbname=app pool_mode=session'},
    settings => {pool_mode => 'transaction', query_wait_timeout => 120},
    extra => Clusters::section('main', [[$b, ''], [$a, '']]))->start;

sub nodes { return {map { ($_->{node} => $_) } @{$h->show('nodes')}}; }

sub becomes
{
    my ($node, $state) = @_;
    my $name = $node->name;
    return ok($h->poll_until(sub { ((nodes()->{$name} // {})->{state} // '') eq $state },
            "$name is $state"), "node $name is seen as $state");
}

my $id = 0;

sub port_of { return $_[0]->value('select inet_server_port()'); }

# ---- the primary is found, though a standby is first in the list ----

becomes($a, 'primary');
becomes($b, 'standby');
my @clients = map { Wire->to($h)->login(user => 'app', database => 'app') } 1 .. 4;
$_->rows('insert into t values (' . ++$id . ')') for @clients;
is($a->safe_psql('app', 'select count(*) from t'), 4, 'writes arrive at the primary');
is(port_of($clients[0]), $a->port, '... as do all statements');
is($h->safe_psql('other', 'select inet_server_port()'), $a->port, '... in session mode too');

my $row = nodes()->{a};
is($row->{cluster}, 'main', 'SHOW NODES: cluster');
is($row->{port}, $a->port, '... port');
is($row->{timeline}, 1, '... timeline');
like($row->{lsn}, qr{^[0-9A-F]+/[0-9A-F]+$}, '... lsn');
cmp_ok($row->{age_ms}, '<', 3000 * $slow, '... age of the sample');
ok(!defined $row->{error} || $row->{error} eq '', '... no error');

IPC::Run::run(['pgbench', '-h', '127.0.0.1', '-p', $h->port, '-U', 'app', '-i', '-q', 'app'], '>', \my $out, '2>', \my $err);
IPC::Run::run(['pgbench', '-h', '127.0.0.1', '-p', $h->port, '-U', 'app', '-n', '-c', 4, '-j', 2, '-t', 50, '-M', 'prepared', 'app'],
    '>', \$out, '2>', \$err);
like($out, qr{transactions actually processed: 200/200}, 'pgbench runs') or diag($err);

my ($database) = grep { $_->{name} eq 'app' } @{$h->show('databases')};
is("$database->{host}:$database->{port}", '127.0.0.1:' . $a->port, 'SHOW DATABASES has the address of the primary');

# ---- one connection for each node, whatever the number of pools and workers ----

is($a->safe_psql('postgres', q(select count(*) from pg_stat_activity where application_name = 'howdah probe')), 1,
    'the node has one connection of the prober');

# ---- RELOAD brings a node, and leaves the others as they are ----

my $prober = $a->safe_psql('postgres', q(select pid from pg_stat_activity where application_name = 'howdah probe'));
$h->reconfigure(extra => Clusters::section('main', [[$b, ''], [$a, ''], [$c, '']]));
is(($h->reload)[0], 0, 'RELOAD adds a node');
becomes($c, 'standby');
is($a->safe_psql('postgres', q(select pid from pg_stat_activity where application_name = 'howdah probe')), $prober,
    '... and the others keep their connections');
is(port_of($clients[0]), $a->port, '... and clients their primary');

# ---- the primary stops; a standby is promoted while clients wait ----

$a->safe_psql('app', 'checkpoint');
my $position = $a->safe_psql('app', 'select pg_current_wal_lsn()');
$_->poll_query_until('postgres', "select pg_last_wal_replay_lsn() >= '$position'") for $b, $c;
$a->stop('fast');
$_->send(Wire::query('insert into t values (' . ++$id . ') returning inet_server_port()')) for @clients;
$h->poll_until(sub { grep { $_->{database} eq 'app' && $_->{cl_waiting} == 4 } @{$h->show('pools')} },
    'the clients wait');
my $began = time;
$b->promote;
my @ports;
for my $client (@clients) {
    my ($data) = grep { $_->[0] eq 'D' } $client->recv_until('Z');
    push @ports, $data ? substr($data->[1], 6) : 'none';
}
is_deeply(\@ports, [($b->port) x 4], 'clients that waited go on at the new primary, without connecting again');
note(sprintf('%.3f s after the promotion', time - $began));
becomes($b, 'primary');
is(nodes()->{b}{timeline}, 2, '... on the next timeline');
is($b->safe_psql('app', 'select count(*) from t'), 8, '... where their writes are');

# ---- the old primary comes back and takes writes ----

$a->start;
becomes($a, 'behind');
is(port_of($clients[0]), $b->port, 'an old primary is not used');
like($h->log, qr/WARNING cluster "main": node "a" takes writes on timeline 1, which is not the latest/, '... and the log says so');
$b->stop('fast');
becomes($b, 'down');
is(nodes()->{a}{state}, 'behind', '... even if the new one is down');
my $waiting = Wire->to($h)->login(user => 'app', database => 'app');

# ---- no primary: an error in time, then at once ----

$h->reconfigure(extra => Clusters::section('main', [[$b, ''], [$a, ''], [$c, '']], failover_timeout => '2s'));
is(($h->reload)[0], 0, 'a shorter failover_timeout');
$waiting->send(Wire::query('select 1'));
my ($fatal) = grep { $_->[0] eq 'E' } $waiting->recv_until('E');
like($fatal->[1], qr/\0C57P03\0Mcluster "main" has no primary\0/, 'who waits too long for a primary is told');
like($fatal->[1], qr/\0DNode "b" does not answer, node "a" takes writes on timeline 1, [^\0]*, node "c" is a standby\.\0/,
    '... and why there is none');
$began = time;
my ($status, undef, $message) = $h->psql('app', 'select 1');
isnt($status, 0, 'then clients are refused');
like($message, qr/cluster "main" has no primary/, '... with the same error');
cmp_ok(time - $began, '<', 1.5 * $slow, '... at once');

$b->start;
becomes($b, 'primary');
is($h->safe_psql('app', 'select inet_server_port()'), $b->port, 'the primary is back');

# ---- role=standby, and two that take writes ----

$c->promote;
becomes($c, 'conflict');
becomes($b, 'conflict');
like($h->log, qr/ERROR cluster "main": node "c" takes writes on timeline 2, and so does another node/, '... loudly');
($status, undef, $message) = $h->psql('app', 'select 1');
like($message, qr/cluster "main" has no primary/, 'two primaries on one timeline: none');
$h->reconfigure(extra => Clusters::section('main', [[$b, ''], [$a, ''], [$c, 'role=standby']]));
is(($h->reload)[0], 0, 'one of them gets role=standby');
becomes($c, 'not wanted');
is($h->safe_psql('app', 'select inet_server_port()'), $b->port, '... and the other is the primary');

# ---- another cluster's node ----

my $foreign = Howdah->node('foreign');
$foreign->safe_psql('postgres', 'create role prober login');
$h->reconfigure(extra => Clusters::section('main', [[$b, ''], [$foreign, '']]));
is(($h->reload)[0], 0, 'RELOAD takes nodes away, and brings a wrong one');
becomes($foreign, 'foreign');
is(join(' ', sort keys %{nodes()}), 'b foreign', '... the others are gone');
is($h->safe_psql('app', 'select inet_server_port()'), $b->port, '... and the primary is the same');
like($h->log, qr/ERROR cluster "main": node "foreign" has another system identifier, \d+/, '... loudly');

# ---- a probe that cannot log in, a node that accepts and says nothing ----

my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die $!;
$h->reconfigure(extra => Clusters::section('main', [[$b, '']]) . 'node.mute = host=127.0.0.1 port=' . $mute->sockport . "\n"
      . Clusters::section('wrong', [[$b, '']], probe_user => 'nobody', failover_timeout => '1s'),
    databases => {none => 'cluster=wrong dbname=app'});
is(($h->reload)[0], 0, 'a mute node, and a role that there is not');
$h->poll_until(sub { my ($m) = grep { $_->{node} eq 'mute' } @{$h->show('nodes')}; ($m->{error} // '') =~ /^no answer in \d+ ms$/ },
    'no answer in time');
my ($wrong) = grep { $_->{cluster} eq 'wrong' } @{$h->show('nodes')};
is($wrong->{state}, 'down', 'the state of a node that refuses the role');
like($wrong->{error}, qr/role "nobody" does not exist/, '... and why');
is($h->safe_psql('app', 'select inet_server_port()'), $b->port, '... nothing hangs');

# ---- a probe with a password, of a node that has a name ----

my $locked = Howdah->node('locked', hba => ['host all prober all scram-sha-256', 'host all app all trust']);
$locked->safe_psql('postgres', q(create role prober login password 'it''s secret'));
$locked->append_conf('postgresql.conf', q(listen_addresses = 'localhost'));
$locked->restart;
my $named = Howdah->new(databases => {app => 'cluster=main'}, users => [['prober', q(it's secret)]],
    extra => "[cluster.main]\nprobe_user = prober\nnode.a = host=localhost port=" . $locked->port . "\n")->start;
is($named->safe_psql('app', 'select inet_server_port()'), $locked->port, 'a password from auth_file, a name for the host');

($status, undef, $message) = $h->psql('none', 'select 1');
isnt($status, 0, 'a login to a cluster that never had a primary');
like($message, qr/cluster "wrong" has no primary\nDETAIL:\s+Node "b" does not answer\./, '... is told why');

# ---- settings that are wrong ----

my $good = Clusters::section('main', [[$b, '']]);
for my $bad (
    [{app => 'cluster=other'}, $good, qr/database "app": there is no section \[cluster\.other\]/],
    [{app => 'cluster=main host=x'}, $good, qr/key "cluster" excludes "host" and "port"/],
    [{app => 'cluster=main port=5432'}, $good, qr/key "cluster" excludes "host" and "port"/],
    [{}, Clusters::section('main', []), qr/cluster "main": it has no nodes/],
    [{}, Clusters::section('main', [[$b, ''], [$b, '']]), qr/node\.b": the cluster has a node of this name already/],
    [{}, Clusters::section('main', [[$b, '']]) . 'node.x = host=127.0.0.1 port=' . $b->port . "\n", qr/the same host and port as node "b"/],
    [{}, Clusters::section('main', [[$b, 'role=standby']]), qr/no node can be its primary/],
    [{}, Clusters::section('main', [[$b, 'weight=101']]), qr/key "weight": value "101": expected an integer from 1 to 100/],
    [{}, Clusters::section('main', [[$b, '']], read_write_split => 'perhaps'), qr/key "read_write_split": value "perhaps": expected on or off/],
    [{}, Clusters::section('main', [[$b, '']], max_lag => '10'), qr/key "max_lag": value "10": expected a time with a unit/],
    [{}, Clusters::section('main', [[$b, '']], balance => 'fair'), qr/key "balance": value "fair": expected least_outstanding, /],
    [{}, Clusters::section('main', [[$b, '']], read_from => 'standby'), qr/key "read_from": value "standby": expected prefer_standby, /],
    [{}, Clusters::section('main', [[$b, '']], reads_follow_writes => 'on'), qr/key "reads_follow_writes": value "on": expected session, /],
    [{}, Clusters::section('main', [[$b, '']], max_lag_bytes => '5 apples'), qr/key "max_lag_bytes": value "5 apples": expected bytes/],
    [{}, Clusters::section('main', [[$b, '']], read_functions => 'f, g()'), qr/key "read_functions": expected names of functions, .* at "g\(\)"/],
    [{}, Clusters::section('main', [[$b, '']], write_patterns => '('), qr/key "write_patterns": value "\(": not a POSIX extended regular expression: /],
    [{app => 'host=127.0.0.1 max_lag=1s'}, $good, qr/"max_lag" and "reads_follow_writes" are for a database with "cluster"/],
    [{app => 'cluster=main max_lag=1'}, $good, qr/database "app": key "max_lag": value "1": expected a time with a unit/],
    [{}, Clusters::section('main', [[$b, '']], probe_interval => '500'), qr/expected a time from 10ms to 60s/],
    [{}, Clusters::section('main', [[$b, '']], nonsense => 1), qr/cluster "main": unknown key "nonsense"/],
    [{}, Clusters::section('main', [[$b, '']], probe_user => ''), qr/key "probe_user" is missing/])
{
    my ($databases, $extra, $expected) = @$bad;
    my $probe = Howdah->new(databases => $databases, extra => $extra);
    my ($code, $said) = $probe->run_program('--check', $probe->ini);
    isnt($code, 0, 'refused: ' . $expected) or next;
    like($said, $expected, '... and says why');
    like($said, qr/howdah\.ini:\d+: /, '... with the line');
}

Howdah->finish;
