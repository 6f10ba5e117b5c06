/*
 * sql/builtin.h - the functions that PostgreSQL brings
 *
 * By name, as a text calls them.  How volatile one is: that of the most volatile one of its name.
 *
 * Source:     pg_proc of a fresh PostgreSQL 15; scripts/builtin-functions makes the table
 * Threading:  pure
 */
#ifndef SQL_BUILTIN_H
#define SQL_BUILTIN_H

#include <stddef.h>
#include <stdint.h>

enum builtin_volatility {
    BUILTIN_NONE, /* there is no such function */
    BUILTIN_IMMUTABLE,
    BUILTIN_STABLE,
    BUILTIN_VOLATILE,
};

struct builtin {
    enum builtin_volatility volatility;
    uint32_t effects; /* enum sql_effect, whatever it is called with; set_config() has none here */
};

struct builtin builtin_find(const char *name, size_t len);
/* The same for a name with its schema, or NULL; both end with NUL. */
struct builtin builtin_of(const char *schema, const char *name);

#endif
