/* One session on its UDF's thread: the serializer's slots, one after the other. */
#include "worker-internal.h"

#include <string.h>
#include <time.h>

static const struct trib_event no_event = TRIB_EVENT_INIT_EMPTY;

/* ---- Items ------------------------------------------------------------------------------------------------------ */

static bool take_item(struct tribi_session *session, struct tribi_item *ret_item)
{
    if (session->count == 0)
        return false;
    *ret_item = session->items[session->first];
    session->first = (session->first + 1) & (session->capacity - 1);
    session->count--;
    return true;
}

/* Sleeps until there is an item, or the word to stop. On a semaphore: the two threads call the kernel once each, where a condition takes a third call,
 * for its lock, which the one that was woken holds as if others waited for it. */
static bool await_item(struct tribi_session *session, struct tribi_item *ret_item)
{
    bool there, waits;

    for (;;) {
        pthread_mutex_lock(&session->lock);
        there = take_item(session, ret_item);
        waits = !there && !atomic_load(&session->stop);
        session->waits = waits;
        pthread_mutex_unlock(&session->lock);
        if (!waits)
            return there;
        while (sem_wait(&session->called) != 0)
            ;
    }
}

/* What is gathered goes out before a wait: the engine may wait for that. */
static int next_item(struct tribi_session *session, struct tribi_item *ret_item, struct trib_error *err)
{
    bool there;
    int rc;

    pthread_mutex_lock(&session->lock);
    there = take_item(session, ret_item);
    pthread_mutex_unlock(&session->lock);
    if (!there && trib_writer_pending(session->speech.writer) > 0) {
        rc = tribi_session_send(session, NULL, err);
        if (rc != TRIB_OK)
            return rc;
    }
    if (!there) {
        there = await_item(session, ret_item);
        session->times.receive += tribi_times_pass(&session->times);
    }
    if (!atomic_load(&session->stop))
        return TRIB_OK;
    if (there)
        trib_view_release(&ret_item->bytes);
    return tribi_session_stopped(err);
}

static void let_go(struct tribi_session *session, struct tribi_item *item)
{
    size_t weight = tribi_item_weight(item), left;

    trib_view_release(&item->bytes);
    atomic_fetch_sub(&session->worker->totals.held, weight);
    left = atomic_fetch_sub(&session->held, weight) - weight;
    if (atomic_load(&session->starved) && left <= session->worker->channel.budget / 2 && atomic_exchange(&session->starved, false))
        tribi_worker_mail(session, TRIBI_NEWS_ROOM);
}

/* ---- Slots ------------------------------------------------------------------------------------------------------ */

/* The clock of a slot runs without what the slot sends, and from when the one before it was left, or an item came. */
struct clock {
    int64_t begin;
    uint64_t sent;
};

static struct clock enter(struct tribi_session *session)
{
    struct clock clock = {session->times.now, session->times.send};

    atomic_store_explicit(&session->slot_since, clock.begin, memory_order_relaxed);
    return clock;
}

static uint64_t leave(struct tribi_session *session, struct clock clock)
{
    uint64_t took, sent = session->times.send - clock.sent;

    tribi_times_pass(&session->times);
    took = (uint64_t)(session->times.now - clock.begin);
    atomic_store_explicit(&session->slot_since, 0, memory_order_relaxed);
    return took > sent ? took - sent : 0;
}

static void keep_failure(struct tribi_session *session, int rc, void *state)
{
    struct trib_udf_error error = TRIB_UDF_ERROR_INIT;

    session->rc = rc;
    if (rc == TRIB_OK || rc == TRIB_ERR_CANCELLED || session->broken || session->stalled)
        return;
    error.kind = rc == TRIB_ERR_FAILED                        ? TRIB_UDF_USER_ERROR
                 : rc == TRIB_ERR_PROTOCOL && !session->misput ? TRIB_UDF_PROTOCOL_ERROR
                                                               : TRIB_UDF_WORKER_ERROR;
    error.message = tribi_udf_text(session->error.message);
    if (!session->foreign && tribi_serializer_has(session->serializer, failure))
        session->serializer->failure(state, &session->error, &error);
    tribi_told_copy(&session->failure, &error);
}

static int open_udf(struct tribi_session *session)
{
    struct trib_event event = no_event;
    struct clock clock = enter(session);
    int rc;

    event.kind = TRIB_EVENT_INIT;
    event.udf_init = tribi_udf_init_fields(session->init);
    rc = session->serializer->open(&event, &session->udf, &session->error);
    session->times.open = leave(session, clock);
    return rc;
}

static int answer_init(struct tribi_session *session)
{
    struct tribi_udf_response response = {.kind = TRIB_REPLY_INIT, .error = TRIB_UDF_ERROR_INIT};
    struct tribi_outgoing message = {.count = 1};
    struct trib_chunk *chunk;
    int rc = tribi_udf_response_write(&response, &chunk, &session->error);

    if (rc != TRIB_OK)
        return rc;
    message.views[0] = trib_chunk_view(chunk);
    message.size = message.views[0].len;
    rc = tribi_session_send(session, &message, &session->error);
    trib_chunk_unref(chunk);
    session->times.opened = session->times.now;
    if (rc == TRIB_OK)
        tribi_worker_mail(session, TRIBI_NEWS_OPENED);
    return rc;
}

static int pass_event(struct tribi_session *session, const struct trib_event *event)
{
    struct clock clock = enter(session);
    int rc = session->serializer->event(session->udf, event, session->sender, &session->error);

    session->times.work += leave(session, clock);
    return rc;
}

/* A frame that is read while it comes. */
static int pass_pieces(struct tribi_session *session, const struct tribi_item *item)
{
    struct clock clock = enter(session);
    int rc = trib_reader_limit_push(session->frames, item->length, &session->error);

    if (rc == TRIB_OK)
        rc = session->serializer->frame(session->udf, session->frames, item->length, session->sender, &session->error);
    if (rc == TRIB_OK)
        rc = trib_reader_skip(session->frames, trib_reader_limit_left(session->frames), NULL, &session->error);
    if (rc == TRIB_OK)
        rc = trib_reader_limit_pop(session->frames, &session->error);
    session->times.work += leave(session, clock);
    return atomic_load(&session->stop) && rc != TRIB_OK ? tribi_session_stopped(&session->error) : rc;
}

static void count_in(struct tribi_session *session, const struct tribi_item *item)
{
    session->batch++;
    session->bytes_in += item->length;
    session->batches_in++;
    atomic_fetch_add_explicit(&session->worker->totals.bytes_in, item->length, memory_order_relaxed);
    atomic_fetch_add_explicit(&session->worker->totals.batches_in, 1, memory_order_relaxed);
}

/* ---- Data ------------------------------------------------------------------------------------------------------- */

/* The counters of the worker know what was copied once a batch is passed. */
static void count_moved(struct tribi_session *session)
{
    uint64_t moved = session->arrow != NULL ? tribi_arrow_in_copied(session->arrow) : 0;
    struct trib_reader_stats stats = {.size = sizeof(stats)};

    if (session->frames != NULL) {
        trib_reader_stats(session->frames, &stats);
        moved = stats.copied_crossing + stats.copied_aligning;
    }
    if (moved > session->moved)
        atomic_fetch_add_explicit(&session->worker->totals.copied, moved - session->moved, memory_order_relaxed);
    session->moved = moved;
}

static int pass_kind(struct tribi_session *session, enum trib_event_kind kind, int64_t number)
{
    struct trib_event event = no_event;

    event.kind = kind;
    event.number = number;
    return pass_event(session, &event);
}

static int pass_message(struct tribi_session *session, const struct trib_arrow_message *message)
{
    struct trib_event event = no_event;
    int rc = TRIB_OK;

    if (message->kind == TRIB_ARROW_SCHEMA) {
        session->in_stream = true;
        rc = pass_kind(session, TRIB_EVENT_STREAM, 0);
    } else if (message->kind == TRIB_ARROW_BATCH) {
        tribi_add_rows(&session->rows_in, message->rows);
    }
    event.kind = TRIB_EVENT_ARROW;
    event.arrow = *message;
    event.length = TRIBI_ARROW_PREFIX + message->metadata.len + message->body.len;
    return rc == TRIB_OK ? pass_event(session, &event) : rc;
}

/* What cannot be cut is the engine's to answer for. */
static int next_message(struct tribi_session *session, struct trib_arrow_message *ret_message)
{
    int rc = tribi_arrow_in_next(session->arrow, ret_message, &session->error);

    session->foreign = rc == TRIB_ERR_PROTOCOL;
    return rc;
}

static int pass_arrow(struct tribi_session *session, const struct tribi_item *item)
{
    struct trib_arrow_message message;
    int rc = TRIB_OK;

    tribi_arrow_in_begin(session->arrow, item->bytes, session->batch);
    while (rc == TRIB_OK && !atomic_load_explicit(&session->stop, memory_order_relaxed)) {
        rc = next_message(session, &message);
        if (rc == TRIB_OK)
            rc = pass_message(session, &message);
    }
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

static int pass_end(struct tribi_session *session)
{
    int rc = session->in_stream ? pass_kind(session, TRIB_EVENT_STREAM_END, 0) : TRIB_OK;

    return rc == TRIB_OK ? pass_kind(session, TRIB_EVENT_DATA_END, 0) : rc;
}

static int begin_data(struct tribi_session *session)
{
    struct trib_arrow_message schema;
    int rc = pass_kind(session, TRIB_EVENT_DATA, session->shape);

    if (rc != TRIB_OK || session->shape == TRIB_DATA_FRAMES || tribi_arrow_in_metadata(session->arrow).len == 0)
        return rc;
    rc = next_message(session, &schema);
    return rc == TRIB_OK ? pass_message(session, &schema) : rc;
}

/* What the engine did not say, its first data does. */
static int find_shape(struct tribi_session *session, const struct tribi_item *item)
{
    if (session->shape != 0)
        return TRIB_OK;
    session->shape = item->kind == TRIBI_ITEM_FRAME && tribi_arrow_begins(item->bytes) ? TRIB_DATA_STREAM : TRIB_DATA_FRAMES;
    return begin_data(session);
}

static int pass_frame(struct tribi_session *session, const struct tribi_item *item)
{
    struct trib_event event = no_event;

    event.kind = TRIB_EVENT_FRAME;
    event.bytes = item->bytes;
    event.length = item->length;
    return pass_event(session, &event);
}

static int pass_item(struct tribi_session *session, struct tribi_item *item)
{
    int rc = find_shape(session, item);

    session->ending = item->kind == TRIBI_ITEM_FINISH;
    if (!session->ending)
        count_in(session, item);
    if (rc == TRIB_OK && session->ending)
        rc = pass_end(session);
    else if (rc == TRIB_OK && item->kind == TRIBI_ITEM_BEGIN)
        rc = pass_pieces(session, item);
    else if (rc == TRIB_OK)
        rc = session->shape == TRIB_DATA_FRAMES ? pass_frame(session, item) : pass_arrow(session, item);
    count_moved(session);
    let_go(session, item);
    return rc;
}

static int pass_data(struct tribi_session *session)
{
    struct tribi_item item;
    int rc = session->shape != 0 ? begin_data(session) : TRIB_OK;

    while (rc == TRIB_OK && !session->ending) {
        rc = next_item(session, &item, &session->error);
        if (rc == TRIB_OK)
            rc = pass_item(session, &item);
    }
    return rc;
}

/* Arrow, as the serializer wants it and the engine has announced it. */
static int prepare(struct tribi_session *session)
{
    const struct trib_udf_init *init = tribi_udf_init_fields(session->init);
    enum trib_serializer_takes takes = tribi_serializer_takes(session->serializer);
    int rc;

    session->shape = TRIB_DATA_FRAMES;
    if (takes == TRIB_TAKES_FRAMES)
        return TRIB_OK;
    session->shape = takes == TRIB_TAKES_ARROW || init->input_schema.len > 0 ? TRIB_DATA_STREAM : (enum trib_data_shape)0;
    rc = tribi_arrow_in_new(session->worker->options.align, &session->arrow, &session->error);
    if (rc == TRIB_OK && init->input_schema.len > 0)
        rc = tribi_arrow_in_schema(session->arrow, init->input_schema, &session->error);
    if (rc == TRIB_OK)
        rc = tribi_arrow_out_init(&session->answer, session->arrow, init->output_schema, &session->error);
    session->foreign = rc == TRIB_ERR_PROTOCOL;
    return rc;
}

/* ---- The session ------------------------------------------------------------------------------------------------ */

static uint64_t cpu_now(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0 ? (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec : 0;
}

static void add_totals(struct tribi_session *session)
{
    struct tribi_totals *totals = &session->worker->totals;

    atomic_fetch_add(&totals->queue_nanos, (uint64_t)(session->times.started - session->times.queued));
    atomic_fetch_add(&totals->udf_nanos, session->times.open + session->times.work);
    atomic_fetch_add(&totals->send_nanos, session->times.send);
    atomic_fetch_add(&totals->receive_nanos, session->times.receive);
}

void tribi_session_run(struct tribi_session *session)
{
    uint64_t cpu = cpu_now();
    int rc;

    session->times.started = session->times.now = trib_now();
    memset(&session->error, 0, sizeof(session->error));
    rc = tribi_session_sender_new(session, &session->sender, &session->error);
    if (rc == TRIB_OK)
        rc = prepare(session);
    if (rc == TRIB_OK)
        rc = open_udf(session);
    if (rc == TRIB_OK)
        rc = answer_init(session);
    if (rc == TRIB_OK)
        rc = pass_data(session);
    if (rc == TRIB_OK && atomic_load(&session->stop))
        rc = tribi_session_stopped(&session->error);
    keep_failure(session, rc, session->udf);
    if (session->udf != NULL)
        session->serializer->close(session->udf);
    session->udf = NULL;
    trib_sender_free(session->sender);
    session->sender = NULL;
    tribi_arrow_out_done(&session->answer);
    tribi_arrow_in_free(session->arrow);
    session->arrow = NULL;
    session->times.cpu = cpu_now() - cpu;
    add_totals(session);
}
