#include "conf/table.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "conf/report.h"
#include "conf/settings.h"
#include "conf/splitting.h"
#include "conf/value.h"
#include "conf/words.h"

#define SECOND_US        INT64_C(1000000)
#define MS_US            INT64_C(1000)
#define TIME_MAX         VALUE_TIME_MAX_US
#define MIN_STATS_PERIOD (SECOND_US / 10)
#define TCP_KEEP_MAX     (32767 * SECOND_US) /* Linux: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL */
#define TCP_USER_MAX     (INT_MAX * MS_US)   /* the option is an int in ms */

#define RELOAD         .reloadable = true
#define FIXED          .reloadable = false
#define SINCE(version) .built = true, .since = version
#define LATER          .built = false
#define INSTEAD(text)  .built = true, .since = "0.1", .instead = text

/* clang-format off */
#define ROW(setting, field, kind, initial, units)                                                  \
    .name = #setting, .offset = offsetof(struct settings, field), .type = kind,                    \
    .default_text = initial, .unit = units
#define RANGE(low, high) .min = low, .max = high

#define BOOL(key, initial, change, state, text)                                                    \
    {ROW(key, key, CONF_BOOL, initial, ""), change, state, .help = text},
#define INT(key, initial, low, high, units, change, state, text)                                   \
    {ROW(key, key, CONF_INT, initial, units), RANGE(low, high), change, state, .help = text},
#define BYTES(key, initial, low, high, change, state, text)                                        \
    {ROW(key, key, CONF_BYTES, initial, "bytes"), RANGE(low, high), change, state, .help = text},
#define TIME(key, initial, low, high, change, state, text)                                         \
    {ROW(key, key##_us, CONF_TIME, initial, "s"), RANGE(low, high), change, state, .help = text},
#define TIME_MS(key, initial, low, high, change, state, text)                                      \
    {ROW(key, key##_us, CONF_TIME_MS, initial, "ms"), RANGE(low, high), change, state,             \
     .help = text},
#define LAG(key, initial, change, state, text)                                                     \
    {ROW(key, key##_us, CONF_LAG, initial, "s"), change, state, .help = text},
#define MODE(key, initial, change, state, text)                                                    \
    {ROW(key, key, CONF_MODE, initial, ""), change, state, .help = text},
#define TEXT(key, kind, initial, change, state, text)                                              \
    {ROW(key, key, CONF_##kind, initial, ""), change, state, .help = text},
#define WORD(key, tag, table, initial, change, state, text)                                        \
    {ROW(key, key, CONF_WORD, initial, ""), .words = table, change, state, .help = text},
/* clang-format on */

const struct conf_setting conf_table[] = {
#include "conf/settings.def"
};

const size_t conf_table_len = sizeof conf_table / sizeof *conf_table;

/* Enumerations are read and written as int. */
_Static_assert(sizeof(enum auth_type) == sizeof(int), "the size of an enum");

const struct conf_setting *conf_find_setting(const char *name)
{
    for (size_t i = 0; i < conf_table_len; i++)
        if (strcmp(conf_table[i].name, name) == 0)
            return &conf_table[i];
    return NULL;
}

static bool is_text(const struct conf_setting *setting)
{
    return setting->type >= CONF_NAME && setting->type <= CONF_SQL;
}

static void *field_of(struct settings *settings, const struct conf_setting *setting)
{
    return (char *)settings + setting->offset;
}

static const void *value_of(const struct settings *settings, const struct conf_setting *setting)
{
    return (const char *)settings + setting->offset;
}

static const char *get_text(const struct settings *settings, const struct conf_setting *setting)
{
    return *(const char *const *)value_of(settings, setting);
}

static void set_text(struct settings *settings, const struct conf_setting *setting,
                     const char *text)
{
    char **field = field_of(settings, setting);
    char *old = *field;
    *field = mem_strdup(text); /* first: text may be what is replaced */
    mem_free(old);
}

/* What is no text has a number: times in microseconds, words by their enum. */
static int64_t get_number(const struct settings *settings, const struct conf_setting *setting)
{
    const void *value = value_of(settings, setting);
    switch (setting->type) {
    case CONF_BOOL:
        return *(const bool *)value;
    case CONF_BYTES:
        return *(const uint32_t *)value;
    case CONF_TIME:
    case CONF_TIME_MS:
    case CONF_LAG:
        return *(const int64_t *)value;
    default:
        return *(const int *)value;
    }
}

static void set_number(struct settings *settings, const struct conf_setting *setting,
                       int64_t number)
{
    void *field = field_of(settings, setting);
    switch (setting->type) {
    case CONF_BOOL:
        *(bool *)field = number != 0;
        break;
    case CONF_BYTES:
        *(uint32_t *)field = (uint32_t)number;
        break;
    case CONF_TIME:
    case CONF_TIME_MS:
    case CONF_LAG:
        *(int64_t *)field = number;
        break;
    default:
        *(int *)field = (int)number;
        break;
    }
}

static int64_t unit_us(const struct conf_setting *setting)
{
    return setting->type == CONF_TIME_MS ? MS_US : SECOND_US;
}

static bool read_bool(const char *text, int64_t *number)
{
    bool value;
    if (!value_read_bool(text, &value))
        return false;
    *number = value;
    return true;
}

static bool read_time(const struct conf_setting *setting, const char *text, int64_t *number)
{
    return value_read_time_us(text, unit_us(setting), number) && *number >= setting->min &&
           *number <= setting->max;
}

static bool read_mode(const char *text, int64_t *number)
{
    int mode;
    if (!value_read_mode(text, &mode))
        return false;
    *number = mode;
    return true;
}

static bool read_word(const struct conf_setting *setting, const char *text, int64_t *number)
{
    const struct conf_word *word = conf_find_word(setting->words, text);
    if (word == NULL)
        return false;
    *number = word->value;
    return true;
}

static bool read_number(const struct conf_setting *setting, const char *text, int64_t *number)
{
    switch (setting->type) {
    case CONF_BOOL:
        return read_bool(text, number);
    case CONF_INT:
        return value_read_int(text, setting->min, setting->max, number);
    case CONF_BYTES:
        return value_read_bytes(text, setting->min, setting->max, number);
    case CONF_LAG:
        return value_read_lag_us(text, number);
    case CONF_TIME:
    case CONF_TIME_MS:
        return read_time(setting, text, number);
    case CONF_MODE:
        return read_mode(text, number);
    case CONF_WORD:
        return read_word(setting, text, number);
    default:
        return false;
    }
}

static void expect_int(const struct conf_setting *setting, struct buf *out)
{
    bool any = setting->min == INT_MIN && setting->max == INT_MAX;
    if (any)
        buf_append_str(out, "an integer");
    else
        buf_printf(out, "an integer from %" PRId64 " to %" PRId64, setting->min, setting->max);
}

static void expect_time(const struct conf_setting *setting, struct buf *out)
{
    buf_printf(out, "a time in %s, or with a unit such as 500ms",
               setting->type == CONF_TIME ? "seconds" : "milliseconds");
    if (setting->min > 0) {
        buf_append_str(out, ", of at least ");
        value_write_time(out, setting->min, unit_us(setting));
    }
    if (setting->max < TIME_MAX) {
        buf_append_str(out, ", of at most ");
        value_write_time(out, setting->max, unit_us(setting));
    }
}

static void expect_word(const struct conf_setting *setting, struct buf *out)
{
    for (const struct conf_word *word = setting->words; word->word != NULL; word++) {
        if (!word->built)
            continue;
        if (word > setting->words)
            buf_append_str(out, ", ");
        buf_append_str(out, word->word);
    }
}

static void expect(const struct conf_setting *setting, struct buf *out)
{
    switch (setting->type) {
    case CONF_BOOL:
        buf_append_str(out, "0 or 1, or on, off, true, false, yes, no");
        break;
    case CONF_TIME:
    case CONF_TIME_MS:
        expect_time(setting, out);
        break;
    case CONF_LAG:
        buf_append_str(out, "a time with a unit, such as 10s or 500ms, or 0");
        break;
    case CONF_MODE:
        buf_append_str(out, "an octal number with its leading 0, such as 0777");
        break;
    case CONF_WORD:
        expect_word(setting, out);
        break;
    default:
        expect_int(setting, out);
        break;
    }
}

static bool refuse_value(const struct conf_setting *setting, const char *text, struct err *err)
{
    char excerpt[CONF_EXCERPT_MAX];
    struct buf expected = BUF_NONE;
    expect(setting, &expected);
    buf_append_u8(&expected, 0);
    err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE, "key \"%s\": value \"%s\": expected %s",
            setting->name, conf_excerpt(text, excerpt), expected.data);
    buf_done(&expected);
    return false;
}

static bool is_default(const struct conf_setting *setting, int64_t number)
{
    int64_t initial = 0;
    read_number(setting, setting->default_text, &initial);
    return number == initial;
}

static bool check_built(const struct conf_setting *setting, bool same, struct err *err)
{
    if (setting->built || same)
        return true;
    return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                   "setting \"%s\" is not supported yet by this version", setting->name);
}

static bool check_word(const struct conf_setting *setting, const char *text, struct err *err)
{
    const struct conf_word *word =
        setting->type == CONF_WORD ? conf_find_word(setting->words, text) : NULL;
    if (word == NULL || word->built)
        return true;
    return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                   "key \"%s\": value \"%s\" is not supported yet by this version", setting->name,
                   word->word);
}

static bool store_text(struct settings *settings, const struct conf_setting *setting,
                       const char *text, struct err *err)
{
    if (!check_built(setting, strcmp(text, setting->default_text) == 0, err))
        return false;
    if (setting->type == CONF_FUNCTIONS && !conf_check_functions(setting->name, text, err))
        return false;
    if (setting->type == CONF_PATTERN && !conf_check_pattern(setting->name, text, err))
        return false;
    set_text(settings, setting, text);
    return true;
}

bool conf_store(struct settings *settings, const struct conf_setting *setting, const char *text,
                struct err *err)
{
    int64_t number = 0;
    if (is_text(setting))
        return store_text(settings, setting, text, err);
    if (!read_number(setting, text, &number))
        return refuse_value(setting, text, err);
    if (!check_built(setting, is_default(setting, number), err) || !check_word(setting, text, err))
        return false;
    set_number(settings, setting, number);
    return true;
}

const char *conf_warning(const struct conf_setting *setting, const char *text)
{
    const struct conf_word *word =
        setting->type == CONF_WORD ? conf_find_word(setting->words, text) : NULL;
    return word != NULL ? word->warning : setting->instead;
}

void conf_write_value(const struct settings *settings, const struct conf_setting *setting,
                      struct buf *out)
{
    if (is_text(setting)) {
        buf_append_str(out, get_text(settings, setting));
        return;
    }
    int64_t number = get_number(settings, setting);
    switch (setting->type) {
    case CONF_TIME:
    case CONF_TIME_MS:
        value_write_time(out, number, unit_us(setting));
        break;
    case CONF_LAG:
        value_write_lag(out, number);
        break;
    case CONF_MODE:
        buf_printf(out, "0%03o", (unsigned)number);
        break;
    case CONF_WORD:
        buf_append_str(out, conf_word_of(setting->words, (int)number));
        break;
    default:
        buf_printf(out, "%" PRId64, number);
        break;
    }
}

void conf_fill_defaults(struct settings *settings)
{
    for (size_t i = 0; i < conf_table_len; i++) {
        const struct conf_setting *setting = &conf_table[i];
        int64_t number = 0;
        if (is_text(setting))
            set_text(settings, setting, setting->default_text);
        else if (read_number(setting, setting->default_text, &number))
            set_number(settings, setting, number);
        else
            assert(!"a default is not a value of its setting");
    }
}

void conf_copy_value(struct settings *to, const struct settings *from,
                     const struct conf_setting *setting)
{
    if (is_text(setting))
        set_text(to, setting, get_text(from, setting));
    else
        set_number(to, setting, get_number(from, setting));
}

bool conf_same_value(const struct settings *a, const struct settings *b,
                     const struct conf_setting *setting)
{
    if (is_text(setting))
        return strcmp(get_text(a, setting), get_text(b, setting)) == 0;
    return get_number(a, setting) == get_number(b, setting);
}

void conf_free_texts(struct settings *settings)
{
    for (size_t i = 0; i < conf_table_len; i++)
        if (is_text(&conf_table[i]))
            mem_free(*(char **)field_of(settings, &conf_table[i]));
}
