/* The channel as the core sees it: a transport's table and object, and the reader and writer in front of them. */
#ifndef TRIBI_CHANNEL_INTERNAL_H
#define TRIBI_CHANNEL_INTERNAL_H

#include "counter-internal.h"

#include <tributary/transport.h>

#include <stdatomic.h>

/* Whether a table, perhaps of an older build, has this optional slot. Required ones are checked when the object is made. */
#define TRIBI_HAS_SLOT(type, ops, slot) ((ops)->size >= offsetof(type, slot) + sizeof((ops)->slot) && (ops)->slot != NULL)
#define TRIBI_HAS(ops, slot) TRIBI_HAS_SLOT(struct trib_channel_ops, ops, slot)

/* Only lib/channel.c reads the table; everybody else goes through its functions. */
struct trib_channel {
    const struct trib_channel_ops *ops;
    void *self;
    unsigned capabilities; /* what the table says, without what its slots cannot hold */
    bool closed;
    atomic_bool cancelled;
    struct trib_budget *budget;
    struct trib_reader *reader;
    struct trib_writer *writer;
    /* Counted by the receiving and by the sending thread, each on a cache line of its own; read by any. */
    char pad_in[64];
    tribi_counter bytes_in;
    tribi_counter recv_calls;
    char pad_out[64];
    tribi_counter bytes_out;
    tribi_counter send_calls;
};

/* The queue that recv pops from, or NULL. */
struct trib_queue *tribi_channel_inbox(struct trib_channel *channel);

/* As trib_channel_watch() of TRIB_READABLE, but fn runs soon in any case. TRIB_ERR_UNSUPPORTED, and no text: the transport has no slot for that. */
int tribi_channel_soon(struct trib_channel *channel, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err);

#endif
