# Statements that are too big, too deep or too odd for howdah's parser: PostgreSQL answers, in bounded memory, and
# nothing is left for other clients.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer does not look at statements' if Howdah->is_pgbouncer;

my $node = Howdah->node('main', conf => "max_stack_depth = 7MB\n");

sub client { my ($h, @more) = @_; return Wire->to($h)->login(user => 'app', database => 'app', @more); }
sub direct { return Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app', @_); }

# Types of the messages, and what they say; long ones by length and checksum.  An error without the file and line of its source.
sub told
{
    my (@messages) = @_;
    return map {
        my ($type, $body) = @$_;
        my $text = $type =~ /[EN]/ ? do { my $e = Wire::error_fields($body); join('|', map { "$_=" . ($e->{$_} // '') } qw(S C M D H P)) } : $body;
        "$type " . (length($text) > 300 ? length($text) . ' bytes, ' . unpack('%32C*', $text) : $text =~ s/[^ -~]/./gr);
    } grep { $_->[0] ne 'S' } @messages;
}
my %ask = (
    simple => sub { my ($c, $sql) = @_; return $c->send(Wire::query($sql))->recv_until('Z'); },
    extended => sub {
        my ($c, $sql) = @_;
        return $c->send(Wire::parse('', $sql), Wire::bind('', '', []), Wire::describe('P', ''), Wire::execute(''), Wire::sync())->recv_until('Z');
    },
    named => sub {
        my ($c, $sql) = @_;
        our $n++;
        return $c->send(Wire::parse("s$n", $sql), Wire::bind('', "s$n", []), Wire::execute(''), Wire::close_object('S', "s$n"), Wire::sync())->recv_until('Z');
    });

sub nested { my ($n, $open, $core, $close) = @_; return ($open x $n) . $core . ($close x $n); }

my $mb = 1 << 20;
my @statements = (
    ['a literal of 10 MB', "select length('" . ('x' x (10 * $mb)) . "')"],
    ['a result of 10 MB', "select '" . ('x' x (10 * $mb)) . "'"],
    ['a comment of 10 MB in front', '/*' . ('x' x (10 * $mb)) . '*/ select 1'],
    ['blanks of 10 MB', (' ' x (10 * $mb)) . 'select 1'],
    ['a name of 100 kB', 'select 1 as ' . ('n' x 100_000)],
    ['an IN list of 100,000', 'select 7 in (' . join(',', 1 .. 100_000) . ')'],
    ['the same in 60 kB', 'select 7 in (' . join(',', 1 .. 11_000) . ')'],
    ['VALUES of 100,000 rows', 'select count(*) from (values ' . join(',', map { "($_)" } 1 .. 100_000) . ') v'],
    ['a list of 2000 columns', 'select ' . join(',', 1 .. 2000)],
    ['parentheses, 10,000 deep', 'select ' . nested(10_000, '(', '1', ')')],
    ['... not closed', 'select ' . ('(' x 10_000) . '1'],
    ['subselects, 10,000 deep', 'select ' . nested(10_000, '(select ', '1', ')')],
    ['subselects in FROM, 1000 deep', 'select 1 from ' . nested(1000, '(select 1 from ', '(select 1) z', ') a')],
    ['function calls, 10,000 deep', 'select ' . nested(10_000, 'abs(', '1', ')')],
    ['function calls, 1000 deep', 'select ' . nested(1000, 'abs(', '1', ')')],
    ['arrays, 5000 deep', 'select ' . nested(5000, 'array[', '1', ']')],
    ['CASE, 2000 deep', 'select ' . nested(2000, 'case when true then ', '1', ' end')],
    ['casts, 20,000 of them', 'select 1' . ('::int' x 10_000)],
    ['signs, 20,000 of them', 'select ' . ('- ' x 20_000) . '1'],
    ['NOT, 10,000 of them', 'select ' . ('not ' x 10_000) . 'true'],
    ['AND, 20,000 of them', 'select 1 where true' . (' and true' x 20_000)],
    ['+, 10,000 of them', 'select 1' . (' + 1' x 10_000)],
    ['UNION, 1000 of them', 'select 1' . (' union select 1' x 1000)],
    ['UNION ALL, 1500 of them', 'select 1' . (' union all select 1' x 1500)],
    ['WITH, 500 deep', nested(500, 'with a as (', 'select 1', ') select 1 from a')],
    ['JOIN, 3000 of them', 'select 1 from (select 1) a' . (' cross join (select 1) a' x 3000)],
    ['5000 statements', 'select 1;' x 5000],
    ['60,000 semicolons', ';' x 60_000],
    ['comments in comments, 10,000 deep', nested(10_000, '/*', '', '*/') . 'select 1'],
    ['... not closed', ('/*' x 6000) . 'select 1'],
    ['operators, 16 kB of them in a row', 'select 1 ' . ('+-' x 8000) . '1'],
    ['3000 settings', join('', map { "set own.s$_ = 1;" } 1 .. 3000) . "set own.bad = 'set'"],
    ['a literal that is not closed', "select '" . ('x' x 50_000)],
    ['a dollar that is not closed', 'select $a$' . ('x' x 50_000)],
    ['a name that is not closed', 'select "' . ('x' x 50_000)],
    ['invalid UTF-8', "select '\xff\xfe', set_config('own.bad', 'left', false)"],
    ['... in a comment', "set own.bad = 'left' /* \xc3 */"],
    ['... in a name', "select 1 as \"\xc3\x28\""],
    ['half a character at the end', "select 1 as \xe2\x82"],
    ['not UTF-8 by E', q(select E'\\xff')],
    ['... a zero', q(select E'\\000')],
    ['half a surrogate pair', q(select E'\\ud800')],
    ['a wrong escape', q(select U&'\\zzzz')],
    ['a parameter of 10 digits', 'select $9999999999'],
    ['a number that is none', 'select 123abc, 0x'],
    ['a word too many', 'select 1 frm x'],
    ['nothing of SQL', 'quux!'],
    ['set, and a word too many', "set own.bad = 'left' frm"],
    ['a grammar that is to come', q(select json_object('a': 1), json_serialize('1'))],
    ['... another', 'merge into t using s on true when not matched by source then delete'],
    ['... of VACUUM', 'vacuum (buffer_usage_limit 100)'],
    ['what only PostgreSQL refuses', 'set transaction_isolation = 7; set nothing.of.this.kind.is.there to default'],
    ['a table that is not there', 'select * from nowhere' . (' where true' . ' and true' x 9000)],
    ['a function that is not there', 'select ' . nested(500, 'no_function(', '1', ')')],
    ['a wrong setting', "set work_mem = 'much'"],
    ['words that PostgreSQL knows, in a row', 'select from where group'],
    ['only a comment', '/* nothing */'],
    ['nothing', ''],
);

# What PostgreSQL refuses before it looks at it as SQL.
my @messages = (
    ['a zero in a query', Wire::message('Q', "select 1\0; set own.bad = 'left'\0")],
    ['a query without its end', Wire::message('Q', 'select 1')],
    ['a zero in Parse', Wire::message('P', "\0select 1\0; select 2\0" . pack('n', 0)), Wire::sync()],
    ['Parse without its end', Wire::message('P', "\0select 1"), Wire::sync()],
    ['types that are not there', Wire::message('P', "\0select 1\0" . pack('n', 3)), Wire::sync()]);

sub bad { return $_[0]->value("select coalesce(nullif(current_setting('own.bad', true), ''), 'none')"); }
sub pins { my ($h) = @_; return join(',', map { $_->{reasons} } @{$h->show('PINS')}); }
sub leave { my ($c) = @_; $c->send(Wire::terminate()); $c->recv_all; return; }
sub start
{
    my (%settings) = @_;
    return Howdah->new(node => $node, workers => 1, settings => {pool_mode => 'transaction', default_pool_size => 2,
        pin_max_percent => 50, query_wait_notify => 0, %settings})->start;
}

# ---- one by one: what PostgreSQL answers, and what it leaves ----
for my $mode (['track', sort keys %ask], ['strict', 'extended'], ['track', 'in a block']) {
    my ($state, @protocols) = @$mode;
    my $h = start(session_state => $state);
    my ($other, $direct) = (client($h), direct());
    my $before = $h->proc_status('VmHWM');
    for my $protocol (@protocols) {
        for (@statements) {
            my ($name, $sql) = @$_;
            my ($c, $d) = (client($h), direct());
            my $settings_too = $name =~ /settings\z/ ? 'settings_too_many' : '';
            my $run = $protocol ne 'in a block' ? $ask{$protocol}
                : sub { my ($to) = @_; return map { $to->send(Wire::query($_))->recv_until('Z') } 'begin', $sql, 'rollback'; };
            my @expected = told($run->($d, $sql));
            is_deeply([told($run->($c, $sql))], \@expected, "$state, $protocol: $name");
            is(bad($c), bad($d), '... and what it has set');
            my $pins = pins($h);
            ok($pins eq '' || ($state eq 'strict' && $pins eq 'unknown') || $pins eq $settings_too, '... keeps no server') or diag $pins;
            leave($c);
            is(bad($other), 'none', '... and leaves nothing');
        }
    }
    for (@messages) {
        my ($name, @bytes) = @$_;
        my ($c, $d) = (client($h), direct());
        is_deeply([told($c->send(@bytes)->recv_until('Z'))], [told($d->send(@bytes)->recv_until('Z'))], "$state: $name");
        is($c->value('select 7'), '7', '... and the session goes on');
        leave($c);
        is(bad($other), 'none', '... and it leaves nothing');
    }
    is(pins($h), '', "$state: nobody keeps a server");
    my $grown = $h->proc_status('VmHWM') - $before;
    cmp_ok($grown, '<', 80_000 * Howdah->slowness, '... and memory is bounded') or diag "$grown kB";
    note("$grown kB");
    $h->stop;
}

# ---- SET behind a comment that is too long to be parsed ----
for my $state ('track', 'strict') {
    my $h = start(session_state => $state);
    my $other = client($h);
    for my $protocol (sort keys %ask) {
        my $c = client($h);
        my $comment = '/*' . ('x' x (10 * $mb)) . '*/';
        $ask{$protocol}->($c, "$comment set work_mem = '7MB'");
        is($c->value('show work_mem'), '7MB', "$state, $protocol: a setting of PostgreSQL's follows its client");
        is($other->value('show work_mem'), '4MB', '... and no other one');
        $ask{$protocol}->($c, "$comment set own.bad = 'left'");
        is(bad($other), 'none', '... one of its own stays with its client');
        is(bad($c), $state eq 'strict' ? 'left' : 'none', $state eq 'strict' ? '... which keeps its server' : '... which loses it');
        is(pins($h), $state eq 'strict' ? 'unknown' : '', '... as documented');
        leave($c);
        is(bad($other), 'none', '... until it leaves');
    }
    $h->stop;
}

# ---- many at once, of which each has sent a half ----
{
    my $h = start(default_pool_size => 20);
    my $other = client($h);
    my $sql = "select length('" . ('x' x (10 * $mb)) . "')";
    my %whole = (simple => Wire::query($sql),
        unnamed => Wire::parse('', $sql) . Wire::bind('', '', []) . Wire::execute('') . Wire::sync(),
        named => Wire::parse('s', $sql) . Wire::bind('', 's', []) . Wire::execute('') . Wire::sync());
    # A statement with a name is kept, for other servers; the others pass through.
    my %most = (simple => 10_000, unnamed => 10_000, named => 8 * 60_000);
    for my $kind ('simple', 'unnamed', 'named') {
        my @clients = map { client($h) } 1 .. 8;
        my $before = $h->rss_kb;
        $_->raw(substr($whole{$kind}, 0, 5 * $mb)) for @clients;
        is(scalar(grep { $other->value("select $_") == $_ } 1 .. 20), 20, "$kind: others are served when eight clients have sent 5 of 10 MB");
        my $half = $h->rss_kb - $before;
        $_->raw(substr($whole{$kind}, 5 * $mb)) for @clients;
        is(scalar(grep { $other->value("select $_") == $_ } 1 .. 20), 20, '... and when they have sent the rest');
        is_deeply([map { my ($row) = grep { $_->[0] eq 'D' } $_->recv_until('Z'); (Wire::data_row($row->[1]))[0] } @clients],
            [(10 * $mb) x 8], '... all have their answer');
        my $grown = $h->rss_kb - $before;
        cmp_ok($_, '<', $most{$kind} * Howdah->slowness, '... and memory is bounded') for $half, $grown;
        leave($_) for @clients;
        note("$kind: $half kB, then $grown kB, then " . ($h->rss_kb - $before));
    }
    # Without the texts that clients have closed.
    my ($c, $before) = (client($h), $h->rss_kb);
    for my $i (1 .. 12) {
        $ask{named}->($c, "select $i, length('" . ('x' x (10 * $mb)) . "')");
    }
    my $grown = $h->rss_kb - $before;
    cmp_ok($grown, '<', 60_000 * Howdah->slowness, 'long statements that were closed do not pile up') or diag "$grown kB";
    cmp_ok($c->value("select count(*) from pg_prepared_statements where length(statement) > 1000000"), '<=', 3, '... nor on the server');
    $h->stop;
}
Howdah->finish;
