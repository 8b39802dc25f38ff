/* HTTP/2 as libnghttp2 tells it: its callbacks, its settings, and what a hostile peer may cost. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <stdalign.h>
#include <stddef.h>
#include <string.h>

enum {
    STREAMS_MAX = 16384,       /* at once, on one connection */
    HEADER_LIST_MAX = 16384,   /* bytes of a header block, as SETTINGS count them */
    EMPTY_FRAMES_MAX = 1000,   /* DATA without bytes, in a row */
    REFUSED_MAX = 32768,       /* of the body of a request that is answered with an HTTP error */
    SETTINGS_MAX = 200,        /* within SETTINGS_SECONDS */
    SETTINGS_SECONDS = 1
};

/* The stream of a frame; NULL: HTTP/2 knows it no more, or we. What is told of one stream comes in a row mostly, and libnghttp2 would look it up for
 * each header. */
static struct trib_grpc_call *stream_of(struct tribi_grpc_conn *conn, int32_t id)
{
    if (conn->near == NULL || conn->near->id != id)
        conn->near = nghttp2_session_get_stream_user_data(conn->session, id);
    return conn->near;
}

/* ---- Sending DATA ----------------------------------------------------------------------------------------------- */

static ssize_t frame_length(nghttp2_session *session, uint8_t type, int32_t id, int32_t session_window, int32_t stream_window,
                            uint32_t max_frame, void *arg)
{
    const struct tribi_grpc_conn *conn = arg;
    int64_t n = session_window < stream_window ? session_window : stream_window;

    (void)session, (void)type, (void)id;
    n = n < (int64_t)max_frame ? n : (int64_t)max_frame;
    return (ssize_t)(n < (int64_t)conn->settings.frame_size ? n : (int64_t)conn->settings.frame_size);
}

/* How long the next DATA frame may be, and whether it is the last. Its bytes are taken by send_data. */
static ssize_t source_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
                           nghttp2_data_source *source, void *arg)
{
    struct trib_grpc_call *stream = source->ptr;
    size_t n = tribi_grpc_pieces_fit(&stream->out.pieces, length);

    (void)session, (void)id, (void)buf, (void)arg;
    if (n == 0 && (!stream->out.finishing || stream->out.trailers)) {
        stream->out.deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (stream->out.finishing && !stream->out.trailers && n == stream->out.pieces.bytes) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->out.trailing) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (tribi_grpc_submit_trailers(stream) != 0)
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)n;
}

const nghttp2_data_source_read_callback tribi_grpc_source = source_read;

/* The header of a frame: in front of its first piece, where there is room, else as a piece of its own. Returns how many bytes it added to the former. */
static int put_header(struct tribi_grpc_conn *conn, struct tribi_grpc_pieces *from, const uint8_t *header, size_t length, size_t *ret_added)
{
    struct tribi_grpc_piece *first = length > 0 ? tribi_grpc_pieces_at(from, 0) : NULL;
    struct trib_view head;

    *ret_added = 0;
    if (first == NULL || !first->room) {
        if (tribi_grpc_small(conn, header, TRIBI_GRPC_FRAME_HEADER, &head) != TRIB_OK)
            return TRIB_ERR_NOMEM;
        tribi_grpc_pieces_extend(&conn->out, head);
        return TRIB_OK;
    }
    first->view.data -= TRIBI_GRPC_FRAME_HEADER;
    first->view.len += TRIBI_GRPC_FRAME_HEADER;
    first->lead += TRIBI_GRPC_FRAME_HEADER;
    first->room = false;
    from->bytes += TRIBI_GRPC_FRAME_HEADER;
    memcpy((uint8_t *)(uintptr_t)first->view.data, header, TRIBI_GRPC_FRAME_HEADER);
    *ret_added = TRIBI_GRPC_FRAME_HEADER;
    return TRIB_OK;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t length, nghttp2_data_source *source,
                     void *arg)
{
    struct tribi_grpc_conn *conn = arg;
    struct trib_grpc_call *stream = source->ptr;
    struct tribi_grpc_pieces *from = &stream->out.pieces;
    size_t added;

    (void)session, (void)frame;
    if (tribi_grpc_pieces_reserve(&conn->out, from->count + 1) != TRIB_OK || put_header(conn, from, header, length, &added) != TRIB_OK)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    conn->out_queued += TRIBI_GRPC_FRAME_HEADER + length;
    stream->out.in_conn += (unsigned)tribi_grpc_pieces_move(from, added + length, &conn->out);
    return 0;
}

/* Why libnghttp2 gives the peer up is said nowhere else. */
static void note_goaway(struct tribi_grpc_conn *conn, const nghttp2_goaway *goaway)
{
    size_t room = sizeof(conn->broken_why) - 1, len = goaway->opaque_data_len < room ? goaway->opaque_data_len : room;

    if (goaway->error_code == NGHTTP2_NO_ERROR || conn->broken != NGHTTP2_NO_ERROR)
        return;
    conn->broken = goaway->error_code;
    if (len > 0)
        memcpy(conn->broken_why, goaway->opaque_data, len);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct tribi_grpc_conn *conn = arg;
    struct trib_grpc_call *stream;

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        note_goaway(conn, &frame->goaway);
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    conn->clock.strikes = 0;
    conn->pings = 0; /* grpc-go measures with a PING what it received */
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    stream = stream_of(conn, frame->hd.stream_id);
    if (stream != NULL) {
        stream->out.end_queued = true;
        stream->out.end_at = conn->out_queued;
        /* Who has the answer need not finish the question. A channel's reader may still want it. */
        if (conn->server && stream->orphan && !stream->remote_end)
            tribi_grpc_stream_reset(stream, NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* ---- What a hostile peer may cost -------------------------------------------------------------------------------- */

/* SETTINGS cost the peer nothing and us an answer. */
static bool too_many_settings(struct tribi_grpc_conn *conn)
{
    int64_t now = trib_now();

    if (now - conn->junk_since > SETTINGS_SECONDS * INT64_C(1000000000)) {
        conn->junk_since = now;
        conn->junk = 0;
    }
    return ++conn->junk > SETTINGS_MAX;
}

/* libnghttp2 passes over HEADERS of a stream that the client did not begin in its turn, which it takes for one that is closed. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *arg)
{
    struct tribi_grpc_conn *conn = arg;

    if (conn->server && frame->type == NGHTTP2_HEADERS && frame->stream_id == conn->skipped && frame->stream_id != 0)
        nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
    return 0;
}

static void note_begin(struct tribi_grpc_conn *conn, int32_t id)
{
    if (id > conn->newest + 2)
        conn->skipped = id - 2;
    conn->newest = id;
}

/* ---- Receiving --------------------------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct tribi_grpc_conn *conn = arg;
    struct trib_grpc_call *stream;

    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if (!conn->server || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        stream = stream_of(conn, frame->hd.stream_id);
        if (stream != NULL)
            stream->header_bytes = 0;
        return 0;
    }
    note_begin(conn, frame->hd.stream_id);
    if (tribi_grpc_stream_new(conn, &stream, NULL) != TRIB_OK)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    stream->id = frame->hd.stream_id;
    stream->orphan = true;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    conn->near = stream;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *arg)
{
    struct trib_grpc_call *stream = stream_of(arg, frame->hd.stream_id);
    int rc;

    (void)session, (void)flags;
    if (frame->hd.type != NGHTTP2_HEADERS || stream == NULL)
        return 0;
    stream->header_bytes += (unsigned)(name_len + value_len + 32);
    if (stream->header_bytes > HEADER_LIST_MAX)
        return stream->header_bytes > 4 * HEADER_LIST_MAX ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
    rc = tribi_grpc_on_header(stream, name, name_len, value, value_len, stream->headers_done);
    return rc == TRIB_OK ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void on_headers(struct trib_grpc_call *stream, const nghttp2_frame *frame)
{
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (stream->header_bytes > HEADER_LIST_MAX) {
        stream->headers_done = true;
        stream->grpc_status = -1; /* whatever they said before */
        tribi_grpc_stream_fail(stream, TRIB_ERR_LIMIT, TRIB_GRPC_RESOURCE_EXHAUSTED, "the header list has %u bytes, the limit is %d",
                               stream->header_bytes, HEADER_LIST_MAX);
        return;
    }
    if (!stream->headers_done)
        tribi_grpc_headers_complete(stream, end);
    else
        tribi_grpc_trailers_complete(stream);
}

static void remote_end(struct trib_grpc_call *stream)
{
    stream->remote_end = true;
    tribi_grpc_refuse(stream);
    if (stream->failed == 0 && (stream->in.in_message || stream->in.prefix_len > 0))
        tribi_grpc_stream_fail(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "the stream ended inside a message");
    else if (stream->failed == 0 && !stream->conn->server && stream->grpc_status < 0)
        tribi_grpc_stream_fail(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "the server ended the call without a status");
    tribi_grpc_notify(stream, TRIB_READABLE);
}

static void on_settings(struct tribi_grpc_conn *conn, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
        return;
    conn->got_settings = true;
    for (size_t i = 0; i < frame->settings.niv; i++)
        if (frame->settings.iv[i].settings_id == TRIBI_GRPC_SETTING_TRAILERS)
            conn->peer_reads_trailers = frame->settings.iv[i].value != 0;
    conn->writers_due = true;
    if (too_many_settings(conn))
        tribi_grpc_conn_calm(conn, "too_many_settings");
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct tribi_grpc_conn *conn = arg;
    struct trib_grpc_call *stream = frame->hd.stream_id != 0 ? stream_of(conn, frame->hd.stream_id) : NULL;

    conn->frames++;
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        on_settings(conn, frame);
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 || !tribi_grpc_flow_answered(conn, frame->ping.opaque_data))
            tribi_grpc_pinged(conn, (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0, frame->ping.opaque_data);
        break;
    case NGHTTP2_GOAWAY:
        conn->peer_going_away = true;
        break;
    case NGHTTP2_WINDOW_UPDATE:
        if (stream != NULL)
            tribi_grpc_notify(stream, TRIB_WRITABLE);
        else if (nghttp2_session_get_remote_window_size(session) <= frame->window_update.window_size_increment)
            conn->writers_due = true; /* else it was open: nobody has waited for it */
        break;
    case NGHTTP2_HEADERS:
        if (stream != NULL)
            on_headers(stream, frame);
        break;
    case NGHTTP2_DATA:
        conn->empty_frames = frame->hd.length > frame->data.padlen ? 0 : conn->empty_frames + 1;
        if (conn->empty_frames > EMPTY_FRAMES_MAX)
            tribi_grpc_conn_calm(conn, "too_many_empty_frames");
        break;
    default:
        break;
    }
    if (stream != NULL && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        remote_end(stream);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct tribi_grpc_conn *conn = arg;
    struct trib_grpc_call *stream = stream_of(conn, id);
    int rc;

    (void)flags;
    conn->pings = 0;
    if (stream != NULL && stream->refused && nghttp2_session_get_stream_effective_recv_data_length(session, id) > REFUSED_MAX)
        tribi_grpc_refuse(stream);
    if (stream == NULL || stream->failed != 0 || atomic_load_explicit(&stream->cancelled, memory_order_relaxed) || stream->ignores)
        return 0;
    tribi_grpc_stream_received(stream, len);
    if (stream->reads)
        tribi_grpc_flow_received(conn, len);
    rc = tribi_grpc_deliver(stream, data, len);
    if (rc == TRIB_ERR_NOMEM)
        tribi_grpc_stream_fail(stream, rc, TRIB_GRPC_RESOURCE_EXHAUSTED, "no memory for %zu bytes", len);
    return 0;
}

static void lost_by_reset(struct trib_grpc_call *stream, uint32_t code)
{
    /* The server may see the deadline pass first, and reset the call for it. */
    if (!stream->conn->server && code == NGHTTP2_CANCEL && trib_now() >= stream->deadline)
        tribi_grpc_stream_lost(stream, TRIB_ERR_FAILED, TRIB_GRPC_DEADLINE_EXCEEDED, "the deadline of the call passed");
    else
        tribi_grpc_stream_lost(stream, TRIB_ERR_CLOSED, tribi_grpc_status_of_reset(code), "the stream was reset: %s",
                               nghttp2_http2_strerror(code));
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct tribi_grpc_conn *conn = arg;
    struct trib_grpc_call *stream = stream_of(conn, id);

    (void)session;
    if (stream == NULL)
        return 0;
    conn->near = NULL;
    tribi_grpc_stream_shut(stream);
    stream->closed = true;
    if (stream->remote_end && stream->failed == 0)
        stream->out.refused = true; /* what was to be read has come: who still writes is told, who finishes need not know */
    if ((code != NGHTTP2_NO_ERROR || !stream->remote_end) && !(stream->conn->server && stream->out.end_queued && stream->remote_end))
        lost_by_reset(stream, code);
    tribi_grpc_notify(stream, TRIB_READABLE);
    tribi_grpc_notify(stream, TRIB_WRITABLE);
    if (stream->orphan && !stream->incoming)
        tribi_grpc_stream_free(stream);
    return 0;
}

/* ---- Its memory --------------------------------------------------------------------------------------------------- */

/* The process's allocator has no realloc: each block says in front of itself how long it is. */
struct sized {
    alignas(max_align_t) size_t len;
};

static void *mem_malloc(size_t len, void *arg)
{
    struct sized *block = len <= SIZE_MAX - sizeof(*block) ? trib_alloc_raw(sizeof(*block) + len) : NULL;

    (void)arg;
    if (block == NULL)
        return NULL;
    block->len = len;
    return block + 1;
}

static void mem_free(void *memory, void *arg)
{
    (void)arg;
    if (memory != NULL)
        trib_free((struct sized *)memory - 1);
}

static void *mem_calloc(size_t count, size_t len, void *arg)
{
    void *memory = len != 0 && count > SIZE_MAX / len ? NULL : mem_malloc(count * len, arg);

    return memory != NULL ? memset(memory, 0, count * len) : NULL;
}

static void *mem_realloc(void *memory, size_t len, void *arg)
{
    size_t had = memory != NULL ? ((struct sized *)memory)[-1].len : 0;
    void *other = mem_malloc(len, arg);

    if (other == NULL)
        return NULL;
    if (had > 0)
        memcpy(other, memory, had < len ? had : len);
    mem_free(memory, arg);
    return other;
}

static nghttp2_mem memory_functions = { NULL, mem_malloc, mem_free, mem_calloc, mem_realloc };

/* ---- The session -------------------------------------------------------------------------------------------------- */

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, frame_length);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    return callbacks;
}

static int submit_settings(struct tribi_grpc_conn *conn)
{
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, conn->told_window = TRIBI_GRPC_INITIAL_WINDOW },
        { NGHTTP2_SETTINGS_MAX_FRAME_SIZE, conn->told_frame = TRIBI_GRPC_FRAME_MAX },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX },
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX },
        { conn->server ? TRIBI_GRPC_SETTING_TRAILERS : NGHTTP2_SETTINGS_ENABLE_PUSH, conn->server ? 1 : 0 },
    };
    int rc = nghttp2_submit_settings(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, settings, sizeof(settings) / sizeof(settings[0]));

    return rc != 0 ? rc
                   : nghttp2_submit_window_update(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, 0,
                                                  TRIBI_GRPC_CONNECTION_WINDOW - NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE);
}

static uint32_t within(uint32_t value, uint32_t least, uint32_t most)
{
    return value < least ? least : value > most ? most : value;
}

void tribi_grpc_session_resize(struct tribi_grpc_conn *conn)
{
    struct trib_grpc_settings *settings = &conn->settings;
    nghttp2_settings_entry entries[2];
    size_t count = 0;

    settings->window = within(settings->window, 1, TRIBI_GRPC_INITIAL_WINDOW); /* of each of STREAMS_MAX */
    settings->window_sum = within(settings->window_sum, 1, TRIBI_GRPC_WINDOW_SUM);
    settings->frame_size = within(settings->frame_size, 16384, (1 << 24) - 1);
    if (conn->flow.goal < settings->window)
        conn->flow = (struct tribi_grpc_flow){ .goal = settings->window, .rest = 1 };
    if (conn->told_window != settings->window)
        entries[count++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings->window };
    if (conn->told_frame != settings->frame_size)
        entries[count++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, settings->frame_size };
    if (count > 0 && nghttp2_submit_settings(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, entries, count) == 0) {
        conn->told_window = settings->window;
        conn->told_frame = settings->frame_size;
    }
}

int tribi_grpc_session_new(struct tribi_grpc_conn *conn, struct trib_error *err)
{
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option = NULL;
    int rc = NGHTTP2_ERR_NOMEM;

    if (callbacks != NULL && nghttp2_option_new(&option) == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1); /* else 16,384 of them, for the sake of priorities that nobody uses */
        nghttp2_option_set_peer_max_concurrent_streams(option, STREAMS_MAX);
        rc = conn->server ? nghttp2_session_server_new3(&conn->session, callbacks, conn, option, &memory_functions)
                          : nghttp2_session_client_new3(&conn->session, callbacks, conn, option, &memory_functions);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (rc == 0)
        rc = submit_settings(conn);
    conn->scan.preface = conn->server ? NGHTTP2_CLIENT_MAGIC_LEN : 0;
    return rc == 0 ? TRIB_OK : trib_error_set(err, TRIB_ERR_NOMEM, 0, "make an HTTP/2 session: %s", nghttp2_strerror(rc));
}
