#include "sql/place.h"

#include <string.h>

#include "sql/scan.h"

static struct scan scan_of(const struct statement_text *text, size_t start, size_t end)
{
    return (struct scan){
        .text = text->text,
        .len = end,
        .standard_conforming_strings = text->standard_conforming_strings,
        .start = start,
        .end = start,
    };
}

static struct sql_span span(size_t start, size_t end)
{
    return (struct sql_span){(uint32_t)start, (uint32_t)(end - start)};
}

static size_t first_word(const struct statement_text *text, size_t start, size_t end)
{
    struct scan scan = scan_of(text, start, end);
    scan_next_word(&scan);
    return scan.start;
}

static size_t without_blanks(const struct statement_text *text, size_t start, size_t end)
{
    while (end > start && strchr(" \t\n\v\f\r", text->text[end - 1]) != NULL)
        end--;
    return end;
}

/* Only a scan from the start tells comments from strings. */
static size_t last_word(const struct statement_text *text, size_t start, size_t end)
{
    struct scan scan = scan_of(text, start, end);
    size_t last = start;
    while (scan_next(&scan) != SCAN_END)
        if (scan.kind != SCAN_BLANK && scan.kind != SCAN_COMMENT)
            last = scan.end;
    return last;
}

/* The last line has a "--", or there is a comment's end at the end of the text. */
static bool may_end_in_comment(const struct statement_text *text, size_t start, size_t end)
{
    const char *from = text->text + start, *at = text->text + end;
    if (end - start > 1 && at[-2] == '*' && at[-1] == '/')
        return true;
    while (at > from && at[-1] != '\n' && at[-1] != '\r')
        at--;
    return memmem(at, (size_t)(text->text + end - at), "--", 2) != NULL;
}

struct sql_span place_of_statement(const struct statement_text *text, size_t start, size_t len)
{
    size_t end = len == 0 ? text->len : start + len;
    start = first_word(text, start, end);
    end = without_blanks(text, start, end);
    /* A line's comment may end in blanks, and blanks stand between comments. */
    return span(start, may_end_in_comment(text, start, end) ? last_word(text, start, end) : end);
}

static bool is_word(const struct scan *scan)
{
    return scan->kind == SCAN_WORD || scan->kind == SCAN_QUOTED;
}

/* Behind the first AS: that is reserved, and no name before it can be so. */
static void to_as(struct scan *scan)
{
    while (scan->kind != SCAN_END && !scan_is(scan, "as"))
        scan_next_word(scan);
    scan_next_word(scan);
}

/* To the EXECUTE of EXPLAIN or CREATE TABLE AS.  Options of EXPLAIN are in parentheses. */
static void to_execute(struct scan *scan)
{
    int depth = 0;
    for (; scan->kind != SCAN_END; scan_next_word(scan)) {
        char c = scan->text[scan->start];
        if (scan->kind == SCAN_OTHER && (c == '(' || c == ')'))
            depth += c == '(' ? 1 : -1;
        else if (depth == 0 && scan_is(scan, "create"))
            to_as(scan);
        if (depth == 0 && scan_is(scan, "execute"))
            return;
    }
}

/* From a name; U&"..." may have a UESCAPE behind it. */
static struct sql_span name_at(struct scan *scan)
{
    size_t start = scan->start, end = scan->end;
    bool unicode = scan->kind == SCAN_QUOTED && scan->text[start] != '"';
    if (unicode && scan_next_word(scan) == SCAN_WORD && scan_is(scan, "uescape") &&
        scan_next_word(scan) == SCAN_STRING)
        end = scan->end;
    return span(start, end);
}

struct sql_span place_of_name(const struct statement_text *text, struct sql_span statement)
{
    struct scan scan = scan_of(text, statement.start, statement.start + statement.len);
    scan_next_word(&scan);
    bool deallocate = scan_is(&scan, "deallocate");
    if (!deallocate && !scan_is(&scan, "prepare"))
        to_execute(&scan);
    scan_next_word(&scan);
    struct scan next = scan;
    if (deallocate && scan_is(&scan, "prepare") && is_word((scan_next_word(&next), &next)))
        scan = next;
    return name_at(&scan);
}
