#include "topology/probe.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/mem.h"
#include "net/loop.h"
#include "topology/asker.h"
#include "topology/freshness.h"

enum {
    GAP_US = 50000,    /* between the beginnings of two questions */
    FOLLOW_US = 50000, /* what was written has to get there first */
    LIMIT_LEAST_US = 1000000,
    LIMIT_MOST_US = 10000000,
};

/*
 * Functions of PostgreSQL 12 that any role may call.  The timeline of a checkpoint is late on a primary, which
 * has been promoted just now; of a standby it is the latest that it has taken down, and what it receives now
 * if the role may see that (pg_monitor).  The flushed position is asked for first: it must not be ahead of
 * the other.
 */
static const char question[] =
    "SELECT r.standby, s.system_identifier,"
    " CASE WHEN r.standby THEN greatest(c.timeline_id, m.min_recovery_end_timeline,"
    " (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver))::text"
    " ELSE substr(pg_catalog.pg_walfile_name(p.lsn), 1, 8) END,"
    " p.lsn, p.other_lsn,"
    " CASE WHEN NOT r.standby THEN (pg_catalog.pg_walfile_name_offset(p.lsn)).file_offset END,"
    " pg_catalog.current_setting('wal_block_size'),"
    " CASE WHEN r.standby THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END,"
    " (3000000 * extract(epoch FROM "
    "pg_catalog.current_setting('wal_writer_delay')::interval))::bigint"
    " FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) r,"
    " LATERAL (SELECT CASE WHEN r.standby THEN pg_catalog.pg_last_wal_receive_lsn()"
    " ELSE pg_catalog.pg_current_wal_flush_lsn() END AS other_lsn,"
    " CASE WHEN r.standby THEN pg_catalog.pg_last_wal_replay_lsn()"
    " ELSE pg_catalog.pg_current_wal_insert_lsn() END AS lsn) p,"
    " pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c,"
    " pg_catalog.pg_control_recovery() m";

enum column {
    COL_STANDBY,
    COL_SYSTEM_ID,
    COL_TIMELINE,
    COL_LSN,
    COL_OTHER_LSN,
    COL_OFFSET,
    COL_BLOCK_SIZE,
    COL_PAUSED,
    COL_DELAY,
    N_COLUMNS,
};

struct probe {
    struct loop *loop;   /* borrowed */
    struct asker *asker; /* owned */
    int64_t interval_us;
    probe_done *done;
    probe_lost *lost;
    void *context;
    bool asking;
    bool answers;             /* the last question was answered: there is a connection */
    int64_t began_us;         /* the last question */
    struct deadline deadline; /* the next question */
};

/* ---- the end of a question ---- */

static int64_t limit_us(const struct probe *probe)
{
    int64_t limit_us = 2 * probe->interval_us;
    if (limit_us < LIMIT_LEAST_US)
        return LIMIT_LEAST_US;
    return limit_us < LIMIT_MOST_US ? limit_us : LIMIT_MOST_US;
}

static void ask_next_at(struct probe *probe, int64_t at_us)
{
    int64_t first_us = probe->began_us + GAP_US;
    deadline_set(probe->loop, &probe->deadline, DEADLINE_OTHER,
                 at_us > first_us ? at_us : first_us);
}

static void end(struct probe *probe, const struct node_sample *sample, const char *error)
{
    probe->asking = false;
    ask_next_at(probe, probe->began_us + probe->interval_us);
    probe->done(probe->context, sample, error);
}

/* ---- the answer ---- */

/* What there is none of reads as 0: a standby that has not begun to replay has no position. */
static bool read_lsn(const PGresult *result, enum column column, uint64_t *lsn)
{
    uint32_t high, low;
    *lsn = 0;
    if (PQgetisnull(result, 0, column))
        return true;
    if (sscanf(PQgetvalue(result, 0, column), "%" SCNx32 "/%" SCNx32, &high, &low) != 2)
        return false;
    *lsn = (uint64_t)high << 32 | low;
    return true;
}

static unsigned long long read_number(const PGresult *result, enum column column, int base)
{
    return strtoull(PQgetvalue(result, 0, column), NULL, base);
}

static bool read_sample(const PGresult *result, struct node_sample *sample)
{
    if (PQntuples(result) != 1 || PQnfields(result) != N_COLUMNS)
        return false;
    sample->in_recovery = PQgetvalue(result, 0, COL_STANDBY)[0] == 't';
    sample->paused = PQgetvalue(result, 0, COL_PAUSED)[0] == 't';
    sample->system_id = read_number(result, COL_SYSTEM_ID, 10);
    sample->timeline = (uint32_t)read_number(result, COL_TIMELINE, sample->in_recovery ? 10 : 16);
    sample->delay_us = (int64_t)read_number(result, COL_DELAY, 10);
    uint32_t block_size = (uint32_t)read_number(result, COL_BLOCK_SIZE, 10);
    if (!read_lsn(result, COL_LSN, &sample->lsn) ||
        !read_lsn(result, COL_OTHER_LSN, &sample->other_lsn) || block_size == 0)
        return false;
    if (!sample->in_recovery)
        sample->lsn =
            wal_position(sample->lsn, (uint32_t)read_number(result, COL_OFFSET, 10), block_size);
    return sample->system_id != 0 && sample->timeline != 0;
}

static void on_answer(void *context, const PGresult *result, const char *error)
{
    struct probe *probe = context;
    struct node_sample sample = {.asked_us = probe->began_us};
    bool answered = probe->answers;
    probe->answers = result != NULL;
    if (result == NULL) {
        if (answered)
            probe->lost(probe->context);
        end(probe, NULL, error);
    } else if (read_sample(result, &sample)) {
        end(probe, &sample, NULL);
    } else {
        asker_drop(probe->asker);
        end(probe, NULL, "the answer is not understood");
    }
}

static void on_lost(void *context)
{
    struct probe *probe = context;
    probe->answers = false;
    probe->lost(probe->context);
    probe_hurry(probe);
}

static const struct asker_calls calls = {on_answer, on_lost};

/* ---- the beginning of a question ---- */

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    struct probe *probe = CONTAINER_OF(deadline, struct probe, deadline);
    probe->asking = true;
    probe->began_us = clock_now_us();
    asker_ask(probe->asker, question, limit_us(probe));
}

void probe_hurry(struct probe *probe)
{
    if (!probe->asking)
        ask_next_at(probe, clock_now_us());
}

void probe_follow(struct probe *probe)
{
    int64_t delay_us = probe->interval_us / 4 < FOLLOW_US ? probe->interval_us / 4 : FOLLOW_US;
    int64_t at_us = clock_now_us() + delay_us;
    int64_t last_us = probe->began_us + probe->interval_us + delay_us;
    if (!probe->asking && probe->answers)
        ask_next_at(probe, at_us < last_us ? at_us : last_us);
}

/* ---- life ---- */

static struct asker_target place_of(const struct probe_target *target)
{
    return (struct asker_target){.host = target->host,
                                 .port = target->port,
                                 .user = target->user,
                                 .dbname = target->dbname,
                                 .password = target->password,
                                 .application_name = "howdah probe"};
}

struct probe *probe_new(struct loop *loop, struct resolver *resolver,
                        const struct probe_target *target, probe_done *done, probe_lost *lost,
                        void *context)
{
    struct asker_target place = place_of(target);
    struct probe *probe = mem_new(sizeof *probe);
    probe->loop = loop;
    probe->asker = asker_new(loop, resolver, &place, &calls, probe);
    probe->done = done;
    probe->lost = lost;
    probe->context = context;
    probe->interval_us = target->interval_us;
    probe->deadline.expired = on_deadline;
    deadline_set(loop, &probe->deadline, DEADLINE_OTHER, clock_now_us());
    return probe;
}

void probe_retarget(struct probe *probe, const struct probe_target *target)
{
    struct asker_target place = place_of(target);
    probe->interval_us = target->interval_us;
    if (asker_retarget(probe->asker, &place))
        probe->asking = false;
    probe_hurry(probe);
}

void probe_free(struct probe *probe)
{
    if (probe == NULL)
        return;
    asker_free(probe->asker);
    deadline_clear(probe->loop, &probe->deadline);
    mem_free(probe);
}
