/* The inside of a reader: a cursor in one piece, the pieces behind it, and where more come from. */
#ifndef TRIBI_READER_INTERNAL_H
#define TRIBI_READER_INTERNAL_H

#include "counter-internal.h"

#include <tributary/channel.h>
#include <tributary/queue.h>
#include <tributary/reader.h>
#include <tributary/transport.h>

#include <stdatomic.h>

struct event;

/* A function that is not inlined into its callers. */
#if defined(__GNUC__)
#define TRIBI_APART __attribute__((noinline))
#else
#define TRIBI_APART
#endif

/* A growing ring of views; each holds one reference. */
struct tribi_pieces {
    struct trib_view *views;
    size_t first, count, capacity; /* capacity: a power of two */
    size_t bytes;
};

/* Stream positions at which messages end, in order. */
struct tribi_marks {
    uint64_t *at;
    size_t first, count, capacity;
    uint64_t few[2]; /* where they lie in the beginning */
};

struct trib_reader {
    /* The cursor: all that a take inside a chunk touches. `end` is where the piece or the innermost sub-stream ends, whichever
     * comes first. */
    const uint8_t *cursor, *end;
    struct trib_chunk *holder; /* of the piece; one reference, or NULL */
    uint64_t takes;
    atomic_bool cancelled;

    const uint8_t *piece_end;
    /* The queue whose chunks come without another call, or NULL: fed, or what the channel's recv pops from, known from the first
     * call on. */
    struct trib_queue *source;
    tribi_counter from_inbox; /* bytes that came so from a channel's */
    size_t room;              /* bytes behind piece_end, in a block that is ours alone, for what else belongs to a piece being put together */
    uint64_t piece_end_position;
    struct tribi_pieces behind; /* received, behind the piece */
    struct tribi_pieces lent;   /* handed out by take_vector: let go at the next call */

    unsigned depth; /* of `limits` */

    struct tribi_marks marks;
    uint64_t message_start;  /* where the last mark lay that was passed */
    uint64_t marks_position; /* where the marks were looked at last */
    bool at_mark;

    bool ended;  /* the source said TRIB_EOF */
    int failed;  /* the error that sticks, or 0: `failure` */

    int64_t deadline;
    struct trib_budget *budget;
    bool in_lane; /* we alone release in the lane of the budget */
    struct trib_channel *channel; /* this or the queue is the source */
    bool probe; /* asking the channel for what is there costs less than reading the clock */
    bool has_marks;
    bool asked; /* this call has asked for more bytes */

    struct event_base *base;
    struct event *event; /* runs the callback soon; NULL: the channel does */
    trib_readable_fn *callback;
    void *callback_arg;
    bool watching;

    uint64_t chunks, copies, copied_crossing, copied_aligning, copied_into, waits;
    int64_t blocked_ns;

    /* From here on nothing is zeroed. */
    uint64_t limits[TRIB_READER_LIMITS_MAX]; /* positions where sub-streams end */
    struct trib_error failure;

    /* Whoever feeds looks at this for each chunk: not on a cache line that the consumer writes. */
    struct trib_queue *queue;
    char pad[64];
};

/* The reader of a channel, in memory of its; takes a reference to the budget. */
void tribi_reader_init_pull(struct trib_reader *reader, struct trib_channel *channel, struct trib_budget *budget);
void tribi_reader_done(struct trib_reader *reader);

/* Any thread: from now on every call returns TRIB_ERR_CANCELLED. Does not cancel the channel. */
void tribi_reader_mark_cancelled(struct trib_reader *reader);

/* Bytes of the channel that its recv has not counted. Any thread. */
static inline uint64_t tribi_reader_from_inbox(const struct trib_reader *reader)
{
    return tribi_counted(&reader->from_inbox);
}

/* ---- Shared by the files of the reader ---- */

static inline size_t tribi_reader_piece(const struct trib_reader *reader)
{
    return (size_t)(reader->piece_end - reader->cursor);
}

/* Received and not consumed, sub-streams or not. */
static inline size_t tribi_reader_received(const struct trib_reader *reader)
{
    return tribi_reader_piece(reader) + reader->behind.bytes;
}

static inline uint64_t tribi_reader_position(const struct trib_reader *reader)
{
    return reader->piece_end_position - tribi_reader_piece(reader);
}

/* A take inside the piece: n bytes are consumed, and begin where this says. NULL: there are fewer, or there is more to do. From 1 on: nothing is no
 * take. */
static inline const uint8_t *tribi_reader_take_here(struct trib_reader *reader, size_t n)
{
    const uint8_t *at = reader->cursor;

    if (n - 1 >= (size_t)(reader->end - at) || atomic_load_explicit(&reader->cancelled, memory_order_relaxed))
        return NULL;
    reader->cursor = at + n;
    reader->takes++;
    return at;
}

/* TRIB_ERR_CANCELLED, or TRIB_OK. */
int tribi_reader_check_cancel(const struct trib_reader *reader, struct trib_error *err);

/* What every call other than a take inside the piece begins with: TRIB_ERR_CANCELLED, or TRIB_OK and the views of the call before
 * have ended. */
int tribi_reader_enter(struct trib_reader *reader, struct trib_error *err);

/* Makes the next n bytes one piece, aligned. On TRIB_OK cursor[0..n) are they. Other outcomes as trib_reader_take(). */
int tribi_reader_ensure(struct trib_reader *reader, size_t n, size_t align, struct trib_error *err);

/* Receives until n bytes are there, in as many pieces as they come. Outcomes as trib_reader_take(). */
int tribi_reader_fill(struct trib_reader *reader, size_t n, struct trib_error *err);

/* Receives once: at least one byte more (or a mark), or an outcome that is not TRIB_OK. `missing` of them are wanted, contiguous
 * with what is there if `whole`, on `align`. TRIB_EOF is the source's. */
int tribi_reader_pull(struct trib_reader *reader, size_t missing, bool whole, size_t align, struct trib_error *err);

/* The short way to the next chunk of a queue, for a take of n bytes: nothing is held, and the chunk is there, whole and without a mark.
 * False: all is as it was. n > 0. */
bool tribi_reader_next_queued(struct trib_reader *reader, size_t n);

/* A whole trib_reader_take() that way. */
bool tribi_reader_take_queued(struct trib_reader *reader, size_t n, struct trib_view *ret_view);

/* The reference to the piece's chunk goes; `holder` is to be set. */
void tribi_reader_let_go(struct trib_reader *reader);

/* Sets `end` after the piece or the sub-streams changed. */
void tribi_reader_clip(struct trib_reader *reader);

/* Consumes n bytes of the piece. */
static inline void tribi_reader_advance(struct trib_reader *reader, size_t n)
{
    reader->cursor += n;
    reader->takes += n != 0;
}

/* Makes the first piece behind the current one, which is consumed, the current one. */
void tribi_reader_next_piece(struct trib_reader *reader);

/* TRIB_OK, or how asking for n bytes that are more than the innermost sub-stream has ends: TRIB_EOF, TRIB_ERR_SHORT. */
int tribi_reader_check_limit(struct trib_reader *reader, uint64_t n, struct trib_error *err);

/* The outcome where the stream ended before n bytes. A sub-stream is a length, and so an end inside it is never a good one. */
int tribi_reader_short(struct trib_reader *reader, uint64_t n, struct trib_error *err);

/* Room for so many more, so that the pushes that follow cannot fail. TRIB_OK or TRIB_ERR_NOMEM. */
int tribi_pieces_reserve(struct tribi_pieces *pieces, size_t extra);
void tribi_pieces_push(struct tribi_pieces *pieces, struct trib_view view);
void tribi_pieces_push_front(struct tribi_pieces *pieces, struct trib_view view);
struct trib_view tribi_pieces_pop(struct tribi_pieces *pieces);
struct trib_view *tribi_pieces_at(const struct tribi_pieces *pieces, size_t index);
void tribi_pieces_clear(struct tribi_pieces *pieces);
void tribi_pieces_done(struct tribi_pieces *pieces);

void tribi_marks_init(struct tribi_marks *marks);
void tribi_marks_done(struct tribi_marks *marks);
/* Room for one more; then: the end of a message lies at this position. */
int tribi_marks_reserve(struct tribi_marks *marks);
void tribi_marks_push(struct tribi_marks *marks, uint64_t position);

/* Drops the marks that were passed; at_mark is right afterwards. */
void tribi_reader_pass_marks(struct trib_reader *reader);

/* After a TRIB_AGAIN: sees to it that the callback runs. */
int tribi_reader_watch(struct trib_reader *reader, struct trib_error *err);
void tribi_reader_drop_callback(struct trib_reader *reader);

#endif
