/*
 * conf/hash.h - uthash with the memory of base/mem.h
 *
 * HASH_FIND writes nothing, so that any number of threads may look up in a table that is complete.
 * The keys come from the operator's files: nobody else can choose them to collide.
 */
#ifndef CONF_HASH_H
#define CONF_HASH_H

#include "base/mem.h"

#define uthash_malloc(size)    mem_new(size)
#define uthash_free(ptr, size) mem_free(ptr)

#include <uthash.h>

#endif
