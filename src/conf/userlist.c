#include "conf/userlist.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "conf/file.h"
#include "conf/hash.h"
#include "conf/report.h"

struct listed_user {
    UT_hash_handle hh;
    size_t secret_at;
    size_t size; /* of text */
    char text[]; /* name, NUL, secret, NUL */
};

struct userlist {
    atomic_int refs;
    struct listed_user *users; /* owned: the hash table */
};

struct userlist *userlist_new(void)
{
    struct userlist *list = mem_new(sizeof *list);
    atomic_init(&list->refs, 1);
    return list;
}

struct userlist *userlist_ref(struct userlist *list)
{
    atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
    return list;
}

static void free_user(struct listed_user *user)
{
    mem_wipe(user->text, user->size);
    mem_free(user);
}

void userlist_unref(struct userlist *list)
{
    if (list == NULL || atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) > 1)
        return;
    struct listed_user *user, *next;
    HASH_ITER(hh, list->users, user, next)
    {
        HASH_DEL(list->users, user);
        free_user(user);
    }
    mem_free(list);
}

static struct listed_user *find(const struct userlist *list, const char *name)
{
    struct listed_user *user;
    HASH_FIND_STR(list->users, name, user);
    return user;
}

const char *userlist_find(const struct userlist *list, const char *name)
{
    struct listed_user *user = find(list, name);
    return user != NULL ? user->text + user->secret_at : NULL;
}

const char *userlist_next(const struct userlist *list, const char *after)
{
    const struct listed_user *user = after != NULL ? find(list, after) : NULL;
    const struct listed_user *next = user != NULL ? user->hh.next : list->users;
    return next != NULL ? next->text : NULL;
}

size_t userlist_count(const struct userlist *list)
{
    return HASH_COUNT(list->users);
}

/* Returns whether the name is new; the last line for a name wins. */
static bool put(struct userlist *list, const char *name, const char *secret)
{
    size_t name_size = strlen(name) + 1, secret_size = strlen(secret) + 1;
    struct listed_user *user = mem_new(sizeof *user + name_size + secret_size);
    user->secret_at = name_size;
    user->size = name_size + secret_size;
    memcpy(user->text, name, name_size);
    memcpy(user->text + name_size, secret, secret_size);
    struct listed_user *old;
    HASH_REPLACE(hh, list->users, text[0], name_size - 1, user, old);
    if (old == NULL)
        return true;
    free_user(old);
    return false;
}

static char *skip_blanks(char *text)
{
    return text + strspn(text, " \t\r\v\f");
}

/* Unquotes in place and moves *pos behind the last quote.  NULL when there is no quoted text. */
static const char *cut_quoted(char **pos)
{
    char *from = skip_blanks(*pos);
    if (*from != '"')
        return NULL;
    char *text = ++from, *to = text;
    for (; *from != '\0'; from++) {
        if (*from == '"' && from[1] != '"') {
            *to = '\0';
            *pos = from + 1;
            return text;
        }
        from += *from == '"';
        *to++ = *from;
    }
    return NULL;
}

/* Returns what is wrong with the line; NULL when nothing is. */
static const char *take_line(struct userlist *list, char *line, bool *again, const char **name)
{
    static const char *const syntax = "expected \"user\" \"secret\", both in double quotes";
    line = skip_blanks(line);
    if (*line == '\0' || *line == ';' || *line == '#')
        return NULL;
    const char *user = cut_quoted(&line);
    const char *secret = user != NULL ? cut_quoted(&line) : NULL;
    if (secret == NULL)
        return syntax;
    if (user[0] == '\0')
        return "the user name is empty";
    if (strlen(user) > LIMIT_NAME)
        return "the user name is longer than 63 bytes";
    if (strlen(secret) > USERLIST_SECRET_MAX)
        return "the secret is longer than 65530 bytes";
    *name = user;
    *again = !put(list, user, secret);
    return NULL;
}

static void take_lines(struct userlist *list, const char *file, char *text, char *end,
                       struct conf_report *report)
{
    for (int line = 1; text < end; line++) {
        char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (line_end == NULL)
            line_end = end;
        *line_end = '\0';
        bool again = false;
        const char *name = "";
        const char *wrong = take_line(list, text, &again, &name);
        if (wrong != NULL)
            conf_report_error(report, file, line, "%s", wrong);
        if (again)
            conf_report_warning(report, file, line, "user \"%s\" is listed again, this line counts",
                                name);
        text = line_end + 1;
    }
}

/* text has a NUL behind its len bytes. */
static struct userlist *parse_in_place(const char *name, char *text, size_t len,
                                       struct conf_report *report)
{
    size_t errors = report->n_errors;
    int nul_line = conf_file_nul_line(text, len);
    struct userlist *list = userlist_new();
    if (nul_line > 0)
        conf_report_error(report, name, nul_line, "a NUL byte is not allowed");
    else
        take_lines(list, name, text + conf_file_bom(text, len), text + len, report);
    if (report->n_errors == errors)
        return list;
    userlist_unref(list);
    return NULL;
}

static void wipe_done(struct buf *text)
{
    mem_wipe(text->data, text->len);
    buf_done(text);
}

struct userlist *userlist_parse(const char *name, const char *text, size_t len,
                                struct conf_report *report)
{
    struct buf copy = BUF_NONE;
    buf_append(&copy, text, len);
    *buf_reserve(&copy, 1) = '\0';
    struct userlist *list = parse_in_place(name, copy.data, copy.len, report);
    wipe_done(&copy);
    return list;
}

static bool has_secrets(const struct userlist *list)
{
    for (struct listed_user *user = list->users; user != NULL; user = user->hh.next)
        if (user->text[user->secret_at] != '\0')
            return true;
    return false;
}

struct userlist *userlist_load(const char *path, struct conf_report *report)
{
    struct buf text = BUF_NONE;
    struct err err = ERR_NONE;
    struct userlist *list = NULL;
    mode_t mode = 0;
    if (conf_file_read(path, &text, &mode, &err))
        list = parse_in_place(path, text.data, text.len, report);
    else
        conf_report_error(report, path, 0, "could not read auth_file: %s", err.message);
    if (list != NULL && (mode & S_IROTH) != 0 && has_secrets(list))
        conf_report_warning(report, path, 0, "everybody on this machine can read the secrets");
    if (text.data != NULL)
        wipe_done(&text);
    return list;
}
