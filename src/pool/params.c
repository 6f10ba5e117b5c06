#include "pool/params.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

/* A setting that the process does not follow, but this client or server has. */
struct setting {
    char *name, *value;
};

struct params {
    struct map_entry entry; /* first: the map finds us by it */
    unsigned refs;          /* under the table's mutex */
    uint64_t environment;
    size_t n, n_more;
    struct setting *more; /* owned, as the texts in it; in order of names */
    char *values[];       /* owned; NULL: not known */
};

/* A set that is not interned yet; all borrowed. */
struct draft {
    size_t n_more;
    const struct setting *more;
    const char *values[PARAMS_MAX];
};

struct params_table {
    pthread_mutex_t mutex;
    struct map sets;
    size_t n;
    char *names[PARAMS_MAX]; /* owned */
};

static const char *const always[] = {"client_encoding", "DateStyle", "TimeZone",
                                     "standard_conforming_strings", "application_name"};

static void add_name(struct params_table *table, const char *name, size_t len)
{
    char *copy = mem_strndup(name, len);
    if (len == 0 || table->n == PARAMS_MAX || params_index(table, copy) >= 0)
        mem_free(copy);
    else
        table->names[table->n++] = copy;
}

struct params_table *params_table_new(const char *extra)
{
    static const char separators[] = ", \t";
    struct params_table *table = mem_new(sizeof *table);
    pthread_mutex_init(&table->mutex, NULL);
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        add_name(table, always[i], strlen(always[i]));
    while (extra != NULL && *extra != '\0') {
        size_t len = strcspn(extra, separators);
        add_name(table, extra, len);
        extra += len;
        extra += strspn(extra, separators);
    }
    return table;
}

void params_table_free(struct params_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->n; i++)
        mem_free(table->names[i]);
    map_done(&table->sets);
    pthread_mutex_destroy(&table->mutex);
    mem_free(table);
}

size_t params_count(const struct params_table *table)
{
    return table->n;
}

const char *params_name(const struct params_table *table, size_t i)
{
    return table->names[i];
}

int params_index(const struct params_table *table, const char *name)
{
    for (size_t i = 0; i < table->n; i++) {
        if (strcasecmp(table->names[i], name) == 0)
            return (int)i;
    }
    return -1;
}

const char *params_get(const struct params *params, size_t i)
{
    return params->values[i];
}

bool params_in_environment(const struct params_table *table, size_t i)
{
    return strcasecmp(table->names[i], "application_name") != 0;
}

/* What literals and expressions are read by when a text is parsed.  search_path is none of them: whoever
 * uses a plan looks whether it is still the same. */
static bool is_read_by_parser(const char *name)
{
    static const char *const names[] = {
        "intervalstyle", "array_nulls",           "backslash_quote", "lc_monetary",
        "xmloption",     "transform_null_equals", "xmlbinary",       "timezone_abbreviations"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static void write_more(struct buf *all, const struct draft *draft, bool environment)
{
    for (size_t i = 0; i < draft->n_more; i++) {
        if (environment && !is_read_by_parser(draft->more[i].name))
            continue;
        buf_append_cstr(all, draft->more[i].name);
        buf_append_cstr(all, draft->more[i].value);
    }
}

static uint64_t hash_draft(const struct params_table *table, const struct draft *draft,
                           bool environment)
{
    struct buf all = BUF_NONE;
    for (size_t i = 0; i < table->n; i++) {
        const char *value = draft->values[i];
        buf_append_u8(&all, value != NULL);
        if (value != NULL && (!environment || params_in_environment(table, i)))
            buf_append_cstr(&all, value);
    }
    write_more(&all, draft, environment);
    uint64_t hash = hash_bytes(all.data, all.len);
    buf_done(&all);
    return hash;
}

uint64_t params_environment(const struct params *params)
{
    return params->environment;
}

static bool same_value(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_of_draft(const struct map_entry *entry, const void *key)
{
    const struct params *params = (const struct params *)entry;
    const struct draft *draft = key;
    if (params->n_more != draft->n_more)
        return false;
    for (size_t i = 0; i < params->n; i++) {
        if (!same_value(params->values[i], draft->values[i]))
            return false;
    }
    for (size_t i = 0; i < params->n_more; i++) {
        if (strcmp(params->more[i].name, draft->more[i].name) != 0 ||
            strcmp(params->more[i].value, draft->more[i].value) != 0)
            return false;
    }
    return true;
}

static struct params *make(const struct params_table *table, const struct draft *draft)
{
    struct params *set = mem_new(sizeof *set + table->n * sizeof(char *));
    set->environment = hash_draft(table, draft, true);
    set->n = table->n;
    for (size_t i = 0; i < table->n; i++)
        set->values[i] = mem_strdup(draft->values[i]);
    set->n_more = draft->n_more;
    if (draft->n_more > 0)
        set->more = mem_new_array(draft->n_more, sizeof *set->more);
    for (size_t i = 0; i < draft->n_more; i++)
        set->more[i] = (struct setting){.name = mem_strdup(draft->more[i].name),
                                        .value = mem_strdup(draft->more[i].value)};
    return set;
}

static struct params *intern(struct params_table *table, const struct draft *draft)
{
    uint64_t hash = hash_draft(table, draft, false);
    pthread_mutex_lock(&table->mutex);
    struct params *set = (struct params *)map_find(&table->sets, hash, is_of_draft, draft);
    if (set == NULL) {
        set = make(table, draft);
        set->entry.hash = hash;
        map_add(&table->sets, &set->entry);
    }
    set->refs++;
    pthread_mutex_unlock(&table->mutex);
    return set;
}

size_t params_weight(const struct params *params)
{
    size_t bytes = 0;
    for (size_t i = 0; i < params->n_more; i++)
        bytes += strlen(params->more[i].name) + strlen(params->more[i].value) + 2;
    return bytes;
}

struct params_usage params_table_usage(struct params_table *table)
{
    struct params_usage usage = {.size = sizeof(struct params) + table->n * sizeof(char *)};
    const struct params *set;
    uint32_t at = 0;
    pthread_mutex_lock(&table->mutex);
    while ((set = (const struct params *)map_next(&table->sets, &at)) != NULL) {
        usage.n++;
        for (size_t i = 0; i < set->n; i++)
            usage.bytes += set->values[i] != NULL ? strlen(set->values[i]) + 1 : 0;
        usage.bytes += params_weight(set) + set->n_more * sizeof *set->more;
    }
    pthread_mutex_unlock(&table->mutex);
    return usage;
}

struct params *params_empty(struct params_table *table)
{
    struct draft draft = {0};
    return intern(table, &draft);
}

struct params *params_ref(struct params_table *table, struct params *params)
{
    pthread_mutex_lock(&table->mutex);
    params->refs++;
    pthread_mutex_unlock(&table->mutex);
    return params;
}

void params_unref(struct params_table *table, struct params *params)
{
    if (params == NULL)
        return;
    pthread_mutex_lock(&table->mutex);
    bool last = --params->refs == 0;
    if (last)
        map_remove(&table->sets, &params->entry);
    pthread_mutex_unlock(&table->mutex);
    if (!last)
        return;
    for (size_t i = 0; i < params->n; i++)
        mem_free(params->values[i]);
    for (size_t i = 0; i < params->n_more; i++) {
        mem_free(params->more[i].name);
        mem_free(params->more[i].value);
    }
    mem_free(params->more);
    mem_free(params);
}

static struct draft draft_of(const struct params *params)
{
    struct draft draft = {.n_more = params->n_more, .more = params->more};
    for (size_t i = 0; i < params->n; i++)
        draft.values[i] = params->values[i];
    return draft;
}

static void replace(struct params_table *table, struct params **params, const struct draft *draft)
{
    struct params *old = *params;
    *params = intern(table, draft);
    params_unref(table, old);
}

void params_set(struct params_table *table, struct params **params, size_t i, const char *value)
{
    struct draft draft = draft_of(*params);
    draft.values[i] = value;
    replace(table, params, &draft);
}

/* Where the name stands in the order, or would stand. */
static size_t place_of(const struct params *params, const char *name, bool *found)
{
    size_t i = 0;
    while (i < params->n_more && strcmp(params->more[i].name, name) < 0)
        i++;
    *found = i < params->n_more && strcmp(params->more[i].name, name) == 0;
    return i;
}

static void put_more(struct params_table *table, struct params **params, const char *name,
                     const char *value)
{
    const struct params *old = *params;
    bool found;
    size_t at = place_of(old, name, &found), n = 0;
    struct draft draft = draft_of(old);
    struct setting *more = mem_new_array(old->n_more + 1, sizeof *more);
    for (size_t i = 0; i < at; i++)
        more[n++] = old->more[i];
    if (value != NULL)
        more[n++] = (struct setting){.name = (char *)name, .value = (char *)value};
    for (size_t i = at + found; i < old->n_more; i++)
        more[n++] = old->more[i];
    draft.more = more;
    draft.n_more = n;
    replace(table, params, &draft);
    mem_free(more);
}

/* PostgreSQL folds the names of settings, as far as they are ASCII. */
static char *folded(const char *name)
{
    char *copy = mem_strdup(name);
    for (char *at = copy; *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    }
    return copy;
}

void params_put(struct params_table *table, struct params **params, const char *name,
                const char *value)
{
    int index = params_index(table, name);
    if (index >= 0) {
        params_set(table, params, (size_t)index, value);
        return;
    }
    char *key = folded(name);
    put_more(table, params, key, value);
    mem_free(key);
}

const char *params_find(const struct params_table *table, const struct params *params,
                        const char *name)
{
    int index = params_index(table, name);
    if (index >= 0)
        return params->values[index];
    bool found;
    char *key = folded(name);
    size_t at = place_of(params, key, &found);
    mem_free(key);
    return found ? params->more[at].value : NULL;
}

size_t params_count_more(const struct params *params)
{
    return params->n_more;
}

const char *params_more_name(const struct params *params, size_t i)
{
    return params->more[i].name;
}

const char *params_more_value(const struct params *params, size_t i)
{
    return params->more[i].value;
}

void params_take_more(struct params_table *table, struct params **params, const struct params *from)
{
    struct draft draft = draft_of(*params);
    if (draft.n_more == 0 && from->n_more == 0)
        return;
    draft.n_more = from->n_more;
    draft.more = from->more;
    replace(table, params, &draft);
}

/* In dollars a backslash is a backslash, whatever the encoding: in some it is a part of a character. */
static void quote_in_dollars(struct buf *sql, const char *value)
{
    char tag[16], *text;
    bool ends_it = true;
    for (unsigned n = 0; ends_it; n++) {
        snprintf(tag, sizeof tag, "$q%u$", n);
        text = mem_printf("%s%s", value, tag);
        ends_it = strstr(text, tag) != text + strlen(value);
        if (!ends_it) {
            buf_append_str(sql, tag);
            buf_append_str(sql, text);
        }
        mem_free(text);
    }
}

void params_quote(struct buf *sql, const char *value)
{
    if (strchr(value, '\\') != NULL) {
        quote_in_dollars(sql, value);
        return;
    }
    buf_append_u8(sql, '\'');
    for (; *value != '\0'; value++) {
        if (*value == '\'')
            buf_append_u8(sql, '\'');
        buf_append_u8(sql, (uint8_t)*value);
    }
    buf_append_u8(sql, '\'');
}

void params_quote_name(struct buf *sql, const char *name)
{
    buf_append_u8(sql, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"')
            buf_append_u8(sql, '"');
        buf_append_u8(sql, (uint8_t)*name);
    }
    buf_append_u8(sql, '"');
}

/* ---- from one set to another ---- */

/* Who the session acts as.  It may not be allowed to set what the client could set before it became
 * that: so it is undone first, and done last. */
bool params_is_identity(const char *name)
{
    return strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0;
}

static const char *more_value(const struct params *params, const char *name)
{
    bool found;
    size_t at = place_of(params, name, &found);
    return found ? params->more[at].value : NULL;
}

static void append_reset(struct buf *sql, const char *name)
{
    buf_append_str(sql, "RESET ");
    params_quote_name(sql, name);
    buf_append_str(sql, ";");
}

/* What the server does not report has no value that it could be set back to. */
static void append_resets(const struct params_table *table, const struct params *from,
                          const struct params *to, struct buf *sql)
{
    if (more_value(from, "session_authorization") != NULL)
        buf_append_str(sql, "RESET SESSION AUTHORIZATION;");
    if (more_value(from, "role") != NULL)
        buf_append_str(sql, "RESET ROLE;");
    for (size_t i = 0; i < table->n; i++) {
        if (from->values[i] != NULL && to->values[i] == NULL)
            append_reset(sql, table->names[i]);
    }
    for (size_t i = 0; i < from->n_more; i++) {
        const char *name = from->more[i].name;
        if (!params_is_identity(name) && more_value(to, name) == NULL)
            append_reset(sql, name);
    }
}

/* set_config() rather than SET: it takes any value as the server reported it, lists included,
 * and one statement does for all. */
static void append_set(struct buf *sql, const char **before, const char *name, const char *value)
{
    buf_append_str(sql, *before);
    buf_append_str(sql, "pg_catalog.set_config(");
    params_quote(sql, name);
    buf_append_str(sql, ",");
    params_quote(sql, value);
    buf_append_str(sql, ",false)");
    *before = ",";
}

static void append_sets(const struct params_table *table, const struct params *from,
                        const struct params *to, struct buf *sql)
{
    const char *before = "SELECT ";
    for (size_t i = 0; i < table->n; i++) {
        if (to->values[i] != NULL && !same_value(from->values[i], to->values[i]))
            append_set(sql, &before, table->names[i], to->values[i]);
    }
    for (size_t i = 0; i < to->n_more; i++) {
        const struct setting *setting = &to->more[i];
        if (!params_is_identity(setting->name) &&
            !same_value(more_value(from, setting->name), setting->value))
            append_set(sql, &before, setting->name, setting->value);
    }
    if (before[0] == ',')
        buf_append_u8(sql, ';');
}

static void append_identity(const struct params *to, struct buf *sql)
{
    static const char *const names[] = {"session_authorization", "role"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *before = "SELECT ", *value = more_value(to, names[i]);
        if (value == NULL)
            continue;
        append_set(sql, &before, names[i], value);
        buf_append_u8(sql, ';');
    }
}

bool params_difference(const struct params_table *table, const struct params *from,
                       const struct params *to, struct buf *sql)
{
    size_t begin = sql->len;
    if (from == to)
        return false;
    append_resets(table, from, to, sql);
    append_sets(table, from, to, sql);
    append_identity(to, sql);
    return sql->len > begin;
}

static bool beyond_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text <= 127)
        text++;
    return *text != '\0';
}

bool params_beyond_ascii(const struct params *params)
{
    for (size_t i = 0; i < params->n_more; i++) {
        if (beyond_ascii(params->more[i].name) || beyond_ascii(params->more[i].value))
            return true;
    }
    return false;
}

bool params_need_encoding_first(const struct params_table *table, const struct params *from,
                                const struct params *to)
{
    int i = params_index(table, "client_encoding");
    return to->values[i] != NULL && !same_value(from->values[i], to->values[i]) &&
           params_beyond_ascii(to);
}
