/*
 * sql/glance.h - is a text worth parsing, if only session state matters?
 *
 * Most statements of most applications do nothing but read and write rows.  A glance at the text tells
 * so without a parser: its first word, and that certain words stand nowhere in it.
 *
 * Threading:  pure
 */
#ifndef SQL_GLANCE_H
#define SQL_GLANCE_H

#include <stdbool.h>
#include <stddef.h>

/* True: it is one statement (or none), and none of the effects of sql/facts.h is possible, SQL_CALLS and
 * SQL_SEQUENCES left aside unless `calls`: then there is no call of a function in it that is not
 * PostgreSQL's own either.  That holds whatever the session's standard_conforming_strings, and for grammars
 * newer than ours: a text that does not parse can be plain. */
bool sql_is_plain(const char *text, size_t len, bool calls);

#endif
