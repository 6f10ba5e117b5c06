
# Hosts by name: their addresses have turns, and servers follow a name that moves.

use strict;
use warnings;

use Howdah;
use PostgreSQL::Test::Utils;
use Test::More;
use Wire;

my $hosts = PostgreSQL::Test::Utils::tempdir_short() . '/hosts';

# In place: the file is mounted.
sub name
{
    my (@lines) = @_;
    open(my $file, '>', $hosts) or die "$hosts: $!";
    print $file map { "$_\n" } '127.0.0.1 localhost', @lines;
    return close($file);
}

name('127.0.0.1 db.test', '127.0.0.1 two.test', '127.0.0.2 two.test');
my @with_hosts = ('unshare', '--mount', '--', $^X, "$Howdah::ROOT/test/perl/with-hosts.pl", $hosts);
plan skip_all => 'no /etc/hosts of our own here' if system(@with_hosts, 'true') != 0;

my $node = Howdah->node('main', conf => "listen_addresses = '127.0.0.1, 127.0.0.2'", hba => ['host all all 127.0.0.0/8 trust']);
my $port = $node->port;
my $h = Howdah->new(node => $node, wrapper => \@with_hosts,
    databases => {app => "host=db.test port=$port dbname=app", two => "host=two.test port=$port dbname=app", none => "host=none.test port=$port dbname=app"},
    settings => {pool_mode => 'transaction', dns_max_ttl => 1, dns_nxdomain_ttl => 0, workers => 1, server_login_retry => 1})->start;

sub client { return Wire->to($h)->login(user => 'app', database => $_[0]); }
sub addresses { return join(' ', sort map { $_->{addr} } grep { $_->{database} eq $_[0] } @{$h->show('servers')}); }

my @clients = map { client('two') } 1 .. 4;
$_->rows('begin') for @clients;
is(addresses('two'), '127.0.0.1 127.0.0.1 127.0.0.2 127.0.0.2', 'the addresses of a name have turns');
$_->close for @clients;

my ($busy, $idle) = map { client('app') } 1 .. 2;
$_->rows('begin') for $busy, $idle;
$idle->rows('commit');
is(addresses('app'), '127.0.0.1 127.0.0.1', 'servers are where the name leads');

name('# nothing');
my $waits = Wire->to($h);
$waits->send(Wire::startup(user => 'app', database => 'none'), Wire::query('select 1'));
$h->wait_for_log(qr/server DNS lookup failed/);
pass('a name that is unknown is told in the log');
is($idle->value('select 1'), '1', '... but does not end servers that are there');
is(addresses('app'), '127.0.0.1 127.0.0.1', '... none of them');

name('127.0.0.2 db.test', '127.0.0.1 none.test');
$waits->recv_until('Z');
$waits->recv_until('Z');
pass('a client waits until its name is known');
$h->poll_until(sub { addresses('app') eq '127.0.0.1' }, 'the idle server is closed');
like($h->log, qr/closing because: obsolete connection/, 'when a name moves idle servers are closed');
is($busy->value('select 1'), '1', '... but none in a transaction');
is($idle->value('select inet_server_addr()'), '127.0.0.2', 'new ones follow the name');
$busy->rows('commit');
$h->poll_until(sub { addresses('app') eq '127.0.0.2' }, 'the other one is closed');
pass('the old one ends with its transaction');

Howdah->finish;
