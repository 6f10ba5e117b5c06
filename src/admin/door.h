/*
 * admin/door.h - where a process that runs is asked to hand over
 *
 * The door is a unix socket beside that of the clients, named as it with ".takeover" behind, for processes
 * of the same user and of root.
 *
 * Ownership:  file descriptors are the caller's
 */
#ifndef ADMIN_DOOR_H
#define ADMIN_DOOR_H

#include <stdbool.h>
#include <sys/socket.h>

struct err;
struct settings;
struct sockaddr_un;

/* False: there is none without unix_socket_dir, or with one that is too long. */
bool door_address(const struct settings *settings, struct sockaddr_un *address, socklen_t *len,
                  struct err *err);

/* -1: another process listens there, or it cannot be. */
int door_listen(const struct sockaddr_un *address, socklen_t len, struct err *err);

/* Is the process at the other end of the same user, or root's?  *pid: who it is. */
bool door_trusts(int fd, int *pid);

#endif
