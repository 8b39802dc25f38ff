/* The list of the transports that come with the library: a new one is one line here. */
#include <tributary/grpc.h>
#include <tributary/transports.h>

static const struct trib_transport *const builtin[] = { &trib_transport_unix, &trib_transport_chunk, &trib_transport_grpc_unix,
                                                        &trib_transport_grpc_tcp, NULL };

const struct trib_transport *const *trib_transports(void)
{
    return builtin;
}
