# Cancel requests: they reach the statement they were meant for, and no other.

use strict;
use warnings;

use Howdah;
use Test::More;
use Time::HiRes qw(sleep time);
use Wire;

plan skip_all => 'the races are for howdah' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 2})->start;

sub client { return Wire->to($h)->login(user => 'app', database => 'app'); }
sub cancel { my ($c) = @_; my $w = Wire->to($h)->raw(Wire::cancel(@{$c->key})); return $w; }
sub code { my $e = Wire::first_error(@_); return $e ? $e->{C} : ''; }

my $c = client();
$c->send(Wire::query('select pg_sleep(30)'));
$h->poll_until(sub { $node->safe_psql('postgres', "select count(*) from pg_stat_activity where query like '%pg_sleep(30)%' and state = 'active'") >= 1 + 1 }, 'it runs');
is(scalar(cancel($c)->recv_all), 0, 'a cancel request is answered by closing its connection');
my @messages = $c->recv_until('Z');
is(code(@messages), '57014', 'the statement is cancelled');
is($c->value('select 1'), '1', '... and the session goes on');
is(scalar(cancel($c)->recv_all), 0, 'a cancel of an idle client does nothing');
is($c->value('select 2'), '2', '... to its next statement either');
is(scalar(Wire->to($h)->raw(Wire::cancel(1, 2))->recv_all), 0, 'a key that nobody has');
is(scalar(Wire->to($h)->raw(Wire::cancel($c->key->[0], $c->key->[1] ^ 1))->recv_all), 0, '... or only half of it');

# In the queue

my @busy = (client(), client());
$_->rows('begin') for @busy;
my $waiter = client();
$waiter->send(Wire::query('select 3'), Wire::query('select 4'));
$h->poll_until(sub { (grep { $_->{database} eq 'app' } @{$h->show('pools')})[0]{cl_waiting} == 1 }, 'a client waits');
cancel($waiter)->recv_all;
@messages = $waiter->recv_until('Z');
is(code(@messages), '57014', 'a waiting client can be cancelled');
$_->rows('commit') for @busy;
is(Wire::types($waiter->recv_until('Z')), 'TDCZ', '... and what it sent behind that is done');
is($waiter->value('select 5'), '5', '... and its session goes on');

# A thousand races: one client is cancelled all the time, the others never.

my ($a, @others) = map { client() } 1 .. 4;
my ($hit, $missed, $wrong, @cancels) = (0, 0, 0);
srand(7);
for my $round (1 .. 1000) {
    $a->send(Wire::query("select pg_sleep(0.002), 'a$round'"));
    push @cancels, cancel($a);
    $_->send(Wire::query("select 'o$round', pg_sleep(0.0005)")) for @others;
    my @answer = $a->recv_until('Z');
    code(@answer) eq '57014' ? $hit++ : $missed++;
    for my $other (@others) {
        my @rows = $other->recv_until('Z');
        my ($row) = grep { $_->[0] eq 'D' } @rows;
        $wrong++ if code(@rows) || !$row || (Wire::data_row($row->[1]))[0] ne "o$round";
    }
    shift(@cancels)->close while @cancels > 20;
}
is($wrong, 0, 'in 1,000 races nobody else was cancelled, and every answer was the right one');
cmp_ok($hit, '>', 0, "... $hit statements were cancelled") or diag("$missed were not");
$_->close for @cancels;
$h->poll_until(sub { my ($p) = grep { $_->{database} eq 'app' } @{$h->show('pools')}; $p->{sv_idle} + $p->{sv_active} >= 1 && $p->{sv_being_canceled} == 0 },
    'no server is kept by a cancel');
is($a->value('select 6'), '6', 'the pool still works');

Howdah->finish;
