/*
 * auth/scram.h - the keys of SCRAM-SHA-256, and the verifiers that PostgreSQL stores
 *
 * Source:     RFC 5802 and RFC 7677; PostgreSQL docs, sasl-authentication and catalog-pg-authid
 * Ownership:  plain values without pointers, to be copied freely; keys are secret: wipe them
 */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCRAM_KEY_LEN = 32,
    SCRAM_SALT_LEN = 16,  /* of verifiers that we make, as PostgreSQL's */
    SCRAM_SALT_MAX = 128, /* of anybody else's */
};

#define SCRAM_MECHANISM "SCRAM-SHA-256"

/* What a password is hashed with. */
struct scram_salt {
    int iterations; /* 1 or more */
    size_t len;     /* 1 to SCRAM_SALT_MAX */
    uint8_t bytes[SCRAM_SALT_MAX];
};

/* What a client has to know: as good as the password, for this salt. */
struct scram_keys {
    struct scram_salt salt;
    uint8_t client_key[SCRAM_KEY_LEN];
    uint8_t server_key[SCRAM_KEY_LEN];
};

/* What a server has to know. */
struct scram_verifier {
    struct scram_salt salt;
    uint8_t stored_key[SCRAM_KEY_LEN];
    uint8_t server_key[SCRAM_KEY_LEN];
};

bool scram_salt_equal(const struct scram_salt *a, const struct scram_salt *b);

/* A salt for a user who has no verifier: it looks random and is the same at every login of this
 * process, whether the user exists or not. */
bool scram_salt_of_user(const char *user, const uint8_t mock_key[32], int iterations,
                        struct scram_salt *out);

/* Hashes a password, which takes a millisecond or so for 4096 iterations.  False for passwords
 * beyond LIMIT_AUTH_MESSAGE, and if the cryptographic library fails. */
bool scram_keys_derive(const char *password, const struct scram_salt *salt, struct scram_keys *out);

bool scram_verifier_of_keys(const struct scram_keys *keys, struct scram_verifier *out);

/* The text SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.  False for any other text, and then
 * *out is undefined. */
bool scram_verifier_parse(const char *text, struct scram_verifier *out);
char *scram_verifier_text(const struct scram_verifier *verifier); /* owned by the caller */

/* A positive decimal number without sign, blanks or leading zeros; false if it exceeds `max`. */
bool scram_iterations_parse(const char *text, size_t len, int max, int *out);

/* HMAC-SHA-256 and SHA-256, with a key of SCRAM_KEY_LEN bytes. */
bool scram_hmac(const uint8_t *key, const void *bytes, size_t len, uint8_t *out);
bool scram_hash(const void *bytes, size_t len, uint8_t *out);

#endif
