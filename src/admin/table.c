#include "admin/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "proto/build.h"

/* A cell is one of these, and after CELL_VALUE a C string. */
enum { CELL_NULL = 0, CELL_VALUE = 1 };

void table_done(struct table *table)
{
    buf_done(&table->cells);
    *table = (struct table){0};
}

/* ---- putting in ---- */

void cell_text(struct buf *cells, const char *text)
{
    buf_append_u8(cells, text != NULL ? CELL_VALUE : CELL_NULL);
    if (text != NULL)
        buf_append_cstr(cells, text);
}

void cell_int(struct buf *cells, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    cell_text(cells, text);
}

void cell_unsigned(struct buf *cells, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    cell_text(cells, text);
}

void cell_time(struct buf *cells, int64_t monotonic_us)
{
    char text[40];
    struct tm tm;
    time_t seconds = (time_t)((clock_wall_us() - (clock_now_us() - monotonic_us)) / 1000000);
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
    cell_text(cells, monotonic_us != 0 ? text : "");
}

void cell_pointer(struct buf *cells, const void *pointer)
{
    char text[24];
    snprintf(text, sizeof text, "%p", pointer);
    cell_text(cells, pointer != NULL ? text : "");
}

/* ---- taking out ---- */

const char *cell_next(const struct buf *cells, size_t *at)
{
    assert(*at < cells->len);
    if (cells->data[(*at)++] == CELL_NULL)
        return NULL;
    const char *text = cells->data + *at;
    *at += strlen(text) + 1;
    return text;
}

struct row {
    const char *begin;
    size_t len;
};

/* A cell is a byte for NULL or not and a C string: in this order so are the rows. */
static int by_bytes(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    int order = memcmp(left->begin, right->begin, left->len < right->len ? left->len : right->len);
    return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

void cells_sort(struct buf *cells, size_t n_columns)
{
    struct buf sorted = BUF_NONE, rows = BUF_NONE;
    for (size_t at = 0; at < cells->len;) {
        struct row row = {.begin = cells->data + at};
        for (size_t i = 0; i < n_columns; i++)
            cell_next(cells, &at);
        row.len = (size_t)(cells->data + at - row.begin);
        buf_append(&rows, &row, sizeof row);
    }
    struct row *list = (struct row *)rows.data;
    size_t n = rows.len / sizeof *list;
    if (n > 0)
        qsort(list, n, sizeof *list, by_bytes);
    for (size_t i = 0; i < n; i++)
        buf_append(&sorted, list[i].begin, list[i].len);
    buf_done(&rows);
    buf_done(cells);
    *cells = sorted;
}

static bool is_binary(struct table_formats formats, size_t column)
{
    if (formats.n == 0)
        return false;
    return formats.codes[formats.n == 1 ? 0 : column] == 1;
}

static uint16_t type_len(enum cell_type type)
{
    switch (type) {
    case CELL_INT4:
        return 4;
    case CELL_INT8:
        return 8;
    default:
        return UINT16_MAX; /* -1: variable */
    }
}

void table_describe(const struct table *table, struct buf *out, struct table_formats formats)
{
    size_t mark = message_begin(out, 'T');
    buf_append_u16(out, (uint16_t)table->n_columns);
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct table_column *column = &table->columns[i];
        buf_append_cstr(out, column->name);
        buf_append_u32(out, 0); /* table */
        buf_append_u16(out, 0); /* attribute number */
        buf_append_u32(out, (uint32_t)column->type);
        buf_append_u16(out, type_len(column->type));
        buf_append_u32(out, UINT32_MAX); /* type modifier: -1 */
        buf_append_u16(out, is_binary(formats, i) ? 1 : 0);
    }
    message_end(out, mark);
}

/* Our numerics are whole numbers: groups of four decimal digits, the most significant first. */
static void append_numeric(struct buf *out, const char *text)
{
    enum { BASE = 10000, GROUPS_MAX = 5, NEGATIVE = 0x4000 };
    uint16_t groups[GROUPS_MAX];
    size_t n = 0;
    bool negative = text[0] == '-';
    uint64_t value = strtoull(text + (negative ? 1 : 0), NULL, 10);
    for (; value > 0; value /= BASE)
        groups[n++] = (uint16_t)(value % BASE);
    buf_append_u32(out, (uint32_t)(8 + 2 * n));
    buf_append_u16(out, (uint16_t)n);
    buf_append_u16(out, (uint16_t)(n > 0 ? n - 1 : 0)); /* weight of the first group */
    buf_append_u16(out, negative ? NEGATIVE : 0);
    buf_append_u16(out, 0); /* digits behind the point */
    while (n > 0)
        buf_append_u16(out, groups[--n]);
}

static void append_binary(struct buf *out, enum cell_type type, const char *text)
{
    int64_t value;
    switch (type) {
    case CELL_TEXT:
    case CELL_BYTEA:
        message_row_value(out, text);
        break;
    case CELL_INT4:
        value = strtoll(text, NULL, 10);
        buf_append_u32(out, 4);
        /* The types are PgBouncer's; what does not fit is at least not something else. */
        buf_append_u32(out, (uint32_t)(value > INT32_MAX ? INT32_MAX : value));
        break;
    case CELL_INT8:
        value = strtoll(text, NULL, 10);
        buf_append_u32(out, 8);
        buf_append_u32(out, (uint32_t)((uint64_t)value >> 32));
        buf_append_u32(out, (uint32_t)value);
        break;
    case CELL_NUMERIC:
        append_numeric(out, text);
        break;
    }
}

static void send_cell(struct table *table, struct buf *out, struct table_formats formats,
                      size_t column)
{
    const char *text = cell_next(&table->cells, &table->at);
    if (text != NULL && is_binary(formats, column))
        append_binary(out, table->columns[column].type, text);
    else
        message_row_value(out, text);
}

bool table_at_end(const struct table *table)
{
    return table->at >= table->cells.len;
}

size_t table_send(struct table *table, struct buf *out, struct table_formats formats, size_t max)
{
    size_t sent = 0;
    for (; !table_at_end(table) && (max == 0 || sent < max); sent++) {
        size_t mark = message_row_begin(out, table->n_columns);
        for (size_t i = 0; i < table->n_columns; i++)
            send_cell(table, out, formats, i);
        message_end(out, mark);
    }
    return sent;
}
