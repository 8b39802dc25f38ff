/* The queue of chunks between two threads: under a reader that is fed, under chunk:, and for transports whose bytes come from a
 * thread of their own. */
#ifndef TRIBUTARY_QUEUE_H
#define TRIBUTARY_QUEUE_H

#include <tributary/chunk.h>
#include <tributary/transport.h>

TRIB_BEGIN_DECLS

/* Bounded in bytes, in order, one producer thread and one consumer thread (at a time). Reference-counted: each end holds one. The
 * bytes count against the budget from push until the last reference to their chunk, views included, is gone. */
struct trib_queue;

/* The high mark and the hard limit are those of `budget`, of which the queue holds a reference. spin_us as in struct
 * trib_channel_options. */
TRIB_API int trib_queue_new(struct trib_budget *budget, uint32_t spin_us, struct trib_queue **ret_queue, struct trib_error *err);
TRIB_API struct trib_queue *trib_queue_ref(struct trib_queue *queue);
TRIB_API struct trib_queue *trib_queue_unref(struct trib_queue *queue);

/* ---- Producer ---- */

#define TRIB_QUEUE_MORE 0x100u /* a flag of trib_queue_push() */

/* Appends the bytes of *view, which must have a holder, and on TRIB_OK moves the caller's reference into the queue. flags:
 * TRIB_RECV_MARK, and TRIB_QUEUE_MORE: do not wake the consumer yet, another push follows at once. Waits while the budget is
 * full; a view is always taken where nothing is held. TRIB_AGAIN, TRIB_ERR_TIMEOUT, TRIB_ERR_NOMEM: not taken. TRIB_ERR_CLOSED:
 * the consumer has gone. TRIB_ERR_CANCELLED.
 * TRIB_ERR_LIMIT: the view alone is larger than the hard limit. TRIB_ERR_USAGE: after finish. */
TRIB_API int trib_queue_push(struct trib_queue *queue, struct trib_view *view /* takes */, unsigned flags, int64_t deadline,
                             struct trib_error *err);

/* The same for several views in one step, which costs less: from the front of `views`, of which none is empty, until one is not
 * taken. The holders of those that were taken are NULL then; flags are those of the last one. TRIB_OK: *ret_bytes were taken, from
 * one view at least, and what stopped the others the next call will tell. */
TRIB_API int trib_queue_push_views(struct trib_queue *queue, struct trib_view *views, size_t count, unsigned flags, int64_t deadline,
                                   size_t *ret_bytes, struct trib_error *err);

/* No more. code 0: the consumer gets TRIB_EOF after the last chunk; a negative code: that error, with the text (may be NULL). The
 * first call counts. */
TRIB_API void trib_queue_finish(struct trib_queue *queue, int code, const char *text);

/* finish was called. */
TRIB_API bool trib_queue_finished(const struct trib_queue *queue);

/* Runs fn(arg) once when push is worth calling again: at once, inside this call, if it is; else on the thread that makes room.
 * NULL disarms. fn must not block, nor call the queue, nor let go of a chunk. */
TRIB_API void trib_queue_on_room(struct trib_queue *queue, trib_ready_fn *fn, void *arg);

/* ---- Consumer ---- */

/* As the recv slot of a channel. */
TRIB_API int trib_queue_pop(struct trib_queue *queue, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                            struct trib_error *err);

/* Bytes that wait to be popped. */
TRIB_API size_t trib_queue_bytes(const struct trib_queue *queue);

/* Runs fn(arg) once when pop is worth calling: at once, inside this call, if it is; else on the producer's (or the cancelling)
 * thread. NULL disarms. fn must not block, nor call the queue, nor let go of a chunk. */
TRIB_API void trib_queue_on_bytes(struct trib_queue *queue, trib_ready_fn *fn, void *arg);

/* The consumer goes: what waits is let go, push returns TRIB_ERR_CLOSED. */
TRIB_API void trib_queue_close(struct trib_queue *queue);

/* Any thread: both ends return TRIB_ERR_CANCELLED from now on. */
TRIB_API void trib_queue_cancel(struct trib_queue *queue);

/* Times that an end slept. */
TRIB_API uint64_t trib_queue_waits(const struct trib_queue *queue);

TRIB_END_DECLS

#endif
