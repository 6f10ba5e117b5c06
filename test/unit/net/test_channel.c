#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/channel.h"

struct pair {
    struct channel a, b;
};

static int setup(void **state)
{
    static struct pair pair;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    channel_init(&pair.a, ends[0]);
    channel_init(&pair.b, ends[1]);
    *state = &pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    channel_close(&pair->a);
    channel_close(&pair->b);
    return 0;
}

static void put(struct channel *channel, uint8_t kind, size_t len, int fd)
{
    struct buf payload = BUF_NONE;
    for (size_t i = 0; i < len; i++)
        buf_append_u8(&payload, (uint8_t)i);
    channel_put(channel, kind, &payload, fd);
}

static struct channel_record get(struct pair *pair)
{
    struct channel_record record;
    enum channel_step step;
    while ((step = channel_next(&pair->b, &record)) == CHANNEL_MORE) {
        assert_true(channel_flush(&pair->a));
        assert_true(channel_fill(&pair->b));
    }
    assert_int_equal(step, CHANNEL_RECORD);
    return record;
}

static void records_come_in_order_each_with_its_descriptor(void **state)
{
    struct pair *pair = *state;
    int files[3];
    for (int i = 0; i < 3; i++) {
        files[i] = memfd_create("", MFD_CLOEXEC);
        assert_int_equal(ftruncate(files[i], 10 + i), 0);
    }
    put(&pair->a, 'a', 0, files[0]);
    put(&pair->a, 'b', 5, -1);
    put(&pair->a, 'c', 1 << 20, files[1]); /* more than a socket holds */
    put(&pair->a, 'd', 1, files[2]);
    const size_t lengths[] = {0, 5, 1 << 20, 1};
    const off_t sizes[] = {10, -1, 11, 12};
    for (int i = 0; i < 4; i++) {
        struct channel_record record = get(pair);
        struct stat file;
        assert_int_equal(record.kind, 'a' + i);
        assert_int_equal(record.payload.len, lengths[i]);
        for (size_t k = 0; k < record.payload.len; k++)
            assert_int_equal((uint8_t)record.payload.ptr[k], (uint8_t)k);
        if (sizes[i] < 0) {
            assert_int_equal(record.fd, -1);
            continue;
        }
        assert_int_equal(fstat(record.fd, &file), 0);
        assert_int_equal(file.st_size, sizes[i]);
        close(record.fd);
    }
    assert_false(channel_has_output(&pair->a));
    for (int i = 0; i < 3; i++)
        close(files[i]);
}

static void a_descriptor_that_nobody_claims_is_closed(void **state)
{
    struct pair *pair = *state;
    struct stat file;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    put(&pair->a, 'a', 100, ends[1]);
    assert_true(channel_flush(&pair->a));
    assert_true(channel_fill(&pair->b));
    close(ends[1]);
    int fd = pair->b.fds[0];
    assert_int_equal(fstat(fd, &file), 0);
    channel_close(&pair->b);
    assert_int_equal(fstat(fd, &file), -1);
    close(ends[0]);
}

static void expect_broken(struct pair *pair, const char *bytes, size_t len)
{
    struct channel_record record;
    assert_int_equal(send(pair->a.fd, bytes, len, 0), (ssize_t)len);
    assert_true(channel_fill(&pair->b));
    assert_int_equal(channel_next(&pair->b, &record), CHANNEL_BROKEN);
}

static void a_length_beyond_the_limit_breaks_it(void **state)
{
    struct pair *pair = *state;
    pair->b.record_max = 100;
    expect_broken(pair, "a\0\0\0\0\145", 6);
}

static void a_record_without_its_descriptor_breaks_it(void **state)
{
    expect_broken(*state, "a\1\0\0\0\0", 6);
}

static void a_flag_that_does_not_exist_breaks_it(void **state)
{
    expect_broken(*state, "a\2\0\0\0\0", 6);
}

static void more_descriptors_than_there_is_room_for_break_it(void **state)
{
    struct pair *pair = *state;
    struct channel_record record;
    put(&pair->a, 'a', 0, STDERR_FILENO);
    struct channel_record first = get(pair);
    close(first.fd);
    enum { N = CHANNEL_FDS + 1 };
    int fds[N];
    char control[CMSG_SPACE(sizeof fds)] = {0};
    struct iovec part = {.iov_base = "b\0\0\0\0\0", .iov_len = 6};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    for (int i = 0; i < N; i++)
        fds[i] = STDERR_FILENO;
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    assert_int_equal(sendmsg(pair->a.fd, &message, 0), 6);
    assert_true(channel_fill(&pair->b));
    assert_int_equal(channel_next(&pair->b, &record), CHANNEL_BROKEN);
}

static void what_was_said_before_the_end_can_be_read(void **state)
{
    struct pair *pair = *state;
    struct channel_record record;
    put(&pair->a, 'a', 3, -1);
    assert_true(channel_flush(&pair->a));
    channel_close(&pair->a);
    assert_true(channel_fill(&pair->b));
    assert_false(channel_fill(&pair->b));
    assert_int_equal(channel_next(&pair->b, &record), CHANNEL_RECORD);
    assert_int_equal(record.payload.len, 3);
    assert_int_equal(channel_next(&pair->b, &record), CHANNEL_MORE);
    put(&pair->b, 'b', 1, -1);
    assert_false(channel_flush(&pair->b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_come_in_order_each_with_its_descriptor, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_descriptor_that_nobody_claims_is_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_length_beyond_the_limit_breaks_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_without_its_descriptor_breaks_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flag_that_does_not_exist_breaks_it, setup, teardown),
        cmocka_unit_test_setup_teardown(more_descriptors_than_there_is_room_for_break_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_said_before_the_end_can_be_read, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
