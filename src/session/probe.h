/*
 * session/probe.h - asks a server what the state of its session is
 *
 * A probe is one simple query of several small SELECTs, sent between two transactions.  Each row of its
 * answer is a kind (one letter), and pairs of name and value behind it.
 *
 * Source:     PostgreSQL docs, view-pg-settings, view-pg-locks, view-pg-cursors,
 *             view-pg-prepared-statements, functions-info
 * Ownership:  what is read from a row is borrowed from it
 * Threading:  pure
 */
#ifndef SESSION_PROBE_H
#define SESSION_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/reader.h"

struct buf;

/* What is asked for.  Each row of the answer says that there is some; the letters are its kinds. */
enum probe {
    PROBE_SETTINGS = 1 << 0, /* 's': the settings with these names; value NULL: there is none */
    PROBE_LIST = 1 << 1,     /* 'a': those that are set in this session, but for custom ones */
    PROBE_TEMP = 1 << 2,     /* 't' */
    PROBE_LOCKS = 1 << 3,    /* 'l': advisory, of the session */
    PROBE_CURSORS = 1 << 4,  /* 'h': WITH HOLD */
    PROBE_LISTEN = 1 << 5,   /* 'n': the name is a channel */
    PROBE_PREPARED = 1 << 6, /* 'p': by SQL, under a name that is not ours */
    PROBE_ALL = (1 << 7) - 1,
    PROBE_NAMES = 1 << 7, /* 'p', too: under a name that is not ours, by SQL or not */
};

enum { PROBE_VALUE_MAX = 8192 }; /* bytes; of longer values as many bytes and one more come */

/* names: of PROBE_SETTINGS, each with its NUL, behind one another. */
void probe_write(struct buf *sql, unsigned what, const struct buf *names);

/* A DataRow without its header. */
struct probe_row {
    char kind;
    int left; /* columns */
    struct reader columns;
};

bool probe_read(struct probe_row *row, const char *body, size_t len); /* false: it is none */
/* The next pair; false: there is none, or it cannot be read.  value NULL: SQL's NULL. */
bool probe_next(struct probe_row *row, struct slice *name, struct slice *value);

#endif
