/* Manage: heartbeats and shutdown, answered on the I/O thread whatever the UDFs do. */
#include "worker-internal.h"

#include <tributary/alloc.h>

#include <inttypes.h>
#include <stdio.h>

enum { REQUEST_MAX = 64 << 10, SETTLE_MS = 50 };

/* One call. */
struct tribi_manage {
    struct tribi_manage *next, **link;
    struct trib_worker *worker;
    struct trib_channel *channel;
    struct tribi_speech speech;
    bool reading;
    int64_t begun;        /* when the call came */
    int64_t settle_until; /* a shutdown waits for the sessions until then; 0: it does not */
    bool over;
};

static void manage_free(struct tribi_manage *manage)
{
    *manage->link = manage->next;
    if (manage->next != NULL)
        manage->next->link = manage->link;
    if (manage->reading)
        trib_reader_set_callback(trib_channel_reader(manage->channel), NULL, NULL, NULL, NULL);
    tribi_speech_done(&manage->speech);
    trib_channel_free(manage->channel);
    trib_free(manage);
}

/* It is freed by the next look: this may be inside one of its own callbacks. */
static void bury(void *arg)
{
    struct tribi_manage *manage = arg;

    manage->over = true;
    tribi_worker_ring(manage->worker);
}

static struct tribi_manage *make(struct trib_worker *worker, struct trib_grpc_call *call)
{
    struct tribi_manage *manage = trib_alloc(sizeof(*manage));

    if (manage == NULL) {
        trib_channel_free(trib_grpc_call_channel(call));
        return NULL;
    }
    manage->worker = worker;
    manage->channel = trib_grpc_call_channel(call);
    manage->speech.writer = trib_channel_writer(manage->channel);
    manage->speech.done = bury;
    manage->speech.arg = manage;
    manage->next = worker->manages;
    manage->link = &worker->manages;
    if (manage->next != NULL)
        manage->next->link = &manage->next;
    worker->manages = manage;
    return manage;
}

static void finish(struct tribi_manage *manage, int status, const char *text)
{
    tribi_speech_finish(&manage->speech, status, text);
    if (tribi_speech_go(&manage->speech, manage->worker->base))
        bury(manage);
}

/* Without its request: what comes of it now is not read. */
static void give_up(struct tribi_manage *manage, int status, const char *text)
{
    trib_reader_set_callback(trib_channel_reader(manage->channel), NULL, NULL, NULL, NULL);
    manage->reading = false;
    finish(manage, status, text);
}

static void answer(struct tribi_manage *manage, int rc, struct trib_chunk *chunk)
{
    if (rc == TRIB_OK)
        tribi_speech_add(&manage->speech, chunk);
    finish(manage, rc == TRIB_OK ? TRIB_GRPC_OK : TRIB_GRPC_RESOURCE_EXHAUSTED, rc == TRIB_OK ? NULL : "no memory for the answer");
}

/* ---- Heartbeat -------------------------------------------------------------------------------------------------- */

struct figure {
    const char *name;
    uint64_t value;
};

static void heartbeat(struct tribi_manage *manage)
{
    struct trib_worker_stats stats = {.size = sizeof(stats)};
    struct trib_chunk *chunk = NULL;

    atomic_fetch_add(&manage->worker->totals.heartbeats, 1);
    trib_worker_stats(manage->worker, &stats);
    {
        const struct figure figures[] = {
            {"sessions", stats.sessions},
            {"finished", stats.outcomes[TRIB_WORKER_FINISHED]},
            {"cancelled", stats.outcomes[TRIB_WORKER_CANCELLED]},
            {"failed", stats.outcomes[TRIB_WORKER_FAILED]},
            {"lost", stats.outcomes[TRIB_WORKER_LOST]},
            {"running", stats.running},
            {"waiting", stats.waiting},
            {"in_flight", stats.in_flight},
            {"threads", stats.threads},
            {"bytes_in", stats.bytes_in},
            {"bytes_out", stats.bytes_out},
            {"batches_in", stats.batches_in},
            {"batches_out", stats.batches_out},
            {"copied", stats.copied},
            {"queue_nanos", stats.queue_nanos},
            {"udf_nanos", stats.udf_nanos},
            {"transport_nanos", stats.send_nanos + stats.receive_nanos},
            {"send_nanos", stats.send_nanos},
            {"receive_nanos", stats.receive_nanos},
            {"watchdog", stats.watchdog},
            {"heartbeats", stats.heartbeats},
            {"held", stats.held},
        };
        enum { COUNT = sizeof(figures) / sizeof(figures[0]) };
        struct trib_spark_pair pairs[COUNT];
        char texts[COUNT][24];
        int rc;

        for (size_t i = 0; i < COUNT; i++) {
            snprintf(texts[i], sizeof(texts[i]), "%" PRIu64, figures[i].value);
            pairs[i].key = tribi_udf_text(figures[i].name);
            pairs[i].value = tribi_udf_text(texts[i]);
        }
        rc = tribi_manage_heartbeat_write(pairs, COUNT, &chunk, NULL);
        answer(manage, rc, chunk);
    }
}

/* ---- Shutdown --------------------------------------------------------------------------------------------------- */

static void answer_shutdown(struct tribi_manage *manage)
{
    bool settled = atomic_load(&manage->worker->totals.in_flight) == 0;
    struct trib_chunk *chunk = NULL;
    int rc = tribi_manage_shutdown_write(settled, &chunk, NULL);

    manage->settle_until = 0;
    answer(manage, rc, chunk);
}

/* What is cancelled settles soon, and is waited for a moment; what may end normally, not. */
static void shut_down(struct tribi_manage *manage, bool cancel_sessions)
{
    trib_worker_shutdown(manage->worker, cancel_sessions ? 0 : -1);
    if (cancel_sessions && atomic_load(&manage->worker->totals.in_flight) > 0)
        manage->settle_until = trib_deadline_ms(SETTLE_MS);
    else
        answer_shutdown(manage);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

static void act(struct tribi_manage *manage, struct trib_view bytes)
{
    enum tribi_manage_kind kind = TRIBI_MANAGE_EMPTY;
    bool cancel_sessions = false;
    struct trib_error err;
    int rc = tribi_manage_read(bytes, &kind, &cancel_sessions, &err);

    if (rc != TRIB_OK)
        finish(manage, rc == TRIB_ERR_NOMEM ? TRIB_GRPC_RESOURCE_EXHAUSTED : TRIB_GRPC_INVALID_ARGUMENT, err.message);
    else if (kind == TRIBI_MANAGE_HEARTBEAT)
        heartbeat(manage);
    else if (kind == TRIBI_MANAGE_SHUTDOWN)
        shut_down(manage, cancel_sessions);
    else
        finish(manage, TRIB_GRPC_INVALID_ARGUMENT, "Manage: an empty WorkerRequest");
}

static void on_readable(struct trib_reader *reader, void *arg)
{
    struct tribi_manage *manage = arg;
    struct trib_view view;
    struct trib_error err;
    int rc;

    if (!manage->reading || manage->over)
        return;
    rc = trib_reader_take_message(reader, REQUEST_MAX, &view, &err);
    if (rc == TRIB_AGAIN)
        return;
    manage->reading = false;
    if (rc == TRIB_OK)
        act(manage, view);
    else if (rc == TRIB_EOF)
        finish(manage, TRIB_GRPC_INVALID_ARGUMENT, "Manage: no WorkerRequest came");
    else
        finish(manage, rc == TRIB_ERR_LIMIT ? TRIB_GRPC_RESOURCE_EXHAUSTED : TRIB_GRPC_INVALID_ARGUMENT, err.message);
}

void tribi_manage_new(struct trib_worker *worker, struct trib_grpc_call *call)
{
    struct tribi_manage *manage = make(worker, call);

    if (manage == NULL)
        return;
    manage->reading = true;
    manage->begun = trib_now();
    if (trib_reader_set_callback(trib_channel_reader(manage->channel), worker->base, on_readable, manage, NULL) != TRIB_OK)
        bury(manage);
    else
        on_readable(trib_channel_reader(manage->channel), manage);
}

void tribi_manage_refuse(struct trib_worker *worker, struct trib_grpc_call *call, int status, const char *text)
{
    struct tribi_manage *manage = make(worker, call);

    if (manage != NULL)
        finish(manage, status, text);
}

static bool waits_too_long(const struct tribi_manage *manage, int64_t now)
{
    int64_t limit = manage->worker->options.request_ms;

    return manage->reading && !manage->over && limit > 0 && now - manage->begun > limit * 1000000;
}

static bool is_over(const struct tribi_manage *manage, int64_t now)
{
    int64_t limit = manage->worker->options.stall_ms;

    return manage->over || (limit > 0 && manage->speech.since != 0 && now - manage->speech.since > limit * 1000000);
}

void tribi_manage_look(struct trib_worker *worker, int64_t now)
{
    struct tribi_manage *next;

    for (struct tribi_manage *manage = worker->manages; manage != NULL; manage = next) {
        next = manage->next;
        if (manage->settle_until != 0 && (now >= manage->settle_until || atomic_load(&worker->totals.in_flight) == 0))
            answer_shutdown(manage);
        if (waits_too_long(manage, now))
            give_up(manage, TRIB_GRPC_DEADLINE_EXCEEDED, "Manage: no WorkerRequest came in time");
        if (is_over(manage, now))
            manage_free(manage);
    }
}

void tribi_manage_close(struct trib_worker *worker)
{
    for (struct tribi_manage *manage = worker->manages; manage != NULL; manage = manage->next)
        if (manage->reading && !manage->over)
            give_up(manage, TRIB_GRPC_UNAVAILABLE, "the worker is shutting down");
}

void tribi_manage_free_all(struct trib_worker *worker)
{
    while (worker->manages != NULL)
        manage_free(worker->manages);
}
