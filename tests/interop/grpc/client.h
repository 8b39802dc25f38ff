/* What the test cases of our client are written with; a failure prints its reason and ends the program with 1. */
#ifndef TRIBUTARY_TESTS_INTEROP_CLIENT_H
#define TRIBUTARY_TESTS_INTEROP_CLIENT_H

#include <tributary/grpc.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include "tests/interop/grpc/proto.h"

#define TEST_SERVICE "/grpc.testing.TestService/"

struct peer {
    const char *uri;
    long pid; /* of the server; 0: not said */
    struct trib_grpc_client *client;
};

struct client_case {
    const char *name;
    void (*run)(struct peer *peer);
};

/* Both lists end with a name that is NULL. */
extern const struct client_case official_cases[];
extern const struct client_case more_cases[];

_Noreturn void give_up(const char *format, ...) TRIB_PRINTF(1, 2);

/* Options may be NULL; a call without a deadline gets one of 30 s. */
struct trib_grpc_call *call_begin(struct peer *peer, const char *path, const struct trib_grpc_call_options *options);
void call_end(struct trib_grpc_call *call);

/* Nothing is asked for, nothing expected to be compressed. */
struct proto_request request_of(size_t payload);
struct proto_request request_for(size_t payload, size_t response);

void send_request(struct trib_grpc_call *call, enum proto_kind kind, const struct proto_request *request);
void send_empty(struct trib_grpc_call *call);
void half_close(struct trib_grpc_call *call);

/* A response whose payload has so many bytes, all of them zero. */
void receive_payload(struct trib_grpc_call *call, size_t size);
void receive_total(struct trib_grpc_call *call, uint64_t total);
void receive_empty(struct trib_grpc_call *call);

/* The code of the call once no more messages come; the text, which may be NULL, lasts as long as the call. */
int call_status(struct trib_grpc_call *call, const char **ret_text);

/* No more messages come, and the call has ended with this code. */
void expect_status(struct trib_grpc_call *call, int code);
void expect_text(struct trib_grpc_call *call, int code, const char *text);

/* A unary call with one request; its response has so many bytes. */
void unary(struct peer *peer, const struct proto_request *request, bool compress);

#endif
