/*
 * sql/standby.h - which of PostgreSQL's own functions may run on a standby
 *
 * A function reads if it gives there what it gives on the primary, of the same data; random() and
 * clock_timestamp() give another value anywhere.  What writes, what keeps something, and what tells of the
 * node that it runs on does not: an application that asks for the sessions, the settings or the role of "the
 * server" means the one that it writes to.  In doubt a function does not read.
 *
 * What is declared IMMUTABLE or STABLE reads, but for those that standby.c names; each VOLATILE function is named
 * there.
 *
 * Source:     pg_proc of PostgreSQL 15; PostgreSQL docs, functions
 * Threading:  pure
 */
#ifndef SQL_STANDBY_H
#define SQL_STANDBY_H

#include <stddef.h>

enum standby_call {
    STANDBY_NOT_OWN,  /* no function of PostgreSQL's */
    STANDBY_READS,    /* may run on a standby */
    STANDBY_WRITES,   /* writes, or has the server do something */
    STANDBY_SEQUENCE, /* uses a sequence */
    STANDBY_LOCKS,    /* takes an advisory lock, which counts where all others take theirs */
    STANDBY_KEEPS,    /* leaves something in the session or transaction, or tells what was left */
    STANDBY_TRANSACTION, /* ids of transactions, and snapshots */
    STANDBY_NODE,        /* tells of the node: role, sessions, statistics, WAL, files, settings */
    STANDBY_RUNS,        /* runs what the text does not tell */
    STANDBY_INTERNAL,    /* is not called by a statement: handlers, triggers, methods */
};

enum standby_call standby_call(const char *name, size_t len);

#endif
