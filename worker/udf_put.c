/* What a session's serializer puts, on its way to the engine: messages written part by part, with the engine's patience in view. */
#include "worker-internal.h"

#include <inttypes.h>

#include "message-internal.h"

enum {
    LOOK_MS = 20,   /* who waits to send looks so often whether the engine has taken something */
    SMALL = 4 << 10 /* a message of so many bytes is only gathered, mostly */
};

int tribi_session_stopped(struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "spark-grpc: the session was stopped");
}

static int write_part(struct trib_writer *writer, const struct tribi_outgoing *message, struct trib_error *err)
{
    if (message->part == 0)
        return trib_writer_begin_message(writer, message->size, err);
    return message->part <= message->count ? trib_writer_view(writer, message->views[message->part - 1], err) : trib_writer_end_message(writer, err);
}

static bool is_written(const struct tribi_outgoing *message)
{
    return message->part == message->count + 2;
}

/* After a wait of `step` ms, with `pending` bytes before it: whether the engine has taken nothing for `limit` ms. *since is when it did last. */
static bool out_of_patience(struct trib_writer *writer, size_t pending, int64_t step, int64_t limit, int64_t *since)
{
    int64_t now = trib_now();

    if (trib_writer_pending(writer) < pending)
        *since = now;
    else if (*since == 0)
        *since = now - step * 1000000;
    return now - *since >= limit * 1000000;
}

/* Where nothing waits no clock is needed. TRIB_AGAIN: what is left of the message has to wait. */
static int write_now(struct trib_writer *writer, struct tribi_outgoing *message, struct trib_error *err)
{
    int rc = TRIB_OK;

    trib_writer_set_deadline(writer, TRIB_NOWAIT);
    while (rc == TRIB_OK && !is_written(message)) {
        rc = write_part(writer, message, err);
        message->part += rc == TRIB_OK;
    }
    return rc;
}

/* Waits as long as the engine takes something within each stall_ms. `message` NULL: sends what is gathered. */
static int write_patiently(struct tribi_session *session, struct tribi_outgoing *message, struct trib_error *err)
{
    int64_t limit = session->worker->options.stall_ms, step = limit < LOOK_MS ? limit : LOOK_MS, since = 0;
    struct trib_writer *writer = session->speech.writer;
    int rc = TRIB_OK;

    while (rc == TRIB_OK && (message == NULL || !is_written(message))) {
        size_t pending = trib_writer_pending(writer);

        trib_writer_set_deadline(writer, limit > 0 ? trib_deadline_ms(step) : TRIB_FOREVER);
        rc = message != NULL ? write_part(writer, message, err) : trib_writer_flush(writer, err);
        if (rc == TRIB_ERR_TIMEOUT && !out_of_patience(writer, pending, step, limit, &since)) {
            rc = TRIB_OK;
        } else if (rc == TRIB_OK) {
            if (message == NULL)
                break;
            message->part++;
            since = 0;
        }
    }
    return rc;
}

/* What is flushed was written by a slot that was left just now: the last look at the clock serves. */
static int send_message(struct tribi_session *session, struct tribi_outgoing *message, struct trib_error *err)
{
    int rc = message != NULL && message->size <= SMALL ? write_now(session->speech.writer, message, err) : TRIB_AGAIN;

    if (rc == TRIB_AGAIN) {
        if (message != NULL)
            tribi_times_pass(&session->times);
        rc = write_patiently(session, message, err);
        session->times.send += tribi_times_pass(&session->times);
    }
    if (rc == TRIB_ERR_TIMEOUT) {
        session->stalled = true;
        rc = trib_error_set(err, rc, 0, "watchdog: the engine has read nothing for %" PRId64 " ms", session->worker->options.stall_ms);
    } else if (rc != TRIB_OK && rc != TRIB_ERR_NOMEM) {
        session->broken = true;
    }
    return rc;
}

int tribi_session_send(struct tribi_session *session, struct tribi_outgoing *message, struct trib_error *err)
{
    int rc = TRIB_ERR_CANCELLED;

    pthread_mutex_lock(&session->out_lock);
    if (!session->muted && !atomic_load_explicit(&session->stop, memory_order_relaxed)) {
        atomic_store_explicit(&session->sending, true, memory_order_relaxed);
        rc = send_message(session, message, err);
        atomic_store_explicit(&session->sending, false, memory_order_relaxed);
    } else {
        tribi_session_stopped(err);
    }
    pthread_mutex_unlock(&session->out_lock);
    return rc;
}

static void count_out(struct tribi_session *session, uint64_t len)
{
    struct tribi_totals *totals = &session->worker->totals;

    session->bytes_out += len;
    session->batches_out++;
    atomic_fetch_add_explicit(&totals->bytes_out, len, memory_order_relaxed);
    atomic_fetch_add_explicit(&totals->batches_out, 1, memory_order_relaxed);
}

/* A DataResponse with these views as its data, `len` bytes. */
static int put_data(struct tribi_session *session, const struct trib_view *views, unsigned count, uint64_t len, struct trib_error *err)
{
    struct tribi_outgoing message = {.count = 1};
    int rc;

    message.views[0] = (struct trib_view){.data = message.header, .len = tribi_envelope_data_header(message.header, len, &message.size)};
    if (message.size > INT32_MAX)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, message.size, INT32_MAX, "spark-grpc: a message of %" PRIu64 " bytes, at most %d",
                                  message.size, INT32_MAX);
    for (unsigned i = 0; i < count; i++)
        message.views[message.count++] = views[i];
    rc = tribi_session_send(session, &message, err);
    if (rc == TRIB_OK)
        count_out(session, len);
    return rc;
}

static int put_arrow(struct tribi_session *session, const struct trib_event *event, struct trib_error *err)
{
    struct tribi_arrow_parts parts;
    int rc = tribi_arrow_out_put(&session->answer, event, &parts, err);

    session->misput = rc == TRIB_ERR_PROTOCOL;
    if (rc != TRIB_OK || parts.count == 0)
        return rc;
    rc = put_data(session, parts.views, parts.count, parts.size, err);
    if (rc == TRIB_OK && event->arrow.kind == TRIB_ARROW_BATCH)
        tribi_add_rows(&session->rows_out, event->arrow.rows);
    return rc;
}

static int put(void *self, const struct trib_event *event, struct trib_error *err)
{
    struct tribi_session *session = self;

    switch (event->kind) {
    case TRIB_EVENT_FRAME:
        session->rows_unknown = true;
        return put_data(session, &event->bytes, event->bytes.len > 0, event->bytes.len, err);
    case TRIB_EVENT_STREAM:
    case TRIB_EVENT_ARROW:
    case TRIB_EVENT_STREAM_END:
        return put_arrow(session, event, err);
    default:
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "spark-grpc: %s has no form here, data is frames or Arrow", trib_event_name(event->kind));
    }
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

int tribi_session_sender_new(struct tribi_session *session, struct trib_sender **ret_sender, struct trib_error *err)
{
    return tribi_sender_wrap(&dialect, session, ret_sender, err);
}
