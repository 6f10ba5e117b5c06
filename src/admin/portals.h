/*
 * admin/portals.h - the prepared statements and portals of one session
 *
 * A portal holds the rows of its execution, so that they can be fetched in parts.
 *
 * Ownership:  owned by the session; a portal has a command of its own and outlives its statement
 * Threading:  the session's thread
 */
#ifndef ADMIN_PORTALS_H
#define ADMIN_PORTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/command.h"
#include "admin/table.h"

struct err;
struct portals;
struct reader;

struct prepared {
    struct prepared *next;
    char *name; /* owned */
    bool empty; /* no command in it */
    struct command command;
};

struct portal {
    struct portal *next;
    char *name; /* owned */
    bool empty;
    bool executed; /* table and tag are valid */
    struct command command;
    struct table table;
    char *tag;         /* owned */
    uint16_t *formats; /* owned */
    size_t n_formats;
    uint32_t max_rows; /* of the Execute at work */
};

struct portals *portals_new(void);
void portals_free(struct portals *portals); /* accepts NULL */

/* Read the body of a message.  Errors: 08P01 a broken message, else as PostgreSQL has them. */
bool portals_parse(struct portals *portals, struct reader *body, struct err *err);
bool portals_bind(struct portals *portals, struct reader *body, struct err *err);

struct prepared *portals_get_prepared(struct portals *portals, const char *name, struct err *err);
struct portal *portals_get(struct portals *portals, const char *name, struct err *err);

/* Those that are not there are no error. */
void portals_close_prepared(struct portals *portals, const char *name);
void portals_close(struct portals *portals, const char *name);
void portals_close_all(struct portals *portals); /* the transaction is over */

struct table_formats portal_formats(const struct portal *portal);

#endif
