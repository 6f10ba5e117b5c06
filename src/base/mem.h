/*
 * base/mem.h - memory that cannot fail
 *
 * Our own sizes are small; running out stops the process with a message.  Sizes that come from
 * the network are checked against base/limits.h before they get here.
 *
 * Threading:  any thread
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <string.h>

void *mem_new(size_t size);                           /* zeroed */
void *mem_new_array(size_t n, size_t size);           /* zeroed; n * size is checked */
void *mem_new_aligned(size_t alignment, size_t size); /* zeroed; size: a multiple of alignment */
void *mem_resize(void *ptr, size_t size);             /* as realloc; new bytes are not zeroed */
char *mem_strdup(const char *text);                   /* NULL gives NULL */
char *mem_strndup(const char *text, size_t len);      /* copies len bytes and adds a NUL */
void *mem_dup(const void *ptr, size_t len);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As strnlen(), which is slow here: the parser's library brings its own. */
static inline size_t mem_strnlen(const char *text, size_t max)
{
    const char *nul = max > 0 ? memchr(text, '\0', max) : NULL;
    return nul != NULL ? (size_t)(nul - text) : max;
}
void mem_free(void *ptr);             /* accepts NULL */
void mem_wipe(void *ptr, size_t len); /* for secrets: not optimised away */
void mem_wipe_free(char *text);       /* wipes a C string, then frees; accepts NULL */

#endif
