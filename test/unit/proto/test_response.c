#include "proto/response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/reader.h"
#include "proto/utf8.h"

static struct err err_of(const char *sqlstate, const char *message)
{
    struct err err = ERR_NONE;
    err_set(&err, sqlstate, "%s", message);
    return err;
}

static void assert_bytes(struct buf *out, const char *expected, size_t len)
{
    assert_int_equal(out->len, len);
    assert_memory_equal(out->data, expected, len);
    buf_done(out);
}

static void an_error_has_severity_twice_code_and_message(void **state)
{
    static const char expected[] = "E\0\0\0\x26SFATAL\0VFATAL\0C28P01\0Mwrong pass\0";
    struct buf out = BUF_NONE;
    struct err err = err_of("28P01", "wrong pass");
    response_error(&out, "FATAL", &err);
    assert_bytes(&out, expected, sizeof expected);
}

static void detail_and_hint_follow_if_present(void **state)
{
    static const char expected[] = "E\0\0\0\x25SERROR\0VERROR\0C22023\0Mm\0DD.\0HH.\0";
    struct buf out = BUF_NONE;
    struct err err = err_of("22023", "m");
    err_detail(&err, "D.");
    err_hint(&err, "H.");
    response_error(&out, "ERROR", &err);
    assert_bytes(&out, expected, sizeof expected);
}

static void a_notice_differs_by_its_type(void **state)
{
    static const char expected[] = "N\0\0\0\x22SNOTICE\0VNOTICE\0C00000\0Mm\0Dd\0";
    struct buf out = BUF_NONE;
    response_notice(&out, "NOTICE", "00000", "m", "d");
    assert_bytes(&out, expected, sizeof expected);
}

static void a_missing_code_is_an_internal_error(void **state)
{
    struct buf out = BUF_NONE;
    struct err err = err_of("", "m"), back;
    response_error(&out, "ERROR", &err);
    response_parse(out.data + 5, out.len - 5, &back, NULL);
    assert_string_equal(back.sqlstate, "XX000");
    buf_done(&out);
}

/* Walks the fields as a client would: the framing must hold whatever the text is. */
static void assert_framed(const struct buf *out, size_t n_fields)
{
    struct reader in = reader_of(out->data + 1, out->len - 1);
    assert_int_equal(read_u32(&in), out->len - 1);
    for (size_t i = 0; i < n_fields; i++) {
        assert_true(read_u8(&in) != 0);
        assert_non_null(read_cstr(&in));
    }
    assert_int_equal(read_u8(&in), 0);
    assert_int_equal(reader_left(&in), 0);
    assert_false(in.bad);
}

static void garbage_in_a_text_keeps_the_framing(void **state)
{
    struct buf out = BUF_NONE;
    struct err err = err_of("22021", "a\x01\n\xff\xc3(\xed\xa0\x80\xe2\x82\xac\xf0\x9f");
    response_error(&out, "ERROR", &err);
    assert_framed(&out, 4);
    struct err back;
    response_parse(out.data + 5, out.len - 5, &back, NULL);
    assert_string_equal(back.message, "a\x01\n?"
                                      "?(?"
                                      "?"
                                      "?\xe2\x82\xac?"
                                      "?");
    buf_done(&out);
}

static void a_text_that_was_cut_inside_a_character_stays_valid(void **state)
{
    char text[2 * ERR_TEXT_MAX];
    struct buf out = BUF_NONE;
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i + 1 < sizeof text - 1; i += 2)
        memcpy(text + i + 1, "\xc3\xa9", i + 2 < sizeof text - 1 ? 2 : 1);
    text[sizeof text - 1] = '\0';
    struct err err = err_of("XX000", text);
    response_error(&out, "ERROR", &err);
    assert_framed(&out, 4);
    buf_done(&out);
}

static void what_we_write_reads_back(void **state)
{
    struct buf out = BUF_NONE;
    struct err err = err_of("53300", "no server"), back;
    const char *severity;
    err_detail(&err, "Detail.");
    err_hint(&err, "Hint.");
    response_error(&out, "FATAL", &err);
    response_parse(out.data + 5, out.len - 5, &back, &severity);
    assert_string_equal(severity, "FATAL");
    assert_string_equal(back.sqlstate, "53300");
    assert_string_equal(back.message, "no server");
    assert_string_equal(back.detail, "Detail.");
    assert_string_equal(back.hint, "Hint.");
    buf_done(&out);
}

#define NO_MESSAGE "server sent an error without a message"

static void every_field_is_optional(void **state)
{
    static const struct {
        const char *body;
        size_t len;
        const char *severity, *sqlstate, *message, *detail;
    } rows[] = {
        {"", 0, "", "XX000", NO_MESSAGE, ""},
        {"\0", 1, "", "XX000", NO_MESSAGE, ""},
        {"SFEHLER\0VERROR\0\0", 16, "ERROR", "XX000", NO_MESSAGE, ""},
        {"VERROR\0SFEHLER\0\0", 16, "ERROR", "XX000", NO_MESSAGE, ""},
        {"SFEHLER\0\0", 9, "FEHLER", "XX000", NO_MESSAGE, ""},
        {"Mm\0\0", 4, "", "XX000", "m", ""},
        {"C57P03\0Mm\0Dd\0\0", 14, "", "57P03", "m", "d"},
        {"C57\0\0", 5, "", "XX000", NO_MESSAGE, ""},
        {"C57p03\0\0", 8, "", "XX000", NO_MESSAGE, ""},
        {"C57P03999\0\0", 11, "", "XX000", NO_MESSAGE, ""},
        {"C57P03\0Mm", 9, "", "57P03", NO_MESSAGE, ""},
        {"C57P03\0Mm\0", 10, "", "57P03", "m", ""},
        {"C57P03\0M", 8, "", "57P03", NO_MESSAGE, ""},
        {"?what\0Zz\0Mm\0\0", 13, "", "XX000", "m", ""},
        {"Mm\0\0Mn\0\0", 8, "", "XX000", "m", ""},
        {"M%s%n\0\0", 7, "", "XX000", "%s%n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = ERR_NONE;
        const char *severity;
        char *copy = malloc(rows[i].len + 1);
        memcpy(copy, rows[i].body, rows[i].len);
        copy = realloc(copy, rows[i].len > 0 ? rows[i].len : 1);
        response_parse(copy, rows[i].len, &err, &severity);
        assert_string_equal(severity, rows[i].severity);
        assert_string_equal(err.sqlstate, rows[i].sqlstate);
        assert_string_equal(err.message, rows[i].message);
        assert_string_equal(err.detail, rows[i].detail);
        free(copy);
    }
}

static void utf8_is_checked_as_unicode_has_it(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {
        {"a", 1},
        {"\xc2\x80", 2},
        {"\xe0\xa0\x80", 3},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xed\x9f\xbf", 3},
        {"\x80", 0},
        {"\xc0\x80", 0},
        {"\xc1\xbf", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xed\xa0\x80", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xc3", 0},
        {"\xe2\x82", 0},
        {"\xf0\x9f\x98", 0},
        {"\xc3(", 0},
        {"\xff", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(utf8_char_len(rows[i].text, strlen(rows[i].text)), rows[i].len);
    assert_int_equal(utf8_prefix_len("ab\xc3\xa9", 4, 3), 2);
    assert_int_equal(utf8_prefix_len("ab\xc3\xa9", 4, 4), 4);
    assert_int_equal(utf8_prefix_len("ab\xff\xff", 4, 3), 3);
    assert_int_equal(utf8_prefix_len("ab", 2, 9), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_has_severity_twice_code_and_message),
        cmocka_unit_test(detail_and_hint_follow_if_present),
        cmocka_unit_test(a_notice_differs_by_its_type),
        cmocka_unit_test(a_missing_code_is_an_internal_error),
        cmocka_unit_test(garbage_in_a_text_keeps_the_framing),
        cmocka_unit_test(a_text_that_was_cut_inside_a_character_stays_valid),
        cmocka_unit_test(what_we_write_reads_back),
        cmocka_unit_test(every_field_is_optional),
        cmocka_unit_test(utf8_is_checked_as_unicode_has_it),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
