# Clients that are killed: a reset instead of an end, by the dozen, at any moment; on two servers, with others
# at work who must not notice.

use strict;
use warnings;

use Howdah;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Wire;

plan skip_all => 'PgBouncer closes such servers' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table held (i int primary key, n int); insert into held values (1, 0); grant all on held to app');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 2})->start;
my $limit = 5 * Howdah::slowness();
my $sync = Wire::sync();

sub client { return Wire->to($h)->login(user => 'app', database => 'app'); }

sub reset_it
{
    my ($c) = @_;
    setsockopt($c->socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    return $c->close;
}

my @witnesses = map { client() } 1 .. 3;
$_->send(Wire::parse('w', 'select $1::text'), $sync)->recv_until('Z') for @witnesses;
my $nonce = 0;

# Every witness gets what it asked for, prepared and not.
sub right
{
    my $wrong = 0;
    for my $witness (@witnesses) {
        my $expected = 'w' . ++$nonce;
        my $got = eval { $witness->value("select '$expected'", $limit) } // $@;
        $wrong++ if $got ne $expected;
        my @messages = eval { $witness->send(Wire::bind('', 'w', [$expected]), Wire::execute(''), $sync)->recv_until('Z', $limit) };
        $wrong++ if Wire::types(@messages) ne '2DCZ' || (Wire::data_row($messages[1][1]))[0] ne $expected;
    }
    return $wrong == 0;
}

my %moments = (
    'in a query' => sub { $_[0]->send(Wire::query('select pg_sleep(60)')) },
    'in a short query' => sub { $_[0]->send(Wire::query('select 1')) },
    'with a row lock' => sub { $_[0]->rows('begin'); $_[0]->rows('update held set n = n + 1') },
    'waiting for a row lock' => sub { $_[0]->send(Wire::query('begin; update held set n = n + 1; select pg_sleep(60)')) },
    'in a batch without Sync' => sub { $_[0]->send(Wire::parse('w', 'update held set n = n + 1'), Wire::bind('', 'w', []), Wire::execute('')) },
    'in a Parse' => sub { $_[0]->send(Wire::parse('w', q(select 'wrong'::text, $1::int)), $sync) },
    'in a Parse that is cut' => sub { $_[0]->send(substr(Wire::parse('w', q(select 'wrong'::text, $1::int)), 0, 20)) },
    'behind an error' => sub { $_[0]->send(Wire::parse('w', 'select 1/0'), Wire::bind('', 'w', []), Wire::execute(''), Wire::flush()) },
    'with a big result' => sub { $_[0]->send(Wire::query(q(select repeat('x', 1000) from generate_series(1, 200000))))->recv_until('D') },
    'with SET under way' => sub { $_[0]->send(Wire::query(q(set application_name = 'gone'; select pg_sleep(60)))) },
    'with a pipeline' => sub { $_[0]->send(map { (Wire::parse("w$_", "select $_"), Wire::bind('', "w$_", []), Wire::execute(''), $sync) } 1 .. 300) });

for my $name (sort keys %moments) {
    my $good = 0;
    for (1 .. 5) {
        my $leaver = client();
        $moments{$name}->($leaver);
        reset_it($leaver);
        $good++ if right();
    }
    is($good, 5, "killed $name: the others are served at once, and rightly");
}

# All at random, many at a time: none is waited for.

srand(3);
my @names = sort keys %moments;
my $good = 0;
for my $round (1 .. 40) {
    my @leavers;
    for (1 .. 1 + rand(4)) {
        my $name = $names[rand @names];
        next if $name =~ /with a row lock|big/;    # these wait for an answer
        push @leavers, my $leaver = client();
        $moments{$name}->($leaver);
    }
    reset_it($_) for @leavers;
    $good++ if right();
}
is($good, 40, 'killed at random');
$h->poll_until(sub { $node->safe_psql('postgres',
    q(select count(*) from pg_stat_activity where datname = 'app' and usename = 'app' and state <> 'idle')) eq '0' }, 'no backend is stuck');
is($node->safe_psql('app', 'select n from held'), '0', 'nothing was committed for them');
is($witnesses[0]->value('show application_name'), '', '... nor is a parameter of theirs left');
is($node->safe_psql('app', q(select count(*) from pg_locks where locktype in ('tuple', 'transactionid'))) =~ /^[01]$/ ? 'none' : 'some',
    'none', '... nor a lock');

Howdah->finish;
