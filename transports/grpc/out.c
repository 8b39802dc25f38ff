/* Sending: what HTTP/2 and the streams have to say becomes one list of spans, and few system calls. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { SMALL_BLOCK = 8192 - 64, OUT_BYTES = 1 << 20 };

uint8_t *tribi_grpc_small_room(struct tribi_grpc_conn *conn, size_t len)
{
    if (conn->small == NULL || len > trib_chunk_len(conn->small) - conn->small_used) {
        struct trib_chunk *block;

        if (trib_chunk_new(len > SMALL_BLOCK ? len : SMALL_BLOCK, 1, &block, NULL) != TRIB_OK)
            return NULL;
        trib_chunk_unref(conn->small);
        conn->small = block;
        conn->small_used = 0;
    }
    return (uint8_t *)(uintptr_t)trib_chunk_data(conn->small) + conn->small_used; /* behind what others may look at */
}

struct trib_view tribi_grpc_small_taken(struct tribi_grpc_conn *conn, size_t len)
{
    const uint8_t *at = (const uint8_t *)trib_chunk_data(conn->small) + conn->small_used;

    conn->small_used += len;
    return (struct trib_view){ at, len, trib_chunk_ref(conn->small) };
}

/* copy: frame headers and control frames, a few bytes each, and no payload. */
int tribi_grpc_small(struct tribi_grpc_conn *conn, const void *data, size_t len, struct trib_view *ret_view)
{
    uint8_t *at = tribi_grpc_small_room(conn, len);

    if (at == NULL)
        return TRIB_ERR_NOMEM;
    memcpy(at, data, len);
    *ret_view = tribi_grpc_small_taken(conn, len);
    return TRIB_OK;
}

/* The frames that HTTP/2 writes itself; DATA comes by send_data (session.c), to the same list, in the same order. A call that returns no bytes has gone
 * on until there was nothing more to say; else that it wants to write no more is cheaper to ask than to find out by the next call. */
static void gather(struct tribi_grpc_conn *conn)
{
    while (!conn->quiet && conn->out.count < TRIBI_GRPC_PIECES && conn->out.bytes < OUT_BYTES) {
        struct trib_view view;
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(conn->session, &data);

        if (n < 0) {
            tribi_grpc_conn_fail(conn, n == NGHTTP2_ERR_NOMEM ? TRIB_ERR_NOMEM : TRIB_ERR_PROTOCOL, 0, nghttp2_strerror((int)n));
            return;
        }
        if (n > 0) {
            if (tribi_grpc_pieces_reserve(&conn->out, 1) != TRIB_OK || tribi_grpc_small(conn, data, (size_t)n, &view) != TRIB_OK) {
                tribi_grpc_conn_fail(conn, TRIB_ERR_NOMEM, 0, "no memory");
                return;
            }
            tribi_grpc_pieces_extend(&conn->out, view);
            conn->out_queued += (size_t)n;
        }
        conn->quiet = n == 0 || !nghttp2_session_want_write(conn->session);
    }
}

/* Whose bytes have left. */
static void account(struct tribi_grpc_conn *conn, size_t sent)
{
    struct trib_grpc_call *told = NULL;

    conn->out_sent += sent;
    for (size_t i = 0, left = sent; left > 0; i++) {
        struct tribi_grpc_piece *piece = tribi_grpc_pieces_at(&conn->out, i);
        size_t n = piece->view.len < left ? piece->view.len : left;

        if (piece->owner != NULL) {
            if (told != NULL && told != piece->owner)
                tribi_grpc_notify(told, TRIB_WRITABLE);
            told = piece->owner;
            told->out.sent += n > piece->lead ? n - piece->lead : 0;
            told->out.in_conn -= n == piece->view.len;
        }
        left -= n;
    }
    if (told != NULL) /* once all of its bytes are counted */
        tribi_grpc_notify(told, TRIB_WRITABLE);
    tribi_grpc_pieces_pop(&conn->out, sent);
}

static bool send_once(struct tribi_grpc_conn *conn)
{
    struct iovec iov[TRIBI_GRPC_PIECES];
    struct msghdr msg = { .msg_iov = iov };
    ssize_t n;

    while (msg.msg_iovlen < conn->out.count && msg.msg_iovlen < TRIBI_GRPC_PIECES) {
        struct trib_view *view = &tribi_grpc_pieces_at(&conn->out, msg.msg_iovlen)->view;
        iov[msg.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)view->data, view->len };
    }
    do {
        conn->calls_out++;
        n = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        account(conn, (size_t)n);
        return true;
    }
    if (errno != EAGAIN && errno != ENOBUFS) {
        /* The peer reads no more; what it had sent may still be there to read. */
        conn->out_broken = true;
        account(conn, conn->out.bytes);
        for (struct trib_grpc_call *stream = conn->streams; stream != NULL; stream = stream->next)
            tribi_grpc_notify(stream, TRIB_WRITABLE);
    }
    return false;
}

void tribi_grpc_flush(struct tribi_grpc_conn *conn)
{
    bool all = false;

    if (conn->pumping) /* inside a callback of HTTP/2: who called it will send */
        return;
    tribi_grpc_look_for_releases(conn);
    if (conn->quiet && conn->out.bytes == 0 && conn->ends == NULL)
        return;
    conn->pumping = true;
    while (!all && !conn->lost && !conn->out_broken) {
        gather(conn);
        /* While the base waits for room in the socket there is none. */
        all = conn->out.bytes == 0 || conn->writable_added || !send_once(conn);
    }
    conn->pumping = false;
    if (conn->out.bytes == 0 && conn->small != NULL && trib_chunk_writable(conn->small) != NULL)
        conn->small_used = 0;
    tribi_grpc_want_out(conn);
    /* Rarely somebody waits for the end of his stream to leave, which is nobody's payload. */
    if (conn->out.bytes == 0)
        for (struct trib_grpc_call *stream = conn->ends; stream != NULL; stream = stream->out.end_next)
            tribi_grpc_notify(stream, TRIB_WRITABLE);
}

void tribi_grpc_flush_later(struct tribi_grpc_conn *conn)
{
    if (!tribi_grpc_gathers(conn) || conn->pumping || conn->lost || conn->out_broken) {
        tribi_grpc_flush(conn);
        return;
    }
    conn->pumping = true;
    gather(conn);
    conn->pumping = false;
    if (conn->out.bytes >= TRIBI_GRPC_GATHER_MAX)
        tribi_grpc_flush(conn);
}

/* Its pieces are among the newest, mostly. */
void tribi_grpc_disown(struct tribi_grpc_conn *conn, struct trib_grpc_call *stream)
{
    for (size_t i = conn->out.count; i > 0 && stream->out.in_conn > 0; i--) {
        struct tribi_grpc_piece *piece = tribi_grpc_pieces_at(&conn->out, i - 1);

        if (piece->owner == stream) {
            piece->owner = NULL;
            stream->out.in_conn--;
        }
    }
}
