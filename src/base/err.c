#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 0))) static void write_text(char *text, const char *format,
                                                             va_list args)
{
    vsnprintf(text, ERR_TEXT_MAX, format, args);
}

bool err_set(struct err *err, const char *sqlstate, const char *format, ...)
{
    if (err == NULL)
        return false;
    snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate);
    va_list args;
    va_start(args, format);
    write_text(err->message, format, args);
    va_end(args);
    err->detail[0] = '\0';
    err->hint[0] = '\0';
    return false;
}

void err_detail(struct err *err, const char *format, ...)
{
    if (err == NULL)
        return;
    va_list args;
    va_start(args, format);
    write_text(err->detail, format, args);
    va_end(args);
}

void err_hint(struct err *err, const char *format, ...)
{
    if (err == NULL)
        return;
    va_list args;
    va_start(args, format);
    write_text(err->hint, format, args);
    va_end(args);
}
