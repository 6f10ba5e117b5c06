/*
 * session/handover.h - what a process tells the one that takes over from it
 *
 *   new process                          running process
 *   HELLO                  ------------>
 *                          <------------ HELLO, or NO and its reason
 *                          <------------ SUPERVISOR, PIDFILE, DOOR, LISTENER..., INHERITED
 *   LISTENING              ------------>                      (and accepts; the old one stops)
 *                          <------------ KEYS..., CLIENT...
 *   TAKEN for each CLIENT  ------------>                      (only now it reads from the client)
 *                          <------------ COMMIT               (all that were idle have moved)
 *   TAKEN..., CANCEL...    <-----------> CLIENT..., CANCELED...   (those that were busy follow)
 *
 * Up to COMMIT the running process can go on as if nothing had happened, and does so when the other
 * one goes away.  A client that was sent and not acknowledged is still the sender's.
 *
 * Records are those of net/channel.h.  Numbers are in network byte order, texts end with NUL.  The
 * first record of each side keeps its form in every version; the rest may change with the number.
 *
 * Ownership:  what is read points into the payload
 * Threading:  pure functions
 * Errors:     reading gives false for whatever could not have been written
 */
#ifndef SESSION_HANDOVER_H
#define SESSION_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/scram.h"
#include "base/reader.h"
#include "net/resolve.h"

struct buf;

enum { HANDOVER_VERSION = 1, HANDOVER_HELLO_MAX = 256, HANDOVER_KEY_LEN = 8 };

enum handover_kind {
    HANDOVER_HELLO = 'H',
    HANDOVER_NO = 'N',         /* text: the reason */
    HANDOVER_SUPERVISOR = 'S', /* how to reach the service manager */
    HANDOVER_PIDFILE = 'P',    /* with the open and locked file */
    HANDOVER_DOOR = 'D',       /* with the socket where the next one will ask */
    HANDOVER_LISTENER = 'L',   /* with a listening socket; text: its file, "" for none */
    HANDOVER_INHERITED = 'I',  /* that was all of them */
    HANDOVER_LISTENING = 'l',
    HANDOVER_KEYS = 'K',   /* what a client has proved, for logins at servers */
    HANDOVER_CLIENT = 'C', /* with its socket */
    HANDOVER_TAKEN = 't',
    HANDOVER_COMMIT = 'E',
    HANDOVER_CANCEL = 'c',   /* a cancel key that the new process knows nothing of */
    HANDOVER_CANCELED = 'd', /* ... and that was worked off */
};

/* pid: of the process that says so.  The kernel knows only who has made the door. */
void handover_write_hello(struct buf *buf, int pid);
/* False: it is no such thing; else *version and *pid are the other's. */
bool handover_read_hello(struct slice payload, uint32_t *version, int *pid);

void handover_write_text(struct buf *buf, const char *text);
bool handover_read_text(struct slice payload, const char **text);

struct handover_supervisor {
    const char *socket; /* NOTIFY_SOCKET; "" for none */
    uint64_t watchdog_us;
};
void handover_write_supervisor(struct buf *buf, const struct handover_supervisor *supervisor);
bool handover_read_supervisor(struct slice payload, struct handover_supervisor *supervisor);

struct handover_keys {
    const char *database, *user;
    struct scram_keys keys;
};
void handover_write_keys(struct buf *buf, const struct handover_keys *keys);
bool handover_read_keys(struct slice payload, struct handover_keys *keys);

struct handover_cancel {
    uint64_t id; /* the asker's, for the answer, which has nothing else */
    uint8_t key[HANDOVER_KEY_LEN];
};
void handover_write_cancel(struct buf *buf, const struct handover_cancel *cancel);
bool handover_read_cancel(struct slice payload, struct handover_cancel *cancel);
void handover_write_canceled(struct buf *buf, uint64_t id);
bool handover_read_canceled(struct slice payload, uint64_t *id);

/* A client between two transactions. */
struct handover_client {
    const char *database, *user; /* as it logged in */
    uint64_t age_us;
    uint8_t key[HANDOVER_KEY_LEN]; /* for cancel requests */
    struct address address;
    struct slice input;      /* it has sent, and nobody has worked off */
    struct slice output;     /* its socket did not take yet */
    struct slice unnamed;    /* its unnamed statement: of Parse behind the name; or empty */
    struct slice params;     /* see handover_add_param() */
    struct slice wishes;     /* the same: what it has asked for at its login */
    struct slice statements; /* see handover_add_statement() */
};
void handover_write_client(struct buf *buf, const struct handover_client *client);
bool handover_read_client(struct slice payload, struct handover_client *client);

/* The lists in a client.  Those of a client that was read are known to be in order. */
void handover_add_param(struct buf *params, const char *name, const char *value);
bool handover_next_param(struct reader *params, const char **name, const char **value);
/* body: of Parse behind the name. */
void handover_add_statement(struct buf *statements, const char *name, const char *body, size_t len);
bool handover_next_statement(struct reader *statements, const char **name, struct slice *body);

#endif
