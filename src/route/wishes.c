#include "route/wishes.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "conf/value.h"

enum { TIME_TEXT_MAX = 40 };

static bool is_word(struct slice slice, const char *word)
{
    return slice.len == strlen(word) && strncasecmp(slice.ptr, word, slice.len) == 0;
}

static void invalid(struct err *err, const char *key, struct slice value, const char *hint)
{
    int len = value.len > 100 ? 100 : (int)value.len;
    err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE,
            "invalid value for parameter \"howdah.%s\": \"%.*s\"", key, len, value.ptr);
    err_hint(err, "%s", hint);
}

static enum wish_result take_role(struct wishes *wishes, struct slice value, struct err *err)
{
    static const char *const words[] = {
        [WISH_AUTO] = "auto", [WISH_PRIMARY] = "primary", [WISH_STANDBY] = "standby"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (is_word(value, words[i])) {
            wishes->role = (enum wish_role)i;
            wishes->has_role = true;
            return WISH_TAKEN;
        }
    }
    invalid(err, "role", value, "Available values: primary, standby, auto.");
    return WISH_INVALID;
}

static bool read_time(struct slice value, int64_t *time_us)
{
    char text[TIME_TEXT_MAX];
    if (value.len >= sizeof text)
        return false;
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    return strlen(text) == value.len && value_read_time_us(text, 1000000, time_us);
}

static enum wish_result take_max_lag(struct wishes *wishes, struct slice value, struct err *err)
{
    int64_t time_us;
    if (!read_time(value, &time_us)) {
        invalid(err, "max_lag", value,
                "It is a time: seconds, or a number with one of the units us, ms, s, min, h, d.");
        return WISH_INVALID;
    }
    wishes->max_lag_us = time_us;
    wishes->has_max_lag = true;
    return WISH_TAKEN;
}

enum wish_result wishes_take(struct wishes *wishes, struct slice key, struct slice value,
                             struct err *err)
{
    if (is_word(key, "role"))
        return take_role(wishes, value, err);
    if (is_word(key, "max_lag"))
        return take_max_lag(wishes, value, err);
    return WISH_UNKNOWN;
}

bool wishes_forget(struct wishes *wishes, struct slice key)
{
    if (is_word(key, "role"))
        wishes->has_role = false;
    else if (is_word(key, "max_lag"))
        wishes->has_max_lag = false;
    else
        return false;
    return true;
}

bool wishes_key(struct slice setting, struct slice *key)
{
    static const char prefix[] = "howdah.";
    size_t len = strlen(prefix);
    if (setting.len <= len || strncasecmp(setting.ptr, prefix, len) != 0)
        return false;
    *key = (struct slice){setting.ptr + len, setting.len - len};
    return true;
}

struct wishes wishes_over(const struct wishes *wishes, const struct wishes *over)
{
    struct wishes both = *wishes;
    if (over->has_role) {
        both.has_role = true;
        both.role = over->role;
    }
    if (over->has_max_lag) {
        both.has_max_lag = true;
        both.max_lag_us = over->max_lag_us;
    }
    return both;
}
