/*
 * auth/md5.h - PostgreSQL's MD5 passwords
 *
 * Source:  PostgreSQL docs, protocol-flow-start-up, AuthenticationMD5Password
 * Errors:  false where the cryptographic library refuses MD5, as in FIPS mode
 */
#ifndef AUTH_MD5_H
#define AUTH_MD5_H

#include <stdbool.h>
#include <stdint.h>

enum { MD5_TEXT_SIZE = 36 }; /* "md5", 32 hexadecimal digits, NUL */

/* What pg_authid stores. */
bool md5_secret(const char *password, const char *user, char out[MD5_TEXT_SIZE]);

/* What a client answers to a salt; stored is an MD5 secret. */
bool md5_response(const char *stored, const uint8_t salt[4], char out[MD5_TEXT_SIZE]);

#endif
