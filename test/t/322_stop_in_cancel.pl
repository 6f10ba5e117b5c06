# Clients that vanish in a query, and a program that is stopped right behind them: the cancel requests for the
# servers they left are under way then, and nothing of them may remain.

use strict;
use warnings;

use Howdah;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');

sub active { return $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where datname = 'app' and state = 'active')); }

for my $round (1 .. 6) {
    my $h = Howdah->new(node => $node, workers => 1 + $round % 2,
        settings => {pool_mode => 'transaction', default_pool_size => 8})->start;
    my @clients = map { Wire->to($h)->login(user => 'app', database => 'app') } 1 .. 8;
    $_->send(Wire::query('select pg_sleep(60)')) for @clients;
    $h->poll_until(sub { active() == 8 }, 'eight queries run');
    for my $client (@clients) {
        setsockopt($client->socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if $round > 3;
        $client->close;
    }
    $h->stop(signal => $round % 3 == 0 ? 'TERM' : 'QUIT');
    $node->safe_psql('postgres', q(select pg_terminate_backend(pid) from pg_stat_activity where datname = 'app'));
    $h->poll_until(sub { active() == 0 }, 'the server is free again');
}

Howdah->finish;
