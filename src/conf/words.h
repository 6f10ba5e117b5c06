/*
 * conf/words.h - settings whose value is one of a few words
 *
 * Words compare without case.  Those that PgBouncer knows and this version does not are in the
 * tables too, so that they are refused by name.
 */
#ifndef CONF_WORDS_H
#define CONF_WORDS_H

#include <stdbool.h>

enum auth_type {
    AUTH_TRUST,
    AUTH_ANY,
    AUTH_PLAIN,
    AUTH_MD5,
    AUTH_SCRAM,
    AUTH_CERT,
    AUTH_HBA,
    AUTH_LDAP,
    AUTH_PAM,
};

enum pool_mode { POOL_SESSION, POOL_TRANSACTION, POOL_STATEMENT };
enum session_state { STATE_OFF, STATE_TRACK, STATE_STRICT };
enum function_state { FUNCTION_TRUST, FUNCTION_PROBE, FUNCTION_RESET, FUNCTION_PIN };
enum session_role { ROLE_PIN, ROLE_CARRY };
enum read_from {
    READ_FROM_PREFER_STANDBY, /* the primary if no standby will do */
    READ_FROM_STANDBY_ONLY,   /* an error if none will */
    READ_FROM_ANY,            /* the primary is one of them */
    READ_FROM_PRIMARY,
};
enum balance { BY_LEAST_OUTSTANDING, BY_ROUND_ROBIN, BY_RANDOM, BY_PEAK_EWMA, BY_CLIENT_HASH };
/* Whose writes a read has to show. */
enum reads_follow {
    FOLLOW_SESSION,  /* those of the same session */
    FOLLOW_DATABASE, /* those of all clients of the database */
    FOLLOW_OFF,
};
enum node_role { NODE_ROLE_ANY, NODE_ROLE_STANDBY /* never the primary for us */ };

enum tls_mode {
    TLS_DISABLE,
    TLS_ALLOW,
    TLS_PREFER,
    TLS_REQUIRE,
    TLS_VERIFY_CA,
    TLS_VERIFY_FULL,
};

/* As RFC 3164 numbers them. */
enum syslog_facility {
    FACILITY_USER = 1,
    FACILITY_DAEMON = 3,
    FACILITY_AUTH = 4,
    FACILITY_AUTHPRIV = 10,
    FACILITY_LOCAL0 = 16, /* and up to local7 */
};

struct conf_word {
    const char *word; /* NULL ends a table */
    int value;
    bool built;          /* false: known, but refused by this version */
    const char *warning; /* NULL, or what the operator has to know who sets it */
};

extern const struct conf_word auth_type_words[];
extern const struct conf_word pool_mode_words[];
extern const struct conf_word session_state_words[];
extern const struct conf_word function_state_words[];
extern const struct conf_word session_role_words[];
extern const struct conf_word client_tls_words[];
extern const struct conf_word server_tls_words[];
extern const struct conf_word load_balance_words[];
extern const struct conf_word node_role_words[];
extern const struct conf_word read_from_words[];
extern const struct conf_word balance_words[];
extern const struct conf_word reads_follow_words[];
extern const struct conf_word syslog_facility_words[];

/* Which of a list of hosts the next server is opened to. */
enum load_balance { BALANCE_ROUND_ROBIN, BALANCE_DISABLE /* the same, until it fails */ };

const struct conf_word *conf_find_word(const struct conf_word *words, const char *word);
const char *conf_word_of(const struct conf_word *words, int value); /* "?" for no value of it */

const char *auth_type_name(enum auth_type type);
const char *pool_mode_name(enum pool_mode mode);

#endif
