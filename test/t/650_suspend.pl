# SUSPEND: all traffic stops between two messages, and goes on as if nothing had been.

use strict;
use warnings;

use Howdah;
use IPC::Run ();
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'PgBouncer keeps other buffers' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 3, suspend_timeout => 60,
    tcp_defer_accept => 0})->start;

# Nobody is let in meanwhile: what looks must have come before.
my ($c, $watch) = map { Wire->to($h)->login(user => 'admin', database => 'pgbouncer') } 1 .. 2;

sub login { return Wire->to($h)->login(user => 'app', database => 'app', @_); }

sub tag
{
    my ($command, $console) = @_;
    $console //= $c;
    $console->send(Wire::query($command)) if $command;
    my @all = $console->recv_until('Z');
    my $error = Wire::first_error(@all);
    return "$error->{C} $error->{M}" if $error;
    my ($complete) = grep { $_->[0] eq 'C' } @all;
    return substr($complete->[1], 0, -1);
}

# Of one socket: (state, input kept, of the message that streams, in the kernel, output that waits)
sub buffers
{
    my ($client, $type) = @_;
    my $port = $client->socket->sockport;
    my ($row) = $watch->rows("SHOW SOCKETS (state, recv_pos, pkt_remain, pkt_avail, send_avail, ptr, link) WHERE port = $port");
    ($row) = $watch->rows("SHOW SOCKETS (state, recv_pos, pkt_remain, pkt_avail, send_avail) WHERE link = '$row->[5]'") if $type;
    return [@{$row}[0 .. 4]];
}

sub state { return {map { $_->[0] => $_->[1] } $watch->rows('SHOW STATE')}; }
sub types_of { my ($client) = @_; return Wire::types($client->recv_until('Z')); }

# All that there may be, when nothing is half way.
my ($idle, $held, $working, $full, $waiting) = map { login() } 1 .. 5;
$_->rows('begin') for $held, $working, $full;
$full->rows('select pg_advisory_xact_lock(1)');
$working->send(Wire::query('select pg_advisory_xact_lock(1)'));
$waiting->send(Wire::query('select 5'));
$h->poll_until(sub { $watch->rows('SHOW WAITERS') == 1 }, 'one waits');
my $stranger = Wire->to($h)->raw("\0");
$h->poll_until(sub { $watch->rows("SHOW SOCKETS WHERE state = 'cl_login'") == 1 }, 'one logs in');
is(tag('SUSPEND'), 'SUSPEND', 'SUSPEND');
is_deeply(state(), {active => 'no', paused => 'no', suspended => 'yes'}, 'SHOW STATE');
$idle->send(Wire::query('select 1'));
$held->send(Wire::query('select 2'));
my $new = Wire->to($h)->raw(Wire::startup(user => 'app', database => 'app'));
$stranger->raw(substr(Wire::startup(user => 'app', database => 'app'), 1));
$h->poll_until(sub { buffers($held)->[3] == length(Wire::query('select 2')) }, 'the query has come as far as the kernel');
is_deeply(buffers($idle), ['cl_idle', 0, 0, length(Wire::query('select 1')), 0], 'a query stays in the kernel');
is_deeply(buffers($working, 'server'), ['sv_active', 0, 0, 0, 0], 'a server at work is left alone');
ok(!$_->readable, 'nobody is answered') for $idle, $held, $working, $waiting, $new, $stranger;
like(tag($_), qr/^55000 already suspended\/paused/, "$_ meanwhile") for 'SUSPEND', 'PAUSE', 'PAUSE app', 'DRAIN', 'KILL app';
like(tag('RESUME app'), qr/^55000 database app is not paused/, 'RESUME of one database ends nothing');
is(tag('RESUME'), 'RESUME', 'RESUME');
is_deeply(state(), {active => 'yes', paused => 'no', suspended => 'no'}, 'SHOW STATE then');
is(types_of($held), 'TDCZ', 'who was in a transaction goes on');
$full->rows('commit');
is(types_of($_), 'TDCZ', 'a client goes on') for $working, $waiting, $idle;
$_->rows('commit') for $held, $working;
is((grep { $_->[0] eq 'Z' } $_->recv_until('ZE')) ? 1 : 0, 1, 'who came meanwhile is let in') for $new, $stranger;
like(tag('RESUME'), qr/^55000 pooler is not paused\/suspended/, 'nothing is left to resume');
$_->close for $new, $stranger, $full, $waiting;

# A short message that is half way is waited for; what follows it is not read.
my $query = Wire::query('select 11');
for my $client ($idle, $held) {    # one gets a server for it
    $held->rows('begin') if $client == $held;
    $client->raw(substr($query, 0, 3));
    $h->poll_until(sub { buffers($client)->[1] == 3 }, 'three bytes are kept');
    $c->send(Wire::query('SUSPEND'));
    $h->poll_until(sub { state()->{suspended} eq 'yes' }, 'the suspension has begun');
    ok(!$c->readable(0.1), 'SUSPEND waits for the rest of a message');
    $client->raw(substr($query, 3) . Wire::query('select 12'));
    is(tag(''), 'SUSPEND', '... and answers when it has come');
    is_deeply(buffers($client), ['cl_active', 0, 0, length(Wire::query('select 12')), 0], '... having read that and nothing else');
    ok(!$client->readable, '... its answer is not given');
    is(tag('RESUME'), 'RESUME', 'RESUME');
    is(types_of($client), 'TDCZ', '... then it is') for 1 .. 2;
}

# A long one streams.
$query = Wire::query('select ' . length('x' x 9) . ' -- ' . 'x' x 300000);
$held->raw(substr($query, 0, 200000));
$h->poll_until(sub { buffers($held)->[2] == length($query) - 200000 }, 'a long message streams');
$c->send(Wire::query('SUSPEND'));
$h->poll_until(sub { state()->{suspended} eq 'yes' }, 'the suspension has begun');
ok(!$c->readable(0.1), 'SUSPEND waits for the rest of a long message');
$held->raw(substr($query, 200000) . Wire::query('select 13'));
is(tag(''), 'SUSPEND', '... and answers when it has come');
is_deeply(buffers($held), ['cl_active', 0, 0, length(Wire::query('select 13')), 0], '... having read nothing else');
is(tag('RESUME'), 'RESUME', 'RESUME');
is(types_of($held), 'TDCZ', '... it goes on') for 1 .. 2;

# From the server: a long answer stops between two rows, wherever the client is slow.
my $rows = 20000;
$held->send(Wire::query("select repeat('x', 1000) from generate_series(1, $rows)"));
$h->poll_until(sub { buffers($held)->[4] > 0 }, 'output waits for the client');
$c->send(Wire::query('SUSPEND'));
$h->poll_until(sub { state()->{suspended} eq 'yes' }, 'the suspension has begun');
ok(!$c->readable(0.1), 'SUSPEND waits for output to be taken');
my $seen = 0;
while (!$c->readable) {
    my $message = eval { $held->recv(0.5) } or next;
    $seen++ if $message->[0] eq 'D';
}
is(tag(''), 'SUSPEND', '... and answers when it has been');
is_deeply([@{buffers($held)}[1, 2, 4]], [0, 0, 0], '... nothing is left on the way');
is_deeply([@{buffers($held, 'server')}[1, 2, 4]], [0, 0, 0], '... and nothing of a row');
cmp_ok($seen, '<', $rows, '... though there are more of them');
is(tag('RESUME'), 'RESUME', 'RESUME');
$seen += grep { $_->[0] eq 'D' } $held->recv_until('Z');
is($seen, $rows, '... then they come, each of them once');
$held->rows('commit');

# Who does not come to an end is dropped in the end.
$h->reconfigure(settings => {suspend_timeout => 1})->reload;
$held->rows('begin');
$held->raw('Q');
my $reader = login();
$reader->send(Wire::query("select repeat('x', 1000) from generate_series(1, 100000)"));
$h->poll_until(sub { buffers($held)->[1] == 1 && buffers($reader)->[4] > 0 }, 'two are half way');
my $start = time;
is(tag('SUSPEND'), 'SUSPEND', 'SUSPEND with a timeout');
cmp_ok(time - $start, '>', 0.9, '... waits as long as that');
is(Wire::first_error($held->recv_all)->{M}, 'suspend_timeout', '... who has sent half of a message is dropped');
ok(defined eval { $reader->recv_all; 1 } || $@ =~ /closed in the middle/, '... and who does not read');
is($idle->readable, 0, '... but nobody else');
is_deeply([$watch->rows("SHOW SERVERS (state) WHERE state = 'active'")], [], '... and their servers go with them');
is(tag('RESUME'), 'RESUME', 'RESUME');
is($idle->value('select 21'), '21', '... the others go on');

# It ends with whose it is.
$h->reconfigure(settings => {suspend_timeout => 60})->reload;
my $admin = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
is(tag('SUSPEND', $admin), 'SUSPEND', 'another admin suspends');
$idle->send(Wire::query('select 22'));
ok(!$idle->readable(0.05), '... and nothing goes on');
$admin->close;
is(types_of($idle), 'TDCZ', '... until the admin leaves');
is(state()->{suspended}, 'no', '... with whom it ends');

# ... also while it has not been answered yet.
my $half = login();
$half->rows('begin');
$half->raw('Q');
$h->poll_until(sub { buffers($half)->[1] == 1 }, 'a message is half way');
$admin = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
$admin->send(Wire::query('SUSPEND'));
$h->poll_until(sub { state()->{suspended} eq 'yes' }, 'the suspension has begun');
$admin->close;
$h->poll_until(sub { state()->{suspended} eq 'no' }, 'it has ended');
is($idle->value('select 23'), '23', 'an admin who leaves before the answer ends it too');
$admin = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
$admin->send(Wire::query('SUSPEND'));
$h->poll_until(sub { state()->{suspended} eq 'yes' }, 'the suspension has begun');
is(tag('RESUME'), 'RESUME', 'RESUME by another admin');
like(tag('', $admin), qr/^57014 the suspension was ended by RESUME/, '... is told to who waits');
is($idle->value('select 24'), '24', '... and all goes on');
$half->raw(substr(Wire::query('select 25'), 1));
is(types_of($half), 'TDCZ', '... also what was half way');
$half->rows('commit');

is(tag('SUSPEND'), 'SUSPEND', 'SUSPEND');
$h->signal('USR2');
$h->poll_until(sub { state()->{suspended} eq 'no' }, 'SIGUSR2 ends it');
is($idle->value('select 26'), '26', 'SIGUSR2 ends it as well');

is(tag('PAUSE app'), 'PAUSE', 'PAUSE of one database');
like(tag('SUSPEND'), qr/^55000 already suspended\/paused/, '... and SUSPEND do not go together');
is(tag('RESUME app'), 'RESUME', '... until RESUME');
my $stats = Wire->to($h)->login(user => 'stats', database => 'pgbouncer');
like(tag('SUSPEND', $stats), qr/^42501 /, 'who may only look stops nothing');

# Under load nothing is lost, and nobody hangs.
my ($out, $err) = ('', '');
$node->safe_psql('app', 'create table counts (i int primary key, n int); insert into counts select i, 0 from generate_series(1, 100) i;'
      . ' grant all on counts to app');
my $script = $h->dir . '/script.sql';
Howdah::spew($script, "\\set i random(1, 100)\nbegin;\nupdate counts set n = n + 1 where i = :i;\nselect n from counts where i = :i;\nend;\n");
my $bench = IPC::Run::start(['pgbench', '-n', '-M', 'prepared', '-c', '8', '-j', '8', '-t', '200', '-f', $script, '-d',
    $h->connstr], '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(120));
sub queries { return ($watch->rows("SHOW TOTALS (value) WHERE name = 'total_query_count'"))[0][0]; }
my $suspended = 0;
while ($bench->pumpable) {
    my $before = queries();
    $h->poll_until(sub { $bench->pump_nb; $out =~ /tps/ || queries() > $before + 50 }, 'the load goes on');
    last if $out =~ /tps/;
    last if tag('SUSPEND') ne 'SUSPEND' || tag('RESUME') ne 'RESUME';
    $suspended++;
}
cmp_ok($suspended, '>', 3, 'SUSPEND and RESUME under load');
ok($bench->finish && $err !~ /error|aborted/, "a load goes on through $suspended suspensions") or diag($out, $err);
my ($done) = $out =~ /actually processed: (\d+)/;
is($node->safe_psql('app', 'select sum(n) from counts'), $done, '... and each transaction was done once');

# Nobody looks after servers meanwhile: none is opened for the minimum, tested, or closed for its age.
$_->close for $idle, $half, $working;
$idle = login();
$h->poll_until(sub { $watch->rows("SHOW CLIENTS WHERE database = 'app'") == 1 }, 'one client is left');
$h->console($_) for 'RECONNECT', 'WAIT_CLOSE';
$idle->value('select 23');
sub pool { return [@{($watch->rows("SHOW POOLS (cl_active, cl_waiting, sv_active, sv_idle, sv_used) WHERE database = 'app'"))[0]}]; }
is_deeply(pool(), [1, 0, 0, 1, 0], 'a server is idle');
is(tag('SUSPEND'), 'SUSPEND', 'SUSPEND');
is(tag("SET $_"), "SET $_", $_) for 'min_pool_size=3', 'server_idle_timeout=1', 'server_check_delay=0';
ok(!$idle->readable(2), 'time goes by');
is_deeply(pool(), [1, 0, 0, 1, 0], 'it is idle still, and alone');
is(tag('RESUME'), 'RESUME', 'RESUME');
$h->poll_until(sub { pool()->[4] == 3 }, 'then there are the others');
$h->reload;

# Session mode: who has a server keeps it, who waits for one at its login waits.
my $s = Howdah->new(node => $node, workers => 1, settings => {pool_mode => 'session', default_pool_size => 1, suspend_timeout => 60})->start;
my $chief = Wire->to($s)->login(user => 'admin', database => 'pgbouncer');
my $session = Wire->to($s)->login(user => 'app', database => 'app');
my $pid = $session->value('select pg_backend_pid()');
my $door = Wire->to($s)->raw(Wire::startup(user => 'app', database => 'app', datestyle => 'German') . Wire::query('select 24'));
$s->poll_until(sub { $chief->rows('SHOW WAITERS') == 1 }, 'one waits at the door');
is(tag('SUSPEND', $chief), 'SUSPEND', 'SUSPEND in session mode');
$session->send(Wire::query('select pg_backend_pid()'));
ok(!$_->readable(0.1), 'nobody is answered') for $session, $door;
is(scalar($chief->rows('SHOW WAITERS')), 1, '... and who waited waits');
is(tag('RESUME', $chief), 'RESUME', 'RESUME');
my ($data) = grep { $_->[0] eq 'D' } $session->recv_until('Z');
is((Wire::data_row($data->[1]))[0], $pid, 'the session has its server');
$session->send(Wire::query('select 25'));
is(types_of($session), 'TDCZ', '... and goes on');
is(tag('SUSPEND', $chief), 'SUSPEND', 'SUSPEND');
$session->close;
ok(!$door->readable(0.1), 'who leaves meanwhile is not seen');
is(tag('RESUME', $chief), 'RESUME', 'RESUME');
is((grep { $_->[0] eq 'Z' } $door->recv_until('ZE')) ? 1 : 0, 1, '... until then, and the next one is let in');
is(types_of($door), 'TDCZ', '... and served');
my $next = Wire->to($s)->raw(Wire::startup(user => 'app', database => 'app'));
$s->poll_until(sub { $chief->rows('SHOW WAITERS') == 1 }, 'another one waits');
is(tag('SUSPEND', $chief), 'SUSPEND', 'SUSPEND');
my ($id) = map { $_->[0] } $chief->rows('SHOW SERVERS (id)');
is(tag("KILL_SERVER $id", $chief), 'KILL_SERVER', 'the only server is killed');
ok(!$next->readable(0.2), '... and nobody gets the place');
is(scalar($chief->rows('SHOW SERVERS')), 0, '... as no server is opened');
is(tag('RESUME', $chief), 'RESUME', 'RESUME');
is((grep { $_->[0] eq 'Z' } $next->recv_until('ZE')) ? 1 : 0, 1, '... until then');
$s->stop;

# What ends howdah ends it.
$half = login();
is(tag('SUSPEND'), 'SUSPEND', 'SUSPEND');
$c->send(Wire::query('SHUTDOWN WAIT_FOR_CLIENTS'));
is(tag(''), 'SHUTDOWN', 'SHUTDOWN ends a suspension');
is($idle->value('select 27'), '27', '... and lets clients go on');
$_->close for $idle, $half;
$h->wait_for_exit('... until they are gone');
$h->start;
$c = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
$idle = login();
is(tag('SUSPEND'), 'SUSPEND', 'SUSPEND');
$c->send(Wire::query('SHUTDOWN'));
$h->wait_for_exit('SHUTDOWN ends it at once');

Howdah->finish;
