/*
 * The pools against a model: random sequences of what clients, servers, time and the control thread can
 * do, with the rules of model_check.h looked at after each step.  Servers are fake_server.h's.
 *
 * A sequence that fails is cut short and printed step by step.  By hand, from the environment:
 *
 *   MODEL_STEPS=n                 how many steps in all (2000000)
 *   MODEL_SEED=n MODEL_WORKERS=n  play this one sequence and print it
 *   MODEL_FIRST=n                 the seed of the first sequence; else half of them begin with 1, and half with
 *                                 one that the clock gives, which is printed
 */
#include "pool/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "model_steps.h"

enum {
    STEPS = 300, /* of a sequence */
    ROUND_STEPS = 100,
    ROUNDS = 8,
    SECONDS_MAX = 5, /* for a sequence: more is a loop without an end */
};

/* What to play, and how. */
struct play {
    uint64_t seed;
    unsigned n_workers;
    bool left_out[STEPS];
    bool trace;
};

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- one sequence ---- */

static void begin_world(struct model *model, const struct play *play, struct report *report)
{
    static const unsigned pools[] = {1, 2, FAKE_POOLS};
    struct worker *first = &model->workers[0];
    *model = (struct model){.n_workers = play->n_workers, .trace = play->trace, .report = report};
    begin_step(model, play->seed, 0);
    atomic_store(&fake.now_us, 1000000000);
    fake.opened = check_limits;
    fake.closing = on_closing;
    model->pools = pools_new(model->n_workers, NULL);
    for (unsigned i = 0; i < FAKE_POOLS; i++)
        fake.tallies[i] = (struct fake_tally){
            .pool = pools_get(model->pools, database_names[pool_names[i].database],
                              pool_names[i].user, pool_names[i].forced)};
    model->n_pools = PICK(first, pools);
    model->openings = chance(first, 2) == 0;
    model->steady = chance(first, 3) == 0;
    struct settings *settings = random_settings(model, first);
    for (unsigned i = 0; i < model->n_workers; i++) {
        struct worker *worker = &model->workers[i];
        worker->model = model;
        pool_worker_init(&worker->pool, model->pools, i, loop_new(), settings, &model_events);
    }
    settings_unref(settings);
}

static void close_worker(struct worker *worker)
{
    worker->pool.stopping = true;
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (worker->clients[i].state != CLIENT_GONE)
            client_leave(&worker->clients[i]);
    }
    pool_worker_done(&worker->pool);
}

static void end_world(struct model *model)
{
    for (unsigned i = 0; i < model->n_workers; i++) {
        close_worker(&model->workers[i]);
        loop_drain(model->workers[i].pool.loop);
        close_worker(&model->workers[i]);
    }
    for (unsigned i = 0; i < model->n_workers; i++) {
        loop_free(model->workers[i].pool.loop);
        pool_worker_free_parts(&model->workers[i].pool);
    }
    for (unsigned i = 0; i < FAKE_POOLS; i++)
        MUST(model, atomic_load(&fake.tallies[i].pool->size) == 0, "servers are left at the end");
    MUST(model, atomic_load(&fake.in_memory) == 0, "memory of servers is left at the end");
    pools_free(model->pools);
}

static void play_sequence(const struct play *play, struct report *report)
{
    struct model *model = mem_new(sizeof *model);
    begin_world(model, play, report);
    for (unsigned i = 0; i < STEPS; i++) {
        begin_step(model, play->seed, i + 1);
        struct worker *worker = &model->workers[chance(&model->workers[0], model->n_workers)];
        const struct step *step = random_step(worker);
        if (play->left_out[i])
            continue;
        step->run(worker);
        check_all(model);
    }
    begin_step(model, play->seed, STEPS + 1);
    serve_all(&model->workers[0]);
    end_world(model);
    mem_free(model);
}

/* ---- in a process of its own, so that a failure is one whatever it looks like ---- */

typedef void run_in_child(const void *what, struct report *report);

/* True: it has come to its end.  quiet: nobody wants to read why not. */
static bool run(run_in_child *body, const void *what, struct report *report, bool quiet)
{
    int status = 0;
    memset(report, 0, sizeof *report);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        body(what, report);
        fflush(stdout);
        exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0 && report->text[0] == '\0')
        snprintf(report->text, sizeof report->text, "the process has ended with status %#x",
                 status);
    return status == 0;
}

static void play_one(const void *what, struct report *report)
{
    alarm(SECONDS_MAX);
    play_sequence(what, report);
}

/* Leaves out what is not needed for a failure: halves, then smaller and smaller pieces. */
static void cut_short(struct play *play, struct report *report)
{
    const char *rule = report->rule;
    for (unsigned size = STEPS / 2; size > 0; size = size > 1 ? (size + 1) / 2 : 0) {
        for (unsigned at = 0; at < STEPS; at += size) {
            struct play shorter = *play;
            for (unsigned i = at; i < at + size && i < STEPS; i++)
                shorter.left_out[i] = true;
            if (memcmp(&shorter, play, sizeof shorter) != 0 &&
                !run(play_one, &shorter, report, true) && report->rule == rule)
                *play = shorter;
        }
    }
}

static void tell_failure(struct play *play, struct report *report)
{
    printf("# MODEL_SEED=%llu MODEL_WORKERS=%u: step %u: %s\n", (unsigned long long)play->seed,
           play->n_workers, report->step, report->text);
    cut_short(play, report);
    play->trace = true;
    run(play_one, play, report, false);
    printf("#   %s\n", report->text);
}

struct series {
    uint64_t first_seed, n_steps;
    unsigned n_workers;
};

static void play_series(const void *what, struct report *report)
{
    const struct series *series = what;
    uint64_t seed = series->first_seed;
    for (uint64_t done = 0; done < series->n_steps; done += STEPS) {
        struct play play = {.seed = seed++, .n_workers = series->n_workers};
        alarm(SECONDS_MAX);
        play_sequence(&play, report);
    }
}

static struct report *shared_report(void)
{
    void *shared = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    return shared;
}

static void try_series_from(uint64_t seed, unsigned n_workers, uint64_t n_steps)
{
    struct report *report = shared_report();
    struct series series = {.first_seed = seed, .n_steps = n_steps, .n_workers = n_workers};
    bool good = run(play_series, &series, report, false);
    if (!good) {
        struct play play = {.seed = report->seed, .n_workers = n_workers};
        tell_failure(&play, report);
    }
    munmap(report, sizeof *report);
    assert_true(good);
}

/* A seed that nobody has tried before. */
static uint64_t new_seed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = mix((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) >> 24;
    printf("# MODEL_FIRST=%llu\n", (unsigned long long)seed);
    return seed;
}

/* Of each kind of series there are four. */
static void try_kind(void (*try_from)(uint64_t seed, unsigned n_workers, uint64_t n_steps),
                     unsigned n_workers)
{
    uint64_t n_steps = from_environment("MODEL_STEPS", 2000000) / 4;
    if (getenv("MODEL_FIRST") != NULL) {
        try_from(from_environment("MODEL_FIRST", 1), n_workers, n_steps);
        return;
    }
    try_from(1, n_workers, n_steps / 2);
    try_from(new_seed(), n_workers, n_steps / 2);
}

static void a_pool_of_one_worker_keeps_its_rules(void **state)
{
    try_kind(try_series_from, 1);
}

static void a_pool_of_two_workers_keeps_its_rules(void **state)
{
    try_kind(try_series_from, 2);
}

static void a_pool_of_four_workers_keeps_its_rules(void **state)
{
    try_kind(try_series_from, 4);
}

/* ---- with threads: between rounds all stand still, and nothing may have been lost ---- */

static void *play_round(void *arg)
{
    struct worker *worker = arg;
    for (int i = 0; i < ROUND_STEPS; i++) {
        const struct step *step = random_step(worker);
        if (step->where == ANYWHERE || (step->where == CONTROL && worker->pool.index == 0))
            step->run(worker);
        if (chance(worker, 4) == 0)
            loop_drain(worker->pool.loop);
    }
    return NULL;
}

static void play_rounds(const struct play *play, struct report *report)
{
    struct model *model = mem_new(sizeof *model);
    pthread_t threads[WORKERS_MAX];
    begin_world(model, play, report);
    model->threaded = true;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        begin_step(model, play->seed, round);
        for (unsigned i = 0; i < model->n_workers; i++)
            pthread_create(&threads[i], NULL, play_round, &model->workers[i]);
        for (unsigned i = 0; i < model->n_workers; i++)
            pthread_join(threads[i], NULL);
        look(&model->workers[0]);
        if (round % 4 == 0)
            serve_all(&model->workers[0]);
    }
    end_world(model);
    mem_free(model);
}

static void play_series_of_rounds(const void *what, struct report *report)
{
    const struct series *series = what;
    uint64_t seed = series->first_seed;
    for (uint64_t done = 0; done < series->n_steps; done += ROUNDS * ROUND_STEPS * WORKERS_MAX) {
        struct play play = {.seed = seed++, .n_workers = series->n_workers};
        alarm(SECONDS_MAX);
        play_rounds(&play, report);
    }
}

static void try_rounds_from(uint64_t seed, unsigned n_workers, uint64_t n_steps)
{
    struct report *report = shared_report();
    struct series series = {.first_seed = seed, .n_steps = n_steps, .n_workers = n_workers};
    bool good = run(play_series_of_rounds, &series, report, false);
    if (!good)
        printf("# seed %llu, round %u: %s\n", (unsigned long long)report->seed, report->step,
               report->text);
    munmap(report, sizeof *report);
    assert_true(good);
}

static void workers_in_threads_of_their_own_lose_nothing(void **state)
{
    try_kind(try_rounds_from, WORKERS_MAX);
}

static void the_sequence_that_was_asked_for(void **state)
{
    struct report *report = shared_report();
    struct play play = {.seed = from_environment("MODEL_SEED", 1),
                        .n_workers = (unsigned)from_environment("MODEL_WORKERS", 1),
                        .trace = true};
    assert_true(run(play_one, &play, report, false));
    munmap(report, sizeof *report);
}

int main(void)
{
    const struct CMUnitTest one[] = {cmocka_unit_test(the_sequence_that_was_asked_for)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_of_one_worker_keeps_its_rules),
        cmocka_unit_test(a_pool_of_two_workers_keeps_its_rules),
        cmocka_unit_test(a_pool_of_four_workers_keeps_its_rules),
        cmocka_unit_test(workers_in_threads_of_their_own_lose_nothing),
    };
    log_begin(true, 0);
    setvbuf(stdout, NULL, _IOLBF, 0); /* a process that is ended by a signal has told all */
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return getenv("MODEL_SEED") != NULL ? cmocka_run_group_tests(one, NULL, NULL)
                                        : cmocka_run_group_tests(tests, NULL, NULL);
}
