# Random streams of messages, cut anywhere, of four clients at once through two workers and two servers: each
# client must get, message for message, what PostgreSQL says to the same bytes.

use strict;
use warnings;

use Howdah;
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'PgBouncer 1.18 has no prepared statements in transaction mode' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
$node->safe_psql('app', 'create table written (i int); grant all on written to app');
my ($sync, $flush) = (Wire::sync(), Wire::flush());
my %login = (user => 'app', database => 'app');

# [text, number of parameters]
my @texts = (['select 1', 0], ['select 2', 0], ['select $1::int / 0', 1], ['select 4 as four, null, now() - now()', 0], ['select $1::int + 1', 1], ['selct', 0],
    ['select 1/0', 0], ['', 0], ['insert into written values (1)', 0], ['select generate_series(1, 3)', 0],
    [q(select repeat('x', 3000)), 0], ['select $1::text', 1], ['show timezone', 0]);

sub any { return $_[int(rand(@_))]; }

sub text_message
{
    my ($name, $say) = @_;
    my $i = int(rand(@texts));
    push @$say, "Parse($name, $texts[$i][0])";
    return ($i, Wire::parse($name, $texts[$i][0]));
}

# One to six messages that belong together.  What changes the unnamed statement comes first: if PostgreSQL
# skips it behind an error, howdah has forgotten the one before.
sub batch
{
    my ($say) = @_;
    my ($unnamed, @messages) = (rand);
    if ($unnamed < .2) {
        my ($i, $parse) = text_message('', $say);
        push @messages, $parse, any(0, 1) ? (Wire::bind('', '', [(5) x $texts[$i][1]]), Wire::execute('')) : ();
    } elsif ($unnamed < .23) {
        push @messages, Wire::close_object('S', '');
        push @$say, 'Close()';
    }
    for (1 .. 1 + rand(6)) {
        my ($kind, $name) = (rand, any(qw(a b c d)));
        if ($kind < .35) {
            my ($i, $parse) = text_message($name, $say);
            push @messages, $parse;
        } elsif ($kind < .6) {
            my @values = rand() < .3 ? (5) : ();
            push @messages, Wire::bind('', $name, \@values);
            push @$say, "Bind($name, @values)";
        } elsif ($kind < .78) {
            my $rows = any(0, 0, 0, 2);
            push @messages, Wire::execute('', $rows);
            push @$say, "Execute($rows)";
        } elsif ($kind < .84) {
            $name = any($name, $name, '');
            push @messages, Wire::describe('S', $name);
            push @$say, "Describe($name)";
        } elsif ($kind < .86) {
            push @messages, Wire::describe('P', '');
            push @$say, 'Describe portal';
        } elsif ($kind < .94) {
            push @messages, Wire::close_object('S', $name);
            push @$say, "Close($name)";
        } elsif ($kind < .98) {
            push @messages, Wire::bind('', '', []), Wire::execute('');
            push @$say, 'unnamed again';
        } else {
            push @messages, $flush;
            push @$say, 'Flush';
        }
    }
    push @$say, 'Sync;';
    return (@messages, $sync);
}

# A few of them, simple queries, and transactions; in one that has failed comes nothing but its end: there
# howdah may answer a Parse that PostgreSQL refuses.
sub stream
{
    my ($say) = @_;
    my ($ready, @messages) = (0);
    for (1 .. 1 + rand(5)) {
        my $kind = rand;
        if ($kind < .65) {
            push @messages, batch($say);
            $ready++;
        } elsif ($kind < .8) {
            my $query = any('select 100', 'select 1/0', 'select 1; select 2', '', 'begin; select 1; commit', 'deallocate all', 'discard all');
            push @messages, Wire::query($query);
            push @$say, "Query($query);";
            $ready++;
        } elsif ($kind < .95) {
            my $end = any(qw(commit rollback));
            push @$say, 'begin;';
            push @messages, Wire::query('begin'), batch($say), Wire::query($end);
            push @$say, "$end;";
            $ready += 3;
        } else {
            push @messages, $sync;
            push @$say, 'Sync;';
            $ready++;
        }
    }
    return ($ready, join('', @messages));
}

# The answers up to so many ReadyForQuery.  The texts of errors may name a statement as howdah does.
sub answers
{
    my ($c, $ready) = @_;
    my @seen;
    while ($ready > 0) {
        my $message = eval { $c->recv(20 * Howdah::slowness()) };
        return join(' ', @seen, 'then ' . ($@ || 'the end')) if !$message;
        my ($type, $body) = @$message;
        next if $type =~ /[SN]/;
        my $error = $type eq 'E' ? Wire::error_fields($body) : undef;
        push @seen, $error ? "E($error->{S} $error->{C})" : length($body) ? "$type(" . ($body =~ s/[^ -~]/./gr) . ')' : $type;
        $ready-- if $type eq 'Z';
    }
    return join(' ', @seen);
}

# All streams at once, piece by piece, in any order.
sub send_in_pieces
{
    my ($clients, $bytes) = @_;
    my @left = @$bytes;
    while (my @more = grep { length($left[$_]) } 0 .. $#left) {
        my $i = any(@more);
        $clients->[$i]->raw(substr($left[$i], 0, any(1, 7, 40, 200, 10_000), ''));
    }
    return;
}

for my $most (2, 100) {
    my $h = Howdah->new(node => $node, workers => 2,
        settings => {pool_mode => 'transaction', default_pool_size => 2, max_prepared_statements => $most})->start;
    for my $seed (1 .. 6) {
        srand($seed);
        my @pooled = map { Wire->to($h)->login(%login) } 1 .. 4;
        my @direct = map { Wire->tcp('127.0.0.1', $node->port)->login(%login) } 1 .. 4;
        my ($rounds, $different) = (60, 0);
        for my $round (1 .. $rounds) {
            my @said = map { [] } 0 .. 3;
            my (@ready, @bytes);
            ($ready[$_], $bytes[$_]) = stream($said[$_]) for 0 .. 3;
            send_in_pieces(\@pooled, \@bytes);
            $direct[$_]->raw($bytes[$_]) for 0 .. 3;
            for my $i (0 .. 3) {
                my ($got, $expected) = (answers($pooled[$i], $ready[$i]), answers($direct[$i], $ready[$i]));
                next if $got eq $expected;
                $different++;
                diag("round $round, client $i: @{$said[$i]}\n  howdah $got\n  direct $expected") if $different <= 3;
            }
            last if $different;
        }
        is($different, 0, "max_prepared_statements = $most, seed $seed: $rounds rounds");
        $_->close for @pooled, @direct;
    }
    $h->stop;
}

Howdah->finish;
