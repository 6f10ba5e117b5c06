/*
 * sql/named.h - tables of names in byte order, and what is found in them
 *
 * A row is a struct that begins with a struct named.
 *
 * Threading:  pure
 */
#ifndef SQL_NAMED_H
#define SQL_NAMED_H

#include <stddef.h>
#include <stdint.h>

struct named {
    const char *name;
    uint8_t len;
};

#define NAMED(name)                                                                                \
    {                                                                                              \
        name, sizeof(name) - 1                                                                     \
    }

/* Of n rows of so many bytes; NULL: none has that name. */
const void *named_find(const void *rows, size_t n, size_t size, const char *name, size_t len);

#endif
