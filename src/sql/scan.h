/*
 * sql/scan.h - the words of a text of SQL, one after the other
 *
 * As much of PostgreSQL's lexical rules as it takes to find one's way in a text that the parser has
 * accepted: where blanks, comments, names and strings begin and end.
 *
 * Source:     PostgreSQL docs, sql-syntax-lexical
 * Threading:  pure
 */
#ifndef SQL_SCAN_H
#define SQL_SCAN_H

#include <stdbool.h>
#include <stddef.h>

enum scan_kind {
    SCAN_END,
    SCAN_BLANK,
    SCAN_COMMENT,
    SCAN_WORD,   /* a keyword or a name without quotes */
    SCAN_QUOTED, /* a name in quotes, U&"..." too */
    SCAN_STRING, /* '...', E'...', U&'...', B'...', X'...', N'...', $$...$$ */
    SCAN_OTHER,  /* one byte of anything else */
};

struct scan {
    const char *text;
    size_t len;
    bool standard_conforming_strings;
    /* What was found last. */
    enum scan_kind kind;
    size_t start, end;
};

/* The next piece, from scan->end on.  What is not closed goes up to the end of the text. */
enum scan_kind scan_next(struct scan *scan);
/* The same, without blanks and comments. */
enum scan_kind scan_next_word(struct scan *scan);
/* Is the word just found this keyword, given in lower case? */
bool scan_is(const struct scan *scan, const char *keyword);

#endif
