#include "auth/scram_cache.h"

#include <assert.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "auth/scram.h"
#include "auth/secret.h"
#include "base/buf.h"
#include "base/mem.h"

enum { CACHE_SETS = 1024, CACHE_WAYS = 4 };

struct entry {
    uint8_t digest[SCRAM_KEY_LEN]; /* all zero: free */
    struct scram_keys keys;
};

/* An entry stands in the set that its digest names, in any of its ways. */
struct scram_cache {
    uint8_t key[SCRAM_KEY_LEN]; /* of the digests; random, constant */
    pthread_mutex_t lock;       /* guards all below */
    struct entry entries[CACHE_SETS][CACHE_WAYS];
    uint8_t next_way[CACHE_SETS]; /* where the next entry of a set goes */
};

struct scram_cache *scram_cache_new(void)
{
    struct scram_cache *cache = mem_new(sizeof *cache);
    /* Without a secret key the digests were hashes of passwords that one could guess at. */
    if (RAND_bytes(cache->key, sizeof cache->key) != 1) {
        mem_free(cache);
        return NULL;
    }
    int rc = pthread_mutex_init(&cache->lock, NULL);
    assert(rc == 0);
    return cache;
}

void scram_cache_free(struct scram_cache *cache)
{
    if (cache == NULL)
        return;
    pthread_mutex_destroy(&cache->lock);
    mem_wipe(cache, sizeof *cache);
    mem_free(cache);
}

static bool digest_of(const struct scram_cache *cache, const char *password,
                      const struct scram_salt *salt, uint8_t digest[SCRAM_KEY_LEN])
{
    struct buf all = BUF_NONE;
    size_t len = strlen(password);
    /* Room at once, so that no copy of the password stays behind a growing buffer. */
    buf_reserve(&all, 8 + salt->len + len);
    buf_append_u32(&all, (uint32_t)salt->iterations);
    buf_append_u32(&all, (uint32_t)salt->len);
    buf_append(&all, salt->bytes, salt->len);
    buf_append(&all, password, len);
    bool ok = scram_hmac(cache->key, all.data, all.len, digest);
    mem_wipe(all.data, all.len);
    buf_done(&all);
    return ok;
}

static size_t set_of(const uint8_t digest[SCRAM_KEY_LEN])
{
    return (digest[0] | (size_t)digest[1] << 8) % CACHE_SETS;
}

static struct entry *find_entry(struct scram_cache *cache, const uint8_t digest[SCRAM_KEY_LEN])
{
    struct entry *set = cache->entries[set_of(digest)];
    for (size_t way = 0; way < CACHE_WAYS; way++)
        if (secret_equal(set[way].digest, SCRAM_KEY_LEN, digest, SCRAM_KEY_LEN))
            return &set[way];
    return NULL;
}

bool scram_cache_find(struct scram_cache *cache, const char *password,
                      const struct scram_salt *salt, struct scram_keys *out)
{
    uint8_t digest[SCRAM_KEY_LEN];
    if (cache == NULL || !digest_of(cache, password, salt, digest))
        return false;
    pthread_mutex_lock(&cache->lock);
    const struct entry *entry = find_entry(cache, digest);
    if (entry != NULL)
        *out = entry->keys;
    pthread_mutex_unlock(&cache->lock);
    return entry != NULL;
}

static void insert(struct scram_cache *cache, const uint8_t digest[SCRAM_KEY_LEN],
                   const struct scram_keys *keys)
{
    if (find_entry(cache, digest) != NULL)
        return;
    size_t set = set_of(digest);
    struct entry *entry = &cache->entries[set][cache->next_way[set]];
    cache->next_way[set] = (uint8_t)((cache->next_way[set] + 1) % CACHE_WAYS);
    memcpy(entry->digest, digest, SCRAM_KEY_LEN);
    entry->keys = *keys;
}

void scram_cache_add(struct scram_cache *cache, const char *password, const struct scram_keys *keys)
{
    uint8_t digest[SCRAM_KEY_LEN];
    if (cache == NULL || !digest_of(cache, password, &keys->salt, digest))
        return;
    pthread_mutex_lock(&cache->lock);
    insert(cache, digest, keys);
    pthread_mutex_unlock(&cache->lock);
}

bool scram_cache_derive(struct scram_cache *cache, const char *password,
                        const struct scram_salt *salt, struct scram_keys *out)
{
    if (scram_cache_find(cache, password, salt, out))
        return true;
    if (!scram_keys_derive(password, salt, out))
        return false;
    scram_cache_add(cache, password, out);
    return true;
}
