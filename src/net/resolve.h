/*
 * net/resolve.h - from host names to addresses, off the event loops
 *
 * getaddrinfo() is asked by threads of the resolver's own, so that names mean what they mean for
 * every other program of the machine, and no loop ever waits for a name server.  Answers are
 * cached for a bounded time.  Numeric addresses and socket directories are answered at once.
 *
 * Ownership:  a request belongs to the resolver until its mail is delivered to `loop`
 * Threading:  any thread, once it has been made
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "net/loop.h"

enum { RESOLVE_MAX_ADDRESSES = 16 };

struct address {
    struct sockaddr_storage socket;
    socklen_t len;
};

struct resolve_request {
    struct mail mail;  /* delivered with the answer; set `deliver` before asking */
    struct loop *loop; /* borrowed: who gets the answer */
    char host[256];
    struct address addresses[RESOLVE_MAX_ADDRESSES];
    size_t n_addresses; /* 0: not found */
    const char *error;  /* static text when n_addresses is 0 */
};

struct resolver;

struct resolver *resolver_new(void);
void resolver_free(struct resolver *resolver); /* waits for look-ups under way */
void resolver_set_ttl(struct resolver *resolver, int64_t found_us, int64_t missing_us);
void resolver_ask(struct resolver *resolver, struct resolve_request *request);

/* For who looks at it. */
struct resolver_counts {
    size_t names;   /* whose answer is kept */
    size_t queries; /* look-ups under way */
    size_t pending; /* requests that wait for a thread */
    size_t size;    /* bytes of a name that is kept */
};
struct resolver_counts resolver_count(struct resolver *resolver);

/* Calls visit for each name whose answer is kept, found or not; left_us: how long it still counts, 0
 * if it will be asked for again.  visit must not call the resolver. */
typedef void resolver_visit(void *arg, const char *host, int64_t left_us,
                            const struct address *addresses, size_t n_addresses);
void resolver_for_each(struct resolver *resolver, resolver_visit *visit, void *arg);

/* A numeric address, or a unix socket: an absolute directory or "@name" with its port.  False:
 * a name that must be resolved. */
bool address_parse(const char *host, int port, struct address *address);
void address_set_port(struct address *address, int port);
bool address_is_unix(const struct address *address);

/* For people: "127.0.0.1", "::1", or "unix"; and the port, 0 for unix sockets. */
int address_print(const struct address *address, char *text, size_t size);
/* For the log: "127.0.0.1:6432", "[::1]:6432", "unix:0". */
enum { ADDRESS_TEXT = 80 };
const char *address_text(const struct address *address, char text[ADDRESS_TEXT]);

#endif
