/* What dial needs of the client. */
#ifndef TRIBUTARY_GRPC_CLIENT_INTERNAL_H
#define TRIBUTARY_GRPC_CLIENT_INTERNAL_H

#include "transports/grpc/grpc-internal.h"

int tribi_grpc_client_new(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_grpc_client **ret_client,
                          struct trib_error *err);

#endif
