#include "session/cancel.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "base/err.h"
#include "base/mem.h"
#include "pool/server.h"
#include "session/client.h"
#include "session/worker.h"

enum { KEY_LEN = CANCEL_KEY_LEN };

static uint64_t hash_of(const uint8_t *key)
{
    /* The map is found by the first half; only the comparison of both must take constant time.
     * 0 means: not in the map. */
    return hash_bytes(key, KEY_LEN / 2) | 1;
}

static bool same_key(const struct map_entry *entry, const void *key)
{
    const struct client *client = CONTAINER_OF(entry, struct client, by_key);
    return CRYPTO_memcmp(client->key, key, KEY_LEN) == 0;
}

void cancel_draw_key(uint8_t key[KEY_LEN])
{
    if (RAND_bytes(key, KEY_LEN) != 1)
        abort();
    key[0] &= 0x7f; /* the process id, positive as drivers expect */
}

bool cancel_is_key(const struct cancel_request *request, const uint8_t key[KEY_LEN])
{
    return CRYPTO_memcmp(request->key, key, KEY_LEN) == 0;
}

void cancel_new_key(struct client *client)
{
    struct map *by_key = &client->worker->by_key;
    if (client->by_key.hash != 0)
        map_remove(by_key, &client->by_key);
    do {
        cancel_draw_key(client->key);
        client->by_key.hash = hash_of(client->key);
    } while (map_find(by_key, client->by_key.hash, same_key, client->key) != NULL);
    map_add(by_key, &client->by_key);
}

static void send_on(struct cancel_request *request);

static void deliver_back(struct mail *mail, struct loop *loop)
{
    struct cancel_request *request = (struct cancel_request *)mail;
    struct client *client;
    TAILQ_FOREACH (client, &request->proxy->workers[request->origin]->clients, entry) {
        if (client->id == request->client_id) {
            client_close(client, NULL);
            break;
        }
    }
    mem_free(request);
}

void cancel_finish(struct cancel_request *request)
{
    request->mail.deliver = deliver_back;
    loop_post(request->proxy->workers[request->origin]->loop, &request->mail);
}

/* A client in the queue: its statement has reached no server, so we say what PostgreSQL would. */
static void cancel_waiting(struct client *client)
{
    struct err err;
    err_set(&err, SQLSTATE_QUERY_CANCELED, "canceling statement due to user request");
    refuse_statement(client, &err);
}

static void deliver(struct mail *mail, struct loop *loop)
{
    struct cancel_request *request = (struct cancel_request *)mail;
    struct worker *worker = request->proxy->workers[request->at];
    struct map_entry *entry =
        map_find(&worker->by_key, hash_of(request->key), same_key, request->key);
    if (entry == NULL) {
        request->at++;
        send_on(request);
        return;
    }
    struct client *client = CONTAINER_OF(entry, struct client, by_key);
    if (client->state == CLIENT_ACTIVE && !replies_settled(&client->server->replies)) {
        request->mail.deliver = deliver_back;
        server_cancel(client->server, request->proxy->workers[request->origin]->loop,
                      &request->mail);
        return;
    }
    if (client->state == CLIENT_WAITING)
        cancel_waiting(client);
    cancel_finish(request);
}

static void send_on(struct cancel_request *request)
{
    if (request->at == request->proxy->n_workers) {
        request->proxy->cancel_console(request->proxy->console_context, request);
        return; /* if nobody has this key, not even that is told */
    }
    request->mail.deliver = deliver;
    loop_post(request->proxy->workers[request->at]->loop, &request->mail);
}

void cancel_request(struct client *client, struct slice key)
{
    client->state = CLIENT_CANCELING;
    if (key.len != KEY_LEN) { /* we give no other keys */
        client_close(client, NULL);
        return;
    }
    struct cancel_request *request = mem_new(sizeof *request);
    request->proxy = client->worker->proxy;
    request->origin = client->worker->pool.index;
    request->client_id = client->id;
    memcpy(request->key, key.ptr, KEY_LEN);
    send_on(request);
}
