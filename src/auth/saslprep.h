/*
 * auth/saslprep.h - passwords as SCRAM hashes them
 *
 * Maps, checks, then normalizes, in the order of PostgreSQL and its clients, and not in that of the
 * RFC, which checks what it has normalized: the two give other keys for a few characters, such as
 * U+2136, and ours have to be those that the clients compute.  A password that fails a check is
 * used as it is, and so is one of ASCII alone.
 *
 * Source:      RFC 4013 by the tables of libidn; pg_saslprep() of PostgreSQL
 * Difference:  non-ASCII passwords of more than 1024 bytes are used as they are; libidn normalizes by
 *              Unicode 3.2, whose corrigenda 4 and 5 changed a few CJK compatibility ideographs and
 *              combining marks between Hangul letters.  A verifier on file is not concerned
 */
#ifndef AUTH_SASLPREP_H
#define AUTH_SASLPREP_H

/* Owned by the caller, who wipes it. */
char *saslprep(const char *password);

#endif
