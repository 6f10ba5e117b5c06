#include "route/choose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define NOW    (1000 * SECOND)

enum { N = 6 };

/* Node 0 is the primary, all others are fresh standbys. */
struct world {
    struct node_gauge gauges[N];
    struct node_view nodes[N];
    struct cluster_view cluster;
    struct read_need need;
    struct verdict verdicts[N];
    uint64_t random;
    unsigned turn;
};

static void make(struct world *world, size_t n)
{
    static char *const names[] = {"a", "b", "c", "d", "e", "f"};
    memset(world, 0, sizeof *world);
    world->random = 4711;
    for (size_t i = 0; i < n; i++) {
        world->gauges[i].fresh_us = NOW - SECOND / 10;
        world->nodes[i] = (struct node_view){.name = names[i],
                                             .weight = 1,
                                             .near = true,
                                             .usable = true,
                                             .gauge = &world->gauges[i]};
    }
    world->cluster =
        (struct cluster_view){.nodes = world->nodes, .n_nodes = n, .max_lag_us = 10 * SECOND};
    world->need = (struct read_need){
        .now_us = NOW, .max_lag_us = -1, .random = &world->random, .turn = &world->turn};
}

static int choose(struct world *world)
{
    return choose_node(&world->cluster, &world->need, world->verdicts).node;
}

/* How often each node is chosen in a thousand. */
static void count(struct world *world, int counts[N])
{
    memset(counts, 0, N * sizeof *counts);
    for (int i = 0; i < 1000; i++) {
        int node = choose(world);
        assert_in_range(node, 0, N - 1);
        counts[node]++;
    }
}

static void assert_unfit(struct world *world, enum unfit unfit)
{
    struct choice choice = choose_node(&world->cluster, &world->need, world->verdicts);
    assert_int_equal(choice.node, -1);
    assert_string_equal(unfit_name(choice.unfit), unfit_name(unfit));
}

static void a_read_goes_to_a_standby(void **state)
{
    struct world world;
    make(&world, 2);
    assert_int_equal(choose(&world), 1);
    assert_int_equal(world.verdicts[0].unfit, UNFIT_NOT_WANTED);
    assert_int_equal(world.verdicts[1].unfit, FIT);
    assert_int_equal(choose_node(&world.cluster, &world.need, NULL).node, 1);
}

static void without_a_standby_there_is_no_choice(void **state)
{
    struct world world;
    make(&world, 1);
    assert_unfit(&world, UNFIT_NOT_WANTED);
    make(&world, 2);
    world.nodes[1].usable = false;
    assert_unfit(&world, UNFIT_NOT_USABLE);
    make(&world, 2);
    world.cluster.primary = -1; /* then standbys go on */
    world.nodes[0].usable = false;
    assert_int_equal(choose(&world), 1);
}

static void read_from_counts(void **state)
{
    struct world world;
    int counts[N];
    make(&world, 3);
    world.cluster.read_from = READ_FROM_PRIMARY;
    assert_unfit(&world, UNFIT_NOT_WANTED);
    world.cluster.read_from = READ_FROM_STANDBY_ONLY;
    count(&world, counts);
    assert_int_equal(counts[0], 0);
    world.cluster.read_from = READ_FROM_ANY;
    count(&world, counts);
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 280, 390);
    world.gauges[0].fresh_us = 0; /* a primary lags behind nobody */
    world.need.write_us = NOW - 1;
    assert_int_equal(choose(&world), 0);
}

static void lag_is_bounded(void **state)
{
    struct world world;
    make(&world, 2);
    world.gauges[1].fresh_us = NOW - 10 * SECOND;
    assert_int_equal(choose(&world), 1);
    world.gauges[1].fresh_us--;
    assert_unfit(&world, UNFIT_BEHIND);
    world.cluster.max_lag_us = 0;
    assert_int_equal(choose(&world), 1);
    world.gauges[1].fresh_us = 0;
    assert_int_equal(choose(&world), 1);
    world.cluster.max_lag_us = SECOND;
    assert_unfit(&world, UNFIT_UNKNOWN);
}

static void an_own_bound_takes_the_place_of_the_clusters(void **state)
{
    struct world world;
    make(&world, 2);
    world.gauges[1].fresh_us = NOW - 5 * SECOND;
    world.need.max_lag_us = 4 * SECOND;
    assert_unfit(&world, UNFIT_BEHIND);
    world.gauges[1].fresh_us = NOW - 15 * SECOND;
    world.gauges[1].behind = BEHIND_TIME;
    world.need.max_lag_us = 20 * SECOND;
    assert_int_equal(choose(&world), 1);
    world.need.max_lag_us = 0;
    assert_int_equal(choose(&world), 1);
    world.gauges[1].behind = BEHIND_TIME | BEHIND_BYTES;
    assert_unfit(&world, UNFIT_BEHIND_BYTES);
}

static void who_was_behind_has_to_catch_up_first(void **state)
{
    struct world world;
    make(&world, 3);
    world.gauges[1].behind = BEHIND_TIME;
    assert_int_equal(choose(&world), 2);
    assert_int_equal(world.verdicts[1].unfit, UNFIT_BEHIND);
}

static void writes_are_followed(void **state)
{
    struct world world;
    make(&world, 3);
    world.gauges[1].fresh_us = NOW - SECOND;
    world.gauges[2].fresh_us = NOW - 2 * SECOND;
    world.gauges[1].replay_lsn = 100;
    world.gauges[2].replay_lsn = 99;
    world.need.write_us = NOW - SECOND;
    assert_int_equal(choose(&world), 1);
    assert_int_equal(world.verdicts[2].unfit, UNFIT_NOT_FOLLOWING);
    world.need.write_us++;
    assert_unfit(&world, UNFIT_NOT_FOLLOWING);
    world.need.write_us = 0;
    world.need.min_lsn = 100;
    assert_int_equal(choose(&world), 1);
    world.need.min_lsn = 101;
    assert_unfit(&world, UNFIT_NOT_FOLLOWING);
}

static void the_nearest_reason_is_told(void **state)
{
    struct world world;
    make(&world, 4);
    world.nodes[1].usable = false;
    world.gauges[2].fresh_us = NOW - SECOND;
    world.gauges[3].fresh_us = NOW - 60 * SECOND;
    world.need.write_us = NOW;
    assert_unfit(&world, UNFIT_NOT_FOLLOWING);
    assert_int_equal(world.verdicts[1].unfit, UNFIT_NOT_USABLE);
    assert_int_equal(world.verdicts[3].unfit, UNFIT_BEHIND);
}

static void the_ejected_are_left_out_but_never_all(void **state)
{
    struct world world;
    make(&world, 3);
    world.gauges[1].ejected_until_us = NOW - 1; /* the probe has to let it in */
    assert_int_equal(choose(&world), 2);
    assert_int_equal(world.verdicts[1].unfit, UNFIT_EJECTED);
    world.gauges[2].ejected_until_us = NOW + SECOND;
    assert_in_range(choose(&world), 1, 2);
    /* One that stays, but cannot be used for this read, is one. */
    world.gauges[2].ejected_until_us = 0;
    world.gauges[2].fresh_us = NOW - 60 * SECOND;
    assert_unfit(&world, UNFIT_BEHIND);
}

static void those_ejected_by_hand_may_be_all(void **state)
{
    struct world world;
    make(&world, 3);
    world.gauges[1].ejected_by_hand = true;
    assert_int_equal(choose(&world), 2);
    world.gauges[2].ejected_until_us = NOW + SECOND;
    assert_int_equal(choose(&world), 2);
    world.gauges[2].ejected_by_hand = true;
    assert_unfit(&world, UNFIT_BY_HAND);
}

static void the_own_zone_comes_first(void **state)
{
    struct world world;
    make(&world, 4);
    world.nodes[1].near = world.nodes[3].near = false;
    assert_int_equal(choose(&world), 2);
    assert_int_equal(world.verdicts[1].unfit, UNFIT_FAR);
    world.gauges[2].behind = BEHIND_TIME;
    int node = choose(&world);
    assert_true(node == 1 || node == 3);
}

static void the_fewest_leases_win(void **state)
{
    struct world world;
    int counts[N];
    make(&world, 4);
    world.gauges[1].outstanding = 4;
    world.gauges[2].outstanding = 3;
    world.gauges[3].outstanding = 8;
    assert_int_equal(choose(&world), 2);
    world.nodes[3].weight = 4;
    assert_int_equal(choose(&world), 3);
    for (int i = 1; i < 4; i++)
        world.gauges[i].outstanding = 0;
    count(&world, counts); /* ties by weight: 1, 1, 4 */
    assert_in_range(counts[1], 120, 215);
    assert_in_range(counts[2], 120, 215);
}

static void round_robin_takes_turns_by_weight(void **state)
{
    struct world world;
    make(&world, 4);
    world.cluster.balance = BY_ROUND_ROBIN;
    world.nodes[2].weight = 2;
    static const int expected[] = {1, 2, 2, 3, 1, 2, 2, 3};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(choose(&world), expected[i]);
    world.nodes[2].usable = false;
    assert_int_equal(choose(&world), 1);
    assert_int_equal(choose(&world), 3);
}

static void chance_minds_the_weights(void **state)
{
    struct world world;
    int counts[N];
    make(&world, 3);
    world.cluster.balance = BY_RANDOM;
    world.nodes[1].weight = 9;
    count(&world, counts);
    assert_in_range(counts[1], 860, 940);
}

static void the_quickest_wins(void **state)
{
    struct world world;
    make(&world, 3);
    world.cluster.balance = BY_PEAK_EWMA;
    gauge_measure(&world.gauges[1], 900, NOW);
    gauge_measure(&world.gauges[2], 500, NOW);
    assert_int_equal(choose(&world), 2);
    world.gauges[2].outstanding = 1; /* 1000 */
    assert_int_equal(choose(&world), 1);
    world.nodes[2].weight = 2; /* 500 */
    assert_int_equal(choose(&world), 2);
}

static void a_node_never_measured_is_taken_for_the_average(void **state)
{
    struct world world;
    make(&world, 4);
    world.cluster.balance = BY_PEAK_EWMA;
    gauge_measure(&world.gauges[1], 200, NOW);
    gauge_measure(&world.gauges[2], 1000, NOW);
    assert_int_equal(choose(&world), 1);
    world.gauges[1].outstanding = 3;
    assert_int_equal(choose(&world), 3);
    assert_true(world.verdicts[3].score > 599 && world.verdicts[3].score < 601);
}

static void of_many_two_are_compared(void **state)
{
    struct world world;
    int counts[N];
    make(&world, 6);
    world.cluster.balance = BY_PEAK_EWMA;
    for (int i = 1; i < 6; i++)
        gauge_measure(&world.gauges[i], 100 * i, NOW);
    count(&world, counts); /* the i-th best of five wins (5 - i) of the ten pairs */
    assert_in_range(counts[1], 350, 450);
    assert_in_range(counts[2], 250, 350);
    assert_in_range(counts[4], 60, 140);
    assert_int_equal(counts[5], 0);
}

static void the_same_client_stays_with_its_node(void **state)
{
    struct world world;
    int before[500], counts[N] = {0}, n_moved = 0;
    make(&world, 5);
    world.cluster.balance = BY_CLIENT_HASH;
    world.nodes[1].weight = 2;
    for (int i = 0; i < 500; i++) {
        world.need.client_hash = (uint64_t)i;
        before[i] = choose(&world);
        assert_int_equal(choose(&world), before[i]);
        counts[before[i]]++;
    }
    assert_in_range(counts[1], 165, 235); /* of 500, two of five */
    assert_in_range(counts[2], 70, 130);
    world.nodes[3].usable = false;
    for (int i = 0; i < 500; i++) {
        world.need.client_hash = (uint64_t)i;
        int now = choose(&world);
        assert_true(before[i] == 3 || now == before[i]);
        n_moved += now != before[i];
    }
    assert_int_equal(n_moved, counts[3]);
}

static void who_is_back_starts_slowly(void **state)
{
    struct world world;
    int counts[N];
    make(&world, 3);
    world.cluster.balance = BY_RANDOM;
    world.gauges[1].back_us = NOW - SECOND; /* a tenth: 1 of 11 */
    count(&world, counts);
    assert_in_range(counts[1], 60, 125);
    world.gauges[1].back_us = NOW - 15 * SECOND; /* half: 1 of 3 */
    count(&world, counts);
    assert_in_range(counts[1], 285, 385);
    world.gauges[1].back_us = NOW - 30 * SECOND;
    count(&world, counts);
    assert_in_range(counts[1], 450, 550);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_goes_to_a_standby),
        cmocka_unit_test(without_a_standby_there_is_no_choice),
        cmocka_unit_test(read_from_counts),
        cmocka_unit_test(lag_is_bounded),
        cmocka_unit_test(an_own_bound_takes_the_place_of_the_clusters),
        cmocka_unit_test(who_was_behind_has_to_catch_up_first),
        cmocka_unit_test(writes_are_followed),
        cmocka_unit_test(the_nearest_reason_is_told),
        cmocka_unit_test(the_ejected_are_left_out_but_never_all),
        cmocka_unit_test(those_ejected_by_hand_may_be_all),
        cmocka_unit_test(the_own_zone_comes_first),
        cmocka_unit_test(the_fewest_leases_win),
        cmocka_unit_test(round_robin_takes_turns_by_weight),
        cmocka_unit_test(chance_minds_the_weights),
        cmocka_unit_test(the_quickest_wins),
        cmocka_unit_test(a_node_never_measured_is_taken_for_the_average),
        cmocka_unit_test(of_many_two_are_compared),
        cmocka_unit_test(the_same_client_stays_with_its_node),
        cmocka_unit_test(who_is_back_starts_slowly),
    };
    return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
