/*
 * Texts of SQL from files: statement by statement, as psql would send them.
 *
 * Lines that begin with a backslash are psql's own, and what follows COPY ... FROM STDIN is data.
 */
#ifndef TEST_SQL_CORPUS_H
#define TEST_SQL_CORPUS_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/scan.h"

typedef void corpus_use(const char *text, size_t len, void *arg);

static inline char *corpus_read(const char *path, size_t *len)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return NULL;
    char *text = NULL;
    size_t room = 0;
    *len = 0;
    do {
        room += 1 << 16;
        text = realloc(text, room);
        *len += fread(text + *len, 1, room - *len, file);
    } while (*len == room);
    fclose(file);
    return text;
}

/* Without psql's lines; in place. */
static inline size_t corpus_clean(char *text, size_t len)
{
    size_t out = 0;
    bool data = false;
    for (size_t at = 0, next; at < len; at = next) {
        char *newline = memchr(text + at, '\n', len - at);
        next = newline == NULL ? len : (size_t)(newline + 1 - text);
        bool mine = text[at] == '\\' || data;
        if (data && next - at >= 2 && memcmp(text + at, "\\.", 2) == 0)
            data = false;
        if (mine)
            continue;
        char line[120];
        snprintf(line, sizeof line, "%.*s", (int)(next - at < 119 ? next - at : 119), text + at);
        data = strcasestr(line, "copy ") != NULL && strcasestr(line, "from stdin") != NULL;
        memmove(text + out, text + at, next - at);
        out += next - at;
    }
    return out;
}

/* At the semicolons that are in no parentheses. */
static inline size_t corpus_split(const char *text, size_t len, corpus_use *use, void *arg)
{
    struct scan scan = {.text = text, .len = len, .standard_conforming_strings = true};
    size_t start = 0, n = 0;
    int depth = 0;
    while (scan_next(&scan) != SCAN_END) {
        char c = text[scan.start];
        if (scan.kind != SCAN_OTHER)
            continue;
        depth += c == '(' ? 1 : c == ')' && depth > 0 ? -1 : 0;
        if (c != ';' || depth > 0)
            continue;
        use(text + start, scan.end - start, arg);
        start = scan.end;
        n++;
    }
    return n;
}

/* All files of DIR that end in .sql; how many texts there were. */
static inline size_t corpus_each(const char *dir, corpus_use *use, void *arg)
{
    DIR *files = opendir(dir);
    size_t n = 0;
    for (struct dirent *entry; files != NULL && (entry = readdir(files)) != NULL;) {
        char path[4096];
        size_t len;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        const char *suffix = strrchr(entry->d_name, '.');
        char *text = suffix != NULL && strcmp(suffix, ".sql") == 0 ? corpus_read(path, &len) : NULL;
        if (text != NULL)
            n += corpus_split(text, corpus_clean(text, len), use, arg);
        free(text);
    }
    if (files != NULL)
        closedir(files);
    return n;
}

#endif
