#include "sql/glance.h"

#include <stdint.h>
#include <string.h>

#include "sql/builtin.h"

/*
 * One pass over the bytes.  Strings and comments are jumped over; where that takes more than a look at their
 * ends (backslashes, dollars, comments in comments), the text is not plain.  Names in double quotes are
 * looked at as if they were words: that finds too much, never too little.
 */

enum byte {
    ODD, /* no text that we know has it here */
    BLANK,
    LETTER,
    DIGIT,
    MARK, /* operators, and what stands for itself */
    SINGLE,
    DOUBLE,
    DOLLAR,
    MINUS,
    SLASH,
    SEMICOLON,
    OPEN,
    KIND = 0x0f,
    NAME = 0x10, /* it can go on a name */
};

/* clang-format off */
#define L (LETTER | NAME)
#define D (DIGIT | NAME)
#define M MARK
static const uint8_t bytes[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, BLANK, BLANK, 0, BLANK, BLANK, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    BLANK, M, DOUBLE, M, DOLLAR | NAME, M, M, SINGLE, OPEN, M, M, M, M, MINUS, M, SLASH,
    D, D, D, D, D, D, D, D, D, D, M, SEMICOLON, M, M, M, M,
    M, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, M, 0, M, M, L,
    M, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, M, M, M, M, 0,
    L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
};
#undef L
#undef D
#undef M
/* clang-format on */

struct word {
    const char *at; /* NULL: none */
    size_t len;
    bool quoted;
};

/* What came before. */
enum before {
    NOTHING,
    WORD,
    POINT,  /* behind a word */
    CAST,   /* :: */
    CLOSED, /* a closing parenthesis */
    OTHER,
};

/* Is something a call?  Only its name and what stands before that tells. */
struct call {
    enum before before;
    struct word name, schema; /* the last word, and the one before its point */
    struct word word_ahead;   /* the word ahead of that name, with no mark between */
    enum before before_name;
    bool distinct_on;
};

struct glance {
    const char *at, *end;
    bool seen_command, ended; /* the first word; a semicolon */
    bool calls;
    struct call call;
};

static enum byte kind_of(char c)
{
    return (enum byte)(bytes[(unsigned char)c] & KIND);
}

static bool goes_on_name(char c)
{
    return (bytes[(unsigned char)c] & NAME) != 0;
}

/* Letters in either case; `lower` has no bytes but letters and underscores. */
static inline bool same(const char *at, const char *lower, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((at[i] | 0x20) != (lower[i] | 0x20))
            return false;
    return true;
}

static inline bool is(const struct word *word, const char *lower, size_t len)
{
    return word->len == len && same(word->at, lower, len);
}
#define IS(word, text) is(word, text, sizeof(text) - 1)

static inline bool begins(const struct word *word, const char *lower, size_t len)
{
    return word->len >= len && same(word->at, lower, len);
}
#define BEGINS(word, text) begins(word, text, sizeof(text) - 1)

/* A word that says, wherever it stands in a query, that the session may be changed:
 * set_config(), setseed(), INTO TEMP, a schema pg_temp, advisory locks, a view that sets settings, and
 * UESCAPE, behind which any of these can hide. */
static bool is_telling(const struct word *word)
{
    switch (word->at[0] | 0x20) {
    case 's':
        return IS(word, "set_config") || IS(word, "setseed");
    case 't':
        return IS(word, "temp") || IS(word, "temporary");
    case 'p':
        if (!BEGINS(word, "pg_"))
            return false;
        return BEGINS(word, "pg_temp") || IS(word, "pg_settings") ||
               (BEGINS(word, "pg_advisory") && !BEGINS(word, "pg_advisory_xact_lock")) ||
               (BEGINS(word, "pg_try_advisory") && !BEGINS(word, "pg_try_advisory_xact_lock"));
    case 'u':
        return IS(word, "uescape");
    default:
        return false;
    }
}

/* A command that does nothing to the session, its expressions left aside. */
static bool is_plain_command(const struct word *word)
{
    static const struct {
        const char *name;
        size_t len;
    } commands[] = {
#define COMMAND(name) {name, sizeof(name) - 1}
        COMMAND("select"),   COMMAND("insert"), COMMAND("update"),    COMMAND("delete"),
        COMMAND("begin"),    COMMAND("commit"), COMMAND("rollback"),  COMMAND("with"),
        COMMAND("start"),    COMMAND("end"),    COMMAND("savepoint"), COMMAND("release"),
        COMMAND("abort"),    COMMAND("values"), COMMAND("table"),     COMMAND("merge"),
        COMMAND("show"),     COMMAND("fetch"),  COMMAND("move"),      COMMAND("copy"),
        COMMAND("truncate"), COMMAND("lock"),   COMMAND("notify"),
#undef COMMAND
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (is(word, commands[i].name, commands[i].len))
            return !word->quoted;
    return false;
}

/* Is a parenthesis behind it? */

/* Keywords that cannot be the name of a function, and have a parenthesis behind them in queries. */
static bool is_keyword(const struct word *word)
{
    static const char *const keywords[] = {
        "in",        "values",       "and",
        "or",        "not",          "on",
        "using",     "where",        "exists",
        "any",       "all",          "some",
        "select",    "distinct",     "from",
        "when",      "then",         "else",
        "case",      "having",       "limit",
        "offset",    "union",        "except",
        "intersect", "array",        "row",
        "cast",      "as",           "coalesce",
        "greatest",  "least",        "nullif",
        "extract",   "position",     "overlay",
        "trim",      "substring",    "varchar",
        "char",      "character",    "numeric",
        "decimal",   "dec",          "bit",
        "time",      "interval",     "timestamp",
        "float",     "group",        "returning",
        "between",   "lateral",      "only",
        "with",      "current_time", "localtimestamp",
    };
    for (size_t i = 0; !word->quoted && i < sizeof keywords / sizeof *keywords; i++)
        if (is(word, keywords[i], strlen(keywords[i])))
            return true;
    return false;
}

/* As PostgreSQL folds it. */
static bool is_own_function(const struct word *word)
{
    char name[64];
    if (word->len >= sizeof name)
        return false;
    for (size_t i = 0; i < word->len; i++) {
        char c = word->at[i];
        name[i] = !word->quoted && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    struct builtin builtin = builtin_find(name, word->len);
    return builtin.volatility != BUILTIN_NONE && builtin.effects == 0;
}

static bool is_own_schema(const struct word *word)
{
    return word->quoted ? word->len == 10 && memcmp(word->at, "pg_catalog", 10) == 0
                        : IS(word, "pg_catalog");
}

static inline bool is_ahead(const struct call *call, const char *keyword)
{
    return call->word_ahead.at != NULL && !call->word_ahead.quoted &&
           is(&call->word_ahead, keyword, strlen(keyword));
}

/* Any of these ahead of a name: it is the name of a table, an alias or a WITH, and columns follow.  But
 * OPERATOR(s.+) stands behind a column as well, and that may be called "copy". */
static bool is_named(const struct call *call)
{
    if (IS(&call->name, "operator"))
        return false;
    return is_ahead(call, "as") || is_ahead(call, "into") || is_ahead(call, "with") ||
           is_ahead(call, "recursive") || is_ahead(call, "copy");
}

/* ON CONFLICT (columns) DO, and not a condition of a join that is a call. */
static bool is_conflict(const struct glance *glance)
{
    if (!IS(&glance->call.name, "conflict") || !is_ahead(&glance->call, "on"))
        return false;
    const char *at = glance->at + 1, *end = glance->end;
    while (at < end && (goes_on_name(*at) || kind_of(*at) == BLANK || *at == ',' || *at == '"'))
        at++;
    if (at == end || *at++ != ')')
        return false;
    while (at < end && kind_of(*at) == BLANK)
        at++;
    return end - at > 2 && same(at, "do", 2) && kind_of(at[2]) == BLANK;
}

/* What keywords make of a name before a parenthesis, or of each other. */
static bool is_no_call(const struct glance *glance)
{
    const struct call *call = &glance->call;
    if (call->before_name == CAST || is_named(call))
        return true;
    if (call->schema.at != NULL || call->name.quoted)
        return false;
    if (IS(&call->name, "by"))
        return is_ahead(call, "group") || is_ahead(call, "order") || is_ahead(call, "partition");
    if (IS(&call->name, "over") || IS(&call->name, "filter"))
        return call->before_name == CLOSED && !call->distinct_on;
    return is_keyword(&call->name) || is_conflict(glance);
}

static bool may_open(const struct glance *glance)
{
    const struct call *call = &glance->call;
    if (call->before != WORD || is_no_call(glance))
        return true;
    return (call->schema.at == NULL || is_own_schema(&call->schema)) &&
           is_own_function(&call->name);
}

static void note_word(struct call *call, struct word word)
{
    static const struct word none = {NULL, 0, false};
    if (call->before == POINT) {
        call->schema = call->name;
    } else {
        call->schema = none;
        call->word_ahead = call->before == WORD ? call->name : none;
        call->before_name = call->before;
    }
    call->name = word;
    call->before = WORD;
    if (IS(&word, "on") && is_ahead(call, "distinct"))
        call->distinct_on = true;
}

/* The pieces; each moves `at` behind itself and says whether the text may still be plain. */

static bool take_word(struct glance *glance, struct word word)
{
    if (glance->ended || is_telling(&word))
        return false;
    if (!glance->seen_command && !is_plain_command(&word))
        return false;
    glance->seen_command = true;
    if (glance->calls)
        note_word(&glance->call, word);
    return true;
}

static bool take_mark(struct glance *glance, enum before mark, size_t len)
{
    glance->at += len;
    glance->call.before = mark;
    return glance->seen_command && !glance->ended;
}

/* The first letters of telling words; the other words need no look once there is a command. */
static bool may_tell(char first)
{
    const uint32_t letters =
        1u << ('p' & 31) | 1u << ('s' & 31) | 1u << ('t' & 31) | 1u << ('u' & 31);
    return (letters >> (first & 31) & 1) != 0;
}

static inline bool take_letters(struct glance *glance)
{
    const char *from = glance->at, *at = from + 1, *end = glance->end;
    while (at < end && goes_on_name(*at))
        at++;
    glance->at = at;
    if (!may_tell(*from) && glance->seen_command && !glance->ended && !glance->calls)
        return true;
    return take_word(glance, (struct word){from, (size_t)(at - from), false});
}

static bool take_digits(struct glance *glance)
{
    size_t len = 1, left = (size_t)(glance->end - glance->at);
    while (len < left && kind_of(glance->at[len]) == DIGIT)
        len++;
    return take_mark(glance, OTHER, len);
}

static bool take_quoted_name(struct glance *glance)
{
    const char *from = glance->at + 1, *quote = memchr(from, '"', (size_t)(glance->end - from));
    if (quote == NULL || quote == from || (quote + 1 < glance->end && quote[1] == '"'))
        return false;
    glance->at = quote + 1;
    return take_word(glance, (struct word){from, (size_t)(quote - from), true});
}

static bool take_string(struct glance *glance)
{
    const char *from = glance->at + 1, *quote = memchr(from, '\'', (size_t)(glance->end - from));
    return quote != NULL && take_mark(glance, OTHER, (size_t)(quote + 1 - glance->at));
}

/* A parameter; else it begins a string. */
static bool take_dollar(struct glance *glance)
{
    return glance->at + 1 < glance->end && kind_of(glance->at[1]) == DIGIT &&
           take_mark(glance, OTHER, 2);
}

/* Such a comment says something to howdah: see sql/hints.h. */
static bool is_hint(const struct glance *glance)
{
    static const char word[] = "howdah:";
    const char *at = glance->at + 2;
    while (at < glance->end && kind_of(*at) == BLANK)
        at++;
    return (size_t)(glance->end - at) >= sizeof word - 1 && same(at, word, sizeof word - 1);
}

static bool take_minus(struct glance *glance)
{
    if (glance->at + 1 == glance->end || glance->at[1] != '-')
        return take_mark(glance, OTHER, 1);
    if (is_hint(glance))
        return false;
    while (glance->at < glance->end && *glance->at != '\n' && *glance->at != '\r')
        glance->at++;
    return true;
}

static bool take_slash(struct glance *glance)
{
    if (glance->at + 1 == glance->end || glance->at[1] != '*')
        return take_mark(glance, OTHER, 1);
    if (is_hint(glance))
        return false;
    const char *from = glance->at + 2, *end = memmem(from, (size_t)(glance->end - from), "*/", 2);
    if (end == NULL || memmem(from, (size_t)(end + 1 - from), "/*", 2) != NULL)
        return false;
    glance->at = end + 2;
    return true;
}

static bool take_semicolon(struct glance *glance)
{
    glance->at++;
    glance->ended = true;
    return true;
}

static bool take_open(struct glance *glance)
{
    bool first = !glance->seen_command; /* (SELECT ...) */
    if (glance->ended || (glance->calls && !may_open(glance)))
        return false;
    return take_mark(glance, OTHER, 1) || first;
}

static bool take_other(struct glance *glance)
{
    const char *at = glance->at;
    size_t left = (size_t)(glance->end - at);
    if (*at == '.')
        return take_mark(glance, glance->call.before == WORD ? POINT : OTHER, 1);
    if (*at == ')')
        return take_mark(glance, CLOSED, 1);
    if (*at != ':' || left < 2 || at[1] != ':')
        return take_mark(glance, OTHER, 1);
    /* Of three colons the last one stands alone. */
    return (left < 3 || at[2] != ':') && take_mark(glance, CAST, 2);
}

/* Anything but blanks and words. */
static bool take(struct glance *glance)
{
    switch (kind_of(*glance->at)) {
    case DIGIT:
        return take_digits(glance);
    case MARK:
        return take_other(glance);
    case SINGLE:
        return take_string(glance);
    case DOUBLE:
        return take_quoted_name(glance);
    case DOLLAR:
        return take_dollar(glance);
    case MINUS:
        return take_minus(glance);
    case SLASH:
        return take_slash(glance);
    case SEMICOLON:
        return take_semicolon(glance);
    case OPEN:
        return take_open(glance);
    default:
        return false;
    }
}

bool sql_is_plain(const char *text, size_t len, bool calls)
{
    struct glance glance = {.at = text, .end = text + len};
    if (len == 0)
        return true;
    if (memchr(text, '\\', len) != NULL)
        return false;
    glance.calls = calls && memchr(text, '(', len) != NULL; /* without one nothing is called */
    while (glance.at < glance.end) {
        enum byte kind = kind_of(*glance.at);
        if (kind == BLANK)
            glance.at++;
        else if (!(kind == LETTER ? take_letters(&glance) : take(&glance)))
            return false;
    }
    return true;
}
