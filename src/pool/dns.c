#include "pool/dns.h"

#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "conf/value.h"
#include "net/resolve.h"
#include "pool/pool.h"
#include "pool/server.h"

enum { RENEW_AT_MOST_EVERY_US = 1000000 };

struct renewal {
    struct resolve_request request; /* first: the resolver finds us by it */
    struct pool *pool;              /* held */
    unsigned worker;
};

static bool same_address(const struct address *a, const struct address *b)
{
    if (a->socket.ss_family != b->socket.ss_family)
        return false;
    if (a->socket.ss_family == AF_INET)
        return memcmp(&((const struct sockaddr_in *)&a->socket)->sin_addr,
                      &((const struct sockaddr_in *)&b->socket)->sin_addr,
                      sizeof(struct in_addr)) == 0;
    return memcmp(&((const struct sockaddr_in6 *)&a->socket)->sin6_addr,
                  &((const struct sockaddr_in6 *)&b->socket)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

static bool has_moved(const struct server *server, const struct resolve_request *answer)
{
    if (server->state == SERVER_CONNECTING || strcmp(server->host, answer->host) != 0)
        return false;
    for (size_t i = 0; i < answer->n_addresses; i++) {
        if (same_address(&server->address, &answer->addresses[i]))
            return false;
    }
    return answer->n_addresses > 0;
}

static void close_moved(struct part *part, const struct resolve_request *answer)
{
    struct server *server, *next;
    TAILQ_FOREACH (server, &part->others, entry)
        server->closing_asked |= has_moved(server, answer);
    for (server = TAILQ_FIRST(&part->idle); server != NULL; server = next) {
        next = TAILQ_NEXT(server, entry);
        server->closing_asked |= has_moved(server, answer);
        if (server->closing_asked && !part->worker->suspended)
            server_close(server, "obsolete connection");
    }
}

static void deliver_renewal(struct mail *mail, struct loop *loop)
{
    struct renewal *renewal = (struct renewal *)mail;
    struct pool *pool = renewal->pool;
    close_moved(part_get(pool->pools->workers[renewal->worker], pool), &renewal->request);
    pool_leave(pool);
    mem_free(renewal);
}

static void ask(struct part *part, const char *host, size_t len)
{
    struct renewal *renewal = mem_new(sizeof *renewal);
    struct address address;
    if (len < sizeof renewal->request.host)
        memcpy(renewal->request.host, host, len);
    if (len >= sizeof renewal->request.host || address_parse(renewal->request.host, 0, &address)) {
        mem_free(renewal); /* no name */
        return;
    }
    renewal->pool = part->pool;
    renewal->worker = part->worker->index;
    renewal->request.mail.deliver = deliver_renewal;
    renewal->request.loop = part->worker->loop;
    atomic_fetch_add(&part->pool->n_holders, 1);
    resolver_ask(part->pool->pools->resolver, &renewal->request);
}

void dns_renew(struct part *part, int64_t now_us)
{
    int64_t ttl_us = part->worker->settings->dns_max_ttl_us;
    struct slice host;
    if (part->db == NULL || part->hosts == NULL || part->n_idle + part->n_others == 0 ||
        part->worker->stopping || now_us < part->renew_us)
        return;
    part->renew_us = now_us + (ttl_us > RENEW_AT_MOST_EVERY_US ? ttl_us : RENEW_AT_MOST_EVERY_US);
    for (const char *at = part->hosts; conf_list_next(&at, &host);)
        ask(part, host.ptr, host.len);
}
