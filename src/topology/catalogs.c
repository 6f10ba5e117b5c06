#include "topology/catalogs.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/settings.h"
#include "net/loop.h"
#include "topology/asker.h"
#include "topology/catalog_rows.h"
#include "topology/view.h"

enum {
    MOST_CATALOGS = 1000,
};

#define INTERVAL_US INT64_C(60000000)
#define RETRY_US    INT64_C(2000000)
#define GAP_US      INT64_C(1000000) /* between the beginnings of two questions */
#define LIMIT_US    INT64_C(30000000)

/* ---- what is published ---- */

static struct catalog_set *set_new(size_t n)
{
    struct catalog_set *set = mem_new(sizeof *set);
    atomic_init(&set->refs, 1);
    set->at = mem_new_array(n, sizeof *set->at);
    return set;
}

/* ---- databases ---- */

struct database {
    struct catalogs *catalogs;   /* borrowed */
    TAILQ_ENTRY(database) entry; /* in catalogs->databases */
    char *cluster, *dbname;      /* owned */
    struct asker *asker;         /* owned; NULL before the first question */
    struct deadline deadline;    /* the next question */
    bool asking;
    bool old; /* what is being loaded, or is there */
    int64_t began_us;
    struct catalog *catalog; /* counted; NULL: none */
    uint64_t sum;            /* of what it was made from */
    char error[256];         /* of the last question; "": it was answered */
};

/* What other threads have asked for. */
struct wish {
    TAILQ_ENTRY(wish) entry;
    char *cluster, *dbname; /* owned */
    bool old;
};

TAILQ_HEAD(wish_list, wish);

struct catalogs {
    struct loop *loop; /* borrowed, as the next */
    struct resolver *resolver;
    catalogs_publish *publish;
    void *context;
    struct settings *settings;  /* counted; NULL before the first */
    struct topology_view *view; /* likewise */
    TAILQ_HEAD(database_list, database) databases;
    size_t n_databases;
    uint64_t generation; /* of the last catalog */
    bool stopped;
    pthread_mutex_t lock;    /* of what follows */
    struct wish_list wishes; /* each database once */
    bool posted;
    struct mail mail;
};

static void publish(struct catalogs *catalogs)
{
    struct catalog_set *set = set_new(catalogs->n_databases);
    const struct database *database;
    TAILQ_FOREACH (database, &catalogs->databases, entry) {
        struct catalog *catalog = database->catalog;
        set->at[set->n++] =
            (struct catalog_of){mem_strdup(database->cluster), mem_strdup(database->dbname),
                                catalog != NULL ? catalog_ref(catalog) : NULL};
    }
    catalogs->publish(catalogs->context, set);
    catalog_set_unref(set);
}

/* ---- the answer ---- */

static void use(struct database *database, struct catalog *catalog, uint64_t sum)
{
    catalog_unref(database->catalog);
    database->catalog = catalog;
    database->sum = sum;
    publish(database->catalogs);
}

static void take_rows(struct database *database, const struct pg_result *result)
{
    uint64_t sum = catalog_rows_sum(result);
    if (database->catalog == NULL || sum != database->sum)
        use(database, catalog_of_rows(result, ++database->catalogs->generation), sum);
}

static void take_error(struct database *database, const char *error)
{
    if (strcmp(database->error, error) == 0)
        return;
    snprintf(database->error, sizeof database->error, "%s", error);
    log_warning("cluster \"%s\": could not load the catalog of database \"%s\": %s",
                database->cluster, database->dbname, error);
}

static void ask_at(struct database *database, int64_t at_us)
{
    int64_t first_us = database->began_us + GAP_US;
    deadline_set(database->catalogs->loop, &database->deadline, DEADLINE_OTHER,
                 at_us > first_us ? at_us : first_us);
}

static void on_answer(void *context, const struct pg_result *result, const char *error)
{
    struct database *database = context;
    int64_t now_us = clock_now_us();
    bool old = database->old;
    database->asking = database->old = false;
    if (result == NULL) {
        take_error(database, error);
        ask_at(database, now_us + RETRY_US);
        return;
    }
    if (catalog_rows_are_bounded(result)) {
        database->error[0] = '\0';
        take_rows(database, result);
    } else {
        take_error(database, "it has too much in it");
        if (database->catalog != NULL)
            use(database, NULL, 0);
    }
    asker_drop(database->asker);
    ask_at(database, old ? now_us : now_us + INTERVAL_US);
}

static void on_lost(void *context)
{
}

static const struct asker_calls calls = {on_answer, on_lost};

/* ---- the question ---- */

static void ask(struct database *database, const struct conf_cluster *conf,
                const struct cluster_view *cluster)
{
    struct catalogs *catalogs = database->catalogs;
    struct asker_target target = {.host = cluster->host,
                                  .port = cluster->port,
                                  .user = conf->probe_user,
                                  .dbname = database->dbname,
                                  .password = asker_secret(catalogs->settings, conf->probe_user),
                                  .application_name = "howdah catalog"};
    if (database->asker == NULL)
        database->asker = asker_new(catalogs->loop, catalogs->resolver, &target, &calls, database);
    else
        asker_retarget(database->asker, &target);
    database->asking = true;
    database->began_us = clock_now_us();
    asker_ask(database->asker, catalog_question, LIMIT_US);
}

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    struct database *database = CONTAINER_OF(deadline, struct database, deadline);
    struct catalogs *catalogs = database->catalogs;
    const struct conf_cluster *conf = conf_find_cluster(catalogs->settings, database->cluster);
    const struct cluster_view *cluster = topology_view_find(catalogs->view, database->cluster);
    if (conf != NULL && cluster != NULL && cluster->host != NULL)
        ask(database, conf, cluster);
    else
        ask_at(database, clock_now_us() + RETRY_US);
}

/* ---- databases come and go ---- */

static struct database *find_database(struct catalogs *catalogs, const char *cluster,
                                      const char *dbname)
{
    struct database *database;
    TAILQ_FOREACH (database, &catalogs->databases, entry) {
        if (strcmp(database->cluster, cluster) == 0 && strcmp(database->dbname, dbname) == 0)
            return database;
    }
    return NULL;
}

static void add_database(struct catalogs *catalogs, const struct wish *wish)
{
    if (catalogs->n_databases == MOST_CATALOGS ||
        conf_find_cluster(catalogs->settings, wish->cluster) == NULL)
        return;
    struct database *database = mem_new(sizeof *database);
    database->catalogs = catalogs;
    database->cluster = mem_strdup(wish->cluster);
    database->dbname = mem_strdup(wish->dbname);
    database->deadline.expired = on_deadline;
    TAILQ_INSERT_TAIL(&catalogs->databases, database, entry);
    catalogs->n_databases++;
    ask_at(database, clock_now_us());
}

static void free_database(struct database *database)
{
    struct catalogs *catalogs = database->catalogs;
    TAILQ_REMOVE(&catalogs->databases, database, entry);
    catalogs->n_databases--;
    asker_free(database->asker);
    deadline_clear(catalogs->loop, &database->deadline);
    catalog_unref(database->catalog);
    mem_free(database->cluster);
    mem_free(database->dbname);
    mem_free(database);
}

void catalogs_use(struct catalogs *catalogs, struct settings *settings)
{
    struct database *database, *next;
    bool dropped = false;
    settings_unref(catalogs->settings);
    catalogs->settings = settings_ref(settings);
    for (database = TAILQ_FIRST(&catalogs->databases); database != NULL; database = next) {
        next = TAILQ_NEXT(database, entry);
        if (conf_find_cluster(settings, database->cluster) != NULL)
            continue;
        free_database(database);
        dropped = true;
    }
    if (dropped)
        publish(catalogs);
}

/* Those that wait for their first answer, perhaps for a primary, ask at once. */
void catalogs_take_view(struct catalogs *catalogs, struct topology_view *view)
{
    struct database *database;
    topology_view_unref(catalogs->view);
    catalogs->view = topology_view_ref(view);
    TAILQ_FOREACH (database, &catalogs->databases, entry) {
        if (!database->asking && database->catalog == NULL)
            ask_at(database, clock_now_us());
    }
}

/* ---- wishes of other threads ---- */

static void free_wish(struct wish *wish)
{
    mem_free(wish->cluster);
    mem_free(wish->dbname);
    mem_free(wish);
}

static void grant(struct catalogs *catalogs, const struct wish *wish)
{
    struct database *database = find_database(catalogs, wish->cluster, wish->dbname);
    if (database == NULL)
        add_database(catalogs, wish);
    else if (wish->old && database->asking)
        database->old = true;
    else if (wish->old)
        ask_at(database, clock_now_us());
}

static void deliver_wishes(struct mail *mail, struct loop *loop)
{
    struct catalogs *catalogs = CONTAINER_OF(mail, struct catalogs, mail);
    struct wish_list wishes = TAILQ_HEAD_INITIALIZER(wishes);
    struct wish *wish;
    pthread_mutex_lock(&catalogs->lock);
    TAILQ_CONCAT(&wishes, &catalogs->wishes, entry);
    catalogs->posted = false;
    pthread_mutex_unlock(&catalogs->lock);
    while ((wish = TAILQ_FIRST(&wishes)) != NULL) {
        TAILQ_REMOVE(&wishes, wish, entry);
        if (!catalogs->stopped)
            grant(catalogs, wish);
        free_wish(wish);
    }
}

/* The lock is held. */
static struct wish *get_wish(struct catalogs *catalogs, const char *cluster, const char *dbname)
{
    struct wish *wish;
    TAILQ_FOREACH (wish, &catalogs->wishes, entry) {
        if (strcmp(wish->cluster, cluster) == 0 && strcmp(wish->dbname, dbname) == 0)
            return wish;
    }
    wish = mem_new(sizeof *wish);
    wish->cluster = mem_strdup(cluster);
    wish->dbname = mem_strdup(dbname);
    TAILQ_INSERT_TAIL(&catalogs->wishes, wish, entry);
    return wish;
}

static void add_wish(struct catalogs *catalogs, const char *cluster, const char *dbname, bool old)
{
    pthread_mutex_lock(&catalogs->lock);
    struct wish *wish = get_wish(catalogs, cluster, dbname);
    wish->old = wish->old || old;
    bool post = !catalogs->posted;
    catalogs->posted = true;
    pthread_mutex_unlock(&catalogs->lock);
    if (post)
        loop_post(catalogs->loop, &catalogs->mail);
}

void catalogs_want(struct catalogs *catalogs, const char *cluster, const char *dbname)
{
    add_wish(catalogs, cluster, dbname, false);
}

void catalogs_are_old(struct catalogs *catalogs, const char *cluster, const char *dbname)
{
    add_wish(catalogs, cluster, dbname, true);
}

/* ---- life ---- */

struct catalogs *catalogs_new(struct loop *loop, struct resolver *resolver,
                              catalogs_publish *publish_set, void *context)
{
    struct catalogs *catalogs = mem_new(sizeof *catalogs);
    catalogs->loop = loop;
    catalogs->resolver = resolver;
    catalogs->publish = publish_set;
    catalogs->context = context;
    catalogs->mail.deliver = deliver_wishes;
    TAILQ_INIT(&catalogs->databases);
    TAILQ_INIT(&catalogs->wishes);
    pthread_mutex_init(&catalogs->lock, NULL);
    return catalogs;
}

void catalogs_stop(struct catalogs *catalogs)
{
    catalogs->stopped = true;
    while (!TAILQ_EMPTY(&catalogs->databases))
        free_database(TAILQ_FIRST(&catalogs->databases));
}

void catalogs_free(struct catalogs *catalogs)
{
    struct wish *wish;
    if (catalogs == NULL)
        return;
    catalogs_stop(catalogs);
    while ((wish = TAILQ_FIRST(&catalogs->wishes)) != NULL) {
        TAILQ_REMOVE(&catalogs->wishes, wish, entry);
        free_wish(wish);
    }
    settings_unref(catalogs->settings);
    topology_view_unref(catalogs->view);
    pthread_mutex_destroy(&catalogs->lock);
    mem_free(catalogs);
}
