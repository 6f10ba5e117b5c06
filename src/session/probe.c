#include "session/probe.h"

#include <string.h>

#include "base/buf.h"
#include "pool/params.h"
#include "pool/statements.h"

/* Of temporary objects of all kinds nothing but their dependence on the schema is the same.  PostgreSQL
 * has no name for locks that last for the session: outside a transaction all do. */
static const struct {
    unsigned what;
    const char *sql;
} questions[] = {
    {PROBE_LIST, "SELECT 'a',name,pg_catalog.left(setting,8193) FROM pg_catalog.pg_settings "
                 "WHERE source OPERATOR(pg_catalog.=) 'session';"},
    {PROBE_TEMP, "SELECT 't' WHERE EXISTS(SELECT 1 FROM pg_catalog.pg_depend WHERE refclassid "
                 "OPERATOR(pg_catalog.=) 2615 AND refobjid OPERATOR(pg_catalog.=) "
                 "pg_catalog.pg_my_temp_schema());"},
    {PROBE_LOCKS, "SELECT 'l' WHERE EXISTS(SELECT 1 FROM pg_catalog.pg_locks WHERE "
                  "locktype OPERATOR(pg_catalog.=) 'advisory' AND "
                  "pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid());"},
    {PROBE_CURSORS,
     "SELECT 'h' WHERE EXISTS(SELECT 1 FROM pg_catalog.pg_cursors WHERE is_holdable);"},
    {PROBE_LISTEN, "SELECT 'n',c,'' FROM pg_catalog.pg_listening_channels() c;"},
    {PROBE_PREPARED,
     "SELECT 'p' WHERE EXISTS(SELECT 1 FROM pg_catalog.pg_prepared_statements WHERE from_sql AND "
     "pg_catalog.left(name,7) OPERATOR(pg_catalog.<>) '" STATEMENT_PREFIX "');"},
    {PROBE_NAMES, "SELECT 'p' WHERE EXISTS(SELECT 1 FROM pg_catalog.pg_prepared_statements WHERE "
                  "pg_catalog.left(name,7) OPERATOR(pg_catalog.<>) '" STATEMENT_PREFIX "');"},
};

/* A row for each: left() counts characters, so a value may be four times as long, and a row with all of them
 * too long to be read. */
static void ask_settings(struct buf *sql, const struct buf *names)
{
    const char *before = "SELECT 's',n,pg_catalog.left(pg_catalog.current_setting(n,true),";
    buf_printf(sql, "%s%d) FROM pg_catalog.unnest(", before, PROBE_VALUE_MAX + 1);
    before = "ARRAY[";
    for (const char *each = NULL; (each = buf_next_cstr(names, each)) != NULL;) {
        buf_append_str(sql, before);
        params_quote(sql, each);
        before = ",";
    }
    buf_append_str(sql, "]) n;");
}

void probe_write(struct buf *sql, unsigned what, const struct buf *names)
{
    if ((what & PROBE_SETTINGS) != 0 && names->len > 0)
        ask_settings(sql, names);
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        if ((what & questions[i].what) != 0)
            buf_append_str(sql, questions[i].sql);
    }
}

static bool next_column(struct probe_row *row, struct slice *value)
{
    if (row->left <= 0)
        return false;
    row->left--;
    int32_t len = (int32_t)read_u32(&row->columns);
    *value = (struct slice){0};
    if (row->columns.bad || len < 0)
        return !row->columns.bad;
    *value = read_bytes(&row->columns, (size_t)len);
    return !row->columns.bad;
}

bool probe_read(struct probe_row *row, const char *body, size_t len)
{
    struct slice kind;
    row->columns = reader_of(body, len);
    row->left = read_u16(&row->columns);
    if (row->columns.bad || !next_column(row, &kind) || kind.len != 1)
        return false;
    row->kind = kind.ptr[0];
    return true;
}

bool probe_next(struct probe_row *row, struct slice *name, struct slice *value)
{
    return next_column(row, name) && name->ptr != NULL && next_column(row, value);
}
