#include "proto/startup.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "proto/build.h"
#include "proto/utf8.h"

static const struct {
    const char *name;
    size_t at;
} named_params[] = {
    {"user", offsetof(struct startup, user)},
    {"database", offsetof(struct startup, database)},
    {"replication", offsetof(struct startup, replication)},
    {"options", offsetof(struct startup, options)},
};

bool startup_length_ok(uint32_t len)
{
    return len >= STARTUP_HEADER && len <= STARTUP_MAX_PACKET;
}

static bool refuse_length(struct err *err)
{
    return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid length of startup packet");
}

static bool refuse_layout(struct err *err)
{
    return err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                   "invalid startup packet layout: expected terminator as last byte");
}

static bool refuse_version(const struct startup *startup, struct err *err)
{
    return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                   "unsupported frontend protocol %u.%u: server supports 3.0 to 3.0",
                   startup->major, startup->minor);
}

static bool set_named(struct startup *out, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof named_params / sizeof *named_params; i++)
        if (strcmp(named_params[i].name, name) == 0) {
            memcpy((char *)out + named_params[i].at, &value, sizeof value);
            return true;
        }
    return false;
}

static void add_param(struct startup *out, const char *name, const char *value)
{
    if (set_named(out, name, value))
        return;
    if (strncmp(name, "_pq_.", 5) == 0)
        out->unknown_pq[out->n_unknown_pq++] = name;
    else
        out->params[out->n_params++] = (struct startup_param){name, value};
}

static bool read_params(struct reader *in, struct startup *out, struct err *err)
{
    /* A pair has three bytes at least, so that the arrays need not grow. */
    size_t most = reader_left(in) / 3;
    out->params = mem_new_array(most, sizeof *out->params);
    out->unknown_pq = mem_new_array(most, sizeof *out->unknown_pq);
    for (;;) {
        const char *name = read_cstr(in);
        if (name == NULL)
            return refuse_layout(err);
        if (name[0] == '\0')
            return reader_left(in) == 0 || refuse_layout(err);
        const char *value = read_cstr(in);
        if (value == NULL)
            return refuse_layout(err);
        add_param(out, name, value);
    }
}

/* A name of a role or database is cut where PostgreSQL cuts it, so that all look up the same. */
static void cut_name(const char **name, char **owned)
{
    size_t len = *name != NULL ? strlen(*name) : 0;
    if (len <= LIMIT_NAME)
        return;
    *owned = mem_strndup(*name, utf8_prefix_len(*name, len, LIMIT_NAME));
    *name = *owned;
}

static bool check_names(struct startup *out, struct err *err)
{
    if (out->user == NULL || out->user[0] == '\0')
        return err_set(err, SQLSTATE_INVALID_AUTHORIZATION,
                       "no PostgreSQL user name specified in startup packet");
    if (out->database != NULL && out->database[0] == '\0')
        out->database = NULL;
    cut_name(&out->user, &out->owned_user);
    cut_name(&out->database, &out->owned_database);
    return true;
}

static bool parse_session(struct reader *in, struct startup *out, struct err *err)
{
    out->kind = STARTUP_SESSION;
    if (out->major != 3)
        return refuse_version(out, err);
    return read_params(in, out, err) && check_names(out, err);
}

static bool parse_cancel(struct reader *in, struct startup *out, struct err *err)
{
    out->kind = STARTUP_CANCEL;
    size_t len = reader_left(in);
    if (len < 8 || len > STARTUP_MAX_CANCEL_KEY)
        return refuse_length(err);
    out->cancel_key = read_bytes(in, len);
    return true;
}

static bool parse_kind(uint32_t code, struct reader *in, struct startup *out, struct err *err)
{
    switch (code) {
    case STARTUP_CODE_SSL:
        out->kind = STARTUP_SSL_REQUEST;
        return true;
    case STARTUP_CODE_GSS:
        out->kind = STARTUP_GSS_REQUEST;
        return true;
    case STARTUP_CODE_CANCEL:
        return parse_cancel(in, out, err);
    default:
        out->major = (uint16_t)(code >> 16);
        out->minor = (uint16_t)code;
        return parse_session(in, out, err);
    }
}

bool startup_parse(const char *packet, size_t len, struct startup *out, struct err *err)
{
    *out = (struct startup){.kind = STARTUP_SESSION};
    if (len < STARTUP_HEADER || len > STARTUP_MAX_PACKET || load_u32(packet) != len)
        return refuse_length(err);
    struct reader in = reader_of(packet + 4, len - 4);
    uint32_t code = read_u32(&in);
    if (parse_kind(code, &in, out, err))
        return true;
    startup_done(out);
    return false;
}

void startup_done(struct startup *startup)
{
    mem_free(startup->params);
    mem_free(startup->unknown_pq);
    mem_free(startup->owned_user);
    mem_free(startup->owned_database);
    *startup = (struct startup){.kind = startup->kind};
}

/* As PostgreSQL's parse_bool(): case does not matter, and a beginning will do if it is the only
 * one it can be. */
static bool is_bool_word(const char *text, const char *word, size_t shortest)
{
    size_t len = strlen(text);
    return len >= shortest && len <= strlen(word) && strncasecmp(text, word, len) == 0;
}

static bool is_true(const char *text)
{
    return is_bool_word(text, "true", 1) || is_bool_word(text, "yes", 1) ||
           is_bool_word(text, "on", 2) || strcmp(text, "1") == 0;
}

static bool is_false(const char *text)
{
    return is_bool_word(text, "false", 1) || is_bool_word(text, "no", 1) ||
           is_bool_word(text, "off", 2) || strcmp(text, "0") == 0;
}

bool startup_replication_of(const struct startup *startup, enum startup_replication *out,
                            struct err *err)
{
    const char *value = startup->replication;
    *out = STARTUP_NO_REPLICATION;
    if (value == NULL || is_false(value))
        return true;
    if (strcmp(value, "database") == 0) {
        *out = STARTUP_LOGICAL_REPLICATION;
        return true;
    }
    if (is_true(value)) {
        *out = STARTUP_PHYSICAL_REPLICATION;
        return true;
    }
    err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE,
            "invalid value for parameter \"replication\": \"%s\"", value);
    err_hint(err, "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
    return false;
}

/* White space as isspace() in the C locale has it. */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static const char *skip_space(const char *text)
{
    while (is_space(*text))
        text++;
    return text;
}

/* Copies one word without its backslashes into `word`, which is large enough. */
static const char *copy_word(const char *text, char *word)
{
    while (*text != '\0' && !is_space(*text)) {
        if (*text == '\\' && *++text == '\0')
            break;
        *word++ = *text++;
    }
    *word = '\0';
    return text;
}

static const char *skip_switch(const char *text)
{
    if (strncmp(text, "--", 2) == 0)
        return text + 2;
    if (strncmp(text, "-c", 2) == 0)
        return skip_space(text + 2);
    return NULL;
}

/* Splits "name=value" in place; returns the value, or NULL. */
static char *split_setting(char *word)
{
    char *equals = strchr(word, '=');
    if (equals == NULL || equals == word)
        return NULL;
    *equals = '\0';
    for (char *c = word; *c != '\0'; c++)
        if (*c == '-')
            *c = '_';
    return equals + 1;
}

static bool refuse_options(struct err *err)
{
    return err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                   "unsupported options startup parameter: only '-c config=val' and "
                   "'--config=val' are allowed");
}

bool startup_options_parse(const char *options,
                           bool (*use)(const char *name, const char *value, void *arg,
                                       struct err *err),
                           void *arg, struct err *err)
{
    char *word = mem_new(strlen(options) + 1);
    bool ok = true;
    const char *at = skip_space(options);
    while (ok && *at != '\0') {
        at = skip_switch(at);
        if (at != NULL)
            at = copy_word(at, word);
        const char *value = at != NULL ? split_setting(word) : NULL;
        ok = value != NULL ? use(word, value, arg, err) : refuse_options(err);
        if (ok)
            at = skip_space(at);
    }
    mem_free(word);
    return ok;
}

void startup_negotiate_version(struct buf *out, const struct startup *startup)
{
    if (startup->minor == 0 && startup->n_unknown_pq == 0)
        return;
    size_t mark = message_begin(out, 'v');
    /* The docs speak of a minor version; PostgreSQL sends, and libpq expects, the whole number. */
    buf_append_u32(out, STARTUP_PROTOCOL_3_0);
    buf_append_u32(out, (uint32_t)startup->n_unknown_pq);
    for (size_t i = 0; i < startup->n_unknown_pq; i++)
        buf_append_cstr(out, startup->unknown_pq[i]);
    message_end(out, mark);
}
