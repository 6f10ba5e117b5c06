# COPY in all its ways, and messages of any size: streamed, never gathered, and over when they are over.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table c(i int); grant all on c to public');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1})->start;

sub client { return Wire->to($h)->login(user => 'app', database => 'app'); }
sub ask { my ($c, @messages) = @_; return Wire::types($c->send(@messages)->recv_until('Z')); }
sub copied { return $node->safe_psql('app', 'select count(*) from c'); }

my ($c, $other) = (client(), client());
my ($sync, $done) = (Wire::sync(), Wire::copy_done());
my @extended = (Wire::parse('', 'copy c from stdin'), Wire::bind('', '', []), Wire::execute(''), $sync);

sub goes_on
{
    my ($what) = @_;
    is(eval { $other->value('select 5', 20) } // $@, '5', "$what: another client is served");
    is(eval { $c->value('select 6', 20) } // $@, '6', '... and the session goes on');
    return;
}

is(Wire::types($c->send(Wire::query('copy c from stdin'))->recv_until('G')), 'G', 'COPY IN');
is(ask($c, Wire::copy_data("1\n2\n"), $done), 'CZ', '... ends');
goes_on('COPY IN');
is(copied(), 2, '... with two rows');
is(Wire::types($c->send(@extended)->recv_until('G')), '12G', 'COPY IN, extended, with the early Sync of libpq');
is(ask($c, Wire::copy_data("3\n"), $done, $sync), 'CZ', '... is answered once');
goes_on('the early Sync');
$c->send(Wire::query('copy c from stdin'))->recv_until('G');
is(ask($c, Wire::copy_data("nonsense\n")), 'EZ', 'COPY IN of bad data');
$c->send(map({ Wire::copy_data("$_\n") } 1 .. 100), $done);
goes_on('what the client still sent of it is ignored');
$c->send(@extended)->recv_until('G');
is(ask($c, Wire::copy_data("nonsense\n"), Wire::copy_data("4\n"), $done, $sync), 'EZ', 'bad data, extended');
goes_on('bad data, extended');
$c->send(Wire::query('copy c from stdin'))->recv_until('G');
is(ask($c, Wire::copy_data("5\n"), Wire::copy_fail('no')), 'EZ', 'CopyFail');
goes_on('CopyFail');
is(ask($c, Wire::query('copy c from stdin'), Wire::copy_data("6\n"), $done), 'GCZ', 'COPY IN without waiting for the server');
goes_on('the hurry');
$c->send(Wire::query('copy c from stdin; select 1; copy c from stdin'))->recv_until('G');
$c->send(Wire::copy_data("7\n"), $done)->recv_until('G');
is(ask($c, Wire::copy_data("8\n"), $done), 'CZ', 'two COPY in one query');
goes_on('two COPY');
is(copied(), 6, 'what was copied is there, and nothing else');
is(ask($c, Wire::query('copy c to stdout')), 'H' . 'd' x 6 . 'cCZ', 'COPY OUT');
is(ask($c, Wire::query('copy (select 1/0) to stdout')) =~ s/^H//r, 'EZ', 'COPY OUT that fails');
goes_on('COPY OUT');
is(ask($c, Wire::function_call(1598)), 'VZ', 'FunctionCall');
is(ask($c, Wire::function_call(1)), 'EZ', '... that fails');
goes_on('FunctionCall');
$c->send(Wire::query('copy c from stdin'))->recv_until('G');
my @after = eval { $c->send(Wire::query('select 1'))->recv_all(20) };
is((Wire::types(@after) =~ tr/E//) >= 1 ? 1 : 0, 1, 'a query in the middle of COPY IN is refused by PostgreSQL');
$c = client();
goes_on('the broken COPY');

# Size: one row of 200 MB out, one message of 100 MB in

my $mb = $ENV{SANITIZE} ? 20 : 200;
my $before = $h->rss_kb;
$c->raw(Wire::query("select repeat('x', $mb * 1000000)"));
my ($got, $highest, $buffer) = (0, 0, '');
while ($got < $mb * 1_000_000) {
    my $n = sysread($c->socket, $buffer, 1 << 20) or last;
    $got += $n;
    my $rss = $h->rss_kb;
    $highest = $rss if $rss > $highest;
}
cmp_ok($got, '>=', $mb * 1_000_000, "a row of $mb MB arrives");
cmp_ok($highest - $before, '<', 8_000, '... without being held') if !$ENV{SANITIZE};
$c = client();
$c->rows('begin');
my $half = $mb / 2;
$c->raw('Q' . pack('N', 4 + 9 + $half * 1_000_000 + 2) . "select '" . 'y');
$c->raw('y' x 1_000_000) for 1 .. $half;
$highest = $h->rss_kb;
cmp_ok($highest - $before, '<', 8_000, "a query of $half MB streams in") if !$ENV{SANITIZE};
$c->close;
is(eval { $other->value('select 7', 30) } // $@, '7', 'one that never ends holds nobody up');

# A reader that does not read stops only its own server

my $h2 = Howdah->new(node => $node, workers => 1, settings => {pool_mode => 'transaction', default_pool_size => 2})->start;
my ($lazy, $busy) = map { Wire->to($h2)->login(user => 'app', database => 'app') } 1 .. 2;
$before = $h2->rss_kb;
$lazy->send(Wire::query("select repeat('x', 1000) from generate_series(1, 300000)"));
$busy->value('select 8') for 1 .. 500;
cmp_ok($h2->rss_kb - $before, '<', 8_000, 'who does not read costs no memory') if !$ENV{SANITIZE};
is($busy->value('select 9'), '9', '... and disturbs nobody');
is(scalar(grep { $_->[0] eq 'D' } $lazy->recv_until('Z')), 300_000, '... and gets all when it reads');

Howdah->finish;
