#include "session/peerkey.h"

enum { HOPS_BYTE = 7, HOPS_MASK = PEER_KEY_HOPS };

void peer_key_sign(uint8_t key[PEER_KEY_LEN], int id)
{
    key[1] = (uint8_t)(id & 0xff);
    key[2] = (uint8_t)(id >> 8);
    peer_key_restore(key);
}

int peer_key_id(const uint8_t key[PEER_KEY_LEN])
{
    return key[1] | key[2] << 8;
}

bool peer_key_hop(uint8_t key[PEER_KEY_LEN])
{
    if ((key[HOPS_BYTE] & HOPS_MASK) == 0)
        return false;
    key[HOPS_BYTE]--; /* of the byte, the lowest two bits are not 0: nothing is borrowed */
    return true;
}

void peer_key_restore(uint8_t key[PEER_KEY_LEN])
{
    key[HOPS_BYTE] |= HOPS_MASK;
}
