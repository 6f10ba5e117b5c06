#include "sql/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/hash.h"
#include "sql/facts.h"

enum { MAX_LEN = 1 << 16, MAX_BYTES = 64 << 10 };

static struct sql_cache *cache;

static int start(void **state)
{
    hash_init();
    cache = sql_cache_new(MAX_BYTES, MAX_LEN);
    return 0;
}

static int end(void **state)
{
    sql_cache_free(cache);
    sql_thread_done();
    return 0;
}

static const struct sql_facts *get(const char *text, bool conforming)
{
    return sql_cache_get(cache, text, strlen(text), conforming);
}

static void a_text_is_kept_when_it_comes_again(void **state)
{
    assert_int_equal(get("SET a.b = 1", true)->effects, SQL_SETS);
    assert_int_equal(sql_cache_counts(cache).entries, 0);
    const struct sql_facts *second = get("SET a.b = 1", true);
    assert_int_equal(second->effects, SQL_SETS);
    assert_ptr_equal(get("SET a.b = 1", true), second);
    assert_int_equal(get("SET a.b = 1 ", true)->effects, SQL_SETS);
    struct sql_cache_counts counts = sql_cache_counts(cache);
    assert_int_equal(counts.hits, 1);
    assert_int_equal(counts.misses, 3);
    assert_int_equal(counts.entries, 1);
}

static void how_backslashes_are_read_is_part_of_the_key(void **state)
{
    const char *text = "SELECT 'a\\'; DROP TABLE t; --'";
    assert_int_equal(get(text, true)->effects, SQL_DROPS);
    assert_int_equal(get(text, false)->effects, 0);
    assert_int_equal(get(text, true)->effects, SQL_DROPS);
}

static void its_bytes_are_bounded_and_the_oldest_makes_room(void **state)
{
    char text[100];
    const char *kept = "SELECT 'used again and again'";
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "SELECT %d FROM t%d", i, i);
        get(text, true);
        get(text, true);
        get(kept, true);
        assert_true(sql_cache_counts(cache).bytes <= MAX_BYTES);
    }
    struct sql_cache_counts before = sql_cache_counts(cache);
    assert_int_equal(before.misses, 2 * 2001);
    assert_int_equal(before.hits, 1998);
    assert_int_equal(before.evictions, 2001 - before.entries);
    assert_true(before.entries > 100);
    get("SELECT 0 FROM t0", true);
    assert_int_equal(sql_cache_counts(cache).misses, before.misses + 1);
}

static void what_is_large_is_not_kept(void **state)
{
    char text[5000];
    memset(text, ' ', sizeof text);
    memcpy(text, "SELECT f()", 10);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sql_cache_get(cache, text, sizeof text, true)->effects, SQL_CALLS);
    assert_int_equal(sql_cache_counts(cache).misses, 3);
    assert_int_equal(sql_cache_counts(cache).entries, 0);
    assert_int_equal(get("SELECT 1", true)->effects, 0);
}

static void a_cache_of_nothing_keeps_nothing(void **state)
{
    struct sql_cache *none = sql_cache_new(0, MAX_LEN);
    for (int i = 0; i < 2; i++)
        assert_int_equal(sql_cache_get(none, "SELECT f()", 10, true)->effects, SQL_CALLS);
    assert_int_equal(sql_cache_counts(none).entries, 0);
    sql_cache_free(none);
    sql_cache_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_is_kept_when_it_comes_again, start, end),
        cmocka_unit_test_setup_teardown(how_backslashes_are_read_is_part_of_the_key, start, end),
        cmocka_unit_test_setup_teardown(its_bytes_are_bounded_and_the_oldest_makes_room, start,
                                        end),
        cmocka_unit_test_setup_teardown(what_is_large_is_not_kept, start, end),
        cmocka_unit_test_setup_teardown(a_cache_of_nothing_keeps_nothing, start, end),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
