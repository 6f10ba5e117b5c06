#include "auth/server_auth.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "auth/code.h"
#include "auth/md5.h"
#include "auth/scram.h"
#include "auth/scram_cache.h"
#include "auth/scram_exchange.h"
#include "auth/secret.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proto/build.h"

enum state { START, PASSWORD_SENT, SASL_FIRST_SENT, SASL_FINAL_SENT, SASL_VERIFIED, DONE, FAILED };

struct server_auth {
    enum state state;
    enum secret_kind secret_kind;
    char *user;
    char *secret;           /* NULL for none */
    struct scram_keys keys; /* valid if has_keys */
    bool has_keys;
    struct scram_cache *cache;  /* borrowed; NULL for none */
    struct scram_client *scram; /* owned, once SASL began */
};

struct server_auth *server_auth_new(const struct server_credentials *credentials,
                                    struct scram_cache *cache)
{
    struct server_auth *auth = mem_new(sizeof *auth);
    auth->secret_kind = secret_kind_of(credentials->secret);
    auth->user = mem_strdup(credentials->user);
    auth->secret = mem_strdup(credentials->secret);
    auth->has_keys = credentials->keys != NULL;
    if (auth->has_keys)
        auth->keys = *credentials->keys;
    auth->cache = cache;
    return auth;
}

void server_auth_free(struct server_auth *auth)
{
    if (auth == NULL)
        return;
    mem_free(auth->user);
    mem_wipe_free(auth->secret);
    scram_client_free(auth->scram);
    mem_wipe(auth, sizeof *auth);
    mem_free(auth);
}

/* --- errors --- */

static bool refuse_format(struct err *err)
{
    return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid authentication request from server");
}

static bool refuse_secret(const struct server_auth *auth, const char *wanted, struct err *err)
{
    if (auth->secret_kind == SECRET_NONE && !auth->has_keys)
        return err_set(err, SQLSTATE_INVALID_PASSWORD,
                       "server asks for a password, but none is known");
    err_set(err, SQLSTATE_INVALID_PASSWORD, "wrong password type");
    err_detail(err, "The server asks for %s.", wanted);
    return false;
}

/* --- answers --- */

static bool be_accepted(struct server_auth *auth, struct reader *in, struct buf *out,
                        struct err *err)
{
    return reader_left(in) == 0 || refuse_format(err);
}

static bool send_password(struct server_auth *auth, struct reader *in, struct buf *out,
                          struct err *err)
{
    if (reader_left(in) > 0)
        return refuse_format(err);
    if (auth->secret_kind != SECRET_PLAIN)
        return refuse_secret(auth, "a cleartext password", err);
    message_password(out, auth->secret);
    return true;
}

static bool find_md5(const struct server_auth *auth, char stored[MD5_TEXT_SIZE])
{
    if (auth->secret_kind == SECRET_PLAIN)
        return md5_secret(auth->secret, auth->user, stored);
    memcpy(stored, auth->secret, MD5_TEXT_SIZE);
    return true;
}

static bool send_md5(struct server_auth *auth, struct reader *in, struct buf *out, struct err *err)
{
    char stored[MD5_TEXT_SIZE], answer[MD5_TEXT_SIZE];
    struct slice salt = read_bytes(in, 4);
    if (in->bad || reader_left(in) > 0)
        return refuse_format(err);
    if (auth->secret_kind != SECRET_PLAIN && auth->secret_kind != SECRET_MD5)
        return refuse_secret(auth, "an MD5 password", err);
    if (!find_md5(auth, stored) || !md5_response(stored, (const uint8_t *)salt.ptr, answer))
        return err_set(err, SQLSTATE_INTERNAL_ERROR, "could not compute MD5 hash");
    mem_wipe(stored, sizeof stored);
    message_password(out, answer);
    return true;
}

/* The list of mechanisms: names, ended by an empty one. */
static bool offers_scram(struct reader *in, bool *offered)
{
    *offered = false;
    for (;;) {
        const char *name = read_cstr(in);
        if (name == NULL)
            return false;
        if (name[0] == '\0')
            return reader_left(in) == 0;
        if (strcmp(name, SCRAM_MECHANISM) == 0)
            *offered = true;
    }
}

static void append_initial(struct buf *out, const struct buf *first)
{
    size_t mark = message_begin(out, 'p');
    buf_append_cstr(out, SCRAM_MECHANISM);
    buf_append_u32(out, (uint32_t)first->len);
    buf_append(out, first->data, first->len);
    message_end(out, mark);
}

static bool send_first(struct server_auth *auth, struct reader *in, struct buf *out,
                       struct err *err)
{
    bool offered;
    if (!offers_scram(in, &offered))
        return refuse_format(err);
    if (!offered)
        return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                       "server offers no SASL mechanism that is supported");
    if (auth->secret_kind != SECRET_PLAIN && !auth->has_keys)
        return refuse_secret(auth, "SCRAM", err);
    auth->scram = scram_client_new(NULL);
    struct buf first = BUF_NONE;
    bool ok = scram_client_first(auth->scram, &first, err);
    if (ok)
        append_initial(out, &first);
    buf_done(&first);
    return ok;
}

static bool find_keys(struct server_auth *auth, const struct scram_salt *salt, struct err *err)
{
    if (auth->has_keys && scram_salt_equal(&auth->keys.salt, salt))
        return true;
    auth->has_keys = false;
    if (auth->secret_kind != SECRET_PLAIN) {
        err_set(err, SQLSTATE_INVALID_PASSWORD, "wrong password type");
        err_detail(err, "The server stores another SCRAM verifier than the one on file.");
        return false;
    }
    if (!scram_cache_derive(auth->cache, auth->secret, salt, &auth->keys))
        return err_set(err, SQLSTATE_INTERNAL_ERROR, "could not compute SCRAM keys");
    return true;
}

static bool send_final(struct server_auth *auth, struct reader *in, struct buf *out,
                       struct err *err)
{
    struct scram_salt salt;
    struct slice server_first = read_bytes(in, reader_left(in));
    if (!scram_client_challenge(auth->scram, server_first, &salt, err) ||
        !find_keys(auth, &salt, err))
        return false;
    size_t mark = message_begin(out, 'p');
    bool ok = scram_client_final(auth->scram, &auth->keys, out, err);
    message_end(out, mark);
    return ok;
}

static bool verify(struct server_auth *auth, struct reader *in, struct buf *out, struct err *err)
{
    return scram_client_verify(auth->scram, read_bytes(in, reader_left(in)), err);
}

/*
 *   START --Cleartext, MD5--> PASSWORD_SENT ----------------------------------Ok--> DONE
 *         --SASL--> SASL_FIRST_SENT --Continue--> SASL_FINAL_SENT
 *                                                       --Final--> SASL_VERIFIED --Ok--> DONE
 *         --Ok--> DONE
 *
 * A request without a row, or one that is refused, leads to FAILED.
 */
static const struct transition {
    enum state from;
    enum auth_code on;
    enum state to;
    bool (*action)(struct server_auth *auth, struct reader *in, struct buf *out, struct err *err);
} transitions[] = {
    /* clang-format off */
    {START,           AUTH_CODE_OK,            DONE,            be_accepted},
    {START,           AUTH_CODE_CLEARTEXT,     PASSWORD_SENT,   send_password},
    {START,           AUTH_CODE_MD5,           PASSWORD_SENT,   send_md5},
    {START,           AUTH_CODE_SASL,          SASL_FIRST_SENT, send_first},
    {PASSWORD_SENT,   AUTH_CODE_OK,            DONE,            be_accepted},
    {SASL_FIRST_SENT, AUTH_CODE_SASL_CONTINUE, SASL_FINAL_SENT, send_final},
    {SASL_FINAL_SENT, AUTH_CODE_SASL_FINAL,    SASL_VERIFIED,   verify},
    {SASL_VERIFIED,   AUTH_CODE_OK,            DONE,            be_accepted},
    /* clang-format on */
};

static const struct transition *find_row(enum state from, uint32_t code)
{
    for (size_t i = 0; i < sizeof transitions / sizeof *transitions; i++)
        if (transitions[i].from == from && transitions[i].on == code)
            return &transitions[i];
    return NULL;
}

static const char *unsupported_name(uint32_t code)
{
    switch (code) {
    case AUTH_CODE_KERBEROS_V5:
        return "Kerberos";
    case AUTH_CODE_SCM:
        return "SCM credential";
    case AUTH_CODE_GSS:
    case AUTH_CODE_GSS_CONTINUE:
        return "GSSAPI";
    case AUTH_CODE_SSPI:
        return "SSPI";
    default:
        return NULL;
    }
}

static bool refuse_request(enum state state, uint32_t code, struct err *err)
{
    const char *name = unsupported_name(code);
    if (name != NULL)
        return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                       "server asks for %s authentication, which is not supported", name);
    if (code == AUTH_CODE_OK && state >= SASL_FIRST_SENT && state <= SASL_FINAL_SENT)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                       "server accepted the login before it proved its own identity");
    if (code > AUTH_CODE_SASL_FINAL)
        return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                       "server asks for authentication method %u, which is not supported", code);
    return err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                   "unexpected authentication request %u from server", code);
}

enum auth_step server_auth_message(struct server_auth *auth, const char *body, size_t len,
                                   struct buf *out, struct err *err)
{
    struct reader in = reader_of(body, len);
    uint32_t code = read_u32(&in);
    const struct transition *row = in.bad ? NULL : find_row(auth->state, code);
    bool ok = false;
    if (in.bad)
        refuse_format(err);
    else if (row == NULL)
        refuse_request(auth->state, code, err);
    else
        ok = row->action(auth, &in, out, err);
    auth->state = ok ? row->to : FAILED;
    if (!ok)
        return AUTH_FAILED;
    return auth->state == DONE ? AUTH_OK : AUTH_CONTINUE;
}
