#include "route/explain.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"

static void line(struct buf *lines, const char *text)
{
    buf_append_cstr(lines, text);
}

static void write_class(const struct route_question *question, struct buf *lines)
{
    static const char *const names[] = {[READS_NO] = "no read",
                                        [READS_YES] = "read",
                                        [READS_ANYWHERE] = "neither reads nor writes data",
                                        [READS_BEGIN] = "begins a transaction"};
    char why[REASON_TEXT], text[REASON_TEXT + 64];
    bool says_why = question->answer.reads == READS_NO;
    snprintf(text, sizeof text, "Class: %s%s%s", names[question->answer.reads],
             says_why ? ": " : "", says_why ? reads_text(&question->answer, why) : "");
    line(lines, text);
}

static void write_need(const struct read_need *need, struct buf *lines)
{
    char text[128];
    if (need->write_us != 0) {
        snprintf(text, sizeof text, "Follows: a write that was acknowledged %" PRId64 " ms ago",
                 (need->now_us - need->write_us) / 1000);
        line(lines, text);
    }
    if (need->min_lsn != 0) {
        snprintf(text, sizeof text, "Follows: %" PRIX32 "/%" PRIX32,
                 (uint32_t)(need->min_lsn >> 32), (uint32_t)need->min_lsn);
        line(lines, text);
    }
}

static void write_node(const struct route_question *question, size_t i,
                       const struct verdict *verdict, struct buf *lines)
{
    const struct node_view *node = &question->cluster->nodes[i];
    bool is_primary = (int)i == question->cluster->primary;
    int64_t fresh_us = atomic_load(&node->gauge->fresh_us);
    char text[320], lag[64] = "", score[64] = "";
    if (!is_primary && fresh_us != 0)
        snprintf(lag, sizeof lag, ", lag %" PRId64 " ms",
                 (question->need.now_us - fresh_us) / 1000);
    if (verdict->unfit == FIT)
        snprintf(score, sizeof score, ", score %.3f", verdict->score);
    snprintf(text, sizeof text, "Node %s: %s%s, %d leases, %s%s", node->name,
             is_primary ? "primary" : "standby", lag, atomic_load(&node->gauge->outstanding),
             unfit_name(verdict->unfit), score);
    line(lines, text);
}

static void write_choice(const struct route_question *question, const struct choice *choice,
                         struct buf *lines)
{
    char text[160];
    if (choice->node < 0)
        snprintf(text, sizeof text, "Choice: the primary, as standbys are: %s",
                 unfit_name(choice->unfit));
    else
        snprintf(text, sizeof text, "Choice: node %s", question->cluster->nodes[choice->node].name);
    line(lines, text);
}

void route_explain(const struct route_question *question, struct buf *lines)
{
    const struct cluster_view *cluster = question->cluster;
    write_class(question, lines);
    if (!question->splits || cluster == NULL) {
        line(lines, question->splits ? "Choice: the primary, as the nodes are not known yet"
                                     : "Choice: the primary, as this database does not split");
    } else if (question->answer.reads != READS_YES) {
        line(lines, "Choice: the primary");
    } else if (question->wants_primary) {
        line(lines, "Choice: the primary, as the client asks for it");
    } else {
        struct verdict *verdicts = mem_new_array(cluster->n_nodes, sizeof *verdicts);
        struct choice choice = choose_node(cluster, &question->need, verdicts);
        write_need(&question->need, lines);
        for (size_t i = 0; i < cluster->n_nodes; i++)
            write_node(question, i, &verdicts[i], lines);
        write_choice(question, &choice, lines);
        mem_free(verdicts);
    }
}
