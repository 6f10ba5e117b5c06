/*
 * route/choose.h - which node of a cluster serves a read
 *
 * Candidates are the usable standbys, and with read_from = any the primary.  One is fit if it is not
 * ejected, is not further behind than allowed, and shows what the client has to see.  Of those that are
 * fit, those of our own zone come first; among them decides `balance`:
 *
 *   least_outstanding  fewest leases for its weight
 *   round_robin        one after the other, each as often as its weight
 *   random             by weight
 *   peak_ewma          lowest latency x (leases + 1) / weight; of more than three, the better of two that
 *                      are drawn by weight
 *   client_hash        the same for the same client for as long as it is fit (rendezvous hashing)
 *
 * Ties are drawn by weight.  A node that is back begins with a tenth of its weight and has all of it after
 * 30 seconds, except in round_robin.  If every usable candidate is ejected, ejections count for nothing, as
 * there has to be one; those by hand do.
 *
 * Threading:  any thread; it only reads the gauges
 */
#ifndef ROUTE_CHOOSE_H
#define ROUTE_CHOOSE_H

#include <stdint.h>

#include "topology/view.h"

/* Why a node does not serve the read.  In the order of the tests, so that a higher one was nearer to it. */
enum unfit {
    UNFIT_NOT_WANTED,    /* the primary, and read_from is not any; or all, and it is primary */
    UNFIT_NOT_USABLE,    /* it does not answer, or is no standby of this cluster */
    UNFIT_BY_HAND,       /* EJECT */
    UNFIT_EJECTED,       /* connections to it have failed */
    UNFIT_UNKNOWN,       /* how far behind it is, is not known */
    UNFIT_BEHIND,        /* by more than max_lag, or it was and has not quite caught up */
    UNFIT_BEHIND_BYTES,  /* by more than max_lag_bytes, or the same */
    UNFIT_NOT_FOLLOWING, /* it may not show yet what the client has to see */
    UNFIT_FAR,           /* fit, but there is one in our zone */
    FIT,
};

/* On one node, for who wants to know. */
struct verdict {
    enum unfit unfit;
    double score; /* of a node that is fit: the lowest wins */
};

/* What a client needs. */
struct read_need {
    int64_t now_us;
    int64_t write_us;   /* it has to see what was committed before; 0: nothing */
    uint64_t min_lsn;   /* it has to see what is written there; 0: nothing */
    int64_t max_lag_us; /* of its database or user, 0: no bound; -1: the cluster's */
    uint64_t client_hash;
    uint64_t *random; /* state of the caller's, to be seeded with anything but 0 */
    unsigned *turn;   /* state of the caller's, for round_robin */
};

struct choice {
    int node;         /* index; -1: the primary, or an error with standby_only */
    enum unfit unfit; /* node is -1: why there is none, of the one that was nearest to it */
};

/* verdicts: one for each node of the cluster, or NULL. */
struct choice choose_node(const struct cluster_view *cluster, const struct read_need *need,
                          struct verdict *verdicts);

/* A word or two, such as "not following". */
const char *unfit_name(enum unfit unfit);

#endif
