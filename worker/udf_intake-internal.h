/* The receiving end of an Execute stream: from what the channel receives to whole control messages and data, in place. */
#ifndef TRIBI_UDF_INTAKE_H
#define TRIBI_UDF_INTAKE_H

#include <tributary/channel.h>
#include <tributary/chunk.h>
#include <tributary/transport.h>

#include "udf_envelope-internal.h"

enum tribi_intake_kind {
    TRIBI_INTAKE_CONTROL = 1, /* bytes: a control message */
    TRIBI_INTAKE_DATA = 2,    /* bytes: data, whole and in one piece */
    TRIBI_INTAKE_EMPTY = 3,   /* a message with neither */
    /* Where `in_pieces`, in place of DATA: */
    TRIBI_INTAKE_BEGIN = 4,   /* data of `length` bytes begins */
    TRIBI_INTAKE_PIECE = 5,   /* bytes: some of it */
    TRIBI_INTAKE_END = 6      /* its message is over */
};

struct tribi_intake_item {
    enum tribi_intake_kind kind;
    uint64_t length;
    struct trib_view bytes; /* with one reference, which is the caller's */
};

/* Receives by the table's slot, without the channel's reader, so that it sees where messages end, empty ones too, and what is wanted of the
 * transport is the data alone: large data is received where it stays. One thread at a time. */
struct tribi_intake {
    struct trib_channel *channel;
    struct tribi_envelope envelope;
    size_t control_limit;
    size_t data_limit;
    size_t align;          /* of whole data, 1: wherever it lies */
    bool arrow;            /* of its first Arrow body, if it is Arrow */
    bool in_pieces;        /* data is handed out as it comes */
    bool hold;             /* ask for no more than comes by itself: too much is held already */
    struct trib_view rest; /* received, not looked at; one reference */
    bool mark;             /* the message ends behind it */
    struct trib_view have; /* of the part that is being put together, in one piece; one reference */
    struct trib_chunk *block; /* its holder, if we made it: room for `size` bytes */
    size_t size;           /* of the whole part */
    bool placed;           /* a place for the rest of it was asked for, */
    size_t skip;           /* this far behind a multiple of the alignment */
    bool broken;           /* the channel failed, not the message */
    uint64_t copied;       /* bytes of data that were moved */
    uint64_t received;     /* bytes of data */
};

void tribi_intake_init(struct tribi_intake *intake, struct trib_channel *channel);
void tribi_intake_done(struct tribi_intake *intake);

/* Something was received that is not looked at yet. */
static inline bool tribi_intake_has_some(const struct tribi_intake *intake)
{
    return intake->rest.len > 0 || intake->mark;
}

/* The next item. TRIB_AGAIN (deadline TRIB_NOWAIT), TRIB_ERR_TIMEOUT: call again. TRIB_EOF: the peer has finished, between messages.
 * TRIB_ERR_PROTOCOL: the envelope is malformed or not canonical, or the end came inside a message. TRIB_ERR_LIMIT: a control message or data above its
 * limit, with both numbers. Others are the channel's. After these, and TRIB_ERR_NOMEM, nothing more is to be asked. */
int tribi_intake_next(struct tribi_intake *intake, int64_t deadline, struct tribi_intake_item *ret_item, struct trib_error *err);

#endif
