#include "conf/ini.h"

#include "conf_test.h"

#include "base/buf.h"

/* What the reader tells, as "[section]" and "section.key=value" lines. */
static void note(void *context, const struct ini_entry *entry)
{
    if (entry->key == NULL)
        buf_printf(context, "[%s]\n", entry->section);
    else
        buf_printf(context, "%s.%s=%s\n", entry->section, entry->key, entry->value);
}

static char *read_len(const char *text, size_t len, struct conf_report *report)
{
    struct buf out = BUF_NONE;
    ini_read_text("t.ini", text, len, (struct ini_sink){.take = note, .context = &out}, report);
    buf_append_u8(&out, 0);
    return out.data;
}

static void assert_reads(const char *text, const char *expected)
{
    struct conf_report report;
    conf_report_init(&report);
    char *got = read_len(text, strlen(text), &report);
    assert_string_equal(got, expected);
    assert_clean(&report);
    mem_free(got);
    conf_report_done(&report);
}

static void assert_refused(const char *text, const char *expected, const char *error)
{
    struct conf_report report;
    conf_report_init(&report);
    char *got = read_len(text, strlen(text), &report);
    assert_note(&report, 0, true, error);
    assert_int_equal(report.n_errors, 1);
    assert_string_equal(got, expected);
    mem_free(got);
    conf_report_done(&report);
}

static void sections_hold_keys_with_values(void **state)
{
    assert_reads("", "");
    assert_reads("[a]", "[a]\n");
    assert_reads("[a]\nx=1\n[b]\ny=2", "[a]\na.x=1\n[b]\nb.y=2\n");
    assert_reads("[a]\nx=1\n[a]\n", "[a]\na.x=1\n[a]\n");
    assert_reads("x=1", ".x=1\n");
    assert_reads("[]\nx=1", "[]\n.x=1\n");
    assert_reads("[a] ; comment\n[b]   \n[c]#\n", "[a]\n[b]\n[c]\n");
}

static void a_value_is_the_rest_of_the_line(void **state)
{
    assert_reads("[a]\nx = 1 ; not a comment\n", "[a]\na.x=1 ; not a comment\n");
    assert_reads("[a]\nx=1 # neither\n", "[a]\na.x=1 # neither\n");
    assert_reads("[a]\n x \t=  a  b \t\n", "[a]\na.x=a  b\n");
    assert_reads("[a]\nx=\ny =  \n", "[a]\na.x=\na.y=\n");
    assert_reads("[a]\nx=a=b:c\n", "[a]\na.x=a=b:c\n");
    assert_reads("[a]\nx=\"q\" 'r'\n", "[a]\na.x=\"q\" 'r'\n");
    assert_reads("[a]\nx==\n", "[a]\na.x==\n");
    assert_reads("[a]\nx=;y\n", "[a]\na.x=;y\n");
    assert_reads("[a]\nx=[b]\n", "[a]\na.x=[b]\n");
    assert_reads("[a]\nx=\\\ny=2\n", "[a]\na.x=\\\na.y=2\n");
}

static void an_indented_line_does_not_continue_a_value(void **state)
{
    assert_reads("[a]\nx = 1\n  y = 2\n\tz = 3\n", "[a]\na.x=1\na.y=2\na.z=3\n");
    assert_reads("  [a]\n", "[a]\n");
}

static void comments_begin_lines(void **state)
{
    assert_reads("; c\n# c\n  ; c\n\t# c\n\n   \n[a]\n;x=1\n#x=1\n", "[a]\n");
}

static void crlf_and_a_byte_order_mark_do_not_count(void **state)
{
    assert_reads("\xef\xbb\xbf[a]\r\nx = 1 \r\n\r\n; c\r\ny=2\r\n", "[a]\na.x=1\na.y=2\n");
    assert_reads("\xef\xbb\xbfx=1", ".x=1\n");
    assert_refused("[a]\n\xef\xbb\xbfx=1", "[a]\n",
                   "t.ini:2: the key \"\xef\xbb\xbfx\" needs single quotes");
}

static void keys_may_be_quoted(void **state)
{
    assert_reads("[a]\n'my db' = 1\n", "[a]\na.my db=1\n");
    assert_reads("[a]\n'a=b;c:[d] ;e'=1\n", "[a]\na.a=b;c:[d] ;e=1\n");
    assert_reads("[a]\n''=1\n", "[a]\na.=1\n");
    assert_reads("[a]\n* = 1\nA-z_0.9=2\n", "[a]\na.*=1\na.A-z_0.9=2\n");
    assert_reads("[a]\n'\xc3\xa4' = 1\n", "[a]\na.\xc3\xa4=1\n");
}

static void wrong_lines_are_named(void **state)
{
    static const char any[] = "t.ini:2: expected \"key = value\", \"[section]\" or a comment";
    static const char header[] = "t.ini:2: expected \"[section]\"";
    assert_refused("[a]\nx\ny=1\n", "[a]\na.y=1\n", any);
    assert_refused("[a]\nx ;y=1\n", "[a]\n", any);
    assert_refused("[a]\n\"x\" = 1\n", "[a]\n", "t.ini:2: the key \"\"x\"\" needs single quotes");
    assert_refused("[a]\n= 1\n", "[a]\n", "t.ini:2: the key \"\" needs single quotes");
    assert_refused("[a]\nx y = 1\n", "[a]\n", "t.ini:2: the key \"x y\" needs single quotes");
    assert_refused("[a]\nx : 1\n", "[a]\n", "t.ini:2: expected '=' after the key");
    assert_refused("[a]\nx:y = 1\n", "[a]\n", "t.ini:2: expected '=' after the key");
    assert_refused("[a]\n'x = 1\n", "[a]\n", "t.ini:2: the key has no closing quote");
    assert_refused("[a]\n'x' y = 1\n", "[a]\n", "t.ini:2: the key \"' y\" needs single quotes");
    assert_refused("[a]\n'x'\n", "[a]\n", any);
    assert_refused("[a]\n%set x = 1\n", "[a]\n", "t.ini:2: the key \"%set x\" needs single quotes");
    assert_refused("[a]\n[b\n", "[a]\n", header);
    assert_refused("[a]\n[b ;c]\n", "[a]\n", header);
    assert_refused("[a]\n[b] c = 1\n", "[a]\n",
                   "t.ini:2: unexpected text after the section header");
}

static void entries_under_a_wrong_header_go_nowhere(void **state)
{
    assert_refused("[a]\n[b\nx=1\n[c]\ny=2\n", "[a]\n[c]\nc.y=2\n",
                   "t.ini:2: expected \"[section]\"");
}

static void reading_goes_on_after_an_error(void **state)
{
    static const char text[] = "[a]\nx\ny=1\n\nz\n";
    struct conf_report report;
    conf_report_init(&report);
    char *got = read_len(text, strlen(text), &report);
    assert_string_equal(got, "[a]\na.y=1\n");
    assert_int_equal(report.n_errors, 2);
    assert_note(&report, 1, true, "t.ini:5: expected \"key = value\", \"[section]\" or a comment");
    mem_free(got);
    conf_report_done(&report);
}

static void a_nul_byte_is_refused(void **state)
{
    static const char text[] = "[a]\nx=1\ny=\0z\n";
    struct conf_report report;
    conf_report_init(&report);
    char *got = read_len(text, sizeof text - 1, &report);
    assert_string_equal(got, "");
    assert_note(&report, 0, true, "t.ini:3: a NUL byte is not allowed");
    mem_free(got);
    conf_report_done(&report);
}

static void a_line_of_a_megabyte_is_read_whole(void **state)
{
    enum { LONG = 1 << 20 };
    char *value = mem_new(LONG + 1);
    memset(value, 'v', LONG);
    memcpy(value + LONG - 5, " ; =]", 5);
    char *text = mem_printf("[a]\nx = %s\ny = 2\n", value);
    char *expected = mem_printf("[a]\na.x=%s\na.y=2\n", value);
    assert_reads(text, expected);
    mem_free(text);
    mem_free(expected);
    mem_free(value);
}

static void a_long_key_or_header_is_refused(void **state)
{
    char name[600];
    memset(name, 'k', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    char *key = mem_printf("[a]\n%s = 1\ny = 2\n", name);
    assert_refused(key, "[a]\na.y=2\n",
                   "t.ini:2: expected \"key = value\", \"[section]\" or a comment");
    char *header = mem_printf("[a]\n[%s]\ny = 2\n", name);
    assert_refused(header, "[a]\n", "t.ini:2: expected \"[section]\"");
    mem_free(key);
    mem_free(header);
}

/* A file that includes the next, f0 to f`last`. */
static char *write_chain(int last)
{
    char *first = NULL;
    for (int i = last; i >= 0; i--) {
        char *name = mem_printf("f%d", i);
        char *text = i < last
                         ? mem_printf("k%d = 1\n%%include %s/f%d\nl%d = 2\n", i, test_dir, i + 1, i)
                         : mem_printf("k%d = 1\n", i);
        mem_free(first);
        first = write_file(name, text, strlen(text));
        mem_free(name);
        mem_free(text);
    }
    return first;
}

static char *read_path(const char *path, struct conf_report *report)
{
    struct buf out = BUF_NONE;
    ini_read_file(path, (struct ini_sink){.take = note, .context = &out}, report);
    buf_append_u8(&out, 0);
    return out.data;
}

static void an_include_is_read_in_its_place(void **state)
{
    struct conf_report report;
    conf_report_init(&report);
    mem_free(write_file("inner", "y = 2\n[b]\nz = 3", 15));
    char *text = mem_printf("[a]\nx = 1\n  %%include\t%s/inner  \r\nw = 4\n", test_dir);
    char *path = write_file("outer", text, strlen(text));
    char *got = read_path(path, &report);
    assert_string_equal(got, "[a]\na.x=1\na.y=2\n[b]\nb.z=3\nb.w=4\n");
    assert_clean(&report);
    mem_free(got);
    mem_free(path);
    mem_free(text);
    conf_report_done(&report);
}

static void includes_go_ten_deep(void **state)
{
    struct conf_report report;
    conf_report_init(&report);
    char *path = write_chain(10);
    char *got = read_path(path, &report);
    assert_clean(&report);
    assert_non_null(strstr(got, ".k10=1\n.l9=2\n"));
    mem_free(got);
    mem_free(path);
    path = write_chain(11);
    got = read_path(path, &report);
    assert_int_equal(report.n_errors, 1);
    assert_non_null(strstr(report.notes[0].text, "/f10:2: too many %include files"));
    mem_free(got);
    mem_free(path);
    conf_report_done(&report);
}

static void a_loop_of_includes_ends(void **state)
{
    struct conf_report report;
    conf_report_init(&report);
    char *text = mem_printf("x = 1\n%%include %s/loop\n%%include %s/loop\n", test_dir, test_dir);
    char *path = write_file("loop", text, strlen(text));
    char *got = read_path(path, &report);
    assert_int_equal(report.n_errors, 1);
    mem_free(got);
    mem_free(path);
    mem_free(text);
    conf_report_done(&report);
}

static void a_missing_file_is_named(void **state)
{
    struct conf_report report;
    conf_report_init(&report);
    char *got = read_path("/nonexistent/x.ini", &report);
    assert_note(&report, 0, true,
                "/nonexistent/x.ini: could not read file: No such file or directory");
    mem_free(got);
    got = read_path("/", &report);
    assert_note(&report, 1, true, "/: could not read file: Is a directory");
    mem_free(got);
    conf_report_done(&report);
    assert_refused("\n%include /nonexistent/y\nx=1", ".x=1\n",
                   "t.ini:2: could not read included file \"/nonexistent/y\": "
                   "No such file or directory");
    assert_refused("%include", "", "t.ini:1: expected a file name after %include");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_hold_keys_with_values),
        cmocka_unit_test(a_value_is_the_rest_of_the_line),
        cmocka_unit_test(an_indented_line_does_not_continue_a_value),
        cmocka_unit_test(comments_begin_lines),
        cmocka_unit_test(crlf_and_a_byte_order_mark_do_not_count),
        cmocka_unit_test(keys_may_be_quoted),
        cmocka_unit_test(wrong_lines_are_named),
        cmocka_unit_test(entries_under_a_wrong_header_go_nowhere),
        cmocka_unit_test(reading_goes_on_after_an_error),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(a_line_of_a_megabyte_is_read_whole),
        cmocka_unit_test(a_long_key_or_header_is_refused),
        cmocka_unit_test(an_include_is_read_in_its_place),
        cmocka_unit_test(includes_go_ten_deep),
        cmocka_unit_test(a_loop_of_includes_ends),
        cmocka_unit_test(a_missing_file_is_named),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
