#include "sql/scan.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool continues_name(char c)
{
    return begins_name(c) || (c >= '0' && c <= '9') || c == '$';
}

static char at(const struct scan *scan, size_t pos)
{
    return pos < scan->len ? scan->text[pos] : '\0';
}

static size_t end_of_blanks(const struct scan *scan, size_t pos)
{
    while (pos < scan->len && is_blank(scan->text[pos]))
        pos++;
    return pos;
}

static size_t end_of_name(const struct scan *scan, size_t pos)
{
    while (pos < scan->len && continues_name(scan->text[pos]))
        pos++;
    return pos;
}

static size_t end_of_line(const struct scan *scan, size_t pos)
{
    while (pos < scan->len && scan->text[pos] != '\n' && scan->text[pos] != '\r')
        pos++;
    return pos;
}

/* They nest. */
static size_t end_of_comment(const struct scan *scan, size_t pos)
{
    size_t depth = 0;
    while (pos < scan->len) {
        if (at(scan, pos) == '/' && at(scan, pos + 1) == '*') {
            depth++;
            pos += 2;
        } else if (at(scan, pos) == '*' && at(scan, pos + 1) == '/') {
            pos += 2;
            if (--depth == 0)
                return pos;
        } else {
            pos++;
        }
    }
    return scan->len;
}

/* From the opening quote.  A quote that is doubled, or behind a backslash, does not end it. */
static size_t end_of_quotes(const struct scan *scan, size_t pos, bool backslash)
{
    char quote = scan->text[pos++];
    for (; pos < scan->len; pos++) {
        bool is_quote = scan->text[pos] == quote;
        if (is_quote && at(scan, pos + 1) != quote)
            return pos + 1;
        if (is_quote || (backslash && scan->text[pos] == '\\'))
            pos++;
    }
    return scan->len;
}

/* The length of $tag$, 0 if there is none. */
static size_t dollar_tag(const struct scan *scan, size_t pos)
{
    size_t end = pos + 1;
    if (begins_name(at(scan, end)))
        while (end < scan->len && continues_name(scan->text[end]) && scan->text[end] != '$')
            end++;
    return at(scan, end) == '$' ? end + 1 - pos : 0;
}

static size_t end_of_dollars(const struct scan *scan, size_t pos, size_t tag)
{
    const char *found =
        memmem(scan->text + pos + tag, scan->len - pos - tag, scan->text + pos, tag);
    return found == NULL ? scan->len : (size_t)(found - scan->text) + tag;
}

static enum scan_kind found(struct scan *scan, enum scan_kind kind, size_t end)
{
    scan->end = end < scan->len ? end : scan->len;
    return scan->kind = kind;
}

/* A letter may be the prefix of what is in quotes. */
static enum scan_kind scan_name(struct scan *scan)
{
    size_t pos = scan->start;
    char letter = scan->text[pos] | 0x20, next = at(scan, pos + 1);
    if (next == '\'' && strchr("ebxn", letter) != NULL)
        return found(
            scan, SCAN_STRING,
            end_of_quotes(scan, pos + 1,
                          letter == 'e' || (letter == 'n' && !scan->standard_conforming_strings)));
    if (letter == 'u' && next == '&' && at(scan, pos + 2) == '"')
        return found(scan, SCAN_QUOTED, end_of_quotes(scan, pos + 2, false));
    if (letter == 'u' && next == '&' && at(scan, pos + 2) == '\'')
        return found(scan, SCAN_STRING, end_of_quotes(scan, pos + 2, false));
    return found(scan, SCAN_WORD, end_of_name(scan, pos));
}

enum scan_kind scan_next(struct scan *scan)
{
    size_t pos = scan->start = scan->end;
    if (pos >= scan->len)
        return found(scan, SCAN_END, scan->len);
    char c = scan->text[pos], next = at(scan, pos + 1);
    if (is_blank(c))
        return found(scan, SCAN_BLANK, end_of_blanks(scan, pos));
    if (c == '-' && next == '-')
        return found(scan, SCAN_COMMENT, end_of_line(scan, pos));
    if (c == '/' && next == '*')
        return found(scan, SCAN_COMMENT, end_of_comment(scan, pos));
    if (begins_name(c))
        return scan_name(scan);
    if (c == '\'')
        return found(scan, SCAN_STRING,
                     end_of_quotes(scan, pos, !scan->standard_conforming_strings));
    if (c == '"')
        return found(scan, SCAN_QUOTED, end_of_quotes(scan, pos, false));
    size_t tag = c == '$' ? dollar_tag(scan, pos) : 0;
    if (tag > 0)
        return found(scan, SCAN_STRING, end_of_dollars(scan, pos, tag));
    return found(scan, SCAN_OTHER, pos + 1);
}

enum scan_kind scan_next_word(struct scan *scan)
{
    do
        scan_next(scan);
    while (scan->kind == SCAN_BLANK || scan->kind == SCAN_COMMENT);
    return scan->kind;
}

bool scan_is(const struct scan *scan, const char *keyword)
{
    size_t len = strlen(keyword);
    return scan->kind == SCAN_WORD && scan->end - scan->start == len &&
           strncasecmp(scan->text + scan->start, keyword, len) == 0;
}
