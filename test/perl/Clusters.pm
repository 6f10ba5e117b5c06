package Clusters;

=head1 NAME

Clusters - a PostgreSQL primary with streaming standbys, and the section of howdah's settings for them

=head1 SYNOPSIS

    my ($a, $b, $c) = Clusters::nodes(qw(a b c));
    my $h = Howdah->new(..., extra => Clusters::section('main', [$a, $b, $c], read_write_split => 'on'));

=cut

use strict;
use warnings;

use Howdah;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

=head2 Clusters::nodes(NAME, NAME...)

The first is the primary, with the role C<prober> and the database C<app>.  All log each statement.

=cut

sub nodes
{
    my ($name, @standbys) = @_;
    my $primary = Howdah->node($name, init => {allows_streaming => 1},
        conf => "wal_keep_size = 64MB\nlog_statement = all\nlog_min_messages = warning\nmax_prepared_transactions = 5");
    $primary->safe_psql('postgres', 'create role prober login');
    $primary->backup('base');
    return ($primary, map { standby($_, $primary) } @standbys);
}

sub standby
{
    my ($name, $of) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init_from_backup($of, 'base', has_streaming => 1);
    $node->append_conf('postgresql.conf', 'port = ' . $node->port);
    $node->start;
    return $node;
}

=head2 Clusters::section(NAME, NODES, KEY => VALUE...)

NODES: references to nodes, or pairs of one and the keys behind its address.

=cut

sub section
{
    my ($name, $nodes, %keys) = @_;
    my $slow = Howdah->slowness;
    %keys = (probe_user => 'prober', probe_interval => '100ms', failover_timeout => 30 * $slow . 's', %keys);
    my $text = "[cluster.$name]\n";
    for my $each (@$nodes) {
        my ($node, $more) = ref $each eq 'ARRAY' ? @$each : ($each, '');
        $text .= 'node.' . $node->name . ' = host=127.0.0.1 port=' . $node->port . " $more\n";
    }
    return $text . join('', map { "$_ = $keys{$_}\n" } sort keys %keys);
}

=head2 Clusters::where(TEXT, NODES)

The names of the nodes that have run a statement with this text in it, by their logs, in the order of the nodes.

=cut

sub where
{
    my ($text, @nodes) = @_;
    return join(' ', map { $_->name } grep { slurp_file($_->logfile) =~ /(?:statement|execute [^:]*|STATEMENT): .*\Q$text\E/ } @nodes);
}

1;
