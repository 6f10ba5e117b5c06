#include "auth/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void append_group(struct buf *out, const uint8_t *bytes, size_t len)
{
    uint32_t bits = (uint32_t)bytes[0] << 16;
    bits |= len > 1 ? (uint32_t)bytes[1] << 8 : 0;
    bits |= len > 2 ? bytes[2] : 0;
    char text[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], '=', '='};
    if (len > 1)
        text[2] = alphabet[bits >> 6 & 63];
    if (len > 2)
        text[3] = alphabet[bits & 63];
    buf_append(out, text, sizeof text);
}

void base64_append(struct buf *out, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (; len > 3; at += 3, len -= 3)
        append_group(out, at, 3);
    if (len > 0)
        append_group(out, at, len);
}

static bool decode_char(char c, uint32_t *bits)
{
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;
    if (at == NULL)
        return false;
    *bits = *bits << 6 | (uint32_t)(at - alphabet);
    return true;
}

/* Four characters to `len` bytes, of which the padding leaves 1 to 3. */
static bool decode_group(const char *text, size_t len, uint8_t bytes[3])
{
    uint32_t bits = 0;
    for (size_t i = 0; i < len + 1; i++)
        if (!decode_char(text[i], &bits))
            return false;
    bits <<= 6 * (3 - len);
    uint32_t unused = 0xffffffu >> 8 * len;
    if ((bits & unused) != 0)
        return false;
    for (size_t i = 0; i < 3; i++)
        bytes[i] = (uint8_t)(bits >> (16 - 8 * i));
    return true;
}

static size_t padding_len(struct slice text)
{
    if (text.len == 0 || text.ptr[text.len - 1] != '=')
        return 0;
    return text.ptr[text.len - 2] == '=' ? 2 : 1;
}

bool base64_decode(struct slice text, void *out, size_t room, size_t *len)
{
    *len = 0;
    if (text.len % 4 != 0)
        return false;
    size_t total = text.len / 4 * 3 - padding_len(text);
    if (total > room)
        return false;
    for (size_t at = 0; at < total; at += 3) {
        uint8_t bytes[3];
        size_t here = total - at < 3 ? total - at : 3;
        if (!decode_group(text.ptr + at / 3 * 4, here, bytes))
            return false;
        memcpy((uint8_t *)out + at, bytes, here);
    }
    *len = total;
    return true;
}
