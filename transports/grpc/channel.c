/* The channel of a stream: the slots that move bytes, end it and wait for it. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { SMALL = 32, TAKEN_EARLY = 256 << 10, QUEUE_MAX = 64 << 10, BIG = 128 << 10, COMPRESSED_MAX = 1 << 20 };

static int cancelled(const char *operation, struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "%s a gRPC call: it was cancelled", operation);
}

static bool is_cancelled(struct trib_grpc_call *stream)
{
    return atomic_load_explicit(&stream->cancelled, memory_order_acquire);
}

/* The end of the call comes before that of the wait. */
static int64_t until(const struct trib_grpc_call *stream, int64_t deadline)
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

static void hand_out(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags)
{
    struct tribi_grpc_in *in = &stream->in;
    struct tribi_grpc_entry *entry = &in->entries[in->first];

    *ret_view = entry->view;
    *ret_flags = entry->flags;
    if (want->head > 0 && entry->headroom >= want->head)
        *ret_flags |= TRIB_RECV_HEADROOM;
    in->read_compressed = entry->compressed;
    in->first = (in->first + 1) & (in->capacity - 1);
    in->count--;
    in->queued -= entry->view.len;
}

static int check_limit(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_error *err)
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
static bool place_fits(struct tribi_grpc_place *place, const struct trib_want *want)
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

/* Nothing is there: a place for what is wanted, and a window. */
static int prepare(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_error *err)
{
    struct tribi_grpc_place *place = &stream->in.place;
    int rc;

    stream->in.keep = trib_chunk_unref(stream->in.keep);
    if (!place_fits(place, want)) {
        tribi_grpc_place_drop(stream);
        rc = check_limit(stream, want, err);
        if (rc == TRIB_OK && want->min + want->head >= TRIBI_GRPC_PLACE_MIN && !goes_on(stream, want)) {
            rc = trib_want_alloc(want, 0, &place->block, err);
            if (rc == TRIB_OK) {
                place->at = trib_chunk_writable(place->block) + want->head;
                place->room = want->min;
                place->headroom = want->head;
                place->charged = true;
                if (want->min >= BIG)
                    stream->conn->ahead = TRIBI_GRPC_AHEAD_MIN;
            }
        }
        if (rc != TRIB_OK)
            return rc;
    }
    tribi_grpc_stream_grant(stream, want->min + TRIBI_GRPC_PREFIX);
    return TRIB_OK;
}

/* One look at the socket, for who must not wait, and where it is likely that there is something. Who handles an event has just looked. */
static void look(struct tribi_grpc_conn *conn, int64_t deadline)
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
        if (is_cancelled(stream))
            return cancelled("receive from", err);
        if (stream->in.count > 0) {
            hand_out(stream, want, ret_view, ret_flags);
            return TRIB_OK;
        }
        rc = read_end(stream, err);
        if (rc != TRIB_OK)
            return rc;
        if (!looked) {
            rc = prepare(stream, want, err);
            if (rc != TRIB_OK)
                return rc;
            looked = true;
            look(stream->conn, want->deadline);
            continue;
        }
        if (tribi_grpc_overdue(stream))
            continue;
        if (want->deadline == TRIB_NOWAIT)
            return TRIB_AGAIN;
        *waited = true;
        rc = tribi_grpc_wait(&stream->sides[TRIB_READABLE], until(stream, want->deadline), err);
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
    if (!tribi_grpc_gathers(conn) && nghttp2_session_want_write(conn->session) && !conn->lost)
        tribi_grpc_flush(conn);
    if (waited)
        tribi_grpc_hand_over(conn);
    pthread_mutex_unlock(&conn->lock);
    return rc;
}

/* ---- Sending ------------------------------------------------------------------------------------------------------- */

static int can_send(struct trib_grpc_call *stream, struct trib_error *err)
{
    if (is_cancelled(stream))
        return cancelled("send to", err);
    if (stream->failed != 0 && stream->failed != TRIB_ERR_CLOSED && stream->failed != TRIB_ERR_FAILED) {
        if (err != NULL)
            *err = stream->failure;
        return stream->failed;
    }
    if (stream->failed == TRIB_ERR_CLOSED || stream->closed || stream->reset_sent || stream->out.refused || stream->conn->lost ||
        stream->conn->out_broken || stream->out.finishing)
        return trib_error_set(err, TRIB_ERR_CLOSED, 0, "send to gRPC %s: the peer reads no more%s%s", stream->path,
                              stream->failed != 0 ? ": " : "", stream->failed != 0 ? stream->failure.message : "");
    return TRIB_OK;
}

static int begin_message(struct trib_grpc_call *stream, uint64_t size, struct trib_error *err)
{
    uint8_t prefix[TRIBI_GRPC_PREFIX] = { 0, (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size };
    struct tribi_grpc_piece piece = { .owner = stream, .lead = TRIBI_GRPC_PREFIX, .begins = true };

    if (size > UINT32_MAX)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, size, UINT32_MAX, "send to gRPC %s: a message has %" PRIu64 " bytes, and gRPC's at most %" PRIu32,
                                  stream->path, size, UINT32_MAX);
    if (tribi_grpc_small(stream->conn, prefix, sizeof(prefix), &piece.view) != TRIB_OK)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "send to gRPC %s: no memory", stream->path);
    tribi_grpc_pieces_push(&stream->out.pieces, piece);
    stream->out.open = size > 0;
    stream->out.left = size;
    return TRIB_OK;
}

static size_t total_of(const struct trib_send *send)
{
    size_t total = 0;

    for (size_t i = 0; i < send->count; i++)
        total += send->views[i].len;
    return total;
}

/* What is offered and not in our hands yet gets there, by reference. Bytes outside brackets become a message of what is there. */
static int commit(struct trib_grpc_call *stream, const struct trib_send *send, size_t total, struct trib_error *err)
{
    struct tribi_grpc_out *out = &stream->out;
    size_t skip = (size_t)(out->committed - out->told), left = total - skip;
    int rc = TRIB_OK;

    if (total > 0 && left == 0)
        return TRIB_OK;
    if (tribi_grpc_pieces_reserve(&out->pieces, send->count + 2) != TRIB_OK)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "send to gRPC %s: no memory", stream->path);
    if ((send->flags & TRIB_SEND_BEGIN) != 0 && skip == 0)
        rc = begin_message(stream, send->message_size, err);
    else if (!out->open)
        rc = begin_message(stream, left, err);
    if (rc != TRIB_OK)
        return rc;
    for (size_t i = 0; i < send->count; i++) {
        struct trib_view view = send->views[i];

        if (skip >= view.len) {
            skip -= view.len;
            continue;
        }
        view = trib_view_sub(view, skip, view.len);
        skip = 0;
        /* copy: a few bytes, an envelope's, which go on where gRPC's own are, and need no span of their own then */
        if (view.len > SMALL || tribi_grpc_small(stream->conn, view.data, view.len, &view) != TRIB_OK)
            trib_view_retain(view);
        tribi_grpc_pieces_push(&out->pieces, (struct tribi_grpc_piece){ .view = view, .owner = stream });
    }
    out->committed += left;
    out->left -= left;
    out->open = out->left > 0;
    return TRIB_OK;
}

/* Lets HTTP/2 know that there is more. */
static int offer(struct trib_grpc_call *stream)
{
    int rc = 0;

    if (!stream->out.submitted)
        rc = tribi_grpc_submit_response(stream, false);
    else if (stream->out.deferred) {
        stream->out.deferred = false;
        rc = nghttp2_session_resume_data(stream->conn->session, stream->id);
    }
    return rc == NGHTTP2_ERR_INVALID_ARGUMENT ? 0 : rc;
}

static bool tell(struct trib_grpc_call *stream, size_t total, bool early, size_t *ret_bytes)
{
    struct tribi_grpc_out *out = &stream->out;
    uint64_t upto = early ? out->committed : out->sent;

    if (total > 0 && upto <= out->told)
        return false;
    *ret_bytes = total > 0 ? (size_t)(upto - out->told) : 0;
    out->told = total > 0 ? upto : out->told;
    return true;
}

static int compress_or_commit(struct trib_grpc_call *stream, const struct trib_send *send, size_t total, struct trib_error *err)
{
    int rc;

    if (!stream->compressing)
        return commit(stream, send, total, err);
    if (stream->out.pieces.bytes >= COMPRESSED_MAX) /* enough waits: take no more */
        return TRIB_OK;
    rc = tribi_grpc_deflate_views(stream, send, total);
    return rc == TRIB_OK ? rc : trib_error_set(err, rc, 0, "send to gRPC %s: no memory to compress", stream->path);
}

static int send_some(struct trib_grpc_call *stream, const struct trib_send *send, size_t *ret_bytes, bool *waited, struct trib_error *err)
{
    struct tribi_grpc_conn *conn = stream->conn;
    size_t total = total_of(send);
    bool looked = false, early;
    int rc;

    for (;;) {
        rc = can_send(stream, err);
        if (rc != TRIB_OK)
            return rc;
        if (total > 0 || stream->out.pieces.bytes < QUEUE_MAX) {
            rc = compress_or_commit(stream, send, total, err);
            if (rc != TRIB_OK)
                return rc;
            early = stream->out.committed - stream->out.sent < TAKEN_EARLY;
            if ((send->flags & TRIB_SEND_MORE) != 0 && early && tell(stream, total, true, ret_bytes))
                return TRIB_OK;
            if (offer(stream) != 0)
                return trib_error_set(err, TRIB_ERR_NOMEM, 0, "send to gRPC %s: no memory", stream->path);
            if (early && tribi_grpc_gathers(conn) && tell(stream, total, true, ret_bytes)) {
                tribi_grpc_flush_later(conn);
                return TRIB_OK;
            }
            tribi_grpc_flush(conn);
            if (tell(stream, total, false, ret_bytes))
                return TRIB_OK;
        }
        if (!looked) {
            looked = true;
            look(conn, send->deadline);
            continue;
        }
        if (tribi_grpc_overdue(stream))
            continue;
        if (send->deadline == TRIB_NOWAIT)
            return TRIB_AGAIN;
        *waited = true;
        rc = tribi_grpc_wait(&stream->sides[TRIB_WRITABLE], until(stream, send->deadline), err);
        if (rc != TRIB_OK && !tribi_grpc_overdue(stream))
            return rc;
    }
}

static int grpc_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    struct trib_grpc_call *stream = self;
    bool waited = false;
    int rc;

    pthread_mutex_lock(&stream->conn->lock);
    rc = send_some(stream, send, ret_bytes, &waited, err);
    if (waited)
        tribi_grpc_hand_over(stream->conn);
    pthread_mutex_unlock(&stream->conn->lock);
    return rc;
}

/* ---- Ending -------------------------------------------------------------------------------------------------------- */

/* The client's side of the end. */
static void end_request(struct trib_grpc_call *stream, int status, const char *text)
{
    stream->out.finishing = true;
    stream->out.status = tribi_grpc_status_of_finish(status);
    snprintf(stream->out.text, sizeof(stream->out.text), "%s", text != NULL ? text : "");
    if (status == 0)
        offer(stream);
    else if (!stream->conn->peer_reads_trailers || tribi_grpc_submit_trailers(stream) != 0)
        tribi_grpc_stream_reset(stream, NGHTTP2_CANCEL);
}

/* What was told to the writer as taken must have left before the trailers. */
static bool may_end(struct trib_grpc_call *stream, int status)
{
    if (stream->out.pieces.bytes > 0 && offer(stream) == 0)
        tribi_grpc_flush_later(stream->conn);
    if (stream->out.pieces.bytes > 0)
        return false;
    return stream->conn->server || status == 0 || stream->conn->got_settings;
}

static int finish_some(struct trib_grpc_call *stream, int status, const char *text, int64_t deadline, bool *waited, struct trib_error *err)
{
    struct tribi_grpc_conn *conn = stream->conn;
    bool looked = false;
    int rc;

    for (;;) {
        if (is_cancelled(stream))
            return cancelled("finish", err);
        if (stream->out.refused || (stream->reset_sent && stream->out.finishing))
            return TRIB_OK; /* the peer had all that it wanted; or the end was a reset */
        if (!stream->out.finishing && (rc = can_send(stream, err)) != TRIB_OK)
            return rc;
        if (!stream->out.finishing && may_end(stream, status)) {
            if (conn->server)
                tribi_grpc_stream_end(stream, tribi_grpc_status_of_finish(status), text);
            else
                end_request(stream, status, text);
        }
        tribi_grpc_flush_later(conn);
        if (stream->out.end_queued && (conn->out_sent >= stream->out.end_at || (conn->base_owned && tribi_grpc_gathers(conn))))
            return TRIB_OK;
        if (conn->lost || conn->out_broken || stream->closed)
            return stream->out.end_queued ? TRIB_OK : trib_error_set(err, TRIB_ERR_CLOSED, 0, "finish gRPC %s: the peer has gone", stream->path);
        if (!looked) {
            looked = true;
            look(conn, deadline);
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
    if (!stream->out.end_waits) {
        stream->out.end_waits = true;
        conn->ends_waiting++;
    }
    rc = finish_some(stream, status, text, deadline, &waited, err);
    if (rc != TRIB_AGAIN && rc != TRIB_ERR_TIMEOUT) {
        stream->out.end_waits = false;
        conn->ends_waiting--;
    }
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
    tribi_grpc_watch(&stream->sides[0], NULL, NULL, NULL, NULL);
    tribi_grpc_watch(&stream->sides[1], NULL, NULL, NULL, NULL);
    tribi_grpc_watch(&stream->sides[TRIBI_GRPC_ENDED], NULL, NULL, NULL, NULL);
    if (stream->timer != NULL)
        event_del(stream->timer);
    trib_free(stream->timer);
    stream->timer = NULL;
    if (stream->out.finishing && !stream->out.end_queued)
        tribi_grpc_flush_later(conn); /* a reset would overtake the end */
    if (!stream->out.end_queued || !stream->remote_end)
        tribi_grpc_stream_reset(stream, stream->out.finishing && conn->server ? NGHTTP2_NO_ERROR
                                        : conn->server                        ? NGHTTP2_INTERNAL_ERROR
                                                                              : NGHTTP2_CANCEL);
    tribi_grpc_stream_empty(stream);
    tribi_grpc_flush_later(conn);
    tribi_grpc_want_out(conn);
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

    if (is_cancelled(stream) || stream->failed != 0 || stream->closed || stream->conn->lost)
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
    return out->committed == out->told && out->committed - out->sent < TAKEN_EARLY;
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

static int grpc_peer(void *self, struct trib_peer *ret_peer, struct trib_error *err)
{
    struct trib_grpc_call *stream = self;
#ifdef SO_PEERCRED
    struct ucred who;
    socklen_t len = sizeof(who);

    if (getsockopt(stream->conn->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
        ret_peer->pid = who.pid > 0 ? who.pid : -1;
        ret_peer->uid = who.uid == (uid_t)-1 ? -1 : (int64_t)who.uid;
        ret_peer->gid = who.gid == (gid_t)-1 ? -1 : (int64_t)who.gid;
        return TRIB_OK;
    }
#endif
    return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "peer of gRPC %s: unknown", stream->path);
}

static void grpc_stats(void *self, struct trib_channel_stats *stats)
{
    struct trib_grpc_call *stream = self;

    pthread_mutex_lock(&stream->conn->lock);
    stats->system_calls_in += stream->conn->calls_in;
    stats->system_calls_out += stream->conn->calls_out;
    stats->waits += stream->waits;
    pthread_mutex_unlock(&stream->conn->lock);
}

#define CAPABILITIES (TRIB_CAP_MESSAGES | TRIB_CAP_HALF_CLOSE | TRIB_CAP_STATUS | TRIB_CAP_DETECTS_LOSS | TRIB_CAP_EVENTS)
#define SLOTS \
    .recv = grpc_recv, .send = grpc_send, .finish = grpc_finish, .cancel = grpc_cancel, .close = grpc_close, .free = grpc_free, \
    .watch = grpc_watch, .stats = grpc_stats

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
