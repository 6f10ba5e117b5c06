#include "auth/md5.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static bool md5_text(const void *a, size_t a_len, const void *b, size_t b_len,
                     char out[MD5_TEXT_SIZE])
{
    struct buf both = BUF_NONE;
    uint8_t digest[EVP_MAX_MD_SIZE];
    buf_reserve(&both, a_len + b_len);
    buf_append(&both, a, a_len);
    buf_append(&both, b, b_len);
    bool ok = EVP_Digest(both.data, both.len, digest, NULL, EVP_md5(), NULL) == 1;
    mem_wipe(both.data, both.len);
    buf_done(&both);

    memcpy(out, "md5", 4);
    for (size_t i = 0; ok && i < 16; i++)
        snprintf(out + 3 + 2 * i, 3, "%02x", digest[i]);
    return ok;
}

bool md5_secret(const char *password, const char *user, char out[MD5_TEXT_SIZE])
{
    return md5_text(password, strlen(password), user, strlen(user), out);
}

bool md5_response(const char *stored, const uint8_t salt[4], char out[MD5_TEXT_SIZE])
{
    return md5_text(stored + 3, strlen(stored + 3), salt, 4, out);
}
