/*
 * conf/file.h - a whole file in memory
 *
 * Settings and user lists are read at start and at RELOAD only, so a blocking read will do.
 *
 * Errors:  the message tells why, without the path: "No such file or directory"
 */
#ifndef CONF_FILE_H
#define CONF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum { CONF_FILE_MAX = 256 << 20 }; /* ours: so that /dev/zero ends in an error */

/* Appends the bytes and a NUL that does not count.  mode may be NULL; else the file's bits. */
bool conf_file_read(const char *path, struct buf *text, mode_t *mode, struct err *err);

/* The number, from 1, of the line with the first NUL byte; 0 when there is none. */
int conf_file_nul_line(const char *text, size_t len);

/* Behind the byte order mark, which some editors put before the text. */
size_t conf_file_bom(const char *text, size_t len);

#endif
