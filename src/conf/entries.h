/*
 * conf/entries.h - the entries of [databases], [users] and [peers]
 *
 * An entry says only what differs from the settings; -1 and NULL stand for "not said", and
 * conf/settings.h knows which value then counts.
 *
 * Differences from PgBouncer: times are read as those of [pgbouncer] are ("0.5", "500ms"), where
 * PgBouncer reads 0; numbers that are none are refused, where it reads 0 too; '' is "not said".
 *
 * Ownership:  counted references to the set; an entry lives as long as its set
 * Threading:  any thread may look up, take and drop references once all entries are added
 * Errors:     go to the report with file, line, entry and key; passwords are not quoted
 */
#ifndef CONF_ENTRIES_H
#define CONF_ENTRIES_H

#include <stdbool.h>
#include <stdint.h>

struct conf_clusters;
struct conf_entries;
struct conf_report;
struct ini_entry;

struct conf_database {
    const char *name;            /* what clients ask for; "*" for the automatic one */
    const char *dbname;          /* on the server; NULL only for "*": the client's name for it */
    const char *host;            /* a comma list; NULL: the unix socket in unix_socket_dir */
    const char *cluster;         /* instead of host and port; NULL: none */
    const char *user;            /* for all clients; NULL: each its own */
    const char *password;        /* of that user; NULL: none, or the one in auth_file */
    const char *connect_query;   /* for each new server; NULL: none */
    const char *client_encoding; /* these four: startup parameters for servers; NULL: none */
    const char *datestyle;
    const char *timezone;
    const char *application_name;
    int port;
    int pool_mode; /* enum pool_mode; -1: not said, as all below */
    int pool_size; /* 0: no limit */
    int min_pool_size;
    int reserve_pool_size;
    int max_db_connections; /* <= 0: not said, as the next */
    int max_db_client_connections;
    int balance_hosts;             /* enum load_balance */
    int session_state;             /* enum session_state; -1: not said, as the next */
    int function_state;            /* enum function_state */
    int read_write_split;          /* 0 or 1 */
    int reads_follow_writes;       /* enum reads_follow */
    int64_t max_lag_us;            /* 0: no bound */
    int64_t query_wait_timeout_us; /* 0: off */
    int64_t server_lifetime_us;    /* <= 0: not said */
};

struct conf_user {
    const char *name;
    int pool_mode; /* enum pool_mode; -1: not said, as all below */
    int pool_size; /* 0: no limit */
    int reserve_pool_size;
    int max_user_connections; /* <= 0: not said, as the next */
    int max_user_client_connections;
    int session_state;             /* enum session_state; -1: not said, as the next */
    int function_state;            /* enum function_state */
    int read_write_split;          /* 0 or 1 */
    int reads_follow_writes;       /* enum reads_follow */
    int64_t max_lag_us;            /* 0: no bound */
    int64_t query_wait_timeout_us; /* 0: off */
    int64_t query_timeout_us;      /* <= 0: not said, as all below */
    int64_t idle_transaction_timeout_us;
    int64_t transaction_timeout_us;
    int64_t client_idle_timeout_us;
};

enum { CONF_PEER_ID_MAX = 16383 };

/* Another process whose clients may send us their cancel requests, and we ours to it. */
struct conf_peer {
    int id; /* from 1 to CONF_PEER_ID_MAX */
    const char *host;
    int port;
    int pool_size; /* -1: not said */
};

struct conf_entries *entries_new(void); /* empty */
struct conf_entries *entries_ref(struct conf_entries *entries);
void entries_unref(struct conf_entries *entries); /* accepts NULL */

/* Add the line name = connection string; a name that is there already is replaced, with a warning.
 * What is wrong goes to the report, and then nothing is added. */
void entries_add_database(struct conf_entries *entries, const struct ini_entry *line,
                          struct conf_report *report);
void entries_add_user(struct conf_entries *entries, const struct ini_entry *line,
                      struct conf_report *report);
void entries_add_peer(struct conf_entries *entries, const struct ini_entry *line,
                      struct conf_report *report);
/* All lines have been added: are there the clusters that they name? */
void entries_check(const struct conf_entries *entries, const struct conf_clusters *clusters,
                   struct conf_report *report);

/* NULL when there is none.  "*" is found by entries_auto_database() only. */
const struct conf_database *entries_find_database(const struct conf_entries *entries,
                                                  const char *name);
const struct conf_database *entries_auto_database(const struct conf_entries *entries);
const struct conf_user *entries_find_user(const struct conf_entries *entries, const char *name);
const struct conf_peer *entries_find_peer(const struct conf_entries *entries, int id);

/* In the order of the file, without "*"; after NULL comes the first, after the last NULL. */
const struct conf_database *entries_next_database(const struct conf_entries *entries,
                                                  const struct conf_database *after);
const struct conf_user *entries_next_user(const struct conf_entries *entries,
                                          const struct conf_user *after);
const struct conf_peer *entries_next_peer(const struct conf_entries *entries,
                                          const struct conf_peer *after);

#endif
