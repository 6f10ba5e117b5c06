# Reads follow writes, wishes of clients, and what a standby cannot run after all.

use strict;
use warnings;

use Clusters;
use Howdah;
use Test::More;
use Wire;

my ($a, $b, $c) = my @nodes = Clusters::nodes(qw(a b c));
$a->safe_psql('app', q{
    create table t (id int primary key, v int); insert into t select n, 0 from generate_series(1, 10) n;
    create function counts(int, int) returns int language sql volatile as 'update t set v = v + 1 where id = 10; select 1';
    create operator ### (function = counts, leftarg = int, rightarg = int);
    alter table t owner to app});
my %keys = (read_write_split => 'on', max_lag => '60s');
my $h = Howdah->new(
    databases => {app => 'cluster=main dbname=app', off => 'cluster=main dbname=app reads_follow_writes=off',
        all => 'cluster=main dbname=app reads_follow_writes=database', direct => 'cluster=main dbname=app read_write_split=off'},
    settings => {pool_mode => 'transaction', default_pool_size => 5, query_wait_timeout => 60},
    extra => Clusters::section('main', \@nodes, %keys))->start;

sub client { my ($database, @more) = @_; return Wire->to($h)->login(user => 'app', database => $database // 'app', @more); }
sub done { my ($client) = @_; $client->send(Wire::terminate()); return $client->recv_all; }
sub recovers { return $_[0]->value('select pg_is_in_recovery() from t limit 1'); }
sub explained { my ($client, $sql) = @_; return join("\n", map { $_->[0] } $client->rows("explain (route) $sql")); }

for my $database (qw(app off all)) {
    my $probe = client($database);
    ok($h->poll_until(sub { recovers($probe) eq 't' }, 'reads reach a standby'), "$database: reads go to standbys");
    done($probe);
}
is(recovers(client('direct')), 'f', 'read_write_split = off: to the primary');

# While replay stands still, one who has written reads it at the primary, others do not.
$_->safe_psql('postgres', 'select pg_wal_replay_pause()') for $b, $c;
my ($writer, $other, $careless) = (client(), client(), client('off'));
my ($n, $stale, $careless_stale) = (0, 0, 0);
for my $way (
    sub { my ($client, $v) = @_; $client->rows("update t set v = $v where id = 1"); },
    sub { my ($client, $v) = @_; $client->rows($_) for 'begin', "update t set v = $v where id = 1", 'commit'; },
    sub { my ($client, $v) = @_; $client->rows("begin; update t set v = $v where id = 1; commit"); },
    sub {
        my ($client, $v) = @_;
        $client->send(Wire::parse('', "update t set v = $v where id = 1"), Wire::bind('', ''), Wire::execute(''), Wire::sync())->recv_until('Z');
    },
    sub { my ($client, $v) = @_; $client->rows("do 'begin update t set v = $v where id = 1; end'"); }) {
    for my $client ($writer, $careless) {
        $way->($client, ++$n);
        for my $read (sub { $client->value('select v from t where id = 1') },
            sub { ($client->send(Wire::parse('', 'select v from t where id = 1'), Wire::bind('', ''), Wire::execute(''), Wire::sync())->recv_until('Z'))[2][1] =~ /(\d+)$/; $1 }) {
            $client == $writer ? $stale++ : $careless_stale++ if $read->() ne $n;
        }
    }
}
is($stale, 0, 'who has written reads it, though no standby shows it');
cmp_ok($careless_stale, '>', 0, '... which reads_follow_writes = off does not promise');
is($other->value('select v from t where id = 1'), '0', 'others read what the standbys have');
like(explained($writer, 'select * from t'), qr/Follows: a write.*Node b: standby.*not following.*Choice: the primary/s, 'EXPLAIN (ROUTE) says why');
my ($one, $two) = (client('all'), client('all'));
$one->rows('update t set v = 77 where id = 1');
is($two->value('select v from t where id = 1'), '77', 'reads_follow_writes = database: other clients read it, too');
my $token = $writer->value('show howdah.token');
like($token, qr{^[0-9A-F]+/[0-9A-F]+$}, 'SHOW howdah.token');
$other->rows("set howdah.token = '$token'");
is($other->value('select v from t where id = 1'), '77', '... takes what was written to another session');
$_->safe_psql('postgres', 'select pg_wal_replay_resume()') for $b, $c;
ok($h->poll_until(sub { recovers($writer) eq 't' && recovers($other) eq 't' && recovers($two) eq 't' }, 'reads are back'), 'reads go back to standbys that show it');
is($writer->value('select v from t where id = 1'), '77', '... and they do');

# Wishes.
my $wishing = client();
$h->poll_until(sub { recovers($wishing) eq 't' }, 'it reads');
is($wishing->value('/* howdah: role=primary */ select pg_is_in_recovery()'), 'f', 'a comment wishes for the primary');
is(recovers($wishing), 't', '... for its own statement');
$wishing->rows('set howdah.role = primary');
is(recovers($wishing), 'f', 'SET howdah.role = primary');
is($wishing->value('/* howdah: role=auto */ select pg_is_in_recovery()'), 't', '... unless a comment says otherwise');
$wishing->rows('set howdah.role = nonsense');
is(recovers($wishing), 'f', 'a role that there is not: the primary');
$wishing->rows('reset howdah.role');
is(recovers($wishing), 't', 'RESET howdah.role');
is(recovers(client('app', options => '-c howdah.role=primary')), 'f', 'the same in the options of the login');
$wishing->rows(q(set howdah.max_lag = '1ms'));
is(recovers($wishing), 'f', 'SET howdah.max_lag');
$wishing->rows('reset howdah.max_lag');

# Transactions.
$wishing->rows('begin read only');
is(recovers($wishing), 't', 'BEGIN READ ONLY goes to a standby');
is((Wire::first_error($wishing->send(Wire::query('update t set v = 1'))->recv_until('Z')))->{C}, '25006', '... where it stays');
$wishing->rows('rollback');
$wishing->rows('begin');
is(recovers($wishing), 'f', 'BEGIN does not');
$wishing->rows('commit');
$h->poll_until(sub { recovers($wishing) eq 't' }, 'it reads again');
$wishing->rows('set default_transaction_read_only = on');
$wishing->rows('begin');
is(recovers($wishing), 't', '... but with default_transaction_read_only');
$wishing->rows('commit');
$wishing->rows('reset default_transaction_read_only');
$wishing->rows(q(set default_transaction_isolation = 'serializable'));
is($wishing->value('select count(*) from t'), '10', 'who is serializable is served, too');
$wishing->rows('reset default_transaction_isolation');

# Batches of one packet, of which some read and some do not.
my @values;
$wishing->send(map { Wire::query($_) } 'select 1', 'update t set v = 5 where id = 2', 'select v from t where id = 2', 'select 2')
    for 1;
push @values, grep { $_->[0] eq 'D' } $wishing->recv_until('Z') for 1 .. 4;
is(join(' ', map { substr($_->[1], 6) } @values), '1 5 2', 'queries sent all at once are answered in order, and follow each other');

# What was taken for a read.
$h->poll_until(sub { recovers($wishing) eq 't' }, 'it reads again');
my $before = $a->safe_psql('app', 'select v from t where id = 10');
is($wishing->value('select 1 ### 2'), '1', 'an operator that writes, which no text tells: the primary runs it, unseen');
is($a->safe_psql('app', 'select v from t where id = 10'), $before + 1, '... once');
$h->poll_until(sub { recovers($wishing) eq 't' }, 'it reads again');
$wishing->send(Wire::parse('', 'select 2 ### 3'), Wire::bind('', ''), Wire::describe('P', ''), Wire::execute(''), Wire::sync());
is(join('', map { $_->[0] } $wishing->recv_until('Z')), '12TDCZ', '... in the extended protocol, with one answer');
is($a->safe_psql('app', 'select v from t where id = 10'), $before + 2, '... and once');
my %routes = map { ("$_->{kind} $_->{reason}" => $_->{count}) } @{$h->show('ROUTES')};
is($routes{'retry writes (25006)'}, 2, 'SHOW ROUTES counts that');
ok($wishing->value('select 1 ### 2'), '... and it is remembered');
%routes = map { ("$_->{kind} $_->{reason}" => $_->{count}) } @{$h->show('ROUTES')};
is($routes{'retry writes (25006)'}, 2, '... so that it is not tried again');
cmp_ok($routes{'lease other node'}, '>', 10, '... and reads');

# Who has written while its database did not split.
$_->safe_psql('postgres', 'select pg_wal_replay_pause()') for $b, $c;
my $late = client('direct');
$late->rows('update t set v = 99 where id = 4');
$h->reconfigure(databases => {direct => 'cluster=main dbname=app read_write_split=on'});
$h->reload;
is($late->value('select v from t where id = 4'), '99', 'reads follow what was written before a RELOAD turned read_write_split on');
$_->safe_psql('postgres', 'select pg_wal_replay_resume()') for $b, $c;
ok($h->poll_until(sub { recovers($late) eq 't' }, 'it reads'), '... and it splits now');

# Only standbys.
$h->reconfigure(extra => Clusters::section('main', \@nodes, %keys, read_from => 'standby_only'));
$h->reload;
my $only = client();
$h->poll_until(sub { recovers($only) eq 't' }, 'it reads');
$only->rows('update t set v = 1 where id = 3');
my $refused = Wire::first_error($only->send(Wire::query('select v from t where id = 3'))->recv_until('Z'));
is($refused->{C}, '57P03', 'read_from = standby_only: a read that no standby can serve yet is refused');
like($refused->{M}, qr/no standby of cluster "main" can serve this read: not following/, '... and told why');
ok($h->poll_until(sub { my @rows = $only->send(Wire::query('select v from t where id = 3'))->recv_until('Z'); grep { $_->[0] eq 'D' } @rows }, 'it is served'),
    '... until one can');
$h->reconfigure(extra => Clusters::section('main', \@nodes, %keys));
$h->reload;

# A standby goes away: reads go on.
$b->stop('immediate');
$c->stop('immediate');
is($wishing->value('select count(*) from t'), '10', 'reads go to the primary when no standby is left') for 1 .. 20;
$h->stop;
Howdah->finish;
