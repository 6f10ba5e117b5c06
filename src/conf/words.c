#include "conf/words.h"

#include <stddef.h>
#include <strings.h>

/* clang-format off */
const struct conf_word auth_type_words[] = {
    {"any",           AUTH_ANY,   true,  NULL},
    {"trust",         AUTH_TRUST, true,  NULL},
    {"plain",         AUTH_PLAIN, true,  NULL},
    {"md5",           AUTH_MD5,   true,  NULL},
    {"scram-sha-256", AUTH_SCRAM, true,  NULL},
    {"cert",          AUTH_CERT,  false, NULL},
    {"hba",           AUTH_HBA,   false, NULL},
    {"ldap",          AUTH_LDAP,  false, NULL},
    {"pam",           AUTH_PAM,   false, NULL},
    {NULL,            0,          false, NULL},
};

const struct conf_word pool_mode_words[] = {
    {"session",     POOL_SESSION,     true,  NULL},
    {"transaction", POOL_TRANSACTION, true,  NULL},
    {"statement",   POOL_STATEMENT,   true,  NULL},
    {NULL,          0,                false, NULL},
};

const struct conf_word session_state_words[] = {
    {"off",    STATE_OFF,    true,  NULL},
    {"track",  STATE_TRACK,  true,  NULL},
    {"strict", STATE_STRICT, true,  NULL},
    {NULL,     0,            false, NULL},
};

const struct conf_word function_state_words[] = {
    {"trust", FUNCTION_TRUST, true,  NULL},
    {"probe", FUNCTION_PROBE, true,  NULL},
    {"reset", FUNCTION_RESET, true,  NULL},
    {"pin",   FUNCTION_PIN,   true,  NULL},
    {NULL,    0,              false, NULL},
};

const struct conf_word session_role_words[] = {
    {"pin",   ROLE_PIN,   true,  NULL},
    {"carry", ROLE_CARRY, true,  NULL},
    {NULL,    0,          false, NULL},
};

const struct conf_word client_tls_words[] = {
    {"disable",     TLS_DISABLE,     true,  NULL},
    {"allow",       TLS_ALLOW,       false, NULL},
    {"prefer",      TLS_PREFER,      false, NULL},
    {"require",     TLS_REQUIRE,     false, NULL},
    {"verify-ca",   TLS_VERIFY_CA,   false, NULL},
    {"verify-full", TLS_VERIFY_FULL, false, NULL},
    {NULL,          0,               false, NULL},
};

#define NOT_ENCRYPTED "connections to servers are not encrypted by this version"

const struct conf_word server_tls_words[] = {
    {"disable",     TLS_DISABLE,     true,  NULL},
    {"allow",       TLS_ALLOW,       true,  NOT_ENCRYPTED},
    {"prefer",      TLS_PREFER,      true,  NOT_ENCRYPTED},
    {"require",     TLS_REQUIRE,     false, NULL},
    {"verify-ca",   TLS_VERIFY_CA,   false, NULL},
    {"verify-full", TLS_VERIFY_FULL, false, NULL},
    {NULL,          0,               false, NULL},
};

const struct conf_word load_balance_words[] = {
    {"round-robin", 0, true,  NULL},
    {"disable",     1, true,  NULL},
    {NULL,          0, false, NULL},
};

const struct conf_word node_role_words[] = {
    {"standby", NODE_ROLE_STANDBY, true,  NULL},
    {NULL,      0,                 false, NULL},
};

const struct conf_word read_from_words[] = {
    {"prefer_standby", READ_FROM_PREFER_STANDBY, true,  NULL},
    {"standby_only",   READ_FROM_STANDBY_ONLY,   true,  NULL},
    {"any",            READ_FROM_ANY,            true,  NULL},
    {"primary",        READ_FROM_PRIMARY,        true,  NULL},
    {NULL,             0,                        false, NULL},
};

const struct conf_word balance_words[] = {
    {"least_outstanding", BY_LEAST_OUTSTANDING, true,  NULL},
    {"round_robin",       BY_ROUND_ROBIN,       true,  NULL},
    {"random",            BY_RANDOM,            true,  NULL},
    {"peak_ewma",         BY_PEAK_EWMA,         true,  NULL},
    {"client_hash",       BY_CLIENT_HASH,       true,  NULL},
    {NULL,                0,                    false, NULL},
};

const struct conf_word reads_follow_words[] = {
    {"session",  FOLLOW_SESSION,  true,  NULL},
    {"database", FOLLOW_DATABASE, true,  NULL},
    {"off",      FOLLOW_OFF,      true,  NULL},
    {NULL,       0,               false, NULL},
};

const struct conf_word syslog_facility_words[] = {
    {"auth",     FACILITY_AUTH,       true,  NULL},
    {"authpriv", FACILITY_AUTHPRIV,   true,  NULL},
    {"daemon",   FACILITY_DAEMON,     true,  NULL},
    {"user",     FACILITY_USER,       true,  NULL},
    {"local0",   FACILITY_LOCAL0,     true,  NULL},
    {"local1",   FACILITY_LOCAL0 + 1, true,  NULL},
    {"local2",   FACILITY_LOCAL0 + 2, true,  NULL},
    {"local3",   FACILITY_LOCAL0 + 3, true,  NULL},
    {"local4",   FACILITY_LOCAL0 + 4, true,  NULL},
    {"local5",   FACILITY_LOCAL0 + 5, true,  NULL},
    {"local6",   FACILITY_LOCAL0 + 6, true,  NULL},
    {"local7",   FACILITY_LOCAL0 + 7, true,  NULL},
    {NULL,       0,                   false, NULL},
};
/* clang-format on */

const struct conf_word *conf_find_word(const struct conf_word *words, const char *word)
{
    for (; words->word != NULL; words++)
        if (strcasecmp(words->word, word) == 0)
            return words;
    return NULL;
}

const char *conf_word_of(const struct conf_word *words, int value)
{
    for (; words->word != NULL; words++)
        if (words->value == value)
            return words->word;
    return "?";
}

const char *auth_type_name(enum auth_type type)
{
    return conf_word_of(auth_type_words, (int)type);
}

const char *pool_mode_name(enum pool_mode mode)
{
    return conf_word_of(pool_mode_words, (int)mode);
}
