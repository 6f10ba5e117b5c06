#include "conf/descriptors.h"

#include "conf/settings.h"
#include "conf/userlist.h"

enum { OWN = 64 }; /* listeners, loops, log, and connections that are being closed */

/* A pool never has more servers than there are clients to ask for one. */
static int64_t servers_of_pool(const struct settings *settings,
                               const struct conf_database *database)
{
    int size = conf_pool_size(settings, database, NULL);
    if (size > 0)
        size += conf_reserve_pool_size(settings, database, NULL);
    return size > 0 && size < settings->max_client_conn ? size : settings->max_client_conn;
}

static int64_t servers_of(const struct settings *settings, const struct conf_database *database)
{
    size_t n_users = database->user != NULL ? 1 : userlist_count(settings->users);
    int64_t most = (int64_t)n_users * servers_of_pool(settings, database);
    int limit = conf_max_db_connections(settings, database);
    return limit > 0 && limit < most ? limit : most;
}

int64_t descriptors_needed(const struct settings *settings)
{
    const struct conf_database *database = conf_auto_database(settings);
    int64_t n = (int64_t)OWN + settings->max_client_conn;
    if (database != NULL)
        n += servers_of(settings, database);
    database = NULL;
    while ((database = conf_next_database(settings, database)) != NULL)
        n += servers_of(settings, database);
    return n;
}
