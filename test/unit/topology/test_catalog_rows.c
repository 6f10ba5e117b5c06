#include "topology/catalog_rows.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/hash.h"
#include "topology/catalog.h"

enum { COLUMNS = 5 };

static const char *const rows[][COLUMNS] = {
    {"c", "public", "v", "public", "f"},
    {"p", "public", "f", "v", ""},
    {"p", "public", "g", "s", ""},
    {"p", "app", "f", "i", ""},
    {"u", "public", "v", NULL, NULL},
    {"c", "public", "v", "pg_catalog", "nextval"},
    {"c", "public", "v", "pg_catalog", "now"}, /* reads */
    {"S", "app", "s", NULL, NULL},
    {"f", "public", "far", NULL, NULL},
    {"c", "public", "far", "app", "f"},
    /* A later version's own functions, and those that somebody has added to its schema. */
    {"p", "pg_catalog", "array_shuffle", "v", "own"},
    {"p", "pg_catalog", "array_reverse", "i", "own"},
    {"p", "pg_catalog", "json_object_agg_strict", "s", "own"},
    {"p", "pg_catalog", "pg_stat_get_io", "s", "own"},
    {"p", "pg_catalog", "lower", "v", "own"}, /* known better */
    {"p", "pg_catalog", "upper", "v", ""},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* Those rows, from `first` on, and again from the beginning. */
static PGresult *result_of(int first, int n)
{
    static char names[COLUMNS][2] = {"a", "b", "c", "d", "e"};
    PGresAttDesc columns[COLUMNS] = {{0}};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    for (int i = 0; i < COLUMNS; i++)
        columns[i].name = names[i];
    assert_true(PQsetResultAttrs(result, COLUMNS, columns));
    for (int row = 0; row < n; row++) {
        for (int i = 0; i < COLUMNS; i++) {
            const char *text = rows[(first + row) % ROWS][i];
            assert_true(
                PQsetvalue(result, row, i, (char *)text, text == NULL ? -1 : (int)strlen(text)));
        }
    }
    return result;
}

/* v: one of them is volatile, s: none is, -: there is none. */
static char function(const struct catalog *catalog, const char *schema, const char *name)
{
    uint32_t n;
    const struct catalog_function *at = catalog_functions(catalog, schema, name, &n);
    char found = '-';
    for (uint32_t i = 0; i < n; i++) {
        assert_string_equal(at[i].name.name, name);
        found = at[i].is_volatile || found == 'v' ? 'v' : 's';
    }
    return found;
}

static void check_functions(const struct catalog *catalog)
{
    assert_int_equal(function(catalog, NULL, "f"), 'v');
    assert_int_equal(function(catalog, "public", "f"), 'v');
    assert_int_equal(function(catalog, "app", "f"), 's');
    assert_int_equal(function(catalog, "zzz", "f"), '-');
    assert_int_equal(function(catalog, NULL, "g"), 's');
    assert_int_equal(function(catalog, NULL, ""), '-');
    assert_int_equal(function(catalog, NULL, "zzz"), '-');
    assert_int_equal(function(catalog, NULL, "array_shuffle"), 'v');
    assert_int_equal(function(catalog, NULL, "array_reverse"), 's');
    assert_int_equal(function(catalog, NULL, "json_object_agg_strict"), 's');
    assert_int_equal(function(catalog, NULL, "pg_stat_get_io"), 'v');
    assert_int_equal(function(catalog, NULL, "lower"), '-');
    assert_int_equal(function(catalog, NULL, "upper"), 'v');
}

static void check_relations(const struct catalog *catalog)
{
    uint32_t n;
    const struct catalog_relation *at = catalog_relations(catalog, NULL, "v", &n);
    assert_int_equal(n, 1);
    assert_string_equal(at->name.schema, "public");
    assert_int_equal(at->kind, CATALOG_UNLOGGED);
    assert_int_equal(at->n_calls, 2);
    for (int i = 0; i < 2; i++)
        assert_true(strcmp(at->calls[i].name, "f") == 0 ||
                    strcmp(at->calls[i].name, "nextval") == 0);
    at = catalog_relations(catalog, "app", "s", &n);
    assert_int_equal(n, 1);
    assert_int_equal(at->kind, CATALOG_SEQUENCE);
    assert_int_equal(at->n_calls, 0);
    at = catalog_relations(catalog, NULL, "far", &n);
    assert_int_equal(n, 1);
    assert_int_equal(at->kind, CATALOG_FOREIGN);
    assert_int_equal(at->n_calls, 1);
    assert_string_equal(at->calls[0].schema, "app");
    catalog_relations(catalog, "app", "v", &n);
    assert_int_equal(n, 0);
    catalog_relations(catalog, NULL, "t", &n);
    assert_int_equal(n, 0);
}

static void rows_in_any_order_are_one_catalog(void **state)
{
    for (int first = 0; first < ROWS; first++) {
        PGresult *result = result_of(first, ROWS);
        assert_true(catalog_rows_are_bounded(result));
        struct catalog *catalog = catalog_of_rows(result, (uint64_t)first);
        PQclear(result); /* the catalog has what it needs */
        assert_int_equal(catalog->generation, first);
        check_functions(catalog);
        check_relations(catalog);
        catalog_ref(catalog);
        catalog_unref(catalog);
        catalog_unref(catalog);
    }
}

static void no_rows_are_an_empty_catalog(void **state)
{
    uint32_t n;
    PGresult *result = result_of(0, 0);
    struct catalog *catalog = catalog_of_rows(result, 1);
    catalog_functions(catalog, NULL, "f", &n);
    assert_int_equal(n, 0);
    catalog_relations(catalog, "a", "f", &n);
    assert_int_equal(n, 0);
    PQclear(result);
    catalog_unref(catalog);
    catalog_unref(NULL);
}

static void the_sum_is_of_the_rows_and_not_of_their_order(void **state)
{
    PGresult *all = result_of(0, ROWS), *turned = result_of(5, ROWS), *fewer = result_of(0, 7),
             *others = result_of(1, 7);
    assert_true(catalog_rows_sum(all) == catalog_rows_sum(turned));
    assert_true(catalog_rows_sum(all) != catalog_rows_sum(fewer));
    assert_true(catalog_rows_sum(others) != catalog_rows_sum(fewer));
    PQclear(all);
    PQclear(turned);
    PQclear(fewer);
    PQclear(others);
}

static void an_answer_has_bounds(void **state)
{
    PGresult *most = result_of(0, 200000), *more = result_of(0, 200001),
             *none = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    assert_true(catalog_rows_are_bounded(most));
    assert_false(catalog_rows_are_bounded(more));
    assert_false(catalog_rows_are_bounded(none));
    PQclear(most);
    PQclear(more);
    PQclear(none);
}

static int prepare(void **state)
{
    hash_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_any_order_are_one_catalog),
        cmocka_unit_test(no_rows_are_an_empty_catalog),
        cmocka_unit_test(the_sum_is_of_the_rows_and_not_of_their_order),
        cmocka_unit_test(an_answer_has_bounds),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, prepare, NULL);
}
