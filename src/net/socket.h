/*
 * net/socket.h - makes sockets: listening, connecting, and tuned as the settings say
 *
 * Ownership:  file descriptors are the caller's
 */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <stdbool.h>

struct address;
struct err;
struct settings;

/* Non-blocking, close-on-exec; -1 and *err on failure.  shared: the process listens there already,
 * on another socket; else the port must be free, unless so_reuseport says that it need not. */
int socket_listen(const struct address *address, const struct settings *settings, bool shared,
                  struct err *err);
/* *pending: the connection is under way. */
int socket_connect(const struct address *address, const struct settings *settings, bool *pending,
                   struct err *err);
/* What became of a pending connect: 0 or an errno. */
int socket_error(int fd);
/* Keepalive, no delay, buffers: for accepted and connected TCP sockets. */
void socket_tune(int fd, const struct settings *settings);
void socket_local(int fd, struct address *address);
bool socket_peer_is_us(int fd); /* a unix socket, whose peer runs as our own user */
int socket_unread(int fd);      /* bytes that the kernel holds for us; 0 if that cannot be told */

#endif
