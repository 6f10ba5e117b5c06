/*
 * route/rules.h - what the settings say of reads: read_functions, write_functions, write_patterns
 *
 * Functions are names between commas, with or without a schema, folded as SQL does unless they are quoted:
 *     read_functions = app.cached_total, to_money, "Reports".run
 * Patterns are POSIX extended regular expressions between blanks, without regard to case; one with blanks or
 * quotes in it stands in single quotes, and each quote in it twice:
 *     write_patterns = nextval_of 'SELECT +refresh_'
 *
 * Ownership:  counted references, immutable
 * Threading:  any thread may read, take and drop references; a pattern is tried by one thread at a time, the
 *             C library sees to that
 */
#ifndef ROUTE_RULES_H
#define ROUTE_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "sql/facts.h"

struct err;
struct read_rules;

/* Each may be NULL or empty.  NULL: *err says what is wrong. */
struct read_rules *read_rules_new(const char *read_functions, const char *write_functions,
                                  const char *write_patterns, struct err *err);
struct read_rules *read_rules_ref(struct read_rules *rules);
void read_rules_unref(struct read_rules *rules); /* accepts NULL, as all that follows */

/* Is the function named?  A name without its schema may be any: then read_functions names it only without one,
 * write_functions with any. */
bool read_rules_reads(const struct read_rules *rules, const struct sql_name *function);
bool read_rules_writes(const struct read_rules *rules, const struct sql_name *function);

bool read_rules_match(const struct read_rules *rules, const char *text, size_t len);

#endif
