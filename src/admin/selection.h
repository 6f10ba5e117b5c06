/*
 * admin/selection.h - which columns and which rows of a SHOW are wanted
 *
 *     SHOW what (column, ...) WHERE column = value AND ...
 *
 * A condition compares the text of the value; of a column of numbers, the number.  SQL's NULL is equal
 * to nothing.
 *
 * Ownership:  counted; the columns that it selects from are borrowed and constant
 * Threading:  the control thread
 * Errors:     42703 no such column, 22P02 the value is no number, 54000 too many of them
 */
#ifndef ADMIN_SELECTION_H
#define ADMIN_SELECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/table.h"

struct buf;
struct err;

/* More than the widest SHOW has: what a client sends bounds no row. */
enum { SELECTION_MAX = 64 };

struct condition {
    size_t column; /* of all */
    char *value;   /* owned: as the cell has it */
};

struct selection {
    const struct table_column *all;
    size_t n_all;
    struct table_column columns[SELECTION_MAX];
    size_t from[SELECTION_MAX]; /* which of all each of them is */
    size_t n_columns;
    struct condition conditions[SELECTION_MAX];
    size_t n_conditions;
    unsigned refs;
};

struct selection *selection_new(const struct table_column *all, size_t n_all); /* no column yet */
struct selection *selection_ref(struct selection *selection);                  /* accepts NULL */
void selection_unref(struct selection *selection);                             /* accepts NULL */

void selection_add_all(struct selection *selection);
bool selection_add(struct selection *selection, const char *column, struct err *err);
bool selection_require(struct selection *selection, const char *column, const char *value,
                       struct err *err);

/* From the cells of whole rows to those of the selected ones. */
void selection_apply(const struct selection *selection, struct buf *cells);

#endif
