#include "session/pins.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/client.h"
#include "session/state.h"
#include "session/worker.h"

static const char *const names[PIN_KINDS] = {
    "temp", "advisory", "hold_cursor",       "listen",   "sql_prepare", "role", "requested", "load",
    "seed", "sequence", "settings_too_many", "function", "unknown"};

const char *pin_name(unsigned kind)
{
    return names[kind];
}

void pins_write(struct buf *text, uint32_t pins)
{
    const char *before = "";
    for (unsigned i = 0; i < PIN_KINDS; i++) {
        if ((pins & (1U << i)) == 0)
            continue;
        buf_append_str(text, before);
        buf_append_str(text, names[i]);
        before = ",";
    }
    buf_append_u8(text, '\0');
}

/* One is always allowed: a pool of one server would have none. */
static int most(const struct client *client)
{
    int limit = atomic_load_explicit(&client->part->pool->limit, memory_order_relaxed);
    int64_t share = (int64_t)limit * client->worker->pool.settings->pin_max_percent / 100;
    return share > 1 ? (int)share : 1;
}

bool pins_may_begin(const struct client *client, struct err *err)
{
    struct pool *pool = client->part->pool;
    if (atomic_load_explicit(&pool->limit, memory_order_relaxed) <= 0 ||
        atomic_load_explicit(&pool->n_pinned, memory_order_relaxed) < most(client))
        return true;
    err_set(err, SQLSTATE_TOO_MANY_CONNECTIONS,
            "too many clients keep a server for the state of their session (pin_max_percent)");
    err_hint(err, "SHOW PINS on the admin console tells who they are.  Temporary tables, advisory "
                  "locks of the session and the like keep a server until they are gone.");
    return false;
}

void pins_set(struct client *client, uint32_t pins)
{
    struct traces *traces = client->traces;
    struct pool *pool = client->part->pool;
    uint32_t begun = pins & ~traces->pins;
    for (unsigned i = 0; i < PIN_KINDS; i++)
        client->worker->n_pins[i] += (begun >> i) & 1;
    if (traces->pins == 0 && pins != 0) {
        atomic_fetch_add(&pool->n_pinned, 1);
        traces->pinned_us = clock_now_us();
    } else if (traces->pins != 0 && pins == 0) {
        atomic_fetch_sub(&pool->n_pinned, 1);
    }
    traces->pins = pins;
}
