/* Services that the tools of gRPC know, answered by the server itself: health checking and reflection. */
#ifndef TRIBUTARY_GRPC_SERVICES_H
#define TRIBUTARY_GRPC_SERVICES_H

#include <tributary/grpc.h>

TRIB_BEGIN_DECLS

enum trib_grpc_health { TRIB_GRPC_HEALTH_UNKNOWN = 0, TRIB_GRPC_HEALTH_SERVING = 1, TRIB_GRPC_HEALTH_NOT_SERVING = 2 };

/* Offers grpc.health.v1 (Check, List and Watch) from the first call on. service: "pkg.Service", or "" for the server as a whole, which
 * serves until something else is said. Who watches is told at once. When the server drains, nothing serves, and watches end with
 * UNAVAILABLE. On the thread of the base. Names are copied. */
TRIB_API int trib_grpc_server_set_health(struct trib_grpc_server *server, const char *service, enum trib_grpc_health status,
                                         struct trib_error *err);

/* Offers grpc.reflection.v1 (and v1alpha) from the first call on, for what a serialized google.protobuf.FileDescriptorSet describes,
 * as `protoc --include_imports --descriptor_set_out` writes it. Copied. Listed are those of its services that have a handler, and the
 * server's own. On the thread of the base. TRIB_ERR_USAGE: this is no such set, or another file of a name was described before. */
TRIB_API int trib_grpc_server_describe(struct trib_grpc_server *server, const void *descriptors, size_t len,
                                       struct trib_error *err);

TRIB_END_DECLS

#endif
