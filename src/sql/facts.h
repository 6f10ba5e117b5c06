/*
 * sql/facts.h - what a text of SQL is and does
 *
 * The text is parsed by PostgreSQL's own grammar, and the raw parse tree is walked once.  Nothing is
 * looked up in a catalog: names stand as written, folded as PostgreSQL folds them.  Facts err on one
 * side only: an effect that the text may have is there, even if it turns out that it had none.
 *
 * What a statement does through others is not in its text: triggers, rules, defaults, views and operators
 * that call functions, a cursor whose query has effects when it is read from.  EXECUTE does what its PREPARE
 * has: the facts of PREPARE are those of the query in it as well.
 *
 * Source:     PostgreSQL docs, sql-commands; libpg_query's raw tree
 * Ownership:  facts are one block of memory, freed by sql_facts_free(); immutable
 * Threading:  any thread, each by itself
 */
#ifndef SQL_FACTS_H
#define SQL_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sql_class {
    SQL_READ, /* SELECT, VALUES, TABLE, SHOW, EXPLAIN of one, FETCH: nothing written, nothing locked */
    SQL_WRITE, /* INSERT, UPDATE, DELETE, MERGE, SELECT FOR UPDATE/SHARE, data-modifying WITH */
    SQL_DDL,   /* CREATE, ALTER, DROP, SELECT INTO, CREATE TABLE AS, GRANT, COMMENT, TRUNCATE ... */
    SQL_TRANSACTION, /* BEGIN, COMMIT, SAVEPOINT ...: see `transaction` */
    SQL_SESSION,     /* SET, RESET, DISCARD, LISTEN, PREPARE, DECLARE, LOAD ... */
    SQL_COPY,
    SQL_UTILITY, /* VACUUM, LOCK, CALL, DO, NOTIFY and all other commands */
    SQL_UNKNOWN, /* it could not be parsed: it may do anything */
};

enum sql_transaction {
    SQL_NO_TRANSACTION,
    SQL_BEGIN, /* and START TRANSACTION */
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_SAVEPOINT,
    SQL_RELEASE,
    SQL_ROLLBACK_TO,
    SQL_PREPARE_TRANSACTION,
    SQL_COMMIT_PREPARED,
    SQL_ROLLBACK_PREPARED,
};

/* What may outlive the transaction in the session, or end that. */
enum sql_effect {
    SQL_SETS = 1 << 0, /* sets or resets settings for the session: see `settings` */
    /* ... whose names the text does not tell; then SQL_SETS_ROLE is there as well */
    SQL_SETS_UNKNOWN = 1 << 1,
    SQL_SETS_ROLE = 1 << 2,  /* role or session_authorization; if the name is $n, ask its value */
    SQL_RESETS_ALL = 1 << 3, /* RESET ALL, DISCARD ALL */
    SQL_DISCARDS_ALL = 1 << 4,
    SQL_TEMP = 1 << 5,  /* may make a temporary object: TEMP, or a name in pg_temp */
    SQL_DROPS = 1 << 6, /* may end one: DROP, DISCARD TEMP, DISCARD ALL; and ALTER ... SET SCHEMA */
    SQL_LOCKS = 1 << 7, /* pg_advisory_lock and all its kind that last for the session */
    SQL_UNLOCKS = 1 << 8,      /* pg_advisory_unlock..., DISCARD ALL */
    SQL_HOLDS = 1 << 9,        /* DECLARE ... WITH HOLD */
    SQL_CLOSES = 1 << 10,      /* CLOSE, DISCARD ALL */
    SQL_LISTENS = 1 << 11,     /* LISTEN */
    SQL_UNLISTENS = 1 << 12,   /* UNLISTEN, DISCARD ALL */
    SQL_PREPARES = 1 << 13,    /* PREPARE */
    SQL_EXECUTES = 1 << 14,    /* EXECUTE, also in EXPLAIN and CREATE TABLE AS */
    SQL_DEALLOCATES = 1 << 15, /* DEALLOCATE, DISCARD ALL */
    SQL_LOADS = 1 << 16,       /* LOAD */
    SQL_SEEDS = 1 << 17,       /* setseed() */
    /* DO, CALL, CREATE EXTENSION, functions that are not PostgreSQL's own, and those of its own that run a
     * text of SQL or leave what no other effect tells (query_to_xml, ts_stat, pg_backup_start ...) */
    SQL_CALLS = 1 << 18,
    SQL_SEQUENCES = 1 << 19,       /* nextval, setval, currval, lastval */
    SQL_UNPARSED = 1 << 20,        /* the text could not be parsed: any effect */
    SQL_READS_SEQUENCES = 1 << 21, /* currval, lastval: what the session has drawn */
};

/* What matters to who asks whether a statement may run on a standby (route/reads.h). */
enum sql_trait {
    SQL_WRITES_ROWS =
        1
        << 0, /* INSERT, UPDATE, DELETE, MERGE, in WITH too, or in what is prepared or explained */
    SQL_LOCKS_ROWS = 1 << 1,  /* FOR UPDATE, FOR SHARE ... of any query in it */
    SQL_EXPLAINS = 1 << 2,    /* EXPLAIN: all else that is said is of what it explains */
    SQL_ANALYZES = 1 << 3,    /* ... and that runs */
    SQL_COPIES_IN = 1 << 4,   /* COPY FROM */
    SQL_COPIES_FILE = 1 << 5, /* COPY from or to a file or program of the server */
    SQL_CHAINS = 1 << 6,      /* COMMIT, ROLLBACK AND CHAIN: another transaction begins */
    SQL_SHOWS = 1 << 7,       /* SHOW */
    SQL_FETCHES = 1 << 8,     /* FETCH, MOVE */
    SQL_DECLARES = 1 << 9,    /* DECLARE */
    SQL_SETS_HERE =
        1 << 10, /* SET, RESET and SET CONSTRAINTS of any kind, DISCARD; not set_config() */
    /* current_setting() of transaction_read_only or in_hot_standby, or of a name that the text does not tell */
    SQL_ASKS_ROLE = 1 << 11,
    SQL_QUALIFIED_OPERATOR =
        1 << 12, /* OPERATOR(schema.op) of a schema that is not PostgreSQL's own */
};

/* The modes of a transaction: BEGIN, SET TRANSACTION, and the settings that stand for them. */
enum sql_access { SQL_ACCESS_UNSAID, SQL_READ_ONLY, SQL_READ_WRITE, SQL_ACCESS_UNKNOWN };
enum sql_isolation {
    SQL_ISOLATION_UNSAID,
    SQL_SERIALIZABLE,
    SQL_NOT_SERIALIZABLE,
    SQL_ISOLATION_UNKNOWN
};
struct sql_modes {
    uint8_t access;    /* enum sql_access; unknown: RESET, SET ... TO DEFAULT */
    uint8_t isolation; /* enum sql_isolation */
};

/* Bytes of the text. */
struct sql_span {
    uint32_t start, len;
};

/* One setting that is set or reset for the session: SET, RESET, set_config(name, value, false). */
struct sql_setting {
    const char *name;    /* lower case; NULL: it is parameter $name_param */
    uint16_t name_param; /* from 1; 0: none */
    bool reset;          /* RESET, SET ... TO DEFAULT */
};

struct sql_name {
    const char *schema; /* NULL: not written */
    const char *name;
};

struct sql_statement {
    enum sql_class class;
    enum sql_transaction transaction;
    uint32_t effects; /* enum sql_effect */
    uint16_t traits;  /* enum sql_trait */
    struct sql_modes
        modes; /* of the transaction that begins or goes on: BEGIN, SET TRANSACTION, SET
                             * transaction_read_only ... */
    struct sql_modes default_modes; /* of those to come: SET SESSION CHARACTERISTICS, SET
                                     * default_transaction_read_only ...; not by set_config() */
    struct sql_span text; /* without the semicolon and what is blank or comment around it */
    struct sql_span
        name; /* PREPARE, EXECUTE, DEALLOCATE: where the name stands, with its quotes; else empty.
                           * What takes its place needs quotes: there may be no blank before it */
    const char
        *ident; /* that name, or a channel, cursor or savepoint, unquoted; NULL: none, or ALL */
    uint16_t n_params; /* the highest $n */
    uint32_t n_settings, n_tables, n_functions;
    const struct sql_setting *settings;
    const struct sql_name
        *tables; /* of the FROM list and of what is written, without those of WITH */
    const struct sql_name *functions; /* each once */
};

struct sql_facts {
    uint32_t effects; /* of all statements */
    uint32_t n_statements;
    size_t bytes; /* that it takes */
    const struct sql_statement *statements;
};

/* Never NULL: what cannot be parsed, or is longer or deeper than the limits, is one statement of class
 * SQL_UNKNOWN with SQL_UNPARSED. */
struct sql_facts *sql_facts_of(const char *text, size_t len, size_t max_len,
                               bool standard_conforming_strings);
void sql_facts_free(struct sql_facts *facts);
/* Gives back what parsing has kept in this thread; before it ends. */
void sql_thread_done(void);

#endif
