#include "proto/startup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "proto/build.h"

/* A packet with a length word, from the code and the bytes behind it. */
static struct buf packet_of(uint32_t code, const void *rest, size_t len)
{
    struct buf packet = BUF_NONE;
    buf_append_u32(&packet, (uint32_t)(8 + len));
    buf_append_u32(&packet, code);
    buf_append(&packet, rest, len);
    return packet;
}

/* The NUL of the literal is the terminator of the packet; RAW has none. */
#define SESSION(text) packet_of(STARTUP_PROTOCOL_3_0, text, sizeof(text))
#define RAW(text)     packet_of(STARTUP_PROTOCOL_3_0, text, sizeof(text) - 1)

/* Parses a copy that ends where the memory ends, so that a sanitizer sees a read beyond it. */
static bool parse(const struct buf *packet, struct startup *out, struct err *err, char **copy)
{
    *copy = malloc(packet->len > 0 ? packet->len : 1);
    if (packet->len > 0)
        memcpy(*copy, packet->data, packet->len);
    return startup_parse(*copy, packet->len, out, err);
}

static void assert_refused(struct buf packet, const char *sqlstate, const char *message)
{
    struct startup startup;
    struct err err = ERR_NONE;
    char *copy;
    assert_false(parse(&packet, &startup, &err, &copy));
    assert_string_equal(err.message, message);
    assert_string_equal(err.sqlstate, sqlstate);
    startup_done(&startup);
    free(copy);
    buf_done(&packet);
}

static struct startup parsed;
static char *parsed_copy;

static struct startup *assert_parsed(struct buf packet)
{
    struct err err = ERR_NONE;
    if (!parse(&packet, &parsed, &err, &parsed_copy))
        fail_msg("%s", err.message);
    buf_done(&packet);
    return &parsed;
}

static void done(void)
{
    startup_done(&parsed);
    free(parsed_copy);
}

#define LAYOUT  "invalid startup packet layout: expected terminator as last byte"
#define LENGTH  "invalid length of startup packet"
#define NO_USER "no PostgreSQL user name specified in startup packet"

static void lengths_are_those_of_postgresql(void **state)
{
    static const uint32_t refused[] = {0, 3, 4, 7, 10005, 20000, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_false(startup_length_ok(refused[i]));
    static const uint32_t accepted[] = {8, 9, 5058, 9058, 10000, 10004};
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
        assert_true(startup_length_ok(accepted[i]));
}

static void a_session_names_user_database_and_parameters(void **state)
{
    struct startup *startup =
        assert_parsed(SESSION("user\0joe\0database\0shop\0application_name\0psql\0"
                              "options\0-c a=b\0replication\0false\0DateStyle\0ISO\0"));
    assert_int_equal(startup->kind, STARTUP_SESSION);
    assert_int_equal(startup->major, 3);
    assert_int_equal(startup->minor, 0);
    assert_string_equal(startup->user, "joe");
    assert_string_equal(startup->database, "shop");
    assert_string_equal(startup->options, "-c a=b");
    assert_string_equal(startup->replication, "false");
    assert_int_equal(startup->n_params, 2);
    assert_string_equal(startup->params[0].name, "application_name");
    assert_string_equal(startup->params[0].value, "psql");
    assert_string_equal(startup->params[1].name, "DateStyle");
    assert_int_equal(startup->n_unknown_pq, 0);
    done();
}

static void what_is_absent_is_null(void **state)
{
    struct startup *startup = assert_parsed(SESSION("user\0joe\0database\0\0"));
    assert_null(startup->database);
    assert_null(startup->options);
    assert_null(startup->replication);
    assert_int_equal(startup->n_params, 0);
    done();
}

static void the_last_of_duplicates_wins(void **state)
{
    struct startup *startup =
        assert_parsed(SESSION("user\0joe\0database\0a\0user\0ann\0database\0b\0"));
    assert_string_equal(startup->user, "ann");
    assert_string_equal(startup->database, "b");
    done();
}

static void an_empty_duplicate_of_the_user_wins_and_is_refused(void **state)
{
    assert_refused(SESSION("user\0joe\0user\0\0"), "28000", NO_USER);
}

static void values_may_hold_any_bytes(void **state)
{
    struct startup *startup = assert_parsed(SESSION("user\0j\n\xff%s\"\0x\0\x01\x80\0"));
    assert_string_equal(startup->user, "j\n\xff%s\"");
    assert_string_equal(startup->params[0].value, "\x01\x80");
    done();
}

static void long_names_are_cut_between_characters(void **state)
{
    char name[200];
    struct buf packet = BUF_NONE;
    memset(name, 'a', sizeof name);
    memcpy(name + 62, "\xc3\xa9", 2); /* one character across the limit */
    name[100] = '\0';
    buf_append_str(&packet, "user");
    buf_append_u8(&packet, 0);
    buf_append_cstr(&packet, name);
    buf_append_cstr(&packet, "database");
    memset(name, 'b', 100);
    buf_append_cstr(&packet, name);
    buf_append_u8(&packet, 0);
    struct startup *startup =
        assert_parsed(packet_of(STARTUP_PROTOCOL_3_0, packet.data, packet.len));
    assert_int_equal(strlen(startup->user), 62);
    assert_int_equal(strlen(startup->database), 63);
    done();
    buf_done(&packet);
}

static void a_name_of_63_bytes_is_not_cut(void **state)
{
    char name[64];
    struct buf rest = BUF_NONE;
    memset(name, 'a', 63);
    name[63] = '\0';
    buf_append_cstr(&rest, "user");
    buf_append_cstr(&rest, name);
    buf_append_u8(&rest, 0);
    struct startup *startup = assert_parsed(packet_of(STARTUP_PROTOCOL_3_0, rest.data, rest.len));
    assert_string_equal(startup->user, name);
    done();
    buf_done(&rest);
}

static void the_largest_packet_is_accepted(void **state)
{
    struct buf rest = BUF_NONE;
    buf_append(&rest, "user\0joe", 9);
    while (rest.len + 3 <= STARTUP_MAX_PACKET - 8 - 3)
        buf_append(&rest, "a\0", 3);
    buf_append(&rest, "b\0", rest.len + 4 <= STARTUP_MAX_PACKET - 8 ? 3 : 0);
    buf_append_u8(&rest, 0);
    struct startup *startup = assert_parsed(packet_of(STARTUP_PROTOCOL_3_0, rest.data, rest.len));
    assert_true(startup->n_params > 3300);
    done();
    buf_done(&rest);
}

static void requests_are_told_by_their_code(void **state)
{
    assert_int_equal(assert_parsed(packet_of(STARTUP_CODE_SSL, "", 0))->kind, STARTUP_SSL_REQUEST);
    done();
    assert_int_equal(assert_parsed(packet_of(STARTUP_CODE_GSS, "", 0))->kind, STARTUP_GSS_REQUEST);
    done();
}

static void a_cancel_request_carries_its_key(void **state)
{
    struct startup *startup = assert_parsed(packet_of(STARTUP_CODE_CANCEL, "12345678", 8));
    assert_int_equal(startup->kind, STARTUP_CANCEL);
    assert_int_equal(startup->cancel_key.len, 8);
    assert_memory_equal(startup->cancel_key.ptr, "12345678", 8);
    done();
    char longer[300] = "";
    assert_int_equal(assert_parsed(packet_of(STARTUP_CODE_CANCEL, longer, 260))->cancel_key.len,
                     260);
    done();
    assert_refused(packet_of(STARTUP_CODE_CANCEL, longer, 7), "08P01", LENGTH);
    assert_refused(packet_of(STARTUP_CODE_CANCEL, longer, 0), "08P01", LENGTH);
    assert_refused(packet_of(STARTUP_CODE_CANCEL, longer, 261), "08P01", LENGTH);
}

static void other_protocols_are_refused(void **state)
{
    static const struct {
        uint32_t code;
        const char *message;
    } rows[] = {
        {0x00010000, "unsupported frontend protocol 1.0: server supports 3.0 to 3.0"},
        {0x00020000, "unsupported frontend protocol 2.0: server supports 3.0 to 3.0"},
        {0x00040000, "unsupported frontend protocol 4.0: server supports 3.0 to 3.0"},
        {80877101, "unsupported frontend protocol 1234.5677: server supports 3.0 to 3.0"},
        {0xffffffff, "unsupported frontend protocol 65535.65535: server supports 3.0 to 3.0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_refused(packet_of(rows[i].code, "user\0joe\0", 10), "0A000", rows[i].message);
}

static void invalid_layouts_are_refused(void **state)
{
    assert_refused(RAW(""), "08P01", LAYOUT);
    assert_refused(RAW("\0"), "28000", NO_USER);
    assert_refused(RAW("user\0\0"), "08P01", LAYOUT);
    assert_refused(RAW("user\0\0\0"), "28000", NO_USER);
    assert_refused(RAW("database\0shop\0\0"), "28000", NO_USER);
    assert_refused(RAW("user"), "08P01", LAYOUT);
    assert_refused(RAW("user\0joe"), "08P01", LAYOUT);
    assert_refused(RAW("user\0joe\0"), "08P01", LAYOUT);
    assert_refused(RAW("user\0joe\0database\0"), "08P01", LAYOUT);
    assert_refused(RAW("user\0joe\0\0x"), "08P01", LAYOUT);
    assert_refused(RAW("user\0joe\0\0user\0ann\0\0"), "08P01", LAYOUT);
}

static void a_wrong_length_word_is_refused(void **state)
{
    struct buf packet = RAW("user\0joe\0\0");
    buf_put_u32(&packet, 0, (uint32_t)packet.len + 1);
    assert_refused(packet, "08P01", LENGTH);
}

static void every_cut_of_a_packet_is_refused(void **state)
{
    static const char rest[] = "user\0joe\0database\0shop\0_pq_.x\0"
                               "1\0client_encoding\0UTF8\0";
    for (size_t len = 0; len < sizeof rest - 1; len++) {
        struct buf packet = packet_of(STARTUP_PROTOCOL_3_0, rest, len);
        struct startup startup;
        char *copy;
        assert_false(parse(&packet, &startup, NULL, &copy));
        free(copy);
        buf_done(&packet);
    }
    for (size_t len = 0; len < 8; len++) {
        struct buf packet = BUF_NONE;
        buf_append(&packet, "\0\0\0\x08\0\x03\0\0", len);
        assert_refused(packet, "08P01", LENGTH);
    }
    assert_parsed(packet_of(STARTUP_PROTOCOL_3_0, rest, sizeof rest));
    done();
}

/* --- NegotiateProtocolVersion --- */

static void negotiation_names_3_0_and_unknown_options(void **state)
{
    struct buf out = BUF_NONE;
    startup_negotiate_version(
        &out, assert_parsed(packet_of(0x00030002, "user\0joe\0_pq_.a\0b\0_pq_.\0\0", 26)));
    static const char expected[] = "v\0\0\0\x19\0\x03\0\0\0\0\0\x02_pq_.a\0_pq_.";
    assert_int_equal(parsed.n_params, 0);
    assert_int_equal(out.len, sizeof expected);
    assert_memory_equal(out.data, expected, sizeof expected);
    done();
    buf_done(&out);
}

static void nothing_is_negotiated_with_a_plain_client(void **state)
{
    struct buf out = BUF_NONE;
    startup_negotiate_version(&out, assert_parsed(SESSION("user\0joe\0")));
    assert_int_equal(out.len, 0);
    done();
    startup_negotiate_version(&out, assert_parsed(packet_of(0x0003270f, "user\0joe\0", 10)));
    assert_int_equal(out.len, 13);
    done();
    buf_done(&out);
}

/* --- replication --- */

static void replication_is_a_boolean_or_database(void **state)
{
    static const struct {
        const char *value;
        enum startup_replication expected;
    } rows[] = {
        {NULL, STARTUP_NO_REPLICATION},
        {"false", STARTUP_NO_REPLICATION},
        {"F", STARTUP_NO_REPLICATION},
        {"off", STARTUP_NO_REPLICATION},
        {"0", STARTUP_NO_REPLICATION},
        {"no", STARTUP_NO_REPLICATION},
        {"true", STARTUP_PHYSICAL_REPLICATION},
        {"on", STARTUP_PHYSICAL_REPLICATION},
        {"YES", STARTUP_PHYSICAL_REPLICATION},
        {"1", STARTUP_PHYSICAL_REPLICATION},
        {"database", STARTUP_LOGICAL_REPLICATION},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum startup_replication mode;
        assert_true(
            startup_replication_of(&(struct startup){.replication = rows[i].value}, &mode, NULL));
        assert_int_equal(mode, rows[i].expected);
    }
    static const char *const refused[] = {"", "o", "bogus", "Database", "truely", "10", " 1"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        enum startup_replication mode;
        struct err err = ERR_NONE;
        assert_false(
            startup_replication_of(&(struct startup){.replication = refused[i]}, &mode, &err));
        assert_string_equal(err.sqlstate, "22023");
    }
}

/* --- options --- */

static bool note(const char *name, const char *value, void *arg, struct err *err)
{
    buf_printf(arg, "[%s|%s]", name, value);
    return strcmp(name, "stop") != 0 || err_set(err, "08P01", "stopped");
}

static bool parse_options(const char *options, char **settings, struct err *err)
{
    struct buf text = BUF_NONE;
    char *copy = mem_strdup(options);
    bool ok = startup_options_parse(copy, note, &text, err);
    buf_append_u8(&text, 0);
    *settings = text.data;
    mem_free(copy);
    return ok;
}

static void options_are_settings_in_three_spellings(void **state)
{
    static const struct {
        const char *options, *expected;
    } rows[] = {
        {"", ""},
        {" \t\n", ""},
        {"-c a=b", "[a|b]"},
        {"-ca=b", "[a|b]"},
        {"--a=b", "[a|b]"},
        {"  -c  a=b --c=d  -ce=f  ", "[a|b][c|d][e|f]"},
        {"-c search_path=a\\ b,\\\\c", "[search_path|a b,\\c]"},
        {"--a\\=b=c", "[a|b=c]"},
        {"--a=b=c", "[a|b=c]"},
        {"--a=", "[a|]"},
        {"--a=b\\", "[a|b]"},
        {"--lock-timeout=1", "[lock_timeout|1]"},
        {"--a=-c -c b=--d", "[a|-c][b|--d]"},
        {"-c\na=\xff", "[a|\xff]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *settings;
        assert_true(parse_options(rows[i].options, &settings, NULL));
        assert_string_equal(settings, rows[i].expected);
        mem_free(settings);
    }
}

static void other_options_are_refused(void **state)
{
    static const char *const rows[] = {
        "-d 5",  "a=b", "-",    "--",      "-c",     "-c ",       "-c a",    "--a",      "--=b",
        "-c =b", "\\",  "-B 5", "- c a=b", "-C a=b", "--a=b c=d", "--a=b -", "-c a=b -d"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *settings;
        struct err err = ERR_NONE;
        assert_false(parse_options(rows[i], &settings, &err));
        assert_string_equal(err.message,
                            "unsupported options startup parameter: only '-c config=val' and "
                            "'--config=val' are allowed");
        mem_free(settings);
    }
}

static void the_callback_may_stop_the_parsing(void **state)
{
    char *settings;
    struct err err = ERR_NONE;
    assert_false(parse_options("--a=b --stop=1 --c=d", &settings, &err));
    assert_string_equal(settings, "[a|b][stop|1]");
    assert_string_equal(err.message, "stopped");
    mem_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_those_of_postgresql),
        cmocka_unit_test(a_session_names_user_database_and_parameters),
        cmocka_unit_test(what_is_absent_is_null),
        cmocka_unit_test(the_last_of_duplicates_wins),
        cmocka_unit_test(an_empty_duplicate_of_the_user_wins_and_is_refused),
        cmocka_unit_test(values_may_hold_any_bytes),
        cmocka_unit_test(long_names_are_cut_between_characters),
        cmocka_unit_test(a_name_of_63_bytes_is_not_cut),
        cmocka_unit_test(the_largest_packet_is_accepted),
        cmocka_unit_test(requests_are_told_by_their_code),
        cmocka_unit_test(a_cancel_request_carries_its_key),
        cmocka_unit_test(other_protocols_are_refused),
        cmocka_unit_test(invalid_layouts_are_refused),
        cmocka_unit_test(a_wrong_length_word_is_refused),
        cmocka_unit_test(every_cut_of_a_packet_is_refused),
        cmocka_unit_test(negotiation_names_3_0_and_unknown_options),
        cmocka_unit_test(nothing_is_negotiated_with_a_plain_client),
        cmocka_unit_test(replication_is_a_boolean_or_database),
        cmocka_unit_test(options_are_settings_in_three_spellings),
        cmocka_unit_test(other_options_are_refused),
        cmocka_unit_test(the_callback_may_stop_the_parsing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
