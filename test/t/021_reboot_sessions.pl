# -R: what a client takes along into the new process, and what stays with the old one.

use strict;
use warnings;

use Howdah;
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;
use Wire;

plan skip_all => 'PgBouncer restarts in another way' if Howdah->is_pgbouncer;

my $node = Howdah->node('main', conf => "password_encryption = 'scram-sha-256'",
    hba => ['host all verified 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust']);
my $server = 'host=127.0.0.1 port=' . $node->port;
$node->safe_psql('app', 'create table t (i int); grant all on t to public');

sub howdah
{
    my (%options) = @_;
    my $settings = delete $options{settings} // {};
    return Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 3, %$settings},
        databases => {app => "$server dbname=app", session => "$server dbname=app pool_mode=session",
            other => "$server dbname=app"}, %options);
}

sub client { my ($h, %p) = @_; return Wire->to($h)->login(user => 'app', database => 'app', %p); }
sub cancel { my ($h, $c) = @_; return Wire->to($h)->raw(Wire::cancel(@{$c->key}))->recv_all; }
sub code { my $e = Wire::first_error(@_); return $e ? $e->{C} : ''; }
sub answer { return join(',', map { (Wire::data_row($_->[1]))[0] } grep { $_->[0] eq 'D' } @_); }

sub execute
{
    my ($c, $name, @values) = @_;
    $c->send(Wire::bind('', $name, \@values), Wire::execute(''), Wire::sync());
    return answer($c->recv_until('Z'));
}

# The session

my $h = howdah()->start;
my $c = client($h, application_name => 'it', TimeZone => 'Asia/Tokyo');
$c->rows("set DateStyle = 'German'");
$c->send(Wire::parse('s', "select 's' || \$1, date '31.12.2020'"), Wire::parse('gone', 'select 1'), Wire::sync());
$c->recv_until('Z');
$c->send(Wire::close_object('S', 'gone'), Wire::parse('', 'select $1::int + 1'), Wire::sync());
$c->recv_until('Z');
my $half = client($h);
my $query = Wire::query("select 'both halves'");
$half->raw(substr($query, 0, 12));
my $plain = Wire->unix($h->dir . '/.s.PGSQL.' . $h->port)->login(user => 'app', database => 'app');
my $console = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
my @keys = map { join('/', @{$_->key}) } $c, $half, $plain;

my $next = $h->reboot(workers => 3);
$h->wait_for_exit('the old process ends');
is($console->recv, undef, '... and the console there with it');
$h = $next;
is($h->show('lists')->[0]{items} && scalar(grep { $_->{user} eq 'app' } @{$h->show('clients')}), 3, 'three clients are here');
is($c->value('show TimeZone'), 'Asia/Tokyo', 'a parameter of the startup packet came along');
is($c->value('show DateStyle'), 'German, DMY', '... and one that was SET');
is($c->value('show application_name'), 'it', '... and application_name');
$c->send(Wire::parse('', 'select $1::int + 1'), Wire::sync());
$c->recv_until('Z');
is(execute($c, 's', 7), 's7', 'a prepared statement came along');
is(execute($c, '', 41), '42', 'the unnamed statement is there');
$c->send(Wire::bind('', 'gone', []), Wire::sync());
is(code($c->recv_until('Z')), '26000', 'one that was closed is not');
$half->raw(substr($query, 12));
is(answer($half->recv_until('Z')), 'both halves', 'half a message came along');
is($plain->value('select 1'), '1', 'a client of the unix socket goes on');
is(client($h)->value('select 2'), '2', 'new clients come in by TCP');
is(Wire->unix($h->dir . '/.s.PGSQL.' . $h->port)->login(user => 'app', database => 'app')->value('select 3'), '3',
    '... and by the unix socket');
$plain->send(Wire::query('select pg_sleep(60)'));
$h->poll_until(sub { $node->safe_psql('postgres', "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'") }, 'it runs');
is(scalar(cancel($h, $plain)), 0, 'a cancel request with the key of before');
is(code($plain->recv_until('Z')), '57014', '... reaches the statement');

# The unnamed statement, unused since before the restart

$c->send(Wire::parse('', 'select $1::int * 2'), Wire::sync());
$c->recv_until('Z');
$next = $h->reboot(workers => 1);
$_->close for $half;
$h->wait_for_exit('once more, with fewer workers');
$h = $next;
is(execute($c, '', 21), '42', 'the unnamed statement came along');
is(execute($c, 's', 8), 's8', 'the prepared one has come along twice');

# A transaction that is open, and one who waits for its server

$h->reconfigure(settings => {default_pool_size => 1})->reload;
$c->rows('begin');
$c->rows('insert into t values (1)');
$plain->send(Wire::query('select 5'));
$h->poll_until(sub { $h->show('pools') && grep { $_->{cl_waiting} } @{$h->show('pools')} }, 'a client waits');
$next = $h->reboot;
is(answer($plain->recv_until('Z')), '5', 'who waited gets its answer from the new process');
ok($h->is_alive, 'the old one lives for the transaction');
is($c->value('select i from t'), '1', '... which goes on');
$c->send(Wire::query('select pg_sleep(61)'));
$h->poll_until(sub { $node->safe_psql('postgres', "select count(*) from pg_stat_activity where query = 'select pg_sleep(61)' and state = 'active'") }, 'it runs');
is(scalar(cancel($next, $c)), 0, 'a cancel request that comes to the new process');
is(code($c->recv_until('Z')), '57014', '... reaches the statement in the old one');
$c->rows('rollback');
$h->wait_for_exit('the client moves at the end of its transaction, and the old process ends');
$h = $next;
is($c->value('select count(*) from t'), '0', '... and it is served by the new one');
is($c->value('show DateStyle'), 'German, DMY', '... with its session');

# Who cannot move

my $s = client($h, database => 'session');
my $pid = $s->value('select pg_backend_pid()');
my $position = $h->log_position;
$next = $h->reboot;
like(substr($h->log, $position), qr/has taken over with \d+ clients; still here: 0 at work, 0 logging in, 1 in session mode, 0 of replication/,
    'the log tells who is left');
is($s->value('select pg_backend_pid()'), $pid, 'a client of session mode keeps its server');
is(client($next, database => 'session')->value('select 1'), '1', 'a new one is let in by the new process');
ok($h->is_alive, 'the old process waits for it');
my $third = $next->reboot;
$next->wait_for_exit('another restart while the first still drains');
$next = $third;
is($s->value('select pg_backend_pid()'), $pid, '... is nothing to it');
$s->send(Wire::terminate());
$h->wait_for_exit('... and it ends with the last of them');
$h = $next;
is($c->value('select 1'), '1', 'all others are served');

# Other settings

my ($gone, $follows) = (client($h, database => 'other'), client($h, IntervalStyle => 'iso_8601'));
Howdah::spew($h->ini, Howdah::slurp($h->ini) =~ s/^other = .*$//mr);
$h->{options}{databases} = {app => "$server dbname=app"};
$position = $h->log_position;
$next = $h->reboot(settings => {%{$h->{options}{settings}}, track_extra_parameters => ''});
$h->wait_for_exit('a restart with other settings');
$h = $next;
my @last = $gone->recv_all;
is(Wire::first_error(@last)->{M}, 'database removed', 'a client of a database that is no more is told so');
is($follows->value('show intervalstyle'), 'iso_8601', 'a client with a parameter that is not followed any more keeps it');
$h->stop;

# A client's proof of its password

$node->safe_psql('postgres', "create role verified login password 'secret'");
my $verifier = $node->safe_psql('postgres', "select rolpassword from pg_authid where rolname = 'verified'");
$h = howdah(users => [['verified', $verifier]], settings => {auth_type => 'scram-sha-256',
    admin_users => 'admin', server_lifetime => 0})->reconfigure(users => [['verified', $verifier], ['admin', 'a']]);
$h->{console} = {user => 'admin', password => 'a', host => $h->dir};
$h->start;
$c = client($h, user => 'verified', password => 'secret');
is($c->value('select session_user'), 'verified', 'a user of whom only a verifier is known');
$next = $h->reboot;
$h->wait_for_exit('... moves');
is($c->value('select session_user'), 'verified', '... and the new process can log in for it');
$h = $next;
$h->stop;

# A service

SKIP: {
    my (undef, $version) = $h->run_program('-V');
    skip 'built without libsystemd', 1 if $version !~ /^systemd: yes$/m;
    my $tmp = PostgreSQL::Test::Utils::tempdir_short();
    my $manager = IO::Socket::UNIX->new(Local => "$tmp/notify", Type => SOCK_DGRAM) or die "$tmp/notify: $!";
    $h = howdah(environment => {NOTIFY_SOCKET => "$tmp/notify", WATCHDOG_USEC => 400_000})->start;
    $next = $h->reboot(environment => {});    # as if started from a shell
    $h->wait_for_exit;
    my (@told, $message);
    until (@told > 1 && $told[-1] =~ /WATCHDOG/ && grep { /MAINPID/ } @told) {
        IO::Select->new($manager)->can_read($Howdah::TIMEOUT) or last;
        $manager->recv($message, 65536);
        push @told, $message;
    }
    is_deeply([grep { /MAINPID/ } @told], ['MAINPID=' . $next->pid], 'the service manager is told who it is now');
    is(scalar(grep { /STOPPING/ } @told), 0, '... and nothing of an end');
    ok(scalar(grep { /READY/ } @told) >= 2, '... but that the new one is ready');
    like($told[-1], qr/WATCHDOG/, '... which feeds the watchdog');
    $next->stop;
}

# In the background

$h = howdah()->start;
$c = client($h);
my ($status, $output) = $h->run_program('-R', '-d', $h->ini);
is($status, 0, '-R -d') or diag($output);
$h->wait_for_exit('... the old process ends');
my ($daemon) = Howdah::slurp($h->pidfile) =~ /^(\d+)$/m;
is($c->value('select 1'), '1', '... and its client is served');
kill('QUIT', $daemon);
$h->poll_until(sub { !-e $h->pidfile }, 'the daemon ends');

Howdah->finish;
