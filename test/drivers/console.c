/*
 * Every SHOW of the console through libpq's PQexecParams(), in text and in binary.
 * usage: console CONNINFO
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OID_INT8 = 20, OID_INT4 = 23, OID_TEXT = 25, OID_NUMERIC = 1700 };

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static PGresult *run(PGconn *conn, const char *query, int binary)
{
    PGresult *result = PQexecParams(conn, query, 0, NULL, NULL, NULL, NULL, binary);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail(query, PQerrorMessage(conn));
    return result;
}

static uint64_t big_endian(const char *bytes, int len)
{
    uint64_t value = 0;
    for (int i = 0; i < len; i++)
        value = value << 8 | (uint8_t)bytes[i];
    return value;
}

/* A whole number in groups of four decimal digits. */
static uint64_t numeric(const char *bytes)
{
    int n = (int)big_endian(bytes, 2), weight = (int)big_endian(bytes + 2, 2);
    uint64_t value = 0;
    for (int i = 0; i <= weight || i < n; i++)
        value = value * 10000 + (i < n ? big_endian(bytes + 8 + 2 * i, 2) : 0);
    return value;
}

/* The binary value as its text would be. */
static void decode(const PGresult *result, int row, int column, char *text, size_t size)
{
    const char *bytes = PQgetvalue(result, row, column);
    int len = PQgetlength(result, row, column);
    switch (PQftype(result, column)) {
    case OID_INT4:
        if (len != 4)
            fail(PQfname(result, column), "an int4 has 4 bytes");
        snprintf(text, size, "%" PRId32, (int32_t)big_endian(bytes, 4));
        break;
    case OID_INT8:
        if (len != 8)
            fail(PQfname(result, column), "an int8 has 8 bytes");
        snprintf(text, size, "%" PRId64, (int64_t)big_endian(bytes, 8));
        break;
    case OID_NUMERIC:
        if (len < 8 || len != 8 + 2 * (int)big_endian(bytes, 2))
            fail(PQfname(result, column), "a numeric has two bytes a group");
        snprintf(text, size, "%" PRIu64, numeric(bytes));
        break;
    case OID_TEXT:
        snprintf(text, size, "%.*s", len, bytes);
        break;
    default:
        fail(PQfname(result, column), "a type that the console should not have");
    }
}

static int is_stable(const char *name)
{
    static const char *const stable[] = {"HELP",      "CONFIG", "VERSION",   "STATE",
                                         "DATABASES", "USERS",  "DNS_HOSTS", "DNS_ZONES"};
    for (size_t i = 0; i < sizeof stable / sizeof *stable; i++) {
        if (strcmp(stable[i], name) == 0)
            return 1;
    }
    return 0;
}

static void compare(const PGresult *text, const PGresult *binary, const char *name)
{
    if (PQnfields(text) != PQnfields(binary))
        fail(name, "as many columns in binary as in text");
    for (int column = 0; column < PQnfields(text); column++) {
        if (PQftype(text, column) != PQftype(binary, column) ||
            strcmp(PQfname(text, column), PQfname(binary, column)) != 0)
            fail(name, "the same columns in binary as in text");
        if (PQfformat(text, column) != 0 || PQfformat(binary, column) != 1)
            fail(name, "the format that was asked for");
    }
    for (int row = 0; row < PQntuples(binary); row++) {
        for (int column = 0; column < PQnfields(binary); column++) {
            char value[32768];
            if (PQgetisnull(binary, row, column))
                continue;
            decode(binary, row, column, value, sizeof value);
            if (is_stable(name) && strcmp(value, PQgetvalue(text, row, column)) != 0)
                fail(name, value);
        }
    }
}

int main(int argc, char **argv)
{
    PGconn *conn = PQconnectdb(argc > 1 ? argv[1] : "");
    char query[256];
    int shows = 0;
    if (PQstatus(conn) != CONNECTION_OK)
        fail("connect", PQerrorMessage(conn));
    PGresult *help = run(conn, "SHOW HELP", 0);
    for (int row = 0; row < PQntuples(help); row++) {
        const char *command = PQgetvalue(help, row, 0);
        if (strncmp(command, "SHOW ", 5) != 0 || strcmp(command, "SHOW variable") == 0 ||
            strstr(PQgetvalue(help, row, 2), "on the unix socket only") != NULL)
            continue;
        PGresult *text = run(conn, command, 0), *binary = run(conn, command, 1);
        compare(text, binary, command + 5);
        snprintf(query, sizeof query, "%s (\"%s\")", command, PQfname(text, 0));
        PGresult *one = run(conn, query, 1);
        if (PQnfields(one) != 1)
            fail(query, "one column");
        PQclear(one);
        PQclear(text);
        PQclear(binary);
        shows++;
    }
    PQclear(help);
    PQfinish(conn);
    if (shows <= 20)
        fail("SHOW HELP", "more commands");
    puts("done");
    return 0;
}
