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
    bool paused = atomic_load(&request->control->proxy->pools->paused);
    write_state(&request->table.cells, "active", !paused);
    write_state(&request->table.cells, "paused", paused);
    write_state(&request->table.cells, "suspended", false);
    request_done(request, "SHOW");
}

void show_variable(struct request *request)
{
    cell_text(&request->table.cells, request->command.variable->value);
    request_done(request, "SHOW");
}

void show_help(struct request *request)
{
    request_notice(request, "Console usage",
                   "\n"
                   "\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION\n"
                   "\tSHOW PEERS|PEER_POOLS\n"
                   "\tSHOW LISTS|STATE|TOTALS\n"
                   "\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES\n"
                   "\tSET key = arg\n"
                   "\tRELOAD\n"
                   "\tPAUSE [<db>]\n"
                   "\tRESUME [<db>]\n"
                   "\tDISABLE <db>\n"
                   "\tENABLE <db>\n"
                   "\tRECONNECT [<db>]\n"
                   "\tWAIT_CLOSE [<db>]\n"
                   "\tKILL [<db>]\n"
                   "\tKILL_CLIENT <client_id>\n"
                   "\tSHUTDOWN\n"
                   "\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS\n");
    request_done(request, "SHOW");
}
