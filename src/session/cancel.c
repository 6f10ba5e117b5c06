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
#include "session/peers.h"
#include "session/traces.h"
#include "session/worker.h"

enum { KEY_LEN = CANCEL_KEY_LEN };

static const struct settings *settings_of(const struct worker *worker)
{
    return worker->pool.settings;
}

static uint64_t hash_of(const uint8_t *key)
{
    /* How long the look-up takes tells nothing of a key, as the hash has a secret key of its own.
     * 0 means: not in the map. */
    uint8_t given[KEY_LEN];
    memcpy(given, key, KEY_LEN);
    peer_key_restore(given);
    return hash_bytes(given, KEY_LEN) | 1;
}

static bool equal(const uint8_t *key, const uint8_t *other, int peer_id)
{
    uint8_t ours[KEY_LEN], given[KEY_LEN];
    memcpy(ours, key, KEY_LEN);
    memcpy(given, other, KEY_LEN);
    if (peer_id > 0) { /* it may have come through other peers */
        peer_key_restore(ours);
        peer_key_restore(given);
    }
    return CRYPTO_memcmp(ours, given, KEY_LEN) == 0;
}

static bool same_key(const struct map_entry *entry, const void *key)
{
    const struct client *client = CONTAINER_OF(entry, struct client, by_key);
    return equal(client->key, key, settings_of(client->worker)->peer_id);
}

void cancel_draw_key(uint8_t key[KEY_LEN], int peer_id)
{
    if (RAND_bytes(key, KEY_LEN) != 1)
        abort();
    key[0] &= 0x7f; /* the process id, positive as drivers expect */
    if (peer_id > 0)
        peer_key_sign(key, peer_id);
}

bool cancel_is_key(const struct cancel_request *request, const uint8_t key[KEY_LEN], int peer_id)
{
    return equal(key, request->key, peer_id);
}

void cancel_new_key(struct client *client, uint32_t pid)
{
    struct map *by_key = &client->worker->by_key;
    int peer_id = settings_of(client->worker)->peer_id;
    if (client->by_key.hash != 0)
        map_remove(by_key, &client->by_key);
    do {
        cancel_draw_key(client->key, peer_id);
        if (peer_id == 0 && pid != 0)
            store_u32((char *)client->key, pid);
        client->by_key.hash = hash_of(client->key);
    } while (map_find(by_key, client->by_key.hash, same_key, client->key) != NULL);
    map_add(by_key, &client->by_key);
}

void cancel_keep_key(struct client *client, const uint8_t key[KEY_LEN])
{
    memcpy(client->key, key, KEY_LEN);
    client->by_key.hash = hash_of(client->key);
    map_add(&client->worker->by_key, &client->by_key);
}

static void send_on(struct cancel_request *request);

static struct loop *loop_of_origin(const struct cancel_request *request)
{
    return request->proxy->workers[request->origin]->loop;
}

static void deliver_back(struct mail *mail, struct loop *loop)
{
    struct cancel_request *request = (struct cancel_request *)mail;
    struct client *client;
    /* It has come lately, so it is near the end. */
    struct client_list *clients = &request->proxy->workers[request->origin]->clients;
    for (client = TAILQ_LAST(clients, client_list); client != NULL;
         client = TAILQ_PREV(client, client_list, entry)) {
        if (client->id == request->client_id) {
            client_close(client, request->reason);
            break;
        }
    }
    if (request->back != NULL)
        loop_post(request->back, request->then);
    mem_free(request);
}

void cancel_finish(struct cancel_request *request)
{
    request->mail.deliver = deliver_back;
    loop_post(loop_of_origin(request), &request->mail);
}

/* A client in the queue: its statement has reached no server, so we say what PostgreSQL would. */
static void cancel_waiting(struct client *client)
{
    struct err err;
    err_set(&err, SQLSTATE_QUERY_CANCELED, "canceling statement due to user request");
    refuse_statement(client, &err);
}

/* No client of a worker has the key: it is of the console, of a client that has not come yet from the
 * process that we take over from, of a peer, or of nobody.  Not even that is told. */
static void pass_on(struct cancel_request *request, struct worker *worker)
{
    struct proxy *proxy = request->proxy;
    int own_id = settings_of(worker)->peer_id;
    if (own_id == 0 || peer_key_id(request->key) == own_id) {
        if (atomic_load(&proxy->has_predecessor)) {
            request->reason = "cancel request was passed to the process before this one";
            request->mail.deliver = deliver_back;
            proxy->pass_cancel(proxy->console_context, request->key, loop_of_origin(request),
                               &request->mail);
        } else {
            proxy->cancel_console(proxy->console_context, request);
        }
        return;
    }
    request->mail.deliver = deliver_back;
    request->reason = "cancel request was passed to its peer";
    const char *why_not =
        peers_forward(worker, request->key, loop_of_origin(request), &request->mail);
    if (why_not == NULL)
        return; /* it may be gone already */
    request->reason = why_not;
    cancel_finish(request);
}

static void deliver(struct mail *mail, struct loop *loop)
{
    struct cancel_request *request = (struct cancel_request *)mail;
    struct worker *worker = request->proxy->workers[request->at];
    struct map_entry *entry =
        map_find(&worker->by_key, hash_of(request->key), same_key, request->key);
    if (entry == NULL) {
        if (++request->at < request->proxy->n_workers)
            send_on(request);
        else
            pass_on(request, worker);
        return;
    }
    struct client *client = CONTAINER_OF(entry, struct client, by_key);
    request->reason = "successfully sent cancel request";
    /* What we ask its server behind its statement is not the client's. */
    if (client->state == CLIENT_ACTIVE && !traces_stall(client->traces) &&
        !replies_settled(&client->server->replies)) {
        request->mail.deliver = deliver_back;
        server_cancel(client->server, loop_of_origin(request), &request->mail);
        return;
    }
    if (client->state == CLIENT_WAITING)
        cancel_waiting(client);
    else
        request->reason = "cancel request for idle client";
    cancel_finish(request);
}

static void send_on(struct cancel_request *request)
{
    request->mail.deliver = deliver;
    loop_post(request->proxy->workers[request->at]->loop, &request->mail);
}

void cancel_request(struct client *client, struct slice key)
{
    client->state = CLIENT_CANCELING;
    client_set_deadline(client); /* none: the request has its own */
    if (key.len != KEY_LEN) {    /* we give no other keys */
        client_close(client, "bad cancel key");
        return;
    }
    struct cancel_request *request = mem_new(sizeof *request);
    request->proxy = client->worker->proxy;
    request->origin = client->worker->pool.index;
    request->client_id = client->id;
    request->reason = "bad cancel key";
    memcpy(request->key, key.ptr, KEY_LEN);
    send_on(request);
}

void cancel_for_successor(struct proxy *proxy, const uint8_t key[KEY_LEN], struct loop *back,
                          struct mail *then)
{
    struct cancel_request *request = mem_new(sizeof *request);
    request->proxy = proxy;
    request->back = back;
    request->then = then;
    request->reason = "bad cancel key";
    memcpy(request->key, key, KEY_LEN);
    send_on(request);
}
