#include "session/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/params.h"
#include "pool/statements.h"
#include "proto/build.h"
#include "proto/message.h"
#include "sql/scan.h"

/* ---- which texts ---- */

static bool names_one(const struct sql_statement *statement)
{
    return (statement->effects & (SQL_PREPARES | SQL_EXECUTES | SQL_DEALLOCATES)) != 0 &&
           statement->ident != NULL && statement->name.len > 0;
}

bool script_concerns(const struct sql_facts *facts)
{
    for (uint32_t i = 0; i < facts->n_statements; i++) {
        if (names_one(&facts->statements[i]))
            return true;
    }
    return false;
}

bool script_contains(const char *text, size_t len, const char *word)
{
    size_t word_len = strlen(word);
    for (size_t at = 0; at + word_len <= len; at++) {
        if ((text[at] | 0x20) == word[0] && strncasecmp(text + at, word, word_len) == 0)
            return true;
    }
    return false;
}

bool script_may_concern(const char *text, size_t len)
{
    struct scan scan = {.text = text, .len = len, .standard_conforming_strings = true};
    scan_next_word(&scan);
    if (scan_is(&scan, "prepare") || scan_is(&scan, "execute") || scan_is(&scan, "deallocate"))
        return true;
    return (scan_is(&scan, "explain") || scan_is(&scan, "create")) &&
           script_contains(text, len, "execute");
}

/* ---- the steps ---- */

static enum script_kind command_of(const struct sql_statement *statement)
{
    if ((statement->effects & SQL_PREPARES) != 0)
        return SCRIPT_MAKE;
    return (statement->effects & SQL_EXECUTES) != 0 ? SCRIPT_USE : SCRIPT_END;
}

struct script *script_new(const struct sql_facts *facts, struct statement_table *table)
{
    struct script *script = mem_new(sizeof *script + facts->n_statements * sizeof script->steps[0]);
    script->table = table;
    for (uint32_t i = 0; i < facts->n_statements; i++) {
        const struct sql_statement *statement = &facts->statements[i];
        if (!names_one(statement))
            continue;
        struct script_step *step = &script->steps[script->n++];
        step->kind = command_of(statement);
        step->position = i;
        step->span = statement->name;
        step->ident = mem_strdup(statement->ident);
    }
    return script;
}

void script_free(struct script *script)
{
    if (script == NULL)
        return;
    for (uint32_t i = 0; i < script->n; i++) {
        statement_unref(script->table, script->steps[i].statement);
        mem_free(script->steps[i].ident);
    }
    mem_free(script);
}

struct slice script_body(const char *text, const struct sql_facts *facts, struct sql_span name)
{
    size_t start = (size_t)name.start + name.len, end = start;
    for (uint32_t i = 0; i < facts->n_statements; i++) {
        const struct sql_statement *statement = &facts->statements[i];
        if (statement->name.start == name.start && statement->name.len > 0)
            end = (size_t)statement->text.start + statement->text.len;
    }
    return (struct slice){text + start, end - start};
}

size_t script_query_in(const char *body)
{
    struct scan scan = {.text = body, .len = strlen(body), .standard_conforming_strings = true};
    int depth = 0;
    while (scan_next_word(&scan) != SCAN_END) {
        char c = body[scan.start];
        if (scan.kind == SCAN_OTHER && (c == '(' || c == ')'))
            depth += c == '(' ? 1 : -1;
        else if (depth == 0 && scan_is(&scan, "as"))
            return scan.end;
    }
    return 0;
}

bool script_changes(const struct script *script)
{
    for (uint32_t i = 0; i < script->n; i++) {
        if (script->steps[i].kind == SCRIPT_MAKE || script->steps[i].kind == SCRIPT_END)
            return true;
    }
    return false;
}

bool script_must_fail(const struct script *script)
{
    for (uint32_t i = 0; i < script->n; i++) {
        if (script->steps[i].kind == SCRIPT_TAKEN || script->steps[i].kind == SCRIPT_UNKNOWN)
            return true;
    }
    return false;
}

/* ---- names ---- */

const char *script_server_name(const struct script *script, uint32_t i, char out[SCRIPT_NAME_MAX])
{
    const struct script_step *step = &script->steps[i];
    switch (step->kind) {
    case SCRIPT_MAKE:
    case SCRIPT_TAKEN:
    case SCRIPT_USE:
        return step->statement->name;
    case SCRIPT_END:
        snprintf(out, SCRIPT_NAME_MAX, STATEMENT_PREFIX "end%u", i);
        return out;
    case SCRIPT_UNKNOWN:
        /* What another client has prepared is none of its business. */
        if (strncmp(step->ident, STATEMENT_PREFIX, sizeof STATEMENT_PREFIX - 1) == 0)
            return STATEMENT_PREFIX "none";
        break;
    }
    return NULL;
}

static uint32_t characters(const char *text, size_t len)
{
    uint32_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

void script_write(struct script *script, const char *text, size_t len, struct buf *out)
{
    size_t from = 0, begin = out->len;
    char room[SCRIPT_NAME_MAX];
    for (uint32_t i = 0; i < script->n; i++) {
        struct script_step *step = &script->steps[i];
        const char *name = script_server_name(script, i, room);
        if (name == NULL)
            continue;
        buf_append(out, text + from, step->span.start - from);
        step->place = characters(out->data + begin, out->len - begin);
        size_t mark = out->len;
        params_quote_name(out, name);
        step->longer = (int32_t)(out->len - mark) -
                       (int32_t)characters(text + step->span.start, step->span.len);
        from = (size_t)step->span.start + step->span.len;
    }
    buf_append(out, text + from, len - from);
}

/* ---- errors ---- */

/* A place in the server's text, from 1, in the client's. */
static long place_of(const struct script *script, long place)
{
    long shift = 0;
    for (uint32_t i = 0; i < script->n; i++) {
        if (place > (long)script->steps[i].place + 1)
            shift += script->steps[i].longer;
    }
    return place - shift;
}

/* Our name of the step that has failed, wherever the language puts it. */
static bool write_message(const struct script *script, const char *message, struct buf *out)
{
    for (uint32_t i = 0; i < script->n; i++) {
        char room[SCRIPT_NAME_MAX];
        if (script->steps[i].position != script->n_complete)
            continue;
        const char *name = script_server_name(script, i, room);
        const char *at = name != NULL ? strstr(message, name) : NULL;
        size_t len = name != NULL ? strlen(name) : 0;
        if (at == NULL || (at[len] >= '0' && at[len] <= '9'))
            continue;
        buf_append(out, message, (size_t)(at - message));
        buf_append_str(out, script->steps[i].ident);
        buf_append_cstr(out, at + len);
        return true;
    }
    buf_append_cstr(out, message);
    return false;
}

bool script_write_error(const struct script *script, const char *body, size_t len, struct buf *out)
{
    struct reader reader = reader_of(body, len);
    bool changed = false;
    size_t start = out->len, mark = message_begin(out, BE_ERROR_RESPONSE);
    uint8_t code;
    while ((code = read_u8(&reader)) != 0 && !reader.bad) {
        const char *value = read_cstr(&reader);
        if (reader.bad)
            break;
        buf_append_u8(out, code);
        long place = code == 'P' ? strtol(value, NULL, 10) : 0;
        if (code == 'M') {
            changed |= write_message(script, value, out);
        } else if (code == 'P' && place_of(script, place) != place) {
            buf_printf(out, "%ld", place_of(script, place));
            buf_append_u8(out, '\0');
            changed = true;
        } else {
            buf_append_cstr(out, value);
        }
    }
    buf_append_u8(out, '\0');
    message_end(out, mark);
    if (!changed || reader.bad)
        out->len = start;
    return changed && !reader.bad;
}
