/* One session on its UDF's thread: the serializer's slots, one after the other, and what they put on the way to the engine. */
#include "worker-internal.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "message-internal.h"

static const struct trib_event no_event = TRIB_EVENT_INIT_EMPTY;

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

static int stopped(struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "spark-grpc: the session was stopped");
}

/* Writes one message, part by part; `part` goes on where a wait ended. */
struct message {
    uint8_t header[TRIBI_ENVELOPE_HEADER_MAX];
    size_t header_len;
    struct trib_view bytes;
    uint64_t size;
    int part;
};

static int write_part(struct trib_writer *writer, const struct message *message, struct trib_error *err)
{
    switch (message->part) {
    case 0:
        return trib_writer_begin_message(writer, message->size, err);
    case 1:
        return message->header_len > 0 ? trib_writer_bytes(writer, message->header, message->header_len, err) : TRIB_OK;
    case 2:
        return message->bytes.len > 0 ? trib_writer_view(writer, message->bytes, err) : TRIB_OK;
    default:
        return trib_writer_end_message(writer, err);
    }
}

/* Waits as long as the engine takes something within each stall_ms. `message` NULL: sends what is gathered. */
static int send_patiently(struct tribi_session *session, struct message *message, struct trib_error *err)
{
    int64_t limit = session->worker->options.stall_ms;
    int rc = TRIB_OK;

    while (rc == TRIB_OK && (message == NULL || message->part < 4)) {
        size_t pending = trib_writer_pending(session->speech.writer);

        trib_writer_set_deadline(session->speech.writer, limit > 0 ? trib_deadline_ms(limit) : TRIB_FOREVER);
        rc = message != NULL ? write_part(session->speech.writer, message, err) : trib_writer_flush(session->speech.writer, err);
        if (rc == TRIB_ERR_TIMEOUT && trib_writer_pending(session->speech.writer) < pending) {
            rc = TRIB_OK;
        } else if (rc == TRIB_OK) {
            if (message == NULL)
                break;
            message->part++;
        }
    }
    if (rc == TRIB_ERR_TIMEOUT) {
        session->stalled = true;
        rc = trib_error_set(err, rc, 0, "watchdog: the engine has read nothing for %" PRId64 " ms", limit);
    } else if (rc != TRIB_OK && rc != TRIB_ERR_NOMEM) {
        session->broken = true;
    }
    return rc;
}

static int send_message(struct tribi_session *session, struct message *message, struct trib_error *err)
{
    int64_t begin = trib_now();
    int rc = TRIB_ERR_CANCELLED;

    pthread_mutex_lock(&session->out_lock);
    if (!session->muted && !atomic_load_explicit(&session->stop, memory_order_relaxed)) {
        atomic_store_explicit(&session->sending, true, memory_order_relaxed);
        rc = send_patiently(session, message, err);
        atomic_store_explicit(&session->sending, false, memory_order_relaxed);
    } else {
        stopped(err);
    }
    pthread_mutex_unlock(&session->out_lock);
    session->times.send += (uint64_t)(trib_now() - begin);
    return rc;
}

static int put(void *self, const struct trib_event *event, struct trib_error *err)
{
    struct tribi_session *session = self;
    struct message message = {.bytes = event->bytes};
    int rc;

    if (event->kind != TRIB_EVENT_FRAME)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "spark-grpc: %s has no form here, data is frames", trib_event_name(event->kind));
    message.header_len = tribi_envelope_data_header(message.header, event->bytes.len, &message.size);
    if (message.size > INT32_MAX)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, message.size, INT32_MAX, "spark-grpc: a message of %" PRIu64 " bytes, at most %d",
                                  message.size, INT32_MAX);
    rc = send_message(session, &message, err);
    if (rc == TRIB_OK) {
        session->bytes_out += event->bytes.len;
        session->batches_out++;
        atomic_fetch_add_explicit(&session->worker->totals.bytes_out, event->bytes.len, memory_order_relaxed);
        atomic_fetch_add_explicit(&session->worker->totals.batches_out, 1, memory_order_relaxed);
    }
    return rc;
}

static void sender_free(void *self)
{
    (void)self;
}

/* What serializers put on; the receiving half of the dialect is the worker itself. */
static const struct trib_dialect dialect = {
    .size = sizeof(struct trib_dialect),
    .name = "spark-grpc",
    .put = put,
    .sender_free = sender_free,
};

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

/* What is gathered goes out before a wait: the engine may wait for that. */
static int next_item(struct tribi_session *session, struct tribi_item *ret_item, struct trib_error *err)
{
    int64_t begin = 0;
    bool there;
    int rc;

    pthread_mutex_lock(&session->lock);
    there = take_item(session, ret_item);
    pthread_mutex_unlock(&session->lock);
    if (!there && trib_writer_pending(session->speech.writer) > 0) {
        rc = send_message(session, NULL, err);
        if (rc != TRIB_OK)
            return rc;
    }
    if (!there) {
        begin = trib_now();
        pthread_mutex_lock(&session->lock);
        while (!(there = take_item(session, ret_item)) && !atomic_load(&session->stop)) {
            session->waits = true;
            pthread_cond_wait(&session->cond, &session->lock);
        }
        session->waits = false;
        pthread_mutex_unlock(&session->lock);
        session->times.receive += (uint64_t)(trib_now() - begin);
    }
    if (!atomic_load(&session->stop))
        return TRIB_OK;
    if (there)
        trib_view_release(&ret_item->bytes);
    return stopped(err);
}

static void let_go(struct tribi_session *session, struct tribi_item *item)
{
    size_t weight = tribi_item_weight(item), left;

    trib_view_release(&item->bytes);
    left = atomic_fetch_sub(&session->held, weight) - weight;
    if (atomic_load(&session->starved) && left <= session->worker->channel.budget / 2 && atomic_exchange(&session->starved, false))
        tribi_worker_mail(session, TRIBI_NEWS_ROOM);
}

/* ---- Slots ------------------------------------------------------------------------------------------------------ */

/* The clock of a slot runs without what the slot sends. */
struct clock {
    int64_t begin;
    uint64_t sent;
};

static struct clock enter(struct tribi_session *session)
{
    struct clock clock = {trib_now(), session->times.send};

    atomic_store_explicit(&session->slot_since, clock.begin, memory_order_relaxed);
    return clock;
}

static uint64_t leave(struct tribi_session *session, struct clock clock)
{
    uint64_t took = (uint64_t)(trib_now() - clock.begin), sent = session->times.send - clock.sent;

    atomic_store_explicit(&session->slot_since, 0, memory_order_relaxed);
    return took > sent ? took - sent : 0;
}

static void keep_failure(struct tribi_session *session, int rc, void *state)
{
    struct trib_udf_error error = TRIB_UDF_ERROR_INIT;

    session->rc = rc;
    if (rc == TRIB_OK || rc == TRIB_ERR_CANCELLED || session->broken || session->stalled)
        return;
    error.kind = rc == TRIB_ERR_FAILED ? TRIB_UDF_USER_ERROR : TRIB_UDF_WORKER_ERROR;
    error.message = tribi_udf_text(session->error.message);
    if (tribi_serializer_has(session->serializer, failure))
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
    struct message message = {.header_len = 0};
    struct trib_chunk *chunk;
    int rc = tribi_udf_response_write(&response, &chunk, &session->error);

    if (rc != TRIB_OK)
        return rc;
    message.bytes = trib_chunk_view(chunk);
    message.size = message.bytes.len;
    rc = send_message(session, &message, &session->error);
    trib_chunk_unref(chunk);
    session->times.opened = trib_now();
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
static int pass_frame(struct tribi_session *session, const struct tribi_item *item)
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
    return atomic_load(&session->stop) && rc != TRIB_OK ? stopped(&session->error) : rc;
}

static void count_in(struct tribi_session *session, const struct tribi_item *item)
{
    session->batch++;
    session->bytes_in += item->length;
    session->batches_in++;
    atomic_fetch_add_explicit(&session->worker->totals.bytes_in, item->length, memory_order_relaxed);
    atomic_fetch_add_explicit(&session->worker->totals.batches_in, 1, memory_order_relaxed);
}

static int pass_item(struct tribi_session *session, struct tribi_item *item)
{
    struct trib_event event = no_event;
    int rc;

    session->ending = item->kind == TRIBI_ITEM_FINISH;
    event.kind = session->ending ? TRIB_EVENT_DATA_END : TRIB_EVENT_FRAME;
    event.bytes = item->bytes;
    event.length = item->length;
    if (!session->ending)
        count_in(session, item);
    rc = item->kind == TRIBI_ITEM_BEGIN ? pass_frame(session, item) : pass_event(session, &event);
    let_go(session, item);
    return rc;
}

static int pass_data(struct tribi_session *session)
{
    struct trib_event event = no_event;
    struct tribi_item item;
    int rc;

    event.kind = TRIB_EVENT_DATA;
    event.number = TRIB_DATA_FRAMES;
    rc = pass_event(session, &event);
    while (rc == TRIB_OK && !session->ending) {
        rc = next_item(session, &item, &session->error);
        if (rc == TRIB_OK)
            rc = pass_item(session, &item);
    }
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

    session->times.started = trib_now();
    memset(&session->error, 0, sizeof(session->error));
    rc = tribi_sender_wrap(&dialect, session, &session->sender, &session->error);
    trib_writer_cork(session->speech.writer, true);
    if (rc == TRIB_OK)
        rc = open_udf(session);
    if (rc == TRIB_OK)
        rc = answer_init(session);
    if (rc == TRIB_OK)
        rc = pass_data(session);
    if (rc == TRIB_OK && atomic_load(&session->stop))
        rc = stopped(&session->error);
    keep_failure(session, rc, session->udf);
    if (session->udf != NULL)
        session->serializer->close(session->udf);
    session->udf = NULL;
    trib_sender_free(session->sender);
    session->sender = NULL;
    session->times.cpu = cpu_now() - cpu;
    add_totals(session);
}
