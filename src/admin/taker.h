/*
 * admin/taker.h - a new process takes over sockets and clients of the one that runs
 *
 *   ASKED --all is lent--> LISTENING --COMMIT, or the other process is gone--> OWNER
 *   LISTENING --the other process goes on by itself--> REFUSED: we leave as soon as those have who came
 *
 * What it says stands in session/handover.h.
 *
 * Ownership:  by the control thread from control_run() on
 * Threading:  taker_ask() and the functions up to taker_start() before there are threads; the rest on
 *             the control thread
 */
#ifndef ADMIN_TAKER_H
#define ADMIN_TAKER_H

#include <stdbool.h>
#include <stdint.h>

struct control;
struct err;
struct loop;
struct mail;
struct pidfile;
struct proxy;
struct settings;
struct taker;

enum taker_answer {
    TAKER_NOBODY,  /* there is no process to take over from */
    TAKER_REFUSED, /* *err says why; that process goes on */
    TAKER_LENT,    /* *taker has what it has lent */
};

/* Asks the process that runs with the same unix_socket_dir and listen_port, and waits for its answer. */
enum taker_answer taker_ask(const struct settings *settings, struct taker **taker, struct err *err);
/* The sockets that workers shall listen on. */
void taker_lend(struct taker *taker, struct proxy *proxy);
/* The other process' pid file, if it is ours, too; else NULL. */
struct pidfile *taker_pidfile(struct taker *taker, const char *path);

/* proxy->pass_cancel */
void taker_pass_cancel(void *control, const uint8_t key[8], struct loop *back, struct mail *then);

void taker_start(struct taker *taker, struct control *control); /* the workers run */
void taker_free(struct taker *taker);                           /* accepts NULL */

#endif
