#include "auth/server_auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "auth/client_auth.h"
#include "auth/md5.h"
#include "auth/scram.h"
#include "auth/scram_cache.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"

static const uint8_t mock_key[32] = "key of this process";
static const struct scram_salt salt = {.iterations = 10, .len = 16, .bytes = "salt of somebody"};
static char *verifier_text; /* of "secret" */
static struct scram_keys secret_keys;
static char md5_text[MD5_TEXT_SIZE]; /* of "secret" for joe */

static int setup(void **state)
{
    struct scram_verifier verifier;
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

struct login {
    struct server_auth *auth;
    enum auth_step step;
    struct buf out;
    struct err err;
};

static struct login login_with(const char *secret, const struct scram_keys *keys)
{
    struct server_credentials credentials = {.user = "joe", .secret = secret, .keys = keys};
    return (struct login){.auth = server_auth_new(&credentials, NULL)};
}

static void end(struct login *login)
{
    server_auth_free(login->auth);
    buf_done(&login->out);
}

/* Feeds the body of one R message, in a copy that ends where the memory ends. */
static void feed(struct login *login, const char *body, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, body, len);
    buf_clear(&login->out);
    login->step = server_auth_message(login->auth, copy, len, &login->out, &login->err);
    free(copy);
}

#define FEED(login, text) feed(login, text, sizeof(text) - 1)
#define OK                "\0\0\0\0"
#define CLEARTEXT         "\0\0\0\3"
#define MD5_REQUEST       "\0\0\0\5abcd"
#define SASL              "\0\0\0\x0aSCRAM-SHA-256\0\0"

static void assert_failed(struct login *login, const char *sqlstate, const char *message)
{
    assert_int_equal(login->step, AUTH_FAILED);
    assert_string_equal(login->err.message, message);
    assert_string_equal(login->err.sqlstate, sqlstate);
    assert_int_equal(login->out.len, 0);
    end(login);
}

static void assert_sent(const struct login *login, const char *bytes, size_t len)
{
    assert_int_equal(login->step, AUTH_CONTINUE);
    assert_int_equal(login->out.len, len);
    assert_memory_equal(login->out.data, bytes, len);
}

/* --- without SASL --- */

static void a_server_that_trusts_us_asks_nothing(void **state)
{
    struct login login = login_with(NULL, NULL);
    FEED(&login, OK);
    assert_int_equal(login.step, AUTH_OK);
    assert_int_equal(login.out.len, 0);
    end(&login);
}

static void a_cleartext_password_is_sent_if_there_is_one(void **state)
{
    struct login login = login_with("secret", NULL);
    FEED(&login, CLEARTEXT);
    assert_sent(&login, "p\0\0\0\x0bsecret\0", 12);
    FEED(&login, OK);
    assert_int_equal(login.step, AUTH_OK);
    end(&login);
}

static void md5_works_from_plaintext_and_from_its_hash(void **state)
{
    const char *const secrets[] = {"secret", md5_text};
    for (size_t i = 0; i < 2; i++) {
        char answer[MD5_TEXT_SIZE];
        struct login login = login_with(secrets[i], NULL);
        FEED(&login, MD5_REQUEST);
        assert_true(md5_response(md5_text, (const uint8_t *)"abcd", answer));
        assert_int_equal(login.step, AUTH_CONTINUE);
        assert_int_equal(login.out.len, 5 + MD5_TEXT_SIZE);
        assert_memory_equal(login.out.data, "p\0\0\0\x28", 5);
        assert_memory_equal(login.out.data + 5, answer, MD5_TEXT_SIZE);
        FEED(&login, OK);
        assert_int_equal(login.step, AUTH_OK);
        end(&login);
    }
}

static void a_secret_of_the_wrong_kind_is_not_sent(void **state)
{
    const char *const no_cleartext[] = {md5_text, verifier_text};
    for (size_t i = 0; i < 2; i++) {
        struct login login = login_with(no_cleartext[i], NULL);
        FEED(&login, CLEARTEXT);
        assert_failed(&login, "28P01", "wrong password type");
    }
    struct login login = login_with(verifier_text, NULL);
    FEED(&login, MD5_REQUEST);
    assert_failed(&login, "28P01", "wrong password type");
    login = login_with(NULL, &secret_keys);
    FEED(&login, MD5_REQUEST);
    assert_failed(&login, "28P01", "wrong password type");
    login = login_with(md5_text, NULL);
    FEED(&login, SASL);
    assert_failed(&login, "28P01", "wrong password type");
    login = login_with(verifier_text, NULL);
    FEED(&login, SASL);
    assert_failed(&login, "28P01", "wrong password type");
}

static void without_a_secret_nothing_is_sent(void **state)
{
    static const char *const secrets[] = {NULL, ""};
    for (size_t i = 0; i < 2; i++) {
        static const char *const message = "server asks for a password, but none is known";
        struct login login = login_with(secrets[i], NULL);
        FEED(&login, CLEARTEXT);
        assert_failed(&login, "28P01", message);
        login = login_with(secrets[i], NULL);
        FEED(&login, MD5_REQUEST);
        assert_failed(&login, "28P01", message);
        login = login_with(secrets[i], NULL);
        FEED(&login, SASL);
        assert_failed(&login, "28P01", message);
    }
}

static void other_methods_are_named(void **state)
{
    static const struct {
        const char *body, *message;
    } rows[] = {
        {"\0\0\0\2", "server asks for Kerberos authentication, which is not supported"},
        {"\0\0\0\6", "server asks for SCM credential authentication, which is not supported"},
        {"\0\0\0\7", "server asks for GSSAPI authentication, which is not supported"},
        {"\0\0\0\x08", "server asks for GSSAPI authentication, which is not supported"},
        {"\0\0\0\x09", "server asks for SSPI authentication, which is not supported"},
        {"\0\0\0\x0d", "server asks for authentication method 13, which is not supported"},
        {"\xff\xff\xff\xff",
         "server asks for authentication method 4294967295, which is not supported"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct login login = login_with("secret", NULL);
        feed(&login, rows[i].body, 4);
        assert_failed(&login, "0A000", rows[i].message);
    }
    struct login login = login_with("secret", NULL);
    FEED(&login, "\0\0\0\x0aSCRAM-SHA-256-PLUS\0\0");
    assert_failed(&login, "0A000", "server offers no SASL mechanism that is supported");
    login = login_with("secret", NULL);
    FEED(&login, "\0\0\0\x0a\0");
    assert_failed(&login, "0A000", "server offers no SASL mechanism that is supported");
}

static void malformed_requests_are_refused(void **state)
{
    static const struct {
        const char *body;
        size_t len;
    } rows[] = {
        {"", 0},
        {"\0\0\0", 3},
        {OK "\0", 5},
        {CLEARTEXT "\0", 5},
        {"\0\0\0\5abc", 7},
        {"\0\0\0\5", 4},
        {MD5_REQUEST "e", 9},
        {"\0\0\0\x0a", 4},
        {"\0\0\0\x0aSCRAM-SHA-256", 17},
        {"\0\0\0\x0aSCRAM-SHA-256\0", 18},
        {"\0\0\0\x0aSCRAM-SHA-256\0\0x", 20},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct login login = login_with("secret", NULL);
        feed(&login, rows[i].body, rows[i].len);
        assert_failed(&login, "08P01", "invalid authentication request from server");
    }
}

static void requests_out_of_order_are_refused(void **state)
{
    struct login login = login_with("secret", NULL);
    FEED(&login, "\0\0\0\x0br=a,s=YQ==,i=1");
    assert_failed(&login, "08P01", "unexpected authentication request 11 from server");
    login = login_with("secret", NULL);
    FEED(&login, "\0\0\0\x0cv=AAAA");
    assert_failed(&login, "08P01", "unexpected authentication request 12 from server");
    login = login_with("secret", NULL);
    FEED(&login, CLEARTEXT);
    FEED(&login, MD5_REQUEST);
    assert_failed(&login, "08P01", "unexpected authentication request 5 from server");
    login = login_with("secret", NULL);
    FEED(&login, SASL);
    FEED(&login, CLEARTEXT);
    assert_failed(&login, "08P01", "unexpected authentication request 3 from server");
    login = login_with("secret", NULL);
    FEED(&login, OK);
    FEED(&login, OK);
    assert_failed(&login, "08P01", "unexpected authentication request 0 from server");
}

/* --- SCRAM, against our own side for clients --- */

struct server {
    struct client_auth *auth;
    struct buf out;
};

static struct server server_with(const char *secret)
{
    struct server server = {
        .auth = client_auth_new(CLIENT_AUTH_SCRAM, "joe", secret, 10, mock_key, NULL)};
    assert_int_equal(client_auth_start(server.auth, &server.out, NULL), AUTH_CONTINUE);
    return server;
}

static void end_server(struct server *server)
{
    client_auth_free(server->auth);
    buf_done(&server->out);
}

/* The server's last message to the client, and the client's answer to the server. */
static enum auth_step exchange(struct login *login, struct server *server)
{
    feed(login, server->out.data + 5, server->out.len - 5);
    if (login->step != AUTH_CONTINUE || login->out.len == 0)
        return AUTH_CONTINUE;
    assert_int_equal(login->out.data[0], 'p');
    assert_int_equal(load_u32(login->out.data + 1), login->out.len - 1);
    buf_clear(&server->out);
    return client_auth_message(server->auth, login->out.data + 5, login->out.len - 5, &server->out,
                               NULL);
}

static void assert_login(const char *secret, const struct scram_keys *keys, const char *stored)
{
    struct login login = login_with(secret, keys);
    struct server server = server_with(stored);
    assert_int_equal(exchange(&login, &server), AUTH_CONTINUE);
    assert_int_equal(exchange(&login, &server), AUTH_OK);
    exchange(&login, &server);
    assert_int_equal(login.step, AUTH_CONTINUE);
    FEED(&login, OK);
    assert_int_equal(login.step, AUTH_OK);
    end_server(&server);
    end(&login);
}

static void a_plaintext_secret_logs_in(void **state)
{
    assert_login("secret", NULL, verifier_text);
    assert_login("secret", NULL, "secret");
}

static void keys_of_a_client_log_in(void **state)
{
    assert_login(NULL, &secret_keys, verifier_text);
    assert_login(verifier_text, &secret_keys, verifier_text);
    assert_login("another, outdated", &secret_keys, verifier_text);
}

static void keys_with_another_salt_give_way_to_the_secret(void **state)
{
    assert_login("secret", &secret_keys, "secret"); /* the server makes up its own salt */
}

static void keys_with_another_salt_or_count_are_not_used(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct scram_keys keys = secret_keys;
        keys.salt.bytes[0] ^= i == 0;
        keys.salt.iterations += i == 1;
        keys.salt.len -= i == 2;
        struct login login = login_with(verifier_text, &keys);
        struct server server = server_with(verifier_text);
        exchange(&login, &server);
        exchange(&login, &server);
        assert_failed(&login, "28P01", "wrong password type");
        end_server(&server);
    }
}

static void a_wrong_secret_is_refused_by_the_server(void **state)
{
    struct login login = login_with("wrong", NULL);
    struct server server = server_with(verifier_text);
    exchange(&login, &server);
    assert_int_equal(exchange(&login, &server), AUTH_FAILED);
    end_server(&server);
    end(&login);
}

static void the_cache_saves_the_hashing(void **state)
{
    struct scram_cache *cache = scram_cache_new();
    struct scram_keys keys;
    struct server_credentials credentials = {.user = "joe", .secret = "secret"};
    struct login login = {.auth = server_auth_new(&credentials, cache)};
    struct server server = server_with(verifier_text);
    exchange(&login, &server);
    assert_int_equal(exchange(&login, &server), AUTH_OK);
    assert_true(scram_cache_find(cache, "secret", &salt, &keys));
    end_server(&server);
    end(&login);
    scram_cache_free(cache);
}

static void ok_before_the_signature_is_refused(void **state)
{
    static const char *const message =
        "server accepted the login before it proved its own identity";
    struct login login = login_with("secret", NULL);
    FEED(&login, SASL);
    FEED(&login, OK);
    assert_failed(&login, "08P01", message);

    login = login_with("secret", NULL);
    struct server server = server_with(verifier_text);
    exchange(&login, &server);
    exchange(&login, &server);
    FEED(&login, OK);
    assert_failed(&login, "08P01", message);
    end_server(&server);
}

static void a_wrong_signature_is_refused(void **state)
{
    struct login login = login_with("secret", NULL);
    struct server server = server_with(verifier_text);
    exchange(&login, &server);
    exchange(&login, &server);
    FEED(&login, "\0\0\0\x0cv=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert_int_equal(login.step, AUTH_FAILED);
    FEED(&login, OK);
    assert_failed(&login, "08P01", "unexpected authentication request 0 from server");
    end_server(&server);
}

static void hostile_challenges_are_refused(void **state)
{
    static const char *const rows[] = {
        "", "r=", "r=x,s=YWJj,i=4096", "e=other-error", "r=x", "\x01",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct login login = login_with("secret", NULL);
        struct buf body = BUF_NONE;
        FEED(&login, SASL);
        buf_append_u32(&body, 11);
        buf_append_str(&body, rows[i]);
        feed(&login, body.data, body.len);
        assert_int_equal(login.step, AUTH_FAILED);
        assert_string_equal(login.err.sqlstate, "08P01");
        assert_int_equal(login.out.len, 0);
        end(&login);
        buf_done(&body);
    }
}

/* Our nonce as it stands in the initial response, behind "...n=,r=". */
static void append_challenge(struct buf *body, const struct login *login, const char *rest)
{
    size_t before = 5 + sizeof "SCRAM-SHA-256" + 4 + strlen("n,,n=,r=");
    buf_append_u32(body, 11);
    buf_append_str(body, "r=");
    buf_append(body, login->out.data + before, login->out.len - before);
    buf_append_str(body, rest);
}

static void iteration_counts_are_capped(void **state)
{
    static const struct {
        const char *rest;
        enum auth_step step;
    } rows[] = {
        {"x,s=YWJj,i=1", AUTH_CONTINUE},     {"x,s=YWJj,i=4096", AUTH_CONTINUE},
        {"x,s=YWJj,i=1000001", AUTH_FAILED}, {"x,s=YWJj,i=2147483648", AUTH_FAILED},
        {"x,s=YWJj,i=0", AUTH_FAILED},       {"x,s=YWJj,i=4096x", AUTH_FAILED},
        {"x,s=YWJj", AUTH_FAILED},           {",s=YWJj,i=1", AUTH_FAILED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct login login = login_with("secret", NULL);
        struct buf body = BUF_NONE;
        FEED(&login, SASL);
        append_challenge(&body, &login, rows[i].rest);
        feed(&login, body.data, body.len);
        assert_int_equal(login.step, rows[i].step);
        end(&login);
        buf_done(&body);
    }
}

static void free_accepts_null(void **state)
{
    server_auth_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_trusts_us_asks_nothing),
        cmocka_unit_test(a_cleartext_password_is_sent_if_there_is_one),
        cmocka_unit_test(md5_works_from_plaintext_and_from_its_hash),
        cmocka_unit_test(a_secret_of_the_wrong_kind_is_not_sent),
        cmocka_unit_test(without_a_secret_nothing_is_sent),
        cmocka_unit_test(other_methods_are_named),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(requests_out_of_order_are_refused),
        cmocka_unit_test(a_plaintext_secret_logs_in),
        cmocka_unit_test(keys_of_a_client_log_in),
        cmocka_unit_test(keys_with_another_salt_give_way_to_the_secret),
        cmocka_unit_test(keys_with_another_salt_or_count_are_not_used),
        cmocka_unit_test(a_wrong_secret_is_refused_by_the_server),
        cmocka_unit_test(the_cache_saves_the_hashing),
        cmocka_unit_test(ok_before_the_signature_is_refused),
        cmocka_unit_test(a_wrong_signature_is_refused),
        cmocka_unit_test(hostile_challenges_are_refused),
        cmocka_unit_test(iteration_counts_are_capped),
        cmocka_unit_test(free_accepts_null),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
