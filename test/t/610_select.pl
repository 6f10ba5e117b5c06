# SHOW with a list of columns, and with conditions.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer shows whole tables' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 3})->start;
my $c = Wire->to($h)->login(user => 'admin', database => 'pgbouncer');
my $client = Wire->to($h)->login(user => 'app', database => 'app', application_name => "it's");
my $other = Wire->to($h)->login(user => 'app', database => 'postgres');
$client->rows('begin');

sub names
{
    my ($description) = grep { $_->[0] eq 'T' } @_;
    return '' if !$description;
    my $body = substr($description->[1], 2);
    my @names;
    push @names, $1 while $body =~ s/^([^\0]*)\0.{18}//s;
    return "@names";
}

# The names of the columns, then the rows.
sub ask
{
    my ($command) = @_;
    $c->send(Wire::query($command));
    my @messages = $c->recv_until('Z');
    my $error = Wire::first_error(@messages);
    return "$error->{C} $error->{M}", $error->{H} if $error;
    return names(@messages), map { join('|', map { $_ // '' } Wire::data_row($_->[1])) } grep { $_->[0] eq 'D' } @messages;
}

is_deeply([ask("SHOW CLIENTS (user, state) WHERE database = 'app'")], ['user state', 'app|active'], 'columns, and a condition');
is_deeply([ask("show clients (STATE,user) where database='postgres' and state='idle';")], ['state user', 'idle|app'],
    'several conditions, in another order of columns');
is_deeply([ask(q(SHOW CLIENTS (database) WHERE "user" = app AND application_name = 'it''s'))], ['database', 'app'],
    'a quote in a string, a word without quotes');
is_deeply([ask("SHOW CLIENTS (user) WHERE database = 'app' AND state = 'idle'")], ['user'], 'no row');
is_deeply([ask("SHOW POOLS (pool_mode) WHERE sv_active = 01 AND database = 'app'")], ['pool_mode', 'transaction'], 'numbers');
is_deeply([ask("SHOW CONFIG (value, key) WHERE key = 'default_pool_size'")], ['value key', '3|default_pool_size'], 'SHOW CONFIG');
is_deeply([ask("SHOW timezone (timezone) WHERE timezone = 'GMT'")], ['timezone', 'GMT'], 'a variable');
my ($columns, @rows) = ask("SHOW STATS WHERE database = 'app'");
is(scalar(split(' ', $columns)), 25, 'all columns, with a condition');
is(scalar(@rows), 1, '... and one row');

# Every SHOW that has rows, by its own first column.
for my $what (qw(HELP CLIENTS SERVERS SOCKETS ACTIVE_SOCKETS POOLS DATABASES USERS LISTS STATS STATS_TOTALS STATS_AVERAGES TOTALS LATENCY MEM CONFIG VERSION STATE)) {
    my ($all, @whole) = ask("SHOW $what");
    my $first = (split(/ /, $all))[0];
    my ($value) = map { (split(/\|/, $_))[0] } @whole;
    my ($names, @some) = ask("SHOW $what ($first) WHERE $first = '$value'");
    is($names, $first, "SHOW $what: one column");
    is_deeply([@some], [grep { $_ eq $value } map { (split(/\|/, $_))[0] } @whole], '... and its rows');
}

my ($error, $hint) = ask('SHOW POOLS (users)');
is($error, '42703 column "users" does not exist', 'an unknown column');
like($hint, qr/\bdatabase, user, cl_active\b/, '... the hint names those there are');
is((ask("SHOW POOLS WHERE users = 'app'"))[0], $error, '... in a condition too');
like((ask("SHOW POOLS WHERE sv_idle = 'many'"))[0], qr/^22P02 /, 'no number where one is asked for');
like((ask($_))[0], qr/^42601 /, "refused: $_")
  for 'SHOW POOLS ()', 'SHOW POOLS (user', "SHOW POOLS WHERE user > 'a'", "SHOW POOLS WHERE user = 'a' OR user = 'b'",
  'RELOAD (user)';
like((ask('SHOW VERSION'))[1], qr/^howdah /, 'the session goes on');

# The extended protocol: the description is of the columns asked for, whatever is asked.

$c->send(Wire::parse('s', "SHOW LISTS (items, list) WHERE list = 'pools'"), Wire::describe('S', 's'), Wire::bind('', 's', [], 1, 0),
    Wire::describe('P', ''), Wire::execute(''), Wire::sync());
my @messages = $c->recv_until('Z');
is(Wire::types(@messages), '1tT2TDCZ', 'parsed, described, bound, described, executed');
my ($of_statement, $of_portal) = grep { $_->[0] eq 'T' } @messages;
is(names($of_statement), 'items list', 'Describe of the statement');
is(names($of_portal), 'items list', '... and of the portal');
is((unpack('x2 Z* N n N n N n', $of_portal->[1]))[6], 1, '... whose first column is binary');
my ($row) = grep { $_->[0] eq 'D' } @messages;
is_deeply([map { $_ // '' } Wire::data_row($row->[1])], [pack('N', 3), 'pools'], 'the row');

$c->send(Wire::bind('', 's', [], 1, 0, 1), Wire::sync());
is(Wire::first_error($c->recv_until('Z'))->{C}, '08P01', 'as many formats as there are columns now, not as the table has');
$c->send(Wire::parse('', "SHOW LISTS (lists)"), Wire::describe('S', ''), Wire::sync());
@messages = $c->recv_until('Z');
is(Wire::first_error(@messages)->{C}, '42703', 'an unknown column is told at Parse');

# Fetched in parts, only the rows that are wanted count.
$c->send(Wire::parse('', "SHOW CONFIG (key) WHERE value = '0' AND changeable = 'yes'"), Wire::bind('', '', []), Wire::execute('', 2),
    Wire::execute('', 2), Wire::execute('', 0), Wire::sync());
@messages = $c->recv_until('Z');
like(Wire::types(@messages), qr/^12DDsDDsD+CZ$/, 'fetched in parts');
my $zeros = grep { $_->{value} eq '0' && $_->{changeable} eq 'yes' } @{$h->show('config')};
is(scalar(grep { $_->[0] eq 'D' } @messages), $zeros, '... all there are');

Howdah->finish;
