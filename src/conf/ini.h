/*
 * conf/ini.h - sections, keys and values of a settings file
 *
 * inih tells section headers from entries and finds the key.  It would change what a PgBouncer
 * file means, though: it cuts a line after 199 bytes and a value before " ;", takes an indented
 * line for more of the last value, and ':' for '='; how much of that can be turned off differs by
 * build.  So a line reader of our own stands before it, which
 *
 *   - skips blank lines and comments (';' or '#' as the first character that is not blank),
 *     trims blanks and the CR of CRLF at both ends, drops a byte order mark;
 *   - carries out "%include FILE": relative to the current directory, no wildcard, 10 deep; the
 *     section in force goes on into the file, and a section that begins there goes on after it;
 *   - gives inih the head of each line, and takes as value the rest of the line behind the '='
 *     that inih found, whatever its length;
 *   - takes a key in single quotes ('any text', no escape in it) out of inih's sight.
 *
 * An unquoted key has the characters A-Z a-z 0-9 _ . - * and nothing else.  What a section, key or
 * value means is left to conf/settings.h.
 *
 * Differences from PgBouncer: text behind a section header on the same line is refused unless it
 * is a comment, and reading goes on after an error, to find the next.
 *
 * Ownership:  the strings of an entry are lent for the call
 * Threading:  one thread at a time per call; inih has no state of its own between calls
 * Errors:     go to the report with file and line; too deep an include ends the reading
 */
#ifndef CONF_INI_H
#define CONF_INI_H

#include <stddef.h>

struct conf_report;

enum {
    INI_INCLUDE_DEPTH_MAX = 10,
    INI_FILES_MAX = 1000, /* ours: files that include each other twice grow without end */
};

struct ini_entry {
    const char *section; /* "" before the first section */
    const char *key;     /* NULL: the header of the section itself */
    const char *value;   /* "" when nothing follows the '='; NULL for a header */
    const char *file;
    int line;
};

struct ini_sink {
    void (*take)(void *context, const struct ini_entry *entry);
    void *context; /* borrowed */
};

void ini_read_file(const char *path, struct ini_sink sink, struct conf_report *report);

/* The same for text in memory that is called `name` in errors.  %include reads files here too. */
void ini_read_text(const char *name, const char *text, size_t len, struct ini_sink sink,
                   struct conf_report *report);

#endif
