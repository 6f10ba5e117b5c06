#include "topology/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/standby.h"

/* A relation, and one of the functions that it calls; NULL: none. */
struct draft_relation {
    struct sql_name name, function;
    enum catalog_kind kind;
};

struct catalog_draft {
    struct catalog_function *functions; /* owned, as the next */
    struct draft_relation *relations;
    size_t n_functions, n_relations, function_room, relation_room;
};

/* ---- lookup ---- */

static int compare_names(const struct sql_name *a, const struct sql_name *b)
{
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : strcmp(a->schema, b->schema);
}

static bool is_named(const struct sql_name *row, const struct sql_name *name)
{
    return strcmp(row->name, name->name) == 0 &&
           (name->schema == NULL || strcmp(row->schema, name->schema) == 0);
}

/* Rows begin with their name, and are in order. */
struct rows {
    const void *at;
    size_t n, size;
};

static const struct sql_name *row_at(const struct rows *rows, size_t i)
{
    return (const void *)((const char *)rows->at + i * rows->size);
}

static const void *find(const struct rows *rows, const struct sql_name *name, uint32_t *n)
{
    struct sql_name least = {name->schema != NULL ? name->schema : "", name->name};
    size_t low = 0, high = rows->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_names(row_at(rows, middle), &least) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (high = low; high < rows->n && is_named(row_at(rows, high), name);)
        high++;
    *n = (uint32_t)(high - low);
    return row_at(rows, low);
}

const struct catalog_function *catalog_functions(const struct catalog *catalog, const char *schema,
                                                 const char *name, uint32_t *n)
{
    struct rows rows = {catalog->functions, catalog->n_functions, sizeof *catalog->functions};
    return find(&rows, &(struct sql_name){schema, name}, n);
}

const struct catalog_relation *catalog_relations(const struct catalog *catalog, const char *schema,
                                                 const char *name, uint32_t *n)
{
    struct rows rows = {catalog->relations, catalog->n_relations, sizeof *catalog->relations};
    return find(&rows, &(struct sql_name){schema, name}, n);
}

/* ---- a draft ---- */

static void *grow(void *at, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return at;
    *room = *room == 0 ? 64 : *room * 2;
    return mem_resize(at, *room * size);
}

struct catalog_draft *catalog_draft_new(void)
{
    return mem_new(sizeof(struct catalog_draft));
}

void catalog_draft_free(struct catalog_draft *draft)
{
    if (draft == NULL)
        return;
    mem_free(draft->functions);
    mem_free(draft->relations);
    mem_free(draft);
}

void catalog_draft_function(struct catalog_draft *draft, struct sql_name name, bool is_volatile)
{
    draft->functions =
        grow(draft->functions, draft->n_functions, &draft->function_room, sizeof *draft->functions);
    draft->functions[draft->n_functions++] = (struct catalog_function){name, is_volatile};
}

static void add_relation(struct catalog_draft *draft, struct draft_relation relation)
{
    draft->relations =
        grow(draft->relations, draft->n_relations, &draft->relation_room, sizeof *draft->relations);
    draft->relations[draft->n_relations++] = relation;
}

void catalog_draft_relation(struct catalog_draft *draft, struct sql_name name,
                            enum catalog_kind kind)
{
    add_relation(draft, (struct draft_relation){.name = name, .kind = kind});
}

void catalog_draft_call(struct catalog_draft *draft, struct sql_name relation,
                        struct sql_name function)
{
    bool own = strcmp(function.schema, "pg_catalog") == 0;
    if (!own || standby_call(function.name, strlen(function.name)) != STANDBY_READS)
        add_relation(draft, (struct draft_relation){relation, function, CATALOG_CALLS});
}

/* ---- from a draft to a catalog ---- */

static int compare_functions(const void *a, const void *b)
{
    const struct catalog_function *left = a, *right = b;
    return compare_names(&left->name, &right->name);
}

static int compare_relations(const void *a, const void *b)
{
    const struct draft_relation *left = a, *right = b;
    int order = compare_names(&left->name, &right->name);
    return order != 0 ? order : (int)left->kind - (int)right->kind;
}

static size_t text_size(const struct sql_name *name)
{
    return name->name == NULL ? 0 : strlen(name->schema) + strlen(name->name) + 2;
}

/* The catalog is one block: structs from the front, texts behind them. */
static size_t catalog_size(const struct catalog_draft *draft)
{
    size_t size = sizeof(struct catalog);
    for (size_t i = 0; i < draft->n_functions; i++)
        size += sizeof *draft->functions + text_size(&draft->functions[i].name);
    for (size_t i = 0; i < draft->n_relations; i++)
        size += sizeof(struct catalog_relation) + sizeof(struct sql_name) +
                text_size(&draft->relations[i].name) + text_size(&draft->relations[i].function);
    return size;
}

static const char *put_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

static struct sql_name put_name(char **at, const struct sql_name *name)
{
    const char *schema = put_text(at, name->schema);
    return (struct sql_name){schema, put_text(at, name->name)};
}

static void put_functions(struct catalog *catalog, const struct catalog_draft *draft,
                          struct catalog_function *rows, char **texts)
{
    for (size_t i = 0; i < draft->n_functions; i++) {
        const struct catalog_function *function = &draft->functions[i];
        rows[i] =
            (struct catalog_function){put_name(texts, &function->name), function->is_volatile};
    }
    catalog->functions = rows;
    catalog->n_functions = (uint32_t)draft->n_functions;
}

/* Rows of one relation follow each other, the first with its kind. */
static void put_relations(struct catalog *catalog, const struct catalog_draft *draft,
                          struct catalog_relation *rows, struct sql_name *calls, char **texts)
{
    struct catalog_relation *row = NULL;
    for (size_t i = 0; i < draft->n_relations; i++) {
        const struct draft_relation *relation = &draft->relations[i];
        if (row == NULL || compare_names(&row->name, &relation->name) != 0) {
            row = row == NULL ? rows : row + 1;
            *row = (struct catalog_relation){put_name(texts, &relation->name), relation->kind, 0,
                                             calls};
            catalog->n_relations++;
        }
        if (relation->function.name != NULL) {
            *calls++ = put_name(texts, &relation->function);
            row->n_calls++;
        }
    }
    catalog->relations = rows;
}

struct catalog *catalog_draft_finish(struct catalog_draft *draft, uint64_t generation)
{
    if (draft->n_functions > 0)
        qsort(draft->functions, draft->n_functions, sizeof *draft->functions, compare_functions);
    if (draft->n_relations > 0)
        qsort(draft->relations, draft->n_relations, sizeof *draft->relations, compare_relations);
    struct catalog *catalog = mem_new(catalog_size(draft));
    struct catalog_function *functions = (struct catalog_function *)(catalog + 1);
    struct catalog_relation *relations =
        (struct catalog_relation *)(functions + draft->n_functions);
    struct sql_name *calls = (struct sql_name *)(relations + draft->n_relations);
    char *texts = (char *)(calls + draft->n_relations);
    atomic_init(&catalog->refs, 1);
    catalog->generation = generation;
    put_functions(catalog, draft, functions, &texts);
    put_relations(catalog, draft, relations, calls, &texts);
    return catalog;
}

struct catalog *catalog_ref(struct catalog *catalog)
{
    atomic_fetch_add_explicit(&catalog->refs, 1, memory_order_relaxed);
    return catalog;
}

void catalog_unref(struct catalog *catalog)
{
    if (catalog != NULL && atomic_fetch_sub_explicit(&catalog->refs, 1, memory_order_acq_rel) == 1)
        mem_free(catalog);
}
