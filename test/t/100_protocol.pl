# The protocol under transaction pooling: start-up, pipelines, prepared statements, COPY, cancel requests,
# and what happens to who breaks the rules.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 2})->start;
my $old = Howdah->is_pgbouncer;    # 1.18: no prepared statements

sub client { return Wire->to($h)->login(user => 'app', database => 'app', @_); }

sub ask
{
    my ($c, @messages) = @_;
    return $c->send(@messages)->recv_until('Z');
}

# Start-up

my $c;
SKIP: {
    skip 'PgBouncer 1.18 wants the start-up packet whole', 2 if $old;
    $c = Wire->to($h)->slowly(1)->login(user => 'app', database => 'app', application_name => 'x' x 5000);
    is($c->value('select 1'), '1', 'a long start-up packet, byte by byte');
    is(length($c->value('show application_name')), 63, '... was understood');
}
$c = Wire->to($h)->raw(Wire::ssl_request());
is($c->recv_byte, 'N', 'no TLS');
$c->raw(Wire::gss_request()) if !$old;
is($c->recv_byte, 'N', '... and no GSSAPI') if !$old;
is($c->login(user => 'app', database => 'app')->value('select 1'), '1', '... but a connection as ever');
ok(exists $c->parameters->{$_}, "ParameterStatus of $_")
  for qw(server_version server_encoding client_encoding DateStyle TimeZone integer_datetimes standard_conforming_strings);
is(scalar(@{$c->key}), 2, 'BackendKeyData');

for my $length (0, 3, 7, 0x7fffffff, 0xffffffff) {
    my $broken = Wire->to($h)->raw(pack('N', $length) . 'x' x 20);
    my @messages = eval { $broken->recv_all(10) };
    is($@, '', "a start-up packet of length $length ends the connection");
    is(Wire::types(@messages) =~ /^E?$/ ? 'error or nothing' : Wire::types(@messages), 'error or nothing', '... and no more');
}
my $error = Wire::first_error(Wire->to($h)->try_login(user => 'app', database => 'app', _version => 0x00040000));
is($error->{C}, '0A000', 'protocol 4.0 is refused') if !$old;

# Pipelines

$c = client();
my @messages = $c->send(map { (Wire::parse('', "select $_"), Wire::bind('', '', []), Wire::execute(''), Wire::sync()) } 1 .. 50)
  && map { $c->recv_until('Z') } 1 .. 50;
is(Wire::types(@messages), '12DCZ' x 50, 'fifty transactions in one packet');
is(join(',', map { Wire::data_row($_->[1]) } grep { $_->[0] eq 'D' } @messages), join(',', 1 .. 50), '... are answered in order');
$c->slowly(1);
is(Wire::types(ask($c, Wire::parse('', 'select $1::int + 1', 23), Wire::describe('S', ''), Wire::bind('', '', [41]),
            Wire::describe('P', ''), Wire::execute(''), Wire::sync())), '1tT2TDCZ', 'byte by byte');
$c->slowly(0);
@messages = ask($c, Wire::parse('', 'select 1/0'), Wire::bind('', '', []), Wire::execute(''), Wire::parse('', 'select 2'), Wire::sync());
is(Wire::types(@messages), '1EZ', 'after an error all is skipped up to Sync');
is(Wire::first_error(@messages)->{C}, '22012', q(... the error is the server's));
is($c->value('select 3'), '3', '... and the session goes on');
$c->send(Wire::parse('', 'select 4'), Wire::flush());
is(Wire::types($c->recv_until('1')), '1', 'Flush gets what is there');
is(Wire::types(ask($c, Wire::bind('', '', []), Wire::execute(''), Wire::sync())), '2DCZ', '... and the rest follows');
is(Wire::types(ask($c, Wire::query('select 1; select 2'))), 'TDCTDCZ', 'two statements in one query');
is(Wire::types(ask($c, Wire::query(''))), 'IZ', 'an empty query');
my $big = 'x' x 3_000_000;
is(($c->rows("select '$big'"))[0][0], $big, 'three megabytes go and come back');

# Prepared statements

SKIP: {
    skip 'PgBouncer 1.18 has none under transaction pooling', 13 if $old;

    # Two clients hold a server each, so that the third one gets now this and now that.
    my @holders = (client(), client());
    $c = client();
    is(Wire::types(ask($c, Wire::parse('s', 'select $1::int * 2, pg_backend_pid()', 23), Wire::sync())), '1Z', 'Parse');
    my %pids;
    for my $i (0 .. 3) {
        $holders[$i % 2]->rows('begin');
        my @all = ask($c, Wire::bind('', 's', [$i]), Wire::execute(''), Wire::sync());
        is(Wire::types(@all), '2DCZ', 'Bind and Execute, on whichever server');
        my ($double, $pid) = Wire::data_row($all[1][1]);
        is($double, 2 * $i, '... with the right answer');
        $pids{$pid}++;
        $holders[$i % 2]->rows('commit');
    }
    note(scalar(keys %pids) . ' servers took part');
    my $other = client();
    ask($other, Wire::parse('s', q(select 'another'::text)), Wire::sync());
    @messages = ask($other, Wire::bind('', 's', []), Wire::execute(''), Wire::sync());
    is((Wire::data_row($messages[1][1]))[0], 'another', 'the same name means something else to another client');
    is(Wire::first_error(ask($other, Wire::parse('s', 'select 1'), Wire::sync()))->{C}, '42P05', 'a name cannot be taken twice');
    is(Wire::types(ask($other, Wire::close_object('S', 's'), Wire::sync())), '3Z', 'Close');
    is(Wire::first_error(ask($other, Wire::bind('', 's', []), Wire::execute(''), Wire::sync()))->{C}, '26000', '... and it is gone');
}

# COPY

$c = client();
$c->rows('create table copied (i int)');
$c->send(Wire::query('copy copied from stdin'));
is(Wire::types($c->recv_until('GE')), 'G', 'COPY FROM');
is(Wire::types(ask($c, map({ Wire::copy_data("$_\n") } 1 .. 1000), Wire::copy_done())), 'CZ', '... takes the rows');
is($c->value('select sum(i) from copied'), '500500', '... all of them');
$c->send(Wire::query('copy copied from stdin'))->recv_until('G');
@messages = ask($c, Wire::copy_data("1\n"), Wire::copy_fail('no more'));
is(Wire::first_error(@messages)->{C}, '57014', 'CopyFail');
@messages = ask($c, Wire::query('copy copied to stdout'));
is(scalar(grep { $_->[0] eq 'd' } @messages), 1000, 'COPY TO');
$c->send(Wire::query('copy copied from stdin'))->recv_until('G');
@messages = ask($c, Wire::copy_data("not a number\n"), Wire::copy_data("2\n"), Wire::copy_done());
is(Wire::first_error(@messages)->{C}, '22P02', 'a bad row');
is($c->value('select count(*) from copied'), '1000', '... leaves nothing, and the session goes on');
my $leaver = client();
$leaver->send(Wire::query('copy copied from stdin'))->recv_until('G');
$leaver->send(Wire::copy_data("3\n"))->close;
$h->poll_until(sub { $c->value('select count(*) from pg_stat_activity where query like \'copy%\'') eq '0' }, 'the COPY is gone');
is($c->value('select count(*) from copied'), '1000', 'who leaves in the middle of COPY leaves nothing');

# Cancel requests

$c = client();
$c->send(Wire::query('select pg_sleep(600)'));
$h->poll_until(sub { $node->safe_psql('postgres', q(select count(*) from pg_stat_activity where query like '%sleep(600)%'
    and state = 'active' and usename = 'app')) }, 'the query runs');
Wire->to($h)->raw(Wire::cancel(@{$c->key}))->recv_all;
@messages = $c->recv_until('Z');
is(Wire::first_error(@messages)->{C}, '57014', 'a cancel request ends the query');
is($c->value('select 1'), '1', '... and the session goes on');
is(scalar(Wire->to($h)->raw(Wire::cancel($c->key->[0], $c->key->[1] ^ 1))->recv_all), 0, 'a wrong key gets no answer');
Wire->to($h)->raw(Wire::cancel(@{$c->key}))->recv_all;
is($c->value('select 2'), '2', 'a cancel request to an idle client does nothing');

# Who breaks the rules

my $witness = client();
$witness->rows('begin');
for my $case (
    ['a message of an unknown type', "\x01" . pack('N', 4)],
    ['a message of length 0', 'Q' . pack('N', 0)],
    ['a message of length 3', 'Q' . pack('N', 3)],
    ['a message of negative length', 'Q' . pack('N', 0xfffffffe)]) {
    my ($name, $bytes) = @$case;
    $c = client();
    @messages = $c->raw($bytes)->recv_all(10);
    $error = Wire::first_error(@messages);
    is("$error->{S} $error->{C}", 'FATAL 08P01', $name);
}
is($witness->value('select 1'), '1', 'nobody else noticed');
$witness->rows('commit');
SKIP: {
    skip 'PgBouncer 1.18 passes it on, and loses the server', 1 if $old;
    my $pids = join(',', sort split(/\n/, $node->safe_psql('postgres', q(select pid from pg_stat_activity where usename = 'app'))));
    $c = client();
    $c->raw('S' . pack('N', 20004) . 'x' x 20000);
    $c->recv_all(10);
    is(join(',', sort split(/\n/, $node->safe_psql('postgres', q(select pid from pg_stat_activity where usename = 'app')))), $pids,
        'a Sync of 20 kB costs no server');
}

Howdah->finish;
