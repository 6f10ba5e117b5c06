# Settings that change while clients are at work: nobody notices, but those they concern.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $server = 'host=127.0.0.1 port=' . $node->port;
my %databases = (app => "$server dbname=app", gone => "$server dbname=app", '*' => $server);
my $h = Howdah->new(node => $node, databases => {%databases}, settings => {pool_mode => 'transaction', default_pool_size => 3})->start;

sub client { return Wire->to($h)->login(user => 'app', database => $_[0] // 'app'); }

my @clients = map { client() } 1 .. 8;
my $gone = client('gone');
is($gone->value('select 1'), '1', 'a database');
is(client('postgres')->value('select current_database()'), 'postgres', 'a database that only * knows');
my $error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'nowhere'));
is($error->{C}, '3D000', '... and one that nobody knows, in the words of the server');

my $before = $h->rss_kb;
my ($wrong, $n) = (0, 0);
for my $round (1 .. 100) {
    $h->signal('HUP');
    for my $c (@clients) {
        my $nonce = 'n' . ++$n;
        $wrong++ if (eval { $c->value("select '$nonce'") } // '') ne $nonce;
    }
}
is($wrong, 0, "100 reloads under load: $n statements, all answered right");
cmp_ok($h->rss_kb - $before, '<', 4_000, '... without a leak') if !$ENV{SANITIZE};

$databases{gone} = undef;
$databases{"*"} = undef;
$databases{app} = "$server dbname=app pool_size=1";
$h->reconfigure(databases => {%databases})->reload;
is((Wire::first_error(eval { $gone->recv_all(20) }) // {M => 'nothing'})->{M}, 'database removed', 'the clients of a database that is gone are told');
$h->poll_until(sub { my ($p) = grep { $_->{database} eq 'app' } @{$h->show('pools')}; $_->value('select 1') for @clients; $p->{sv_idle} + $p->{sv_active} <= 1 },
    'a smaller pool is reached');
is(join(',', map { $_->value('select 2') } @clients), join(',', (2) x 8), '... and serves all');
$databases{app} = "$server dbname=postgres";
$h->reconfigure(databases => {%databases})->reload;
$h->poll_until(sub { $clients[0]->value('select current_database()') eq 'postgres' }, 'a changed target is reached by those who are in');

Howdah->finish;
