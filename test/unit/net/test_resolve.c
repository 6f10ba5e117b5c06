#include "net/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "net/loop.h"

enum { TTL_US = 60000000 };

static size_t n_answers, n_found;

static void deliver(struct mail *mail, struct loop *loop)
{
    struct resolve_request *request = (struct resolve_request *)mail;
    n_found += request->n_addresses > 0;
    n_answers++;
    mem_free(request);
    loop_stop(loop);
}

static void ask(struct resolver *resolver, struct loop *loop, const char *host)
{
    struct resolve_request *request = mem_new(sizeof *request);
    request->mail.deliver = deliver;
    request->loop = loop;
    strcpy(request->host, host);
    resolver_ask(resolver, request);
}

struct seen {
    size_t n, n_addresses;
    int64_t left_us;
    char host[256];
};

static void see(void *arg, const char *host, int64_t left_us, const struct address *addresses,
                size_t n_addresses)
{
    struct seen *seen = arg;
    seen->n++;
    seen->left_us = left_us;
    seen->n_addresses = n_addresses;
    strcpy(seen->host, host);
}

static void what_was_looked_up_can_be_seen(void **state)
{
    struct resolver *resolver = resolver_new();
    struct loop *loop = loop_new();
    struct seen seen = {0};
    resolver_set_ttl(resolver, TTL_US, TTL_US);
    resolver_for_each(resolver, see, &seen);
    assert_int_equal(seen.n, 0);
    n_answers = n_found = 0;
    ask(resolver, loop, "localhost");
    while (n_answers < 1)
        loop_run(loop);
    assert_int_equal(n_found, 1);
    ask(resolver, loop, "localhost");
    while (n_answers < 2)
        loop_run(loop);
    struct resolver_counts counts = resolver_count(resolver);
    assert_int_equal(counts.names, 1);
    assert_int_equal(counts.queries, 0);
    assert_int_equal(counts.pending, 0);
    assert_true(counts.size > 0);
    resolver_for_each(resolver, see, &seen);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.host, "localhost");
    assert_true(seen.n_addresses > 0);
    assert_in_range(seen.left_us, 1, TTL_US);
    resolver_free(resolver);
    loop_free(loop);
}

/* The threads must not be left waiting for requests that they have lost count of. */
static void every_request_is_answered(void **state)
{
    enum { REQUESTS = 100 };
    struct resolver *resolver = resolver_new();
    struct loop *loop = loop_new();
    n_answers = n_found = 0;
    for (size_t i = 0; i < REQUESTS; i++)
        ask(resolver, loop, i % 2 == 0 ? "localhost" : "no such name");
    while (n_answers < REQUESTS)
        loop_run(loop);
    assert_int_equal(n_found, REQUESTS / 2);
    struct resolver_counts counts = resolver_count(resolver);
    assert_int_equal(counts.names, 2);
    assert_int_equal(counts.queries + counts.pending, 0);
    resolver_free(resolver);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_looked_up_can_be_seen),
        cmocka_unit_test(every_request_is_answered),
    };
    hash_init();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
