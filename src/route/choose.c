#include "route/choose.h"

#include <math.h>

#include "conf/clusters.h"

enum { FEW = 3 }; /* so many are compared one by one */

#define SLOW_START_US 30000000.0
#define SLOW_START    0.1 /* the least part of its weight */

/* ---- chance ---- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

/* In a race of such runners each wins as often as its weight: exponential distribution. */
static double race(uint64_t random, double weight)
{
    double uniform = ((double)(random >> 11) + 1) / 9007199254740993.0; /* above 0, below 1 */
    return -log(uniform) / weight;
}

static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
    return hash ^ (hash >> 31);
}

/* FNV-1a: without a key, so that all processes agree on the node of a client. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash;
}

/* ---- who is fit ---- */

static bool is_wanted(const struct cluster_view *cluster, size_t i)
{
    if (cluster->read_from == READ_FROM_PRIMARY)
        return false;
    return cluster->read_from == READ_FROM_ANY || (int)i != cluster->primary;
}

static bool is_ejected(const struct node_gauge *gauge)
{
    return atomic_load_explicit(&gauge->ejected_until_us, memory_order_relaxed) != 0;
}

static enum unfit judge_lag(const struct cluster_view *cluster, const struct node_gauge *gauge,
                            const struct read_need *need)
{
    int64_t fresh_us = atomic_load_explicit(&gauge->fresh_us, memory_order_relaxed);
    int behind = atomic_load_explicit(&gauge->behind, memory_order_relaxed);
    bool own = need->max_lag_us >= 0;
    int64_t max_lag_us = own ? need->max_lag_us : cluster->max_lag_us;
    if (fresh_us == 0 && (max_lag_us > 0 || cluster->max_lag_bytes > 0 || need->write_us > 0))
        return UNFIT_UNKNOWN;
    /* Samples that stay out let the lag grow too. */
    if (max_lag_us > 0 && need->now_us - fresh_us > max_lag_us)
        return UNFIT_BEHIND;
    if (!own && (behind & BEHIND_TIME))
        return UNFIT_BEHIND;
    return behind & BEHIND_BYTES ? UNFIT_BEHIND_BYTES : FIT;
}

static bool follows(const struct node_gauge *gauge, const struct read_need *need)
{
    return need->write_us <= atomic_load_explicit(&gauge->fresh_us, memory_order_relaxed) &&
           need->min_lsn <= atomic_load_explicit(&gauge->replay_lsn, memory_order_relaxed);
}

static enum unfit judge(const struct cluster_view *cluster, size_t i, const struct read_need *need,
                        bool mind_ejections)
{
    const struct node_view *node = &cluster->nodes[i];
    if (!is_wanted(cluster, i))
        return UNFIT_NOT_WANTED;
    if (!node->usable)
        return UNFIT_NOT_USABLE;
    if (atomic_load_explicit(&node->gauge->ejected_by_hand, memory_order_relaxed))
        return UNFIT_BY_HAND;
    if (mind_ejections && is_ejected(node->gauge))
        return UNFIT_EJECTED;
    if ((int)i == cluster->primary)
        return FIT;
    enum unfit unfit = judge_lag(cluster, node->gauge, need);
    if (unfit != FIT)
        return unfit;
    return follows(node->gauge, need) ? FIT : UNFIT_NOT_FOLLOWING;
}

/* Is there one that is not ejected? */
static bool some_stay(const struct cluster_view *cluster)
{
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        const struct node_view *node = &cluster->nodes[i];
        if (is_wanted(cluster, i) && node->usable && !is_ejected(node->gauge) &&
            !atomic_load_explicit(&node->gauge->ejected_by_hand, memory_order_relaxed))
            return true;
    }
    return false;
}

/* Returns how many are fit, and sets the reason of the one that is nearest to it. */
static int judge_all(const struct cluster_view *cluster, const struct read_need *need,
                     struct verdict *verdicts, enum unfit *nearest)
{
    bool mind_ejections = some_stay(cluster), any_near = false;
    int n_fit = 0;
    *nearest = UNFIT_NOT_WANTED;
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        enum unfit unfit = judge(cluster, i, need, mind_ejections);
        verdicts[i] = (struct verdict){.unfit = unfit};
        if (unfit > *nearest)
            *nearest = unfit;
        any_near |= unfit == FIT && cluster->nodes[i].near;
    }
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        if (any_near && verdicts[i].unfit == FIT && !cluster->nodes[i].near)
            verdicts[i].unfit = UNFIT_FAR;
        n_fit += verdicts[i].unfit == FIT;
    }
    return n_fit;
}

/* ---- which of them ---- */

static double weight_of(const struct node_view *node, int64_t now_us)
{
    int64_t back_us = atomic_load_explicit(&node->gauge->back_us, memory_order_relaxed);
    double part = back_us != 0 ? (double)(now_us - back_us) / SLOW_START_US : 1;
    if (part > 1)
        part = 1;
    return node->weight * (part > SLOW_START ? part : SLOW_START);
}

/* A node that was never measured is taken for as quick as the others are on average. */
static double latency_of(const struct cluster_view *cluster, const struct verdict *verdicts,
                         size_t i, int64_t now_us)
{
    int64_t own_us = gauge_latency_us(cluster->nodes[i].gauge, now_us), sum_us = 0;
    int n = 0;
    if (atomic_load_explicit(&cluster->nodes[i].gauge->latency_at_us, memory_order_relaxed) != 0)
        return own_us > 0 ? (double)own_us : 1;
    for (size_t other = 0; other < cluster->n_nodes; other++) {
        int64_t latency_us = gauge_latency_us(cluster->nodes[other].gauge, now_us);
        if (verdicts[other].unfit != FIT || latency_us == 0)
            continue;
        sum_us += latency_us;
        n++;
    }
    return n > 0 ? (double)sum_us / n : 1;
}

static double score(const struct cluster_view *cluster, const struct verdict *verdicts, size_t i,
                    const struct read_need *need)
{
    const struct node_view *node = &cluster->nodes[i];
    double weight = weight_of(node, need->now_us);
    int outstanding = atomic_load_explicit(&node->gauge->outstanding, memory_order_relaxed);
    switch (cluster->balance) {
    case BY_LEAST_OUTSTANDING:
        return outstanding / weight;
    case BY_PEAK_EWMA:
        return latency_of(cluster, verdicts, i, need->now_us) * (outstanding + 1) / weight;
    case BY_CLIENT_HASH:
        return race(mix(need->client_hash ^ mix(hash_name(node->name))), weight);
    case BY_RANDOM:
        return race(next_random(need->random), weight);
    case BY_ROUND_ROBIN:
        break; /* see take_turn() */
    }
    return 0;
}

static int take_turn(const struct cluster_view *cluster, struct verdict *verdicts, unsigned *turn)
{
    unsigned total = 0, at;
    for (size_t i = 0; i < cluster->n_nodes; i++)
        total += verdicts[i].unfit == FIT ? (unsigned)cluster->nodes[i].weight : 0;
    if (total == 0)
        return -1;
    at = (*turn)++ % total;
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        if (verdicts[i].unfit != FIT)
            continue;
        if (at < (unsigned)cluster->nodes[i].weight)
            return (int)i;
        at -= (unsigned)cluster->nodes[i].weight;
        verdicts[i].score = 1;
    }
    return -1;
}

/* The lowest score, the lowest race if there are several; of those whose race is at most `slowest`. */
static int best(const struct cluster_view *cluster, const struct verdict *verdicts,
                const double *races, double slowest)
{
    int found = -1;
    for (int i = 0; i < (int)cluster->n_nodes; i++) {
        if (verdicts[i].unfit != FIT || races[i] > slowest)
            continue;
        if (found < 0 || verdicts[i].score < verdicts[found].score ||
            (verdicts[i].score <= verdicts[found].score && races[i] < races[found]))
            found = i;
    }
    return found;
}

static double second_of(const double *races, size_t n)
{
    double first = INFINITY, second = INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (races[i] < first) {
            second = first;
            first = races[i];
        } else if (races[i] < second) {
            second = races[i];
        }
    }
    return second;
}

static int choose_fit(const struct cluster_view *cluster, const struct read_need *need, int n_fit,
                      struct verdict *verdicts)
{
    double races[CONF_NODES_MAX], slowest = INFINITY;
    if (cluster->balance == BY_ROUND_ROBIN)
        return take_turn(cluster, verdicts, need->turn);
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        races[i] = INFINITY;
        if (verdicts[i].unfit != FIT)
            continue;
        verdicts[i].score = score(cluster, verdicts, i, need);
        races[i] = race(next_random(need->random), weight_of(&cluster->nodes[i], need->now_us));
    }
    if (cluster->balance == BY_PEAK_EWMA && n_fit > FEW)
        slowest = second_of(races, cluster->n_nodes);
    return best(cluster, verdicts, races, slowest);
}

struct choice choose_node(const struct cluster_view *cluster, const struct read_need *need,
                          struct verdict *verdicts)
{
    struct verdict own[CONF_NODES_MAX];
    struct choice choice = {.node = -1};
    if (verdicts == NULL)
        verdicts = own;
    int n_fit = judge_all(cluster, need, verdicts, &choice.unfit);
    if (n_fit > 0)
        choice.node = choose_fit(cluster, need, n_fit, verdicts);
    return choice;
}

const char *unfit_name(enum unfit unfit)
{
    static const char *const names[] = {
        [UNFIT_NOT_WANTED] = "not in read_from",
        [UNFIT_NOT_USABLE] = "not usable",
        [UNFIT_BY_HAND] = "ejected by hand",
        [UNFIT_EJECTED] = "ejected",
        [UNFIT_UNKNOWN] = "lag not known",
        [UNFIT_BEHIND] = "behind",
        [UNFIT_BEHIND_BYTES] = "behind in bytes",
        [UNFIT_NOT_FOLLOWING] = "not following",
        [UNFIT_FAR] = "other zone",
        [FIT] = "fit",
    };
    return names[unfit];
}
