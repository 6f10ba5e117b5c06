/*
 * auth/client_auth.h - a client proves who it is
 *
 * Takes the client's 'p' messages, and writes the 'R' messages to answer with, except for
 * AuthenticationOk, which the caller sends when it is ready.  A user without a secret walks through
 * the whole exchange and fails with the same error as one with a wrong password.
 *
 * Source:     PostgreSQL docs, protocol-flow-start-up and sasl-authentication; auth.c, auth-scram.c
 * Ownership:  user, secret and mock_key are copied, and wiped by client_auth_free(); the cache is
 *             borrowed and must outlive it
 * Threading:  one thread at a time
 * Errors:     FATAL; *err can go to the client as it is.  28P01 for a wrong password (28000 for
 *             "trust"), 08P01 for a malformed message, 0A000 for what SCRAM leaves optional
 * Cost:       SCRAM with a plaintext secret hashes it unless the cache knows; PLAIN against a
 *             SCRAM secret hashes every wrong password
 * Not here:   channel binding (SCRAM-SHA-256-PLUS is never offered); the kind of the message: what
 *             is not a 'p' is for the caller to refuse
 */
#ifndef AUTH_CLIENT_AUTH_H
#define AUTH_CLIENT_AUTH_H

#include <stddef.h>
#include <stdint.h>

#include "auth/step.h"

struct buf;
struct client_auth;
struct err;
struct scram_cache;
struct scram_keys;

enum client_auth_method {
    CLIENT_AUTH_TRUST, /* the user must be known, nothing else */
    CLIENT_AUTH_PLAIN, /* a cleartext password, compared with a secret of any kind */
    CLIENT_AUTH_MD5,   /* SCRAM if the secret is one; plaintext secrets will do */
    CLIENT_AUTH_SCRAM, /* verifiers and plaintext secrets; with an MD5 secret nobody gets in */
};

/*
 * secret: from the user list, or NULL for an unknown user.  scram_iterations: for verifiers made
 * from plaintext, and shown to unknown users; 1 or more.  mock_key: random, the same for the life
 * of the process, gives each user without a verifier a stable salt.  cache may be NULL.
 *
 * Under MD5 an unknown user is asked for MD5, as PgBouncer does.  Where most secrets are verifiers
 * that tells who exists; pass CLIENT_AUTH_SCRAM for unknown users there.
 */
struct client_auth *client_auth_new(enum client_auth_method method, const char *user,
                                    const char *secret, int scram_iterations,
                                    const uint8_t mock_key[32], struct scram_cache *cache);
void client_auth_free(struct client_auth *auth); /* accepts NULL */

/* Once, first: appends the request, or ends at once (TRUST). */
enum auth_step client_auth_start(struct client_auth *auth, struct buf *out, struct err *err);

/* Feeds the body of one 'p' message while the last step was AUTH_CONTINUE. */
enum auth_step client_auth_message(struct client_auth *auth, const char *body, size_t len,
                                   struct buf *out, struct err *err);

/* The longest body of the next message that can be right; longer ones need not be read. */
size_t client_auth_max_body(const struct client_auth *auth);

/* After AUTH_OK.  Keys: recovered in a SCRAM exchange against a stored verifier, to log in to a
 * server that stores the same; else NULL.  Password: as sent under PLAIN; else NULL.  Both borrowed
 * until client_auth_free(). */
const struct scram_keys *client_auth_keys(const struct client_auth *auth);
const char *client_auth_password(const struct client_auth *auth);

#endif
