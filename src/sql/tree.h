/*
 * sql/tree.h - what queries and expressions in a parse tree read, write and call
 *
 * One pass over all that may run when the statement runs.  Which part of a command that is, is the
 * business of sql/statement.c.
 *
 * Ownership:  what is found goes to the draft; strings stay those of the tree
 * Errors:     a tree that is too deep ends the parse (sql/parser.h)
 */
#ifndef SQL_TREE_H
#define SQL_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "sql/draft.h"

struct Node; /* PostgreSQL's */
struct List;
struct RangeVar;
struct FuncCall;
struct tree_scope;

struct tree {
    struct draft_statement *draft;
    const struct tree_scope *scope; /* the names of WITH that are seen here */
    bool writes;                    /* rows are written or locked */
    uint32_t depth;
    uint32_t comparisons; /* of names, so far in this text */
};

/* Any expression, query, list of such, column definition or constraint; NULL is nothing. */
void tree_walk(struct tree *tree, struct Node *node);
void tree_walk_list(struct tree *tree, struct List *list);
/* A relation that a command names; no WITH hides it. */
void tree_relation(struct tree *tree, const struct RangeVar *relation);
void tree_effect(struct tree *tree, uint32_t effects);
void tree_trait(struct tree *tree, uint16_t traits);
/* A setting that is set for the session. */
void tree_setting(struct tree *tree, const char *name, bool reset);
/* A value that a setting gets: a search_path that begins with pg_temp makes all new tables temporary. */
void tree_path(struct tree *tree, const char *value);
/* What is created, perhaps in the temporary schema. */
void tree_created_relation(struct tree *tree, const struct RangeVar *relation);
void tree_created(struct tree *tree, const struct List *name);

#endif
