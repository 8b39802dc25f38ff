/* The library's allocator, for transports: what they allocate for themselves comes from the same place. */
#ifndef TRIBUTARY_ALLOC_H
#define TRIBUTARY_ALLOC_H

#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* Memory from the process's allocator (trib_set_allocator), zeroed; NULL where there is none. Any thread. */
TRIB_API void *trib_alloc(size_t size);

/* The same with whatever is in it: for what is about to be overwritten. */
TRIB_API void *trib_alloc_raw(size_t size);

/* Gives it back; NULL is allowed. Any thread. */
TRIB_API void trib_free(void *memory);

/* A copy of a string, or NULL. */
TRIB_API char *trib_strdup(const char *text);

TRIB_END_DECLS

#endif
