/*
 * proto/utf8.h - where a UTF-8 character ends
 */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include <stddef.h>

/* Bytes of the character at `text`, of which `left` bytes may be read; 0: not valid UTF-8 (cut
 * short, overlong, a surrogate, above U+10FFFF). */
size_t utf8_char_len(const char *text, size_t left);

/* The longest prefix of at most `max` bytes that cuts no valid character; bytes that are not UTF-8
 * count one each. */
size_t utf8_prefix_len(const char *text, size_t len, size_t max);

#endif
