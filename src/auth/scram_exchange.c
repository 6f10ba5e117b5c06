#include "auth/scram_exchange.h"

#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "auth/base64.h"
#include "auth/secret.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    NONCE_BYTES = 18,          /* before base64, as PostgreSQL's */
    SERVER_MESSAGE_MAX = 2048, /* ours: what a server may make us hold and send back */
};

/* What both sides sign: client-first without its header, server-first, client-final without its
 * proof, with commas between them.  Grows as the messages go by. */
struct transcript {
    struct buf text;
};

struct scram_server {
    struct scram_verifier verifier;
    bool doomed;
    char *nonce;   /* owned: ours, until the client's is known; then both, in this order */
    char gs2_flag; /* the client's word on channel binding: 'n' or 'y' */
    struct transcript transcript;
    uint8_t client_key[SCRAM_KEY_LEN]; /* what the proof gave; right if the exchange succeeded */
};

struct scram_client {
    char *nonce; /* owned: ours, until the server's is known; then both */
    struct transcript transcript;
    uint8_t server_signature[SCRAM_KEY_LEN]; /* the right one, once the proof was sent */
};

/* --- errors --- */

static bool malformed(struct err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool malformed(struct err *err, const char *format, ...)
{
    char detail[256];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "malformed SCRAM message");
    err_detail(err, "%s", detail);
    return false;
}

static bool crypto_failed(struct err *err)
{
    return err_set(err, SQLSTATE_INTERNAL_ERROR, "could not compute SCRAM keys");
}

struct shown_char {
    char text[8];
};

static struct shown_char show(char c)
{
    struct shown_char shown;
    if (c >= 0x21 && c <= 0x7e)
        snprintf(shown.text, sizeof shown.text, "'%c'", c);
    else
        snprintf(shown.text, sizeof shown.text, "0x%02x", (unsigned char)c);
    return shown;
}

/* --- attributes: "a=value", separated by commas --- */

static char peek(const struct reader *in)
{
    return reader_left(in) > 0 ? *in->pos : '\0';
}

static bool read_value(struct reader *in, char attribute, struct slice *value, struct err *err)
{
    if (peek(in) != '=')
        return malformed(err, "Expected character \"=\" for attribute \"%c\".", attribute);
    in->pos++;
    const char *comma = memchr(in->pos, ',', reader_left(in));
    *value = read_bytes(in, comma != NULL ? (size_t)(comma - in->pos) : reader_left(in));
    if (comma != NULL)
        in->pos++;
    return true;
}

static bool read_attribute(struct reader *in, char attribute, struct slice *value, struct err *err)
{
    if (peek(in) != attribute)
        return malformed(err, "Expected attribute \"%c\" but found \"%s\".", attribute,
                         show(peek(in)).text);
    in->pos++;
    return read_value(in, attribute, value, err);
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool read_any_attribute(struct reader *in, char *attribute, struct slice *value,
                               struct err *err)
{
    if (reader_left(in) == 0)
        return malformed(err, "Attribute expected, but found end of string.");
    *attribute = peek(in);
    if (!is_letter(*attribute))
        return malformed(err, "Attribute expected, but found invalid character \"%s\".",
                         show(*attribute).text);
    in->pos++;
    return read_value(in, *attribute, value, err);
}

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7e)
            return false;
    return true;
}

static bool check_nonce(struct slice nonce, struct err *err)
{
    if (!is_printable(nonce))
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "non-printable characters in SCRAM nonce");
    return true;
}

static bool check_message(struct slice message, size_t max, struct err *err)
{
    if (message.len == 0)
        return malformed(err, "The message is empty.");
    if (message.len > max)
        return malformed(err, "The message is too long.");
    if (memchr(message.ptr, '\0', message.len) != NULL)
        return malformed(err, "Message length does not match input length.");
    return true;
}

/* --- what both sides do --- */

static bool make_nonce(char **nonce, struct err *err)
{
    uint8_t bytes[NONCE_BYTES];
    struct buf text = BUF_NONE;
    if (*nonce != NULL)
        return true;
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return err_set(err, SQLSTATE_INTERNAL_ERROR, "could not generate random nonce");
    base64_append(&text, bytes, sizeof bytes);
    buf_append_u8(&text, 0);
    *nonce = text.data;
    return true;
}

static void transcript_add(struct transcript *transcript, const char *text, size_t len)
{
    if (transcript->text.len > 0)
        buf_append_u8(&transcript->text, ',');
    buf_append(&transcript->text, text, len);
}

static bool transcript_sign(const struct transcript *transcript, const uint8_t *key, uint8_t *out)
{
    return scram_hmac(key, transcript->text.data, transcript->text.len, out);
}

static void xor_keys(const uint8_t *a, const uint8_t *b, uint8_t *out)
{
    for (size_t i = 0; i < SCRAM_KEY_LEN; i++)
        out[i] = a[i] ^ b[i];
}

static bool decode_key(struct slice text, uint8_t *key)
{
    size_t len;
    return base64_decode(text, key, SCRAM_KEY_LEN, &len) && len == SCRAM_KEY_LEN;
}

/* --- the server's side --- */

struct scram_server *scram_server_new(const struct scram_verifier *verifier, bool doomed,
                                      const char *nonce)
{
    struct scram_server *scram = mem_new(sizeof *scram);
    scram->verifier = *verifier;
    scram->doomed = doomed;
    scram->nonce = mem_strdup(nonce);
    return scram;
}

void scram_server_free(struct scram_server *scram)
{
    if (scram == NULL)
        return;
    mem_free(scram->nonce);
    buf_done(&scram->transcript.text);
    mem_wipe(scram, sizeof *scram);
    mem_free(scram);
}

/* The header of the outer framework, GSS-API: channel binding and an identity to act for. */
static bool read_gs2_header(struct reader *in, char *flag, struct err *err)
{
    *flag = peek(in);
    if (*flag == 'p')
        return malformed(err,
                         "The client selected %s without channel binding, but the SCRAM "
                         "message includes channel binding data.",
                         SCRAM_MECHANISM);
    if (*flag != 'n' && *flag != 'y')
        return malformed(err, "Unexpected channel-binding flag \"%s\".", show(*flag).text);
    in->pos++;
    if (peek(in) != ',')
        return malformed(err, "Comma expected, but found character \"%s\".", show(peek(in)).text);
    in->pos++;
    if (peek(in) == 'a')
        return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                       "client uses authorization identity, but it is not supported");
    if (peek(in) != ',')
        return malformed(err, "Unexpected attribute \"%s\" in client-first-message.",
                         show(peek(in)).text);
    in->pos++;
    return true;
}

/* The user name is not looked at: the startup packet has named the user. */
static bool read_first_bare(struct reader *in, struct slice *nonce, struct err *err)
{
    struct slice ignored = {NULL, 0};
    char attribute;
    if (peek(in) == 'm')
        return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                       "client requires an unsupported SCRAM extension");
    if (!read_attribute(in, 'n', &ignored, err) || !read_attribute(in, 'r', nonce, err) ||
        !check_nonce(*nonce, err))
        return false;
    while (reader_left(in) > 0)
        if (!read_any_attribute(in, &attribute, &ignored, err))
            return false;
    return true;
}

static void append_challenge(struct scram_server *scram, struct buf *out)
{
    size_t start = out->len;
    buf_append_str(out, "r=");
    buf_append_str(out, scram->nonce);
    buf_append_str(out, ",s=");
    base64_append(out, scram->verifier.salt.bytes, scram->verifier.salt.len);
    buf_append_str(out, ",i=");
    buf_printf(out, "%d", scram->verifier.salt.iterations);
    transcript_add(&scram->transcript, out->data + start, out->len - start);
}

bool scram_server_first(struct scram_server *scram, struct slice client_first, struct buf *out,
                        struct err *err)
{
    struct slice nonce = {NULL, 0};
    if (!check_message(client_first, LIMIT_SASL_MESSAGE, err))
        return false;
    struct reader in = reader_of(client_first.ptr, client_first.len);
    if (!read_gs2_header(&in, &scram->gs2_flag, err))
        return false;
    transcript_add(&scram->transcript, in.pos, reader_left(&in));
    if (!read_first_bare(&in, &nonce, err) || !make_nonce(&scram->nonce, err))
        return false;
    char *both = mem_printf("%.*s%s", (int)nonce.len, nonce.ptr, scram->nonce);
    mem_free(scram->nonce);
    scram->nonce = both;
    append_challenge(scram, out);
    return true;
}

/* Without channel binding the client repeats its header, in base64: "n,," or "y,,". */
static bool check_binding(const struct scram_server *scram, struct slice binding, struct err *err)
{
    if (!slice_is(binding, scram->gs2_flag == 'y' ? "eSws" : "biws"))
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                       "unexpected SCRAM channel-binding attribute in client-final-message");
    return true;
}

/* Reads attributes up to the proof, which must be the last; *unsigned_end is the comma before it. */
static bool read_proof(struct reader *in, const char **unsigned_end, uint8_t *proof,
                       struct err *err)
{
    struct slice value = {NULL, 0};
    char attribute = 0;
    do {
        *unsigned_end = in->pos - 1;
        if (!read_any_attribute(in, &attribute, &value, err))
            return false;
    } while (attribute != 'p');
    if (!decode_key(value, proof))
        return malformed(err, "Malformed proof in client-final-message.");
    if (reader_left(in) > 0)
        return malformed(err, "Garbage found at the end of client-final-message.");
    return true;
}

static bool read_client_final(struct scram_server *scram, struct slice message, uint8_t *proof,
                              struct err *err)
{
    struct slice binding = {NULL, 0}, nonce = {NULL, 0};
    const char *unsigned_end;
    struct reader in = reader_of(message.ptr, message.len);
    if (!read_attribute(&in, 'c', &binding, err) || !check_binding(scram, binding, err) ||
        !read_attribute(&in, 'r', &nonce, err) || !read_proof(&in, &unsigned_end, proof, err))
        return false;
    if (!slice_is(nonce, scram->nonce)) {
        err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid SCRAM response");
        err_detail(err, "Nonce does not match.");
        return false;
    }
    transcript_add(&scram->transcript, message.ptr, (size_t)(unsigned_end - message.ptr));
    return true;
}

/* The proof is the client's key, hidden by a signature that we can make as well. */
static bool check_proof(struct scram_server *scram, const uint8_t *proof, struct err *err)
{
    uint8_t signature[SCRAM_KEY_LEN], stored_key[SCRAM_KEY_LEN];
    if (!transcript_sign(&scram->transcript, scram->verifier.stored_key, signature))
        return crypto_failed(err);
    xor_keys(proof, signature, scram->client_key);
    if (!scram_hash(scram->client_key, SCRAM_KEY_LEN, stored_key))
        return crypto_failed(err);
    bool right = secret_equal(stored_key, SCRAM_KEY_LEN, scram->verifier.stored_key, SCRAM_KEY_LEN);
    if (!right || scram->doomed)
        return err_set(err, SQLSTATE_INVALID_PASSWORD, "SASL authentication failed");
    return true;
}

bool scram_server_final(struct scram_server *scram, struct slice client_final, struct buf *out,
                        struct err *err)
{
    uint8_t proof[SCRAM_KEY_LEN], signature[SCRAM_KEY_LEN];
    if (!check_message(client_final, LIMIT_SASL_MESSAGE, err) ||
        !read_client_final(scram, client_final, proof, err) || !check_proof(scram, proof, err))
        return false;
    if (!transcript_sign(&scram->transcript, scram->verifier.server_key, signature))
        return crypto_failed(err);
    buf_append_str(out, "v=");
    base64_append(out, signature, sizeof signature);
    return true;
}

void scram_server_keys(const struct scram_server *scram, struct scram_keys *out)
{
    out->salt = scram->verifier.salt;
    memcpy(out->client_key, scram->client_key, SCRAM_KEY_LEN);
    memcpy(out->server_key, scram->verifier.server_key, SCRAM_KEY_LEN);
}

/* --- the client's side --- */

struct scram_client *scram_client_new(const char *nonce)
{
    struct scram_client *scram = mem_new(sizeof *scram);
    scram->nonce = mem_strdup(nonce);
    return scram;
}

void scram_client_free(struct scram_client *scram)
{
    if (scram == NULL)
        return;
    mem_free(scram->nonce);
    buf_done(&scram->transcript.text);
    mem_wipe(scram, sizeof *scram);
    mem_free(scram);
}

bool scram_client_first(struct scram_client *scram, struct buf *out, struct err *err)
{
    if (!make_nonce(&scram->nonce, err))
        return false;
    buf_append_str(out, "n,,");
    size_t bare = out->len;
    buf_append_str(out, "n=,r="); /* PostgreSQL takes the name from the startup packet */
    buf_append_str(out, scram->nonce);
    transcript_add(&scram->transcript, out->data + bare, out->len - bare);
    return true;
}

/* The server must have added to our nonce, or it could replay an exchange. */
static bool take_nonce(struct scram_client *scram, struct slice nonce, struct err *err)
{
    size_t own_len = strlen(scram->nonce);
    if (!check_nonce(nonce, err))
        return false;
    if (nonce.len <= own_len || memcmp(nonce.ptr, scram->nonce, own_len) != 0) {
        err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid SCRAM response");
        err_detail(err, "Nonce does not match.");
        return false;
    }
    mem_free(scram->nonce);
    scram->nonce = mem_strndup(nonce.ptr, nonce.len);
    return true;
}

static bool read_salt(struct slice salt, struct slice iterations, struct scram_salt *out,
                      struct err *err)
{
    *out = (struct scram_salt){.iterations = 0};
    if (!base64_decode(salt, out->bytes, SCRAM_SALT_MAX, &out->len) || out->len == 0)
        return malformed(err, "Invalid salt in server-first-message.");
    if (!scram_iterations_parse(iterations.ptr, iterations.len, LIMIT_SCRAM_ITERATIONS,
                                &out->iterations))
        return malformed(err,
                         "Invalid iteration count in server-first-message; 1 to %d are "
                         "accepted.",
                         LIMIT_SCRAM_ITERATIONS);
    return true;
}

bool scram_client_challenge(struct scram_client *scram, struct slice server_first,
                            struct scram_salt *salt, struct err *err)
{
    struct slice nonce = {NULL, 0}, salt_text = {NULL, 0}, iterations = {NULL, 0};
    if (!check_message(server_first, SERVER_MESSAGE_MAX, err))
        return false;
    struct reader in = reader_of(server_first.ptr, server_first.len);
    if (!read_attribute(&in, 'r', &nonce, err) || !take_nonce(scram, nonce, err) ||
        !read_attribute(&in, 's', &salt_text, err) || !read_attribute(&in, 'i', &iterations, err) ||
        !read_salt(salt_text, iterations, salt, err))
        return false;
    if (reader_left(&in) > 0)
        return malformed(err, "Garbage found at the end of server-first-message.");
    transcript_add(&scram->transcript, server_first.ptr, server_first.len);
    return true;
}

static bool make_proof(struct scram_client *scram, const struct scram_keys *keys, uint8_t *proof)
{
    uint8_t stored_key[SCRAM_KEY_LEN], signature[SCRAM_KEY_LEN];
    bool ok = scram_hash(keys->client_key, SCRAM_KEY_LEN, stored_key) &&
              transcript_sign(&scram->transcript, stored_key, signature) &&
              transcript_sign(&scram->transcript, keys->server_key, scram->server_signature);
    if (ok)
        xor_keys(keys->client_key, signature, proof);
    return ok;
}

bool scram_client_final(struct scram_client *scram, const struct scram_keys *keys, struct buf *out,
                        struct err *err)
{
    uint8_t proof[SCRAM_KEY_LEN];
    size_t start = out->len;
    buf_append_str(out, "c=biws,r=");
    buf_append_str(out, scram->nonce);
    transcript_add(&scram->transcript, out->data + start, out->len - start);
    if (!make_proof(scram, keys, proof))
        return crypto_failed(err);
    buf_append_str(out, ",p=");
    base64_append(out, proof, sizeof proof);
    return true;
}

static bool refuse_server_error(struct slice text, struct err *err)
{
    bool fit = is_printable(text) && text.len <= 64;
    return err_set(err, SQLSTATE_INVALID_PASSWORD,
                   "error received from server in SCRAM exchange: %.*s", fit ? (int)text.len : 10,
                   fit ? text.ptr : "unreadable");
}

bool scram_client_verify(struct scram_client *scram, struct slice server_final, struct err *err)
{
    struct slice value = {NULL, 0};
    uint8_t signature[SCRAM_KEY_LEN];
    if (!check_message(server_final, SERVER_MESSAGE_MAX, err))
        return false;
    struct reader in = reader_of(server_final.ptr, server_final.len);
    if (peek(&in) == 'e')
        return read_attribute(&in, 'e', &value, err) && refuse_server_error(value, err);
    if (!read_attribute(&in, 'v', &value, err))
        return false;
    if (reader_left(&in) > 0)
        return malformed(err, "Garbage found at the end of server-final-message.");
    if (!decode_key(value, signature))
        return malformed(err, "Malformed server signature.");
    if (!secret_equal(signature, SCRAM_KEY_LEN, scram->server_signature, SCRAM_KEY_LEN))
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "incorrect server signature");
    return true;
}
