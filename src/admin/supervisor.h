/*
 * admin/supervisor.h - tells the service manager how we are
 *
 *   READY=1      once all workers answer, after the start and after each reload
 *   RELOADING=1  when a reload begins
 *   STOPPING=1   when a shutdown begins
 *   STATUS=      the line of statistics
 *   WATCHDOG=1   twice in the time that the unit sets as WatchdogSec, as long as all workers answer
 *
 * Threading:  the control thread
 */
#ifndef ADMIN_SUPERVISOR_H
#define ADMIN_SUPERVISOR_H

#include <stdint.h>

#include "net/loop.h"

struct control;

struct supervisor {
    struct deadline beat;
    int64_t every_us;
};

void supervisor_start(struct control *control);
void supervisor_stop(struct control *control); /* before the loop is freed */

void supervisor_reload_begins(void);
void supervisor_reload_ends(struct control *control);
void supervisor_shutdown_begins(void);
void supervisor_status(const char *line);

#endif
