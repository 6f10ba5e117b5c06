/* The commands of the console: one table, with the right that each needs and what it answers. */
#include "admin/command.h"
#include "admin/handlers.h"

#define T(n)                                                                                       \
    {                                                                                              \
        n, CELL_TEXT                                                                               \
    }
#define I(n)                                                                                       \
    {                                                                                              \
        n, CELL_INT4                                                                               \
    }
#define N(n)                                                                                       \
    {                                                                                              \
        n, CELL_NUMERIC                                                                            \
    }

#define SOCKET_COLUMNS                                                                             \
    T("type"), T("user"), T("database"), T("replication"), T("state"), T("addr"), I("port"),       \
        T("local_addr"), I("local_port"), T("connect_time"), T("request_time"), I("wait"),         \
        I("wait_us"), I("close_needed"), T("ptr"), T("link"), I("remote_pid"), T("tls"),           \
        T("application_name"), I("prepared_statements"), I("id")

static const struct table_column socket_columns[] = {SOCKET_COLUMNS};

static const struct table_column pool_columns[] = {
    T("database"),
    T("user"),
    I("cl_active"),
    I("cl_waiting"),
    I("cl_active_cancel_req"),
    I("cl_waiting_cancel_req"),
    I("sv_active"),
    I("sv_active_cancel"),
    I("sv_being_canceled"),
    I("sv_idle"),
    I("sv_used"),
    I("sv_tested"),
    I("sv_login"),
    I("maxwait"),
    I("maxwait_us"),
    T("pool_mode"),
    T("load_balance_hosts"),
};

static const struct table_column database_columns[] = {
    T("name"),
    T("host"),
    I("port"),
    T("database"),
    T("force_user"),
    I("pool_size"),
    I("min_pool_size"),
    I("reserve_pool_size"),
    I("server_lifetime"),
    T("pool_mode"),
    T("load_balance_hosts"),
    I("max_connections"),
    I("current_connections"),
    I("max_client_connections"),
    I("current_client_connections"),
    I("paused"),
    I("disabled"),
};

static const struct table_column user_columns[] = {
    T("name"),
    T("pool_size"),
    T("reserve_pool_size"),
    T("pool_mode"),
    I("max_user_connections"),
    I("current_connections"),
    I("max_user_client_connections"),
    I("current_client_connections"),
};

static const struct table_column peer_columns[] = {I("peer_id"), T("host"), I("port"),
                                                   I("pool_size")};

static const struct table_column peer_pool_columns[] = {
    I("peer_id"),  I("cl_active_cancel_req"), I("cl_waiting_cancel_req"), I("sv_active_cancel"),
    I("sv_login"),
};

static const struct table_column list_columns[] = {T("list"), I("items")};

static const struct table_column stats_columns[] = {
    T("database"),
    N("total_server_assignment_count"),
    N("total_xact_count"),
    N("total_query_count"),
    N("total_received"),
    N("total_sent"),
    N("total_xact_time"),
    N("total_query_time"),
    N("total_wait_time"),
    N("total_client_parse_count"),
    N("total_server_parse_count"),
    N("total_bind_count"),
    N("total_client_login_count"),
    N("avg_server_assignment_count"),
    N("avg_xact_count"),
    N("avg_query_count"),
    N("avg_recv"),
    N("avg_sent"),
    N("avg_xact_time"),
    N("avg_query_time"),
    N("avg_wait_time"),
    N("avg_client_parse_count"),
    N("avg_server_parse_count"),
    N("avg_bind_count"),
    N("avg_client_login_count"),
};

static const struct table_column totals_columns[] = {
    T("database"),           N("server_assignment_count"),
    N("xact_count"),         N("query_count"),
    N("bytes_received"),     N("bytes_sent"),
    N("xact_time"),          N("query_time"),
    N("wait_time"),          N("client_parse_count"),
    N("server_parse_count"), N("bind_count"),
    N("client_login_count"),
};

static const struct table_column averages_columns[] = {
    T("database"),
    N("server_assignment_count"),
    N("xact_count"),
    N("query_count"),
    N("bytes_received"),
    N("bytes_sent"),
    N("xact_time"),
    N("query_time"),
    N("wait_time"),
    N("avg_client_parse_count"),
    N("avg_server_parse_count"),
    N("avg_bind_count"),
    N("avg_client_login_count"),
};

static const struct table_column name_value_columns[] = {T("name"), N("value")};
static const struct table_column config_columns[] = {T("key"), T("value"), T("default"),
                                                     T("changeable")};
static const struct table_column version_columns[] = {T("version")};
static const struct table_column state_columns[] = {T("key"), T("value")};

#undef T
#undef I
#undef N

#define ROWS(columns) columns, sizeof(columns) / sizeof(columns)[0]
#define NO_ROWS       NULL, 0
#define SHOW(what, run, columns)                                                                   \
    {                                                                                              \
        "SHOW", what, RIGHT_LOOK, ARGUMENT_NONE, run, ROWS(columns), "SHOW"                        \
    }
#define NOT_YET_SHOW(what)                                                                         \
    {                                                                                              \
        "SHOW", what, RIGHT_LOOK, ARGUMENT_NONE, act_not_yet, NO_ROWS, "SHOW"                      \
    }
#define ACT(name, argument, run)                                                                   \
    {                                                                                              \
        name, NULL, RIGHT_CHANGE, argument, run, NO_ROWS, name                                     \
    }
#define FREE(name, run)                                                                            \
    {                                                                                              \
        name, NULL, RIGHT_LOOK, ARGUMENT_REST, run, NO_ROWS, name                                  \
    }

const struct verb command_verbs[] = {
    SHOW("CLIENTS", show_clients, socket_columns),
    SHOW("SERVERS", show_servers, socket_columns),
    SHOW("POOLS", show_pools, pool_columns),
    SHOW("DATABASES", show_databases, database_columns),
    SHOW("USERS", show_users, user_columns),
    SHOW("LISTS", show_lists, list_columns),
    SHOW("STATS", show_stats, stats_columns),
    SHOW("STATS_TOTALS", show_stats_totals, totals_columns),
    SHOW("STATS_AVERAGES", show_stats_averages, averages_columns),
    SHOW("TOTALS", show_totals, name_value_columns),
    SHOW("CONFIG", show_config, config_columns),
    SHOW("VERSION", show_version, version_columns),
    SHOW("STATE", show_state, state_columns),
    {"SHOW", "HELP", RIGHT_LOOK, ARGUMENT_NONE, show_help, NO_ROWS, "SHOW"},
    NOT_YET_SHOW("SOCKETS"),
    NOT_YET_SHOW("ACTIVE_SOCKETS"),
    SHOW("PEERS", show_peers, peer_columns),
    SHOW("PEER_POOLS", show_peer_pools, peer_pool_columns),
    NOT_YET_SHOW("MEM"),
    NOT_YET_SHOW("DNS_HOSTS"),
    NOT_YET_SHOW("DNS_ZONES"),
    {"SHOW", "FDS", RIGHT_CHANGE, ARGUMENT_NONE, act_not_yet, NO_ROWS, "SHOW"},
    {"SHOW", VERB_VARIABLE, RIGHT_LOOK, ARGUMENT_NONE, show_variable, NO_ROWS, "SHOW"},
    {"SET", VERB_VARIABLE, RIGHT_LOOK, ARGUMENT_REST, act_set_variable, NO_ROWS, "SET"},
    {"SET", NULL, RIGHT_CHANGE, ARGUMENT_MUST, act_set, NO_ROWS, "SET"},
    ACT("RELOAD", ARGUMENT_NONE, act_reload),
    ACT("PAUSE", ARGUMENT_MAY, act_pause),
    ACT("RESUME", ARGUMENT_MAY, act_resume),
    ACT("DISABLE", ARGUMENT_MUST, act_disable),
    ACT("ENABLE", ARGUMENT_MUST, act_enable),
    ACT("SHUTDOWN", ARGUMENT_MAY, act_shutdown),
    ACT("RECONNECT", ARGUMENT_MAY, act_reconnect),
    ACT("WAIT_CLOSE", ARGUMENT_MAY, act_wait_close),
    ACT("KILL", ARGUMENT_MAY, act_kill),
    ACT("KILL_CLIENT", ARGUMENT_MUST, act_kill_client),
    ACT("SUSPEND", ARGUMENT_NONE, act_not_yet),
    FREE("BEGIN", act_begin),
    FREE("COMMIT", act_end),
    FREE("ROLLBACK", act_end),
    {NULL, NULL, RIGHT_LOOK, ARGUMENT_NONE, NULL, NO_ROWS, NULL},
};
