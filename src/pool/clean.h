/*
 * pool/clean.h - a server without a client: finishing, undoing and resetting what one has left
 *
 * Threading:  the thread of the server's worker
 */
#ifndef POOL_CLEAN_H
#define POOL_CLEAN_H

struct server;

/* Input of a server that no client has: IDLE, CLEANING or CANCELED. */
void server_clean_read(struct server *server);

/* Logged in: connect_query runs before it is ready.  The deadline of the login counts on. */
void server_begin_connect_query(struct server *server, const char *sql);

/* A cancel request of this server has ended. */
void server_cancel_ended(struct server *server);

#endif
