#include "conf/ini.h"

#include <ini.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/file.h"
#include "conf/report.h"

static const char blanks[] = " \t\r\v\f";

/* One open file; the innermost include is read first. */
struct source {
    struct source *outer; /* owned: the file with the %include; NULL for the first */
    char *path;           /* owned */
    struct buf text;      /* owned: the whole file; lines are cut in place */
    size_t pos;
    int line;
    int depth;
};

enum held {
    HELD_NONE,   /* inih has answered */
    HELD_HEADER, /* "[section]" was given to inih, which answers nothing */
    HELD_MARK,   /* the line that makes inih tell the section it is in */
    HELD_ENTRY,  /* "key = value" */
};

struct feed {
    struct ini_sink sink;
    struct conf_report *report; /* borrowed */
    struct source *source;      /* owned: the innermost file; NULL at the end */
    int n_files;
    enum held held;
    bool lost;    /* after a header that inih did not take: its entries are skipped */
    char *line;   /* borrowed from the source: the line that inih holds */
    char *quoted; /* owned: its key, when that was in quotes; else NULL */
};

static void push_source(struct feed *feed, const char *path, struct buf text)
{
    struct source *source = mem_new(sizeof *source);
    source->outer = feed->source;
    source->path = mem_strdup(path);
    source->text = text;
    source->pos = conf_file_bom(text.data, text.len);
    source->depth = feed->source != NULL ? feed->source->depth + 1 : 0;
    feed->source = source;
    feed->n_files++;
}

static void pop_source(struct feed *feed)
{
    struct source *source = feed->source;
    feed->source = source->outer;
    mem_wipe(source->text.data, source->text.len); /* passwords of [databases] */
    buf_done(&source->text);
    mem_free(source->path);
    mem_free(source);
}

static void stop(struct feed *feed)
{
    while (feed->source != NULL)
        pop_source(feed);
}

static bool has_nul(struct feed *feed, const char *path, const struct buf *text)
{
    int line = conf_file_nul_line(text->data, text->len);
    if (line > 0)
        conf_report_error(feed->report, path, line, "a NUL byte is not allowed");
    return line > 0;
}

static bool open_source(struct feed *feed, const char *path, struct err *err)
{
    struct buf text = BUF_NONE;
    bool readable = conf_file_read(path, &text, NULL, err);
    if (readable && !has_nul(feed, path, &text)) {
        push_source(feed, path, text);
        return true;
    }
    buf_done(&text);
    return readable;
}

#define complain(feed, ...)                                                                        \
    conf_report_error((feed)->report, (feed)->source->path, (feed)->source->line, __VA_ARGS__)

static void include(struct feed *feed, const char *path)
{
    struct err err = ERR_NONE;
    if (path[0] == '\0') {
        complain(feed, "expected a file name after %%include");
    } else if (feed->source->depth == INI_INCLUDE_DEPTH_MAX || feed->n_files == INI_FILES_MAX) {
        complain(feed, "too many %%include files, at most %d deep and %d in all",
                 INI_INCLUDE_DEPTH_MAX, INI_FILES_MAX);
        stop(feed);
    } else if (!open_source(feed, path, &err)) {
        complain(feed, "could not read included file \"%s\": %s", path, err.message);
    }
}

static char *skip_blanks(char *text)
{
    return text + strspn(text, blanks);
}

static void trim_end(char *text)
{
    size_t len = strlen(text);
    while (len > 0 && strchr(blanks, text[len - 1]) != NULL)
        text[--len] = '\0';
}

/* The next line of the source, trimmed at both ends; NULL at its end. */
static char *cut_line(struct source *source)
{
    if (source->pos >= source->text.len)
        return NULL;
    char *line = source->text.data + source->pos;
    char *end = memchr(line, '\n', source->text.len - source->pos);
    if (end == NULL)
        end = source->text.data + source->text.len; /* where the NUL is */
    *end = '\0';
    source->pos = (size_t)(end + 1 - source->text.data);
    source->line++;
    line = skip_blanks(line);
    trim_end(line);
    return line;
}

static bool is_include(const char *line)
{
    static const char word[] = "%include";
    size_t len = sizeof word - 1;
    return strncmp(line, word, len) == 0 && (line[len] == '\0' || strchr(blanks, line[len]));
}

/* The next line that means something to inih; NULL at the end of all files. */
static char *next_line(struct feed *feed)
{
    while (feed->source != NULL) {
        char *line = cut_line(feed->source);
        if (line == NULL)
            pop_source(feed);
        else if (is_include(line))
            include(feed, skip_blanks(line + strlen("%include")));
        else if (line[0] != '\0' && line[0] != ';' && line[0] != '#')
            return line;
    }
    return NULL;
}

/* Takes 'key' off the line and leaves its last quote, for inih to see as a key of its own. */
static bool unquote_key(struct feed *feed)
{
    feed->quoted = NULL;
    if (feed->line[0] != '\'')
        return true;
    char *end = strchr(feed->line + 1, '\'');
    if (end == NULL) {
        complain(feed, "the key has no closing quote");
        return false;
    }
    feed->quoted = mem_strndup(feed->line + 1, (size_t)(end - feed->line - 1));
    feed->line = end;
    return true;
}

static void drop_key(struct feed *feed)
{
    mem_free(feed->quoted);
    feed->quoted = NULL;
}

/* What inih was given and did not answer is not an entry. */
static void settle(struct feed *feed)
{
    if (feed->held == HELD_ENTRY)
        complain(feed, "expected \"key = value\", \"[section]\" or a comment");
    feed->held = HELD_NONE;
    drop_key(feed);
}

static bool load_line(struct feed *feed)
{
    do {
        feed->line = next_line(feed);
        if (feed->line == NULL)
            return false;
    } while (!unquote_key(feed));
    feed->held = feed->line[0] == '[' ? HELD_HEADER : HELD_ENTRY;
    return true;
}

/* Called by inih for a line, as fgets() would be. */
static char *give_line(char *to, int room, void *stream)
{
    struct feed *feed = stream;
    const char *line = "=";
    if (feed->held == HELD_HEADER) {
        feed->held = HELD_MARK;
    } else {
        settle(feed);
        if (!load_line(feed))
            return NULL;
        line = feed->line;
    }
    size_t len = strnlen(line, (size_t)room - 1);
    memcpy(to, line, len);
    to[len] = '\0';
    return to;
}

static void pass_on(struct feed *feed, const char *section, const char *key, const char *value)
{
    struct ini_entry entry = {
        .section = section,
        .key = key,
        .value = value,
        .file = feed->source->path,
        .line = feed->source->line,
    };
    feed->sink.take(feed->sink.context, &entry);
}

/* inih keeps the old section when it does not understand a header, and cuts long names. */
static bool took_header(const char *line, const char *section)
{
    size_t len = strlen(section);
    return strncmp(line + 1, section, len) == 0 && strchr(line + 1 + len, ']') != NULL &&
           (line[1 + len] == ']' || len > 40);
}

static void take_header(struct feed *feed, const char *section)
{
    feed->lost = true;
    if (!took_header(feed->line, section)) {
        complain(feed, "expected \"[section]\"");
        return;
    }
    const char *rest = skip_blanks(strchr(feed->line, ']') + 1);
    if (rest[0] != '\0' && rest[0] != ';' && rest[0] != '#') {
        complain(feed, "unexpected text after the section header");
        return;
    }
    feed->lost = false;
    pass_on(feed, section, NULL, NULL);
}

static bool is_plain_key(const char *key)
{
    static const char chars[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-*";
    return key[0] != '\0' && key[strspn(key, chars)] == '\0';
}

static void take_entry(struct feed *feed, const char *section, const char *name)
{
    char excerpt[CONF_EXCERPT_MAX];
    char *value = skip_blanks(feed->line + strlen(name));
    bool named = feed->quoted != NULL ? strcmp(name, "'") == 0 : is_plain_key(name);
    if (feed->lost)
        return;
    if (*value != '=')
        complain(feed, "expected '=' after the key");
    else if (!named)
        complain(feed, "the key \"%s\" needs single quotes", conf_excerpt(name, excerpt));
    else
        pass_on(feed, section, feed->quoted != NULL ? feed->quoted : name, skip_blanks(value + 1));
}

/* Called by inih for an entry; its idea of the value is of no use, see ini.h. */
static int take_answer(void *user, const char *section, const char *name, const char *value)
{
    struct feed *feed = user;
    if (feed->held == HELD_MARK)
        take_header(feed, section);
    else if (feed->held == HELD_ENTRY)
        take_entry(feed, section, name);
    feed->held = HELD_NONE;
    return 1;
}

static void run(struct feed *feed)
{
    /* Wrong lines were reported as they came; that leaves its -2, no memory. */
    if (ini_parse_stream(give_line, feed, take_answer, feed) == -2)
        conf_report_error(feed->report, NULL, 0, "out of memory");
    drop_key(feed);
    stop(feed);
}

void ini_read_file(const char *path, struct ini_sink sink, struct conf_report *report)
{
    struct feed feed = {.sink = sink, .report = report};
    struct err err = ERR_NONE;
    if (!open_source(&feed, path, &err))
        conf_report_error(report, path, 0, "could not read file: %s", err.message);
    run(&feed);
}

void ini_read_text(const char *name, const char *text, size_t len, struct ini_sink sink,
                   struct conf_report *report)
{
    struct feed feed = {.sink = sink, .report = report};
    struct buf copy = BUF_NONE;
    buf_append(&copy, text, len);
    *buf_reserve(&copy, 1) = '\0';
    if (!has_nul(&feed, name, &copy))
        push_source(&feed, name, copy);
    else
        buf_done(&copy);
    run(&feed);
}
