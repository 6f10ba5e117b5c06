/* What is looked at from time to time: servers that are old, idle for long, or silent. */
#include "base/clock.h"
#include "base/container.h"
#include "pool/dns.h"
#include "pool/part.h"
#include "pool/pool.h"
#include "pool/server.h"

enum { UPKEEP_EVERY_US = 333000 };

/* A peer that broke the connection unnoticed would never be heard of again: see stream_look(). */
static void look_at_silent(struct part *part)
{
    struct server *server, *next;
    for (server = TAILQ_FIRST(&part->others); server != NULL; server = next) {
        next = TAILQ_NEXT(server, entry);
        bool heard = server->stream.heard;
        server->stream.heard = false;
        if (heard || server->stream.fd < 0 || server->state == SERVER_CONNECTING)
            continue;
        if (stream_look(&server->stream))
            stream_yield(&server->stream);
        else if (server->state == SERVER_LEASED)
            part->worker->events->silent(server);
        else if (server->state == SERVER_CLEANING && server->hurry)
            server_cancel(server, NULL, NULL); /* the first may have come before the statement */
    }
}

/* Those of min_pool_size stay. */
static bool needed(const struct part *part)
{
    int least = part->db != NULL ? conf_min_pool_size(part->worker->settings, part->db) : 0;
    return atomic_load(&part->pool->size) <= least;
}

/* Why an idle server is not kept; NULL: keep it. */
static const char *reason_to_close(const struct part *part, const struct server *server,
                                   int64_t now_us)
{
    int64_t idle_us = part->worker->settings->server_idle_timeout_us;
    if (part->db != NULL && part_too_old(part, server, now_us))
        return "server lifetime over";
    if (idle_us > 0 && now_us - server->idle_since_us >= idle_us && !needed(part))
        return "server idle timeout";
    return NULL;
}

static struct server *first_to_close(const struct part *part, int64_t now_us, const char **reason)
{
    struct server *server;
    TAILQ_FOREACH (server, &part->idle, entry) {
        *reason = reason_to_close(part, server, now_us);
        if (*reason != NULL)
            break;
    }
    return server;
}

static void upkeep_part(struct part *part, int64_t now_us)
{
    struct server *server;
    const char *reason;
    look_at_silent(part);
    part_review_listener(part);
    TAILQ_FOREACH (server, &part->idle, entry)
        server->unchecked |= part_is_untested(part, now_us - server->idle_since_us);
    /* Who waits for the place of the one may take the next one out of the list. */
    while ((server = first_to_close(part, now_us, &reason)) != NULL)
        server_close(server, reason);
    dns_renew(part, now_us);
    part_open_minimum(part);
}

void part_upkeep(struct deadline *deadline, struct loop *loop)
{
    struct pool_worker *worker = CONTAINER_OF(deadline, struct pool_worker, upkeep);
    int64_t now_us = clock_now_us();
    struct part *part;
    TAILQ_FOREACH (part, &worker->parts, entry) {
        if (!worker->suspended)
            upkeep_part(part, now_us);
    }
    deadline_set(loop, deadline, DEADLINE_SERVER, now_us + UPKEEP_EVERY_US);
}
