# Messages in pieces: wherever the network cuts, the answers are the same, and a message that is not whole
# holds no server.

use strict;
use warnings;

use Howdah;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'PgBouncer 1.18 wants the start-up packet whole' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table split (i int, t text); grant all on split to app');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 1})->start;

sub client { return Wire->to($h)->login(user => 'app', database => 'app', @_); }

# The messages of an answer with their bodies.
sub answer { return join(' ', map { $_->[0] . ':' . unpack('H*', $_->[1]) } @_); }

my $other = client();
my $pid = $other->value('select pg_backend_pid()');

# Another client, which needs the only server, gets it.
sub served
{
    my ($what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(eval { $other->value('select pg_backend_pid()', 10 * Howdah::slowness()) } // $@, $pid, $what);
}

my $one = Howdah->new(node => $node, workers => 1,
    settings => {pool_mode => 'transaction', default_pool_size => 2})->start;
my $clock = Wire->to($one)->login(user => 'app', database => 'app');
my $subject = Wire->to($one)->login(user => 'app', database => 'app');

# The first piece has been read when a later query of another client of the same worker is answered.
sub cut
{
    my ($c, $bytes, $at) = @_;
    $c->raw(substr($bytes, 0, $at)) if $at > 0;
    $clock->value('select 1');
    $c->raw(substr($bytes, $at));
    return;
}

# Start-up

my $startup = Wire::startup(user => 'app', database => 'app', application_name => 'split', datestyle => 'german');
my @bad;
for my $at (1 .. length($startup) - 1) {
    my $c = Wire->to($one);
    cut($c, $startup, $at);
    my $last = (eval { $c->recv_until('ZE') })[-1];
    push @bad, $at if !$last || $last->[0] ne 'Z' || ($c->parameters->{DateStyle} // '') ne 'German, DMY'
      || ($c->parameters->{application_name} // '') ne 'split';
    $c->close;
}
is("@bad", '', 'a start-up packet, cut at every byte');
my $requests = Wire::ssl_request();
@bad = ();
for my $at (1 .. length($requests) - 1) {
    my $c = Wire->to($one);
    cut($c, $requests, $at);
    push @bad, "SSLRequest $at" if ($c->recv_byte // '') ne 'N';
    cut($c, Wire::gss_request(), $at);
    push @bad, "GSSENCRequest $at" if ($c->recv_byte // '') ne 'N';
    push @bad, "login $at" if (eval { $c->login(user => 'app', database => 'app')->value('select 1') } // '') ne '1';
    $c->close;
}
is("@bad", '', 'SSLRequest and GSSENCRequest, cut at every byte');
my $slow = Wire->to($one)->slowly(1)->login(user => 'app', database => 'app', application_name => 'byte by byte');
is($slow->value('show application_name'), 'byte by byte', 'a login of one-byte segments');

# After login: each of these is sent whole once, then in every way there is.

my $sync = Wire::sync();
my %conversation = (
    'a simple query' => [1, Wire::query("select 'simple', 42")],
    'a query that fails' => [1, Wire::query('select 1/0')],
    'two queries with SET' => [2, Wire::query("set application_name = 'cut'"), Wire::query("set application_name = ''")],
    'an extended batch' => [1, Wire::parse('', 'select $1::int + 1, $2::text', 23, 25), Wire::describe('S', ''),
        Wire::bind('', '', [41, 'text'], 1, 0), Wire::describe('P', ''), Wire::execute(''), $sync],
    'a named statement' => [3, Wire::parse('named', 'select $1::int * 2', 23), $sync, Wire::bind('', 'named', [21]),
        Wire::execute(''), $sync, Wire::close_object('S', 'named'), $sync],
    'a batch with an error' => [2, Wire::parse('', 'select 1/0'), Wire::bind('', '', []), Wire::execute(''),
        Wire::parse('', 'select 3'), Wire::bind('', '', []), Wire::execute(''), $sync,
        Wire::parse('', 'select 4'), Wire::bind('', '', []), Wire::execute(''), $sync],
    'a COPY IN' => [2, Wire::query('copy split from stdin'), Wire::copy_data("1\tone\n2\ttw"), Wire::copy_data("o\n"),
        Wire::copy_done(), Wire::query('select count(*) from split')],
    'a COPY IN, extended' => [1, Wire::parse('', 'copy split from stdin'), Wire::bind('', '', []), Wire::execute(''), $sync,
        Wire::copy_data("3\tthree\n"), Wire::copy_done(), $sync],
    'a COPY IN that the client fails' => [1, Wire::query('copy split from stdin'), Wire::copy_data("4\tfour\n"),
        Wire::copy_fail('no')],
    'a COPY IN of bad data' => [2, Wire::query('copy split from stdin'), Wire::copy_data("four\n"), Wire::copy_data("5\tfive\n"),
        Wire::copy_done(), Wire::query('select 5')],
    'a transaction' => [3, Wire::query('begin'), Wire::query("insert into split values (6, 'six')"), Wire::query('rollback')],
    'a function call' => [1, Wire::function_call(1317, 'four')],
);

sub conversation
{
    my ($ready, $c, $send) = @_;
    $clock->rows('truncate split');
    $send->();
    return answer(map { $c->recv_until('Z') } 1 .. $ready);
}

for my $name (sort keys %conversation) {
    my ($ready, @messages) = @{$conversation{$name}};
    my $bytes = join('', @messages);
    my $whole = conversation($ready, $subject, sub { $subject->raw($bytes) });
    my $direct = Wire->tcp('127.0.0.1', $node->port)->login(user => 'app', database => 'app');
    my $told = conversation($ready, $direct, sub { $direct->raw($bytes) });
    $direct->close;
    is($whole, $told, "$name, whole: as PostgreSQL answers it");
    my @wrong;
    for my $at (1 .. length($bytes) - 1) {
        my $got = eval { conversation($ready, $subject, sub { cut($subject, $bytes, $at) }) } // "died: $@";
        next if $got eq $whole;
        push @wrong, $at;
        diag("cut at $at: $got") if @wrong == 1;
        last if $got =~ /^died/;
    }
    is("@wrong", '', "$name, cut at every byte");
    my $got = eval { conversation($ready, $subject, sub { $subject->slowly(1)->send($bytes)->slowly(0) }) } // $@;
    is($got, $whole, "$name, of one-byte segments");
    $got = eval { conversation($ready, $subject, sub { cut($subject, $_, length($_)) for @messages }) } // $@;
    is($got, $whole, "$name, message by message");
}

# The other way round: much in one segment

my $hundred = join('', map { Wire::query("select $_") } 1 .. 100);
my $c = client();
$c->raw($hundred);
my @answers = map { $c->recv_until('Z') } 1 .. 100;
is(Wire::types(@answers), 'TDCZ' x 100, 'a hundred queries in one write');
is(join(' ', map { (Wire::data_row($_->[1]))[0] } grep { $_->[0] eq 'D' } @answers), join(' ', 1 .. 100), '... in order');
$c->raw(join('', map { (Wire::parse("h$_", "select $_"), $sync, Wire::bind('', "h$_", []), Wire::execute(''), $sync) } 1 .. 20));
is(Wire::types(map { $c->recv_until('Z') } 1 .. 40), '1Z2DCZ' x 20, 'a hundred messages of batches in one write');
my $eager = Wire->to($h)->raw($startup . Wire::query('select 1') . Wire::query('select 2'));
like(eval { Wire::types(map { $eager->recv_until('Z', 20) } 1 .. 3) } // $@, qr/^RS+KZTDCZTDCZ$/,
    'start-up and queries in one write');
$eager->close;

# Pieces of every size that matters to buffers

my @lost;
for my $size (4090 .. 4100, 8185 .. 8200, 16370 .. 16390, 32760 .. 32775, 65530 .. 65545) {
    my $text = 'x' x $size;
    push @lost, $size if (eval { $c->value("select '$text'", 30) } // '') ne $text;
}
is("@lost", '', 'queries and rows of lengths around the powers of two');

# Half a message, and nothing more

my %half = (
    'a simple query' => Wire::query('select 1'),
    'a Parse' => Wire::parse('', 'select 1'),
    'a Sync' => $sync,
    'a query of 16 kB' => Wire::query('select 1' . ' ' x 16_000),
    'a FunctionCall' => Wire::function_call(1598));
my %silent;
for my $name (sort keys %half) {
    my $bytes = $half{$name};
    for my $at (1, 4, 5, 6, length($bytes) - 1) {
        next if $at >= length($bytes) || $silent{"$name $at"};
        $silent{"$name $at"} = [my $silent = client(), substr($bytes, $at)];
        $silent->raw(substr($bytes, 0, $at));
    }
}
served(scalar(keys %silent) . ' clients with a message begun do not hold the server');
for my $key (sort keys %silent) {
    my ($silent, $rest) = @{$silent{$key}};
    $silent->raw($rest);
    $silent->raw($sync) if $key =~ /Parse/;
    my $types = eval { Wire::types($silent->recv_until('Z', 30)) } // $@;
    like($types, qr/^(TDC|1|V|)Z$/, "... and the rest of $key is understood");
}
served('... and the server is free again');

# A message of more than 16 kB streams, and holds its server meanwhile: until its client goes, or query_timeout.

my $big = 'Q' . pack('N', 50_000_000) . "select '" . 'x' x 1_000_000;
my $streamer = client();
$streamer->raw($big);
$streamer->close;
ok(eval { $other->value('select 1', 20 * Howdah::slowness()) }, 'a huge message that ends with its client leaves the pool usable') or diag($@);
$pid = $other->value('select pg_backend_pid()');
SKIP: {
    skip 'query_timeout is not in this version', 1 if !Howdah->supports(query_timeout => 1);
    my $limited = Howdah->new(node => $node,
        databases => {app => $node->connstr('app') . ' user=app'}, extra => "[users]\napp = query_timeout=1\n",
        settings => {pool_mode => 'transaction', default_pool_size => 1})->start;
    my ($stuck, $waiting) = map { Wire->to($limited)->login(user => $_, database => 'app') } 'app', 'stats';
    $stuck->raw($big);
    is(eval { $waiting->value('select 8', 20 * Howdah::slowness()) } // $@, '8', 'query_timeout ends a message that stops half-way');
}

# Half a message, and the end: in order (FIN) or not (RST)

for my $reset (0, 1) {
    for my $name (sort keys %half) {
        my $bytes = $half{$name};
        for my $at (1, 5, length($bytes) - 1) {
            my $leaver = client();
            $leaver->raw(substr($bytes, 0, $at));
            setsockopt($leaver->socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if $reset;
            $leaver->close;
        }
    }
    served('half messages and ' . ($reset ? 'a reset' : 'an end') . ' cost no server');
}
my $leaver = client();
$leaver->rows('begin');
$leaver->raw(substr(Wire::query('commit'), 0, 7));
$leaver->close;
ok(eval { $other->value('select 1', 20 * Howdah::slowness()) }, 'half a message in a transaction, and the end') or diag($@);
is($node->safe_psql('postgres', q(select count(*) from pg_stat_activity where usename = 'app' and state like 'idle in%')), '0',
    '... leaves no transaction');

# A client that closes its half of the connection behind a query gets its answer, or nothing, but harms nobody.

my $halfclosed = client();
$halfclosed->send(Wire::query('select 1'));
$halfclosed->shut_write;
like(Wire::types(eval { $halfclosed->recv_all(20) }), qr/^(TDCZ)?$/, 'a half-closed connection');
ok(eval { $other->value('select 1', 20 * Howdah::slowness()) }, '... costs the others nothing') or diag($@);

Howdah->finish;
