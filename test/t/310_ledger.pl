# Five hundred clients share five servers, and every acknowledged row is there, once, whatever happens.

use strict;
use warnings;

use File::Basename qw(dirname);
use Howdah;
use IPC::Run ();
use Test::More;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table ledger (token text); create index on ledger (token); grant all on ledger to app');

my $h = Howdah->new(node => $node, settings => {
    pool_mode => 'transaction', default_pool_size => 5, max_client_conn => 1000, server_login_retry => 1,
    log_connections => 0, log_disconnections => 0})->start;

my $target = 'postgresql://app@127.0.0.1:' . $h->port . '/app';
my $direct = 'postgresql://' . $node->safe_psql('postgres', 'select current_user') . '@127.0.0.1:' . $node->port . '/postgres';

# Runs the clients, then settles their ledger with the table; returns the sums.
sub settle
{
    my ($name, @arguments) = @_;
    my ($out, $err) = ('', '');
    my $run = IPC::Run::start(['/usr/bin/python3', dirname($0) . '/ledger.py', $target, @arguments],
        '<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(150));
    ok(eval { $run->finish } // 0, "$name: the clients end well") or diag(substr($err, 0, 3000) . ($@ // q()));

    my %sums = map { split(/=/) } grep { /=/ } split(' ', ($out =~ /^(sums .*)$/m)[0] // '');
    note("$name: " . join(', ', map { "$_ $sums{$_}" } sort keys %sums));
    my %outcome = map { split(' ') } grep { !/^sums/ } split(/\n/, $out);
    my %present;
    $present{$_}++ for split(/\n/, $node->safe_psql('app', 'select token from ledger'));

    is($sums{foreign}, '0', "$name: nobody got the answer of another");
    my %bad = (lost => 0, false => 0, duplicate => 0, unasked => 0);
    for my $token (keys %outcome) {
        my $rows = $present{$token} // 0;
        $bad{lost}++ if $outcome{$token} eq 'acknowledged' && $rows == 0;
        $bad{false}++ if $outcome{$token} eq 'refused' && $rows != 0;
        $bad{duplicate}++ if $rows > 1;
    }
    $bad{unasked} = grep { !exists $outcome{$_} } keys %present;
    is_deeply(\%bad, {lost => 0, false => 0, duplicate => 0, unasked => 0},
        "$name: what was acknowledged is there, once, and nothing else is");
    $node->safe_psql('app', 'truncate ledger');
    return \%sums;
}

my $sums = settle('in peace', 6, 500);
cmp_ok($sums->{acknowledged}, '>', 500, 'every client had its turns');
is($sums->{unknown}, '0', 'no connection broke');
cmp_ok($node->safe_psql('postgres', q(select count(*) from pg_stat_activity where usename = 'app')), '<=', 5,
    'five servers did it all');

$sums = settle('while servers are killed', 6, 200, $direct);
cmp_ok($sums->{acknowledged}, '>', 200, 'work goes on between the kills');
cmp_ok($sums->{unknown} + $sums->{connects} - 200, '>', 0, 'some clients felt it');
is($h->safe_psql('app', 'select 1'), '1', 'and all is well in the end');

Howdah->finish;
