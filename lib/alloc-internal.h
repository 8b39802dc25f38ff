/* What the pool asks of the allocator beyond memory. */
#ifndef TRIBI_ALLOC_INTERNAL_H
#define TRIBI_ALLOC_INTERNAL_H

#include <tributary/alloc.h>

#include <stdbool.h>

/* Large blocks may be mapped from the system instead. */
bool tribi_alloc_maps(void);

/* small.c: malloc() and free() with the small blocks that this thread let go at hand. */
void *tribi_small_alloc(size_t size, bool zeroed);
void tribi_small_free(void *memory);
void tribi_small_trim(void); /* those of this thread go back to malloc() */

/* pool.c: all idle blocks, and this thread's small ones, go back to the allocator. */
void tribi_pool_give_back(void);

/* Memory does not come from malloc(). */
extern bool tribi_alloc_replaced;

#endif
