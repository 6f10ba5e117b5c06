# PostgreSQL's own isolation tests: several sessions that wait for each other, and are cancelled.

use strict;
use warnings;

use Howdah;
use Schedule;

Schedule::compare(
    program => $ENV{PG_REGRESS} =~ s{regress/pg_regress$}{isolation/pg_isolation_regress}r,
    tests => 'isolation/isolation_schedule',
    least => 100,
    runs => [{name => 'session', settings => {pool_mode => 'session'}}]);
Howdah->finish;
