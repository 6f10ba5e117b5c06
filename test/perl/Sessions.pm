package Sessions;

=head1 NAME

Sessions - what tests of session state ask of clients, and of howdah about them

=head1 SYNOPSIS

    my $c = client($h);
    $c->rows('create temp table t (a int)');
    pins_are($h, 'temp', 'it keeps its server');
    leave($c);

=cut

use strict;
use warnings;

use Exporter qw(import);
use Howdah;
use Test::More;
use Wire;

our @EXPORT = qw(becomes client code console error leave now pins pins_are setting);

=head2 client(HOWDAH, PARAMETERS), console(HOWDAH), leave(CLIENT)

A client of the database and user C<app>; one of the admin console; and its end, which is waited for.

=cut

sub client { my ($h, @more) = @_; return Wire->to($h)->login(user => 'app', database => 'app', @more); }
sub console { my ($h) = @_; return Wire->to($h)->login(user => 'admin', database => 'pgbouncer'); }
sub leave { my ($c) = @_; $c->send(Wire::terminate()); $c->recv_all; return; }

=head2 setting(CLIENT, NAME), error(CLIENT, SQL), code(MESSAGES)

The value, 'none' without one; the fields of the error; the SQLSTATE of the first error, '' without one.

=cut

sub setting { my ($c, $name) = @_; return $c->value("select coalesce(nullif(current_setting('$name', true), ''), 'none')"); }
sub error { my ($c, $sql) = @_; return Wire::first_error($c->send(Wire::query($sql))->recv_until('ZE')) // {C => ''}; }
sub code { return (Wire::first_error(@_) // {C => ''})->{C}; }

=head2 pins(HOWDAH), now(HOWDAH), pins_are(HOWDAH, EXPECTED, NAME), becomes(QUESTION, EXPECTED, NAME)

The reasons of SHOW PINS; those of SHOW PIN_COUNTS that there are; tests that wait for the expected answer.

=cut

sub pins { my ($h) = @_; return join(' ', sort map { $_->{reasons} } @{$h->show('PINS')}); }
sub now { my ($h) = @_; return join(' ', map { "$_->{reason}=$_->{now}" } grep { $_->{now} } @{$h->show('PIN_COUNTS')}); }

sub becomes
{
    my ($question, $expected, $name) = @_;
    my ($end, $got) = (time + 10 * Howdah::slowness());
    select(undef, undef, undef, 0.01) while ($got = $question->()) ne $expected && time < $end;
    is($got, $expected, $name);
    return;
}

sub pins_are { my ($h, $expected, $name) = @_; becomes(sub { pins($h) }, $expected, $name); return; }

1;
