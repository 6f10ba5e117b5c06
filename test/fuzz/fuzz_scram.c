/*
 * SCRAM and the messages around it, from both sides.  The first byte picks the side and the secret;
 * the rest is a sequence of messages, each ended by a byte 0xff 0x00 pair.
 *
 * Whoever does not hold the key must not get in: AUTH_OK is a finding, except where nothing was
 * asked for.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/client_auth.h"
#include "auth/scram.h"
#include "auth/scram_exchange.h"
#include "auth/secret.h"
#include "auth/server_auth.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t mock_key[32] = {1};
static struct scram_keys
    keys; /* salt "abc", one iteration; what they are hashed from is nobody's */
static struct scram_verifier verifier;
static char *verifier_text;

static void prepare(void)
{
    const struct scram_salt salt = {.iterations = 1, .len = 3, .bytes = "abc"};
    if (verifier_text != NULL)
        return;
    keys.salt = salt;
    memset(keys.client_key, 0xa5, SCRAM_KEY_LEN);
    memset(keys.server_key, 0x5a, SCRAM_KEY_LEN);
    assert(scram_verifier_of_keys(&keys, &verifier));
    verifier_text = scram_verifier_text(&verifier);
}

/* The next message, in memory of its own: a read beyond it is a finding. */
static bool next_message(struct reader *in, struct slice *message)
{
    if (reader_left(in) == 0)
        return false;
    const char *end = memmem(in->pos, reader_left(in), "\xff\x00", 2);
    struct slice part = read_bytes(in, end != NULL ? (size_t)(end - in->pos) : reader_left(in));
    if (end != NULL)
        read_bytes(in, 2);
    char *copy = malloc(part.len > 0 ? part.len : 1);
    memcpy(copy, part.ptr, part.len);
    *message = (struct slice){copy, part.len};
    return true;
}

static void fuzz_client_auth(struct reader *in, enum client_auth_method method, const char *secret)
{
    struct client_auth *auth = client_auth_new(method, "joe", secret, 1, mock_key, NULL);
    struct buf out = BUF_NONE;
    struct err err = ERR_NONE;
    struct slice message;
    enum auth_step step = client_auth_start(auth, &out, &err);
    while (step == AUTH_CONTINUE && next_message(in, &message)) {
        step = client_auth_message(auth, message.ptr, message.len, &out, &err);
        free((char *)message.ptr);
        assert(step != AUTH_OK);
        assert((step == AUTH_FAILED) == (err.sqlstate[0] != '\0'));
    }
    client_auth_free(auth);
    buf_done(&out);
}

static void fuzz_server_auth(struct reader *in, const struct server_credentials *credentials)
{
    struct server_auth *auth = server_auth_new(credentials, NULL);
    struct buf out = BUF_NONE;
    struct err err = ERR_NONE;
    struct slice message;
    bool sasl = false;
    enum auth_step step = AUTH_CONTINUE;
    while (step == AUTH_CONTINUE && next_message(in, &message)) {
        sasl |= message.len >= 4 && load_u32(message.ptr) == 10;
        step = server_auth_message(auth, message.ptr, message.len, &out, &err);
        free((char *)message.ptr);
        assert(step != AUTH_OK || !sasl);
        assert((step == AUTH_FAILED) == (err.sqlstate[0] != '\0'));
    }
    server_auth_free(auth);
    buf_done(&out);
}

/* With fixed nonces the fuzzer gets past their check. */
static void fuzz_server_side(struct reader *in)
{
    struct scram_server *scram = scram_server_new(&verifier, false, "srv");
    struct buf out = BUF_NONE;
    struct err err = ERR_NONE;
    struct slice first, final;
    if (next_message(in, &first)) {
        if (scram_server_first(scram, first, &out, &err) && next_message(in, &final)) {
            assert(!scram_server_final(scram, final, &out, &err));
            assert(err.sqlstate[0] != '\0');
            free((char *) final.ptr);
        }
        free((char *)first.ptr);
    }
    scram_server_free(scram);
    buf_done(&out);
}

static void fuzz_client_side(struct reader *in)
{
    struct scram_client *scram = scram_client_new("cli");
    struct buf out = BUF_NONE;
    struct err err = ERR_NONE;
    struct scram_salt salt;
    struct slice first, final;
    assert(scram_client_first(scram, &out, &err));
    if (next_message(in, &first)) {
        if (scram_client_challenge(scram, first, &salt, &err)) {
            assert(salt.iterations >= 1 && salt.len >= 1 && salt.len <= SCRAM_SALT_MAX);
            assert(scram_client_final(scram, &keys, &out, &err));
            if (next_message(in, &final)) {
                assert(!scram_client_verify(scram, final, &err));
                assert(err.sqlstate[0] != '\0');
                free((char *) final.ptr);
            }
        }
        free((char *)first.ptr);
    }
    scram_client_free(scram);
    buf_done(&out);
}

/* What parses as a verifier is written back as the same text. */
static void fuzz_verifier(struct reader *in)
{
    struct scram_verifier parsed;
    char *text = mem_strndup(in->pos, reader_left(in));
    if (scram_verifier_parse(text, &parsed)) {
        char *again = scram_verifier_text(&parsed);
        assert(strcmp(again, text) == 0);
        mem_free(again);
    }
    secret_kind_of(text);
    mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(data, size);
    prepare();
    switch (read_u8(&in) % 10) {
    case 0:
        fuzz_client_auth(&in, CLIENT_AUTH_SCRAM, verifier_text);
        break;
    case 1:
        fuzz_client_auth(&in, CLIENT_AUTH_SCRAM, NULL);
        break;
    case 2:
        fuzz_client_auth(&in, CLIENT_AUTH_MD5, "never to be guessed");
        break;
    case 3:
        fuzz_client_auth(&in, CLIENT_AUTH_PLAIN, verifier_text);
        break;
    case 4:
        fuzz_server_auth(&in, &(struct server_credentials){.user = "joe", .keys = &keys});
        break;
    case 5:
        fuzz_server_auth(&in, &(struct server_credentials){.user = "joe", .secret = verifier_text});
        break;
    case 6:
        fuzz_server_auth(&in, &(struct server_credentials){.user = "joe", .secret = "never"});
        break;
    case 7:
        fuzz_server_side(&in);
        break;
    case 8:
        fuzz_client_side(&in);
        break;
    case 9:
        fuzz_verifier(&in);
        break;
    }
    return 0;
}
