#include "proto/utf8.h"

#include <stdbool.h>
#include <stdint.h>

/* The Unicode standard, table 3-7: the second byte is restricted, the others are 80..BF. */
static const struct {
    uint8_t first_min, first_max, second_min, second_max;
    uint8_t len;
} forms[] = {
    {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static bool is_between(char byte, uint8_t min, uint8_t max)
{
    return (uint8_t)byte >= min && (uint8_t)byte <= max;
}

static bool tail_fits(const char *text, size_t form)
{
    if (forms[form].len >= 2 &&
        !is_between(text[1], forms[form].second_min, forms[form].second_max))
        return false;
    for (size_t i = 2; i < forms[form].len; i++)
        if (!is_between(text[i], 0x80, 0xbf))
            return false;
    return true;
}

size_t utf8_char_len(const char *text, size_t left)
{
    if (left == 0)
        return 0;
    for (size_t form = 0; form < sizeof forms / sizeof *forms; form++)
        if (is_between(text[0], forms[form].first_min, forms[form].first_max))
            return forms[form].len <= left && tail_fits(text, form) ? forms[form].len : 0;
    return 0;
}

size_t utf8_prefix_len(const char *text, size_t len, size_t max)
{
    size_t at = 0;
    while (at < len) {
        size_t step = utf8_char_len(text + at, len - at);
        if (step == 0)
            step = 1;
        if (max - at < step)
            break;
        at += step;
    }
    return at;
}
