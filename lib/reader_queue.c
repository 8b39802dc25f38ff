/* The short way of a reader to chunks that lie in a queue: between two threads that hand over millions of them a second, each step counts. */
#include "reader-internal.h"

#include "chunk-internal.h"
#include "queue-internal.h"

enum {
    MANY = 16, /* fewer since it was dry last: nobody streams, and a moment would be lost */
    PAUSES = 3
};

void tribi_reader_let_go(struct trib_reader *reader)
{
    if (reader->in_lane)
        tribi_chunk_unref_in_lane(reader->holder, reader->budget);
    else
        trib_chunk_unref(reader->holder);
}

/* The queue has run dry after many chunks: who looks at once meets each that comes, takes its cache lines away from a producer at work, and
 * waits for them. A moment later there are many again. */
static bool wait_for_many(const struct trib_reader *reader)
{
    struct trib_queue *queue = reader->source;

    if (queue->ring.popped != queue->ring.known_pushed || queue->ring.popped - queue->dry_at < MANY || reader->callback != NULL ||
        reader->deadline == TRIB_NOWAIT)
        return false;
    queue->dry_at = queue->ring.popped;
    tribi_pause(PAUSES);
    return true;
}

bool tribi_reader_next_queued(struct trib_reader *reader, size_t n)
{
    const struct tribi_ring_slot *slot;

    if (reader->source == NULL || reader->cursor != reader->piece_end || reader->behind.count != 0 || reader->room != 0 ||
        reader->failed != 0)
        return false;
    slot = tribi_queue_next(reader->source);
    if (slot == NULL && wait_for_many(reader))
        slot = tribi_queue_next(reader->source);
    if (slot == NULL || slot->view.len < n)
        return false;
    tribi_ring_drop(&reader->source->ring, slot);
    tribi_reader_let_go(reader);
    reader->holder = slot->view.holder;
    reader->cursor = slot->view.data;
    reader->end = reader->piece_end = slot->view.data + slot->view.len;
    reader->piece_end_position += slot->view.len;
    tribi_count(&reader->from_inbox, slot->view.len);
    reader->chunks++;
    if (reader->depth != 0)
        tribi_reader_clip(reader);
    return true;
}

bool tribi_reader_take_queued(struct trib_reader *reader, size_t n, struct trib_view *ret_view)
{
    if (n == 0 || reader->lent.count != 0 || reader->depth != 0 ||
        atomic_load_explicit(&reader->cancelled, memory_order_relaxed) || !tribi_reader_next_queued(reader, n))
        return false;
    *ret_view = (struct trib_view){.data = reader->cursor, .len = n, .holder = reader->holder};
    reader->cursor += n;
    reader->takes++;
    reader->waits++; /* the call has asked for bytes */
    return true;
}
