/*
 * pool/login.h - the start-up conversation with a PostgreSQL server
 *
 * Takes the server's messages one by one, from our StartupMessage to its first ReadyForQuery, and
 * says when the connection may join its pool.
 *
 * Source:     PostgreSQL docs, protocol-flow-start-up
 * Ownership:  the caller owns the login and ends it with login_free(); what it appends to `out`
 *             must be sent
 * Threading:  pure: any one thread
 * Errors:     LOGIN_FAILED means *err is complete and can go to a client as it is
 */
#ifndef POOL_LOGIN_H
#define POOL_LOGIN_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct scram_cache;
struct server_credentials;
struct server_login;
struct welcome;

enum login_state {
    LOGIN_AUTHENTICATING, /* StartupMessage sent, AuthenticationOk awaited */
    LOGIN_STARTING,       /* authenticated; the backend describes itself */
    LOGIN_DONE,           /* first ReadyForQuery seen */
    LOGIN_FAILED,         /* refused by the server, or the protocol was broken */
};

struct server_login *login_new(const struct server_credentials *credentials,
                               struct scram_cache *cache);
void login_free(struct server_login *login); /* accepts NULL */

/* Feeds one whole message.  After DONE or FAILED there is nothing more to feed. */
enum login_state login_step(struct server_login *login, uint8_t kind, const char *body, size_t len,
                            struct buf *out, struct err *err);

/* What the backend said: its parameters, the reference going to the caller; and its key. */
struct welcome *login_take_welcome(struct server_login *login);
const uint8_t *login_key(const struct server_login *login); /* 8 bytes; all zero if none came */

#endif
