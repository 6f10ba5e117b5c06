#include "session/peerkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void the_id_and_the_hops_have_their_places_and_the_rest_stays(void **state)
{
    static const struct {
        int id;
        uint8_t low, high;
    } rows[] = {{1, 1, 0}, {255, 255, 0}, {256, 0, 1}, {0x1234, 0x34, 0x12}, {16383, 0xff, 0x3f}};
    static const uint8_t fills[] = {0x00, 0x55, 0xaa, 0x7f};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t k = 0; k < sizeof fills; k++) {
            uint8_t fill = fills[k], key[PEER_KEY_LEN];
            uint8_t expected[PEER_KEY_LEN] = {fill, rows[i].low, rows[i].high, fill,
                                              fill, fill,        fill,         fill | 3};
            memset(key, fill, sizeof key);
            peer_key_sign(key, rows[i].id);
            assert_memory_equal(key, expected, sizeof key);
            assert_int_equal(peer_key_id(key), rows[i].id);
        }
    }
}

static void a_key_makes_three_hops_and_then_is_as_it_was(void **state)
{
    uint8_t key[PEER_KEY_LEN], given[PEER_KEY_LEN];
    memset(key, 0xa8, sizeof key);
    peer_key_sign(key, 77);
    memcpy(given, key, sizeof key);
    for (int i = 0; i < PEER_KEY_HOPS; i++) {
        assert_true(peer_key_hop(key));
        assert_int_equal(key[7], 0xab - i - 1);
        assert_memory_equal(key, given, 7);
        uint8_t back[PEER_KEY_LEN];
        memcpy(back, key, sizeof key);
        peer_key_restore(back);
        assert_memory_equal(back, given, sizeof key);
    }
    assert_false(peer_key_hop(key));
    assert_int_equal(key[7], 0xa8);
    assert_int_equal(peer_key_id(key), 77);
}

static void every_key_has_some_id(void **state)
{
    uint8_t key[PEER_KEY_LEN];
    memset(key, 0xff, sizeof key);
    assert_int_equal(peer_key_id(key), 65535);
    memset(key, 0, sizeof key);
    assert_int_equal(peer_key_id(key), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_and_the_hops_have_their_places_and_the_rest_stays),
        cmocka_unit_test(a_key_makes_three_hops_and_then_is_as_it_was),
        cmocka_unit_test(every_key_has_some_id),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
