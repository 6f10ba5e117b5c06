/*
 * base/buf.h - a byte buffer that grows
 *
 * Ownership:  the buffer owns its bytes; a pointer into it is valid until the next append
 * Threading:  one thread at a time
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* owned; NULL while nothing was ever appended */
    size_t len;
    size_t cap;
};

#define BUF_NONE                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }

/* Room for at least `more` bytes behind the present ones; returns where they begin. */
char *buf_reserve(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *bytes, size_t len);
void buf_append_str(struct buf *buf, const char *text);  /* without its NUL */
void buf_append_cstr(struct buf *buf, const char *text); /* with its NUL */
void buf_append_u8(struct buf *buf, uint8_t value);
void buf_append_u16(struct buf *buf, uint16_t value); /* network byte order, as all below */
void buf_append_u32(struct buf *buf, uint32_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_put_u32(struct buf *buf, size_t at, uint32_t value); /* over four present bytes */
void buf_consume(struct buf *buf, size_t len);                /* drops bytes at the front */
void buf_clear(struct buf *buf);                              /* empty, memory kept */
void buf_done(struct buf *buf);                               /* empty, memory given back */

/* Of a buffer that holds texts, each with its NUL, and nothing else: borrowed.  After NULL comes the first,
 * after the last NULL. */
const char *buf_next_cstr(const struct buf *buf, const char *after);
bool buf_has_cstr(const struct buf *buf, const char *text);

#endif
