# Time limits hold for whatever a client sends and however it sends it, and for nothing else.

use strict;
use warnings;

use Howdah;
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'PgBouncer 1.18 knows fewer limits' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $sync = Wire::sync();
my $slow = Howdah::slowness();

sub start
{
    my ($databases, %settings) = @_;
    return Howdah->new(%$databases, workers => 1,
        settings => {pool_mode => 'transaction', default_pool_size => 1, query_wait_timeout => 30 * $slow, query_wait_notify => 0, %settings})->start;
}

sub client { my ($h) = @_; return Wire->to($h)->login(user => 'app', database => 'app'); }
sub sleep_of { my ($s) = @_; return "select pg_sleep($s)"; }
sub batch { my ($sql, @end) = @_; return (Wire::parse('', $sql), Wire::bind('', '', []), Wire::execute(''), @end); }

# All that comes until so many ReadyForQuery have or it is closed: types, the error.
sub told
{
    my ($c, $ready) = @_;
    my @messages;
    while ($ready > 0) {
        my $message = eval { $c->recv(6 * $slow) } or last;
        push @messages, $message;
        $ready-- if $message->[0] eq 'Z';
    }
    my $error = Wire::first_error(@messages);
    return (Wire::types(@messages), $error ? "$error->{C} $error->{M}" : '');
}

# query_timeout: from the first message of a statement on

my $h = start({node => $node}, query_timeout => $slow, default_pool_size => 5);
my $long = 20 * $slow;
my %sent = (
    'a query' => [1, Wire::query(sleep_of($long))],
    'the second of two queries' => [2, Wire::query('select 1'), Wire::query(sleep_of($long))],
    'the second of two batches' => [2, batch('select 1', $sync), batch(sleep_of($long), $sync)],
    'a batch with Flush' => [1, batch(sleep_of($long), Wire::flush())],
    'a query in a transaction' => [2, Wire::query('begin'), Wire::query(sleep_of($long))]);
my @names = sort keys %sent;
my @clients = map { client($h) } @names;
my $begin = time;
for my $i (0 .. $#names) {
    my ($ready, @messages) = @{$sent{$names[$i]}};
    $clients[$i]->send(@messages);
}
for my $i (0 .. $#names) {
    my ($types, $error) = told($clients[$i], $sent{$names[$i]}[0]);
    is($error, '57014 query timeout', "query_timeout, $names[$i]");
    cmp_ok(time - $begin, '<', $long / 2, '... in time');
}
my $many = client($h);
$many->send(map { Wire::query(sleep_of(0.2 * $slow)) } 1 .. 8);
my ($types, $error) = told($many, 8);
is($error, '', '... but many short ones may take longer than that together');
is($types, 'TDCZ' x 8, '... and are all answered');
$many->rows('begin');
$many->send(map { Wire::query(sleep_of(0.2 * $slow)) } 1 .. 8);
($types, $error) = told($many, 8);
is($error, '', '... in a transaction, too');
$many->close;
$h->stop;

# idle_transaction_timeout: only while nothing runs

$h = start({node => $node}, idle_transaction_timeout => $slow);
my $c = client($h);
$c->rows('begin');
($types, $error) = told($c->send(Wire::query('select 1'), Wire::query(sleep_of(2 * $slow))), 2);
is($error, '', 'idle_transaction_timeout: a statement behind another is at work, not idle');
is($types, 'TDCZTDCZ', '... and is answered');
($types, $error) = told($c->send(batch('select 1', $sync), batch(sleep_of(2 * $slow), $sync)), 2);
is("$types $error", '12DCZ12DCZ ', '... in the extended protocol, too');
($types, $error) = told($c, 1);
is($error, '25P03 idle transaction timeout', '... and then it is idle');
$h->stop;

# No server is held by a client that has only begun

my %begun = (
    'a batch with Flush and nothing more' => [batch('select 1', Wire::flush())],
    'a batch without Flush' => [batch('select 1')],
    'a Parse' => [Wire::parse('p', 'select 1')],
    'half a Parse of 20,000 bytes' => [substr(Wire::parse('big', 'select ' . '1+' x 10_000 . '1'), 0, 15_000)],
    'half a Parse of 200,000 bytes' => [substr(Wire::parse('big', 'select ' . '1+' x 100_000 . '1'), 0, 150_000)],
    'half a Bind of 200,000 bytes' => [Wire::parse('', 'select $1::text'), substr(Wire::bind('', '', ['x' x 200_000]), 0, 150_000)],
    'half a Query of 200,000 bytes' => [substr(Wire::query('select ' . '1+' x 100_000 . '1'), 0, 150_000)],
    'half a COPY' => [Wire::query('copy (select 1) to stdout'), batch('select 1')]);
@names = sort keys %begun;
my %databases = map { ("app$_" => 'host=127.0.0.1 port=' . $node->port . ' dbname=app') } 0 .. $#names;
for my $limit (qw(query_timeout transaction_timeout)) {
    $h = start({databases => \%databases}, $limit => $slow);
    my @holders = map { Wire->to($h)->login(user => 'app', database => "app$_")->send(@{$begun{$names[$_]}}) } 0 .. $#names;
    $h->poll_until(sub { !grep { $_->{sv_login} > 0 || $_->{cl_waiting} > 0 } @{$h->show('pools')} }, 'all have begun');
    my @next = map { Wire->to($h)->login(user => 'app', database => "app$_")->send(Wire::query("select $_")) } 0 .. $#names;
    for my $i (0 .. $#names) {
        is(Wire::types(eval { $next[$i]->recv_until('Z', 10 * $slow) }), 'TDCZ', "$limit: $names[$i] does not hold the server for ever");
    }
    $h->stop;
}

Howdah->finish;
