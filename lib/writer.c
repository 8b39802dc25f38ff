/* The writer's gathering: what is written becomes pieces, referenced rather than copied. */
#include "writer-internal.h"

#include <tributary/alloc.h>

#include "chunk-internal.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum { CAPACITY_MIN = 32, FIRST_BLOCK = 192 };

/* ---- Life ----------------------------------------------------------------------------------------------------- */

void tribi_writer_init(struct trib_writer *writer, struct trib_channel *channel, size_t gather, size_t bound)
{
    unsigned capabilities = trib_channel_capabilities(channel);

    memset(writer, 0, offsetof(struct trib_writer, few_pieces));
    writer->error.code = 0;
    writer->channel = channel;
    writer->marks = (capabilities & TRIB_CAP_MESSAGES) != 0;
    writer->by_reference = (capabilities & TRIB_CAP_REFERENCES) != 0;
    writer->deadline = TRIB_FOREVER;
    writer->gather = gather;
    writer->bound = bound > gather ? bound : gather;
    writer->send_at = gather;
    writer->pieces = writer->few_pieces;
    writer->capacity = TRIBI_WRITER_PIECES_FEW;
    writer->segments = writer->few_segments;
    writer->segment_capacity = TRIBI_WRITER_SEGMENTS_FEW;
    writer->message_left = UINT64_MAX;
    atomic_init(&writer->cancelled, false);
}

void tribi_writer_done(struct trib_writer *writer)
{
    for (; writer->first < writer->end; writer->first++)
        tribi_writer_unref(writer, writer->pieces[writer->first].holder);
    tribi_writer_return_refs(writer);
    trib_chunk_unref(writer->block);
    if (writer->pieces != writer->few_pieces)
        trib_free(writer->pieces);
    if (writer->segments != writer->few_segments)
        trib_free(writer->segments);
}

/* ---- Room ----------------------------------------------------------------------------------------------------- */

static int usage(struct trib_writer *writer, const char *what)
{
    return trib_error_set(&writer->error, TRIB_ERR_USAGE, 0, "write to %s: %s", trib_channel_name(writer->channel), what);
}

static bool fits(const struct trib_writer *writer, size_t pieces)
{
    return writer->end - writer->first + pieces <= TRIBI_WRITER_PIECES_MAX;
}

/* Room for so many more pieces in the array: by moving them to the front, or by a larger one. */
static int make_places(struct trib_writer *writer, size_t pieces)
{
    size_t count = writer->end - writer->first;
    struct trib_view *larger = writer->pieces;

    if (count + pieces > writer->capacity) {
        size_t capacity = writer->capacity < CAPACITY_MIN ? CAPACITY_MIN : 2 * writer->capacity;

        larger = trib_alloc_raw(capacity * sizeof(*larger));
        if (larger == NULL)
            return trib_error_set(&writer->error, TRIB_ERR_NOMEM, 0, "write to %s: no memory", trib_channel_name(writer->channel));
        writer->capacity = capacity;
    }
    if (count > 0)
        memmove(larger, writer->pieces + writer->first, count * sizeof(*larger));
    if (larger != writer->pieces && writer->pieces != writer->few_pieces)
        trib_free(writer->pieces);
    writer->pieces = larger;
    writer->first = 0;
    writer->end = count;
    return TRIB_OK;
}

static int check_append(struct trib_writer *writer, size_t len)
{
    int code = tribi_writer_check(writer);

    if (code != TRIB_OK)
        return code;
    if (writer->finished)
        return usage(writer, "after finish");
    if (len > writer->message_left)
        return trib_error_set(&writer->error, TRIB_ERR_USAGE, 0, "write %zu bytes to %s: the message has %" PRIu64 " bytes left",
                              len, trib_channel_name(writer->channel), writer->message_left);
    return TRIB_OK;
}

/* Sends first where enough is gathered, so that what is appended afterwards is taken for certain. */
static int send_first(struct trib_writer *writer, size_t pieces)
{
    /* With a watch armed the channel takes nothing now: the base will tell. */
    int code = writer->watching ? TRIB_AGAIN : tribi_writer_send(writer);

    if (code == TRIB_AGAIN && writer->pending < writer->bound && fits(writer, pieces)) {
        writer->send_at = writer->bound - writer->pending > writer->gather ? writer->pending + writer->gather : writer->bound;
        return TRIB_OK;
    }
    return code;
}

static int make_room_slowly(struct trib_writer *writer, size_t len, size_t pieces)
{
    int code = check_append(writer, len);

    if (code == TRIB_OK && (writer->pending >= writer->send_at || !fits(writer, pieces)))
        code = send_first(writer, pieces);
    if (code == TRIB_OK && writer->end + pieces > writer->capacity)
        code = make_places(writer, pieces);
    return code;
}

/* TRIB_OK: `len` bytes may be appended, in at most so many pieces. Nearly always there is nothing to do for that. */
static inline int make_room(struct trib_writer *writer, size_t len, size_t pieces)
{
    if (writer->pending < writer->send_at && writer->end + pieces <= writer->capacity && len <= writer->message_left &&
        !tribi_writer_stopped(writer))
        return TRIB_OK;
    return make_room_slowly(writer, len, pieces);
}

static void free_first(void *arg, const void *data, size_t len)
{
    (void)data, (void)len;
    trib_free(arg);
}

/* Most writers of a gRPC call write one message, with a few bytes in front of it: a block of the pool costs them more than all else. */
static int make_block(struct trib_writer *writer, size_t len, struct trib_chunk **ret_block)
{
    uint8_t *first;
    int code;

    if (writer->block != NULL || len > FIRST_BLOCK || !writer->marks || writer->by_reference) {
        code = trib_chunk_new(TRIBI_WRITER_BLOCK, 1, ret_block, &writer->error);
        if (code == TRIB_OK)
            writer->block_data = trib_chunk_writable(*ret_block);
        return code;
    }
    first = trib_alloc_raw(FIRST_BLOCK);
    if (first == NULL)
        return trib_error_set(&writer->error, TRIB_ERR_NOMEM, 0, "write to %s: no memory", trib_channel_name(writer->channel));
    code = trib_chunk_wrap(first, FIRST_BLOCK, free_first, first, ret_block, &writer->error);
    if (code != TRIB_OK)
        trib_free(first);
    else
        writer->block_data = first;
    return code;
}

static uint8_t *renew_block(struct trib_writer *writer, size_t len)
{
    /* Full. Where all of it has left and nobody kept any, it serves again. */
    if (writer->block == NULL || writer->block_len < TRIBI_WRITER_BLOCK || trib_chunk_writable(writer->block) == NULL) {
        struct trib_chunk *block;

        if (make_block(writer, len, &block) != TRIB_OK)
            return NULL;
        trib_chunk_unref(writer->block);
        writer->block = block;
        writer->block_len = trib_chunk_len(block);
    }
    writer->block_used = 0;
    return writer->block_data;
}

/* A place for `len` bytes of small things, at most TRIBI_WRITER_BLOCK; NULL without memory. */
static inline uint8_t *reserve(struct trib_writer *writer, size_t len)
{
    if (writer->block != NULL && len <= writer->block_len - writer->block_used)
        return writer->block_data + writer->block_used;
    return renew_block(writer, len);
}

/* ---- Appending: after make_room(), never fails ---------------------------------------------------------------- */

/* `ours`: takes over a reference to the holder; otherwise takes one of its own, if one is needed. Three words and not a view: a
 * struct would go through memory. */
static inline void append(struct trib_writer *writer, const uint8_t *data, size_t len, struct trib_chunk *holder, bool ours)
{
    struct tribi_segment *segment = &writer->segments[writer->segment_last];
    struct trib_view *place = &writer->pieces[writer->end];

    writer->pending += len;
    writer->position += len;
    /* Bytes that go on where the last piece ends make that one longer, and its reference serves both. */
    if (segment->pieces > 0 && place[-1].holder == holder && place[-1].data + place[-1].len == data) {
        place[-1].len += len;
        if (ours)
            trib_chunk_unref(holder);
    } else {
        place->data = data;
        place->len = len;
        place->holder = holder;
        if (!ours)
            tribi_writer_ref(writer, holder == writer->block ? &writer->block_refs : &writer->view_refs, holder);
        writer->end++;
        writer->stats.pieces++;
        segment->pieces++;
    }
    if (writer->in_message) {
        writer->message_left -= len;
        if (writer->message_left == 0 && writer->marks)
            segment->flags |= TRIB_SEND_END;
    }
}

/* The bytes that reserve() gave a place for. */
static inline void append_small(struct trib_writer *writer, size_t len)
{
    uint8_t *place = writer->block_data + writer->block_used;

    writer->block_used += len;
    writer->stats.copied += len;
    append(writer, place, len, writer->block, false);
}

/* copy: a few bytes, for which a reference costs more, or bytes that nobody promised to keep. */
static int small(struct trib_writer *writer, const void *data, size_t len)
{
    int code = make_room(writer, len, 1);
    uint8_t *place;

    if (code != TRIB_OK || len == 0)
        return code;
    place = reserve(writer, len);
    if (place == NULL)
        return TRIB_ERR_NOMEM;
    memcpy(place, data, len);
    append_small(writer, len);
    return TRIB_OK;
}

/* copy: the caller keeps his bytes to himself. A chunk of their own: they would waste what is left of the block. */
static int large(struct trib_writer *writer, const void *data, size_t len)
{
    int code = make_room(writer, len, 1);
    struct trib_chunk *chunk;

    if (code == TRIB_OK)
        code = trib_chunk_copy(data, len, &chunk, &writer->error);
    if (code != TRIB_OK)
        return code;
    writer->stats.copied += len;
    append(writer, chunk->data, len, chunk, true);
    return TRIB_OK;
}

static int copied(struct trib_writer *writer, const void *data, size_t len)
{
    return len <= TRIBI_WRITER_BLOCK / 2 ? small(writer, data, len) : large(writer, data, len);
}

int trib_writer_bytes(struct trib_writer *writer, const void *data, size_t len, struct trib_error *err)
{
    return tribi_writer_report(writer, copied(writer, data, len), err);
}

int trib_writer_view(struct trib_writer *writer, struct trib_view view, struct trib_error *err)
{
    int code;

    if (view.holder == NULL)
        return trib_writer_bytes(writer, view.data, view.len, err);
    code = make_room(writer, view.len, 1);
    if (code == TRIB_OK && view.len > 0)
        append(writer, view.data, view.len, view.holder, false);
    return tribi_writer_report(writer, code, err);
}

int trib_writer_chunk(struct trib_writer *writer, struct trib_chunk *chunk, struct trib_error *err)
{
    int code;

    if (chunk == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "write to %s: the chunk is NULL", trib_channel_name(writer->channel));
    code = make_room(writer, chunk->len, 1);
    if (code != TRIB_OK)
        return tribi_writer_tell(writer, code, err);
    if (chunk->len > 0)
        append(writer, chunk->data, chunk->len, chunk, true);
    else
        trib_chunk_unref(chunk);
    return TRIB_OK;
}

/* ---- Integers and prefixes ------------------------------------------------------------------------------------ */

/* Written out, so that the compiler makes a store of one word of it. */
static inline void store_be(uint8_t *place, uint64_t value, size_t len)
{
    uint64_t v = value << (64 - 8 * len);
    uint8_t bytes[8] = { (uint8_t)(v >> 56), (uint8_t)(v >> 48), (uint8_t)(v >> 40), (uint8_t)(v >> 32),
                         (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),  (uint8_t)v };

    memcpy(place, bytes, len);
}

static inline void store_le(uint8_t *place, uint64_t value, size_t len)
{
    uint64_t v = value;
    uint8_t bytes[8] = { (uint8_t)v,         (uint8_t)(v >> 8),  (uint8_t)(v >> 16), (uint8_t)(v >> 24),
                         (uint8_t)(v >> 32), (uint8_t)(v >> 40), (uint8_t)(v >> 48), (uint8_t)(v >> 56) };

    memcpy(place, bytes, len);
}

typedef void store_fn(uint8_t *place, uint64_t value, size_t len);

static inline int put(struct trib_writer *writer, store_fn *store, uint64_t value, size_t len, struct trib_error *err)
{
    int code = make_room(writer, len, 1);
    uint8_t *place = code == TRIB_OK ? reserve(writer, len) : NULL;

    if (place == NULL)
        return tribi_writer_tell(writer, code == TRIB_OK ? TRIB_ERR_NOMEM : code, err);
    store(place, value, len);
    append_small(writer, len);
    return TRIB_OK;
}

int trib_writer_u8(struct trib_writer *writer, uint8_t value, struct trib_error *err)
{
    return put(writer, store_be, value, 1, err);
}

int trib_writer_be16(struct trib_writer *writer, uint16_t value, struct trib_error *err)
{
    return put(writer, store_be, value, 2, err);
}

int trib_writer_be32(struct trib_writer *writer, uint32_t value, struct trib_error *err)
{
    return put(writer, store_be, value, 4, err);
}

int trib_writer_be64(struct trib_writer *writer, uint64_t value, struct trib_error *err)
{
    return put(writer, store_be, value, 8, err);
}

int trib_writer_le16(struct trib_writer *writer, uint16_t value, struct trib_error *err)
{
    return put(writer, store_le, value, 2, err);
}

int trib_writer_le32(struct trib_writer *writer, uint32_t value, struct trib_error *err)
{
    return put(writer, store_le, value, 4, err);
}

int trib_writer_le64(struct trib_writer *writer, uint64_t value, struct trib_error *err)
{
    return put(writer, store_le, value, 8, err);
}

static inline int prefixed(struct trib_writer *writer, store_fn *store, struct trib_view view)
{
    bool borrowed = view.holder != NULL || view.len == 0;
    struct trib_chunk *copy = NULL;
    uint8_t *place;
    int code;

    code = make_room(writer, 4 + view.len, 2);
    if (code != TRIB_OK)
        return code;
    place = reserve(writer, 4);
    if (place == NULL)
        return TRIB_ERR_NOMEM;
    if (!borrowed) {
        code = trib_chunk_copy(view.data, view.len, &copy, &writer->error); /* copy: as by trib_writer_view() */
        if (code != TRIB_OK)
            return code;
        writer->stats.copied += view.len;
        view.data = copy->data;
        view.holder = copy;
    }
    store(place, view.len, 4);
    append_small(writer, 4);
    if (view.len > 0)
        append(writer, view.data, view.len, view.holder, !borrowed);
    return TRIB_OK;
}

static int too_long(const struct trib_writer *writer, size_t len, struct trib_error *err)
{
    return trib_error_numbers(err, TRIB_ERR_LIMIT, len, INT32_MAX, "write %zu bytes to %s behind a 4-byte length: at most %d", len,
                              trib_channel_name(writer->channel), INT32_MAX);
}

int trib_writer_bytes_be32(struct trib_writer *writer, struct trib_view view, struct trib_error *err)
{
    if (view.len > INT32_MAX)
        return too_long(writer, view.len, err);
    return tribi_writer_report(writer, prefixed(writer, store_be, view), err);
}

int trib_writer_bytes_le32(struct trib_writer *writer, struct trib_view view, struct trib_error *err)
{
    if (view.len > INT32_MAX)
        return too_long(writer, view.len, err);
    return tribi_writer_report(writer, prefixed(writer, store_le, view), err);
}

/* ---- Messages ------------------------------------------------------------------------------------------------- */

/* A segment for what comes now; the last one serves if it is empty and stands for nothing. */
static struct tribi_segment *open_segment(struct trib_writer *writer)
{
    struct tribi_segment *last = &writer->segments[writer->segment_last];

    if (last->pieces > 0 || last->flags != 0) {
        writer->segment_last++;
        last++;
    }
    *last = (struct tribi_segment){ 0, 0, 0 };
    return last;
}

/* All segments that there may be; few writers need more than a few. */
static bool more_segments(struct trib_writer *writer)
{
    struct tribi_segment *all;

    if (writer->segment_capacity == TRIBI_WRITER_SEGMENTS_MAX)
        return false;
    all = trib_alloc_raw(TRIBI_WRITER_SEGMENTS_MAX * sizeof(*all));
    if (all == NULL)
        return false;
    memcpy(all, writer->segments, sizeof(writer->few_segments));
    writer->segments = all;
    writer->segment_capacity = TRIBI_WRITER_SEGMENTS_MAX;
    return true;
}

/* A message may need two segments: its own, and one for what follows it. */
static bool segments_left(struct trib_writer *writer)
{
    size_t used = writer->segment_last - writer->segment_first + 1;

    if (writer->segment_last + 2 < writer->segment_capacity)
        return true;
    memmove(writer->segments, writer->segments + writer->segment_first, used * sizeof(writer->segments[0]));
    writer->segment_first = 0;
    writer->segment_last = used - 1;
    return writer->segment_last + 2 < writer->segment_capacity || more_segments(writer);
}

static int begin_message(struct trib_writer *writer, uint64_t size)
{
    struct tribi_segment *segment;
    int code = tribi_writer_stopped(writer) ? check_append(writer, 0) : TRIB_OK;

    if (code == TRIB_OK && writer->in_message)
        code = usage(writer, "begin_message inside a message");
    if (code == TRIB_OK && size == UINT64_MAX)
        code = usage(writer, "begin_message with a size that no message has");
    if (code == TRIB_OK && writer->marks && !segments_left(writer))
        code = tribi_writer_send(writer);
    if (code != TRIB_OK)
        return code;
    if (writer->marks) {
        segment = open_segment(writer);
        segment->size = size;
        segment->flags = size == 0 ? TRIB_SEND_BEGIN | TRIB_SEND_END : TRIB_SEND_BEGIN;
    }
    writer->in_message = true;
    writer->message_left = size;
    return TRIB_OK;
}

int trib_writer_begin_message(struct trib_writer *writer, uint64_t size, struct trib_error *err)
{
    return tribi_writer_report(writer, begin_message(writer, size), err);
}

static int end_message(struct trib_writer *writer)
{
    int code = tribi_writer_stopped(writer) ? check_append(writer, 0) : TRIB_OK;

    if (code != TRIB_OK)
        return code;
    if (!writer->in_message)
        return usage(writer, "end_message outside a message");
    if (writer->message_left > 0)
        return trib_error_set(&writer->error, TRIB_ERR_USAGE, 0, "end a message to %s: %" PRIu64 " of its bytes are not written",
                              trib_channel_name(writer->channel), writer->message_left);
    writer->in_message = false;
    writer->message_left = UINT64_MAX;
    writer->stats.messages++;
    if (!writer->marks)
        return TRIB_OK;
    open_segment(writer);
    return writer->corked ? TRIB_OK : tribi_writer_send(writer);
}

int trib_writer_end_message(struct trib_writer *writer, struct trib_error *err)
{
    return tribi_writer_report(writer, end_message(writer), err);
}

void trib_writer_cork(struct trib_writer *writer, bool on)
{
    writer->corked = on;
}

/* ---- Asking --------------------------------------------------------------------------------------------------- */

uint64_t trib_writer_position(const struct trib_writer *writer)
{
    return writer->position;
}

size_t trib_writer_pending(const struct trib_writer *writer)
{
    return writer->pending;
}

void trib_writer_stats(const struct trib_writer *writer, struct trib_writer_stats *ret_stats)
{
    struct trib_writer_stats stats = writer->stats;
    size_t size = ret_stats->size;

    if (size < sizeof(size))
        return;
    stats.bytes = writer->position;
    memcpy(ret_stats, &stats, size < sizeof(stats) ? size : sizeof(stats));
    ret_stats->size = size;
}
