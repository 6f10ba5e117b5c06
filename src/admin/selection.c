#include "admin/selection.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

struct selection *selection_new(const struct table_column *all, size_t n_all)
{
    struct selection *selection = mem_new(sizeof *selection);
    assert(n_all <= SELECTION_MAX);
    selection->all = all;
    selection->n_all = n_all;
    selection->refs = 1;
    return selection;
}

struct selection *selection_ref(struct selection *selection)
{
    if (selection != NULL)
        selection->refs++;
    return selection;
}

void selection_unref(struct selection *selection)
{
    if (selection == NULL || --selection->refs > 0)
        return;
    for (size_t i = 0; i < selection->n_conditions; i++)
        mem_free(selection->conditions[i].value);
    mem_free(selection);
}

/* ---- making one ---- */

static bool unknown(const struct selection *selection, const char *column, struct err *err)
{
    struct buf names = BUF_NONE;
    for (size_t i = 0; i < selection->n_all; i++)
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", selection->all[i].name);
    buf_append_u8(&names, '\0');
    err_set(err, SQLSTATE_UNDEFINED_COLUMN, "column \"%s\" does not exist", column);
    err_hint(err, "There are: %s.", names.data);
    buf_done(&names);
    return false;
}

static bool find(const struct selection *selection, const char *column, size_t *found,
                 struct err *err)
{
    for (*found = 0; *found < selection->n_all; ++*found) {
        if (strcmp(selection->all[*found].name, column) == 0)
            return true;
    }
    return unknown(selection, column, err);
}

static bool too_many(size_t n, const char *what, struct err *err)
{
    if (n >= SELECTION_MAX)
        err_set(err, SQLSTATE_PROGRAM_LIMIT_EXCEEDED, "more than %d %s", SELECTION_MAX, what);
    return n >= SELECTION_MAX;
}

static void add(struct selection *selection, size_t index)
{
    selection->columns[selection->n_columns] = selection->all[index];
    selection->from[selection->n_columns++] = index;
}

void selection_add_all(struct selection *selection)
{
    for (size_t i = 0; i < selection->n_all; i++)
        add(selection, i);
}

bool selection_add(struct selection *selection, const char *column, struct err *err)
{
    size_t index;
    if (too_many(selection->n_columns, "columns", err) || !find(selection, column, &index, err))
        return false;
    add(selection, index);
    return true;
}

/* A number as a cell has it, however it was written; NULL: it is none. */
static char *canonical(const char *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    bool good = end != value && errno == 0 && *end == '\0';
    return good ? mem_printf("%lld", number) : NULL;
}

bool selection_require(struct selection *selection, const char *column, const char *value,
                       struct err *err)
{
    size_t index;
    if (too_many(selection->n_conditions, "conditions", err) ||
        !find(selection, column, &index, err))
        return false;
    enum cell_type type = selection->all[index].type;
    bool is_number = type != CELL_TEXT && type != CELL_BYTEA;
    char *wanted = is_number ? canonical(value) : mem_strdup(value);
    if (wanted == NULL)
        return err_set(err, SQLSTATE_INVALID_TEXT,
                       "invalid value for column \"%s\", which is a whole number: \"%.200s\"",
                       column, value);
    selection->conditions[selection->n_conditions++] =
        (struct condition){.column = index, .value = wanted};
    return true;
}

/* ---- using it ---- */

static bool is_wanted(const struct selection *selection, const char *const row[])
{
    for (size_t i = 0; i < selection->n_conditions; i++) {
        const struct condition *condition = &selection->conditions[i];
        const char *value = row[condition->column];
        if (value == NULL || strcmp(value, condition->value) != 0)
            return false;
    }
    return true;
}

void selection_apply(const struct selection *selection, struct buf *cells)
{
    struct buf selected = BUF_NONE;
    const char *row[SELECTION_MAX];
    size_t at = 0;
    while (at < cells->len) {
        for (size_t i = 0; i < selection->n_all; i++)
            row[i] = cell_next(cells, &at);
        if (!is_wanted(selection, row))
            continue;
        for (size_t i = 0; i < selection->n_columns; i++)
            cell_text(&selected, row[selection->from[i]]);
    }
    buf_done(cells);
    *cells = selected;
}
