#include "admin/command.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

/* ---- tokens ---- */

enum token_kind {
    TOKEN_END, /* of the command */
    TOKEN_WORD,
    TOKEN_QUOTED, /* "as an identifier" or 'as a string' */
    TOKEN_OTHER,  /* one character */
    TOKEN_LONG,   /* a word or quotation that is too long for a name */
    TOKEN_BROKEN, /* a quotation or comment without its end */
};

struct token {
    enum token_kind kind;
    const char *begin, *end;         /* in the text of the command */
    char text[COMMAND_NAME_MAX + 1]; /* words in lower case, quotations without quotes */
};

static const char *skip_comment(const char *at)
{
    if (at[1] == '-')
        return at + strcspn(at, "\n");
    const char *end = strstr(at + 2, "*/");
    return end != NULL ? end + 2 : NULL;
}

static bool at_comment(const char *at)
{
    return (at[0] == '-' && at[1] == '-') || (at[0] == '/' && at[1] == '*');
}

/* NULL: a comment has no end. */
static const char *skip_blanks(const char *at)
{
    while (at != NULL && *at != '\0' && (isspace((unsigned char)*at) || at_comment(at)))
        at = at_comment(at) ? skip_comment(at) : at + 1;
    return at;
}

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || (unsigned char)c >= 0x80;
}

/* Reads a quotation whose quotes are doubled inside.  NULL: it has no end. */
static const char *read_quoted(const char *at, struct buf *into)
{
    char quote = *at++;
    for (; *at != '\0'; at++) {
        if (*at == quote && *++at != quote)
            return at;
        buf_append(into, at, 1);
    }
    return NULL;
}

static void read_word(const char **at, struct token *token)
{
    size_t len = 0;
    for (; is_word_char(**at); ++*at, len++) {
        if (len < COMMAND_NAME_MAX)
            token->text[len] = (char)tolower((unsigned char)**at);
    }
    token->kind = len <= COMMAND_NAME_MAX ? TOKEN_WORD : TOKEN_LONG;
}

static void read_quotation(const char **at, struct token *token)
{
    struct buf text = BUF_NONE;
    const char *end = read_quoted(*at, &text);
    token->kind = text.len <= COMMAND_NAME_MAX ? TOKEN_QUOTED : TOKEN_LONG;
    if (token->kind == TOKEN_QUOTED && text.len > 0)
        memcpy(token->text, text.data, text.len);
    if (end == NULL)
        token->kind = TOKEN_BROKEN;
    else
        *at = end;
    buf_done(&text);
}

/* A semicolon is not passed by: it stays the end until the next command is read. */
static struct token next_token(const char **at)
{
    struct token token = {.kind = TOKEN_END};
    const char *begin = skip_blanks(*at);
    if (begin == NULL) {
        token.kind = TOKEN_BROKEN;
        return token;
    }
    *at = token.begin = begin;
    if (is_word_char(*begin)) {
        read_word(at, &token);
    } else if (*begin == '"' || *begin == '\'') {
        read_quotation(at, &token);
    } else if (*begin != '\0' && *begin != ';') {
        token.kind = TOKEN_OTHER;
        token.text[0] = *(*at)++;
    }
    token.end = *at;
    return token;
}

static bool is_name(const struct token *token)
{
    return token->kind == TOKEN_WORD || token->kind == TOKEN_QUOTED;
}

static bool is_word(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && strcmp(token->text, word) == 0;
}

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

/* The words up to the end, one blank between them. */
static bool read_phrase(const char **at, char phrase[COMMAND_NAME_MAX + 1])
{
    size_t len = 0;
    for (struct token token = next_token(at); token.kind != TOKEN_END; token = next_token(at)) {
        size_t more = is_name(&token) ? strlen(token.text) : 0;
        if (more == 0 || len + 1 + more > COMMAND_NAME_MAX)
            return false;
        if (len > 0)
            phrase[len++] = ' ';
        memcpy(phrase + len, token.text, more);
        len += more;
    }
    phrase[len] = '\0';
    return len > 0;
}

static bool parse_show(const char **at, struct command *command)
{
    char phrase[COMMAND_NAME_MAX + 1];
    if (!read_phrase(at, phrase))
        return false;
    command->verb = find_verb("SHOW", phrase);
    if (command->verb != NULL)
        return true;
    command->verb = find_verb("SHOW", VERB_VARIABLE);
    command->variable = find_variable(phrase);
    return command->variable != NULL && command->variable->value != NULL;
}

/* Up to the end of the command; false: there is a quotation or comment without its end. */
static bool skip_rest(const char **at)
{
    struct token token;
    do
        token = next_token(at);
    while (token.kind != TOKEN_END && token.kind != TOKEN_BROKEN);
    return token.kind == TOKEN_END;
}

/* One string alone is taken without its quotes, anything else as it stands. */
static bool read_value(const char **at, char **value)
{
    struct buf text = BUF_NONE;
    const char *begin = skip_blanks(*at);
    if (begin == NULL || *begin == '\0' || *begin == ';')
        return false;
    const char *end = *begin == '\'' ? read_quoted(begin, &text) : NULL;
    const char *behind = end;
    bool alone = end != NULL && next_token(&behind).kind == TOKEN_END;
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
    struct token second = next_token(&behind);
    *found = true;
    if (is_word(key, "session") && is_word(&second, "characteristics"))
        return parse_set_variable(at, command, "session characteristics");
    if (is_word(key, "time") && is_word(&second, "zone"))
        return parse_set_variable(at, command, "time zone");
    if (is_word(key, "transaction") || is_word(key, "names"))
        return parse_set_variable(at, command, key->text);
    *found = false;
    return false;
}

static bool parse_set(const char **at, struct command *command)
{
    struct token key = next_token(at);
    bool found;
    bool good = parse_set_clause(at, &key, command, &found);
    if (found)
        return good;
    if (is_word(&key, "session") || is_word(&key, "local"))
        key = next_token(at);
    struct token is = next_token(at);
    bool assigns = is_word(&is, "to") || (is.kind == TOKEN_OTHER && is.text[0] == '=');
    if (!is_name(&key) || !assigns)
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
        return next_token(at).kind == TOKEN_END;
    case ARGUMENT_MAY:
    case ARGUMENT_MUST:
        token = next_token(at);
        if (token.kind == TOKEN_END)
            return command->verb->argument == ARGUMENT_MAY;
        if (!is_name(&token) || token.text[0] == '\0')
            return false;
        memcpy(command->argument, token.text, sizeof command->argument);
        return next_token(at).kind == TOKEN_END;
    }
    return false;
}

static bool parse(const char **at, struct command *command)
{
    struct token first = next_token(at);
    if (is_word(&first, "show") || is_word(&first, "select"))
        return parse_show(at, command);
    if (is_word(&first, "set"))
        return parse_set(at, command);
    command->verb = first.kind == TOKEN_WORD ? find_verb(first.text, NULL) : NULL;
    return command->verb != NULL && parse_argument(at, command);
}

enum command_found command_next(const char **text, struct command *command, struct err *err)
{
    const char *begin = skip_blanks(*text);
    *command = (struct command){0};
    while (begin != NULL && *begin == ';')
        begin = skip_blanks(begin + 1);
    if (begin != NULL && *begin == '\0')
        return COMMAND_END;
    *text = begin != NULL ? begin : *text;
    const char *at = *text;
    if (parse(&at, command)) {
        *text = at;
        return COMMAND_FOUND;
    }
    err_set(err, SQLSTATE_SYNTAX_ERROR, "invalid command '%.200s', use SHOW HELP;", *text);
    command_done(command);
    return COMMAND_INVALID;
}

struct command command_copy(const struct command *command)
{
    struct command copy = *command;
    copy.value = mem_strdup(command->value);
    return copy;
}

void command_done(struct command *command)
{
    mem_free(command->value);
    *command = (struct command){0};
}
