#include "topology/asker.h"

#include <event2/event.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "auth/secret.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/mem.h"
#include "conf/settings.h"
#include "net/loop.h"
#include "net/resolve.h"

enum { ERROR_TEXT_MAX = 256 };

enum asker_state { ASKER_IDLE, ASKER_RESOLVING, ASKER_CONNECTING, ASKER_ASKING };

/* A look-up under way; outlives its asker if that is freed before. */
struct lookup {
    struct resolve_request request; /* first: the resolver finds us by it */
    struct asker *asker;            /* borrowed; NULL once it has no use for the answer */
};

struct asker {
    struct loop *loop; /* borrowed, as the next */
    struct resolver *resolver;
    char *host, *user, *dbname;   /* owned */
    char *password;               /* owned; NULL: none */
    const char *application_name; /* borrowed */
    int port;
    const struct asker_calls *calls; /* borrowed */
    void *context;
    const char *question; /* borrowed */
    int64_t limit_us;
    enum asker_state state;
    unsigned turn;            /* which address of a name is next: the next one after a failure */
    struct deadline deadline; /* the end of this question */
    PGconn *conn;             /* owned; NULL: not connected */
    PGresult *result;         /* owned: of the question under way; NULL: none yet */
    struct event *event;      /* owned; NULL: none */
    struct lookup *lookup;    /* borrowed from the resolver; NULL: none */
};

static void on_socket(evutil_socket_t fd, short what, void *arg);

/* ---- the connection ---- */

static void drop_event(struct asker *asker)
{
    if (asker->event != NULL)
        event_free(asker->event);
    asker->event = NULL;
}

/* libpq may change its socket at any step: there is an event only between two of them. */
static void wait_for(struct asker *asker, short what)
{
    drop_event(asker);
    asker->event = event_new(asker->loop->base, PQsocket(asker->conn), what, on_socket, asker);
    event_add(asker->event, NULL);
}

static void clear_result(struct asker *asker)
{
    PQclear(asker->result);
    asker->result = NULL;
}

static void disconnect(struct asker *asker)
{
    drop_event(asker);
    if (asker->lookup != NULL)
        asker->lookup->asker = NULL;
    asker->lookup = NULL;
    clear_result(asker);
    PQfinish(asker->conn);
    asker->conn = NULL;
}

void asker_drop(struct asker *asker)
{
    disconnect(asker);
    asker->turn++;
}

/* ---- the end of a question ---- */

static void fail(struct asker *asker, const char *error)
{
    asker->state = ASKER_IDLE;
    deadline_clear(asker->loop, &asker->deadline);
    asker_drop(asker);
    asker->calls->done(asker->context, NULL, error);
}

static void succeed(struct asker *asker)
{
    asker->state = ASKER_IDLE;
    deadline_clear(asker->loop, &asker->deadline);
    wait_for(asker, EV_READ);
    asker->calls->done(asker->context, asker->result, NULL);
    clear_result(asker);
}

/* libpq's advice stands on lines of its own. */
static void fail_by_libpq(struct asker *asker)
{
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", PQerrorMessage(asker->conn));
    text[strcspn(text, "\n")] = '\0';
    fail(asker, text[0] != '\0' ? text : "no memory for a connection");
}

/* ---- asking ---- */

/* Behind the result comes the end of it. */
static void read_answer(struct asker *asker)
{
    if (!PQconsumeInput(asker->conn)) {
        fail_by_libpq(asker);
        return;
    }
    while (!PQisBusy(asker->conn)) {
        PGresult *next = PQgetResult(asker->conn);
        if (next == NULL) {
            if (PQresultStatus(asker->result) == PGRES_TUPLES_OK)
                succeed(asker);
            else
                fail_by_libpq(asker);
            return;
        }
        PQclear(asker->result);
        asker->result = next;
    }
    wait_for(asker, EV_READ);
}

static void ask(struct asker *asker)
{
    asker->state = ASKER_ASKING;
    clear_result(asker);
    if (!PQsendQuery(asker->conn, asker->question)) {
        fail_by_libpq(asker);
        return;
    }
    wait_for(asker, EV_READ);
}

/* ---- connecting ---- */

static void poll_connection(struct asker *asker)
{
    switch (PQconnectPoll(asker->conn)) {
    case PGRES_POLLING_READING:
        wait_for(asker, EV_READ);
        break;
    case PGRES_POLLING_WRITING:
        wait_for(asker, EV_WRITE);
        break;
    case PGRES_POLLING_OK:
        PQsetnonblocking(asker->conn, 1);
        ask(asker);
        break;
    default:
        fail_by_libpq(asker);
        break;
    }
}

static void ignore_notice(void *arg, const PGresult *result)
{
}

/* address: numeric, as libpq would wait for a name to be resolved; NULL: a unix socket. */
static void connect_to(struct asker *asker, const char *address)
{
    char port[12];
    snprintf(port, sizeof port, "%d", asker->port);
    const char *keys[] = {"host",
                          "hostaddr",
                          "port",
                          "user",
                          "dbname",
                          "password",
                          "passfile",
                          "sslmode",
                          "gssencmode",
                          "target_session_attrs",
                          "application_name",
                          NULL};
    const char *values[] = {
        asker->host,    address,   port,      asker->user, asker->dbname,           asker->password,
        "/nonexistent", "disable", "disable", "any",       asker->application_name, NULL};
    asker->state = ASKER_CONNECTING;
    asker->conn = PQconnectStartParams(keys, values, 0);
    if (asker->conn == NULL || PQstatus(asker->conn) == CONNECTION_BAD) {
        fail_by_libpq(asker);
        return;
    }
    PQsetNoticeReceiver(asker->conn, ignore_notice, NULL);
    wait_for(asker, EV_WRITE);
}

static void connect_to_address(struct asker *asker, const struct address *address)
{
    char text[80];
    address_print(address, text, sizeof text);
    connect_to(asker, address_is_unix(address) ? NULL : text);
}

static void deliver_addresses(struct mail *mail, struct loop *loop)
{
    struct lookup *lookup = (struct lookup *)mail;
    struct asker *asker = lookup->asker;
    if (asker != NULL) {
        asker->lookup = NULL;
        if (lookup->request.n_addresses > 0)
            connect_to_address(
                asker, &lookup->request.addresses[asker->turn % lookup->request.n_addresses]);
        else
            fail(asker, lookup->request.error);
    }
    mem_free(lookup);
}

static void look_up(struct asker *asker)
{
    struct lookup *lookup = mem_new(sizeof *lookup);
    lookup->asker = asker;
    lookup->request.mail.deliver = deliver_addresses;
    lookup->request.loop = asker->loop;
    snprintf(lookup->request.host, sizeof lookup->request.host, "%s", asker->host);
    asker->lookup = lookup;
    asker->state = ASKER_RESOLVING;
    resolver_ask(asker->resolver, &lookup->request);
}

/* ---- the beginning of a question ---- */

void asker_ask(struct asker *asker, const char *question, int64_t limit_us)
{
    struct address address;
    asker->question = question;
    asker->limit_us = limit_us;
    deadline_set(asker->loop, &asker->deadline, DEADLINE_OTHER, clock_now_us() + limit_us);
    if (asker->conn != NULL)
        ask(asker);
    else if (address_parse(asker->host, asker->port, &address))
        connect_to_address(asker, &address);
    else
        look_up(asker);
}

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    struct asker *asker = CONTAINER_OF(deadline, struct asker, deadline);
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "no answer in %" PRId64 " ms", asker->limit_us / 1000);
    fail(asker, text);
}

/* Nothing was asked: a parameter has changed, or the connection has ended. */
static void read_idle(struct asker *asker)
{
    if (PQconsumeInput(asker->conn) && PQstatus(asker->conn) == CONNECTION_OK) {
        wait_for(asker, EV_READ);
        return;
    }
    disconnect(asker);
    asker->calls->lost(asker->context);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct asker *asker = arg;
    drop_event(asker);
    switch (asker->state) {
    case ASKER_CONNECTING:
        poll_connection(asker);
        break;
    case ASKER_ASKING:
        read_answer(asker);
        break;
    default:
        read_idle(asker);
        break;
    }
}

/* ---- life ---- */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void free_target(struct asker *asker)
{
    mem_free(asker->host);
    mem_free(asker->user);
    mem_free(asker->dbname);
    mem_wipe_free(asker->password);
}

static void set_target(struct asker *asker, const struct asker_target *target)
{
    asker->host = mem_strdup(target->host);
    asker->port = target->port;
    asker->user = mem_strdup(target->user);
    asker->dbname = mem_strdup(target->dbname);
    asker->password = target->password != NULL ? mem_strdup(target->password) : NULL;
    asker->application_name = target->application_name;
}

struct asker *asker_new(struct loop *loop, struct resolver *resolver,
                        const struct asker_target *target, const struct asker_calls *calls,
                        void *context)
{
    struct asker *asker = mem_new(sizeof *asker);
    asker->loop = loop;
    asker->resolver = resolver;
    asker->calls = calls;
    asker->context = context;
    asker->deadline.expired = on_deadline;
    set_target(asker, target);
    return asker;
}

bool asker_retarget(struct asker *asker, const struct asker_target *target)
{
    if (strcmp(asker->host, target->host) == 0 && asker->port == target->port &&
        strcmp(asker->user, target->user) == 0 && strcmp(asker->dbname, target->dbname) == 0 &&
        same_text(asker->password, target->password))
        return false;
    disconnect(asker);
    deadline_clear(asker->loop, &asker->deadline);
    free_target(asker);
    set_target(asker, target);
    asker->state = ASKER_IDLE;
    return true;
}

void asker_free(struct asker *asker)
{
    if (asker == NULL)
        return;
    disconnect(asker);
    deadline_clear(asker->loop, &asker->deadline);
    free_target(asker);
    mem_free(asker);
}

const char *asker_secret(const struct settings *settings, const char *user)
{
    const char *secret = conf_find_secret(settings, user);
    return secret != NULL && secret_kind_of(secret) == SECRET_PLAIN ? secret : NULL;
}
