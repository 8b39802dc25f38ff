/* A counter with one writer at a time, which any thread may read. */
#ifndef TRIBI_COUNTER_INTERNAL_H
#define TRIBI_COUNTER_INTERNAL_H

#include <stdatomic.h>
#include <stdint.h>

typedef atomic_uint_fast64_t tribi_counter;

/* The writer's: a load and a store, no locked instruction. */
static inline void tribi_count(tribi_counter *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint64_t tribi_counted(const tribi_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
