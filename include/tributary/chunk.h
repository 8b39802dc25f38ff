/* Chunks: reference-counted bytes; views into them; the block pool they come from; the budget that bounds them. */
#ifndef TRIBUTARY_CHUNK_H
#define TRIBUTARY_CHUNK_H

#include <tributary/error.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* ---- Views ----------------------------------------------------------------------------------------------------
 * A borrowed, read-only span of bytes, passed by value. `holder` is the chunk that the bytes lie in, or NULL where nobody
 * counts references (a literal, the caller's own buffer). The function that returns a view says which event ends it. */
struct trib_view {
    const uint8_t *data;
    size_t len;
    struct trib_chunk *holder;
};

/* Makes a view last: takes a reference to its holder and returns the same view. Let it go with trib_view_release().
 * A view without a holder is returned as it is; its bytes must last by other means. Any thread. */
TRIB_API struct trib_view trib_view_retain(struct trib_view view);

/* Gives back the reference of trib_view_retain() and empties *view. Twice is safe. Any thread. */
TRIB_API void trib_view_release(struct trib_view *view);

/* Bytes [offset, offset + len) of `view`, sharing its holder and its lifetime. What lies outside is cut off. */
TRIB_API struct trib_view trib_view_sub(struct trib_view view, size_t offset, size_t len);

/* ---- Chunks --------------------------------------------------------------------------------------------------- */

/* Runs when the last reference goes: on whichever thread drops it; it must not block, nor call the object that is dropping it. */
typedef void trib_release_fn(void *arg, const void *data, size_t len);

/* A writable chunk of `len` bytes from the pool, its first byte on a multiple of `align` (a power of two up to 4096; 0 and 1: any).
 * The bytes are not initialised. Errors: TRIB_ERR_NOMEM, TRIB_ERR_USAGE (align). */
TRIB_API int trib_chunk_new(size_t len, size_t align, struct trib_chunk **ret_chunk, struct trib_error *err);

/* The same, with len bytes copied from `data`. */
TRIB_API int trib_chunk_copy(const void *data, size_t len, struct trib_chunk **ret_chunk, struct trib_error *err);

/* A chunk around the caller's memory, which must stay as it is until `release` (may be NULL: memory that lasts) has run.
 * Where this call fails, `release` does not run. */
TRIB_API int trib_chunk_wrap(const void *data, size_t len, trib_release_fn *release, void *arg, struct trib_chunk **ret_chunk,
                             struct trib_error *err);

/* A chunk of bytes [offset, offset + len) of `chunk`, which it keeps alive with a reference of its own. No copy.
 * TRIB_ERR_USAGE: the range does not lie inside. */
TRIB_API int trib_chunk_sub(struct trib_chunk *chunk, size_t offset, size_t len, struct trib_chunk **ret_chunk,
                            struct trib_error *err);

/* A read-only mapping of a regular file. TRIB_ERR_IO names the path. An empty file gives a chunk of 0 bytes.
 * A file that shrinks while it is mapped raises SIGBUS, as mmap(2) says. */
TRIB_API int trib_chunk_map(const char *path, struct trib_chunk **ret_chunk, struct trib_error *err);

/* One more reference / one fewer. Any thread. unref returns NULL, so `c = trib_chunk_unref(c);`; both accept NULL. */
TRIB_API struct trib_chunk *trib_chunk_ref(struct trib_chunk *chunk);
TRIB_API struct trib_chunk *trib_chunk_unref(struct trib_chunk *chunk);

/* Its first byte, and how many there are. The bytes last as long as the caller's reference. Any thread. */
TRIB_API const uint8_t *trib_chunk_data(const struct trib_chunk *chunk);
TRIB_API size_t trib_chunk_len(const struct trib_chunk *chunk);

/* The bytes for writing; NULL where they are not ours (wrapped, mapped) or may be seen by others (more than one reference). */
TRIB_API uint8_t *trib_chunk_writable(struct trib_chunk *chunk);

/* A view of the whole chunk; valid as long as the caller's reference. */
TRIB_API struct trib_view trib_chunk_view(struct trib_chunk *chunk);

/* ---- The pool -------------------------------------------------------------------------------------------------
 * Blocks of chunks are kept for the next one: size classes from 256 bytes to 32 MiB, four to each doubling; larger ones are not kept.
 * Blocks of 64 KiB and more are mappings of their own, from 4 MiB on large pages where the system has them. One pool per process, safe
 * on any thread. Idle blocks above `keep_bytes` are given back to the system at once, the others `keep_ms` after their last use (looked
 * at whenever a block comes back or is taken), and all but 4 MiB when the last channel or fed reader is freed. */
struct trib_pool_options {
    size_t size;
    size_t keep_bytes; /* default 64 MiB */
    int64_t keep_ms;   /* default 1000 */
};

struct trib_pool_stats {
    size_t size;         /* set it before the call: sizeof(struct trib_pool_stats) */
    uint64_t used_bytes; /* in chunks that somebody holds */
    uint64_t idle_bytes; /* kept for the next chunk */
    uint64_t blocks_new; /* blocks asked of the system since the start */
    uint64_t blocks_reused;
};

/* NULL, or a field that options->size does not reach: the default. keep_bytes 0: nothing is kept. */
TRIB_API void trib_pool_configure(const struct trib_pool_options *options);
TRIB_API void trib_pool_stats(struct trib_pool_stats *ret_stats);

/* Gives back idle blocks, the largest first, until no more than keep_bytes are idle: for a process that has finished a piece of work and may soon
 * get the next. Takes microseconds for each MiB. Any thread. */
TRIB_API void trib_pool_shrink(size_t keep_bytes);

/* Gives back every idle block, and what malloc() holds that is free: for a process that will have nothing to do for a while. Small blocks that
 * other threads have at hand, at most 512 KiB each, stay theirs until they end. Takes milliseconds where there is much. Any thread. */
TRIB_API void trib_pool_trim(void);

/* ---- Budgets --------------------------------------------------------------------------------------------------
 * How many bytes may be held that nobody has let go yet. `high` bounds what comes unasked (read-ahead, a producer's queue): at
 * the mark the producer stops until chunks are released. `limit` is hard: a want is granted beyond `high`, up to here, and
 * refused beyond it with TRIB_ERR_LIMIT.
 *
 * A block that a transport received into counts whole, from its allocation to its last unref. What a producer hands over (a queue, a fed
 * reader, chunk:) counts the bytes of its view, from its entry to the last unref: a small view of a large block pins more than it counts;
 * trib_chunk_copy() is for that. Above the limit lies only what is in passing: where a take puts together what came in several chunks,
 * both count until the last of them is moved; and one block is received for a take in place of one that goes once its bytes have
 * moved (struct trib_want, `spare`), which a view that the caller retained keeps. */
TRIB_API int trib_budget_new(size_t high, size_t limit, struct trib_budget **ret_budget, struct trib_error *err);
TRIB_API struct trib_budget *trib_budget_ref(struct trib_budget *budget);
TRIB_API struct trib_budget *trib_budget_unref(struct trib_budget *budget);

/* What it was made with, and what it counts. Any thread. */
TRIB_API size_t trib_budget_high(const struct trib_budget *budget);
TRIB_API size_t trib_budget_limit(const struct trib_budget *budget);
TRIB_API size_t trib_budget_held(const struct trib_budget *budget); /* now; any thread */
TRIB_API size_t trib_budget_peak(const struct trib_budget *budget); /* the most ever held */

TRIB_END_DECLS

#endif
