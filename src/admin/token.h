/*
 * admin/token.h - the words of the console's language
 *
 * Words compare without case and come in lower case; a name may be quoted as in SQL, then its case
 * counts, or be a string.  Comments are skipped.  A semicolon ends a command, as the end of the text
 * does.
 *
 * Ownership:  a token holds its own text; begin and end point into the text that it was read from
 * Threading:  pure
 */
#ifndef ADMIN_TOKEN_H
#define ADMIN_TOKEN_H

#include <stdbool.h>

struct buf;

enum { TOKEN_TEXT_MAX = 63 };

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
    const char *begin, *end;       /* in the text of the command */
    char text[TOKEN_TEXT_MAX + 1]; /* words in lower case, quotations without quotes */
};

/* Reads the next token and moves *at behind it.  A semicolon is not passed by: it stays the end until
 * the next command is read. */
struct token token_next(const char **at);
bool token_is_name(const struct token *token); /* a word or a quotation */
bool token_is_word(const struct token *token, const char *word);
bool token_is_char(const struct token *token, char c);

const char *token_skip_blanks(const char *at); /* NULL: a comment has no end */
/* Reads a quotation whose quotes are doubled inside.  NULL: it has no end. */
const char *token_read_quoted(const char *at, struct buf *into);

#endif
