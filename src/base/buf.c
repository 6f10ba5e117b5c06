#include "base/buf.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

char *buf_reserve(struct buf *buf, size_t more)
{
    if (buf->cap - buf->len < more) {
        size_t cap = buf->cap > 0 ? buf->cap : 64;
        while (cap - buf->len < more)
            cap *= 2;
        buf->data = mem_resize(buf->data, cap);
        buf->cap = cap;
    }
    return buf->data + buf->len;
}

void buf_append(struct buf *buf, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(buf, len), bytes, len);
    buf->len += len;
}

void buf_append_str(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_cstr(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text) + 1);
}

void buf_append_u8(struct buf *buf, uint8_t value)
{
    buf_append(buf, &value, 1);
}

void buf_append_u16(struct buf *buf, uint16_t value)
{
    uint16_t wire = htons(value);
    buf_append(buf, &wire, sizeof wire);
}

void buf_append_u32(struct buf *buf, uint32_t value)
{
    uint32_t wire = htonl(value);
    buf_append(buf, &wire, sizeof wire);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    vsnprintf(buf_reserve(buf, (size_t)len + 1), (size_t)len + 1, format, again);
    va_end(again);
    buf->len += (size_t)len;
}

void buf_put_u32(struct buf *buf, size_t at, uint32_t value)
{
    assert(at + 4 <= buf->len);
    uint32_t wire = htonl(value);
    memcpy(buf->data + at, &wire, sizeof wire);
}

void buf_consume(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->len -= len;
    if (buf->len > 0)
        memmove(buf->data, buf->data + len, buf->len);
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

void buf_done(struct buf *buf)
{
    mem_free(buf->data);
    *buf = (struct buf)BUF_NONE;
}

const char *buf_next_cstr(const struct buf *buf, const char *after)
{
    if (buf->len == 0)
        return NULL;
    const char *next = after != NULL ? after + strlen(after) + 1 : buf->data;
    return next < buf->data + buf->len ? next : NULL;
}

bool buf_has_cstr(const struct buf *buf, const char *text)
{
    const char *each = NULL;
    while ((each = buf_next_cstr(buf, each)) != NULL) {
        if (strcmp(each, text) == 0)
            return true;
    }
    return false;
}
