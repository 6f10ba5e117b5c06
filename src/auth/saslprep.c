#include "auth/saslprep.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <stringprep.h>

#include "base/mem.h"

enum {
    PREPARED_MAX = 1024, /* normalization takes quadratic time: longer ones stay as they are */
    ROWS_MAX = 32,       /* of libidn's table for SASLprep, which has 19 */
};

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

/* The steps of the RFC without normalization. */
static void copy_checks(Stringprep_profile rows[ROWS_MAX])
{
    size_t n = 0;
    memset(rows, 0, ROWS_MAX * sizeof *rows);
    for (const Stringprep_profile *from = stringprep_saslprep; from->operation != 0; from++)
        if (from->operation != STRINGPREP_NFKC) {
            assert(n + 1 < ROWS_MAX);
            rows[n++] = *from;
        }
}

/* Maps in place, which makes the text no longer, and looks for what is prohibited. */
static bool map_and_check(char *text)
{
    Stringprep_profile rows[ROWS_MAX];
    copy_checks(rows);
    /* Unassigned characters are refused as in a "stored string" of RFC 3454, section 7. */
    return stringprep(text, strlen(text) + 1, STRINGPREP_NO_UNASSIGNED, rows) == STRINGPREP_OK &&
           text[0] != '\0';
}

static char *normalize(const char *text)
{
    char *normal = stringprep_utf8_nfkc_normalize(text, -1);
    char *copy = mem_strdup(normal);
    if (normal != NULL)
        mem_wipe(normal, strlen(normal));
    free(normal);
    return copy;
}

char *saslprep(const char *password)
{
    if (is_ascii(password) || strlen(password) > PREPARED_MAX)
        return mem_strdup(password);
    char *mapped = mem_strdup(password);
    char *prepared = map_and_check(mapped) ? normalize(mapped) : NULL;
    mem_wipe_free(mapped);
    return prepared != NULL ? prepared : mem_strdup(password);
}
