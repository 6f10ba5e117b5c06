#include "topology/catalog_rows.h"

#include <libpq-fe.h>
#include <string.h>

#include "base/hash.h"
#include "sql/standby.h"
#include "topology/catalog.h"

enum { COLUMNS = 5, MOST_ROWS = 200000 };

/* Rows are, by their first column:
 *     p        function: schema, name, volatility, "own" if it is one that PostgreSQL brings
 *     u, S, f  unlogged table, sequence, foreign table, and what reads one: schema, name
 *     c        view or table: schema, name; schema and name of a function that reading it calls
 *
 * What a view reads and calls stands in the tree of its rule, and in that of a policy, by its oid: so operators
 * and casts are there as well.  Partitions are read with their parent.  An aggregate is as volatile as the
 * functions that it is made of. */
/* clang-format off */
const char catalog_question[] =
    "WITH RECURSIVE"
    " uses(rel, what, other) AS ("
    "  SELECT r.ev_class, m[1], m[2]::pg_catalog.oid"
    "    FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND"
    " c.relkind = 'v',"
    "     LATERAL pg_catalog.regexp_matches(r.ev_action::pg_catalog.text,"
    " ':(funcid|opno|aggfnoid|winfnoid|tsmhandler|relid) ([0-9]+)', 'g') m"
    "   WHERE r.ev_type = '1'"
    "  UNION SELECT p.polrelid, m[1], m[2]::pg_catalog.oid"
    "    FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid AND"
    " c.relrowsecurity,"
    "     LATERAL pg_catalog.regexp_matches(p.polqual::pg_catalog.text,"
    " ':(funcid|opno|aggfnoid|winfnoid|relid) ([0-9]+)', 'g') m"
    "  UNION SELECT i.inhparent, 'relid', i.inhrelid"
    "    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhparent AND"
    " c.relkind IN ('r', 'p', 'f')),"
    " reads(root, rel) AS ("
    "  SELECT rel, rel FROM uses"
    "  UNION SELECT reads.root, uses.other FROM reads JOIN uses ON uses.rel = reads.rel AND"
    " uses.what = 'relid'),"
    " special(rel, kind) AS ("
    "  SELECT oid, CASE WHEN relpersistence = 'u' THEN 'u' ELSE relkind::pg_catalog.text END"
    "    FROM pg_catalog.pg_class"
    "   WHERE (relpersistence = 'u' AND relkind IN ('r', 'm', 'S')) OR relkind IN ('S',"
    " 'f')),"
    " found(kind, rel, func) AS ("
    "  SELECT kind, rel, 0::pg_catalog.oid FROM special"
    "  UNION SELECT special.kind, reads.root, 0 FROM reads JOIN special ON special.rel ="
    " reads.rel"
    "  UNION SELECT 'c', reads.root, CASE uses.what WHEN 'opno' THEN"
    " o.oprcode::pg_catalog.oid ELSE uses.other END"
    "    FROM reads JOIN uses ON uses.rel = reads.rel AND uses.what <> 'relid'"
    "    LEFT JOIN pg_catalog.pg_operator o ON uses.what = 'opno' AND o.oid = uses.other)"
    " SELECT f.kind, cn.nspname, c.relname, pn.nspname, p.proname"
    "  FROM found f JOIN pg_catalog.pg_class c ON c.oid = f.rel JOIN pg_catalog.pg_namespace"
    " cn ON cn.oid = c.relnamespace"
    "  LEFT JOIN pg_catalog.pg_proc p ON p.oid = f.func LEFT JOIN pg_catalog.pg_namespace pn"
    " ON pn.oid = p.pronamespace"
    " WHERE f.kind <> 'c' OR pn.nspname <> 'pg_catalog' OR p.provolatile <> 'i'"
    " UNION ALL"
    " SELECT 'p', n.nspname, p.proname,"
    "   CASE WHEN pg_catalog.bool_or(p.provolatile = 'v' OR t.provolatile = 'v') THEN 'v'"
    " WHEN pg_catalog.bool_or(p.provolatile = 's') THEN 's' ELSE 'i' END,"
    "   CASE WHEN p.oid < 16384 AND n.nspname = 'pg_catalog' THEN 'own' ELSE '' END"
    "  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
    "  LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid"
    "  LEFT JOIN pg_catalog.pg_proc t ON t.oid IN (a.aggtransfn, a.aggfinalfn,"
    " a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn,"
    "    a.aggcombinefn, a.aggserialfn, a.aggdeserialfn)"
    " WHERE p.prokind <> 'p' AND (n.nspname <> 'pg_catalog' OR p.oid >= 16384"
    "   OR pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000)"
    " GROUP BY 2, 3, 5"
    " LIMIT 200001";
/* clang-format on */

static struct sql_name name_at(const PGresult *result, int row, int column)
{
    return (struct sql_name){PQgetvalue(result, row, column), PQgetvalue(result, row, column + 1)};
}

/* Of those that PostgreSQL brings, sql/standby.h knows what it knows; of a later version's the others are here.
 * There, what is about the node is STABLE too, and has this prefix. */
static void take_function(struct catalog_draft *draft, const PGresult *result, int row)
{
    struct sql_name name = name_at(result, row, 1);
    char volatility = PQgetvalue(result, row, 3)[0];
    bool own = PQgetvalue(result, row, 4)[0] != '\0';
    if (!own)
        catalog_draft_function(draft, name, volatility == 'v');
    else if (standby_call(name.name, strlen(name.name)) == STANDBY_NOT_OWN)
        catalog_draft_function(draft, name,
                               volatility == 'v' ||
                                   (volatility == 's' && strncmp(name.name, "pg_", 3) == 0));
}

static void take_row(struct catalog_draft *draft, const PGresult *result, int row)
{
    struct sql_name name = name_at(result, row, 1);
    switch (PQgetvalue(result, row, 0)[0]) {
    case 'p':
        take_function(draft, result, row);
        break;
    case 'c':
        catalog_draft_call(draft, name, name_at(result, row, 3));
        break;
    case 'u':
        catalog_draft_relation(draft, name, CATALOG_UNLOGGED);
        break;
    case 'S':
        catalog_draft_relation(draft, name, CATALOG_SEQUENCE);
        break;
    default:
        catalog_draft_relation(draft, name, CATALOG_FOREIGN);
        break;
    }
}

bool catalog_rows_are_bounded(const PGresult *result)
{
    return PQnfields(result) == COLUMNS && PQntuples(result) <= MOST_ROWS;
}

uint64_t catalog_rows_sum(const PGresult *result)
{
    uint64_t sum = (uint64_t)PQntuples(result);
    for (int row = 0; row < PQntuples(result); row++) {
        uint64_t hashes[COLUMNS];
        for (int i = 0; i < COLUMNS; i++)
            hashes[i] = hash_bytes(PQgetvalue(result, row, i), (size_t)PQgetlength(result, row, i));
        sum += hash_bytes(hashes, sizeof hashes);
    }
    return sum;
}

struct catalog *catalog_of_rows(const PGresult *result, uint64_t generation)
{
    struct catalog_draft *draft = catalog_draft_new();
    for (int row = 0; row < PQntuples(result); row++)
        take_row(draft, result, row);
    struct catalog *catalog = catalog_draft_finish(draft, generation);
    catalog_draft_free(draft);
    return catalog;
}
