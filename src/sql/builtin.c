#include "sql/builtin.h"

#include <string.h>

#include "sql/facts.h"
#include "sql/named.h"

enum {
    IMMUTABLE = BUILTIN_IMMUTABLE,
    STABLE = BUILTIN_STABLE,
    VOLATILE = BUILTIN_VOLATILE,
};

static const struct row {
    struct named named; /* first: named_find() finds us by it */
    uint8_t volatility;
} rows[] = {
#define BUILTIN(name, volatility) {NAMED(name), volatility},
#include "sql/builtin.def"
#undef BUILTIN
};

/* What lasts in the session.  SQL_CALLS: it runs a text of SQL, or leaves what no other effect tells. */
static const struct effect {
    const char *name;
    uint32_t effects;
} effects[] = {
    {"pg_advisory_lock", SQL_LOCKS},
    {"pg_advisory_lock_shared", SQL_LOCKS},
    {"pg_try_advisory_lock", SQL_LOCKS},
    {"pg_try_advisory_lock_shared", SQL_LOCKS},
    {"pg_advisory_unlock", SQL_UNLOCKS},
    {"pg_advisory_unlock_shared", SQL_UNLOCKS},
    {"pg_advisory_unlock_all", SQL_UNLOCKS},
    {"setseed", SQL_SEEDS},
    {"nextval", SQL_SEQUENCES},
    {"setval", SQL_SEQUENCES},
    {"currval", SQL_SEQUENCES | SQL_READS_SEQUENCES},
    {"lastval", SQL_SEQUENCES | SQL_READS_SEQUENCES},
    {"query_to_xml", SQL_CALLS},
    {"query_to_xmlschema", SQL_CALLS},
    {"query_to_xml_and_xmlschema", SQL_CALLS},
    {"cursor_to_xml", SQL_CALLS},
    {"cursor_to_xmlschema", SQL_CALLS},
    {"ts_stat", SQL_CALLS},
    {"ts_rewrite", SQL_CALLS},
    {"pg_backup_start", SQL_CALLS},
    {"pg_backup_stop", SQL_CALLS},
    {"pg_create_physical_replication_slot", SQL_CALLS},
    {"pg_create_logical_replication_slot", SQL_CALLS},
    {"pg_copy_physical_replication_slot", SQL_CALLS},
    {"pg_copy_logical_replication_slot", SQL_CALLS},
    {"pg_logical_slot_get_changes", SQL_CALLS},
    {"pg_logical_slot_get_binary_changes", SQL_CALLS},
    {"pg_logical_slot_peek_changes", SQL_CALLS},
    {"pg_logical_slot_peek_binary_changes", SQL_CALLS},
    {"pg_replication_origin_session_setup", SQL_CALLS},
    {"pg_replication_origin_session_reset", SQL_CALLS},
    {"plpgsql_inline_handler", SQL_CALLS},
};

static const struct row *find(const char *name, size_t len)
{
    return named_find(rows, sizeof rows / sizeof *rows, sizeof *rows, name, len);
}

static uint32_t effects_of(const char *name, size_t len)
{
    static const char upgrade[] = "binary_upgrade_";
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++)
        if (strlen(effects[i].name) == len && memcmp(effects[i].name, name, len) == 0)
            return effects[i].effects;
    return len > strlen(upgrade) && memcmp(name, upgrade, strlen(upgrade)) == 0 ? SQL_CALLS : 0;
}

struct builtin builtin_find(const char *name, size_t len)
{
    const struct row *row = find(name, len);
    if (row == NULL)
        return (struct builtin){BUILTIN_NONE, 0};
    /* Whatever has an effect is declared volatile, ts_rewrite() and setseed() too. */
    return (struct builtin){row->volatility,
                            row->volatility == VOLATILE ? effects_of(name, len) : 0};
}

struct builtin builtin_of(const char *schema, const char *name)
{
    if (schema != NULL && strcmp(schema, "pg_catalog") != 0)
        return (struct builtin){BUILTIN_NONE, 0};
    return builtin_find(name, strlen(name));
}
