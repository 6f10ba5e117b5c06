#include "conf/value.h"

#include "conf_test.h"

#include "base/buf.h"

static void booleans_are_digits_or_words(void **state)
{
    static const char *const yes[] = {"1", "on", "true", "yes", "ON", "True", "YES"};
    static const char *const no[] = {"0", "off", "false", "no", "OFF", "False", "No"};
    static const char *const bad[] = {"", "2", "01", "-1", "tru", "onn", " 1", "1 ", "yes,"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        bool value = false;
        assert_true(value_read_bool(yes[i], &value));
        assert_true(value);
        value = true;
        assert_true(value_read_bool(no[i], &value));
        assert_false(value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bool value;
        assert_false(value_read_bool(bad[i], &value));
    }
}

static void integers_are_decimal_hex_or_octal(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},   {"20", 20}, {"0x1F", 31},   {"0777", 511},
        {"-1", -1}, {"+7", 7},  {"-0x10", -16}, {"9223372036854775807", INT64_MAX},
    };
    static const char *const bad[] = {
        "",    " 1",  "1 ",  "1.0", "1e3", "0x", "08",
        "--1", "1kB", "abc", "- 1", "0xg", "+",  "9223372036854775808"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t value = -99;
        assert_true(value_read_int(good[i].text, INT64_MIN, INT64_MAX, &value));
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t value = 5;
        assert_false(value_read_int(bad[i], INT64_MIN, INT64_MAX, &value));
        assert_int_equal(value, 5);
    }
}

static void an_integer_out_of_range_is_refused(void **state)
{
    int64_t value;
    assert_true(value_read_int("1", 1, 3, &value));
    assert_true(value_read_int("3", 1, 3, &value));
    assert_false(value_read_int("0", 1, 3, &value));
    assert_false(value_read_int("4", 1, 3, &value));
}

static void a_mode_is_octal_with_its_zero(void **state)
{
    static const char *const bad[] = {"", "777", "511", "0888", "01000", "0x1ff", "-0700", "07 "};
    int mode = -1;
    assert_true(value_read_mode("0770", &mode));
    assert_int_equal(mode, 0770);
    assert_true(value_read_mode("0", &mode));
    assert_int_equal(mode, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(value_read_mode(bad[i], &mode));
}

static void times_have_decimals_and_units(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"0", 0},           {"15", 15000000},
        {"0.5", 500000},    {"1.25", 1250000},
        {"500ms", 500000},  {"2 min", 120000000},
        {"1h", 3600000000}, {"1.5d", 129600000000},
        {"7us", 7},         {"3s", 3000000},
        {"0.0000001", 1}, /* not 0, which means: off */
        {"0.5us", 1},       {"1000000000000us", 1000000000000},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t us = -1;
        assert_true(value_read_time_us(good[i].text, 1000000, &us));
        assert_int_equal(us, good[i].us);
    }
    int64_t us = -1;
    assert_true(value_read_time_us("15", 1000, &us));
    assert_int_equal(us, 15000);
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "-1",
        "+1",
        "s",
        ".5",
        "5.",
        "1.s",
        "1e3",
        "0x10",
        "inf",
        "nan",
        "1 m",
        "1S",
        "1MS",
        "1 2",
        "1,5",
        "5 secs",
        " 1",
        "1..5",
        "99999999999999999999",
        "9223372036854775807",
        "20000000d",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t us = 5;
        if (value_read_time_us(bad[i], 1000000, &us))
            fail_msg("read as a time: %s", bad[i]);
        assert_int_equal(us, 5);
    }
}

static void a_written_time_reads_the_same(void **state)
{
    static const struct {
        int64_t us, unit;
        const char *text;
    } times[] = {
        {0, 1000000, "0"},        {15000000, 1000000, "15"},
        {500000, 1000000, "0.5"}, {1000001, 1000000, "1.000001"},
        {1500, 1000, "1.5"},      {1, 1000, "0.001"},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct buf out = BUF_NONE;
        int64_t us;
        value_write_time(&out, times[i].us, times[i].unit);
        buf_append_u8(&out, 0);
        assert_string_equal(out.data, times[i].text);
        assert_true(value_read_time_us(out.data, times[i].unit, &us));
        assert_int_equal(us, times[i].us);
        buf_done(&out);
    }
}

static void a_list_has_commas_or_blanks(void **state)
{
    static const char list[] = " a,bc , ,d\te,,";
    static const char *const words[] = {"a", "bc", "d", "e"};
    const char *pos = list;
    struct slice word;
    for (size_t i = 0; i < 4; i++) {
        assert_true(conf_list_next(&pos, &word));
        assert_true(slice_is(word, words[i]));
        assert_true(conf_list_has(list, word.ptr, word.len));
    }
    assert_false(conf_list_next(&pos, &word));
    assert_false(conf_list_has(list, "b", 1));
    assert_false(conf_list_has(list, "A", 1));
    assert_true(conf_list_has_nocase(list, "BC", 2));
    assert_false(conf_list_has("", "a", 1));
    assert_false(conf_list_has(list, "", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(booleans_are_digits_or_words),
        cmocka_unit_test(integers_are_decimal_hex_or_octal),
        cmocka_unit_test(an_integer_out_of_range_is_refused),
        cmocka_unit_test(a_mode_is_octal_with_its_zero),
        cmocka_unit_test(times_have_decimals_and_units),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(a_written_time_reads_the_same),
        cmocka_unit_test(a_list_has_commas_or_blanks),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
