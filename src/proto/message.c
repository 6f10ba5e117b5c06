#include "proto/message.h"

#include "base/limits.h"

static uint32_t longest(uint8_t kind)
{
    switch (kind) {
    case FE_BIND:
    case FE_COPY_DATA:
    case FE_FUNCTION_CALL:
    case FE_PARSE:
    case FE_QUERY:
        return LIMIT_LARGE_MESSAGE;
    case FE_CLOSE:
    case FE_COPY_DONE:
    case FE_COPY_FAIL:
    case FE_DESCRIBE:
    case FE_EXECUTE:
    case FE_FLUSH:
    case FE_SYNC:
    case FE_TERMINATE:
        return LIMIT_SMALL_MESSAGE;
    default:
        return 0;
    }
}

bool fe_kind_known(uint8_t kind)
{
    return longest(kind) > 0;
}

bool fe_length_ok(uint8_t kind, uint32_t length)
{
    return length >= 4 && length <= longest(kind);
}
