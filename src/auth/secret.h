/*
 * auth/secret.h - what the text of a stored password is, and how to compare secrets
 *
 * Source:  get_password_type() of PostgreSQL, so that a secret means here what it means in
 *          pg_authid: what looks like a hash but is malformed counts as plaintext
 */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include <stdbool.h>
#include <stddef.h>

enum secret_kind {
    SECRET_NONE, /* NULL or "": matches nothing */
    SECRET_PLAIN,
    SECRET_MD5,   /* "md5" and 32 lower-case hexadecimal digits */
    SECRET_SCRAM, /* SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey */
};

enum secret_kind secret_kind_of(const char *text);

/* In a time that depends on the lengths only.  All compares of secrets go through here. */
bool secret_equal(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
