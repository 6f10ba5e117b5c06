#include "session/handover.h"

#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

static const char magic[] = "howdah takeover";

static void append_u64(struct buf *buf, uint64_t value)
{
    buf_append_u32(buf, (uint32_t)(value >> 32));
    buf_append_u32(buf, (uint32_t)value);
}

static uint64_t read_u64(struct reader *in)
{
    uint64_t high = read_u32(in);
    return high << 32 | read_u32(in);
}

static void append_slice(struct buf *buf, struct slice slice)
{
    buf_append_u32(buf, (uint32_t)slice.len);
    buf_append(buf, slice.ptr, slice.len);
}

static struct slice read_slice(struct reader *in)
{
    return read_bytes(in, read_u32(in));
}

static void read_array(struct reader *in, void *into, size_t len)
{
    struct slice bytes = read_bytes(in, len);
    if (bytes.len == len)
        memcpy(into, bytes.ptr, len);
}

static bool all_read(const struct reader *in)
{
    return !in->bad && in->pos == in->end;
}

/* ---- the beginning ---- */

void handover_write_hello(struct buf *buf, int pid)
{
    buf_append_cstr(buf, magic);
    buf_append_u32(buf, HANDOVER_VERSION);
    buf_append_u32(buf, (uint32_t)pid);
}

/* What a later version may have put behind is not for us. */
bool handover_read_hello(struct slice payload, uint32_t *version, int *pid)
{
    struct reader in = reader_of(payload.ptr, payload.len);
    const char *text = read_cstr(&in);
    *version = read_u32(&in);
    *pid = (int)(read_u32(&in) & INT32_MAX);
    return !in.bad && strcmp(text, magic) == 0;
}

void handover_write_text(struct buf *buf, const char *text)
{
    buf_append_cstr(buf, text);
}

bool handover_read_text(struct slice payload, const char **text)
{
    struct reader in = reader_of(payload.ptr, payload.len);
    *text = read_cstr(&in);
    return all_read(&in);
}

void handover_write_supervisor(struct buf *buf, const struct handover_supervisor *supervisor)
{
    buf_append_cstr(buf, supervisor->socket);
    append_u64(buf, supervisor->watchdog_us);
}

bool handover_read_supervisor(struct slice payload, struct handover_supervisor *supervisor)
{
    struct reader in = reader_of(payload.ptr, payload.len);
    supervisor->socket = read_cstr(&in);
    supervisor->watchdog_us = read_u64(&in);
    return all_read(&in);
}

/* ---- keys ---- */

void handover_write_keys(struct buf *buf, const struct handover_keys *keys)
{
    buf_append_cstr(buf, keys->database);
    buf_append_cstr(buf, keys->user);
    buf_append_u32(buf, (uint32_t)keys->keys.salt.iterations);
    append_slice(buf, (struct slice){(const char *)keys->keys.salt.bytes, keys->keys.salt.len});
    buf_append(buf, keys->keys.client_key, SCRAM_KEY_LEN);
    buf_append(buf, keys->keys.server_key, SCRAM_KEY_LEN);
}

bool handover_read_keys(struct slice payload, struct handover_keys *keys)
{
    struct reader in = reader_of(payload.ptr, payload.len);
    keys->database = read_cstr(&in);
    keys->user = read_cstr(&in);
    uint32_t iterations = read_u32(&in);
    struct slice salt = read_slice(&in);
    if (iterations == 0 || iterations > LIMIT_SCRAM_ITERATIONS || salt.len == 0 ||
        salt.len > SCRAM_SALT_MAX)
        return false;
    memset(&keys->keys, 0, sizeof keys->keys);
    keys->keys.salt.iterations = (int)iterations;
    keys->keys.salt.len = salt.len;
    memcpy(keys->keys.salt.bytes, salt.ptr, salt.len);
    read_array(&in, keys->keys.client_key, SCRAM_KEY_LEN);
    read_array(&in, keys->keys.server_key, SCRAM_KEY_LEN);
    return all_read(&in);
}

void handover_write_cancel(struct buf *buf, const struct handover_cancel *cancel)
{
    append_u64(buf, cancel->id);
    buf_append(buf, cancel->key, HANDOVER_KEY_LEN);
}

bool handover_read_cancel(struct slice payload, struct handover_cancel *cancel)
{
    struct reader in = reader_of(payload.ptr, payload.len);
    cancel->id = read_u64(&in);
    read_array(&in, cancel->key, HANDOVER_KEY_LEN);
    return all_read(&in);
}

void handover_write_canceled(struct buf *buf, uint64_t id)
{
    append_u64(buf, id);
}

bool handover_read_canceled(struct slice payload, uint64_t *id)
{
    struct reader in = reader_of(payload.ptr, payload.len);
    *id = read_u64(&in);
    return all_read(&in);
}

/* ---- clients ---- */

void handover_add_param(struct buf *params, const char *name, const char *value)
{
    buf_append_cstr(params, name);
    buf_append_cstr(params, value);
}

bool handover_next_param(struct reader *params, const char **name, const char **value)
{
    if (reader_left(params) == 0)
        return false;
    *name = read_cstr(params);
    *value = read_cstr(params);
    return !params->bad;
}

void handover_add_statement(struct buf *statements, const char *name, const char *body, size_t len)
{
    buf_append_cstr(statements, name);
    append_slice(statements, (struct slice){body, len});
}

bool handover_next_statement(struct reader *statements, const char **name, struct slice *body)
{
    if (reader_left(statements) == 0)
        return false;
    *name = read_cstr(statements);
    *body = read_slice(statements);
    return !statements->bad;
}

static bool lists_in_order(const struct handover_client *client)
{
    struct reader params = reader_of(client->params.ptr, client->params.len);
    struct reader statements = reader_of(client->statements.ptr, client->statements.len);
    const char *name, *value;
    struct slice body;
    struct reader wishes = reader_of(client->wishes.ptr, client->wishes.len);
    while (handover_next_param(&params, &name, &value) ||
           handover_next_param(&wishes, &name, &value))
        continue;
    while (handover_next_statement(&statements, &name, &body)) {
        if (name[0] == '\0' || body.len > LIMIT_LARGE_MESSAGE)
            return false;
    }
    return !params.bad && !wishes.bad && !statements.bad;
}

void handover_write_client(struct buf *buf, const struct handover_client *client)
{
    buf_append_cstr(buf, client->database);
    buf_append_cstr(buf, client->user);
    append_u64(buf, client->age_us);
    buf_append(buf, client->key, HANDOVER_KEY_LEN);
    append_slice(buf, (struct slice){(const char *)&client->address.socket, client->address.len});
    append_slice(buf, client->input);
    append_slice(buf, client->output);
    append_slice(buf, client->unnamed);
    append_slice(buf, client->params);
    append_slice(buf, client->wishes);
    append_slice(buf, client->statements);
}

bool handover_read_client(struct slice payload, struct handover_client *client)
{
    struct reader in = reader_of(payload.ptr, payload.len);
    *client = (struct handover_client){0};
    client->database = read_cstr(&in);
    client->user = read_cstr(&in);
    client->age_us = read_u64(&in);
    read_array(&in, client->key, HANDOVER_KEY_LEN);
    struct slice address = read_slice(&in);
    client->input = read_slice(&in);
    client->output = read_slice(&in);
    client->unnamed = read_slice(&in);
    client->params = read_slice(&in);
    client->wishes = read_slice(&in);
    client->statements = read_slice(&in);
    if (!all_read(&in) || strlen(client->database) > LIMIT_NAME ||
        strlen(client->user) > LIMIT_NAME || address.len > sizeof client->address.socket ||
        client->unnamed.len > LIMIT_KEPT_STATEMENT || client->age_us > INT64_MAX / 2)
        return false;
    memcpy(&client->address.socket, address.ptr, address.len);
    client->address.len = (socklen_t)address.len;
    return lists_in_order(client);
}
