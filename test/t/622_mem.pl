# SHOW MEM: the objects that there are.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer has other objects' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 2})->start;

sub used { return {map { $_->{name} => $_->{used} } @{$h->show('mem')}}; }

my $before = used();
is_deeply([@$before{qw(worker console_session client server pool prepared_statement dns_name peer peer_request)}],
    [2, 1, (0) x 7], 'an idle howdah');
is_deeply([grep { $_->{size} <= 0 || $_->{free} < 0 } @{$h->show('mem')}], [], 'everything has a size');

my @clients = map { Wire->to($h)->login(user => 'app', database => 'app') } 1 .. 3;
$_->rows('begin') for @clients[0, 1];
my $now = used();
is_deeply([@$now{qw(client server pool database user console_session)}], [3, 2, 1, 1, 1, 1], 'three clients on two servers');
cmp_ok($now->{parameter_set}, '>=', 1, '... with what they are set to');

$clients[0]->send(Wire::parse('name', 'select 1'), Wire::sync());
$clients[0]->recv_until('Z');
my ($row) = grep { $_->{name} eq 'prepared_statement' } @{$h->show('mem')};
is($row->{used}, 1, 'a prepared statement');
cmp_ok($row->{memtotal}, '>', $row->{size}, '... whose text counts');

$clients[1]->rows('select pg_advisory_xact_lock(1)');
$clients[0]->send(Wire::query('select pg_advisory_xact_lock(1)'));
$h->poll_until(sub { used()->{expected_reply} == 1 }, 'a reply is expected');
$clients[1]->rows('commit');
$clients[0]->recv_until('Z');
is(used()->{expected_reply}, 0, 'a reply that has come is expected no more');

$clients[1]->rows('begin');
$clients[1]->raw(substr(Wire::query('select 1'), 0, 8));
$h->poll_until(sub { used()->{buffer_byte} == 8 }, 'half of a query is kept');
$clients[1]->raw(substr(Wire::query('select 1'), 8));
$clients[1]->recv_until('Z');
is(used()->{buffer_byte}, 0, 'a query that is whole is not kept');

for (@{$h->show('mem')}) {
    next if $_->{name} =~ /statement|parameter|facts/;    # their texts are on top
    is($_->{memtotal}, $_->{size} * ($_->{used} + $_->{free}), "the memory of $_->{name}");
}

$_->close for @clients;
$h->poll_until(sub { my $u = used(); $u->{client} == 0 && $u->{server} > 0 }, 'the clients have gone, the servers are kept');
is(used()->{pool}, 1, 'a pool is for ever');

Howdah->finish;
