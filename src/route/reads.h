/*
 * route/reads.h - may a text of SQL run on a standby?
 *
 * It may if all that it does is on a white list; whatever is not known goes to the primary:
 *
 *   - Its statements read by their kind: SELECT, VALUES and TABLE without INTO, row locks and writes in WITH;
 *     COPY of a table or such a query to the client; EXPLAIN of anything, as it runs nothing, and EXPLAIN
 *     ANALYZE of what reads itself; a cursor for such a query, without HOLD.
 *   - Each function that they call reads: PostgreSQL's own by sql/standby.h, all others if the catalog of the
 *     database has them, and none of that name is VOLATILE; or read_functions names it.  A name without a
 *     schema means the functions of that name in all schemas.
 *   - Each relation can be read on a standby: it is no sequence, and neither unlogged, temporary nor foreign;
 *     and what is called by a view, by the views in it, or by a policy of a table reads as well.
 *   - write_functions and write_patterns have nothing of it.
 *
 * Not looked at: the functions behind operators and casts in the text itself (in views they are), those in the
 * checks of domains, a function called as a column (row.f), and what a function that is declared STABLE or
 * IMMUTABLE does.
 * PostgreSQL refuses to write on a standby (25006), whoever tries.
 *
 * Where the session is, in a transaction or bound to a server, is the business of who asks.
 *
 * Ownership:  names in an answer are of the facts and the catalog
 * Threading:  pure
 */
#ifndef ROUTE_READS_H
#define ROUTE_READS_H

#include <stdbool.h>
#include <stddef.h>

#include "sql/facts.h"

struct catalog;
struct read_rules;

enum reads {
    READS_NO,  /* to the primary */
    READS_YES, /* it may run on a standby */
    /* Neither: it reads and writes no data.  It belongs where the client is, in a transaction or bound; a client
     * that is nowhere may run it anywhere, best on the primary.  SET, SHOW, FETCH, COMMIT, an empty text ... */
    READS_ANYWHERE,
    /* It may run on a standby, and a transaction that it begins is still open behind it; the modes say which */
    READS_BEGIN,
};

enum reads_reason {
    REASON_READS, /* none: it reads */
    REASON_WRITES,
    REASON_LOCKS_ROWS,
    REASON_DEFINES,
    REASON_COPIES_IN,
    REASON_COPIES_FILE,
    REASON_COMMAND,
    REASON_UNPARSED,
    REASON_PREPARED,
    REASON_HOLDS,
    REASON_SETTING, /* set_config() of what cannot be told, current_setting() of the node's role */
    REASON_READ_WRITE,   /* BEGIN READ WRITE: a standby refuses it */
    REASON_SERIALIZABLE, /* so it does that */
    REASON_FUNCTION_WRITES,
    REASON_FUNCTION_SEQUENCE,
    REASON_FUNCTION_LOCKS,
    REASON_FUNCTION_KEEPS,
    REASON_FUNCTION_TRANSACTION,
    REASON_FUNCTION_NODE,
    REASON_FUNCTION_RUNS,
    REASON_FUNCTION_VOLATILE,
    REASON_FUNCTION_UNKNOWN,
    REASON_OPERATOR,
    REASON_RELATION_TEMPORARY,
    REASON_RELATION_UNLOGGED,
    REASON_RELATION_SEQUENCE,
    REASON_RELATION_FOREIGN,
    REASON_CATALOG, /* is not there yet */
    REASON_WRITE_FUNCTIONS,
    REASON_WRITE_PATTERNS,
    REASONS
};

struct reads_answer {
    enum reads reads;
    enum reads_reason reason;    /* READS_NO: why */
    const struct sql_name *name; /* of the function or relation that it is about; NULL: none */
    const struct sql_name
        *relation;          /* the view or table that calls the function; NULL: the text does */
    struct sql_modes modes; /* READS_BEGIN: of the transaction */
};

/* rules: NULL for none; catalog: of the database, NULL if it is not known. */
struct reads_answer reads_of(const struct sql_facts *facts, const char *text, size_t len,
                             const struct read_rules *rules, const struct catalog *catalog);

/* "calls public.f(), which is volatile", for EXPLAIN (ROUTE) and SHOW ROUTE. */
enum { REASON_TEXT = 320 };
const char *reads_text(const struct reads_answer *answer, char text[REASON_TEXT]);
/* A word for counters: "write_functions". */
const char *reads_reason_name(enum reads_reason reason);

#endif
