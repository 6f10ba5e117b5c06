/*
 * topology/catalog.h - what a database has that a text of SQL does not tell, as a value that never changes
 *
 * Its functions beside those that PostgreSQL brings; the relations that a standby cannot read as the primary can;
 * and, for views and tables, which functions run when they are read: those of a view, of the views in it, and
 * of the policies of tables.  The control thread makes a new one now and then (topology/catalogs.h).
 *
 * Ownership:  counted references; what it points to lives as long as it
 * Threading:  any thread may read, take and drop references
 */
#ifndef TOPOLOGY_CATALOG_H
#define TOPOLOGY_CATALOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/facts.h"

struct catalog_function {
    struct sql_name
        name; /* several have the same, with other arguments: one of them is VOLATILE, or none is */
    bool is_volatile;
};

/* The first that holds. */
enum catalog_kind {
    CATALOG_UNLOGGED,
    CATALOG_SEQUENCE,
    CATALOG_FOREIGN,
    CATALOG_CALLS, /* it reads as other relations do, but for the functions */
};

struct catalog_relation {
    struct sql_name name;
    enum catalog_kind kind; /* of itself, or of what is read with it */
    uint32_t n_calls;
    const struct sql_name *calls; /* functions, without those that sql/standby.h knows to read */
};

struct catalog {
    atomic_int refs;
    uint64_t generation; /* differs from that of any other catalog of the process */
    uint32_t n_functions, n_relations;
    const struct catalog_function *functions; /* in order of name and schema */
    const struct catalog_relation *relations; /* likewise */
};

struct catalog *catalog_ref(struct catalog *catalog);
void catalog_unref(struct catalog *catalog); /* accepts NULL */

/* The functions of that name, of that schema or of any if it is NULL: the first of *n in a row. */
const struct catalog_function *catalog_functions(const struct catalog *catalog, const char *schema,
                                                 const char *name, uint32_t *n);

/* The relations of that name, likewise, that are more than plain tables and views that call nothing. */
const struct catalog_relation *catalog_relations(const struct catalog *catalog, const char *schema,
                                                 const char *name, uint32_t *n);

/* How one is made: add what there is, in any order, then finish.  Strings are borrowed until then. */
struct catalog_draft;
struct catalog_draft *catalog_draft_new(void);
void catalog_draft_free(struct catalog_draft *draft); /* accepts NULL */
void catalog_draft_function(struct catalog_draft *draft, struct sql_name name, bool is_volatile);
void catalog_draft_relation(struct catalog_draft *draft, struct sql_name name,
                            enum catalog_kind kind);
/* Reading the relation calls the function. */
void catalog_draft_call(struct catalog_draft *draft, struct sql_name relation,
                        struct sql_name function);
/* The caller has the one reference. */
struct catalog *catalog_draft_finish(struct catalog_draft *draft, uint64_t generation);

#endif
