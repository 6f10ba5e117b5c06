/*
 * sql/statement.h - from a statement's tree to its facts
 *
 * The table of all commands: of which class each is, and what it does to the session.
 *
 * Threading:  within one parse (sql/parser.h)
 */
#ifndef SQL_STATEMENT_H
#define SQL_STATEMENT_H

#include "sql/draft.h"

struct List; /* PostgreSQL's */
struct statement_text;

/* All of a list of RawStmt. */
struct draft statements_of(struct List *tree, const struct statement_text *text);

#endif
