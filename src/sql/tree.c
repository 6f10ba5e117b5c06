#include "sql/tree.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include <postgres.h>
#include <catalog/pg_class.h>
#include <nodes/nodeFuncs.h>
#include <nodes/parsenodes.h>

#include "sql/builtin.h"
#include "sql/modes.h"
#include "sql/parser.h"

enum {
    MAX_DEPTH = 2000,          /* nodes above a node; a chain of operators is that deep too */
    MAX_COMPARISONS = 1 << 22, /* of names with those of WITH, or it takes too long */
};

/* The names of one WITH as far as they are seen. */
struct tree_scope {
    const struct tree_scope *outer;
    const List *ctes;
    int n_seen;
};

static bool visit(Node *node, void *arg);

static void compared(struct tree *tree)
{
    if (++tree->comparisons > MAX_COMPARISONS)
        sql_parse_give_up();
}

static bool is_cte(struct tree *tree, const char *name)
{
    for (const struct tree_scope *scope = tree->scope; scope != NULL; scope = scope->outer) {
        for (int i = 0; i < scope->n_seen; i++) {
            compared(tree);
            if (strcmp(list_nth_node(CommonTableExpr, scope->ctes, i)->ctename, name) == 0)
                return true;
        }
    }
    return false;
}

void tree_effect(struct tree *tree, uint32_t effects)
{
    tree->draft->facts.effects |= effects;
}

void tree_trait(struct tree *tree, uint16_t traits)
{
    tree->draft->facts.traits |= traits;
}

void tree_relation(struct tree *tree, const RangeVar *relation)
{
    if (relation != NULL)
        draft_name(&tree->draft->tables, relation->schemaname, relation->relname);
}

/* A table that is read. */
static void read_from(struct tree *tree, const RangeVar *relation)
{
    if (relation->schemaname != NULL || !is_cte(tree, relation->relname))
        tree_relation(tree, relation);
}

/* A table that is written.  Whoever updates this view of PostgreSQL's calls set_config(). */
static void write_to(struct tree *tree, const RangeVar *relation)
{
    tree->writes = true;
    tree_trait(tree, SQL_WRITES_ROWS);
    tree_relation(tree, relation);
    if (strcmp(relation->relname, "pg_settings") == 0)
        tree_effect(tree, SQL_SETS | SQL_SETS_UNKNOWN | SQL_SETS_ROLE);
}

static bool is_temporary_schema(const char *schema)
{
    static const char temporary[] = "pg_temp";
    return schema != NULL && strncmp(schema, temporary, strlen(temporary)) == 0;
}

void tree_created_relation(struct tree *tree, const RangeVar *relation)
{
    tree_relation(tree, relation);
    if (relation->relpersistence == RELPERSISTENCE_TEMP ||
        is_temporary_schema(relation->schemaname))
        tree_effect(tree, SQL_TEMP);
}

void tree_created(struct tree *tree, const List *name)
{
    int n = list_length(name);
    if (n > 1 && is_temporary_schema(strVal(list_nth(name, n - 2))))
        tree_effect(tree, SQL_TEMP);
}

/* Settings */

void tree_path(struct tree *tree, const char *value)
{
    if (value != NULL && strstr(value, "pg_temp") != NULL)
        tree_effect(tree, SQL_TEMP);
}

/* These belong to the transaction, however they are set. */
static bool is_of_transaction(const char *name)
{
    return strcasecmp(name, "transaction_isolation") == 0 ||
           strcasecmp(name, "transaction_read_only") == 0 ||
           strcasecmp(name, "transaction_deferrable") == 0;
}

static bool is_role(const char *name)
{
    return strcasecmp(name, "role") == 0 || strcasecmp(name, "session_authorization") == 0;
}

/* Names that settings had once, and that are still understood. */
static const char *current_name(const char *name)
{
    if (strcasecmp(name, "sort_mem") == 0)
        return "work_mem";
    if (strcasecmp(name, "vacuum_mem") == 0)
        return "maintenance_work_mem";
    return name;
}

void tree_setting(struct tree *tree, const char *name, bool reset)
{
    if (is_of_transaction(name))
        return;
    if (strcasecmp(name, "seed") == 0) {
        tree_effect(tree, SQL_SEEDS);
        return;
    }
    tree_effect(tree, SQL_SETS | (is_role(name) ? SQL_SETS_ROLE : 0));
    draft_setting(&tree->draft->settings, current_name(name), 0, reset);
}

/* Functions */

static const Node *without_cast(const Node *node)
{
    while (node != NULL && IsA(node, TypeCast))
        node = ((const TypeCast *)node)->arg;
    return node;
}

/* The text of a constant, cast or not; else NULL. */
static const char *constant_text(const Node *node)
{
    const A_Const *constant = (const A_Const *)without_cast(node);
    return constant != NULL && IsA(constant, A_Const) && !constant->isnull &&
                   IsA(&constant->val, String)
               ? constant->val.sval.sval
               : NULL;
}

static bool is_null(const Node *node)
{
    const A_Const *constant = (const A_Const *)without_cast(node);
    return constant != NULL && IsA(constant, A_Const) && constant->isnull;
}

/* Surely true, as PostgreSQL reads a boolean. */
static bool is_true(const Node *node)
{
    static const char *const words[] = {"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"};
    const A_Const *constant = (const A_Const *)without_cast(node);
    const char *text = constant_text(node);
    if (constant != NULL && IsA(constant, A_Const) && !constant->isnull &&
        IsA(&constant->val, Boolean))
        return constant->val.boolval.boolval;
    for (size_t i = 0; text != NULL && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static void set_unknown(struct tree *tree)
{
    tree_effect(tree, SQL_SETS | SQL_SETS_UNKNOWN | SQL_SETS_ROLE);
}

/* set_config(name, value, is_local) */
static void set_config(struct tree *tree, const FuncCall *call)
{
    if (list_length(call->args) != 3 || call->func_variadic ||
        IsA(llast(call->args), NamedArgExpr)) {
        set_unknown(tree);
        return;
    }
    const Node *name = without_cast(linitial(call->args)), *value = lsecond(call->args);
    const char *text = constant_text(name);
    tree_path(tree, constant_text(value));
    if (text != NULL)
        modes_of_setting(&tree->draft->facts, text, NULL);
    if (is_true(lthird(call->args)))
        return;
    if (text != NULL) {
        tree_setting(tree, text, is_null(value));
    } else if (name != NULL && IsA(name, ParamRef) && ((const ParamRef *)name)->number > 0 &&
               ((const ParamRef *)name)->number <= UINT16_MAX) {
        tree_effect(tree, SQL_SETS);
        draft_setting(&tree->draft->settings, NULL, (uint16_t)((const ParamRef *)name)->number,
                      false);
    } else {
        set_unknown(tree);
    }
}

static bool is_own_schema(const char *schema)
{
    return schema == NULL || strcmp(schema, "pg_catalog") == 0;
}

/* Notes a function by its name, a list of one to three parts; true if it is PostgreSQL's own. */
static bool call_by_name(struct tree *tree, const List *parts)
{
    int n = list_length(parts);
    const char *name = strVal(llast(parts)),
               *schema = n > 1 ? strVal(list_nth(parts, n - 2)) : NULL;
    struct builtin builtin = builtin_of(schema, name);
    bool own = builtin.volatility != BUILTIN_NONE;
    draft_name(&tree->draft->functions, schema, name);
    tree_effect(tree, own ? builtin.effects : SQL_CALLS);
    return own;
}

/* current_setting(name [, missing_ok]) */
static void current_setting(struct tree *tree, const FuncCall *call)
{
    const char *name = list_length(call->args) > 0 ? constant_text(linitial(call->args)) : NULL;
    if (name == NULL || strcasecmp(name, "transaction_read_only") == 0 ||
        strcasecmp(name, "in_hot_standby") == 0)
        tree_trait(tree, SQL_ASKS_ROLE);
}

static void call(struct tree *tree, const FuncCall *function)
{
    const char *name = strVal(llast(function->funcname));
    if (!call_by_name(tree, function->funcname))
        return;
    if (strcmp(name, "set_config") == 0)
        set_config(tree, function);
    else if (strcmp(name, "current_setting") == 0)
        current_setting(tree, function);
}

/* An operator with a schema: its function may be anybody's. */
static void operate(struct tree *tree, const List *parts)
{
    int n = list_length(parts);
    if (n < 2 || is_own_schema(strVal(list_nth(parts, n - 2))))
        return;
    tree_effect(tree, SQL_CALLS);
    tree_trait(tree, SQL_QUALIFIED_OPERATOR);
}

static void parameter(struct tree *tree, const ParamRef *param)
{
    int number = param->number > UINT16_MAX ? UINT16_MAX : param->number;
    if (number > tree->draft->facts.n_params)
        tree->draft->facts.n_params = (uint16_t)number;
}

/* Queries */

/* Names of WITH are seen by the query that has it, and by the parts of WITH that come later; if it is
 * recursive, by all of its parts.  `rest` is the query without its WITH. */
static void with(struct tree *tree, WithClause *clause, Node *rest)
{
    struct tree_scope scope = {.outer = tree->scope};
    if (clause != NULL) {
        scope.ctes = clause->ctes;
        scope.n_seen = clause->recursive ? list_length(clause->ctes) : 0;
        tree->scope = &scope;
        for (int i = 0; i < list_length(clause->ctes); i++) {
            visit(list_nth(clause->ctes, i), tree);
            scope.n_seen = clause->recursive ? scope.n_seen : i + 1;
        }
    }
    raw_expression_tree_walker(rest, visit, tree);
    tree->scope = scope.outer;
}

static bool select_query(struct tree *tree, SelectStmt *query)
{
    WithClause *clause = query->withClause;
    query->withClause = NULL;
    with(tree, clause, (Node *)query);
    return false;
}

/* The target is no table of the FROM list: no WITH hides it.  Both are taken out of the query. */
static bool write_query(struct tree *tree, Node *query, RangeVar **target, WithClause **with_clause)
{
    WithClause *clause = *with_clause;
    write_to(tree, *target);
    *with_clause = NULL;
    *target = NULL;
    with(tree, clause, query);
    return false;
}

static bool into(struct tree *tree, const IntoClause *clause)
{
    tree_created_relation(tree, clause->rel);
    return false;
}

/* Definitions */

static bool constraint(struct tree *tree, Constraint *definition)
{
    tree_walk(tree, definition->raw_expr);
    tree_walk(tree, definition->where_clause);
    tree_relation(tree, definition->pktable);
    for (int i = 0; i < list_length(definition->exclusions);
         i++) /* pairs of element and operator */
        tree_walk(tree, linitial(list_nth(definition->exclusions, i)));
    return false;
}

/* The library's walker takes the name of a compression method for a node. */
static bool column(struct tree *tree, ColumnDef *definition)
{
    tree_walk(tree, (Node *)definition->typeName);
    tree_walk(tree, definition->raw_default);
    tree_walk_list(tree, definition->constraints);
    return false;
}

static bool bound(struct tree *tree, PartitionBoundSpec *spec)
{
    tree_walk_list(tree, spec->listdatums);
    tree_walk_list(tree, spec->lowerdatums);
    tree_walk_list(tree, spec->upperdatums);
    return false;
}

static bool sample(struct tree *tree, RangeTableSample *node)
{
    call_by_name(tree, node->method);
    return raw_expression_tree_walker((Node *)node, visit, tree);
}

static bool lock(struct tree *tree)
{
    tree->writes = true; /* the tables that it names are those of the FROM list */
    tree_trait(tree, SQL_LOCKS_ROWS);
    return false;
}

static bool descend(struct tree *tree, Node *node)
{
    switch (nodeTag(node)) {
    case T_RangeVar:
        read_from(tree, (RangeVar *)node);
        return false;
    case T_ParamRef:
        parameter(tree, (ParamRef *)node);
        return false;
    case T_A_Const:
    case T_ColumnRef:
    case T_String:
        return false;
    case T_FuncCall:
        call(tree, (FuncCall *)node);
        break;
    case T_A_Expr:
        operate(tree, ((A_Expr *)node)->name);
        break;
    case T_SubLink:
        operate(tree, ((SubLink *)node)->operName);
        break;
    case T_SortBy:
        operate(tree, ((SortBy *)node)->useOp);
        break;
    case T_SelectStmt:
        return select_query(tree, (SelectStmt *)node);
    case T_InsertStmt:
        return write_query(tree, node, &((InsertStmt *)node)->relation,
                           &((InsertStmt *)node)->withClause);
    case T_UpdateStmt:
        return write_query(tree, node, &((UpdateStmt *)node)->relation,
                           &((UpdateStmt *)node)->withClause);
    case T_DeleteStmt:
        return write_query(tree, node, &((DeleteStmt *)node)->relation,
                           &((DeleteStmt *)node)->withClause);
    case T_MergeStmt:
        return write_query(tree, node, &((MergeStmt *)node)->relation,
                           &((MergeStmt *)node)->withClause);
    case T_LockingClause:
        return lock(tree);
    case T_IntoClause:
        return into(tree, (IntoClause *)node);
    case T_RangeTableSample:
        return sample(tree, (RangeTableSample *)node);
    case T_ColumnDef:
        return column(tree, (ColumnDef *)node);
    case T_Constraint:
        return constraint(tree, (Constraint *)node);
    case T_TableLikeClause:
        tree_relation(tree, ((TableLikeClause *)node)->relation);
        return false;
    case T_PartitionBoundSpec:
        return bound(tree, (PartitionBoundSpec *)node);
    default:
        break;
    }
    return raw_expression_tree_walker(node, visit, tree);
}

static bool visit(Node *node, void *arg)
{
    struct tree *tree = arg;
    if (node == NULL)
        return false;
    if (++tree->depth > MAX_DEPTH)
        sql_parse_give_up();
    descend(tree, node);
    tree->depth--;
    return false;
}

void tree_walk(struct tree *tree, Node *node)
{
    visit(node, tree);
}

void tree_walk_list(struct tree *tree, List *list)
{
    visit((Node *)list, tree);
}
