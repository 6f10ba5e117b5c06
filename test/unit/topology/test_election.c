#include "topology/election.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { OURS = 7, THEIRS = 8, MOST = 3 };

#define PRIMARY(tli)                                                                               \
    {                                                                                              \
        .sample = {.system_id = OURS, .lsn = 100, .timeline = tli, .in_recovery = false},          \
        .fresh = true, .tried = true, .barred = false                                              \
    }
#define STANDBY(tli)                                                                               \
    {                                                                                              \
        .sample = {.system_id = OURS, .lsn = 90, .timeline = tli, .in_recovery = true},            \
        .fresh = true, .tried = true, .barred = false                                              \
    }
#define GONE(tli, standby)                                                                         \
    {                                                                                              \
        .sample = {.system_id = OURS, .lsn = 90, .timeline = tli, .in_recovery = standby},         \
        .fresh = false, .tried = true, .barred = false                                             \
    }
#define DEAD                                                                                       \
    {                                                                                              \
        .sample = {.system_id = 0, .lsn = 0, .timeline = 0, .in_recovery = false}, .fresh = false, \
        .tried = true, .barred = false                                                             \
    }
#define UNTRIED                                                                                    \
    {                                                                                              \
        .sample = {.system_id = 0, .lsn = 0, .timeline = 0, .in_recovery = false}, .fresh = false, \
        .tried = false, .barred = false                                                            \
    }
#define FOREIGN(tli)                                                                               \
    {                                                                                              \
        .sample = {.system_id = THEIRS, .lsn = 100, .timeline = tli, .in_recovery = false},        \
        .fresh = true, .tried = true, .barred = false                                              \
    }
#define BARRED(tli, standby)                                                                       \
    {                                                                                              \
        .sample = {.system_id = OURS, .lsn = 100, .timeline = tli, .in_recovery = standby},        \
        .fresh = true, .tried = true, .barred = true                                               \
    }

struct row {
    const char *what;
    struct candidate nodes[MOST];
    size_t n;
    uint64_t system_id; /* before */
    int primary;
    enum node_state states[MOST];
};

/* clang-format off */
static const struct row rows[] = {
    {"one primary", {PRIMARY(1)}, 1, 0, 0, {NODE_PRIMARY}},
    {"a primary behind a standby in the file", {STANDBY(1), PRIMARY(1), STANDBY(1)}, 3, 0, 1,
     {NODE_STANDBY, NODE_PRIMARY, NODE_STANDBY}},
    {"no answer from anybody", {DEAD, DEAD}, 2, 0, -1, {NODE_DOWN, NODE_DOWN}},
    {"standbys alone", {STANDBY(1), STANDBY(1)}, 2, OURS, -1, {NODE_STANDBY, NODE_STANDBY}},
    {"the primary is gone", {GONE(1, false), STANDBY(1)}, 2, OURS, -1, {NODE_DOWN, NODE_STANDBY}},
    {"a standby was promoted", {GONE(1, false), PRIMARY(2)}, 2, OURS, 1, {NODE_DOWN, NODE_PRIMARY}},
    {"both take writes, one later", {PRIMARY(1), PRIMARY(2)}, 2, OURS, 1, {NODE_BEHIND, NODE_PRIMARY}},
    {"both take writes on one timeline", {PRIMARY(2), PRIMARY(2), STANDBY(2)}, 3, OURS, -1,
     {NODE_CONFLICT, NODE_CONFLICT, NODE_STANDBY}},
    {"an old primary while its successor is down", {PRIMARY(1), GONE(2, false)}, 2, OURS, -1,
     {NODE_BEHIND, NODE_DOWN}},
    {"an old primary while a standby follows the successor", {PRIMARY(1), STANDBY(2), DEAD}, 3, OURS, -1,
     {NODE_BEHIND, NODE_STANDBY, NODE_DOWN}},
    {"a node of another cluster", {PRIMARY(1), FOREIGN(9)}, 2, OURS, 0, {NODE_PRIMARY, NODE_FOREIGN}},
    {"... before ours is known: most have it", {FOREIGN(9), PRIMARY(1), STANDBY(1)}, 3, 0, 1,
     {NODE_FOREIGN, NODE_PRIMARY, NODE_STANDBY}},
    {"... or the first in the file", {PRIMARY(1), FOREIGN(9)}, 2, 0, 0, {NODE_PRIMARY, NODE_FOREIGN}},
    {"what is known stays known", {FOREIGN(9), FOREIGN(9), GONE(1, true)}, 3, OURS, -1,
     {NODE_FOREIGN, NODE_FOREIGN, NODE_DOWN}},
    {"until no node has it", {FOREIGN(9)}, 1, OURS, 0, {NODE_PRIMARY}},
    {"who answers first may be wrong", {UNTRIED, FOREIGN(9)}, 2, 0, -1, {NODE_UNKNOWN, NODE_UNKNOWN}},
    {"a new node does not take the primary away", {UNTRIED, PRIMARY(1)}, 2, OURS, 1,
     {NODE_UNKNOWN, NODE_PRIMARY}},
    {"role=standby takes writes", {BARRED(1, false), STANDBY(1)}, 2, OURS, -1, {NODE_BARRED, NODE_STANDBY}},
    {"... and its timeline counts for nothing", {BARRED(2, false), PRIMARY(1)}, 2, OURS, 1,
     {NODE_BARRED, NODE_PRIMARY}},
    {"role=standby is one", {BARRED(2, true), PRIMARY(2)}, 2, OURS, 1, {NODE_STANDBY, NODE_PRIMARY}},
};
/* clang-format on */

static void the_primary_is_whom_the_rules_say(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        enum node_state states[MOST];
        struct election election = elect(row->nodes, row->n, row->system_id, states);
        if (election.primary != row->primary)
            fail_msg("%s: node %d is the primary, not %d", row->what, election.primary,
                     row->primary);
        for (size_t k = 0; k < row->n; k++) {
            if (states[k] != row->states[k])
                fail_msg("%s: node %zu is \"%s\", not \"%s\"", row->what, k,
                         node_state_name(states[k]), node_state_name(row->states[k]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_primary_is_whom_the_rules_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
