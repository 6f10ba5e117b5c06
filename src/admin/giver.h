/*
 * admin/giver.h - the running process gives its sockets and clients to one that takes over
 *
 * Who knocks at the door (admin/door.h) is served as session/handover.h says.
 *
 *   NONE --HELLO--> GATHERING --all sent--> LENT --LISTENING--> SWEEPING --all that were idle are taken-->
 *   GIVEN --the other process is gone--> ALONE
 *   before GIVEN: --broken, refused, too slow--> NONE, and all goes on as before
 *
 * From GIVEN on the process only waits for its last client to leave.
 *
 * Threading:  the control thread; giver_take_move() any worker's
 * Errors:     logged here
 */
#ifndef ADMIN_GIVER_H
#define ADMIN_GIVER_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct client_move;
struct control;
struct giver;

struct giver *giver_new(struct control *control);
/* In this order, when the workers have ended: free after all their mail was delivered. */
void giver_end(struct giver *giver);
void giver_free(struct giver *giver);

/* Opens the door.  fd: one that another process had open, or -1.  Without it there is a warning. */
void giver_open(struct giver *giver, int fd);

/* The process ends, or waits for its end: who is about to take over is told no. */
void giver_shut(struct giver *giver);

/* Does it live for its last clients only?  Then nothing about the service is ours to tell. */
bool giver_has_given(const struct giver *giver);
/* ... and the last one has left. */
bool giver_is_done(const struct giver *giver);

void giver_take_move(void *control, struct client_move *move);

#endif
