/* Startup packets: whatever is accepted can be read whole, and what `options` holds as well. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "proto/startup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool use(const char *name, const char *value, void *arg, struct err *err)
{
    assert(name[0] != '\0' && strchr(name, '-') == NULL);
    *(size_t *)arg += strlen(name) + strlen(value);
    return true;
}

static void check_session(const struct startup *startup)
{
    size_t total = 0;
    enum startup_replication mode;
    struct err err = ERR_NONE;
    struct buf out = BUF_NONE;
    assert(startup->user[0] != '\0' && strlen(startup->user) <= LIMIT_NAME);
    assert(startup->database == NULL || strlen(startup->database) <= LIMIT_NAME);
    for (size_t i = 0; i < startup->n_params; i++)
        total += strlen(startup->params[i].name) + strlen(startup->params[i].value);
    assert(total <= STARTUP_MAX_PACKET);
    if (startup->options != NULL) {
        total = 0;
        startup_options_parse(startup->options, use, &total, &err);
        assert(total <= strlen(startup->options));
    }
    startup_replication_of(startup, &mode, &err);
    startup_negotiate_version(&out, startup);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct startup startup;
    struct err err = ERR_NONE;
    char *packet = malloc(size + 4);
    memcpy(packet + 4, data, size);
    store_u32(packet, (uint32_t)(size + 4)); /* the fuzzer need not find the length */
    if (startup_parse(packet, size + 4, &startup, &err)) {
        assert(err.sqlstate[0] == '\0');
        if (startup.kind == STARTUP_SESSION)
            check_session(&startup);
    } else {
        assert(err.sqlstate[0] != '\0' && err.message[0] != '\0');
    }
    startup_done(&startup);
    free(packet);
    return 0;
}
