#include "session/reading.h"

#include <string.h>
#include <strings.h>

#include "base/reader.h"
#include "pool/params.h"
#include "pool/statements.h"
#include "proto/message.h"
#include "session/client.h"
#include "session/names.h"
#include "session/naming.h"
#include "session/routing.h"
#include "session/state.h"
#include "session/worker.h"
#include "sql/hints.h"

/* A batch, as far as it has been looked at. */
struct looking {
    struct client *client;
    const char *data;
    struct batch_look look;
    const char *parsed[8]; /* names that Parse messages of the batch have */
    size_t n_parsed;
    bool seen;  /* there is something to run */
    bool plain; /* no text of it begins a transaction, or has a comment for us */
};

static void refuse(struct looking *looking, enum reads_reason reason)
{
    looking->look.kind = BATCH_ELSE;
    looking->look.reason = reason;
}

static bool is_set(const struct client *client, const char *name, const char *value)
{
    const struct params_table *table = client->worker->proxy->pools->params;
    const char *set = params_find(table, client->params, name);
    return set != NULL && strcmp(set, value) == 0;
}

/* A transaction that stays open: may it be on a standby? */
static void take_begin(struct looking *looking, const struct sql_modes *modes)
{
    const struct client *client = looking->client;
    looking->plain = false;
    if (modes->access != SQL_READ_ONLY && !is_set(client, "default_transaction_read_only", "on"))
        refuse(looking, REASON_READ_WRITE);
}

/* Of a wish that is not understood. */
static const struct wishes primary_only = {.has_role = true, .role = WISH_PRIMARY};

static struct slice slice_of(const char *text, struct sql_span span)
{
    return (struct slice){.ptr = text + span.start, .len = span.len};
}

static void take_hints(struct looking *looking, const char *text, size_t len)
{
    if (memmem(text, len, "howdah:", 7) == NULL)
        return;
    looking->plain = false;
    struct sql_hints hints = sql_hints_of(text, len, true);
    for (uint32_t i = 0; i < hints.n; i++) {
        const struct sql_hint *hint = &hints.at[i];
        struct slice key = slice_of(text, hint->key), value = slice_of(text, hint->value);
        struct err err;
        if (wishes_take(&looking->look.wishes, key, value, &err) == WISH_INVALID)
            looking->look.wishes = primary_only;
    }
}

/* Behind these words, which come one after the other with blanks between them; 0: they do not. */
static size_t behind(const char *text, size_t len, const char *const *words)
{
    static const char blank[] = " \t\n\r\f\v";
    size_t at = 0;
    for (; *words != NULL; words++) {
        size_t n = strlen(*words);
        while (at < len && strchr(blank, text[at]) != NULL)
            at++;
        if (len - at < n || strncasecmp(text + at, *words, n) != 0)
            return 0;
        at += n;
    }
    while (at < len && strchr(blank, text[at]) != NULL)
        at++;
    return at;
}

/* What is for us: EXPLAIN (ROUTE), which ends the batch, and what is sent in other words. */
static bool take_own(struct looking *looking, const char *text, size_t len)
{
    static const char *const explain[] = {"explain", "(", "route", ")", NULL};
    /* PRIMARY is a word that the grammar keeps for itself. */
    static const struct {
        const char *words[5], *instead;
    } others[] = {
        {{"show", "howdah.token", NULL},
         "SELECT pg_catalog.pg_current_wal_insert_lsn()::text AS \"howdah.token\""},
        {{"set", "howdah.role", "=", "primary", NULL}, "SET howdah.role = 'primary'"},
        {{"set", "howdah.role", "to", "primary", NULL}, "SET howdah.role = 'primary'"},
    };
    size_t at = behind(text, len, explain);
    if (at > 0) {
        looking->look.explained = (size_t)(text - looking->data) + at;
        return true;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        at = behind(text, len, others[i].words);
        if (at == 0 || (at != len && text[at] != ';'))
            continue;
        looking->look.own = (size_t)(text - looking->data);
        looking->look.own_len = len;
        looking->look.instead = others[i].instead;
    }
    return false;
}

static void take_text(struct looking *looking, const char *text, size_t len)
{
    struct client *client = looking->client;
    len = strnlen(text, len);
    if (take_own(looking, text, len)) {
        refuse(looking, REASON_COMMAND);
        return;
    }
    take_hints(looking, text, len);
    struct reads_answer answer = routing_reads(client, text, len);
    switch (answer.reads) {
    case READS_YES:
        break;
    case READS_ANYWHERE: /* there is nothing to gain */
        looking->look.idle = true;
        refuse(looking, answer.reason);
        break;
    case READS_NO:
        refuse(looking, answer.reason);
        break;
    case READS_BEGIN:
        take_begin(looking, &answer.modes);
        break;
    }
    looking->seen = true;
}

static bool is_parsed(const struct looking *looking, const char *name)
{
    for (size_t i = 0; i < looking->n_parsed; i++) {
        if (strcmp(looking->parsed[i], name) == 0)
            return true;
    }
    return false;
}

/* What it found is kept with it, as of the rules and the catalog that it found it by. */
static void take_statement(struct looking *looking, struct statement *statement)
{
    uint64_t key = routing_key(looking->client);
    looking->seen = true;
    if (key != 0 && atomic_load_explicit(&statement->reads_by, memory_order_relaxed) == key)
        return;
    looking->plain = true;
    take_text(looking, statement->body, statement->len);
    if (looking->plain && looking->look.kind != BATCH_ELSE)
        atomic_store_explicit(&statement->reads_by, key, memory_order_relaxed);
}

static void take_name(struct looking *looking, const char *name)
{
    struct client *client = looking->client;
    if (is_parsed(looking, name))
        return;
    if (name[0] == '\0') {
        if (client->unnamed != NULL && client->unnamed->len > 0)
            take_text(looking, client->unnamed->body, client->unnamed->len);
        else
            refuse(looking, REASON_PREPARED);
        return;
    }
    struct name *found = naming_find(client, name);
    if (found == NULL || found->statement == NULL || statement_is_by_sql(found->statement))
        refuse(looking, REASON_PREPARED);
    else
        take_statement(looking, found->statement);
}

static void take_parse(struct looking *looking, struct reader *reader)
{
    const char *name = read_cstr(reader);
    if (name == NULL || looking->n_parsed == sizeof looking->parsed / sizeof looking->parsed[0]) {
        refuse(looking, REASON_PREPARED);
        return;
    }
    looking->parsed[looking->n_parsed++] = name;
    looking->look.repeats &= name[0] == '\0';
    take_text(looking, reader->pos, reader_left(reader));
}

/* Of a statement, or of a portal, whose statement was looked at when it was bound. */
static void take_describe(struct looking *looking, struct reader *reader)
{
    bool of_statement = read_u8(reader) == 'S';
    const char *name = read_cstr(reader);
    if (name == NULL)
        refuse(looking, REASON_UNPARSED);
    else if (of_statement)
        take_name(looking, name);
}

static void take_bind(struct looking *looking, struct reader *reader)
{
    read_cstr(reader);
    const char *name = read_cstr(reader);
    if (name == NULL)
        refuse(looking, REASON_UNPARSED);
    else
        take_name(looking, name);
}

/* True: the batch ends with it. */
static bool take_message(struct looking *looking, uint8_t kind, const char *body, size_t len)
{
    struct reader reader = reader_of(body, len);
    switch (kind) {
    case FE_QUERY:
        take_text(looking, body, len);
        looking->look.idle &= looking->look.kind == BATCH_ELSE;
        return true;
    case FE_PARSE:
        take_parse(looking, &reader);
        looking->look.idle = false; /* what is behind it is not looked at */
        return false;
    case FE_BIND:
        take_bind(looking, &reader);
        return false;
    case FE_DESCRIBE:
        take_describe(looking, &reader);
        return false;
    case FE_EXECUTE:
        return false;
    case FE_CLOSE:
        looking->look.repeats = false;
        return false;
    case FE_SYNC:
        if (!looking->seen)
            refuse(looking, REASON_COMMAND);
        return true;
    default:
        refuse(looking, REASON_COMMAND);
        return true;
    }
}

struct batch_look reading_look(struct client *client, const char *data, size_t len)
{
    struct looking looking = {.client = client, .data = data, .look = {.repeats = true}};
    size_t at = 0;
    bool complete = false;
    while (!complete && looking.look.kind != BATCH_ELSE) {
        size_t left = len - at;
        uint32_t length = left >= MESSAGE_HEADER ? load_u32(data + at + 1) : 0;
        if (left < MESSAGE_HEADER && at + left < READING_MOST)
            return looking.look;
        if (length < 4 || at + length >= READING_MOST) {
            refuse(&looking, REASON_UNPARSED);
        } else if (left < 1 + (size_t)length) {
            return looking.look;
        } else {
            complete =
                take_message(&looking, (uint8_t)data[at], data + at + MESSAGE_HEADER, length - 4);
            at += 1 + (size_t)length;
        }
    }
    if (looking.look.kind != BATCH_ELSE)
        looking.look.kind = BATCH_READS;
    looking.look.len = at;
    return looking.look;
}

static void visit_statement(struct client *client, const char *name, reading_visit *visit)
{
    struct name *found = name != NULL && name[0] != '\0' ? naming_find(client, name) : NULL;
    if (found != NULL && found->statement != NULL)
        visit(client, found->statement->body, found->statement->len);
    else if (name != NULL && name[0] == '\0' && client->unnamed != NULL)
        visit(client, client->unnamed->body, client->unnamed->len);
}

void reading_for_each_text(struct client *client, const char *data, size_t len,
                           reading_visit *visit)
{
    for (size_t at = 0; at + MESSAGE_HEADER <= len; at += 1 + (size_t)load_u32(data + at + 1)) {
        struct reader reader = reader_of(data + at + MESSAGE_HEADER, load_u32(data + at + 1) - 4);
        switch ((uint8_t)data[at]) {
        case FE_PARSE:
            read_cstr(&reader);
            visit(client, reader.pos, reader_left(&reader));
            break;
        case FE_QUERY:
            visit(client, reader.pos, reader_left(&reader));
            break;
        case FE_BIND:
            read_cstr(&reader);
            visit_statement(client, read_cstr(&reader), visit);
            break;
        default:
            break;
        }
    }
}
