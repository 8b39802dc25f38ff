/* The segments of a ring: where they come from, and how they go back. */
#include "ring-internal.h"

#include <tributary/alloc.h>
#include <tributary/error.h>

enum { SPARES_MAX = 32 /* emptied segments that wait for the producer: 128 KiB */ };

int tribi_ring_init(struct tribi_ring *ring)
{
    struct tribi_ring_segment *segment = trib_alloc(sizeof(*segment));

    if (segment == NULL)
        return TRIB_ERR_NOMEM;
    ring->head_segment = ring->tail_segment = segment;
    return TRIB_OK;
}

static void free_segments(struct tribi_ring_segment *segment)
{
    while (segment != NULL) {
        struct tribi_ring_segment *next = segment->next;
        trib_free(segment);
        segment = next;
    }
}

void tribi_ring_done(struct tribi_ring *ring)
{
    free_segments(ring->head_segment); /* one may have been added for an entry that never came */
    free_segments(ring->unused);
    free_segments(atomic_load(&ring->spare));
}

/* Only the consumer adds, and the producer takes all: a spare one that is still there has its number. */
static void give_back(struct tribi_ring *ring, struct tribi_ring_segment *empty)
{
    empty->next = atomic_load_explicit(&ring->spare, memory_order_acquire);
    do {
        empty->spares = empty->next != NULL ? empty->next->spares + 1 : 1;
        if (empty->spares > SPARES_MAX) {
            trib_free(empty);
            return;
        }
    } while (!atomic_compare_exchange_strong_explicit(&ring->spare, &empty->next, empty, memory_order_acq_rel, memory_order_acquire));
}

void tribi_ring_turn(struct tribi_ring *ring)
{
    struct tribi_ring_segment *empty = ring->head_segment;

    ring->head_segment = empty->next;
    ring->head_index = 0;
    give_back(ring, empty);
}

static struct tribi_ring_segment *unused_segment(struct tribi_ring *ring)
{
    struct tribi_ring_segment *segment = ring->unused;

    if (segment == NULL)
        segment = atomic_exchange_explicit(&ring->spare, NULL, memory_order_acq_rel);
    if (segment == NULL)
        return trib_alloc(sizeof(*segment));
    ring->unused = segment->next;
    return segment;
}

bool tribi_ring_grow(struct tribi_ring *ring)
{
    struct tribi_ring_segment *next = unused_segment(ring);

    if (next == NULL)
        return false;
    next->next = NULL;
    ring->tail_segment->next = next;
    ring->tail_segment = next;
    ring->tail_index = 0;
    return true;
}
