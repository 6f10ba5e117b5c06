/*
 * topology/asker.h - a connection of libpq's to one node, without blocking, that asks it one question after
 * the other
 *
 * The connection is made for the first question and kept from question to question, and its end is noticed
 * at once.
 *
 *   IDLE --asker_ask()--> RESOLVING --address--> CONNECTING --logged in--> ASKING --answer--> IDLE
 *   IDLE --asker_ask(), connected--> ASKING      any --error, or time is over--> IDLE, not connected
 *
 * Source:     PostgreSQL docs, libpq-connect (PQconnectPoll) and libpq-async
 * Ownership:  the target is copied, but for application_name; that, calls, context and questions are borrowed
 * Threading:  the thread of the loop
 * Errors:     are told to `done`, which logs or keeps them
 */
#ifndef TOPOLOGY_ASKER_H
#define TOPOLOGY_ASKER_H

#include <stdbool.h>
#include <stdint.h>

struct asker;
struct loop;
struct pg_result; /* libpq's PGresult */
struct resolver;
struct settings;

struct asker_target {
    const char *host;
    int port;
    const char *user;
    const char *dbname;
    const char *password; /* NULL: none */
    const char *application_name;
};

/* Neither must free the asker. */
struct asker_calls {
    /* A question has ended.  result: rows, lent for the call; NULL if it failed, then error says why, and
     * there is no connection any more. */
    void (*done)(void *context, const struct pg_result *result, const char *error);
    /* The connection has ended while nothing was asked. */
    void (*lost)(void *context);
};

struct asker *asker_new(struct loop *loop, struct resolver *resolver,
                        const struct asker_target *target, const struct asker_calls *calls,
                        void *context);
void asker_free(struct asker *asker); /* accepts NULL */

/* One query that gives rows.  Nothing is under way. */
void asker_ask(struct asker *asker, const char *question, int64_t limit_us);

/* Ends the connection; the next question tries the next address of the node's name. */
void asker_drop(struct asker *asker);

/* What it can log in with: only a plain text is of use to libpq.  Borrowed; NULL: none. */
const char *asker_secret(const struct settings *settings, const char *user);

/* True: it is another target.  Then the connection has ended, and a question under way without a word. */
bool asker_retarget(struct asker *asker, const struct asker_target *target);

#endif
