/* The ring under a queue: entries between one producer and one consumer, in segments that are added as it grows, without a lock. */
#ifndef TRIBI_RING_INTERNAL_H
#define TRIBI_RING_INTERNAL_H

#include "chunk-internal.h"

#include <tributary/types.h>

enum {
    TRIBI_RING_SEGMENT = 128,
    TRIBI_RING_AHEAD = 8 /* entries between fetching what another thread wrote and using it */
};

struct tribi_ring_slot {
    struct trib_view view;
    unsigned flags;
};

struct tribi_ring_segment {
    struct tribi_ring_segment *next; /* published together with the first slot behind it; of a spare one: the next spare one */
    unsigned spares;            /* of a spare one: how many there are from here */
    struct tribi_ring_slot slots[TRIBI_RING_SEGMENT];
};

/* What the two ends write lies on cache lines of its own. */
struct tribi_ring {
    _Atomic(struct tribi_ring_segment *) spare; /* emptied segments on their way back to the producer, who takes them all */

    char pad1[64];
    atomic_size_t tail; /* entries pushed */
    atomic_size_t bytes_in;
    struct tribi_ring_segment *tail_segment; /* producer's own from here */
    struct tribi_ring_segment *unused;       /* what it took of the spare ones */
    size_t tail_index, pushed;

    char pad2[64];
    atomic_size_t head; /* entries popped */
    atomic_size_t bytes_out;
    struct tribi_ring_segment *head_segment; /* consumer's own from here */
    size_t head_index, popped, known_pushed;
    char pad3[64];
};

/* Memory of zeros becomes an empty ring, or stays as it is: TRIB_ERR_NOMEM. */
int tribi_ring_init(struct tribi_ring *ring);

/* Of an empty ring. */
void tribi_ring_done(struct tribi_ring *ring);

/* The consumer is through with its segment, the producer with its. */
void tribi_ring_turn(struct tribi_ring *ring);
bool tribi_ring_grow(struct tribi_ring *ring);

/* What is in the ring was written by another thread: a chunk is fetched some calls before it is popped. */
static inline void tribi_ring_fetch_ahead(const struct tribi_ring *ring, const struct tribi_ring_slot *slot)
{
    if (ring->known_pushed - ring->popped > TRIBI_RING_AHEAD && ring->head_index + TRIBI_RING_AHEAD < TRIBI_RING_SEGMENT) {
        tribi_fetch_to_read(slot[TRIBI_RING_AHEAD].view.holder);
        tribi_fetch_to_read((const char *)slot + 2 * TRIBI_RING_AHEAD * sizeof(*slot)); /* perhaps behind the segment: it is a hint */
    }
}

/* The first of those that were found together: all at once, one after the other would be a wait for each. */
static inline void tribi_ring_fetch_first(const struct tribi_ring *ring)
{
    const struct tribi_ring_slot *slot = ring->head_segment->slots + ring->head_index;
    size_t entries = ring->known_pushed - ring->popped, here = TRIBI_RING_SEGMENT - ring->head_index;

    entries = entries < here ? entries : here;
    entries = entries < TRIBI_RING_AHEAD ? entries : TRIBI_RING_AHEAD;
    for (size_t i = 0; i < entries; i++)
        tribi_fetch_to_read(slot[i].view.holder);
}

/* Consumer only: the next entry, or NULL. It stays until tribi_ring_drop(). */
static inline const struct tribi_ring_slot *tribi_ring_front(struct tribi_ring *ring)
{
    if (ring->popped == ring->known_pushed) {
        ring->known_pushed = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (ring->popped == ring->known_pushed)
            return NULL;
        tribi_ring_fetch_first(ring);
    }
    if (ring->head_index == TRIBI_RING_SEGMENT)
        tribi_ring_turn(ring);
    return &ring->head_segment->slots[ring->head_index];
}

/* What tribi_ring_front() returned last. */
static inline void tribi_ring_drop(struct tribi_ring *ring, const struct tribi_ring_slot *slot)
{
    tribi_ring_fetch_ahead(ring, slot);
    ring->head_index++;
    ring->popped++;
    atomic_store_explicit(&ring->bytes_out, atomic_load_explicit(&ring->bytes_out, memory_order_relaxed) + slot->view.len,
                          memory_order_relaxed);
    atomic_store_explicit(&ring->head, ring->popped, memory_order_release);
}

static inline bool tribi_ring_pop(struct tribi_ring *ring, struct trib_view *ret_view, unsigned *ret_flags)
{
    const struct tribi_ring_slot *slot = tribi_ring_front(ring);

    if (slot == NULL)
        return false;
    *ret_view = slot->view;
    *ret_flags = slot->flags;
    tribi_ring_drop(ring, slot);
    return true;
}

/* Producer only: a place for the next entry, or NULL without memory. */
static inline struct tribi_ring_slot *tribi_ring_place(struct tribi_ring *ring)
{
    if (ring->tail_index == TRIBI_RING_SEGMENT && !tribi_ring_grow(ring))
        return NULL;
    if (ring->tail_index + TRIBI_RING_AHEAD < TRIBI_RING_SEGMENT)
        tribi_fetch_to_write(&ring->tail_segment->slots[ring->tail_index + TRIBI_RING_AHEAD]);
    return &ring->tail_segment->slots[ring->tail_index];
}

/* So many entries, of so many bytes together, that were filled from that place on. */
static inline void tribi_ring_publish(struct tribi_ring *ring, size_t entries, size_t bytes)
{
    ring->tail_index += entries;
    ring->pushed += entries;
    atomic_store_explicit(&ring->bytes_in, atomic_load_explicit(&ring->bytes_in, memory_order_relaxed) + bytes, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, ring->pushed, memory_order_release);
}

#endif
