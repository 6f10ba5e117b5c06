#include "topology/election.h"

static size_t count_of(const struct candidate *candidates, size_t n, uint64_t system_id)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += candidates[i].sample.system_id == system_id;
    return count;
}

static bool all_tried(const struct candidate *candidates, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!candidates[i].tried)
            return false;
    }
    return true;
}

static uint64_t choose_system_id(const struct candidate *candidates, size_t n, uint64_t old)
{
    uint64_t best = 0;
    size_t best_count = 0;
    if (old != 0 && count_of(candidates, n, old) > 0)
        return old;
    if (!all_tried(candidates, n))
        return 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t id = candidates[i].sample.system_id;
        size_t count = count_of(candidates, n, id);
        if (id != 0 && count > best_count) {
            best = id;
            best_count = count;
        }
    }
    return best;
}

static bool is_writable(const struct candidate *candidate)
{
    return candidate->sample.system_id != 0 && !candidate->sample.in_recovery;
}

/* Of all that were ever seen. */
static uint32_t latest_timeline(const struct candidate *candidates, size_t n, uint64_t system_id)
{
    uint32_t latest = 0;
    for (size_t i = 0; i < n; i++) {
        const struct candidate *candidate = &candidates[i];
        bool counts = candidate->sample.system_id == system_id &&
                      !(candidate->barred && is_writable(candidate));
        if (counts && candidate->sample.timeline > latest)
            latest = candidate->sample.timeline;
    }
    return latest;
}

/* NODE_PRIMARY: it could be the one. */
static enum node_state judge(const struct candidate *candidate, uint64_t system_id, uint32_t latest)
{
    if (!candidate->tried || (candidate->fresh && system_id == 0))
        return NODE_UNKNOWN;
    if (!candidate->fresh)
        return NODE_DOWN;
    if (candidate->sample.system_id != system_id)
        return NODE_FOREIGN;
    if (candidate->sample.in_recovery)
        return NODE_STANDBY;
    if (candidate->barred)
        return NODE_BARRED;
    return candidate->sample.timeline < latest ? NODE_BEHIND : NODE_PRIMARY;
}

struct election elect(const struct candidate *candidates, size_t n, uint64_t system_id,
                      enum node_state *states)
{
    struct election election = {.primary = -1};
    size_t n_primaries = 0;
    election.system_id = choose_system_id(candidates, n, system_id);
    uint32_t latest = latest_timeline(candidates, n, election.system_id);
    for (size_t i = 0; i < n; i++) {
        states[i] = judge(&candidates[i], election.system_id, latest);
        if (states[i] == NODE_PRIMARY) {
            election.primary = (int)i;
            n_primaries++;
        }
    }
    if (n_primaries <= 1)
        return election;
    election.primary = -1;
    for (size_t i = 0; i < n; i++) {
        if (states[i] == NODE_PRIMARY)
            states[i] = NODE_CONFLICT;
    }
    return election;
}

const char *node_state_name(enum node_state state)
{
    static const char *const names[] = {
        [NODE_UNKNOWN] = "unknown",   [NODE_DOWN] = "down",       [NODE_PRIMARY] = "primary",
        [NODE_STANDBY] = "standby",   [NODE_BEHIND] = "behind",   [NODE_CONFLICT] = "conflict",
        [NODE_BARRED] = "not wanted", [NODE_FOREIGN] = "foreign",
    };
    return names[state];
}
