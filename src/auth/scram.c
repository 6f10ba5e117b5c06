#include "auth/scram.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "auth/base64.h"
#include "auth/saslprep.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

bool scram_hmac(const uint8_t *key, const void *bytes, size_t len, uint8_t *out)
{
    unsigned int out_len = SCRAM_KEY_LEN;
    return HMAC(EVP_sha256(), key, SCRAM_KEY_LEN, bytes, len, out, &out_len) != NULL;
}

bool scram_hash(const void *bytes, size_t len, uint8_t *out)
{
    return EVP_Digest(bytes, len, out, NULL, EVP_sha256(), NULL) == 1;
}

bool scram_salt_equal(const struct scram_salt *a, const struct scram_salt *b)
{
    return a->iterations == b->iterations && a->len == b->len &&
           memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool scram_salt_of_user(const char *user, const uint8_t mock_key[32], int iterations,
                        struct scram_salt *out)
{
    uint8_t digest[SCRAM_KEY_LEN];
    if (!scram_hmac(mock_key, user, strlen(user), digest))
        return false;
    *out = (struct scram_salt){.iterations = iterations, .len = SCRAM_SALT_LEN};
    memcpy(out->bytes, digest, SCRAM_SALT_LEN);
    return true;
}

static bool salt_password(const char *password, const struct scram_salt *salt, uint8_t *out)
{
    char *prepared = saslprep(password);
    size_t len = strlen(prepared);
    bool ok = PKCS5_PBKDF2_HMAC(prepared, (int)len, salt->bytes, (int)salt->len, salt->iterations,
                                EVP_sha256(), SCRAM_KEY_LEN, out) == 1;
    mem_wipe_free(prepared);
    return ok;
}

bool scram_keys_derive(const char *password, const struct scram_salt *salt, struct scram_keys *out)
{
    uint8_t salted[SCRAM_KEY_LEN];
    if (strlen(password) > LIMIT_AUTH_MESSAGE)
        return false;
    out->salt = *salt;
    bool ok = salt_password(password, salt, salted) &&
              scram_hmac(salted, "Client Key", 10, out->client_key) &&
              scram_hmac(salted, "Server Key", 10, out->server_key);
    mem_wipe(salted, sizeof salted);
    return ok;
}

bool scram_verifier_of_keys(const struct scram_keys *keys, struct scram_verifier *out)
{
    out->salt = keys->salt;
    memcpy(out->server_key, keys->server_key, SCRAM_KEY_LEN);
    return scram_hash(keys->client_key, SCRAM_KEY_LEN, out->stored_key);
}

bool scram_iterations_parse(const char *text, size_t len, int max, int *out)
{
    long value = 0;
    if (len == 0 || len > 10 || text[0] == '0')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    if (value > max)
        return false;
    *out = (int)value;
    return true;
}

/* Cuts off what stands before the next `end`, or before the NUL if that is asked for. */
static bool next_part(const char **at, char end, struct slice *part)
{
    const char *stop = strchr(*at, end);
    if (stop == NULL)
        return false;
    *part = (struct slice){*at, (size_t)(stop - *at)};
    *at = end != '\0' ? stop + 1 : stop;
    return true;
}

static bool decode_key(struct slice text, uint8_t *key)
{
    size_t len;
    return base64_decode(text, key, SCRAM_KEY_LEN, &len) && len == SCRAM_KEY_LEN;
}

bool scram_verifier_parse(const char *text, struct scram_verifier *out)
{
    struct slice iterations, salt, stored_key, server_key;
    size_t prefix_len = sizeof SCRAM_MECHANISM; /* with the '$' in the place of its NUL */
    if (strncmp(text, SCRAM_MECHANISM "$", prefix_len) != 0)
        return false;
    text += prefix_len;
    return next_part(&text, ':', &iterations) && next_part(&text, '$', &salt) &&
           next_part(&text, ':', &stored_key) && next_part(&text, '\0', &server_key) &&
           scram_iterations_parse(iterations.ptr, iterations.len, INT_MAX, &out->salt.iterations) &&
           base64_decode(salt, out->salt.bytes, SCRAM_SALT_MAX, &out->salt.len) &&
           out->salt.len > 0 && decode_key(stored_key, out->stored_key) &&
           decode_key(server_key, out->server_key);
}

char *scram_verifier_text(const struct scram_verifier *verifier)
{
    struct buf text = BUF_NONE;
    buf_printf(&text, SCRAM_MECHANISM "$%d:", verifier->salt.iterations);
    base64_append(&text, verifier->salt.bytes, verifier->salt.len);
    buf_append_str(&text, "$");
    base64_append(&text, verifier->stored_key, SCRAM_KEY_LEN);
    buf_append_str(&text, ":");
    base64_append(&text, verifier->server_key, SCRAM_KEY_LEN);
    buf_append_u8(&text, 0);
    return text.data;
}
