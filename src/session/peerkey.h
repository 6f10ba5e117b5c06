/*
 * session/peerkey.h - what a cancel key tells the peers of the process that has given it out
 *
 *     byte   0         1    2          3 .. 6   7
 *            0rrrrrrr  id   id >> 8    random   rrrrrrtt
 *
 * id is that of the process whose client has the key; tt, the time to live, counts how often a
 * request with it may still be passed on, so that none goes round for ever where peers disagree on
 * who is who.  The other 45 bits are random.
 *
 * Source:  the layout of PgBouncer 1.25, so that it can be among the peers
 */
#ifndef SESSION_PEERKEY_H
#define SESSION_PEERKEY_H

#include <stdbool.h>
#include <stdint.h>

enum { PEER_KEY_LEN = 8, PEER_KEY_HOPS = 3 };

/* Makes a random key one of the peer `id`, with all its hops. */
void peer_key_sign(uint8_t key[PEER_KEY_LEN], int id);

/* The peer that it is of; any number, if it is a key of something else. */
int peer_key_id(const uint8_t key[PEER_KEY_LEN]);

/* One hop less.  False: there was none left, and the key is as it was. */
bool peer_key_hop(uint8_t key[PEER_KEY_LEN]);

/* As it was given out: with all its hops. */
void peer_key_restore(uint8_t key[PEER_KEY_LEN]);

#endif
