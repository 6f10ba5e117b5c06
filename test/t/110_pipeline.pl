# Pipelines: the same bytes are sent to PostgreSQL and through transaction pooling, and must be answered alike.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 has no prepared statements in transaction mode' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node,
    settings => {pool_mode => 'transaction', default_pool_size => 3, max_prepared_statements => 5})->start;

sub pooled { return Wire->to($h)->login(user => 'app', database => 'app', @_); }
sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app'); }

# What a client can see of the answers: types, rows, tags, SQLSTATEs with their texts, transaction status.
sub seen
{
    my ($c, $ready, @messages) = @_;
    my @seen;
    $c->send(@messages);
    while ($ready > 0) {
        my ($type, $body) = @{$c->recv // die("closed\n")};
        next if $type =~ /[SN]/;
        my $error = $type eq 'E' ? Wire::error_fields($body) : undef;
        push @seen, $type
          . ($error ? "($error->{S} $error->{C} $error->{M})"
            : $type =~ /[DCZ]/ ? '(' . join('|', $type eq 'D' ? map { $_ // 'NULL' } Wire::data_row($body) : $body =~ s/\0//r) . ')'
            : '');
        $ready-- if $type eq 'Z';
    }
    return join(' ', @seen);
}

my ($direct, $pooled);

sub same
{
    my ($what, $ready, @messages) = @_;
    is(seen($pooled, $ready, @messages), seen($direct, $ready, @messages), $what);
    return;
}

my ($sync, $flush) = (Wire::sync(), Wire::flush());
sub run_named { my ($name, @values) = @_; return (Wire::bind('', $name, [@values]), Wire::execute('')); }

for my $slowly (0, 1) {
    ($direct, $pooled) = (direct(), pooled());
    $pooled->slowly($slowly);
    my $how = $slowly ? ' (byte by byte)' : '';
    same("prepare and use$how", 1, Wire::parse('a', 'select $1::int + 1', 23), run_named('a', 1), run_named('a', 2), $sync);
    same("a name that exists$how", 1, Wire::parse('a', 'select 5'), run_named('a', 1), $sync);
    same("... and the old one is still there$how", 1, run_named('a', 3), $sync);
    same("a name that does not exist$how", 1, run_named('nobody'), $sync);
    same("describe$how", 1, Wire::describe('S', 'a'), $sync);
    same("describe of a name that does not exist$how", 1, Wire::describe('S', 'nobody'), $sync);
    same("close and prepare again$how", 1, Wire::close_object('S', 'a'), Wire::parse('a', 'select 7'), run_named('a'), $sync);
    same("close of a name that does not exist$how", 1, Wire::close_object('S', 'nobody'), $sync);
    same("a bad text$how", 1, Wire::parse('b', 'selec'), run_named('b'), $sync);
    same("... leaves no name$how", 1, run_named('b'), $sync);
    same("a Parse that fails, and a good one of the same name in the next batch$how", 2,
        Wire::parse('c', 'selec'), $sync, Wire::parse('c', 'select 8'), run_named('c'), $sync);
    same("a Close that is skipped$how", 2, Wire::parse('', 'select 1/0'), run_named(''), Wire::close_object('S', 'c'), $sync,
        run_named('c'), $sync);
    same("Parse, Close, Parse of one name, all skipped$how", 2, Wire::parse('', 'select 1/0'), run_named(''),
        Wire::close_object('S', 'c'), Wire::parse('c', 'select 9'), Wire::close_object('S', 'c'), $sync, run_named('c'), $sync);
    same("an error in a transaction$how", 4, Wire::query('begin'), run_named('nobody'), $sync, Wire::query('select 1'),
        Wire::query('rollback'));
    same("a duplicate in a transaction$how", 4, Wire::query('begin'), Wire::parse('c', 'select 1'), $sync,
        Wire::query('select 1'), Wire::query('rollback'));
    same("a simple query in a batch$how", 2, Wire::parse('', 'select 1'), Wire::query('select 2'), run_named(''), $sync);
    same("portals across Sync in a transaction$how", 4, Wire::query('begin'),
        Wire::parse('', 'select generate_series(1, 5)'), Wire::bind('p', '', []), Wire::execute('p', 2), $sync,
        Wire::execute('p', 2), $sync, Wire::query('commit'));
    same("Sync alone, twice$how", 2, $sync, $sync);
    same("more statements than a server keeps$how", 12,
        map({ (Wire::parse("n$_", "select $_"), run_named("n$_"), $sync) } 1 .. 11), Wire::query('select 12'));
    same("... all of them usable$how", 11, map { (run_named("n$_"), $sync) } 1 .. 11);
    same("DEALLOCATE ALL$how", 1, Wire::query('deallocate all'));
    same("... leaves no name$how", 2, run_named('n1'), $sync,
        Wire::parse('n1', 'select 1'), run_named('n1'), $sync);
    same("the unnamed statement in the next batch$how", 2, Wire::parse('', 'select $1::text', 25), Wire::describe('S', ''), $sync,
        run_named('', 'x'), $sync);
}

($direct, $pooled) = (direct(), pooled());
same('a thousand messages behind an error', 1, Wire::parse('', 'select 1/0'), run_named(''),
    map({ (Wire::parse('', "select $_"), run_named('')) } 1 .. 500), $sync);
same('a thousand transactions, every seventh with an error', 1000,
    map { (Wire::parse('', $_ % 7 ? "select $_" : 'select 1/0'), run_named(''), $sync) } 1 .. 1000);
srand(1);
for my $round (1 .. 30) {
    my (@messages, $ready);
    for my $batch (1 .. 20) {
        for (1 .. 1 + rand(5)) {
            my $name = 'r' . int(rand(4));
            my $pick = int(rand(7));
            push @messages,
                $pick == 0 ? Wire::parse($name, 'select ' . int(rand(3)))
              : $pick == 1 ? Wire::close_object('S', $name)
              : $pick == 2 ? Wire::parse($name, 'selec')
              : $pick == 3 ? (Wire::parse('', 'select 1/0'), run_named(''))
              : $pick == 4 ? Wire::describe('S', $name)
              :              run_named($name);
        }
        push @messages, $sync;
    }
    same("random pipeline $round", 20, @messages);
}

# Two clients, one server: nothing of the one is there for the other.

my $one = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1})->start;
my ($p, $q) = map { Wire->to($one)->login(user => 'app', database => 'app') } 1 .. 2;
is(seen($p, 1, Wire::parse('mine', 'select 1'), $sync), '1 Z(I)', 'one client prepares');
like(seen($q, 1, run_named('mine'), $sync), qr/26000 prepared statement "mine" does not exist/, 'the other has no such name');
is(seen($q, 1, Wire::parse('mine', 'select 2'), run_named('mine'), $sync), '1 2 D(2) C(SELECT 1) Z(I)', '... but may have its own');
is(seen($p, 1, run_named('mine'), $sync), '2 D(1) C(SELECT 1) Z(I)', '... and each has what it prepared');
is(seen($p, 1, Wire::parse('', 'select 3'), $sync), '1 Z(I)', 'one prepares the unnamed statement');
like(seen($q, 1, run_named(''), $sync), qr/26000/, q(the other cannot use it));
is(seen($q, 1, Wire::parse('', 'select 4'), $sync), '1 Z(I)', '... but has its own');
is(seen($p, 1, run_named(''), $sync), '2 D(3) C(SELECT 1) Z(I)', '... and each uses its own');

Howdah->finish;
