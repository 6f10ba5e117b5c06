# doc/migrating-from-pgbouncer.md names each setting that this version refuses or has no use for.

use strict;
use warnings;

use Howdah;
use Test::More;

my $doc = Howdah::slurp("$Howdah::ROOT/doc/migrating-from-pgbouncer.md");
plan skip_all => 'no doc here' if !$doc || Howdah->is_pgbouncer;

my ($status, $sample) = Howdah->new->run_program('--sample');
my %marked = (effect => [], refused => []);
for my $paragraph (split(/\n\n/, $sample)) {
    my ($name) = $paragraph =~ /^;(\w+) =/m or next;
    push @{$marked{effect}}, $name if $paragraph =~ /^;; without effect/m;
    push @{$marked{refused}}, $name if $paragraph =~ /^;; not supported yet/m;
}
my ($effect) = $doc =~ /^### Accepted, without effect\n(.*?)^#/ms;
my ($refused) = $doc =~ /^### Refused in this version\n(.*?)^- In `/ms;
my %setting = map { $_ => 1 } $sample =~ /^;(\w+) =/mg;

is_deeply([sort grep { $setting{$_} } $effect =~ /^\| `(\w+)`/mg], [sort @{$marked{effect}}], 'settings without effect');
is_deeply([sort grep { $setting{$_} && !/^auth_type$|_tls_sslmode$/ } $refused =~ /`(\w+)`/g], [sort @{$marked{refused}}],
    'settings that are refused');

done_testing();
