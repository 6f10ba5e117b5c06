/*
 * Texts of SQL: facts are sound whatever the text is, and no text is plain whose facts say otherwise.
 *
 * The first byte says how the others make the text: as they are, or each as one word of a table, which gets
 * far more texts past the parser.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/facts.h"
#include "sql/glance.h"
#include "sql/hints.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_LEN = 1 << 16 };

/* Without a blank behind it: what changes how the rest is read. */
/* clang-format off */
static const char *const pieces[] = {
    "SELECT ", "select ", "FROM ", "WHERE ", "INTO ", "TEMP ", "TABLE ", "WITH ", "AS ", "AS(",
    "(", ")", ",", ".", ";", "*", "=", "::", ":", "[", "]", "'", "''", "E'", "e'", "U&'", "U&\"",
    "UESCAPE ", "'!' ", "\"", "\"\"", "$$", "$a$", "$1", "$2 ", "1", "1.", "1e", "0x", "--", "/*",
    "*/", "\n", "\t", " ", "\\", "\\'", "!0061", "\\0061", "set_config", "SET_CONFIG",
    "\"set_config\"", "U&\"set\\005fconfig\"", "U&\"set!005fconfig\" UESCAPE '!'", "pg_catalog.",
    "\"pg_catalog\".", "pg_temp.", "pg_temp", "pg_settings ", "setseed(", "nextval('s')",
    "lower(", "count(*)", "f(", "f(1)", "s.", "public.", "pg_advisory_lock(1)",
    "pg_try_advisory_lock(", "pg_advisory_unlock(", "('a','b',false)", "('a','b',true)",
    "($1,$2,$3)", "false", "true", "NULL", "a ", "b ", "t ", "x", "_", "\xc3\xa9", "SET ",
    "RESET ", "LOCAL ", "SESSION ", "ROLE ", "AUTHORIZATION ", "TIME ZONE ", "NAMES ", "DEFAULT ",
    "TO ", "ALL ", "DISCARD ", "PREPARE ", "EXECUTE ", "DEALLOCATE ", "EXPLAIN ", "ANALYZE ",
    "DECLARE ", "CURSOR ", "HOLD ", "FOR ", "CLOSE ", "FETCH ", "LISTEN ", "UNLISTEN ", "NOTIFY ",
    "LOAD ", "DO ", "CALL ", "COPY ", "STDOUT ", "STDIN ", "INSERT ", "UPDATE ", "DELETE ",
    "MERGE ", "VALUES ", "VALUES(", "RETURNING ", "USING ", "ON ", "DISTINCT ", "OVER ", "OVER(",
    "FILTER(", "PARTITION BY ", "ORDER BY ", "GROUP BY ", "BY(", "IN(", "IN ", "NOT ", "AND ",
    "OR ", "JOIN ", "LEFT ", "OPERATOR(", "OPERATOR(s.+)", "+", "-", "/", "<", ">", "|", "&", "%",
    "@", "#", "^", "!", "~", "?", "`", "{", "}", "BEGIN ", "COMMIT ", "ROLLBACK ",
    "START TRANSACTION ", "SAVEPOINT ", "RELEASE ", "END ", "CREATE ", "DROP ", "ALTER ",
    "SCHEMA ", "VIEW ", "SEQUENCE ", "FUNCTION ", "UNION ", "TABLESAMPLE ", "bernoulli(1)",
    "treat(", "cast(", "varchar(3)", "numeric(1)", "over(1)", "by(1)", "in(1)", "EXISTS(",
    "CASE ", "WHEN ", "THEN ", "ELSE ", "LIMIT ", "OFFSET ", "ROW(", "ARRAY[", "LATERAL ",
    "RECURSIVE ", "MATERIALIZED ", "/* howdah:", "-- howdah:", "k=", "k='v",
    "query_to_xml('x',true,true,'')", "CURRENT_USER ", "COLLATE ", "IS ", "LIKE ", "BETWEEN ",
    "CONFLICT", "(a)", "DO ", "NOTHING ",
};
/* clang-format on */
enum { PIECES = sizeof pieces / sizeof *pieces };
_Static_assert(PIECES <= 256, "a byte for each");

static size_t from_pieces(char *out, const uint8_t *data, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < size; i++) {
        const char *piece = pieces[data[i] % PIECES];
        if (len + strlen(piece) > MAX_LEN)
            break;
        memcpy(out + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return len;
}

static void check_statement(const struct sql_statement *statement, size_t len)
{
    assert((size_t)statement->text.start + statement->text.len <= len);
    assert(statement->name.len == 0 || (statement->name.start >= statement->text.start &&
                                        statement->name.start + statement->name.len <=
                                            statement->text.start + statement->text.len));
    assert((statement->n_settings == 0) || (statement->effects & SQL_SETS) != 0);
    for (uint32_t i = 0; i < statement->n_settings; i++)
        assert((statement->settings[i].name == NULL) == (statement->settings[i].name_param != 0));
    for (uint32_t i = 0; i < statement->n_tables; i++)
        assert(statement->tables[i].name != NULL);
    for (uint32_t i = 0; i < statement->n_functions; i++)
        assert(statement->functions[i].name[0] != '\0');
}

/* With another name in its place, and quotes, as there may be no blank before it, the text is the same, but for the name. */
static void check_name(const char *text, size_t len, const struct sql_facts *facts, uint32_t at,
                       bool conforming)
{
    static const char name[] = "\"howdah_1\"";
    struct sql_span span = facts->statements[at].name;
    if (span.len == 0)
        return;
    char *other = malloc(len + sizeof name);
    memcpy(other, text, span.start);
    memcpy(other + span.start, name, strlen(name));
    memcpy(other + span.start + strlen(name), text + span.start + span.len,
           len - span.start - span.len);
    struct sql_facts *renamed =
        sql_facts_of(other, len - span.len + strlen(name), 2 * MAX_LEN, conforming);
    assert(renamed->n_statements == facts->n_statements && renamed->effects == facts->effects);
    assert(strcmp(renamed->statements[at].ident, "howdah_1") == 0);
    sql_facts_free(renamed);
    free(other);
}

static void check_plain(const char *text, size_t len, const struct sql_facts *facts)
{
    uint32_t effects = facts->effects & ~(uint32_t)SQL_UNPARSED;
    bool plain = sql_is_plain(text, len, false), quite_plain = sql_is_plain(text, len, true);
    assert(plain || !quite_plain);
    assert(!plain || facts->n_statements <= 1);
    assert(!plain || (effects & ~(uint32_t)(SQL_CALLS | SQL_SEQUENCES | SQL_READS_SEQUENCES)) == 0);
    assert(!quite_plain || effects == 0);
}

static void check_hints(const char *text, size_t len, bool conforming)
{
    struct sql_hints hints = sql_hints_of(text, len, conforming);
    assert(hints.n <= SQL_MAX_HINTS);
    for (uint32_t i = 0; i < hints.n; i++) {
        struct sql_span key = hints.at[i].key, value = hints.at[i].value;
        assert(key.len > 0 && key.start + key.len < value.start && value.start + value.len <= len);
    }
}

static void check(const char *text, size_t len, bool conforming)
{
    struct sql_facts *facts = sql_facts_of(text, len, 2 * MAX_LEN, conforming);
    uint32_t effects = 0;
    for (uint32_t i = 0; i < facts->n_statements; i++) {
        check_statement(&facts->statements[i], len);
        check_name(text, len, facts, i, conforming);
        effects |= facts->statements[i].effects;
    }
    assert(effects == facts->effects);
    check_plain(text, len, facts);
    check_hints(text, len, conforming);
    sql_facts_free(facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > MAX_LEN)
        return 0;
    char *text = malloc(MAX_LEN);
    size_t len = size - 1;
    if (data[0] < 64)
        memcpy(text, data + 1, len);
    else
        len = from_pieces(text, data + 1, len);
    char *exact = malloc(len); /* so that the sanitizer sees a look behind the end */
    memcpy(exact, text, len);
    check(exact, len, true);
    check(exact, len, false);
    free(exact);
    free(text);
    return 0;
}
