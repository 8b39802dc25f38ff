/* What a FileDescriptorProto names. Pure functions. */
#ifndef TRIBUTARY_GRPC_SYMBOLS_INTERNAL_H
#define TRIBUTARY_GRPC_SYMBOLS_INTERNAL_H

#include "transports/grpc/proto-internal.h"

/* Whether it is protobuf all through, as far as it is looked at here. */
bool tribi_symbols_valid(struct tribi_proto_span file);

/* Whether it defines this name in full: a message, field, enum, value, service, method or extension. */
bool tribi_symbols_defines(struct tribi_proto_span file, struct tribi_proto_span symbol);

/* fn for each service, with its name in full; false of fn ends it. Names above 512 bytes are left out. */
typedef bool tribi_symbols_service_fn(void *arg, const char *name, size_t len);
void tribi_symbols_services(struct tribi_proto_span file, tribi_symbols_service_fn *fn, void *arg);

/* fn for each extension of this type in the file, with its number. */
typedef bool tribi_symbols_extension_fn(void *arg, uint64_t number);
void tribi_symbols_extensions(struct tribi_proto_span file, struct tribi_proto_span type, tribi_symbols_extension_fn *fn,
                              void *arg);

#endif
