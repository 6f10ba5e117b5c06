/* A text of SQL with names of ours in place of the client's, and errors in terms of the client's text. */
#include "session/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/statements.h"
#include "proto/build.h"
#include "proto/message.h"

static struct statement_table *table;

static int begin(void **state)
{
    table = statement_table_new();
    return 0;
}

static int end(void **state)
{
    statement_table_free(table);
    sql_thread_done();
    return 0;
}

static struct sql_facts *facts_of(const char *text)
{
    return sql_facts_of(text, strlen(text), 65536, true);
}

/* As if each name stood for a statement that its step makes or uses. */
static struct script *script_of(const char *text)
{
    struct sql_facts *facts = facts_of(text);
    struct script *script = script_new(facts, table);
    for (uint32_t i = 0; i < script->n; i++) {
        if (script->steps[i].kind != SCRIPT_END)
            script->steps[i].statement = statement_intern(table, "", 1, i);
    }
    sql_facts_free(facts);
    return script;
}

static void writes(const char *text, const char *expected)
{
    struct script *script = script_of(text);
    struct buf out = BUF_NONE;
    /* The number of the first statement is what all before it have left. */
    script_write(script, text, strlen(text), &out);
    buf_append_u8(&out, '\0');
    struct buf masked = BUF_NONE;
    for (const char *at = out.data; *at != '\0'; at++) {
        bool number = at > out.data && at[-1] == '_' && *at >= '0' && *at <= '9';
        if (!number) {
            buf_append_u8(&masked, (uint8_t)*at);
            continue;
        }
        while (at[1] >= '0' && at[1] <= '9')
            at++;
        buf_append_u8(&masked, 'n');
    }
    buf_append_u8(&masked, '\0');
    assert_string_equal(masked.data, expected);
    buf_done(&out);
    buf_done(&masked);
    script_free(script);
}

static void nothing_but_names_changes(void **state)
{
    writes("prepare p as select 1", "prepare \"HOWDAH_n\" as select 1");
    writes("PREPARE p(int, text) AS SELECT $1", "PREPARE \"HOWDAH_n\"(int, text) AS SELECT $1");
    writes("execute p", "execute \"HOWDAH_n\"");
    writes(" execute p(1) ; ", " execute \"HOWDAH_n\"(1) ; ");
    writes("deallocate p", "deallocate \"HOWDAH_end0\"");
    writes("deallocate prepare p", "deallocate prepare \"HOWDAH_end0\"");
    writes("deallocate all", "deallocate all");
    writes("explain (analyze) execute p(1)", "explain (analyze) execute \"HOWDAH_n\"(1)");
    writes("create table execute as execute p", "create table execute as execute \"HOWDAH_n\"");
    writes("select 'execute p'", "select 'execute p'");
}

static void names_are_found_in_whatever_form(void **state)
{
    writes("execute \"a \"\" b\"(1)", "execute \"HOWDAH_n\"(1)");
    writes("execute\"p\"", "execute\"HOWDAH_n\"");
    writes("execute/* execute q */p -- execute r",
           "execute/* execute q */\"HOWDAH_n\" -- execute r");
    writes("prepare -- p\n p as select $$prepare q$$",
           "prepare -- p\n \"HOWDAH_n\" as select $$prepare q$$");
    writes("execute U&\"d!0061t\" uescape '!' (1)", "execute \"HOWDAH_n\" (1)");
    writes("deallocate prepare", "deallocate \"HOWDAH_end0\"");
}

static void each_statement_of_a_text_has_its_own(void **state)
{
    writes("prepare p as select 1; execute p; select 2; deallocate p",
           "prepare \"HOWDAH_n\" as select 1; execute \"HOWDAH_n\"; select 2; deallocate "
           "\"HOWDAH_end2\"");
}

static void a_name_like_ours_that_is_not_there_names_nothing(void **state)
{
    struct sql_facts *facts = facts_of("execute \"HOWDAH_1\"; execute p");
    struct script *script = script_new(facts, table);
    char room[SCRIPT_NAME_MAX];
    script->steps[0].kind = script->steps[1].kind = SCRIPT_UNKNOWN;
    assert_string_equal(script_server_name(script, 0, room), "HOWDAH_none");
    assert_null(script_server_name(script, 1, room));
    script_free(script);
    sql_facts_free(facts);
}

static void steps_are_what_the_commands_are(void **state)
{
    struct script *script = script_of("prepare \"P\" as select 1; execute P; deallocate p");
    assert_int_equal(script->n, 3);
    assert_int_equal(script->steps[0].kind, SCRIPT_MAKE);
    assert_int_equal(script->steps[1].kind, SCRIPT_USE);
    assert_int_equal(script->steps[2].kind, SCRIPT_END);
    assert_string_equal(script->steps[0].ident, "P");
    assert_string_equal(script->steps[1].ident, "p");
    assert_true(script_changes(script));
    script_free(script);
}

static void what_is_made_ends_with_its_statement(void **state)
{
    static const char text[] = "prepare p (int) as select 1 ; prepare q as select 2";
    struct sql_facts *facts = facts_of(text);
    struct script *script = script_new(facts, table);
    struct slice body = script_body(text, facts, script->steps[0].span);
    assert_int_equal(body.len, strlen(" (int) as select 1"));
    assert_memory_equal(body.ptr, " (int) as select 1", body.len);
    body = script_body(text, facts, script->steps[1].span);
    assert_int_equal(body.len, strlen(" as select 2"));
    script_free(script);
    sql_facts_free(facts);
}

static void the_query_stands_behind_as(void **state)
{
    static const char *const bodies[] = {" as", "(numeric(5, 2), \"as\") As", " /* as */ (int)as",
                                         "\n--as\nAS"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        assert_int_equal(script_query_in(bodies[i]), strlen(bodies[i]));
}

static void few_texts_may_be_about_names(void **state)
{
    static const char *const may[] = {"prepare p as select 1", " /* x */ EXECUTE p", "Deallocate p",
                                      "explain execute p", "create table t as execute p"};
    static const char *const may_not[] = {"select 'execute'", "explain select 1", "",
                                          "create table t(a int)"};
    for (size_t i = 0; i < sizeof may / sizeof may[0]; i++)
        assert_true(script_may_concern(may[i], strlen(may[i])));
    for (size_t i = 0; i < sizeof may_not / sizeof may_not[0]; i++)
        assert_false(script_may_concern(may_not[i], strlen(may_not[i])));
}

/* The fields are separated by '|'. */
static void says(const char *text, const char *error, const char *expected)
{
    struct script *script = script_of(text);
    struct buf sql = BUF_NONE, body = BUF_NONE, out = BUF_NONE;
    char room[SCRIPT_NAME_MAX];
    script_write(script, text, strlen(text), &sql);
    for (const char *at = error; *at != '\0'; at++) {
        if (*at == '@')
            buf_append_str(&body, script_server_name(script, 0, room));
        else
            buf_append_u8(&body, *at == '|' ? 0 : (uint8_t)*at);
    }
    buf_append(&body, "\0", 2);
    bool changed = script_write_error(script, body.data, body.len, &out);
    assert_int_equal(changed, expected != NULL);
    if (changed) {
        assert_int_equal(load_u32(out.data + 1), out.len - 1);
        for (size_t i = MESSAGE_HEADER; i + 2 < out.len; i++)
            out.data[i] = out.data[i] == '\0' ? '|' : out.data[i];
        assert_string_equal(out.data + MESSAGE_HEADER, expected);
    }
    buf_done(&sql);
    buf_done(&body);
    buf_done(&out);
    script_free(script);
}

static void errors_speak_of_the_clients_names(void **state)
{
    says("execute p", "SERROR|C26000|Mprepared statement \"@\" does not exist",
         "SERROR|C26000|Mprepared statement \"p\" does not exist");
    says("execute p", "SERROR|C26000|Mprepared statement \"@0\" does not exist", NULL);
    says("execute p", "SERROR|C22012|Mdivision by zero", NULL);
}

static void an_error_is_that_of_the_command_behind_those_that_are_complete(void **state)
{
    struct script *script = script_of("prepare p as select 1; select 2; prepare q as select 1");
    struct buf body = BUF_NONE, out = BUF_NONE;
    statement_unref(table, script->steps[1].statement);
    script->steps[1].statement = statement_ref(table, script->steps[0].statement);
    buf_append_u8(&body, 'M');
    buf_append_cstr(&body, script->steps[1].statement->name);
    buf_append_u8(&body, '\0');
    script->n_complete = 2;
    assert_true(script_write_error(script, body.data, body.len, &out));
    assert_string_equal(out.data + MESSAGE_HEADER, "Mq");
    buf_clear(&out);
    script->n_complete = 1;
    assert_false(script_write_error(script, body.data, body.len, &out));
    buf_done(&body);
    buf_done(&out);
    script_free(script);
}

static void errors_point_into_the_clients_text(void **state)
{
    struct script *script = script_of("execute p(x)");
    char room[SCRIPT_NAME_MAX], error[80];
    size_t longer = strlen(script_server_name(script, 0, room)) + 2 - 1;
    script_free(script);
    snprintf(error, sizeof error, "SERROR|P%zu", 11 + longer);
    says("execute p(x)", error, "SERROR|P11");
    says("execute p(x)", "SERROR|P1", NULL);
    snprintf(error, sizeof error, "SERROR|P%zu", 24 + longer - 2);
    says("select '\xc3\xbc'; execute \"p\"(x)", error, "SERROR|P24");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_names_changes),
        cmocka_unit_test(names_are_found_in_whatever_form),
        cmocka_unit_test(each_statement_of_a_text_has_its_own),
        cmocka_unit_test(a_name_like_ours_that_is_not_there_names_nothing),
        cmocka_unit_test(steps_are_what_the_commands_are),
        cmocka_unit_test(what_is_made_ends_with_its_statement),
        cmocka_unit_test(the_query_stands_behind_as),
        cmocka_unit_test(few_texts_may_be_about_names),
        cmocka_unit_test(errors_speak_of_the_clients_names),
        cmocka_unit_test(an_error_is_that_of_the_command_behind_those_that_are_complete),
        cmocka_unit_test(errors_point_into_the_clients_text),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
