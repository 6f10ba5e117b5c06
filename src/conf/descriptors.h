/*
 * conf/descriptors.h - how many file descriptors the settings ask for
 */
#ifndef CONF_DESCRIPTORS_H
#define CONF_DESCRIPTORS_H

#include <stdint.h>

struct settings;

/* At most: all clients that may come, all pools full, and what howdah needs for itself.  Of the
 * databases that "*" stands for one is counted, as nobody knows how many there will be. */
int64_t descriptors_needed(const struct settings *settings);

#endif
