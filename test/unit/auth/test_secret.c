#include "auth/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "auth/base64.h"
#include "auth/md5.h"
#include "base/buf.h"

#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define KEY  "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="

static void the_kind_is_told_by_the_text(void **state)
{
    static const struct {
        const char *text;
        enum secret_kind kind;
    } rows[] = {
        {NULL, SECRET_NONE},
        {"", SECRET_NONE},
        {"x", SECRET_PLAIN},
        {"md5", SECRET_PLAIN},
        {"md50123456789abcdef0123456789abcdef", SECRET_MD5},
        {"md50123456789ABCDEF0123456789abcdef", SECRET_PLAIN},
        {"MD50123456789abcdef0123456789abcdef", SECRET_PLAIN},
        {"md50123456789abcdef0123456789abcde", SECRET_PLAIN},
        {"md50123456789abcdef0123456789abcdef0", SECRET_PLAIN},
        {"SCRAM-SHA-256$4096:" SALT "$" KEY ":" KEY, SECRET_SCRAM},
        {"SCRAM-SHA-256$1:" SALT "$" KEY ":" KEY, SECRET_SCRAM},
        {"SCRAM-SHA-256$2147483647:" SALT "$" KEY ":" KEY, SECRET_SCRAM},
        {"SCRAM-SHA-256$2147483648:" SALT "$" KEY ":" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$0:" SALT "$" KEY ":" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$-1:" SALT "$" KEY ":" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$4096x:" SALT "$" KEY ":" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$:" SALT "$" KEY ":" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$99999999999999999999:" SALT "$" KEY ":" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$4096:$" KEY ":" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$4096:*$" KEY ":" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$4096:" SALT "$" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$4096:" SALT "$" KEY ":", SECRET_PLAIN},
        {"SCRAM-SHA-256$4096:" SALT "$" KEY ":" KEY " ", SECRET_PLAIN},
        {"SCRAM-SHA-256$4096:" SALT "$" KEY ":" SALT, SECRET_PLAIN},
        {"SCRAM-SHA-256$4096:" SALT "$" SALT ":" KEY, SECRET_PLAIN},
        {"SCRAM-SHA-256$", SECRET_PLAIN},
        {"SCRAM-SHA-256", SECRET_PLAIN},
        {"SCRAM-SHA-1$4096:" SALT "$" KEY ":" KEY, SECRET_PLAIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(secret_kind_of(rows[i].text), rows[i].kind);
}

static void every_cut_of_a_verifier_is_plaintext(void **state)
{
    static const char verifier[] = "SCRAM-SHA-256$4096:" SALT "$" KEY ":" KEY;
    for (size_t len = 1; len < sizeof verifier - 1; len++) {
        char *cut = strndup(verifier, len);
        assert_int_equal(secret_kind_of(cut), SECRET_PLAIN);
        free(cut);
    }
}

static void secrets_are_equal_by_all_their_bytes(void **state)
{
    assert_true(secret_equal("", 0, "", 0));
    assert_true(secret_equal("a\0b", 3, "a\0b", 3));
    assert_false(secret_equal("a\0b", 3, "a\0c", 3));
    assert_false(secret_equal("ab", 2, "abc", 3));
}

static void base64_is_that_of_the_rfc(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xef\xbf", "/++/"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf text = BUF_NONE;
        uint8_t bytes[8];
        size_t len;
        base64_append(&text, rows[i][0], strlen(rows[i][0]));
        assert_int_equal(text.len, strlen(rows[i][1]));
        if (text.len > 0)
            assert_memory_equal(text.data, rows[i][1], text.len);
        assert_true(
            base64_decode((struct slice){rows[i][1], text.len}, bytes, strlen(rows[i][0]), &len));
        assert_int_equal(len, strlen(rows[i][0]));
        assert_memory_equal(bytes, rows[i][0], len);
        buf_done(&text);
    }
}

static void what_is_not_quite_base64_is_refused(void **state)
{
    static const char *const rows[] = {
        "Z",        "Zg",    "Zg=",   "Zh==",  "Zm9=", "====", "=Zg=", "Z===",
        "Zg==Zg==", "Zm9v ", " Zm9v", "Zm\n9", "Zm9-", "Zm9_", "Zm=v", "Zg==\xff\xff\xff\xff",
        "Zm8=Zm8="};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[16];
        size_t len;
        assert_false(
            base64_decode((struct slice){rows[i], strlen(rows[i])}, bytes, sizeof bytes, &len));
    }
    uint8_t bytes[2];
    size_t len;
    assert_false(base64_decode((struct slice){"Zm9v", 4}, bytes, 2, &len));
    assert_false(base64_decode((struct slice){"Zm\0v", 4}, bytes, 2, &len));
}

static void base64_of_every_byte_reads_back(void **state)
{
    uint8_t all[256], back[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)(i * 7);
    for (size_t n = 0; n <= sizeof all; n++) {
        struct buf text = BUF_NONE;
        size_t len;
        base64_append(&text, all, n);
        assert_true(base64_decode((struct slice){text.data, text.len}, back, n, &len));
        assert_int_equal(len, n);
        assert_memory_equal(back, all, n);
        buf_done(&text);
    }
}

static void md5_hashes_as_postgresql(void **state)
{
    static const uint8_t salt[4] = {1, 2, 3, 4};
    char stored[MD5_TEXT_SIZE], answer[MD5_TEXT_SIZE];
    assert_true(md5_secret("secret", "joe", stored));
    assert_string_equal(stored, "md5c59ec932d911ffdf487595b5a2adf973");
    assert_int_equal(secret_kind_of(stored), SECRET_MD5);
    assert_true(md5_response(stored, salt, answer));
    assert_string_equal(answer, "md5850be429f1fe77df3f603ac424abb440");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kind_is_told_by_the_text),
        cmocka_unit_test(every_cut_of_a_verifier_is_plaintext),
        cmocka_unit_test(secrets_are_equal_by_all_their_bytes),
        cmocka_unit_test(base64_is_that_of_the_rfc),
        cmocka_unit_test(what_is_not_quite_base64_is_refused),
        cmocka_unit_test(base64_of_every_byte_reads_back),
        cmocka_unit_test(md5_hashes_as_postgresql),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
