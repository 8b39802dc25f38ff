/* The conformance suite over a pair of queues. */
#include "tests/conformance_check.h"

#include <tributary/transports.h>

static int open_pair(void *arg, const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                     struct trib_error *err)
{
    (void)arg;
    return trib_chunk_pair(options, ret_a, ret_b, err);
}

TRIB_CONFORMANCE("chunk", open_pair)
