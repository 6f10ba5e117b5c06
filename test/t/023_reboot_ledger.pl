# -R among many clients who all check their answers, and others who come and go: nobody loses anything.

use strict;
use warnings;

use File::Basename qw(dirname);
use Howdah;
use IPC::Run ();
use Test::More;

plan skip_all => 'PgBouncer restarts in another way' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table ledger (token text); create index on ledger (token); grant all on ledger to app');
my $h = Howdah->new(node => $node, settings => {
    pool_mode => 'transaction', default_pool_size => 5, max_client_conn => 500,
    log_connections => 0, log_disconnections => 0})->start;
Howdah::spew($h->dir . '/one.sql', "select 1;\n");

my ($clients, $seconds) = (Howdah::slowness() > 1 ? 50 : 200, 8 * Howdah::slowness());
my ($out, $err, $out_2, $err_2) = ('') x 4;
my $ledger = IPC::Run::start(['/usr/bin/python3', dirname($0) . '/ledger.py',
        'postgresql://app@127.0.0.1:' . $h->port . '/app', $seconds, $clients],
    '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(170));
my $passers = IPC::Run::start(['pgbench', '-n', '-C', '-f', $h->dir . '/one.sql', '-c', 4, '-T', $seconds, $h->connstr],
    '<', \'', '>', \$out_2, '2>', \$err_2);

sub count { return scalar(() = $h->console('SHOW CLIENTS') =~ /^C\|/mg); }

$h->poll_until(sub { count() > $clients }, 'all are there');
for my $n (1 .. 4) {
    my $begin = $node->safe_psql('app', 'select count(*) from ledger');
    my $next = $h->reboot;
    $h->wait_for_exit("restart $n: the old process ends");
    $h = $next;
    $h->poll_until(sub { $node->safe_psql('app', 'select count(*) from ledger') > $begin }, 'work goes on');
}
$ledger->finish;
$passers->finish;
is($ledger->full_result(0), 0, 'all clients end well') or diag(substr($err, 0, 3000));
is($passers->full_result(0), 0, '... and those who come and go') or diag(substr($err_2, 0, 3000));
unlike($out_2 . $err_2, qr/aborted|fatal|error/i, '... of whom nobody was turned away');

my $moved = 0;
$moved += $_ for $h->log =~ /(\d+) clients have come from it/g;
my %sums = map { split(/=/) } grep { /=/ } split(' ', ($out =~ /^(sums .*)$/m)[0] // '');
note(join(', ', "moved $moved", map { "$_ $sums{$_}" } sort keys %sums));
cmp_ok($moved, '>', 3 * $clients, 'they have moved again and again');
is($sums{foreign}, 0, 'nobody got the answer of another');
is($sums{unknown}, 0, 'no connection broke');
is($sums{connects}, $clients, '... and none was made anew');

my %outcome = map { split(' ') } grep { !/^sums/ } split(/\n/, $out);
my %present;
$present{$_}++ for split(/\n/, $node->safe_psql('app', 'select token from ledger'));
my %wanted = map { ($_ => 1) } grep { $outcome{$_} eq 'acknowledged' } keys %outcome;
is_deeply(\%present, \%wanted, 'what was acknowledged is there, once, and nothing else is');
unlike($h->log, qr/WARNING|ERROR|FATAL/, 'and the log has nothing to complain about');

Howdah->finish;
