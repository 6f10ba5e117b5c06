#include "sql/standby.h"

#include <stdint.h>
#include <string.h>

#include "sql/builtin.h"
#include "sql/named.h"

enum {
    READS = STANDBY_READS,
    WRITES = STANDBY_WRITES,
    SEQUENCE = STANDBY_SEQUENCE,
    LOCKS = STANDBY_LOCKS,
    KEEPS = STANDBY_KEEPS,
    TRANSACTION = STANDBY_TRANSACTION,
    NODE = STANDBY_NODE,
    RUNS = STANDBY_RUNS,
    INTERNAL = STANDBY_INTERNAL,
};

static const struct row {
    struct named named; /* first: named_find() finds us by it */
    uint8_t call;
} rows[] = {
#define STANDBY(name, call) {NAMED(name), call},
#include "sql/standby.def"
#undef STANDBY
};

static const struct row *find(const char *name, size_t len)
{
    return named_find(rows, sizeof rows / sizeof *rows, sizeof *rows, name, len);
}

enum standby_call standby_call(const char *name, size_t len)
{
    enum builtin_volatility volatility = builtin_find(name, len).volatility;
    if (volatility == BUILTIN_NONE)
        return STANDBY_NOT_OWN;
    if (volatility == BUILTIN_IMMUTABLE)
        return STANDBY_READS;
    const struct row *row = find(name, len);
    if (row != NULL)
        return row->call;
    return volatility == BUILTIN_STABLE ? STANDBY_READS : STANDBY_WRITES;
}
