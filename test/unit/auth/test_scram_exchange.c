#include "auth/scram_exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "auth/base64.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

/* The example of RFC 7677, section 3. */
#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define NONCE        CLIENT_NONCE SERVER_NONCE
#define SALT         "W22ZaJ0SNY7soEsUEjb6gQ=="
#define CLIENT_FIRST "n,,n=user,r=" CLIENT_NONCE
#define SERVER_FIRST "r=" NONCE ",s=" SALT ",i=4096"
#define PROOF        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define CLIENT_FINAL "c=biws,r=" NONCE ",p=" PROOF
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct scram_keys rfc_keys;
static struct scram_verifier rfc_verifier;

static int setup(void **state)
{
    struct scram_salt salt = {.iterations = 4096};
    return base64_decode((struct slice){SALT, strlen(SALT)}, salt.bytes, SCRAM_SALT_MAX,
                         &salt.len) &&
                   scram_keys_derive("pencil", &salt, &rfc_keys) &&
                   scram_verifier_of_keys(&rfc_keys, &rfc_verifier)
               ? 0
               : -1;
}

/* A copy that ends where the memory ends. */
static struct slice exact(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, text, len);
    return (struct slice){copy, len};
}

static bool server_first(struct scram_server *scram, const char *text, size_t len, struct buf *out,
                         struct err *err)
{
    struct slice message = exact(text, len);
    bool ok = scram_server_first(scram, message, out, err);
    free((char *)message.ptr);
    return ok;
}

static bool server_final(struct scram_server *scram, const char *text, size_t len, struct buf *out,
                         struct err *err)
{
    struct slice message = exact(text, len);
    bool ok = scram_server_final(scram, message, out, err);
    free((char *)message.ptr);
    return ok;
}

static void assert_text(struct buf *out, const char *expected)
{
    assert_int_equal(out->len, strlen(expected));
    assert_memory_equal(out->data, expected, out->len);
    buf_clear(out);
}

/* --- as a server --- */

static void the_server_plays_the_example_of_the_rfc(void **state)
{
    struct scram_server *scram = scram_server_new(&rfc_verifier, false, SERVER_NONCE);
    struct buf out = BUF_NONE;
    struct err err = ERR_NONE;
    assert_true(server_first(scram, CLIENT_FIRST, strlen(CLIENT_FIRST), &out, &err));
    assert_text(&out, SERVER_FIRST);
    assert_true(server_final(scram, CLIENT_FINAL, strlen(CLIENT_FINAL), &out, &err));
    assert_text(&out, SERVER_FINAL);
    struct scram_keys keys;
    scram_server_keys(scram, &keys);
    assert_memory_equal(keys.client_key, rfc_keys.client_key, SCRAM_KEY_LEN);
    assert_memory_equal(keys.server_key, rfc_keys.server_key, SCRAM_KEY_LEN);
    assert_true(scram_salt_equal(&keys.salt, &rfc_keys.salt));
    scram_server_free(scram);
    buf_done(&out);
}

static void the_doomed_fail_with_the_right_proof(void **state)
{
    struct scram_server *scram = scram_server_new(&rfc_verifier, true, SERVER_NONCE);
    struct buf out = BUF_NONE;
    struct err err = ERR_NONE;
    assert_true(server_first(scram, CLIENT_FIRST, strlen(CLIENT_FIRST), &out, &err));
    buf_clear(&out);
    assert_false(server_final(scram, CLIENT_FINAL, strlen(CLIENT_FINAL), &out, &err));
    assert_string_equal(err.sqlstate, "28P01");
    assert_string_equal(err.message, "SASL authentication failed");
    assert_int_equal(out.len, 0);
    scram_server_free(scram);
    buf_done(&out);
}

static void random_nonces_differ(void **state)
{
    struct scram_server *a = scram_server_new(&rfc_verifier, false, NULL);
    struct scram_server *b = scram_server_new(&rfc_verifier, false, NULL);
    struct buf out_a = BUF_NONE, out_b = BUF_NONE;
    assert_true(server_first(a, CLIENT_FIRST, strlen(CLIENT_FIRST), &out_a, NULL));
    assert_true(server_first(b, CLIENT_FIRST, strlen(CLIENT_FIRST), &out_b, NULL));
    assert_int_equal(out_a.len, strlen("r=" CLIENT_NONCE ",s=" SALT ",i=4096") + 24);
    assert_int_equal(out_a.len, out_b.len);
    assert_memory_not_equal(out_a.data, out_b.data, out_a.len);
    scram_server_free(a);
    scram_server_free(b);
    buf_done(&out_a);
    buf_done(&out_b);
}

struct row {
    const char *message;
    const char *sqlstate, *text, *detail;
};

#define MALFORMED "08P01", "malformed SCRAM message"

static void invalid_first_messages_are_refused(void **state)
{
    static const struct row rows[] = {
        {"", MALFORMED, "The message is empty."},
        {"x,,n=,r=a", MALFORMED, "Unexpected channel-binding flag \"'x'\"."},
        {"\x01,,n=,r=a", MALFORMED, "Unexpected channel-binding flag \"0x01\"."},
        {"p=tls-unique,,n=,r=a", MALFORMED,
         "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message "
         "includes channel binding data."},
        {"n", MALFORMED, "Comma expected, but found character \"0x00\"."},
        {"nn", MALFORMED, "Comma expected, but found character \"'n'\"."},
        {"n,", MALFORMED, "Unexpected attribute \"0x00\" in client-first-message."},
        {"n,b=x,n=,r=a", MALFORMED, "Unexpected attribute \"'b'\" in client-first-message."},
        {"n,a=joe,n=,r=a", "0A000", "client uses authorization identity, but it is not supported",
         ""},
        {"n,,m=x,n=,r=a", "0A000", "client requires an unsupported SCRAM extension", ""},
        {"n,,", MALFORMED, "Expected attribute \"n\" but found \"0x00\"."},
        {"n,,n", MALFORMED, "Expected character \"=\" for attribute \"n\"."},
        {"n,,r=a", MALFORMED, "Expected attribute \"n\" but found \"'r'\"."},
        {"n,,n=", MALFORMED, "Expected attribute \"r\" but found \"0x00\"."},
        {"n,,n=,s=a", MALFORMED, "Expected attribute \"r\" but found \"'s'\"."},
        {"n,,n=,r=a b", "08P01", "non-printable characters in SCRAM nonce", ""},
        {"n,,n=,r=a\xff", "08P01", "non-printable characters in SCRAM nonce", ""},
        {"n,,n=,r=a,1=x", MALFORMED, "Attribute expected, but found invalid character \"'1'\"."},
        {"n,,n=,r=a,x", MALFORMED, "Expected character \"=\" for attribute \"x\"."},
        {"n,,n=,r=a,,", MALFORMED, "Attribute expected, but found invalid character \"','\"."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scram_server *scram = scram_server_new(&rfc_verifier, false, SERVER_NONCE);
        struct buf out = BUF_NONE;
        struct err err = ERR_NONE;
        assert_false(server_first(scram, rows[i].message, strlen(rows[i].message), &out, &err));
        assert_string_equal(err.detail, rows[i].detail);
        assert_string_equal(err.message, rows[i].text);
        assert_string_equal(err.sqlstate, rows[i].sqlstate);
        assert_int_equal(out.len, 0);
        scram_server_free(scram);
        buf_done(&out);
    }
}

static void a_nul_in_a_message_is_refused(void **state)
{
    struct scram_server *scram = scram_server_new(&rfc_verifier, false, SERVER_NONCE);
    struct err err = ERR_NONE;
    assert_false(server_first(scram, "n,,n=,r=a\0b", 11, NULL, &err));
    assert_string_equal(err.detail, "Message length does not match input length.");
    scram_server_free(scram);
}

static void long_nonces_and_extensions_are_accepted(void **state)
{
    char text[1024];
    struct buf out = BUF_NONE;
    snprintf(text, sizeof text, "y,,n=ignored,r=%0600d,x=,y=1,", 0);
    struct scram_server *scram = scram_server_new(&rfc_verifier, false, SERVER_NONCE);
    assert_true(server_first(scram, text, strlen(text), &out, NULL));
    scram_server_free(scram);
    buf_done(&out);

    char longer[1200];
    struct err err = ERR_NONE;
    snprintf(longer, sizeof longer, "n,,n=,r=%01100d", 0);
    scram = scram_server_new(&rfc_verifier, false, SERVER_NONCE);
    assert_false(server_first(scram, longer, strlen(longer), NULL, &err));
    assert_string_equal(err.sqlstate, "08P01");
    scram_server_free(scram);
}

static void every_cut_of_a_first_message_is_refused_or_a_shorter_nonce(void **state)
{
    for (size_t len = 0; len < strlen(CLIENT_FIRST); len++) {
        struct scram_server *scram = scram_server_new(&rfc_verifier, false, SERVER_NONCE);
        struct buf out = BUF_NONE;
        bool has_nonce = len >= strlen("n,,n=user,r=");
        assert_int_equal(server_first(scram, CLIENT_FIRST, len, &out, NULL), has_nonce);
        scram_server_free(scram);
        buf_done(&out);
    }
}

static void assert_final_refused(const char *message, const char *sqlstate, const char *text,
                                 const char *detail)
{
    struct scram_server *scram = scram_server_new(&rfc_verifier, false, SERVER_NONCE);
    struct buf out = BUF_NONE;
    struct err err = ERR_NONE;
    assert_true(server_first(scram, CLIENT_FIRST, strlen(CLIENT_FIRST), &out, &err));
    buf_clear(&out);
    assert_false(server_final(scram, message, strlen(message), &out, &err));
    assert_string_equal(err.message, text);
    assert_string_equal(err.sqlstate, sqlstate);
    if (detail != NULL)
        assert_string_equal(err.detail, detail);
    assert_int_equal(out.len, 0);
    scram_server_free(scram);
    buf_done(&out);
}

#define BINDING   "08P01", "unexpected SCRAM channel-binding attribute in client-final-message"
#define WRONG     "28P01", "SASL authentication failed"
#define BAD_PROOF "Malformed proof in client-final-message."

static void invalid_final_messages_are_refused(void **state)
{
    static const struct row rows[] = {
        {"", MALFORMED, "The message is empty."},
        {"r=" NONCE ",p=" PROOF, MALFORMED, "Expected attribute \"c\" but found \"'r'\"."},
        {"c=eSws,r=" NONCE ",p=" PROOF, BINDING, ""},
        {"c=,r=" NONCE ",p=" PROOF, BINDING, ""},
        {"c=biwsbiws,r=" NONCE ",p=" PROOF, BINDING, ""},
        {"c=biws,p=" PROOF, MALFORMED, "Expected attribute \"r\" but found \"'p'\"."},
        {"c=biws,r=" CLIENT_NONCE ",p=" PROOF, "08P01", "invalid SCRAM response",
         "Nonce does not match."},
        {"c=biws,r=,p=" PROOF, "08P01", "invalid SCRAM response", "Nonce does not match."},
        {"c=biws,r=" NONCE "x,p=" PROOF, "08P01", "invalid SCRAM response",
         "Nonce does not match."},
        {"c=biws,r=" NONCE, MALFORMED, "Attribute expected, but found end of string."},
        {"c=biws,r=" NONCE ",", MALFORMED, "Attribute expected, but found end of string."},
        {"c=biws,r=" NONCE ",x=1", MALFORMED, "Attribute expected, but found end of string."},
        {"c=biws,r=" NONCE ",p=", MALFORMED, BAD_PROOF},
        {"c=biws,r=" NONCE ",p=AAAA", MALFORMED, BAD_PROOF},
        {"c=biws,r=" NONCE ",p=" PROOF PROOF, MALFORMED, BAD_PROOF},
        {"c=biws,r=" NONCE ",p=*" PROOF, MALFORMED, BAD_PROOF},
        {"c=biws,r=" NONCE ",p=" PROOF " ", MALFORMED, BAD_PROOF},
        {"c=biws,r=" NONCE ",p=" PROOF ",x=1", MALFORMED,
         "Garbage found at the end of client-final-message."},
        {"c=biws,r=" NONCE ",x=1,p=" PROOF, WRONG, ""},
        {"c=biws,r=" NONCE ",p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", WRONG, ""},
        {"c=biws,r=" NONCE ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", WRONG, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_final_refused(rows[i].message, rows[i].sqlstate, rows[i].text, rows[i].detail);
}

static void every_cut_of_a_final_message_is_refused(void **state)
{
    for (size_t len = 0; len < strlen(CLIENT_FINAL); len++) {
        struct scram_server *scram = scram_server_new(&rfc_verifier, false, SERVER_NONCE);
        struct buf out = BUF_NONE;
        assert_true(server_first(scram, CLIENT_FIRST, strlen(CLIENT_FIRST), &out, NULL));
        assert_false(server_final(scram, CLIENT_FINAL, len, &out, NULL));
        scram_server_free(scram);
        buf_done(&out);
    }
}

/* --- as a client --- */

static bool challenge(struct scram_client *scram, const char *text, size_t len,
                      struct scram_salt *salt, struct err *err)
{
    struct slice message = exact(text, len);
    bool ok = scram_client_challenge(scram, message, salt, err);
    free((char *)message.ptr);
    return ok;
}

static struct scram_client *begin_client(void)
{
    struct scram_client *scram = scram_client_new(CLIENT_NONCE);
    struct buf out = BUF_NONE;
    assert_true(scram_client_first(scram, &out, NULL));
    assert_text(&out, "n,,n=,r=" CLIENT_NONCE);
    buf_done(&out);
    return scram;
}

static void the_client_reads_the_challenge_of_the_rfc(void **state)
{
    struct scram_client *scram = begin_client();
    struct scram_salt salt;
    assert_true(challenge(scram, SERVER_FIRST, strlen(SERVER_FIRST), &salt, NULL));
    assert_true(scram_salt_equal(&salt, &rfc_keys.salt));
    scram_client_free(scram);
}

static void every_cut_of_a_challenge_is_refused_or_a_smaller_count(void **state)
{
    size_t whole = strlen(SERVER_FIRST);
    for (size_t len = 0; len < whole; len++) {
        struct scram_client *scram = begin_client();
        struct scram_salt salt;
        assert_int_equal(challenge(scram, SERVER_FIRST, len, &salt, NULL), len >= whole - 3);
        scram_client_free(scram);
    }
}

#define COUNT    "Invalid iteration count in server-first-message; 1 to 1000000 are accepted."
#define BAD_SALT "Invalid salt in server-first-message."

static void invalid_challenges_are_refused(void **state)
{
    static const struct row rows[] = {
        {"", MALFORMED, "The message is empty."},
        {"e=other-error", MALFORMED, "Expected attribute \"r\" but found \"'e'\"."},
        {"m=x,r=" NONCE ",s=" SALT ",i=1", MALFORMED,
         "Expected attribute \"r\" but found \"'m'\"."},
        {"r=" SERVER_NONCE ",s=" SALT ",i=1", "08P01", "invalid SCRAM response",
         "Nonce does not match."},
        {"r=" CLIENT_NONCE ",s=" SALT ",i=1", "08P01", "invalid SCRAM response",
         "Nonce does not match."},
        {"r=,s=" SALT ",i=1", "08P01", "invalid SCRAM response", "Nonce does not match."},
        {"r=" NONCE "\x80,s=" SALT ",i=1", "08P01", "non-printable characters in SCRAM nonce", ""},
        {"r=" NONCE ",i=1", MALFORMED, "Expected attribute \"s\" but found \"'i'\"."},
        {"r=" NONCE ",s=,i=1", MALFORMED, BAD_SALT},
        {"r=" NONCE ",s=*,i=1", MALFORMED, BAD_SALT},
        {"r=" NONCE ",s=" SALT, MALFORMED, "Expected attribute \"i\" but found \"0x00\"."},
        {"r=" NONCE ",s=" SALT ",i=", MALFORMED, COUNT},
        {"r=" NONCE ",s=" SALT ",i=0", MALFORMED, COUNT},
        {"r=" NONCE ",s=" SALT ",i=-1", MALFORMED, COUNT},
        {"r=" NONCE ",s=" SALT ",i=4096x", MALFORMED, COUNT},
        {"r=" NONCE ",s=" SALT ",i=1000001", MALFORMED, COUNT},
        {"r=" NONCE ",s=" SALT ",i=2147483648", MALFORMED, COUNT},
        {"r=" NONCE ",s=" SALT ",i=99999999999999999999", MALFORMED, COUNT},
        {"r=" NONCE ",s=" SALT ",i=1,x=1", MALFORMED,
         "Garbage found at the end of server-first-message."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scram_client *scram = begin_client();
        struct scram_salt salt;
        struct err err = ERR_NONE;
        assert_false(challenge(scram, rows[i].message, strlen(rows[i].message), &salt, &err));
        assert_string_equal(err.detail, rows[i].detail);
        assert_string_equal(err.message, rows[i].text);
        assert_string_equal(err.sqlstate, rows[i].sqlstate);
        scram_client_free(scram);
    }
}

static void salts_of_servers_are_bounded(void **state)
{
    static const struct {
        size_t len;
        bool ok;
    } rows[] = {
        {1, true},    {16, true}, {32, true}, {SCRAM_SALT_MAX, true}, {SCRAM_SALT_MAX + 1, false},
        {1000, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[1000] = {1};
        struct buf text = BUF_NONE;
        struct scram_salt salt;
        buf_append_str(&text, "r=" NONCE ",s=");
        base64_append(&text, bytes, rows[i].len);
        buf_append_str(&text, ",i=1");
        struct scram_client *scram = begin_client();
        assert_int_equal(challenge(scram, text.data, text.len, &salt, NULL), rows[i].ok);
        scram_client_free(scram);
        buf_done(&text);
    }
}

static void a_nonce_of_10_kb_is_refused(void **state)
{
    struct buf text = BUF_NONE;
    struct scram_salt salt;
    buf_printf(&text, "r=%s%010000d,s=%s,i=1", CLIENT_NONCE, 0, SALT);
    struct scram_client *scram = begin_client();
    assert_false(challenge(scram, text.data, text.len, &salt, NULL));
    scram_client_free(scram);
    buf_done(&text);
}

/* --- against each other --- */

struct pair {
    struct scram_server *server;
    struct scram_client *client;
    struct buf message;
};

static bool shake_hands(struct pair *pair, const struct scram_keys *keys,
                        const struct scram_verifier *verifier, struct err *err)
{
    struct buf a = BUF_NONE, b = BUF_NONE, c = BUF_NONE;
    struct scram_salt salt;
    *pair = (struct pair){.server = scram_server_new(verifier, false, NULL),
                          .client = scram_client_new(NULL)};
    bool ok = scram_client_first(pair->client, &a, err) &&
              scram_server_first(pair->server, (struct slice){a.data, a.len}, &b, err) &&
              scram_client_challenge(pair->client, (struct slice){b.data, b.len}, &salt, err) &&
              scram_client_final(pair->client, keys, &c, err) &&
              scram_server_final(pair->server, (struct slice){c.data, c.len}, &pair->message, err);
    buf_done(&a);
    buf_done(&b);
    buf_done(&c);
    return ok;
}

static void part(struct pair *pair)
{
    scram_server_free(pair->server);
    scram_client_free(pair->client);
    buf_done(&pair->message);
}

static bool verify(struct pair *pair, const char *text, size_t len, struct err *err)
{
    struct slice message = exact(text, len);
    bool ok = scram_client_verify(pair->client, message, err);
    free((char *)message.ptr);
    return ok;
}

static void both_sides_agree(void **state)
{
    struct pair pair;
    assert_true(shake_hands(&pair, &rfc_keys, &rfc_verifier, NULL));
    assert_true(verify(&pair, pair.message.data, pair.message.len, NULL));
    part(&pair);
}

static void a_wrong_key_is_refused(void **state)
{
    struct scram_keys keys = rfc_keys;
    struct pair pair;
    struct err err = ERR_NONE;
    keys.client_key[31] ^= 1;
    assert_false(shake_hands(&pair, &keys, &rfc_verifier, &err));
    assert_string_equal(err.message, "SASL authentication failed");
    part(&pair);
}

static void a_server_without_the_server_key_is_refused(void **state)
{
    struct scram_verifier verifier = rfc_verifier;
    struct pair pair;
    struct err err = ERR_NONE;
    verifier.server_key[0] ^= 1;
    assert_true(shake_hands(&pair, &rfc_keys, &verifier, &err));
    assert_false(verify(&pair, pair.message.data, pair.message.len, &err));
    assert_string_equal(err.message, "incorrect server signature");
    part(&pair);
}

static void invalid_signatures_are_refused(void **state)
{
    static const struct row rows[] = {
        {"", MALFORMED, "The message is empty."},
        {"v=", MALFORMED, "Malformed server signature."},
        {"v=AAAA", MALFORMED, "Malformed server signature."},
        {"v", MALFORMED, "Expected character \"=\" for attribute \"v\"."},
        {"x=1", MALFORMED, "Expected attribute \"v\" but found \"'x'\"."},
        {SERVER_FINAL, "08P01", "incorrect server signature", ""},
        {SERVER_FINAL ",x=1", MALFORMED, "Garbage found at the end of server-final-message."},
        {"e=invalid-proof", "28P01", "error received from server in SCRAM exchange: invalid-proof",
         ""},
        {"e=\n\n", "28P01", "error received from server in SCRAM exchange: unreadable", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair pair;
        struct err err = ERR_NONE;
        assert_true(shake_hands(&pair, &rfc_keys, &rfc_verifier, NULL));
        assert_false(verify(&pair, rows[i].message, strlen(rows[i].message), &err));
        assert_string_equal(err.message, rows[i].text);
        assert_string_equal(err.sqlstate, rows[i].sqlstate);
        assert_string_equal(err.detail, rows[i].detail);
        part(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_plays_the_example_of_the_rfc),
        cmocka_unit_test(the_doomed_fail_with_the_right_proof),
        cmocka_unit_test(random_nonces_differ),
        cmocka_unit_test(invalid_first_messages_are_refused),
        cmocka_unit_test(a_nul_in_a_message_is_refused),
        cmocka_unit_test(long_nonces_and_extensions_are_accepted),
        cmocka_unit_test(every_cut_of_a_first_message_is_refused_or_a_shorter_nonce),
        cmocka_unit_test(invalid_final_messages_are_refused),
        cmocka_unit_test(every_cut_of_a_final_message_is_refused),
        cmocka_unit_test(the_client_reads_the_challenge_of_the_rfc),
        cmocka_unit_test(every_cut_of_a_challenge_is_refused_or_a_smaller_count),
        cmocka_unit_test(invalid_challenges_are_refused),
        cmocka_unit_test(salts_of_servers_are_bounded),
        cmocka_unit_test(a_nonce_of_10_kb_is_refused),
        cmocka_unit_test(both_sides_agree),
        cmocka_unit_test(a_wrong_key_is_refused),
        cmocka_unit_test(a_server_without_the_server_key_is_refused),
        cmocka_unit_test(invalid_signatures_are_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, NULL);
}
