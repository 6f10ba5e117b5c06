/*
 * conf/splitting.h - the settings of read/write splitting: what counts, and checks of their texts
 *
 * The value that counts is what the user's entry says, else the database's, else the cluster's, else the
 * setting; user, database and cluster may be NULL.
 *
 * Threading:  any thread
 * Errors:     of a check to *err, one whole sentence without the place
 */
#ifndef CONF_SPLITTING_H
#define CONF_SPLITTING_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/words.h"

struct conf_cluster;
struct conf_database;
struct conf_report;
struct conf_user;
struct err;
struct settings;

/* Without a cluster there is nothing to split: false. */
bool conf_read_write_split(const struct settings *settings, const struct conf_database *database,
                           const struct conf_user *user, const struct conf_cluster *cluster);
int64_t conf_max_lag_us(const struct settings *settings, const struct conf_database *database,
                        const struct conf_user *user, /* 0: no bound */
                        const struct conf_cluster *cluster);
enum reads_follow conf_reads_follow_writes(const struct settings *settings,
                                           const struct conf_database *database,
                                           const struct conf_user *user,
                                           const struct conf_cluster *cluster);

int64_t conf_max_lag_bytes(const struct settings *settings, /* 0: no bound */
                           const struct conf_cluster *cluster);
enum read_from conf_read_from(const struct settings *settings, const struct conf_cluster *cluster);
enum balance conf_balance(const struct settings *settings, const struct conf_cluster *cluster);
/* Texts, never NULL; they live as long as the settings. */
const char *conf_read_functions(const struct settings *settings,
                                const struct conf_cluster *cluster);
const char *conf_write_functions(const struct settings *settings,
                                 const struct conf_cluster *cluster);
const char *conf_write_patterns(const struct settings *settings,
                                const struct conf_cluster *cluster);
const char *conf_zone(const struct settings *settings, const struct conf_cluster *cluster);

/* A list of names such as: report, app."Refresh".  key: for the error. */
bool conf_check_functions(const char *key, const char *list, struct err *err);
/* A POSIX extended regular expression, compiled as whoever matches it has to: with CONF_PATTERN_FLAGS. */
bool conf_check_pattern(const char *key, const char *pattern, struct err *err);
#define CONF_PATTERN_FLAGS (REG_EXTENDED | REG_ICASE | REG_NOSUB)

/* The settings are complete: can what they ask for be held? */
void conf_check_splitting(const struct settings *settings, const char *file,
                          struct conf_report *report);

#endif
