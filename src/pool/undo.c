#include "pool/undo.h"

#include <stddef.h>

#include "base/buf.h"

/* In this order: cursors hold temporary tables, and a role may not be allowed to reset a setting.
 * RESET ALL leaves the role as it is. */
static const struct {
    unsigned undo;
    const char *sql;
} steps[] = {
    {UNDO_SETTINGS, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL;"},
    {UNDO_CURSORS, "CLOSE ALL;"},
    {UNDO_LISTEN, "UNLISTEN *;RESET howdah.listens;"},
    {UNDO_LOCKS, "SELECT pg_catalog.pg_advisory_unlock_all();"},
    {UNDO_STATEMENTS, "DEALLOCATE ALL;"},
    {UNDO_TEMP, "DISCARD TEMP;"},
    {UNDO_SEQUENCES, "DISCARD SEQUENCES;"},
};

void undo_write(struct buf *sql, unsigned undo)
{
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if ((undo & steps[i].undo) != 0)
            buf_append_str(sql, steps[i].sql);
    }
}
