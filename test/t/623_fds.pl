# SHOW FDS: descriptors that are really there, and what belongs to them; only for admins, only on the unix socket.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer sends the descriptors along' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, users => [[admin => ''], [stats => ''], [app => '']],
    settings => {pool_mode => 'transaction', default_pool_size => 2, tcp_defer_accept => 0, workers => 2})->start;
my $path = $h->dir . '/.s.PGSQL.' . $h->port;
my @columns = qw(fd task user database addr port cancel link client_encoding std_strings datestyle timezone password
  scram_client_key scram_server_key);

sub console { my ($user, $client) = @_; return $client->login(user => $user, database => 'pgbouncer'); }
sub refusal { my ($console) = @_; $console->send(Wire::query('SHOW FDS')); return Wire::first_error($console->recv_until('Z')); }

my $admin = console('admin', Wire->unix($path));
sub fds { return map { my %row; @row{@columns} = @$_; \%row } $admin->rows('SHOW FDS'); }
sub fds_of { my ($key, $value) = @_; return grep { defined $_->{$key} && $_->{$key} eq $value } fds(); }
sub row_of { my ($client) = @_; return (grep { $_->{task} eq 'client' && $_->{port} == $client->socket->sockport } fds())[0] // {}; }
sub fd_target { my ($fd) = @_; return readlink('/proc/' . $h->pid . "/fd/$fd") // 'nothing'; }
sub cancel_number { my ($pid, $secret) = @_; return unpack('q>', pack('N N', $pid, $secret)); }

# Who may.

for my $case (['stats', Wire->unix($path), 'admin access needed'], ['stats', Wire->to($h), 'admin access needed'],
    ['admin', Wire->to($h), 'SHOW FDS is allowed only over the unix socket']) {
    my ($user, $client, $text) = @$case;
    my $console = console($user, $client);
    my $error = refusal($console);
    is("$error->{C} $error->{M}", "42501 $text", "refused: $user, $text");
    is($console->value('SHOW VERSION') =~ /^howdah/, 1, '... and the session goes on');
}

# Where clients come in.

my @poolers = fds_of(task => 'pooler');
is_deeply([sort map { $_->{addr} } @poolers], ['127.0.0.1', '127.0.0.1', 'unix'], 'a listener for each worker, and the unix socket');
is((grep { $_->{addr} ne 'unix' && $_->{port} != $h->port } @poolers), 0, '... on their port');
is((grep { defined $_->{user} || defined $_->{database} || $_->{cancel} || $_->{link} } @poolers), 0, '... of nobody');

# Clients and servers.

my $stranger = Wire->to($h);
$h->poll_until(sub { row_of($stranger)->{fd} }, 'the stranger is there');
my $row = row_of($stranger);
is_deeply([@$row{qw(user database cancel link client_encoding)}], [undef, undef, 0, 0, undef], 'a client that has said nothing');

my $client = Wire->to($h)->login(user => 'app', database => 'app', timezone => 'Asia/Tokyo');
$client->rows('begin');
$client->rows("set datestyle to 'German'");
$row = row_of($client);
is_deeply([@$row{qw(task user database addr client_encoding std_strings timezone)}],
    ['client', 'app', 'app', '127.0.0.1', 'UTF8', 'on', 'Asia/Tokyo'], 'a client, with its parameters');
like($row->{datestyle}, qr/^German/, '... as they are now');
is($row->{cancel}, cancel_number(@{$client->key}), '... and its cancel key');
is_deeply([@$row{qw(password scram_client_key scram_server_key)}], [undef, undef, undef], '... but no secrets of its password');
my ($server) = fds_of(task => 'server');
is_deeply([@$server{qw(user database port)}], ['app', 'app', $node->port], 'its server');
is_deeply([$row->{link}, $server->{link}], [$server->{fd}, $row->{fd}], '... each is linked to the other');
is($server->{cancel} >> 32 & 0xffffffff, $client->value('select pg_backend_pid()'), '... by the process id of its key');
like(fd_target($_->{fd}), qr/^socket:/, "fd $_->{fd} of a $_->{task} is a socket of the process") for fds();

is_deeply([$admin->rows("SHOW FDS (fd) WHERE task = 'client' AND user = 'app'")], [[$row->{fd}]], 'columns and conditions');
is_deeply([$admin->rows("SHOW FDS WHERE $_ = 'x'")], [], "... and no row meets one on $_, which is NULL") for qw(password scram_client_key);
$client->rows('commit');
($server) = fds_of(task => 'server');
is_deeply([row_of($client)->{link}, $server->{link}], [0, 0], 'after the transaction there is no link');

# In binary: types, and NULL.
$admin->send(Wire::parse('', "SHOW FDS (cancel, fd, scram_client_key) WHERE fd = $row->{fd}"), Wire::bind('', '', [], 1), Wire::execute(''), Wire::sync());
my ($data) = grep { $_->[0] eq 'D' } $admin->recv_until('Z');
is($data->[1], pack('n N q> N N N', 3, 8, cancel_number(@{$client->key}), 4, $row->{fd}, 0xffffffff), 'in binary');
$h->stop;

Howdah->finish;
