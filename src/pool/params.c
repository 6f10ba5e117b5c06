#include "pool/params.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

struct params {
    struct map_entry entry; /* first: the map finds us by it */
    unsigned refs;          /* under the table's mutex */
    uint64_t environment;
    size_t n;
    char *values[]; /* owned; NULL: not known */
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

static uint64_t hash_values(size_t n, const char *const *values)
{
    uint64_t hash = n;
    for (size_t i = 0; i < n; i++) {
        hash = hash * 31 + i;
        if (values[i] != NULL)
            hash ^= hash_bytes(values[i], strlen(values[i]));
    }
    return hash;
}

bool params_in_environment(const struct params_table *table, size_t i)
{
    return strcasecmp(table->names[i], "application_name") != 0;
}

static uint64_t hash_environment(const struct params_table *table, const char *const *values)
{
    struct buf all = BUF_NONE;
    for (size_t i = 0; i < table->n; i++) {
        buf_append_u8(&all, values[i] != NULL);
        if (values[i] != NULL && params_in_environment(table, i))
            buf_append_cstr(&all, values[i]);
    }
    uint64_t hash = hash_bytes(all.data, all.len);
    buf_done(&all);
    return hash;
}

uint64_t params_environment(const struct params *params)
{
    return params->environment;
}

struct wanted {
    size_t n;
    const char *const *values;
};

static bool same_values(const struct map_entry *entry, const void *key)
{
    const struct params *params = (const struct params *)entry;
    const struct wanted *wanted = key;
    for (size_t i = 0; i < wanted->n; i++) {
        const char *a = params->values[i], *b = wanted->values[i];
        if (a == NULL || b == NULL ? a != b : strcmp(a, b) != 0)
            return false;
    }
    return true;
}

static struct params *intern(struct params_table *table, const char *const *values)
{
    struct wanted wanted = {table->n, values};
    uint64_t hash = hash_values(table->n, values);
    pthread_mutex_lock(&table->mutex);
    struct params *set = (struct params *)map_find(&table->sets, hash, same_values, &wanted);
    if (set == NULL) {
        set = mem_new(sizeof *set + table->n * sizeof(char *));
        set->entry.hash = hash;
        set->environment = hash_environment(table, values);
        set->n = table->n;
        for (size_t i = 0; i < table->n; i++)
            set->values[i] = mem_strdup(values[i]);
        map_add(&table->sets, &set->entry);
    }
    set->refs++;
    pthread_mutex_unlock(&table->mutex);
    return set;
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
    }
    pthread_mutex_unlock(&table->mutex);
    return usage;
}

struct params *params_empty(struct params_table *table)
{
    const char *values[PARAMS_MAX] = {NULL};
    return intern(table, values);
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
    mem_free(params);
}

void params_set(struct params_table *table, struct params **params, size_t i, const char *value)
{
    const char *values[PARAMS_MAX];
    struct params *old = *params;
    for (size_t k = 0; k < table->n; k++)
        values[k] = old->values[k];
    values[i] = value;
    *params = intern(table, values);
    params_unref(table, old);
}

void params_quote(struct buf *sql, const char *value)
{
    buf_append_str(sql, strchr(value, '\\') != NULL ? " E'" : "'");
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            buf_append_u8(sql, (uint8_t)*value);
        buf_append_u8(sql, (uint8_t)*value);
    }
    buf_append_u8(sql, '\'');
}

static bool differs(const char *have, const char *want)
{
    return want != NULL && (have == NULL || strcmp(have, want) != 0);
}

/* What the server does not report has no value that it could be set back to. */
static void append_resets(const struct params_table *table, const struct params *from,
                          const struct params *to, struct buf *sql)
{
    for (size_t i = 0; i < table->n; i++) {
        if (from->values[i] == NULL || to->values[i] != NULL)
            continue;
        buf_append_str(sql, "RESET \"");
        for (const char *at = table->names[i]; *at != '\0'; at++) {
            if (*at == '"')
                buf_append_u8(sql, '"');
            buf_append_u8(sql, (uint8_t)*at);
        }
        buf_append_str(sql, "\";");
    }
}

/* set_config() rather than SET: it takes any value as the server reported it, lists included,
 * and one statement does for all. */
bool params_difference(const struct params_table *table, const struct params *from,
                       const struct params *to, struct buf *sql)
{
    size_t begin = sql->len;
    const char *before = "SELECT ";
    if (from == to)
        return false;
    append_resets(table, from, to, sql);
    for (size_t i = 0; i < table->n; i++) {
        const char *have = from->values[i], *want = to->values[i];
        if (!differs(have, want))
            continue;
        buf_append_str(sql, before);
        buf_append_str(sql, "pg_catalog.set_config(");
        params_quote(sql, table->names[i]);
        buf_append_str(sql, ",");
        params_quote(sql, want);
        buf_append_str(sql, ",false)");
        before = ",";
    }
    if (before[0] == ',')
        buf_append_u8(sql, ';');
    return sql->len > begin;
}
