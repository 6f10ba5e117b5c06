#include "conf/connstr.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static const char blanks[] = " \t\r\n\v\f";
static const char key_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

void connstr_init(struct connstr *connstr, const char *text)
{
    size_t len = strlen(text);
    char *copy = mem_strndup(text, len);
    *connstr = (struct connstr){.key = "", .value = "", .text = copy, .len = len, .pos = copy};
}

void connstr_done(struct connstr *connstr)
{
    mem_wipe(connstr->text, connstr->len);
    mem_free(connstr->text);
    *connstr = (struct connstr){.text = NULL};
}

static char *skip_blanks(char *text)
{
    return text + strspn(text, blanks);
}

static enum connstr_step bad(struct err *err, const char *key, const char *what)
{
    err_set(err, SQLSTATE_SYNTAX_ERROR, "key \"%.60s\": %s", key, what);
    return CONNSTR_BAD;
}

/* Unquotes in place.  Returns what is behind the last quote; NULL when that is missing. */
static char *cut_quoted(char *text)
{
    char *to = text;
    for (; *text != '\0'; text++) {
        if (*text == '\'' && text[1] != '\'') {
            *to = '\0';
            return text + 1;
        }
        text += *text == '\'';
        *to++ = *text;
    }
    return NULL;
}

static bool is_pair(const char *text)
{
    size_t len = strspn(text, key_chars);
    return len > 0 && text[len] == '=';
}

static enum connstr_step take_quoted(struct connstr *connstr, char *text, struct err *err)
{
    connstr->value = text;
    connstr->pos = cut_quoted(text);
    if (connstr->pos == NULL) {
        connstr->pos = text + strlen(text);
        return bad(err, connstr->key, "the value has no closing quote");
    }
    if (*connstr->pos != '\0' && strchr(blanks, *connstr->pos) == NULL)
        return bad(err, connstr->key, "expected a blank after the closing quote");
    return CONNSTR_PAIR;
}

static enum connstr_step take_plain(struct connstr *connstr, char *text, struct err *err)
{
    connstr->value = text;
    connstr->pos = text + strcspn(text, blanks);
    if (connstr->pos == text)
        return bad(err, connstr->key, "the value is empty; write '' if that is meant");
    if (*connstr->pos != '\0')
        *connstr->pos++ = '\0';
    return CONNSTR_PAIR;
}

enum connstr_step connstr_next(struct connstr *connstr, struct err *err)
{
    char *key = skip_blanks(connstr->pos);
    if (*key == '\0')
        return CONNSTR_END;
    char *key_end = key + strspn(key, key_chars);
    char *equals = skip_blanks(key_end);
    connstr->key = key;
    connstr->pos = equals;
    if (key_end == key || *equals != '=') {
        err_set(err, SQLSTATE_SYNTAX_ERROR, "expected pairs of key=value");
        return CONNSTR_BAD;
    }
    *key_end = '\0';
    char *value = skip_blanks(equals + 1);
    if (*value == '\'')
        return take_quoted(connstr, value + 1, err);
    if (value > equals + 1 && is_pair(value))
        return bad(err, connstr->key, "the value is empty; write '' if that is meant");
    return take_plain(connstr, value, err);
}
