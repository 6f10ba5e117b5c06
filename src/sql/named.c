#include "sql/named.h"

#include <string.h>

static int compare(const char *name, size_t len, const struct named *row)
{
    int order = memcmp(name, row->name, len < row->len ? len : row->len);
    return order != 0 ? order : len < row->len ? -1 : len > row->len;
}

const void *named_find(const void *rows, size_t n, size_t size, const char *name, size_t len)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const void *row = (const char *)rows + middle * size;
        int order = compare(name, len, row);
        if (order == 0)
            return row;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
