
# Replication connections: a server of their own, whatever the pool's mode.

use strict;
use warnings;

use Howdah;
use PostgreSQL::Test::Utils;
use Test::More;
use Wire;

my $node = Howdah->node('main', init => {allows_streaming => 'logical'}, conf => "wal_level = logical\nmax_wal_senders = 8",
    hba => ['local replication repl trust', 'host replication repl 127.0.0.1/32 trust']);
$node->safe_psql('postgres', 'create role repl login replication');
$node->safe_psql('app', 'create table news (id serial primary key, what text); grant all on news to app, repl; create publication news for table news');
my $h = Howdah->new(
    node => $node,
    settings => {pool_mode => 'transaction', default_pool_size => 2, query_timeout => 1, idle_transaction_timeout => 1},
    databases => {app => $node->connstr('app'), replication => $node->connstr('app')},
    users => [['repl', '']])->start;

sub pool
{
    my ($column, $user) = @_;
    return (grep { $_->{user} eq $user } @{$h->show('pools')})[0]{$column} // 0;
}

sub row_of
{
    my ($what, $user) = @_;
    return (grep { $_->{user} eq $user } @{$h->show($what)})[0];
}

# The tools of PostgreSQL

my $connection = 'host=127.0.0.1 port=' . $h->port . ' user=repl';
my $backup = $h->dir . '/backup';
command_ok(['pg_basebackup', '-d', $connection, '-D', $backup, '--no-sync', '-c', 'fast', '-X', 'stream'],
    'pg_basebackup, with the WAL streamed beside it');
ok(-s "$backup/PG_VERSION", '... brings a data directory');
command_ok(['pg_verifybackup', $backup], '... which is whole');

my $wal = $h->dir . '/wal';
mkdir $wal or die $!;
my $receiver = IPC::Run::start(['pg_receivewal', '-d', "$connection application_name=pg_receivewal", '-D', $wal, '--synchronous', '-n'], '>', \my $out, '2>', \my $err);
$h->poll_until(sub { $node->safe_psql('postgres', q(select count(*) from pg_stat_replication where application_name = 'pg_receivewal')) eq '1' },
    'pg_receivewal streams');
$node->safe_psql('app', 'select pg_switch_wal()');
$node->safe_psql('app', q(insert into news (what) values ('wal')));
my $lsn = $node->safe_psql('app', 'select pg_current_wal_flush_lsn()');
$h->poll_until(sub { $node->safe_psql('postgres', qq(select count(*) from pg_stat_replication where application_name = 'pg_receivewal' and flush_lsn >= '$lsn')) eq '1' },
    'pg_receivewal has got it all');
pass('pg_receivewal gets the WAL, and PostgreSQL hears that it has it');
is(row_of('clients', 'repl')->{replication}, 'physical', 'SHOW CLIENTS tells');
is(row_of('servers', 'repl')->{replication}, 'physical', 'SHOW SERVERS too');
$h->poll_until(sub { $node->safe_psql('postgres', q(select count(*) from pg_stat_replication where application_name = 'pg_receivewal' and clock_timestamp() - backend_start > '2s')) eq '1' },
    'it has gone on for longer than query_timeout');
pass('no timeout for queries ends it');
$receiver->signal('INT');
$receiver->finish;
$h->poll_until(sub { $node->safe_psql('postgres', 'select count(*) from pg_stat_replication') eq '0' }, 'the walsender is gone');
is(pool('sv_active', 'repl') + pool('sv_idle', 'repl'), 0, 'nobody else gets its server');

# A subscription

my $target = Howdah->node('target');
$target->safe_psql('app', 'create table news (id serial primary key, what text)');
$target->safe_psql('app', qq(create subscription news connection '$connection dbname=app' publication news));
$node->safe_psql('app', q(insert into news (what) values ('logical')));
$h->poll_until(sub { $target->safe_psql('app', 'select string_agg(what, \',\' order by id) from news') eq 'wal,logical' },
    'a subscription gets what was there and what came');
pass('a logical subscription works');
is(row_of('clients', 'repl')->{replication}, 'logical', 'SHOW CLIENTS tells');
$node->safe_psql('app', q(insert into news (what) select repeat('x', 1000) from generate_series(1, 5000)));
$h->poll_until(sub { $target->safe_psql('app', 'select count(*) from news') eq '5002' }, 'many rows come');
pass('... with a large transaction too');
$target->safe_psql('app', 'alter subscription news disable');
$h->poll_until(sub { $node->safe_psql('postgres', 'select count(*) from pg_stat_replication') eq '0' }, 'the subscription is off');
$target->safe_psql('app', 'alter subscription news enable');
$node->safe_psql('app', q(insert into news (what) values ('again')));
$h->poll_until(sub { $target->safe_psql('app', q(select count(*) from news where what = 'again')) eq '1' }, 'it goes on');
pass('... and goes on after a pause');
$node->stop('fast');
$node->start;
$node->safe_psql('app', q(insert into news (what) values ('restarted')));
$h->poll_until(sub { $target->safe_psql('app', q(select count(*) from news where what = 'restarted')) eq '1' }, 'it comes back');
pass('... and after a restart of the publisher');
$target->safe_psql('app', 'drop subscription news');

# Word by word

my $walsender = Wire->to($h)->login(user => 'repl', database => 'app', replication => 'database', application_name => 'me');
like($walsender->value('IDENTIFY_SYSTEM'), qr/^\d+$/, 'a walsender answers');
is($walsender->value('select application_name from pg_stat_replication where pid = pg_backend_pid()'), 'me', '... and has the parameters');
is($walsender->value('select pg_backend_pid()'), $walsender->key->[0], 'the key has its process id');
$walsender->close;
$h->poll_until(sub { $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where backend_type = 'walsender')) eq '0' }, 'it ends');
pass('a client that vanishes takes its walsender along');

my $error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', replication => 'true'));
is($error->{C}, '28000', 'who may not replicate is told by the server');
is(Wire->to($h)->login(user => 'app', database => 'app')->value('select 1'), '1', '... and the pool is not harmed');
$error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', replication => 'perhaps'));
is($error->{C}, '22023', 'a wrong value is refused');

# Room in a pool: idle servers go, others are waited for

my @clients = map { Wire->to($h)->login(user => 'repl', database => 'app') } 1 .. 2;
$_->rows('begin') for @clients;
$_->rows('commit') for @clients;
is(pool('sv_idle', 'repl'), 2, 'the pool is full of idle servers');
$walsender = Wire->to($h)->login(user => 'repl', database => 'app', replication => 'database');
is(pool('sv_idle', 'repl'), 1, 'one goes to make room for a walsender');
$_->rows('begin') for $clients[0];
$clients[1]->send(Wire::query('select 1'));
$h->poll_until(sub { pool('cl_waiting', 'repl') == 1 }, 'the other client waits');
my $late = Wire->to($h);
$late->send(Wire::startup(user => 'repl', database => 'app', replication => 'database'));
$h->poll_until(sub { pool('cl_waiting', 'repl') == 2 }, 'so does another walsender');
$clients[0]->rows('commit');
$clients[1]->recv_until('Z');
$late->recv_until('Z');
like($late->value('IDENTIFY_SYSTEM'), qr/^\d+$/, 'in their turns');

Howdah->finish;
