/* What the two halves of chunk: know of each other: the channels, and the names under which they are opened. */
#ifndef TRIBUTARY_CHUNK_TRANSPORT_INTERNAL_H
#define TRIBUTARY_CHUNK_TRANSPORT_INTERNAL_H

#include <tributary/channel.h>

enum {
    TRIBI_CHUNK_CAPABILITIES = TRIB_CAP_MESSAGES | TRIB_CAP_HALF_CLOSE | TRIB_CAP_STATUS | TRIB_CAP_DETECTS_LOSS | TRIB_CAP_EVENTS |
                               TRIB_CAP_REFERENCES | TRIB_CAP_CREDENTIALS
};

/* Two connected channels, each with its own options, which are whole. */
int tribi_chunk_link(const struct trib_channel_options *options_a, const struct trib_channel_options *options_b,
                     struct trib_channel **ret_a, struct trib_channel **ret_b, struct trib_error *err);

#endif
