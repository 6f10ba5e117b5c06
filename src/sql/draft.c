#include "sql/draft.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/parser.h"

/* Twice the room, or as much as `size` bytes each take at first. */
static void *grow(void *at, uint32_t *room, size_t size)
{
    uint32_t before = *room;
    *room = before == 0 ? 8 : before * 2;
    void *grown = sql_parse_alloc(*room * size);
    return before == 0 ? grown : memcpy(grown, at, before * size);
}

void draft_name(struct draft_names *names, const char *schema, const char *name)
{
    if (names->n == names->room)
        names->at = grow(names->at, &names->room, sizeof *names->at);
    names->at[names->n++] = (struct sql_name){schema, name};
}

static const char *lower(const char *name)
{
    size_t len = strlen(name);
    char *copy = sql_parse_alloc(len + 1);
    for (size_t i = 0; i <= len; i++)
        copy[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + ('a' - 'A')) : name[i];
    return copy;
}

void draft_setting(struct draft_settings *settings, const char *name, uint16_t name_param,
                   bool reset)
{
    if (settings->n == settings->room)
        settings->at = grow(settings->at, &settings->room, sizeof *settings->at);
    settings->at[settings->n++] =
        (struct sql_setting){name == NULL ? NULL : lower(name), name_param, reset};
}

static int compare_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

static int compare_names(const void *a, const void *b)
{
    const struct sql_name *left = a, *right = b;
    int order = compare_text(left->schema, right->schema);
    return order != 0 ? order : strcmp(left->name, right->name);
}

/* In order, each once. */
static void sort_names(struct draft_names *names)
{
    uint32_t n = 0;
    if (names->n > 1)
        qsort(names->at, names->n, sizeof *names->at, compare_names);
    for (uint32_t i = 0; i < names->n; i++)
        if (n == 0 || compare_names(&names->at[i], &names->at[n - 1]) != 0)
            names->at[n++] = names->at[i];
    names->n = n;
}

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static size_t names_size(const struct draft_names *names)
{
    size_t size = names->n * sizeof *names->at;
    for (uint32_t i = 0; i < names->n; i++)
        size += text_size(names->at[i].schema) + text_size(names->at[i].name);
    return size;
}

static size_t statement_size(const struct draft_statement *statement)
{
    size_t size = sizeof statement->facts + text_size(statement->facts.ident) +
                  names_size(&statement->tables) + names_size(&statement->functions);
    for (uint32_t i = 0; i < statement->settings.n; i++)
        size += sizeof *statement->settings.at + text_size(statement->settings.at[i].name);
    return size;
}

/* A block that is filled from both ends, so that all structs are aligned: texts from behind. */
struct block {
    char *front, *back;
};

static void *put(struct block *block, const void *data, size_t size)
{
    void *at = block->front;
    block->front += size;
    return size == 0 ? at : memcpy(at, data, size);
}

static const char *put_text(struct block *block, const char *text)
{
    if (text == NULL)
        return NULL;
    block->back -= text_size(text);
    return memcpy(block->back, text, text_size(text));
}

static const struct sql_name *put_names(struct block *block, const struct draft_names *names)
{
    struct sql_name *at = put(block, names->at, names->n * sizeof *names->at);
    for (uint32_t i = 0; i < names->n; i++) {
        at[i].schema = put_text(block, at[i].schema);
        at[i].name = put_text(block, at[i].name);
    }
    return at;
}

static const struct sql_setting *put_settings(struct block *block,
                                              const struct draft_settings *settings)
{
    struct sql_setting *at = put(block, settings->at, settings->n * sizeof *settings->at);
    for (uint32_t i = 0; i < settings->n; i++)
        at[i].name = put_text(block, at[i].name);
    return at;
}

static void put_lists(struct block *block, const struct draft_statement *draft,
                      struct sql_statement *facts)
{
    facts->n_tables = draft->tables.n;
    facts->n_functions = draft->functions.n;
    facts->n_settings = draft->settings.n;
    facts->tables = put_names(block, &draft->tables);
    facts->functions = put_names(block, &draft->functions);
    facts->settings = put_settings(block, &draft->settings);
    facts->ident = put_text(block, facts->ident);
}

struct sql_facts *draft_finish(const struct draft *draft)
{
    size_t size = sizeof(struct sql_facts);
    for (uint32_t i = 0; i < draft->n; i++) {
        sort_names(&draft->statements[i].tables);
        sort_names(&draft->statements[i].functions);
        size += statement_size(&draft->statements[i]);
    }
    struct sql_facts *facts = mem_new(size);
    struct block block = {(char *)(facts + 1), (char *)facts + size};
    struct sql_statement *statements = (struct sql_statement *)block.front;
    block.front += draft->n * sizeof *statements;
    *facts = (struct sql_facts){.n_statements = draft->n, .bytes = size, .statements = statements};
    for (uint32_t i = 0; i < draft->n; i++) {
        statements[i] = draft->statements[i].facts;
        put_lists(&block, &draft->statements[i], &statements[i]);
        facts->effects |= statements[i].effects;
    }
    return facts;
}
