/*
 * topology/catalog_rows.h - the question for the catalog of a database, and what is made of the answer
 *
 * Any role may ask it.  PostgreSQL 11 or later answers.
 *
 * Ownership:  results are borrowed for the call
 * Threading:  any
 */
#ifndef TOPOLOGY_CATALOG_ROWS_H
#define TOPOLOGY_CATALOG_ROWS_H

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct pg_result; /* libpq's PGresult */

extern const char catalog_question[];

/* Of as many rows as it may have, 200,000, and of five columns. */
bool catalog_rows_are_bounded(const struct pg_result *result);
/* The same for the same rows in another order. */
uint64_t catalog_rows_sum(const struct pg_result *result);
struct catalog *catalog_of_rows(const struct pg_result *result, uint64_t generation);

#endif
