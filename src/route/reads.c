#include "route/reads.h"

#include <stdio.h>
#include <string.h>

#include "route/rules.h"
#include "sql/standby.h"
#include "topology/catalog.h"

/* A text on the way to its answer. */
struct walk {
    const struct read_rules *rules;
    const struct catalog *catalog;
    struct reads_answer answer; /* of READS_NO: once there is a reason it is final */
    bool reads;                 /* some statement reads data */
    bool open;                  /* a transaction that the text has begun */
    struct sql_modes modes;     /* of that */
    struct sql_modes defaults;  /* that the text has set for those to come */
};

/* False, so that a check can end with it. */
static bool no(struct walk *walk, enum reads_reason reason, const struct sql_name *name)
{
    walk->answer.reads = READS_NO;
    walk->answer.reason = reason;
    walk->answer.name = name;
    return false;
}

/* ---- functions ---- */

static bool is_own(const char *schema)
{
    return schema == NULL || strcmp(schema, "pg_catalog") == 0;
}

static bool check_own(struct walk *walk, const struct sql_name *function, enum standby_call call)
{
    static const enum reads_reason reasons[] = {
        [STANDBY_WRITES] = REASON_FUNCTION_WRITES,
        [STANDBY_SEQUENCE] = REASON_FUNCTION_SEQUENCE,
        [STANDBY_LOCKS] = REASON_FUNCTION_LOCKS,
        [STANDBY_KEEPS] = REASON_FUNCTION_KEEPS,
        [STANDBY_TRANSACTION] = REASON_FUNCTION_TRANSACTION,
        [STANDBY_NODE] = REASON_FUNCTION_NODE,
        [STANDBY_RUNS] = REASON_FUNCTION_RUNS,
        [STANDBY_INTERNAL] = REASON_FUNCTION_WRITES,
    };
    const struct sql_name full = {"pg_catalog", function->name};
    if (call == STANDBY_READS || read_rules_reads(walk->rules, &full))
        return true;
    return no(walk, reasons[call], function);
}

/* Those of the catalog by that name. */
static bool check_others(struct walk *walk, const struct sql_name *function, bool own)
{
    uint32_t n;
    if (walk->catalog == NULL)
        return read_rules_reads(walk->rules, function) || no(walk, REASON_CATALOG, function);
    const struct catalog_function *rows =
        catalog_functions(walk->catalog, function->schema, function->name, &n);
    for (uint32_t i = 0; i < n; i++)
        if (rows[i].is_volatile && !read_rules_reads(walk->rules, &rows[i].name))
            return no(walk, REASON_FUNCTION_VOLATILE, function);
    if (n > 0 || own || read_rules_reads(walk->rules, function))
        return true;
    return no(walk, REASON_FUNCTION_UNKNOWN, function);
}

static bool check_function(struct walk *walk, const struct sql_name *function)
{
    enum standby_call call = is_own(function->schema)
                                 ? standby_call(function->name, strlen(function->name))
                                 : STANDBY_NOT_OWN;
    if (read_rules_writes(walk->rules, function))
        return no(walk, REASON_WRITE_FUNCTIONS, function);
    if (call != STANDBY_NOT_OWN && !check_own(walk, function, call))
        return false;
    return check_others(walk, function, call != STANDBY_NOT_OWN);
}

/* ---- relations ---- */

static bool check_kind(struct walk *walk, const struct catalog_relation *relation)
{
    switch (relation->kind) {
    case CATALOG_UNLOGGED:
        return no(walk, REASON_RELATION_UNLOGGED, &relation->name);
    case CATALOG_SEQUENCE:
        return no(walk, REASON_RELATION_SEQUENCE, &relation->name);
    case CATALOG_FOREIGN:
        return no(walk, REASON_RELATION_FOREIGN, &relation->name);
    case CATALOG_CALLS:
        break;
    }
    return true;
}

static bool check_calls(struct walk *walk, const struct catalog_relation *relation)
{
    for (uint32_t i = 0; i < relation->n_calls; i++) {
        if (!check_function(walk, &relation->calls[i])) {
            walk->answer.relation = &relation->name;
            return false;
        }
    }
    return true;
}

/* runs: what the relation calls is called. */
static bool check_relation(struct walk *walk, const struct sql_name *name, bool runs)
{
    static const char temporary[] = "pg_temp";
    uint32_t n;
    if (name->schema != NULL && strncmp(name->schema, temporary, strlen(temporary)) == 0)
        return no(walk, REASON_RELATION_TEMPORARY, name);
    if (walk->catalog == NULL)
        return no(walk, REASON_CATALOG, name);
    const struct catalog_relation *rows =
        catalog_relations(walk->catalog, name->schema, name->name, &n);
    for (uint32_t i = 0; i < n; i++)
        if (!check_kind(walk, &rows[i]) || (runs && !check_calls(walk, &rows[i])))
            return false;
    return true;
}

static bool check_relations(struct walk *walk, const struct sql_statement *statement, bool runs)
{
    for (uint32_t i = 0; i < statement->n_tables; i++)
        if (!check_relation(walk, &statement->tables[i], runs))
            return false;
    return true;
}

/* ---- statements ---- */

static bool check_rows(struct walk *walk, const struct sql_statement *statement)
{
    if ((statement->traits & SQL_WRITES_ROWS) != 0)
        return no(walk, REASON_WRITES, NULL);
    if ((statement->traits & SQL_LOCKS_ROWS) != 0)
        return no(walk, REASON_LOCKS_ROWS, NULL);
    return true;
}

/* set_config() of a mode of transactions, of what cannot be told, or of a path to temporary tables. */
static bool check_settings(struct walk *walk, const struct sql_statement *statement)
{
    const struct sql_modes *modes = &statement->modes, *defaults = &statement->default_modes;
    if ((statement->effects & (SQL_SETS_UNKNOWN | SQL_TEMP)) != 0 ||
        (statement->traits & SQL_ASKS_ROLE) != 0 || modes->access != SQL_ACCESS_UNSAID ||
        modes->isolation != SQL_ISOLATION_UNSAID || defaults->access != SQL_ACCESS_UNSAID ||
        defaults->isolation != SQL_ISOLATION_UNSAID)
        return no(walk, REASON_SETTING, NULL);
    return true;
}

/* A query, or what has one in it. */
static bool check_query(struct walk *walk, const struct sql_statement *statement)
{
    if (!check_rows(walk, statement) || !check_settings(walk, statement))
        return false;
    for (uint32_t i = 0; i < statement->n_functions; i++)
        if (!check_function(walk, &statement->functions[i]))
            return false;
    if ((statement->traits & SQL_QUALIFIED_OPERATOR) != 0)
        return no(walk, REASON_OPERATOR, NULL);
    return check_relations(walk, statement, true);
}

static bool check_read(struct walk *walk, const struct sql_statement *statement)
{
    walk->reads = true;
    return check_query(walk, statement);
}

/* Nothing runs, but the relations are looked at. */
static bool check_explain(struct walk *walk, const struct sql_statement *statement)
{
    walk->reads = true;
    if ((statement->effects & SQL_EXECUTES) != 0)
        return no(walk, REASON_PREPARED, NULL);
    return check_relations(walk, statement, false);
}

static bool check_copy(struct walk *walk, const struct sql_statement *statement)
{
    if ((statement->traits & SQL_COPIES_IN) != 0)
        return no(walk, REASON_COPIES_IN, NULL);
    if ((statement->traits & SQL_COPIES_FILE) != 0)
        return no(walk, REASON_COPIES_FILE, NULL);
    return check_read(walk, statement);
}

/* ---- transactions ---- */

static void add_modes(struct sql_modes *modes, const struct sql_modes *said)
{
    if (said->access != SQL_ACCESS_UNSAID)
        modes->access = said->access;
    if (said->isolation != SQL_ISOLATION_UNSAID)
        modes->isolation = said->isolation;
}

/* A standby refuses what may be of the one kind or the other. */
static bool check_modes(struct walk *walk, const struct sql_modes *modes)
{
    if (modes->access == SQL_READ_WRITE || modes->access == SQL_ACCESS_UNKNOWN)
        return no(walk, REASON_READ_WRITE, NULL);
    if (modes->isolation == SQL_SERIALIZABLE || modes->isolation == SQL_ISOLATION_UNKNOWN)
        return no(walk, REASON_SERIALIZABLE, NULL);
    return true;
}

static bool check_begin(struct walk *walk, const struct sql_statement *statement)
{
    if (!walk->open)
        walk->modes = walk->defaults;
    walk->open = true;
    add_modes(&walk->modes, &statement->modes);
    return check_modes(walk, &walk->modes);
}

static bool check_transaction(struct walk *walk, const struct sql_statement *statement)
{
    switch (statement->transaction) {
    case SQL_BEGIN:
        return check_begin(walk, statement);
    case SQL_COMMIT:
    case SQL_ROLLBACK:
        walk->open = walk->open && (statement->traits & SQL_CHAINS) != 0;
        return true;
    case SQL_PREPARE_TRANSACTION:
    case SQL_COMMIT_PREPARED:
    case SQL_ROLLBACK_PREPARED:
        return no(walk, REASON_COMMAND, NULL);
    default:
        return true;
    }
}

/* ---- commands of the session ---- */

static bool check_set(struct walk *walk, const struct sql_statement *statement)
{
    add_modes(&walk->defaults, &statement->default_modes);
    add_modes(&walk->modes, &statement->modes);
    return check_modes(walk, &statement->modes);
}

static bool check_session(struct walk *walk, const struct sql_statement *statement)
{
    if ((statement->traits & SQL_SETS_HERE) != 0)
        return check_set(walk, statement);
    if ((statement->effects & SQL_HOLDS) != 0)
        return no(walk, REASON_HOLDS, NULL);
    if ((statement->traits & SQL_DECLARES) != 0)
        return check_query(walk, statement);
    if ((statement->effects & (SQL_PREPARES | SQL_EXECUTES)) != 0)
        return no(walk, REASON_PREPARED, NULL);
    if ((statement->effects & (SQL_DEALLOCATES | SQL_CLOSES)) != 0)
        return true;
    return no(walk, REASON_COMMAND, NULL);
}

static bool check_statement(struct walk *walk, const struct sql_statement *statement)
{
    if ((statement->traits & (SQL_EXPLAINS | SQL_ANALYZES)) == SQL_EXPLAINS)
        return check_explain(walk, statement);
    switch (statement->class) {
    case SQL_READ:
        return (statement->traits & (SQL_SHOWS | SQL_FETCHES)) != 0 || check_read(walk, statement);
    case SQL_WRITE:
        return check_rows(walk, statement);
    case SQL_DDL:
        return no(walk, REASON_DEFINES, NULL);
    case SQL_TRANSACTION:
        return check_transaction(walk, statement);
    case SQL_SESSION:
        return check_session(walk, statement);
    case SQL_COPY:
        return check_copy(walk, statement);
    case SQL_UTILITY:
        return (statement->traits & SQL_SETS_HERE) != 0 || no(walk, REASON_COMMAND, NULL);
    case SQL_UNKNOWN:
        break;
    }
    return no(walk, REASON_UNPARSED, NULL);
}

struct reads_answer reads_of(const struct sql_facts *facts, const char *text, size_t len,
                             const struct read_rules *rules, const struct catalog *catalog)
{
    struct walk walk = {.rules = rules, .catalog = catalog};
    for (uint32_t i = 0; i < facts->n_statements; i++)
        if (!check_statement(&walk, &facts->statements[i]))
            return walk.answer;
    if (!walk.reads && !walk.open)
        return (struct reads_answer){.reads = READS_ANYWHERE};
    if (read_rules_match(rules, text, len))
        return (struct reads_answer){.reads = READS_NO, .reason = REASON_WRITE_PATTERNS};
    if (walk.open)
        return (struct reads_answer){.reads = READS_BEGIN, .modes = walk.modes};
    return (struct reads_answer){.reads = READS_YES};
}

/* ---- for people ---- */

static const struct reason {
    const char *name, *text; /* %s: what it is about */
} reasons[REASONS] = {
    [REASON_READS] = {"reads", "reads"},
    [REASON_WRITES] = {"writes", "writes"},
    [REASON_LOCKS_ROWS] = {"locks_rows", "locks rows"},
    [REASON_DEFINES] = {"defines", "defines objects"},
    [REASON_COPIES_IN] = {"copies_in", "copies into a table"},
    [REASON_COPIES_FILE] = {"copies_file", "copies a file of the server"},
    [REASON_COMMAND] = {"command", "is a command for the primary"},
    [REASON_UNPARSED] = {"unparsed", "could not be parsed"},
    [REASON_PREPARED] = {"prepared", "prepares or executes by name"},
    [REASON_HOLDS] = {"cursor_with_hold", "opens a cursor WITH HOLD"},
    [REASON_SETTING] = {"setting", "sets or asks for a setting of the primary"},
    [REASON_READ_WRITE] = {"read_write", "begins a transaction that may write"},
    [REASON_SERIALIZABLE] = {"serializable", "begins a serializable transaction"},
    [REASON_FUNCTION_WRITES] = {"function_writes", "calls %s(), which writes"},
    [REASON_FUNCTION_SEQUENCE] = {"function_sequence", "calls %s(), which uses a sequence"},
    [REASON_FUNCTION_LOCKS] = {"function_locks", "calls %s(), an advisory lock"},
    [REASON_FUNCTION_KEEPS] = {"function_keeps", "calls %s(), which is about the session"},
    [REASON_FUNCTION_TRANSACTION] = {"function_transaction",
                                     "calls %s(), which is about transactions"},
    [REASON_FUNCTION_NODE] = {"function_node", "calls %s(), which is about the server"},
    [REASON_FUNCTION_RUNS] = {"function_runs", "calls %s(), which runs any text"},
    [REASON_FUNCTION_VOLATILE] = {"function_volatile", "calls %s(), which is volatile"},
    [REASON_FUNCTION_UNKNOWN] = {"function_unknown", "calls %s(), which is not known"},
    [REASON_OPERATOR] = {"operator", "names an operator with its schema"},
    [REASON_RELATION_TEMPORARY] = {"temporary", "reads temporary relation %s"},
    [REASON_RELATION_UNLOGGED] = {"unlogged", "reads %s, which is not logged"},
    [REASON_RELATION_SEQUENCE] = {"sequence", "reads sequence %s"},
    [REASON_RELATION_FOREIGN] = {"foreign", "reads foreign table %s"},
    [REASON_CATALOG] = {"catalog", "uses %s, and the catalog is not there yet"},
    [REASON_WRITE_FUNCTIONS] = {"write_functions", "calls %s(), which write_functions has"},
    [REASON_WRITE_PATTERNS] = {"write_patterns", "matches write_patterns"},
};

const char *reads_reason_name(enum reads_reason reason)
{
    return reasons[reason].name;
}

static void print_name(const struct sql_name *name, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s", name->schema != NULL ? name->schema : "",
             name->schema != NULL ? "." : "", name->name);
}

const char *reads_text(const struct reads_answer *answer, char text[REASON_TEXT])
{
    const char *format = reasons[answer->reason].text, *hole = strstr(format, "%s");
    char name[130], relation[130];
    if (hole == NULL || answer->name == NULL)
        return format;
    print_name(answer->name, name, sizeof name);
    int len = snprintf(text, REASON_TEXT, "%.*s%s%s", (int)(hole - format), format, name, hole + 2);
    if (answer->relation != NULL) {
        print_name(answer->relation, relation, sizeof relation);
        snprintf(text + len, REASON_TEXT - (size_t)len, ", in %s", relation);
    }
    return text;
}
