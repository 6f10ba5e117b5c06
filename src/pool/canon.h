/*
 * pool/canon.h - how the servers of a pool spell the parameter values that clients ask for
 *
 * A client that asks for TimeZone 'utc' is told UTC.  What a server made of a value is remembered,
 * so that only the first client that asks for it needs a server to log in.  A value may say only a part
 * (DateStyle 'ISO') and leave the rest as it was: `base` is what was there before.
 *
 * Threading:  any thread
 */
#ifndef POOL_CANON_H
#define POOL_CANON_H

struct canon;
struct pool;

/* Owned by the caller; NULL: not known. */
char *canon_find(struct pool *pool, const char *name, const char *base, const char *raw);
void canon_add(struct pool *pool, const char *name, const char *base, const char *raw,
               const char *spelt);
void canon_free(struct canon *canon); /* the whole list; accepts NULL */

#endif
