/*
 * conf/connstr.h - the connection strings of [databases] and [users]
 *
 *     host=10.0.0.1 port=5432 password='it''s'
 *
 * Blanks separate pairs and may surround the '='.  A value in single quotes may be empty and hold
 * blanks; '' in it is one quote.  A value without quotes ends at a blank and is not empty.  What
 * the keys mean is left to conf/entries.h.
 *
 * Difference from PgBouncer: in "host= port=1" it takes "port=1" for the host; here that is an
 * error, and a value which begins like that has to be in quotes.
 *
 * Ownership:  key and value are valid until the next step; connstr_done() wipes them
 * Threading:  one thread at a time
 * Errors:     name the key, never the value, which may be a password
 */
#ifndef CONF_CONNSTR_H
#define CONF_CONNSTR_H

#include <stddef.h>

struct err;

enum connstr_step { CONNSTR_PAIR, CONNSTR_END, CONNSTR_BAD };

struct connstr {
    const char *key;
    const char *value;
    char *text; /* owned: a copy that is cut in place */
    size_t len;
    char *pos;
};

void connstr_init(struct connstr *connstr, const char *text);
enum connstr_step connstr_next(struct connstr *connstr, struct err *err);
void connstr_done(struct connstr *connstr);

#endif
