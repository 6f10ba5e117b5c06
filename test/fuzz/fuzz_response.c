/* Errors of a server: any bytes give an error that we can send on, and read back as it is. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/reader.h"
#include "proto/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_framing(const struct buf *out)
{
    struct reader in = reader_of(out->data, out->len);
    assert(read_u8(&in) == 'E' && read_u32(&in) == out->len - 1);
    while (read_u8(&in) != 0)
        assert(read_cstr(&in) != NULL);
    assert(!in.bad && reader_left(&in) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_NONE, back = ERR_NONE;
    const char *severity;
    struct buf out = BUF_NONE, again = BUF_NONE;
    response_parse((const char *)data, size, &err, &severity);
    assert(strlen(err.sqlstate) == 5);
    response_error(&out, severity[0] != '\0' ? severity : "ERROR", &err);
    check_framing(&out);

    /* Once cleaned, a text stays as it is. */
    response_parse(out.data + 5, out.len - 5, &back, &severity);
    response_error(&again, severity, &back);
    assert(again.len == out.len && memcmp(again.data, out.data, out.len) == 0);
    buf_done(&out);
    buf_done(&again);
    return 0;
}
