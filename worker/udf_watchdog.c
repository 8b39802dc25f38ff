/* The watchdog: sessions that take too long, wait too long, or whose engine does not read. */
#include "worker-internal.h"

#include <inttypes.h>

static int64_t ms(int64_t nanos)
{
    return nanos / 1000000;
}

/* The engine is answered without the UDF, which still runs; if it is inside a send, nothing can be said any more. */
static void answer_without(struct tribi_session *session, enum tribi_udf_place place, struct tribi_told *told)
{
    if (pthread_mutex_trylock(&session->out_lock) != 0) {
        tribi_session_lose(session, told->message != NULL ? told->message : "the UDF has not returned");
        tribi_told_done(told);
        return;
    }
    session->muted = true;
    pthread_mutex_unlock(&session->out_lock);
    tribi_session_terminate(session, place, told);
}

static void count(struct tribi_session *session)
{
    atomic_fetch_add(&session->worker->totals.watchdog, 1);
}

static bool too_long(struct tribi_session *session, int64_t now)
{
    int64_t limit = session->worker->options.batch_ms, since = atomic_load(&session->slot_since);
    struct tribi_told told = {.message = NULL};
    enum tribi_udf_place place = tribi_udf_place(session->state, session->answered);

    if (limit <= 0 || since == 0 || ms(now - since) <= limit || atomic_load(&session->sending) || place == TRIBI_UDF_NOWHERE)
        return false;
    tribi_told_set(&told, TRIB_UDF_WORKER_ERROR, "watchdog: %s has taken %" PRId64 " ms, at most %" PRId64 " are allowed",
                   session->answered ? "a batch" : "opening the UDF", ms(now - since), limit);
    count(session);
    session->state = TRIBI_UDF_CLOSING;
    tribi_session_stop(session);
    answer_without(session, place, &told);
    return true;
}

/* Whether the next word is the engine's. */
static bool expects_engine(struct tribi_session *session)
{
    bool waits;

    if (session->state == TRIBI_UDF_START || session->state == TRIBI_UDF_CHUNKS || session->state == TRIBI_UDF_FAILED)
        return true;
    if (session->state != TRIBI_UDF_OPEN)
        return false;
    pthread_mutex_lock(&session->lock);
    waits = session->waits;
    pthread_mutex_unlock(&session->lock);
    return waits;
}

static bool idle(struct tribi_session *session, int64_t now)
{
    int64_t limit = session->worker->options.idle_ms, since = session->heard;
    struct tribi_told told = {.message = NULL};

    if (limit <= 0 || ms(now - since) <= limit || !expects_engine(session))
        return false;
    tribi_told_set(&told, TRIB_UDF_WORKER_ERROR,
                   "watchdog: no progress: nothing came from the engine for %" PRId64 " ms, at most %" PRId64 " are allowed, expected %s",
                   ms(now - since), limit, tribi_udf_expected(session->state));
    count(session);
    tribi_session_close(session, &told);
    return true;
}

static bool stalled(struct tribi_session *session, int64_t now)
{
    int64_t limit = session->worker->options.stall_ms, since = session->speech.since;
    struct tribi_told why = {.message = NULL};

    if (limit <= 0 || since == 0 || ms(now - since) <= limit)
        return false;
    tribi_told_set(&why, TRIB_UDF_WORKER_ERROR, "watchdog: the engine has read nothing for %" PRId64 " ms, at most %" PRId64 " are allowed", ms(now - since),
                   limit);
    count(session);
    tribi_session_lose(session, why.message);
    tribi_told_done(&why);
    return true;
}

/* What a shutdown has said is not waited for for ever. */
static bool unheard(struct tribi_session *session, int64_t now)
{
    if (now < session->worker->last_at || session->speech.since == 0)
        return false;
    count(session);
    tribi_session_lose(session, "the worker is shutting down, and the engine reads nothing");
    return true;
}

static bool unsettled(struct tribi_session *session, int64_t now)
{
    int64_t limit = session->worker->options.settle_ms, since = session->stopping;
    struct tribi_told late = {.message = NULL};
    bool closing = session->state == TRIBI_UDF_CLOSING, last = now >= session->worker->last_at;

    if (since == 0 || !session->engaged || (!last && (limit < 0 || ms(now - since) <= limit)))
        return false;
    if (!closing && last)
        tribi_told_set(&late, TRIB_UDF_WORKER_ERROR, "the worker is shutting down, and the UDF has not returned for %" PRId64 " ms", ms(now - since));
    else if (!closing)
        tribi_told_set(&late, TRIB_UDF_WORKER_ERROR,
                       "watchdog: the UDF has not returned for %" PRId64 " ms after it was stopped, at most %" PRId64 " are allowed",
                       ms(now - since), limit);
    count(session);
    if (closing)
        answer_without(session, session->place == TRIBI_UDF_IN_INIT && session->answered ? TRIBI_UDF_IN_ERROR : session->place, &session->words);
    else
        answer_without(session, TRIBI_UDF_IN_CANCEL, &late);
    return true;
}

void tribi_session_look(struct tribi_session *session, int64_t now)
{
    if (session->speech.over || session->lost)
        return;
    if (stalled(session, now) || unheard(session, now) || session->state == TRIBI_UDF_ENDED)
        return;
    if (!unsettled(session, now) && !too_long(session, now))
        idle(session, now);
}
