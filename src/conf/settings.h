/*
 * conf/settings.h - all settings, as one value that never changes
 *
 * A snapshot holds what the file, its includes and auth_file said at one moment.  RELOAD and SET
 * make a new one; whoever needs a value for longer than a call keeps a reference.  Which settings
 * there are, and what they mean, is in conf/settings.def.
 *
 * The file is PgBouncer's: sections [pgbouncer], also called [howdah], [databases], [users],
 * [peers] and [cluster.NAME]; conf/ini.h has the rules of its lines.  Relative paths in it start from the current
 * directory, as there.  Differences from PgBouncer:
 *
 *   - a second [pgbouncer] header goes on where the first ended; there it puts every setting back
 *     to its default, so that an include undoes what stood above it;
 *   - a setting that is no longer in the file gets its default, without exception;
 *   - booleans may be words, times may have units, unix_socket_mode needs its leading 0;
 *   - what is not understood is refused, and all of it is reported, not only the first;
 *   - SET of what cannot change is refused, where there it answers success.
 *
 * Ownership:  a snapshot owns all it points to, until the last reference is dropped; strings,
 *             databases, users and peers are lent until then
 * Threading:  any thread may read, take and drop references; loading is for one thread at a time
 * Errors:     of a load go to the report (conf/report.h), of one value to *err
 */
#ifndef CONF_SETTINGS_H
#define CONF_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/clusters.h"
#include "conf/entries.h"
#include "conf/words.h"

struct conf_report;
struct err;
struct userlist;

/* Texts are never NULL: "" when not set.  Times end in _us, and 0 is what the setting's help says,
 * mostly: off.  Lists are read with conf_list_next() and conf_list_has() of conf/value.h. */
struct settings {
#define BOOL(name, ...)      bool name;
#define INT(name, ...)       int name;
#define BYTES(name, ...)     uint32_t name;
#define TIME(name, ...)      int64_t name##_us;
#define TIME_MS(name, ...)   int64_t name##_us;
#define LAG(name, ...)       int64_t name##_us;
#define MODE(name, ...)      int name;
#define TEXT(name, ...)      const char *name;
#define WORD(name, tag, ...) enum tag name;
#include "conf/settings.def"
    /* private to conf/ */
    struct conf_entries *entries;   /* owned reference */
    struct userlist *users;         /* owned reference */
    struct conf_clusters *clusters; /* owned reference */
    atomic_int refs;
};

/* Every default, no databases, no users. */
struct settings *settings_new(void);

/* NULL when there was any error.  The report may hold warnings in any case. */
struct settings *settings_load(const char *path, struct conf_report *report);
/* The same for text in memory that is called `name` in errors, and is not a conffile. */
struct settings *settings_load_text(const char *name, const char *text, size_t len,
                                    struct conf_report *report);
/* Loads old->conffile.  Settings that only a start can change keep their old value, with a warning
 * when the file has another. */
struct settings *settings_reload(const struct settings *old, struct conf_report *report);

/* A snapshot with one value changed, for SET.  NULL when key or value was refused: 42704 unknown,
 * 22023 not a value of it, 0A000 not in this version, 55000 cannot change, F0000 auth_file. */
struct settings *settings_set(const struct settings *old, const char *key, const char *value,
                              struct err *err);

struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings); /* accepts NULL */

/* NULL when there is none.  conf_find_database() does not fall back to the automatic one. */
const struct conf_database *conf_find_database(const struct settings *settings, const char *name);
const struct conf_database *conf_auto_database(const struct settings *settings); /* "*" */
const struct conf_user *conf_find_user(const struct settings *settings, const char *name);
const struct conf_peer *conf_find_peer(const struct settings *settings, int id);
const struct conf_cluster *conf_find_cluster(const struct settings *settings, const char *name);
/* From auth_file: plain text, md5... or SCRAM-SHA-256$...; "" when the user has none; NULL when
 * there is no such user, and for all with auth_type any, which does not read auth_file. */
const char *conf_find_secret(const struct settings *settings, const char *user);

/* The names in auth_file, in its order; after NULL comes the first, after the last NULL. */
const char *conf_next_listed_user(const struct settings *settings, const char *after);

/* In the order of the file, "*" left out; after NULL comes the first, after the last NULL. */
const struct conf_database *conf_next_database(const struct settings *settings,
                                               const struct conf_database *after);
const struct conf_user *conf_next_user(const struct settings *settings,
                                       const struct conf_user *after);
const struct conf_peer *conf_next_peer(const struct settings *settings,
                                       const struct conf_peer *after);
const struct conf_cluster *conf_next_cluster(const struct settings *settings,
                                             const struct conf_cluster *after);

/* The value that counts: what the user's entry says, else the database's, else the setting.
 * database and user may be NULL.  Sizes and limits: 0 is no limit; times: 0 is off. */
enum session_state conf_session_state(const struct settings *settings,
                                      const struct conf_database *database,
                                      const struct conf_user *user);
enum function_state conf_function_state(const struct settings *settings,
                                        const struct conf_database *database,
                                        const struct conf_user *user);
enum pool_mode conf_pool_mode(const struct settings *settings, const struct conf_database *database,
                              const struct conf_user *user);
int conf_pool_size(const struct settings *settings, const struct conf_database *database,
                   const struct conf_user *user);
int conf_min_pool_size(const struct settings *settings, const struct conf_database *database);
int conf_reserve_pool_size(const struct settings *settings, const struct conf_database *database,
                           const struct conf_user *user);
int conf_max_db_connections(const struct settings *settings, const struct conf_database *database);
int conf_max_user_connections(const struct settings *settings, const struct conf_user *user);
int64_t conf_query_wait_timeout_us(const struct settings *settings,
                                   const struct conf_database *database,
                                   const struct conf_user *user);
int64_t conf_server_lifetime_us(const struct settings *settings, /* 0: use each server once */
                                const struct conf_database *database);
int conf_max_db_client_connections(const struct settings *settings,
                                   const struct conf_database *database);
int conf_max_user_client_connections(const struct settings *settings, const struct conf_user *user);
int64_t conf_query_timeout_us(const struct settings *settings, const struct conf_user *user);
int64_t conf_idle_transaction_timeout_us(const struct settings *settings,
                                         const struct conf_user *user);
int64_t conf_transaction_timeout_us(const struct settings *settings, const struct conf_user *user);
int64_t conf_client_idle_timeout_us(const struct settings *settings, const struct conf_user *user);

/* How many cancel requests may be on their way to the peer at a time; 0: it gets none. */
int conf_peer_pool_size(const struct settings *settings, const struct conf_peer *peer);

#endif
