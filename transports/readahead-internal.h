/* How much a channel that fills its own memory receives beyond what was asked for. */
#ifndef TRIBUTARY_READAHEAD_INTERNAL_H
#define TRIBUTARY_READAHEAD_INTERNAL_H

#include <tributary/transport.h>

/* What was learned from the wants so far. */
struct tribi_readahead {
    size_t window;     /* length of the next block for wants that are not big */
    size_t roof;       /* how far the window may grow */
    size_t big;        /* wants of so many bytes get a block of their own, and nothing behind it */
    bool fitted;       /* the window is a prediction of where a want ends */
    unsigned failures; /* of such predictions, since one was right */
    unsigned chance;   /* so many big wants until the next prediction, where they failed */
    unsigned patience; /* how many that will be the next time */
    unsigned lulls;    /* times in a row that little was received before all of it was consumed */
};

void tribi_readahead_init(struct tribi_readahead *ahead);

/* Receive exactly what is wanted. */
bool tribi_readahead_is_big(const struct tribi_readahead *ahead, const struct trib_want *want);

/* Bytes to ask of trib_want_alloc() for read-ahead in the block that `want` begins. Where the head of `want` is what the block
 * before ended with, or nothing is left of that: its length, and how much of it was received; else 0 and 0. */
size_t tribi_readahead_plan(struct tribi_readahead *ahead, const struct trib_want *want, size_t last_len, size_t last_used);

/* A call for `want` received `got` bytes where there was room for `room`. */
void tribi_readahead_received(struct tribi_readahead *ahead, const struct trib_want *want, size_t room, size_t got);

/* A block of `len` bytes may be used again from its start: all of the `used` bytes have been let go. false: better begin a new
 * one. */
bool tribi_readahead_again(struct tribi_readahead *ahead, size_t len, size_t used);

#endif
