/*
 * sql/draft.h - the facts of a text while its tree is walked
 *
 * Lists grow in the memory of the parser; draft_finish() makes one block of all that stays.
 *
 * Ownership:  drafts, and the strings that they refer to, end with the parse (sql/parser.h)
 */
#ifndef SQL_DRAFT_H
#define SQL_DRAFT_H

#include "sql/facts.h"

struct draft_names {
    struct sql_name *at;
    uint32_t n, room;
};

struct draft_settings {
    struct sql_setting *at;
    uint32_t n, room;
};

struct draft_statement {
    struct sql_statement facts; /* but for the lists */
    struct draft_names tables, functions;
    struct draft_settings settings;
};

struct draft {
    struct draft_statement *statements;
    uint32_t n;
};

void draft_name(struct draft_names *names, const char *schema, const char *name);
/* The name is changed to lower case, as names of settings are compared. */
void draft_setting(struct draft_settings *settings, const char *name, uint16_t name_param,
                   bool reset);

/* On the heap. */
struct sql_facts *draft_finish(const struct draft *draft);

#endif
