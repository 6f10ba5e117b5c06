/*
 * sql/modes.h - read only or not, serializable or not: the modes of transactions in a parse tree
 *
 * Source:     PostgreSQL docs, sql-set-transaction and runtime-config-client
 * Threading:  within one parse (sql/parser.h)
 */
#ifndef SQL_MODES_H
#define SQL_MODES_H

#include <stdbool.h>

#include "sql/facts.h"

struct List; /* PostgreSQL's */
struct Node;

/* BEGIN, START TRANSACTION, SET TRANSACTION: a list of DefElem. */
void modes_of_options(struct sql_modes *modes, const struct List *options);

/* The statement sets the setting `name` to a value, NULL: to one that its text does not tell. */
void modes_of_setting(struct sql_statement *statement, const char *name, const struct Node *value);

#endif
