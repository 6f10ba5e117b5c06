#include "admin/portals.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"

enum { KEPT_MAX = 256 }; /* statements, and portals, of one session */

#define SQLSTATE_INVALID_CURSOR_NAME "34000"
#define SQLSTATE_DUPLICATE_CURSOR    "42P03"

struct portals {
    struct prepared *statements;
    struct portal *portals;
    size_t n_statements, n_portals;
};

struct portals *portals_new(void)
{
    return mem_new(sizeof(struct portals));
}

static void free_prepared(struct prepared *prepared)
{
    command_done(&prepared->command);
    mem_free(prepared->name);
    mem_free(prepared);
}

static void free_portal(struct portal *portal)
{
    command_done(&portal->command);
    table_done(&portal->table);
    mem_free(portal->formats);
    mem_free(portal->name);
    mem_free(portal->tag);
    mem_free(portal);
}

void portals_free(struct portals *portals)
{
    if (portals == NULL)
        return;
    portals_close_all(portals);
    while (portals->statements != NULL)
        portals_close_prepared(portals, portals->statements->name);
    mem_free(portals);
}

static struct prepared **find_prepared(struct portals *portals, const char *name)
{
    struct prepared **at = &portals->statements;
    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static struct portal **find_portal(struct portals *portals, const char *name)
{
    struct portal **at = &portals->portals;
    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

struct prepared *portals_get_prepared(struct portals *portals, const char *name, struct err *err)
{
    struct prepared *found = *find_prepared(portals, name);
    if (found == NULL && name[0] == '\0')
        err_set(err, SQLSTATE_INVALID_STATEMENT_NAME, "unnamed prepared statement does not exist");
    else if (found == NULL)
        err_set(err, SQLSTATE_INVALID_STATEMENT_NAME,
                "prepared statement \"%.200s\" does not exist", name);
    return found;
}

struct portal *portals_get(struct portals *portals, const char *name, struct err *err)
{
    struct portal *found = *find_portal(portals, name);
    if (found == NULL)
        err_set(err, SQLSTATE_INVALID_CURSOR_NAME, "portal \"%.200s\" does not exist", name);
    return found;
}

void portals_close_prepared(struct portals *portals, const char *name)
{
    struct prepared **at = find_prepared(portals, name);
    struct prepared *found = *at;
    if (found == NULL)
        return;
    *at = found->next;
    portals->n_statements--;
    free_prepared(found);
}

void portals_close(struct portals *portals, const char *name)
{
    struct portal **at = find_portal(portals, name);
    struct portal *found = *at;
    if (found == NULL)
        return;
    *at = found->next;
    portals->n_portals--;
    free_portal(found);
}

void portals_close_all(struct portals *portals)
{
    while (portals->portals != NULL)
        portals_close(portals, portals->portals->name);
}

struct table_formats portal_formats(const struct portal *portal)
{
    return (struct table_formats){.codes = portal->formats, .n = portal->n_formats};
}

static bool broken(struct err *err)
{
    return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid message format");
}

static bool full(size_t n, struct err *err)
{
    if (n >= KEPT_MAX)
        err_set(err, SQLSTATE_PROGRAM_LIMIT_EXCEEDED, "the session has too many names");
    return n >= KEPT_MAX;
}

/* ---- Parse ---- */

/* One command, or none. */
static bool parse_text(const char *text, struct prepared *prepared, struct err *err)
{
    struct command second;
    enum command_found found = command_next(&text, &prepared->command, err);
    prepared->empty = found == COMMAND_END;
    if (found == COMMAND_INVALID)
        return false;
    if (command_next(&text, &second, err) == COMMAND_END)
        return true;
    command_done(&second);
    return err_set(err, SQLSTATE_SYNTAX_ERROR,
                   "cannot insert multiple commands into a prepared statement");
}

bool portals_parse(struct portals *portals, struct reader *body, struct err *err)
{
    const char *name = read_cstr(body);
    const char *text = read_cstr(body);
    size_t n_types = read_u16(body);
    read_bytes(body, 4 * n_types);
    if (body->bad || reader_left(body) > 0)
        return broken(err);
    if (name[0] == '\0')
        portals_close_prepared(portals, name);
    else if (*find_prepared(portals, name) != NULL)
        return err_set(err, SQLSTATE_DUPLICATE_STATEMENT,
                       "prepared statement \"%.200s\" already exists", name);
    if (full(portals->n_statements, err))
        return false;
    struct prepared *prepared = mem_new(sizeof *prepared);
    if (!parse_text(text, prepared, err)) {
        free_prepared(prepared);
        return false;
    }
    prepared->name = mem_strdup(name);
    prepared->next = portals->statements;
    portals->statements = prepared;
    portals->n_statements++;
    return true;
}

/* ---- Bind ---- */

static bool read_formats(struct reader *body, struct portal *portal, struct err *err)
{
    size_t n = read_u16(body);
    if (reader_left(body) != 2 * n)
        return broken(err);
    size_t n_columns = 0;
    if (!portal->empty)
        command_columns(&portal->command, &n_columns);
    if (n > 1 && n != n_columns)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                       "bind message has %zu result formats but query has %zu columns", n,
                       n_columns);
    portal->formats = mem_new_array(n > 0 ? n : 1, sizeof *portal->formats);
    portal->n_formats = n;
    for (size_t i = 0; i < n; i++) {
        portal->formats[i] = read_u16(body);
        if (portal->formats[i] > 1)
            return err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE, "unsupported format code: %u",
                           portal->formats[i]);
    }
    return true;
}

static bool read_parameters(struct reader *body, struct err *err)
{
    size_t n_formats = read_u16(body);
    read_bytes(body, 2 * n_formats);
    size_t n_values = read_u16(body);
    if (body->bad)
        return broken(err);
    if (n_values > 0)
        return err_set(
            err, SQLSTATE_PROTOCOL_VIOLATION,
            "bind message supplies %zu parameters, but commands of the console have none",
            n_values);
    return true;
}

bool portals_bind(struct portals *portals, struct reader *body, struct err *err)
{
    const char *name = read_cstr(body);
    const char *statement = read_cstr(body);
    if (body->bad)
        return broken(err);
    struct prepared *prepared = portals_get_prepared(portals, statement, err);
    if (prepared == NULL)
        return false;
    if (name[0] == '\0')
        portals_close(portals, name);
    else if (*find_portal(portals, name) != NULL)
        return err_set(err, SQLSTATE_DUPLICATE_CURSOR, "portal \"%.200s\" already exists", name);
    if (full(portals->n_portals, err))
        return false;
    struct portal *portal = mem_new(sizeof *portal);
    portal->empty = prepared->empty;
    portal->command = command_copy(&prepared->command);
    if (!read_parameters(body, err) || !read_formats(body, portal, err)) {
        free_portal(portal);
        return false;
    }
    portal->name = mem_strdup(name);
    portal->next = portals->portals;
    portals->portals = portal;
    portals->n_portals++;
    return true;
}
