#include "net/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"

/* A stream, its peer, and what it has read. */
struct pair {
    struct stream stream; /* first: its events find us by it */
    struct loop *loop;
    int peer;
    size_t events;
    char read[64];
    size_t n_read;
};

static void on_readable(struct stream *stream)
{
    struct pair *pair = (struct pair *)stream;
    pair->events++;
    while (stream->readable) {
        ssize_t got =
            stream_read(stream, pair->read + pair->n_read, sizeof pair->read - pair->n_read);
        if (got <= 0)
            return;
        pair->n_read += (size_t)got;
    }
}

static void on_drained(struct stream *stream)
{
}

static const struct stream_events events = {.readable = on_readable, .drained = on_drained};

static void turn(struct pair *pair)
{
    event_base_loop(pair->loop->base, EVLOOP_NONBLOCK);
}

static void open_pair(struct pair *pair)
{
    int fds[2];
    *pair = (struct pair){.loop = loop_new()};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    pair->peer = fds[1];
    stream_open(&pair->stream, pair->loop, fds[0], false, &events);
    turn(pair);
}

static void close_pair(struct pair *pair)
{
    stream_close(&pair->stream);
    close(pair->peer);
    loop_free(pair->loop);
}

static void say(struct pair *pair, const char *text)
{
    assert_int_equal(write(pair->peer, text, strlen(text)), strlen(text));
    turn(pair);
}

static void assert_read(struct pair *pair, const char *text)
{
    assert_int_equal(pair->n_read, strlen(text));
    assert_memory_equal(pair->read, text, pair->n_read);
    pair->n_read = 0;
}

static void what_comes_is_read(void **state)
{
    struct pair pair;
    open_pair(&pair);
    say(&pair, "abc");
    assert_read(&pair, "abc");
    close_pair(&pair);
}

static void a_stream_that_is_held_reads_nothing(void **state)
{
    struct pair pair;
    open_pair(&pair);
    stream_hold(&pair.stream);
    stream_hold(&pair.stream);
    size_t before = pair.events;
    say(&pair, "abc");
    say(&pair, "def");
    assert_int_equal(pair.events, before);
    assert_false(pair.stream.readable);
    stream_release(&pair.stream, pair.loop);
    turn(&pair);
    assert_read(&pair, "abcdef");
    say(&pair, "ghi");
    assert_read(&pair, "ghi");
    close_pair(&pair);
}

static void an_end_that_comes_while_held_is_seen_then(void **state)
{
    struct pair pair;
    open_pair(&pair);
    stream_hold(&pair.stream);
    shutdown(pair.peer, SHUT_WR);
    turn(&pair);
    assert_false(pair.stream.peer_closed);
    stream_release(&pair.stream, pair.loop);
    turn(&pair);
    assert_true(pair.stream.peer_closed);
    close_pair(&pair);
}

static void a_limit_is_read_and_not_a_byte_more(void **state)
{
    struct pair pair;
    open_pair(&pair);
    stream_limit(&pair.stream, pair.loop, 4);
    say(&pair, "ab");
    assert_read(&pair, "ab");
    say(&pair, "cdef");
    assert_read(&pair, "cd");
    say(&pair, "gh");
    assert_read(&pair, "");
    stream_limit(&pair.stream, pair.loop, 1); /* what is there already needs no new event */
    turn(&pair);
    assert_read(&pair, "e");
    stream_limit(&pair.stream, pair.loop, 0);
    say(&pair, "i");
    assert_read(&pair, "");
    stream_release(&pair.stream, pair.loop);
    turn(&pair);
    assert_read(&pair, "fghi");
    close_pair(&pair);
}

static void a_limit_ends_a_hold(void **state)
{
    struct pair pair;
    open_pair(&pair);
    stream_hold(&pair.stream);
    say(&pair, "abc");
    stream_limit(&pair.stream, pair.loop, 2);
    turn(&pair);
    assert_read(&pair, "ab");
    stream_hold(&pair.stream);
    stream_release(&pair.stream, pair.loop);
    turn(&pair);
    assert_read(&pair, "c");
    close_pair(&pair);
}

/* Output goes on where input is limited to nothing, which brings a held stream back for it. */
static void output_goes_on_without_input(void **state)
{
    static char much[1 << 20], taken[sizeof much];
    struct pair pair;
    open_pair(&pair);
    stream_write(&pair.stream, much, sizeof much);
    assert_true(stream_pending(&pair.stream) > 0);
    stream_limit(&pair.stream, pair.loop, 0);
    for (size_t n = 0; n < sizeof much;) {
        ssize_t got = read(pair.peer, taken, sizeof taken);
        n += got > 0 ? (size_t)got : 0;
        turn(&pair);
    }
    assert_int_equal(stream_pending(&pair.stream), 0);
    close_pair(&pair);
}

static void a_closed_stream_may_be_released(void **state)
{
    struct pair pair;
    open_pair(&pair);
    stream_hold(&pair.stream);
    stream_close(&pair.stream);
    stream_release(&pair.stream, pair.loop);
    assert_false(pair.stream.attached);
    close_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_is_read),
        cmocka_unit_test(a_stream_that_is_held_reads_nothing),
        cmocka_unit_test(an_end_that_comes_while_held_is_seen_then),
        cmocka_unit_test(a_limit_is_read_and_not_a_byte_more),
        cmocka_unit_test(a_limit_ends_a_hold),
        cmocka_unit_test(output_goes_on_without_input),
        cmocka_unit_test(a_closed_stream_may_be_released),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
