# LISTEN in transaction mode: one server hears for all clients of a pool, every notification reaches every client
# that listens exactly once and in order, and nobody keeps a server for it.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Howdah;
use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'PgBouncer does not support LISTEN in transaction mode' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 2, workers => 2,
        query_wait_notify => 0, %settings})->start;
}
sub client { my ($h, @more) = @_; return Wire->to($h)->login(user => 'app', database => 'app', @more); }
sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app'); }

# "channel payload" of each notification that comes until one with this payload does.
sub hear
{
    my ($client, $until) = @_;
    my @heard;
    for (;;) {
        my ($message) = $client->recv_until('AE');
        die "closed: " . Wire::error_fields($message->[1])->{M} . "\n" if $message->[0] eq 'E';
        push @heard, join(' ', notification($message->[1]));
        return @heard if $heard[-1] =~ / \Q$until\E\z/;
    }
}
# The same of a query, which may be heard before or behind its ReadyForQuery.
sub hear_own
{
    my ($client, $sql, $until) = @_;
    my @heard = map { $_->[0] eq 'A' ? join(' ', notification($_->[1])) : () }
        $client->send(Wire::query($sql))->recv_until('Z');
    return @heard && $heard[-1] =~ / \Q$until\E\z/ ? @heard : (@heard, hear($client, $until));
}
sub notification { return unpack('x4 Z* Z*', $_[0]); }
sub no_pins { my ($h) = @_; return $h->poll_until(sub { !@{$h->show('PINS')} }, 'nobody is pinned'); }
sub listeners { my ($h) = @_; return grep { $_->{state} eq 'listening' } @{$h->show('SERVERS')}; }
sub listens_to
{
    my ($h) = @_;
    my ($listener) = listeners($h);
    return $listener->{remote_pid};
}
# Bytes that wait in howdah's socket with this local port.
sub unread
{
    my ($port) = @_;
    my $line = sprintf('\w+:%04X \w+:%04X \w+ \w+:', $port, $node->port);
    return Howdah::slurp('/proc/self/net/tcp') =~ /: $line(\w+)/ ? hex($1) : 0;
}

# How often a thread of howdah's has waited for something.
sub switches { return Howdah::slurp("/proc/$_[0]/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : die; }
# Which of them work when this is done twenty times.
sub at_work
{
    my ($threads, $do) = @_;
    my %before = map { $_ => switches($_) } @$threads;
    $do->() for 1 .. 20;
    return grep { switches($_) >= $before{$_} + 20 } @$threads;
}
# The thread of the listening server, that of a client that listens to x and y, and this client: not one thread for both.
sub apart
{
    my ($h, $tell) = @_;
    my @threads = grep { Howdah::slurp("/proc/$_/comm") =~ /^howdah:/ } map { m{(\d+)\z} } glob('/proc/' . $h->pid . '/task/*');
    for (1 .. 20) {
        my $c = client($h);
        $c->rows($_) for 'listen x', 'listen y';
        no_pins($h);
        my @own = at_work(\@threads, sub { $c->value('select 1') });
        my @all = at_work(\@threads, sub { $tell->rows("notify y, 'm'"); hear($c, 'm') });
        return ((grep { $_ != $own[0] } @all), @own, $c) if @own == 1 && @all == 2;
        $c->send(Wire::terminate());
        $c->recv_all;
    }
    die "no client in another thread than the listening server\n";
}
sub ptrace
{
    my ($request, $thread) = @_;
    my %requests = (SEIZE => 0x4206, INTERRUPT => 0x4207, DETACH => 17);
    syscall(SYS_ptrace(), $requests{$request}, $thread, 0, 0) == 0 or die "could not stop a thread: $!\n";
    return;
}

my $extended = sub {
    my ($c, $sql) = @_;
    $c->send(Wire::parse('', $sql), Wire::bind('', '', []), Wire::execute(''), Wire::sync());
    my @messages = $c->recv_until('Z');
    die Wire::first_error(@messages)->{M} . "\n" if Wire::first_error(@messages);
};
my $named = sub {
    my ($c, $sql) = @_;
    our $n++;
    $c->send(Wire::parse("s$n", $sql), Wire::describe('S', "s$n"), Wire::sync())->recv_until('Z');
    $c->send(Wire::bind('', "s$n", []), Wire::execute(''), Wire::sync())->recv_until('Z');
};
my $simple = sub { my ($c, $sql) = @_; $c->rows($sql); };

# ---- the ways to begin and to end it ----
{
    my $h = start();
    my $tell = direct();
    my $c = client($h);
    # What a client hears: it is told "x" and "y" where it should listen to, and then "end".
    my $hears = sub {
        my ($name, @expected) = @_;
        no_pins($h);
        $tell->rows("notify $_, 'm'") for 'x', 'y', q{"Odd ""'\ one"};
        $tell->rows("notify ending, 'end'");
        is_deeply([hear($c, 'end')], [(map { "$_ m" } @expected), 'ending end'], $name);
    };
    for my $way (['simple', $simple], ['extended', $extended], ['named', $named]) {
        my ($kind, $do) = @$way;
        $do->($c, 'listen ending');
        $hears->("$kind: it hears nothing that it does not listen to");
        $do->($c, 'listen x');
        $hears->("$kind: LISTEN", 'x');
        $do->($c, 'listen x');
        $hears->("$kind: LISTEN again", 'x');
        $do->($c, 'listen y');
        $hears->("$kind: LISTEN to a second channel", 'x', 'y');
        $do->($c, 'unlisten x');
        $hears->("$kind: UNLISTEN", 'y');
        $do->($c, 'unlisten never');
        $hears->("$kind: UNLISTEN of one that it does not listen to", 'y');
        $c->rows('begin'); $do->($c, 'listen x'); $c->rows('rollback');
        $hears->("$kind: LISTEN rolled back", 'y');
        $c->rows('begin'); $do->($c, 'listen x'); $c->rows('commit');
        $hears->("$kind: LISTEN committed", 'x', 'y');
        $c->rows('begin'); $do->($c, 'unlisten x'); $c->rows('rollback');
        $hears->("$kind: UNLISTEN rolled back", 'x', 'y');
        $c->rows('begin'); $do->($c, 'unlisten x'); $do->($c, 'unlisten y'); $do->($c, 'listen x'); $c->rows('commit');
        $hears->("$kind: two UNLISTEN and a LISTEN committed", 'x');
        $c->rows('begin'); $c->rows('savepoint a'); $do->($c, 'unlisten x'); $c->rows('rollback to a'); $c->rows('commit');
        $hears->("$kind: UNLISTEN rolled back to a savepoint", 'x');
        $c->rows('begin'); $do->($c, 'listen y'); $c->rows('savepoint a'); $do->($c, 'unlisten x');
        $c->rows('rollback to a'); $do->($c, 'unlisten y'); $c->rows('commit');
        $hears->("$kind: another one behind the savepoint", 'x');
        $c->rows('begin'); $c->rows('savepoint a'); $do->($c, 'unlisten x'); $c->rows('release a'); $c->rows('commit');
        $hears->("$kind: UNLISTEN released");
        $c->rows(q{listen x; listen "Odd ""'\ one"; unlisten ending; listen ending});
        $hears->("$kind: odd names, in a text of several", 'x', q{Odd "'\ one});
        $do->($c, 'unlisten *');
        no_pins($h);
        $tell->rows("notify $_, 'lost'") for qw(x y ending);
        $do->($c, 'listen ending');
        $hears->("$kind: UNLISTEN * ends all");
        $do->($c, 'unlisten ending');
    }
    for my $reset ('discard all', 'select pg_advisory_unlock_all(); close all; unlisten *; reset all',
        'close all; unlisten *; reset all; select 1') {
        $c->rows('listen x; listen y');
        no_pins($h);
        $c->rows($reset);
        $c->rows('listen ending');
        $hears->("after $reset");
        $c->rows('unlisten *');
    }
    $c->rows('listen ending');
    $c->rows('listen x');
    no_pins($h);
    $c->send(Wire::query('unlisten x; select 1/0'))->recv_until('Z');
    $hears->('UNLISTEN in a text that fails', 'x');
    $c->rows($_) for 'begin', 'unlisten x';
    $c->send(Wire::query('reset all'));
    is(Wire::first_error($c->recv_until('Z'))->{C}, '0A000', 'RESET ALL behind it in a block is refused');
    $c->rows('rollback');
    $hears->('... and nothing has changed', 'x');
    $c->send(map { Wire::query($_) } 'begin', 'unlisten x', 'commit', 'select 1');
    $c->recv_until('Z') for 1 .. 4;
    $hears->('UNLISTEN in a pipeline of queries');
    $c->send(Wire::parse('', 'listen x'), Wire::bind('', '', []), Wire::execute(''),
        Wire::parse('', 'unlisten ending'), Wire::bind('', '', []), Wire::execute(''),
        Wire::parse('', 'listen ending'), Wire::bind('', '', []), Wire::execute(''), Wire::sync())->recv_until('Z');
    $hears->('both in one batch', 'x');
    is_deeply([map { $_->[0] } $c->rows(q{select c from pg_listening_channels() c})], [], 'its next server listens to nothing');
    is(scalar(listeners($h)), 1, 'there is one listening server');
    my $pid = listens_to($h);
    is($node->safe_psql('app', "select count(*) from pg_stat_activity where pid = $pid"), '1', '... that is known by its pid');
    $c->send(Wire::terminate());
    $h->stop;
}

# ---- within and between transactions ----
{
    my $h = start();
    my ($c, $tell) = (client($h), client($h));
    $c->rows('listen x');
    no_pins($h);
    $c->rows('begin');
    $tell->rows("notify x, '$_'") for 1 .. 5;
    ok(!$c->readable(0.3), 'nothing is heard in a transaction');
    is(Wire::types($c->send(Wire::query('select 1'))->recv_until('Z')), 'TDCZ', '... nor between its statements');
    my @end = $c->send(Wire::query('commit'))->recv_until('Z');
    is_deeply([hear($c, '5')], [map { "x $_" } 1 .. 5], '... but behind it');
    $c->rows('begin');
    $tell->rows("notify x, 'dropped'");
    $c->rows('unlisten x');
    $c->rows('commit');
    ok(!$c->readable(0.3), 'what came before the UNLISTEN was committed is not heard');
    $c->rows('listen x');
    no_pins($h);
    is_deeply([hear_own($c, "notify x, 'own'", 'own')], ['x own'], 'a notification of its own');
    is_deeply([hear_own($c, "begin; listen z; notify z, 'in'; commit", 'in')], ['z in'], 'one sent in the transaction of its LISTEN');
    no_pins($h);
    is_deeply([hear_own($c, "notify z, 'late'", 'late')], ['z late'], '... is heard once');
    # Its server is kept for something else: it goes on hearing.
    $c->rows('create temp table t(a int)');
    $c->rows('listen y');
    $h->poll_until(sub { $h->show('PINS')->[0]{reasons} eq 'temp' }, 'only the temporary table pins');
    $tell->rows("notify $_, 'pinned'") for qw(x y z);
    is_deeply([sort(hear($c, 'pinned'), hear($c, 'pinned'), hear($c, 'pinned'))],
        ['x pinned', 'y pinned', 'z pinned'], 'a client that is pinned hears');
    $c->rows('unlisten y');
    $tell->rows("notify $_, 'again'") for qw(y x);
    is_deeply([hear($c, 'again')], ['x again'], '... and ends that');
    $c->rows('drop table t');
    no_pins($h);
    $tell->rows("notify $_, 'free'") for qw(y x);
    is_deeply([hear($c, 'free')], ['x free'], '... and when it is not any more');
    $h->stop;
}

# ---- a client that keeps its server, and begins anew ----
{
    my $h = start();
    my ($c, $tell) = (client($h), direct());
    my $taken_over = sub { $h->poll_until(sub { join('', map { $_->{reasons} } @{$h->show('PINS')}) eq 'temp' }, 'it is heard for'); };
    $c->rows('create temp table t(a int)');
    for my $unlisten ('x', 'never') {
        $c->rows('listen x');
        $taken_over->();
        $c->rows('begin'); $c->rows("unlisten $unlisten"); $c->rows('commit');
    }
    $tell->rows("notify x, 'still'");
    is_deeply([hear($c, 'still')], ['x still'], 'LISTEN, UNLISTEN and LISTEN again on a server that is kept');
    $h->stop;
}

# ---- a notification that is on its way while its channel is left and listened to again ----
SKIP: {
    skip 'no syscall.ph to stop a thread with', 1 if !eval { require 'syscall.ph'; 1 };
    my $h = start();
    my ($tell, $lock) = (direct(), direct());
    my ($hearing, $its, $c) = apart($h, $tell);
    my ($listener) = listeners($h);
    if (!eval { ptrace(SEIZE => $hearing); 1 }) {
        $h->stop;
        skip "no right to: $@", 1;
    }
    ptrace(INTERRUPT => $hearing);
    waitpid($hearing, 0x40000000) == $hearing or die "could not stop a thread: $!\n"; # __WALL
    $tell->rows("notify x, 'old'");
    $h->poll_until(sub { unread($listener->{local_port}) }, 'the listening server has told howdah');
    $c->rows($_) for 'unlisten x', 'listen x', 'select 1'; # the last one waits until howdah knows what has become of that
    # What may change the session, and does not end: there is no moment to tell something in, before x is taken over.
    $lock->rows('select pg_advisory_lock(1)');
    $c->send(Wire::query('set my.a = 1; select pg_advisory_xact_lock(1)'));
    $h->poll_until(sub { $tell->value("select count(*) from pg_locks where not granted") }, 'it waits');
    ptrace(DETACH => $hearing);
    $h->poll_until(sub { !unread($listener->{local_port}) && $tell->value(qq{
        select count(*) from pg_stat_activity where pid = $listener->{remote_pid} and state = 'idle' and query like 'LISTEN "x"%'}) },
        'the listening server listens to it again');
    $tell->rows("notify x, 'new'");
    client($h)->value('select 1') for 1 .. 10; # both threads have had their mail
    $lock->rows('select pg_advisory_unlock(1)');
    my @heard = map { $_->[0] eq 'A' ? join(' ', notification($_->[1])) : () } $c->recv_until('Z');
    no_pins($h);
    $tell->rows("notify $_, 'end'") for 'x', 'y';
    is_deeply([@heard, hear($c, 'end'), hear($c, 'end')], ['x new', 'x end', 'y end'],
        'what was told of a channel before it was left is not heard when it is listened to again');
    $h->stop;
}

# ---- a storm ----
{
    my $h = start();
    my @channels = map { "c$_" } 1 .. 4;
    my @senders = (direct(), client($h), client($h));
    my @next = map { +{map { $_ => 0 } @channels} } @senders;
    my @unanswered = map { 0 } @senders;
    my @wrong;
    # on: what it listens to; last: channel, sender => number; floor: what must come at the latest
    my @subscribers = map { +{c => client($h), on => {}, coming => {}, steps => [], last => {}, floor => {}, txn => 'I', n => $_} } 1 .. 24;
    my $heard = 0;

    my $note = sub { my ($s, $text) = @_; push @wrong, "client $s->{n}: $text"; };
    my $check = sub {
        my ($s, $channel, $payload) = @_;
        my ($from, $number) = split(/:/, $payload);
        $heard++;
        $note->($s, "heard $channel, which it does not listen to")
            if !$s->{on}{$channel} && !$s->{coming}{$channel};
        $note->($s, "heard $channel in a transaction") if $s->{txn} ne 'I' && @{$s->{steps}} != 1;
        my $last = $s->{last}{$channel}{$from};
        my $floor = $s->{floor}{$channel}{$from};
        $note->($s, "$channel of $from: $number behind $last") if defined $last && $number != $last + 1;
        $note->($s, "$channel of $from: began with $number, not $floor") if !defined $last && defined $floor && $number > $floor;
        $s->{last}{$channel}{$from} = $number;
    };
    my $begin = sub {
        my ($s, $channel) = @_;
        return if $s->{on}{$channel};
        $s->{on}{$channel} = 1;
        $s->{floor}{$channel}{$_} = $next[$_]{$channel} for 0 .. $#senders;
    };
    my $end = sub {
        my ($s, @ended) = @_;
        delete $s->{on}{$_}, delete $s->{last}{$_}, delete $s->{floor}{$_} for @ended;
    };
    my $send_step = sub {
        my ($s) = @_;
        my $sql = $s->{steps}[0][0];
        $s->{c}->send($s->{extended} && $sql !~ /;/
            ? (Wire::parse('', $sql), Wire::bind('', '', []), Wire::execute(''), Wire::sync()) : Wire::query($sql));
    };
    my $act = sub {
        my ($s) = @_;
        my ($x, $y) = shuffle(@channels);
        $s->{extended} = rand() < 0.5;
        my %ways = (
            listen => [["listen $x"]], 'listen, both' => [["listen $x; listen $y"]],
            'listen in a block' => [['begin'], ["listen $x"], ['commit']],
            'listen rolled back' => [['begin'], ["listen $x"], ['rollback']],
            'listen to a savepoint' => [['begin'], ['savepoint a'], ["listen $x"], ['rollback to a'], ['commit']],
            unlisten => [["unlisten $x"]], 'unlisten in a block' => [['begin'], ["unlisten $x"], ['commit']],
            'unlisten rolled back' => [['begin'], ["unlisten $x"], ["unlisten $y"], ['rollback']],
            'unlisten to a savepoint' => [['begin'], ['savepoint a'], ["unlisten $x"], ['rollback to a'], ['commit']],
            'change' => [['begin'], ["unlisten $x"], ["listen $y"], ['commit']],
            'reset' => [['close all; unlisten *; reset all']], 'discard' => [['discard all']],
            'statement' => [['select 1']], 'block' => [['begin'], ['select 1'], ['select pg_sleep(0.01)'], ['commit']]);
        my $way = (sort keys %ways)[rand keys %ways];
        my %begins = map { $_ => 1 } ($way eq 'listen' || $way eq 'listen in a block') ? ($x)
            : $way eq 'listen, both' ? ($x, $y) : $way eq 'change' ? ($y) : ();
        my @ends = ($way eq 'unlisten' || $way eq 'unlisten in a block' || $way eq 'change') ? ($x)
            : ($way eq 'reset' || $way eq 'discard') ? @channels : ();
        $s->{coming} = \%begins;
        $s->{steps} = [@{$ways{$way}}];
        $s->{done} = sub { $end->($s, @ends); $begin->($s, $_) for keys %begins; $s->{coming} = {}; };
        $send_step->($s);
    };
    my $take = sub {
        my ($s, $message) = @_;
        my ($type, $body) = @$message;
        if ($type eq 'A') {
            $check->($s, notification($body));
        } elsif ($type eq 'E') {
            $note->($s, 'error: ' . Wire::error_fields($body)->{M});
        } elsif ($type eq 'Z') {
            $s->{txn} = $body;
            shift @{$s->{steps}};
            $s->{done}->() if !@{$s->{steps}};
            $send_step->($s) if @{$s->{steps}};
        }
    };
    my $read = sub {
        for my $s (@subscribers) {
            $take->($s, $s->{c}->recv) while $s->{c}->readable(0);
        }
        for my $i (0 .. $#senders) {
            while ($unanswered[$i] > 0 && $senders[$i]->readable(0)) {
                my $message = $senders[$i]->recv;
                $unanswered[$i]-- if $message->[0] eq 'Z';
                $note->({n => "sender $i"}, Wire::error_fields($message->[1])->{M}) if $message->[0] eq 'E';
            }
        }
    };
    my $until = time + 6 * Howdah->slowness ** 0.5;
    my $rounds = 0;
    while (time < $until && !@wrong) {
        $rounds++;
        for my $i (0 .. $#senders) {
            next if $unanswered[$i] > 20;
            my @batch = map { my $c = $channels[rand @channels]; "notify $c, '$i:" . $next[$i]{$c}++ . "'" } 1 .. 1 + rand 4;
            my @queries = rand() < 0.5 ? @batch : join('; ', @batch);
            $senders[$i]->send(map { Wire::query($_) } @queries);
            $unanswered[$i] += @queries;
        }
        for my $s (@subscribers) {
            $act->($s) if !@{$s->{steps}} && rand() < 0.3;
        }
        $read->();
    }
    my $settled = sub {
        $read->();
        return 1 if @wrong;
        return 0 if grep { @{$_->{steps}} } @subscribers;
        for my $s (@subscribers) {
            for my $channel (keys %{$s->{on}}) {
                for my $i (0 .. $#senders) {
                    my $floor = $s->{floor}{$channel}{$i};
                    my $last = $s->{last}{$channel}{$i} // ($floor < $next[$i]{$channel} ? -1 : $next[$i]{$channel} - 1);
                    return 0 if $last < $next[$i]{$channel} - 1;
                }
            }
        }
        return 1;
    };
    ok(eval { $h->poll_until($settled, 'everything is heard') } // 0, 'a storm: everything is heard') or diag $@;
    is_deeply([@wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]], [], '... once, in order, by whom it is for');
    note("$rounds rounds, $heard heard");
    cmp_ok($heard, '>', 1000, '... and that was much');
    no_pins($h);
    my @servers = @{$h->show('SERVERS')};
    cmp_ok(scalar(grep { $_->{state} ne 'listening' } @servers), '<=', 2, 'the pool had its two servers');
    is(scalar(grep { $_->{state} eq 'listening' } @servers), 1, '... and one that listens');
    $h->stop;
}

# ---- who does not read ----
{
    my $h = start();
    my ($c, $other, $tell) = (client($h), client($h), direct());
    $_->rows('listen x') for $c, $other;
    no_pins($h);
    $c->rows('begin');
    for my $i (1 .. 200) {
        $tell->rows("select pg_notify('x', repeat('y', 7000) || n) from generate_series($i, $i) n");
    }
    is(Wire::first_error($c->recv_until('E'))->{C}, '54000', 'too much for a client in a transaction: it is closed');
    is($other->value('select 1'), '1', '... and no other one');
    $h->wait_for_log(qr/too many notifications wait for this client/);
    my $position = $h->log_position;
    my $slow = client($h);
    $slow->rows('listen y');
    no_pins($h);
    $tell->rows("select pg_notify('y', repeat('y', 7000) || n) from generate_series(1, 2000) n");
    $h->wait_for_log(qr/too many notifications wait for this client/, $position);
    pass('the same for one that does not read');
    is($other->value('select 1'), '1', '... and no other one');
    my @heard;
    while (my $message = eval { $slow->recv }) { # the last one may be there only in part
        push @heard, (notification($message->[1]))[1] =~ s/y//gr if $message->[0] eq 'A';
    }
    is_deeply(\@heard, [1 .. @heard], '... which has heard the first ones');
    $h->stop;
}

# ---- the listening server is lost ----
{
    my $h = start();
    my ($c, $other) = (client($h), client($h));
    $c->rows('listen x');
    no_pins($h);
    my $pid = listens_to($h);
    $node->safe_psql('app', "select pg_terminate_backend($pid)");
    is(Wire::first_error($c->recv_until('E'))->{C}, '08006', 'the listening server is ended: who listens is told');
    is($other->value('select 1'), '1', '... and nobody else');
    $c = client($h);
    $c->rows('listen x');
    no_pins($h);
    $other->rows("notify x, 'new'");
    is_deeply([hear($c, 'new')], ['x new'], 'there is a new one');
    isnt(listens_to($h), $pid, '... indeed');
    $h->console('RECONNECT');
    is(Wire::first_error($c->recv_until('E'))->{C}, '08006', 'RECONNECT ends it too');
    $h->stop;
}

# ---- ... at any moment, while clients come and go ----
{
    my $h = start(server_login_retry => 1, max_client_conn => 200);
    my ($killer, $tell) = (direct(), direct());
    my @clients;
    my $killed = 0;
    my $until = time + 3 * Howdah->slowness ** 0.5;
    while (time < $until || ($killed < 4 && time < $until + 30)) {
        push @clients, client($h);
        $clients[-1]->send(Wire::query("listen c" . int(rand(5))));
        eval { $_->send(Wire::query(rand() < 0.5 ? 'listen d' : 'unlisten *')) } for @clients[rand @clients, rand @clients];
        $tell->rows("notify c$_, 'x'") for 0 .. 4;
        (shift @clients)->close if @clients > 20;
        $killed += $killer->rows(q{select pg_terminate_backend(pid) from pg_stat_activity
            where query like '%"howdah\_%' and datname = 'app' and pid <> pg_backend_pid()}) if rand() < 0.1;
    }
    cmp_ok($killed, '>=', 4, 'servers are ended while clients come and go');
    my $c = client($h);
    my $heard = eval {
        $h->poll_until(sub {
            $c = eval { my $new = client($h); $new->rows('listen at_last'); $new } or return 0;
            $tell->rows("notify at_last, 'yes'");
            return eval { hear($c, 'yes') };
        }, 'a client hears');
    };
    ok($heard, '... and then one hears');
    $_->close for @clients;
    no_pins($h);
    $h->stop;
}

# ---- it ends when nobody listens ----
{
    my $h = start(server_idle_timeout => 1);
    my ($c, $tell) = (client($h), client($h));
    $c->rows('listen x');
    no_pins($h);
    is(scalar(listeners($h)), 1, 'a listening server');
    $c->send(Wire::terminate());
    $h->poll_until(sub { !listeners($h) }, 'the listening server is closed');
    pass('it ends some time after the last one has left');
    $h->stop;
}

# ---- the console, and another process ----
{
    my $h = start();
    my ($c, $tell) = (client($h), direct());
    my $console = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
    $c->rows('listen x');
    no_pins($h);
    $console->rows('SUSPEND');
    $tell->rows("notify x, 'suspended'");
    ok(!$c->readable(0.3), 'SUSPEND: nothing is heard');
    $console->rows('RESUME');
    is_deeply([hear($c, 'suspended')], ['x suspended'], '... before RESUME');
    is_deeply([map { $_->{sv_active} + $_->{sv_idle} + $_->{sv_used} } grep { $_->{database} eq 'app' } @{$h->show('POOLS')}],
        [1], 'SHOW POOLS does not count the listening server');
    $c->send(Wire::terminate());
    $c->recv_all;
    $h->poll_until(sub { !grep { $_->{database} eq 'app' } @{$h->show('CLIENTS')} }, 'the client has left');
    is(scalar(listeners($h)), 1, 'a listening server that nobody needs');
    $console->rows('PAUSE');
    is(scalar(listeners($h)), 0, '... does not keep PAUSE waiting');
    $console->rows('RESUME');
    my ($stays, $moves) = (client($h), client($h));
    $stays->rows('listen x');
    no_pins($h);
    my $next = $h->reboot;
    is($moves->value('select 1'), '1', 'another process takes a client over');
    $tell->rows("notify x, 'still'");
    is_deeply([hear($stays, 'still')], ['x still'], '... and leaves one that listens where it is');
    ok($h->is_alive, '... with the old process');
    $stays->send(Wire::terminate());
    $stays->recv_all;
    $h->wait_for_exit('... which ends when it has left');
    $next->stop;
}

# ---- encodings ----
{
    my $h = start();
    my ($latin, $changes, $tell) = (client($h, client_encoding => 'LATIN1'), client($h), direct());
    $latin->rows("listen \"\xe9\"");
    $changes->rows('listen y');
    $h->poll_until(sub { join('', map { $_->{reasons} } @{$h->show('PINS')}) eq 'listen' }, 'one is pinned');
    $tell->rows("notify \"\xc3\xa9\", '\xc3\xa4'");
    is_deeply([hear($latin, "\xe4")], ["\xe9 \xe4"], 'a client with another encoding hears in its own');
    $changes->rows("set client_encoding = 'LATIN1'");
    $tell->rows("notify y, 'ascii'");
    is_deeply([hear($changes, 'ascii')], ['y ascii'], 'one that changes it');
    $tell->rows("notify y, '\xc3\xa4'");
    is(Wire::first_error($changes->recv_until('E'))->{C}, '0A000', '... is closed if it would not understand');
    is(scalar(@{$h->show('PINS')}), 1, 'the first one is pinned all the time');
    $h->stop;
}

# ---- statement mode ----
{
    my $h = start(pool_mode => 'statement');
    my ($c, $tell) = (client($h), direct());
    $c->rows('listen x');
    $extended->($c, 'listen y');
    no_pins($h);
    $extended->($c, 'unlisten x');
    $tell->rows("notify $_, 'm'") for qw(x y);
    is_deeply([hear($c, 'm')], ['y m'], 'statement mode: the same');
    $h->stop;
}

# ---- it cannot be had ----
{
    my $h = start(max_db_connections => 2, pool_mode => 'transaction', query_wait_timeout => 10, pin_max_percent => 50);
    my ($a, $b) = (client($h), client($h));
    $b->rows('begin');
    $a->rows('listen x');
    is($h->show('PINS')->[0]{reasons}, 'listen', 'no place for a listening server: the client keeps its own');
    my $tell = direct();
    $tell->rows("notify x, 'kept'");
    is_deeply([hear($a, 'kept')], ['x kept'], '... and hears');
    $h->poll_until(sub { $b->send(Wire::query('listen y')); my $e = Wire::first_error($b->recv_until('Z')); $b->rows('rollback'); $b->rows('begin'); $e },
        'pin_max_percent is minded');
    pass('more of them are refused');
    $a->rows('unlisten x');
    no_pins($h);
    $tell->rows("notify x, 'not'");
    ok(!$a->readable(0.2), 'UNLISTEN ends that');
    $h->stop;
}

# ---- drivers ----
{
    my $h = start();
    my $script = dirname(dirname(abs_path($0))) . '/drivers/listen.py';
    for my $driver (['psycopg', 'psycopg3'], ['asyncpg', 'asyncpg']) {
        my ($module, $name) = @$driver;
        ok(system('/usr/bin/python3', '-c', "import $module") == 0, "$name is installed");
        is(system('/usr/bin/python3', $script, $name, '127.0.0.1', $h->port, 'app', 'app'), 0, "$name hears");
    }
    no_pins($h);
    $h->stop;
}

Howdah->finish;
