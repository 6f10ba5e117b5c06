/*
 * auth/base64.h - base64 as in RFC 4648 section 4, and nothing else
 *
 * Stricter than PostgreSQL: white space, missing padding and stray bits in the last character are
 * refused, so that each byte string has one text.
 */
#ifndef AUTH_BASE64_H
#define AUTH_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/reader.h"

struct buf;

void base64_append(struct buf *out, const void *bytes, size_t len);

/* False if the text is not base64 or decodes to more than `room` bytes. */
bool base64_decode(struct slice text, void *out, size_t room, size_t *len);

#endif
