#include "session/traces.h"

#include <string.h>

#include "base/mem.h"
#include "session/client.h"
#include "session/pins.h"

struct traces *traces_get(struct client *client)
{
    if (client->traces == NULL)
        client->traces = mem_new(sizeof *client->traces);
    return client->traces;
}

void traces_free(struct client *client)
{
    if (client->traces == NULL)
        return;
    pins_set(client, 0);
    buf_done(&client->traces->names);
    buf_done(&client->traces->renewed);
    buf_done(&client->traces->uncarried);
    buf_done(&client->traces->channels);
    buf_done(&client->traces->functions);
    mem_free(client->traces->cause);
    mem_free(client->traces);
    client->traces = NULL;
}

bool traces_have_too_many(const struct buf *names)
{
    enum { NAMES_BYTES = 16384 };
    return names->len > NAMES_BYTES;
}

void traces_add_name(struct buf *names, const char *name)
{
    if (!traces_have_too_many(names) && !buf_has_cstr(names, name))
        buf_append_cstr(names, name);
}
