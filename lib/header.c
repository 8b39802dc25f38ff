/* Headers of chunks, kept in small per-thread magazines: a hand-over between two threads makes one and lets it go
 * on the other side.
 *
 * Why: all allocations on one thread and all frees on another is what malloc() serves worst: its per-thread cache holds seven. In a
 * profile of `bench/chunks --only hand` malloc() and free() took 37 % of the time. And a header that the other thread let go lies in the
 * cache of its processor: magazines are arrays, not lists, so that it can be fetched some calls before it is used (a bare ring of pointers to
 * such headers passes 20 million a second without that, 150 million with it). */
#include "header-internal.h"

#include <tributary/alloc.h>

#include <stdlib.h>
#include <string.h>

enum {
    DEPOT = 128, /* magazines in the depot, at most: 576 KiB with what is in them; beyond it they are freed */
    LINE = 64
};

/* Threads swap a full magazine for an empty one here, or the other way round: only pointers move under the lock. */
static struct {
    alignas(LINE) pthread_mutex_t lock; /* what lies beside it is read for each chunk */
    struct tribi_magazine *full[DEPOT], *empty[DEPOT];
    unsigned full_count, empty_count;
} depot = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;

_Thread_local struct tribi_magazine *tribi_magazine;

/* malloc() gave them, see tribi_header_may_keep(), and the allocator may be another one by now. */
static void empty_out(struct tribi_magazine *magazine)
{
    while (magazine->count > 0)
        free(magazine->headers[--magazine->count]);
}

/* The thread ends. */
static void free_magazine(void *arg)
{
    empty_out(arg);
    free(arg);
    tribi_magazine = NULL;
}

static void make_key(void)
{
    have_key = pthread_key_create(&key, free_magazine) == 0;
}

/* The thread's first. It goes when the thread ends. */
static struct tribi_magazine *new_magazine(void)
{
    struct tribi_magazine *magazine = NULL;

    pthread_once(&once, make_key);
    if (have_key)
        magazine = malloc(sizeof(*magazine));
    if (magazine == NULL)
        return NULL;
    magazine->count = 0;
    if (pthread_setspecific(key, magazine) != 0) {
        free(magazine);
        return NULL;
    }
    tribi_magazine = magazine;
    return magazine;
}

static struct tribi_magazine *my_magazine(void)
{
    if (!tribi_header_may_keep())
        return NULL;
    return tribi_magazine != NULL ? tribi_magazine : new_magazine();
}

static void become_mine(struct tribi_magazine *magazine)
{
    tribi_magazine = magazine;
    pthread_setspecific(key, magazine); /* the key has a place since the thread's first: this allocates nothing */
}

/* For a full magazine, if the depot has one; else ours. */
static struct tribi_magazine *refill(struct tribi_magazine *magazine)
{
    struct tribi_magazine *full = NULL;

    pthread_mutex_lock(&depot.lock);
    if (depot.full_count > 0 && depot.empty_count < DEPOT) {
        full = depot.full[--depot.full_count];
        depot.empty[depot.empty_count++] = magazine;
    }
    pthread_mutex_unlock(&depot.lock);
    if (full == NULL)
        return magazine;
    become_mine(full);
    for (unsigned i = 1; i < TRIBI_MAGAZINE_AHEAD; i++)
        tribi_fetch_to_write(full->headers[TRIBI_MAGAZINE - i]);
    return full;
}

/* For an empty one, new if there is none; else ours, emptied. */
static struct tribi_magazine *hand_in(struct tribi_magazine *magazine)
{
    struct tribi_magazine *empty = NULL;
    bool room;

    pthread_mutex_lock(&depot.lock);
    room = depot.full_count < DEPOT;
    if (room && depot.empty_count > 0) {
        empty = depot.empty[--depot.empty_count];
        depot.full[depot.full_count++] = magazine;
    }
    pthread_mutex_unlock(&depot.lock);
    if (empty == NULL && room && (empty = malloc(sizeof(*empty))) != NULL) {
        empty->count = 0;
        pthread_mutex_lock(&depot.lock);
        room = depot.full_count < DEPOT;
        if (room)
            depot.full[depot.full_count++] = magazine;
        pthread_mutex_unlock(&depot.lock);
        if (!room) {
            free(empty);
            empty = NULL;
        }
    }
    if (empty == NULL) {
        empty_out(magazine);
        return magazine;
    }
    become_mine(empty);
    return empty;
}

/* From malloc() with or without a magazine: a thread that has none may let go of what another one took from its own. */
static struct trib_chunk *new_header(void)
{
    return tribi_alloc_replaced ? trib_alloc_raw(sizeof(struct trib_chunk))
                                : aligned_alloc(LINE, (sizeof(struct trib_chunk) + LINE - 1) / LINE * LINE);
}

struct trib_chunk *tribi_header_get_slowly(void)
{
    struct tribi_magazine *magazine = my_magazine();

    if (magazine == NULL)
        return new_header();
    if (magazine->count == 0)
        magazine = refill(magazine);
    if (magazine->count == 0)
        return new_header();
    if (magazine->count >= TRIBI_MAGAZINE_AHEAD)
        tribi_fetch_to_write(magazine->headers[magazine->count - TRIBI_MAGAZINE_AHEAD]);
    return magazine->headers[--magazine->count];
}

void tribi_header_put_slowly(struct trib_chunk *header)
{
    struct tribi_magazine *magazine = my_magazine();

    if (magazine == NULL && tribi_alloc_replaced) {
        trib_free(header);
        return;
    }
    if (magazine == NULL) {
        free(header);
        return;
    }
    if (magazine->count == TRIBI_MAGAZINE)
        magazine = hand_in(magazine);
    magazine->headers[magazine->count++] = header;
}
