/*
 * topology/catalogs.h - loads the catalogs of databases on clusters, and keeps them fresh
 *
 * A database has one from when it is wanted first.  It is asked for at the primary, with the probe_user of its
 * cluster, over a connection that ends with the answer; again every minute, and a second after somebody has said
 * that it is old.  A catalog that cannot be loaded again stays as it is.  One with more than 200,000 rows counts
 * as none: then whatever needs it goes to the primary.
 *
 * Ownership:  loop and resolver are borrowed; settings and views are counted
 * Threading:  the control thread; catalogs_want() and catalogs_are_old() from any
 * Errors:     are logged, once
 */
#ifndef TOPOLOGY_CATALOGS_H
#define TOPOLOGY_CATALOGS_H

#include <stdatomic.h>
#include <stddef.h>

#include "topology/catalog_set.h"

struct catalogs;
struct loop;
struct resolver;
struct settings;
struct topology_view;

/* The set is lent for the call. */
typedef void catalogs_publish(void *context, struct catalog_set *set);

struct catalogs *catalogs_new(struct loop *loop, struct resolver *resolver,
                              catalogs_publish *publish, void *context);
/* Before the loop is drained: no more questions. */
void catalogs_stop(struct catalogs *catalogs);
void catalogs_free(struct catalogs *catalogs); /* accepts NULL */

/* First, before anything is wanted.  Catalogs of clusters that are no more are dropped. */
void catalogs_use(struct catalogs *catalogs, struct settings *settings);
/* Where the primaries are. */
void catalogs_take_view(struct catalogs *catalogs, struct topology_view *view);

/* The database has to have one; nothing if it has, or will. */
void catalogs_want(struct catalogs *catalogs, const char *cluster, const char *dbname);
/* Something may have been defined there. */
void catalogs_are_old(struct catalogs *catalogs, const char *cluster, const char *dbname);

#endif
