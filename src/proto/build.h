/*
 * proto/build.h - whole messages, written into a buffer
 *
 * Every function appends one complete message, unless it says otherwise; for others begin and end
 * one by hand:
 *
 *     size_t mark = message_begin(out, 'C');
 *     buf_append_cstr(out, "SELECT 1");
 *     message_end(out, mark);
 *
 * Source:  PostgreSQL docs, protocol-message-formats
 * Text:    C strings, hence without a NUL; they cannot break the framing
 */
#ifndef PROTO_BUILD_H
#define PROTO_BUILD_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct startup_param;

/* Appends the type and room for the length; message_end() fills in the length. */
size_t message_begin(struct buf *out, char type);
void message_end(struct buf *out, size_t mark);
void message_empty(struct buf *out, char type); /* one without a body, as Sync or ParseComplete */

/* To a client. */
void message_auth_ok(struct buf *out);
void message_parameter_status(struct buf *out, const char *name, const char *value);
void message_key_data(struct buf *out, const uint8_t key[8]); /* process id, then secret key */
void message_ready(struct buf *out, char status);             /* 'I', 'T' or 'E' */
void message_command_complete(struct buf *out, const char *tag);

struct column {
    const char *name;
    uint32_t type_oid;
    int16_t type_len; /* pg_type.typlen: negative for variable length */
};

/* Columns of no table, in text format. */
void message_row_description(struct buf *out, const struct column *columns, size_t n_columns);

/* A DataRow: begin, then as many values as columns, then message_end(). */
size_t message_row_begin(struct buf *out, size_t n_columns);
void message_row_value(struct buf *out, const char *text); /* NULL is SQL's NULL */

/* To a server. */
void message_query(struct buf *out, const char *sql);
void message_password(struct buf *out, const char *password);
void message_startup(struct buf *out, const struct startup_param *params, size_t n_params);
void message_cancel(struct buf *out, const uint8_t key[8]);
void message_ssl_request(struct buf *out);

#endif
