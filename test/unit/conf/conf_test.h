/*
 * test/unit/conf/conf_test.h - what the tests of conf/ share
 */
#ifndef CONF_TEST_H
#define CONF_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/report.h"

/* A directory for the files of one test program. */
static char test_dir[] = "/tmp/howdah-conf-XXXXXX";

static inline int make_test_dir(void **state)
{
    return mkdtemp(test_dir) != NULL ? 0 : -1;
}

static inline int remove_test_dir(void **state)
{
    char *command = mem_printf("rm -rf %s", test_dir);
    int status = system(command);
    mem_free(command);
    return status;
}

/* Returns the path, owned by the caller. */
static inline char *write_file(const char *name, const char *text, size_t len)
{
    char *path = mem_printf("%s/%s", test_dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    chmod(path, 0600);
    return path;
}

static inline void assert_note(const struct conf_report *report, size_t at, bool is_error,
                               const char *text)
{
    if (at >= report->n_notes)
        fail_msg("no note %zu: %s", at, text);
    assert_string_equal(report->notes[at].text, text);
    assert_int_equal(report->notes[at].is_error, is_error);
}

static inline void assert_clean(const struct conf_report *report)
{
    if (report->n_notes > 0)
        fail_msg("unexpected note: %s", report->notes[0].text);
}

#endif
