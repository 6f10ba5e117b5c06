/*
 * pool/opening.h - what a server's startup packet says beyond user and database
 *
 * Servers of transaction and statement mode all begin alike: they have no opening.  In session mode
 * a server is to its client what a direct connection would be, so it begins with what the client's
 * startup packet said, and goes on to clients that began with the same.  application_name is left
 * out, as it differs from client to client and SET gives it.  A replication connection is for one
 * client only.
 *
 * Ownership:  counted; immutable
 * Threading:  any thread
 */
#ifndef POOL_OPENING_H
#define POOL_OPENING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/startup.h"

struct opening {
    atomic_uint refs;
    enum startup_replication replication;
    size_t n;
    struct startup_param *params; /* owned, as the texts in it */
};

/* Copies the parameters.  Nothing to say, and no replication: NULL. */
struct opening *opening_new(const struct startup_param *params, size_t n,
                            enum startup_replication replication);
struct opening *opening_ref(struct opening *opening); /* accepts NULL, as those below */
void opening_unref(struct opening *opening);

static inline enum startup_replication opening_replication(const struct opening *opening)
{
    return opening != NULL ? opening->replication : STARTUP_NO_REPLICATION;
}

/* Is a server that began so for one client only? */
bool opening_is_for_one(const struct opening *opening);

bool opening_equal(const struct opening *a, const struct opening *b);
/* May a server that began with one of them serve a client that asks for the other? */
static inline bool opening_same(const struct opening *a, const struct opening *b)
{
    return (a == NULL && b == NULL) || opening_equal(a, b);
}

#endif
