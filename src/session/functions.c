#include "session/functions.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sql/builtin.h"
#include "sql/facts.h"

enum {
    ENOUGH = 20,       /* calls that did nothing */
    NAMES_MAX = 10000, /* then it begins anew */
};

struct function {
    struct map_entry entry; /* first: the map finds us by it */
    const struct database *database;
    int harmless; /* calls that did nothing; -1: one did something */
    char name[];
};

struct function_book {
    struct map map;
};

struct key {
    const struct database *database;
    const char *name;
};

struct function_book *functions_new(void)
{
    return mem_new(sizeof(struct function_book));
}

static void clear(struct function_book *book)
{
    struct map_entry *entry;
    while ((entry = map_any(&book->map)) != NULL) {
        map_remove(&book->map, entry);
        mem_free(entry);
    }
}

void functions_free(struct function_book *book)
{
    clear(book);
    map_done(&book->map);
    mem_free(book);
}

static bool same(const struct map_entry *entry, const void *wanted)
{
    const struct function *function = (const struct function *)entry;
    const struct key *key = wanted;
    return function->database == key->database && strcmp(function->name, key->name) == 0;
}

static struct function *find(const struct function_book *book, const struct database *database,
                             const char *name)
{
    struct key key = {database, name};
    return (struct function *)map_find(&book->map, hash_bytes(name, strlen(name)), same, &key);
}

static bool is_known(const struct function_book *book, const struct database *database,
                     const char *name)
{
    const struct function *function = find(book, database, name);
    return function != NULL && function->harmless >= ENOUGH;
}

static bool is_own(const struct sql_name *function)
{
    struct builtin builtin = builtin_of(function->schema, function->name);
    return builtin.volatility != BUILTIN_NONE && (builtin.effects & SQL_CALLS) == 0;
}

/* How many functions of the statement there are that are not PostgreSQL's own. */
static unsigned look(const struct function_book *book, const struct database *database,
                     const struct sql_statement *statement, struct buf *names)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < statement->n_functions; i++) {
        const struct sql_name *function = &statement->functions[i];
        if (is_own(function))
            continue;
        n++;
        char *name =
            mem_printf("%s.%s", function->schema != NULL ? function->schema : "", function->name);
        if (!is_known(book, database, name))
            buf_append_cstr(names, name);
        mem_free(name);
    }
    return n;
}

bool functions_are_harmless(struct function_book *book, const struct database *database,
                            const struct sql_facts *facts, struct buf *names, bool *learn)
{
    size_t before = names->len;
    bool nameless = false;
    for (uint32_t i = 0; i < facts->n_statements; i++) {
        const struct sql_statement *statement = &facts->statements[i];
        if ((statement->effects & SQL_CALLS) != 0 && look(book, database, statement, names) == 0)
            nameless = true; /* DO */
    }
    *learn = *learn && !nameless;
    return !nameless && names->len == before;
}

static struct function *get(struct function_book *book, const struct database *database,
                            const char *name)
{
    struct function *function = find(book, database, name);
    if (function != NULL)
        return function;
    if (book->map.count >= NAMES_MAX)
        clear(book);
    size_t len = strlen(name);
    function = mem_new(sizeof *function + len + 1);
    function->entry.hash = hash_bytes(name, len);
    function->database = database;
    memcpy(function->name, name, len + 1);
    map_add(&book->map, &function->entry);
    return function;
}

void functions_learn(struct function_book *book, const struct database *database,
                     const struct buf *names, bool harmless)
{
    for (const char *each = NULL; (each = buf_next_cstr(names, each)) != NULL;) {
        struct function *function = get(book, database, each);
        if (!harmless)
            function->harmless = -1;
        else if (function->harmless >= 0 && function->harmless < ENOUGH)
            function->harmless++;
    }
}
