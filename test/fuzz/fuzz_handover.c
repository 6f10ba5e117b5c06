/* What another process says at a takeover: records through a channel, and what each holds. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "net/channel.h"
#include "session/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted is written as it was read. */
static void check_client(struct slice payload)
{
    struct handover_client client;
    struct buf again = BUF_NONE;
    const char *name, *value;
    struct slice body;
    size_t total = 0;
    if (!handover_read_client(payload, &client))
        return;
    assert(strlen(client.database) <= LIMIT_NAME && strlen(client.user) <= LIMIT_NAME);
    struct reader params = reader_of(client.params.ptr, client.params.len);
    while (handover_next_param(&params, &name, &value))
        total += strlen(name) + strlen(value) + 2;
    assert(!params.bad && total == client.params.len);
    struct reader statements = reader_of(client.statements.ptr, client.statements.len);
    for (total = 0; handover_next_statement(&statements, &name, &body);)
        total += strlen(name) + 1 + 4 + body.len;
    assert(!statements.bad && total == client.statements.len);
    handover_write_client(&again, &client);
    assert(again.len == payload.len && memcmp(again.data, payload.ptr, payload.len) == 0);
    buf_done(&again);
}

static void check_others(struct slice payload)
{
    struct handover_keys keys;
    struct handover_supervisor supervisor;
    struct handover_cancel cancel;
    const char *text;
    uint32_t version;
    uint64_t id;
    int pid;
    if (handover_read_keys(payload, &keys))
        assert(keys.keys.salt.len <= SCRAM_SALT_MAX && keys.keys.salt.iterations > 0);
    if (handover_read_supervisor(payload, &supervisor))
        assert(strlen(supervisor.socket) + 1 + 8 == payload.len);
    if (handover_read_text(payload, &text))
        assert(strlen(text) + 1 == payload.len);
    if (handover_read_hello(payload, &version, &pid))
        assert(pid >= 0);
    handover_read_cancel(payload, &cancel);
    handover_read_canceled(payload, &id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel channel;
    struct channel_record record;
    int ends[2];
    check_client((struct slice){.ptr = (const char *)data, .len = size});
    check_others((struct slice){.ptr = (const char *)data, .len = size});
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        return 0;
    ssize_t sent = send(ends[0], data, size, 0);
    close(ends[0]);
    channel_init(&channel, ends[1]);
    channel.record_max = 4096;
    while (sent > 0 && channel_fill(&channel)) {
        while (channel_next(&channel, &record) == CHANNEL_RECORD) {
            assert(record.fd == -1 && record.payload.len <= 4096);
            check_client(record.payload);
        }
    }
    channel_close(&channel);
    return 0;
}
