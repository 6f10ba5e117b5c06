#include "proto/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "proto/startup.h"

#define assert_written(out, text) assert_bytes(out, text, sizeof(text) - 1)

static void assert_bytes(struct buf *out, const char *expected, size_t len)
{
    assert_int_equal(out->len, len);
    assert_memory_equal(out->data, expected, len);
    buf_done(out);
}

static void simple_messages_are_framed(void **state)
{
    static const uint8_t key[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct buf out = BUF_NONE;
    message_auth_ok(&out);
    assert_written(&out, "R\0\0\0\x08\0\0\0\0");
    message_parameter_status(&out, "TimeZone", "");
    assert_written(&out, "S\0\0\0\x0eTimeZone\0\0");
    message_key_data(&out, key);
    assert_written(&out, "K\0\0\0\x0c\1\2\3\4\5\6\7\x08");
    message_ready(&out, 'I');
    assert_written(&out, "Z\0\0\0\x05I");
    message_command_complete(&out, "SHOW");
    assert_written(&out, "C\0\0\0\x09SHOW\0");
    message_empty(&out, '1');
    assert_written(&out, "1\0\0\0\x04");
    message_query(&out, "");
    assert_written(&out, "Q\0\0\0\x05\0");
    message_password(&out, "abc");
    assert_written(&out, "p\0\0\0\x08"
                         "abc\0");
}

static void messages_are_appended(void **state)
{
    struct buf out = BUF_NONE;
    message_command_complete(&out, "A");
    message_ready(&out, 'T');
    assert_written(&out, "C\0\0\0\x06"
                         "A\0Z\0\0\0\x05T");
}

static void rows_are_text(void **state)
{
    static const struct column columns[] = {{"name", 25, -1}, {"n", 20, 8}};
    struct buf out = BUF_NONE;
    message_row_description(&out, columns, 2);
    assert_written(&out, "T\0\0\0\x31\0\2name\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
                         "n\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0");
    size_t mark = message_row_begin(&out, 3);
    message_row_value(&out, "ab");
    message_row_value(&out, NULL);
    message_row_value(&out, "");
    message_end(&out, mark);
    assert_written(&out, "D\0\0\0\x14\0\3\0\0\0\2ab\xff\xff\xff\xff\0\0\0\0");
    message_row_description(&out, NULL, 0);
    assert_written(&out, "T\0\0\0\6\0\0");
}

static void a_startup_packet_reads_back(void **state)
{
    static const struct startup_param params[] = {
        {"user", "joe"}, {"database", "shop"}, {"application_name", ""}};
    struct buf out = BUF_NONE;
    struct startup startup;
    message_startup(&out, params, 3);
    assert_true(startup_parse(out.data, out.len, &startup, NULL));
    assert_string_equal(startup.user, "joe");
    assert_string_equal(startup.database, "shop");
    assert_int_equal(startup.n_params, 1);
    startup_done(&startup);
    buf_done(&out);
}

static void requests_have_no_type(void **state)
{
    static const uint8_t key[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct buf out = BUF_NONE;
    message_cancel(&out, key);
    assert_written(&out, "\0\0\0\x10\x04\xd2\x16\x2e\1\2\3\4\5\6\7\x08");
    message_ssl_request(&out);
    assert_written(&out, "\0\0\0\x08\x04\xd2\x16\x2f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_messages_are_framed),
        cmocka_unit_test(messages_are_appended),
        cmocka_unit_test(rows_are_text),
        cmocka_unit_test(a_startup_packet_reads_back),
        cmocka_unit_test(requests_have_no_type),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
