/*
 * admin/table.h - rows for a client of the console, before it is known how it wants them
 *
 * Cells are put in as text, row by row; they leave as DataRow messages, in text or in binary
 * format.  Tables that several threads have filled are joined by joining their bytes.
 *
 * Source:     PostgreSQL docs, protocol-message-formats: RowDescription and DataRow
 * Ownership:  columns are borrowed, usually constant; cells are owned
 * Threading:  one thread at a time
 */
#ifndef ADMIN_TABLE_H
#define ADMIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum cell_type {
    CELL_TEXT = 25,
    CELL_INT4 = 23,
    CELL_INT8 = 20,
    CELL_NUMERIC = 1700,
    CELL_BYTEA = 17, /* always NULL */
};

struct table_column {
    const char *name;
    enum cell_type type;
};

struct table {
    const struct table_column *columns; /* borrowed; NULL: a command without rows */
    size_t n_columns;
    struct buf cells; /* owned; a row is as many cells as columns */
    size_t at;        /* into cells: what has been sent already */
};

/* The formats that a client asks for: none is text, one is for all columns. */
struct table_formats {
    const uint16_t *codes; /* borrowed */
    size_t n;
};

void table_done(struct table *table);

void cell_text(struct buf *cells, const char *text); /* NULL is SQL's NULL */
void cell_int(struct buf *cells, int64_t value);
void cell_unsigned(struct buf *cells, uint64_t value);
void cell_time(struct buf *cells, int64_t monotonic_us);   /* a moment, as people read it */
void cell_pointer(struct buf *cells, const void *pointer); /* NULL: empty */

/* The cell at *at, which is moved behind it; borrowed from cells; NULL is SQL's NULL. */
const char *cell_next(const struct buf *cells, size_t *at);

/* Puts the rows in the order of their texts, by the first column, then the second, and so on. */
void cells_sort(struct buf *cells, size_t n_columns);

void table_describe(const struct table *table, struct buf *out, struct table_formats formats);

/* Appends the rows that are left, `max` at most (0: all of them).  Returns how many. */
size_t table_send(struct table *table, struct buf *out, struct table_formats formats, size_t max);
bool table_at_end(const struct table *table);

#endif
