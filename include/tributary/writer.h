/* The zero-copy stream writer: gathers views, chunks and small things, and sends them in few system calls. */
#ifndef TRIBUTARY_WRITER_H
#define TRIBUTARY_WRITER_H

#include <tributary/chunk.h>
#include <tributary/error.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* The writer of a channel (trib_channel_writer). One thread at a time, which may be another one than the reader's; cancel from
 * any.
 *
 * What is written is gathered, and sent when the gathering is full (options->gather bytes, or 1024 pieces), at flush, finish and,
 * on channels with message marks, end_message. Unless a call says otherwise:
 * TRIB_OK: gathered or sent. TRIB_AGAIN: the deadline is TRIB_NOWAIT, nothing more can be gathered, and nothing of this call was
 * taken; the callback, if set, will run. TRIB_ERR_TIMEOUT: likewise with a deadline. TRIB_ERR_NOMEM, TRIB_ERR_USAGE: nothing was
 * taken, the writer is as before.
 * TRIB_ERR_CLOSED: the peer reads no more. It and all other errors stick; what was gathered is lost. */

/* copy: small things share a header block. For more than a few KiB use a view or a chunk. */
TRIB_API int trib_writer_bytes(struct trib_writer *writer, const void *data, size_t len, struct trib_error *err);

/* References the view's holder until the bytes are sent. A view without a holder is copied. */
TRIB_API int trib_writer_view(struct trib_writer *writer, struct trib_view view, struct trib_error *err);

/* References the chunk, takes the caller's reference over. */
TRIB_API int trib_writer_chunk(struct trib_writer *writer, struct trib_chunk *chunk /* takes */, struct trib_error *err);

/* Integers, copied. Whole or not at all. */
TRIB_API int trib_writer_u8(struct trib_writer *writer, uint8_t value, struct trib_error *err);
TRIB_API int trib_writer_be16(struct trib_writer *writer, uint16_t value, struct trib_error *err);
TRIB_API int trib_writer_be32(struct trib_writer *writer, uint32_t value, struct trib_error *err);
TRIB_API int trib_writer_be64(struct trib_writer *writer, uint64_t value, struct trib_error *err);
TRIB_API int trib_writer_le16(struct trib_writer *writer, uint16_t value, struct trib_error *err);
TRIB_API int trib_writer_le32(struct trib_writer *writer, uint32_t value, struct trib_error *err);
TRIB_API int trib_writer_le64(struct trib_writer *writer, uint64_t value, struct trib_error *err);

/* A 4-byte length and the bytes, taken together or not at all; the view is referenced as by trib_writer_view(). TRIB_ERR_LIMIT:
 * more than INT32_MAX bytes. */
TRIB_API int trib_writer_bytes_be32(struct trib_writer *writer, struct trib_view view, struct trib_error *err);
TRIB_API int trib_writer_bytes_le32(struct trib_writer *writer, struct trib_view view, struct trib_error *err);

/* Brackets a message of exactly `size` bytes. On channels without TRIB_CAP_MESSAGES only the size is checked. TRIB_ERR_USAGE:
 * begin inside a message, end outside one, more bytes than announced, or end before they are all written. On channels with marks
 * end_message sends what is gathered (without waiting for more than the deadline allows; it stays gathered on TRIB_AGAIN, and the
 * message has ended). */
TRIB_API int trib_writer_begin_message(struct trib_writer *writer, uint64_t size, struct trib_error *err);
TRIB_API int trib_writer_end_message(struct trib_writer *writer, struct trib_error *err);

/* on: from now on end_message gathers as everything else does, so that many small messages leave in one piece; who has written what there
 * was flushes. off, as at the start: it sends. Sends nothing itself. */
TRIB_API void trib_writer_cork(struct trib_writer *writer, bool on);

/* Sends all that is gathered. TRIB_AGAIN, TRIB_ERR_TIMEOUT: a part may have gone; call again for the rest. */
TRIB_API int trib_writer_flush(struct trib_writer *writer, struct trib_error *err);

/* Flushes and tells the peer that this is the end: with status 0 a good one, otherwise a failure with `text` (may be NULL), which
 * reaches the peer where the channel has TRIB_CAP_STATUS. After TRIB_AGAIN and TRIB_ERR_TIMEOUT call again; after TRIB_OK again
 * does nothing; writing after it is TRIB_ERR_USAGE. Reading goes on where the channel has TRIB_CAP_HALF_CLOSE. TRIB_ERR_USAGE:
 * inside a message, with status 0. */
TRIB_API int trib_writer_finish(struct trib_writer *writer, int status, const char *text, struct trib_error *err);

/* For all calls from now on: TRIB_FOREVER (at the start), TRIB_NOWAIT, or a time. */
TRIB_API void trib_writer_set_deadline(struct trib_writer *writer, int64_t deadline);

typedef void trib_writable_fn(struct trib_writer *writer, void *arg);

/* From now on the writer does not wait; what it gathered is sent from `base` as the channel takes it, and after each TRIB_AGAIN
 * fn runs there, when all of it has been sent (or an error sticks: TRIB_ERR_NOMEM too where the base sends, for there is no call
 * that could return it). It never runs inside a call on the writer. The rules of trib_reader_set_callback() hold, that for the
 * base's lifetime too. */
TRIB_API int trib_writer_set_callback(struct trib_writer *writer, struct event_base *base, trib_writable_fn *fn, void *arg,
                                      struct trib_error *err);

/* Any thread; cancels the channel. */
TRIB_API void trib_writer_cancel(struct trib_writer *writer);

/* Bytes written since the start; bytes of them that are gathered and not sent. */
TRIB_API uint64_t trib_writer_position(const struct trib_writer *writer);
TRIB_API size_t trib_writer_pending(const struct trib_writer *writer);

struct trib_writer_stats {
    size_t size;           /* set it before the call */
    uint64_t bytes;        /* written */
    uint64_t pieces;       /* spans handed to the channel */
    uint64_t sends;        /* calls of the channel's send */
    uint64_t partial_sends; /* of them, those that took a part */
    uint64_t copied;       /* bytes copied: bytes(), integers, views without a holder */
    uint64_t messages;
    uint64_t waits;        /* flushes that met a full channel */
    int64_t blocked_ns;    /* time spent in send and finish */
};

/* Since the start, as far as ret_stats->size reaches. The writer's thread. */
TRIB_API void trib_writer_stats(const struct trib_writer *writer, struct trib_writer_stats *ret_stats);

TRIB_END_DECLS

#endif
