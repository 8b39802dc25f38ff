/* What a reader asks of its queue beyond the public calls. */
#ifndef TRIBI_QUEUE_INTERNAL_H
#define TRIBI_QUEUE_INTERNAL_H

#include <tributary/queue.h>

/* Consumer: finished, with this code, and everything has been popped. */
bool tribi_queue_over(const struct trib_queue *queue, int *ret_code);

#endif
