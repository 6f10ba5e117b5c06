/*
 * route/wishes.h - what a client says of where its statements go
 *
 * By settings of its session, or in a comment before or behind one statement (sql/hints.h), which counts for that:
 *
 *     SET howdah.role = standby        / * howdah: role=standby max_lag=500ms * /
 *
 *   role     primary, standby, or auto: as the statement is (route/reads.h)
 *   max_lag  how far behind a standby may be: a time, in seconds unless it has a unit; 0: any will do
 *
 * Threading:  pure
 * Errors:     invalid_parameter_value (22023), for the client
 */
#ifndef ROUTE_WISHES_H
#define ROUTE_WISHES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"

struct err;

enum wish_role { WISH_AUTO, WISH_PRIMARY, WISH_STANDBY };

struct wishes {
    bool has_role, has_max_lag; /* false: nothing was said of it */
    enum wish_role role;
    int64_t max_lag_us;
};

enum wish_result {
    WISH_TAKEN,
    WISH_UNKNOWN, /* there is no such key */
    WISH_INVALID, /* *err says why */
};

/* key: "role", "max_lag", in any case; wishes stay as they are unless the wish is taken. */
enum wish_result wishes_take(struct wishes *wishes, struct slice key, struct slice value,
                             struct err *err);
/* RESET: nothing was said of it.  False: there is no such key. */
bool wishes_forget(struct wishes *wishes, struct slice key);

/* "howdah.role" -> "role"; false: it is no setting of howdah's. */
bool wishes_key(struct slice setting, struct slice *key);

/* What `over` says counts, else what `wishes` does. */
struct wishes wishes_over(const struct wishes *wishes, const struct wishes *over);

#endif
