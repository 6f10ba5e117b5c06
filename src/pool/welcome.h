/*
 * pool/welcome.h - what a server said about itself at login, for the clients of its pool
 *
 * Ownership:  counted, under the pool's mutex; immutable once made
 */
#ifndef POOL_WELCOME_H
#define POOL_WELCOME_H

#include <stddef.h>

struct pool;

struct welcome_param {
    char *name, *value; /* owned */
};

struct welcome {
    unsigned refs; /* under the pool's mutex */
    size_t n;
    struct welcome_param *params; /* owned */
};

struct welcome *welcome_new(void);
/* Before it is given to a pool.  A later value replaces an earlier one. */
void welcome_add(struct welcome *welcome, const char *name, const char *value);

/* NULL if the server did not report it; names compare without case. */
const char *welcome_value(const struct welcome *welcome, const char *name);

/* The pool's present one, counted; NULL if no server has ever logged in. */
struct welcome *welcome_of(struct pool *pool);
struct welcome *welcome_ref(struct pool *pool, struct welcome *welcome);
void welcome_replace(struct pool *pool, struct welcome *welcome); /* takes the reference over */
void welcome_free(struct welcome *welcome); /* one that no pool ever had; accepts NULL */
void welcome_unref(struct pool *pool, struct welcome *welcome); /* accepts NULL */

#endif
