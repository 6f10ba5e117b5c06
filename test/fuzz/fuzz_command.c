/* The language of the console: any text that a client may send. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "admin/command.h"
#include "base/err.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup((const char *)data, size);
    const char *at = text;
    struct command command;
    struct err err;
    while (command_next(&at, &command, &err) == COMMAND_FOUND) {
        struct command copy = command_copy(&command);
        size_t n;
        if (command_columns(&copy, &n) != NULL && n == 0)
            abort();
        command_done(&command);
        command_done(&copy);
    }
    mem_free(text);
    return 0;
}
