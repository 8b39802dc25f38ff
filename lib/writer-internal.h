/* The writer inside: what is gathered (lib/writer.c) and how it leaves (lib/writer_send.c). */
#ifndef TRIBI_WRITER_INTERNAL_H
#define TRIBI_WRITER_INTERNAL_H

#include <tributary/transport.h>
#include <tributary/writer.h>

#include <stdatomic.h>

enum {
    TRIBI_WRITER_PIECES_MAX = 1024, /* what one system call takes (IOV_MAX) */
    TRIBI_WRITER_SEGMENTS_MAX = 64,
    TRIBI_WRITER_SEGMENTS_FEW = 4,
    TRIBI_WRITER_PIECES_FEW = 4,
    TRIBI_WRITER_BLOCK = 8192 - 64  /* of small things; with the pool's slack a power of two */
};

/* A run of pieces that leaves in sends of its own: a message, or what stands between two. Without marks there is only one. */
struct tribi_segment {
    size_t pieces;
    uint64_t size;  /* of the message */
    unsigned flags; /* TRIB_SEND_BEGIN until its first byte has left; TRIB_SEND_END once all its bytes are written */
};

/* References to one chunk, taken many at a time: pieces of the same chunk cost an atomic step each otherwise, which is half of what they
 * cost at all. They go back as soon as no piece has one. */
struct tribi_writer_refs {
    struct trib_chunk *holder;
    size_t spare; /* taken and not in a piece */
    size_t out;   /* in pieces */
};

struct trib_writer {
    struct trib_channel *channel;
    bool marks;        /* the channel has messages */
    bool by_reference; /* a send moves references: it costs less than reading the clock */
    bool corked;       /* end_message does not send */
    bool in_message;
    bool finished;
    bool again;        /* somebody was told TRIB_AGAIN: the callback is due */
    bool watching;
    int failed;        /* the error that sticks, or 0 */
    atomic_bool cancelled;
    atomic_bool stopped; /* one of finished, failed, cancelled: an append has to look closer */
    int64_t deadline;

    /* Pieces [first, end) are gathered, each with one reference to its holder; the last segment is the one that is written to. */
    struct trib_view *pieces; /* `few_pieces`, or in memory of their own */
    size_t capacity, first, end;
    size_t pending; /* their bytes */
    size_t gather;  /* options: send from here on */
    size_t bound;   /* gather no more */
    size_t send_at; /* send before the next append if so much is pending: `gather`, and further on once the channel took no more */
    struct tribi_segment *segments; /* `few_segments`, or as many as there may be */
    size_t segment_first, segment_last, segment_capacity;
    uint64_t message_left; /* UINT64_MAX outside a message */

    /* Small things go here, one behind the other. */
    struct trib_chunk *block;
    uint8_t *block_data;
    size_t block_used, block_len;
    struct tribi_writer_refs block_refs;
    struct tribi_writer_refs view_refs; /* of the chunk that was written last */

    struct event_base *base;
    trib_writable_fn *fn; /* NULL: no callback */
    void *fn_arg;

    uint64_t position;
    struct trib_writer_stats stats;
    struct tribi_segment few_segments[TRIBI_WRITER_SEGMENTS_FEW];
    struct trib_view few_pieces[TRIBI_WRITER_PIECES_FEW]; /* from here on nothing is zeroed */
    struct trib_error error; /* of the call under way; of `failed`, once that is set */
};

/* In front of `channel`, which outlives it, in memory of its. `gather`: bytes from which an append sends first; `bound`: bytes that are gathered at
 * most where the channel takes none and the deadline is TRIB_NOWAIT. */
void tribi_writer_init(struct trib_writer *writer, struct trib_channel *channel, size_t gather, size_t bound);

/* Lets go of what was not sent. The channel is closed: no watch runs any more. */
void tribi_writer_done(struct trib_writer *writer);

/* Any thread: the next call returns TRIB_ERR_CANCELLED. A call that waits is woken by the channel. */
void tribi_writer_mark_cancelled(struct trib_writer *writer);

static inline bool tribi_writer_stopped(struct trib_writer *writer)
{
    return atomic_load_explicit(&writer->stopped, memory_order_relaxed);
}

/* TRIB_OK, or why nothing can be done any more: the error that sticks, which a cancel is from now on. In writer->error. */
int tribi_writer_check(struct trib_writer *writer);

/* Sends all that is gathered. Errors in writer->error; those that stick stick. */
int tribi_writer_send(struct trib_writer *writer);

/* A reference to `holder` for a piece. */
void tribi_writer_ref(struct trib_writer *writer, struct tribi_writer_refs *refs, struct trib_chunk *holder);

/* A piece gives its reference back; NULL is allowed. */
void tribi_writer_unref(struct trib_writer *writer, struct trib_chunk *holder);

/* No piece is left: nothing is kept in reserve. */
void tribi_writer_return_refs(struct trib_writer *writer);

/* The end of a public call: hands out the error, and remembers that a callback is due. Returns code. */
int tribi_writer_tell(struct trib_writer *writer, int code, struct trib_error *err);

static inline int tribi_writer_report(struct trib_writer *writer, int code, struct trib_error *err)
{
    return code == TRIB_OK ? code : tribi_writer_tell(writer, code, err);
}

#endif
