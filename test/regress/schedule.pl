# PostgreSQL's own regression tests: in session mode they end as on a direct connection.
#
# REGRESS_MODE is the pool mode.  doc/pool-modes.md says what comes out, and why.

use strict;
use warnings;

use Howdah;
use Schedule;

# With servers that are used once nothing of another client can be seen.  With one test at a time, nearly
# every one gets a server that many have used before; what stays in its process then no reset undoes.
my %runs = (
    session => [
        {name => 'fresh', settings => {pool_mode => 'session', server_lifetime => 0}},
        {name => 'reused', settings => {pool_mode => 'session'}, arguments => ['--max-connections=1'], known => {
            # plpgsql is loaded already
            guc => <<'EOS',
+ERROR:  invalid configuration parameter name "plpgsql.extra_foo_warnings"
+DETAIL:  "plpgsql" is a reserved prefix.
-WARNING:  invalid configuration parameter name "plpgsql.extra_foo_warnings", removing it
-DETAIL:  "plpgsql" is now a reserved prefix.
EOS
            # a new client is not always a new session of the server
            stats => "- t\n+ f\n",
            # the schema of temporary tables is there already
            temp => "-ERROR:  cannot PREPARE a transaction that has operated on temporary objects\n",
        }},
    ],
    # A new server for each transaction: what does not follow the client is always lost.
    transaction => [
        {name => 'transaction', settings => {pool_mode => 'transaction', server_lifetime => 0, query_timeout => 60, pin_max_percent => 100}, known => {
            (map { $_ => \'currval() and lastval() after the end of the transaction' } qw(constraints sequence)),
            (map { $_ => \'what pg_prepared_statements shows' } qw(guc plancache prepare)),
            partition_prune => \'a function executes what was prepared outside of it',
            triggers => \'a function in C keeps something in a variable of its process',
        }},
    ]);

Schedule::compare(
    program => $ENV{PG_REGRESS},
    tests => 'regress/parallel_schedule',
    least => 200,
    runs => $runs{$ENV{REGRESS_MODE}});
Howdah->finish;
