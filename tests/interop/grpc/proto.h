/* The messages of grpc.testing.TestService, as far as its test cases use them. */
#ifndef TRIBUTARY_TESTS_INTEROP_PROTO_H
#define TRIBUTARY_TESTS_INTEROP_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTO_SIZES_MAX = 64 };

enum proto_kind { PROTO_SIMPLE, PROTO_INPUT, PROTO_OUTPUT };

struct proto_size {
    size_t size;
    uint32_t interval_us;
    int compressed; /* -1: not said */
};

struct proto_request {
    struct proto_size sizes[PROTO_SIZES_MAX];
    size_t size_count;
    size_t payload_size;
    int expect_compressed; /* -1: not said */
    int status;
    char status_text[256];
};

bool proto_parse(const uint8_t *data, size_t len, enum proto_kind kind, struct proto_request *ret_request);

/* Field 1: a Payload whose body is what lies there already, moved behind its headers (zeros, here). Returns the length. */
size_t proto_payload(uint8_t *to, size_t body);
size_t proto_varint_field(uint8_t *to, unsigned field, uint64_t value);

#endif
