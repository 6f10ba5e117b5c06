/*
 * pool/undo.h - what a client has left in the session of its server, and how it is taken back
 *
 * Source:     PostgreSQL docs, sql-discard, sql-reset, sql-set-session-authorization
 * Threading:  pure
 */
#ifndef POOL_UNDO_H
#define POOL_UNDO_H

#include <stdbool.h>

struct buf;

enum undo {
    UNDO_SETTINGS = 1 << 0,   /* SET, of what is not followed; roles */
    UNDO_STATEMENTS = 1 << 1, /* what it has prepared is not known */
    UNDO_LISTEN = 1 << 2,
    UNDO_TEMP = 1 << 3,          /* temporary objects */
    UNDO_LOCKS = 1 << 4,         /* advisory locks of the session */
    UNDO_CURSORS = 1 << 5,       /* WITH HOLD */
    UNDO_SEQUENCES = 1 << 6,     /* what currval() and lastval() know */
    UNDO_NOTHING_HELPS = 1 << 7, /* LOAD, setseed(): the server must be closed */
    UNDO_ALL = UNDO_SETTINGS | UNDO_STATEMENTS | UNDO_LISTEN | UNDO_TEMP | UNDO_LOCKS |
               UNDO_CURSORS | UNDO_SEQUENCES,
};

/* Appends the statements that take it back, for one simple query outside a transaction. */
void undo_write(struct buf *sql, unsigned undo);

#endif
