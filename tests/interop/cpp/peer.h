/* What client and server of grpc.testing.TestService on gRPC C++ share. */
#ifndef TRIBUTARY_TESTS_INTEROP_CPP_PEER_H
#define TRIBUTARY_TESTS_INTEROP_CPP_PEER_H

#include <grpcpp/grpcpp.h>

#include <string>
#include <vector>

#include "test.grpc.pb.h"

constexpr char INITIAL[] = "x-grpc-test-echo-initial";
constexpr char TRAILING[] = "x-grpc-test-echo-trailing-bin";

/* What gRPC C++ calls an address that we write as a URI. */
std::string address_of(const std::string &uri);

/* A request that is to be compressed, or says that it is. */
inline void set(grpc::testing::BoolValue *value, bool to) { value->set_value(to); }

inline void zeros(grpc::testing::Payload *payload, size_t size) { payload->set_body(std::string(size, '\0')); }

/* The message that was received last on this call came compressed. gRPC exports it for its own tests only. */
bool was_compressed(grpc_call *call);

int client_main(const std::string &uri, const std::vector<std::string> &cases);
int server_main(const std::vector<std::string> &uris);

#endif
