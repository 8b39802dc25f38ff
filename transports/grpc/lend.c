/* Payload on its way to the reader: in the place that it wants, by reference in the block that came, or, as the last resort, copied. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <string.h>

enum { SPILL = 4096 };

struct lease {
    struct tribi_grpc_credit *credit;
    struct trib_chunk *block;
    atomic_size_t bytes;
    size_t pinned;
};

static void lease_ends(void *arg, const void *data, size_t len)
{
    struct lease *lease = arg;

    (void)data;
    (void)len;
    tribi_grpc_credit_let_go(lease->credit, atomic_load(&lease->bytes), lease->pinned);
    trib_chunk_unref(lease->block);
    tribi_grpc_credit_released(lease->credit);
    tribi_grpc_credit_unref(lease->credit);
    trib_free(lease);
}

/* A chunk over `block`, of which `bytes` count as held by the stream until it is let go, and `pinned` as of no use to others. Takes a reference of its
 * own to the block. */
static int lend(struct trib_grpc_call *stream, struct trib_chunk *block, size_t bytes, size_t pinned, struct trib_chunk **ret_holder)
{
    struct lease *lease = trib_alloc(sizeof(*lease));
    int rc;

    if (lease == NULL)
        return TRIB_ERR_NOMEM;
    rc = trib_chunk_wrap(trib_chunk_data(block), trib_chunk_len(block), lease_ends, lease, ret_holder, NULL);
    if (rc != TRIB_OK) {
        trib_free(lease);
        return rc;
    }
    lease->credit = stream->credit;
    lease->block = trib_chunk_ref(block);
    atomic_init(&lease->bytes, bytes);
    lease->pinned = pinned;
    atomic_fetch_add(&stream->credit->refs, 1);
    tribi_grpc_credit_hold(stream->credit, bytes, pinned);
    stream->in.lease_arg = lease;
    return TRIB_OK;
}

static int reserve_entry(struct trib_grpc_call *stream)
{
    struct tribi_grpc_in *in = &stream->in;
    size_t capacity = in->capacity < 8 ? 8 : in->capacity * 2;
    struct tribi_grpc_entry *entries;

    if (in->count < in->capacity)
        return TRIB_OK;
    entries = trib_alloc_raw(capacity * sizeof(*entries));
    if (entries == NULL)
        return TRIB_ERR_NOMEM;
    for (size_t i = 0; i < in->count; i++)
        entries[i] = in->entries[(in->first + i) & (in->capacity - 1)];
    if (in->entries != stream->few_entries)
        trib_free(in->entries);
    in->entries = entries;
    in->first = 0;
    in->capacity = capacity;
    return TRIB_OK;
}

static struct tribi_grpc_entry *entry_at(const struct tribi_grpc_in *in, size_t index)
{
    return &in->entries[(in->first + index) & (in->capacity - 1)];
}

int tribi_grpc_push(struct trib_grpc_call *stream, struct trib_view view, unsigned flags, size_t headroom)
{
    struct tribi_grpc_in *in = &stream->in;
    struct tribi_grpc_entry *last = in->count > 0 ? entry_at(in, in->count - 1) : NULL;

    if (view.len > 0 && view.holder != in->lease)
        in->lease = NULL;
    if (last != NULL && view.len == 0 && (last->flags & TRIB_RECV_MARK) == 0) {
        last->flags |= flags;
    } else if (last != NULL && view.len > 0 && last->flags == 0 && last->view.holder == view.holder && last->view.data + last->view.len == view.data) {
        last->view.len += view.len;
        last->flags |= flags;
        trib_chunk_unref(view.holder);
    } else {
        if (reserve_entry(stream) != TRIB_OK) {
            trib_view_release(&view);
            return TRIB_ERR_NOMEM;
        }
        *entry_at(in, in->count++) = (struct tribi_grpc_entry){ view, flags, headroom, in->compressed };
    }
    in->queued += view.len;
    return TRIB_OK;
}

void tribi_grpc_place_drop(struct trib_grpc_call *stream)
{
    trib_chunk_unref(stream->in.place.block);
    stream->in.place = (struct tribi_grpc_place){ .block = NULL };
}

/* Payload that belongs to the stream's place: it lies there already, or is moved there. */
static int into_place(struct trib_grpc_call *stream, const uint8_t *data, size_t len, unsigned flags)
{
    struct tribi_grpc_place *place = &stream->in.place;
    struct trib_view view = { place->at, len, trib_chunk_ref(place->block) };
    size_t headroom = place->headroom;

    if (data != place->at) {
        memmove(place->at, data, len); /* copy: it had come before its place was known, or another frame had been guessed */
        stream->in.copied += len;
    }
    place->at += len;
    place->room -= len;
    place->headroom = 0;
    if (place->room == 0)
        tribi_grpc_place_drop(stream);
    return tribi_grpc_push(stream, view, flags, headroom);
}

/* A reader may keep a whole lease for the last byte of it, so a small budget is lent in small parts. */
static size_t most_lent(const struct trib_grpc_call *stream)
{
    size_t part = stream->conn->options.budget / 8;

    return part > TRIBI_GRPC_AHEAD_MIN ? part : TRIBI_GRPC_AHEAD_MIN;
}

/* The views of one stream that wait in one block share a lease. */
static bool shares_lease(const struct trib_grpc_call *stream, const struct trib_chunk *block, size_t len)
{
    const struct tribi_grpc_in *in = &stream->in;
    const struct tribi_grpc_entry *last = in->count > 0 ? entry_at(in, in->count - 1) : NULL;
    const struct lease *lease = in->lease_arg;
    bool waits = last != NULL ? last->view.len > 0 && last->view.holder == in->lease : in->keep != NULL && in->keep == in->lease;

    return waits && in->lease != NULL && in->lease_block == block &&
           atomic_load_explicit(&lease->bytes, memory_order_relaxed) + len <= most_lent(stream);
}

static int lend_part(struct trib_grpc_call *stream, struct trib_chunk *block, bool shared, struct trib_view part, unsigned flags)
{
    struct tribi_grpc_in *in = &stream->in;
    struct lease *lease = in->lease_arg;

    if (shared) {
        part.holder = trib_chunk_ref(in->lease);
        /* Only read when the last holder goes, which is not before we are done. */
        atomic_store_explicit(&lease->bytes, atomic_load_explicit(&lease->bytes, memory_order_relaxed) + part.len, memory_order_relaxed);
        tribi_grpc_credit_hold_more(lease->credit, part.len);
    } else {
        if (lend(stream, block, part.len, trib_chunk_len(block), &part.holder) != TRIB_OK)
            return TRIB_ERR_NOMEM;
        in->lease = part.holder; /* compared only, while an entry holds it */
        in->lease_block = block;
    }
    return tribi_grpc_push(stream, part, flags, 0);
}

/* A few bytes share a block of the stream's own with others of their kind: one for each would cost many times as much. */
static int to_spill(struct trib_grpc_call *stream, const uint8_t *data, size_t len, unsigned flags)
{
    struct tribi_grpc_in *in = &stream->in;
    struct trib_view part = { .len = len };
    struct trib_chunk *block;
    int rc;

    if (in->spill == NULL || len > SPILL - in->spill_used) {
        rc = trib_chunk_new(SPILL, 1, &block, NULL);
        if (rc != TRIB_OK)
            return rc;
        trib_chunk_unref(in->spill);
        in->spill = block;
        in->spill_used = 0;
    }
    part.data = trib_chunk_data(in->spill) + in->spill_used;
    memcpy((uint8_t *)(uintptr_t)part.data, data, len); /* behind what others may look at */
    in->spill_used += len;
    return lend_part(stream, in->spill, shares_lease(stream, in->spill, len), part, flags);
}

/* copy: the bytes came to a place of another stream, where they cannot stay, or to a block that too few of them would pin */
static int by_copy(struct trib_grpc_call *stream, const uint8_t *data, size_t len, unsigned flags)
{
    struct trib_view copy = { .len = len };
    struct trib_chunk *block;
    int rc;

    stream->in.copied += len;
    if (len <= SPILL / 4)
        return to_spill(stream, data, len, flags);
    rc = trib_chunk_copy(data, len, &block, NULL);
    if (rc != TRIB_OK)
        return rc;
    copy.data = trib_chunk_data(block);
    rc = lend(stream, block, len, 0, &copy.holder);
    trib_chunk_unref(block);
    return rc == TRIB_OK ? tribi_grpc_push(stream, copy, flags, 0) : rc;
}

/* Payload in the block that everybody shares: by reference, unless it would pin too much of that. */
static int where_it_is(struct trib_grpc_call *stream, const uint8_t *data, size_t len, unsigned flags)
{
    struct trib_chunk *block = stream->conn->fed_block;
    bool shared = block != NULL && shares_lease(stream, block, len);

    if (block == NULL || (!shared && !tribi_grpc_credit_may_pin(stream->credit, len, trib_chunk_len(block), stream->conn->options.budget)))
        return by_copy(stream, data, len, flags);
    return lend_part(stream, block, shared, (struct trib_view){ data, len, NULL }, flags);
}

/* len > 0. The mark of the message's end goes with its last bytes. */
int tribi_grpc_payload(struct trib_grpc_call *stream, const uint8_t *data, size_t len, bool last)
{
    size_t most = most_lent(stream), part;
    unsigned flags;
    int rc = TRIB_OK;

    if (stream->in.compressed)
        return tribi_grpc_keep_compressed(stream, data, len, last);
    while (len > 0 && rc == TRIB_OK) {
        if (stream->in.place.block != NULL && stream->in.zips == 0) { /* else it is for what those become */
            part = len < stream->in.place.room ? len : stream->in.place.room;
            flags = last && part == len ? TRIB_RECV_MARK : 0;
            rc = into_place(stream, data, part, flags);
        } else {
            part = len < most ? len : most;
            flags = last && part == len ? TRIB_RECV_MARK : 0;
            rc = where_it_is(stream, data, part, flags);
        }
        data += part;
        len -= part;
        stream->in.copied += stream->conn->fed_copied ? part : 0;
    }
    return rc;
}
