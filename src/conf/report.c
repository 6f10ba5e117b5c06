#include "conf/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

void conf_report_init(struct conf_report *report)
{
    *report = (struct conf_report){0};
}

void conf_report_done(struct conf_report *report)
{
    for (size_t i = 0; i < report->n_notes; i++)
        mem_free(report->notes[i].text);
    mem_free(report->notes);
    conf_report_init(report);
}

__attribute__((format(printf, 3, 0))) static char *compose(const char *file, int line,
                                                           const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        return mem_strdup(format);
    if (file == NULL)
        return text;
    char *placed =
        line > 0 ? mem_printf("%s:%d: %s", file, line, text) : mem_printf("%s: %s", file, text);
    mem_free(text);
    return placed;
}

static void add(struct conf_report *report, bool is_error, char *text)
{
    if (report->n_notes == CONF_NOTES_MAX) {
        mem_free(text);
        return;
    }
    report->notes = mem_resize(report->notes, (report->n_notes + 1) * sizeof *report->notes);
    report->notes[report->n_notes++] = (struct conf_note){.is_error = is_error, .text = text};
}

void conf_report_error(struct conf_report *report, const char *file, int line, const char *format,
                       ...)
{
    va_list args;
    va_start(args, format);
    add(report, true, compose(file, line, format, args));
    va_end(args);
    report->n_errors++;
}

void conf_report_warning(struct conf_report *report, const char *file, int line, const char *format,
                         ...)
{
    va_list args;
    va_start(args, format);
    add(report, false, compose(file, line, format, args));
    va_end(args);
    report->n_warnings++;
}

const char *conf_excerpt(const char *text, char out[CONF_EXCERPT_MAX])
{
    size_t len = strnlen(text, CONF_EXCERPT_MAX);
    bool cut = len == CONF_EXCERPT_MAX;
    if (cut)
        len = CONF_EXCERPT_MAX - 4;
    for (size_t i = 0; i < len; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    memcpy(out + len, cut ? "..." : "", cut ? 4 : 1);
    return out;
}
