/*
 * topology/election.h - which node of a cluster is its primary
 *
 * A pure decision on what the probes have seen:
 *
 *   - A node belongs to the cluster if it has the cluster's system identifier: that which most nodes
 *     had when they were seen last, those further in front of the file if it is a tie.  An identifier
 *     that was chosen stays for as long as a node has it.
 *   - A node that takes writes is the primary if no node of the cluster was seen on a later timeline,
 *     be it out of reach by now.  So an old primary that comes back is not taken for one, though its
 *     successor may be down.
 *   - If two take writes on that timeline there is no primary: nobody can tell which is right.
 *   - A node with role=standby is never the primary, and if it takes writes its timeline counts for
 *     nothing.
 *   - Before an identifier is chosen, every node has to be tried once: who answers first may be wrong.
 *
 * Threading:  none; all is in the arguments
 */
#ifndef TOPOLOGY_ELECTION_H
#define TOPOLOGY_ELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a node has said. */
struct node_sample {
    uint64_t system_id; /* 0: it has never answered */
    uint64_t lsn; /* of a primary: inserted, as wal_position() has it; of a standby: replayed */
    uint64_t other_lsn; /* of a primary: flushed; of a standby: received, 0 if it never was */
    uint32_t timeline;  /* of a standby: what is known of it for sure */
    bool in_recovery;
    bool paused;      /* a standby that was told not to replay */
    int64_t delay_us; /* of a primary: until what is committed is flushed, at most */
    int64_t asked_us; /* before the question was sent */
};

struct candidate {
    struct node_sample sample; /* the last one, however old */
    bool fresh;                /* it says what is true now */
    bool tried;                /* it was asked, and has answered or failed */
    bool barred;               /* role=standby */
};

enum node_state {
    NODE_UNKNOWN,  /* not asked yet */
    NODE_DOWN,     /* it does not answer */
    NODE_PRIMARY,  /* the one */
    NODE_STANDBY,  /* in recovery */
    NODE_BEHIND,   /* takes writes, but there was a later timeline */
    NODE_CONFLICT, /* takes writes, as another one does on the same timeline */
    NODE_BARRED,   /* takes writes, and has role=standby */
    NODE_FOREIGN,  /* has another system identifier */
};

struct election {
    int primary;        /* index; -1: none */
    uint64_t system_id; /* of the cluster; 0: not known yet */
};

/* system_id: what the last election has found, 0 for the first.  states: one for each of the n. */
struct election elect(const struct candidate *candidates, size_t n, uint64_t system_id,
                      enum node_state *states);

const char *node_state_name(enum node_state state);

#endif
