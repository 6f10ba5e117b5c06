/*
 * conf/report.h - what was found wrong while reading the settings
 *
 * A load goes on after an error, so that one look at the report shows everything that has to be
 * changed.  Notes are in the order in which they were found, each one line such as
 *
 *     howdah.ini:12: key "listen_port": value "70000": expected an integer from 1 to 65535
 *
 * Who loads the settings logs the notes, or prints them for --check.  No note contains a secret.
 *
 * Ownership:  the report owns its texts, until conf_report_done()
 * Threading:  one thread at a time
 */
#ifndef CONF_REPORT_H
#define CONF_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CONF_NOTES_MAX = 1000, /* more are counted, but their texts are not kept */
    CONF_EXCERPT_MAX = 84,
};

struct conf_note {
    bool is_error; /* otherwise a warning */
    char *text;    /* owned */
};

struct conf_report {
    struct conf_note *notes; /* owned */
    size_t n_notes;
    size_t n_errors;
    size_t n_warnings;
};

void conf_report_init(struct conf_report *report);
void conf_report_done(struct conf_report *report);

/* file may be NULL (no place is known), line 0 (the whole file). */
void conf_report_error(struct conf_report *report, const char *file, int line, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));
void conf_report_warning(struct conf_report *report, const char *file, int line, const char *format,
                         ...) __attribute__((format(printf, 4, 5)));

/* Text to quote in a note: control characters become '?', what is long is cut.  Returns out. */
const char *conf_excerpt(const char *text, char out[CONF_EXCERPT_MAX]);

#endif
