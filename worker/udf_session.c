/* One Execute stream on the I/O thread: takes its messages, moves its state, and ends it. */
#include "worker-internal.h"

#include <tributary/alloc.h>

#include <inttypes.h>
#include <string.h>

enum {
    ROUNDS = 64,      /* items in a row, before other streams have their turn */
    SLACK = 64 << 10, /* above the budget, between messages */
    SHARE = 64 << 10  /* of a session, where all together hold too much */
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void said(void *arg)
{
    tribi_session_over(arg);
}

/* The stream was reset, or its connection lost: seen here at once, also where nothing is read. What had come before does not count any more. */
static void on_gone(void *arg)
{
    struct tribi_session *session = arg;
    struct trib_worker *worker = session->worker;
    const char *text = "the stream ended";
    int code;

    if (session->state != TRIBI_UDF_ENDED) {
        trib_grpc_call_status(session->call, &code, &text);
        tribi_session_lose(session, text);
    }
    tribi_worker_reap(worker);
}

int tribi_session_new(struct trib_worker *worker, struct trib_grpc_call *call, struct trib_error *err)
{
    struct tribi_session *session = trib_alloc(sizeof(*session));

    if (session == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "session: no memory");
    session->worker = worker;
    session->call = call;
    session->channel = trib_grpc_call_channel(call);
    session->id = atomic_fetch_add(&worker->totals.sessions, 1) + 1;
    session->heard = trib_now();
    if (trib_grpc_call_watch(call, worker->base, on_gone, session, err) != TRIB_OK) {
        trib_free(session);
        return TRIB_ERR_NOMEM;
    }
    session->outcome = TRIB_WORKER_LOST;
    tribi_intake_init(&session->intake, session->channel);
    session->intake.control_limit = worker->options.control_limit;
    session->intake.data_limit = worker->options.frame_limit;
    session->intake.align = worker->options.align;
    session->speech.writer = trib_channel_writer(session->channel);
    trib_writer_cork(session->speech.writer, true); /* who writes flushes: the thread of the UDF once a batch */
    session->speech.done = said;
    session->speech.arg = session;
    atomic_init(&session->stop, false);
    atomic_init(&session->held, 0);
    atomic_init(&session->starved, false);
    atomic_init(&session->slot_since, 0);
    atomic_init(&session->sending, false);
    pthread_mutex_init(&session->lock, NULL);
    pthread_mutex_init(&session->out_lock, NULL);
    sem_init(&session->called, 0, 0);
    session->next = worker->sessions;
    session->link = &worker->sessions;
    if (session->next != NULL)
        session->next->link = &session->next;
    worker->sessions = session;
    worker->session_count++;
    session->counted = true;
    atomic_fetch_add(&worker->totals.in_flight, 1);
    tribi_session_read(session);
    return TRIB_OK;
}

void tribi_session_free(struct tribi_session *session)
{
    *session->link = session->next;
    if (session->next != NULL)
        session->next->link = session->link;
    session->worker->session_count--;
    atomic_fetch_sub(&session->worker->totals.held, atomic_load(&session->held)); /* items that nobody took */
    trib_channel_watch(session->channel, session->worker->base, TRIB_READABLE, NULL, NULL, NULL);
    trib_grpc_call_watch(session->call, session->worker->base, NULL, NULL, NULL);
    tribi_speech_done(&session->speech);
    for (; session->count > 0; session->count--, session->first = (session->first + 1) & (session->capacity - 1))
        trib_view_release(&session->items[session->first].bytes);
    trib_free(session->items);
    trib_reader_free(session->frames);
    tribi_intake_done(&session->intake);
    trib_view_release(&session->piece);
    tribi_udf_init_free(session->init);
    trib_chunk_unref(session->payload);
    tribi_told_done(&session->words);
    tribi_told_done(&session->report);
    tribi_told_done(&session->failure);
    trib_channel_free(session->channel);
    sem_destroy(&session->called);
    pthread_mutex_destroy(&session->out_lock);
    pthread_mutex_destroy(&session->lock);
    trib_free(session);
}

static void report(struct tribi_session *session)
{
    const struct trib_worker_options *options = &session->worker->options;
    struct trib_worker_report what = {.size = sizeof(what), .session = session->id, .outcome = session->outcome, .kind = session->report.kind};

    what.message = session->report.message != NULL ? session->report.message : "";
    what.serializer = !session->engaged && session->serializer != NULL ? session->serializer->name : "";
    tribi_session_metrics(session, &what.metrics);
    if (!session->engaged && session->times.started != 0)
        what.queue_nanos = (uint64_t)(session->times.started - session->times.queued);
    if (options->report != NULL)
        options->report(options->arg, &what);
}

/* What the transport moved is known when the stream has ended. */
static void count_moved_below(struct tribi_session *session)
{
    struct trib_channel_stats stats = {.size = sizeof(stats)};

    trib_channel_stats(session->channel, &stats);
    atomic_fetch_add(&session->worker->totals.copied, stats.copied);
}

void tribi_session_over(struct tribi_session *session)
{
    struct trib_worker *worker = session->worker;

    if (session->counted) {
        session->counted = false;
        count_moved_below(session);
        session->state = TRIBI_UDF_ENDED;
        atomic_fetch_sub(&worker->totals.in_flight, 1);
        atomic_fetch_add(&worker->totals.outcomes[session->outcome], 1);
        report(session);
        tribi_worker_ring(worker);
    }
    if (!session->engaged && !session->buried) {
        session->buried = true;
        session->grave_next = worker->graves;
        worker->graves = session;
    }
}

void tribi_session_lose(struct tribi_session *session, const char *why)
{
    if (session->lost || !session->counted)
        return;
    session->lost = true;
    if (session->outcome != TRIB_WORKER_FAILED)
        session->outcome = TRIB_WORKER_LOST;
    if (session->report.message == NULL)
        tribi_told_set(&session->report, TRIB_UDF_NO_ERROR, "%s", why);
    session->state = TRIBI_UDF_ENDED;
    tribi_session_stop(session);
    trib_channel_cancel(session->channel);
    tribi_session_over(session);
}

/* ---- Words ------------------------------------------------------------------------------------------------------ */

void tribi_session_close(struct tribi_session *session, struct tribi_told *told)
{
    session->place = tribi_udf_place(session->state, session->answered);
    tribi_told_done(&session->words);
    session->words = *told;
    if (session->place == TRIBI_UDF_NOWHERE) {
        tribi_told_done(&session->words);
        return;
    }
    session->state = TRIBI_UDF_CLOSING;
    tribi_session_stop(session);
    if (!session->engaged)
        tribi_session_terminate(session, session->place, &session->words);
}

static void refuse(struct tribi_session *session, enum tribi_udf_message message, const char *text)
{
    struct tribi_told told = {.message = NULL};

    if (text != NULL)
        tribi_told_set(&told, TRIB_UDF_PROTOCOL_ERROR, "in state %s: %s", tribi_udf_state_name(session->state), text);
    else
        tribi_told_set(&told, TRIB_UDF_PROTOCOL_ERROR, "in state %s: %s came, expected %s", tribi_udf_state_name(session->state),
                       tribi_udf_message_name(message), tribi_udf_expected(session->state));
    tribi_session_close(session, &told);
}

/* An error in Init: it is told, and Cancel is to follow. */
static void refuse_init(struct tribi_session *session, struct tribi_told *told)
{
    tribi_session_tell(session, TRIBI_UDF_IN_INIT, told);
}

/* ---- Init ------------------------------------------------------------------------------------------------------- */

/* The serializer that is set for all, or the one that the payload names, or else the UDF's name. */
static const struct trib_serializer *choose(const struct tribi_session *session, struct trib_view payload, struct trib_view udf)
{
    struct trib_view names[2] = {payload, udf};
    const struct trib_serializer *found = session->worker->options.serializer;
    char name[64];

    for (int i = 0; i < 2 && found == NULL; i++) {
        if (names[i].len > 2 && memcmp(names[i].data, "c:", 2) == 0)
            names[i] = trib_view_sub(names[i], 2, names[i].len);
        if (names[i].len == 0 || names[i].len >= sizeof(name))
            continue;
        memcpy(name, names[i].data, names[i].len); /* copy: a name needs its NUL */
        name[names[i].len] = '\0';
        found = trib_serializer_find(name);
    }
    return found;
}

static void engage(struct tribi_session *session, struct trib_view payload)
{
    struct tribi_told told = {.message = NULL};
    struct trib_error err;

    tribi_udf_init_set_payload(session->init, payload);
    session->serializer = choose(session, payload, tribi_udf_init_fields(session->init)->name);
    if (session->serializer == NULL) {
        tribi_told_set(&told, TRIB_UDF_WORKER_ERROR, "no function is named \"%.*s\"", (int)(payload.len < 64 ? payload.len : 64),
                       payload.len > 0 ? (const char *)payload.data : "");
    } else {
        session->intake.in_pieces = tribi_serializer_has(session->serializer, frame);
        session->intake.arrow = tribi_serializer_takes(session->serializer) != TRIB_TAKES_FRAMES;
        session->state = TRIBI_UDF_OPENING;
        if (tribi_threads_engage(session, &err) == TRIB_OK)
            return;
        tribi_told_set(&told, TRIB_UDF_WORKER_ERROR, "%s", err.message);
    }
    refuse_init(session, &told);
}

static void complete(struct tribi_session *session)
{
    const struct trib_udf_init *fields = tribi_udf_init_fields(session->init);
    struct trib_view payload = fields->payload;
    struct tribi_told told = {.message = NULL};

    if (session->payload != NULL)
        payload = trib_view_sub(trib_chunk_view(session->payload), 0, session->payload_len);
    if (fields->has_payload_size && (fields->payload_size < 0 || (uint64_t)fields->payload_size != payload.len))
        tribi_told_set(&told, TRIB_UDF_PROTOCOL_ERROR, "payload: %zu bytes came, payload_size says %" PRId64, payload.len, fields->payload_size);
    else if (fields->has_payload_crc32 && trib_udf_crc32(0, payload) != fields->payload_crc32)
        tribi_told_set(&told, TRIB_UDF_PROTOCOL_ERROR, "payload: its CRC-32 is %08" PRIx32 ", payload_crc32 says %08" PRIx32,
                       trib_udf_crc32(0, payload), fields->payload_crc32);
    if (told.kind != TRIB_UDF_NO_ERROR)
        refuse_init(session, &told);
    else
        engage(session, payload);
}

/* copy: a payload that comes in chunks is put together; it is not data. False: an error was told. */
static bool append(struct tribi_session *session, struct trib_view bytes)
{
    size_t limit = session->worker->options.payload_limit, room = session->payload != NULL ? trib_chunk_len(session->payload) : 0;
    struct tribi_told told = {.message = NULL};
    struct trib_chunk *larger;

    if (bytes.len > limit || session->payload_len > limit - bytes.len) {
        tribi_told_set(&told, TRIB_UDF_PROTOCOL_ERROR, "payload: %zu bytes or more, at most %zu are allowed", session->payload_len + bytes.len, limit);
        refuse_init(session, &told);
        return false;
    }
    if (session->payload_len + bytes.len > room) {
        size_t want = session->payload_len + bytes.len > 2 * room ? session->payload_len + bytes.len : 2 * room;
        if (trib_chunk_new(want, 8, &larger, NULL) != TRIB_OK) {
            tribi_told_set(&told, TRIB_UDF_WORKER_ERROR, "payload: no memory for %zu bytes", want);
            refuse_init(session, &told);
            return false;
        }
        if (session->payload_len > 0)
            memcpy(trib_chunk_writable(larger), trib_chunk_data(session->payload), session->payload_len);
        trib_chunk_unref(session->payload);
        session->payload = larger;
    }
    if (bytes.len > 0)
        memcpy(trib_chunk_writable(session->payload) + session->payload_len, bytes.data, bytes.len);
    session->payload_len += bytes.len;
    return true;
}

static void take_init(struct tribi_session *session, struct tribi_udf_request *request)
{
    const struct trib_udf_init *fields = tribi_udf_init_fields(request->init);
    struct tribi_told told = {.message = NULL};

    session->init = request->init;
    request->init = NULL;
    session->state = TRIBI_UDF_CHUNKS;
    if (fields->protocol_version != TRIB_UDF_PROTOCOL_VERSION)
        tribi_told_set(&told, TRIB_UDF_PROTOCOL_ERROR, "protocol_version %" PRIu32 " is not supported, only %d", fields->protocol_version,
                       TRIB_UDF_PROTOCOL_VERSION);
    else if (fields->data_format != TRIB_UDF_FORMAT_ARROW)
        tribi_told_set(&told, TRIB_UDF_PROTOCOL_ERROR, "data_format %" PRId32 " is not supported, only ARROW (%d)", fields->data_format,
                       TRIB_UDF_FORMAT_ARROW);
    if (told.kind != TRIB_UDF_NO_ERROR)
        refuse_init(session, &told);
    else if (!fields->is_chunking_payload)
        complete(session);
    else
        append(session, fields->payload);
}

/* ---- Messages --------------------------------------------------------------------------------------------------- */

/* What cannot be handed to the UDF ends the session. */
static void fail(struct tribi_session *session, const struct trib_error *err)
{
    struct tribi_told told = {.message = NULL};

    tribi_told_set(&told, TRIB_UDF_WORKER_ERROR, "%s", err->message);
    tribi_session_close(session, &told);
}

static void take_data(struct tribi_session *session, struct tribi_intake_item *item)
{
    struct tribi_item next = {session->intake.in_pieces ? TRIBI_ITEM_BEGIN : TRIBI_ITEM_FRAME, item->length, item->bytes};
    struct trib_error err;
    int rc;

    if (item->kind == TRIBI_INTAKE_PIECE) {
        session->piece = item->bytes;
        item->bytes = (struct trib_view){.data = NULL};
        rc = TRIB_OK; /* it is fed before the next is read */
    } else if (item->kind == TRIBI_INTAKE_END && session->in_frame) {
        session->in_frame = false;
        return;
    } else {
        rc = tribi_session_push(session, &next, &err);
        item->bytes = (struct trib_view){.data = NULL};
        session->in_frame = item->kind == TRIBI_INTAKE_BEGIN;
    }
    if (rc != TRIB_OK)
        fail(session, &err);
}

static void take_finish(struct tribi_session *session)
{
    struct tribi_item item = {.kind = TRIBI_ITEM_FINISH};
    struct trib_error err;

    if (tribi_session_push(session, &item, &err) == TRIB_OK)
        session->state = TRIBI_UDF_FINISHING;
    else
        fail(session, &err);
}

static void take_cancel(struct tribi_session *session)
{
    session->state = TRIBI_UDF_CANCELLING;
    tribi_session_stop(session);
    if (!session->engaged)
        tribi_session_terminate(session, TRIBI_UDF_IN_CANCEL, NULL);
}

static void take(struct tribi_session *session, enum tribi_udf_message message, struct tribi_udf_request *request)
{
    switch (message) {
    case TRIBI_UDF_INIT:
        take_init(session, request);
        break;
    case TRIBI_UDF_CHUNK:
        if (append(session, request->bytes) && request->last)
            complete(session);
        break;
    case TRIBI_UDF_FINISH:
        take_finish(session);
        break;
    default:
        take_cancel(session);
        break;
    }
}

static void act(struct tribi_session *session, enum tribi_udf_message message, struct tribi_udf_request *request, const char *text)
{
    switch (tribi_udf_action(session->state, message)) {
    case TRIBI_UDF_TAKE:
        take(session, message, request);
        break;
    case TRIBI_UDF_REFUSE:
        refuse(session, message, text);
        break;
    case TRIBI_UDF_LOSE:
        tribi_session_lose(session, text != NULL ? text : "the stream ended");
        break;
    case TRIBI_UDF_DROP:
        break;
    }
}

static void act_on_control(struct tribi_session *session, struct trib_view bytes)
{
    struct tribi_udf_request request = {.kind = TRIBI_UDF_BAD};
    struct trib_error err;
    int rc = tribi_udf_request_read(bytes, &request, &err);

    act(session, request.kind, &request, rc != TRIB_OK ? err.message : NULL);
    tribi_udf_init_free(request.init);
    tribi_udf_request_done(&request);
}

static void act_on_item(struct tribi_session *session, struct tribi_intake_item *item)
{
    session->heard = trib_now();
    if (item->kind == TRIBI_INTAKE_CONTROL)
        act_on_control(session, item->bytes);
    else if (item->kind == TRIBI_INTAKE_EMPTY)
        act(session, TRIBI_UDF_BAD, NULL, NULL);
    else if (tribi_udf_action(session->state, TRIBI_UDF_DATA) == TRIBI_UDF_TAKE)
        take_data(session, item);
    else
        act(session, TRIBI_UDF_DATA, NULL, NULL);
    trib_view_release(&item->bytes);
}

/* How the stream of requests ended. Some clients cancel by an end and a reset behind it: nobody waits to be told what is wrong with the end. */
static void act_on_end(struct tribi_session *session, int rc, const struct trib_error *err)
{
    const char *lost = "";
    int code;

    session->deaf = true;
    trib_grpc_call_status(session->call, &code, &lost);
    if (rc == TRIB_EOF && lost[0] != '\0')
        act(session, TRIBI_UDF_LOST, NULL, lost);
    else if (rc == TRIB_EOF)
        act(session, TRIBI_UDF_HALF_CLOSE, NULL, NULL);
    else
        act(session, session->intake.broken ? TRIBI_UDF_LOST : TRIBI_UDF_BAD, NULL, err->message);
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

/* Beyond the budget nothing is asked for but what comes by itself, within the credit that the engine has: a Cancel there is seen. What is
 * a little more than the budget is received all the same, in one piece. False: all of that has come, too. */
static bool may_ask(struct tribi_session *session)
{
    struct trib_worker *worker = session->worker;
    size_t budget = worker->channel.budget, coming = session->intake.size, there = session->intake.have.len, held;
    bool hold, full;

    atomic_store(&session->starved, true); /* before the look: what is let go after it, is told */
    held = atomic_load(&session->held);
    if (budget > SHARE && atomic_load(&worker->totals.held) > worker->options.held_limit)
        budget = SHARE;
    hold = held > 0 && (held > budget || (coming > budget / 8 && coming > budget - held));
    full = held + there >= (coming > 0 ? budget : budget + budget / 8 + SLACK);
    session->intake.hold = hold;
    if (!hold)
        atomic_store(&session->starved, false);
    return !(hold && full);
}

/* The piece that waits for room. False: it still waits. */
static bool feed(struct tribi_session *session)
{
    struct trib_error err;
    int rc = TRIB_OK;

    if (tribi_udf_action(session->state, TRIBI_UDF_DATA) == TRIBI_UDF_TAKE)
        rc = tribi_session_feed(session, &err);
    else
        trib_view_release(&session->piece);
    if (rc < 0)
        fail(session, &err);
    return rc != TRIB_AGAIN;
}

static void count_moved(struct tribi_session *session)
{
    uint64_t moved = session->intake.copied;

    if (moved > session->moved_io)
        atomic_fetch_add_explicit(&session->worker->totals.copied, moved - session->moved_io, memory_order_relaxed);
    session->moved_io = moved;
}

static void on_readable(void *arg)
{
    struct tribi_session *session = arg;
    struct trib_worker *worker = session->worker;

    tribi_session_read(session);
    tribi_worker_reap(worker);
}

void tribi_session_read(struct tribi_session *session)
{
    struct tribi_intake_item item;
    struct trib_error err;
    int rc = TRIB_OK;

    for (int i = 0; i < ROUNDS && rc == TRIB_OK && session->state != TRIBI_UDF_ENDED && !session->deaf; i++) {
        session->paused = !feed(session) || (!may_ask(session) && !tribi_intake_has_some(&session->intake));
        if (session->paused)
            return;
        rc = tribi_intake_next(&session->intake, TRIB_NOWAIT, &item, &err);
        count_moved(session);
        if (rc == TRIB_OK)
            act_on_item(session, &item);
        else if (rc != TRIB_AGAIN)
            act_on_end(session, rc, &err);
    }
    if (session->state != TRIBI_UDF_ENDED && !session->deaf &&
        trib_channel_watch(session->channel, session->worker->base, TRIB_READABLE, on_readable, session, &err) != TRIB_OK)
        tribi_session_lose(session, err.message);
}

/* ---- News of the UDF -------------------------------------------------------------------------------------------- */

/* It has let go of the session, and told how it went. */
static void left(struct tribi_session *session)
{
    struct tribi_told *failure = session->rc != TRIB_OK && session->rc != TRIB_ERR_CANCELLED ? &session->failure : NULL;
    enum tribi_udf_place place = tribi_udf_place(session->state, session->answered);

    session->engaged = false;
    if (session->broken || session->stalled)
        tribi_session_lose(session, session->error.message);
    if (session->state == TRIBI_UDF_ENDED) { /* lost, or answered without it */
        if (session->lost || session->speech.over)
            tribi_session_over(session);
        return;
    }
    if (session->state == TRIBI_UDF_CLOSING)
        tribi_session_terminate(session, session->place == TRIBI_UDF_IN_INIT && session->answered ? TRIBI_UDF_IN_ERROR : session->place, &session->words);
    else if (session->state == TRIBI_UDF_CANCELLING)
        tribi_session_terminate(session, TRIBI_UDF_IN_CANCEL, failure);
    else if (failure == NULL)
        tribi_session_terminate(session, TRIBI_UDF_IN_FINISH, NULL);
    else if (place == TRIBI_UDF_IN_FINISH && session->ending)
        tribi_session_terminate(session, TRIBI_UDF_IN_FINISH, failure);
    else
        tribi_session_tell(session, place == TRIBI_UDF_IN_INIT ? place : TRIBI_UDF_IN_ERROR, failure);
}

void tribi_session_shut(struct tribi_session *session)
{
    struct tribi_told told = {.message = NULL};

    /* Whatever Finish waits for: each stream in flight gets an error, and then CancelResponse. */
    if (session->state == TRIBI_UDF_CANCELLING)
        return;
    if (session->state == TRIBI_UDF_FINISHING)
        session->state = session->answered ? TRIBI_UDF_OPEN : TRIBI_UDF_OPENING;
    tribi_told_set(&told, TRIB_UDF_WORKER_ERROR, "the worker is shutting down");
    tribi_session_close(session, &told);
}

void tribi_session_news(struct tribi_session *session, unsigned news)
{
    if ((news & TRIBI_NEWS_OPENED) != 0) {
        session->answered = true;
        if (session->state == TRIBI_UDF_OPENING)
            session->state = TRIBI_UDF_OPEN;
    }
    if ((news & TRIBI_NEWS_LEFT) != 0)
        left(session);
    else if ((news & TRIBI_NEWS_ROOM) != 0 && session->state != TRIBI_UDF_ENDED)
        tribi_session_read(session);
}
