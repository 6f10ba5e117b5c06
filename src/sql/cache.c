#include "sql/cache.h"

#include <string.h>
#include <sys/queue.h>

#include "base/hash.h"
#include "base/mem.h"
#include "sql/facts.h"

enum {
    LARGEST_PART = 16, /* no entry may take more than a 16th of the cache */
    SEEN = 4096,       /* texts that are remembered by a part of their hashes */
};

struct entry {
    struct map_entry entry; /* first: the map finds us by it */
    TAILQ_ENTRY(entry) link;
    struct sql_facts *facts; /* owned */
    bool standard_conforming_strings;
    size_t len;
    char text[];
};

struct sql_cache {
    struct map map;
    TAILQ_HEAD(entry_list, entry) lru; /* least recently used first */
    struct sql_facts *single;          /* owned: the last facts, if they are not kept; or NULL */
    size_t max_bytes, max_len;
    struct sql_cache_counts counts;
    uint32_t seen[SEEN]; /* of the text that came last, of those with this place; 0: none */
};

struct key {
    const char *text;
    size_t len;
    bool standard_conforming_strings;
};

static bool is_same(const struct map_entry *map_entry, const void *arg)
{
    const struct entry *entry = (const struct entry *)map_entry;
    const struct key *key = arg;
    return entry->len == key->len &&
           entry->standard_conforming_strings == key->standard_conforming_strings &&
           memcmp(entry->text, key->text, key->len) == 0;
}

static size_t entry_bytes(size_t len, const struct sql_facts *facts)
{
    return sizeof(struct entry) + sizeof(struct map_entry *) + len + facts->bytes;
}

struct sql_cache *sql_cache_new(size_t max_bytes, size_t max_len)
{
    struct sql_cache *cache = mem_new(sizeof *cache);
    cache->max_bytes = max_bytes;
    cache->max_len = max_len;
    TAILQ_INIT(&cache->lru);
    return cache;
}

static void evict(struct sql_cache *cache, struct entry *entry)
{
    map_remove(&cache->map, &entry->entry);
    TAILQ_REMOVE(&cache->lru, entry, link);
    cache->counts.entries--;
    cache->counts.bytes -= entry_bytes(entry->len, entry->facts);
    sql_facts_free(entry->facts);
    mem_free(entry);
}

static void drop_single(struct sql_cache *cache)
{
    sql_facts_free(cache->single);
    cache->single = NULL;
}

void sql_cache_free(struct sql_cache *cache)
{
    if (cache == NULL)
        return;
    while (!TAILQ_EMPTY(&cache->lru))
        evict(cache, TAILQ_FIRST(&cache->lru));
    drop_single(cache);
    map_done(&cache->map);
    mem_free(cache);
}

static void make_room(struct sql_cache *cache, size_t bytes)
{
    while (cache->counts.bytes + bytes > cache->max_bytes) {
        evict(cache, TAILQ_FIRST(&cache->lru));
        cache->counts.evictions++;
    }
}

static void keep(struct sql_cache *cache, const struct key *key, uint64_t hash,
                 struct sql_facts *facts)
{
    make_room(cache, entry_bytes(key->len, facts));
    struct entry *entry = mem_new(sizeof *entry + key->len);
    entry->entry.hash = hash;
    entry->facts = facts;
    entry->standard_conforming_strings = key->standard_conforming_strings;
    entry->len = key->len;
    memcpy(entry->text, key->text, key->len);
    map_add(&cache->map, &entry->entry);
    TAILQ_INSERT_TAIL(&cache->lru, entry, link);
    cache->counts.entries++;
    cache->counts.bytes += entry_bytes(key->len, facts);
}

static const struct sql_facts *use(struct sql_cache *cache, struct entry *entry)
{
    cache->counts.hits++;
    TAILQ_REMOVE(&cache->lru, entry, link);
    TAILQ_INSERT_TAIL(&cache->lru, entry, link);
    return entry->facts;
}

/* Has this text not been here, as far as is known?  If it has, it comes again and again. */
static bool is_first(struct sql_cache *cache, uint64_t hash)
{
    uint32_t *seen = &cache->seen[hash % SEEN], rest = (uint32_t)(hash >> 32) | 1;
    bool first = *seen != rest;
    *seen = rest;
    return first;
}

static const struct sql_facts *parse(struct sql_cache *cache, const struct key *key, uint64_t hash)
{
    struct sql_facts *facts =
        sql_facts_of(key->text, key->len, cache->max_len, key->standard_conforming_strings);
    cache->counts.misses++;
    if (is_first(cache, hash) || entry_bytes(key->len, facts) > cache->max_bytes / LARGEST_PART)
        cache->single = facts;
    else
        keep(cache, key, hash, facts);
    return facts;
}

const struct sql_facts *sql_cache_get(struct sql_cache *cache, const char *text, size_t len,
                                      bool standard_conforming_strings)
{
    struct key key = {text, len, standard_conforming_strings};
    uint64_t hash = hash_bytes(text, len) ^ standard_conforming_strings;
    drop_single(cache);
    struct entry *entry = (struct entry *)map_find(&cache->map, hash, is_same, &key);
    return entry != NULL ? use(cache, entry) : parse(cache, &key, hash);
}

struct sql_cache_counts sql_cache_counts(const struct sql_cache *cache)
{
    return cache->counts;
}
