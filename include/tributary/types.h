/* Words that every other header uses: visibility, version, deadlines, the allocator. */
#ifndef TRIBUTARY_TYPES_H
#define TRIBUTARY_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TRIB_API __attribute__((visibility("default")))
#define TRIB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define TRIB_API
#define TRIB_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
#define TRIB_BEGIN_DECLS extern "C" {
#define TRIB_END_DECLS }
#else
#define TRIB_BEGIN_DECLS
#define TRIB_END_DECLS
#endif

TRIB_BEGIN_DECLS

/* The release of these headers; trib_version() is the release of the library that was loaded. */
#define TRIB_VERSION "0.1.0"

/* A static string such as "0.1.0". Any thread. */
TRIB_API const char *trib_version(void);

/* ---- Deadlines ------------------------------------------------------------------------------------------------
 * Every wait ends at a deadline: absolute nanoseconds of the monotonic clock, as trib_now() counts them.
 * TRIB_NOWAIT makes a call non-blocking: it returns TRIB_AGAIN where it would have waited. A deadline that has passed makes it
 * return TRIB_ERR_TIMEOUT there. TRIB_FOREVER waits until something comes, the peer goes, or somebody cancels. */
#define TRIB_NOWAIT INT64_C(0)
#define TRIB_FOREVER INT64_MAX

/* Nanoseconds of the monotonic clock; never TRIB_NOWAIT. Any thread. */
TRIB_API int64_t trib_now(void);

/* The deadline that lies timeout_ms milliseconds ahead; TRIB_FOREVER for a negative number. Any thread. */
TRIB_API int64_t trib_deadline_ms(int64_t timeout_ms);

/* ---- Text ---- */

/* Bytes of the character of UTF-8 (RFC 3629) that begins len bytes, 1 to 4, or 0 where none does: cut off, longer than need be, a surrogate, above
 * U+10FFFF. len > 0. Any thread. */
TRIB_API size_t trib_utf8_len(const void *data, size_t len);

/* ---- Allocator ------------------------------------------------------------------------------------------------
 * All memory of the library comes from one allocator per process: malloc() unless replaced. `allocate` returns memory aligned as
 * malloc() would, or NULL; `release` is never called with NULL. Both may be called from any thread at once. Blocks of
 * 64 KiB and more are mapped from the system, not allocated, unless `map_large` is false. Small blocks over malloc() are cut from larger
 * ones that each thread keeps, which valgrind takes for "possibly lost": with TRIB_PLAIN_MALLOC in the environment each is malloc()'s. */
struct trib_allocator {
    size_t size; /* sizeof(struct trib_allocator) in the build that filled it */
    void *(*allocate)(void *arg, size_t size);
    void (*release)(void *arg, void *memory);
    void *arg;
    bool map_large;
};

/* Replaces the allocator; NULL restores malloc(). Call it while no object of the library exists and no other thread uses it: what
 * one allocator gave, the same must take back. The struct is copied; one that is too small or lacks a function counts as NULL. */
TRIB_API void trib_set_allocator(const struct trib_allocator *allocator);

struct trib_error;
struct trib_chunk;
struct trib_budget;
struct trib_reader;
struct trib_writer;
struct trib_channel;
struct trib_listener;
struct trib_transport;
struct event_base;

TRIB_END_DECLS

#endif
