/* The zero-copy stream reader: chunks in, views out. */
#ifndef TRIBUTARY_READER_H
#define TRIBUTARY_READER_H

#include <tributary/chunk.h>
#include <tributary/error.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* A reader takes chunks from a channel (trib_channel_reader) or from whoever feeds it (trib_reader_new), and gives views of
 * exactly the bytes asked for. One consumer: calls other than feed, finish, fail and cancel come from one thread at a time. One
 * producer: feed, finish and fail come from one thread at a time, which may be another one.
 *
 * Unless a call says otherwise:
 * TRIB_OK: done, bytes consumed. A view is valid until the next call that consumes, peeks or frees; trib_view_retain() makes it
 * last.
 * TRIB_AGAIN: the bytes are not there and the deadline is TRIB_NOWAIT; nothing consumed; the callback, if set, will run.
 * TRIB_EOF: the stream ended and nothing was left. TRIB_ERR_SHORT: it ended before n; err->wanted and err->got say how many were
 * asked for and how many there are; nothing consumed, they can still be taken.
 * TRIB_ERR_LIMIT: n, together with what is held, is more than the hard limit; TRIB_ERR_TIMEOUT; TRIB_ERR_NOMEM: the reader is as
 * before. TRIB_ERR_USAGE: likewise. All other errors stick: once what had come before is taken, every call returns the same. A
 * cancel comes before everything: from then on each call but the inspecting ones returns TRIB_ERR_CANCELLED. */

struct trib_reader_options {
    size_t size;
    size_t budget;             /* default 8 MiB */
    size_t limit;              /* default 256 MiB, or the budget if that is more */
    struct trib_chunk *initial; /* first bytes, or NULL; the reader takes a reference of its own, and does not count them as held */
};
#define TRIB_READER_OPTIONS_INIT { sizeof(struct trib_reader_options), 0, 0, NULL }

/* A reader to be fed. options may be NULL. */
TRIB_API int trib_reader_new(const struct trib_reader_options *options, struct trib_reader **ret_reader, struct trib_error *err);

/* NULL is allowed. Never for the reader of a channel. No other thread may be inside a call; a producer must have stopped. */
TRIB_API void trib_reader_free(struct trib_reader *reader);

/* ---- Feeding (producer's thread) ------------------------------------------------------------------------------
 * For readers made by trib_reader_new(); TRIB_ERR_USAGE on others. */

/* Appends a chunk. Waits while the budget is full, until `deadline` (TRIB_NOWAIT: TRIB_AGAIN, TRIB_ERR_TIMEOUT: not taken). A
 * chunk of 0 bytes is taken and let go. TRIB_ERR_USAGE: NULL, or after finish or fail. TRIB_ERR_CANCELLED: the consumer
 * cancelled. */
TRIB_API int trib_reader_feed(struct trib_reader *reader, struct trib_chunk *chunk /* takes */, int64_t deadline,
                              struct trib_error *err);

/* Runs fn(arg) once when feed is worth calling again after TRIB_AGAIN: on the consumer's thread, or whichever releases the chunk
 * that made room; it must not block, nor call the reader, nor let go of a chunk. */
TRIB_API int trib_reader_on_room(struct trib_reader *reader, void (*fn)(void *arg), void *arg, struct trib_error *err);

/* No more bytes will come. Idempotent: the second call, also after fail, does nothing. */
TRIB_API int trib_reader_finish(struct trib_reader *reader, struct trib_error *err);

/* The producer failed: once what it had fed is taken, the consumer gets `code` (TRIB_ERR_FAILED, or another negative one that
 * says it better) with this text. The first of finish and fail counts. */
TRIB_API int trib_reader_fail(struct trib_reader *reader, int code, const char *text, struct trib_error *err);

/* ---- Waiting ------------------------------------------------------------------------------------------------- */

/* For all calls from now on: TRIB_FOREVER (at the start), TRIB_NOWAIT, or a time. Consumer's thread. */
TRIB_API void trib_reader_set_deadline(struct trib_reader *reader, int64_t deadline);

/* The one that was set last. Consumer's thread. */
TRIB_API int64_t trib_reader_deadline(const struct trib_reader *reader);

/* Runs on the thread of the base. */
typedef void trib_readable_fn(struct trib_reader *reader, void *arg);

/* From now on the reader does not wait (whatever its deadline, which counts again once the callback is ended), and after each
 * TRIB_AGAIN fn runs on `base` when a call is worth trying again: bytes, end, failure or cancel. It also runs once soon after this
 * call. It never runs inside a call on the reader. Call from the thread that runs the base; NULL as fn ends it. Fed from another
 * thread, or cancelled by one, the base must be usable from several threads (evthread_use_pthreads() before it was made). The base
 * must last until the callback is ended or the reader freed. TRIB_ERR_UNSUPPORTED: the channel lacks TRIB_CAP_EVENTS. */
TRIB_API int trib_reader_set_callback(struct trib_reader *reader, struct event_base *base, trib_readable_fn *fn, void *arg,
                                      struct trib_error *err);

/* Any thread. Sticks; a blocked call returns at once. On the reader of a channel it cancels the channel. */
TRIB_API void trib_reader_cancel(struct trib_reader *reader);

/* ---- Taking ---------------------------------------------------------------------------------------------------
 * What is asked for lies in one piece (but for take_vector), and is copied only where it crosses chunks that already exist. */

/* The next n bytes. n = 0: TRIB_OK at once, with an empty view, whatever the state of the stream (but cancel). */
TRIB_API int trib_reader_take(struct trib_reader *reader, size_t n, struct trib_view *ret_view, struct trib_error *err);

/* The same, the first byte on a multiple of `align` (a power of two up to 4096): received there where the transport can, copied
 * where the bytes had come already and lie elsewhere. */
TRIB_API int trib_reader_take_aligned(struct trib_reader *reader, size_t n, size_t align, struct trib_view *ret_view,
                                      struct trib_error *err);

/* What is there, at least 1 and at most max bytes, without a copy; waits only if there is nothing. max = 0: as take(0). Never
 * TRIB_ERR_SHORT. */
TRIB_API int trib_reader_take_some(struct trib_reader *reader, size_t max, struct trib_view *ret_view, struct trib_error *err);

/* The next n bytes as views of the chunks that they came in, never copied. TRIB_ERR_LIMIT: more than max_views (err->wanted says
 * how many); nothing consumed. */
TRIB_API int trib_reader_take_vector(struct trib_reader *reader, size_t n, struct trib_view *ret_views, size_t max_views,
                                     size_t *ret_count, struct trib_error *err);

/* Everything up to the end, which may be nothing (TRIB_OK, empty view). TRIB_ERR_LIMIT: more than `limit` bytes; nothing
 * consumed. */
TRIB_API int trib_reader_take_all(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err);

/* As take, consuming nothing. */
TRIB_API int trib_reader_peek(struct trib_reader *reader, size_t n, struct trib_view *ret_view, struct trib_error *err);

/* Consumes n bytes without looking at them, however many: chunks are let go as they come. *ret_skipped (may be NULL) says how
 * many were skipped, also when it returns TRIB_AGAIN, TRIB_ERR_TIMEOUT or TRIB_ERR_SHORT: this is the one call that consumes
 * then. */
TRIB_API int trib_reader_skip(struct trib_reader *reader, uint64_t n, uint64_t *ret_skipped, struct trib_error *err);

/* copy: the caller asked for it. n bytes into buf; nothing is written unless TRIB_OK. */
TRIB_API int trib_reader_read_into(struct trib_reader *reader, void *buf, size_t n, struct trib_error *err);

/* Integers. */
TRIB_API int trib_reader_u8(struct trib_reader *reader, uint8_t *ret, struct trib_error *err);
TRIB_API int trib_reader_be16(struct trib_reader *reader, uint16_t *ret, struct trib_error *err);
TRIB_API int trib_reader_be32(struct trib_reader *reader, uint32_t *ret, struct trib_error *err);
TRIB_API int trib_reader_be64(struct trib_reader *reader, uint64_t *ret, struct trib_error *err);
TRIB_API int trib_reader_le16(struct trib_reader *reader, uint16_t *ret, struct trib_error *err);
TRIB_API int trib_reader_le32(struct trib_reader *reader, uint32_t *ret, struct trib_error *err);
TRIB_API int trib_reader_le64(struct trib_reader *reader, uint64_t *ret, struct trib_error *err);

/* A number in groups of 7 bits, the lowest first, each but the last with the top bit set (LEB128; the varint of Protocol Buffers): at most 10
 * bytes, consumed together or not at all. TRIB_ERR_PROTOCOL: more than 64 bits. TRIB_ERR_SHORT: err->wanted is one byte more than there were. */
TRIB_API int trib_reader_varint(struct trib_reader *reader, uint64_t *ret, struct trib_error *err);

/* A 4-byte length, big-endian (little-endian: le), and so many bytes. The length is checked before anything is reserved: above
 * `limit` (which must be at most INT32_MAX) it is TRIB_ERR_LIMIT, with the top bit set TRIB_ERR_PROTOCOL (a negative length).
 * Prefix and bytes are consumed together or not at all. string: as well TRIB_ERR_PROTOCOL unless it is UTF-8 (NUL is allowed: use
 * the length). */
TRIB_API int trib_reader_bytes_be32(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err);
TRIB_API int trib_reader_bytes_le32(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err);
TRIB_API int trib_reader_string_be32(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err);
TRIB_API int trib_reader_string_le32(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err);

/* ---- Messages ------------------------------------------------------------------------------------------------- */

/* The rest of the current message, as one view, up to its mark; empty for an empty message. Waits for the mark.
 * TRIB_ERR_UNSUPPORTED: the channel has no TRIB_CAP_MESSAGES (readers that are fed have none). TRIB_ERR_SHORT: the stream ended
 * inside a message. */
TRIB_API int trib_reader_take_message(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err);

/* The last byte consumed was the last one of a message (or an empty message was taken). */
TRIB_API bool trib_reader_at_mark(struct trib_reader *reader);

/* ---- The bounded sub-stream -----------------------------------------------------------------------------------
 * Until limit_pop, this reader is a stream of the next n bytes, which are parsed in place: at its end take returns TRIB_EOF, past
 * its end TRIB_ERR_SHORT at once, never a wait, whether the bytes have come or not. May be nested, TRIB_READER_LIMITS_MAX deep.
 * Where the stream itself ends inside, take returns TRIB_ERR_SHORT, with got 0 too; take_some returns TRIB_EOF: see limit_left. */
#define TRIB_READER_LIMITS_MAX 8

/* TRIB_ERR_USAGE: too deep. TRIB_ERR_SHORT: n reaches past the end of the sub-stream around it. */
TRIB_API int trib_reader_limit_push(struct trib_reader *reader, uint64_t n, struct trib_error *err);

/* Bytes of the sub-stream that are not consumed; UINT64_MAX without one. */
TRIB_API uint64_t trib_reader_limit_left(const struct trib_reader *reader);

/* Leaves the innermost sub-stream; what was left of it is the next to be taken. TRIB_ERR_USAGE: there is none. */
TRIB_API int trib_reader_limit_pop(struct trib_reader *reader, struct trib_error *err);

/* ---- Inspecting (never wait, never fail) ----------------------------------------------------------------------- */

/* The end is known and all before it has been consumed; in a sub-stream: its end. Does not wait for news: a pulling reader learns
 * of the end by a call that returns TRIB_EOF. */
TRIB_API bool trib_reader_finished(struct trib_reader *reader);

/* Bytes consumed since the start. */
TRIB_API uint64_t trib_reader_position(const struct trib_reader *reader);

/* Bytes that can be taken without waiting, as far as this thread knows. */
TRIB_API size_t trib_reader_available(struct trib_reader *reader);

struct trib_reader_stats {
    size_t size;            /* set it before the call */
    uint64_t bytes;         /* consumed */
    uint64_t takes;         /* calls that returned bytes, of every kind */
    uint64_t chunks;        /* that came in */
    uint64_t copies;        /* times that bytes were copied, for whatever reason */
    uint64_t copied_crossing; /* bytes copied because what was asked for crossed chunks, or outgrew its block */
    uint64_t copied_aligning; /* because they did not lie on the alignment asked for */
    uint64_t copied_into;     /* by read_into */
    uint64_t waits;         /* calls that had to ask for more bytes */
    int64_t blocked_ns;     /* time spent in those */
    size_t held;            /* bytes of the budget held now */
    size_t peak_held;
};

/* Since the start, as far as ret_stats->size reaches. The consumer's thread. */
TRIB_API void trib_reader_stats(const struct trib_reader *reader, struct trib_reader_stats *ret_stats);

TRIB_END_DECLS

#endif
