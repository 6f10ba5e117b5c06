#include "conf/splitting.h"

#include <regex.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "conf/report.h"
#include "conf/settings.h"
#include "conf/value.h"

/* ---- what counts ---- */

bool conf_read_write_split(const struct settings *settings, const struct conf_database *database,
                           const struct conf_user *user, const struct conf_cluster *cluster)
{
    if (cluster == NULL)
        return false;
    if (user != NULL && user->read_write_split >= 0)
        return user->read_write_split;
    if (database != NULL && database->read_write_split >= 0)
        return database->read_write_split;
    return cluster->read_write_split >= 0 ? cluster->read_write_split : settings->read_write_split;
}

int64_t conf_max_lag_us(const struct settings *settings, const struct conf_database *database,
                        const struct conf_user *user, const struct conf_cluster *cluster)
{
    if (user != NULL && user->max_lag_us >= 0)
        return user->max_lag_us;
    if (database != NULL && database->max_lag_us >= 0)
        return database->max_lag_us;
    return cluster != NULL && cluster->max_lag_us >= 0 ? cluster->max_lag_us : settings->max_lag_us;
}

enum reads_follow conf_reads_follow_writes(const struct settings *settings,
                                           const struct conf_database *database,
                                           const struct conf_user *user,
                                           const struct conf_cluster *cluster)
{
    if (user != NULL && user->reads_follow_writes >= 0)
        return (enum reads_follow)user->reads_follow_writes;
    if (database != NULL && database->reads_follow_writes >= 0)
        return (enum reads_follow)database->reads_follow_writes;
    if (cluster != NULL && cluster->reads_follow_writes >= 0)
        return (enum reads_follow)cluster->reads_follow_writes;
    return settings->reads_follow_writes;
}

int64_t conf_max_lag_bytes(const struct settings *settings, const struct conf_cluster *cluster)
{
    bool own = cluster != NULL && cluster->max_lag_bytes >= 0;
    return own ? cluster->max_lag_bytes : settings->max_lag_bytes;
}

enum read_from conf_read_from(const struct settings *settings, const struct conf_cluster *cluster)
{
    bool own = cluster != NULL && cluster->read_from >= 0;
    return own ? (enum read_from)cluster->read_from : settings->read_from;
}

enum balance conf_balance(const struct settings *settings, const struct conf_cluster *cluster)
{
    bool own = cluster != NULL && cluster->balance >= 0;
    return own ? (enum balance)cluster->balance : settings->balance;
}

static const char *own_or(const char *own, const char *general)
{
    return own != NULL ? own : general;
}

const char *conf_read_functions(const struct settings *settings, const struct conf_cluster *cluster)
{
    return own_or(cluster != NULL ? cluster->read_functions : NULL, settings->read_functions);
}

const char *conf_write_functions(const struct settings *settings,
                                 const struct conf_cluster *cluster)
{
    return own_or(cluster != NULL ? cluster->write_functions : NULL, settings->write_functions);
}

const char *conf_write_patterns(const struct settings *settings, const struct conf_cluster *cluster)
{
    return own_or(cluster != NULL ? cluster->write_patterns : NULL, settings->write_patterns);
}

const char *conf_zone(const struct settings *settings, const struct conf_cluster *cluster)
{
    return own_or(cluster != NULL ? cluster->zone : NULL, settings->zone);
}

/* ---- checks ---- */

static bool is_name_char(unsigned char c, bool first)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
    return letter || (!first && ((c >= '0' && c <= '9') || c == '$'));
}

/* Returns what is behind the identifier; NULL: there is none. */
static const char *skip_name(const char *at, const char *end)
{
    const char *begin = at;
    if (at < end && *at == '"') {
        for (at++; at < end && (*at != '"' || (at + 1 < end && at[1] == '"')); at++)
            at += *at == '"';
        return at < end && at > begin + 1 ? at + 1 : NULL;
    }
    while (at < end && is_name_char((unsigned char)*at, at == begin))
        at++;
    return at > begin ? at : NULL;
}

static bool is_function(const struct slice *word)
{
    const char *end = word->ptr + word->len;
    const char *at = skip_name(word->ptr, end);
    if (at != NULL && at < end && *at == '.')
        at = skip_name(at + 1, end);
    return at == end;
}

bool conf_check_functions(const char *key, const char *list, struct err *err)
{
    char excerpt[CONF_EXCERPT_MAX];
    struct slice word;
    while (conf_list_next(&list, &word)) {
        if (is_function(&word))
            continue;
        return err_set(
            err, SQLSTATE_INVALID_PARAMETER_VALUE,
            "key \"%s\": expected names of functions, with or without schema and between "
            "commas, at \"%s\"",
            key, conf_excerpt(word.ptr, excerpt));
    }
    return true;
}

bool conf_check_pattern(const char *key, const char *pattern, struct err *err)
{
    char excerpt[CONF_EXCERPT_MAX], why[128];
    regex_t regex;
    int code = regcomp(&regex, pattern, CONF_PATTERN_FLAGS);
    if (code == 0) {
        regfree(&regex);
        return true;
    }
    regerror(code, &regex, why, sizeof why);
    return err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE,
                   "key \"%s\": value \"%s\": not a POSIX extended regular expression: %s", key,
                   conf_excerpt(pattern, excerpt), why);
}

/* What a standby shows is known as of the question before last, at worst. */
static bool is_shorter_than_probing(int64_t max_lag_us, const struct conf_cluster *cluster)
{
    return max_lag_us > 0 && max_lag_us < 2 * cluster->probe_interval_us;
}

static void check_lag(const struct settings *settings, const struct conf_cluster *cluster,
                      const char *file, struct conf_report *report)
{
    const struct conf_database *database = NULL;
    if (is_shorter_than_probing(conf_max_lag_us(settings, NULL, NULL, cluster), cluster))
        conf_report_warning(
            report, file, 0,
            "cluster \"%s\": max_lag is less than twice the probe_interval, so that "
            "standbys seem to be behind that are not",
            cluster->name);
    while ((database = conf_next_database(settings, database)) != NULL) {
        if (database->cluster != NULL && strcmp(database->cluster, cluster->name) == 0 &&
            is_shorter_than_probing(database->max_lag_us, cluster))
            conf_report_warning(report, file, 0,
                                "database \"%s\": max_lag is less than twice the probe_interval of "
                                "its cluster, so that standbys seem to be behind that are not",
                                database->name);
    }
}

void conf_check_splitting(const struct settings *settings, const char *file,
                          struct conf_report *report)
{
    const struct conf_cluster *cluster = NULL;
    while ((cluster = conf_next_cluster(settings, cluster)) != NULL)
        check_lag(settings, cluster, file, report);
}
