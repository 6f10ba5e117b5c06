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

struct err;
struct worker;

bool listen_open(struct worker *worker, struct err *err);
void listen_close(struct worker *worker, bool unix_too);
void listen_hold(struct worker *worker, bool hold); /* who comes meanwhile waits in the kernel */

#endif
