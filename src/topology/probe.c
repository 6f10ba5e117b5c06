#include "topology/probe.h"

#include <event2/event.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/resolve.h"

enum {
    GAP_US = 50000, /* between the beginnings of two questions */
    LIMIT_LEAST_US = 1000000,
    LIMIT_MOST_US = 10000000,
    ERROR_TEXT_MAX = 256,
};

/* Functions that any role may call.  The timeline of a checkpoint is late on a primary, which has been
 * promoted just now; that of a standby is what it was told, if the role may see that. */
static const char question[] =
    "SELECT r.standby, s.system_identifier,"
    " CASE WHEN r.standby"
    " THEN greatest(c.timeline_id, (SELECT received_tli FROM "
    "pg_catalog.pg_stat_wal_receiver))::text"
    " ELSE substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END,"
    " CASE WHEN r.standby THEN pg_catalog.pg_last_wal_replay_lsn()"
    " ELSE pg_catalog.pg_current_wal_lsn() END"
    " FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) r,"
    " pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c";

enum probe_state { PROBE_IDLE, PROBE_RESOLVING, PROBE_CONNECTING, PROBE_ASKING };

/* A look-up under way; outlives its probe if that is freed before. */
struct lookup {
    struct resolve_request request; /* first: the resolver finds us by it */
    struct probe *probe;            /* borrowed; NULL once it has no use for the answer */
};

struct probe {
    struct loop *loop; /* borrowed, as the next */
    struct resolver *resolver;
    char *host, *user, *dbname; /* owned */
    char *password;             /* owned; NULL: none */
    int port;
    int64_t interval_us;
    probe_done *done;
    void *context;
    enum probe_state state;
    unsigned turn;            /* which address of a name is next: the next one after a failure */
    int64_t began_us;         /* the last question */
    struct deadline deadline; /* IDLE: the next question; else: the end of this one */
    PGconn *conn;             /* owned; NULL: not connected */
    PGresult *result;         /* owned: of the last question; NULL: none yet */
    struct event *event;      /* owned; NULL: none */
    struct lookup *lookup;    /* borrowed from the resolver; NULL: none */
};

static void on_socket(evutil_socket_t fd, short what, void *arg);

/* ---- the connection ---- */

static void drop_event(struct probe *probe)
{
    if (probe->event != NULL)
        event_free(probe->event);
    probe->event = NULL;
}

/* libpq may change its socket at any step: there is an event only between two of them. */
static void wait_for(struct probe *probe, short what)
{
    drop_event(probe);
    probe->event = event_new(probe->loop->base, PQsocket(probe->conn), what, on_socket, probe);
    event_add(probe->event, NULL);
}

static void disconnect(struct probe *probe)
{
    drop_event(probe);
    if (probe->lookup != NULL)
        probe->lookup->probe = NULL;
    probe->lookup = NULL;
    PQclear(probe->result);
    probe->result = NULL;
    PQfinish(probe->conn);
    probe->conn = NULL;
}

/* ---- the end of a question ---- */

static int64_t limit_us(const struct probe *probe)
{
    int64_t limit_us = 2 * probe->interval_us;
    if (limit_us < LIMIT_LEAST_US)
        return LIMIT_LEAST_US;
    return limit_us < LIMIT_MOST_US ? limit_us : LIMIT_MOST_US;
}

static void ask_next_at(struct probe *probe, int64_t at_us)
{
    int64_t first_us = probe->began_us + GAP_US;
    deadline_set(probe->loop, &probe->deadline, DEADLINE_OTHER,
                 at_us > first_us ? at_us : first_us);
}

static void end(struct probe *probe, const struct node_sample *sample, const char *error)
{
    probe->state = PROBE_IDLE;
    ask_next_at(probe, probe->began_us + probe->interval_us);
    if (sample == NULL) {
        disconnect(probe);
        probe->turn++;
    } else {
        wait_for(probe, EV_READ);
    }
    probe->done(probe->context, sample, error);
}

/* libpq's advice stands on lines of its own. */
static void fail_by_libpq(struct probe *probe)
{
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", PQerrorMessage(probe->conn));
    text[strcspn(text, "\n")] = '\0';
    end(probe, NULL, text[0] != '\0' ? text : "no memory for a connection");
}

/* ---- asking ---- */

static bool read_lsn(const char *text, uint64_t *lsn)
{
    uint32_t high, low;
    if (sscanf(text, "%" SCNx32 "/%" SCNx32, &high, &low) != 2)
        return false;
    *lsn = (uint64_t)high << 32 | low;
    return true;
}

/* A standby that has not begun to replay has no position. */
static bool read_sample(const PGresult *result, struct node_sample *sample)
{
    if (PQntuples(result) != 1 || PQnfields(result) != 4)
        return false;
    sample->in_recovery = PQgetvalue(result, 0, 0)[0] == 't';
    sample->system_id = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
    sample->timeline =
        (uint32_t)strtoul(PQgetvalue(result, 0, 2), NULL, sample->in_recovery ? 10 : 16);
    sample->lsn = 0;
    return sample->system_id != 0 && sample->timeline != 0 &&
           (PQgetisnull(result, 0, 3) || read_lsn(PQgetvalue(result, 0, 3), &sample->lsn));
}

static void take_result(struct probe *probe)
{
    struct node_sample sample;
    if (PQresultStatus(probe->result) != PGRES_TUPLES_OK)
        fail_by_libpq(probe);
    else if (!read_sample(probe->result, &sample))
        end(probe, NULL, "the answer is not understood");
    else
        end(probe, &sample, NULL);
}

/* Behind the result comes the end of it. */
static void read_answer(struct probe *probe)
{
    if (!PQconsumeInput(probe->conn)) {
        fail_by_libpq(probe);
        return;
    }
    while (!PQisBusy(probe->conn)) {
        PGresult *next = PQgetResult(probe->conn);
        if (next == NULL) {
            take_result(probe);
            return;
        }
        PQclear(probe->result);
        probe->result = next;
    }
    wait_for(probe, EV_READ);
}

static void ask(struct probe *probe)
{
    probe->state = PROBE_ASKING;
    PQclear(probe->result);
    probe->result = NULL;
    if (!PQsendQuery(probe->conn, question)) {
        fail_by_libpq(probe);
        return;
    }
    wait_for(probe, EV_READ);
}

/* ---- connecting ---- */

static void poll_connection(struct probe *probe)
{
    switch (PQconnectPoll(probe->conn)) {
    case PGRES_POLLING_READING:
        wait_for(probe, EV_READ);
        break;
    case PGRES_POLLING_WRITING:
        wait_for(probe, EV_WRITE);
        break;
    case PGRES_POLLING_OK:
        PQsetnonblocking(probe->conn, 1);
        ask(probe);
        break;
    default:
        fail_by_libpq(probe);
        break;
    }
}

static void ignore_notice(void *arg, const PGresult *result)
{
}

/* address: numeric, as libpq would wait for a name to be resolved; NULL: a unix socket. */
static void connect_to(struct probe *probe, const char *address)
{
    char port[12];
    snprintf(port, sizeof port, "%d", probe->port);
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
    const char *values[] = {probe->host,   address,         port,           probe->user,
                            probe->dbname, probe->password, "/nonexistent", "disable",
                            "disable",     "any",           "howdah probe", NULL};
    probe->state = PROBE_CONNECTING;
    probe->conn = PQconnectStartParams(keys, values, 0);
    if (probe->conn == NULL || PQstatus(probe->conn) == CONNECTION_BAD) {
        fail_by_libpq(probe);
        return;
    }
    PQsetNoticeReceiver(probe->conn, ignore_notice, NULL);
    wait_for(probe, EV_WRITE);
}

static void connect_to_address(struct probe *probe, const struct address *address)
{
    char text[80];
    address_print(address, text, sizeof text);
    connect_to(probe, address_is_unix(address) ? NULL : text);
}

static void deliver_addresses(struct mail *mail, struct loop *loop)
{
    struct lookup *lookup = (struct lookup *)mail;
    struct probe *probe = lookup->probe;
    if (probe != NULL) {
        probe->lookup = NULL;
        if (lookup->request.n_addresses > 0)
            connect_to_address(
                probe, &lookup->request.addresses[probe->turn % lookup->request.n_addresses]);
        else
            end(probe, NULL, lookup->request.error);
    }
    mem_free(lookup);
}

static void look_up(struct probe *probe)
{
    struct lookup *lookup = mem_new(sizeof *lookup);
    lookup->probe = probe;
    lookup->request.mail.deliver = deliver_addresses;
    lookup->request.loop = probe->loop;
    snprintf(lookup->request.host, sizeof lookup->request.host, "%s", probe->host);
    probe->lookup = lookup;
    probe->state = PROBE_RESOLVING;
    resolver_ask(probe->resolver, &lookup->request);
}

/* ---- the beginning of a question ---- */

static void begin(struct probe *probe)
{
    struct address address;
    probe->began_us = clock_now_us();
    deadline_set(probe->loop, &probe->deadline, DEADLINE_OTHER, probe->began_us + limit_us(probe));
    if (probe->conn != NULL)
        ask(probe);
    else if (address_parse(probe->host, probe->port, &address))
        connect_to_address(probe, &address);
    else
        look_up(probe);
}

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    struct probe *probe = CONTAINER_OF(deadline, struct probe, deadline);
    char text[ERROR_TEXT_MAX];
    if (probe->state == PROBE_IDLE) {
        begin(probe);
        return;
    }
    snprintf(text, sizeof text, "no answer in %" PRId64 " ms", limit_us(probe) / 1000);
    end(probe, NULL, text);
}

/* Nothing was asked: a parameter has changed, or the connection has ended. */
static void read_idle(struct probe *probe)
{
    if (PQconsumeInput(probe->conn) && PQstatus(probe->conn) == CONNECTION_OK) {
        wait_for(probe, EV_READ);
        return;
    }
    disconnect(probe);
    probe_hurry(probe);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct probe *probe = arg;
    drop_event(probe);
    switch (probe->state) {
    case PROBE_CONNECTING:
        poll_connection(probe);
        break;
    case PROBE_ASKING:
        read_answer(probe);
        break;
    default:
        read_idle(probe);
        break;
    }
}

void probe_hurry(struct probe *probe)
{
    if (probe->state == PROBE_IDLE)
        ask_next_at(probe, clock_now_us());
}

/* ---- life ---- */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void free_target(struct probe *probe)
{
    mem_free(probe->host);
    mem_free(probe->user);
    mem_free(probe->dbname);
    mem_wipe_free(probe->password);
}

static void set_target(struct probe *probe, const struct probe_target *target)
{
    probe->host = mem_strdup(target->host);
    probe->port = target->port;
    probe->user = mem_strdup(target->user);
    probe->dbname = mem_strdup(target->dbname);
    probe->password = target->password != NULL ? mem_strdup(target->password) : NULL;
}

struct probe *probe_new(struct loop *loop, struct resolver *resolver,
                        const struct probe_target *target, probe_done *done, void *context)
{
    struct probe *probe = mem_new(sizeof *probe);
    probe->loop = loop;
    probe->resolver = resolver;
    probe->done = done;
    probe->context = context;
    probe->interval_us = target->interval_us;
    probe->deadline.expired = on_deadline;
    set_target(probe, target);
    deadline_set(loop, &probe->deadline, DEADLINE_OTHER, clock_now_us());
    return probe;
}

void probe_retarget(struct probe *probe, const struct probe_target *target)
{
    probe->interval_us = target->interval_us;
    if (strcmp(probe->host, target->host) != 0 || probe->port != target->port ||
        strcmp(probe->user, target->user) != 0 || strcmp(probe->dbname, target->dbname) != 0 ||
        !same_text(probe->password, target->password)) {
        disconnect(probe);
        free_target(probe);
        set_target(probe, target);
        probe->state = PROBE_IDLE;
    }
    probe_hurry(probe);
}

void probe_free(struct probe *probe)
{
    if (probe == NULL)
        return;
    disconnect(probe);
    deadline_clear(probe->loop, &probe->deadline);
    free_target(probe);
    mem_free(probe);
}
