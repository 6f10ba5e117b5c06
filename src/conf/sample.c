#include "conf/sample.h"

#include <string.h>

#include "conf/table.h"
#include "conf/words.h"

enum { WIDTH = 98 };

static const char head[] =
    "; howdah: settings\n"
    ";\n"
    "; Every setting of this version, with its default behind a ';'.  Take the ';' away to set "
    "one.\n"
    "; A line is a comment if it begins with ';' or '#'; a value is the rest of its line.\n"
    "; Times are seconds, unless they have a unit: us ms s min h d.\n"
    "; %include FILE reads another file at that place.\n"
    "\n"
    ";; What clients connect to: name = connection string, with '' around values that have "
    "blanks.\n"
    ";; Keys: dbname host port cluster user password pool_size pool_mode query_wait_timeout "
    "server_lifetime\n"
    ";; max_db_client_connections client_encoding datestyle timezone application_name\n"
    ";; and with cluster: read_write_split max_lag reads_follow_writes\n"
    "[databases]\n"
    ";; a database of the same name on the server that listens on the unix socket\n"
    ";shop =\n"
    ";; a database elsewhere, one user for all clients\n"
    ";reports = host=10.0.0.2 port=5432 dbname=shop user=reader password='it''s secret'\n"
    ";; all others\n"
    ";* = host=10.0.0.1\n"
    "\n"
    ";; What is different for one user.\n"
    ";; Keys: pool_mode pool_size max_user_client_connections query_wait_timeout query_timeout\n"
    ";; idle_transaction_timeout transaction_timeout client_idle_timeout read_write_split max_lag\n"
    ";; reads_follow_writes\n"
    "[users]\n"
    ";batch = pool_mode=session pool_size=4 query_timeout=2h\n"
    "\n"
    ";; Other processes that clients reach by the same address: their peer_id = connection string. "
    " "
    "This\n"
    ";; one may be listed too.  Keys: host port pool_size (cancel requests under way at a time)\n"
    "[peers]\n"
    ";2 = host=10.0.0.6 port=6432\n"
    "\n"
    ";; A primary and its standbys, for databases such as: shop = cluster=main dbname=shop\n"
    ";; A node with role=standby never becomes the primary for us.\n"
    ";[cluster.main]\n"
    ";; weight (1 to 100) is its share of the reads; zone is where it is.\n"
    ";node.a = host=10.0.0.11 port=5432\n"
    ";node.b = host=10.0.0.12 port=5432 weight=2 zone=north\n"
    ";node.c = host=10.0.0.13 port=5432 role=standby\n"
    ";; the role that asks the nodes what they are, with its plain secret in auth_file if it needs "
    "one\n"
    ";probe_user = howdah\n"
    ";probe_dbname = postgres\n"
    ";probe_interval = 500ms\n"
    ";; how long clients wait while there is no primary\n"
    ";failover_timeout = 30s\n"
    ";; For this cluster: read_write_split read_from balance max_lag max_lag_bytes "
    "reads_follow_writes\n"
    ";; read_functions write_functions write_patterns zone; below is what they mean.\n"
    ";read_write_split = on\n"
    "\n"
    ";; The section may be called [pgbouncer] too.\n"
    "[howdah]\n";

/* As comment lines of at most WIDTH characters, broken at blanks. */
static void write_comment(FILE *out, const char *text)
{
    while (*text != '\0') {
        size_t len = strlen(text);
        if (len > WIDTH - 3) {
            len = WIDTH - 3;
            while (len > 0 && text[len] != ' ')
                len--;
        }
        fprintf(out, ";; %.*s\n", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
}

static void write_notes(FILE *out, const struct conf_setting *setting)
{
    if (setting->instead != NULL)
        fprintf(out, ";; without effect: %s\n", setting->instead);
    else if (!setting->built)
        fprintf(out, ";; not supported yet by this version: only the default is accepted\n");
    if (!setting->reloadable)
        fprintf(out, ";; read at start only\n");
}

static void write_setting(FILE *out, const struct conf_setting *setting)
{
    const char *blank = setting->default_text[0] != '\0' ? " " : "";
    fprintf(out, "\n");
    write_comment(out, setting->help);
    write_notes(out, setting);
    fprintf(out, ";%s =%s%s\n", setting->name, blank, setting->default_text);
}

void conf_write_sample(FILE *out)
{
    fputs(head, out);
    for (size_t i = 0; i < conf_table_len; i++)
        write_setting(out, &conf_table[i]);
}
