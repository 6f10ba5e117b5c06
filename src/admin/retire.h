/*
 * admin/retire.h - forgets pools that nobody has used for a while
 *
 * Threading:  the control thread
 */
#ifndef ADMIN_RETIRE_H
#define ADMIN_RETIRE_H

struct control;

void retire_start(struct control *control);
/* At the end: frees what is under way.  All workers are gone. */
void retire_stop(struct control *control);

#endif
