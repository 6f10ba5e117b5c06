#include "auth/scram_cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "auth/scram.h"

static const struct scram_salt salt = {.iterations = 2, .len = 3, .bytes = "abc"};

static void what_was_derived_is_found(void **state)
{
    struct scram_cache *cache = scram_cache_new();
    struct scram_keys derived, found, direct;
    assert_false(scram_cache_find(cache, "secret", &salt, &found));
    assert_true(scram_cache_derive(cache, "secret", &salt, &derived));
    assert_true(scram_cache_find(cache, "secret", &salt, &found));
    assert_true(scram_keys_derive("secret", &salt, &direct));
    assert_memory_equal(found.client_key, direct.client_key, SCRAM_KEY_LEN);
    assert_memory_equal(found.server_key, direct.server_key, SCRAM_KEY_LEN);
    assert_true(scram_salt_equal(&found.salt, &salt));
    assert_memory_equal(derived.client_key, direct.client_key, SCRAM_KEY_LEN);
    scram_cache_free(cache);
}

static void another_password_salt_or_count_is_another_entry(void **state)
{
    struct scram_cache *cache = scram_cache_new();
    struct scram_keys keys;
    struct scram_salt longer = salt, other = salt, slower = salt;
    longer.len = 4;
    other.bytes[0] = 'x';
    slower.iterations = 3;
    assert_true(scram_cache_derive(cache, "secret", &salt, &keys));
    assert_false(scram_cache_find(cache, "secre", &salt, &keys));
    assert_false(scram_cache_find(cache, "", &salt, &keys));
    assert_false(scram_cache_find(cache, "secret", &longer, &keys));
    assert_false(scram_cache_find(cache, "secret", &other, &keys));
    assert_false(scram_cache_find(cache, "secret", &slower, &keys));
    scram_cache_free(cache);
}

static void without_a_cache_keys_are_derived(void **state)
{
    struct scram_keys keys;
    assert_false(scram_cache_find(NULL, "secret", &salt, &keys));
    assert_true(scram_cache_derive(NULL, "secret", &salt, &keys));
    scram_cache_add(NULL, "secret", &keys);
    scram_cache_free(NULL);
}

static void *login_often(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        struct scram_keys keys, direct;
        char password[16];
        snprintf(password, sizeof password, "%d", i % 5000);
        if (!scram_cache_derive(arg, password, &salt, &keys) ||
            !scram_keys_derive(password, &salt, &direct) ||
            memcmp(keys.client_key, direct.client_key, SCRAM_KEY_LEN) != 0)
            return arg;
    }
    return NULL;
}

static void threads_share_a_cache_that_is_too_small(void **state)
{
    struct scram_cache *cache = scram_cache_new();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, login_often, cache), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    scram_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_derived_is_found),
        cmocka_unit_test(another_password_salt_or_count_is_another_entry),
        cmocka_unit_test(without_a_cache_keys_are_derived),
        cmocka_unit_test(threads_share_a_cache_that_is_too_small),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
