/*
 * auth/scram_cache.h - hashes a password once, not at every login
 *
 * SCRAM makes hashing slow on purpose.  Who knows the password may remember the outcome: clients
 * whose secret is stored as plaintext, and servers that are logged in to with a plaintext password.
 * The entries are found by a keyed digest of password, salt and iterations, so that a changed
 * password is another entry and no password is kept.
 *
 * Ownership:  the cache owns its entries, copies go in and out; wiped when freed
 * Threading:  any thread.  Two that miss at once both hash; nobody waits while another hashes
 * Size:       fixed, about 1 MB; the oldest of a few neighbours makes room
 */
#ifndef AUTH_SCRAM_CACHE_H
#define AUTH_SCRAM_CACHE_H

#include <stdbool.h>

struct scram_cache;
struct scram_keys;
struct scram_salt;

struct scram_cache *scram_cache_new(void);
void scram_cache_free(struct scram_cache *cache); /* accepts NULL */

/* Everywhere below a cache of NULL is one that remembers nothing. */
bool scram_cache_find(struct scram_cache *cache, const char *password,
                      const struct scram_salt *salt, struct scram_keys *out);
void scram_cache_add(struct scram_cache *cache, const char *password,
                     const struct scram_keys *keys);

/* Finds, or derives and adds.  Only for passwords of ours: those that clients try would push out
 * the others. */
bool scram_cache_derive(struct scram_cache *cache, const char *password,
                        const struct scram_salt *salt, struct scram_keys *out);

#endif
