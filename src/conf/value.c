#include "conf/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool value_read_bool(const char *text, bool *value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"1", true},    {"0", false},     {"on", true},  {"off", false},
        {"true", true}, {"false", false}, {"yes", true}, {"no", false},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(words[i].word, text) == 0) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

bool value_read_int(const char *text, int64_t min, int64_t max, int64_t *value)
{
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (!is_digit(digits[0])) /* strtoll() would skip blanks and a second sign */
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 0);
    if (errno != 0 || *end != '\0' || number < min || number > max)
        return false;
    *value = number;
    return true;
}

bool value_read_mode(const char *text, int *mode)
{
    int64_t number;
    if (text[0] != '0' || !value_read_int(text, 0, 0777, &number) || strpbrk(text, "xX") != NULL)
        return false;
    *mode = (int)number;
    return true;
}

static int64_t unit_of(const char *text, int64_t without)
{
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = {
        {"us", 1},
        {"ms", 1000},
        {"s", 1000000},
        {"min", INT64_C(60000000)},
        {"h", INT64_C(3600000000)},
        {"d", INT64_C(86400000000)},
    };
    text += strspn(text, " \t");
    if (*text == '\0')
        return without;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(text, units[i].unit) == 0)
            return units[i].us;
    return 0;
}

bool value_read_bytes(const char *text, int64_t min, int64_t max, int64_t *bytes)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {{"B", 1}, {"kB", 1024}, {"MB", 1 << 20}, {"GB", 1 << 30}};
    const char *at = text + strspn(text, "0123456789");
    char digits[20];
    int64_t number;
    size_t len = (size_t)(at - text);
    if (len == 0 || *at == '\0' || len >= sizeof digits)
        return value_read_int(text, min, max, bytes);
    memcpy(digits, text, len);
    digits[len] = '\0';
    at += strspn(at, " \t");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(at, units[i].unit) != 0)
            continue;
        if (!value_read_int(digits, 0, INT64_MAX / units[i].bytes, &number) ||
            number * units[i].bytes < min || number * units[i].bytes > max)
            return false;
        *bytes = number * units[i].bytes;
        return true;
    }
    return value_read_int(text, min, max, bytes); /* 0x1f */
}

/* In millionths; more places than six only tell whether there is anything at all. */
static const char *read_fraction(const char *text, int64_t *millionths)
{
    int64_t place = 100000;
    bool rest = false;
    for (; is_digit(*text); text++) {
        *millionths += place * (*text - '0');
        rest = rest || (place == 0 && *text != '0');
        place /= 10;
    }
    if (*millionths == 0 && rest)
        *millionths = 1;
    return text;
}

bool value_read_time_us(const char *text, int64_t unit_us, int64_t *time_us)
{
    int64_t whole = 0, millionths = 0;
    const char *at = text;
    for (; is_digit(*at); at++) {
        if (whole > VALUE_TIME_MAX_US / 10)
            return false;
        whole = whole * 10 + (*at - '0');
    }
    if (at == text)
        return false;
    if (*at == '.' && is_digit(at[1]))
        at = read_fraction(at + 1, &millionths);
    int64_t unit = unit_of(at, unit_us);
    if (unit == 0 || whole > VALUE_TIME_MAX_US / unit - 1)
        return false;
    int64_t part = (millionths * unit + 999999) / 1000000;
    *time_us = whole * unit + part;
    return true;
}

bool value_read_lag_us(const char *text, int64_t *lag_us)
{
    bool has_unit = text[strspn(text, "0123456789. \t")] != '\0';
    return (has_unit || strcmp(text, "0") == 0) && value_read_time_us(text, 1, lag_us);
}

void value_write_lag(struct buf *out, int64_t lag_us)
{
    value_write_time(out, lag_us, 1000000);
    if (lag_us != 0)
        buf_append_str(out, "s");
}

void value_write_time(struct buf *out, int64_t time_us, int64_t unit_us)
{
    buf_printf(out, "%" PRId64, time_us / unit_us);
    int64_t rest = time_us % unit_us;
    if (rest == 0)
        return;
    buf_append_str(out, ".");
    for (int64_t place = unit_us / 10; rest > 0; place /= 10) {
        buf_printf(out, "%" PRId64, rest / place);
        rest %= place;
    }
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool conf_list_next(const char **pos, struct slice *word)
{
    const char *at = *pos;
    while (is_separator(*at))
        at++;
    word->ptr = at;
    while (*at != '\0' && !is_separator(*at))
        at++;
    word->len = (size_t)(at - word->ptr);
    *pos = at;
    return word->len > 0;
}

bool conf_list_has(const char *list, const char *word, size_t len)
{
    struct slice item;
    while (conf_list_next(&list, &item))
        if (item.len == len && memcmp(item.ptr, word, len) == 0)
            return true;
    return false;
}

bool conf_list_has_nocase(const char *list, const char *word, size_t len)
{
    struct slice item;
    while (conf_list_next(&list, &item))
        if (item.len == len && strncasecmp(item.ptr, word, len) == 0)
            return true;
    return false;
}
