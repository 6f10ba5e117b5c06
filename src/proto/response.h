/*
 * proto/response.h - ErrorResponse and NoticeResponse: our errors for the wire, and theirs from it
 *
 * Source:  PostgreSQL docs, protocol-error-fields
 * Text:    bytes that are not UTF-8 leave as '?', since drivers decode an error strictly and would
 *          fail with an error of their own; control characters stay as they are
 */
#ifndef PROTO_RESPONSE_H
#define PROTO_RESPONSE_H

#include <stddef.h>

struct buf;
struct err;

/* A whole ErrorResponse; severity is "ERROR" or "FATAL".  Without a usable SQLSTATE: XX000. */
void response_error(struct buf *out, const char *severity, const struct err *err);

/* A whole NoticeResponse; detail may be NULL. */
void response_notice(struct buf *out, const char *severity, const char *sqlstate,
                     const char *message, const char *detail);

/* The field of a server's response with this code, borrowed from its body; NULL: it has none. */
const char *response_field(const char *body, size_t len, char code);

/* Reads the body of an ErrorResponse or NoticeResponse of a server into *err.  Every field may be
 * missing or cut short: then there is a default, never a failure.  *severity is the one that is not
 * translated, borrowed from the body, or ""; severity may be NULL. */
void response_parse(const char *body, size_t len, struct err *err, const char **severity);

#endif
