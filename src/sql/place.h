/*
 * sql/place.h - where in the text something stands
 *
 * The tree knows where a statement begins and ends, with the blanks around it, and nothing of the name in
 * PREPARE, EXECUTE and DEALLOCATE.
 *
 * Threading:  pure
 */
#ifndef SQL_PLACE_H
#define SQL_PLACE_H

#include "sql/facts.h"

struct statement_text {
    const char *text;
    size_t len;
    bool standard_conforming_strings;
};

/* From `start`, `len` bytes (0: all that is left), without blanks and comments around it. */
struct sql_span place_of_statement(const struct statement_text *text, size_t start, size_t len);

/* The name in a PREPARE, EXECUTE or DEALLOCATE, also after EXPLAIN and in CREATE TABLE ... AS; with its
 * quotes, and UESCAPE.  The statement has one. */
struct sql_span place_of_name(const struct statement_text *text, struct sql_span statement);

#endif
