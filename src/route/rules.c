#include "route/rules.h"

#include <regex.h>
#include <stdatomic.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct names {
    struct sql_name *at; /* owned array of owned texts */
    size_t n;
};

struct read_rules {
    atomic_int refs;
    struct names reads, writes;
    regex_t *patterns; /* owned */
    size_t n_patterns;
};

/* ---- a list of names ---- */

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name_char(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '$';
}

static char *take_plain(const char **at)
{
    size_t len = 0;
    if (!is_name_start(**at))
        return NULL;
    while (is_name_char((*at)[len]))
        len++;
    char *name = mem_strndup(*at, len);
    *at += len;
    for (char *c = name; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + ('a' - 'A')) : *c;
    return name;
}

/* What stands between two quotes, without the doubling of those in it; NULL: it is not closed, or empty. */
static char *take_quoted(const char **at, char quote)
{
    const char *from = *at + 1;
    char *text = mem_new(strlen(from) + 1), *to = text;
    while (*from != '\0' && (*from != quote || from[1] == quote)) {
        from += *from == quote;
        *to++ = *from++;
    }
    if (*from != quote || to == text) {
        mem_free(text);
        return NULL;
    }
    *at = from + 1;
    return text;
}

static char *take_part(const char **at)
{
    return **at == '"' ? take_quoted(at, '"') : take_plain(at);
}

static bool take_name(const char **at, struct sql_name *name)
{
    *name = (struct sql_name){NULL, take_part(at)};
    if (name->name != NULL && **at == '.') {
        (*at)++;
        name->schema = name->name;
        name->name = take_part(at);
    }
    return name->name != NULL;
}

static void free_name(struct sql_name *name)
{
    mem_free((char *)name->schema);
    mem_free((char *)name->name);
}

static bool malformed(struct err *err, const char *setting, const char *at)
{
    return err_set(err, SQLSTATE_CONFIG_FILE_ERROR,
                   "\"%s\" is not a list of names of functions at \"%s\"", setting, at);
}

static bool parse_names(struct names *names, const char *setting, const char *text, struct err *err)
{
    if (text == NULL)
        return true;
    for (skip_blanks(&text); *text != '\0'; skip_blanks(&text)) {
        const char *start = text;
        names->at = mem_resize(names->at, (names->n + 1) * sizeof *names->at);
        if (!take_name(&text, &names->at[names->n++]))
            return malformed(err, setting, start);
        skip_blanks(&text);
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return malformed(err, setting, start);
    }
    return true;
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free_name(&names->at[i]);
    mem_free(names->at);
}

/* ---- a list of patterns ---- */

static char *take_pattern(const char **at)
{
    if (**at == '\'')
        return take_quoted(at, '\'');
    size_t len = strcspn(*at, " \t\r\n");
    char *pattern = mem_strndup(*at, len);
    *at += len;
    return pattern;
}

static bool add_pattern(struct read_rules *rules, const char *pattern, struct err *err)
{
    rules->patterns =
        mem_resize(rules->patterns, (rules->n_patterns + 1) * sizeof *rules->patterns);
    int error =
        regcomp(&rules->patterns[rules->n_patterns], pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB);
    if (error != 0) {
        char why[128];
        regerror(error, &rules->patterns[rules->n_patterns], why, sizeof why);
        err_set(err, SQLSTATE_CONFIG_FILE_ERROR,
                "\"write_patterns\" has an invalid regular expression \"%s\"", pattern);
        err_detail(err, "%s.", why);
        return false;
    }
    rules->n_patterns++;
    return true;
}

static bool parse_patterns(struct read_rules *rules, const char *text, struct err *err)
{
    if (text == NULL)
        return true;
    for (skip_blanks(&text); *text != '\0'; skip_blanks(&text)) {
        const char *start = text;
        char *pattern = take_pattern(&text);
        bool apart = *text == '\0' || strchr(" \t\r\n", *text) != NULL;
        bool added = pattern != NULL && apart && add_pattern(rules, pattern, err);
        if (pattern == NULL || !apart)
            err_set(err, SQLSTATE_CONFIG_FILE_ERROR,
                    "\"write_patterns\" has quotes that do not match at \"%s\"", start);
        mem_free(pattern);
        if (!added)
            return false;
    }
    return true;
}

/* ---- life ---- */

struct read_rules *read_rules_new(const char *read_functions, const char *write_functions,
                                  const char *write_patterns, struct err *err)
{
    struct read_rules *rules = mem_new(sizeof *rules);
    atomic_init(&rules->refs, 1);
    if (parse_names(&rules->reads, "read_functions", read_functions, err) &&
        parse_names(&rules->writes, "write_functions", write_functions, err) &&
        parse_patterns(rules, write_patterns, err))
        return rules;
    read_rules_unref(rules);
    return NULL;
}

struct read_rules *read_rules_ref(struct read_rules *rules)
{
    atomic_fetch_add_explicit(&rules->refs, 1, memory_order_relaxed);
    return rules;
}

void read_rules_unref(struct read_rules *rules)
{
    if (rules == NULL || atomic_fetch_sub_explicit(&rules->refs, 1, memory_order_acq_rel) > 1)
        return;
    free_names(&rules->reads);
    free_names(&rules->writes);
    for (size_t i = 0; i < rules->n_patterns; i++)
        regfree(&rules->patterns[i]);
    mem_free(rules->patterns);
    mem_free(rules);
}

/* ---- questions ---- */

/* any: a function without a schema may be that of any. */
static bool has(const struct names *names, const struct sql_name *function, bool any)
{
    for (size_t i = 0; i < names->n; i++) {
        const struct sql_name *name = &names->at[i];
        bool schema =
            name->schema == NULL ||
            (function->schema == NULL ? any : strcmp(name->schema, function->schema) == 0);
        if (schema && strcmp(name->name, function->name) == 0)
            return true;
    }
    return false;
}

bool read_rules_reads(const struct read_rules *rules, const struct sql_name *function)
{
    return rules != NULL && has(&rules->reads, function, false);
}

bool read_rules_writes(const struct read_rules *rules, const struct sql_name *function)
{
    return rules != NULL && has(&rules->writes, function, true);
}

bool read_rules_match(const struct read_rules *rules, const char *text, size_t len)
{
    regmatch_t all = {0, (regoff_t)len};
    for (size_t i = 0; rules != NULL && i < rules->n_patterns; i++)
        if (regexec(&rules->patterns[i], text, 1, &all, REG_STARTEND) == 0)
            return true;
    return false;
}
