/*
 * base/limits.h - how much a peer may make us hold
 *
 * Source: PostgreSQL's own limits (postmaster.c, pqcomm.h, postgres.c) unless a reason is given.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    LIMIT_STARTUP_PACKET = 10000,      /* MAX_STARTUP_PACKET_LENGTH */
    LIMIT_NAME = 63,                   /* NAMEDATALEN - 1: users and databases */
    LIMIT_AUTH_MESSAGE = 65535,        /* PG_MAX_AUTH_TOKEN_LENGTH */
    LIMIT_SASL_MESSAGE = 1024,         /* longest SASL message a client may send */
    LIMIT_SMALL_MESSAGE = 10000,       /* PQ_SMALL_MESSAGE_LIMIT */
    LIMIT_LARGE_MESSAGE = 0x3ffffffe,  /* PQ_LARGE_MESSAGE_LIMIT: MaxAllocSize - 1 */
    LIMIT_SERVER_SMALL = 65536,        /* server messages that are read whole */
    LIMIT_SERVER_LOGIN = 1 << 20,      /* ours: all that a server says until it is ready */
    LIMIT_KEPT_STATEMENT = 1 << 20,    /* ours: longer unnamed statements are not kept */
    LIMIT_PREPARED_TEXTS = 16 << 20,   /* ours: bytes of prepared statements kept on a server */
    LIMIT_STATEMENT_NAME = 10000,      /* ours: longer names in Bind stay unknown */
    LIMIT_SCRAM_ITERATIONS = 1000000,  /* ours: what a server may make us compute */
    LIMIT_NOTIFICATIONS = 1 << 20,     /* ours: bytes that wait for one client */
    LIMIT_OUTSTANDING_REPLIES = 65536, /* ours: then the client is not read until some came */
    LIMIT_SERVER_STARTUP = 8192,       /* ours: room is left for what howdah adds */
};

#endif
