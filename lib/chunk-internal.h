/* What chunks, their pool and their budget know of each other. */
#ifndef TRIBI_CHUNK_INTERNAL_H
#define TRIBI_CHUNK_INTERNAL_H

#include "fence-internal.h"

#include <tributary/chunk.h>
#include <tributary/transport.h>

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

/* Begins to fetch a cache line that will be written, from whichever processor has it. */
static inline void tribi_fetch_to_write(const void *line)
{
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)line)); /* __builtin_prefetch() would fetch it to be read only */
#elif defined(__GNUC__)
    __builtin_prefetch(line, 1);
#else
    (void)line;
#endif
}

static inline void tribi_fetch_to_read(const void *line)
{
#if defined(__GNUC__)
    __builtin_prefetch(line);
#else
    (void)line;
#endif
}

enum tribi_chunk_kind {
    TRIBI_CHUNK_POOL,    /* a block of the pool, with this header for as long as the block exists */
    TRIBI_CHUNK_FOREIGN, /* the caller's memory */
    TRIBI_CHUNK_SUB      /* a part of `parent`, or all of it under another budget */
};

/* One cache line where a pointer has 64 bits: a hand-over to another thread moves it there and back. */
struct trib_chunk {
    atomic_size_t refs;
    uint8_t *data;
    size_t len;
    struct trib_budget *budget; /* kept alive by the `charge` bytes that count against it; or NULL */
    size_t charge;
    uint8_t kind;
    union {
        struct {
            trib_release_fn *release;
            void *arg;
        } foreign;
        struct trib_chunk *parent; /* one reference */
    } u;
};

/* A block of the pool with one reference; not charged. */
int tribi_pool_get(size_t len, size_t align, struct trib_chunk **ret_chunk, struct trib_error *err);
void tribi_pool_put(struct trib_chunk *chunk);

/* A channel or a fed reader begins, and is gone. */
void tribi_pool_join(void);
void tribi_pool_leave(void);

/* The size of the block that `len` bytes would come in, 0 where it is not kept by the pool. */
size_t tribi_pool_block_size(size_t len);

/* Bytes of chunk count against budget until its last unref. Only for a chunk with one reference, ours, and no budget yet. */
void tribi_chunk_charge(struct trib_chunk *chunk, struct trib_budget *budget, size_t bytes);

/* The same for a view that may be shared: *view holds one reference of ours; where it is not the only one, or the chunk is
 * charged to somebody already, the view gets a sub-chunk of its own as holder. */
int tribi_view_charge(struct trib_view *view, struct trib_budget *budget, bool in_lane, struct trib_error *err);

/* trib_chunk_unref() for the owner of the release lane of `budget`. */
void tribi_chunk_unref_in_lane(struct trib_chunk *chunk, struct trib_budget *budget);

struct tribi_budget_watch {
    void (*fn)(void *arg); /* runs under the budget's lock at each release from then on, on the releasing thread */
    void *arg;
    bool active;
    uint64_t at; /* as many bytes must have been released */
    struct tribi_budget_watch *next;
};

/* What chargers and releasers write lies on cache lines of its own: at 20 million hand-overs a second a shared line, or a locked
 * instruction, costs more than all the rest. So one charger and one releaser may each have a lane: a counter that nobody else writes. Both
 * are owners while they do. Everybody else takes one atomic step.
 *
 * A budget lives until its last owner and its last charged byte have gone: who goes last sees `released` at TRIBI_BUDGET_OVER, because
 * the last owner adds that less all that was charged and not released by a lane (only owners charge). TRIBI_BUDGET_WATCHED in the same word
 * tells a releaser, in the step that releases, whether anybody has to be told; a lane looks after tribi_fence_light(). */
#define TRIBI_BUDGET_OVER ((uint64_t)1 << 62)
#define TRIBI_BUDGET_WATCHED ((uint64_t)1 << 63)
struct trib_budget {
    size_t high, limit;
    atomic_size_t owners;
    pthread_mutex_t lock;
    struct tribi_budget_watch *watches;
    atomic_uint_fast64_t tell_at; /* the least `at` of them; a release in the lane below it has nobody to tell */
    struct tribi_budget_watch transport; /* trib_budget_on_release() */
    atomic_size_t peak;
    char pad1[64];
    atomic_uint_fast64_t charged, charged_in_lane;
    atomic_uint_fast64_t known_released; /* a copy, perhaps old */
    atomic_bool charge_lane_taken;
    char pad2[64];
    atomic_uint_fast64_t released, released_in_lane;
    atomic_bool release_lane_taken;
    char pad3[64];
};

static inline uint64_t tribi_budget_released(const struct trib_budget *budget)
{
    return (atomic_load_explicit(&budget->released, memory_order_acquire) & ~TRIBI_BUDGET_WATCHED) +
           atomic_load_explicit(&budget->released_in_lane, memory_order_acquire);
}

static inline uint64_t tribi_budget_charged(const struct trib_budget *budget)
{
    return atomic_load_explicit(&budget->charged, memory_order_acquire) +
           atomic_load_explicit(&budget->charged_in_lane, memory_order_acquire);
}

/* Only the one owner who took the lane, on one thread at a time. */
static inline void tribi_budget_add_in_lane(atomic_uint_fast64_t *lane, size_t bytes)
{
    atomic_store_explicit(lane, atomic_load_explicit(lane, memory_order_relaxed) + bytes, memory_order_release);
}

/* False: somebody has it. It is given back with `atomic_store(lane, false)`, what it counted stays. */
static inline bool tribi_budget_take_lane(atomic_bool *lane)
{
    return !atomic_exchange(lane, true);
}

/* `charged` so far: what looks like a new peak is looked at closely. */
void tribi_budget_note_peak(struct trib_budget *budget, uint64_t charged);

/* With an old copy of `released` this is too much rather than too little. */
static inline void tribi_budget_look_at_peak(struct trib_budget *budget)
{
    uint64_t charged = tribi_budget_charged(budget);

    if (charged - atomic_load_explicit(&budget->known_released, memory_order_relaxed) >
        atomic_load_explicit(&budget->peak, memory_order_relaxed))
        tribi_budget_note_peak(budget, charged);
}

static inline void tribi_budget_charge_in_lane(struct trib_budget *budget, size_t bytes)
{
    tribi_budget_add_in_lane(&budget->charged_in_lane, bytes);
    tribi_budget_look_at_peak(budget);
}

void tribi_budget_charge(struct trib_budget *budget, size_t bytes, bool in_lane);
void tribi_budget_release(struct trib_budget *budget, size_t bytes);
void tribi_budget_tell_in_lane(struct trib_budget *budget);

static inline void tribi_budget_release_in_lane(struct trib_budget *budget, size_t bytes)
{
    tribi_budget_add_in_lane(&budget->released_in_lane, bytes);
    tribi_fence_light(); /* who watches has said so, called tribi_fence_heavy(), and looked */
    if ((atomic_load_explicit(&budget->released, memory_order_relaxed) & TRIBI_BUDGET_WATCHED) != 0)
        tribi_budget_tell_in_lane(budget);
}

/* watch->fn runs at releases from when `wanted` bytes may be free below the high mark; 0: at each. Again: with another number. */
void tribi_budget_watch(struct trib_budget *budget, struct tribi_budget_watch *watch, size_t wanted);
void tribi_budget_unwatch(struct trib_budget *budget, struct tribi_budget_watch *watch);

#endif
