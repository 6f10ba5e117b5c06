#include "admin/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/reader.h"

static const struct table_column columns[] = {
    {"t", CELL_TEXT}, {"i", CELL_INT4}, {"q", CELL_INT8}, {"n", CELL_NUMERIC}};
enum { N = sizeof columns / sizeof *columns };

static struct table one_row(const char *number)
{
    struct table table = {.columns = columns, .n_columns = N};
    for (size_t i = 0; i < N; i++)
        cell_text(&table.cells, number);
    return table;
}

/* The cells of the DataRow at the front of the message. */
static void read_row(const struct buf *out, struct slice cells[N])
{
    struct reader reader = reader_of(out->data, out->len);
    assert_int_equal(read_u8(&reader), 'D');
    assert_int_equal(read_u32(&reader), out->len - 1);
    assert_int_equal(read_u16(&reader), N);
    for (size_t i = 0; i < N; i++)
        cells[i] = read_bytes(&reader, read_u32(&reader));
    assert_false(reader.bad);
    assert_int_equal(reader_left(&reader), 0);
}

static uint64_t number(struct slice cell)
{
    uint64_t value = 0;
    for (size_t i = 0; i < cell.len; i++)
        value = value << 8 | (uint8_t)cell.ptr[i];
    return value;
}

static void text_is_sent_as_it_is(void **state)
{
    struct table table = one_row("-12");
    struct buf out = BUF_NONE;
    struct slice cells[N];
    assert_int_equal(table_send(&table, &out, (struct table_formats){0}, 0), 1);
    read_row(&out, cells);
    for (size_t i = 0; i < N; i++)
        assert_true(slice_is(cells[i], "-12"));
    assert_true(table_at_end(&table));
    buf_done(&out);
    table_done(&table);
}

static void binary_is_of_the_type_of_the_column(void **state)
{
    static const uint16_t binary = 1;
    static const struct {
        const char *text;
        uint64_t int4, int8;
        size_t numeric_len;
        const char *numeric;
    } values[] = {
        {"0", 0, 0, 8, "\0\0\0\0\0\0\0\0"},
        {"7", 7, 7, 10, "\0\1\0\0\0\0\0\0\0\7"},
        {"-7", 0xfffffff9, UINT64_C(0xfffffffffffffff9), 10, "\0\1\0\0\x40\0\0\0\0\7"},
        {"10000", 10000, 10000, 12, "\0\2\0\1\0\0\0\0\0\1\0\0"},
        {"5000000000", INT32_MAX, UINT64_C(5000000000), 14, "\0\3\0\2\0\0\0\0\0\x32\0\0\0\0"},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct table table = one_row(values[i].text);
        struct buf out = BUF_NONE;
        struct slice cells[N];
        table_send(&table, &out, (struct table_formats){.codes = &binary, .n = 1}, 0);
        read_row(&out, cells);
        assert_true(slice_is(cells[0], values[i].text));
        assert_int_equal(cells[1].len, 4);
        assert_int_equal(number(cells[1]), values[i].int4);
        assert_int_equal(cells[2].len, 8);
        assert_int_equal(number(cells[2]), values[i].int8);
        assert_int_equal(cells[3].len, values[i].numeric_len);
        assert_memory_equal(cells[3].ptr, values[i].numeric, cells[3].len);
        buf_done(&out);
        table_done(&table);
    }
}

static void null_is_null_in_both_formats(void **state)
{
    static const uint16_t formats[N] = {0, 1, 1, 1};
    static const char row[] = "D\0\0\0\x16\0\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                              "\xff\xff\xff";
    struct table table = one_row(NULL);
    struct buf out = BUF_NONE;
    table_send(&table, &out, (struct table_formats){.codes = formats, .n = N}, 0);
    assert_int_equal(out.len, sizeof row - 1);
    assert_memory_equal(out.data, row, out.len);
    buf_done(&out);
    table_done(&table);
}

static void rows_are_sent_in_parts(void **state)
{
    struct table table = {.columns = columns, .n_columns = 1};
    struct buf out = BUF_NONE;
    for (int i = 0; i < 5; i++)
        cell_int(&table.cells, i);
    assert_int_equal(table_send(&table, &out, (struct table_formats){0}, 2), 2);
    assert_false(table_at_end(&table));
    assert_int_equal(table_send(&table, &out, (struct table_formats){0}, 3), 3);
    assert_true(table_at_end(&table));
    assert_int_equal(table_send(&table, &out, (struct table_formats){0}, 0), 0);
    buf_done(&out);
    table_done(&table);
}

static void rows_are_sorted_by_their_texts(void **state)
{
    static const char *const rows[][2] = {{"b", "1"},  {"a", "2"}, {"ab", "0"},  {NULL, "9"},
                                          {"a", NULL}, {"a", "1"}, {"\xc3", "3"}};
    static const char *const sorted[][2] = {{NULL, "9"}, {"a", NULL}, {"a", "1"},   {"a", "2"},
                                            {"ab", "0"}, {"b", "1"},  {"\xc3", "3"}};
    enum { ROWS = sizeof rows / sizeof *rows };
    struct buf cells = BUF_NONE, expected = BUF_NONE;
    cells_sort(&cells, 2);
    assert_int_equal(cells.len, 0);
    for (size_t i = 0; i < 2 * ROWS; i++) {
        cell_text(&cells, rows[i / 2][i % 2]);
        cell_text(&expected, sorted[i / 2][i % 2]);
    }
    cells_sort(&cells, 2);
    assert_int_equal(cells.len, expected.len);
    assert_memory_equal(cells.data, expected.data, cells.len);
    buf_done(&cells);
    buf_done(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_sent_as_it_is),
        cmocka_unit_test(binary_is_of_the_type_of_the_column),
        cmocka_unit_test(null_is_null_in_both_formats),
        cmocka_unit_test(rows_are_sent_in_parts),
        cmocka_unit_test(rows_are_sorted_by_their_texts),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
