/* What upkeep closes, and what it leaves alone. */
#include "pool/part.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/log.h"
#include "conf/report.h"
#include "fake_server.h"

enum { BEGIN_US = 1000000000, SECOND_US = 1000000 };

static const char text[] = "[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 3\n"
                           "server_check_query = select 1\nserver_check_delay = 0\n"
                           "server_idle_timeout = 1\n[databases]\na = host=127.0.0.1\n";

struct world {
    struct pool_worker worker;
    struct part *part;
    struct server *lent; /* has a client */
};

static void on_opened(const struct server *server)
{
}

static void on_closing(const struct server *server, const char *reason)
{
}

static void on_granted(struct pool_worker *worker, struct waiter *waiter, struct server *server)
{
    ((struct world *)worker)->lent = server;
    server->client = waiter;
}

static const struct pool_events events = {.granted = on_granted};

static struct settings *load_settings(void)
{
    struct conf_report report;
    conf_report_init(&report);
    struct settings *settings = settings_load_text("test.ini", text, strlen(text), &report);
    assert_non_null(settings);
    conf_report_done(&report);
    return settings;
}

/* Opens servers for as many waiters, and lends them. */
static void open_servers(struct world *world, struct server **servers, struct waiter *waiters,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        part_wait(world->part, &waiters[i]);
        struct server *server = TAILQ_LAST(&world->part->others, server_list);
        fake_advance(server, false);
        fake_advance(server, false);
        assert_ptr_equal(world->lent, server);
        servers[i] = server;
    }
}

static void begin(struct world *world)
{
    memset(world, 0, sizeof *world);
    atomic_store(&fake.now_us, BEGIN_US);
    fake.opened = on_opened;
    fake.closing = on_closing;
    struct settings *settings = load_settings();
    struct pools *pools = pools_new(1, NULL);
    fake.tallies[0].pool = pools_get(pools, "a", "u", false);
    pool_worker_init(&world->worker, pools, 0, loop_new(), settings, &events);
    settings_unref(settings);
    world->part = part_get(&world->worker, fake.tallies[0].pool);
}

static void end(struct world *world)
{
    struct pools *pools = world->worker.pools;
    pool_worker_done(&world->worker);
    loop_free(world->worker.loop);
    pool_worker_free_parts(&world->worker);
    pools_free(pools);
    assert_int_equal(atomic_load(&fake.in_memory), 0);
}

/* The waiter has one of them tested when the other one is closed: the list is not what it was. */
static void of_idle_servers_that_a_waiter_takes_and_those_in_use_none_is_closed(void **state)
{
    struct world world;
    struct server *servers[3];
    struct waiter waiters[3] = {0}, late = {0};
    begin(&world);
    open_servers(&world, servers, waiters, 3);
    for (int i = 0; i < 2; i++)
        server_release(servers[i]);
    assert_int_equal(world.part->n_idle, 2);
    atomic_store(&world.part->pool->database->paused, PAUSE_WAIT);
    part_wait(world.part, &late); /* the end of the pause is not known to the worker yet */
    atomic_store(&world.part->pool->database->paused, PAUSE_NONE);
    atomic_fetch_add(&fake.now_us, 2 * SECOND_US);
    part_upkeep(&world.worker.upkeep, world.worker.loop);
    assert_int_equal(servers[2]->state, SERVER_LEASED);
    assert_int_equal(world.part->n_idle, 0);
    assert_int_equal(world.part->n_testing, 1);
    part_leave(world.part, &late);
    servers[2]->client = NULL;
    end(&world);
}

static void idle_servers_are_closed_after_their_time(void **state)
{
    struct world world;
    struct server *servers[2];
    struct waiter waiters[2] = {0};
    begin(&world);
    open_servers(&world, servers, waiters, 2);
    server_release(servers[0]);
    atomic_fetch_add(&fake.now_us, SECOND_US - 1);
    part_upkeep(&world.worker.upkeep, world.worker.loop);
    assert_int_equal(world.part->n_idle, 1);
    atomic_fetch_add(&fake.now_us, 1);
    part_upkeep(&world.worker.upkeep, world.worker.loop);
    assert_int_equal(world.part->n_idle, 0);
    assert_int_equal(servers[1]->state, SERVER_LEASED);
    servers[1]->client = NULL;
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_servers_are_closed_after_their_time),
        cmocka_unit_test(of_idle_servers_that_a_waiter_takes_and_those_in_use_none_is_closed),
    };
    log_begin(true, 0);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
