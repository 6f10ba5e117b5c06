/*
 * conf/userlist.h - the names and secrets of auth_file
 *
 *     "user" "secret"
 *
 * One user a line; the rest of the line is ignored, "" within quotes is one quote.  Lines that
 * begin with ';' or '#' are comments.  The secret is a plain text password, md5 with 32 hex digits,
 * or a SCRAM verifier; an empty one belongs to a user who exists and cannot log in with a password.
 * To check secrets is left to auth/.
 *
 * Differences from PgBouncer: a line that is not understood fails the whole load and is named,
 * where PgBouncer drops the rest of the file; a quoted text ends on its line, with nothing but
 * blanks between the two; names have at most 63 bytes; a second line for a user replaces the first
 * as there, with a warning.
 *
 * Ownership:  counted references; the secrets are wiped with the last one
 * Threading:  any thread may look up, take and drop references; loading is for one thread
 * Errors:     go to the report with file and line, never with a secret
 */
#ifndef CONF_USERLIST_H
#define CONF_USERLIST_H

#include <stddef.h>

struct conf_report;
struct userlist;

enum { USERLIST_SECRET_MAX = 65530 };

struct userlist *userlist_new(void); /* empty */
struct userlist *userlist_ref(struct userlist *list);
void userlist_unref(struct userlist *list); /* accepts NULL */

/* NULL when the file cannot be read or a line is not understood.  Warns when everybody can read
 * secrets in it. */
struct userlist *userlist_load(const char *path, struct conf_report *report);
/* The same for text in memory that is called `name` in errors. */
struct userlist *userlist_parse(const char *name, const char *text, size_t len,
                                struct conf_report *report);

const char *userlist_find(const struct userlist *list, const char *user); /* NULL when unknown */
/* In the order of the file; after NULL comes the first, after the last NULL. */
const char *userlist_next(const struct userlist *list, const char *after);
size_t userlist_count(const struct userlist *list);

#endif
