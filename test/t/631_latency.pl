# SHOW LATENCY: the distribution of what took how long.

use strict;
use warnings;

use Howdah;
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'PgBouncer has no such command' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1})->start;

sub latency { return {map { ("$_->{database} $_->{kind}" => $_) } @{$h->show('latency')}}; }

is_deeply($h->show('latency'), [], 'nothing was measured');
my $client = Wire->to($h)->login(user => 'app', database => 'app');
is_deeply([map { "$_->{database} $_->{kind}" } @{$h->show('latency')}], ['app wait', 'app query', 'app transaction'],
    'a database has three rows');
my $before = latency();
is_deeply([@{$before->{'app query'}}{qw(count p50 p90 p99 p99.9 max)}], [(0) x 6], 'no query yet');

# 98 short queries, and two that take 300 ms.
$client->value('select 1') for 1 .. 98;
my @took;
for (1 .. 2) {
    my $start = time;
    $client->value('select pg_sleep(0.3)');
    push @took, (time - $start) * 1e6;
}
my $after = latency();
my $query = $after->{'app query'};
is($query->{count}, 100, 'queries are counted');
is($after->{'app transaction'}{count}, 100, '... and transactions');
is($after->{'app wait'}{count}, $before->{'app wait'}{count} + 100, '... and how often a server was given');
cmp_ok($query->{p50}, '<', 250000, 'half of them are short');
cmp_ok($query->{p99}, '>=', 300000 * 0.95, 'but one in a hundred is not');
my ($longest) = sort { $b <=> $a } @took;
ok($query->{max} >= 300000 && $query->{max} <= $longest, 'the longest is exact') or diag("$query->{max} $longest");
cmp_ok($query->{'p99.9'}, '<=', $query->{max}, '... and bounds the others');
ok($query->{p50} <= $query->{p90} && $query->{p90} <= $query->{p99} && $query->{p99} <= $query->{'p99.9'}, 'in their order');
is($after->{'app wait'}{p50}, 0, 'nobody waited');

# A transaction takes longer than its queries.
$client->rows('begin');
my $start = time;
select(undef, undef, undef, 0.01) until time - $start > 0.5;
$client->rows('commit');
my $now = latency();
is($now->{'app transaction'}{count}, 101, 'a transaction of two queries is one');
is($now->{'app query'}{count}, 102, '... and two');
cmp_ok($now->{'app transaction'}{max}, '>=', 500000, '... and as long as it was open');
cmp_ok($now->{'app query'}{max}, '<', 500000, '... which its queries were not');

# Waiting, on whatever worker: there are two.
my @waiting = map { Wire->to($h)->login(user => 'app', database => 'app') } 1 .. 4;
my $waits = latency()->{'app wait'}{count};
$client->rows('begin');
$_->send(Wire::query('select 1')) for @waiting;
$h->poll_until(sub { @{$h->show('waiters')} == 4 }, 'they wait');
$h->poll_until(sub { my $w = $h->show('waiters')->[3]; $w->{wait_us} > 200000 }, 'the last of them for 200 ms');
$client->rows('commit');
$_->recv_until('Z') for @waiting;
$now = latency();
is($now->{'app wait'}{count}, $waits + 5, 'who waited is counted once');
cmp_ok($now->{'app wait'}{max}, '>=', 200000, '... with its time');
is($now->{'app wait'}{p50}, 0, '... most still did not wait');

# Databases do not mix.
Wire->to($h)->login(user => 'app', database => 'postgres')->value('select 1');
$now = latency();
is($now->{'postgres query'}{count}, 1, 'each database has its own');
is_deeply([map { $_->{database} } @{$h->show('latency')}], [('app') x 3, ('postgres') x 3], '... in their order');
my ($column) = @{$h->show("latency (\"p99.9\") where database = 'postgres' and kind = 'query'")};
is($column->{'p99.9'}, $now->{'postgres query'}{'p99.9'}, 'a column with a point in its name');

Howdah->finish;
