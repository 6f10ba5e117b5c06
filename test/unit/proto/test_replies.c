/* The reply queue against a plain model of a PostgreSQL server: whatever is sent, each reply goes to
 * whom it belongs, in order, and each note is handed back once. */
#include "proto/replies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/message.h"

enum { LOG_MAX = 1 << 16, NOTES_MAX = 4096 };

/* What the client was given: message kinds of the server, or '!' and the kind for ours. */
struct seen {
    char log[LOG_MAX];
    size_t len;
    int settled[NOTES_MAX];
    enum reply_outcome outcome[NOTES_MAX];
    int order[NOTES_MAX], n_settled;
};

static struct seen seen;
static int notes[NOTES_MAX];

static void give(char kind)
{
    assert_true(seen.len < LOG_MAX);
    seen.log[seen.len++] = kind;
}

static void on_fake(void *context, const struct reply *reply)
{
    give(reply->kind == REPLY_PARSE ? '1' : '3');
}

static void on_settled(void *context, const struct reply *reply, enum reply_outcome outcome)
{
    int i = (int)((int *)reply->note - notes);
    seen.settled[i]++;
    seen.outcome[i] = outcome;
    seen.order[seen.n_settled++] = i;
}

static const struct replies_events events = {on_fake, on_settled};

static enum reply_verdict take(struct replies *replies, char kind)
{
    enum reply_verdict verdict = replies_take(replies, &events, NULL, (uint8_t)kind);
    if (verdict == VERDICT_FORWARD)
        give(kind);
    replies_advance(replies, &events, NULL);
    return verdict;
}

static void take_all(struct replies *replies, const char *kinds)
{
    for (; *kinds != '\0'; kinds++)
        assert_int_not_equal(take(replies, *kinds), VERDICT_BROKEN);
}

static bool expect(struct replies *replies, enum reply_kind kind, enum reply_action action,
                   void *note)
{
    return replies_expect(replies, &events, NULL, kind, action, note);
}

static int begin(void **state)
{
    memset(&seen, 0, sizeof seen);
    return 0;
}

static void assert_seen(const char *log)
{
    assert_int_equal(seen.len, strlen(log));
    assert_memory_equal(seen.log, log, seen.len);
}

static void a_reply_without_a_request_is_broken(void **state)
{
    static const char kinds[] = "123CDIsTtnZGHWcdVK";
    for (const char *kind = kinds; *kind != '\0'; kind++) {
        struct replies replies = {0};
        assert_int_equal(take(&replies, *kind), VERDICT_BROKEN);
        replies_done(&replies);
    }
}

static void a_wrong_reply_is_broken(void **state)
{
    static const char *const allowed[] = {"1", "2", "tTn",         "DCIsTGHWcd",
                                          "3", "Z", "DCIsTGHWcdZ", "VZ"};
    for (int kind = REPLY_PARSE; kind <= REPLY_FUNCTION; kind++) {
        for (int byte = 1; byte < 256; byte++) {
            struct replies replies = {0};
            expect(&replies, (enum reply_kind)kind, REPLY_FORWARD, NULL);
            bool right = strchr(allowed[kind], byte) != NULL || byte == 'E';
            assert_int_equal(take(&replies, (char)byte) != VERDICT_BROKEN, right);
            replies_done(&replies);
        }
    }
}

static void an_error_skips_to_sync_and_undoes_newest_first(void **state)
{
    struct replies replies = {0};
    expect(&replies, REPLY_PARSE, REPLY_FORWARD, &notes[0]);
    expect(&replies, REPLY_BIND, REPLY_FORWARD, &notes[1]);
    expect(&replies, REPLY_PARSE, REPLY_FAKE, &notes[2]);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    expect(&replies, REPLY_PARSE, REPLY_FAKE, &notes[3]);
    take_all(&replies, "E");
    assert_int_equal(seen.n_settled, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(seen.order[i], 2 - i);
    assert_int_equal(seen.outcome[0], REPLY_FAILED);
    assert_int_equal(seen.outcome[2], REPLY_SKIPPED);
    assert_seen("E");
    take_all(&replies, "Z");
    assert_seen("EZ1");
    assert_true(replies_settled(&replies));
    replies_done(&replies);
}

static void what_comes_after_an_error_is_ignored_up_to_sync(void **state)
{
    struct replies replies = {0};
    expect(&replies, REPLY_PARSE, REPLY_FORWARD, NULL);
    take_all(&replies, "E");
    assert_false(replies_settled(&replies));
    assert_false(expect(&replies, REPLY_QUERY, REPLY_FORWARD, NULL));
    assert_false(expect(&replies, REPLY_BIND, REPLY_FORWARD, NULL));
    assert_true(expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL));
    take_all(&replies, "Z");
    assert_true(replies_settled(&replies));
    replies_done(&replies);
}

static void a_fake_waits_until_the_message_before_it_has_been_passed_on(void **state)
{
    struct replies replies = {0};
    expect(&replies, REPLY_EXECUTE, REPLY_FORWARD, NULL);
    expect(&replies, REPLY_CLOSE, REPLY_FAKE, NULL);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    take_all(&replies, "DDCZ");
    assert_seen("DDC3Z");
    replies_done(&replies);
}

static void injected_and_swallowed_replies_are_not_the_clients(void **state)
{
    struct replies replies = {0};
    expect(&replies, REPLY_CLOSE, REPLY_SWALLOW, NULL);
    expect(&replies, REPLY_PARSE, REPLY_INJECT, NULL);
    expect(&replies, REPLY_BIND, REPLY_FORWARD, NULL);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    take_all(&replies, "312Z");
    assert_seen("2Z");
    expect(&replies, REPLY_PARSE, REPLY_INJECT, NULL);
    expect(&replies, REPLY_BIND, REPLY_FORWARD, NULL);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    take_all(&replies, "EZ"); /* but the error of an injected one is */
    assert_seen("2ZEZ");
    replies_done(&replies);
}

static void an_injected_sync_is_the_clients_if_an_injected_request_has_failed(void **state)
{
    static const char *const answers[] = {"1CZZ", "EZ", "1EZZ"};
    static const char *const logs[] = {"CZ", "EZ", "EZ"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct replies replies = {0};
        memset(&seen, 0, sizeof seen);
        expect(&replies, REPLY_PARSE, REPLY_INJECT, NULL);
        expect(&replies, REPLY_QUERY, REPLY_FORWARD, NULL);
        expect(&replies, REPLY_SYNC, REPLY_INJECT, NULL);
        assert_true(replies_any_for_client(&replies));
        take_all(&replies, answers[i]);
        assert_seen(logs[i]);
        assert_true(replies_settled(&replies));
        replies_done(&replies);
    }
}

static void what_is_not_the_clients_is_nothing_to_wait_for(void **state)
{
    struct replies replies = {0};
    assert_false(replies_any_for_client(&replies));
    expect(&replies, REPLY_QUERY, REPLY_SWALLOW, NULL);
    expect(&replies, REPLY_SYNC, REPLY_INJECT, NULL);
    assert_false(replies_any_for_client(&replies));
    assert_int_equal(replies_count_own_first(&replies), 2);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    expect(&replies, REPLY_QUERY, REPLY_SWALLOW, NULL);
    assert_true(replies_any_for_client(&replies));
    assert_int_equal(replies_count_own_first(&replies), 2);
    replies_done(&replies);
}

static void an_early_sync_is_eaten_by_copy(void **state)
{
    struct replies replies = {0};
    expect(&replies, REPLY_EXECUTE, REPLY_FORWARD, NULL);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    take_all(&replies, "G");
    expect(&replies, REPLY_COPY_END, REPLY_FORWARD, NULL);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    take_all(&replies, "CZ");
    assert_true(replies_settled(&replies));
    assert_false(replies.uncertain);
    assert_seen("GCZ");
    replies_done(&replies);
}

static void a_copy_that_fails_with_a_sync_under_way_is_uncertain(void **state)
{
    struct replies replies = {0};
    expect(&replies, REPLY_EXECUTE, REPLY_FORWARD, NULL);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    take_all(&replies, "GE");
    assert_true(replies.uncertain);
    replies_done(&replies);
}

static void what_a_copy_that_fails_takes_along_is_handed_back(void **state)
{
    struct replies replies = {0};
    expect(&replies, REPLY_EXECUTE, REPLY_FORWARD, NULL);
    take_all(&replies, "G");
    expect(&replies, REPLY_PARSE, REPLY_FORWARD, &notes[0]);
    expect(&replies, REPLY_CLOSE, REPLY_FORWARD, &notes[1]);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    take_all(&replies, "E");
    assert_int_equal(seen.settled[0], 1);
    assert_int_equal(seen.settled[1], 1);
    assert_int_equal(seen.order[0], 1);
    assert_int_equal(seen.outcome[0], REPLY_SKIPPED);
    replies_done(&replies);
}

static void who_waits_for_whom(void **state)
{
    struct replies replies = {0};
    assert_false(replies_want_copy_data(&replies));
    expect(&replies, REPLY_QUERY, REPLY_FORWARD, NULL);
    assert_true(replies_query_to_come(&replies));
    assert_false(replies_want_copy_data(&replies));
    take_all(&replies, "G");
    assert_false(replies_query_to_come(&replies));
    assert_true(replies_want_copy_data(&replies));
    expect(&replies, REPLY_COPY_END, REPLY_FORWARD, NULL);
    assert_false(replies_want_copy_data(&replies));
    take_all(&replies, "C");
    assert_true(replies_query_to_come(&replies));
    take_all(&replies, "Z");
    expect(&replies, REPLY_PARSE, REPLY_FORWARD, NULL);
    assert_false(replies_query_to_come(&replies));
    replies_done(&replies);
}

static void a_copy_of_a_simple_query_fails_cleanly(void **state)
{
    struct replies replies = {0};
    expect(&replies, REPLY_QUERY, REPLY_FORWARD, NULL);
    take_all(&replies, "G");
    expect(&replies, REPLY_COPY_END, REPLY_FORWARD, NULL);
    expect(&replies, REPLY_QUERY, REPLY_FORWARD, NULL);
    assert_false(replies.open);
    take_all(&replies, "EZCZ");
    assert_true(replies_settled(&replies));
    assert_false(replies.uncertain);
    replies_done(&replies);
}

static void who_has_gone_expects_nothing(void **state)
{
    struct replies replies = {0};
    expect(&replies, REPLY_PARSE, REPLY_FORWARD, &notes[0]);
    expect(&replies, REPLY_CLOSE, REPLY_FAKE, &notes[1]);
    expect(&replies, REPLY_SYNC, REPLY_FORWARD, NULL);
    replies_abandon(&replies, &events, NULL);
    assert_int_equal(seen.settled[0], 1);
    assert_int_equal(seen.settled[1], 1);
    take_all(&replies, "1Z");
    assert_seen("");
    assert_true(replies_settled(&replies));
    replies_done(&replies);
}

/* ---- random sequences against a model ---- */

/* A server that reads requests one by one, answers, and after an error reads on to the next Sync;
 * `expected` collects what the client ought to see. */
struct model {
    bool failed;
    bool injected; /* ... by a request of ours */
    char answers[LOG_MAX], expected[LOG_MAX];
    size_t n_answers, n_expected;
};

static void say(struct model *model, enum reply_action action, const char *kinds)
{
    for (; *kinds != '\0'; kinds++) {
        bool client = action == REPLY_FORWARD || action == REPLY_FAKE ||
                      (action == REPLY_INJECT && *kinds == 'E');
        if (action != REPLY_FAKE)
            model->answers[model->n_answers++] = *kinds;
        if (client)
            model->expected[model->n_expected++] = *kinds;
    }
}

static const char *answer_of(enum reply_kind kind, enum reply_action action, bool fails)
{
    static const char *const good[] = {"1", "2", "tT", "DDC", "3", "Z", "TDCZ", "VZ"};
    static const char *const bad[] = {"E", "E", "E", "DE", "E", "EZ", "TEZ", "EZ"};
    return fails && action != REPLY_FAKE ? bad[kind] : good[kind];
}

static void random_step(struct replies *replies, struct model *model, int *note)
{
    enum reply_kind kind = (enum reply_kind)(rand() % 8);
    enum reply_action action = REPLY_FORWARD;
    bool fails = rand() % 5 == 0;
    if (kind == REPLY_PARSE && rand() % 2)
        action = rand() % 2 ? REPLY_FAKE : REPLY_INJECT;
    if (kind == REPLY_CLOSE)
        action = rand() % 2 ? REPLY_FAKE : REPLY_SWALLOW;
    if (kind == REPLY_SYNC && rand() % 2)
        action = REPLY_INJECT;
    bool noted = kind <= REPLY_CLOSE && *note < NOTES_MAX;
    bool taken = expect(replies, kind, action, noted ? &notes[*note] : NULL);
    if (noted && taken)
        (*note)++;
    if (model->failed && kind != REPLY_SYNC)
        return;
    if (kind == REPLY_SYNC && model->failed && model->injected && action == REPLY_INJECT)
        action = REPLY_FORWARD;
    model->failed = fails && kind <= REPLY_CLOSE && action != REPLY_FAKE;
    model->injected = model->failed && action == REPLY_INJECT;
    say(model, action, answer_of(kind, action, fails));
}

static void each_reply_goes_to_whom_it_belongs(void **state)
{
    static struct model model;
    for (unsigned seed = 0; seed < 300; seed++) {
        struct replies replies = {0};
        size_t at = 0;
        int note = 0;
        memset(&seen, 0, sizeof seen);
        memset(&model, 0, sizeof model);
        srand(seed);
        for (int i = 0; i < 1000; i++) {
            random_step(&replies, &model, &note);
            while (at < model.n_answers && rand() % 3)
                assert_int_not_equal(take(&replies, model.answers[at++]), VERDICT_BROKEN);
        }
        while (at < model.n_answers)
            assert_int_not_equal(take(&replies, model.answers[at++]), VERDICT_BROKEN);
        assert_int_equal(seen.len, model.n_expected);
        assert_memory_equal(seen.log, model.expected, seen.len);
        assert_int_equal(replies.count, 0);
        for (int i = 0; i < note; i++)
            assert_int_equal(seen.settled[i], 1);
        replies_done(&replies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_reply_without_a_request_is_broken, begin),
        cmocka_unit_test_setup(a_wrong_reply_is_broken, begin),
        cmocka_unit_test_setup(an_error_skips_to_sync_and_undoes_newest_first, begin),
        cmocka_unit_test_setup(what_comes_after_an_error_is_ignored_up_to_sync, begin),
        cmocka_unit_test_setup(a_fake_waits_until_the_message_before_it_has_been_passed_on, begin),
        cmocka_unit_test_setup(injected_and_swallowed_replies_are_not_the_clients, begin),
        cmocka_unit_test_setup(an_injected_sync_is_the_clients_if_an_injected_request_has_failed,
                               begin),
        cmocka_unit_test_setup(what_is_not_the_clients_is_nothing_to_wait_for, begin),
        cmocka_unit_test_setup(an_early_sync_is_eaten_by_copy, begin),
        cmocka_unit_test_setup(a_copy_that_fails_with_a_sync_under_way_is_uncertain, begin),
        cmocka_unit_test_setup(what_a_copy_that_fails_takes_along_is_handed_back, begin),
        cmocka_unit_test_setup(who_waits_for_whom, begin),
        cmocka_unit_test_setup(a_copy_of_a_simple_query_fails_cleanly, begin),
        cmocka_unit_test_setup(who_has_gone_expects_nothing, begin),
        cmocka_unit_test_setup(each_reply_goes_to_whom_it_belongs, begin),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
