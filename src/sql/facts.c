#include "sql/facts.h"

#include "base/mem.h"
#include "sql/parser.h"
#include "sql/place.h"
#include "sql/statement.h"

struct request {
    struct statement_text text;
    struct sql_facts *facts; /* NULL until there are some */
};

static void take(struct List *tree, void *arg)
{
    struct request *request = arg;
    struct draft draft = statements_of(tree, &request->text);
    request->facts = draft_finish(&draft);
}

static struct sql_facts *unparsed(const struct statement_text *text)
{
    struct facts_and_statement {
        struct sql_facts facts;
        struct sql_statement statement;
    } *both = mem_new(sizeof *both);
    uint32_t len = text->len > UINT32_MAX ? UINT32_MAX : (uint32_t)text->len;
    both->statement = (struct sql_statement){
        .class = SQL_UNKNOWN,
        .effects = SQL_UNPARSED,
        .text = {0, len},
    };
    both->facts = (struct sql_facts){
        .effects = SQL_UNPARSED,
        .n_statements = 1,
        .bytes = sizeof *both,
        .statements = &both->statement,
    };
    return &both->facts;
}

struct sql_facts *sql_facts_of(const char *text, size_t len, size_t max_len,
                               bool standard_conforming_strings)
{
    struct request request = {.text = {text, len, standard_conforming_strings}};
    if (len > max_len || !sql_parse(text, len, standard_conforming_strings, take, &request))
        return unparsed(&request.text);
    return request.facts;
}

void sql_facts_free(struct sql_facts *facts)
{
    mem_free(facts);
}

void sql_thread_done(void)
{
    sql_parse_done();
}
