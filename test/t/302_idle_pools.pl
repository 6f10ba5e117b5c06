
# Pools and automatic databases that nobody uses are forgotten, and what they had counted is not.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

my $node = Howdah->node('main');
$node->safe_psql('postgres', "create database auto$_ owner app") for 1 .. 3;
my $auto = $node->connstr('x') =~ s/ *dbname=\S+//r;

sub pools { my ($h) = @_; return sort map { "$_->{database}/$_->{user}" } grep { $_->{database} ne 'pgbouncer' } @{$h->show('pools')}; }
sub stats { my ($h, $database) = @_; my ($row) = grep { $_->{database} eq $database } @{$h->show('stats')}; return $row->{total_query_count}; }

my $h = Howdah->new(node => $node, databases => {app => $node->connstr('app'), '*' => $auto},
    settings => {pool_mode => 'transaction', pool_idle_timeout => 1, server_idle_timeout => 1, workers => 2})->start;
my $stays = Wire->to($h)->login(user => 'app', database => 'app');
for my $name (map { "auto$_" } 1 .. 3) {
    my $client = Wire->to($h)->login(user => 'app', database => $name);
    is($client->value('select current_database()'), $name, "an automatic database: $name");
    $client->close;
}
my $others = Wire->to($h)->login(user => 'app', database => 'postgres');
$others->value('select 1') for 1 .. 7;
is_deeply([pools($h)], [map { "$_/app" } qw(app auto1 auto2 auto3 postgres)], 'each has a pool');
is(stats($h, 'postgres'), 7, '... which counts');
$others->close;
$h->poll_until(sub { join(' ', pools($h)) eq 'app/app' }, 'all but one are forgotten');
pass('pool_idle_timeout forgets pools without clients and servers');
like($h->log, qr/cleaning up idle pool for user app on db auto2/, '... which the log tells');
is($stays->value('select 1'), '1', '... but none that has clients');
is(stats($h, 'postgres'), 7, 'what they have counted is kept');
$others = Wire->to($h)->login(user => 'app', database => 'postgres');
is($others->value('select 2'), '2', 'a pool may come back');
is(stats($h, 'postgres'), 8, '... and goes on counting');
$others->close;

# Coming and going all the time, while pools are forgotten
for my $round (1 .. 60) {
    my @clients = map { Wire->to($h) } 1 .. 3;
    $clients[$_]->send(Wire::startup(user => 'app', database => 'auto' . ($_ + 1)), Wire::query('select 1'), Wire::terminate()) for 0 .. 2;
    if ($round % 30 == 0) {
        $_->recv_all for @clients;
        $h->poll_until(sub { join(' ', pools($h)) eq 'app/app' }, 'forgotten again');
    }
}
pass('clients may come while their pool goes');
$h->stop;

# By default a pool stays, but not that of an automatic database

$h = Howdah->new(node => $node, databases => {app => $node->connstr('app'), '*' => $auto},
    settings => {pool_mode => 'transaction', autodb_idle_timeout => 1, server_idle_timeout => 1})->start;
is(Wire->to($h)->login(user => 'app', database => $_)->value('select 1'), '1', "$_ is there") for qw(app auto1);
my $error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => "nobody$_")) for 1 .. 20;
$h->poll_until(sub { join(' ', pools($h)) eq 'app/app' }, 'the automatic ones are forgotten');
pass('autodb_idle_timeout forgets automatic databases, those that are not there among them');
$h->stop;

Howdah->finish;
