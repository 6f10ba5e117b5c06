#include "auth/client_auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "auth/md5.h"
#include "auth/scram.h"
#include "auth/scram_cache.h"
#include "auth/scram_exchange.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"

static const uint8_t mock_key[32] = "key of this process";
static char *verifier_text; /* of "secret" */
static struct scram_verifier verifier;
static struct scram_keys secret_keys;
static char md5_text[MD5_TEXT_SIZE]; /* of "secret" for joe */

static int setup(void **state)
{
    const struct scram_salt salt = {.iterations = 10, .len = 16, .bytes = "salt of somebody"};
    if (!scram_keys_derive("secret", &salt, &secret_keys) ||
        !scram_verifier_of_keys(&secret_keys, &verifier) || !md5_secret("secret", "joe", md5_text))
        return -1;
    verifier_text = scram_verifier_text(&verifier);
    return 0;
}

static int teardown(void **state)
{
    mem_free(verifier_text);
    return 0;
}

/* A login of joe, with what came last. */
struct login {
    struct client_auth *auth;
    enum auth_step step;
    struct buf out;
    struct err err;
};

static struct login login_with(enum client_auth_method method, const char *secret)
{
    struct login login = {.auth = client_auth_new(method, "joe", secret, 10, mock_key, NULL)};
    login.step = client_auth_start(login.auth, &login.out, &login.err);
    return login;
}

static void end(struct login *login)
{
    client_auth_free(login->auth);
    buf_done(&login->out);
}

/* Sends a copy that ends where the memory ends. */
static void send_body(struct login *login, const char *body, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, body, len);
    buf_clear(&login->out);
    assert_int_equal(login->step, AUTH_CONTINUE);
    login->step = client_auth_message(login->auth, copy, len, &login->out, &login->err);
    free(copy);
}

static void assert_failed(struct login *login, const char *sqlstate, const char *message)
{
    assert_int_equal(login->step, AUTH_FAILED);
    assert_string_equal(login->err.message, message);
    assert_string_equal(login->err.sqlstate, sqlstate);
    assert_null(client_auth_keys(login->auth));
    assert_null(client_auth_password(login->auth));
    end(login);
}

#define WRONG_PASSWORD "28P01", "password authentication failed"
#define WRONG_SASL     "28P01", "SASL authentication failed"

/* The one 'R' message that was written: its code, and what follows. */
static struct slice request_of(const struct login *login, uint32_t expected_code)
{
    struct reader in = reader_of(login->out.data, login->out.len);
    assert_int_equal(read_u8(&in), 'R');
    assert_int_equal(read_u32(&in), login->out.len - 1);
    assert_int_equal(read_u32(&in), expected_code);
    assert_false(in.bad);
    return read_bytes(&in, reader_left(&in));
}

/* --- trust --- */

static void trust_wants_a_known_user(void **state)
{
    struct login login = login_with(CLIENT_AUTH_TRUST, "");
    assert_int_equal(login.step, AUTH_OK);
    assert_int_equal(login.out.len, 0);
    end(&login);
    login = login_with(CLIENT_AUTH_TRUST, NULL);
    assert_failed(&login, "28000", "\"trust\" authentication failed");
}

/* --- plain --- */

static void a_password_is_compared_with_any_kind_of_secret(void **state)
{
    const char *const secrets[] = {"secret", md5_text, verifier_text};
    for (size_t i = 0; i < 3; i++) {
        struct login login = login_with(CLIENT_AUTH_PLAIN, secrets[i]);
        assert_int_equal(request_of(&login, 3).len, 0);
        send_body(&login, "secret", 7);
        assert_int_equal(login.step, AUTH_OK);
        assert_string_equal(client_auth_password(login.auth), "secret");
        assert_null(client_auth_keys(login.auth));
        end(&login);

        login = login_with(CLIENT_AUTH_PLAIN, secrets[i]);
        send_body(&login, "secreT", 7);
        assert_failed(&login, WRONG_PASSWORD);
    }
}

static void a_stored_hash_is_not_a_password(void **state)
{
    const char *const secrets[] = {md5_text, verifier_text};
    for (size_t i = 0; i < 2; i++) {
        struct login login = login_with(CLIENT_AUTH_PLAIN, secrets[i]);
        send_body(&login, secrets[i], strlen(secrets[i]) + 1);
        assert_failed(&login, WRONG_PASSWORD);
    }
}

static void who_has_no_secret_fails_like_any_other(void **state)
{
    const char *const secrets[] = {NULL, ""};
    for (size_t i = 0; i < 2; i++) {
        struct login login = login_with(CLIENT_AUTH_PLAIN, secrets[i]);
        send_body(&login, "secret", 7);
        assert_failed(&login, WRONG_PASSWORD);
    }
}

static void malformed_passwords_are_refused(void **state)
{
    static const struct {
        const char *body;
        size_t len;
        const char *sqlstate, *message;
    } rows[] = {
        {"", 0, "08P01", "invalid password packet size"},
        {"\0", 1, "28P01", "empty password returned by client"},
        {"secret", 6, "08P01", "invalid password packet size"},
        {"secret\0", 8, "08P01", "invalid password packet size"},
        {"secret\0x", 8, "08P01", "invalid password packet size"},
        {"\0secret", 8, "08P01", "invalid password packet size"},
    };
    static const enum client_auth_method methods[] = {CLIENT_AUTH_PLAIN, CLIENT_AUTH_MD5};
    static const char *const secrets[] = {"secret", "", NULL};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t m = 0; m < 2; m++)
            for (size_t s = 0; s < 3; s++) {
                struct login login = login_with(methods[m], secrets[s]);
                send_body(&login, rows[i].body, rows[i].len);
                assert_failed(&login, rows[i].sqlstate, rows[i].message);
            }
}

static void a_longer_password_than_postgresql_reads_is_refused(void **state)
{
    char *body = mem_new(65535);
    memset(body, 'a', 65534);
    struct login login = login_with(CLIENT_AUTH_PLAIN, "secret");
    assert_int_equal(client_auth_max_body(login.auth), 65531);
    send_body(&login, body, 65535);
    assert_failed(&login, "08P01", "invalid message length");
    login = login_with(CLIENT_AUTH_PLAIN, "secret");
    send_body(&login, body + 65535 - 65531, 65531);
    assert_failed(&login, WRONG_PASSWORD);
    mem_free(body);
}

static void a_right_password_is_remembered_and_a_wrong_one_is_not(void **state)
{
    struct scram_cache *cache = scram_cache_new();
    struct scram_keys keys;
    static const char *const passwords[] = {"wrong", "secret", "secret"};
    for (size_t i = 0; i < 3; i++) {
        struct client_auth *auth =
            client_auth_new(CLIENT_AUTH_PLAIN, "joe", verifier_text, 10, mock_key, cache);
        struct buf out = BUF_NONE;
        assert_int_equal(client_auth_start(auth, &out, NULL), AUTH_CONTINUE);
        assert_int_equal(
            client_auth_message(auth, passwords[i], strlen(passwords[i]) + 1, &out, NULL),
            i == 0 ? AUTH_FAILED : AUTH_OK);
        client_auth_free(auth);
        buf_done(&out);
    }
    assert_false(scram_cache_find(cache, "wrong", &verifier.salt, &keys));
    assert_true(scram_cache_find(cache, "secret", &verifier.salt, &keys));
    scram_cache_free(cache);
}

/* --- MD5 --- */

static void md5_takes_plaintext_and_md5_secrets(void **state)
{
    const char *const secrets[] = {"secret", md5_text, NULL, "", "other"};
    for (size_t i = 0; i < 5; i++) {
        struct login login = login_with(CLIENT_AUTH_MD5, secrets[i]);
        struct slice salt = request_of(&login, 5);
        char answer[MD5_TEXT_SIZE];
        assert_int_equal(salt.len, 4);
        assert_true(md5_response(md5_text, (const uint8_t *)salt.ptr, answer));
        send_body(&login, answer, sizeof answer);
        if (i >= 2) {
            assert_failed(&login, WRONG_PASSWORD);
            continue;
        }
        assert_int_equal(login.step, AUTH_OK);
        assert_null(client_auth_password(login.auth));
        end(&login);
    }
}

static void nobody_is_let_in_by_the_hash_of_nothing(void **state)
{
    const char *const secrets[] = {NULL, ""};
    for (size_t i = 0; i < 2; i++) {
        struct login login = login_with(CLIENT_AUTH_MD5, secrets[i]);
        char empty[MD5_TEXT_SIZE], answer[MD5_TEXT_SIZE];
        assert_true(md5_secret("", "joe", empty));
        assert_true(md5_response(empty, (const uint8_t *)request_of(&login, 5).ptr, answer));
        send_body(&login, answer, sizeof answer);
        assert_failed(&login, WRONG_PASSWORD);
    }
}

static void md5_answers_are_taken_to_the_letter(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct login login = login_with(CLIENT_AUTH_MD5, "secret");
        char answer[MD5_TEXT_SIZE];
        assert_true(md5_response(md5_text, (const uint8_t *)request_of(&login, 5).ptr, answer));
        if (i == 0)
            answer[0] = 'M';
        if (i == 1)
            memcpy(answer, "MD5", 3);
        if (i == 2)
            answer[34] ^= 1;
        if (i == 3)
            answer[34] = '\0';
        send_body(&login, answer, strlen(answer) + 1);
        assert_failed(&login, WRONG_PASSWORD);
    }
}

static void md5_salts_differ(void **state)
{
    struct login a = login_with(CLIENT_AUTH_MD5, "secret");
    struct login b = login_with(CLIENT_AUTH_MD5, "secret");
    struct login c = login_with(CLIENT_AUTH_MD5, "secret");
    assert_true(memcmp(a.out.data, b.out.data, a.out.len) != 0 ||
                memcmp(b.out.data, c.out.data, a.out.len) != 0);
    end(&a);
    end(&b);
    end(&c);
}

/* --- SCRAM --- */

static void send_initial(struct login *login, const char *mechanism, const char *first, size_t len)
{
    struct buf body = BUF_NONE;
    buf_append_cstr(&body, mechanism);
    buf_append_u32(&body, (uint32_t)len);
    buf_append(&body, first, len);
    send_body(login, body.data, body.len);
    buf_done(&body);
}

/* Plays a client that has the password, up to its last message. */
static struct scram_client *answer_scram(struct login *login, const char *password,
                                         struct scram_salt *salt)
{
    struct scram_client *scram = scram_client_new(NULL);
    struct scram_keys keys;
    struct buf message = BUF_NONE;
    struct slice offer = request_of(login, 10);
    assert_int_equal(offer.len, 15);
    assert_memory_equal(offer.ptr, "SCRAM-SHA-256\0", 15);
    assert_true(scram_client_first(scram, &message, NULL));
    send_initial(login, "SCRAM-SHA-256", message.data, message.len);
    assert_int_equal(login->step, AUTH_CONTINUE);
    assert_true(scram_client_challenge(scram, request_of(login, 11), salt, NULL));
    assert_true(scram_keys_derive(password, salt, &keys));
    buf_clear(&message);
    assert_true(scram_client_final(scram, &keys, &message, NULL));
    send_body(login, message.data, message.len);
    buf_done(&message);
    return scram;
}

static void assert_scram(enum client_auth_method method, const char *secret, bool real)
{
    struct login login = login_with(method, secret);
    struct scram_salt salt;
    struct scram_client *scram = answer_scram(&login, "secret", &salt);
    assert_int_equal(login.step, AUTH_OK);
    assert_true(scram_client_verify(scram, request_of(&login, 12), NULL));
    assert_null(client_auth_password(login.auth));
    const struct scram_keys *keys = client_auth_keys(login.auth);
    if (real) {
        assert_memory_equal(keys->client_key, secret_keys.client_key, SCRAM_KEY_LEN);
        assert_memory_equal(keys->server_key, secret_keys.server_key, SCRAM_KEY_LEN);
        assert_true(scram_salt_equal(&keys->salt, &verifier.salt));
    } else {
        assert_null(keys);
    }
    scram_client_free(scram);
    end(&login);
}

static void scram_takes_verifiers_and_plaintext(void **state)
{
    assert_scram(CLIENT_AUTH_SCRAM, verifier_text, true);
    assert_scram(CLIENT_AUTH_SCRAM, "secret", false);
}

static void md5_falls_over_to_scram_for_a_verifier(void **state)
{
    assert_scram(CLIENT_AUTH_MD5, verifier_text, true);
}

static void wrong_passwords_and_wrong_secrets_fail_alike(void **state)
{
    const char *const secrets[] = {verifier_text, "secret", NULL, "", md5_text};
    for (size_t i = 0; i < 5; i++) {
        struct login login = login_with(CLIENT_AUTH_SCRAM, secrets[i]);
        struct scram_salt salt;
        scram_client_free(answer_scram(&login, i < 2 ? "wrong" : "secret", &salt));
        assert_int_equal(salt.len, 16);
        assert_int_equal(salt.iterations, 10);
        assert_int_equal(login.out.len, 0);
        assert_failed(&login, WRONG_SASL);
    }
}

static void unknown_users_see_the_same_salt_again(void **state)
{
    const char *const secrets[] = {NULL, NULL, "secret", "changed", md5_text};
    struct scram_salt first, salt;
    for (size_t i = 0; i < 5; i++) {
        struct login login = login_with(CLIENT_AUTH_SCRAM, secrets[i]);
        scram_client_free(answer_scram(&login, "x", &salt));
        if (i == 0)
            first = salt;
        assert_true(scram_salt_equal(&first, &salt));
        assert_failed(&login, WRONG_SASL);
    }
}

static void plaintext_is_hashed_once_per_user(void **state)
{
    struct scram_cache *cache = scram_cache_new();
    struct scram_salt salt;
    struct scram_keys keys;
    for (int i = 0; i < 2; i++) {
        struct login login = {
            .auth = client_auth_new(CLIENT_AUTH_SCRAM, "joe", "secret", 10, mock_key, cache)};
        login.step = client_auth_start(login.auth, &login.out, &login.err);
        scram_client_free(answer_scram(&login, "secret", &salt));
        assert_int_equal(login.step, AUTH_OK);
        assert_true(scram_cache_find(cache, "secret", &salt, &keys));
        end(&login);
    }
    scram_cache_free(cache);
}

static void a_client_may_be_asked_for_its_first_message(void **state)
{
    struct login login = login_with(CLIENT_AUTH_SCRAM, verifier_text);
    send_body(&login, "SCRAM-SHA-256\0\xff\xff\xff\xff", 18);
    assert_int_equal(request_of(&login, 11).len, 0);
    send_body(&login, "n,,n=,r=abc", 11);
    assert_true(request_of(&login, 11).len > 20);
    assert_int_equal(login.step, AUTH_CONTINUE);
    end(&login);

    login = login_with(CLIENT_AUTH_SCRAM, verifier_text);
    send_body(&login, "SCRAM-SHA-256\0\xff\xff\xff\xff", 18);
    send_body(&login, "", 0);
    assert_failed(&login, "08P01", "malformed SCRAM message");
}

#define INITIAL(rest) "SCRAM-SHA-256\0" rest

static void malformed_initial_responses_are_refused(void **state)
{
    static const struct {
        const char *body;
        size_t len;
        const char *message;
    } rows[] = {
        {"", 0, "invalid string in message"},
        {"SCRAM-SHA-256", 13, "invalid string in message"},
        {"\0\0\0\0\0", 5, "client selected an invalid SASL authentication mechanism"},
        {"SCRAM-SHA-1\0\0\0\0\0", 16, "client selected an invalid SASL authentication mechanism"},
        {"SCRAM-SHA-256-PLUS\0\0\0\0\1n", 24,
         "client selected an invalid SASL authentication mechanism"},
        {"scram-sha-256\0\0\0\0\0", 18, "client selected an invalid SASL authentication mechanism"},
        {INITIAL(""), 14, "insufficient data left in message"},
        {INITIAL("\0\0\0"), 17, "insufficient data left in message"},
        {INITIAL("\0\0\0\x0cn,,n=,r=abc"), 29, "insufficient data left in message"},
        {INITIAL("\x7f\xff\xff\xffn,,n=,r=abc"), 29, "insufficient data left in message"},
        {INITIAL("\xff\xff\xff\xf0n,,n=,r=abc"), 29, "insufficient data left in message"},
        {INITIAL("\xff\xff\xff\xfen,,n=,r=abc"), 29, "insufficient data left in message"},
        {INITIAL("\xff\xff\xff\xffn,,n=,r=abc"), 29, "invalid message format"},
        {INITIAL("\0\0\0\x0an,,n=,r=abc"), 29, "invalid message format"},
        {INITIAL("\0\0\0\0n,,n=,r=abc"), 29, "invalid message format"},
        {INITIAL("\0\0\0\0"), 18, "malformed SCRAM message"},
        {INITIAL("\0\0\0\1p"), 19, "malformed SCRAM message"},
    };
    const char *const secrets[] = {verifier_text, "secret", NULL};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t s = 0; s < 3; s++) {
            struct login login = login_with(CLIENT_AUTH_SCRAM, secrets[s]);
            send_body(&login, rows[i].body, rows[i].len);
            assert_failed(&login, "08P01", rows[i].message);
        }
}

static void every_cut_of_an_initial_response_is_refused(void **state)
{
    static const char body[] = INITIAL("\0\0\0\x0bn,,n=,r=abc");
    for (size_t len = 0; len < sizeof body - 1; len++) {
        struct login login = login_with(CLIENT_AUTH_SCRAM, verifier_text);
        send_body(&login, body, len);
        assert_int_equal(login.step, AUTH_FAILED);
        end(&login);
    }
}

static void long_sasl_messages_are_refused(void **state)
{
    char body[1100] = "SCRAM-SHA-256";
    struct login login = login_with(CLIENT_AUTH_SCRAM, verifier_text);
    assert_int_equal(client_auth_max_body(login.auth), 1020);
    send_body(&login, body, 1021);
    assert_failed(&login, "08P01", "invalid message length");
}

static void a_malformed_final_message_is_refused(void **state)
{
    struct login login = login_with(CLIENT_AUTH_SCRAM, verifier_text);
    send_initial(&login, "SCRAM-SHA-256", "n,,n=,r=abc", 11);
    send_body(&login, "c=biws,r=abc,p=", 15);
    assert_failed(&login, "08P01", "malformed SCRAM message");

    login = login_with(CLIENT_AUTH_SCRAM, NULL);
    send_initial(&login, "SCRAM-SHA-256", "n,,n=,r=abc", 11);
    send_body(&login, "c=biws,r=abc,p=", 15);
    assert_failed(&login, "08P01", "malformed SCRAM message");
}

static void a_replayed_final_message_is_refused(void **state)
{
    struct buf first = BUF_NONE, final = BUF_NONE;
    struct scram_client *scram = scram_client_new(NULL);
    struct scram_salt salt;
    assert_true(scram_client_first(scram, &first, NULL));
    struct login login = login_with(CLIENT_AUTH_SCRAM, verifier_text);
    send_initial(&login, "SCRAM-SHA-256", first.data, first.len);
    assert_true(scram_client_challenge(scram, request_of(&login, 11), &salt, NULL));
    assert_true(scram_client_final(scram, &secret_keys, &final, NULL));
    send_body(&login, final.data, final.len);
    assert_int_equal(login.step, AUTH_OK);
    end(&login);

    login = login_with(CLIENT_AUTH_SCRAM, verifier_text);
    send_initial(&login, "SCRAM-SHA-256", first.data, first.len);
    send_body(&login, final.data, final.len);
    assert_failed(&login, "08P01", "invalid SCRAM response");
    scram_client_free(scram);
    buf_done(&first);
    buf_done(&final);
}

static void nothing_is_accepted_after_the_end(void **state)
{
    struct login login = login_with(CLIENT_AUTH_PLAIN, "secret");
    send_body(&login, "wrong", 6);
    assert_int_equal(login.step, AUTH_FAILED);
    login.step = client_auth_message(login.auth, "secret", 7, &login.out, &login.err);
    assert_failed(&login, "08P01", "unexpected authentication message");
}

static void free_accepts_null(void **state)
{
    client_auth_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trust_wants_a_known_user),
        cmocka_unit_test(a_password_is_compared_with_any_kind_of_secret),
        cmocka_unit_test(a_stored_hash_is_not_a_password),
        cmocka_unit_test(who_has_no_secret_fails_like_any_other),
        cmocka_unit_test(malformed_passwords_are_refused),
        cmocka_unit_test(a_longer_password_than_postgresql_reads_is_refused),
        cmocka_unit_test(a_right_password_is_remembered_and_a_wrong_one_is_not),
        cmocka_unit_test(md5_takes_plaintext_and_md5_secrets),
        cmocka_unit_test(nobody_is_let_in_by_the_hash_of_nothing),
        cmocka_unit_test(md5_answers_are_taken_to_the_letter),
        cmocka_unit_test(md5_salts_differ),
        cmocka_unit_test(scram_takes_verifiers_and_plaintext),
        cmocka_unit_test(md5_falls_over_to_scram_for_a_verifier),
        cmocka_unit_test(wrong_passwords_and_wrong_secrets_fail_alike),
        cmocka_unit_test(unknown_users_see_the_same_salt_again),
        cmocka_unit_test(plaintext_is_hashed_once_per_user),
        cmocka_unit_test(a_client_may_be_asked_for_its_first_message),
        cmocka_unit_test(malformed_initial_responses_are_refused),
        cmocka_unit_test(every_cut_of_an_initial_response_is_refused),
        cmocka_unit_test(long_sasl_messages_are_refused),
        cmocka_unit_test(a_malformed_final_message_is_refused),
        cmocka_unit_test(a_replayed_final_message_is_refused),
        cmocka_unit_test(nothing_is_accepted_after_the_end),
        cmocka_unit_test(free_accepts_null),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
