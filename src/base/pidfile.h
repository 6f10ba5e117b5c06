/*
 * base/pidfile.h - the file with the process id
 *
 * It is locked as long as the process lives, and the lock alone tells whether another instance
 * runs: a process id that a crash has left behind may be somebody else's by now.
 *
 * Ownership:  pidfile_write() gives the caller what pidfile_remove() takes
 */
#ifndef BASE_PIDFILE_H
#define BASE_PIDFILE_H

#include <stdbool.h>

struct err;
struct pidfile;

/* False: another instance has it. */
bool pidfile_check(const char *path, struct err *err);
/* NULL: another instance has it, or it could not be written. */
struct pidfile *pidfile_write(const char *path, struct err *err);
void pidfile_remove(struct pidfile *pidfile); /* accepts NULL; the file stays if it is another's */

/* From process to process: the lock goes with the descriptor, so that there is always one.  What is in
 * the file stays until pidfile_update(). */
int pidfile_descriptor(const struct pidfile *pidfile); /* borrowed */
/* Takes fd over.  NULL: it is not that file. */
struct pidfile *pidfile_inherit(const char *path, int fd);
bool pidfile_update(struct pidfile *pidfile, struct err *err);

#endif
