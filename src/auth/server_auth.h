/*
 * auth/server_auth.h - logs in to a server
 *
 * Takes the 'R' messages of a server, which is not trusted, and writes the 'p' messages to answer
 * with.  The first R message is also the first call; a server that trusts us sends AuthenticationOk
 * at once.
 *
 * Source:     PostgreSQL docs, protocol-flow-start-up and sasl-authentication; fe-auth.c
 * Ownership:  the credentials are copied, and wiped by server_auth_free(); the cache is borrowed
 *             and must outlive it
 * Threading:  one thread at a time
 * Errors:     08P01 the server breaks the protocol or could not prove that it knows the secret;
 *             28P01 no secret, or one of the wrong kind ("wrong password type"); 0A000 a method
 *             that we do not know
 * Cost:       SCRAM with a plaintext secret hashes it unless the cache knows, with as many
 *             iterations as the server says, up to LIMIT_SCRAM_ITERATIONS (some 0.3 s)
 */
#ifndef AUTH_SERVER_AUTH_H
#define AUTH_SERVER_AUTH_H

#include <stddef.h>

#include "auth/step.h"

struct buf;
struct err;
struct scram_cache;
struct scram_keys;
struct server_auth;

struct server_credentials {
    const char *user;
    const char *secret;            /* plaintext, MD5 or verifier; NULL for none */
    const struct scram_keys *keys; /* from a client of this user; NULL for none.  Used if the server
                                    * names the same salt and iterations, before the secret */
};

struct server_auth *server_auth_new(const struct server_credentials *credentials,
                                    struct scram_cache *cache); /* cache may be NULL */
void server_auth_free(struct server_auth *auth);                /* accepts NULL */

/* Feeds the body of one 'R' message.  AUTH_OK only on AuthenticationOk, and if SASL began only
 * after the server's signature was verified. */
enum auth_step server_auth_message(struct server_auth *auth, const char *body, size_t len,
                                   struct buf *out, struct err *err);

#endif
