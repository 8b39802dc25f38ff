/* Headers of chunks: the common way to one, and of one back, without a call. lib/header.c does the rest. */
#ifndef TRIBI_HEADER_INTERNAL_H
#define TRIBI_HEADER_INTERNAL_H

#include "alloc-internal.h"
#include "chunk-internal.h"

enum {
    TRIBI_MAGAZINE = 64,      /* headers that change hands at once between a thread and the depot */
    TRIBI_MAGAZINE_AHEAD = 8, /* calls between fetching a header and using it: 4 are too few, 16 are no better */
};

struct tribi_magazine {
    struct trib_chunk *headers[TRIBI_MAGAZINE];
    unsigned count;
};

/* NULL: none yet, or the thread ends. A pointer, for it is found in one step this way, and a library that is loaded later has little
 * room for such. */
#if defined(__GNUC__)
__attribute__((tls_model("initial-exec")))
#endif
extern _Thread_local struct tribi_magazine *tribi_magazine;

/* Only memory of malloc() is kept, so that another allocator sees every allocation, and gets back all that it gave; and
 * sanitizers every use after the end. */
static inline bool tribi_header_may_keep(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return false;
#endif
#endif
    return !tribi_alloc_replaced;
}

struct trib_chunk *tribi_header_get_slowly(void);
void tribi_header_put_slowly(struct trib_chunk *header);

/* Memory for the header of a chunk that is not a block of the pool; not initialised. NULL: there is none. */
static inline struct trib_chunk *tribi_header_get(void)
{
    struct tribi_magazine *magazine = tribi_magazine;

    if (magazine == NULL || magazine->count <= TRIBI_MAGAZINE_AHEAD || !tribi_header_may_keep())
        return tribi_header_get_slowly();
    magazine->count--;
    tribi_fetch_to_write(magazine->headers[magazine->count - TRIBI_MAGAZINE_AHEAD]);
    return magazine->headers[magazine->count];
}

static inline void tribi_header_put(struct trib_chunk *header)
{
    struct tribi_magazine *magazine = tribi_magazine;

    if (magazine == NULL || magazine->count == TRIBI_MAGAZINE || !tribi_header_may_keep())
        tribi_header_put_slowly(header);
    else
        magazine->headers[magazine->count++] = header;
}

#endif
