/*
 * conf/keys.h - the keys of an entry: text of the file into the fields of a struct
 *
 * Ownership:  texts that were stored belong to the struct, until conf_keys_free()
 * Threading:  one thread at a time per struct
 * Errors:     to *err or, with file, line, entry and key, to the report; passwords are not quoted
 */
#ifndef CONF_KEYS_H
#define CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>

struct conf_report;
struct err;
struct ini_entry;

enum { CONF_HOST_MAX = 255 };

enum key_kind {
    KEY_END,
    KEY_TEXT, /* at most `max` bytes, as the next two */
    KEY_SECRET,
    KEY_HOST,
    KEY_HOSTS,
    KEY_PORT,  /* 0 for not said */
    KEY_COUNT, /* -1 for not said */
    KEY_LIMIT, /* any negative number for not said */
    KEY_WEIGHT,
    KEY_TIME,
    KEY_LAG,
    KEY_BYTES,
    KEY_BOOL, /* -1 for not said, as the words */
    KEY_POOL_MODE,
    KEY_SESSION_STATE,
    KEY_FUNCTION_STATE,
    KEY_READ_FROM,
    KEY_BALANCE,
    KEY_READS_FOLLOW,
    KEY_NODE_ROLE,  /* 0 for not said, as the next */
    KEY_HOST_ORDER, /* of a database with several hosts */
    KEY_FUNCTIONS,  /* a text */
    KEY_PATTERN,    /* a text */
    KEY_LATER,      /* of a later version */
};

struct conf_key {
    const char *name;
    enum key_kind kind;
    size_t offset; /* of its field */
    size_t max;
};

/* Where an error was found: howdah.ini:7: database "shop": ... */
struct conf_place {
    const char *kind;
    const struct ini_entry *line;
    struct conf_report *report;
};

void conf_complain(const struct conf_place *place, const char *what);

/* All that has not been said.  entry is zeroed memory. */
void conf_keys_init(void *entry, const struct conf_key *keys);
void conf_keys_free(void *entry, const struct conf_key *keys);

/* One key of the table; false: *err says why not. */
bool conf_key_store(void *entry, const struct conf_key *keys, const char *name, const char *value,
                    struct err *err);
/* The pairs of a connection string.  Goes on after one with an error, but not after text that is none. */
void conf_keys_store(void *entry, const struct conf_key *keys, const struct conf_place *place);
/* Begins an entry: checks its name, and stores all pairs. */
void conf_keys_fill(void *entry, const struct conf_key *keys, const struct conf_place *place);

#endif
