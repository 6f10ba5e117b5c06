#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "session/handover.h"

static struct slice slice_of(const struct buf *buf)
{
    return (struct slice){.ptr = buf->data, .len = buf->len};
}

/* In memory of just that size, so that a sanitizer sees a read beyond it. */
static void in_exact(const char *bytes, size_t len, void (*call)(struct slice, void *), void *arg)
{
    char *copy = malloc(len + 1);
    char *at = copy + 1; /* nothing is aligned */
    memcpy(at, bytes, len);
    call((struct slice){.ptr = at, .len = len}, arg);
    free(copy);
}

/* ---- clients ---- */

static struct handover_client sample(struct buf *params, struct buf *statements)
{
    struct handover_client client = {
        .database = "shop",
        .user = "app",
        .age_us = 12345678901234,
        .key = {1, 2, 3, 4, 5, 6, 7, 8},
        .input = {"Q\0\0", 3},
        .output = {"out", 3},
        .unnamed = {"select 1\0\0\0", 11},
    };
    address_parse("127.0.0.1", 6432, &client.address);
    handover_add_param(params, "TimeZone", "Asia/Tokyo");
    handover_add_param(params, "application_name", "");
    handover_add_statement(statements, "one", "select 1\0\0\0", 11);
    handover_add_statement(statements, "empty", "", 0);
    client.params = slice_of(params);
    client.wishes = slice_of(params);
    client.statements = slice_of(statements);
    return client;
}

static void expect_slice(struct slice slice, const char *bytes, size_t len)
{
    assert_int_equal(slice.len, len);
    assert_memory_equal(slice.ptr, bytes, len);
}

static void write_sample(struct buf *out)
{
    struct buf params = BUF_NONE, statements = BUF_NONE;
    struct handover_client client = sample(&params, &statements);
    handover_write_client(out, &client);
    buf_done(&params);
    buf_done(&statements);
}

static void a_client_is_read_as_it_was_written(void **state)
{
    struct buf out = BUF_NONE;
    struct handover_client got;
    const char *name, *value;
    struct slice body;
    char text[ADDRESS_TEXT];
    write_sample(&out);
    assert_true(handover_read_client(slice_of(&out), &got));
    assert_string_equal(got.database, "shop");
    assert_string_equal(got.user, "app");
    assert_true(got.age_us == 12345678901234);
    assert_memory_equal(got.key, "\1\2\3\4\5\6\7\10", 8);
    assert_string_equal(address_text(&got.address, text), "127.0.0.1:6432");
    expect_slice(got.input, "Q\0\0", 3);
    expect_slice(got.output, "out", 3);
    expect_slice(got.unnamed, "select 1\0\0\0", 11);
    struct reader params = reader_of(got.params.ptr, got.params.len);
    assert_true(handover_next_param(&params, &name, &value));
    assert_string_equal(name, "TimeZone");
    assert_string_equal(value, "Asia/Tokyo");
    assert_true(handover_next_param(&params, &name, &value));
    assert_string_equal(value, "");
    assert_false(handover_next_param(&params, &name, &value));
    expect_slice(got.wishes, got.params.ptr, got.params.len);
    struct reader statements = reader_of(got.statements.ptr, got.statements.len);
    assert_true(handover_next_statement(&statements, &name, &body));
    assert_string_equal(name, "one");
    expect_slice(body, "select 1\0\0\0", 11);
    assert_true(handover_next_statement(&statements, &name, &body));
    assert_string_equal(name, "empty");
    assert_int_equal(body.len, 0);
    assert_false(handover_next_statement(&statements, &name, &body));
    buf_done(&out);
}

static void refuse_client(struct slice payload, void *arg)
{
    struct handover_client got;
    assert_false(handover_read_client(payload, &got));
}

static void a_client_cut_short_or_with_more_behind_is_refused(void **state)
{
    struct buf out = BUF_NONE;
    write_sample(&out);
    for (size_t len = 0; len < out.len; len++)
        in_exact(out.data, len, refuse_client, NULL);
    buf_append_u8(&out, 0);
    in_exact(out.data, out.len, refuse_client, NULL);
    buf_done(&out);
}

static void refuse_sample(void (*spoil)(struct handover_client *client, char *bytes))
{
    struct buf params = BUF_NONE, statements = BUF_NONE, out = BUF_NONE;
    struct handover_client client = sample(&params, &statements);
    char *bytes = mem_new(LIMIT_KEPT_STATEMENT + 2);
    spoil(&client, bytes);
    handover_write_client(&out, &client);
    in_exact(out.data, out.len, refuse_client, NULL);
    mem_free(bytes);
    buf_done(&params);
    buf_done(&statements);
    buf_done(&out);
}

static void long_database(struct handover_client *client, char *bytes)
{
    memset(bytes, 'x', LIMIT_NAME + 1);
    client->database = bytes;
}

static void long_user(struct handover_client *client, char *bytes)
{
    memset(bytes, 'x', LIMIT_NAME + 1);
    client->user = bytes;
}

static void long_unnamed(struct handover_client *client, char *bytes)
{
    client->unnamed = (struct slice){bytes, LIMIT_KEPT_STATEMENT + 1};
}

static void endless_age(struct handover_client *client, char *bytes)
{
    client->age_us = UINT64_MAX;
}

static void long_address(struct handover_client *client, char *bytes)
{
    client->address.len = sizeof client->address.socket; /* and one byte more, see below */
}

static void param_without_value(struct handover_client *client, char *bytes)
{
    client->params = (struct slice){"TimeZone", 9};
}

static void statement_without_body(struct handover_client *client, char *bytes)
{
    client->statements = (struct slice){"one\0\0\0\0\5abcd", 12};
}

static void statement_without_name(struct handover_client *client, char *bytes)
{
    client->statements = (struct slice){"\0\0\0\0\1a", 6};
}

static void what_no_client_can_have_is_refused(void **state)
{
    refuse_sample(long_database);
    refuse_sample(long_user);
    refuse_sample(long_unnamed);
    refuse_sample(endless_age);
    refuse_sample(param_without_value);
    refuse_sample(statement_without_body);
    refuse_sample(statement_without_name);
}

static void an_address_longer_than_any_is_refused(void **state)
{
    struct buf params = BUF_NONE, statements = BUF_NONE, out = BUF_NONE;
    struct handover_client client = sample(&params, &statements);
    long_address(&client, NULL);
    handover_write_client(&out, &client);
    size_t at = strlen("shop") + 1 + strlen("app") + 1 + 8 + HANDOVER_KEY_LEN;
    assert_int_equal(load_u32(out.data + at), sizeof client.address.socket);
    store_u32(out.data + at, sizeof client.address.socket + 1);
    in_exact(out.data, out.len, refuse_client, NULL);
    buf_done(&params);
    buf_done(&statements);
    buf_done(&out);
}

/* ---- all else ---- */

static void refuse_keys(struct slice payload, void *arg)
{
    struct handover_keys got;
    assert_false(handover_read_keys(payload, &got));
}

static void keys_are_read_as_they_were_written_and_not_cut_short(void **state)
{
    struct handover_keys keys = {.database = "shop", .user = "app"}, got;
    struct buf out = BUF_NONE;
    keys.keys.salt.iterations = 4096;
    keys.keys.salt.len = SCRAM_SALT_MAX;
    memset(keys.keys.salt.bytes, 's', SCRAM_SALT_MAX);
    memset(keys.keys.client_key, 'c', SCRAM_KEY_LEN);
    memset(keys.keys.server_key, 'k', SCRAM_KEY_LEN);
    handover_write_keys(&out, &keys);
    assert_true(handover_read_keys(slice_of(&out), &got));
    assert_string_equal(got.database, "shop");
    assert_string_equal(got.user, "app");
    assert_memory_equal(&got.keys, &keys.keys, sizeof keys.keys);
    for (size_t len = 0; len < out.len; len++)
        in_exact(out.data, len, refuse_keys, NULL);
    buf_clear(&out);
    keys.keys.salt.len = 0;
    handover_write_keys(&out, &keys);
    in_exact(out.data, out.len, refuse_keys, NULL);
    buf_clear(&out);
    keys.keys.salt.len = 1;
    keys.keys.salt.iterations = 0;
    handover_write_keys(&out, &keys);
    in_exact(out.data, out.len, refuse_keys, NULL);
    buf_done(&out);
}

static void a_hello_tells_the_version_and_may_have_more_behind(void **state)
{
    struct buf out = BUF_NONE;
    uint32_t version = 0;
    int pid = 0;
    handover_write_hello(&out, 4711);
    buf_append_str(&out, "of a later version");
    assert_true(handover_read_hello(slice_of(&out), &version, &pid));
    assert_int_equal(version, HANDOVER_VERSION);
    assert_int_equal(pid, 4711);
    out.data[0] = 'H';
    assert_false(handover_read_hello(slice_of(&out), &version, &pid));
    out.len = 3;
    assert_false(handover_read_hello(slice_of(&out), &version, &pid));
    buf_done(&out);
}

static void the_small_ones_are_read_as_they_were_written(void **state)
{
    struct handover_supervisor supervisor = {.socket = "/run/notify", .watchdog_us = 1ULL << 40};
    struct handover_cancel cancel = {.id = 1ULL << 33, .key = {8, 7, 6, 5, 4, 3, 2, 1}}, same;
    struct buf out = BUF_NONE;
    const char *text;
    uint64_t id;
    handover_write_supervisor(&out, &supervisor);
    assert_true(handover_read_supervisor(slice_of(&out), &supervisor));
    assert_string_equal(supervisor.socket, "/run/notify");
    assert_true(supervisor.watchdog_us == 1ULL << 40);
    buf_clear(&out);
    handover_write_cancel(&out, &cancel);
    assert_true(handover_read_cancel(slice_of(&out), &same));
    assert_memory_equal(&same, &cancel, sizeof cancel);
    out.len--;
    assert_false(handover_read_cancel(slice_of(&out), &same));
    buf_clear(&out);
    handover_write_canceled(&out, cancel.id);
    assert_true(handover_read_canceled(slice_of(&out), &id));
    assert_true(id == cancel.id);
    buf_clear(&out);
    handover_write_text(&out, "why not");
    assert_true(handover_read_text(slice_of(&out), &text));
    assert_string_equal(text, "why not");
    out.len--;
    assert_false(handover_read_text(slice_of(&out), &text));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_read_as_it_was_written),
        cmocka_unit_test(a_client_cut_short_or_with_more_behind_is_refused),
        cmocka_unit_test(what_no_client_can_have_is_refused),
        cmocka_unit_test(an_address_longer_than_any_is_refused),
        cmocka_unit_test(keys_are_read_as_they_were_written_and_not_cut_short),
        cmocka_unit_test(a_hello_tells_the_version_and_may_have_more_behind),
        cmocka_unit_test(the_small_ones_are_read_as_they_were_written),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
