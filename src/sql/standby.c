#include "sql/standby.h"

#include <stdint.h>
#include <string.h>

#include "sql/builtin.h"

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
    const char *name;
    uint8_t len, call;
} rows[] = {
#define STANDBY(name, call) {name, sizeof(name) - 1, call},
#include "sql/standby.def"
#undef STANDBY
};

static int compare(const char *name, size_t len, const struct row *row)
{
    int order = memcmp(name, row->name, len < row->len ? len : row->len);
    return order != 0 ? order : len < row->len ? -1 : len > row->len;
}

static const struct row *find(const char *name, size_t len)
{
    size_t low = 0, high = sizeof rows / sizeof *rows;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(name, len, &rows[middle]);
        if (order == 0)
            return &rows[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
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
