#include "sql/statement.h"

#include <postgres.h>
#include <nodes/parsenodes.h>

#include "sql/modes.h"
#include "sql/parser.h"
#include "sql/place.h"
#include "sql/tree.h"

static void learn(struct tree *tree, Node *node);

static void set_class(struct tree *tree, enum sql_class class)
{
    tree->draft->facts.class = class;
}

static void set_ident(struct tree *tree, const char *ident)
{
    tree->draft->facts.ident = ident;
}

/* Queries, and what holds one */

static void query(struct tree *tree, Node *node)
{
    const SelectStmt *select = (const SelectStmt *)node;
    tree_walk(tree, node);
    while (IsA(select, SelectStmt) &&
           select->larg != NULL) /* INTO stands in the first arm of a UNION */
        select = select->larg;
    if (IsA(select, SelectStmt) && select->intoClause != NULL)
        set_class(tree, SQL_DDL);
    else
        set_class(tree, tree->writes ? SQL_WRITE : SQL_READ);
}

/* ANALYZE false is not looked at. */
static bool is_analyze(const List *options)
{
    for (int i = 0; i < list_length(options); i++)
        if (strcmp(list_nth_node(DefElem, options, i)->defname, "analyze") == 0)
            return true;
    return false;
}

static void explain(struct tree *tree, Node *node)
{
    const ExplainStmt *stmt = (const ExplainStmt *)node;
    tree_trait(tree, SQL_EXPLAINS | (is_analyze(stmt->options) ? SQL_ANALYZES : 0));
    learn(tree, stmt->query);
}

static void create_table_as(struct tree *tree, Node *node)
{
    CreateTableAsStmt *stmt = (CreateTableAsStmt *)node;
    tree_created_relation(tree, stmt->into->rel);
    learn(tree, stmt->query);
    set_class(tree, SQL_DDL);
}

static void copy(struct tree *tree, Node *node)
{
    CopyStmt *stmt = (CopyStmt *)node;
    tree_trait(tree, (stmt->is_from ? SQL_COPIES_IN : 0) |
                         (stmt->filename != NULL || stmt->is_program ? SQL_COPIES_FILE : 0));
    tree_relation(tree, stmt->relation);
    tree_walk(tree, stmt->query);
    tree_walk(tree, stmt->whereClause);
}

static void declare(struct tree *tree, Node *node)
{
    DeclareCursorStmt *stmt = (DeclareCursorStmt *)node;
    set_ident(tree, stmt->portalname);
    tree_trait(tree, SQL_DECLARES);
    tree_effect(tree, (stmt->options & CURSOR_OPT_HOLD) != 0 ? SQL_HOLDS : 0);
    tree_walk(tree, stmt->query);
}

static void prepare(struct tree *tree, Node *node)
{
    PrepareStmt *stmt = (PrepareStmt *)node;
    set_ident(tree, stmt->name);
    tree_effect(tree, SQL_PREPARES);
    tree_walk(tree, stmt->query);
}

static void execute(struct tree *tree, Node *node)
{
    ExecuteStmt *stmt = (ExecuteStmt *)node;
    set_ident(tree, stmt->name);
    tree_effect(tree, SQL_EXECUTES);
    tree_walk_list(tree, stmt->params);
}

static void deallocate(struct tree *tree, Node *node)
{
    set_ident(tree, ((DeallocateStmt *)node)->name);
    tree_effect(tree, SQL_DEALLOCATES);
}

static void run_code(struct tree *tree, Node *node)
{
    tree_effect(tree, SQL_CALLS);
}

static void call_procedure(struct tree *tree, Node *node)
{
    tree_effect(tree, SQL_CALLS);
    tree_walk(tree, (Node *)((CallStmt *)node)->funccall);
}

/* Settings */

static const char *argument_text(const Node *arg)
{
    return arg != NULL && IsA(arg, A_Const) && !((const A_Const *)arg)->isnull &&
                   IsA(&((const A_Const *)arg)->val, String)
               ? ((const A_Const *)arg)->val.sval.sval
               : NULL;
}

static void set_characteristics(struct tree *tree, const VariableSetStmt *stmt)
{
    for (int i = 0; i < list_length(stmt->args); i++)
        tree_setting(tree, psprintf("default_%s", list_nth_node(DefElem, stmt->args, i)->defname),
                     false);
}

/* SET TRANSACTION lasts as long as that; SET TRANSACTION SNAPSHOT sets nothing. */
static void set_several(struct tree *tree, const VariableSetStmt *stmt)
{
    struct sql_statement *facts = &tree->draft->facts;
    bool session = strcmp(stmt->name, "SESSION CHARACTERISTICS") == 0;
    if (!session && strcmp(stmt->name, "TRANSACTION") != 0)
        return;
    tree_trait(tree, SQL_SETS_HERE);
    if (!session) {
        modes_of_options(&facts->modes, stmt->args);
    } else if (!stmt->is_local) {
        modes_of_options(&facts->default_modes, stmt->args);
        set_characteristics(tree, stmt);
    }
}

static void reset_all(struct tree *tree)
{
    tree_effect(tree, SQL_RESETS_ALL);
    tree->draft->facts.default_modes =
        (struct sql_modes){SQL_ACCESS_UNKNOWN, SQL_ISOLATION_UNKNOWN};
}

static void set_one(struct tree *tree, const VariableSetStmt *stmt)
{
    bool reset = stmt->kind == VAR_SET_DEFAULT || stmt->kind == VAR_RESET;
    tree_trait(tree, SQL_SETS_HERE);
    modes_of_setting(&tree->draft->facts, stmt->name,
                     stmt->kind == VAR_SET_VALUE ? linitial(stmt->args) : NULL);
    for (int i = 0; stmt->kind == VAR_SET_VALUE && i < list_length(stmt->args); i++)
        tree_path(tree, argument_text(list_nth(stmt->args, i)));
    if (stmt->is_local)
        tree->draft->facts.default_modes = (struct sql_modes){0, 0}; /* of no later transaction */
    else
        tree_setting(tree, stmt->name, reset);
}

static void set(struct tree *tree, Node *node)
{
    const VariableSetStmt *stmt = (const VariableSetStmt *)node;
    if (stmt->kind == VAR_SET_MULTI) {
        set_several(tree, stmt);
    } else if (stmt->kind == VAR_RESET_ALL) {
        tree_trait(tree, SQL_SETS_HERE);
        reset_all(tree);
    } else {
        set_one(tree, stmt);
    }
}

static void set_constraints(struct tree *tree, Node *node)
{
    tree_trait(tree, SQL_SETS_HERE);
}

static void show(struct tree *tree, Node *node)
{
    tree_trait(tree, SQL_SHOWS);
}

static void discard(struct tree *tree, Node *node)
{
    tree_trait(tree, SQL_SETS_HERE);
    switch (((DiscardStmt *)node)->target) {
    case DISCARD_ALL:
        reset_all(tree);
        tree_effect(tree, SQL_DISCARDS_ALL | SQL_DROPS | SQL_UNLOCKS | SQL_CLOSES | SQL_UNLISTENS |
                              SQL_DEALLOCATES);
        break;
    case DISCARD_TEMP:
        tree_effect(tree, SQL_DROPS);
        break;
    case DISCARD_PLANS:
    case DISCARD_SEQUENCES:
        break;
    }
}

/* Cursors, channels, libraries */

static void close_cursor(struct tree *tree, Node *node)
{
    set_ident(tree, ((ClosePortalStmt *)node)->portalname);
    tree_effect(tree, SQL_CLOSES);
}

static void fetch(struct tree *tree, Node *node)
{
    tree_trait(tree, SQL_FETCHES);
    set_ident(tree, ((FetchStmt *)node)->portalname);
}

static void listen_to(struct tree *tree, Node *node)
{
    set_ident(tree, ((ListenStmt *)node)->conditionname);
    tree_effect(tree, SQL_LISTENS);
}

static void unlisten(struct tree *tree, Node *node)
{
    set_ident(tree, ((UnlistenStmt *)node)->conditionname);
    tree_effect(tree, SQL_UNLISTENS);
}

static void notify(struct tree *tree, Node *node)
{
    set_ident(tree, ((NotifyStmt *)node)->conditionname);
}

static void load(struct tree *tree, Node *node)
{
    tree_effect(tree, SQL_LOADS);
}

static void transaction(struct tree *tree, Node *node)
{
    static const enum sql_transaction kinds[] = {
        [TRANS_STMT_BEGIN] = SQL_BEGIN,
        [TRANS_STMT_START] = SQL_BEGIN,
        [TRANS_STMT_COMMIT] = SQL_COMMIT,
        [TRANS_STMT_ROLLBACK] = SQL_ROLLBACK,
        [TRANS_STMT_SAVEPOINT] = SQL_SAVEPOINT,
        [TRANS_STMT_RELEASE] = SQL_RELEASE,
        [TRANS_STMT_ROLLBACK_TO] = SQL_ROLLBACK_TO,
        [TRANS_STMT_PREPARE] = SQL_PREPARE_TRANSACTION,
        [TRANS_STMT_COMMIT_PREPARED] = SQL_COMMIT_PREPARED,
        [TRANS_STMT_ROLLBACK_PREPARED] = SQL_ROLLBACK_PREPARED,
    };
    const TransactionStmt *stmt = (const TransactionStmt *)node;
    tree->draft->facts.transaction = kinds[stmt->kind];
    tree_trait(tree, stmt->chain ? SQL_CHAINS : 0);
    modes_of_options(&tree->draft->facts.modes, stmt->options);
    set_ident(tree, stmt->savepoint_name);
}

/* Definitions */

static void create_table(struct tree *tree, Node *node)
{
    CreateStmt *stmt = (CreateStmt *)node; /* a CreateForeignTableStmt begins with one */
    tree_created_relation(tree, stmt->relation);
    tree_walk_list(tree, stmt->inhRelations);
    tree_walk_list(tree, stmt->tableElts);
    tree_walk(tree, (Node *)stmt->partbound);
}

static void create_view(struct tree *tree, Node *node)
{
    tree_created_relation(tree, ((ViewStmt *)node)->view);
}

static void create_sequence(struct tree *tree, Node *node)
{
    tree_created_relation(tree, ((CreateSeqStmt *)node)->sequence);
}

static void create_row_type(struct tree *tree, Node *node)
{
    tree_created_relation(tree, ((CompositeTypeStmt *)node)->typevar);
}

static void create_enum(struct tree *tree, Node *node)
{
    tree_created(tree, ((CreateEnumStmt *)node)->typeName);
}

static void create_range(struct tree *tree, Node *node)
{
    tree_created(tree, ((CreateRangeStmt *)node)->typeName);
}

static void create_domain(struct tree *tree, Node *node)
{
    tree_created(tree, ((CreateDomainStmt *)node)->domainname);
}

static void create_function(struct tree *tree, Node *node)
{
    tree_created(tree, ((CreateFunctionStmt *)node)->funcname);
}

static void create_conversion(struct tree *tree, Node *node)
{
    tree_created(tree, ((CreateConversionStmt *)node)->conversion_name);
}

static void create_operator_class(struct tree *tree, Node *node)
{
    tree_created(tree, ((CreateOpClassStmt *)node)->opclassname);
}

static void create_operator_family(struct tree *tree, Node *node)
{
    tree_created(tree, ((CreateOpFamilyStmt *)node)->opfamilyname);
}

static void create_statistics(struct tree *tree, Node *node)
{
    tree_created(tree, ((CreateStatsStmt *)node)->defnames);
}

/* Aggregates, operators, base types, collations, text search */
static void define(struct tree *tree, Node *node)
{
    tree_created(tree, ((DefineStmt *)node)->defnames);
}

static void create_schema(struct tree *tree, Node *node)
{
    const CreateSchemaStmt *stmt = (const CreateSchemaStmt *)node;
    for (int i = 0; i < list_length(stmt->schemaElts); i++)
        learn(tree, list_nth(stmt->schemaElts, i));
    set_class(tree, SQL_DDL);
}

/* Its expressions run on the rows that are there. */
static void create_index(struct tree *tree, Node *node)
{
    IndexStmt *stmt = (IndexStmt *)node;
    tree_relation(tree, stmt->relation);
    tree_walk_list(tree, stmt->indexParams);
    tree_walk(tree, stmt->whereClause);
}

static void create_trigger(struct tree *tree, Node *node)
{
    tree_relation(tree, ((CreateTrigStmt *)node)->relation);
}

static void create_rule(struct tree *tree, Node *node)
{
    tree_relation(tree, ((RuleStmt *)node)->relation);
}

/* The new default, a check or the USING of a new type runs on the rows that are there. */
static void alter_command(struct tree *tree, const AlterTableCmd *command)
{
    Node *definition = command->def;
    if (definition == NULL)
        return;
    if (IsA(definition, ColumnDef) || IsA(definition, Constraint))
        tree_walk(tree, definition);
    else if (IsA(definition, PartitionCmd))
        tree_walk(tree, (Node *)((PartitionCmd *)definition)->bound);
}

static void alter_table(struct tree *tree, Node *node)
{
    const AlterTableStmt *stmt = (const AlterTableStmt *)node;
    tree_relation(tree, stmt->relation);
    for (int i = 0; i < list_length(stmt->cmds); i++)
        alter_command(tree, list_nth(stmt->cmds, i));
}

static void alter_domain(struct tree *tree, Node *node)
{
    Node *definition = ((AlterDomainStmt *)node)->def;
    if (definition != NULL && IsA(definition, Constraint))
        tree_walk(tree, definition);
}

static void rename_object(struct tree *tree, Node *node)
{
    tree_relation(tree, ((RenameStmt *)node)->relation);
}

/* Into another schema, and perhaps out of sight. */
static void move(struct tree *tree, Node *node)
{
    tree_relation(tree, ((AlterObjectSchemaStmt *)node)->relation);
    tree_effect(tree, SQL_DROPS);
}

static bool is_relation(ObjectType type)
{
    return type == OBJECT_TABLE || type == OBJECT_VIEW || type == OBJECT_MATVIEW ||
           type == OBJECT_FOREIGN_TABLE || type == OBJECT_SEQUENCE;
}

static void drop(struct tree *tree, Node *node)
{
    const DropStmt *stmt = (const DropStmt *)node;
    tree_effect(tree, SQL_DROPS);
    for (int i = 0; is_relation(stmt->removeType) && i < list_length(stmt->objects); i++) {
        const List *name = list_nth(stmt->objects, i);
        int n = list_length(name);
        draft_name(&tree->draft->tables, n > 1 ? strVal(list_nth(name, n - 2)) : NULL,
                   strVal(llast(name)));
    }
}

static void drop_owned(struct tree *tree, Node *node)
{
    tree_effect(tree, SQL_DROPS);
}

static void truncate_tables(struct tree *tree, Node *node)
{
    tree_walk_list(tree, ((TruncateStmt *)node)->relations);
}

static void lock_tables(struct tree *tree, Node *node)
{
    tree_walk_list(tree, ((LockStmt *)node)->relations);
}

static void vacuum(struct tree *tree, Node *node)
{
    const VacuumStmt *stmt = (const VacuumStmt *)node;
    for (int i = 0; i < list_length(stmt->rels); i++)
        tree_relation(tree, list_nth_node(VacuumRelation, stmt->rels, i)->relation);
}

static void cluster(struct tree *tree, Node *node)
{
    tree_relation(tree, ((ClusterStmt *)node)->relation);
}

static void reindex(struct tree *tree, Node *node)
{
    tree_relation(tree, ((ReindexStmt *)node)->relation);
}

static void refresh(struct tree *tree, Node *node)
{
    tree_relation(tree, ((RefreshMatViewStmt *)node)->relation);
}

/* clang-format off */
static const struct command {
    enum sql_class class;
    void (*learn)(struct tree *tree, Node *node); /* NULL: there is nothing more to know */
} commands[] = {
#define COMMAND(tag) [tag - T_RawStmt]
    COMMAND(T_SelectStmt)                 = {SQL_READ, query},
    COMMAND(T_InsertStmt)                 = {SQL_WRITE, query},
    COMMAND(T_UpdateStmt)                 = {SQL_WRITE, query},
    COMMAND(T_DeleteStmt)                 = {SQL_WRITE, query},
    COMMAND(T_MergeStmt)                  = {SQL_WRITE, query},
    COMMAND(T_ExplainStmt)                = {SQL_READ, explain},
    COMMAND(T_VariableShowStmt)           = {SQL_READ, show},
    COMMAND(T_FetchStmt)                  = {SQL_READ, fetch},
    COMMAND(T_TransactionStmt)            = {SQL_TRANSACTION, transaction},
    COMMAND(T_CopyStmt)                   = {SQL_COPY, copy},

    COMMAND(T_VariableSetStmt)            = {SQL_SESSION, set},
    COMMAND(T_DiscardStmt)                = {SQL_SESSION, discard},
    COMMAND(T_ListenStmt)                 = {SQL_SESSION, listen_to},
    COMMAND(T_UnlistenStmt)               = {SQL_SESSION, unlisten},
    COMMAND(T_PrepareStmt)                = {SQL_SESSION, prepare},
    COMMAND(T_ExecuteStmt)                = {SQL_SESSION, execute},
    COMMAND(T_DeallocateStmt)             = {SQL_SESSION, deallocate},
    COMMAND(T_DeclareCursorStmt)          = {SQL_SESSION, declare},
    COMMAND(T_ClosePortalStmt)            = {SQL_SESSION, close_cursor},
    COMMAND(T_LoadStmt)                   = {SQL_SESSION, load},

    COMMAND(T_CreateStmt)                 = {SQL_DDL, create_table},
    COMMAND(T_CreateForeignTableStmt)     = {SQL_DDL, create_table},
    COMMAND(T_CreateTableAsStmt)          = {SQL_DDL, create_table_as},
    COMMAND(T_ViewStmt)                   = {SQL_DDL, create_view},
    COMMAND(T_CreateSeqStmt)              = {SQL_DDL, create_sequence},
    COMMAND(T_CompositeTypeStmt)          = {SQL_DDL, create_row_type},
    COMMAND(T_CreateEnumStmt)             = {SQL_DDL, create_enum},
    COMMAND(T_CreateRangeStmt)            = {SQL_DDL, create_range},
    COMMAND(T_CreateDomainStmt)           = {SQL_DDL, create_domain},
    COMMAND(T_CreateFunctionStmt)         = {SQL_DDL, create_function},
    COMMAND(T_CreateConversionStmt)       = {SQL_DDL, create_conversion},
    COMMAND(T_CreateOpClassStmt)          = {SQL_DDL, create_operator_class},
    COMMAND(T_CreateOpFamilyStmt)         = {SQL_DDL, create_operator_family},
    COMMAND(T_CreateStatsStmt)            = {SQL_DDL, create_statistics},
    COMMAND(T_DefineStmt)                 = {SQL_DDL, define},
    COMMAND(T_CreateSchemaStmt)           = {SQL_DDL, create_schema},
    COMMAND(T_IndexStmt)                  = {SQL_DDL, create_index},
    COMMAND(T_CreateTrigStmt)             = {SQL_DDL, create_trigger},
    COMMAND(T_RuleStmt)                   = {SQL_DDL, create_rule},
    COMMAND(T_CreateExtensionStmt)        = {SQL_DDL, run_code}, /* its script */
    COMMAND(T_AlterExtensionStmt)         = {SQL_DDL, run_code},
    COMMAND(T_AlterTableStmt)             = {SQL_DDL, alter_table},
    COMMAND(T_AlterDomainStmt)            = {SQL_DDL, alter_domain},
    COMMAND(T_AlterObjectSchemaStmt)      = {SQL_DDL, move},
    COMMAND(T_RenameStmt)                 = {SQL_DDL, rename_object},
    COMMAND(T_DropStmt)                   = {SQL_DDL, drop},
    COMMAND(T_DropOwnedStmt)              = {SQL_DDL, drop_owned},
    COMMAND(T_TruncateStmt)               = {SQL_DDL, truncate_tables},
    COMMAND(T_GrantStmt)                  = {SQL_DDL, NULL},
    COMMAND(T_GrantRoleStmt)              = {SQL_DDL, NULL},
    COMMAND(T_AlterDefaultPrivilegesStmt) = {SQL_DDL, NULL},
    COMMAND(T_CommentStmt)                = {SQL_DDL, NULL},
    COMMAND(T_SecLabelStmt)               = {SQL_DDL, NULL},
    COMMAND(T_AlterFunctionStmt)          = {SQL_DDL, NULL},
    COMMAND(T_AlterSeqStmt)               = {SQL_DDL, NULL},
    COMMAND(T_CreatedbStmt)               = {SQL_DDL, NULL},
    COMMAND(T_DropdbStmt)                 = {SQL_DDL, NULL},
    COMMAND(T_AlterDatabaseStmt)          = {SQL_DDL, NULL},
    COMMAND(T_AlterDatabaseRefreshCollStmt) = {SQL_DDL, NULL},
    COMMAND(T_AlterDatabaseSetStmt)       = {SQL_DDL, NULL},
    COMMAND(T_CreatePLangStmt)            = {SQL_DDL, NULL},
    COMMAND(T_CreateRoleStmt)             = {SQL_DDL, NULL},
    COMMAND(T_AlterRoleStmt)              = {SQL_DDL, NULL},
    COMMAND(T_AlterRoleSetStmt)           = {SQL_DDL, NULL},
    COMMAND(T_DropRoleStmt)               = {SQL_DDL, NULL},
    COMMAND(T_ReassignOwnedStmt)          = {SQL_DDL, NULL},
    COMMAND(T_CreateCastStmt)             = {SQL_DDL, NULL},
    COMMAND(T_CreateTransformStmt)        = {SQL_DDL, NULL},
    COMMAND(T_AlterOpFamilyStmt)          = {SQL_DDL, NULL},
    COMMAND(T_AlterOperatorStmt)          = {SQL_DDL, NULL},
    COMMAND(T_AlterTypeStmt)              = {SQL_DDL, NULL},
    COMMAND(T_AlterEnumStmt)              = {SQL_DDL, NULL},
    COMMAND(T_AlterCollationStmt)         = {SQL_DDL, NULL},
    COMMAND(T_AlterStatsStmt)             = {SQL_DDL, NULL},
    COMMAND(T_AlterOwnerStmt)             = {SQL_DDL, NULL},
    COMMAND(T_AlterObjectDependsStmt)     = {SQL_DDL, NULL},
    COMMAND(T_AlterTSDictionaryStmt)      = {SQL_DDL, NULL},
    COMMAND(T_AlterTSConfigurationStmt)   = {SQL_DDL, NULL},
    COMMAND(T_CreateTableSpaceStmt)       = {SQL_DDL, NULL},
    COMMAND(T_DropTableSpaceStmt)         = {SQL_DDL, NULL},
    COMMAND(T_AlterTableSpaceOptionsStmt) = {SQL_DDL, NULL},
    COMMAND(T_AlterTableMoveAllStmt)      = {SQL_DDL, NULL},
    COMMAND(T_CreateFdwStmt)              = {SQL_DDL, NULL},
    COMMAND(T_AlterFdwStmt)               = {SQL_DDL, NULL},
    COMMAND(T_CreateForeignServerStmt)    = {SQL_DDL, NULL},
    COMMAND(T_AlterForeignServerStmt)     = {SQL_DDL, NULL},
    COMMAND(T_CreateUserMappingStmt)      = {SQL_DDL, NULL},
    COMMAND(T_AlterUserMappingStmt)       = {SQL_DDL, NULL},
    COMMAND(T_DropUserMappingStmt)        = {SQL_DDL, NULL},
    COMMAND(T_ImportForeignSchemaStmt)    = {SQL_DDL, NULL},
    COMMAND(T_AlterExtensionContentsStmt) = {SQL_DDL, NULL},
    COMMAND(T_CreateEventTrigStmt)        = {SQL_DDL, NULL},
    COMMAND(T_AlterEventTrigStmt)         = {SQL_DDL, NULL},
    COMMAND(T_CreatePolicyStmt)           = {SQL_DDL, NULL},
    COMMAND(T_AlterPolicyStmt)            = {SQL_DDL, NULL},
    COMMAND(T_CreateAmStmt)               = {SQL_DDL, NULL},
    COMMAND(T_CreatePublicationStmt)      = {SQL_DDL, NULL},
    COMMAND(T_AlterPublicationStmt)       = {SQL_DDL, NULL},
    COMMAND(T_CreateSubscriptionStmt)     = {SQL_DDL, NULL},
    COMMAND(T_AlterSubscriptionStmt)      = {SQL_DDL, NULL},
    COMMAND(T_DropSubscriptionStmt)       = {SQL_DDL, NULL},

    COMMAND(T_DoStmt)                     = {SQL_UTILITY, run_code},
    COMMAND(T_CallStmt)                   = {SQL_UTILITY, call_procedure},
    COMMAND(T_NotifyStmt)                 = {SQL_UTILITY, notify},
    COMMAND(T_LockStmt)                   = {SQL_UTILITY, lock_tables},
    COMMAND(T_VacuumStmt)                 = {SQL_UTILITY, vacuum},
    COMMAND(T_ClusterStmt)                = {SQL_UTILITY, cluster},
    COMMAND(T_ReindexStmt)                = {SQL_UTILITY, reindex},
    COMMAND(T_RefreshMatViewStmt)         = {SQL_UTILITY, refresh},
    COMMAND(T_CheckPointStmt)             = {SQL_UTILITY, NULL},
    COMMAND(T_ConstraintsSetStmt)         = {SQL_UTILITY, set_constraints},
    COMMAND(T_AlterSystemStmt)            = {SQL_UTILITY, NULL},
#undef COMMAND
};
/* clang-format on */

/* A command that is not in the table may do anything. */
static void learn(struct tree *tree, Node *node)
{
    int at = (int)nodeTag(node) - T_RawStmt;
    if (at <= 0 || at >= (int)lengthof(commands) ||
        (commands[at].learn == NULL && commands[at].class == SQL_READ))
        sql_parse_give_up();
    set_class(tree, commands[at].class);
    if (commands[at].learn != NULL)
        commands[at].learn(tree, node);
}

static void learn_statement(struct tree *tree, const RawStmt *raw,
                            const struct statement_text *text)
{
    struct draft_statement *draft = tree->draft;
    learn(tree, raw->stmt);
    draft->facts.text = place_of_statement(text, (size_t)raw->stmt_location, (size_t)raw->stmt_len);
    if ((draft->facts.effects & (SQL_PREPARES | SQL_EXECUTES | SQL_DEALLOCATES)) != 0 &&
        draft->facts.ident != NULL)
        draft->facts.name = place_of_name(text, draft->facts.text);
}

struct draft statements_of(List *tree, const struct statement_text *text)
{
    struct draft draft = {.n = (uint32_t)list_length(tree)};
    uint32_t comparisons = 0;
    draft.statements = palloc0(draft.n * sizeof *draft.statements + 1);
    for (uint32_t i = 0; i < draft.n; i++) {
        struct tree walk = {.draft = &draft.statements[i], .comparisons = comparisons};
        learn_statement(&walk, list_nth(tree, (int)i), text);
        comparisons = walk.comparisons;
    }
    return draft;
}
