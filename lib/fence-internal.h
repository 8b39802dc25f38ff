/* Two fences for threads that each write and then look at what the other wrote: almost free for the one that does it often. */
#ifndef TRIBI_FENCE_INTERNAL_H
#define TRIBI_FENCE_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

extern atomic_bool tribi_fence_one_sided;

/* Before either is used by the threads that share an object: where it is made. */
void tribi_fence_init(void);

/* The side that seldom comes here, and is about to sleep. */
void tribi_fence_heavy(void);

/* The side that works. */
static inline void tribi_fence_light(void)
{
    if (atomic_load_explicit(&tribi_fence_one_sided, memory_order_relaxed))
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
}

#endif
