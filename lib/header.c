/* Headers of chunks, kept in small per-thread magazines: a hand-over between two threads makes one and lets it go
 * on the other side.
 *
 * Why: all allocations on one thread and all frees on another is what malloc() serves worst: its per-thread cache holds seven. In a
 * profile of `bench/chunks --only hand` malloc() and free() took 37 % of the time; with the magazines, these functions take 1 %. */
#include "chunk-internal.h"

#include <stdlib.h>

#include "alloc-internal.h"

enum {
    MAGAZINE = 64, /* headers that change hands at once between a thread and the depot */
    DEPOT = 64     /* magazines in the depot, at most: 360 KiB; beyond it they are freed */
};

struct magazine {
    struct trib_chunk *first; /* linked through u.parent */
    unsigned count;
};

static struct {
    pthread_mutex_t lock;
    struct trib_chunk *full[DEPOT];
    unsigned count;
} depot = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;
static _Thread_local struct magazine mine;
static _Thread_local bool registered;

static void free_list(struct trib_chunk *header)
{
    while (header != NULL) {
        struct trib_chunk *next = header->u.parent;
        free(header); /* malloc() gave it, see may_keep(), and the allocator may be another one by now */
        header = next;
    }
}

/* The thread ends. */
static void free_magazine(void *arg)
{
    struct magazine *magazine = arg;

    free_list(magazine->first);
    *magazine = (struct magazine){.first = NULL};
    registered = false;
}

static void make_key(void)
{
    have_key = pthread_key_create(&key, free_magazine) == 0;
}

/* Only memory of malloc() is kept, so that another allocator sees every allocation, and gets back all that it gave; and
 * sanitizers every use after the end. */
static bool may_keep(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return false;
#endif
#endif
    return tribi_alloc_is_malloc();
}

/* So that the magazine goes when the thread ends. */
static bool register_thread(void)
{
    pthread_once(&once, make_key);
    registered = have_key && pthread_setspecific(key, &mine) == 0;
    return registered;
}

static void refill(void)
{
    if (!registered && !register_thread())
        return;
    pthread_mutex_lock(&depot.lock);
    if (depot.count > 0) {
        mine.first = depot.full[--depot.count];
        mine.count = MAGAZINE;
    }
    pthread_mutex_unlock(&depot.lock);
}

struct trib_chunk *tribi_header_get(void)
{
    struct trib_chunk *header;

    if (mine.first == NULL && may_keep())
        refill();
    if (mine.first == NULL || !may_keep())
        return tribi_alloc_raw(sizeof(*header));
    header = mine.first;
    mine.first = header->u.parent;
#if defined(__GNUC__)
    __builtin_prefetch(mine.first, 1); /* for the next call: the thread that let it go has it in its cache */
#endif
    mine.count--;
    return header;
}

/* A full magazine goes to the depot. */
static void hand_in(void)
{
    struct trib_chunk *list = mine.first;

    pthread_mutex_lock(&depot.lock);
    if (depot.count < DEPOT) {
        depot.full[depot.count++] = list;
        list = NULL;
    }
    pthread_mutex_unlock(&depot.lock);
    free_list(list);
    mine = (struct magazine){.first = NULL};
}

void tribi_header_put(struct trib_chunk *header)
{
    if (!may_keep() || (!registered && !register_thread())) {
        trib_free(header);
        return;
    }
    if (mine.count == MAGAZINE)
        hand_in();
    header->u.parent = mine.first;
    mine.first = header;
    mine.count++;
}
