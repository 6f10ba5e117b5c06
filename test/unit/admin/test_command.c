#include "admin/command.h"
#include "admin/selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"

static struct command found(const char *text)
{
    struct command command;
    struct err err;
    if (command_next(&text, &command, &err) != COMMAND_FOUND)
        fail_msg("no command: %s", text);
    return command;
}

static void assert_verb(const struct command *command, const char *name, const char *object)
{
    assert_string_equal(command->verb->name, name);
    if (object == NULL)
        assert_null(command->verb->object);
    else
        assert_string_equal(command->verb->object, object);
}

/* What is no command says so, with the words that scripts look for. */
static void assert_invalid(const char *text)
{
    const char *at = text;
    struct command command;
    struct err err = ERR_NONE;
    if (command_next(&at, &command, &err) != COMMAND_INVALID)
        fail_msg("taken for a command: %s", text);
    assert_string_equal(err.sqlstate, SQLSTATE_SYNTAX_ERROR);
    assert_non_null(strstr(err.message, "invalid command '"));
    assert_non_null(strstr(err.message, "', use SHOW HELP;"));
    assert_null(command.value);
}

static void show_finds_its_object_in_any_case_and_layout(void **state)
{
    static const char *const texts[] = {
        "SHOW POOLS",         "show pools",          "Show Pools;",      "  SHOW\t\n POOLS  ;  ",
        "SHOW \"pools\"",     "SHOW 'pools'",        ";; SHOW POOLS",    "SELECT pools",
        "/* a */SHOW POOLS",  "SHOW/* a */POOLS--b", "-- a\nSHOW POOLS", "SHOW POOLS /* ; */ ;",
        "/* -- */ SHOW pools"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct command command = found(texts[i]);
        assert_verb(&command, "SHOW", "POOLS");
        assert_null(command.variable);
        assert_int_equal(command.verb->right, RIGHT_LOOK);
        assert_int_equal(command.verb->n_columns, 17);
        command_done(&command);
    }
}

static void a_command_may_have_a_name(void **state)
{
    static const struct {
        const char *text, *verb, *argument;
    } good[] = {
        {"PAUSE", "PAUSE", ""},
        {"pause;", "PAUSE", ""},
        {"PAUSE app", "PAUSE", "app"},
        {"PAUSE App", "PAUSE", "app"},
        {"PAUSE \"App\"", "PAUSE", "App"},
        {"PAUSE 'App'", "PAUSE", "App"},
        {"PAUSE \"a\"\"b c\"", "PAUSE", "a\"b c"},
        {"PAUSE 'it''s'", "PAUSE", "it's"},
        {"RESUME \"a;b\" ;", "RESUME", "a;b"},
        {"RESUME \"a--b\"", "RESUME", "a--b"},
        {"DISABLE db_1.x", "DISABLE", "db_1.x"},
        {"ENABLE d\xc3\xa9j\xc3\xa0", "ENABLE", "d\xc3\xa9j\xc3\xa0"},
        {"KILL_CLIENT 17", "KILL_CLIENT", "17"},
        {"SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN", "wait_for_servers"},
        {"RELOAD", "RELOAD", ""},
        {"BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN", ""},
        {"ROLLBACK", "ROLLBACK", ""},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct command command = found(good[i].text);
        assert_verb(&command, good[i].verb, NULL);
        assert_string_equal(command.argument, good[i].argument);
        assert_null(command.value);
        command_done(&command);
    }
}

static void set_takes_a_key_and_a_value(void **state)
{
    static const struct {
        const char *text, *key, *value;
    } good[] = {
        {"SET default_pool_size = 6", "default_pool_size", "6"},
        {"SET default_pool_size=6;", "default_pool_size", "6"},
        {"set Default_Pool_Size to 6", "default_pool_size", "6"},
        {"SET query_timeout = -0.5", "query_timeout", "-0.5"},
        {"SET query_timeout = '2 min'", "query_timeout", "2 min"},
        {"SET server_reset_query = ''", "server_reset_query", ""},
        {"SET server_reset_query = 'DISCARD ALL; SELECT 1' ;", "server_reset_query",
         "DISCARD ALL; SELECT 1"},
        {"SET server_reset_query = 'it''s'", "server_reset_query", "it's"},
        {"SET server_reset_query = SET x TO 'a;b'; SHOW POOLS", "server_reset_query",
         "SET x TO 'a;b'"},
        {"SET admin_users = a, b  ", "admin_users", "a, b"},
        {"SET 'logfile' = 'C'", "logfile", "C"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct command command = found(good[i].text);
        assert_verb(&command, "SET", NULL);
        assert_int_equal(command.verb->right, RIGHT_CHANGE);
        assert_string_equal(command.argument, good[i].key);
        assert_string_equal(command.value, good[i].value);
        command_done(&command);
    }
}

static void a_value_may_be_long_but_not_without_limit(void **state)
{
    for (size_t more = 0; more <= 1; more++) {
        size_t len = COMMAND_VALUE_MAX + more;
        char *value = mem_new(len + 1);
        memset(value, 'x', len);
        char *text = mem_printf("SET logfile = %s", value);
        if (more == 0) {
            struct command command = found(text);
            assert_string_equal(command.value, value);
            command_done(&command);
        } else {
            assert_invalid(text);
        }
        mem_free(text);
        mem_free(value);
    }
}

/* Drivers do it on every connection, for users who may only look. */
static void session_variables_need_no_right(void **state)
{
    static const struct {
        const char *text, *verb, *name;
    } good[] = {
        {"SHOW client_encoding", "SHOW", "client_encoding"},
        {"SHOW DateStyle", "SHOW", "datestyle"},
        {"SHOW TRANSACTION ISOLATION LEVEL", "SHOW", "transaction isolation level"},
        {"SHOW TIME ZONE", "SHOW", "time zone"},
        {"SHOW \"timezone\"", "SHOW", "timezone"},
        {"SET client_encoding TO 'UTF8'", "SET", "client_encoding"},
        {"SET datestyle TO ISO, MDY", "SET", "datestyle"},
        {"SET SESSION timezone = 'GMT'", "SET", "timezone"},
        {"SET LOCAL extra_float_digits = 3;", "SET", "extra_float_digits"},
        {"SET application_name = ''", "SET", "application_name"},
        {"SET TIME ZONE 'Europe/Paris'", "SET", "time zone"},
        {"SET NAMES 'utf8'", "SET", "names"},
        {"SET TRANSACTION READ ONLY", "SET", "transaction"},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET", "session characteristics"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct command command = found(good[i].text);
        assert_verb(&command, good[i].verb, VERB_VARIABLE);
        assert_int_equal(command.verb->right, RIGHT_LOOK);
        assert_string_equal(command.variable->name, good[i].name);
        command_done(&command);
    }
}

static void show_takes_columns_and_conditions(void **state)
{
    static const struct {
        const char *text;
        size_t n_columns, n_conditions;
        const char *first, *value;
    } good[] = {
        {"SHOW POOLS (user)", 1, 0, "user", NULL},
        {"SHOW POOLS(User,\"database\" , sv_idle);", 3, 0, "user", NULL},
        {"SELECT pools (sv_idle, user)", 2, 0, "sv_idle", NULL},
        {"show pools where user = 'it''s'", 17, 1, "database", "it's"},
        {"SHOW POOLS WHERE user=App", 17, 1, "database", "app"},
        {"SHOW POOLS WHERE user=\"App\"", 17, 1, "database", "App"},
        {"SHOW POOLS (user) WHERE \"sv_idle\" = 007 AND user = ''", 1, 2, "user", "7"},
        {"SHOW POOLS (user) /* all */ WHERE user = 'a;b' -- AND", 1, 1, "user", "a;b"},
        {"SHOW timezone (timezone) WHERE timezone = 'GMT'", 1, 1, "timezone", "GMT"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct command command = found(good[i].text);
        size_t n;
        const struct table_column *columns = command_columns(&command, &n);
        assert_int_equal(n, good[i].n_columns);
        assert_string_equal(columns[0].name, good[i].first);
        assert_int_equal(command.selection->n_conditions, good[i].n_conditions);
        if (good[i].value != NULL)
            assert_string_equal(command.selection->conditions[0].value, good[i].value);
        struct command copy = command_copy(&command);
        command_done(&command);
        assert_ptr_equal(command_columns(&copy, &n), columns);
        command_done(&copy);
    }
}

static void a_value_of_a_condition_may_be_longer_than_a_name(void **state)
{
    char value[200];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    char *text = mem_printf("SHOW CONFIG WHERE value = '%s'", value);
    struct command command = found(text);
    assert_string_equal(command.selection->conditions[0].value, value);
    command_done(&command);
    mem_free(text);
}

static void what_a_selection_has_wrong_is_told(void **state)
{
    static const struct {
        const char *text, *sqlstate;
    } bad[] = {
        {"SHOW POOLS (users)", SQLSTATE_UNDEFINED_COLUMN},
        {"SHOW POOLS (user, \"USER\")", SQLSTATE_UNDEFINED_COLUMN},
        {"SHOW POOLS WHERE name = 'a'", SQLSTATE_UNDEFINED_COLUMN},
        {"SHOW timezone (datestyle)", SQLSTATE_UNDEFINED_COLUMN},
        {"SHOW POOLS WHERE sv_idle = 'none'", SQLSTATE_INVALID_TEXT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *at = bad[i].text;
        struct command command;
        struct err err;
        assert_int_equal(command_next(&at, &command, &err), COMMAND_INVALID);
        assert_string_equal(err.sqlstate, bad[i].sqlstate);
        assert_null(command.selection);
    }
}

static void what_is_no_command_is_invalid(void **state)
{
    static const char *const bad[] = {
        "nonsense",
        "SHOW",
        "SHOW nonsense",
        "SHOW POOLS CLIENTS",
        "SHOW POOLS,",
        "SHOW \"\"",
        "SHOW \"POOLS", /* quotations and comments without their end */
        "PAUSE 'app",
        "SHOW POOLS /*",
        "/* SHOW POOLS",
        "SELECT 1",
        "SELECT 'a', b",
        "SELECT current_schema()",
        "SHOW extra_float_digits", /* only SET knows it */
        "\"PAUSE\"",               /* a name, not a word of the language */
        "PAUSE a b",
        "PAUSE \"\"",
        "PAUSE = a",
        "DISABLE",
        "ENABLE;",
        "KILL_CLIENT",
        "RELOAD app",
        "SET",
        "SET default_pool_size",
        "SET default_pool_size 6",
        "SET default_pool_size =",
        "SET default_pool_size = ;",
        "SET default_pool_size = 'six",
        "SET = 6",
        "SET timezone 'GMT'",
        "SET TRANSACTION 'READ",
        "=",
        "SHOWPOOLS",
        "SHOW (user)",
        "SHOW WHERE user = 'a'",
        "SHOW POOLS (",
        "SHOW POOLS ()",
        "SHOW POOLS (user",
        "SHOW POOLS (user,)",
        "SHOW POOLS (user database)",
        "SHOW POOLS (user) (database)",
        "SHOW POOLS user",
        "SHOW POOLS (user) WHERE",
        "SHOW POOLS WHERE user",
        "SHOW POOLS WHERE user =",
        "SHOW POOLS WHERE user = 'a",
        "SHOW POOLS WHERE user = /*",
        "SHOW POOLS WHERE user <> 'a'",
        "SHOW POOLS WHERE user = 'a' AND",
        "SHOW POOLS WHERE user = 'a' OR user = 'b'",
        "SHOW POOLS WHERE user = 'a' database = 'b'",
        "SHOW POOLS WHERE user = 'a' (user)",
        "SHOW POOLS WHERE user = 'a' WHERE user = 'a'",
        "PAUSE app WHERE user = 'a'",
        "SET timezone (timezone) = 'a'",
        "BEGIN 'a",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_invalid(bad[i]);
}

static void a_name_has_63_bytes_at_most(void **state)
{
    for (size_t len = COMMAND_NAME_MAX; len <= COMMAND_NAME_MAX + 1; len++) {
        char name[COMMAND_NAME_MAX + 2];
        memset(name, 'n', len);
        name[len] = '\0';
        for (int quoted = 0; quoted <= 1; quoted++) {
            char *text = mem_printf(quoted ? "PAUSE \"%s\"" : "PAUSE %s", name);
            if (len == COMMAND_NAME_MAX) {
                struct command command = found(text);
                assert_string_equal(command.argument, name);
                command_done(&command);
            } else {
                assert_invalid(text);
            }
            mem_free(text);
        }
    }
}

static void a_text_without_a_command_is_the_end(void **state)
{
    static const char *const texts[] = {"", " \t\r\n", ";", " ; ;; ", "-- a", "/* a */", "/**/;--"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *at = texts[i];
        struct command command;
        struct err err;
        assert_int_equal(command_next(&at, &command, &err), COMMAND_END);
    }
}

static void commands_are_read_one_after_the_other(void **state)
{
    const char *at = "SHOW POOLS; SET logfile = 'a;b' ;; PAUSE \"x;y\" ; -- the end";
    struct command command;
    struct err err;
    assert_int_equal(command_next(&at, &command, &err), COMMAND_FOUND);
    assert_verb(&command, "SHOW", "POOLS");
    assert_int_equal(command_next(&at, &command, &err), COMMAND_FOUND);
    assert_verb(&command, "SET", NULL);
    assert_string_equal(command.value, "a;b");
    command_done(&command);
    assert_int_equal(command_next(&at, &command, &err), COMMAND_FOUND);
    assert_verb(&command, "PAUSE", NULL);
    assert_string_equal(command.argument, "x;y");
    assert_int_equal(command_next(&at, &command, &err), COMMAND_END);
}

/* Every command that is cut short is a command, nothing, or invalid; with all its memory given back. */
static void a_command_may_be_cut_anywhere(void **state)
{
    static const char text[] = "SHOW POOLS (user, \"user\") WHERE user = 'a' AND sv_idle = 0;SET "
                               "\"log\"\"file\" /* c */ = 'a''b' -- d\n; SHOW 'pools'; PAUSE \"a\"";
    for (size_t len = 0; len < sizeof text; len++) {
        char *cut = mem_strndup(text, len); /* its end is the end of its memory */
        const char *at = cut;
        struct command command;
        struct err err;
        while (command_next(&at, &command, &err) == COMMAND_FOUND)
            command_done(&command);
        mem_free(cut);
    }
}

static void a_copy_has_a_value_of_its_own(void **state)
{
    struct command command = found("SET logfile = a");
    struct command copy = command_copy(&command);
    command_done(&command);
    assert_string_equal(copy.argument, "logfile");
    assert_string_equal(copy.value, "a");
    command_done(&copy);
    assert_null(copy.value);
}

/* KILL_CLIENT once had no check in another pooler: what does not only look needs the right. */
static void who_may_only_look_changes_nothing(void **state)
{
    static const char *const harmless[] = {"SHOW", "BEGIN", "COMMIT", "ROLLBACK"};
    for (const struct verb *verb = command_verbs; verb->name != NULL; verb++) {
        bool looks = verb->object != NULL && strcmp(verb->object, VERB_VARIABLE) == 0;
        for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
            looks = looks || strcmp(verb->name, harmless[i]) == 0;
        if (verb->object != NULL && strcmp(verb->object, "FDS") == 0)
            looks = false;
        assert_int_equal(verb->right, looks ? RIGHT_LOOK : RIGHT_CHANGE);
        assert_non_null(verb->run);
        assert_non_null(verb->tag);
        assert_non_null(verb->usage);
        assert_non_null(verb->help);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(show_finds_its_object_in_any_case_and_layout),
        cmocka_unit_test(a_command_may_have_a_name),
        cmocka_unit_test(set_takes_a_key_and_a_value),
        cmocka_unit_test(a_value_may_be_long_but_not_without_limit),
        cmocka_unit_test(session_variables_need_no_right),
        cmocka_unit_test(show_takes_columns_and_conditions),
        cmocka_unit_test(a_value_of_a_condition_may_be_longer_than_a_name),
        cmocka_unit_test(what_a_selection_has_wrong_is_told),
        cmocka_unit_test(what_is_no_command_is_invalid),
        cmocka_unit_test(a_name_has_63_bytes_at_most),
        cmocka_unit_test(a_text_without_a_command_is_the_end),
        cmocka_unit_test(commands_are_read_one_after_the_other),
        cmocka_unit_test(a_command_may_be_cut_anywhere),
        cmocka_unit_test(a_copy_has_a_value_of_its_own),
        cmocka_unit_test(who_may_only_look_changes_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
