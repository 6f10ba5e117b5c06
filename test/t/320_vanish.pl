# Clients that vanish: whatever they were doing is ended, and the next client finds a clean server.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer closes such servers' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table t(i int); create table c(i int); grant all on t, c to public');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1})->start;

sub client { return Wire->to($h)->login(user => 'app', database => 'app'); }

my $stay = client();
my ($sync, $flush) = (Wire::sync(), Wire::flush());

sub vanishes
{
    my ($what, $do) = @_;
    my $c = client();
    $do->($c);
    $c->close;
    is(eval { $stay->value('select 42', 20 * Howdah::slowness()) } // $@, '42', "$what: the next client is served");
    is($stay->value('select count(*) from pg_locks where locktype = \'advisory\''), 0, '... no lock is left');
    is($node->safe_psql('postgres', q(select count(*) from pg_stat_activity where datname = 'app' and state <> 'idle')), 0,
        '... and no backend at work');
    return;
}

vanishes('idle', sub { });
vanishes('in a transaction', sub { $_[0]->rows('begin'); $_[0]->rows('select pg_advisory_xact_lock(1)') });
vanishes('in a failed transaction', sub { $_[0]->rows('begin'); eval { $_[0]->rows('select 1/0') } });
vanishes('in a query', sub { $_[0]->send(Wire::query('select pg_sleep(60)')) });
vanishes('in a query of a transaction', sub { $_[0]->rows('begin'); $_[0]->send(Wire::query('select pg_sleep(60)')) });
vanishes('in a batch without Sync', sub { $_[0]->send(Wire::parse('', 'select 1'), Wire::bind('', '', []), Wire::execute(''), $flush)->recv_until('C') });
vanishes('after a write in a batch without Sync', sub { $_[0]->send(Wire::parse('', 'insert into t values (1)'), Wire::bind('', '', []), Wire::execute(''), $flush)->recv_until('C') });
is($node->safe_psql('app', 'select count(*) from t'), 0, '... which is not committed by the next client');
vanishes('in a batch that sleeps, without Sync', sub { $_[0]->send(Wire::parse('', 'select pg_sleep(60)'), Wire::bind('', '', []), Wire::execute('')) });
vanishes('behind an error without Sync', sub { $_[0]->send(Wire::parse('', 'select 1/0'), Wire::bind('', '', []), Wire::execute(''), $flush)->recv_until('E') });
vanishes('in the middle of a big result', sub { $_[0]->send(Wire::query('select repeat(\'x\', 1000) from generate_series(1, 1000000)'))->recv_until('D') });
vanishes('in COPY OUT', sub { $_[0]->send(Wire::query('copy (select repeat(\'x\', 1000) from generate_series(1, 1000000)) to stdout'))->recv_until('d') });
vanishes('in COPY IN', sub { $_[0]->send(Wire::query('copy c from stdin'))->recv_until('G'); $_[0]->send(Wire::copy_data("1\n")) });
is($node->safe_psql('app', 'select count(*) from c'), 0, '... which has copied nothing');
vanishes('in the middle of a message', sub { $_[0]->send('Q' . pack('N', 100_000) . 'select 1' . ' ' x 50_000) });
vanishes('with a pipeline under way', sub { my $c = $_[0]; $c->send(map { (Wire::parse("p$_", "select $_, pg_sleep(0.01)"), Wire::bind('', "p$_", []), Wire::execute(''), $sync) } 1 .. 200) });
my $c = client();
$c->send(map { (Wire::parse("p$_", "select $_"), Wire::bind('', "p$_", []), Wire::execute(''), $sync) } 1 .. 20);
is(join('', map { Wire::types($c->recv_until('Z')) } 1 .. 20), '12DCZ' x 20, 'prepared statements after that are right');
vanishes('after a write that was not committed', sub { $_[0]->rows('begin'); $_[0]->rows('insert into t values (1)') });
is($node->safe_psql('app', 'select count(*) from t'), 0, '... it is not there');

# Who waits and vanishes is not served
$stay->rows('begin');
my @waiting = map { my $w = client(); $w->send(Wire::query('insert into t values (2)')); $w } 1 .. 5;
$h->poll_until(sub { (grep { $_->{database} eq 'app' } @{$h->show('pools')})[0]{cl_waiting} == 5 }, 'five wait');
$_->close for @waiting[0 .. 2];
$h->poll_until(sub { (grep { $_->{database} eq 'app' } @{$h->show('pools')})[0]{cl_waiting} == 2 }, 'three are gone');
$stay->rows('commit');
is(Wire::types($_->recv_until('Z')), 'CZ', 'the others are served') for @waiting[3, 4];
is($node->safe_psql('app', 'select count(*) from t'), 2, '... and only they');

Howdah->finish;
