/*
 * pool/dns.h - host names are resolved again while servers live
 *
 * A server at an address that its host name has no more is closed when it is free.  A name that cannot
 * be resolved just now changes nothing.
 *
 * Threading:  the thread of the part's worker
 */
#ifndef POOL_DNS_H
#define POOL_DNS_H

#include <stdint.h>

struct part;

/* From time to time; asks once in dns_max_ttl. */
void dns_renew(struct part *part, int64_t now_us);

#endif
