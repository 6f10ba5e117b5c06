# A primary is lost while reads are split: reads go on, writes wait and go on, and each client reads what it has written.

use strict;
use warnings;

use Clusters;
use Howdah;
use Test::More;
use Wire;

my $slow = Howdah->slowness;
my ($a, $b, $c) = my @nodes = Clusters::nodes(qw(a b c));
$a->safe_psql('app', 'create table t (id int primary key, who int); alter table t owner to app');
$a->append_conf('postgresql.conf', "synchronous_standby_names = 'ANY 1 (b, c)'");
$a->reload;
my $h = Howdah->new(
    databases => {app => 'cluster=main dbname=app'},
    settings => {pool_mode => 'transaction', default_pool_size => 5, query_wait_timeout => 120},
    extra => Clusters::section('main', \@nodes, read_write_split => 'on', max_lag => '60s', failover_timeout => 60 * $slow . 's'))->start;
my @clients = map { Wire->to($h)->login(user => 'app', database => 'app') } 1 .. 4;
ok($h->poll_until(sub { $clients[0]->value('select pg_is_in_recovery() from t right join (select 1) x on true') eq 't' }, 'reads'), 'reads go to standbys');

my ($id, $lost, %written) = (0, 0);
sub round
{
    my ($what) = @_;
    my $missing = 0;
    for my $who (0 .. $#clients) {
        $clients[$who]->rows('insert into t values (' . ++$id . ", $who)");
        $written{$id} = $who;
        $missing++ if $clients[$who]->value("select count(*) from t where id = $id") ne '1';
        $missing++ if $clients[$who]->value("select count(*) from t where who = $who") != grep { $_ == $who } values %written;
    }
    return is($missing, 0, "$what: each client reads what it has written");
}
round('before') for 1 .. 5;

# Without a primary, reads go on.
$a->stop('immediate');
my $reader = Wire->to($h)->login(user => 'app', database => 'app');
my @counts = map { $reader->value('select count(*) from t') } 1 .. 20;
is(scalar(grep { $_ <= 20 } @counts), 20, 'without a primary, who has written nothing reads from the standbys');
is($reader->value('select pg_is_in_recovery()'), 't', '... which they are');
my $waiting = $clients[0];
$waiting->send(Wire::query('insert into t values (' . ++$id . ', 0)'));
$written{$id} = 0;
$h->poll_until(sub { grep { $_->{cl_waiting} > 0 } @{$h->show('POOLS')} }, 'it waits');
pass('a write waits');

# The one that has more of the log, or it would lose what was acknowledged.
sub received { return sprintf('%08s%08s', split m{/}, $_[0]->safe_psql('postgres', 'select pg_last_wal_receive_lsn()')); }
my ($new, $left) = received($b) ge received($c) ? ($b, $c) : ($c, $b);
$left->append_conf('postgresql.conf', "primary_conninfo = 'host=" . $new->host . ' port=' . $new->port . " application_name=" . $left->name . "'");
$new->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$new->promote;
$left->restart;
my ($tag) = grep { $_->[0] eq 'C' } $waiting->recv_until('Z');
is($tag->[1], "INSERT 0 1\0", '... and goes on at the new primary');
round('after the promotion') for 1 .. 5;
is($new->safe_psql('app', 'select count(*) from t'), scalar keys %written, 'nothing that was acknowledged is lost, nothing is there twice');
ok($h->poll_until(sub { $reader->value('select pg_is_in_recovery() from t limit 1') eq 't' }, 'reads'), 'reads go to the standby that is left');
round('with that') for 1 .. 5;
my @failovers = @{$h->show('FAILOVERS')};
is($failovers[-1]{to} // $failovers[-1]{node} // '', $new->name, 'SHOW FAILOVERS has it') or diag(explain(\@failovers));
$h->stop;
Howdah->finish;
