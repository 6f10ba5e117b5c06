#include "auth/scram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "auth/base64.h"
#include "auth/saslprep.h"
#include "base/limits.h"
#include "base/mem.h"

#define SALT "W22ZaJ0SNY7soEsUEjb6gQ==" /* of RFC 7677 */

static struct scram_salt rfc_salt(void)
{
    struct scram_salt salt = {.iterations = 4096};
    assert_true(
        base64_decode((struct slice){SALT, strlen(SALT)}, salt.bytes, SCRAM_SALT_MAX, &salt.len));
    return salt;
}

static char *verifier_text_of(const char *password)
{
    struct scram_salt salt = rfc_salt();
    struct scram_keys keys;
    struct scram_verifier verifier;
    assert_true(scram_keys_derive(password, &salt, &keys));
    assert_true(scram_verifier_of_keys(&keys, &verifier));
    return scram_verifier_text(&verifier);
}

static void a_verifier_is_that_of_postgresql(void **state)
{
    char *text = verifier_text_of("pencil");
    assert_string_equal(text,
                        "SCRAM-SHA-256$4096:" SALT "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
                        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    mem_free(text);
}

static void a_verifier_reads_back(void **state)
{
    char *text = verifier_text_of("pencil");
    struct scram_verifier verifier;
    assert_true(scram_verifier_parse(text, &verifier));
    char *again = scram_verifier_text(&verifier);
    assert_string_equal(again, text);
    mem_free(again);
    mem_free(text);
}

static void salts_are_up_to_128_bytes_long(void **state)
{
    static const size_t lengths[] = {1, 16, 32, SCRAM_SALT_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct scram_verifier verifier = {.salt = {.iterations = 1, .len = lengths[i]}}, back;
        char *text = scram_verifier_text(&verifier);
        assert_true(scram_verifier_parse(text, &back));
        assert_true(scram_salt_equal(&verifier.salt, &back.salt));
        mem_free(text);
    }
    char text[600] = "SCRAM-SHA-256$1:";
    memset(text + strlen(text), 'A', 176); /* 132 bytes */
    strcat(text, "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
                 ":WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
    struct scram_verifier verifier;
    assert_false(scram_verifier_parse(text, &verifier));
}

static void the_salt_of_a_user_is_stable(void **state)
{
    static const uint8_t key[32] = {1}, other_key[32] = {2};
    struct scram_salt a, b;
    assert_true(scram_salt_of_user("joe", key, 4096, &a));
    assert_true(scram_salt_of_user("joe", key, 4096, &b));
    assert_true(scram_salt_equal(&a, &b));
    assert_int_equal(a.len, SCRAM_SALT_LEN);
    assert_true(scram_salt_of_user("ann", key, 4096, &b));
    assert_false(scram_salt_equal(&a, &b));
    assert_true(scram_salt_of_user("joe", other_key, 4096, &b));
    assert_false(scram_salt_equal(&a, &b));
}

static void iterations_are_plain_numbers(void **state)
{
    static const struct {
        const char *text;
        int value;
    } rows[] = {
        {"1", 1},
        {"4096", 4096},
        {"1000000", 1000000},
        {"1000001", 0},
        {"", 0},
        {"0", 0},
        {"01", 0},
        {"-1", 0},
        {"+1", 0},
        {" 1", 0},
        {"1 ", 0},
        {"4096x", 0},
        {"0x10", 0},
        {"2147483648", 0},
        {"4294967297", 0},
        {"18446744073709551617", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int value = 0;
        bool ok = scram_iterations_parse(rows[i].text, strlen(rows[i].text), LIMIT_SCRAM_ITERATIONS,
                                         &value);
        assert_int_equal(ok, rows[i].value != 0);
        assert_int_equal(value, rows[i].value);
    }
}

static void passwords_are_prepared(void **state)
{
    static const struct {
        const char *password, *prepared;
    } rows[] = {
        {"", ""},
        {"plain \x01\x7f", "plain \x01\x7f"}, /* ASCII: untouched */
        {"I\xc2\xadX", "IX"},                 /* soft hyphen: mapped to nothing */
        {"\xc2\xaa", "a"},                    /* NFKC: feminine ordinal */
        {"\xe2\x85\xa8", "IX"},               /* NFKC: Roman nine */
        {"a\xc2\xa0"
         "b",
         "a b"},                   /* no-break space */
        {"e\xcc\x81", "\xc3\xa9"}, /* composed */
        {"\xc3\xa9", "\xc3\xa9"},  /* stays */
        {"\xc2\xad", "\xc2\xad"},  /* nothing left: raw */
        {"\xd8\xa7"
         "1",
         "\xd8\xa7"
         "1"},                            /* broken direction: raw */
        {"\xc3\xa9\x07", "\xc3\xa9\x07"}, /* prohibited: raw */
        {"\xc2\xaa\xff", "\xc2\xaa\xff"}, /* not UTF-8: raw */
        {"\xc2\xaa\xed\xa0\x80", "\xc2\xaa\xed\xa0\x80"},
        {"\xc2\xaa\xc3", "\xc2\xaa\xc3"},
        {"\xc2\xaa\xc8\xa1", "\xc2\xaa\xc8\xa1"}, /* U+0221, unassigned in 3.2: raw */
        {"\xe2\x84\xb6"
         "1",
         "\xd7\x91"
         "1"},                                 /* bet symbol: checked before NFKC */
        {"a\xcd\x80", "a\xcd\x80"},            /* U+0340, prohibited before NFKC: raw */
        {"\xe2\x80\x8b\xc3\xa9", " \xc3\xa9"}, /* zero-width space: a space */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *prepared = saslprep(rows[i].password);
        assert_string_equal(prepared, rows[i].prepared);
        mem_free(prepared);
    }
}

static void spellings_of_a_password_give_the_same_keys(void **state)
{
    char *a = verifier_text_of("\xe2\x85\xa8"), *b = verifier_text_of("IX");
    assert_string_equal(a, b);
    mem_free(a);
    mem_free(b);
}

static void endless_passwords_are_refused(void **state)
{
    struct scram_salt salt = {.iterations = 1, .len = 1};
    struct scram_keys keys;
    char *password = mem_new(LIMIT_AUTH_MESSAGE + 2);
    memset(password, 'a', LIMIT_AUTH_MESSAGE);
    assert_true(scram_keys_derive(password, &salt, &keys));
    password[LIMIT_AUTH_MESSAGE] = 'a';
    assert_false(scram_keys_derive(password, &salt, &keys));
    mem_free(password);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verifier_is_that_of_postgresql),
        cmocka_unit_test(a_verifier_reads_back),
        cmocka_unit_test(salts_are_up_to_128_bytes_long),
        cmocka_unit_test(the_salt_of_a_user_is_stable),
        cmocka_unit_test(iterations_are_plain_numbers),
        cmocka_unit_test(passwords_are_prepared),
        cmocka_unit_test(spellings_of_a_password_give_the_same_keys),
        cmocka_unit_test(endless_passwords_are_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
