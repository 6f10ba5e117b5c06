#include "sql/modes.h"

#include <string.h>
#include <strings.h>

#include <postgres.h>
#include <nodes/parsenodes.h>

/* At least `least` characters of the word, as PostgreSQL reads a boolean. */
static bool is_prefix(const char *text, const char *word, size_t least)
{
    size_t len = strlen(text);
    return len >= least && len <= strlen(word) && strncasecmp(text, word, len) == 0;
}

static enum sql_access access_of_text(const char *text)
{
    if (is_prefix(text, "true", 1) || is_prefix(text, "yes", 1) || strcasecmp(text, "on") == 0 ||
        strcmp(text, "1") == 0)
        return SQL_READ_ONLY;
    if (is_prefix(text, "false", 1) || is_prefix(text, "no", 1) || is_prefix(text, "off", 2) ||
        strcmp(text, "0") == 0)
        return SQL_READ_WRITE;
    return SQL_ACCESS_UNKNOWN;
}

static enum sql_access access_of(const Node *value)
{
    const A_Const *constant = (const A_Const *)value;
    if (constant == NULL || !IsA(constant, A_Const) || constant->isnull)
        return SQL_ACCESS_UNKNOWN;
    if (IsA(&constant->val, String))
        return access_of_text(constant->val.sval.sval);
    if (IsA(&constant->val, Integer))
        return constant->val.ival.ival != 0 ? SQL_READ_ONLY : SQL_READ_WRITE;
    return SQL_ACCESS_UNKNOWN;
}

static enum sql_isolation isolation_of(const Node *value)
{
    static const char *const others[] = {"repeatable read", "read committed", "read uncommitted"};
    const A_Const *constant = (const A_Const *)value;
    if (constant == NULL || !IsA(constant, A_Const) || constant->isnull ||
        !IsA(&constant->val, String))
        return SQL_ISOLATION_UNKNOWN;
    if (strcasecmp(constant->val.sval.sval, "serializable") == 0)
        return SQL_SERIALIZABLE;
    for (size_t i = 0; i < lengthof(others); i++)
        if (strcasecmp(constant->val.sval.sval, others[i]) == 0)
            return SQL_NOT_SERIALIZABLE;
    return SQL_ISOLATION_UNKNOWN;
}

static void set_mode(struct sql_modes *modes, const char *name, const Node *value)
{
    if (strcasecmp(name, "transaction_read_only") == 0)
        modes->access = (uint8_t)access_of(value);
    else if (strcasecmp(name, "transaction_isolation") == 0)
        modes->isolation = (uint8_t)isolation_of(value);
}

void modes_of_options(struct sql_modes *modes, const List *options)
{
    for (int i = 0; i < list_length(options); i++) {
        const DefElem *option = list_nth_node(DefElem, options, i);
        set_mode(modes, option->defname, option->arg);
    }
}

void modes_of_setting(struct sql_statement *statement, const char *name, const Node *value)
{
    static const char prefix[] = "default_";
    if (strncasecmp(name, prefix, strlen(prefix)) == 0)
        set_mode(&statement->default_modes, name + strlen(prefix), value);
    else
        set_mode(&statement->modes, name, value);
}
