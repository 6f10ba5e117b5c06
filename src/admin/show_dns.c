/* SHOW DNS_HOSTS and DNS_ZONES. */
#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "base/buf.h"
#include "net/resolve.h"
#include "pool/pool.h"

static void write_host(void *arg, const char *host, int64_t left_us,
                       const struct address *addresses, size_t n_addresses)
{
    struct buf *cells = arg, list = BUF_NONE;
    char text[80];
    for (size_t i = 0; i < n_addresses; i++) {
        address_print(&addresses[i], text, sizeof text);
        buf_printf(&list, "%s%s", i > 0 ? "," : "", text);
    }
    buf_append_u8(&list, '\0');
    cell_text(cells, host);
    cell_int(cells, left_us / 1000000);
    cell_text(cells, list.data);
    buf_done(&list);
}

void show_dns_hosts(struct request *request)
{
    resolver_for_each(request->control->proxy->pools->resolver, write_host, &request->table.cells);
    request_done(request, "SHOW");
}

/* Names are resolved again when their time is over; nobody polls the serials of zones. */
void show_dns_zones(struct request *request)
{
    request_done(request, "SHOW");
}
