#include "topology/gauge.h"

#include <math.h>

#include "base/mem.h"

enum {
    FAILURES_MOST = 3,
    EJECTED_LEAST_US = 5000000,
    EJECTED_MOST_US = 60000000,
    DECAY_US = 5000000, /* in this time the average goes down to 1/e */
};

struct node_gauge *gauge_new(void)
{
    struct node_gauge *gauge = mem_new(sizeof *gauge);
    atomic_init(&gauge->refs, 1);
    return gauge;
}

struct node_gauge *gauge_ref(struct node_gauge *gauge)
{
    atomic_fetch_add_explicit(&gauge->refs, 1, memory_order_relaxed);
    return gauge;
}

void gauge_unref(struct node_gauge *gauge)
{
    if (gauge != NULL && atomic_fetch_sub_explicit(&gauge->refs, 1, memory_order_acq_rel) == 1)
        mem_free(gauge);
}

/* One that comes a minute after the last is the first of a new row. */
static int next_streak(struct node_gauge *gauge, int64_t now_us)
{
    int64_t back_us = atomic_load(&gauge->back_us);
    bool soon = back_us != 0 && now_us - back_us < EJECTED_MOST_US;
    int streak = soon ? atomic_load(&gauge->streak) + 1 : 1;
    atomic_store(&gauge->streak, streak);
    return streak;
}

void gauge_failed(struct node_gauge *gauge, int64_t now_us)
{
    int64_t none = 0;
    if (atomic_fetch_add(&gauge->failures, 1) + 1 < FAILURES_MOST)
        return;
    /* Of several workers that come here together one goes on. */
    if (!atomic_compare_exchange_strong(&gauge->ejected_until_us, &none, now_us + EJECTED_LEAST_US))
        return;
    int64_t lasts_us = (int64_t)next_streak(gauge, now_us) * EJECTED_LEAST_US;
    if (lasts_us > EJECTED_MOST_US)
        lasts_us = EJECTED_MOST_US;
    atomic_store(&gauge->ejected_until_us, now_us + lasts_us);
    atomic_store(&gauge->failures, 0);
    atomic_fetch_add(&gauge->ejections, 1);
}

void gauge_admit(struct node_gauge *gauge, int64_t now_us)
{
    atomic_store(&gauge->back_us, now_us);
    atomic_store(&gauge->failures, 0);
    atomic_store(&gauge->ejected_until_us, 0);
}

bool gauge_answered(struct node_gauge *gauge, int64_t now_us)
{
    int64_t until_us = atomic_load(&gauge->ejected_until_us);
    if (until_us == 0 || now_us < until_us)
        return false;
    gauge_admit(gauge, now_us);
    return true;
}

int64_t gauge_latency_us(const struct node_gauge *gauge, int64_t now_us)
{
    int64_t latency_us = atomic_load_explicit(&gauge->latency_us, memory_order_relaxed);
    int64_t age_us = now_us - atomic_load_explicit(&gauge->latency_at_us, memory_order_relaxed);
    if (latency_us == 0 || age_us <= 0)
        return latency_us;
    return (int64_t)((double)latency_us * exp(-(double)age_us / DECAY_US));
}

/* Workers that measure at the same time may overwrite each other: one measurement is lost. */
void gauge_measure(struct node_gauge *gauge, int64_t latency_us, int64_t now_us)
{
    int64_t at_us = atomic_load_explicit(&gauge->latency_at_us, memory_order_relaxed);
    int64_t old_us = atomic_load_explicit(&gauge->latency_us, memory_order_relaxed);
    if (latency_us < old_us && now_us > at_us) {
        double stays = exp(-(double)(now_us - at_us) / DECAY_US);
        latency_us = (int64_t)((double)old_us * stays + (double)latency_us * (1 - stays));
    } else if (latency_us < old_us) {
        latency_us = old_us;
    }
    atomic_store_explicit(&gauge->latency_us, latency_us, memory_order_relaxed);
    atomic_store_explicit(&gauge->latency_at_us, now_us, memory_order_relaxed);
}
