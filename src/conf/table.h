/*
 * conf/table.h - the settings one by one, by name
 *
 * conf/settings.def as a table, for those who treat all settings alike: the loader, SHOW CONFIG,
 * SET, --check, and the writer of the sample file.
 *
 * Threading:  the table is constant; a struct settings that is written to belongs to one thread
 * Errors:     a value that is refused sets *err to one whole sentence without the place
 */
#ifndef CONF_TABLE_H
#define CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct conf_word;
struct err;
struct settings;

enum conf_type {
    CONF_BOOL,
    CONF_INT,
    CONF_BYTES,
    CONF_TIME,
    CONF_TIME_MS,
    CONF_LAG,
    CONF_MODE,
    CONF_NAME, /* from here on, texts */
    CONF_TEXT,
    CONF_PATH,
    CONF_LIST,
    CONF_FUNCTIONS,
    CONF_PATTERN,
    CONF_SQL,
    CONF_WORD,
};

struct conf_setting {
    const char *name;
    enum conf_type type;
    const char *default_text; /* as in a file */
    const char *unit;         /* "" for none */
    bool reloadable;          /* false: only a start changes it */
    bool built;               /* false: a value other than the default is refused */
    const char *since;        /* the first version with it; NULL while it is not built */
    const char *instead;      /* NULL, or what howdah does, having no use for it */
    const char *help;         /* one line, without a full stop */
    int64_t min;              /* numbers and times */
    int64_t max;
    const struct conf_word *words; /* CONF_WORD */
    size_t offset;                 /* into struct settings */
};

extern const struct conf_setting conf_table[]; /* in the order of SHOW CONFIG */
extern const size_t conf_table_len;

const struct conf_setting *conf_find_setting(const char *name); /* NULL when there is none */

/* Reads the text into its field of *settings, which was filled before.  On an error the field
 * stays as it was. */
bool conf_store(struct settings *settings, const struct conf_setting *setting, const char *text,
                struct err *err);
/* What the operator should know who sets this text; NULL for nothing. */
const char *conf_warning(const struct conf_setting *setting, const char *text);

/* The present value, as conf_store() would read it: the column "value" of SHOW CONFIG. */
void conf_write_value(const struct settings *settings, const struct conf_setting *setting,
                      struct buf *out);

/* For struct settings itself. */
void conf_fill_defaults(struct settings *settings); /* all texts of it are not set before */
void conf_copy_value(struct settings *to, const struct settings *from,
                     const struct conf_setting *setting);
bool conf_same_value(const struct settings *a, const struct settings *b,
                     const struct conf_setting *setting);
void conf_free_texts(struct settings *settings);

#endif
