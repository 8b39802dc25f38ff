/* The block pool: memory of chunks that were let go, kept for the next ones and given back when idle. */
#include "chunk-internal.h"

#include <tributary/alloc.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "alloc-internal.h"

enum {
    SMALLEST_SHIFT = 8,  /* 256 bytes */
    LARGEST_SHIFT = 25,  /* 32 MiB */
    STEPS = 4,           /* classes to each doubling: at most a quarter of a block is slack */
    CLASSES = (LARGEST_SHIFT - SMALLEST_SHIFT) * STEPS + 1,
    NOT_KEPT = 0xff,
    LINE = 64,           /* every block begins on a cache line */
    PAGE = 4096          /* mappings begin on one, at least */
};
#define HUGE_FROM ((size_t)4 << 20) /* from here on large pages: 16 MiB one-way 0.93 -> 0.98 of the raw loop, 4 KiB pages cost the rest */
#define MAP_FROM ((size_t)64 << 10) /* below, malloc() decides when memory goes back to the system; these do when they are given back */

#define LEFT_BEHIND ((size_t)4 << 20) /* for the next channel to begin with */

/* A block and its header, which lives as long as the block. */
struct block {
    struct trib_chunk chunk; /* first: a chunk of this kind is one of these */
    uint8_t *base;
    size_t size;
    struct block *older, *newer; /* idle neighbours in the size class */
    int64_t idle_since;
    uint8_t size_class;
    bool mapped; /* came from mmap */
};

static struct {
    pthread_mutex_t lock;
    struct block *newest[CLASSES], *oldest[CLASSES];
    size_t keep_bytes;
    int64_t keep_ns, next_look;
    uint64_t used, idle, fresh, reused;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .keep_bytes = (size_t)64 << 20, .keep_ns = 1000000000};

static size_t class_size(unsigned size_class)
{
    return (size_t)(STEPS + size_class % STEPS) << (SMALLEST_SHIFT - 2 + size_class / STEPS);
}

/* The smallest class that holds len bytes. */
static unsigned class_of(size_t len)
{
    unsigned shift = SMALLEST_SHIFT, step;

    if (len <= (size_t)1 << SMALLEST_SHIFT)
        return 0;
    if (len > (size_t)1 << LARGEST_SHIFT)
        return NOT_KEPT;
    while (((size_t)2 << shift) < len)
        shift++;
    step = (unsigned)((len - 1) >> (shift - 2)) - STEPS + 1; /* 1 to 4 quarters above 1 << shift */
    return (shift - SMALLEST_SHIFT) * STEPS + step;
}

size_t tribi_pool_block_size(size_t len)
{
    unsigned size_class = class_of(len);

    return size_class == NOT_KEPT ? 0 : class_size(size_class);
}

/* The clock of idleness: a few milliseconds coarse, and cheap to read. */
static int64_t coarse_now(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
#else
    return trib_now();
#endif
}

static void unlink_idle(struct block *block)
{
    unsigned c = block->size_class;

    *(block->newer != NULL ? &block->newer->older : &pool.newest[c]) = block->older;
    *(block->older != NULL ? &block->older->newer : &pool.oldest[c]) = block->newer;
    pool.idle -= block->size;
}

static void link_idle(struct block *block, int64_t now)
{
    unsigned c = block->size_class;

    block->idle_since = now;
    block->newer = NULL;
    block->older = pool.newest[c];
    *(pool.newest[c] != NULL ? &pool.newest[c]->newer : &pool.oldest[c]) = block;
    pool.newest[c] = block;
    pool.idle += block->size;
}

static void give_back(struct block *block)
{
    if (block->mapped)
        munmap(block->base, block->size);
    else
        trib_free(block->base);
    trib_free(block);
}

/* Under the lock: takes out what has been idle since before `before`; returns them linked through `older`. */
static struct block *take_idle(int64_t before)
{
    struct block *list = NULL;

    for (unsigned c = 0; c < CLASSES; c++)
        while (pool.oldest[c] != NULL && pool.oldest[c]->idle_since < before) {
            struct block *block = pool.oldest[c];
            unlink_idle(block);
            block->older = list;
            list = block;
        }
    return list;
}

static struct block *look_for_idle(int64_t now)
{
    if (now < pool.next_look)
        return NULL;
    pool.next_look = now + pool.keep_ns / 4;
    return take_idle(now - pool.keep_ns);
}

static void give_back_all(struct block *list)
{
    while (list != NULL) {
        struct block *older = list->older;
        give_back(list);
        list = older;
    }
}

static uint8_t *map_block(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (size >= HUGE_FROM)
        madvise(memory, size, MADV_HUGEPAGE);
#endif
    return memory;
}

static struct block *new_block(size_t size, unsigned size_class)
{
    struct block *block = trib_alloc(sizeof(*block));

    if (block == NULL)
        return NULL;
    block->chunk.kind = TRIBI_CHUNK_POOL;
    block->size_class = (uint8_t)size_class;
    block->mapped = size >= MAP_FROM && tribi_alloc_maps();
    block->size = size;
    block->base = block->mapped ? map_block(size) : trib_alloc_raw(size);
    if (block->base == NULL) {
        trib_free(block);
        return NULL;
    }
    return block;
}

/* An idle block, if there is one. Counts the use in either case. */
static struct block *reuse_block(unsigned size_class, size_t size)
{
    struct block *block = NULL, *expired;

    pthread_mutex_lock(&pool.lock);
    expired = look_for_idle(coarse_now());
    if (size_class != NOT_KEPT && pool.newest[size_class] != NULL) {
        block = pool.newest[size_class];
        unlink_idle(block);
    }
    *(block != NULL ? &pool.reused : &pool.fresh) += 1;
    pool.used += size;
    pthread_mutex_unlock(&pool.lock);
    give_back_all(expired);
    return block;
}

static void uncount(size_t size)
{
    pthread_mutex_lock(&pool.lock);
    pool.used -= size;
    pthread_mutex_unlock(&pool.lock);
}

int tribi_pool_get(size_t len, size_t align, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    size_t slack, size;
    unsigned size_class;
    struct block *block;

    if (align == 0)
        align = 1;
    if ((align & (align - 1)) != 0 || align > PAGE)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "allocate %zu bytes: %zu is not an alignment up to %d", len, align, PAGE);
    if (len > SIZE_MAX / 2)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "allocate %zu bytes: more than the address space", len);
    /* malloc aligns to 16 and mmap to a page: room to move to the next line, or further where that was asked for. */
    slack = len >= MAP_FROM && tribi_alloc_maps() ? 0 : align > LINE ? align : LINE;
    size_class = class_of(len + slack);
    size = size_class == NOT_KEPT ? (len + slack + PAGE - 1) / PAGE * PAGE : class_size(size_class);
    block = reuse_block(size_class, size);
    if (block == NULL)
        block = new_block(size, size_class);
    if (block == NULL) {
        uncount(size);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "allocate %zu bytes: no memory", len);
    }
    if (align < LINE)
        align = LINE;
    atomic_init(&block->chunk.refs, 1);
    block->chunk.data = (uint8_t *)(((uintptr_t)block->base + align - 1) & ~(uintptr_t)(align - 1));
    block->chunk.len = len;
    block->chunk.budget = NULL;
    block->chunk.charge = 0;
    *ret_chunk = &block->chunk;
    return TRIB_OK;
}

void tribi_pool_put(struct trib_chunk *chunk)
{
    struct block *block = (struct block *)chunk, *expired;
    int64_t now = coarse_now();
    bool keep;

    pthread_mutex_lock(&pool.lock);
    pool.used -= block->size;
    keep = block->size_class != NOT_KEPT && block->size <= pool.keep_bytes &&
           pool.idle <= pool.keep_bytes - block->size;
    if (keep)
        link_idle(block, now);
    expired = look_for_idle(now);
    pthread_mutex_unlock(&pool.lock);
    if (!keep)
        give_back(block);
    give_back_all(expired);
}

/* Under the lock: takes out so many blocks that no more than `keep` bytes are idle, large ones first. */
static struct block *take_surplus(size_t keep)
{
    struct block *list = NULL;

    for (unsigned c = CLASSES; c-- > 0;)
        while (pool.oldest[c] != NULL && pool.idle > keep) {
            struct block *block = pool.oldest[c];
            unlink_idle(block);
            block->older = list;
            list = block;
        }
    return list;
}

void trib_pool_configure(const struct trib_pool_options *options)
{
    struct trib_pool_options o = {sizeof(o), (size_t)64 << 20, 1000};
    struct block *list;

    if (options != NULL)
        memcpy(&o, options, options->size < sizeof(o) ? options->size : sizeof(o));
    if (o.keep_ms < 0)
        o.keep_ms = 0;
    pthread_mutex_lock(&pool.lock);
    pool.keep_bytes = o.keep_bytes;
    pool.keep_ns = o.keep_ms < INT64_MAX / 2000000 ? o.keep_ms * 1000000 : INT64_MAX / 2;
    pool.next_look = 0;
    list = take_surplus(pool.keep_bytes);
    pthread_mutex_unlock(&pool.lock);
    give_back_all(list);
}

void trib_pool_shrink(size_t keep_bytes)
{
    struct block *list;

    pthread_mutex_lock(&pool.lock);
    list = take_surplus(keep_bytes);
    pthread_mutex_unlock(&pool.lock);
    give_back_all(list);
}

/* ---- Who uses it ----
 * A library without a thread has no clock of its own: what keep_ms means is looked at when blocks come and go. When the last channel or fed
 * reader goes, perhaps none will: then nearly all goes back at once. */

static atomic_size_t users;

void tribi_pool_join(void)
{
    atomic_fetch_add_explicit(&users, 1, memory_order_relaxed);
}

void tribi_pool_leave(void)
{
    if (atomic_fetch_sub_explicit(&users, 1, memory_order_relaxed) == 1)
        trib_pool_shrink(LEFT_BEHIND);
}

void tribi_pool_give_back(void)
{
    struct block *list;

    pthread_mutex_lock(&pool.lock);
    list = take_idle(INT64_MAX);
    pthread_mutex_unlock(&pool.lock);
    give_back_all(list);
    tribi_small_trim();
}

void trib_pool_trim(void)
{
    tribi_pool_give_back();
#ifdef __GLIBC__
    if (!tribi_alloc_replaced)
        malloc_trim(0);
#endif
}

void trib_pool_stats(struct trib_pool_stats *ret_stats)
{
    struct trib_pool_stats stats = {.size = ret_stats->size};

    pthread_mutex_lock(&pool.lock);
    stats.used_bytes = pool.used;
    stats.idle_bytes = pool.idle;
    stats.blocks_new = pool.fresh;
    stats.blocks_reused = pool.reused;
    pthread_mutex_unlock(&pool.lock);
    memcpy(ret_stats, &stats, ret_stats->size < sizeof(stats) ? ret_stats->size : sizeof(stats));
}
