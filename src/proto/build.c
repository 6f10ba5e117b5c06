#include "proto/build.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "proto/startup.h"

/* The mark is where the length goes; it counts itself but not the type before it. */
static size_t begin_length(struct buf *out)
{
    size_t mark = out->len;
    buf_append_u32(out, 0);
    return mark;
}

size_t message_begin(struct buf *out, char type)
{
    buf_append_u8(out, (uint8_t)type);
    return begin_length(out);
}

void message_end(struct buf *out, size_t mark)
{
    size_t len = out->len - mark;
    assert(len >= 4 && len <= LIMIT_LARGE_MESSAGE);
    buf_put_u32(out, mark, (uint32_t)len);
}

void message_empty(struct buf *out, char type)
{
    message_end(out, message_begin(out, type));
}

/* Most messages are a type and a few C strings. */
static void append_strings(struct buf *out, char type, const char *const *strings, size_t n)
{
    size_t mark = message_begin(out, type);
    for (size_t i = 0; i < n; i++)
        buf_append_cstr(out, strings[i]);
    message_end(out, mark);
}

static void append_bytes(struct buf *out, char type, const void *bytes, size_t len)
{
    size_t mark = message_begin(out, type);
    buf_append(out, bytes, len);
    message_end(out, mark);
}

void message_auth_ok(struct buf *out)
{
    append_bytes(out, 'R', "\0\0\0\0", 4);
}

void message_parameter_status(struct buf *out, const char *name, const char *value)
{
    append_strings(out, 'S', (const char *[]){name, value}, 2);
}

void message_key_data(struct buf *out, const uint8_t key[8])
{
    append_bytes(out, 'K', key, 8);
}

void message_ready(struct buf *out, char status)
{
    append_bytes(out, 'Z', &status, 1);
}

void message_command_complete(struct buf *out, const char *tag)
{
    append_strings(out, 'C', &tag, 1);
}

static void append_column(struct buf *out, const struct column *column)
{
    buf_append_cstr(out, column->name);
    buf_append_u32(out, 0); /* table */
    buf_append_u16(out, 0); /* attribute number */
    buf_append_u32(out, column->type_oid);
    buf_append_u16(out, (uint16_t)column->type_len);
    buf_append_u32(out, UINT32_MAX); /* type modifier: -1 */
    buf_append_u16(out, 0);          /* text format */
}

void message_row_description(struct buf *out, const struct column *columns, size_t n_columns)
{
    assert(n_columns <= INT16_MAX);
    size_t mark = message_begin(out, 'T');
    buf_append_u16(out, (uint16_t)n_columns);
    for (size_t i = 0; i < n_columns; i++)
        append_column(out, &columns[i]);
    message_end(out, mark);
}

size_t message_row_begin(struct buf *out, size_t n_columns)
{
    assert(n_columns <= INT16_MAX);
    size_t mark = message_begin(out, 'D');
    buf_append_u16(out, (uint16_t)n_columns);
    return mark;
}

void message_row_value(struct buf *out, const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;
    assert(len <= LIMIT_LARGE_MESSAGE);
    buf_append_u32(out, text != NULL ? (uint32_t)len : UINT32_MAX);
    buf_append(out, text, len);
}

void message_query(struct buf *out, const char *sql)
{
    append_strings(out, 'Q', &sql, 1);
}

void message_password(struct buf *out, const char *password)
{
    append_strings(out, 'p', &password, 1);
}

void message_startup(struct buf *out, const struct startup_param *params, size_t n_params)
{
    size_t mark = begin_length(out);
    buf_append_u32(out, STARTUP_PROTOCOL_3_0);
    for (size_t i = 0; i < n_params; i++) {
        assert(params[i].name[0] != '\0'); /* an empty name would end the packet */
        buf_append_cstr(out, params[i].name);
        buf_append_cstr(out, params[i].value);
    }
    buf_append_u8(out, 0);
    message_end(out, mark);
}

void message_cancel(struct buf *out, const uint8_t key[8])
{
    size_t mark = begin_length(out);
    buf_append_u32(out, STARTUP_CODE_CANCEL);
    buf_append(out, key, 8);
    message_end(out, mark);
}

void message_ssl_request(struct buf *out)
{
    size_t mark = begin_length(out);
    buf_append_u32(out, STARTUP_CODE_SSL);
    message_end(out, mark);
}
