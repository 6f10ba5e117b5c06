#include "sql/hints.h"

#include <string.h>

#include "sql/scan.h"

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_key(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_separator(char c)
{
    return is_blank(c) || c == ',';
}

static bool is_value(char c)
{
    return !is_separator(c) && c != '\'' && c != '"' && c != '=';
}

/* A part of the text that is read from the front. */
struct part {
    const char *text;
    size_t at, end;
};

static struct sql_span take(struct part *part, bool (*belongs)(char c))
{
    size_t start = part->at;
    while (part->at < part->end && belongs(part->text[part->at]))
        part->at++;
    return (struct sql_span){(uint32_t)start, (uint32_t)(part->at - start)};
}

static bool take_char(struct part *part, char c)
{
    bool is = part->at < part->end && part->text[part->at] == c;
    part->at += is;
    return is;
}

static bool is_inside_quotes(char c)
{
    return c != '\'';
}

static bool take_value(struct part *part, struct sql_span *value)
{
    if (!take_char(part, '\'')) {
        *value = take(part, is_value);
        return value->len > 0;
    }
    *value = take(part, is_inside_quotes);
    return take_char(part, '\'');
}

static bool take_hint(struct part *part, struct sql_hint *hint)
{
    hint->key = take(part, is_key);
    return hint->key.len > 0 && take_char(part, '=') && take_value(part, &hint->value) &&
           (part->at == part->end || is_separator(part->text[part->at]));
}

/* Between the marks of the comment. */
static void take_hints(struct sql_hints *hints, struct part part)
{
    static const char mark[] = "howdah:";
    take(&part, is_blank);
    if (part.end - part.at < strlen(mark) || memcmp(part.text + part.at, mark, strlen(mark)) != 0)
        return;
    part.at += strlen(mark);
    while (take(&part, is_separator), part.at < part.end) {
        if (hints->n == SQL_MAX_HINTS || !take_hint(&part, &hints->at[hints->n])) {
            hints->malformed = true;
            return;
        }
        hints->n++;
    }
}

static struct part inside(const struct scan *comment)
{
    size_t mark = comment->text[comment->start] == '/' ? 2 : 0;
    return (struct part){comment->text, comment->start + 2, comment->end - mark};
}

/* One not closed is no comment, and the server will say so. */
static bool is_closed(const struct scan *comment)
{
    return comment->text[comment->start] == '-' ||
           (comment->end - comment->start >= 4 && comment->text[comment->end - 2] == '*' &&
            comment->text[comment->end - 1] == '/');
}

static bool is_semicolon(const struct scan *scan)
{
    return scan->kind == SCAN_OTHER && scan->text[scan->start] == ';';
}

/* Of the comments that come before the next word; where that begins, or the end of the text. */
static size_t comments(struct sql_hints *hints, struct scan *scan)
{
    while (scan_next(scan) == SCAN_BLANK || scan->kind == SCAN_COMMENT || is_semicolon(scan))
        if (scan->kind == SCAN_COMMENT && is_closed(scan))
            take_hints(hints, inside(scan));
    return scan->start;
}

static size_t behind_last_word(struct scan scan)
{
    size_t last = scan.end;
    while (scan_next(&scan) != SCAN_END)
        if (scan.kind != SCAN_BLANK && scan.kind != SCAN_COMMENT && !is_semicolon(&scan))
            last = scan.end;
    return last;
}

/* It may have a comment at its end. */
static bool may_end_in_comment(const char *text, size_t len)
{
    while (len > 0 && (is_blank(text[len - 1]) || text[len - 1] == ';'))
        len--;
    if (len >= 2 && text[len - 2] == '*' && text[len - 1] == '/')
        return true;
    size_t line = len;
    while (line > 0 && text[line - 1] != '\n' && text[line - 1] != '\r')
        line--;
    return memmem(text + line, len - line, "--", 2) != NULL;
}

struct sql_hints sql_hints_of(const char *text, size_t len, bool standard_conforming_strings)
{
    struct sql_hints hints = {.n = 0};
    struct scan scan = {
        .text = text,
        .len = len,
        .standard_conforming_strings = standard_conforming_strings,
    };
    size_t word = comments(&hints, &scan);
    if (word < len && may_end_in_comment(text + word, len - word)) {
        scan.end = behind_last_word(scan);
        comments(&hints, &scan);
    }
    return hints;
}
