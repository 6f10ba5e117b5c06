#include "sql/hints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* key=value;... and ! if malformed */
static const char *hints_of(const char *text, bool conforming)
{
    static char out[1000];
    struct sql_hints hints = sql_hints_of(text, strlen(text), conforming);
    size_t len = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < hints.n; i++) {
        struct sql_span key = hints.at[i].key, value = hints.at[i].value;
        len += (size_t)snprintf(out + len, sizeof out - len, "%.*s=%.*s;", (int)key.len,
                                text + key.start, (int)value.len, text + value.start);
    }
    if (hints.malformed)
        snprintf(out + len, sizeof out - len, "!");
    return out;
}

static void hints_stand_in_comments_at_the_edges(void **state)
{
    static const struct {
        const char *text, *hints;
    } rows[] = {
        {"SELECT 1", ""},
        {"", ""},
        {"/* howdah: node=primary */ SELECT 1", "node=primary;"},
        {"  /*howdah:node=primary,shard=3*/SELECT 1", "node=primary;shard=3;"},
        {"-- howdah: node=primary\nSELECT 1", "node=primary;"},
        {"SELECT 1 /* howdah: key='a b, c' */", "key=a b, c;"},
        {"SELECT 1 /* howdah: key='' */ ; ", "key=;"},
        {"SELECT 1; -- howdah: key=x", "key=x;"},
        {"SELECT 1 -- howdah: key=x\n  \n", "key=x;"},
        {"/* x */ /* howdah: a=1 */ -- y\n SELECT /* howdah: b=2 */ 1 /* z */ /* howdah: c=3 */",
         "a=1;c=3;"},
        {"SELECT 1; /* howdah: a=1 */ SELECT 2", ""},
        {"SELECT '/* howdah: a=1 */'", ""},
        {"SELECT '/* howdah: a=1 */' -- x", ""},
        {"SELECT '-- howdah: a=1'", ""},
        {"SELECT $$ -- howdah: a=1\n$$", ""},
        {"/* howdah: */ SELECT 1", ""},
        {"/* other: a=1 */ SELECT 1", ""},
        {"/* howdah a=1 */ SELECT 1", ""},
        {"/* howdah: a=1", ""},
        {"/* howdah: a=1 /* nested */ */ SELECT 1", "a=1;!"},
        {"/* howdah: a = 1 */ SELECT 1", "!"},
        {"/* howdah: a */ SELECT 1", "!"},
        {"/* howdah: a= */ SELECT 1", "!"},
        {"/* howdah: a='x */ SELECT 1", "!"},
        {"/* howdah: a='x'y */ SELECT 1", "!"},
        {"/* howdah: A=1 */ SELECT 1", "!"},
        {"/* howdah: a=1 */", "a=1;"},
        {"/*/ howdah: a=1 */ SELECT 1", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(hints_of(rows[i].text, true), rows[i].hints) != 0)
            fail_msg("%s: %s", rows[i].text, hints_of(rows[i].text, true));
}

static void strings_end_where_the_session_says(void **state)
{
    const char *text = "SELECT 'a\\' /* howdah: a=1 */";
    assert_string_equal(hints_of(text, true), "a=1;");
    assert_string_equal(hints_of(text, false), "");
}

static void too_many_hints_are_malformed(void **state)
{
    char text[400] = "/* howdah:";
    for (int i = 0; i <= SQL_MAX_HINTS; i++)
        strcat(text, " k=v");
    strcat(text, " */");
    struct sql_hints hints = sql_hints_of(text, strlen(text), true);
    assert_int_equal(hints.n, SQL_MAX_HINTS);
    assert_true(hints.malformed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hints_stand_in_comments_at_the_edges),
        cmocka_unit_test(strings_end_where_the_session_says),
        cmocka_unit_test(too_many_hints_are_malformed),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
