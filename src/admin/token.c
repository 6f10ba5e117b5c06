#include "admin/token.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"

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

const char *token_skip_blanks(const char *at)
{
    while (at != NULL && *at != '\0' && (isspace((unsigned char)*at) || at_comment(at)))
        at = at_comment(at) ? skip_comment(at) : at + 1;
    return at;
}

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || (unsigned char)c >= 0x80;
}

const char *token_read_quoted(const char *at, struct buf *into)
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
        if (len < TOKEN_TEXT_MAX)
            token->text[len] = (char)tolower((unsigned char)**at);
    }
    token->kind = len <= TOKEN_TEXT_MAX ? TOKEN_WORD : TOKEN_LONG;
}

static void read_quotation(const char **at, struct token *token)
{
    struct buf text = BUF_NONE;
    const char *end = token_read_quoted(*at, &text);
    token->kind = text.len <= TOKEN_TEXT_MAX ? TOKEN_QUOTED : TOKEN_LONG;
    if (token->kind == TOKEN_QUOTED && text.len > 0)
        memcpy(token->text, text.data, text.len);
    if (end == NULL)
        token->kind = TOKEN_BROKEN;
    else
        *at = end;
    buf_done(&text);
}

struct token token_next(const char **at)
{
    struct token token = {.kind = TOKEN_END};
    const char *begin = token_skip_blanks(*at);
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

bool token_is_name(const struct token *token)
{
    return token->kind == TOKEN_WORD || token->kind == TOKEN_QUOTED;
}

bool token_is_word(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && strcmp(token->text, word) == 0;
}

bool token_is_char(const struct token *token, char c)
{
    return token->kind == TOKEN_OTHER && token->text[0] == c;
}
