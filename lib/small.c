/* Small blocks of memory: what a thread let go is what it gets next.
 *
 * A stream of gRPC is some thirty blocks, of ours and of libnghttp2's, of up to 2 KiB. Where many begin before the first ends, that is more than
 * malloc() keeps at hand for a thread (7 of a size, up to 1 KiB), and it took a quarter of the time of a stream (bench/grpc/run --only streams:
 * 37,000 a second without this file, 48,000 with it, in turn on a busy machine). Under a sanitizer, which wants to see each block come and go, it is
 * malloc() and free(); so it is where the environment has TRIB_PLAIN_MALLOC, for valgrind. */
#include "alloc-internal.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TRIBI_NO_SMALL 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define TRIBI_NO_SMALL 1
#endif
#endif

#ifdef TRIBI_NO_SMALL

void *tribi_small_alloc(size_t size, bool zeroed)
{
    return zeroed ? calloc(1, size) : malloc(size);
}

void tribi_small_free(void *memory)
{
    free(memory);
}

void tribi_small_trim(void)
{
}

#else

#include <stdalign.h>
#include <stddef.h>

/* Sizes are multiples of STEP up to STEP * SIZES; larger blocks are malloc()'s. At most KEPT bytes are kept for a thread. */
enum { STEP = 64, SIZES = 40, KEPT = 512 << 10 };

/* In front of each block. */
struct head {
    alignas(max_align_t) size_t steps; /* 0: larger than what is kept */
};

/* In a block that is kept. */
struct kept {
    struct kept *next;
};

struct cache {
    struct kept *blocks[SIZES + 1]; /* by steps */
    size_t bytes;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* only for its destructor */
static bool usable;
#if defined(__GNUC__)
__attribute__((tls_model("initial-exec"))) /* a pointer: a library that is loaded late finds room for it */
#endif
static _Thread_local struct cache *cache;
static _Thread_local bool over; /* the thread is ending, or there was no memory for a cache */

static void drop(struct cache *of)
{
    for (size_t steps = 1; steps <= SIZES; steps++)
        while (of->blocks[steps] != NULL) {
            struct kept *block = of->blocks[steps];

            of->blocks[steps] = block->next;
            free((struct head *)(void *)block - 1);
        }
    of->bytes = 0;
}

static void thread_ends(void *arg)
{
    drop(arg);
    free(arg);
    cache = NULL;
    over = true;
}

static void make_key(void)
{
    usable = getenv("TRIB_PLAIN_MALLOC") == NULL && pthread_key_create(&key, thread_ends) == 0;
}

/* NULL: this thread has none. */
static struct cache *make_cache(void)
{
    struct cache *made;

    pthread_once(&once, make_key);
    if (over || !usable) {
        over = true;
        return NULL;
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL || pthread_setspecific(key, made) != 0) {
        free(made);
        over = true;
        return NULL;
    }
    return cache = made;
}

static void *from_malloc(size_t size, size_t steps, bool zeroed)
{
    size_t whole = sizeof(struct head) + (steps > 0 ? steps * STEP : size);
    struct head *head = size > SIZE_MAX - sizeof(*head) ? NULL : zeroed ? calloc(1, whole) : malloc(whole);

    if (head == NULL)
        return NULL;
    head->steps = steps;
    return head + 1;
}

void *tribi_small_alloc(size_t size, bool zeroed)
{
    size_t steps = size <= (size_t)STEP * SIZES ? (size + STEP - 1) / STEP : 0;
    struct cache *of = cache;
    struct kept *block;

    if (steps == 0 || of == NULL || of->blocks[steps] == NULL)
        return from_malloc(size, steps, zeroed);
    block = of->blocks[steps];
    of->blocks[steps] = block->next;
    of->bytes -= steps * STEP;
    return zeroed ? memset(block, 0, size) : block;
}

void tribi_small_free(void *memory)
{
    struct head *head = (struct head *)memory - 1;
    size_t steps = head->steps;
    struct cache *of = cache;
    struct kept *block = memory;

    if (steps == 0 || (of == NULL && (of = make_cache()) == NULL) || of->bytes + steps * STEP > KEPT) {
        free(head);
        return;
    }
    block->next = of->blocks[steps];
    of->blocks[steps] = block;
    of->bytes += steps * STEP;
}

void tribi_small_trim(void)
{
    if (cache != NULL)
        drop(cache);
}

#endif
