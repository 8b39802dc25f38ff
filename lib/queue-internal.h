/* What a reader asks of its queue beyond the public calls. */
#ifndef TRIBI_QUEUE_INTERNAL_H
#define TRIBI_QUEUE_INTERNAL_H

#include "ring-internal.h"
#include "wait-internal.h"

#include <tributary/queue.h>

struct trib_queue {
    atomic_int refs;
    uint32_t spin_us;
    struct trib_budget *budget;
    atomic_bool cancelled, closed, done;
    atomic_bool stopped; /* one of these: a push has to look closer */
    int done_code;        /* these two are published by `done` */
    char done_text[240];
    struct tribi_gate bytes; /* the consumer waits here */
    struct tribi_gate room;  /* the producer waits here */
    struct tribi_budget_watch watch;
    bool in_lane; /* we alone charge in the budget's lane */
    atomic_size_t room_wanted; /* what the producer waits for */

    struct tribi_ring ring; /* what the two ends write lies on cache lines of its own, there and below */

    size_t dry_at;          /* consumer's own: how much had been popped when it ran dry last and waited for many */
    char pad0[64];
    size_t known_popped; /* producer's own from here */
    uint64_t known_released;
    atomic_bool pushing;     /* what is charged and not in the ring yet is on its way there */
    size_t turned_away;      /* the bytes that found no room last: on_room waits for as many */

    /* What a consumer without bytes says to a producer without room: how much may be held, how much of it will be given back, and
     * what the producer answers where its next chunk is too large for the hard limit. */
    char pad1[64];
    atomic_size_t allowed;
    atomic_size_t spare_held;
    atomic_size_t refused;
};

/* Consumer: the entry that is next and there already, if it is bytes without a mark and nobody has to be told anything; then it is to be
 * taken out with tribi_ring_drop(). NULL: there may be nothing, or more to do: trib_queue_pop() knows. */
static inline const struct tribi_ring_slot *tribi_queue_next(struct trib_queue *queue)
{
    const struct tribi_ring_slot *slot;

    if (atomic_load_explicit(&queue->allowed, memory_order_relaxed) != 0 ||
        atomic_load_explicit(&queue->cancelled, memory_order_relaxed))
        return NULL;
    slot = tribi_ring_front(&queue->ring);
    return slot != NULL && slot->flags == 0 ? slot : NULL;
}

/* Consumer: finished, with this code, and everything has been popped. */
bool tribi_queue_over(const struct trib_queue *queue, int *ret_code);

#endif
