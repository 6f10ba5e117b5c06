/*
 * session/functions.h - functions that have been found to leave the session as it was
 *
 * With function_state = probe the server is asked what a function has done to its session.  Most do nothing,
 * ever: after some calls in whose transactions nothing else happened, and after which nothing was found, a
 * function is not asked about any more.  One that has done something is asked about for good.
 *
 * By database and name: which function a name stands for is up to search_path.
 *
 * Ownership:  the book by its worker
 * Threading:  the worker's thread
 */
#ifndef SESSION_FUNCTIONS_H
#define SESSION_FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct database;
struct function_book;
struct sql_facts;

struct function_book *functions_new(void);
void functions_free(struct function_book *book);

/* True: there is nothing to ask.  Else the names of those to ask about are added to `names`, each with its
 * NUL; *learn becomes false if there is something else to ask about that has no name. */
bool functions_are_harmless(struct function_book *book, const struct database *database,
                            const struct sql_facts *facts, struct buf *names, bool *learn);
/* What came out. */
void functions_learn(struct function_book *book, const struct database *database,
                     const struct buf *names, bool harmless);

#endif
