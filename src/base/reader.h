/*
 * base/reader.h - reads numbers and strings from bytes that a stranger sent
 *
 * The first read that does not fit sets `bad`; from then on every read gives zero, an empty slice
 * or NULL, so that a parser may read all its fields and look at `bad` once.
 *
 * Ownership:  slices and strings point into the bytes that the caller lent
 */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *ptr;
    size_t len;
};

struct reader {
    const char *pos;
    const char *end;
    bool bad;
};

struct reader reader_of(const void *bytes, size_t len);
size_t reader_left(const struct reader *reader);
uint8_t read_u8(struct reader *reader);
uint16_t read_u16(struct reader *reader); /* network byte order */
uint32_t read_u32(struct reader *reader);
struct slice read_bytes(struct reader *reader, size_t len);
const char *read_cstr(struct reader *reader); /* NUL-terminated; NULL and bad if there is no NUL */

/* Network byte order without alignment. */
uint32_t load_u32(const void *at);
uint16_t load_u16(const void *at);
void store_u32(void *at, uint32_t value);

bool slice_is(struct slice slice, const char *text); /* equal to a C string */

#endif
