/*
 * test/fuzz/fuzz_ini.c - any bytes as a settings file, and as a user list
 *
 * Entries go where the loader would put them, so that values and connection strings are read too.
 * No input reads a file: %include is left out, and auth_file is stored but not loaded.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/entries.h"
#include "conf/ini.h"
#include "conf/report.h"
#include "conf/settings.h"
#include "conf/table.h"
#include "conf/userlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    struct settings *settings;
    struct conf_report report;
};

/* What is written reads as the same value again. */
static void store(struct settings *settings, const struct conf_setting *setting, const char *value)
{
    struct err err = ERR_NONE;
    struct buf text = BUF_NONE;
    if (setting == NULL || !conf_store(settings, setting, value, &err))
        return;
    struct settings *again = settings_new();
    conf_write_value(settings, setting, &text);
    buf_append_u8(&text, 0);
    bool stored = conf_store(again, setting, text.data, &err);
    assert(stored && conf_same_value(settings, again, setting));
    buf_done(&text);
    settings_unref(again);
}

static void take(void *context, const struct ini_entry *entry)
{
    struct target *target = context;
    assert(entry->line > 0 && (entry->key == NULL) == (entry->value == NULL));
    if (entry->key == NULL)
        return;
    if (strcmp(entry->section, "databases") == 0)
        entries_add_database(target->settings->entries, entry, &target->report);
    else if (strcmp(entry->section, "users") == 0)
        entries_add_user(target->settings->entries, entry, &target->report);
    else
        store(target->settings, conf_find_setting(entry->key), entry->value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct target target = {.settings = settings_new()};
    conf_report_init(&target.report);
    userlist_unref(userlist_parse("fuzz", (const char *)data, size, &target.report));
    if (memmem(data, size, "%include", strlen("%include")) == NULL)
        ini_read_text("fuzz", (const char *)data, size,
                      (struct ini_sink){.take = take, .context = &target}, &target.report);
    conf_report_done(&target.report);
    settings_unref(target.settings);
    return 0;
}
