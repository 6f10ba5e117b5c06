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

enum { KEY_LEN = 8 };

/* On its round through the workers, and back. */
struct request {
    struct mail mail; /* first: the loops find us by it */
    struct proxy *proxy;
    unsigned origin, at; /* indices of workers */
    uint64_t client_id;  /* who asked */
    const char *reason;  /* static text for the log: what came of it */
    uint8_t key[KEY_LEN];
};

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

void cancel_new_key(struct client *client)
{
    struct map *by_key = &client->worker->by_key;
    if (client->by_key.hash != 0)
        map_remove(by_key, &client->by_key);
    do {
        if (RAND_bytes(client->key, KEY_LEN) != 1)
            abort();
        client->key[0] &= 0x7f; /* the process id, positive as drivers expect */
        client->by_key.hash = hash_of(client->key);
    } while (map_find(by_key, client->by_key.hash, same_key, client->key) != NULL);
    map_add(by_key, &client->by_key);
}

static void send_on(struct request *request);

static void deliver_back(struct mail *mail, struct loop *loop)
{
    struct request *request = (struct request *)mail;
    struct client *client;
    TAILQ_FOREACH (client, &request->proxy->workers[request->origin]->clients, entry) {
        if (client->id == request->client_id) {
            client_close(client, request->reason);
            break;
        }
    }
    mem_free(request);
}

static void finish(struct request *request)
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
    struct request *request = (struct request *)mail;
    struct worker *worker = request->proxy->workers[request->at];
    struct map_entry *entry =
        map_find(&worker->by_key, hash_of(request->key), same_key, request->key);
    if (entry == NULL) {
        request->at++;
        send_on(request);
        return;
    }
    struct client *client = CONTAINER_OF(entry, struct client, by_key);
    request->reason = "successfully sent cancel request";
    if (client->state == CLIENT_ACTIVE && !replies_settled(&client->server->replies)) {
        request->mail.deliver = deliver_back;
        server_cancel(client->server, request->proxy->workers[request->origin]->loop,
                      &request->mail);
        return;
    }
    if (client->state == CLIENT_WAITING)
        cancel_waiting(client);
    else
        request->reason = "cancel request for idle client";
    finish(request);
}

static void send_on(struct request *request)
{
    if (request->at == request->proxy->n_workers) {
        finish(request); /* nobody has this key: not even that is told */
        return;
    }
    request->mail.deliver = deliver;
    loop_post(request->proxy->workers[request->at]->loop, &request->mail);
}

void cancel_request(struct client *client, struct slice key)
{
    client->state = CLIENT_CANCELING;
    if (key.len != KEY_LEN) { /* we give no other keys */
        client_close(client, "bad cancel key");
        return;
    }
    struct request *request = mem_new(sizeof *request);
    request->proxy = client->worker->proxy;
    request->origin = client->worker->pool.index;
    request->client_id = client->id;
    request->reason = "bad cancel key";
    memcpy(request->key, key.ptr, KEY_LEN);
    send_on(request);
}
