/* The channel of a stream: the slots that move bytes, end it and wait for it. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { BIG = 128 << 10 };

int tribi_grpc_cancelled(const char *operation, struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "%s a gRPC call: it was cancelled", operation);
}

bool tribi_grpc_is_cancelled(struct trib_grpc_call *stream)
{
    return atomic_load_explicit(&stream->cancelled, memory_order_acquire);
}

/* The end of the call comes before that of the wait. */
int64_t tribi_grpc_until(const struct trib_grpc_call *stream, int64_t deadline)
{
    return deadline < stream->deadline ? deadline : stream->deadline;
}

/* Whether the call's own deadline has passed; then it has failed. */
bool tribi_grpc_overdue(struct trib_grpc_call *stream)
{
    if (stream->deadline == TRIB_FOREVER || stream->failed != 0 || trib_now() < stream->deadline)
        return false;
    tribi_grpc_stream_fail(stream, TRIB_ERR_FAILED, TRIB_GRPC_DEADLINE_EXCEEDED, "the deadline of the call passed");
    tribi_grpc_flush(stream->conn);
    return true;
}

/* ---- Receiving ----------------------------------------------------------------------------------------------------- */

static int read_end(struct trib_grpc_call *stream, struct trib_error *err)
{
    if (stream->failed != 0) {
        if (err != NULL)
            *err = stream->failure;
        return stream->failed;
    }
    return stream->remote_end ? TRIB_EOF : TRIB_OK;
}

static int hand_out(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                    struct trib_error *err)
{
    struct tribi_grpc_in *in = &stream->in;
    struct tribi_grpc_entry *entry = &in->entries[in->first];

    if (entry->compressed)
        return tribi_grpc_inflate_next(stream, want, ret_view, ret_flags, err);
    *ret_view = entry->view;
    *ret_flags = entry->flags;
    if (want->head > 0 && entry->headroom >= want->head)
        *ret_flags |= TRIB_RECV_HEADROOM;
    in->read_compressed = false;
    in->first = (in->first + 1) & (in->capacity - 1);
    in->count--;
    in->queued -= entry->view.len;
    return TRIB_OK;
}

int tribi_grpc_check_limit(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_error *err)
{
    size_t held = trib_budget_held(want->budget) + atomic_load(&stream->credit->held), limit = trib_budget_limit(want->budget);
    size_t must = want->head + want->min;

    held -= want->spare < held ? want->spare : held;
    if (must >= want->min && must <= limit && held <= limit - want->min)
        return TRIB_OK;
    return trib_error_numbers(err, TRIB_ERR_LIMIT, must, limit,
                              "receive %zu bytes: %zu are held and the limit is %zu; release chunks or raise the limit", must, held, limit);
}

/* The place goes on where the reader wants the next bytes. A gap may be left in front of an aligned want that begins anew. */
bool tribi_grpc_place_fits(struct tribi_grpc_place *place, const struct trib_want *want)
{
    size_t off, gap;

    if (place->block == NULL)
        return false;
    if (want->head > 0 && want->next != place->at && place->headroom < want->head)
        return false;
    off = ((uintptr_t)place->at - want->head) & (want->align - 1);
    gap = off == 0 ? 0 : want->align - off;
    if ((gap > 0 && want->head > 0) || gap > place->room || place->room - gap < want->min)
        return false;
    place->at += gap;
    place->room -= gap;
    place->headroom = gap > 0 ? 0 : place->headroom;
    return true;
}

/* What is wanted goes on, in the block that is being filled, where the reader's last bytes end. Their holder, which the reader has, is kept for it. */
static bool goes_on(struct trib_grpc_call *stream, const struct trib_want *want)
{
    const struct tribi_grpc_conn *conn = stream->conn;
    const struct tribi_grpc_scan *scan = &conn->scan;
    struct tribi_grpc_in *in = &stream->in;
    const uint8_t *at;

    if (want->head == 0 || conn->scratch == NULL || in->lease == NULL || in->lease_block != conn->scratch)
        return false;
    at = trib_chunk_data(conn->scratch) + conn->scratch_fill;
    if (want->next != at || (((uintptr_t)at - want->head) & (want->align - 1)) != 0 || scan->type != NGHTTP2_DATA ||
        scan->stream_id != stream->id || scan->left < want->min || in->left < want->min ||
        trib_chunk_len(conn->scratch) - conn->scratch_fill < want->min)
        return false;
    in->keep = trib_chunk_ref(in->lease);
    return true;
}

int tribi_grpc_place_make(struct trib_grpc_call *stream, const struct trib_want *want, size_t ahead, struct trib_error *err)
{
    struct tribi_grpc_place *place = &stream->in.place;
    int rc = trib_want_alloc(want, ahead, &place->block, err);

    if (rc != TRIB_OK)
        return rc;
    place->at = trib_chunk_writable(place->block) + want->head;
    place->room = trib_chunk_len(place->block) - want->head;
    place->headroom = want->head;
    place->charged = true;
    place->ahead = ahead > 0;
    return TRIB_OK;
}

/* Nothing is there: a place for what is wanted, and a window. */
static int prepare(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_error *err)
{
    int rc;

    stream->in.keep = trib_chunk_unref(stream->in.keep);
    if (!tribi_grpc_place_fits(&stream->in.place, want)) {
        tribi_grpc_place_drop(stream);
        rc = tribi_grpc_check_limit(stream, want, err);
        if (rc == TRIB_OK && want->min + want->head >= TRIBI_GRPC_PLACE_MIN && !goes_on(stream, want)) {
            rc = tribi_grpc_place_make(stream, want, 0, err);
            if (rc == TRIB_OK && want->min >= BIG)
                stream->conn->ahead = TRIBI_GRPC_AHEAD_MIN;
        }
        if (rc != TRIB_OK)
            return rc;
    }
    tribi_grpc_stream_grant(stream, want->min + TRIBI_GRPC_PREFIX);
    return TRIB_OK;
}

/* One look at the socket, for who must not wait, and where it is likely that there is something. Who handles an event has just looked. */
void tribi_grpc_look(struct tribi_grpc_conn *conn, int64_t deadline)
{
    if (tribi_grpc_gathers(conn) || (deadline != TRIB_NOWAIT && !conn->more))
        return;
    tribi_grpc_flush(conn);
    if (!conn->driving && !tribi_grpc_base_drives(conn))
        tribi_grpc_pump(conn);
}

static int receive(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                   bool *waited, struct trib_error *err)
{
    bool looked = false;
    int rc;

    for (;;) {
        if (tribi_grpc_is_cancelled(stream))
            return tribi_grpc_cancelled("receive from", err);
        if (stream->in.count > 0) {
            rc = hand_out(stream, want, ret_view, ret_flags, err);
            if (rc != TRIB_AGAIN)
                return rc;
            if (looked && stream->failed == 0)
                tribi_grpc_stream_grant(stream, want->min + TRIBI_GRPC_PREFIX);
            continue;
        }
        rc = read_end(stream, err);
        if (rc != TRIB_OK)
            return rc;
        if (!looked) {
            rc = prepare(stream, want, err);
            if (rc != TRIB_OK)
                return rc;
            looked = true;
            tribi_grpc_look(stream->conn, want->deadline);
            continue;
        }
        if (tribi_grpc_overdue(stream))
            continue;
        if (want->deadline == TRIB_NOWAIT)
            return TRIB_AGAIN;
        *waited = true;
        rc = tribi_grpc_wait(&stream->sides[TRIB_READABLE], tribi_grpc_until(stream, want->deadline), err);
        if (rc != TRIB_OK && !tribi_grpc_overdue(stream))
            return rc;
    }
}

static int grpc_recv(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags, struct trib_error *err)
{
    struct trib_grpc_call *stream = self;
    struct tribi_grpc_conn *conn = stream->conn;
    bool waited = false;
    int rc;

    pthread_mutex_lock(&conn->lock);
    rc = receive(stream, want, ret_view, ret_flags, &waited, err);
    if (rc == TRIB_OK && stream->in.count == 0)
        tribi_grpc_stream_grant(stream, 0);
    if (!conn->quiet && !conn->lost && !tribi_grpc_gathers(conn))
        tribi_grpc_flush(conn);
    if (waited)
        tribi_grpc_hand_over(conn);
    pthread_mutex_unlock(&conn->lock);
    return rc;
}

/* ---- Ending -------------------------------------------------------------------------------------------------------- */

/* The client's side of the end. */
static void end_request(struct trib_grpc_call *stream, int status, const char *text)
{
    stream->out.finishing = true;
    stream->out.status = tribi_grpc_status_of_finish(status);
    tribi_grpc_stream_says(stream, text);
    if (status == 0)
        tribi_grpc_offer(stream);
    else if (!stream->conn->peer_reads_trailers || tribi_grpc_submit_trailers(stream) != 0)
        tribi_grpc_stream_reset(stream, NGHTTP2_CANCEL);
}

/* What was told to the writer as taken must leave before the end. Where an end can go right behind that, it does: HTTP/2 takes both in one go, or, for
 * want of window, neither, and then all is as before. */
static void end_behind(struct trib_grpc_call *stream, int status, const char *text)
{
    struct tribi_grpc_out *out = &stream->out;

    if (tribi_grpc_offer(stream) != 0)
        return;
    out->finishing = true;
    out->trailing = stream->conn->server;
    out->status = tribi_grpc_status_of_finish(status);
    tribi_grpc_stream_says(stream, text);
    tribi_grpc_flush_later(stream->conn);
    out->finishing = out->end_queued || out->trailers || out->pieces.bytes == 0;
    out->trailing = false;
}

static void end_now(struct trib_grpc_call *stream, int status, const char *text)
{
    struct tribi_grpc_conn *conn = stream->conn;

    if (stream->out.pieces.bytes > 0 && (conn->server || status == 0))
        end_behind(stream, status, text);
    else if (stream->out.pieces.bytes > 0 && tribi_grpc_offer(stream) == 0)
        tribi_grpc_flush_later(conn);
    if (stream->out.pieces.bytes > 0 || stream->out.finishing)
        return;
    if (conn->server)
        tribi_grpc_stream_end(stream, tribi_grpc_status_of_finish(status), text);
    else if (status == 0 || conn->got_settings)
        end_request(stream, status, text);
}

static int finish_some(struct trib_grpc_call *stream, int status, const char *text, int64_t deadline, bool *waited, struct trib_error *err)
{
    struct tribi_grpc_conn *conn = stream->conn;
    bool looked = false;
    int rc;

    for (;;) {
        if (tribi_grpc_is_cancelled(stream))
            return tribi_grpc_cancelled("finish", err);
        if (stream->out.refused || (stream->reset_sent && stream->out.finishing))
            return TRIB_OK; /* the peer had all that it wanted; or the end was a reset */
        if (!stream->out.finishing && (rc = tribi_grpc_can_send(stream, err)) != TRIB_OK)
            return rc;
        if (!stream->out.finishing)
            end_now(stream, status, text);
        tribi_grpc_flush_later(conn);
        if (stream->out.end_queued && (conn->out_sent >= stream->out.end_at || tribi_grpc_gathers(conn)))
            return TRIB_OK;
        if (conn->lost || conn->out_broken || stream->closed)
            return stream->out.end_queued ? TRIB_OK : trib_error_set(err, TRIB_ERR_CLOSED, 0, "finish gRPC %s: the peer has gone", stream->path);
        if (!looked) {
            looked = true;
            tribi_grpc_look(conn, deadline);
            continue;
        }
        if (deadline == TRIB_NOWAIT)
            return TRIB_AGAIN;
        *waited = true;
        rc = tribi_grpc_wait(&stream->sides[TRIB_WRITABLE], deadline, err);
        if (rc != TRIB_OK)
            return rc;
    }
}

static int grpc_finish(void *self, int status, const char *text, int64_t deadline, struct trib_error *err)
{
    struct trib_grpc_call *stream = self;
    struct tribi_grpc_conn *conn = stream->conn;
    bool waited = false;
    int rc;

    pthread_mutex_lock(&conn->lock);
    tribi_grpc_stream_end_waits(stream, true);
    rc = finish_some(stream, status, text, deadline, &waited, err);
    if (rc != TRIB_AGAIN && rc != TRIB_ERR_TIMEOUT)
        tribi_grpc_stream_end_waits(stream, false);
    if (waited)
        tribi_grpc_hand_over(conn);
    pthread_mutex_unlock(&conn->lock);
    return rc;
}

/* A connection that nobody else needs, and that cannot even take a reset, is closed instead: the peer must learn of it. */
static void cut(struct tribi_grpc_conn *conn)
{
    if (conn->out.bytes > 0 && !conn->out_broken && conn->base == NULL && conn->stream_count <= 1)
        shutdown(conn->fd, SHUT_RDWR);
}

static void grpc_cancel(void *self)
{
    struct trib_grpc_call *stream = self;
    struct tribi_grpc_conn *conn = stream->conn;

    if (atomic_exchange(&stream->cancelled, true))
        return;
    pthread_mutex_lock(&conn->lock);
    tribi_grpc_stream_reset(stream, NGHTTP2_CANCEL);
    tribi_grpc_flush(conn);
    cut(conn);
    tribi_grpc_notify(stream, TRIB_READABLE);
    tribi_grpc_notify(stream, TRIB_WRITABLE);
    pthread_mutex_unlock(&conn->lock);
}

/* Without the lock: event_del() waits for a callback that is running, which may be waiting for the lock. */
static void drop_timer_unlocked(struct trib_grpc_call *stream)
{
    struct event *timer = stream->timer;

    if (timer == NULL)
        return;
    stream->timer = NULL;
    pthread_mutex_unlock(&stream->conn->lock);
    event_del(timer);
    trib_free(timer);
    pthread_mutex_lock(&stream->conn->lock);
}

static void grpc_close(void *self)
{
    struct trib_grpc_call *stream = self;
    struct tribi_grpc_conn *conn = stream->conn;

    pthread_mutex_lock(&conn->lock);
    if (stream->gone) {
        pthread_mutex_unlock(&conn->lock);
        return;
    }
    stream->gone = true;
    stream->ignores = true;
    drop_timer_unlocked(stream);
    tribi_grpc_watch(&stream->sides[0], NULL, NULL, NULL, NULL);
    tribi_grpc_watch(&stream->sides[1], NULL, NULL, NULL, NULL);
    tribi_grpc_watch(&stream->sides[TRIBI_GRPC_ENDED], NULL, NULL, NULL, NULL);
    if ((stream->out.finishing && !stream->out.end_queued) || stream->out.pieces.bytes > 0)
        tribi_grpc_flush_later(conn); /* a reset would overtake it */
    if (!stream->out.end_queued || !stream->remote_end)
        tribi_grpc_stream_reset(stream, stream->out.finishing && conn->server ? NGHTTP2_NO_ERROR
                                        : conn->server                        ? NGHTTP2_INTERNAL_ERROR
                                                                              : NGHTTP2_CANCEL);
    tribi_grpc_stream_empty(stream);
    if (!tribi_grpc_gathers(conn)) /* else it goes along, and nobody has to wait for room in the socket yet */
        tribi_grpc_flush(conn);
    pthread_mutex_unlock(&conn->lock);
}

static void grpc_free(void *self)
{
    struct trib_grpc_call *stream = self;
    struct tribi_grpc_conn *conn = stream->conn;

    pthread_mutex_lock(&conn->lock);
    stream->orphan = true;
    stream->channel = NULL;
    if (stream->closed)
        tribi_grpc_stream_free(stream);
    tribi_grpc_settle(conn);
    tribi_grpc_conn_unref_unlock(conn);
}

/* ---- Waiting and asking --------------------------------------------------------------------------------------------- */

bool tribi_grpc_side_ready(struct tribi_grpc_side *side)
{
    struct trib_grpc_call *stream = side->stream;
    const struct tribi_grpc_out *out = &stream->out;

    if (tribi_grpc_is_cancelled(stream) || stream->failed != 0 || stream->closed || stream->conn->lost)
        return true;
    if (side == &stream->sides[TRIBI_GRPC_ENDED])
        return false;
    if (side == &stream->sides[TRIB_READABLE])
        return stream->in.count > 0 || stream->remote_end;
    if (out->refused || stream->conn->out_broken || out->sent > out->told)
        return true;
    if (out->finishing)
        return out->end_queued && stream->conn->out_sent >= out->end_at;
    if (out->end_waits)
        return out->pieces.bytes == 0;
    return out->committed == out->told && out->committed - out->sent < TRIBI_GRPC_TAKEN_EARLY;
}

static int grpc_watch(void *self, struct event_base *base, enum trib_direction direction, trib_ready_fn *fn, void *arg,
                      struct trib_error *err)
{
    struct trib_grpc_call *stream = self;
    int rc;

    pthread_mutex_lock(&stream->conn->lock);
    rc = tribi_grpc_watch(&stream->sides[direction], base, fn, arg, err);
    pthread_mutex_unlock(&stream->conn->lock);
    return rc;
}

static int grpc_soon(void *self, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    struct trib_grpc_call *stream = self;
    struct tribi_grpc_side *side = &stream->sides[TRIB_READABLE];
    int rc;

    pthread_mutex_lock(&stream->conn->lock);
    side->soon = true;
    rc = tribi_grpc_watch(side, base, fn, arg, err);
    side->soon = side->soon && rc == TRIB_OK;
    pthread_mutex_unlock(&stream->conn->lock);
    return rc;
}

static int grpc_peer(void *self, struct trib_peer *ret_peer, struct trib_error *err)
{
    struct trib_grpc_call *stream = self;

    if (tribi_grpc_conn_peer(stream->conn, ret_peer))
        return TRIB_OK;
    return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "peer of gRPC %s: unknown", stream->path);
}

static void grpc_stats(void *self, struct trib_channel_stats *stats)
{
    struct trib_grpc_call *stream = self;

    pthread_mutex_lock(&stream->conn->lock);
    stats->system_calls_in += stream->conn->calls_in;
    stats->system_calls_out += stream->conn->calls_out;
    stats->waits += stream->waits;
    stats->copied += stream->in.copied;
    pthread_mutex_unlock(&stream->conn->lock);
}

#define CAPABILITIES (TRIB_CAP_MESSAGES | TRIB_CAP_HALF_CLOSE | TRIB_CAP_STATUS | TRIB_CAP_DETECTS_LOSS | TRIB_CAP_EVENTS)
#define SLOTS \
    .recv = grpc_recv, .send = tribi_grpc_send, .finish = grpc_finish, .cancel = grpc_cancel, .close = grpc_close, .free = grpc_free, \
    .watch = grpc_watch, .stats = grpc_stats, .soon = grpc_soon

const struct trib_channel_ops tribi_grpc_unix_ops = {
    .size = sizeof(struct trib_channel_ops),
    .name = "grpc+unix",
    .capabilities = CAPABILITIES | TRIB_CAP_CREDENTIALS,
    SLOTS,
    .peer = grpc_peer,
};

const struct trib_channel_ops tribi_grpc_tcp_ops = {
    .size = sizeof(struct trib_channel_ops),
    .name = "grpc+tcp",
    .capabilities = CAPABILITIES,
    SLOTS,
};
