/*
 * auth/scram_exchange.h - the four messages of SCRAM-SHA-256, from either side
 *
 *     client -> server   client-first   n,,n=,r=NONCE
 *     server -> client   server-first   r=NONCE+MORE,s=SALT,i=ITERATIONS
 *     client -> server   client-final   c=biws,r=NONCE+MORE,p=PROOF
 *     server -> client   server-final   v=SIGNATURE
 *
 * Works on the SCRAM messages alone; how they are wrapped is known to client_auth and server_auth.
 *
 * Source:     RFC 5802 without channel binding; the checks and texts of PostgreSQL's auth-scram.c
 * Ownership:  messages are borrowed for the call; verifier and keys are copied
 * Threading:  one thread at a time
 * Errors:     *err for the peer or the log.  Before the last message it tells nothing about users
 */
#ifndef AUTH_SCRAM_EXCHANGE_H
#define AUTH_SCRAM_EXCHANGE_H

#include <stdbool.h>

#include "auth/scram.h"
#include "base/reader.h"

struct buf;
struct err;

/* --- The server's side: we check a client. --- */

struct scram_server;

/* nonce: NULL for a random one, a fixed one in tests.  doomed: the verifier is made up, and the
 * proof counts as wrong whatever it is. */
struct scram_server *scram_server_new(const struct scram_verifier *verifier, bool doomed,
                                      const char *nonce);
void scram_server_free(struct scram_server *scram); /* accepts NULL */

/* Each once, in this order; after false nothing more.  The answer is appended. */
bool scram_server_first(struct scram_server *scram, struct slice client_first, struct buf *out,
                        struct err *err);
bool scram_server_final(struct scram_server *scram, struct slice client_final, struct buf *out,
                        struct err *err);

/* After the final message: what the client knows. */
void scram_server_keys(const struct scram_server *scram, struct scram_keys *out);

/* --- The client's side: a server checks us, and we it. --- */

struct scram_client;

struct scram_client *scram_client_new(const char *nonce); /* NULL for a random one */
void scram_client_free(struct scram_client *scram);       /* accepts NULL */

/* Each once, in this order; after false nothing more. */
bool scram_client_first(struct scram_client *scram, struct buf *out, struct err *err);
bool scram_client_challenge(struct scram_client *scram, struct slice server_first,
                            struct scram_salt *salt, struct err *err);
bool scram_client_final(struct scram_client *scram, const struct scram_keys *keys, struct buf *out,
                        struct err *err);
bool scram_client_verify(struct scram_client *scram, struct slice server_final, struct err *err);

#endif
