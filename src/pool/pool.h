/*
 * pool/pool.h - the pools of the process, and each worker's part in them
 *
 * A pool is the servers of one (database, user) at one place, shared by all workers: its limit is exact over
 * them, and clients wait in one order.  Clients belong to the pool at the database's own place, of a cluster
 * the primary; for their reads it may have *readers*, a pool for each node that they have been sent to.  Each worker keeps its own servers and waiters in a *part*
 * of the pool that only its thread touches; what the others must know of it stands in a *slot* of
 * atomics.  doc/architecture.md, "One pool for the process", has the rules and why none is lost.
 *
 * Ownership:  pools and databases live until pools_free(); parts until their worker is done
 * Threading:  pools_*, pool_* and database_* from any thread; part_* and pool_worker_* on the
 *             worker's own thread
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "auth/scram.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/histogram.h"
#include "conf/settings.h"
#include "net/loop.h"
#include "pool/server.h"

struct catalog;
struct catalog_set;
struct catalogs;
struct cluster_view;
struct node_view;
struct part;
struct read_rules;
struct opening;
struct cancel;
struct canon;
struct fanout;
struct pools;
struct server;
struct topology;
struct topology_view;
struct welcome;

/* No client gets a server of what is paused, and servers are closed when they become free. */
enum pause {
    PAUSE_NONE,
    PAUSE_WAIT,  /* until their clients have done with them */
    PAUSE_DRAIN, /* a session gives its server up once it is out of a transaction */
};

/* Servers that several pools share a limit of. */
struct quota {
    atomic_int n_servers; /* in being */
    atomic_int limit;     /* 0: none */
    _Atomic int64_t
        hungry_since_us; /* since when the first waits that it keeps from a server; 0: none */
    _Atomic int64_t hungry_said_us; /* when that was said: it may be long fed */
};

/* What the clients of one name share, whatever their user. */
struct database {
    struct map_entry entry; /* first: the map finds us by it */
    char *name;             /* owned */
    atomic_int n_clients;   /* logged in */
    struct quota quota;     /* max_db_connections */
    atomic_int paused;      /* enum pause */
    atomic_bool disabled;
    atomic_bool used; /* somebody has logged in to it */
    _Atomic int64_t
        write_us;          /* when a write was answered last, with reads_follow_writes = database */
    atomic_uint epoch;     /* counts RECONNECTs: servers of an earlier one are closed when free */
    struct database *next; /* in pools->databases, in order of creation; never changes */
};

/* What the clients of one user share, whatever their database. */
struct role {
    struct map_entry entry; /* first: the map finds us by it */
    char *name;             /* owned */
    atomic_int n_clients;   /* logged in */
    struct quota quota;     /* max_user_connections */
};

/* What other workers may know of a part. */
struct pool_slot {
    _Alignas(64) _Atomic int64_t oldest_us; /* since when its oldest waiter waits; 0: none */
    atomic_int idle;                        /* idle servers that it could give away */
};

struct pool {
    struct map_entry entry;    /* first: the map finds us by it */
    struct pools *pools;       /* borrowed */
    struct database *database; /* borrowed */
    char *user;                /* owned: the role on the servers */
    char *node;           /* owned: of a reader, the node of the database's cluster; else NULL */
    struct pool *home;    /* borrowed: of a reader, the pool of its clients; else NULL */
    struct pool *readers; /* under the pools' mutex: the first one */
    struct pool *next_reader; /* the same: of the same home */
    struct role *role;        /* borrowed: of that name */
    bool forced_user;         /* it stands in the connection string */
    struct pool *next;        /* in pools->first, in order of creation */
    int64_t unused_since_us;  /* under the pools' mutex; 0: in use when that was looked at last */
    atomic_bool retired;      /* nobody can find it any more; no new servers */

    atomic_int n_holders;    /* clients, servers until they are freed, look-ups: if any, it stays */
    atomic_int size;         /* servers in being, those being connected to included */
    atomic_int limit;        /* pool_size; 0: unlimited */
    atomic_int reserve;      /* reserve_pool_size: beyond the limit, for those who wait long */
    atomic_uint plan_epoch;  /* counts errors that say that plans made before are of no use */
    atomic_uint next_host;   /* counts uses of a list of hosts, or of a name's addresses */
    atomic_int n_connecting; /* of size: not yet logged in */
    atomic_int n_pinned;     /* of size: kept by clients for the state of their session */
    atomic_bool reads_sequences; /* a client of it has used currval() or lastval() */
    atomic_bool is_deaf; /* its listening server could not be had, or was lost, the last time */
    atomic_int waiting_workers;  /* workers whose slot has an oldest waiter */
    atomic_int failures;         /* attempts to connect that failed since one succeeded */
    _Atomic int64_t retry_at_us; /* no new attempt before */

    pthread_mutex_t mutex;   /* guards what follows */
    struct welcome *welcome; /* owned: what a server says at login; NULL before the first */
    struct err failure;      /* of the last login that a server refused */
    bool login_refused;      /* failure is valid and no login has succeeded since */
    struct canon *canon;     /* owned list: see pool/canon.h */
    int n_canon;
    struct scram_keys keys; /* of a client that proved them */
    bool has_keys;

    struct pool_slot *slots; /* owned: one for each worker */
    struct part **parts;     /* owned array; each element is its worker's own */
};

/* Is there one that has logged in? */
static inline bool pool_has_servers(struct pool *pool)
{
    return atomic_load(&pool->size) > atomic_load(&pool->n_connecting);
}

/* A client in the queue; embedded in it. */
struct waiter {
    TAILQ_ENTRY(waiter) entry;
    int64_t since_us;        /* 0: not waiting */
    struct opening *opening; /* borrowed: how its server must have begun */
    struct server *coming;   /* borrowed: opened for it, which is in part->expecting; or NULL */
};
TAILQ_HEAD(waiter_list, waiter);
TAILQ_HEAD(server_list, server);

struct part_stats {
    uint64_t server_assignments, xacts, queries, received, sent; /* bytes from and to clients */
    uint64_t xact_us, query_us, wait_us;
    uint64_t client_parses, server_parses, binds, client_logins;
};

void part_stats_add(struct part_stats *to, const struct part_stats *more);

/* How long what took, in microseconds.  Who gets a server at once has not waited, and is not in `wait`. */
struct latency {
    struct histogram wait, query, xact;
};

/* Put to other workers, to each once until it answers. */
struct question {
    uint64_t open;  /* bit w: worker w has not answered */
    uint64_t again; /* what it will say is about a time that has passed: ask it again then */
};

struct pool_worker;

struct part {
    struct pool *pool;          /* borrowed */
    struct pool_worker *worker; /* borrowed */
    TAILQ_ENTRY(part) entry;    /* in worker->parts */

    /* From the worker's present settings and view; db is NULL once the database has been removed. */
    const struct conf_database *db;
    const char *hosts; /* where its servers are, a comma list; NULL: the unix socket, or nowhere */
    int port;
    bool clustered;                     /* that is the primary of a cluster */
    const struct cluster_view *cluster; /* the cluster; NULL: not known yet */
    const struct node_view *node;       /* of a reader; NULL: there is none of that name now */
    bool splits;                        /* reads may go to other nodes: see session/routing.h */
    enum reads_follow follows;
    int64_t max_lag_us;            /* 0: no bound */
    struct read_rules *rules;      /* counted; NULL: none */
    uint64_t rules_hash;           /* stands for what they are made of */
    const struct catalog *catalog; /* borrowed: of the database; NULL: not known yet */
    struct part **readers; /* owned array by node of the cluster, or NULL; see part_reader() */
    const struct conf_user *conf_user;
    enum pool_mode mode;
    enum session_state session_state; /* STATE_OFF in session mode */
    enum function_state function_state;
    int64_t renew_us; /* when the names of its hosts are resolved again */
    uint64_t target;  /* servers of another one are closed when they become free */
    struct home home; /* the same of a cluster: servers of an old primary are closed at once */

    struct server_list idle;      /* most recently used first */
    struct server_list others;    /* every other server of this part */
    struct server_list free;      /* about to be placed */
    struct waiter_list waiters;   /* oldest first */
    struct waiter_list expecting; /* those for whom a server of their own is being opened */
    int n_idle, n_others, n_waiting, n_expecting, n_connecting, n_testing;
    int n_clients;              /* logged-in clients of this worker */
    bool published;             /* slot->oldest_us is set */
    bool placing;               /* somebody works through `free` */
    bool hunting;               /* somebody works through `waiters` */
    bool hungry;                /* it has said so to a quota, and has waiters */
    struct question asked;      /* for an idle server */
    struct question asked_room; /* to close one that stands in the way */
    struct deadline again;      /* when to hunt again: see part_hunt_again_at() */
    struct server
        *listener; /* borrowed: of `others`, if the pool's listening server is ours; or NULL */
    struct fanout *fanout; /* owned by session/fanout.c: who hears it */
    int n_hearing;         /* clients that do, or want to */
    struct part_stats stats;
    struct latency *latency; /* owned; NULL: nothing was measured yet */
};

/* What the layer above does when something happens here; all on the worker's thread. */
struct pool_events {
    /* The waiter has left the queue and has a server. */
    void (*granted)(struct pool_worker *worker, struct waiter *waiter, struct server *server);
    /* The waiter has left the queue: there will be no server. */
    void (*refused)(struct pool_worker *worker, struct waiter *waiter, const struct err *err);
    void (*readable)(struct server *server); /* a leased server has input */
    void (*drained)(struct server *server);  /* a leased server took all our output */
    void (*silent)(struct server *server);   /* a leased server has said nothing for a while */
    void (*outdated)(struct server *server); /* a leased server shall be closed soon */
    /* A leased server is of a node that is the primary no more: it has to be closed at once. */
    void (*deposed)(struct server *server, const char *cluster);
    /* Of the listening server: it has logged in, or has input; it is closed, or could not be opened. */
    void (*heard)(struct server *server);
    void (*deaf)(struct part *part);
};

/* What the pools of a database had counted on one worker before they were retired. */
struct retired_stats {
    const struct database *database; /* borrowed */
    struct part_stats stats;
};

struct pool_worker {
    struct loop *loop;                /* borrowed */
    struct pools *pools;              /* borrowed */
    unsigned index;                   /* below pools->n_workers */
    struct settings *settings;        /* counted */
    struct topology_view *view;       /* counted; NULL: none yet */
    struct catalog_set *catalogs;     /* the same */
    const struct pool_events *events; /* borrowed */
    TAILQ_HEAD(part_list, part) parts;
    TAILQ_HEAD(cancel_list, cancel) cancels; /* cancel requests on their way */
    struct deadline upkeep; /* closes servers that have been idle, or in being, for too long */
    struct retired_stats *retired; /* owned array */
    size_t n_retired;
    bool stopping;  /* no new servers; those that become free are closed */
    bool suspended; /* nothing is read, opened, handed over or closed for its age */
    bool parting;   /* its clients leave: a server is closed that nobody waits for */
};

struct resolver;
struct scram_cache;
struct statement_table;
struct params_table;

struct pools {
    pthread_mutex_t mutex; /* guards the maps and lists */
    pthread_mutex_t room;  /* held while a server is counted, by all its limits at once */
    struct map by_name, database_by_name, role_by_name;
    struct pool *first, **last;
    struct database *databases, **last_database;
    unsigned n_workers;
    struct pool_worker **workers; /* borrowed elements */
    /* Called on any thread when a connection to a primary has broken; NULL: nobody is interested. */
    void (*hurry)(struct topology *topology);
    struct topology *topology; /* borrowed: its argument */
    /* Called on any thread: the database splits, and needs its catalog; or that may be old.  NULL, too. */
    void (*want_catalog)(struct catalogs *catalogs, const char *cluster, const char *dbname);
    void (*renew_catalog)(struct catalogs *catalogs, const char *cluster, const char *dbname);
    struct catalogs *catalogs; /* borrowed: their argument */
    struct resolver *resolver; /* owned, as all below */
    struct scram_cache *scram_cache;
    struct statement_table *statements;
    struct params_table *params;
    atomic_int paused;        /* all databases: enum pause */
    atomic_uint epoch;        /* counts RECONNECTs of all databases */
    _Atomic uint64_t last_id; /* of clients and servers, together */
};

struct pools *pools_new(unsigned n_workers, const char *track_extra_parameters);
void pools_stop(struct pools *pools); /* no more answers to look-ups; before loops are freed */
void pools_free(struct pools *pools);

struct database *pools_database(struct pools *pools, const char *name); /* makes it if need be */
struct role *pools_role(struct pools *pools, const char *name);         /* makes it if need be */
struct pool *pools_get(struct pools *pools, const char *database, const char *user,
                       bool forced_user);
/* The same for a client, which counts among the pool's holders until pool_leave(). */
struct pool *pools_enter(struct pools *pools, const char *database, const char *user,
                         bool forced_user);
void pool_leave(struct pool *pool);
/* The reader of this pool for a node, made if need be; it lives as long. */
struct pool *pools_reader(struct pool *home, const char *node);
/* All roles there are now, which live as long as pools; the caller frees the array. */
size_t pools_count_roles(struct pools *pools);
struct role **pools_list_roles(struct pools *pools, size_t *n);
struct role *pools_find_role(struct pools *pools, const char *name); /* NULL: there is none */
/* For who looks at them all.  The lists grow at their end; pools are retired by whoever calls
 * pools_retire(), so only that thread may hold on to one. */
struct pool *pools_first(struct pools *pools);
struct database *pools_first_database(struct pools *pools);
struct pool *pool_next(struct pools *pools, struct pool *pool);

/*
 * Pools that nobody needs any more, after pool_idle_timeout, or autodb_idle_timeout if their database is
 * an automatic one.  pools_retire() takes them out of the registry, as a list by ->next.  Mail about them
 * may still be on its way: it is over after two rounds through all workers.  Then each worker drops its
 * part, and pool_free() may follow.
 */
struct pool *pools_retire(struct pools *pools, const struct settings *settings, int64_t now_us);
void pool_worker_drop(struct pool_worker *worker, struct pool *pool);
void pool_free(struct pool *pool);
struct database *database_next(struct pools *pools, struct database *database);

void pool_worker_init(struct pool_worker *worker, struct pools *pools, unsigned index,
                      struct loop *loop, struct settings *settings,
                      const struct pool_events *events);
void pool_worker_done(struct pool_worker *worker);       /* closes all servers */
void pool_worker_free_parts(struct pool_worker *worker); /* when no mail can come any more */
/* New settings: counted reference taken over.  Recycles servers whose target has changed. */
void pool_worker_reload(struct pool_worker *worker, struct settings *settings);
/* Where the primaries are now: counted reference taken over.  Servers of an old one are closed. */
void pool_worker_take_view(struct pool_worker *worker, struct topology_view *view);
/* What there is in the databases: counted reference taken over. */
void pool_worker_take_catalogs(struct pool_worker *worker, struct catalog_set *catalogs);
/* After a pause or its end, a database's servers are closed or its waiters served. */
void pool_worker_review(struct pool_worker *worker);

/* Its clients leave for another process: idle servers are closed, and from now on whatever becomes free
 * while nobody waits. */
void pool_worker_part(struct pool_worker *worker);

/* Something may have been defined in the part's database. */
void part_renew_catalog(const struct part *part);

/* This worker's part of the pool; made if need be. */
struct part *part_get(struct pool_worker *worker, struct pool *pool);
/* The same of the reader for this node of the part's cluster. */
struct part *part_reader(struct part *home, size_t node);
/* The database's entry in these settings: its own, or the one for auto-databases, or NULL. */
const struct conf_database *conf_database_for(const struct settings *settings, const char *name);

struct latency *part_new_latency(struct part *part);

/* Large, and made for the parts that need it: most pools are never asked for anything. */
static inline struct latency *part_latency(struct part *part)
{
    return part->latency != NULL ? part->latency : part_new_latency(part);
}

/* Are servers taken from sessions that could go on with another one? */
static inline bool part_is_draining(const struct part *part)
{
    const struct pool *pool = part->pool;
    return atomic_load_explicit(&pool->database->paused, memory_order_relaxed) == PAUSE_DRAIN ||
           atomic_load_explicit(&pool->pools->paused, memory_order_relaxed) == PAUSE_DRAIN;
}

/* Has RECONNECT, or a change of the settings or of an address, asked for the end of this server? */
bool part_is_outdated(const struct part *part, const struct server *server);
/* The same, or DRAIN, which also asks for it: it is closed when it is free. */
bool part_is_stale(const struct part *part, const struct server *server);
unsigned part_epoch(const struct part *part);

/* An idle server that began so, at once, or NULL: then wait, with waiter->opening set.  If there are
 * several, one that has these parameters is likely. */
struct server *part_acquire(struct part *part, const struct opening *opening,
                            const struct params *params);
void part_wait(struct part *part, struct waiter *waiter);
void part_leave(struct part *part, struct waiter *waiter); /* no-op if it does not wait */

/* The server is clean and free: to whom it goes is decided here. */
void part_release(struct server *server);

void part_close_all(struct part *part, const char *reason);

/* Opens the pool's listening server here, which has none; what becomes of it comes as events.  It is outside
 * of pool_size, but not of the limits of its database and user.  False: it cannot be now. */
bool part_open_listener(struct part *part);

/* Called by pool/server.c as a server's life goes on. */
void part_server_ready(struct server *server); /* logged in */
void part_connect_failed(struct server *server, const struct err *err, bool refused_login);
void part_server_gone(struct server *server, bool was_connecting);
void part_listener_gone(struct server *server);
void part_test_passed(struct server *server); /* it is clean and free */
/* A server that was being opened for one client will not come: that one waits again. */
void part_expect_no_more(struct server *server);

/* Used by pool/server.c: a server leaves the lists of its part, or comes from another worker. */
void part_enlist(struct part *part, struct server *server, enum server_state state);
void part_disown(struct server *server);
void part_adopt(struct part *part, struct server *server);

/* The credentials that a client has proved, for logins at the servers. */
void pool_keep_keys(struct pool *pool, const struct scram_keys *keys);

#endif
