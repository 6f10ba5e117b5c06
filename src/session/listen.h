/*
 * session/listen.h - where clients come in
 *
 * Every worker accepts on TCP sockets of its own (SO_REUSEPORT); the first also has the unix
 * sockets, and those that systemd has handed over: then there are no others.  A worker that holds more clients than the emptiest passes a new one on, so that few
 * busy clients do not end up on one core.
 *
 * Threading:  listen_open() before the threads run; the rest on the worker's thread
 */
#ifndef SESSION_LISTEN_H
#define SESSION_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct worker;

bool listen_open(struct worker *worker, struct err *err);
void listen_close(struct worker *worker, bool unix_too);
void listen_hold(struct worker *worker, bool hold); /* who comes meanwhile waits in the kernel */
/* Another process accepts on the same sockets, or does not any more. */
void listen_pause(struct worker *worker, bool pause);
/* The worker's next socket: *at starts at 0.  False: that was the last. */
bool listen_next(const struct worker *worker, size_t *at, int *fd, const char **path);

#endif
