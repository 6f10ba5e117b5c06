/*
 * proto/startup.h - the first packet of a client: what does it want?
 *
 * Cuts a startup packet into its parts and refuses what PostgreSQL refuses, with its words.  What
 * the parameters mean, and which of them can be honoured, is up to the session.
 *
 * Source:     PostgreSQL docs, protocol-message-formats-StartupMessage, -CancelRequest,
 *             -SSLRequest, -GSSENCRequest, -NegotiateProtocolVersion; ProcessStartupPacket()
 * Ownership:  texts are borrowed from the packet, which must outlive the struct startup;
 *             startup_done() gives back the arrays
 * Errors:     FATAL; *err can go to the client as it is.  After an error there is nothing to give
 *             back, and startup_done() does no harm
 */
#ifndef PROTO_STARTUP_H
#define PROTO_STARTUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/reader.h"

struct buf;
struct err;

enum startup_kind {
    STARTUP_SSL_REQUEST,
    STARTUP_GSS_REQUEST,
    STARTUP_CANCEL,
    STARTUP_SESSION,
};

enum startup_replication {
    STARTUP_NO_REPLICATION,
    STARTUP_PHYSICAL_REPLICATION, /* a walsender without a database */
    STARTUP_LOGICAL_REPLICATION,  /* replication=database */
};

enum {
    STARTUP_PROTOCOL_3_0 = 0x00030000,
    STARTUP_CODE_CANCEL = 80877102, /* 1234.5678: in the place of a protocol version */
    STARTUP_CODE_SSL = 80877103,    /* 1234.5679 */
    STARTUP_CODE_GSS = 80877104,    /* 1234.5680 */
    STARTUP_HEADER = 8,             /* length word and protocol version or code */
    STARTUP_MAX_PACKET = LIMIT_STARTUP_PACKET + 4, /* PostgreSQL's limit leaves the word out */
    STARTUP_MAX_CANCEL_KEY = 4 + 256,              /* process id, then the longest key of 3.2 */
};

struct startup_param {
    const char *name;
    const char *value;
};

struct startup {
    enum startup_kind kind;

    /* STARTUP_SESSION only.  Of parameters given twice the last one counts. */
    uint16_t major, minor;
    const char *user;             /* never NULL or "", at most LIMIT_NAME bytes */
    const char *database;         /* at most LIMIT_NAME bytes; NULL: named as the user */
    const char *replication;      /* NULL when absent; see startup_replication_of() */
    const char *options;          /* NULL when absent; see startup_options_parse() */
    struct startup_param *params; /* owned: all others in their order, application_name included */
    size_t n_params;
    const char **unknown_pq; /* owned: names that begin with "_pq_.", none of which we know */
    size_t n_unknown_pq;

    struct slice cancel_key; /* STARTUP_CANCEL only: process id and key, 8 bytes or more */

    char *owned_user, *owned_database; /* where `user` and `database` had to be cut, else NULL */
};

/* The length word of the first packet, in bytes with itself: may it be read at all?  If not,
 * nothing is answered, as what talks there may be anything. */
bool startup_length_ok(uint32_t len);

/* A whole packet with its length word. */
bool startup_parse(const char *packet, size_t len, struct startup *out, struct err *err);
void startup_done(struct startup *startup);

/* What the parameter `replication` asks for: 22023 if it is neither a boolean nor "database". */
bool startup_replication_of(const struct startup *startup, enum startup_replication *out,
                            struct err *err);

/*
 * Takes apart the parameter `options`: "-c k=v", "-ck=v" and "--k=v", separated by white space,
 * where a backslash takes the meaning from the next byte; a '-' in a name is a '_', as in
 * PostgreSQL.  Other switches of a server are refused.
 *
 * use() is called for each in order, with texts that live for the call; it stops the parsing by
 * returning false after filling *err.
 */
bool startup_options_parse(const char *options,
                           bool (*use)(const char *name, const char *value, void *arg,
                                       struct err *err),
                           void *arg, struct err *err);

/* Appends NegotiateProtocolVersion, which announces 3.0 and lists the unknown `_pq_.` names; or
 * nothing, if the client asked for 3.0 and nothing else. */
void startup_negotiate_version(struct buf *out, const struct startup *startup);

#endif
