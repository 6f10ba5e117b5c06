#include "conf/settings.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/ini.h"
#include "conf/report.h"
#include "conf/splitting.h"
#include "conf/table.h"
#include "conf/userlist.h"

enum section {
    SECTION_NONE,
    SECTION_MAIN,
    SECTION_DATABASES,
    SECTION_USERS,
    SECTION_PEERS,
    SECTION_CLUSTER
};

/* One load, while it goes on. */
struct load {
    struct settings *settings;  /* owned */
    struct conf_report *report; /* borrowed */
    bool seen_any;              /* the file could be read, and has something in it */
    bool seen_main;             /* the section [pgbouncer] */
    char *auth_file_at;         /* owned: the file and line that set auth_file; NULL for none */
    int auth_file_line;
};

struct settings *settings_new(void)
{
    struct settings *settings = mem_new(sizeof *settings);
    atomic_init(&settings->refs, 1);
    conf_fill_defaults(settings);
    settings->entries = entries_new();
    settings->users = userlist_new();
    settings->clusters = clusters_new();
    return settings;
}

struct settings *settings_ref(struct settings *settings)
{
    atomic_fetch_add_explicit(&settings->refs, 1, memory_order_relaxed);
    return settings;
}

void settings_unref(struct settings *settings)
{
    if (settings == NULL || atomic_fetch_sub_explicit(&settings->refs, 1, memory_order_acq_rel) > 1)
        return;
    conf_free_texts(settings);
    entries_unref(settings->entries);
    userlist_unref(settings->users);
    clusters_unref(settings->clusters);
    mem_free(settings);
}

static enum section section_of(const char *name)
{
    static const struct {
        const char *name;
        enum section section;
    } sections[] = {
        {"pgbouncer", SECTION_MAIN}, {"howdah", SECTION_MAIN}, {"databases", SECTION_DATABASES},
        {"users", SECTION_USERS},    {"peers", SECTION_PEERS},
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strcmp(sections[i].name, name) == 0)
            return sections[i].section;
    return clusters_is_section(name) ? SECTION_CLUSTER : SECTION_NONE;
}

static void take_header(struct load *load, const struct ini_entry *entry)
{
    char excerpt[CONF_EXCERPT_MAX];
    enum section section = section_of(entry->section);
    if (section == SECTION_NONE)
        conf_report_error(load->report, entry->file, entry->line,
                          "section \"%s\": expected pgbouncer, howdah, databases, users, peers "
                          "or cluster.NAME",
                          conf_excerpt(entry->section, excerpt));
    if (section == SECTION_CLUSTER)
        clusters_add(load->settings->clusters, entry, load->report);
    load->seen_main = load->seen_main || section == SECTION_MAIN;
}

static void note_auth_file(struct load *load, const struct ini_entry *entry)
{
    if (strcmp(entry->key, "auth_file") != 0)
        return;
    mem_free(load->auth_file_at);
    load->auth_file_at = mem_strdup(entry->file);
    load->auth_file_line = entry->line;
}

static void take_setting(struct load *load, const struct ini_entry *entry)
{
    char excerpt[CONF_EXCERPT_MAX];
    struct err err = ERR_NONE;
    const struct conf_setting *setting = conf_find_setting(entry->key);
    if (setting == NULL) {
        conf_report_error(load->report, entry->file, entry->line, "unknown setting \"%s\"",
                          conf_excerpt(entry->key, excerpt));
        return;
    }
    if (!conf_store(load->settings, setting, entry->value, &err)) {
        conf_report_error(load->report, entry->file, entry->line, "%s", err.message);
        return;
    }
    const char *warning = conf_warning(setting, entry->value);
    if (warning != NULL)
        conf_report_warning(load->report, entry->file, entry->line, "setting \"%s\": %s",
                            setting->name, warning);
    note_auth_file(load, entry);
}

static void take_entry(struct load *load, const struct ini_entry *entry)
{
    char excerpt[CONF_EXCERPT_MAX];
    switch (section_of(entry->section)) {
    case SECTION_MAIN:
        take_setting(load, entry);
        break;
    case SECTION_DATABASES:
        entries_add_database(load->settings->entries, entry, load->report);
        break;
    case SECTION_USERS:
        entries_add_user(load->settings->entries, entry, load->report);
        break;
    case SECTION_PEERS:
        entries_add_peer(load->settings->entries, entry, load->report);
        break;
    case SECTION_CLUSTER:
        clusters_add(load->settings->clusters, entry, load->report);
        break;
    case SECTION_NONE: /* under a name that was refused already, or under none */
        if (entry->section[0] == '\0')
            conf_report_error(load->report, entry->file, entry->line,
                              "key \"%s\" before the first section",
                              conf_excerpt(entry->key, excerpt));
        break;
    }
}

static void take(void *context, const struct ini_entry *entry)
{
    struct load *load = context;
    load->seen_any = true;
    if (entry->key == NULL)
        take_header(load, entry);
    else
        take_entry(load, entry);
}

static bool needs_users(const struct settings *settings)
{
    return settings->auth_file[0] != '\0' && settings->auth_type != AUTH_ANY;
}

/* Without auth_file, or where nobody asks for it, there are no users. */
static bool load_users(struct settings *settings, struct conf_report *report)
{
    struct userlist *users =
        needs_users(settings) ? userlist_load(settings->auth_file, report) : userlist_new();
    if (users == NULL)
        return false;
    userlist_unref(settings->users);
    settings->users = users;
    return true;
}

static bool has_peers_without_id(const struct settings *settings)
{
    return settings->peer_id == 0 && conf_next_peer(settings, NULL) != NULL;
}

static void finish(struct load *load, const char *path, size_t errors_before)
{
    bool readable = load->seen_any || load->report->n_errors == errors_before;
    if (!load->seen_main && readable)
        conf_report_error(load->report, path, 0, "there is no section [pgbouncer] or [howdah]");
    if (!load_users(load->settings, load->report))
        conf_report_error(load->report, load->auth_file_at, load->auth_file_line,
                          "setting \"auth_file\": could not load the users from \"%s\"",
                          load->settings->auth_file);
    clusters_check(load->settings->clusters, load->report);
    entries_check(load->settings->entries, load->settings->clusters, load->report);
    conf_check_splitting(load->settings, path, load->report);
    if (has_peers_without_id(load->settings))
        conf_report_warning(load->report, path, 0,
                            "section \"peers\" has no effect without the setting \"peer_id\"");
    mem_free(load->auth_file_at);
}

static struct settings *result(struct load *load, size_t errors_before)
{
    if (load->report->n_errors == errors_before)
        return load->settings;
    settings_unref(load->settings);
    return NULL;
}

static void set_conffile(struct settings *settings, const char *path)
{
    struct err err;
    if (settings->conffile[0] == '\0')
        conf_store(settings, conf_find_setting("conffile"), path, &err);
}

struct settings *settings_load(const char *path, struct conf_report *report)
{
    size_t errors_before = report->n_errors;
    struct load load = {.settings = settings_new(), .report = report};
    ini_read_file(path, (struct ini_sink){.take = take, .context = &load}, report);
    finish(&load, path, errors_before);
    set_conffile(load.settings, path);
    return result(&load, errors_before);
}

struct settings *settings_load_text(const char *name, const char *text, size_t len,
                                    struct conf_report *report)
{
    size_t errors_before = report->n_errors;
    struct load load = {.settings = settings_new(), .report = report};
    ini_read_text(name, text, len, (struct ini_sink){.take = take, .context = &load}, report);
    finish(&load, name, errors_before);
    return result(&load, errors_before);
}

static void keep_fixed(struct settings *settings, const struct settings *old, const char *path,
                       struct conf_report *report)
{
    for (size_t i = 0; i < conf_table_len; i++) {
        const struct conf_setting *setting = &conf_table[i];
        if (setting->reloadable || conf_same_value(settings, old, setting))
            continue;
        conf_copy_value(settings, old, setting);
        conf_report_warning(
            report, path, 0,
            "setting \"%s\" cannot be changed without a restart, the old value stays",
            setting->name);
    }
}

struct settings *settings_reload(const struct settings *old, struct conf_report *report)
{
    struct settings *settings = settings_load(old->conffile, report);
    if (settings != NULL)
        keep_fixed(settings, old, old->conffile, report);
    return settings;
}

static struct settings *copy(const struct settings *old)
{
    struct settings *settings = mem_new(sizeof *settings);
    atomic_init(&settings->refs, 1);
    for (size_t i = 0; i < conf_table_len; i++)
        conf_copy_value(settings, old, &conf_table[i]);
    settings->entries = entries_ref(old->entries);
    settings->users = userlist_ref(old->users);
    settings->clusters = clusters_ref(old->clusters);
    return settings;
}

static const struct conf_setting *find_changeable(const char *key, struct err *err)
{
    char excerpt[CONF_EXCERPT_MAX];
    const struct conf_setting *setting = conf_find_setting(key);
    if (setting == NULL) {
        err_set(err, SQLSTATE_UNDEFINED_OBJECT, "unrecognized setting \"%s\"",
                conf_excerpt(key, excerpt));
    } else if (!setting->reloadable) {
        err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE,
                "setting \"%s\" cannot be changed without a restart", key);
        setting = NULL;
    }
    return setting;
}

/* SET of auth_file or auth_type may ask for other users than those in memory. */
static bool reload_users(struct settings *settings, const struct settings *old, struct err *err)
{
    bool same = needs_users(settings) == needs_users(old) &&
                strcmp(settings->auth_file, old->auth_file) == 0;
    if (same)
        return true;
    struct conf_report report;
    conf_report_init(&report);
    bool loaded = load_users(settings, &report);
    if (!loaded)
        err_set(err, SQLSTATE_CONFIG_FILE_ERROR, "could not load the users from auth_file");
    for (size_t i = 0; !loaded && i < report.n_notes; i++)
        if (report.notes[i].is_error)
            err_detail(err, "%s.", report.notes[i].text);
    conf_report_done(&report);
    return loaded;
}

struct settings *settings_set(const struct settings *old, const char *key, const char *value,
                              struct err *err)
{
    const struct conf_setting *setting = find_changeable(key, err);
    if (setting == NULL)
        return NULL;
    struct settings *settings = copy(old);
    if (conf_store(settings, setting, value, err) && reload_users(settings, old, err))
        return settings;
    settings_unref(settings);
    return NULL;
}

const struct conf_database *conf_find_database(const struct settings *settings, const char *name)
{
    return entries_find_database(settings->entries, name);
}

const struct conf_database *conf_auto_database(const struct settings *settings)
{
    return entries_auto_database(settings->entries);
}

const struct conf_user *conf_find_user(const struct settings *settings, const char *name)
{
    return entries_find_user(settings->entries, name);
}

const struct conf_peer *conf_find_peer(const struct settings *settings, int id)
{
    return entries_find_peer(settings->entries, id);
}

const struct conf_cluster *conf_find_cluster(const struct settings *settings, const char *name)
{
    return clusters_find(settings->clusters, name);
}

const char *conf_find_secret(const struct settings *settings, const char *user)
{
    return userlist_find(settings->users, user);
}

const char *conf_next_listed_user(const struct settings *settings, const char *after)
{
    return userlist_next(settings->users, after);
}

const struct conf_database *conf_next_database(const struct settings *settings,
                                               const struct conf_database *after)
{
    return entries_next_database(settings->entries, after);
}

const struct conf_user *conf_next_user(const struct settings *settings,
                                       const struct conf_user *after)
{
    return entries_next_user(settings->entries, after);
}

const struct conf_peer *conf_next_peer(const struct settings *settings,
                                       const struct conf_peer *after)
{
    return entries_next_peer(settings->entries, after);
}

const struct conf_cluster *conf_next_cluster(const struct settings *settings,
                                             const struct conf_cluster *after)
{
    return clusters_next(settings->clusters, after);
}

enum pool_mode conf_pool_mode(const struct settings *settings, const struct conf_database *database,
                              const struct conf_user *user)
{
    if (user != NULL && user->pool_mode >= 0)
        return (enum pool_mode)user->pool_mode;
    if (database != NULL && database->pool_mode >= 0)
        return (enum pool_mode)database->pool_mode;
    return settings->pool_mode;
}

enum session_state conf_session_state(const struct settings *settings,
                                      const struct conf_database *database,
                                      const struct conf_user *user)
{
    if (user != NULL && user->session_state >= 0)
        return (enum session_state)user->session_state;
    if (database != NULL && database->session_state >= 0)
        return (enum session_state)database->session_state;
    return settings->session_state;
}

enum function_state conf_function_state(const struct settings *settings,
                                        const struct conf_database *database,
                                        const struct conf_user *user)
{
    if (user != NULL && user->function_state >= 0)
        return (enum function_state)user->function_state;
    if (database != NULL && database->function_state >= 0)
        return (enum function_state)database->function_state;
    return settings->function_state;
}

int conf_pool_size(const struct settings *settings, const struct conf_database *database,
                   const struct conf_user *user)
{
    if (user != NULL && user->pool_size >= 0)
        return user->pool_size;
    if (database != NULL && database->pool_size >= 0)
        return database->pool_size;
    return settings->default_pool_size;
}

int conf_min_pool_size(const struct settings *settings, const struct conf_database *database)
{
    if (database != NULL && database->min_pool_size >= 0)
        return database->min_pool_size;
    return settings->min_pool_size;
}

int conf_reserve_pool_size(const struct settings *settings, const struct conf_database *database,
                           const struct conf_user *user)
{
    if (user != NULL && user->reserve_pool_size >= 0)
        return user->reserve_pool_size;
    if (database != NULL && database->reserve_pool_size >= 0)
        return database->reserve_pool_size;
    return settings->reserve_pool_size;
}

int64_t conf_query_wait_timeout_us(const struct settings *settings,
                                   const struct conf_database *database,
                                   const struct conf_user *user)
{
    if (user != NULL && user->query_wait_timeout_us >= 0)
        return user->query_wait_timeout_us;
    if (database != NULL && database->query_wait_timeout_us >= 0)
        return database->query_wait_timeout_us;
    return settings->query_wait_timeout_us;
}

int64_t conf_server_lifetime_us(const struct settings *settings,
                                const struct conf_database *database)
{
    bool own = database != NULL && database->server_lifetime_us > 0;
    return own ? database->server_lifetime_us : settings->server_lifetime_us;
}

/* Of a limit, "not said" and "none" are the same. */
static int limit(int own, int general)
{
    if (own > 0)
        return own;
    return general > 0 ? general : 0;
}

int conf_max_db_connections(const struct settings *settings, const struct conf_database *database)
{
    return limit(database != NULL ? database->max_db_connections : 0, settings->max_db_connections);
}

int conf_max_user_connections(const struct settings *settings, const struct conf_user *user)
{
    return limit(user != NULL ? user->max_user_connections : 0, settings->max_user_connections);
}

int conf_max_db_client_connections(const struct settings *settings,
                                   const struct conf_database *database)
{
    return limit(database != NULL ? database->max_db_client_connections : 0,
                 settings->max_db_client_connections);
}

int conf_max_user_client_connections(const struct settings *settings, const struct conf_user *user)
{
    return limit(user != NULL ? user->max_user_client_connections : 0,
                 settings->max_user_client_connections);
}

int64_t conf_query_timeout_us(const struct settings *settings, const struct conf_user *user)
{
    bool own = user != NULL && user->query_timeout_us > 0;
    return own ? user->query_timeout_us : settings->query_timeout_us;
}

int64_t conf_idle_transaction_timeout_us(const struct settings *settings,
                                         const struct conf_user *user)
{
    bool own = user != NULL && user->idle_transaction_timeout_us > 0;
    return own ? user->idle_transaction_timeout_us : settings->idle_transaction_timeout_us;
}

int64_t conf_transaction_timeout_us(const struct settings *settings, const struct conf_user *user)
{
    bool own = user != NULL && user->transaction_timeout_us > 0;
    return own ? user->transaction_timeout_us : settings->transaction_timeout_us;
}

int64_t conf_client_idle_timeout_us(const struct settings *settings, const struct conf_user *user)
{
    bool own = user != NULL && user->client_idle_timeout_us > 0;
    return own ? user->client_idle_timeout_us : settings->client_idle_timeout_us;
}

int conf_peer_pool_size(const struct settings *settings, const struct conf_peer *peer)
{
    /* "No limit" is for servers that clients with a login ask for.  Anybody can send a cancel
     * request. */
    enum { MOST = 100 };
    if (peer->pool_size >= 0)
        return peer->pool_size;
    return settings->default_pool_size > 0 ? settings->default_pool_size : MOST;
}
