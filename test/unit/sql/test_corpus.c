/*
 * Facts against the other form that the same library gives a tree, which is read by reflection here: by
 * another way through other structs the same must come out.  So the headers' structs are those of the
 * library, and the walk misses nothing.
 *
 * The corpus is test/unit/sql/corpus, and the directories in SQL_CORPUS, between colons: PostgreSQL's own
 * tests for one (test/regress/fetch).
 */
#include "sql/facts.h"
#include "sql/glance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "corpus.h"

enum { MAX_LEN = 1 << 20, MAX_NAMES = 4096 };

struct names {
    struct sql_name at[MAX_NAMES];
    size_t n;
};

/* What reflection finds in one statement. */
struct seen {
    struct names tables, functions, ctes;
    bool writes, locks;
    int max_param;
};

static void add_name(struct names *names, const char *schema, const char *name)
{
    assert_true(names->n < MAX_NAMES);
    names->at[names->n++] =
        (struct sql_name){schema == NULL || *schema == '\0' ? NULL : schema, name};
}

static bool has_name(const struct sql_name *names, size_t n, const char *schema, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        bool same = schema == NULL || names[i].schema == NULL
                        ? schema == names[i].schema
                        : strcmp(schema, names[i].schema) == 0;
        if (same && strcmp(name, names[i].name) == 0)
            return true;
    }
    return false;
}

static const char *part(PgQuery__Node **parts, size_t i)
{
    assert_int_equal(parts[i]->node_case, PG_QUERY__NODE__NODE_STRING);
    return parts[i]->string->sval;
}

static void see(const ProtobufCMessage *message, struct seen *seen)
{
    const char *name = strrchr(message->descriptor->name, '.') + 1;
    if (strcmp(name, "RangeVar") == 0) {
        const PgQuery__RangeVar *var = (const PgQuery__RangeVar *)message;
        add_name(&seen->tables, var->schemaname, var->relname);
    } else if (strcmp(name, "FuncCall") == 0) {
        const PgQuery__FuncCall *call = (const PgQuery__FuncCall *)message;
        size_t n = call->n_funcname;
        add_name(&seen->functions, n > 1 ? part(call->funcname, n - 2) : NULL,
                 part(call->funcname, n - 1));
    } else if (strcmp(name, "RangeTableSample") == 0) {
        const PgQuery__RangeTableSample *sample = (const PgQuery__RangeTableSample *)message;
        size_t n = sample->n_method;
        add_name(&seen->functions, n > 1 ? part(sample->method, n - 2) : NULL,
                 part(sample->method, n - 1));
    } else if (strcmp(name, "CommonTableExpr") == 0) {
        add_name(&seen->ctes, NULL, ((const PgQuery__CommonTableExpr *)message)->ctename);
    } else if (strcmp(name, "ParamRef") == 0) {
        int number = ((const PgQuery__ParamRef *)message)->number;
        seen->max_param = number > seen->max_param ? number : seen->max_param;
    } else if (strcmp(name, "InsertStmt") == 0 || strcmp(name, "UpdateStmt") == 0 ||
               strcmp(name, "DeleteStmt") == 0 || strcmp(name, "MergeStmt") == 0) {
        seen->writes = true;
    } else if (strcmp(name, "LockingClause") == 0) {
        seen->locks = true;
    }
}

static void reflect(const ProtobufCMessage *message, struct seen *seen);

static void reflect_field(const char *base, const ProtobufCFieldDescriptor *field,
                          struct seen *seen)
{
    const void *at = base + field->offset;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(const size_t *)(base + field->quantifier_offset);
        for (size_t i = 0; i < n; i++)
            reflect((*(ProtobufCMessage *const *const *)at)[i], seen);
        return;
    }
    bool chosen = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
                  *(const uint32_t *)(base + field->quantifier_offset) == field->id;
    if (chosen && *(ProtobufCMessage *const *)at != NULL)
        reflect(*(ProtobufCMessage *const *)at, seen);
}

static void reflect(const ProtobufCMessage *message, struct seen *seen)
{
    see(message, seen);
    /* What FOR UPDATE names are aliases. */
    if (strcmp(message->descriptor->name, "pg_query.LockingClause") == 0)
        return;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        reflect_field((const char *)message, &message->descriptor->fields[i], seen);
}

/* Commands all of whose expressions run. */
static bool is_query(const PgQuery__Node *node)
{
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
    case PG_QUERY__NODE__NODE_MERGE_STMT:
        return true;
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        return is_query(node->explain_stmt->query);
    case PG_QUERY__NODE__NODE_PREPARE_STMT:
        return is_query(node->prepare_stmt->query);
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT:
        return is_query(node->declare_cursor_stmt->query);
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
        return is_query(node->create_table_as_stmt->query);
    case PG_QUERY__NODE__NODE_COPY_STMT:
    case PG_QUERY__NODE__NODE_EXECUTE_STMT:
        return true;
    default:
        return false;
    }
}

static bool is_into(const PgQuery__SelectStmt *select)
{
    while (select->larg != NULL)
        select = select->larg;
    return select->into_clause != NULL;
}

static void check_class(const PgQuery__Node *node, const struct seen *seen, enum sql_class class)
{
    enum sql_class by_writes = seen->writes || seen->locks ? SQL_WRITE : SQL_READ;
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        assert_int_equal(class, is_into(node->select_stmt) ? SQL_DDL : by_writes);
        break;
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
    case PG_QUERY__NODE__NODE_MERGE_STMT:
        assert_int_equal(class, SQL_WRITE);
        break;
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        check_class(node->explain_stmt->query, seen, class);
        break;
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
        assert_int_equal(class, SQL_TRANSACTION);
        break;
    case PG_QUERY__NODE__NODE_COPY_STMT:
        assert_int_equal(class, SQL_COPY);
        break;
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
    case PG_QUERY__NODE__NODE_PREPARE_STMT:
    case PG_QUERY__NODE__NODE_EXECUTE_STMT:
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT:
        assert_int_equal(class, SQL_SESSION);
        break;
    default: { /* by the name of the command */
        const ProtobufCMessageDescriptor *descriptor = node->base.descriptor;
        const char *name =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)node->node_case)->name;
        if (strncmp(name, "create_", 7) == 0 || strncmp(name, "drop_", 5) == 0 ||
            (strncmp(name, "alter_", 6) == 0 && strcmp(name, "alter_system_stmt") != 0))
            assert_int_equal(class, SQL_DDL);
        assert_int_not_equal(class, SQL_UNKNOWN);
    }
    }
}

struct totals {
    size_t texts, unparsed, statements, plain;
    const char *text;
    size_t len;
};

static void agree(const struct totals *totals, bool does, const char *what)
{
    if (!does)
        fail_msg("%s:\n%.*s", what, (int)totals->len, totals->text);
}
#define AGREE(totals, condition) agree(totals, condition, #condition)

static void check_names(const struct totals *totals, const struct sql_statement *facts,
                        const struct seen *seen, bool query)
{
    for (uint32_t i = 0; i < facts->n_tables; i++) /* a DROP has no RangeVar */
        AGREE(totals, has_name(seen->tables.at, seen->tables.n, facts->tables[i].schema,
                               facts->tables[i].name) ||
                          (facts->effects & SQL_DROPS) != 0);
    for (uint32_t i = 0; i < facts->n_functions; i++)
        AGREE(totals, has_name(seen->functions.at, seen->functions.n, facts->functions[i].schema,
                               facts->functions[i].name));
    for (size_t i = 0; query && i < seen->functions.n; i++)
        AGREE(totals, has_name(facts->functions, facts->n_functions, seen->functions.at[i].schema,
                               seen->functions.at[i].name));
    for (size_t i = 0; query && i < seen->tables.n; i++) {
        const struct sql_name *table = &seen->tables.at[i];
        AGREE(totals, has_name(facts->tables, facts->n_tables, table->schema, table->name) ||
                          (table->schema == NULL &&
                           has_name(seen->ctes.at, seen->ctes.n, NULL, table->name)));
    }
}

static bool has_option(PgQuery__Node **options, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(options[i]->def_elem->defname, name) == 0)
            return true;
    return false;
}

/* Of the command that is explained, too. */
static uint32_t traits_of(const PgQuery__Node *node)
{
    const PgQuery__ExplainStmt *explain = node->explain_stmt;
    const PgQuery__CopyStmt *copy = node->copy_stmt;
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        return SQL_EXPLAINS | traits_of(explain->query) |
               (has_option(explain->options, explain->n_options, "analyze") ? SQL_ANALYZES : 0u);
    case PG_QUERY__NODE__NODE_COPY_STMT:
        return (copy->is_from ? SQL_COPIES_IN : 0u) |
               (*copy->filename != '\0' || copy->is_program ? SQL_COPIES_FILE : 0u);
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
        return node->transaction_stmt->chain ? SQL_CHAINS : 0;
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT:
        return SQL_SHOWS;
    case PG_QUERY__NODE__NODE_FETCH_STMT:
        return SQL_FETCHES;
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT:
        return SQL_DECLARES;
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
        return strcmp(node->variable_set_stmt->name, "TRANSACTION SNAPSHOT") == 0 ? 0
                                                                                  : SQL_SETS_HERE;
    case PG_QUERY__NODE__NODE_CONSTRAINTS_SET_STMT:
    case PG_QUERY__NODE__NODE_DISCARD_STMT:
        return SQL_SETS_HERE;
    default:
        return 0;
    }
}

static void check_modes(const struct totals *totals, const struct sql_modes *modes,
                        PgQuery__Node **options, size_t n)
{
    AGREE(totals,
          has_option(options, n, "transaction_read_only") == (modes->access != SQL_ACCESS_UNSAID));
    AGREE(totals, has_option(options, n, "transaction_isolation") ==
                      (modes->isolation != SQL_ISOLATION_UNSAID));
}

static void check_traits(const struct totals *totals, const struct sql_statement *facts,
                         const PgQuery__Node *node, const struct seen *seen, bool query)
{
    uint32_t by_command = SQL_EXPLAINS | SQL_ANALYZES | SQL_COPIES_IN | SQL_COPIES_FILE |
                          SQL_CHAINS | SQL_SHOWS | SQL_FETCHES | SQL_DECLARES | SQL_SETS_HERE;
    AGREE(totals, (facts->traits & by_command) == traits_of(node));
    AGREE(totals, !query || seen->writes == ((facts->traits & SQL_WRITES_ROWS) != 0));
    AGREE(totals, !query || seen->locks == ((facts->traits & SQL_LOCKS_ROWS) != 0));
    if (node->node_case == PG_QUERY__NODE__NODE_TRANSACTION_STMT)
        check_modes(totals, &facts->modes, node->transaction_stmt->options,
                    node->transaction_stmt->n_options);
    if (node->node_case == PG_QUERY__NODE__NODE_VARIABLE_SET_STMT &&
        strcmp(node->variable_set_stmt->name, "TRANSACTION") == 0)
        check_modes(totals, &facts->modes, node->variable_set_stmt->args,
                    node->variable_set_stmt->n_args);
}

static void check_statement(const struct totals *totals, const struct sql_statement *facts,
                            const PgQuery__RawStmt *raw)
{
    static struct seen seen;
    memset(&seen, 0, sizeof seen);
    reflect(&raw->stmt->base, &seen);
    bool query = is_query(raw->stmt);
    check_class(raw->stmt, &seen, facts->class);
    check_names(totals, facts, &seen, query);
    check_traits(totals, facts, raw->stmt, &seen, query);
    AGREE(totals, !query || facts->n_params == seen.max_param);
    size_t end = raw->stmt_len == 0 ? totals->len : (size_t)(raw->stmt_location + raw->stmt_len);
    AGREE(totals, facts->text.start >= (uint32_t)raw->stmt_location &&
                      facts->text.start + facts->text.len <= end);
}

/* The span of a statement is a text of that one statement, and the name in it can be replaced. */
static void check_spans(const struct totals *totals, const struct sql_statement *facts)
{
    static const char name[] = "\"another name\"";
    struct sql_facts *alone =
        sql_facts_of(totals->text + facts->text.start, facts->text.len, MAX_LEN, true);
    AGREE(totals, alone->n_statements == 1 && alone->effects == facts->effects);
    AGREE(totals,
          alone->statements[0].text.start == 0 && alone->statements[0].text.len == facts->text.len);
    sql_facts_free(alone);
    if (facts->name.len == 0)
        return;
    char *text = malloc(totals->len + sizeof name);
    size_t start = facts->name.start, end = start + facts->name.len;
    memcpy(text, totals->text, start);
    strcpy(text + start, name);
    memcpy(text + start + strlen(name), totals->text + end, totals->len - end);
    struct sql_facts *renamed =
        sql_facts_of(text, totals->len - facts->name.len + strlen(name), MAX_LEN, true);
    AGREE(totals,
          renamed->n_statements == 1 && strcmp(renamed->statements[0].ident, "another name") == 0);
    sql_facts_free(renamed);
    free(text);
}

static void check_plain(struct totals *totals, const struct sql_facts *facts)
{
    bool plain = sql_is_plain(totals->text, totals->len, false);
    bool quite_plain = sql_is_plain(totals->text, totals->len, true);
    uint32_t effects = facts->effects & ~(uint32_t)SQL_UNPARSED;
    totals->plain += plain;
    AGREE(totals, !plain || (facts->n_statements <= 1 &&
                             (effects &
                              ~(uint32_t)(SQL_CALLS | SQL_SEQUENCES | SQL_READS_SEQUENCES)) == 0));
    AGREE(totals, !quite_plain || (plain && effects == 0));
}

static void check_text(const char *text, size_t len, void *arg)
{
    struct totals *totals = arg;
    totals->text = text;
    totals->len = len;
    totals->texts++;
    struct sql_facts *facts = sql_facts_of(text, len, MAX_LEN, true);
    check_plain(totals, facts);
    char *terminated = strndup(text, len);
    PgQueryProtobufParseResult result = pg_query_parse_protobuf(terminated);
    AGREE(totals, (result.error == NULL) == ((facts->effects & SQL_UNPARSED) == 0));
    if (result.error == NULL) {
        PgQuery__ParseResult *tree = pg_query__parse_result__unpack(
            NULL, result.parse_tree.len, (const uint8_t *)result.parse_tree.data);
        AGREE(totals, tree != NULL && tree->n_stmts == facts->n_statements);
        for (size_t i = 0; i < tree->n_stmts; i++) {
            check_statement(totals, &facts->statements[i], tree->stmts[i]);
            check_spans(totals, &facts->statements[i]);
        }
        totals->statements += tree->n_stmts;
        pg_query__parse_result__free_unpacked(tree, NULL);
    } else {
        totals->unparsed++;
    }
    pg_query_free_protobuf_parse_result(result);
    free(terminated);
    sql_facts_free(facts);
}

static void report(const char *dir, const struct totals *totals)
{
    printf("# %s: %zu texts, %zu of them not parsed; %zu plain; %zu statements\n", dir,
           totals->texts, totals->unparsed, totals->plain, totals->statements);
}

static void two_ways_through_the_corpus_agree(void **state)
{
    struct totals totals = {0};
    corpus_each("test/unit/sql/corpus", check_text, &totals);
    report("the corpus", &totals);
    assert_true(totals.texts > 300);
    assert_true(totals.unparsed < 20);
}

static void two_ways_through_other_texts_agree(void **state)
{
    char *dirs = strdup(getenv("SQL_CORPUS") == NULL ? "" : getenv("SQL_CORPUS"));
    for (char *next = dirs, *dir; (dir = strsep(&next, ":")) != NULL && *dir != '\0';) {
        struct totals totals = {0};
        corpus_each(dir, check_text, &totals);
        report(dir, &totals);
        assert_true(totals.statements > 0);
    }
    free(dirs);
}

static int done(void **state)
{
    sql_thread_done();
    pg_query_exit();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ways_through_the_corpus_agree),
        cmocka_unit_test(two_ways_through_other_texts_agree),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, done);
}
