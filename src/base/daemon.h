/*
 * base/daemon.h - into the background
 *
 * The process that was started waits until its child is ready, so that its exit status tells
 * whether the start went well: 0 or 1.  The child's standard error leads to the terminal until then.
 *
 * Threading:  before there are others
 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include <stdbool.h>

struct err;

/* Returns in the child only.  *parent is for daemon_ready(). */
bool daemon_fork(int *parent, struct err *err);
void daemon_ready(int parent);

#endif
