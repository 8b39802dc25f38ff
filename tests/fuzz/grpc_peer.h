/* A gRPC connection for fuzzers: bytes are its peer's, whatever they are; every call that they open is echoed, without a thread or a wait. */
#ifndef TRIBUTARY_TESTS_FUZZ_GRPC_PEER_H
#define TRIBUTARY_TESTS_FUZZ_GRPC_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct grpc_peer;

/* A server; or a client with one open call, stream 1. */
struct grpc_peer *grpc_peer_new(bool server);
/* In pieces of so many bytes. */
void grpc_peer_feed(struct grpc_peer *peer, const uint8_t *data, size_t len, size_t piece);
void grpc_peer_free(struct grpc_peer *peer);

#endif
