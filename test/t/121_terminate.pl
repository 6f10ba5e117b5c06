# Terminate is a message like the others: what was sent in front of it is done first, as by PostgreSQL.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 drops what is in front of Terminate' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table written (who text); grant all on written to app');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 2})->start;
my $sync = Wire::sync();

sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app'); }
sub pooled { return Wire->to($h)->login(user => 'app', database => 'app'); }

# What the sender is told, and how many rows are there when all backends rest.
sub outcome
{
    my ($c, @messages) = @_;
    $node->safe_psql('app', 'truncate written');
    $c->send(@messages, Wire::terminate());
    my $types = Wire::types(eval { $c->recv_all(20 * Howdah::slowness()) });
    $c->close;
    $h->poll_until(sub { $node->safe_psql('postgres',
        q(select count(*) from pg_stat_activity where datname = 'app' and state <> 'idle')) eq '0' }, 'all rest');
    return "$types, " . $node->safe_psql('app', 'select count(*) from written') . ' rows';
}

my %sent = (
    'a query' => [Wire::query(q(select 'answer'))],
    'an insert' => [Wire::query(q(insert into written values ('quick')))],
    'an insert that takes a while' => [Wire::query(q(insert into written select 'slow' from pg_sleep(0.2)))],
    'three inserts' => [map { Wire::query("insert into written select '$_' from pg_sleep(0.05)") } 1 .. 3],
    'a batch' => [Wire::parse('', q(insert into written select 'batch' from pg_sleep(0.1))), Wire::bind('', '', []),
        Wire::execute(''), $sync],
    'a transaction' => [Wire::query('begin'), Wire::query(q(insert into written select 'transaction' from pg_sleep(0.1))),
        Wire::query('commit')],
    'a transaction without its end' => [Wire::query('begin'), Wire::query(q(insert into written values ('undone')))],
);
for my $name (sort keys %sent) {
    is(outcome(pooled(), @{$sent{$name}}), outcome(direct(), @{$sent{$name}}), "$name, and Terminate in the same write");
}
is(pooled()->value('select 1'), '1', 'the pool works');

Howdah->finish;
