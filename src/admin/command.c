#include "admin/command.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "admin/handlers.h"
#include "admin/selection.h"
#include "admin/token.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

/* ---- variables ---- */

#define VARIABLE(name, shown, value)                                                               \
    {                                                                                              \
        name, value,                                                                               \
        {                                                                                          \
            shown, CELL_TEXT                                                                       \
        }                                                                                          \
    }

static const struct variable variables[] = {
    VARIABLE("client_encoding", "client_encoding", "UTF-8"),
    VARIABLE("datestyle", "datestyle", "ISO"),
    VARIABLE("default_transaction_isolation", "default_transaction_isolation", "read committed"),
    VARIABLE("integer_datetimes", "integer_datetimes", "on"),
    VARIABLE("server_encoding", "server_encoding", "UTF8"),
    VARIABLE("standard_conforming_strings", "standard_conforming_strings", "on"),
    VARIABLE("time zone", "timezone", "GMT"),
    VARIABLE("timezone", "timezone", "GMT"),
    VARIABLE("transaction isolation level", "transaction_isolation", "read committed"),
    VARIABLE("transaction_isolation", "transaction_isolation", "read committed"),
    VARIABLE("transaction_read_only", "transaction_read_only", "off"),
    VARIABLE("application_name", "", NULL),
    VARIABLE("bytea_output", "", NULL),
    VARIABLE("client_min_messages", "", NULL),
    VARIABLE("default_transaction_read_only", "", NULL),
    VARIABLE("extra_float_digits", "", NULL),
    VARIABLE("intervalstyle", "", NULL),
    VARIABLE("lock_timeout", "", NULL),
    VARIABLE("names", "", NULL),
    VARIABLE("search_path", "", NULL),
    VARIABLE("statement_timeout", "", NULL),
    VARIABLE("transaction", "", NULL),
    VARIABLE("session characteristics", "", NULL),
    {.name = NULL},
};

static const struct variable *find_variable(const char *name)
{
    for (const struct variable *variable = variables; variable->name != NULL; variable++) {
        if (strcmp(variable->name, name) == 0)
            return variable;
    }
    return NULL;
}

/* ---- commands ---- */

static const struct verb *find_verb(const char *name, const char *object)
{
    for (const struct verb *verb = command_verbs; verb->name != NULL; verb++) {
        bool same_object = object == NULL || verb->object == NULL
                               ? object == verb->object
                               : strcasecmp(verb->object, object) == 0;
        if (same_object && strcasecmp(verb->name, name) == 0)
            return verb;
    }
    return NULL;
}

/* The words up to what selects columns or rows, or the end; one blank between them. */
static bool read_phrase(const char **at, char phrase[COMMAND_NAME_MAX + 1])
{
    size_t len = 0;
    for (;;) {
        const char *behind = *at;
        struct token token = token_next(&behind);
        if (token.kind == TOKEN_END || token_is_char(&token, '(') || token_is_word(&token, "where"))
            break;
        size_t more = token_is_name(&token) ? strlen(token.text) : 0;
        if (more == 0 || len + 1 + more > COMMAND_NAME_MAX)
            return false;
        *at = behind;
        if (len > 0)
            phrase[len++] = ' ';
        memcpy(phrase + len, token.text, more);
        len += more;
    }
    phrase[len] = '\0';
    return len > 0;
}

static bool find_shown(struct command *command, const char *phrase)
{
    command->verb = find_verb("SHOW", phrase);
    if (command->verb != NULL)
        return true;
    command->verb = find_verb("SHOW", VERB_VARIABLE);
    command->variable = find_variable(phrase);
    return command->variable != NULL && command->variable->value != NULL;
}

static bool take_char(const char **at, char c)
{
    const char *behind = *at;
    struct token token = token_next(&behind);
    if (!token_is_char(&token, c))
        return false;
    *at = behind;
    return true;
}

static bool take_word(const char **at, const char *word)
{
    const char *behind = *at;
    struct token token = token_next(&behind);
    if (!token_is_word(&token, word))
        return false;
    *at = behind;
    return true;
}

/* Behind the parenthesis that opens the list. */
static bool parse_columns(const char **at, struct selection *selection, struct err *err)
{
    do {
        struct token name = token_next(at);
        if (!token_is_name(&name) || !selection_add(selection, name.text, err))
            return false;
    } while (take_char(at, ','));
    return take_char(at, ')');
}

/* A word, a name in quotes, or a string, which may be longer than a name. */
static bool read_operand(const char **at, struct buf *value)
{
    const char *begin = token_skip_blanks(*at);
    if (begin != NULL && *begin == '\'') {
        *at = token_read_quoted(begin, value);
        return *at != NULL;
    }
    struct token token = token_next(at);
    buf_append_str(value, token.text);
    return token_is_name(&token);
}

static bool parse_condition(const char **at, struct selection *selection, struct err *err)
{
    struct buf value = BUF_NONE;
    struct token name = token_next(at);
    bool good = token_is_name(&name) && take_char(at, '=') && read_operand(at, &value);
    buf_append_u8(&value, '\0');
    good = good && selection_require(selection, name.text, value.data, err);
    buf_done(&value);
    return good;
}

static bool parse_conditions(const char **at, struct selection *selection, struct err *err)
{
    do {
        if (!parse_condition(at, selection, err))
            return false;
    } while (take_word(at, "and"));
    return true;
}

/* Which columns and which rows; nothing is all of them. */
static bool parse_selection(const char **at, struct command *command, struct err *err)
{
    const char *behind = *at;
    size_t n;
    if (token_next(&behind).kind == TOKEN_END)
        return true;
    const struct table_column *all = command_columns(command, &n);
    if (all == NULL)
        return false;
    struct selection *selection = selection_new(all, n);
    command->selection = selection;
    if (!take_char(at, '('))
        selection_add_all(selection);
    else if (!parse_columns(at, selection, err))
        return false;
    if (take_word(at, "where") && !parse_conditions(at, selection, err))
        return false;
    return token_next(at).kind == TOKEN_END;
}

static bool parse_show(const char **at, struct command *command, struct err *err)
{
    char phrase[COMMAND_NAME_MAX + 1];
    return read_phrase(at, phrase) && find_shown(command, phrase) &&
           parse_selection(at, command, err);
}

/* Up to the end of the command; false: there is a quotation or comment without its end. */
static bool skip_rest(const char **at)
{
    struct token token;
    do
        token = token_next(at);
    while (token.kind != TOKEN_END && token.kind != TOKEN_BROKEN);
    return token.kind == TOKEN_END;
}

/* One string alone is taken without its quotes, anything else as it stands. */
static bool read_value(const char **at, char **value)
{
    struct buf text = BUF_NONE;
    const char *begin = token_skip_blanks(*at);
    if (begin == NULL || *begin == '\0' || *begin == ';')
        return false;
    const char *end = *begin == '\'' ? token_read_quoted(begin, &text) : NULL;
    const char *behind = end;
    bool alone = end != NULL && token_next(&behind).kind == TOKEN_END;
    if (alone) {
        *at = behind;
    } else {
        buf_clear(&text);
        *at = begin;
        if (!skip_rest(at)) {
            buf_done(&text);
            return false;
        }
        end = *at;
        while (end > begin && isspace((unsigned char)end[-1]))
            end--;
        buf_append(&text, begin, (size_t)(end - begin));
    }
    bool fits = text.len <= COMMAND_VALUE_MAX;
    if (fits)
        *value = mem_strndup(text.data != NULL ? text.data : "", text.len);
    buf_done(&text);
    return fits;
}

static bool parse_set_variable(const char **at, struct command *command, const char *name)
{
    command->verb = find_verb("SET", VERB_VARIABLE);
    command->variable = find_variable(name);
    return command->variable != NULL && skip_rest(at);
}

/* Those of SQL that are not written as key and value. */
static bool parse_set_clause(const char **at, const struct token *key, struct command *command,
                             bool *found)
{
    const char *behind = *at;
    struct token second = token_next(&behind);
    *found = true;
    if (token_is_word(key, "session") && token_is_word(&second, "characteristics"))
        return parse_set_variable(at, command, "session characteristics");
    if (token_is_word(key, "time") && token_is_word(&second, "zone"))
        return parse_set_variable(at, command, "time zone");
    if (token_is_word(key, "transaction") || token_is_word(key, "names"))
        return parse_set_variable(at, command, key->text);
    *found = false;
    return false;
}

static bool parse_set(const char **at, struct command *command)
{
    struct token key = token_next(at);
    bool found;
    bool good = parse_set_clause(at, &key, command, &found);
    if (found)
        return good;
    if (token_is_word(&key, "session") || token_is_word(&key, "local"))
        key = token_next(at);
    struct token is = token_next(at);
    bool assigns = token_is_word(&is, "to") || token_is_char(&is, '=');
    if (!token_is_name(&key) || !assigns)
        return false;
    if (find_variable(key.text) != NULL)
        return parse_set_variable(at, command, key.text);
    command->verb = find_verb("SET", NULL);
    memcpy(command->argument, key.text, sizeof command->argument);
    return read_value(at, &command->value);
}

static bool parse_argument(const char **at, struct command *command)
{
    struct token token;
    switch (command->verb->argument) {
    case ARGUMENT_REST:
        return skip_rest(at);
    case ARGUMENT_NONE:
        return token_next(at).kind == TOKEN_END;
    case ARGUMENT_MAY:
    case ARGUMENT_MUST:
        token = token_next(at);
        if (token.kind == TOKEN_END)
            return command->verb->argument == ARGUMENT_MAY;
        if (!token_is_name(&token) || token.text[0] == '\0')
            return false;
        memcpy(command->argument, token.text, sizeof command->argument);
        return token_next(at).kind == TOKEN_END;
    }
    return false;
}

/* False with an empty *err: it is no command. */
static bool parse(const char **at, struct command *command, struct err *err)
{
    struct token first = token_next(at);
    if (token_is_word(&first, "show") || token_is_word(&first, "select"))
        return parse_show(at, command, err);
    if (token_is_word(&first, "set"))
        return parse_set(at, command);
    command->verb = first.kind == TOKEN_WORD ? find_verb(first.text, NULL) : NULL;
    return command->verb != NULL && parse_argument(at, command);
}

enum command_found command_next(const char **text, struct command *command, struct err *err)
{
    const char *begin = token_skip_blanks(*text);
    *command = (struct command){0};
    while (begin != NULL && *begin == ';')
        begin = token_skip_blanks(begin + 1);
    if (begin != NULL && *begin == '\0')
        return COMMAND_END;
    *text = begin != NULL ? begin : *text;
    const char *at = *text;
    *err = ERR_NONE;
    if (parse(&at, command, err)) {
        *text = at;
        return COMMAND_FOUND;
    }
    if (err->sqlstate[0] == '\0')
        err_set(err, SQLSTATE_SYNTAX_ERROR, "invalid command '%.200s', use SHOW HELP;", *text);
    command_done(command);
    return COMMAND_INVALID;
}

struct command command_copy(const struct command *command)
{
    struct command copy = *command;
    copy.value = mem_strdup(command->value);
    selection_ref(copy.selection);
    return copy;
}

void command_done(struct command *command)
{
    mem_free(command->value);
    selection_unref(command->selection);
    *command = (struct command){0};
}

static const struct table_column *all_columns(const struct command *command, size_t *n)
{
    const struct variable *variable = command->variable;
    if (variable == NULL || command->verb->run != show_variable) {
        *n = command->verb->n_columns;
        return command->verb->columns;
    }
    *n = 1;
    return &variable->column;
}

const struct table_column *command_columns(const struct command *command, size_t *n)
{
    if (command->selection == NULL)
        return all_columns(command, n);
    *n = command->selection->n_columns;
    return command->selection->columns;
}
