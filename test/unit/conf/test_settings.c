#include "conf/settings.h"
#include "conf/splitting.h"

#include "conf_test.h"

#include "base/err.h"

static struct settings *load(const char *text, struct conf_report *report)
{
    conf_report_init(report);
    return settings_load_text("h.ini", text, strlen(text), report);
}

/* Loads what has neither errors nor warnings. */
static struct settings *load_clean(const char *text)
{
    struct conf_report report;
    struct settings *settings = load(text, &report);
    assert_clean(&report);
    assert_non_null(settings);
    conf_report_done(&report);
    return settings;
}

static void an_empty_section_gives_the_defaults(void **state)
{
    struct settings *settings = load_clean("[pgbouncer]\n");
    assert_int_equal(settings->listen_port, 6432);
    assert_int_equal(settings->default_pool_size, 20);
    assert_int_equal(settings->auth_type, AUTH_MD5);
    assert_int_equal(settings->pool_mode, POOL_SESSION);
    assert_int_equal(settings->server_tls_sslmode, TLS_PREFER);
    assert_int_equal(settings->max_packet_size, INT32_MAX);
    assert_int_equal(settings->unix_socket_mode, 0777);
    assert_int_equal(settings->server_idle_timeout_us, 600000000);
    assert_int_equal(settings->query_timeout_us, 0);
    assert_true(settings->log_connections);
    assert_string_equal(settings->server_reset_query, "DISCARD ALL");
    assert_string_equal(settings->auth_file, "");
    assert_string_equal(settings->listen_addr, "");
    assert_null(conf_auto_database(settings));
    assert_null(conf_find_database(settings, "x"));
    assert_null(conf_find_user(settings, "x"));
    assert_null(conf_find_secret(settings, "x"));
    assert_null(conf_next_database(settings, NULL));
    assert_null(conf_next_user(settings, NULL));
    settings_unref(settings);
}

static void both_names_of_the_section_add_up(void **state)
{
    struct settings *settings = load_clean("[pgbouncer]\nlisten_port = 7000\nverbose = 2\n"
                                           "[databases]\n"
                                           "[howdah]\nverbose = 1\n"
                                           "[pgbouncer]\nlisten_backlog = 5\n");
    assert_int_equal(settings->listen_port, 7000);
    assert_int_equal(settings->listen_backlog, 5);
    assert_int_equal(settings->verbose, 1);
    settings_unref(settings);
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
    static const struct {
        const char *text, *error;
    } files[] = {
        {"", "h.ini: there is no section [pgbouncer] or [howdah]"},
        {"[databases]\nx =\n", "h.ini: there is no section [pgbouncer] or [howdah]"},
        {"x = 1\n[pgbouncer]\n", "h.ini:1: key \"x\" before the first section"},
        {"[pgbouncer]\n\nlisten_prot = 1\n", "h.ini:3: unknown setting \"listen_prot\""},
        {"[pgbouncer]\nListen_port = 1\n", "h.ini:2: unknown setting \"Listen_port\""},
        {"[pgbouncer]\nlisten_port =\n", "h.ini:2: key \"listen_port\": value \"\": expected an "
                                         "integer from 1 to 65535"},
        {"[pgbouncer]\nlisten_port = 1 ; x\n", "h.ini:2: key \"listen_port\": value \"1 ; x\": "
                                               "expected an integer from 1 to 65535"},
        {"[pgbouncer]\n[PgBouncer]\n",
         "h.ini:2: section \"PgBouncer\": expected pgbouncer, howdah, "
         "databases, users, peers or cluster.NAME"},
        {"[pgbouncer]\n[ users ]\nx = y\n", "h.ini:2: section \" users \": expected pgbouncer, "
                                            "howdah, databases, users, peers or cluster.NAME"},
        {"[pgbouncer]\nauth_type = hba\n", "h.ini:2: key \"auth_type\": value \"hba\" is not "
                                           "supported yet by this version"},
        {"[pgbouncer]\nauth_user = a\n", "h.ini:2: setting \"auth_user\" is not supported "
                                         "yet by this version"},
        {"[pgbouncer]\nmin_pool_size = -1\n",
         "h.ini:2: key \"min_pool_size\": value \"-1\": expected "
         "an integer from 0 to 2147483647"},
        {"[pgbouncer]\nserver_tls_sslmode = require\n", "h.ini:2: key \"server_tls_sslmode\": "
                                                        "value \"require\" is not supported yet by "
                                                        "this version"},
        {"[pgbouncer]\nclient_tls_sslmode = prefer\n", "h.ini:2: key \"client_tls_sslmode\": "
                                                       "value \"prefer\" is not supported yet by "
                                                       "this version"},
        {"[pgbouncer]\nfoo\n", "h.ini:2: expected \"key = value\", \"[section]\" or a comment"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct conf_report report;
        assert_null(load(files[i].text, &report));
        assert_note(&report, 0, true, files[i].error);
        assert_int_equal(report.n_errors, 1);
        conf_report_done(&report);
    }
}

static void entries_are_checked(void **state)
{
    static const struct {
        const char *line, *error;
    } entries[] = {
        {"[databases]\npgbouncer = host=a\n",
         "database \"pgbouncer\": the name is reserved for the "
         "admin console"},
        {"[databases]\nd = hots=a\n", "database \"d\": unknown key \"hots\""},
        {"[databases]\nd = host\n", "database \"d\": expected pairs of key=value"},
        {"[databases]\nd = host=\n",
         "database \"d\": key \"host\": the value is empty; write '' if "
         "that is meant"},
        {"[databases]\nd = port=0\n", "database \"d\": key \"port\": value \"0\": expected an "
                                      "integer from 1 to 65535"},
        {"[databases]\nd = port=65536\n", "database \"d\": key \"port\": value \"65536\": expected "
                                          "an integer from 1 to 65535"},
        {"[databases]\nd = pool_size=-2\n", "database \"d\": key \"pool_size\": value \"-2\": "
                                            "expected an integer from -1 to 2147483647"},
        {"[databases]\nd = pool_mode=x\n",
         "database \"d\": key \"pool_mode\": value \"x\": expected "
         "session, transaction or statement"},
        {"[databases]\nd = query_wait_timeout=x\n",
         "database \"d\": key \"query_wait_timeout\": value \"x\": expected a time in seconds, or "
         "with a unit such as 500ms"},
        {"[databases]\nd = server_lifetime=-2\n",
         "database \"d\": key \"server_lifetime\": value \"-2\": expected a time in seconds, or "
         "with a unit such as 500ms"},
        {"[databases]\nd = host=a,,b\n", "database \"d\": key \"host\": value \"a,,b\": expected "
                                         "hosts of 1 to 255 bytes, between commas"},
        {"[databases]\nd = host=a,\n", "database \"d\": key \"host\": value \"a,\": expected "
                                       "hosts of 1 to 255 bytes, between commas"},
        {"[databases]\nd = reserve_pool=x\n", "database \"d\": key \"reserve_pool\": value \"x\": "
                                              "expected an integer from -1 to 2147483647"},
        {"[databases]\nd = load_balance_hosts=x\n", "database \"d\": key \"load_balance_hosts\": "
                                                    "value \"x\": expected round-robin or disable"},
        {"[databases]\n'' = host=a\n", "database \"\": expected a name of 1 to 63 bytes"},
        {"[databases]\n"
         "n234567890123456789012345678901234567890123456789012345678901234 = host=a\n",
         "database \"n234567890123456789012345678901234567890123456789012345678901234\": expected "
         "a "
         "name of 1 to 63 bytes"},
        {"[databases]\n"
         "d = user=n234567890123456789012345678901234567890123456789012345678901234\n",
         "database \"d\": key \"user\": value "
         "\"n234567890123456789012345678901234567890123456789012345678901234\": expected at most "
         "63 "
         "bytes"},
        {"[peers]\n0 = host=a\n", "peer \"0\": expected the number of a peer, from 1 to 16383"},
        {"[peers]\n16384 = host=a\n",
         "peer \"16384\": expected the number of a peer, from 1 to 16383"},
        {"[peers]\n-1 = host=a\n", "peer \"-1\": expected the number of a peer, from 1 to 16383"},
        {"[peers]\neast = host=a\n",
         "peer \"east\": expected the number of a peer, from 1 to 16383"},
        {"[peers]\n'' = host=a\n", "peer \"\": expected the number of a peer, from 1 to 16383"},
        {"[peers]\n1 =\n", "peer \"1\": key \"host\" is missing"},
        {"[peers]\n1 = port=6432\n", "peer \"1\": key \"host\" is missing"},
        {"[peers]\n1 = host=''\n", "peer \"1\": key \"host\" is missing"},
        {"[peers]\n1 = host=a port=0\n", "peer \"1\": key \"port\": value \"0\": expected an "
                                         "integer from 1 to 65535"},
        {"[peers]\n1 = host=a pool_size=-2\n", "peer \"1\": key \"pool_size\": value \"-2\": "
                                               "expected an integer from -1 to 2147483647"},
        {"[peers]\n1 = host=a user=b\n", "peer \"1\": unknown key \"user\""},
        {"[users]\nu = host=a\n", "user \"u\": unknown key \"host\""},
        {"[users]\nu = pool_mode='\n", "user \"u\": key \"pool_mode\": the value has no closing "
                                       "quote"},
        {"[users]\nu = query_timeout=1x\n", "user \"u\": key \"query_timeout\": value \"1x\": "
                                            "expected a time in seconds, or with a unit such as "
                                            "500ms"},
    };
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        struct conf_report report;
        char *text = mem_printf("[pgbouncer]\n%s", entries[i].line);
        char *error = mem_printf("h.ini:3: %s", entries[i].error);
        assert_null(load(text, &report));
        assert_note(&report, 0, true, error);
        assert_int_equal(report.n_errors, 1);
        mem_free(text);
        mem_free(error);
        conf_report_done(&report);
    }
}

static void entry_keys_of_later_versions_take_nothing(void **state)
{
    static const struct {
        const char *section, *pair, *harmless;
    } keys[] = {
        {"databases", "auth_user=a", "auth_user=''"},
        {"databases", "auth_query='select 1'", "auth_query=''"},
        {"databases", "auth_dbname=a", "auth_dbname=''"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct conf_report report;
        char *text = mem_printf("[howdah]\n[%s]\nx = %s\n", keys[i].section, keys[i].pair);
        assert_null(load(text, &report));
        assert_int_equal(report.n_errors, 1);
        assert_non_null(strstr(report.notes[0].text, "is not supported yet by this version"));
        conf_report_done(&report);
        mem_free(text);
        text = mem_printf("[howdah]\n[%s]\nx = %s\n", keys[i].section, keys[i].harmless);
        settings_unref(load_clean(text));
        mem_free(text);
    }
}

static void all_errors_are_found_at_once(void **state)
{
    static const char text[] = "[pgbouncer]\nlisten_port = x\nfoo = 1\n[databases]\n"
                               "d = port=x pool_size=y host=ok\n[users]\nu = z=1\n";
    struct conf_report report;
    assert_null(load(text, &report));
    assert_int_equal(report.n_errors, 5);
    assert_non_null(strstr(report.notes[3].text, "h.ini:5: database \"d\": key \"pool_size\""));
    conf_report_done(&report);
}

static void a_password_is_never_told(void **state)
{
    static const char *const lines[] = {
        "password=hushhush host", "password='hushhush",   "password='hushhush'x",
        "password=hushhush y=1",  "password= hushhush=x", "password 'hushhush'",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct conf_report report;
        char *text = mem_printf("[pgbouncer]\n[databases]\nd = %s\n", lines[i]);
        assert_null(load(text, &report));
        for (size_t n = 0; n < report.n_notes; n++)
            assert_null(strstr(report.notes[n].text, "hush"));
        mem_free(text);
        conf_report_done(&report);
    }
}

static void a_report_does_not_grow_without_end(void **state)
{
    enum { LINES = 5000 };
    char *text = mem_new(LINES * 2 + 1);
    for (int i = 0; i < LINES; i++)
        memcpy(text + 2 * i, "x\n", 2);
    struct conf_report report;
    assert_null(load(text, &report));
    assert_int_equal(report.n_errors, LINES);
    assert_int_equal(report.n_notes, CONF_NOTES_MAX);
    mem_free(text);
    conf_report_done(&report);
}

static void warnings_do_not_stop_a_load(void **state)
{
    struct conf_report report;
    struct settings *settings =
        load("[howdah]\npkt_buf = 8192\nserver_tls_sslmode = allow\n", &report);
    assert_non_null(settings);
    assert_int_equal(report.n_warnings, 2);
    assert_note(
        &report, 0, false,
        "h.ini:2: setting \"pkt_buf\": buffers grow with need and idle connections hold none");
    assert_note(&report, 1, false,
                "h.ini:3: setting \"server_tls_sslmode\": connections to servers are not encrypted "
                "by this version");
    settings_unref(settings);
    conf_report_done(&report);
}

static void a_database_says_where_it_is(void **state)
{
    struct settings *settings = load_clean(
        "[pgbouncer]\n[databases]\n"
        "shop =\n"
        "'my db' = host=/run dbname=other port=5433 user=u password='it''s' client_encoding=UTF8 "
        "datestyle='ISO, DMY' timezone=UTC application_name=app\n"
        "* = host=10.0.0.1\n");
    const struct conf_database *shop = conf_find_database(settings, "shop");
    assert_string_equal(shop->name, "shop");
    assert_string_equal(shop->dbname, "shop");
    assert_null(shop->host);
    assert_null(shop->user);
    assert_null(shop->password);
    assert_null(shop->timezone);
    assert_int_equal(shop->port, 5432);
    assert_int_equal(shop->pool_size, -1);
    assert_int_equal(shop->pool_mode, -1);
    const struct conf_database *other = conf_find_database(settings, "my db");
    assert_string_equal(other->dbname, "other");
    assert_string_equal(other->host, "/run");
    assert_int_equal(other->port, 5433);
    assert_string_equal(other->user, "u");
    assert_string_equal(other->password, "it's");
    assert_string_equal(other->client_encoding, "UTF8");
    assert_string_equal(other->datestyle, "ISO, DMY");
    assert_string_equal(other->timezone, "UTC");
    assert_string_equal(other->application_name, "app");
    const struct conf_database *any = conf_auto_database(settings);
    assert_string_equal(any->name, "*");
    assert_null(any->dbname);
    assert_null(conf_find_database(settings, "*"));
    assert_null(conf_find_database(settings, "nobody"));
    assert_ptr_equal(conf_next_database(settings, NULL), shop);
    assert_ptr_equal(conf_next_database(settings, shop), other);
    assert_null(conf_next_database(settings, other));
    settings_unref(settings);
}

static void the_last_of_two_entries_counts(void **state)
{
    struct conf_report report;
    struct settings *settings = load("[pgbouncer]\n[databases]\nd = host=a\nd = host=b\n"
                                     "* = host=c\n* = host=d\n[users]\nu = pool_size=1\n"
                                     "u = pool_size=2\n",
                                     &report);
    assert_int_equal(report.n_warnings, 3);
    assert_note(&report, 0, false, "h.ini:4: database \"d\" is defined again, this line counts");
    assert_note(&report, 2, false, "h.ini:9: user \"u\" is defined again, this line counts");
    assert_string_equal(conf_find_database(settings, "d")->host, "b");
    assert_string_equal(conf_auto_database(settings)->host, "d");
    assert_int_equal(conf_find_user(settings, "u")->pool_size, 2);
    assert_null(conf_next_user(settings, conf_next_user(settings, NULL)));
    settings_unref(settings);
    conf_report_done(&report);
}

static void peers_are_found_by_their_number(void **state)
{
    struct settings *s = load_clean("[pgbouncer]\npeer_id = 1\ndefault_pool_size = 9\n"
                                    "[peers]\n3 = host=/run port=6433 pool_size=0\n"
                                    "1 = host=10.0.0.1\n16383 = host=c pool_size=-1\n");
    const struct conf_peer *first = conf_next_peer(s, NULL);
    assert_int_equal(first->id, 3);
    assert_ptr_equal(first, conf_find_peer(s, 3));
    assert_string_equal(first->host, "/run");
    assert_int_equal(first->port, 6433);
    assert_int_equal(conf_peer_pool_size(s, first), 0);
    const struct conf_peer *own = conf_next_peer(s, first);
    assert_int_equal(own->id, 1);
    assert_int_equal(own->port, 6432);
    assert_int_equal(conf_peer_pool_size(s, own), 9);
    assert_int_equal(conf_peer_pool_size(s, conf_find_peer(s, 16383)), 9);
    assert_null(conf_next_peer(s, conf_find_peer(s, 16383)));
    assert_null(conf_find_peer(s, 2));
    assert_null(conf_find_peer(s, 0));
    settings_unref(s);
}

/* Servers may be without a limit; what anybody can cause may not. */
static void a_peer_has_a_limit_in_any_case(void **state)
{
    struct settings *s = load_clean("[pgbouncer]\npeer_id = 1\ndefault_pool_size = 0\n"
                                    "[peers]\n2 = host=a\n");
    assert_int_equal(conf_peer_pool_size(s, conf_find_peer(s, 2)), 100);
    settings_unref(s);
}

static void peers_without_an_own_number_get_a_warning(void **state)
{
    struct conf_report report;
    struct settings *settings = load("[pgbouncer]\n[peers]\n2 = host=a\n2 = host=b\n", &report);
    assert_int_equal(report.n_warnings, 2);
    assert_note(&report, 0, false, "h.ini:4: peer \"2\" is defined again, this line counts");
    assert_note(&report, 1, false,
                "h.ini: section \"peers\" has no effect without the setting \"peer_id\"");
    assert_string_equal(conf_find_peer(settings, 2)->host, "b");
    assert_null(conf_next_peer(settings, conf_find_peer(settings, 2)));
    settings_unref(settings);
    conf_report_done(&report);
}

static void a_user_beats_a_database_beats_the_settings(void **state)
{
    struct settings *s = load_clean(
        "[pgbouncer]\npool_mode = statement\ndefault_pool_size = 9\nquery_wait_timeout = 8\n"
        "server_lifetime = 7\nmax_db_client_connections = 6\nmax_user_client_connections = 5\n"
        "query_timeout = 4\nidle_transaction_timeout = 3\ntransaction_timeout = 2\n"
        "client_idle_timeout = 1\nmin_pool_size = 2\nreserve_pool_size = 3\n"
        "max_db_connections = 4\nmax_user_connections = 5\n"
        "[databases]\nplain =\n"
        "own = pool_mode=transaction pool_size=19 query_wait_timeout=0.5 server_lifetime=17 "
        "max_db_client_connections=16 min_pool_size=0 reserve_pool=13 max_db_connections=14 "
        "host=a,b load_balance_hosts=Disable connect_query='select ''1'''\n"
        "[users]\nplain =\n"
        "own = reserve_pool_size=23 max_user_connections=25 pool_mode=session pool_size=0 "
        "query_wait_timeout=0 max_user_client_connections=25 "
        "query_timeout=24 idle_transaction_timeout=23 transaction_timeout=22 "
        "client_idle_timeout=500ms\n"
        "zero = query_timeout=0 max_user_client_connections=-1 query_wait_timeout=-1\n");
    const struct conf_database *db = conf_find_database(s, "own");
    const struct conf_database *plain_db = conf_find_database(s, "plain");
    const struct conf_user *user = conf_find_user(s, "own");
    const struct conf_user *plain = conf_find_user(s, "plain"), *zero = conf_find_user(s, "zero");

    assert_int_equal(conf_pool_mode(s, NULL, NULL), POOL_STATEMENT);
    assert_int_equal(conf_pool_mode(s, plain_db, plain), POOL_STATEMENT);
    assert_int_equal(conf_pool_mode(s, db, plain), POOL_TRANSACTION);
    assert_int_equal(conf_pool_mode(s, db, user), POOL_SESSION);
    assert_int_equal(conf_pool_mode(s, NULL, user), POOL_SESSION);

    assert_int_equal(conf_pool_size(s, NULL, NULL), 9);
    assert_int_equal(conf_pool_size(s, plain_db, plain), 9);
    assert_int_equal(conf_pool_size(s, db, NULL), 19);
    assert_int_equal(conf_pool_size(s, db, user), 0);

    assert_int_equal(conf_min_pool_size(s, plain_db), 2);
    assert_int_equal(conf_min_pool_size(s, db), 0);
    assert_int_equal(conf_reserve_pool_size(s, plain_db, plain), 3);
    assert_int_equal(conf_reserve_pool_size(s, db, plain), 13);
    assert_int_equal(conf_reserve_pool_size(s, db, user), 23);
    assert_int_equal(conf_max_db_connections(s, plain_db), 4);
    assert_int_equal(conf_max_db_connections(s, db), 14);
    assert_int_equal(conf_max_user_connections(s, plain), 5);
    assert_int_equal(conf_max_user_connections(s, user), 25);
    assert_int_equal(plain_db->balance_hosts, BALANCE_ROUND_ROBIN);
    assert_int_equal(db->balance_hosts, BALANCE_DISABLE);
    assert_string_equal(db->host, "a,b");
    assert_string_equal(db->connect_query, "select '1'");

    assert_int_equal(conf_query_wait_timeout_us(s, plain_db, plain), 8000000);
    assert_int_equal(conf_query_wait_timeout_us(s, db, zero), 500000);
    assert_int_equal(conf_query_wait_timeout_us(s, db, user), 0);

    assert_int_equal(conf_server_lifetime_us(s, NULL), 7000000);
    assert_int_equal(conf_server_lifetime_us(s, plain_db), 7000000);
    assert_int_equal(conf_server_lifetime_us(s, db), 17000000);

    assert_int_equal(conf_max_db_client_connections(s, NULL), 6);
    assert_int_equal(conf_max_db_client_connections(s, plain_db), 6);
    assert_int_equal(conf_max_db_client_connections(s, db), 16);
    assert_int_equal(conf_max_user_client_connections(s, NULL), 5);
    assert_int_equal(conf_max_user_client_connections(s, zero), 5);
    assert_int_equal(conf_max_user_client_connections(s, user), 25);

    assert_int_equal(conf_query_timeout_us(s, NULL), 4000000);
    assert_int_equal(conf_query_timeout_us(s, plain), 4000000);
    assert_int_equal(conf_query_timeout_us(s, zero), 4000000);
    assert_int_equal(conf_query_timeout_us(s, user), 24000000);
    assert_int_equal(conf_idle_transaction_timeout_us(s, plain), 3000000);
    assert_int_equal(conf_idle_transaction_timeout_us(s, user), 23000000);
    assert_int_equal(conf_transaction_timeout_us(s, plain), 2000000);
    assert_int_equal(conf_transaction_timeout_us(s, user), 22000000);
    assert_int_equal(conf_client_idle_timeout_us(s, plain), 1000000);
    assert_int_equal(conf_client_idle_timeout_us(s, user), 500000);
    settings_unref(s);
}

static void a_limit_below_zero_is_none(void **state)
{
    struct settings *settings = load_clean("[pgbouncer]\nmax_db_client_connections = -1\n"
                                           "max_user_client_connections = -5\n");
    assert_int_equal(conf_max_db_client_connections(settings, NULL), 0);
    assert_int_equal(conf_max_user_client_connections(settings, NULL), 0);
    settings_unref(settings);
}

static void an_auth_file_gives_the_secrets(void **state)
{
    struct conf_report report;
    char *users = write_file("users", "\"a\" \"s\"\n\"b\" \"\"\n", 15);
    char *text = mem_printf("[pgbouncer]\nauth_file = %s\n", users);
    struct settings *settings = load_clean(text);
    assert_string_equal(conf_find_secret(settings, "a"), "s");
    assert_string_equal(conf_find_secret(settings, "b"), "");
    assert_null(conf_find_secret(settings, "c"));
    settings_unref(settings);
    mem_free(text);
    text = mem_printf("[pgbouncer]\nauth_file = %s\nauth_type = any\n", users);
    settings = load_clean(text);
    assert_null(conf_find_secret(settings, "a"));
    settings_unref(settings);
    assert_null(load("[pgbouncer]\n\nauth_file = /nonexistent/u\n", &report));
    assert_note(&report, 0, true,
                "/nonexistent/u: could not read auth_file: No such file or directory");
    assert_note(&report, 1, true,
                "h.ini:3: setting \"auth_file\": could not load the users from \"/nonexistent/u\"");
    conf_report_done(&report);
    mem_free(text);
    mem_free(users);
}

static void a_snapshot_lives_until_its_last_reference(void **state)
{
    struct settings *settings = load_clean("[pgbouncer]\n[databases]\nd = host=a\n");
    struct settings *other = settings_ref(settings);
    settings_unref(settings);
    assert_string_equal(conf_find_database(other, "d")->host, "a");
    settings_unref(other);
    settings_unref(NULL);
}

static void set_gives_a_new_snapshot(void **state)
{
    struct err err = ERR_NONE;
    struct settings *old = load_clean("[pgbouncer]\nverbose = 1\n[databases]\nd = host=a\n");
    struct settings *new = settings_set(old, "query_timeout", "1.5", &err);
    assert_non_null(new);
    assert_int_equal(old->query_timeout_us, 0);
    assert_int_equal(new->query_timeout_us, 1500000);
    assert_int_equal(new->verbose, 1);
    assert_ptr_equal(conf_find_database(new, "d"), conf_find_database(old, "d"));
    settings_unref(old);
    assert_string_equal(conf_find_database(new, "d")->host, "a");
    settings_unref(new);
}

static void set_refuses_with_a_sqlstate(void **state)
{
    static const struct {
        const char *key, *value, *sqlstate;
    } refused[] = {
        {"foo", "1", SQLSTATE_UNDEFINED_OBJECT},
        {"listen_port", "1", SQLSTATE_OBJECT_NOT_IN_STATE},
        {"unix_socket_mode", "0700", SQLSTATE_OBJECT_NOT_IN_STATE},
        {"verbose", "x", SQLSTATE_INVALID_PARAMETER_VALUE},
        {"query_timeout", "-1", SQLSTATE_INVALID_PARAMETER_VALUE},
        {"auth_user", "a", SQLSTATE_FEATURE_NOT_SUPPORTED},
        {"auth_type", "hba", SQLSTATE_FEATURE_NOT_SUPPORTED},
        {"auth_file", "/nonexistent", SQLSTATE_CONFIG_FILE_ERROR},
    };
    struct settings *settings = load_clean("[pgbouncer]\n");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct err err = ERR_NONE;
        assert_null(settings_set(settings, refused[i].key, refused[i].value, &err));
        assert_string_equal(err.sqlstate, refused[i].sqlstate);
    }
    settings_unref(settings);
}

static void set_of_auth_file_reads_it(void **state)
{
    struct err err = ERR_NONE;
    char *users = write_file("more", "\"a\" \"s\"\n", 8);
    struct settings *old = load_clean("[pgbouncer]\nauth_type = any\n");
    struct settings *any = settings_set(old, "auth_file", users, &err);
    assert_null(conf_find_secret(any, "a"));
    struct settings *md5 = settings_set(any, "auth_type", "md5", &err);
    assert_string_equal(conf_find_secret(md5, "a"), "s");
    struct settings *none = settings_set(md5, "auth_file", "", &err);
    assert_null(conf_find_secret(none, "a"));
    settings_unref(old);
    settings_unref(any);
    settings_unref(md5);
    settings_unref(none);
    mem_free(users);
}

static void a_reload_keeps_what_only_a_start_can_change(void **state)
{
    static const char first[] = "[howdah]\nlisten_port = 1000\nverbose = 1\nlogfile = a\n";
    static const char second[] = "[howdah]\nlisten_port = 2000\nverbose = 2\n";
    struct conf_report report;
    conf_report_init(&report);
    char *path = write_file("conf.ini", first, strlen(first));
    struct settings *old = settings_load(path, &report);
    assert_clean(&report);
    assert_string_equal(old->conffile, path);
    mem_free(write_file("conf.ini", second, strlen(second)));
    struct settings *new = settings_reload(old, &report);
    assert_int_equal(new->listen_port, 1000);
    assert_int_equal(new->verbose, 2);
    assert_string_equal(new->logfile, "");
    assert_string_equal(new->conffile, path);
    assert_int_equal(report.n_warnings, 1);
    assert_non_null(strstr(report.notes[0].text,
                           "setting \"listen_port\" cannot be changed without "
                           "a restart, the old value stays"));
    mem_free(write_file("conf.ini", "[howdah]\nx\n", 11));
    assert_null(settings_reload(old, &report));
    settings_unref(old);
    settings_unref(new);
    mem_free(path);
    conf_report_done(&report);
}

static void errors_in_an_included_file_name_that_file(void **state)
{
    struct conf_report report;
    conf_report_init(&report);
    char *inner = write_file("in.ini", "listen_port = x\n", 16);
    char *text = mem_printf("[howdah]\n%%include %s\nverbose = y\n", inner);
    char *path = write_file("out.ini", text, strlen(text));
    char *first = mem_printf("%s:1: ", inner), *second = mem_printf("%s:3: ", path);
    assert_null(settings_load(path, &report));
    assert_int_equal(report.n_errors, 2);
    assert_int_equal(strncmp(report.notes[0].text, first, strlen(first)), 0);
    assert_int_equal(strncmp(report.notes[1].text, second, strlen(second)), 0);
    mem_free(inner);
    mem_free(text);
    mem_free(path);
    mem_free(first);
    mem_free(second);
    conf_report_done(&report);
}

static void a_missing_file_is_one_error(void **state)
{
    struct conf_report report;
    conf_report_init(&report);
    assert_null(settings_load("/nonexistent/h.ini", &report));
    assert_int_equal(report.n_errors, 1);
    conf_report_done(&report);
}

static void many_databases_are_found(void **state)
{
    struct conf_report report;
    char *text = mem_new(1 << 20);
    size_t len = (size_t)sprintf(text, "[pgbouncer]\n[databases]\n");
    for (int i = 0; i < 10000; i++)
        len += (size_t)sprintf(text + len, "db%d = host=h%d\n", i, i);
    struct settings *settings = load(text, &report);
    assert_clean(&report);
    assert_string_equal(conf_find_database(settings, "db9999")->host, "h9999");
    settings_unref(settings);
    mem_free(text);
}

static void clusters_are_read(void **state)
{
    struct settings *settings =
        load_clean("[pgbouncer]\n[databases]\nd = cluster=main dbname=x\n"
                   "[cluster.main]\nnode.a = host=ha\nprobe_user = p\n"
                   "read_write_split = off\n"
                   "[cluster.second]\nnode.a = host=ha port=1 role=standby\n"
                   "node.b = host=/tmp\nprobe_user = q\n"
                   "probe_dbname = d\nprobe_interval = 2\n"
                   "failover_timeout = 1min\n"
                   "[cluster.main]\nnode.b = host=hb port=2\n");
    const struct conf_database *database = conf_find_database(settings, "d");
    assert_string_equal(database->cluster, "main");
    assert_null(database->host);
    const struct conf_cluster *first = conf_find_cluster(settings, "main");
    assert_ptr_equal(conf_next_cluster(settings, NULL), first);
    assert_int_equal(first->n_nodes, 2);
    assert_string_equal(first->nodes[1].name, "b");
    assert_string_equal(first->nodes[1].host, "hb");
    assert_int_equal(first->nodes[0].port, 5432);
    assert_int_equal(first->nodes[0].role, NODE_ROLE_ANY);
    assert_int_equal(first->probe_interval_us, 500000);
    assert_int_equal(first->failover_timeout_us, 30000000);
    assert_string_equal(first->probe_dbname, "postgres");
    const struct conf_cluster *second = conf_next_cluster(settings, first);
    assert_string_equal(second->name, "second");
    assert_int_equal(second->nodes[0].role, NODE_ROLE_STANDBY);
    assert_int_equal(second->probe_interval_us, 2000000);
    assert_int_equal(second->failover_timeout_us, 60000000);
    assert_null(conf_next_cluster(settings, second));
    assert_null(conf_find_cluster(settings, "third"));
    settings_unref(settings);
}

static void what_is_said_nearest_counts_for_splitting(void **state)
{
    struct settings *settings = load_clean(
        "[pgbouncer]\nread_write_split = on\nmax_lag = 30s\nread_functions = f\nzone = z\n"
        "[databases]\nplain = cluster=b\nown = cluster=b max_lag=0 reads_follow_writes=off\n"
        "[users]\nu = read_write_split=on max_lag=5s reads_follow_writes=database\n"
        "[cluster.a]\nnode.a = host=h\nprobe_user = p\n"
        "[cluster.b]\nnode.a = host=h weight=7 zone=y\nprobe_user = p\nread_write_split = off\n"
        "max_lag = 20s\nmax_lag_bytes = 1MB\nread_from = any\nbalance = client_hash\n"
        "reads_follow_writes = session\nread_functions = g\nwrite_functions = w\n"
        "write_patterns = x|y\nzone = y\n");
    const struct conf_cluster *a = conf_find_cluster(settings, "a");
    const struct conf_cluster *b = conf_find_cluster(settings, "b");
    const struct conf_database *plain = conf_find_database(settings, "plain");
    const struct conf_database *own = conf_find_database(settings, "own");
    const struct conf_user *user = conf_find_user(settings, "u");
    assert_true(conf_read_write_split(settings, NULL, NULL, a));
    assert_false(conf_read_write_split(settings, plain, NULL, b));
    assert_true(conf_read_write_split(settings, plain, user, b));
    assert_false(conf_read_write_split(settings, plain, user, NULL));
    assert_int_equal(conf_max_lag_us(settings, NULL, NULL, a), 30000000);
    assert_int_equal(conf_max_lag_us(settings, plain, NULL, b), 20000000);
    assert_int_equal(conf_max_lag_us(settings, own, NULL, b), 0);
    assert_int_equal(conf_max_lag_us(settings, own, user, b), 5000000);
    assert_int_equal(conf_reads_follow_writes(settings, NULL, NULL, a), FOLLOW_SESSION);
    assert_int_equal(conf_reads_follow_writes(settings, own, NULL, b), FOLLOW_OFF);
    assert_int_equal(conf_reads_follow_writes(settings, own, user, b), FOLLOW_DATABASE);
    assert_int_equal(conf_max_lag_bytes(settings, a), 0);
    assert_int_equal(conf_max_lag_bytes(settings, b), 1 << 20);
    assert_int_equal(conf_read_from(settings, a), READ_FROM_PREFER_STANDBY);
    assert_int_equal(conf_read_from(settings, b), READ_FROM_ANY);
    assert_int_equal(conf_balance(settings, a), BY_LEAST_OUTSTANDING);
    assert_int_equal(conf_balance(settings, b), BY_CLIENT_HASH);
    assert_string_equal(conf_read_functions(settings, a), "f");
    assert_string_equal(conf_read_functions(settings, b), "g");
    assert_string_equal(conf_write_functions(settings, a), "");
    assert_string_equal(conf_write_functions(settings, b), "w");
    assert_string_equal(conf_write_patterns(settings, b), "x|y");
    assert_string_equal(conf_zone(settings, a), "z");
    assert_string_equal(conf_zone(settings, b), "y");
    assert_int_equal(a->nodes[0].weight, 1);
    assert_null(a->nodes[0].zone);
    assert_int_equal(b->nodes[0].weight, 7);
    assert_string_equal(b->nodes[0].zone, "y");
    settings_unref(settings);
}

static void a_lag_shorter_than_probing_is_warned_of(void **state)
{
    struct conf_report report;
    struct settings *settings = load("[pgbouncer]\n[databases]\nd = cluster=c max_lag=999ms\n"
                                     "[cluster.c]\nnode.a = host=h\nprobe_user = p\nmax_lag = 1s\n",
                                     &report);
    assert_note(
        &report, 0, false,
        "h.ini: database \"d\": max_lag is less than twice the probe_interval of its cluster, "
        "so that standbys seem to be behind that are not");
    assert_int_equal(report.n_notes, 1);
    conf_report_done(&report);
    settings_unref(settings);
}

static void clusters_are_checked(void **state)
{
#define WHOLE "[cluster.c]\nnode.a = host=h\nprobe_user = p\n"
    static const struct {
        const char *text, *error;
    } files[] = {
        {"[cluster.]\n",
         "2: section \"cluster.\": expected a name of 1 to 32 bytes behind \"cluster.\""},
        {"[cluster.n23456789012345678901234567890123]\n",
         "2: section \"cluster.n23456789012345678901234567890123\": expected a name of 1 to 32 "
         "bytes "
         "behind \"cluster.\""},
        {"[cluster.c]\nprobe_user = p\n",
         "2: cluster \"c\": it has no nodes, such as \"node.a = host=10.0.0.11 port=5432\""},
        {"[cluster.c]\nnode.a = host=h\n",
         "2: cluster \"c\": key \"probe_user\" is missing, the role that looks at the nodes"},
        {"[cluster.c]\nnode.a = host=h role=standby\nprobe_user = p\n",
         "2: cluster \"c\": no node can be its primary, all have role=standby"},
        {WHOLE "node.a = host=g\n",
         "5: key \"node.a\": the cluster has a node of this name already"},
        {WHOLE "node.b = host=h port=5432\n",
         "5: key \"node.b\": the same host and port as node \"a\""},
        {WHOLE "node.b = port=1\n", "5: key \"node.b\": key \"host\" is missing"},
        {WHOLE "node.b = host=h,i\n",
         "5: key \"node.b\": key \"host\": value \"h,i\": expected one host of 1 to 255 bytes"},
        {WHOLE "node.b = host=g role=primary\n",
         "5: key \"node.b\": key \"role\": value \"primary\": expected standby"},
        {WHOLE "node.b = host=g weight=0\n",
         "5: key \"node.b\": key \"weight\": value \"0\": expected an integer from 1 to 100"},
        {WHOLE "node. = host=g\n",
         "5: key \"node.\": expected the name of a node, of 1 to 63 bytes, behind \"node.\""},
        {WHOLE "reads_follow_writes = on\n",
         "5: cluster \"c\": key \"reads_follow_writes\": value \"on\": expected session, database "
         "or off"},
        {WHOLE "balance = fair\n",
         "5: cluster \"c\": key \"balance\": value \"fair\": expected least_outstanding, "
         "round_robin, random, peak_ewma or client_hash"},
        {WHOLE "read_from = standby\n",
         "5: cluster \"c\": key \"read_from\": value \"standby\": expected prefer_standby, "
         "standby_only, any or primary"},
        {WHOLE "read_write_split = maybe\n",
         "5: cluster \"c\": key \"read_write_split\": value \"maybe\": expected on or off"},
        {WHOLE "max_lag = 10\n", "5: cluster \"c\": key \"max_lag\": value \"10\": expected a time "
                                 "with a unit, such as 10s "
                                 "or 500ms, or 0"},
        {WHOLE "max_lag_bytes = 1TB\n",
         "5: cluster \"c\": key \"max_lag_bytes\": value \"1TB\": expected bytes, or with a unit "
         "such as 16MB"},
        {WHOLE "read_functions = a b()\n",
         "5: cluster \"c\": key \"read_functions\": expected names of functions, with or without "
         "schema and between commas, at \"b()\""},
        {WHOLE "write_patterns = a(b\n",
         "5: cluster \"c\": key \"write_patterns\": value \"a(b\": not a POSIX extended regular "
         "expression: Unmatched ( or \\("},
        {WHOLE "probe_interval = 1ms\n",
         "5: key \"probe_interval\": expected a time from 10ms to 60s"},
        {WHOLE "failover_timeout = -1\n",
         "5: key \"failover_timeout\": expected a time, such as 30s"},
        {WHOLE "prob_user = p\n", "5: cluster \"c\": unknown key \"prob_user\""},
        {"[databases]\nd = cluster=x\n", "3: database \"d\": there is no section [cluster.x]"},
        {"[databases]\n* = cluster=x\n", "3: database \"*\": there is no section [cluster.x]"},
        {WHOLE "[databases]\nd = cluster=c port=5432\n",
         "6: database \"d\": key \"cluster\" excludes \"host\" and \"port\""},
        {"[databases]\nd = max_lag=1s\n", "3: database \"d\": keys \"read_write_split\", "
                                          "\"max_lag\" and \"reads_follow_writes\" are "
                                          "for a database with \"cluster\""},
        {"[users]\nu = max_lag=5\n",
         "3: user \"u\": key \"max_lag\": value \"5\": expected a time with a unit, such as 10s or "
         "500ms, or 0"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct conf_report report;
        char *text = mem_printf("[pgbouncer]\n%s", files[i].text);
        char *error = mem_printf("h.ini:%s", files[i].error);
        assert_null(load(text, &report));
        assert_note(&report, 0, true, error);
        assert_int_equal(report.n_errors, 1);
        conf_report_done(&report);
        mem_free(error);
        mem_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_section_gives_the_defaults),
        cmocka_unit_test(both_names_of_the_section_add_up),
        cmocka_unit_test(what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(entries_are_checked),
        cmocka_unit_test(clusters_are_read),
        cmocka_unit_test(what_is_said_nearest_counts_for_splitting),
        cmocka_unit_test(a_lag_shorter_than_probing_is_warned_of),
        cmocka_unit_test(clusters_are_checked),
        cmocka_unit_test(entry_keys_of_later_versions_take_nothing),
        cmocka_unit_test(all_errors_are_found_at_once),
        cmocka_unit_test(a_password_is_never_told),
        cmocka_unit_test(a_report_does_not_grow_without_end),
        cmocka_unit_test(warnings_do_not_stop_a_load),
        cmocka_unit_test(a_database_says_where_it_is),
        cmocka_unit_test(the_last_of_two_entries_counts),
        cmocka_unit_test(peers_are_found_by_their_number),
        cmocka_unit_test(a_peer_has_a_limit_in_any_case),
        cmocka_unit_test(peers_without_an_own_number_get_a_warning),
        cmocka_unit_test(a_user_beats_a_database_beats_the_settings),
        cmocka_unit_test(a_limit_below_zero_is_none),
        cmocka_unit_test(an_auth_file_gives_the_secrets),
        cmocka_unit_test(a_snapshot_lives_until_its_last_reference),
        cmocka_unit_test(set_gives_a_new_snapshot),
        cmocka_unit_test(set_refuses_with_a_sqlstate),
        cmocka_unit_test(set_of_auth_file_reads_it),
        cmocka_unit_test(a_reload_keeps_what_only_a_start_can_change),
        cmocka_unit_test(errors_in_an_included_file_name_that_file),
        cmocka_unit_test(a_missing_file_is_one_error),
        cmocka_unit_test(many_databases_are_found),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
