#include "sql/parser.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* libpg_query has made PostgreSQL's global variables thread-local.  The server's headers do not know that,
 * so theirs get other names, and the true ones are declared below. */
#define CurrentMemoryContext        global_CurrentMemoryContext
#define ErrorContext                global_ErrorContext
#define PG_exception_stack          global_PG_exception_stack
#define error_context_stack         global_error_context_stack
#define log_min_messages            global_log_min_messages
#define client_min_messages         global_client_min_messages
#define escape_string_warning       global_escape_string_warning
#define standard_conforming_strings global_standard_conforming_strings
#include <postgres.h>
#include <mb/pg_wchar.h>
#include <nodes/memnodes.h>
#include <parser/parser.h>
#include <utils/guc.h>
#include <utils/memutils.h>
#undef CurrentMemoryContext
#undef ErrorContext
#undef PG_exception_stack
#undef error_context_stack
#undef log_min_messages
#undef client_min_messages
#undef escape_string_warning
#undef standard_conforming_strings

extern __thread MemoryContext CurrentMemoryContext;
extern __thread MemoryContext ErrorContext;
extern __thread sigjmp_buf *PG_exception_stack;
extern __thread ErrorContextCallback *error_context_stack;
extern __thread int log_min_messages, client_min_messages;
extern __thread bool escape_string_warning, standard_conforming_strings;

enum {
    BLOCK_KEPT = 64 << 10, /* enough for nearly every statement */
    BLOCK_MAX = 1 << 20,   /* blocks double up to this */
    TREE_MAX = 128 << 20,  /* of one text: a million constants, and more */
    ERROR_MAX = 64 << 10,  /* of one error message */
    STACK_MAX = 1 << 20,   /* of 8 MB that a thread has */
    OPERATORS_MAX = 500,   /* of their characters in a row; a comment may have a line of them */
    SILENCE = PANIC + 1,   /* warnings would go to stderr */
};

struct block {
    struct block *next;
    size_t size, used;
    char data[];
};

/* PostgreSQL finds the context of what it frees or enlarges in front of it. */
struct chunk {
    size_t size;
    MemoryContext owner;
};

/* A memory context that gives, and takes back only what it gave last, or all. */
struct arena {
    MemoryContextData head; /* first: a MemoryContext is a pointer to it */
    struct block *blocks;   /* the newest first */
    size_t bytes, max;
};

/* What the library needs while it runs, and it calls us without an argument. */
struct guard {
    struct arena tree, error;
    uintptr_t stack_end; /* the stack grows down */
};

static _Thread_local struct guard *running; /* NULL outside of sql_parse() */
static _Thread_local struct block *kept;    /* the first block for the next text, or NULL */

_Noreturn static void give_up(void)
{
    siglongjmp(*PG_exception_stack, 1);
}

static size_t chunk_size(size_t size)
{
    return sizeof(struct chunk) + ((size + 15) & ~(size_t)15);
}

static struct block *block_new(struct arena *arena, size_t needed)
{
    size_t size = arena->blocks == NULL ? BLOCK_KEPT : arena->blocks->size * 2;
    size = size > BLOCK_MAX ? BLOCK_MAX : size;
    size = size < needed ? needed : size;
    if (size > arena->max - arena->bytes)
        give_up();
    struct block *block = malloc(sizeof *block + size);
    if (block == NULL)
        give_up();
    *block = (struct block){.next = arena->blocks, .size = size};
    arena->blocks = block;
    arena->bytes += size;
    return block;
}

static void *arena_alloc(MemoryContext context, Size size)
{
    struct arena *arena = (struct arena *)context;
    if (size > arena->max)
        give_up();
    size_t needed = chunk_size(size);
    struct block *block = arena->blocks;
    if (block == NULL || block->size - block->used < needed)
        block = block_new(arena, needed);
    struct chunk *chunk = (struct chunk *)(block->data + block->used);
    block->used += needed;
    *chunk = (struct chunk){needed - sizeof *chunk, context};
    return chunk + 1;
}

static bool is_newest(const struct arena *arena, const struct chunk *chunk)
{
    return (const char *)(chunk + 1) + chunk->size == arena->blocks->data + arena->blocks->used;
}

static void arena_free(MemoryContext context, void *ptr)
{
    struct arena *arena = (struct arena *)context;
    struct chunk *chunk = (struct chunk *)ptr - 1;
    if (is_newest(arena, chunk))
        arena->blocks->used -= sizeof *chunk + chunk->size;
}

static void *arena_realloc(MemoryContext context, void *ptr, Size size)
{
    size_t old = ((struct chunk *)ptr - 1)->size;
    if (size <= old)
        return ptr;
    arena_free(context, ptr); /* if it was the newest it now grows where it stands */
    void *grown = arena_alloc(context, size);
    return grown == ptr ? ptr : memcpy(grown, ptr, old);
}

static void arena_clear(MemoryContext context)
{
    struct arena *arena = (struct arena *)context;
    for (struct block *block = arena->blocks, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    arena->blocks = NULL;
    arena->bytes = 0;
}

static Size arena_chunk_space(MemoryContext context, void *ptr)
{
    return sizeof(struct chunk) + ((struct chunk *)ptr - 1)->size;
}

static bool arena_is_empty(MemoryContext context)
{
    return ((struct arena *)context)->blocks == NULL;
}

static const MemoryContextMethods arena_methods = {
    .alloc = arena_alloc,
    .free_p = arena_free,
    .realloc = arena_realloc,
    .reset = arena_clear,
    .delete_context = arena_clear,
    .get_chunk_space = arena_chunk_space,
    .is_empty = arena_is_empty,
};

static struct arena arena_of(const char *name, size_t max)
{
    return (struct arena){
        .head = {.type = T_AllocSetContext,
                 .isReset = true,
                 .methods = &arena_methods,
                 .name = name},
        .max = max,
    };
}

/* The linker lets the library call these in place of its own (see the Makefile).  The library's own says
 * that no stack is too deep. */
void __wrap_check_stack_depth(void);
void __wrap_check_stack_depth(void)
{
    if (running != NULL && (uintptr_t)__builtin_frame_address(0) < running->stack_end)
        give_up();
}

/* The library's own recurses without a check; the place of an error is nothing that we look at. */
int __wrap_exprLocation(const Node *expr);
int __wrap_exprLocation(const Node *expr)
{
    return -1;
}

/* The first block is kept. */
static void arena_end(struct arena *arena)
{
    for (struct block *block = arena->blocks, *next; block != NULL; block = next) {
        next = block->next;
        if (next == NULL && block->size == BLOCK_KEPT)
            kept = block;
        else
            free(block);
    }
}

static void guard_begin(struct guard *guard)
{
    *guard = (struct guard){
        .tree = arena_of("statement", TREE_MAX),
        .error = arena_of("error", ERROR_MAX),
        .stack_end = (uintptr_t)__builtin_frame_address(0) - STACK_MAX,
    };
    if (kept != NULL) {
        kept->used = 0;
        guard->tree.blocks = kept;
        guard->tree.bytes = kept->size;
        kept = NULL;
    }
    running = guard;
    CurrentMemoryContext = &guard->tree.head;
    ErrorContext = &guard->error.head;
}

static void guard_end(struct guard *guard)
{
    arena_end(&guard->tree);
    arena_clear(&guard->error.head);
    running = NULL;
}

static void set_variables(bool conforming)
{
    standard_conforming_strings = conforming;
    escape_string_warning = false;
    log_min_messages = client_min_messages = SILENCE;
    SetDatabaseEncoding(PG_UTF8);
}

static void parse_and_use(const char *text, size_t len, void (*use)(List *tree, void *arg),
                          void *arg)
{
    char *copy = sql_parse_alloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    use(raw_parser(copy, RAW_PARSE_DEFAULT), arg);
}

/* Not inlined: what a long jump would clobber is not in the caller's registers. */
__attribute__((noinline)) static bool guarded(const char *text, size_t len,
                                              void (*use)(List *tree, void *arg), void *arg)
{
    sigjmp_buf jump;
    if (sigsetjmp(jump, 0) != 0)
        return false;
    PG_exception_stack = &jump;
    parse_and_use(text, len, use, arg);
    return true;
}

/* For each operator or comment that begins in such a row PostgreSQL's scanner looks at all that is left of it:
 * 64 kB of them would take seconds. */
static bool has_long_row_of_operators(const char *text, size_t len)
{
    static const bool is_operator[256] = {
        ['~'] = true, ['!'] = true, ['@'] = true, ['#'] = true, ['^'] = true, ['&'] = true,
        ['|'] = true, ['`'] = true, ['?'] = true, ['+'] = true, ['-'] = true, ['*'] = true,
        ['/'] = true, ['%'] = true, ['<'] = true, ['>'] = true, ['='] = true,
    };
    size_t row = 0;
    for (size_t i = 0; i < len && row <= OPERATORS_MAX; i++)
        row = is_operator[(uint8_t)text[i]] ? row + 1 : 0;
    return row > OPERATORS_MAX;
}

bool sql_parse(const char *text, size_t len, bool conforming, void (*use)(List *tree, void *arg),
               void *arg)
{
    if (len >= TREE_MAX || memchr(text, '\0', len) != NULL || has_long_row_of_operators(text, len))
        return false;
    MemoryContext memory = CurrentMemoryContext, errors = ErrorContext;
    struct guard guard;
    guard_begin(&guard);
    set_variables(conforming);
    bool done = guarded(text, len, use, arg);
    PG_exception_stack = NULL;
    error_context_stack = NULL;
    if (!done)
        FlushErrorState();
    guard_end(&guard);
    CurrentMemoryContext = memory;
    ErrorContext = errors;
    return done;
}

void *sql_parse_alloc(size_t size)
{
    return arena_alloc(&running->tree.head, size);
}

void sql_parse_give_up(void)
{
    give_up();
}

void sql_parse_done(void)
{
    free(kept);
    kept = NULL;
}
