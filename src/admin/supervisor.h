/*
 * admin/supervisor.h - tells the service manager how we are
 *
 *   READY=1      once all workers answer, after the start and after each reload
 *   RELOADING=1  when a reload begins
 *   STOPPING=1   when a shutdown begins
 *   STATUS=      the line of statistics
 *   MAINPID=     another process has taken over; from then on it tells all else
 *   WATCHDOG=1   twice in the time that the unit sets as WatchdogSec, as long as all workers answer
 *
 * Threading:  the control thread
 */
#ifndef ADMIN_SUPERVISOR_H
#define ADMIN_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "net/loop.h"

struct control;

struct supervisor {
    struct deadline beat;
    int64_t every_us;
    bool silent; /* another process is the service now */
};

void supervisor_start(struct control *control);
void supervisor_stop(struct control *control); /* before the loop is freed */

void supervisor_reload_begins(const struct control *control);
void supervisor_reload_ends(struct control *control);
void supervisor_shutdown_begins(const struct control *control);
void supervisor_status(const struct control *control, const char *line);
void supervisor_hand_over(struct control *control, int pid);

#endif
