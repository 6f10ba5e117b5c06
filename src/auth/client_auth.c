#include "auth/client_auth.h"

#include <assert.h>
#include <openssl/rand.h>
#include <string.h>

#include "auth/code.h"
#include "auth/md5.h"
#include "auth/scram.h"
#include "auth/scram_cache.h"
#include "auth/scram_exchange.h"
#include "auth/secret.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proto/build.h"

/*
 *   NEW --start--> PASSWORD ----------------------------------------> OVER
 *       --start--> MD5 ---------------------------------------------> OVER
 *       --start--> SASL_INITIAL --no data--> SASL_FIRST --> SASL_FINAL --> OVER
 *                               --data--------------------> SASL_FINAL
 *
 * A message that is refused leads to OVER.  The states name the message that is awaited.
 */
enum state { NEW, PASSWORD, MD5, SASL_INITIAL, SASL_FIRST, SASL_FINAL, OVER };

struct client_auth {
    enum client_auth_method method;
    enum state state;
    enum secret_kind secret_kind;
    int scram_iterations;
    uint8_t mock_key[32];
    char *user;
    char *secret;               /* NULL for an unknown user */
    struct scram_cache *cache;  /* borrowed; NULL for none */
    uint8_t md5_salt[4];        /* in MD5 */
    struct scram_server *scram; /* owned, in the states of SASL */
    struct scram_keys keys;     /* valid if has_keys */
    bool has_keys;
    char *password; /* owned: right and in plaintext; else NULL */
};

struct client_auth *client_auth_new(enum client_auth_method method, const char *user,
                                    const char *secret, int scram_iterations,
                                    const uint8_t mock_key[32], struct scram_cache *cache)
{
    struct client_auth *auth = mem_new(sizeof *auth);
    assert(scram_iterations >= 1);
    auth->method = method;
    auth->secret_kind = secret_kind_of(secret);
    auth->scram_iterations = scram_iterations;
    memcpy(auth->mock_key, mock_key, sizeof auth->mock_key);
    auth->user = mem_strdup(user);
    auth->secret = mem_strdup(secret);
    auth->cache = cache;
    return auth;
}

void client_auth_free(struct client_auth *auth)
{
    if (auth == NULL)
        return;
    mem_free(auth->user);
    mem_wipe_free(auth->secret);
    mem_wipe_free(auth->password);
    scram_server_free(auth->scram);
    mem_wipe(auth, sizeof *auth);
    mem_free(auth);
}

static bool refuse_password(struct err *err)
{
    return err_set(err, SQLSTATE_INVALID_PASSWORD, "password authentication failed");
}

static bool refuse_random(struct err *err)
{
    return err_set(err, SQLSTATE_INTERNAL_ERROR, "could not generate random salt");
}

/* --- requests --- */

static void append_request(struct buf *out, uint32_t code, const void *rest, size_t len)
{
    size_t mark = message_begin(out, 'R');
    buf_append_u32(out, code);
    buf_append(out, rest, len);
    message_end(out, mark);
}

static bool request_md5(struct client_auth *auth, struct buf *out, struct err *err)
{
    if (RAND_bytes(auth->md5_salt, sizeof auth->md5_salt) != 1)
        return refuse_random(err);
    append_request(out, AUTH_CODE_MD5, auth->md5_salt, sizeof auth->md5_salt);
    auth->state = MD5;
    return true;
}

static void request_sasl(struct client_auth *auth, struct buf *out)
{
    static const char mechanisms[] = SCRAM_MECHANISM "\0"; /* a list, ended by an empty name */
    append_request(out, AUTH_CODE_SASL, mechanisms, sizeof mechanisms);
    auth->state = SASL_INITIAL;
}

static void request_password(struct client_auth *auth, struct buf *out)
{
    append_request(out, AUTH_CODE_CLEARTEXT, NULL, 0);
    auth->state = PASSWORD;
}

static enum auth_step trust(struct client_auth *auth, struct err *err)
{
    auth->state = OVER;
    if (auth->secret != NULL)
        return AUTH_OK;
    err_set(err, SQLSTATE_INVALID_AUTHORIZATION, "\"trust\" authentication failed");
    return AUTH_FAILED;
}

static enum auth_step start_md5(struct client_auth *auth, struct buf *out, struct err *err)
{
    if (auth->secret_kind == SECRET_SCRAM)
        request_sasl(auth, out);
    else if (!request_md5(auth, out, err))
        return AUTH_FAILED;
    return AUTH_CONTINUE;
}

enum auth_step client_auth_start(struct client_auth *auth, struct buf *out, struct err *err)
{
    assert(auth->state == NEW);
    switch (auth->method) {
    case CLIENT_AUTH_TRUST:
        return trust(auth, err);
    case CLIENT_AUTH_PLAIN:
        request_password(auth, out);
        return AUTH_CONTINUE;
    case CLIENT_AUTH_MD5:
        return start_md5(auth, out, err);
    case CLIENT_AUTH_SCRAM:
        request_sasl(auth, out);
        return AUTH_CONTINUE;
    }
    assert(0);
    return AUTH_FAILED;
}

/* --- passwords --- */

/* A PasswordMessage is one C string and nothing else; NULL if it is not. */
static const char *read_password(struct reader *in, struct err *err)
{
    const char *password = read_cstr(in);
    if (password == NULL || reader_left(in) > 0) {
        err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid password packet size");
        return NULL;
    }
    if (password[0] == '\0') {
        err_set(err, SQLSTATE_INVALID_PASSWORD, "empty password returned by client");
        return NULL;
    }
    return password;
}

static bool text_equal(const char *a, const char *b)
{
    return secret_equal(a, strlen(a), b, strlen(b));
}

static bool matches_md5(const struct client_auth *auth, const char *password)
{
    char hashed[MD5_TEXT_SIZE];
    return md5_secret(password, auth->user, hashed) && text_equal(hashed, auth->secret);
}

static bool matches_verifier(const struct client_auth *auth, const char *password)
{
    struct scram_verifier verifier, tried;
    struct scram_keys keys;
    if (!scram_verifier_parse(auth->secret, &verifier) ||
        verifier.salt.iterations > LIMIT_SCRAM_ITERATIONS)
        return false;
    bool cached = scram_cache_find(auth->cache, password, &verifier.salt, &keys);
    bool right = (cached || scram_keys_derive(password, &verifier.salt, &keys)) &&
                 scram_verifier_of_keys(&keys, &tried) &&
                 secret_equal(tried.stored_key, SCRAM_KEY_LEN, verifier.stored_key, SCRAM_KEY_LEN);
    if (right && !cached)
        scram_cache_add(auth->cache, password, &keys);
    mem_wipe(&keys, sizeof keys);
    return right;
}

static bool matches(const struct client_auth *auth, const char *password)
{
    switch (auth->secret_kind) {
    case SECRET_NONE:
        return false;
    case SECRET_PLAIN:
        return text_equal(password, auth->secret);
    case SECRET_MD5:
        return matches_md5(auth, password);
    case SECRET_SCRAM:
        return matches_verifier(auth, password);
    }
    return false;
}

static bool take_password(struct client_auth *auth, struct reader *in, struct err *err)
{
    const char *password = read_password(in, err);
    if (password == NULL)
        return false;
    if (!matches(auth, password))
        return refuse_password(err);
    auth->password = mem_strdup(password);
    return true;
}

/* The MD5 secret of the user, made from plaintext where need be, made up for nobody. */
static bool stored_md5(const struct client_auth *auth, char stored[MD5_TEXT_SIZE])
{
    if (auth->secret_kind != SECRET_MD5)
        return md5_secret(auth->secret != NULL ? auth->secret : "", auth->user, stored);
    memcpy(stored, auth->secret, MD5_TEXT_SIZE);
    return true;
}

static bool take_md5(struct client_auth *auth, struct reader *in, struct err *err)
{
    char stored[MD5_TEXT_SIZE], expected[MD5_TEXT_SIZE];
    const char *answer = read_password(in, err);
    if (answer == NULL)
        return false;
    bool right = stored_md5(auth, stored) && md5_response(stored, auth->md5_salt, expected) &&
                 text_equal(answer, expected) && auth->secret_kind != SECRET_NONE;
    mem_wipe(stored, sizeof stored);
    return right || refuse_password(err);
}

/* --- SASL --- */

static bool verifier_of_plaintext(const struct client_auth *auth, struct scram_verifier *out)
{
    struct scram_salt salt;
    struct scram_keys keys;
    bool ok = scram_salt_of_user(auth->user, auth->mock_key, auth->scram_iterations, &salt) &&
              scram_cache_derive(auth->cache, auth->secret, &salt, &keys) &&
              scram_verifier_of_keys(&keys, out);
    mem_wipe(&keys, sizeof keys);
    return ok;
}

/* Zero keys, which no proof fits; `doomed` refuses them all the same. */
static bool mock_verifier(const struct client_auth *auth, struct scram_verifier *out)
{
    memset(out, 0, sizeof *out);
    return scram_salt_of_user(auth->user, auth->mock_key, auth->scram_iterations, &out->salt);
}

static bool find_verifier(const struct client_auth *auth, struct scram_verifier *out, bool *doomed)
{
    *doomed = false;
    if (auth->secret_kind == SECRET_SCRAM)
        return scram_verifier_parse(auth->secret, out);
    if (auth->secret_kind == SECRET_PLAIN)
        return verifier_of_plaintext(auth, out);
    *doomed = true;
    return mock_verifier(auth, out);
}

static bool begin_scram(struct client_auth *auth, struct err *err)
{
    struct scram_verifier verifier;
    bool doomed;
    if (!find_verifier(auth, &verifier, &doomed))
        return err_set(err, SQLSTATE_INTERNAL_ERROR, "could not compute SCRAM keys");
    auth->scram = scram_server_new(&verifier, doomed, NULL);
    mem_wipe(&verifier, sizeof verifier);
    return true;
}

static bool take_first(struct client_auth *auth, struct slice message, struct buf *out,
                       struct err *err)
{
    struct buf answer = BUF_NONE;
    auth->state = SASL_FINAL;
    bool ok = scram_server_first(auth->scram, message, &answer, err);
    if (ok)
        append_request(out, AUTH_CODE_SASL_CONTINUE, answer.data, answer.len);
    buf_done(&answer);
    return ok;
}

/* The client may leave out its first message, to be asked for it by an empty challenge. */
static bool ask_for_first(struct client_auth *auth, struct buf *out)
{
    append_request(out, AUTH_CODE_SASL_CONTINUE, NULL, 0);
    auth->state = SASL_FIRST;
    return true;
}

/* SASLInitialResponse: the mechanism, then a message with its length, or -1. */
static bool take_initial(struct client_auth *auth, struct reader *in, struct buf *out,
                         struct err *err)
{
    const char *mechanism = read_cstr(in);
    if (mechanism == NULL)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid string in message");
    if (strcmp(mechanism, SCRAM_MECHANISM) != 0)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                       "client selected an invalid SASL authentication mechanism");
    uint32_t len = read_u32(in);
    bool absent = len == UINT32_MAX;
    struct slice message = read_bytes(in, absent ? 0 : len);
    if (in->bad)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "insufficient data left in message");
    if (reader_left(in) > 0)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid message format");
    if (!begin_scram(auth, err))
        return false;
    return absent ? ask_for_first(auth, out) : take_first(auth, message, out, err);
}

static struct slice whole(struct reader *in)
{
    return read_bytes(in, reader_left(in));
}

static bool take_final(struct client_auth *auth, struct reader *in, struct buf *out,
                       struct err *err)
{
    struct buf answer = BUF_NONE;
    auth->state = OVER;
    bool ok = scram_server_final(auth->scram, whole(in), &answer, err);
    if (ok)
        append_request(out, AUTH_CODE_SASL_FINAL, answer.data, answer.len);
    buf_done(&answer);
    /* Keys that were made from plaintext log in to no server: it has another salt. */
    auth->has_keys = ok && auth->secret_kind == SECRET_SCRAM;
    if (auth->has_keys)
        scram_server_keys(auth->scram, &auth->keys);
    return ok;
}

/* --- steps --- */

size_t client_auth_max_body(const struct client_auth *auth)
{
    bool sasl =
        auth->state == SASL_INITIAL || auth->state == SASL_FIRST || auth->state == SASL_FINAL;
    return (sasl ? LIMIT_SASL_MESSAGE : LIMIT_AUTH_MESSAGE) - 4; /* the limits count the length */
}

static bool take(struct client_auth *auth, struct reader *in, struct buf *out, struct err *err)
{
    switch (auth->state) {
    case PASSWORD:
        auth->state = OVER;
        return take_password(auth, in, err);
    case MD5:
        auth->state = OVER;
        return take_md5(auth, in, err);
    case SASL_INITIAL:
        return take_initial(auth, in, out, err);
    case SASL_FIRST:
        return take_first(auth, whole(in), out, err);
    case SASL_FINAL:
        return take_final(auth, in, out, err);
    case NEW:
    case OVER:
        break;
    }
    return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "unexpected authentication message");
}

enum auth_step client_auth_message(struct client_auth *auth, const char *body, size_t len,
                                   struct buf *out, struct err *err)
{
    struct reader in = reader_of(body, len);
    bool ok = len <= client_auth_max_body(auth)
                  ? take(auth, &in, out, err)
                  : err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid message length");
    if (ok)
        return auth->state == OVER ? AUTH_OK : AUTH_CONTINUE;
    auth->state = OVER;
    return AUTH_FAILED;
}

const struct scram_keys *client_auth_keys(const struct client_auth *auth)
{
    return auth->has_keys ? &auth->keys : NULL;
}

const char *client_auth_password(const struct client_auth *auth)
{
    return auth->password;
}
