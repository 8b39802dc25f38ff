/* Sending: what a writer offers becomes messages in our hands, by reference, and HTTP/2 learns that there is more. */
#include "transports/grpc/grpc-internal.h"

#include <inttypes.h>
#include <string.h>

enum { SMALL = 128, SMALL_SUM = 192, QUEUE_MAX = 64 << 10, COMPRESSED_MAX = 1 << 20 };

int tribi_grpc_can_send(struct trib_grpc_call *stream, struct trib_error *err)
{
    if (tribi_grpc_is_cancelled(stream))
        return tribi_grpc_cancelled("send to", err);
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

static size_t total_of(const struct trib_send *send)
{
    size_t total = 0;

    for (size_t i = 0; i < send->count; i++)
        total += send->views[i].len;
    return total;
}

/* The prefix of a message, and the first views where they are a few bytes each, in one span; returns how many views that were. Where the message will begin
 * a frame, there is room in front for the header of that.
 * copy: an envelope's bytes, or so few of payload that a span of their own would cost more */
static int begin_message(struct trib_grpc_call *stream, uint64_t size, const struct trib_send *send, size_t *ret_views, struct trib_error *err)
{
    struct tribi_grpc_piece piece = { .owner = stream, .lead = TRIBI_GRPC_PREFIX, .begins = true, .room = stream->out.pieces.count == 0 };
    size_t front = piece.room ? TRIBI_GRPC_FRAME_HEADER : 0, len = TRIBI_GRPC_PREFIX, views = 0;
    uint8_t *at = tribi_grpc_small_room(stream->conn, TRIBI_GRPC_FRAME_HEADER + TRIBI_GRPC_PREFIX + SMALL_SUM);

    if (size > UINT32_MAX)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, size, UINT32_MAX, "send to gRPC %s: a message has %" PRIu64 " bytes, and gRPC's at most %" PRIu32,
                                  stream->path, size, UINT32_MAX);
    if (at == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "send to gRPC %s: no memory", stream->path);
    at += front;
    memcpy(at, (uint8_t[]){ 0, (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size }, TRIBI_GRPC_PREFIX);
    for (; views < send->count && send->views[views].len <= SMALL && len + send->views[views].len <= TRIBI_GRPC_PREFIX + SMALL_SUM; views++) {
        memcpy(at + len, send->views[views].data, send->views[views].len);
        len += send->views[views].len;
    }
    piece.view = tribi_grpc_small_taken(stream->conn, front + len);
    piece.view.data += front;
    piece.view.len = len;
    tribi_grpc_pieces_push(&stream->out.pieces, piece);
    stream->out.left = size;
    *ret_views = views;
    return TRIB_OK;
}

/* What is offered and not in our hands yet gets there, by reference. Bytes outside brackets become a message of what is there. */
static int commit(struct trib_grpc_call *stream, const struct trib_send *send, size_t total, struct trib_error *err)
{
    struct tribi_grpc_out *out = &stream->out;
    size_t skip = (size_t)(out->committed - out->told), left = total - skip, i = 0;
    bool begins = (send->flags & TRIB_SEND_BEGIN) != 0 && skip == 0;
    int rc = TRIB_OK;

    if (total > 0 && left == 0)
        return TRIB_OK;
    if (tribi_grpc_pieces_reserve(&out->pieces, send->count + 2) != TRIB_OK)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "send to gRPC %s: no memory", stream->path);
    for (; i < send->count && skip >= send->views[i].len; i++)
        skip -= send->views[i].len;
    if (begins || !out->open) {
        const struct trib_send rest = { .views = send->views + i, .count = skip == 0 ? send->count - i : 0 };
        size_t views = 0;

        rc = begin_message(stream, begins ? send->message_size : left, &rest, &views, err);
        if (rc != TRIB_OK)
            return rc;
        i += views;
    }
    for (; i < send->count; i++, skip = 0) {
        struct trib_view view = skip == 0 ? send->views[i] : trib_view_sub(send->views[i], skip, SIZE_MAX);

        trib_chunk_ref(view.holder);
        tribi_grpc_pieces_push(&out->pieces, (struct tribi_grpc_piece){ view, .owner = stream });
    }
    out->committed += left;
    out->left -= left;
    out->open = out->left > 0;
    return TRIB_OK;
}

/* Lets HTTP/2 know that there is more. */
int tribi_grpc_offer(struct trib_grpc_call *stream)
{
    int rc = 0;

    if (!stream->out.submitted)
        rc = tribi_grpc_submit_response(stream, false);
    else if (stream->out.deferred) {
        stream->out.deferred = false;
        rc = nghttp2_session_resume_data(tribi_grpc_stirred(stream->conn), stream->id);
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
        rc = tribi_grpc_can_send(stream, err);
        if (rc != TRIB_OK)
            return rc;
        if (total > 0 || stream->out.pieces.bytes < QUEUE_MAX) {
            rc = compress_or_commit(stream, send, total, err);
            if (rc != TRIB_OK)
                return rc;
            early = stream->out.committed - stream->out.sent < TRIBI_GRPC_TAKEN_EARLY;
            if ((send->flags & TRIB_SEND_MORE) != 0 && early && tell(stream, total, true, ret_bytes))
                return TRIB_OK;
            if (tribi_grpc_offer(stream) != 0)
                return trib_error_set(err, TRIB_ERR_NOMEM, 0, "send to gRPC %s: no memory", stream->path);
            if (early && tribi_grpc_gathers(conn) && tell(stream, total, true, ret_bytes)) {
                if (stream->out.pieces.bytes >= TRIBI_GRPC_GATHER_LEAST)
                    tribi_grpc_flush_later(conn);
                return TRIB_OK;
            }
            tribi_grpc_flush(conn);
            if (tell(stream, total, false, ret_bytes))
                return TRIB_OK;
        }
        if (!looked) {
            looked = true;
            tribi_grpc_look(conn, send->deadline);
            continue;
        }
        if (tribi_grpc_overdue(stream))
            continue;
        if (send->deadline == TRIB_NOWAIT)
            return TRIB_AGAIN;
        *waited = true;
        rc = tribi_grpc_wait(&stream->sides[TRIB_WRITABLE], tribi_grpc_until(stream, send->deadline), err);
        if (rc != TRIB_OK && !tribi_grpc_overdue(stream))
            return rc;
    }
}

int tribi_grpc_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
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
