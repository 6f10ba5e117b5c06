#include "pool/welcome.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "pool/pool.h"

struct welcome *welcome_new(void)
{
    struct welcome *welcome = mem_new(sizeof *welcome);
    welcome->refs = 1;
    return welcome;
}

void welcome_add(struct welcome *welcome, const char *name, const char *value)
{
    for (size_t i = 0; i < welcome->n; i++) {
        struct welcome_param *param = &welcome->params[i];
        if (strcmp(param->name, name) == 0) {
            mem_free(param->value);
            param->value = mem_strdup(value);
            return;
        }
    }
    welcome->params = mem_resize(welcome->params, (welcome->n + 1) * sizeof *welcome->params);
    welcome->params[welcome->n++] =
        (struct welcome_param){.name = mem_strdup(name), .value = mem_strdup(value)};
}

const char *welcome_value(const struct welcome *welcome, const char *name)
{
    for (size_t i = 0; i < welcome->n; i++) {
        if (strcasecmp(welcome->params[i].name, name) == 0)
            return welcome->params[i].value;
    }
    return NULL;
}

struct welcome *welcome_of(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    struct welcome *welcome = pool->welcome;
    if (welcome != NULL)
        welcome->refs++;
    pthread_mutex_unlock(&pool->mutex);
    return welcome;
}

struct welcome *welcome_ref(struct pool *pool, struct welcome *welcome)
{
    pthread_mutex_lock(&pool->mutex);
    welcome->refs++;
    pthread_mutex_unlock(&pool->mutex);
    return welcome;
}

void welcome_replace(struct pool *pool, struct welcome *welcome)
{
    pthread_mutex_lock(&pool->mutex);
    struct welcome *old = pool->welcome;
    pool->welcome = welcome;
    pthread_mutex_unlock(&pool->mutex);
    welcome_unref(pool, old);
}

void welcome_unref(struct pool *pool, struct welcome *welcome)
{
    if (welcome == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    bool last = --welcome->refs == 0;
    pthread_mutex_unlock(&pool->mutex);
    if (last)
        welcome_free(welcome);
}

void welcome_free(struct welcome *welcome)
{
    if (welcome == NULL)
        return;
    for (size_t i = 0; i < welcome->n; i++) {
        mem_free(welcome->params[i].name);
        mem_free(welcome->params[i].value);
    }
    mem_free(welcome->params);
    mem_free(welcome);
}
