/* What a reader asks of its queue beyond the public calls. */
#ifndef TRIBI_QUEUE_INTERNAL_H
#define TRIBI_QUEUE_INTERNAL_H

#include <tributary/queue.h>

/* Consumer: finished, with this code, and everything has been popped. */
/* Pops what is there already, without a word to the producer. False: there may be nothing, or more to do: trib_queue_pop() knows. */
bool tribi_queue_pop_ready(struct trib_queue *queue, struct trib_view *ret_view);

bool tribi_queue_over(const struct trib_queue *queue, int *ret_code);

#endif
