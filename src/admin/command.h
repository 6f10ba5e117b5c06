/*
 * admin/command.h - the commands of the console: their grammar, and who may give them
 *
 *     SHOW what [(column, ...)] [WHERE column = value [AND ...]] | SHOW variable
 *     SET key = value | SET key TO value
 *     PAUSE [database] | RESUME [database] | DISABLE database | ENABLE database | ...
 *     BEGIN, COMMIT and the like, which drivers send and which do nothing here
 *
 * Words compare without case.  A name may be quoted as in SQL, then its case counts, or be a string.
 * A command ends with a semicolon or with the text; comments are skipped.  SELECT is another word
 * for SHOW, as in PgBouncer.
 *
 * All commands stand in one table, each with the right that it needs and with its help.  What drivers SHOW and SET on
 * every connection is accepted without effect.
 *
 * Ownership:  a command owns its value, and a reference to its selection, until command_done()
 * Threading:  pure
 * Errors:     42601 for what is no command; those of admin/selection.h
 */
#ifndef ADMIN_COMMAND_H
#define ADMIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/table.h"
#include "admin/token.h"

struct err;
struct request;
struct selection;

enum right { RIGHT_LOOK, RIGHT_CHANGE };

enum argument_kind {
    ARGUMENT_NONE,
    ARGUMENT_MAY,  /* one word */
    ARGUMENT_MUST, /* one word */
    ARGUMENT_REST, /* whatever there is; nobody looks at it */
};

struct verb {
    const char *name;
    const char *object; /* the what SHOW shows; NULL for the others */
    enum right right;
    enum argument_kind argument;
    void (*run)(struct request *request);
    const struct table_column *columns; /* of the answer; NULL: only a tag */
    size_t n_columns;
    const char *tag;
    const char *usage; /* what follows name and object, as SHOW HELP has it */
    const char *help;  /* what it does */
};

extern const struct verb command_verbs[]; /* ends with a NULL name; see admin/verbs.c */

/* The object of the verbs SHOW and SET that treat a variable. */
#define VERB_VARIABLE ""

/* A session variable that drivers expect to be there. */
struct variable {
    const char *name;  /* as in SHOW and SET */
    const char *value; /* NULL: only SET knows it */
    struct table_column column;
};

enum { COMMAND_NAME_MAX = TOKEN_TEXT_MAX, COMMAND_VALUE_MAX = 16384 };

struct command {
    const struct verb *verb;             /* borrowed, constant */
    const struct variable *variable;     /* borrowed, constant; of SHOW and SET of a variable */
    char argument[COMMAND_NAME_MAX + 1]; /* "" for none; the key of SET */
    char *value;                         /* owned: of SET; else NULL */
    struct selection *selection;         /* counted: of SHOW; NULL: everything */
};

enum command_found { COMMAND_END, COMMAND_FOUND, COMMAND_INVALID };

/* Reads the next command, and moves *text behind it; the end of the text, and nothing but blanks
 * and semicolons, is COMMAND_END. */
enum command_found command_next(const char **text, struct command *command, struct err *err);
struct command command_copy(const struct command *command);
void command_done(struct command *command);
/* Of the answer; borrowed from the command.  NULL: it has no rows. */
const struct table_column *command_columns(const struct command *command, size_t *n);

#endif
