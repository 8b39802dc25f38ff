/* What chunks, their pool and their budget know of each other. */
#ifndef TRIBI_CHUNK_INTERNAL_H
#define TRIBI_CHUNK_INTERNAL_H

#include <tributary/chunk.h>
#include <tributary/transport.h>

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

enum tribi_chunk_kind {
    TRIBI_CHUNK_POOL,    /* a block of the pool, with this header for as long as the block exists */
    TRIBI_CHUNK_FOREIGN, /* the caller's memory */
    TRIBI_CHUNK_SUB      /* a part of `parent`, or all of it under another budget */
};

struct trib_chunk {
    atomic_size_t refs;
    uint8_t *data;
    size_t len;
    struct trib_budget *budget; /* kept alive by the `charge` bytes that count against it; or NULL */
    size_t charge;
    uint8_t kind;
    uint8_t size_class; /* of a pool block */
    bool mapped;        /* a pool block that came from mmap */
    union {
        struct {
            uint8_t *base;
            size_t size; /* of the block */
            struct trib_chunk *older, *newer; /* idle neighbours in the size class */
            int64_t idle_since;
        } block;
        struct {
            trib_release_fn *release;
            void *arg;
        } foreign;
        struct trib_chunk *parent; /* one reference */
    } u;
};

/* Memory for the header of a chunk that is not a block of the pool; not initialised. NULL: there is none. */
struct trib_chunk *tribi_header_get(void);
void tribi_header_put(struct trib_chunk *header);

/* A block of the pool with one reference; not charged. */
int tribi_pool_get(size_t len, size_t align, struct trib_chunk **ret_chunk, struct trib_error *err);
void tribi_pool_put(struct trib_chunk *chunk);

/* The size of the block that `len` bytes would come in, 0 where it is not kept by the pool. */
size_t tribi_pool_block_size(size_t len);

/* Bytes of chunk count against budget until its last unref. Only for a chunk with one reference, ours, and no budget yet. */
void tribi_chunk_charge(struct trib_chunk *chunk, struct trib_budget *budget, size_t bytes);

/* The same for a view that may be shared: *view holds one reference of ours; where it is not the only one, or the chunk is
 * charged to somebody already, the view gets a sub-chunk of its own as holder. */
int tribi_view_charge(struct trib_view *view, struct trib_budget *budget, struct trib_error *err);

struct tribi_budget_watch {
    void (*fn)(void *arg); /* runs under the budget's lock at each release, on the releasing thread */
    void *arg;
    bool active;
    struct tribi_budget_watch *next;
};

/* What chargers and releasers write lies on cache lines of their own: at 20 million hand-overs a second a shared line costs more
 * than all the rest. A budget lives until its last owner and its last charge have gone. Charges are counted up in `taken`, down
 * in `left`, which starts so high that it cannot reach 0 before the last owner has put the two together; then whoever brings it
 * to 0 frees, and nobody looks at the budget after its own step. */
#define TRIBI_BUDGET_OWNED ((uint64_t)1 << 62)
struct trib_budget {
    size_t high, limit;
    atomic_size_t owners;
    atomic_int watched;
    pthread_mutex_t lock;
    struct tribi_budget_watch *watches;
    struct tribi_budget_watch transport; /* trib_budget_on_release() */
    atomic_size_t peak;
    char pad1[64];
    atomic_size_t charged;
    atomic_uint_fast64_t taken;
    atomic_size_t known_released; /* a copy, perhaps old */
    char pad2[64];
    atomic_size_t released;
    atomic_uint_fast64_t left;
    char pad3[64];
};

void tribi_budget_charge(struct trib_budget *budget, size_t bytes);
void tribi_budget_release(struct trib_budget *budget, size_t bytes);
void tribi_budget_watch(struct trib_budget *budget, struct tribi_budget_watch *watch);
void tribi_budget_unwatch(struct trib_budget *budget, struct tribi_budget_watch *watch);

#endif
