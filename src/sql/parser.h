/*
 * sql/parser.h - PostgreSQL's parser, under guard
 *
 * libpg_query is PostgreSQL's own scanner and grammar; it reports an error by a long jump, and would use
 * as much memory and stack as the text asks for.  Here it runs with the memory of an arena that has an
 * end, on a part of the stack that has one too, and whatever goes wrong in it ends in `false`.
 *
 * No header of PostgreSQL is included: they redefine printf() and its kind.
 *
 * Threading:  any thread, each by itself; a thread keeps a block of memory for its next text until
 *             sql_parse_done()
 */
#ifndef SQL_PARSER_H
#define SQL_PARSER_H

#include <stdbool.h>
#include <stddef.h>

struct List; /* PostgreSQL's */

/* Calls `use` with the list of RawStmt of `text`.  The tree, and what sql_parse_alloc() gave, lasts until
 * `use` returns.  False, if the text could not be parsed or `use` gave up. */
bool sql_parse(const char *text, size_t len, bool standard_conforming_strings,
               void (*use)(struct List *tree, void *arg), void *arg);

/* For `use` only, and below it: neither returns if there is no more. */
void *sql_parse_alloc(size_t size);
_Noreturn void sql_parse_give_up(void);

/* Gives back what this thread kept. */
void sql_parse_done(void);

#endif
