/* gzip: messages that come compressed, and those that are sent so. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <string.h>
#include <zlib.h>

enum { OUTPUT = 64 << 10, DEFLATE_MAX = 64 << 10, GUESS_LEAST = 4096, GZIP_WINDOW = 15 + 16 };

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

/* ---- In: kept as it comes, inflated as the reader takes it --------------------------------------------------------------- */

struct tribi_grpc_inflate {
    z_stream z;
    bool begun; /* inside a message */
    bool ended; /* gzip's own end was seen */
    uint64_t total; /* of the message */
};

/* How a run over the entries ended: those that there are, the room, or the message. */
enum outcome { SPENT, FULL, WHOLE, NOT_GZIP, CUT, TRAILING, NO_MEMORY };

/* The reader never sees their block, so they need no lease. */
int tribi_grpc_keep_compressed(struct trib_grpc_call *stream, const uint8_t *data, size_t len, bool last)
{
    struct tribi_grpc_in *in = &stream->in;
    struct trib_chunk *shared = stream->conn->fed_block;
    struct trib_chunk *block = shared != NULL && len >= trib_chunk_len(shared) / 4 ? trib_chunk_ref(shared) : NULL;
    size_t before = in->count;
    int rc;

    if (block == NULL) { /* copy: the bytes came to a place of another stream, where they cannot stay, or would pin many times their size */
        if (trib_chunk_copy(data, len, &block, NULL) != TRIB_OK)
            return TRIB_ERR_NOMEM;
        data = trib_chunk_data(block);
        in->copied += len;
    }
    rc = tribi_grpc_push(stream, (struct trib_view){ data, len, block }, last ? TRIB_RECV_MARK : 0, 0);
    if (rc == TRIB_OK) {
        in->zipped += len;
        in->zips += in->count - before;
    }
    return rc;
}

static void drop_entry(struct tribi_grpc_in *in)
{
    trib_view_release(&in->entries[in->first].view);
    in->first = (in->first + 1) & (in->capacity - 1);
    in->count--;
    in->zips--;
}

static int begin_inflate(struct tribi_grpc_in *in)
{
    struct tribi_grpc_inflate *zip = in->inflate;

    if (zip == NULL) {
        zip = trib_alloc(sizeof(*zip));
        if (zip == NULL)
            return TRIB_ERR_NOMEM;
        zip->z.zalloc = z_alloc;
        zip->z.zfree = z_free;
        if (inflateInit2(&zip->z, GZIP_WINDOW) != Z_OK) {
            trib_free(zip);
            return TRIB_ERR_NOMEM;
        }
        in->inflate = zip;
    } else if (!zip->begun) {
        inflateReset2(&zip->z, GZIP_WINDOW);
    }
    if (!zip->begun) {
        zip->begun = true;
        zip->ended = false;
        zip->total = 0;
    }
    return TRIB_OK;
}

/* What of the entry goes into the room that there is; a wrong one stays wrong, however often it is tried. */
static int inflate_entry(struct tribi_grpc_in *in, struct tribi_grpc_entry *entry)
{
    struct tribi_grpc_inflate *zip = in->inflate;
    size_t used;
    int z;

    if (zip->ended)
        return Z_STREAM_END;
    zip->z.next_in = (Bytef *)(uintptr_t)entry->view.data;
    zip->z.avail_in = (uInt)entry->view.len; /* below 4 GiB, as the message is */
    z = inflate(&zip->z, Z_NO_FLUSH);
    used = entry->view.len - zip->z.avail_in;
    entry->view.data += used;
    entry->view.len -= used;
    in->queued -= used;
    in->zipped -= used;
    zip->ended = z == Z_STREAM_END;
    return z;
}

/* An entry that is used up stays while zlib may have more to say of it: so there is something to read. */
static enum outcome run(struct tribi_grpc_in *in)
{
    struct tribi_grpc_inflate *zip = in->inflate;

    for (; in->count > 0; drop_entry(in)) {
        struct tribi_grpc_entry *entry = &in->entries[in->first];
        bool last = (entry->flags & TRIB_RECV_MARK) != 0;
        int z = inflate_entry(in, entry);

        if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
            return z == Z_MEM_ERROR ? NO_MEMORY : NOT_GZIP;
        if (zip->ended && entry->view.len > 0)
            return TRAILING;
        if (zip->ended && last)
            return WHOLE;
        if (!zip->ended && zip->z.avail_out == 0 && (entry->view.len > 0 || last || in->count == 1))
            return FULL;
        if (last)
            return CUT;
    }
    return SPENT;
}

/* Room for what is wanted, in one piece if it is much; else for some of what else there is. */
static int make_room(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_error *err)
{
    struct tribi_grpc_in *in = &stream->in;
    size_t must = want->head + want->min, guess = in->inflate->total > 0 ? OUTPUT : 8 * in->zipped;
    struct trib_want besides = *want;
    int rc;

    besides.spare += in->queued - in->zipped; /* what lies behind is not the reader's yet */
    rc = tribi_grpc_check_limit(stream, &besides, err);
    tribi_grpc_place_drop(stream);
    guess = guess < GUESS_LEAST ? GUESS_LEAST : guess > OUTPUT ? OUTPUT : guess;
    return rc == TRIB_OK ? tribi_grpc_place_make(stream, want, must < TRIBI_GRPC_PLACE_MIN && must < guess ? guess - must : 0, err) : rc;
}

static enum outcome run_into(struct trib_grpc_call *stream, uint8_t *at, size_t room)
{
    struct tribi_grpc_inflate *zip = stream->in.inflate;
    uint64_t left = stream->conn->options.limit - zip->total;

    left += left < UINT64_MAX; /* one byte more tells that it is too many */
    room = room < OUTPUT ? room : OUTPUT; /* others wait for the lock */
    zip->z.next_out = at;
    zip->z.avail_out = (uInt)(room < left ? room : left);
    return run(&stream->in);
}

/* Nothing that lies behind is handed out. A call that ended well for the peer has failed after all. */
static int refuse(struct trib_grpc_call *stream, enum outcome outcome)
{
    static const char *const what[] = { [NOT_GZIP] = "it is not gzip", [CUT] = "it ends before gzip's end",
                                        [TRAILING] = "bytes follow gzip's end", [NO_MEMORY] = "no memory" };

    if (stream->failed == 0 && stream->grpc_status == TRIB_GRPC_OK)
        stream->grpc_status = -1;
    if (stream->in.inflate->total > stream->conn->options.limit)
        tribi_grpc_stream_fail(stream, TRIB_ERR_LIMIT, TRIB_GRPC_RESOURCE_EXHAUSTED,
                               "a compressed message has %llu bytes or more, the limit is %zu",
                               (unsigned long long)stream->in.inflate->total, stream->conn->options.limit);
    else if (outcome == NO_MEMORY)
        tribi_grpc_stream_fail(stream, TRIB_ERR_NOMEM, TRIB_GRPC_RESOURCE_EXHAUSTED, "decompress a message: %s", what[outcome]);
    else
        tribi_grpc_stream_fail(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "decompress a message: %s", what[outcome]);
    tribi_grpc_drop_received(stream);
    return TRIB_AGAIN;
}

/* n bytes have come to the place. */
static struct trib_view cut_place(struct trib_grpc_call *stream, size_t n)
{
    struct tribi_grpc_place *place = &stream->in.place;
    struct trib_view view = { place->at, n, trib_chunk_ref(place->block) };

    place->at += n;
    place->room -= n;
    place->headroom = 0;
    if (place->room == 0)
        tribi_grpc_place_drop(stream);
    return view;
}

int tribi_grpc_inflate_next(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                            struct trib_error *err)
{
    struct tribi_grpc_in *in = &stream->in;
    struct tribi_grpc_place *place = &in->place;
    bool fits = tribi_grpc_place_fits(place, want);
    uint8_t none[1], *at = fits ? place->at : none;
    enum outcome outcome;
    size_t n;
    int rc = begin_inflate(in);

    if (rc != TRIB_OK)
        return trib_error_set(err, rc, 0, "decompress a message: no memory");
    outcome = run_into(stream, at, fits ? place->room : 0);
    if (outcome == FULL && !fits && in->inflate->total == stream->conn->options.limit) {
        outcome = run_into(stream, none, 1); /* one more is too many */
    } else if (outcome == FULL && !fits) { /* only now is it known that some room is needed */
        rc = make_room(stream, want, err);
        if (rc != TRIB_OK)
            return rc;
        at = place->at;
        outcome = run_into(stream, at, place->room);
    }
    n = (size_t)(in->inflate->z.next_out - at);
    in->inflate->total += n;
    if (in->inflate->total > stream->conn->options.limit || (outcome > WHOLE && n == 0))
        return refuse(stream, outcome);
    *ret_flags = (n > 0 && want->head > 0 && place->headroom >= want->head ? TRIB_RECV_HEADROOM : 0) | (outcome == WHOLE ? TRIB_RECV_MARK : 0);
    *ret_view = n > 0 ? cut_place(stream, n) : (struct trib_view){ NULL, 0, NULL };
    in->read_compressed = true;
    if (outcome == WHOLE) {
        in->inflate->begun = false;
        drop_entry(in);
        if (place->ahead)
            tribi_grpc_place_drop(stream);
    }
    return n > 0 || outcome == WHOLE ? TRIB_OK : TRIB_AGAIN;
}

void tribi_grpc_inflate_free(struct tribi_grpc_inflate *inflate)
{
    if (inflate != NULL)
        inflateEnd(&inflate->z);
    trib_free(inflate);
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
            if (tribi_grpc_pieces_reserve(&to->done, 1) != TRIB_OK || trib_chunk_new(OUTPUT, 1, &to->block, NULL) != TRIB_OK)
                return TRIB_ERR_NOMEM;
            to->z.next_out = trib_chunk_writable(to->block);
            to->z.avail_out = OUTPUT;
        }
        z = deflate(&to->z, flush);
        if (to->z.avail_out > 0 && z != Z_STREAM_END)
            continue;
        view = (struct trib_view){ trib_chunk_data(to->block), OUTPUT - to->z.avail_out, to->block };
        if (view.len > 0)
            tribi_grpc_pieces_push(&to->done, (struct tribi_grpc_piece){ .view = view });
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
    tribi_grpc_pieces_push(&stream->out.pieces, piece);
    tribi_grpc_pieces_move(done, n, &stream->out.pieces);
    return TRIB_OK;
}

static int deflate_part(struct trib_grpc_call *stream, const struct trib_send *send, size_t part)
{
    struct tribi_grpc_out *out = &stream->out;
    int rc = TRIB_OK;

    out->committed += part;
    out->sent += part; /* ours: nothing of the caller's is referenced */
    out->left -= part;
    for (size_t i = 0; part > 0 && rc == TRIB_OK; i++) {
        size_t len = send->views[i].len < part ? send->views[i].len : part;

        rc = deflate_some(out->deflate, send->views[i].data, len, Z_NO_FLUSH);
        part -= len;
    }
    if (rc == TRIB_OK && out->left == 0) {
        out->open = false;
        rc = deflate_some(out->deflate, NULL, 0, Z_FINISH);
        if (rc == TRIB_OK)
            rc = send_message(stream);
    }
    return rc;
}

/* copy: what is compressed is taken at once; only so much at a time, because others wait for the lock */
int tribi_grpc_deflate_views(struct trib_grpc_call *stream, const struct trib_send *send, size_t total)
{
    struct tribi_grpc_out *out = &stream->out;
    size_t part = total < DEFLATE_MAX ? total : DEFLATE_MAX;
    int rc;

    if (!out->open) {
        rc = begin_deflate(stream);
        if (rc != TRIB_OK)
            return rc;
        out->open = true;
        out->left = (send->flags & TRIB_SEND_BEGIN) != 0 ? send->message_size : total;
    }
    rc = deflate_part(stream, send, part < out->left ? part : (size_t)out->left);
    if (rc != TRIB_OK) /* half of a message has been compressed: there is no way on */
        tribi_grpc_stream_fail(stream, rc, TRIB_GRPC_RESOURCE_EXHAUSTED, "no memory to compress a message");
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
