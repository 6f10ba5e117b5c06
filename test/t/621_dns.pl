# SHOW DNS_HOSTS and DNS_ZONES, and what SHOW LISTS counts of them.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer 1.18 resolves names in another way' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $server = 'port=' . $node->port . ' dbname=app';
my $h = Howdah->new(node => $node, settings => {dns_max_ttl => 100, dns_nxdomain_ttl => 50, server_connect_timeout => 5},
    databases => {named => "host=localhost $server", numeric => "host=127.0.0.1 $server", lost => "host=no-such-host.invalid $server"})
  ->start;

sub lists { return {map { $_->{list} => $_->{items} } @{$h->show('lists')}}; }

is_deeply($h->show('dns_hosts'), [], 'no name has been looked up');
is($h->safe_psql('numeric', 'select 1'), '1', 'an address is no name');
is_deeply($h->show('dns_hosts'), [], '... and needs no look-up');
is($h->safe_psql('named', 'select 1'), '1', 'a name that must be looked up');
my @hosts = @{$h->show('dns_hosts')};
is(scalar(@hosts), 1, '... is known now');
is($hosts[0]{hostname}, 'localhost', 'its name');
like($hosts[0]{addrs}, qr/(^|,)127\.0\.0\.1(,|$)/, '... its addresses');
ok($hosts[0]{ttl} > 50 && $hosts[0]{ttl} <= 100, '... and for how long they count') or diag($hosts[0]{ttl});
is(lists()->{dns_names}, 1, 'SHOW LISTS counts it');

my $hopeful = Wire->to($h)->raw(Wire::startup(user => 'app', database => 'lost'));
$h->poll_until(sub { grep { $_->{hostname} eq 'no-such-host.invalid' } @{$h->show('dns_hosts')} }, 'the look-up has failed');
my ($lost) = grep { $_->{hostname} eq 'no-such-host.invalid' } @{$h->show('dns_hosts')};
is($lost->{addrs}, '', 'a name without an address');
ok($lost->{ttl} <= 50, '... which counts for another time');
$h->poll_until(sub { join(' ', @{lists()}{qw(dns_names dns_zones dns_queries dns_pending)}) eq '2 0 0 0' }, 'SHOW LISTS');
is_deeply([$h->show_table('dns_zones')], [[qw(zonename serial count)]], 'no zones are polled');

Howdah->finish;
