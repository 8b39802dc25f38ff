/* The conformance suite over a socket pair. */
#include "tests/conformance_check.h"

#include <tributary/transports.h>

static int open_pair(void *arg, const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                     struct trib_error *err)
{
    (void)arg;
    return trib_unix_pair(options, ret_a, ret_b, err);
}

TRIB_CONFORMANCE("unix", open_pair)
