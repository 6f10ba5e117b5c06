#include "net/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

enum { THREADS = 4, CACHE_MAX = 1024 };

struct cached {
    struct map_entry entry; /* first: the map finds us by it */
    int64_t until_us;
    size_t n_addresses;
    const char *error;
    struct address addresses[RESOLVE_MAX_ADDRESSES];
    char host[256];
};

struct resolver {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct mail *first, **last; /* requests, oldest first */
    size_t n_pending, n_queries;
    struct map cache;
    int64_t found_us, missing_us;
    bool stopping;
    pthread_t threads[THREADS];
};

static bool unix_address(const char *host, int port, struct address *address)
{
    struct sockaddr_un *to = (struct sockaddr_un *)&address->socket;
    int len = snprintf(to->sun_path, sizeof to->sun_path, "%s/.s.PGSQL.%d", host, port);
    if (len < 0 || (size_t)len >= sizeof to->sun_path)
        len = (int)sizeof to->sun_path - 1;
    to->sun_family = AF_UNIX;
    address->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len);
    if (to->sun_path[0] == '@')
        to->sun_path[0] = '\0'; /* abstract: the length tells where it ends */
    else
        address->len++;
    return true;
}

bool address_parse(const char *host, int port, struct address *address)
{
    memset(address, 0, sizeof *address);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->socket;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->socket;
    if (host[0] == '/' || host[0] == '@')
        return unix_address(host, port, address);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        address->len = sizeof *v4;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        address->len = sizeof *v6;
    } else {
        return false;
    }
    address_set_port(address, port);
    return true;
}

void address_set_port(struct address *address, int port)
{
    if (address->socket.ss_family == AF_INET)
        ((struct sockaddr_in *)&address->socket)->sin_port = htons((uint16_t)port);
    else if (address->socket.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->socket)->sin6_port = htons((uint16_t)port);
}

bool address_is_unix(const struct address *address)
{
    return address->socket.ss_family == AF_UNIX;
}

int address_print(const struct address *address, char *text, size_t size)
{
    if (address->socket.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->socket;
        inet_ntop(AF_INET, &v4->sin_addr, text, (socklen_t)size);
        return ntohs(v4->sin_port);
    }
    if (address->socket.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->socket;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, (socklen_t)size);
        return ntohs(v6->sin6_port);
    }
    snprintf(text, size, "unix");
    return 0;
}

const char *address_text(const struct address *address, char text[ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN];
    int port = address_print(address, host, sizeof host);
    bool v6 = address->socket.ss_family == AF_INET6;
    snprintf(text, ADDRESS_TEXT, v6 ? "[%s]:%d" : "%s:%d", host, port);
    return text;
}

static bool same_host(const struct map_entry *entry, const void *host)
{
    return strcmp(((const struct cached *)entry)->host, host) == 0;
}

static void look_up(const char *host, struct cached *found)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &list);
    found->error = rc != 0 ? gai_strerror(rc) : "no address";
    for (struct addrinfo *at = list; at != NULL && found->n_addresses < RESOLVE_MAX_ADDRESSES;
         at = at->ai_next) {
        struct address *address = &found->addresses[found->n_addresses++];
        memcpy(&address->socket, at->ai_addr, at->ai_addrlen);
        address->len = at->ai_addrlen;
    }
    if (list != NULL)
        freeaddrinfo(list);
}

static void answer(struct resolve_request *request, const struct cached *found)
{
    request->n_addresses = found->n_addresses;
    request->error = found->error;
    memcpy(request->addresses, found->addresses, found->n_addresses * sizeof(struct address));
    loop_post(request->loop, &request->mail);
}

static void forget(struct resolver *resolver, struct cached *cached)
{
    map_remove(&resolver->cache, &cached->entry);
    mem_free(cached);
}

/* Both with the mutex held. */
static struct cached *recall(struct resolver *resolver, const char *host)
{
    struct cached *cached = (struct cached *)map_find(
        &resolver->cache, hash_bytes(host, strlen(host)), same_host, host);
    if (cached != NULL && cached->until_us < clock_now_us()) {
        forget(resolver, cached);
        cached = NULL;
    }
    return cached;
}

static void keep(struct resolver *resolver, struct cached *found)
{
    struct cached *old = recall(resolver, found->host);
    if (old != NULL)
        forget(resolver, old);
    if (resolver->cache.count >= CACHE_MAX)
        forget(resolver, (struct cached *)map_any(&resolver->cache));
    found->until_us =
        clock_now_us() + (found->n_addresses > 0 ? resolver->found_us : resolver->missing_us);
    found->entry.hash = hash_bytes(found->host, strlen(found->host));
    map_add(&resolver->cache, &found->entry);
}

static struct resolve_request *next_request(struct resolver *resolver)
{
    while (resolver->first == NULL && !resolver->stopping)
        pthread_cond_wait(&resolver->wake, &resolver->mutex);
    struct mail *mail = resolver->first;
    if (mail == NULL)
        return NULL;
    resolver->first = mail->next;
    if (resolver->first == NULL)
        resolver->last = &resolver->first;
    resolver->n_pending--;
    return (struct resolve_request *)mail;
}

static void *work(void *arg)
{
    struct resolver *resolver = arg;
    struct resolve_request *request;
    pthread_mutex_lock(&resolver->mutex);
    while ((request = next_request(resolver)) != NULL) {
        struct cached *cached = recall(resolver, request->host);
        if (cached == NULL) {
            resolver->n_queries++;
            pthread_mutex_unlock(&resolver->mutex);
            cached = mem_new(sizeof *cached);
            snprintf(cached->host, sizeof cached->host, "%s", request->host);
            look_up(request->host, cached);
            pthread_mutex_lock(&resolver->mutex);
            resolver->n_queries--;
            keep(resolver, cached);
        }
        answer(request, cached);
    }
    pthread_mutex_unlock(&resolver->mutex);
    return NULL;
}

struct resolver *resolver_new(void)
{
    struct resolver *resolver = mem_new(sizeof *resolver);
    pthread_mutex_init(&resolver->mutex, NULL);
    pthread_cond_init(&resolver->wake, NULL);
    resolver->last = &resolver->first;
    resolver->found_us = resolver->missing_us = 15000000;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&resolver->threads[i], NULL, work, resolver);
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    pthread_mutex_lock(&resolver->mutex);
    resolver->stopping = true;
    pthread_cond_broadcast(&resolver->wake);
    pthread_mutex_unlock(&resolver->mutex);
    for (int i = 0; i < THREADS; i++)
        pthread_join(resolver->threads[i], NULL);
    while (resolver->cache.count > 0)
        forget(resolver, (struct cached *)map_any(&resolver->cache));
    pthread_cond_destroy(&resolver->wake);
    pthread_mutex_destroy(&resolver->mutex);
    mem_free(resolver);
}

void resolver_set_ttl(struct resolver *resolver, int64_t found_us, int64_t missing_us)
{
    pthread_mutex_lock(&resolver->mutex);
    resolver->found_us = found_us;
    resolver->missing_us = missing_us;
    pthread_mutex_unlock(&resolver->mutex);
}

void resolver_ask(struct resolver *resolver, struct resolve_request *request)
{
    request->mail.next = NULL;
    pthread_mutex_lock(&resolver->mutex);
    *resolver->last = &request->mail;
    resolver->last = &request->mail.next;
    resolver->n_pending++;
    pthread_cond_signal(&resolver->wake);
    pthread_mutex_unlock(&resolver->mutex);
}

void resolver_for_each(struct resolver *resolver, resolver_visit *visit, void *arg)
{
    int64_t now_us = clock_now_us();
    const struct cached *cached;
    uint32_t at = 0;
    pthread_mutex_lock(&resolver->mutex);
    while ((cached = (const struct cached *)map_next(&resolver->cache, &at)) != NULL) {
        int64_t left_us = cached->until_us > now_us ? cached->until_us - now_us : 0;
        visit(arg, cached->host, left_us, cached->addresses, cached->n_addresses);
    }
    pthread_mutex_unlock(&resolver->mutex);
}

struct resolver_counts resolver_count(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->mutex);
    struct resolver_counts counts = {.names = resolver->cache.count,
                                     .queries = resolver->n_queries,
                                     .pending = resolver->n_pending,
                                     .size = sizeof(struct cached)};
    pthread_mutex_unlock(&resolver->mutex);
    return counts;
}
