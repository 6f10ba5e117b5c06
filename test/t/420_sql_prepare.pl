# PREPARE, EXECUTE and DEALLOCATE by SQL: every conversation goes as on a direct connection, though each
# transaction of it runs on another server than the one before, and no server is kept for it.

use strict;
use warnings;

use Howdah;
use IPC::Run ();
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not rewrite SQL' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', q{
    create table t(a int, b text);
    insert into t select i, 'row ' || i from generate_series(1, 20) i;
    create table "we ird"(a int);
    grant all on t, "we ird" to public;
    create function prepares(text) returns void language plpgsql as $$begin execute 'prepare ' || $1; end$$});

sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 2,
        query_wait_timeout => 20, query_wait_notify => 0, pin_max_percent => 100, %settings})->start;
}
sub client { my ($h) = @_; return Wire->to($h)->login(user => 'app', database => 'app'); }
sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app'); }

my $h = start();
my @holders = map { client($h) } 1 .. 2;
my @pids = sort { $a <=> $b } map { $_->rows('begin'); $_->value('select pg_backend_pid()') } @holders;
is(scalar(grep { $_ == $pids[0] } @pids), 1, 'there are two servers');
my %holds;    # holder => 1
sub release { delete $holds{$_} && $holders[$_]->rows('commit') for 0 .. 1; return; }
%holds = (0 => 1, 1 => 1);
release();

# From now on the next transaction of another client runs on this server.
sub leave_only
{
    my ($pid) = @_;
    release();
    $holders[0]->rows('begin');
    $holds{0} = 1;
    return if $holders[0]->value('select pg_backend_pid()') != $pid;
    $holders[1]->rows('begin');
    $holds{1} = 1;
    $holders[0]->rows('commit');
    delete $holds{0};
    return;
}

{
    my $c = client($h);
    for my $pid (@pids, @pids) {
        leave_only($pid);
        is($c->value('select pg_backend_pid()'), $pid, 'the next transaction is on the other server');
    }
}

# Names and types of columns; which table it was may differ.
sub columns
{
    my ($body) = @_;
    my ($n, @columns) = (unpack('n', substr($body, 0, 2, '')));
    for (1 .. $n) {
        my ($name, $rest) = unpack('Z* a18', $body);
        push @columns, "$name:" . unpack('H*', substr($rest, 4));
        substr($body, 0, length($name) + 19) = '';
    }
    return "@columns";
}

# What a client sees of messages, as text.
sub seen
{
    my (@messages) = @_;
    my @seen;
    for my $message (@messages) {
        my ($type, $body) = @$message;
        next if $type eq 'S' || $type eq 'N';
        if ($type eq 'E') {
            my $fields = Wire::error_fields($body);
            push @seen, join(' ', 'E', map { "$_=" . ($fields->{$_} // '-') } qw(S C M P));
        } elsif ($type =~ /[CZ]/) {
            push @seen, "$type $body" =~ s/\0//gr;
        } elsif ($type eq 'D') {
            push @seen, 'D ' . join('|', map { $_ // 'null' } Wire::data_row($body));
        } else {
            push @seen, $type . ($type eq 'T' ? ' ' . columns($body) : $type eq 't' ? ' ' . unpack('H*', $body) : '');
        }
    }
    return @seen;
}

# Each element of a conversation is a simple query, or a list of messages of which the last is a Sync.
sub talk
{
    my ($client, $before, @steps) = @_;
    my @seen;
    my $status = 'I';
    for my $step (@steps) {
        $before->() if $status eq 'I';
        my @messages = $client->send(ref $step ? @$step : Wire::query($step))->recv_until('Z', 60);
        $status = $messages[-1][1];
        push @seen, '> ' . (ref $step ? 'messages' : $step), seen(@messages);
    }
    return join("\n", @seen) . "\n";
}

sub pins { my ($h) = @_; return scalar(@{$h->show('PINS')}); }

sub same
{
    my ($name, @steps) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($direct, $a, $turn) = (direct(), client($h), 0);
    my $expected = talk($direct, sub { }, @steps);
    $direct->send(Wire::terminate());
    $direct->recv_all;
    my $got = talk($a, sub { leave_only($pids[$turn++ % 2]) }, @steps);
    is($got, $expected, $name);
    is(pins($h), 0, '... and keeps no server');
    $a->send(Wire::terminate());
    $a->recv_all;
    release();
    return;
}

sub alone { my ($sql) = @_; return [Wire::parse('', $sql), Wire::bind('', '', []), Wire::execute(''), Wire::sync()]; }
sub described
{
    my ($sql) = @_;
    return [Wire::parse('', $sql), Wire::bind('', '', []), Wire::describe('P', ''), Wire::execute(''), Wire::sync()];
}
my @twice = ('execute p(3)') x 4;

# ---- simple queries ----

same('PREPARE, EXECUTE on all servers, DEALLOCATE',
    'prepare p(int) as select b from t where a = $1', @twice, 'deallocate p', 'execute p(3)');
same('without types', 'prepare p as select a + $1 from t where a < 3 order by a', 'execute p(1)', 'execute p(2)');
same('case, quotes and comments',
    'PREPARE "We ""ird"" name" (int) AS SELECT $1', 'execute "We ""ird"" name"(1)', 'execute we(1)',
    'prepare /* of */ FOO -- this
     as select 2', 'execute foo', 'EXECUTE "foo"', 'execute "FOO"', 'execute/**/foo', 'deallocate prepare Foo',
    q{prepare U&"d\0061t" as select 4}, 'execute dat', q{execute U&"d!0061t" uescape '!'},
    'prepare a as select $$ prepare p $$, \'execute p\'; execute a; -- deallocate a
     execute a', 'deallocate a');
same('a semicolon and blanks', "  prepare p as select 1 ; \n", "\n execute p;", 'deallocate p;;', 'deallocate p');
same('many types', 'prepare p(numeric(5, 2), "char", int[], timestamp(3) with time zone) as select $1, $2, $3, $4',
    q{execute p(1.234, 'x', '{1}', '2020-01-01')}, q{explain (costs off) execute p(1.234, 'x', '{1}', '2020-01-01')});
same('EXPLAIN and CREATE TABLE AS', 'prepare p(int) as select * from t where a = $1',
    'explain (costs off) execute p(1)', 'explain (analyze, costs off, timing off, summary off) execute p(2)',
    'begin', 'create table made as execute p(3)', 'select * from made', 'rollback');
same('an utterly unknown one', 'execute nothing', 'execute nothing(1)', 'deallocate nothing', 'deallocate all');
same('a name of ours', 'execute "HOWDAH_1"', 'deallocate "HOWDAH_1"', 'prepare "HOWDAH_1" as select 1',
    'execute "HOWDAH_1"', 'deallocate "HOWDAH_1"', 'execute "HOWDAH_1"');
same('a name twice', 'prepare p as select 1', 'prepare p as select 2', 'execute p', 'prepare p as selec 3', 'execute p',
    'prepare p as select * from nowhere', 'begin', 'prepare p as select 1', 'execute p', 'rollback', 'execute p');
same('that fails leaves nothing', 'prepare p as select * from nowhere', 'execute p', 'prepare p as select 1', 'execute p');
same('ended and made again', 'prepare p as select 1', 'deallocate p', 'prepare p as select 2', 'execute p',
    'deallocate p', 'prepare p as select 1', 'execute p');
same('the same text under two names', 'prepare p as select 1', 'prepare q as select 1', 'execute p', 'execute q',
    'deallocate p', 'execute q', 'execute p', 'prepare p as select 1', 'execute p');
same('places of errors', 'prepare p(int) as select 1 / $1', q{execute p('x' || 1 || nonsense)}, 'execute p(1/0)',
    'execute p(0)', 'execute p(1, 2)', 'execute p', 'select 1; execute p(nonsense)', 'prepare q as select nonsense',
    q{select 'über'; execute p(nonsense)});
same('an error of the parser', 'prepare p as', 'prepare as select 1', 'execute', 'deallocate', 'execute p(');

# ---- transactions ----

same('in a transaction', 'begin', 'prepare p as select 1', 'execute p', 'commit', 'execute p', 'execute p');
same('survives a rollback', 'begin', 'prepare p as select 1', 'rollback', 'execute p', 'execute p',
    'begin', 'deallocate p', 'rollback', 'execute p');
same('survives a rollback to a savepoint', 'begin', 'savepoint a', 'prepare p as select 1', 'rollback to a', 'execute p',
    'savepoint b', 'deallocate p', 'rollback to b', 'execute p', 'rollback to b', 'prepare p as select 2', 'commit',
    'execute p', 'execute p');
same('in a failed transaction', 'prepare p as select 1', 'begin', 'select 1/0', 'execute p', 'deallocate p',
    'prepare q as select 2', 'deallocate q', 'execute q', 'rollback', 'execute p', 'execute q');
same('fails on a server where it must be prepared first', 'prepare p as select 1', 'begin', 'selec', 'execute p',
    'rollback to a', 'commit', 'execute p');
same('of a table that is gone', 'create table gone(a int)', 'prepare p as select * from gone', 'execute p',
    'drop table gone', 'deallocate p', 'execute p');
same('of a changed table', 'create table changed(a int)', 'prepare p as select a from changed', 'execute p', 'execute p',
    'drop table changed');

# ---- several statements in one text ----

same('all three in one text', 'prepare p as select 1; execute p; deallocate p', 'execute p',
    'prepare p as select 2; execute p; execute p', 'execute p', 'execute p; deallocate p; execute p', 'execute p');
same('the same again and again', 'prepare p as select 1; deallocate p; prepare p as select 1; execute p;
    prepare q as select 1; execute q; deallocate p; execute q', 'execute q', 'execute p');
same('an error in between', 'prepare p as select 1; select 1/0; prepare q as select 2', 'execute p', 'execute q',
    'deallocate p; select 1/0', 'execute p', 'prepare p as select 1; prepare p as select 2; prepare q as select 3',
    'execute p', 'execute q');
same('around transactions', 'begin; prepare p as select 1; commit; execute p', 'execute p', 'begin; execute p',
    'execute p; deallocate p; rollback', 'execute p');
same('a name that is there already', 'prepare p as select 1', 'select 5; prepare p as select 2; execute p', 'execute p',
    'execute p; prepare q as select 1; execute q; execute p; deallocate p; execute q', 'execute q', 'execute p');
same('COPY in the same text', 'prepare p as select 1', 'execute p; copy (select 1) to stdout; execute p');

# ---- one namespace with the extended protocol ----

sub bound { my ($name, @values) = @_; return [Wire::bind('', $name, \@values), Wire::describe('P', ''), Wire::execute(''), Wire::sync()]; }
same('prepared by SQL, used by messages', 'prepare p(int) as select b from t where a = $1', bound('p', 3), bound('p', 4),
    [Wire::describe('S', 'p'), Wire::sync()], [Wire::parse('p', 'select 9'), Wire::sync()], 'execute p(2)',
    [Wire::close_object('S', 'p'), Wire::sync()], bound('p', 3), 'execute p(3)', 'prepare p as select 7', bound('p'));
same('prepared by Parse, used by SQL', [Wire::parse('p', 'select b from t where a = $1', 23), Wire::sync()], 'execute p(3)',
    'execute p(4)', 'explain (costs off) execute p(1)', 'prepare p as select 1', bound('p', 5), 'deallocate p', 'execute p(3)',
    bound('p', 3), [Wire::parse('p', 'select 7'), Wire::sync()], 'execute p');
same('a Parse in a failed transaction', [Wire::parse('p', 'select 1'), Wire::sync()], 'begin', 'selec', 'execute p', 'rollback',
    'execute p');
same('a Parse that nobody can execute', [Wire::parse('p', 'select 1; select 2'), Wire::sync()], 'execute p',
    [Wire::parse('p', 'show work_mem'), Wire::sync()], 'execute p', [Wire::parse('e', ''), Wire::sync()], 'execute e');
same('several in one batch', 'prepare p as select 1', 'prepare q as select 2', [Wire::parse('r', 'select 3'),
    (map { (Wire::bind('', $_, []), Wire::execute('')) } qw(p q r p)), Wire::sync()],
    [Wire::bind('', 'p', []), Wire::execute(''), Wire::parse('', 'selec'), Wire::bind('', 'q', []), Wire::sync()],
    [Wire::bind('one', 'p', []), Wire::bind('two', 'q', []), Wire::execute('two'), Wire::execute('one'), Wire::sync()]);
same('names of drivers', (map { ("prepare s$_ as select $_", "execute s$_") } 1 .. 5),
    'deallocate all', 'execute s1', 'prepare s1 as select 9', 'execute s1', 'discard all', 'execute s1');

# ---- as texts of the extended protocol ----

same('by unnamed statements', alone('prepare p(int) as select b from t where a = $1'), described('execute p(3)'),
    described('execute p(4)'), alone('prepare p as select 1'), 'execute p(5)', described('explain (costs off) execute p(1)'),
    alone('deallocate p'), alone('execute p(3)'), alone('deallocate p'), 'execute p(3)');
same('by unnamed statements in transactions', alone('begin'), alone('prepare p as select 1'), alone('execute p'),
    alone('rollback'), alone('execute p'), alone('begin'), alone('selec'), alone('execute p'), alone('deallocate p'),
    alone('prepare q as select 1'), alone('rollback'), alone('execute p'), alone('execute q'));
same('that fails, by an unnamed statement', alone('prepare p as select * from nowhere'), alone('execute p'),
    alone('prepare p as select 1'), alone('execute p'));
same('Parse, Describe and Bind in batches of their own', [Wire::parse('', 'prepare p as select 1'), Wire::sync()],
    [Wire::describe('S', ''), Wire::sync()], [Wire::bind('', '', []), Wire::execute(''), Wire::sync()],
    [Wire::bind('', '', []), Wire::execute(''), Wire::sync()], [Wire::parse('', 'execute p'), Wire::describe('S', ''), Wire::sync()],
    ([Wire::bind('', '', []), Wire::execute(''), Wire::sync()]) x 3, alone('deallocate p'));
same('twice in one batch', [Wire::parse('', 'prepare p as select 1'), (Wire::bind('', '', []), Wire::execute('')) x 2, Wire::sync()],
    'execute p', [Wire::parse('', 'execute p'), (Wire::bind('', '', []), Wire::execute('')) x 2, Wire::sync()],
    [Wire::parse('', 'execute p'), Wire::close_object('S', 'p'), Wire::parse('p', 'select 8'), Wire::bind('', '', []),
        Wire::execute(''), Wire::sync()], 'execute p',
    [(map { (Wire::parse('', $_), Wire::bind('', '', []), Wire::execute('')) } ('deallocate p', 'prepare p as select 5', 'execute p')),
        Wire::sync()]);
same('not executed', [Wire::parse('', 'prepare p as select 1'), Wire::bind('', '', []), Wire::sync()], 'execute p',
    [Wire::parse('', 'deallocate p'), Wire::sync()], 'execute p', 'prepare p as select 2',
    [Wire::parse('', 'deallocate p'), Wire::bind('', '', []), Wire::sync()], 'execute p');
same('behind an error', 'prepare q as select 4', [Wire::parse('', 'select 1/0'), Wire::bind('', '', []), Wire::execute(''),
        Wire::parse('', 'prepare p as select 1'), Wire::bind('', '', []), Wire::execute(''), Wire::sync()], 'execute p',
    [Wire::parse('', 'deallocate q'), Wire::bind('', '', []), Wire::execute(''), Wire::parse('', 'selec'), Wire::sync()], 'execute q');

# ---- pipelines ----

{
    my @texts = ('prepare p as select 1', 'execute p', 'prepare p as select 2', 'execute p', 'deallocate p', 'execute p',
        'prepare p as select * from nowhere', 'execute p', 'prepare p as select 3', 'execute p', 'deallocate all', 'execute p');
    my %got;
    for my $where (qw(direct behind)) {
        my $c = $where eq 'direct' ? direct() : client($h);
        $c->send(map { Wire::query($_) } @texts);
        $got{$where} = join("\n", map { seen($c->recv_until('Z')) } @texts);
    }
    is($got{behind}, $got{direct}, 'queries sent without waiting for answers');
    is(pins($h), 0, '... and no server is kept');
}

# ---- COPY behind it ----

{
    my %got;
    for my $where (qw(direct behind)) {
        my $c = $where eq 'direct' ? direct() : client($h);
        my $text = 'prepare p as select 1; execute p; copy "we ird" from stdin; execute p';
        my @seen = seen($c->send(Wire::query("begin; $text"))->recv_until('G'));
        push @seen, seen($c->send(Wire::copy_data("1\n2\n"), Wire::copy_done(), Wire::query('rollback; execute p'))->recv_until('Z'));
        push @seen, seen($c->recv_until('Z'));
        push @seen, seen($c->send(Wire::query('deallocate p; copy "we ird" from stdin; execute p'))->recv_until('G'));
        push @seen, seen($c->send(Wire::copy_fail('no'))->recv_until('Z'));
        push @seen, seen($c->send(Wire::query('execute p'))->recv_until('Z'));
        $got{$where} = join("\n", @seen);
    }
    is($got{behind}, $got{direct}, 'COPY in a text with all of them');
    is(pins($h), 0, '... and no server is kept');
}

# ---- anything in any order ----

sub one { return $_[int(rand(@_))]; }
my @queries = ('select 1', 'select 2', 'select count(*) from t', 'select 1/0', 'select * from nowhere', 'values (1), (2)');

sub random_sql
{
    my $name = one('p', 'q', '"R s"');
    return one("prepare $name as " . one(@queries), "prepare $name as select 1", ("execute $name") x 4, ("deallocate $name") x 2,
        "explain (costs off) execute $name");
}

sub random_messages
{
    my $name = one('p', 'q', 'R s');
    my @unnamed = (Wire::parse('', random_sql()), Wire::bind('', '', []));
    return @{one([Wire::parse($name, one(@queries))], [Wire::close_object('S', $name)], [Wire::describe('S', $name)],
        ([Wire::bind('', $name, []), Wire::execute('')]) x 2, [@unnamed, Wire::execute('')],
        [@unnamed, Wire::describe('P', ''), Wire::execute('')])};
}

sub random_step
{
    my ($blocks) = @_;
    my $kind = rand();
    return random_sql() if $kind < 0.45;
    return join('; ', map { random_sql() } 1 .. 2 + rand(3)) if $kind < 0.6;
    return one($blocks ? ('begin', 'commit', 'rollback', 'savepoint a', 'rollback to a') : 'select 1') if $kind < 0.7;
    return one('deallocate all', 'discard all') if $kind < 0.72;
    return [(map { random_messages() } 1 .. 1 + rand(3)), Wire::sync()];
}

for my $seed (1 .. 4) {
    srand($seed);
    same("400 random ones, seed $seed", map { random_step(1) } 1 .. 400);
}

# Sent in one go: what a text means depends on answers that have not come.  In a transaction that may have failed
# a Parse of what the server has is answered as if it had not.
for my $seed (1 .. 4) {
    srand($seed);
    my @bursts = map { [map { random_step(0) } 1 .. 1 + rand(12)] } 1 .. 60;
    my ($direct, $a, $different) = (direct(), client($h), 0);
    for my $burst (@bursts) {
        my %got;
        for my $c ($direct, $a) {
            $c->send(map { ref $_ ? @$_ : Wire::query($_) } @$burst);
            $got{$c} = join("\n", map { ('> ' . (ref $_ ? 'messages' : $_), seen($c->recv_until('Z', 60))) } @$burst);
        }
        next if $got{$direct} eq $got{$a};
        $different++ or is($got{$a}, $got{$direct}, 'the first difference');
    }
    is($different, 0, "60 bursts of random ones, seed $seed");
    is(pins($h), 0, '... keep no server');
    $_->send(Wire::terminate()), $_->recv_all for $direct, $a;
}

# ---- settings ----

same('settings when it is prepared count', q{set datestyle = 'German'}, q{prepare p as select '01.02.2020'::date::text, extract(month from date '01.02.2020')},
    'execute p', q{set datestyle = 'ISO, MDY'}, 'execute p');
same('settings that it sets', q{prepare p as select set_config('my.tenant', 'seven', false), set_config('work_mem', '7MB', false)},
    q{select current_setting('my.tenant', true)}, 'execute p', q{select current_setting('my.tenant', true), current_setting('work_mem')},
    q{select current_setting('my.tenant', true), current_setting('work_mem')}, 'reset work_mem', 'show work_mem');
same('settings that it sets, bound', q{prepare p as select set_config('my.other', 'eight', false)}, bound('p'),
    q{select current_setting('my.other')}, q{select current_setting('my.other')});

$h->stop;

# ---- what keeps a server after all ----

# The client's statements are there under its own names then; the others wait for the other server.
sub keeps
{
    my ($name, $reason, @steps) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($direct, $a, $other) = (direct(), client($h), client($h));
    my @last = ref $steps[-1] eq 'HASH' ? @{(pop @steps)->{free}} : ();
    my $see = sub { $other->rows('select 1'); };
    is(talk($a, $see, @steps), talk($direct, sub { }, @steps), $name);
    my ($pin) = @{$h->show('PINS')};
    is($pin->{reasons} // $pin->{reason}, $reason, '... and keeps its server');
    if (@last) {
        is(talk($a, $see, @last), talk($direct, sub { }, @last), '... until its statements are deallocated');
        is(pins($h), 0, '... which frees it');
    }
    $_->send(Wire::terminate()) for $a, $direct;
    $_->recv_all for $a, $direct;
    is(join(',', map { $_->[0] } $other->rows(q{select name from pg_prepared_statements where name !~ '^HOWDAH_'})), '',
        '... and leaves nothing');
    is(pins($h), 0, '... not even a pin');
    return;
}

$h = start();
my @some = ('prepare p(int) as select $1 + 1', 'execute p(1)', [Wire::parse('q', 'select 5'), Wire::sync()], 'prepare "P x" as select 6');
my @use = ('execute p(1)', 'execute q', bound('q'), 'execute "P x"', 'prepare p as select 1', 'deallocate "P x"', 'execute "P x"',
    'begin', 'execute p(2)', 'rollback', [Wire::parse('q', 'select 7'), Wire::sync()]);
my $free = {free => ['deallocate all', 'execute p(1)', 'prepare p as select 8', 'execute p']};
keeps('EXECUTE as a named statement', 'sql_prepare', @some, [Wire::parse('n', 'execute p(4)'), Wire::sync()], bound('n'), bound('n'), @use, $free);
keeps('PREPARE bound to a named portal', 'sql_prepare', @some,
    [Wire::parse('', 'prepare r as select 9'), Wire::bind('portal', '', []), Wire::execute('portal'), Wire::sync()], 'execute r', @use, $free);
keeps('DEALLOCATE ALL among others', 'sql_prepare', @some, 'execute p(1); deallocate all; prepare p(int) as select 77', 'execute p(1)',
    'deallocate q', [Wire::parse('m', 'select 4'), Wire::sync()], 'deallocate p', bound('m'), 'execute p',
    {free => ['deallocate m', 'execute m', 'prepare p as select 1', 'execute p']});
keeps('DO', 'sql_prepare', @some, q{do $$begin execute 'deallocate p'; execute 'prepare s as select 11'; end$$}, 'execute s', 'execute p(1)',
    'execute q', $free);
keeps('a function that prepares', 'sql_prepare', 'select prepares($$f as select 12$$)', 'execute f', 'execute f', {free => ['deallocate f', 'execute f']});
keeps('a setting whose name is a parameter', 'sql_prepare', 'prepare s(text) as select set_config($1, $$x$$, false)', q{execute s('my.own')},
    q{select current_setting('my.own')}, {free => ['deallocate s']});
keeps('what a statement does when it is executed', 'advisory', 'prepare l as select pg_advisory_lock_shared(7)', 'select 1',
    'prepare u as select pg_advisory_unlock_shared(7)', 'execute l', 'select objid from pg_locks where locktype = $$advisory$$ and pid = pg_backend_pid()',
    {free => ['execute u']});
{
    my $c = client($h);
    $c->rows('prepare p as select 1');
    $c->send(Wire::query('begin'))->recv_until('Z');
    $c->send(Wire::query('selec'))->recv_until('Z');
    my $error = Wire::first_error($c->send(Wire::parse('n', 'execute p'), Wire::sync())->recv_until('Z'));
    is($error->{C}, '25P02', 'what cannot be followed, in a failed transaction');
    $c->send(Wire::query('rollback'))->recv_until('Z');
    $c->send(Wire::terminate());
}
$h->stop;

# ---- few statements to a server, and others' ----

$h = start(max_prepared_statements => 1);
{
    my @clients = map { client($h) } 1 .. 3;
    $clients[$_]->rows("prepare p as select $_; prepare q as select $_ * 10; prepare r as select $_ * 100") for 0 .. 2;
    my $good = 0;
    for my $round (1 .. 5) {
        for my $i (0 .. 2) {
            $good++ if $clients[$i]->value('execute q') == $i * 10;
            my @all = map { @$_ } $clients[$i]->rows('execute r; execute p; execute q; execute p');
            $good++ if "@all" eq join(' ', $i * 100, $i, $i * 10, $i);
            $good++ if $clients[$i]->value('execute p') == $i;
        }
    }
    is($good, 45, 'three clients with one name for different statements');
    is(pins($h), 0, '... keep no server');
}
$h->stop;

$h = start(max_prepared_statements => 0);
{
    my ($a, $b) = (client($h), client($h));
    $a->rows('prepare p as select 1');
    is(pins($h), 1, 'without max_prepared_statements a server is kept');
    is($a->value('execute p'), 1, '... as it must');
    ok(!eval { $b->rows('execute p'); 1 }, '... and is nobody else\'s');
}
$h->stop;

# ---- another process takes over ----

$h = start();
{
    my $c = client($h);
    $c->rows('prepare p(int) as select b from t where a = $1');
    $c->send(Wire::parse('q', 'select 5'), Wire::sync())->recv_until('Z');
    $c->send(Wire::parse('', 'execute p(2)'), Wire::sync())->recv_until('Z');
    my $next = $h->reboot;
    $h->wait_for_exit('the old process ends');
    $h = $next;
    my @unnamed = $c->send(Wire::bind('', '', []), Wire::execute(''), Wire::sync())->recv_until('Z');
    is(join('', map { (Wire::data_row($_->[1]))[0] } grep { $_->[0] eq 'D' } @unnamed), 'row 2', 'EXECUTE without a name came along');
    is($c->value('execute p(3)'), 'row 3', '... and what PREPARE has prepared');
    is($c->value('execute q'), 5, '... and what Parse has');
    $c->rows('deallocate p');
    ok(!eval { $c->rows('execute p(3)'); 1 }, '... and can be deallocated');
    is(pins($h), 0, '... and no server is kept');
}
$h->stop;

# ---- a text that is too long to be looked at ----

$h = start(max_parse_length => 1024);
{
    my $c = client($h);
    my $long = 'x' x 3000;
    $c->rows('prepare p(text) as select length($1)');
    is($c->value("execute p('$long')"), 3000, 'EXECUTE in a long text');
    is(pins($h), 1, '... keeps a server');
    is($c->value(q{execute p('y')}), 1, '... and goes on there');
    $c->rows('deallocate p');
    is(pins($h), 0, '... until there is nothing to keep');
}
$h->stop;

# ---- a time limit does not run on behind the answer ----

$h = start(query_timeout => 1);
{
    my $c = client($h);
    $c->rows('prepare p as select 1');
    $c->rows('execute p');
    my $until = time() + 3;
    ok(!$c->readable($until - time()), 'a client that has its answer is not timed out');
    is($c->value('execute p'), 1, '... and goes on');
}

# ---- programs ----

sub run_at
{
    my ($port, $input, @command) = @_;
    my $said = '';
    local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ('127.0.0.1', $port, 'app', 'app');
    IPC::Run::run(\@command, '<', \$input, '>', \$said, '2>&1', IPC::Run::timeout($Howdah::TIMEOUT));
    return $said;
}
my $input = <<'SQL';
\set VERBOSITY verbose
prepare p(int) as select b from t where a = $1;
execute p(3);
execute p(nonsense);
execute "über"(1);
prepare p as select 1;
prepare "über" as select 2;
execute "über" \gx
execute p(4) \gdesc
select a from t where a = $1 \bind 4 \g
execute p(5) \bind \g
deallocate p \bind \g
execute p(5);
SQL
my @psql = ('psql', '-X', '-a', '-v', 'ON_ERROR_STOP=0');
is(run_at($h->port, $input, @psql), run_at($node->port, $input, @psql), 'psql says the same');
is(pins($h), 0, '... and keeps no server');

my $script = $h->dir . '/prepare.sql';
Howdah::spew($script, <<'SQL');
\set a random(1, 20)
prepare p:client_id (int) as select b from t where a = $1;
execute p:client_id (:a);
begin;
execute p:client_id (:a);
end;
deallocate p:client_id;
SQL
my $said = run_at($h->port, '', 'pgbench', '-n', '-M', 'simple', '-c', '8', '-j', '2', '-t', '100', '-f', $script);
like($said, qr{number of transactions actually processed: 800/800}, 'pgbench prepares, executes and deallocates') or diag($said);
unlike($said, qr/ERROR|error:/, '... without an error');
is(pins($h), 0, '... and keeps no server');
$h->stop;

# A server for each transaction: what is sent in front of it must not keep what depends on it waiting for ever.

$h = start(server_lifetime => 0, query_timeout => 20);
my $each = join(";\n", 'prepare q as select 1', 'execute q', 'deallocate q', 'prepare q as select 2', 'execute q', 'prepare r as select 3',
    'deallocate prepare q', 'execute r', 'deallocate all', 'execute r', 'prepare r as select 4', 'execute r') . ";\n";
is(run_at($h->port, $each, @psql), run_at($node->port, $each, @psql), 'psql says the same when each server is used once');
$h->stop;

Howdah->finish;
