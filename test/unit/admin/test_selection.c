#include "admin/selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

static const struct table_column columns[] = {
    {"name", CELL_TEXT}, {"items", CELL_INT4}, {"total", CELL_NUMERIC}};

static struct buf three_rows(void)
{
    struct buf cells = BUF_NONE;
    cell_text(&cells, "a");
    cell_int(&cells, 1);
    cell_int(&cells, 10);
    cell_text(&cells, NULL);
    cell_int(&cells, 2);
    cell_int(&cells, -10);
    cell_text(&cells, "a");
    cell_int(&cells, 2);
    cell_int(&cells, 10);
    return cells;
}

/* The cells, with blanks between them; consumed. */
static void assert_cells(struct buf *cells, const char *expected)
{
    struct buf text = BUF_NONE;
    for (size_t at = 0; at < cells->len;) {
        const char *cell = cell_next(cells, &at);
        buf_printf(&text, "%s%s", text.len > 0 ? " " : "", cell != NULL ? cell : "null");
    }
    buf_append_u8(&text, '\0');
    assert_string_equal(text.data, expected);
    buf_done(&text);
    buf_done(cells);
}

static struct selection *select_nothing_yet(void)
{
    return selection_new(columns, sizeof columns / sizeof *columns);
}

static void columns_come_in_the_order_asked_for(void **state)
{
    struct selection *selection = select_nothing_yet();
    struct err err;
    assert_true(selection_add(selection, "total", &err));
    assert_true(selection_add(selection, "name", &err));
    assert_true(selection_add(selection, "total", &err));
    assert_int_equal(selection->n_columns, 3);
    assert_string_equal(selection->columns[1].name, "name");
    assert_int_equal(selection->columns[2].type, CELL_NUMERIC);
    struct buf cells = three_rows();
    selection_apply(selection, &cells);
    assert_cells(&cells, "10 a 10 -10 null -10 10 a 10");
    selection_unref(selection);
}

static void rows_must_meet_all_conditions(void **state)
{
    struct selection *selection = select_nothing_yet();
    struct err err;
    selection_add_all(selection);
    struct buf cells = three_rows();
    assert_true(selection_require(selection, "name", "a", &err));
    selection_apply(selection, &cells);
    assert_cells(&cells, "a 1 10 a 2 10");
    cells = three_rows();
    assert_true(selection_require(selection, "items", "2", &err));
    selection_apply(selection, &cells);
    assert_cells(&cells, "a 2 10");
    assert_true(selection_require(selection, "items", "3", &err));
    cells = three_rows();
    selection_apply(selection, &cells);
    assert_cells(&cells, "");
    selection_unref(selection);
}

static void null_is_equal_to_nothing(void **state)
{
    static const char *const values[] = {"", "null"};
    for (size_t i = 0; i < 2; i++) {
        struct selection *selection = select_nothing_yet();
        struct err err;
        selection_add_all(selection);
        assert_true(selection_require(selection, "name", values[i], &err));
        struct buf cells = three_rows();
        selection_apply(selection, &cells);
        assert_cells(&cells, "");
        selection_unref(selection);
    }
}

static void a_condition_need_not_be_on_a_shown_column(void **state)
{
    struct selection *selection = select_nothing_yet();
    struct err err;
    assert_true(selection_add(selection, "items", &err));
    assert_true(selection_require(selection, "total", "-10", &err));
    struct buf cells = three_rows();
    selection_apply(selection, &cells);
    assert_cells(&cells, "2");
    selection_unref(selection);
}

static void numbers_are_compared_as_numbers(void **state)
{
    static const char *const same[] = {"10", "010", "+10", " 10"};
    static const char *const bad[] = {"", "ten", "10x", "1.5", "99999999999999999999"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct selection *selection = select_nothing_yet();
        struct err err;
        assert_true(selection_add(selection, "items", &err));
        assert_true(selection_require(selection, "total", same[i], &err));
        struct buf cells = three_rows();
        selection_apply(selection, &cells);
        assert_cells(&cells, "1 2");
        selection_unref(selection);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct selection *selection = select_nothing_yet();
        struct err err;
        assert_false(selection_require(selection, "items", bad[i], &err));
        assert_string_equal(err.sqlstate, SQLSTATE_INVALID_TEXT);
        selection_unref(selection);
    }
}

static void an_unknown_column_names_those_there_are(void **state)
{
    struct selection *selection = select_nothing_yet();
    struct err err;
    assert_false(selection_add(selection, "nmae", &err));
    assert_string_equal(err.sqlstate, SQLSTATE_UNDEFINED_COLUMN);
    assert_string_equal(err.message, "column \"nmae\" does not exist");
    assert_string_equal(err.hint, "There are: name, items, total.");
    assert_false(selection_require(selection, "Name", "a", &err));
    assert_string_equal(err.sqlstate, SQLSTATE_UNDEFINED_COLUMN);
    selection_unref(selection);
}

static void what_a_client_sends_bounds_no_row(void **state)
{
    struct selection *selection = select_nothing_yet();
    struct err err;
    for (size_t i = 0; i < SELECTION_MAX; i++) {
        assert_true(selection_add(selection, "name", &err));
        assert_true(selection_require(selection, "name", "a", &err));
    }
    assert_false(selection_add(selection, "name", &err));
    assert_string_equal(err.sqlstate, SQLSTATE_PROGRAM_LIMIT_EXCEEDED);
    assert_false(selection_require(selection, "name", "a", &err));
    assert_string_equal(err.sqlstate, SQLSTATE_PROGRAM_LIMIT_EXCEEDED);
    struct buf cells = three_rows();
    selection_apply(selection, &cells);
    assert_int_equal(cells.len, 2 * SELECTION_MAX * 3);
    buf_done(&cells);
    selection_unref(selection_ref(selection));
    selection_unref(selection);
    selection_unref(selection_ref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_come_in_the_order_asked_for),
        cmocka_unit_test(rows_must_meet_all_conditions),
        cmocka_unit_test(null_is_equal_to_nothing),
        cmocka_unit_test(a_condition_need_not_be_on_a_shown_column),
        cmocka_unit_test(numbers_are_compared_as_numbers),
        cmocka_unit_test(an_unknown_column_names_those_there_are),
        cmocka_unit_test(what_a_client_sends_bounds_no_row),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
