/*
 * pool/params.h - the session parameters that follow a client from server to server
 *
 * A set of parameter values is immutable and interned: two connections with equal values hold the
 * same pointer, so that "does this server carry this client's parameters" is one comparison.
 * Values are as the server spells them, and are compared exactly.
 *
 * Some parameters are *followed* for all clients: those that a server reports and that drivers care for.
 * Beyond them a set may have any other setting that differs from the server's default, under its name in
 * lower case; see session/state.h for how they get there.
 *
 * Source:     PostgreSQL docs, protocol-async: parameters that the server reports
 * Ownership:  sets are counted; the table must outlive them
 * Threading:  any thread; names are fixed when the table is made
 */
#ifndef POOL_PARAMS_H
#define POOL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct params;
struct params_table;

enum { PARAMS_MAX = 32 };

/* extra: a comma list of more reported parameters to follow (track_extra_parameters). */
struct params_table *params_table_new(const char *extra);
void params_table_free(struct params_table *table);

size_t params_count(const struct params_table *table);
const char *params_name(const struct params_table *table, size_t i);
int params_index(const struct params_table *table, const char *name); /* -1: not followed */

/* How many sets there are, what each takes, and their values on top; it walks them all. */
struct params_usage {
    size_t n, size, bytes;
};
struct params_usage params_table_usage(struct params_table *table);

/* The set without values; a counted reference, as from params_ref(). */
struct params *params_empty(struct params_table *table);
/* Replaces the counted reference *params by one to the set with this value. */
void params_set(struct params_table *table, struct params **params, size_t i, const char *value);
struct params *params_ref(struct params_table *table, struct params *params);
void params_unref(struct params_table *table, struct params *params); /* accepts NULL */

const char *params_get(const struct params *params, size_t i); /* NULL: not known */

/* The same for any setting, followed or not; value NULL: the server's default. */
void params_put(struct params_table *table, struct params **params, const char *name,
                const char *value);
const char *params_find(const struct params_table *table, const struct params *params,
                        const char *name);
/* The settings that are not followed. */
size_t params_count_more(const struct params *params);
const char *params_more_name(const struct params *params, size_t i);
const char *params_more_value(const struct params *params, size_t i);
size_t params_weight(const struct params *params);     /* bytes of their names and values */
bool params_beyond_ascii(const struct params *params); /* in one of their names or values */
/* Is it who the session acts as: role, or session_authorization? */
bool params_is_identity(const char *name);
/* Replaces them all by those of `from`. */
void params_take_more(struct params_table *table, struct params **params,
                      const struct params *from);

/* Equal for sets that differ in application_name at most: what the meaning of a statement's text
 * depends on, as its literals are read when it is parsed. */
uint64_t params_environment(const struct params *params);
bool params_in_environment(const struct params_table *table, size_t i);

/* Appends the statements that give a session with `from` the values of `to`; false: no need. */
bool params_difference(const struct params_table *table, const struct params *from,
                       const struct params *to, struct buf *sql);
/* Would the bytes of that be read by the encoding of `from`, though they are of that of `to`? */
bool params_need_encoding_first(const struct params_table *table, const struct params *from,
                                const struct params *to);

/* Appends a string constant that is safe whatever standard_conforming_strings says. */
void params_quote(struct buf *sql, const char *value);
/* Appends a name, in double quotes. */
void params_quote_name(struct buf *sql, const char *name);

#endif
