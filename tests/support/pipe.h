/* A queue under test, with both ends in one hand. */
#ifndef TRIBUTARY_TESTS_PIPE_H
#define TRIBUTARY_TESTS_PIPE_H

#include <tributary/queue.h>

struct pipe {
    struct trib_budget *budget;
    struct trib_queue *queue;
    uint64_t pushed, popped; /* bytes of the pattern */
    struct trib_error err;
};

struct pipe pipe_of(size_t high, size_t limit);

/* The test fails if anything is held still. */
void pipe_done(struct pipe *p);

/* Pushes the next len bytes of the pattern; what is not taken is let go. */
int pipe_push(struct pipe *p, size_t len, unsigned flags, int64_t deadline);

struct trib_want pipe_want(struct pipe *p, size_t min, size_t spare, int64_t deadline);

/* Pops into *ret_view, which the caller releases; its bytes have been checked. */
int pipe_pop(struct pipe *p, size_t min, int64_t deadline, struct trib_view *ret_view);

/* Pops exactly len bytes, which are there, and lets them go. */
void pipe_drop(struct pipe *p, size_t len);

#endif
