/*
 * conf/value.h - numbers, times and lists in the text of a setting
 *
 * All of a text has to be understood; a function that cannot returns false and leaves the result
 * alone.  Surrounding blanks are for the reader of the file to cut.
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reader.h"

struct buf;

/* The longest time: thousands of years, and yet now plus it does not overflow. */
#define VALUE_TIME_MAX_US INT64_C(1000000000000000000)

bool value_read_bool(const char *text, bool *value); /* 1 0 on off true false yes no */
bool value_read_int(const char *text, int64_t min, int64_t max, int64_t *value); /* 0x1f, 017 */
bool value_read_mode(const char *text, int *mode); /* octal with its leading 0, up to 0777 */

/* "15", "0.5", "500ms", "2 min": without a unit (us ms s min h d) in units of unit_us.  What is
 * more than 0 never becomes 0, which would mean: off. */
bool value_read_time_us(const char *text, int64_t unit_us, int64_t *time_us);

/* A bound for lag: a time with a unit, as plain numbers are taken for seconds by some and for
 * milliseconds by others; or 0, for none. */
bool value_read_lag_us(const char *text, int64_t *lag_us);
void value_write_lag(struct buf *out, int64_t lag_us); /* as it would be read */

/* As value_read_int(), or a decimal number with a unit behind it: "64kB", "16 MB", "1GB". */
bool value_read_bytes(const char *text, int64_t min, int64_t max, int64_t *bytes);

/* The number that value_read_time_us() would read: "0.5", "15". */
void value_write_time(struct buf *out, int64_t time_us, int64_t unit_us);

/* Lists are words with commas or blanks between them.  Finds the next one, begins at *pos and moves
 * it on: for (pos = list; conf_list_next(&pos, &word);) */
bool conf_list_next(const char **pos, struct slice *word);
bool conf_list_has(const char *list, const char *word, size_t len);
bool conf_list_has_nocase(const char *list, const char *word, size_t len);

#endif
