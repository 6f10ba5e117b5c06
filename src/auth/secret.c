#include "auth/secret.h"

#include <openssl/crypto.h>
#include <string.h>

#include "auth/scram.h"

static bool is_md5(const char *text)
{
    return strlen(text) == 35 && strncmp(text, "md5", 3) == 0 &&
           strspn(text + 3, "0123456789abcdef") == 32;
}

enum secret_kind secret_kind_of(const char *text)
{
    struct scram_verifier verifier;
    if (text == NULL || text[0] == '\0')
        return SECRET_NONE;
    if (is_md5(text))
        return SECRET_MD5;
    return scram_verifier_parse(text, &verifier) ? SECRET_SCRAM : SECRET_PLAIN;
}

bool secret_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}
