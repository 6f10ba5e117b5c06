/* What SHOW says of the process itself: settings, version, state, help. */
#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "base/buf.h"
#include "conf/settings.h"
#include "conf/table.h"

void show_config(struct request *request)
{
    struct buf *cells = &request->table.cells;
    struct buf value = BUF_NONE;
    for (size_t i = 0; i < conf_table_len; i++) {
        const struct conf_setting *setting = &conf_table[i];
        buf_clear(&value);
        conf_write_value(request->control->settings, setting, &value);
        buf_append_u8(&value, '\0');
        cell_text(cells, setting->name);
        cell_text(cells, value.data);
        cell_text(cells, setting->default_text);
        cell_text(cells, setting->reloadable ? "yes" : "no");
    }
    buf_done(&value);
    request_done(request, "SHOW");
}

void show_version(struct request *request)
{
    cell_text(&request->table.cells, "howdah " HOWDAH_VERSION);
    request_done(request, "SHOW");
}

static void write_state(struct buf *cells, const char *key, bool yes)
{
    cell_text(cells, key);
    cell_text(cells, yes ? "yes" : "no");
}

void show_state(struct request *request)
{
    bool paused = atomic_load(&request->control->proxy->pools->paused) != PAUSE_NONE;
    bool suspended = request->control->suspension.on;
    write_state(&request->table.cells, "active", !paused && !suspended);
    write_state(&request->table.cells, "paused", paused);
    write_state(&request->table.cells, "suspended", suspended);
    request_done(request, "SHOW");
}

void show_variable(struct request *request)
{
    cell_text(&request->table.cells, request->command.variable->value);
    request_done(request, "SHOW");
}

static void append_command(struct buf *text, const struct verb *verb)
{
    const char *parts[] = {verb->name, verb->object, verb->usage};
    const char *before = "";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i] == NULL || parts[i][0] == '\0')
            continue;
        buf_printf(text, "%s%s", before, parts[i]);
        before = " ";
    }
}

static void write_help(struct buf *cells, const struct verb *verb)
{
    struct buf command = BUF_NONE;
    append_command(&command, verb);
    buf_append_u8(&command, '\0');
    cell_text(cells, command.data);
    cell_text(cells, verb->right == RIGHT_LOOK ? "stats_users" : "admin_users");
    cell_text(cells, verb->help);
    buf_done(&command);
}

/* The rows are for drivers, most of which hide notices.  PgBouncer has the notice only, and people and
 * scripts look for it where psql prints it: both are there. */
void show_help(struct request *request)
{
    struct buf list = BUF_NONE;
    buf_append_u8(&list, '\n');
    for (const struct verb *verb = command_verbs; verb->name != NULL; verb++) {
        write_help(&request->table.cells, verb);
        buf_append_u8(&list, '\t');
        append_command(&list, verb);
        buf_append_u8(&list, '\n');
    }
    buf_append_u8(&list, '\0');
    request_notice(request, "Console usage", list.data);
    buf_done(&list);
    request_done(request, "SHOW");
}
