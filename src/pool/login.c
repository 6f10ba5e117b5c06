#include "pool/login.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "auth/server_auth.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/welcome.h"
#include "proto/message.h"
#include "proto/response.h"

struct server_login {
    enum login_state state;
    struct server_auth *auth; /* owned */
    enum auth_step auth_step; /* the last one */
    struct welcome *welcome;  /* counted */
    uint8_t key[8];
};

struct message {
    uint8_t kind;
    const char *body;
    size_t len;
};

struct server_login *login_new(const struct server_credentials *credentials,
                               struct scram_cache *cache)
{
    struct server_login *login = mem_new(sizeof *login);
    login->auth = server_auth_new(credentials, cache);
    login->auth_step = AUTH_CONTINUE;
    login->welcome = welcome_new();
    return login;
}

void login_free(struct server_login *login)
{
    if (login == NULL)
        return;
    server_auth_free(login->auth);
    welcome_free(login->welcome);
    mem_wipe(login->key, sizeof login->key);
    mem_free(login);
}

struct welcome *login_take_welcome(struct server_login *login)
{
    struct welcome *welcome = login->welcome;
    login->welcome = NULL;
    return welcome;
}

const uint8_t *login_key(const struct server_login *login)
{
    return login->key;
}

static bool refuse(struct server_login *login, const struct message *msg, struct buf *out,
                   struct err *err)
{
    /* Keep the server's SQLSTATE: drivers retry on its 57P03, not on a code of ours. */
    const char *severity;
    response_parse(msg->body, msg->len, err, &severity);
    return false;
}

static bool answer(struct server_login *login, const struct message *msg, struct buf *out,
                   struct err *err)
{
    login->auth_step = server_auth_message(login->auth, msg->body, msg->len, out, err);
    return login->auth_step != AUTH_FAILED;
}

static bool parameter(struct server_login *login, const struct message *msg, struct buf *out,
                      struct err *err)
{
    struct reader reader = reader_of(msg->body, msg->len);
    const char *name = read_cstr(&reader), *value = read_cstr(&reader);
    if (reader.bad)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid ParameterStatus from server");
    welcome_add(login->welcome, name, value);
    return true;
}

static bool key_data(struct server_login *login, const struct message *msg, struct buf *out,
                     struct err *err)
{
    if (msg->len != sizeof login->key)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid BackendKeyData from server");
    memcpy(login->key, msg->body, sizeof login->key);
    return true;
}

static bool notice(struct server_login *login, const struct message *msg, struct buf *out,
                   struct err *err)
{
    return true; /* for example that a name was cut: it concerns no client */
}

static bool ready(struct server_login *login, const struct message *msg, struct buf *out,
                  struct err *err)
{
    if (msg->len != 1 || msg->body[0] != TXN_IDLE)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                       "unexpected transaction status from server after login");
    return true;
}

/*
 *     AUTHENTICATING --AuthenticationOk--> STARTING --ReadyForQuery--> DONE
 *
 * A message without a row, or an action that fails, leads to FAILED.  NegotiateProtocolVersion has
 * no row: we ask for protocol 3.0 without options, which every server knows.
 */
static const struct transition {
    enum login_state from;
    uint8_t on;
    enum login_state to;
    bool (*action)(struct server_login *login, const struct message *msg, struct buf *out,
                   struct err *err);
} transitions[] = {
    /* clang-format off */
    {LOGIN_AUTHENTICATING, BE_AUTHENTICATION,   LOGIN_AUTHENTICATING, answer},
    {LOGIN_AUTHENTICATING, BE_ERROR_RESPONSE,   LOGIN_FAILED,         refuse},
    {LOGIN_AUTHENTICATING, BE_NOTICE_RESPONSE,  LOGIN_AUTHENTICATING, notice},
    {LOGIN_STARTING,       BE_PARAMETER_STATUS, LOGIN_STARTING,       parameter},
    {LOGIN_STARTING,       BE_BACKEND_KEY_DATA, LOGIN_STARTING,       key_data},
    {LOGIN_STARTING,       BE_NOTICE_RESPONSE,  LOGIN_STARTING,       notice},
    {LOGIN_STARTING,       BE_ERROR_RESPONSE,   LOGIN_FAILED,         refuse},
    {LOGIN_STARTING,       BE_READY_FOR_QUERY,  LOGIN_DONE,           ready},
    /* clang-format on */
};

static const struct transition *find_row(enum login_state from, uint8_t on)
{
    for (size_t i = 0; i < sizeof transitions / sizeof transitions[0]; i++) {
        if (transitions[i].from == from && transitions[i].on == on)
            return &transitions[i];
    }
    return NULL;
}

enum login_state login_step(struct server_login *login, uint8_t kind, const char *body, size_t len,
                            struct buf *out, struct err *err)
{
    struct message msg = {.kind = kind, .body = body, .len = len};
    assert(login->state < LOGIN_DONE);
    const struct transition *row = find_row(login->state, kind);
    if (row == NULL)
        err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                "unexpected message of type 0x%02x from server during login", kind);
    login->state = row != NULL && row->action(login, &msg, out, err) ? row->to : LOGIN_FAILED;
    if (login->state == LOGIN_AUTHENTICATING && login->auth_step == AUTH_OK)
        login->state = LOGIN_STARTING;
    return login->state;
}
