# doc/console.md has every command and column that there is, and no others.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Howdah;
use Test::More;
use Wire;

plan skip_all => 'the page is about howdah' if Howdah->is_pgbouncer;
my $page = dirname(dirname(dirname(abs_path($0)))) . '/doc/console.md';
plan skip_all => 'the tests run in a copy without doc' if !-e $page;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node)->start;
my $c = Wire->unix($h->dir . '/.s.PGSQL.' . $h->port)->login(user => 'admin', database => 'pgbouncer'); # SHOW FDS wants that
my $text = Howdah::slurp($page);

# The reference: SHOW object => [[name, type], ...]; the second half of SOCKETS stands there alone.
my %documented;
for my $section (split(/^### /m, $text)) {
    my ($heading) = $section =~ /^(SHOW .*)$/m or next;
    my @columns = map { [$_->[0], $_->[1]] } map { /^\| `([^`]+)` \| (\w+) \|/ ? [$1, $2] : () } split(/\n/, $section);
    $documented{$_} = \@columns for $heading =~ /SHOW (\w+)/g;
}
$documented{$_} = [@{$documented{CLIENTS}}, @{$documented{$_}}] for qw(SOCKETS ACTIVE_SOCKETS);

my %type = (23 => 'int4', 20 => 'int8', 1700 => 'numeric', 25 => 'text', 17 => 'bytea');
my %there;
my @help = $c->rows("SHOW HELP");
for my $row (@help) {
    my ($what) = $row->[0] =~ /^SHOW ([A-Z_]+)$/ or next;
    $c->send(Wire::query("SHOW $what"));
    my ($description) = grep { $_->[0] eq 'T' } $c->recv_until('Z');
    my $body = substr($description->[1], 2);
    push @{$there{$what}}, [$1, $type{(unpack('N n N', $2))[2]}] while $body =~ s/^([^\0]*)\0(.{18})//s;
}
is_deeply([grep { !$documented{$_} } sort keys %there], [], 'every SHOW has its section');
is_deeply([grep { my $what = $_; !grep { $_->[0] eq "SHOW $what" } @help } sort keys %documented], [], '... and no section is without one');
is_deeply($documented{$_}, $there{$_}, "the columns of SHOW $_") for sort keys %there;

# The commands, with their arguments and who may give them.
my %commands;
for my $line (split(/\n/, $text)) {
    my ($command, $users) = $line =~ /^\| `([A-Z].*?)` \| (\w+) \|/ or next;
    $commands{$command =~ s/\\\|/|/r} = $users;
}
delete $commands{'SHOW ...'};
my %known = map { ($_->[0] => $_->[1]) } grep { $_->[0] !~ /^SHOW [A-Z]/ } @help;
is_deeply(\%commands, \%known, 'every command has its line');

Howdah->finish;
