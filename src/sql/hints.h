/*
 * sql/hints.h - what a client tells howdah in a comment of its statement
 *
 *     / * howdah: key=value key2='a value' * / SELECT ...        (without the blanks in the marks)
 *
 * Comments before the first and behind the last word count; in both forms that SQL has, and as many as there
 * are.  Pairs are separated by blanks or commas.  Which keys there are is the caller's business.
 *
 * Ownership:  spans are of the text
 * Threading:  pure
 */
#ifndef SQL_HINTS_H
#define SQL_HINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/facts.h"

struct sql_hint {
    struct sql_span key, value; /* without the quotes of the value */
};

enum { SQL_MAX_HINTS = 16 };

struct sql_hints {
    uint32_t n;
    bool
        malformed; /* a comment begins as a hint does and does not go on as one, or there are too many */
    struct sql_hint at[SQL_MAX_HINTS];
};

/* Nearly free for a text that has no comment at its edges. */
struct sql_hints sql_hints_of(const char *text, size_t len, bool standard_conforming_strings);

#endif
