# What a server has prepared, and the record of it: whatever a client does to the one, others get what they have
# prepared and nothing else; an error at most once, where nobody could know.

use strict;
use warnings;

use Howdah;
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'PgBouncer 1.18 has no prepared statements in transaction mode' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $sync = Wire::sync();
my $limit = 10 * Howdah::slowness();

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, workers => 1,
        settings => {pool_mode => 'transaction', default_pool_size => 1, %settings})->start;
}

sub client { my ($h) = @_; return Wire->to($h)->login(user => 'app', database => 'app'); }

# Types, values and SQLSTATEs of the answers.
sub answers
{
    my ($c, $ready, @messages) = @_;
    my @seen;
    $c->send(@messages);
    for (1 .. $ready) {
        push @seen, map { $_->[0] eq 'D' ? 'D=' . (Wire::data_row($_->[1]))[0] : $_->[0] eq 'E' ? 'E=' . Wire::error_fields($_->[1])->{C} : $_->[0] }
            eval { $c->recv_until('Z', $limit) } or return "@seen, then: $@";
    }
    return join(' ', @seen);
}

sub prepare { my ($name, $sql) = @_; return (Wire::parse($name, $sql), $sync); }
sub use_it { my ($name) = @_; return (Wire::bind('', $name, []), Wire::execute(''), $sync); }
sub both { my ($name, $sql) = @_; return (Wire::parse($name, $sql), use_it($name)); }

my $used = '2 D=42 C Z';

# DISCARD ALL and DEALLOCATE ALL with messages behind them in the same packet

for my $all ('discard all', 'deallocate all') {
    my $h = start();
    my ($holder, $c, $late) = map { client($h) } 1 .. 3;
    is(answers($holder, 1, both('k', 'select 42')), "1 $used", 'a client has a statement');
    $c->rows($all);
    is(answers($c, 2, Wire::query($all), prepare('s', 'select 42')), 'C Z 1 Z', "another prepares it in the same packet behind $all");
    is(answers($c, 1, use_it('s')), $used, '... and has it');
    is(answers($holder, 1, use_it('k')), $used, '... as does the first');
    is(answers($late, 1, both('x', 'select 42')), "1 $used", '... and who comes later');
    is(answers($late, 3, Wire::query($all), Wire::query('select 42'), both('x', 'select 42')), "C Z T D=42 C Z 1 $used",
        'prepared and used at once behind it, under a name that was there');
    is(answers($late, 2, Wire::query(" \n" . uc($all)), use_it('x')), 'C Z E=26000 Z', '... and gone');
    is(answers($late, 2, Wire::query($all), both('x', 'select 42')), "C Z 1 $used", '... and there again');
    is(answers($c, 3, prepare('t', 'select 43'), Wire::query($all), prepare('t', 'select 42')), '1 Z C Z 1 Z', "prepared in front of and behind $all");
    is(answers($c, 1, use_it('t')), $used, '... it is the second one');
    is(answers($c, 3, both('u', 'select 42'), Wire::query($all), use_it('u')), "1 $used C Z E=26000 Z", "in front of $all only, it is gone");
    is(answers($c, 2, Wire::query('begin'), Wire::query('select 1/0')), 'C Z E=22012 Z', "$all in a transaction that has failed");
    is(answers($c, 3, Wire::query($all), prepare('v', 'select 42'), Wire::query('rollback')), 'E=25P02 Z E=25P02 Z C Z', '... is not done');
    for my $client ($holder, $late) {
        is(answers($client, 1, use_it($client == $holder ? 'k' : 'x')), $used, '... and the others have theirs') for 1 .. 2;
    }
    $h->stop;
}

# SQL that reaches for our names

my $h = start();
my ($victim, $attacker, $late, $mine) = map { client($h) } 1 .. 4;
is(answers($victim, 1, both('x', 'select 42')), "1 $used", 'a client has a statement');
my $name = $attacker->value('select name from pg_prepared_statements');
is(answers($mine, 1, Wire::query(qq(deallocate "$name"))), 'E=26000 Z', 'it is not another\'s, who says DEALLOCATE');
is(answers($mine, 1, Wire::query(qq(execute "$name"))), 'E=26000 Z', '... or EXECUTE');
is(answers($victim, 1, use_it('x')), $used, '... and it is still there');
$mine->rows(qq(prepare "$name" as select 666));
is($mine->value(qq(execute "$name")), 666, '... but may have a name like ours');
is(answers($victim, 1, use_it('x')), $used, '... which changes nothing');
$mine->rows('prepare mine as select 1');
is(answers($victim, 1, use_it('x')), $used, '... nor does a name of its own');
$attacker->rows(q(do $$ begin execute 'deallocate all'; end $$));
my $first = answers($victim, 1, use_it('x'));
like($first, qr/^(\Q$used\E|E=26000 Z)$/, 'a DO block has done it: an error at most');
is(answers($victim, 1, use_it('x')), $used, '... and not another one');
is(answers($late, 1, both('y', 'select 42')), "1 $used", '... nor for others');
$attacker->rows(q(do $$ begin execute 'deallocate all'; end $$));
like(answers($late, 1, Wire::describe('S', 'y'), $sync), qr/^(t T|E=26000) Z$/, 'the same before a Describe');
is(answers($late, 1, use_it('y')), $used, '... and all is well again');
$name = $attacker->value('select name from pg_prepared_statements');
$attacker->rows(q(do $$ begin execute 'deallocate all'; execute 'prepare ) . qq("$name") . q( as select 666'; end $$));
$attacker->rows('discard all');
is(answers($victim, 1, use_it('x')), $used, 'DISCARD ALL makes everything right');
$h->stop;

# Settings that change under a client that has prepared

for my $change ({max_prepared_statements => 0}, {pool_mode => 'session'}, {max_prepared_statements => 1}) {
    my ($key, $value) = %$change;
    $h = start(max_prepared_statements => 100);
    my $c = client($h);
    is(answers($c, 2, prepare('s1', 'select 42'), prepare('s2', 'select 43')), '1 Z 1 Z', 'two statements are prepared');
    my ($status) = $h->reconfigure(settings => $change)->reload;
    is($status, 0, "$key = $value");
    is(answers($c, 2, use_it('s1'), use_it('s2')), "$used 2 D=43 C Z", '... and they are still there');
    is(answers($c, 2, prepare('s3', 'select 42'), use_it('s3')), "1 Z $used", '... and there may be others');
    is(answers($c, 2, Wire::close_object('S', 's1'), $sync, use_it('s1')), '3 Z E=26000 Z', '... and they can be closed');
    $c->close;
    $h->stop;
}

# Many names, all of one text: others do not wait while they go

$h = start(default_pool_size => 2);
my ($other, $many) = map { client($h) } 1 .. 2;
my $count = 60_000;
$other->value('select 1');
$many->send(prepare('z', 'select 1'))->recv_until('Z');
for my $way ('DISCARD ALL', 'its end') {
    for (my $i = 0; $i < $count; $i += 5000) {
        $many->send(map({ Wire::parse("n$_", 'select 1') } $i .. $i + 4999), $sync)->recv_until('Z', 6 * $limit);
    }
    $way eq 'its end' ? $many->close : $many->send(Wire::query('discard all'));
    my ($begin, $worst) = (time, 0);
    while (time - $begin < 0.3) {
        my $asked = time;
        $other->value('select 1', 6 * $limit);
        $worst = time - $asked if time - $asked > $worst;
    }
    cmp_ok($worst, '<', 0.5 * Howdah::slowness(), sprintf('a client with %d names, %s: another waits for %.3f s', $count, $way, $worst));
    $many->recv_until('Z') if $way ne 'its end';
}

Howdah->finish;
