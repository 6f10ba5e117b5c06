#include "base/reader.h"

#include <arpa/inet.h>
#include <string.h>

struct reader reader_of(const void *bytes, size_t len)
{
    return (struct reader){.pos = bytes, .end = (const char *)bytes + len};
}

size_t reader_left(const struct reader *reader)
{
    return reader->bad ? 0 : (size_t)(reader->end - reader->pos);
}

struct slice read_bytes(struct reader *reader, size_t len)
{
    if (reader_left(reader) < len) {
        reader->bad = true;
        return (struct slice){.ptr = "", .len = 0};
    }
    struct slice slice = {.ptr = reader->pos, .len = len};
    reader->pos += len;
    return slice;
}

uint8_t read_u8(struct reader *reader)
{
    struct slice slice = read_bytes(reader, 1);
    return slice.len == 1 ? (uint8_t)slice.ptr[0] : 0;
}

uint16_t read_u16(struct reader *reader)
{
    struct slice slice = read_bytes(reader, 2);
    return slice.len == 2 ? load_u16(slice.ptr) : 0;
}

uint32_t read_u32(struct reader *reader)
{
    struct slice slice = read_bytes(reader, 4);
    return slice.len == 4 ? load_u32(slice.ptr) : 0;
}

const char *read_cstr(struct reader *reader)
{
    size_t left = reader_left(reader);
    const char *nul = left > 0 ? memchr(reader->pos, '\0', left) : NULL;
    if (nul == NULL) {
        reader->bad = true;
        return NULL;
    }
    const char *text = reader->pos;
    reader->pos = nul + 1;
    return text;
}

uint32_t load_u32(const void *at)
{
    uint32_t wire;
    memcpy(&wire, at, sizeof wire);
    return ntohl(wire);
}

uint16_t load_u16(const void *at)
{
    uint16_t wire;
    memcpy(&wire, at, sizeof wire);
    return ntohs(wire);
}

void store_u32(void *at, uint32_t value)
{
    uint32_t wire = htonl(value);
    memcpy(at, &wire, sizeof wire);
}

bool slice_is(struct slice slice, const char *text)
{
    return slice.len == strlen(text) && memcmp(slice.ptr, text, slice.len) == 0;
}
