/*
 * session/script.h - a text of SQL that names prepared statements, and the same with names of ours
 *
 * PREPARE, EXECUTE (also in EXPLAIN and CREATE TABLE AS) and DEALLOCATE have one name each: a step.  The
 * text that the server gets differs in these names only, so everything else, as the order of errors, is
 * PostgreSQL's.  Where an error speaks of one of our names, or of a place in the text, it is put back in
 * terms of the client's text.
 *
 * Source:     PostgreSQL docs, sql-prepare, sql-execute, sql-deallocate, protocol-error-fields
 * Ownership:  a script owns what its steps hold; it is freed by script_free()
 * Threading:  pure, but for counting statements
 */
#ifndef SESSION_SCRIPT_H
#define SESSION_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/facts.h"

struct buf;
struct name;
struct slice;
struct statement;
struct statement_table;

enum script_kind {
    SCRIPT_MAKE,    /* PREPARE of a name that is free */
    SCRIPT_TAKEN,   /* PREPARE of one that is not: it fails, at the latest for that */
    SCRIPT_USE,     /* EXECUTE */
    SCRIPT_END,     /* DEALLOCATE */
    SCRIPT_UNKNOWN, /* EXECUTE and DEALLOCATE of a name that is not there */
};

struct script_step {
    enum script_kind kind;
    uint32_t position;    /* of its statement in the text, from 0 */
    struct sql_span span; /* of the name in the client's text */
    char *ident;          /* owned: the name */
    struct statement
        *statement; /* counted: that it makes, uses, ends; or that has the name.  NULL: UNKNOWN */
    struct name *name; /* borrowed: its change is on the way */
    uint32_t place;    /* of the name in the server's text, in characters from 0 */
    int32_t longer;    /* by so many characters than in the client's text */
};

struct script {
    struct statement_table *table; /* borrowed */
    uint32_t batch;                /* of the client, when it was made; and which names it had: */
    uint32_t version;
    uint32_t n_complete; /* commands of the text that are */
    uint32_t n;
    struct script_step steps[];
};

/* Is it about names of prepared statements? */
bool script_concerns(const struct sql_facts *facts);
/* Is this text, of which little is known, perhaps so?  Cheap. */
bool script_may_concern(const char *text, size_t len);

/* Is this word, given in lower case, somewhere in it? */
bool script_contains(const char *text, size_t len, const char *word);

/* The steps of a text, without statements and as if all went well: MAKE, USE and END.  Facts are not needed
 * any more. */
struct script *script_new(const struct sql_facts *facts, struct statement_table *table);
void script_free(struct script *script); /* accepts NULL */

/* What a PREPARE makes: the text behind the name, up to the end of its statement. */
struct slice script_body(const char *text, const struct sql_facts *facts, struct sql_span name);
/* Where the query begins in that, with its NUL. */
size_t script_query_in(const char *body);

/* The step's name at the server; NULL: as the client wrote it. */
enum { SCRIPT_NAME_MAX = 48 };
const char *script_server_name(const struct script *script, uint32_t i, char out[SCRIPT_NAME_MAX]);
/* Appends the text for the server, without a NUL, and fills in the places. */
void script_write(struct script *script, const char *text, size_t len, struct buf *out);

/* Does some step change the client's names? */
bool script_changes(const struct script *script);
/* Does some step use a name that is not there, or make one that is? */
bool script_must_fail(const struct script *script);
/* Appends the ErrorResponse of the command behind those that are complete, in terms of the client's text.  False: it needs no change. */
bool script_write_error(const struct script *script, const char *body, size_t len, struct buf *out);

#endif
