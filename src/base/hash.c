#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

/* Written once by hash_init(), before there is a second thread. */
static uint64_t key0 = 0x0706050403020100, key1 = 0x0f0e0d0c0b0a0908;

void hash_init(void)
{
    uint64_t keys[2];
    if (getrandom(keys, sizeof keys, 0) != sizeof keys)
        abort();
    key0 = keys[0];
    key1 = keys[1];
}

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t hash_bytes(const void *bytes, size_t len)
{
    struct sip s = {key0 ^ 0x736f6d6570736575, key1 ^ 0x646f72616e646f6d, key0 ^ 0x6c7967656e657261,
                    key1 ^ 0x7465646279746573};
    const char *at = bytes;
    size_t left = len;
    uint64_t word;
    for (; left >= 8; at += 8, left -= 8) {
        memcpy(&word, at, 8);
        sip_word(&s, word);
    }
    word = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)(unsigned char)at[i] << (8 * i);
    sip_word(&s, word);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static void place(struct map *map, struct map_entry *entry)
{
    uint32_t at = (uint32_t)entry->hash & (map->size - 1);
    while (map->slots[at] != NULL)
        at = (at + 1) & (map->size - 1);
    map->slots[at] = entry;
}

static void grow(struct map *map)
{
    struct map old = *map;
    map->size = old.size > 0 ? old.size * 2 : 8;
    map->slots = mem_new_array(map->size, sizeof(struct map_entry *));
    for (uint32_t i = 0; i < old.size; i++) {
        if (old.slots[i] != NULL)
            place(map, old.slots[i]);
    }
    mem_free(old.slots);
}

struct map_entry *map_find(const struct map *map, uint64_t hash, map_same *same, const void *key)
{
    if (map->count == 0)
        return NULL;
    uint32_t at = (uint32_t)hash & (map->size - 1);
    for (; map->slots[at] != NULL; at = (at + 1) & (map->size - 1)) {
        if (map->slots[at]->hash == hash && same(map->slots[at], key))
            return map->slots[at];
    }
    return NULL;
}

void map_add(struct map *map, struct map_entry *entry)
{
    if ((map->count + 1) * 4 > map->size * 3)
        grow(map);
    place(map, entry);
    map->count++;
}

void map_remove(struct map *map, struct map_entry *entry)
{
    uint32_t mask = map->size - 1;
    uint32_t hole = (uint32_t)entry->hash & mask;
    while (map->slots[hole] != entry) {
        assert(map->slots[hole] != NULL);
        hole = (hole + 1) & mask;
    }
    /* Move back whoever would not be found past the hole. */
    for (uint32_t at = (hole + 1) & mask; map->slots[at] != NULL; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)map->slots[at]->hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = NULL;
    if (--map->count == 0)
        map_done(map);
}

struct map_entry *map_next(const struct map *map, uint32_t *at)
{
    while (*at < map->size) {
        struct map_entry *entry = map->slots[(*at)++];
        if (entry != NULL)
            return entry;
    }
    return NULL;
}

struct map_entry *map_any(const struct map *map)
{
    uint32_t at = 0;
    return map_next(map, &at);
}

void map_done(struct map *map)
{
    mem_free(map->slots);
    *map = (struct map){0};
}
