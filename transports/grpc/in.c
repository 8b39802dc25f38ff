/* Receiving: plans where the next bytes go, so that payload lands where it stays, and feeds HTTP/2 in place.
 *
 * Between two system calls it is known how much of the current frame is missing and, inside a message, which stream's payload that
 * is. If that stream has a place (a block that its reader wants in one piece), readv fills the place directly; where more of the
 * message will come in frames of the size of the last one, the same call speculates: 9 bytes for the next header, then the next part
 * of the place, and so on. What follows goes to a block that all streams share, and is handed out by reference. A wrong guess
 * costs a copy, which is counted. */
#include "transports/grpc/grpc-internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { SPECULATE = 31, IOVS = 2 * SPECULATE + 3, SCRATCH = TRIBI_GRPC_FRAME_MAX + 2048, SCRATCH_LEAST = 2048, LARGE_FRAME = 32768, GIVE_BACK = 256 << 20 };
enum { ANSWERS_MAX = 8192, ANSWERS_EACH = 4 }; /* that wait to be read: of all, and as many more for each stream */

/* Frame headers that are guessed to come between two parts of a place. */
struct plan {
    struct iovec iov[IOVS];
    bool direct[IOVS]; /* payload's own place; else a block of everybody's, or a header */
    size_t count;
    uint8_t headers[SPECULATE][TRIBI_GRPC_FRAME_HEADER];
    struct trib_chunk *block; /* of the place, with a reference */
};

/* ---- Where the bytes lie in the stream of frames ---------------------------------------------------------------- */

/* What comes on a stream that the client has ended itself. libnghttp2 passes over it where it has closed the stream, unless it is told to remember as
 * many closed ones as may be open. */
static void look_for_late(struct tribi_grpc_conn *conn)
{
    const struct tribi_grpc_scan *now = &conn->scan;
    bool reset = now->type == NGHTTP2_RST_STREAM;
    int32_t *ended = &conn->ended[(uint32_t)now->stream_id / 2 % (sizeof(conn->ended) / sizeof(conn->ended[0]))];

    if (!conn->server || (now->type != NGHTTP2_DATA && now->type != NGHTTP2_HEADERS && !reset))
        return;
    if (*ended == now->stream_id && now->stream_id != 0 && !reset)
        conn->late = true;
    if (reset || (now->flags & NGHTTP2_FLAG_END_STREAM) != 0)
        *ended = now->stream_id;
}

static void frame_begins(struct tribi_grpc_scan *scan)
{
    const uint8_t *h = scan->header;

    if (scan->type == NGHTTP2_DATA)
        scan->data_length = scan->length;
    scan->left = scan->length = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2];
    scan->type = h[3];
    scan->flags = h[4];
    scan->stream_id = (int32_t)(((uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8]) & 0x7fffffff);
}

static void scan(struct tribi_grpc_conn *conn, const uint8_t *data, size_t len)
{
    struct tribi_grpc_scan *scan = &conn->scan;

    while (len > 0) {
        size_t n;

        if (scan->preface > 0) {
            n = len < scan->preface ? len : scan->preface;
            scan->preface -= (unsigned)n;
        } else if (scan->left > 0) {
            n = len < scan->left ? len : scan->left;
            scan->left -= (uint32_t)n;
        } else {
            n = TRIBI_GRPC_FRAME_HEADER - scan->header_len;
            n = len < n ? len : n;
            memcpy(scan->header + scan->header_len, data, n);
            scan->header_len += (unsigned)n;
            if (scan->header_len == TRIBI_GRPC_FRAME_HEADER) {
                frame_begins(scan);
                scan->header_len = 0;
                look_for_late(conn);
            }
        }
        data += n;
        len -= n;
    }
}

/* ---- Messages --------------------------------------------------------------------------------------------------- */

static int message_begins(struct trib_grpc_call *stream, const uint8_t *p)
{
    struct tribi_grpc_in *in = &stream->in;
    size_t limit = stream->conn->options.limit;

    in->left = (uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 8 | p[4];
    in->prefix_len = 0;
    in->compressed = p[0] == 1;
    if (p[0] > 1 || (in->compressed && stream->encoding != TRIBI_GRPC_GZIP)) {
        tribi_grpc_stream_fail(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "a message has flag %u, and the call's grpc-encoding is %s", p[0],
                               stream->encoding == TRIBI_GRPC_GZIP ? "gzip" : "identity");
        return TRIB_ERR_PROTOCOL;
    }
    if (in->left > limit) {
        tribi_grpc_stream_fail(stream, TRIB_ERR_LIMIT, TRIB_GRPC_RESOURCE_EXHAUSTED, "a message has %llu bytes, the limit is %zu",
                               (unsigned long long)in->left, limit);
        return TRIB_ERR_LIMIT;
    }
    in->in_message = in->left > 0;
    if (in->in_message)
        return TRIB_OK;
    if (in->compressed) {
        tribi_grpc_stream_fail(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "a compressed message has no bytes");
        return TRIB_ERR_PROTOCOL;
    }
    return tribi_grpc_push(stream, (struct trib_view){ NULL, 0, NULL }, TRIB_RECV_MARK, 0);
}

int tribi_grpc_deliver(struct trib_grpc_call *stream, const uint8_t *data, size_t len)
{
    struct tribi_grpc_in *in = &stream->in;
    size_t n;
    int rc = TRIB_OK;

    while (len > 0 && rc == TRIB_OK) {
        if (in->in_message) {
            n = len < in->left ? len : (size_t)in->left;
            in->left -= n;
            in->in_message = in->left > 0;
            rc = tribi_grpc_payload(stream, data, n, !in->in_message);
        } else if (in->prefix_len == 0 && len >= TRIBI_GRPC_PREFIX) { /* nearly always it is there whole */
            n = TRIBI_GRPC_PREFIX;
            rc = message_begins(stream, data);
        } else {
            n = TRIBI_GRPC_PREFIX - in->prefix_len;
            n = len < n ? len : n;
            memcpy(in->prefix + in->prefix_len, data, n);
            in->prefix_len += (unsigned)n;
            if (in->prefix_len == TRIBI_GRPC_PREFIX)
                rc = message_begins(stream, in->prefix);
        }
        data += n;
        len -= n;
    }
    if (in->count > 0) /* once for all the messages of a frame */
        tribi_grpc_notify(stream, TRIB_READABLE);
    return rc;
}

/* ---- The plan --------------------------------------------------------------------------------------------------- */

static void plan_add(struct plan *plan, void *at, size_t len, bool direct)
{
    plan->direct[plan->count] = direct;
    plan->iov[plan->count++] = (struct iovec){ at, len };
}

/* The place of the stream whose DATA is under way. */
static void plan_place(struct tribi_grpc_conn *conn, struct plan *plan)
{
    const struct tribi_grpc_scan *now = &conn->scan;
    struct trib_grpc_call *stream;
    size_t room, left, part, n = 0;
    uint8_t *at;

    if (now->left == 0 || now->type != NGHTTP2_DATA || (now->flags & NGHTTP2_FLAG_PADDED) != 0)
        return;
    stream = nghttp2_session_get_stream_user_data(conn->session, now->stream_id);
    if (stream == NULL || stream->in.place.block == NULL || !stream->in.in_message || stream->in.compressed || stream->in.zips > 0)
        return;
    plan->block = trib_chunk_ref(stream->in.place.block); /* a callback may take the place away while its bytes are looked at */
    at = stream->in.place.at;
    room = stream->in.place.room;
    left = stream->in.left < room ? (size_t)stream->in.left : room;
    part = now->left < left ? now->left : left;
    plan_add(plan, at, part, true);
    if (part < now->left) /* the rest of the frame is for somebody else */
        return;
    if (now->length != now->data_length && now->length != 16384) /* no two of a kind: no guess */
        return;
    for (left -= part, at += part; left > 0 && n < SPECULATE; left -= part, at += part) {
        part = now->length < left ? now->length : left;
        plan_add(plan, plan->headers[n++], TRIBI_GRPC_FRAME_HEADER, false);
        plan_add(plan, at, part, true);
    }
}

/* How much is to be received without a place of its own: the rest of a large frame and the header behind it, so that the next frame, which begins
 * with a message where the peer can make it so, begins a block and lies there in one piece; else as much as was found lately. */
static size_t to_ask(const struct tribi_grpc_conn *conn, const struct plan *plan)
{
    size_t left = plan->count == 0 ? conn->scan.left : 0;

    if (left >= LARGE_FRAME && left <= TRIBI_GRPC_FRAME_MAX)
        return left + TRIBI_GRPC_FRAME_HEADER;
    return conn->ahead;
}

/* Room for what is not foreseen, in a block that is used from the start again when nobody holds any of it. */
static int plan_scratch(struct tribi_grpc_conn *conn, struct plan *plan)
{
    size_t room, ask = to_ask(conn, plan);
    bool fresh = conn->scan.left == conn->scan.length; /* at the beginning of a frame: nothing is cut by a new block */

    if (conn->scratch != NULL && conn->scratch_fill > 0 && trib_chunk_writable(conn->scratch) != NULL)
        conn->scratch_fill = 0;
    room = conn->scratch != NULL ? trib_chunk_len(conn->scratch) - conn->scratch_fill : 0;
    if (room < SCRATCH_LEAST || (fresh && room < ask && ask <= SCRATCH)) {
        size_t len = conn->ahead < 65536 && ask < 65536 ? 65536 : SCRATCH;
        struct trib_chunk *block;
        int rc = trib_chunk_new(len, 64, &block, NULL);

        if (rc != TRIB_OK)
            return rc;
        trib_chunk_unref(conn->scratch);
        conn->scratch = block;
        conn->scratch_fill = 0;
        room = len;
    }
    plan_add(plan, (uint8_t *)(uintptr_t)trib_chunk_data(conn->scratch) + conn->scratch_fill, ask < room ? ask : room, false);
    return TRIB_OK;
}

/* What a peer that speaks no HTTP/2 is known by. */
static void note_first(struct tribi_grpc_conn *conn, const uint8_t *data, size_t len)
{
    size_t room = sizeof(conn->first) - conn->first_len;

    memcpy(conn->first + conn->first_len, data, len < room ? len : room);
    conn->first_len += (unsigned)(len < room ? len : room);
}

static int feed(struct tribi_grpc_conn *conn, const uint8_t *data, size_t len, struct trib_chunk *block)
{
    ssize_t n;

    if (conn->first_len < sizeof(conn->first))
        note_first(conn, data, len);
    scan(conn, data, len);
    conn->fed_block = block;
    conn->received += len;
    n = nghttp2_session_mem_recv(tribi_grpc_stirred(conn), data, len);
    conn->fed_block = NULL;
    if (conn->late)
        nghttp2_session_terminate_session(conn->session, NGHTTP2_STREAM_CLOSED);
    if (n == (ssize_t)len)
        return TRIB_OK;
    tribi_grpc_conn_broken(conn, n < 0 ? nghttp2_strerror((int)n) : "the session takes no more");
    return TRIB_ERR_PROTOCOL;
}

/* copy: a frame is longer than was guessed, so what was received from here on lies in places where it would be in its own way */
static int feed_copied(struct tribi_grpc_conn *conn, struct plan *plan, size_t i, size_t got)
{
    struct trib_chunk *block;
    uint8_t *at;
    int rc = trib_chunk_new(got, 64, &block, NULL);

    if (rc != TRIB_OK) {
        tribi_grpc_conn_fail(conn, TRIB_ERR_NOMEM, 0, "no memory");
        return rc;
    }
    at = trib_chunk_writable(block);
    for (size_t left = got; left > 0; i++) {
        size_t n = left < plan->iov[i].iov_len ? left : plan->iov[i].iov_len;

        memcpy(at, plan->iov[i].iov_base, n);
        at += n;
        left -= n;
    }
    conn->fed_copied = true;
    rc = feed(conn, trib_chunk_data(block), got, block);
    conn->fed_copied = false;
    trib_chunk_unref(block);
    return rc;
}

static size_t room_of(const struct plan *plan)
{
    size_t room = 0;

    for (size_t i = 0; i < plan->count; i++)
        room += plan->iov[i].iov_len;
    return room;
}

static int feed_all(struct tribi_grpc_conn *conn, struct plan *plan, size_t got)
{
    size_t scratch = plan->count - 1;
    int rc = TRIB_OK;

    for (size_t i = 0; i < plan->count && got > 0 && rc == TRIB_OK; i++) {
        size_t n = got < plan->iov[i].iov_len ? got : plan->iov[i].iov_len;

        if (i > 0 && i < scratch && !plan->direct[i] && conn->scan.left > 0)
            return feed_copied(conn, plan, i, got);

        if (i == scratch) {
            conn->scratch_fill += n;
            if (n == plan->iov[i].iov_len && conn->ahead < TRIBI_GRPC_AHEAD_MAX)
                conn->ahead *= 2;
        }
        rc = feed(conn, plan->iov[i].iov_base, n, i == scratch ? conn->scratch : NULL);
        got -= n;
    }
    return rc;
}

/* Answers that the peer does not read are kept by HTTP/2, which bounds those to PING and SETTINGS only: not what it refuses. */
static void look_for_answers(struct tribi_grpc_conn *conn)
{
    size_t answers = nghttp2_session_get_outbound_queue_size(conn->session);

    if (answers > ANSWERS_MAX + ANSWERS_EACH * (size_t)conn->stream_count)
        tribi_grpc_conn_calm(conn, "too_many_answers");
}

/* The connection's window is given back as bytes come, and soon enough that all streams together may not send so much: what bounds memory are their
 * own windows. */
static void give_back(struct tribi_grpc_conn *conn)
{
    int32_t open = nghttp2_session_get_local_window_size(conn->session);

    if (open < TRIBI_GRPC_CONNECTION_WINDOW - GIVE_BACK)
        tribi_grpc_noted(conn, nghttp2_submit_window_update(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, 0, TRIBI_GRPC_CONNECTION_WINDOW - open));
}

static int ended(struct tribi_grpc_conn *conn, int sys_errno)
{
    conn->in_ended = true;
    tribi_grpc_conn_ended(conn, sys_errno);
    return TRIB_ERR_CLOSED;
}

int tribi_grpc_receive(struct tribi_grpc_conn *conn)
{
    struct plan plan;
    struct msghdr msg = { .msg_iov = plan.iov };
    ssize_t n;
    int rc;

    if (conn->lost)
        return TRIB_ERR_CLOSED;
    plan.count = 0;
    plan.block = NULL;
    plan_place(conn, &plan);
    if (plan_scratch(conn, &plan) != TRIB_OK) {
        trib_chunk_unref(plan.block);
        tribi_grpc_conn_fail(conn, TRIB_ERR_NOMEM, 0, "no memory");
        return TRIB_ERR_NOMEM;
    }
    msg.msg_iovlen = plan.count;
    do {
        conn->calls_in++;
        n = recvmsg(conn->fd, &msg, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    conn->more = n > 0 && (size_t)n == room_of(&plan);
    if (n < 0 && errno == EAGAIN)
        rc = TRIB_AGAIN;
    else
        rc = n <= 0 ? ended(conn, n < 0 ? errno : 0) : feed_all(conn, &plan, (size_t)n);
    if (rc == TRIB_OK) {
        give_back(conn);
        look_for_answers(conn);
    }
    if (conn->writers_due) { /* once for all that came */
        conn->writers_due = false;
        tribi_grpc_notify_writers(conn);
    }
    trib_chunk_unref(plan.block);
    return rc;
}
