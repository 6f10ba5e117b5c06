/* SHOW MEM: how many objects of each kind there are, and what they take. */
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "net/resolve.h"
#include "pool/params.h"
#include "pool/server.h"
#include "pool/statements.h"
#include "session/client.h"
#include "session/state.h"
#include "sql/cache.h"
#include "sql/facts.h"

enum kind {
    KIND_WORKER,
    KIND_CONSOLE,
    KIND_DATABASE,
    KIND_USER,
    KIND_POOL,
    KIND_PART,
    KIND_LATENCY,
    KIND_CLIENT,
    KIND_SERVER,
    KIND_REPLY,
    KIND_BUFFER, /* counted in bytes */
    KIND_PARAMETERS,
    KIND_STATEMENT,
    KIND_FACTS,
    KIND_TRACES,
    KIND_HOST,
    KIND_PEER,
    KIND_PEER_REQUEST,
    KINDS,
};

/* Freed objects go back to the allocator at once: `free` is of arrays that are not full. */
struct usage {
    uint64_t used, free;
    uint64_t bytes; /* on top of the size of each */
};

struct usages {
    struct usage of[KINDS];
};

static void count_buffer(struct usage *usage, const struct buf *buf)
{
    usage->used += buf->len;
    usage->free += buf->cap - buf->len;
}

static void count_client(struct usages *all, const struct client *client)
{
    all->of[KIND_CLIENT].used++;
    all->of[KIND_TRACES].used += client->traces != NULL;
    count_buffer(&all->of[KIND_BUFFER], &client->stash);
    count_buffer(&all->of[KIND_BUFFER], &client->stream.out);
}

static void count_server(struct usages *all, const struct server *server)
{
    all->of[KIND_SERVER].used++;
    all->of[KIND_REPLY].used += server->replies.count;
    all->of[KIND_REPLY].free += server->replies.cap - server->replies.count;
    count_buffer(&all->of[KIND_BUFFER], &server->stash);
    count_buffer(&all->of[KIND_BUFFER], &server->again);
    count_buffer(&all->of[KIND_BUFFER], &server->stream.out);
}

static void count_peer(struct usages *all, const struct peer_pool *peer)
{
    all->of[KIND_PEER].used++;
    for (size_t i = 0; i < PEER_ENDED; i++)
        all->of[KIND_PEER_REQUEST].used += (uint64_t)peer->n[i];
}

static void ask(struct worker *worker, struct buf *answer, const void *context)
{
    struct usages all = {0};
    const struct peer_pool *peer;
    const struct client *client;
    const struct part *part;
    const struct server *server;
    TAILQ_FOREACH (client, &worker->clients, entry)
        count_client(&all, client);
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        all.of[KIND_PART].used++;
        all.of[KIND_LATENCY].used += part->latency != NULL;
        TAILQ_FOREACH (server, &part->idle, entry)
            count_server(&all, server);
        TAILQ_FOREACH (server, &part->others, entry)
            count_server(&all, server);
    }
    TAILQ_FOREACH (peer, &worker->peer_pools, entry)
        count_peer(&all, peer);
    struct sql_cache_counts facts = sql_cache_counts(worker->verdicts);
    all.of[KIND_FACTS] = (struct usage){
        .used = facts.entries, .bytes = facts.bytes - facts.entries * sizeof(struct sql_facts)};
    buf_append(answer, &all, sizeof all);
}

static void count_sessions(struct usages *all, const struct control *control)
{
    const struct session *session;
    TAILQ_FOREACH (session, &control->sessions, entry) {
        all->of[KIND_CONSOLE].used++;
        count_buffer(&all->of[KIND_BUFFER], &session->input);
        count_buffer(&all->of[KIND_BUFFER], &session->output);
        count_buffer(&all->of[KIND_BUFFER], &session->stream.out);
    }
}

static void count_shared(struct usages *all, struct pools *pools)
{
    struct statement_usage statements = statement_table_usage(pools->statements);
    struct params_usage params = params_table_usage(pools->params);
    for (struct pool *pool = pools_first(pools); pool != NULL; pool = pool_next(pools, pool))
        all->of[KIND_POOL].used++;
    for (struct database *database = pools_first_database(pools); database != NULL;
         database = database_next(pools, database))
        all->of[KIND_DATABASE].used++;
    all->of[KIND_WORKER].used = pools->n_workers;
    all->of[KIND_USER].used = pools_count_roles(pools);
    all->of[KIND_HOST].used = resolver_count(pools->resolver).names;
    all->of[KIND_STATEMENT] = (struct usage){.used = statements.n, .bytes = statements.bytes};
    all->of[KIND_PARAMETERS] = (struct usage){.used = params.n, .bytes = params.bytes};
}

static void write_kind(struct buf *cells, const char *name, uint64_t size,
                       const struct usage *usage)
{
    cell_text(cells, name);
    cell_unsigned(cells, size);
    cell_unsigned(cells, usage->used);
    cell_unsigned(cells, usage->free);
    cell_unsigned(cells, size * (usage->used + usage->free) + usage->bytes);
}

static void write_all(struct request *request, const struct usages *all)
{
    struct pools *pools = request->control->proxy->pools;
    const struct {
        const char *name;
        uint64_t size;
    } kinds[KINDS] = {
        [KIND_WORKER] = {"worker", sizeof(struct worker) + sizeof(struct loop)},
        [KIND_CONSOLE] = {"console_session", sizeof(struct session)},
        [KIND_DATABASE] = {"database", sizeof(struct database)},
        [KIND_USER] = {"user", sizeof(struct role)},
        [KIND_POOL] = {"pool", sizeof(struct pool)},
        [KIND_PART] = {"pool_part", sizeof(struct part)},
        [KIND_LATENCY] = {"latency_histograms", sizeof(struct latency)},
        [KIND_CLIENT] = {"client", sizeof(struct client)},
        [KIND_SERVER] = {"server", sizeof(struct server)},
        [KIND_REPLY] = {"expected_reply", sizeof(struct reply)},
        [KIND_BUFFER] = {"buffer_byte", 1},
        [KIND_PARAMETERS] = {"parameter_set", params_table_usage(pools->params).size},
        [KIND_STATEMENT] = {"prepared_statement", sizeof(struct statement)},
        [KIND_FACTS] = {"statement_facts", sizeof(struct sql_facts)},
        [KIND_TRACES] = {"session_traces", sizeof(struct traces)},
        [KIND_HOST] = {"dns_name", resolver_count(pools->resolver).size},
        [KIND_PEER] = {"peer", sizeof(struct peer_pool)},
        [KIND_PEER_REQUEST] = {"peer_request", peers_request_size},
    };
    for (size_t i = 0; i < KINDS; i++)
        write_kind(&request->table.cells, kinds[i].name, kinds[i].size, &all->of[i]);
}

static void add(struct usages *to, const struct usages *more)
{
    for (size_t i = 0; i < KINDS; i++) {
        to->of[i].used += more->of[i].used;
        to->of[i].free += more->of[i].free;
        to->of[i].bytes += more->of[i].bytes;
    }
}

static void end(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct usages all = {0}, one;
    for (size_t i = 0; i < n_answers; i++) {
        memcpy(&one, answers[i].data, sizeof one);
        add(&all, &one);
    }
    count_sessions(&all, request->control);
    count_shared(&all, request->control->proxy->pools);
    write_all(request, &all);
    request_done(request, "SHOW");
}

void show_mem(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, ask, end, request);
}
