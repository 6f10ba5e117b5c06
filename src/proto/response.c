#include "proto/response.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/reader.h"
#include "proto/build.h"
#include "proto/utf8.h"

static void append_text(struct buf *out, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t len = utf8_char_len(text, left);
        if (len > 0)
            buf_append(out, text, len);
        else
            buf_append_u8(out, '?');
        len = len > 0 ? len : 1;
        text += len;
        left -= len;
    }
}

static void append_field(struct buf *out, char code, const char *text)
{
    buf_append_u8(out, (uint8_t)code);
    append_text(out, text);
    buf_append_u8(out, 0);
}

static bool is_sqlstate(const char *text)
{
    return strlen(text) == 5 && strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5;
}

struct fields {
    const char *severity, *sqlstate, *message;
    const char *detail, *hint; /* "" for none */
};

static void append_response(struct buf *out, char type, const struct fields *fields)
{
    size_t mark = message_begin(out, type);
    append_field(out, 'S', fields->severity);
    append_field(out, 'V', fields->severity);
    append_field(out, 'C',
                 is_sqlstate(fields->sqlstate) ? fields->sqlstate : SQLSTATE_INTERNAL_ERROR);
    append_field(out, 'M', fields->message);
    if (fields->detail[0] != '\0')
        append_field(out, 'D', fields->detail);
    if (fields->hint[0] != '\0')
        append_field(out, 'H', fields->hint);
    buf_append_u8(out, 0);
    message_end(out, mark);
}

void response_error(struct buf *out, const char *severity, const struct err *err)
{
    append_response(out, 'E',
                    &(struct fields){.severity = severity,
                                     .sqlstate = err->sqlstate,
                                     .message = err->message,
                                     .detail = err->detail,
                                     .hint = err->hint});
}

void response_notice(struct buf *out, const char *severity, const char *sqlstate,
                     const char *message, const char *detail)
{
    append_response(out, 'N',
                    &(struct fields){.severity = severity,
                                     .sqlstate = sqlstate,
                                     .message = message,
                                     .detail = detail != NULL ? detail : "",
                                     .hint = ""});
}

static void take_field(struct fields *fields, char code, const char *text)
{
    switch (code) {
    case 'S': /* servers before 9.6 send no V */
        if (fields->severity[0] == '\0')
            fields->severity = text;
        break;
    case 'V':
        fields->severity = text;
        break;
    case 'C':
        fields->sqlstate = text;
        break;
    case 'M':
        fields->message = text;
        break;
    case 'D':
        fields->detail = text;
        break;
    case 'H':
        fields->hint = text;
        break;
    }
}

const char *response_field(const char *body, size_t len, char code)
{
    struct reader in = reader_of(body, len);
    for (;;) {
        char found = (char)read_u8(&in);
        const char *text = found != '\0' ? read_cstr(&in) : NULL;
        if (text == NULL || in.bad)
            return NULL;
        if (found == code)
            return text;
    }
}

void response_parse(const char *body, size_t len, struct err *err, const char **severity)
{
    struct fields fields = {.severity = "",
                            .sqlstate = "",
                            .message = "server sent an error without a message",
                            .detail = "",
                            .hint = ""};
    struct reader in = reader_of(body, len);
    for (;;) {
        char code = (char)read_u8(&in);
        const char *text = code != '\0' ? read_cstr(&in) : NULL;
        if (text == NULL)
            break;
        take_field(&fields, code, text);
    }
    err_set(err, is_sqlstate(fields.sqlstate) ? fields.sqlstate : SQLSTATE_INTERNAL_ERROR, "%s",
            fields.message);
    err_detail(err, "%s", fields.detail);
    err_hint(err, "%s", fields.hint);
    if (severity != NULL)
        *severity = fields.severity;
}
