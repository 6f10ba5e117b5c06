/* What the parts of a pool tell and ask each other. */
#include "base/mem.h"
#include "pool/opening.h"
#include "pool/part.h"
#include "pool/pool.h"

struct part_mail {
    struct mail mail;
    struct pool *pool;
    unsigned to, from; /* indices of workers */
    part_call *call;
    struct opening *opening; /* counted; of a request for an idle server */
};

static struct part *receiver_of(const struct part_mail *mail)
{
    return part_get(mail->pool->pools->workers[mail->to], mail->pool);
}

static void deliver_call(struct mail *mail, struct loop *loop)
{
    struct part_mail *call = (struct part_mail *)mail;
    call->call(receiver_of(call), call->from);
    mem_free(call);
}

static struct part_mail *new_mail(struct part *part, unsigned to,
                                  void (*deliver)(struct mail *, struct loop *))
{
    struct part_mail *mail = mem_new(sizeof *mail);
    mail->mail.deliver = deliver;
    mail->pool = part->pool;
    mail->to = to;
    mail->from = part->worker->index;
    return mail;
}

void part_post(struct part *part, unsigned to, part_call *call)
{
    struct part_mail *mail = new_mail(part, to, deliver_call);
    mail->call = call;
    loop_post(part->pool->pools->workers[to]->loop, &mail->mail);
}

/* ---- questions ---- */

bool part_may_ask(struct question *question, unsigned to)
{
    uint64_t bit = UINT64_C(1) << (to % 64);
    if ((question->open & bit) != 0) {
        question->again |= bit;
        return false;
    }
    question->open |= bit;
    return true;
}

bool part_is_answered(struct question *question, unsigned from)
{
    uint64_t bit = UINT64_C(1) << (from % 64);
    bool again = (question->again & bit) != 0;
    question->open &= ~bit;
    question->again &= ~bit;
    return again;
}

/* ---- for an idle server ---- */

static void take_given(struct part *part, unsigned from)
{
    part_is_answered(&part->asked, from);
    part_hunt(part);
}

static void ask(struct part *part, unsigned to, struct opening *opening);

/* To hunt then would be to ask all again, for ever: once there is one, our waiter is seen. */
static void take_no(struct part *part, unsigned from)
{
    bool again = part_is_answered(&part->asked, from);
    const struct waiter *blocked = part_first_blocked(part);
    if (again && blocked != NULL)
        ask(part, from, blocked->opening);
}

/* Those that are idle here are of no use to who waits here: it would have had them. */
static void deliver_want(struct mail *mail, struct loop *loop)
{
    struct part_mail *want = (struct part_mail *)mail;
    struct part *part = receiver_of(want);
    bool may_give =
        !part->worker->suspended && atomic_load(&part->pool->slots[want->from].oldest_us) != 0;
    bool given = may_give && (part_give_idle(part, want->from, want->opening) ||
                              (part_is_full(part) && part_evict(part, NULL)));
    part_post(part, want->from, given ? take_given : take_no);
    opening_unref(want->opening);
    mem_free(want);
}

static void ask(struct part *part, unsigned to, struct opening *opening)
{
    if (!part_may_ask(&part->asked, to))
        return;
    struct part_mail *want = new_mail(part, to, deliver_want);
    want->opening = opening_ref(opening);
    loop_post(part->pool->pools->workers[to]->loop, &want->mail);
}

void part_ask_others(struct part *part, struct opening *opening)
{
    struct pool *pool = part->pool;
    for (unsigned i = 0; i < pool->pools->n_workers; i++) {
        if (i != part->worker->index && atomic_load(&pool->slots[i].idle) > 0)
            ask(part, i, opening);
    }
}

/* ---- news ---- */

static void take_news(struct part *part, unsigned from)
{
    part_hunt(part);
}

/* To all: for the one that has waited longest a server may be on its way already. */
void part_announce(struct part *part)
{
    const struct pool *pool = part->pool;
    if (part_alone(part) || atomic_load(&pool->waiting_workers) <= (part->published ? 1 : 0))
        return;
    for (unsigned i = 0; i < pool->pools->n_workers; i++) {
        if (i != part->worker->index && atomic_load(&pool->slots[i].oldest_us) != 0)
            part_post(part, i, take_news);
    }
}
