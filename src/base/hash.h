/*
 * base/hash.h - a keyed hash (SipHash-1-3), and a map whose entries are embedded in their owners
 *
 * Names and statements come from strangers: without a secret key they could be chosen to collide.
 *
 * Ownership:  a map owns only its table; entries are borrowed from add to remove
 * Threading:  hash_init() once, before threads start; a map by one thread at a time
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void hash_init(void); /* draws the process' key */
uint64_t hash_bytes(const void *bytes, size_t len);

struct map_entry {
    uint64_t hash;
};

struct map {
    struct map_entry **slots; /* owned; NULL while empty */
    uint32_t size;            /* slots: a power of two, or 0 */
    uint32_t count;
};

typedef bool map_same(const struct map_entry *entry, const void *key);

struct map_entry *map_find(const struct map *map, uint64_t hash, map_same *same, const void *key);
void map_add(struct map *map, struct map_entry *entry); /* entry->hash is set; key not present */
void map_remove(struct map *map, struct map_entry *entry);
struct map_entry *map_any(const struct map *map);                /* NULL when empty */
struct map_entry *map_next(const struct map *map, uint32_t *at); /* *at starts at 0; NULL at end */
void map_done(struct map *map);

#endif
