# Servers that die: who was using one is told once; everybody else goes on.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->append_conf('postgresql.conf', "restart_after_crash = on\n");
$node->restart;
my $h = Howdah->new(node => $node,
    settings => {pool_mode => 'transaction', default_pool_size => 2, server_login_retry => 1, query_wait_timeout => 60})->start;

sub client { return Wire->to($h)->login(user => 'app', database => 'app'); }
sub terminate { return $node->safe_psql('postgres', q(select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = 'app')); }
sub servers { my ($p) = grep { $_->{database} eq 'app' } @{$h->show('pools')}; return $p->{sv_idle} + $p->{sv_active}; }

my $c = client();
$c->value('select 1');
terminate();
$h->poll_until(sub { servers() == 0 }, 'idle servers that die are dropped');
is($c->value('select 2'), '2', 'their clients notice nothing');

$c->send(Wire::query('select pg_sleep(60)'));
$h->poll_until(sub { $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where datname = 'app' and state = 'active')) == 1 }, 'a query runs');
terminate();
my @messages = $c->recv_all;
is(Wire::types(@messages) =~ tr/E//, 1, 'the client of a server that dies gets one error');
is(Wire::first_error(@messages)->{C}, '57P01', q(... which is the server's own));

$c = client();
$c->rows('begin');
terminate();
@messages = $c->recv_all;
is(Wire::types(@messages), 'E', 'a client in a transaction is told');
is(Wire::first_error(@messages)->{C}, '57P01', '... as by PostgreSQL');

# A crash under load: every answer is right or an error, and the pool comes back.

sub load
{
    my ($fault) = @_;
    my ($end, $done, $errors, $wrong, $n) = (time + 60, 0, 0, 0, 0);
    my @clients = map { client() } 1 .. 8;
    my @idle = map { client() } 1 .. 8;
    $_->value('select 1') for @idle;
    while ($done < 600 && time < $end) {
        for my $i (0 .. $#clients) {
            $clients[$i] //= eval { client() } // next;
            my $nonce = 'n' . ++$n;
            my $got = eval { $clients[$i]->value("select '$nonce'", 30) };
            if (!defined $got) { $errors++; undef $clients[$i]; }
            elsif ($got ne $nonce) { $wrong++; }
            else { $done++; }
            $fault->() if $fault && $done > 200;
            undef $fault if $done > 200;
        }
    }
    return ($done, $errors, $wrong, @idle);
}

my ($done, $errors, $wrong, @idle) = load(sub { kill 'KILL', $node->safe_psql('app', 'select pg_backend_pid()') ? (split /\n/, $node->safe_psql('postgres', q(select pid from pg_stat_activity where datname = 'app' limit 1)))[0] : (); });
cmp_ok($done, '>=', 600, "kill -9 of a backend: $done statements, $errors errors");
is($wrong, 0, '... and no wrong answer');
is(scalar(grep { eval { $_->value('select 3', 30) } // '' eq '3' } @idle), 8, '... clients without a server survive it');

($done, $errors, $wrong, @idle) = load(sub { $node->restart });
cmp_ok($done, '>=', 600, "a restart of PostgreSQL: $done statements, $errors errors");
is($wrong, 0, '... and no wrong answer');
is(scalar(grep { eval { $_->value('select 3', 30) } // '' eq '3' } @idle), 8, '... clients without a server survive it');

# Down: clients wait, and are served when it is back.

$node->stop('fast');
my @waiting = map { my $w = $idle[$_]; $w->send(Wire::query("select $_")); $w } 0 .. 3;
$h->poll_until(sub { (grep { $_->{database} eq 'app' } @{$h->show('pools')})[0]{cl_waiting} == 4 }, 'while PostgreSQL is down clients wait');
$node->start;
is((map { Wire::data_row($_->[1]) } grep { $_->[0] eq 'D' } $waiting[$_]->recv_until('Z'))[0], $_, '... and are served when it is back') for 0 .. 3;

# A login that the server refuses is told to the clients

my $no = Howdah->new(node => $node, databases => {nope => 'host=127.0.0.1 port=' . $node->port . ' dbname=no_such_database'})->start;
my $error = Wire::first_error(Wire->to($no)->try_login(user => 'app', database => 'nope'));
is("$error->{S} $error->{C}", 'FATAL 3D000', q(the server's refusal reaches the client));
$error = Wire::first_error(Wire->to($no)->try_login(user => 'app', database => 'nope'));
like($error->{M}, qr/^server login has been failing, cached error: .*no_such_database.*\(server_login_retry\)$/, '... and the next one at once');

Howdah->finish;
