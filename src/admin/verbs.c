/* The commands of the console: one table, with the right that each needs and what it answers. */
#include "admin/command.h"
#include "admin/handlers.h"

#define T(n)                                                                                       \
    {                                                                                              \
        n, CELL_TEXT                                                                               \
    }
#define B(n)                                                                                       \
    {                                                                                              \
        n, CELL_BYTEA                                                                              \
    }
#define I(n)                                                                                       \
    {                                                                                              \
        n, CELL_INT4                                                                               \
    }
#define Q(n)                                                                                       \
    {                                                                                              \
        n, CELL_INT8                                                                               \
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

static const struct table_column buffer_columns[] = {
    SOCKET_COLUMNS, I("recv_pos"),    I("pkt_pos"),   I("pkt_remain"),
    I("send_pos"),  I("send_remain"), I("pkt_avail"), I("send_avail"),
};

static const struct table_column fd_columns[] = {
    I("fd"),        T("task"),     T("user"),     T("database"),         T("addr"),
    I("port"),      Q("cancel"),   I("link"),     T("client_encoding"),  T("std_strings"),
    T("datestyle"), T("timezone"), T("password"), B("scram_client_key"), B("scram_server_key"),
};

static const struct table_column waiter_columns[] = {
    T("database"),         T("user"),      I("id"), I("wait"), I("wait_us"), T("addr"), I("port"),
    T("application_name"), T("waits_for"),
};

static const struct table_column pin_columns[] = {
    T("database"), T("user"),    I("id"),      I("server_id"),
    I("pid"),      T("reasons"), I("seconds"), T("statement"),
};

static const struct table_column pin_count_columns[] = {T("reason"), I("now"), Q("total")};

static const struct table_column route_columns[] = {T("kind"), T("reason"), Q("count")};

static const struct table_column latency_columns[] = {
    T("database"), T("kind"), Q("count"), Q("p50"), Q("p90"), Q("p99"), Q("p99.9"), Q("max"),
};

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

static const struct table_column help_columns[] = {T("command"), T("users"), T("description")};
static const struct table_column name_value_columns[] = {T("name"), N("value")};
static const struct table_column config_columns[] = {T("key"), T("value"), T("default"),
                                                     T("changeable")};
static const struct table_column version_columns[] = {T("version")};
static const struct table_column state_columns[] = {T("key"), T("value")};

static const struct table_column memory_columns[] = {T("name"), I("size"), I("used"), I("free"),
                                                     I("memtotal")};
static const struct table_column host_columns[] = {T("hostname"), Q("ttl"), T("addrs")};
static const struct table_column zone_columns[] = {T("zonename"), Q("serial"), I("count")};

static const struct table_column node_columns[] = {
    T("cluster"),    T("node"),          T("host"),     I("port"),      T("state"),
    T("role"),       T("no_reads"),      Q("timeline"), T("lsn"),       Q("lag_ms"),
    Q("lag_bytes"),  T("replay_paused"), Q("age_ms"),   T("error"),     I("outstanding"),
    Q("latency_us"), Q("reads"),         Q("writes"),   I("ejections"), Q("ejected_ms"),
};

static const struct table_column failover_columns[] = {
    T("time"), T("cluster"), T("from"), T("to"), Q("timeline"), Q("without_ms"),
};

#undef T
#undef I
#undef Q
#undef N

#define ROWS(columns) columns, sizeof(columns) / sizeof(columns)[0]
#define NO_ROWS       NULL, 0
#define SHOW(what, run, columns, help)                                                             \
    {                                                                                              \
        "SHOW", what, RIGHT_LOOK, ARGUMENT_NONE, run, ROWS(columns), "SHOW", "", help              \
    }
#define ACT(name, argument, usage, run, help)                                                      \
    {                                                                                              \
        name, NULL, RIGHT_CHANGE, argument, run, NO_ROWS, name, usage, help                        \
    }
#define FREE(name, run)                                                                            \
    {                                                                                              \
        name, NULL, RIGHT_LOOK, ARGUMENT_REST, run, NO_ROWS, name, "",                             \
            "for drivers that make a transaction of what they send: nothing is undone"             \
    }

const struct verb command_verbs[] = {
    SHOW("HELP", show_help, help_columns,
         "this list; every SHOW takes columns and conditions: "
         "SHOW CLIENTS (user, state) WHERE database = 'x' AND state = 'idle'"),
    SHOW("CLIENTS", show_clients, socket_columns, "clients, what they do, and their servers"),
    SHOW("SERVERS", show_servers, socket_columns, "servers, what they do, and their clients"),
    SHOW("SOCKETS", show_sockets, buffer_columns,
         "clients and servers, those that log in too, with what their buffers hold"),
    SHOW("ACTIVE_SOCKETS", show_active_sockets, buffer_columns,
         "of SHOW SOCKETS, those that are not idle"),
    SHOW("POOLS", show_pools, pool_columns,
         "pools: how many clients and servers do what, and how long the oldest client waits"),
    SHOW("WAITERS", show_waiters, waiter_columns,
         "clients that wait for a server, those that wait longest first, and what they wait for"),
    SHOW("PINS", show_pins, pin_columns,
         "clients that keep a server for the state of their session, why, and for which statement"),
    SHOW("PIN_COUNTS", show_pin_counts, pin_count_columns,
         "of SHOW PINS, how many there are now and were since the start, by reason"),
    SHOW("ROUTES", show_routes, route_columns,
         "where statements of databases that split have gone, and why"),
    SHOW("DATABASES", show_databases, database_columns,
         "databases: where they are, their limits, and whether they are paused or disabled"),
    SHOW("USERS", show_users, user_columns, "users: their limits and how much of them is used"),
    SHOW("LISTS", show_lists, list_columns, "how many there are of databases, pools, clients, ..."),
    SHOW("STATS", show_stats, stats_columns,
         "counters of each database since the start, and averages of the last stats_period"),
    SHOW("STATS_TOTALS", show_stats_totals, totals_columns,
         "of SHOW STATS, the counters since the start"),
    SHOW("STATS_AVERAGES", show_stats_averages, averages_columns, "of SHOW STATS, the averages"),
    SHOW("TOTALS", show_totals, name_value_columns, "SHOW STATS, added up over all databases"),
    SHOW("LATENCY", show_latency, latency_columns,
         "how many microseconds it takes to get a server, to run a query and a transaction"),
    SHOW("CONFIG", show_config, config_columns,
         "settings: value, default, and whether RELOAD and SET can change them"),
    SHOW("VERSION", show_version, version_columns, "the version"),
    SHOW("STATE", show_state, state_columns, "whether everything is active, paused or suspended"),
    SHOW("PEERS", show_peers, peer_columns,
         "other processes that cancel requests are passed on to"),
    SHOW("PEER_POOLS", show_peer_pools, peer_pool_columns, "cancel requests on their way to peers"),
    SHOW("MEM", show_mem, memory_columns,
         "how many objects of each kind there are, and the bytes that they take"),
    SHOW("DNS_HOSTS", show_dns_hosts, host_columns,
         "host names that were looked up, and for how many seconds the answer counts"),
    SHOW("DNS_ZONES", show_dns_zones, zone_columns, "no rows: howdah polls no zones"),
    SHOW("NODES", show_nodes, node_columns,
         "nodes of the clusters: what they are, how far behind, and why they serve no reads"),
    SHOW("FAILOVERS", show_failovers, failover_columns,
         "changes of primaries since the start, the last one first"),
    {"SHOW", "FDS", RIGHT_CHANGE, ARGUMENT_NONE, show_fds, ROWS(fd_columns), "SHOW", "",
     "file descriptors of sockets, with keys that cancel requests need; on the unix socket only"},
    {"SHOW", VERB_VARIABLE, RIGHT_LOOK, ARGUMENT_NONE, show_variable, NO_ROWS, "SHOW", "variable",
     "a session variable that drivers ask for: client_encoding, datestyle, timezone, ..."},
    {"SET", VERB_VARIABLE, RIGHT_LOOK, ARGUMENT_REST, act_set_variable, NO_ROWS, "SET",
     "variable = value", "has no effect: for drivers that set session variables"},
    {"SET", NULL, RIGHT_CHANGE, ARGUMENT_MUST, act_set, NO_ROWS, "SET", "setting = value",
     "changes a setting until the next RELOAD"},
    ACT("RELOAD", ARGUMENT_NONE, "", act_reload, "reads the settings again, all or nothing"),
    ACT("PAUSE", ARGUMENT_MAY, "[database]", act_pause,
        "lets transactions end and closes the servers; answers when none is left"),
    ACT("DRAIN", ARGUMENT_MAY, "[database]", act_drain,
        "as PAUSE, but sessions too give their servers up between transactions, and it answers at "
        "once; WAIT_CLOSE waits for the last"),
    ACT("RESUME", ARGUMENT_MAY, "[database]", act_resume, "ends PAUSE, DRAIN, KILL and SUSPEND"),
    ACT("DISABLE", ARGUMENT_MUST, "database", act_disable, "lets no new client in"),
    ACT("ENABLE", ARGUMENT_MUST, "database", act_enable, "ends DISABLE"),
    ACT("RECONNECT", ARGUMENT_MAY, "[database]", act_reconnect,
        "replaces every server once its transaction is over"),
    ACT("WAIT_CLOSE", ARGUMENT_MAY, "[database]", act_wait_close,
        "answers when all servers that RECONNECT, RELOAD or DRAIN closes are closed"),
    ACT("KILL", ARGUMENT_MAY, "[database]", act_kill,
        "pauses, and closes clients and servers at once; ends with RESUME"),
    ACT("KILL_CLIENT", ARGUMENT_MUST, "id", act_kill_client,
        "closes one client, by its id in SHOW CLIENTS"),
    ACT("KILL_SERVER", ARGUMENT_MUST, "id", act_kill_server,
        "closes one server, by its id in SHOW SERVERS, and the client that has it"),
    ACT("EJECT", ARGUMENT_MUST, "node", act_eject,
        "no reads from a node (or cluster.node), until ADMIT; those under way go on"),
    ACT("ADMIT", ARGUMENT_MUST, "node", act_admit,
        "ends EJECT, and any ejection after failed connections"),
    ACT("SUSPEND", ARGUMENT_NONE, "", act_suspend,
        "stops all traffic between two messages, and lets nobody in; ends with RESUME, or when its "
        "admin leaves"),
    ACT("SHUTDOWN", ARGUMENT_MAY, "[WAIT_FOR_SERVERS | WAIT_FOR_CLIENTS]", act_shutdown,
        "ends howdah: at once, or when no server is in use, or when no client is left"),
    FREE("BEGIN", act_begin),
    FREE("COMMIT", act_end),
    FREE("ROLLBACK", act_end),
    {.name = NULL},
};
