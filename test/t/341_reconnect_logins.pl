# RECONNECT while clients log in: what the pool knows of its servers is replaced under them.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, workers => 2,
    settings => {pool_mode => 'transaction', default_pool_size => 5, max_client_conn => 500})->start;
my $console = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');

# A name that is not ASCII: a server must be asked for its spelling, and it is another one each time.
my $number = 0;
sub start_login { return Wire->to($h)->raw(Wire::startup(user => 'app', database => 'app', application_name => "\xc3\xa9" . ++$number)); }

my ($good, $told, $rounds) = (0, 0, 60);
for my $round (1 .. $rounds) {
    my @coming = map { start_login() } 1 .. 6;
    $console->rows('reconnect');
    push @coming, map { start_login() } 1 .. 2;
    $console->rows('reconnect app') if $round % 3 == 0;
    for my $c (@coming) {
        my @messages = eval { $c->recv_until('ZE') };
        $good++ if Wire::types(@messages) =~ /^R+S+KZ$/;
        $told++ if ($c->parameters->{server_version} // '') ne '' && defined $c->parameters->{TimeZone};
        $c->close;
    }
    last if !$h->is_alive;
}
is($good, 8 * $rounds, 'every login comes to its end');
is($told, 8 * $rounds, '... and is told all parameters');
my $c = Wire->to($h)->login(user => 'app', database => 'app', application_name => "\xc3\xa9nd");
is($c->value('show application_name'), $c->parameters->{application_name}, '... as they are');

Howdah->finish;
