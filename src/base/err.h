/*
 * base/err.h - an error on its way to whoever can report it
 *
 * Holds its own text and needs no memory.  The wording follows PostgreSQL's error-style-guide:
 * message in lower case without a full stop; detail and hint are sentences.
 *
 * Threading:  a value; one thread at a time
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum { ERR_TEXT_MAX = 1024 };

struct err {
    char sqlstate[6]; /* "" while there is no error */
    char message[ERR_TEXT_MAX];
    char detail[ERR_TEXT_MAX]; /* "" for none */
    char hint[ERR_TEXT_MAX];   /* "" for none */
};

#define ERR_NONE ((struct err){.sqlstate = ""})

/* Fills message and SQLSTATE, and empties detail and hint; longer texts are cut.  err may be NULL.
 * Returns false, so that a function can `return err_set(...)`. */
bool err_set(struct err *err, const char *sqlstate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void err_detail(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void err_hint(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* PostgreSQL docs, errcodes-appendix. */
#define SQLSTATE_PROTOCOL_VIOLATION      "08P01"
#define SQLSTATE_CONNECTION_FAILURE      "08006"
#define SQLSTATE_CANNOT_CONNECT          "08001"
#define SQLSTATE_FEATURE_NOT_SUPPORTED   "0A000"
#define SQLSTATE_INVALID_PARAMETER_VALUE "22023"
#define SQLSTATE_INVALID_TEXT            "22P02"
#define SQLSTATE_INVALID_AUTHORIZATION   "28000"
#define SQLSTATE_INVALID_PASSWORD        "28P01"
#define SQLSTATE_INVALID_STATEMENT_NAME  "26000"
#define SQLSTATE_INVALID_CATALOG_NAME    "3D000"
#define SQLSTATE_DUPLICATE_STATEMENT     "42P05"
#define SQLSTATE_INSUFFICIENT_PRIVILEGE  "42501"
#define SQLSTATE_SYNTAX_ERROR            "42601"
#define SQLSTATE_UNDEFINED_COLUMN        "42703"
#define SQLSTATE_UNDEFINED_OBJECT        "42704"
#define SQLSTATE_TOO_MANY_CONNECTIONS    "53300"
#define SQLSTATE_SERIALIZATION_FAILURE   "40001"
#define SQLSTATE_PROGRAM_LIMIT_EXCEEDED  "54000"
#define SQLSTATE_OBJECT_NOT_IN_STATE     "55000"
#define SQLSTATE_QUERY_CANCELED          "57014"
#define SQLSTATE_ADMIN_SHUTDOWN          "57P01"
#define SQLSTATE_CANNOT_CONNECT_NOW      "57P03"
#define SQLSTATE_IDLE_SESSION_TIMEOUT    "57P05"
#define SQLSTATE_IDLE_IN_TRANSACTION     "25P03"
#define SQLSTATE_CONFIG_FILE_ERROR       "F0000"
#define SQLSTATE_INTERNAL_ERROR          "XX000"

#endif
