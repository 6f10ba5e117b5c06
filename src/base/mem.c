#include "base/mem.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *ptr)
{
    if (ptr == NULL) {
        fputs("howdah: out of memory\n", stderr);
        abort();
    }
    return ptr;
}

void *mem_new(size_t size)
{
    return checked(calloc(1, size > 0 ? size : 1));
}

void *mem_new_array(size_t n, size_t size)
{
    return checked(calloc(n > 0 ? n : 1, size > 0 ? size : 1));
}

void *mem_new_aligned(size_t alignment, size_t size)
{
    return memset(checked(aligned_alloc(alignment, size)), 0, size);
}

void *mem_resize(void *ptr, size_t size)
{
    return checked(realloc(ptr, size > 0 ? size : 1));
}

char *mem_strdup(const char *text)
{
    return text != NULL ? mem_strndup(text, strlen(text)) : NULL;
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = checked(malloc(len + 1));
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void *mem_dup(const void *ptr, size_t len)
{
    return mem_strndup(ptr, len);
}

char *mem_printf(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    return checked(len >= 0 ? text : NULL);
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_wipe(void *ptr, size_t len)
{
    OPENSSL_cleanse(ptr, len);
}

void mem_wipe_free(char *text)
{
    if (text != NULL)
        mem_wipe(text, strlen(text));
    free(text);
}
