#include "conf/table.h"

#include "conf_test.h"

#include <inttypes.h>
#include <limits.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/sample.h"
#include "conf/settings.h"
#include "conf/words.h"

static bool is_number(const struct conf_setting *setting)
{
    return setting->type == CONF_INT || setting->type == CONF_BYTES;
}

static bool is_time(const struct conf_setting *setting)
{
    return setting->type == CONF_TIME || setting->type == CONF_TIME_MS;
}

static bool is_text(const struct conf_setting *setting)
{
    return setting->type >= CONF_NAME && setting->type <= CONF_SQL;
}

static void assert_value(const struct settings *settings, const struct conf_setting *setting,
                         const char *expected)
{
    struct buf out = BUF_NONE;
    conf_write_value(settings, setting, &out);
    buf_append_u8(&out, 0);
    if (strcmp(out.data, expected) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", setting->name, out.data, expected);
    buf_done(&out);
}

/* Stores the text and finds it, as `expected`. */
static void assert_stored(struct settings *settings, const struct conf_setting *setting,
                          const char *text, const char *expected)
{
    struct err err = ERR_NONE;
    if (!conf_store(settings, setting, text, &err))
        fail_msg("%s refused \"%s\": %s", setting->name, text, err.message);
    assert_value(settings, setting, expected);
}

/* Refused, and the value is still what it was. */
static void assert_refused(struct settings *settings, const struct conf_setting *setting,
                           const char *text, const char *sqlstate)
{
    struct err err = ERR_NONE;
    struct buf before = BUF_NONE;
    conf_write_value(settings, setting, &before);
    buf_append_u8(&before, 0);
    if (conf_store(settings, setting, text, &err))
        fail_msg("%s took \"%s\"", setting->name, text);
    assert_string_equal(err.sqlstate, sqlstate);
    assert_non_null(strstr(err.message, setting->name));
    assert_value(settings, setting, before.data);
    buf_done(&before);
}

static void all_defaults_are_values_and_are_written_as_they_stand(void **state)
{
    struct settings *settings = settings_new();
    assert_int_equal(conf_table_len, 117); /* PgBouncer's hundred and our own */
    for (size_t i = 0; i < conf_table_len; i++) {
        const struct conf_setting *setting = &conf_table[i];
        assert_value(settings, setting, setting->default_text);
        assert_stored(settings, setting, setting->default_text, setting->default_text);
        assert_ptr_equal(conf_find_setting(setting->name), setting);
        assert_true(strlen(setting->help) > 10);
        assert_int_equal(setting->since != NULL, setting->built);
    }
    assert_null(conf_find_setting("Admin_users"));
    assert_null(conf_find_setting(""));
    settings_unref(settings);
}

/* What no setting of the type takes. */
static const char *const *junk_of(const struct conf_setting *setting)
{
    static const char *const booleans[] = {"", "2", "-1", "o", "1.0", "on off", NULL};
    static const char *const numbers[] = {"", "x", "1.5", "5kB", "0x", "1 2", "99999999999", NULL};
    static const char *const bytes[] = {"",     "x",   "1.5",         "5KB",  "0x",
                                        "1 2",  "1TB", "99999999999", "17TB", "9999999999999GB",
                                        "-1kB", "kB",  NULL};
    static const char *const lags[] = {"", "x", "-1", "10", "0.5", "5 x", "s", "1e3ms", NULL};
    static const char *const functions[] = {"f()", "a.b.c", ".f",  "a.", "1f",
                                            "\"f", "\"\"",  "a;b", NULL};
    static const char *const patterns[] = {"(", "[a", "a{2,1}", "*", NULL};
    static const char *const times[] = {"", "x", "-1", "5 x", "1e3", "0x10", ".", "1,5", NULL};
    static const char *const modes[] = {"", "777", "0888", "01000", "rwx", NULL};
    static const char *const words[] = {"", "x", "0", "md5 ", "sessio", NULL};
    static const char *const none[] = {NULL};
    switch (setting->type) {
    case CONF_BOOL:
        return booleans;
    case CONF_INT:
        return numbers;
    case CONF_BYTES:
        return bytes;
    case CONF_LAG:
        return lags;
    case CONF_FUNCTIONS:
        return functions;
    case CONF_PATTERN:
        return patterns;
    case CONF_TIME:
    case CONF_TIME_MS:
        return times;
    case CONF_MODE:
        return modes;
    case CONF_WORD:
        return words;
    default:
        return none;
    }
}

static void no_setting_takes_junk(void **state)
{
    struct settings *settings = settings_new();
    for (size_t i = 0; i < conf_table_len; i++)
        for (const char *const *junk = junk_of(&conf_table[i]); *junk != NULL; junk++)
            assert_refused(settings, &conf_table[i], *junk, SQLSTATE_INVALID_PARAMETER_VALUE);
    settings_unref(settings);
}

static void assert_number_bounds(struct settings *settings, const struct conf_setting *setting)
{
    char text[32];
    const int64_t good[] = {setting->min, setting->max};
    const int64_t bad[] = {setting->min - 1, setting->max + 1};
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "%" PRId64, good[i]);
        assert_stored(settings, setting, text, text);
        snprintf(text, sizeof text, "%" PRId64, bad[i]);
        assert_refused(settings, setting, text, SQLSTATE_INVALID_PARAMETER_VALUE);
    }
}

static void numbers_keep_to_their_range(void **state)
{
    struct settings *settings = settings_new();
    for (size_t i = 0; i < conf_table_len; i++)
        if (is_number(&conf_table[i]) && conf_table[i].built)
            assert_number_bounds(settings, &conf_table[i]);
    settings_unref(settings);
}

static void times_take_decimals_and_units(void **state)
{
    struct settings *settings = settings_new();
    for (size_t i = 0; i < conf_table_len; i++) {
        const struct conf_setting *setting = &conf_table[i];
        if (!is_time(setting) || !setting->built)
            continue;
        bool seconds = setting->type == CONF_TIME;
        assert_stored(settings, setting, "0.5s", seconds ? "0.5" : "500");
        assert_stored(settings, setting, "2 min", seconds ? "120" : "120000");
        assert_stored(settings, setting, "1.25", "1.25");
    }
    const struct conf_setting *period = conf_find_setting("stats_period");
    assert_refused(settings, period, "0", SQLSTATE_INVALID_PARAMETER_VALUE);
    assert_refused(settings, conf_find_setting("tcp_keepidle"), "32768",
                   SQLSTATE_INVALID_PARAMETER_VALUE);
    settings_unref(settings);
}

static void bytes_and_lags_take_units(void **state)
{
    struct settings *settings = settings_new();
    const struct conf_setting *bytes = conf_find_setting("max_lag_bytes");
    const struct conf_setting *lag = conf_find_setting("max_lag");
    assert_stored(settings, bytes, "16MB", "16777216");
    assert_stored(settings, bytes, "64 kB", "65536");
    assert_stored(settings, bytes, "7B", "7");
    assert_stored(settings, bytes, "0x10", "16");
    assert_stored(settings, lag, "0", "0");
    assert_stored(settings, lag, "1500ms", "1.5s");
    assert_stored(settings, lag, "2 min", "120s");
    settings_unref(settings);
}

static void functions_and_patterns_are_taken_as_they_are(void **state)
{
    static const char names[] = "f, app.f \"My\".\"f\"\"x\",_1$";
    struct settings *settings = settings_new();
    assert_stored(settings, conf_find_setting("read_functions"), names, names);
    assert_stored(settings, conf_find_setting("write_functions"), "", "");
    assert_stored(settings, conf_find_setting("write_patterns"), "^select .*(a|b){1,3}",
                  "^select .*(a|b){1,3}");
    settings_unref(settings);
}

static void booleans_are_written_as_digits(void **state)
{
    struct settings *settings = settings_new();
    for (size_t i = 0; i < conf_table_len; i++) {
        const struct conf_setting *setting = &conf_table[i];
        if (setting->type != CONF_BOOL || !setting->built)
            continue;
        assert_stored(settings, setting, "on", "1");
        assert_stored(settings, setting, "No", "0");
    }
    settings_unref(settings);
}

static void texts_are_taken_as_they_are(void **state)
{
    struct settings *settings = settings_new();
    for (size_t i = 0; i < conf_table_len; i++) {
        const struct conf_setting *setting = &conf_table[i];
        bool is_checked = setting->type == CONF_FUNCTIONS || setting->type == CONF_PATTERN;
        if (!is_text(setting) || !setting->built || is_checked)
            continue;
        assert_stored(settings, setting, "a 'b' \"c\" ;d \xc3\xa4", "a 'b' \"c\" ;d \xc3\xa4");
        assert_stored(settings, setting, "", "");
    }
    settings_unref(settings);
}

static void words_compare_without_case(void **state)
{
    struct settings *settings = settings_new();
    assert_stored(settings, conf_find_setting("auth_type"), "SCRAM-sha-256", "scram-sha-256");
    assert_int_equal(settings->auth_type, AUTH_SCRAM);
    assert_stored(settings, conf_find_setting("pool_mode"), "Transaction", "transaction");
    assert_int_equal(settings->pool_mode, POOL_TRANSACTION);
    assert_string_equal(pool_mode_name(settings->pool_mode), "transaction");
    assert_string_equal(auth_type_name(AUTH_MD5), "md5");
    settings_unref(settings);
}

static void words_of_later_versions_are_refused_by_name(void **state)
{
    struct settings *settings = settings_new();
    for (size_t i = 0; i < conf_table_len; i++) {
        const struct conf_setting *setting = &conf_table[i];
        for (const struct conf_word *word = setting->words; word && word->word; word++) {
            if (word->built)
                assert_stored(settings, setting, word->word, word->word);
            else
                assert_refused(settings, setting, word->word, SQLSTATE_FEATURE_NOT_SUPPORTED);
        }
    }
    settings_unref(settings);
}

/* A value that is valid, and not the default. */
static const char *other_value(const struct conf_setting *setting)
{
    if (setting->type == CONF_BOOL)
        return strcmp(setting->default_text, "0") == 0 ? "1" : "0";
    return "7";
}

static void settings_of_later_versions_take_their_default_only(void **state)
{
    struct settings *settings = settings_new();
    size_t n = 0;
    for (size_t i = 0; i < conf_table_len; i++) {
        const struct conf_setting *setting = &conf_table[i];
        if (setting->built)
            continue;
        struct err err = ERR_NONE;
        char expected[128];
        snprintf(expected, sizeof expected, "setting \"%s\" is not supported yet by this version",
                 setting->name);
        assert_false(conf_store(settings, setting, other_value(setting), &err));
        assert_string_equal(err.message, expected);
        assert_string_equal(err.sqlstate, SQLSTATE_FEATURE_NOT_SUPPORTED);
        n++;
    }
    assert_true(n > 0);
    assert_stored(settings, conf_find_setting("reserve_pool_timeout"), "5000ms", "5");
    settings_unref(settings);
}

static void settings_without_effect_come_with_a_warning(void **state)
{
    static const char *const names[] = {"pkt_buf", "sbuf_loopcnt", "resolv_conf", "job_name",
                                        "dns_zone_check_period"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(conf_warning(conf_find_setting(names[i]), "1"));
    assert_null(conf_warning(conf_find_setting("listen_port"), "1"));
    assert_null(conf_warning(conf_find_setting("server_tls_sslmode"), "disable"));
    assert_non_null(conf_warning(conf_find_setting("server_tls_sslmode"), "PREFER"));
}

static void an_error_says_what_was_expected(void **state)
{
    static const struct {
        const char *name, *text, *message;
    } errors[] = {
        {"listen_port", "70000",
         "key \"listen_port\": value \"70000\": expected an integer from 1 "
         "to 65535"},
        {"max_db_client_connections", "x",
         "key \"max_db_client_connections\": value \"x\": expected an integer"},
        {"log_stats", "maybe",
         "key \"log_stats\": value \"maybe\": expected 0 or 1, or on, off, "
         "true, false, yes, no"},
        {"query_timeout", "soon",
         "key \"query_timeout\": value \"soon\": expected a time in "
         "seconds, or with a unit such as 500ms"},
        {"unix_socket_mode", "777",
         "key \"unix_socket_mode\": value \"777\": expected an octal "
         "number with its leading 0, such as 0777"},
        {"pool_mode", "x\ty",
         "key \"pool_mode\": value \"x?y\": expected session, transaction, "
         "statement"},
        {"auth_type", "pam",
         "key \"auth_type\": value \"pam\" is not supported yet by this "
         "version"},
    };
    struct settings *settings = settings_new();
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct err err = ERR_NONE;
        assert_false(conf_store(settings, conf_find_setting(errors[i].name), errors[i].text, &err));
        assert_string_equal(err.message, errors[i].message);
    }
    settings_unref(settings);
}

static char *read_sample(FILE *file)
{
    struct buf text = BUF_NONE;
    char *to = buf_reserve(&text, 1 << 20);
    text.len = fread(to, 1, (1 << 20) - 1, file);
    buf_append_u8(&text, 0);
    fclose(file);
    return text.data;
}

static char *written_sample(void)
{
    FILE *file = tmpfile();
    conf_write_sample(file);
    rewind(file);
    return read_sample(file);
}

static void the_sample_in_etc_is_up_to_date(void **state)
{
    FILE *file = fopen("etc/howdah.ini", "r");
    assert_non_null(file); /* the tests run in the top folder */
    char *stored = read_sample(file), *written = written_sample();
    assert_string_equal(stored, written);
    mem_free(stored);
    mem_free(written);
}

/* Takes the ';' from lines such as ";name = value"; returns how many there were. */
static size_t uncomment(char *text)
{
    size_t n = 0;
    for (char *line = text; line != NULL; line = strchr(line + 1, '\n')) {
        char *mark = line + (*line == '\n');
        if (mark[0] == ';' && mark[1] != ';' && mark[1] != ' ' && mark[1] != '\n') {
            mark[0] = ' ';
            n++;
        }
    }
    return n;
}

static void the_sample_holds_every_setting_with_its_default(void **state)
{
    struct conf_report report;
    conf_report_init(&report);
    char *text = written_sample();
    char *settings_at = strstr(text, "\n[howdah]\n");
    assert_non_null(settings_at);
    assert_int_equal(uncomment(settings_at), conf_table_len);
    uncomment(text);
    struct settings *read = settings_load_text("sample", text, strlen(text), &report);
    assert_int_equal(report.n_errors, 0);
    for (size_t i = 0; i < conf_table_len; i++) {
        char *row = mem_printf("\n %s =%s%s\n", conf_table[i].name,
                               conf_table[i].default_text[0] != '\0' ? " " : "",
                               conf_table[i].default_text);
        assert_non_null(strstr(settings_at, row));
        assert_value(read, &conf_table[i], conf_table[i].default_text);
        mem_free(row);
    }
    assert_non_null(conf_find_database(read, "reports"));
    assert_non_null(conf_auto_database(read));
    assert_non_null(conf_find_user(read, "batch"));
    settings_unref(read);
    mem_free(text);
    conf_report_done(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_defaults_are_values_and_are_written_as_they_stand),
        cmocka_unit_test(no_setting_takes_junk),
        cmocka_unit_test(numbers_keep_to_their_range),
        cmocka_unit_test(times_take_decimals_and_units),
        cmocka_unit_test(bytes_and_lags_take_units),
        cmocka_unit_test(functions_and_patterns_are_taken_as_they_are),
        cmocka_unit_test(booleans_are_written_as_digits),
        cmocka_unit_test(texts_are_taken_as_they_are),
        cmocka_unit_test(words_compare_without_case),
        cmocka_unit_test(words_of_later_versions_are_refused_by_name),
        cmocka_unit_test(settings_of_later_versions_take_their_default_only),
        cmocka_unit_test(settings_without_effect_come_with_a_warning),
        cmocka_unit_test(an_error_says_what_was_expected),
        cmocka_unit_test(the_sample_in_etc_is_up_to_date),
        cmocka_unit_test(the_sample_holds_every_setting_with_its_default),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
