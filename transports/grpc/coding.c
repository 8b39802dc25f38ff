/* gzip: messages that come compressed, and those that are sent so. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <string.h>
#include <zlib.h>

enum { OUTPUT = 64 << 10, GZIP_WINDOW = 15 + 16 };

static void *z_alloc(void *arg, uInt n, uInt size)
{
    (void)arg;
    return trib_alloc((size_t)n * size);
}

static void z_free(void *arg, void *memory)
{
    (void)arg;
    trib_free(memory);
}

/* ---- In: as the bytes come ------------------------------------------------------------------------------------------ */

struct tribi_grpc_inflate {
    z_stream z;
    bool begun; /* inside a message */
    bool ended; /* gzip's own end was seen */
    uint64_t total; /* of the message */
};

static int refuse(struct trib_grpc_call *stream, int code, int status, const char *what)
{
    tribi_grpc_stream_fail(stream, code, status, "decompress a message: %s", what);
    return code;
}

static int begin_inflate(struct trib_grpc_call *stream)
{
    struct tribi_grpc_inflate *in = stream->in.inflate;

    if (in == NULL) {
        in = trib_alloc(sizeof(*in));
        if (in == NULL)
            return TRIB_ERR_NOMEM;
        in->z.zalloc = z_alloc;
        in->z.zfree = z_free;
        if (inflateInit2(&in->z, GZIP_WINDOW) != Z_OK) {
            trib_free(in);
            return TRIB_ERR_NOMEM;
        }
        stream->in.inflate = in;
    } else {
        inflateReset2(&in->z, GZIP_WINDOW);
    }
    in->begun = true;
    in->ended = false;
    in->total = 0;
    return TRIB_OK;
}

/* One block of output. */
static int inflate_block(struct trib_grpc_call *stream, struct tribi_grpc_inflate *in)
{
    size_t limit = stream->conn->options.limit, n;
    struct trib_chunk *block;
    int z;

    if (trib_chunk_new(OUTPUT, 64, &block, NULL) != TRIB_OK)
        return TRIB_ERR_NOMEM;
    in->z.next_out = trib_chunk_writable(block);
    in->z.avail_out = OUTPUT;
    z = inflate(&in->z, Z_NO_FLUSH);
    n = OUTPUT - in->z.avail_out;
    in->total += n;
    in->ended = z == Z_STREAM_END;
    if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR) {
        trib_chunk_unref(block);
        return refuse(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "it is not gzip");
    }
    if (in->total > limit) {
        trib_chunk_unref(block);
        tribi_grpc_stream_fail(stream, TRIB_ERR_LIMIT, TRIB_GRPC_RESOURCE_EXHAUSTED,
                               "a compressed message has %llu bytes or more, the limit is %zu", (unsigned long long)in->total, limit);
        return TRIB_ERR_LIMIT;
    }
    z = n > 0 ? tribi_grpc_push_lent(stream, block, n) : TRIB_OK;
    trib_chunk_unref(block);
    return z;
}

int tribi_grpc_inflate_some(struct trib_grpc_call *stream, const uint8_t *data, size_t len, bool last)
{
    struct tribi_grpc_inflate *in;
    int rc = stream->in.inflate != NULL && stream->in.inflate->begun ? TRIB_OK : begin_inflate(stream);

    if (rc != TRIB_OK)
        return rc;
    in = stream->in.inflate;
    in->z.next_in = (Bytef *)(uintptr_t)data;
    in->z.avail_in = (uInt)len;
    do {
        if (in->ended && in->z.avail_in > 0)
            return refuse(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "bytes follow gzip's end");
        if (!in->ended)
            rc = inflate_block(stream, in);
    } while (rc == TRIB_OK && (in->z.avail_in > 0 || (!in->ended && in->z.avail_out == 0)));
    if (rc != TRIB_OK || !last)
        return rc;
    in->begun = false;
    if (!in->ended)
        return refuse(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "it ends before gzip's end");
    return tribi_grpc_push(stream, (struct trib_view){ NULL, 0, NULL }, TRIB_RECV_MARK, 0);
}

void tribi_grpc_inflate_free(struct tribi_grpc_inflate *in)
{
    if (in != NULL)
        inflateEnd(&in->z);
    trib_free(in);
}

/* ---- Out: the length stands in front, so a message is compressed as a whole ------------------------------------------ */

struct tribi_grpc_deflate {
    z_stream z;
    struct tribi_grpc_pieces done; /* of the message under way */
    struct trib_chunk *block;
};

static int begin_deflate(struct trib_grpc_call *stream)
{
    struct tribi_grpc_deflate *to = stream->out.deflate;

    if (to != NULL)
        return deflateReset(&to->z) == Z_OK ? TRIB_OK : TRIB_ERR_NOMEM;
    to = trib_alloc(sizeof(*to));
    if (to == NULL)
        return TRIB_ERR_NOMEM;
    to->z.zalloc = z_alloc;
    to->z.zfree = z_free;
    if (deflateInit2(&to->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        trib_free(to);
        return TRIB_ERR_NOMEM;
    }
    stream->out.deflate = to;
    return TRIB_OK;
}

static int deflate_some(struct tribi_grpc_deflate *to, const uint8_t *data, size_t len, int flush)
{
    int z;

    to->z.next_in = (Bytef *)(uintptr_t)data;
    to->z.avail_in = (uInt)len;
    do {
        struct trib_view view;

        if (to->block == NULL) {
            if (trib_chunk_new(OUTPUT, 1, &to->block, NULL) != TRIB_OK || tribi_grpc_pieces_reserve(&to->done, 1) != TRIB_OK)
                return TRIB_ERR_NOMEM;
            to->z.next_out = trib_chunk_writable(to->block);
            to->z.avail_out = OUTPUT;
        }
        z = deflate(&to->z, flush);
        if (to->z.avail_out > 0 && z != Z_STREAM_END)
            continue;
        view = (struct trib_view){ trib_chunk_data(to->block), OUTPUT - to->z.avail_out, to->block };
        if (view.len > 0)
            tribi_grpc_pieces_push(&to->done, &(struct tribi_grpc_piece){ .view = view });
        else
            trib_chunk_unref(to->block);
        to->block = NULL;
    } while (to->z.avail_in > 0 || (flush == Z_FINISH && z != Z_STREAM_END));
    return TRIB_OK;
}

static int send_message(struct trib_grpc_call *stream)
{
    struct tribi_grpc_pieces *done = &stream->out.deflate->done;
    size_t n = done->bytes;
    uint8_t prefix[TRIBI_GRPC_PREFIX] = { 1, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
    struct tribi_grpc_piece piece = { .owner = NULL };

    if (tribi_grpc_pieces_reserve(&stream->out.pieces, done->count + 1) != TRIB_OK ||
        tribi_grpc_small(stream->conn, prefix, sizeof(prefix), &piece.view) != TRIB_OK)
        return TRIB_ERR_NOMEM;
    tribi_grpc_pieces_push(&stream->out.pieces, &piece);
    tribi_grpc_pieces_move(done, n, &stream->out.pieces);
    return TRIB_OK;
}

/* copy: what is compressed is taken at once */
int tribi_grpc_deflate_views(struct trib_grpc_call *stream, const struct trib_send *send, size_t total)
{
    struct tribi_grpc_out *out = &stream->out;
    int rc = TRIB_OK;

    if (!out->open) {
        rc = begin_deflate(stream);
        if (rc != TRIB_OK)
            return rc;
        out->open = true;
        out->left = (send->flags & TRIB_SEND_BEGIN) != 0 ? send->message_size : total;
    }
    for (size_t i = 0; i < send->count && rc == TRIB_OK; i++)
        rc = deflate_some(out->deflate, send->views[i].data, send->views[i].len, Z_NO_FLUSH);
    out->left -= total;
    out->committed += total;
    out->sent += total; /* ours: nothing of the caller's is referenced */
    if (rc == TRIB_OK && out->left == 0) {
        rc = deflate_some(out->deflate, NULL, 0, Z_FINISH);
        if (rc == TRIB_OK)
            rc = send_message(stream);
        out->open = false;
    }
    return rc;
}

void tribi_grpc_deflate_free(struct tribi_grpc_deflate *to)
{
    if (to == NULL)
        return;
    deflateEnd(&to->z);
    tribi_grpc_pieces_done(&to->done);
    trib_chunk_unref(to->block);
    trib_free(to);
}
