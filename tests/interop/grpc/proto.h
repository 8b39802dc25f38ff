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

/* A response: total, and its payload (field 1). Returns false where it is malformed; *ret_body are the bytes of the payload. */
bool proto_parse_response(const uint8_t *data, size_t len, const uint8_t **ret_body, size_t *ret_body_len, uint64_t *ret_total);

/* What comes before the bytes of a payload: so many of them follow, and end the message. At most PROTO_HEAD_MAX bytes; returns how many. */
enum { PROTO_HEAD_MAX = 2048 };
size_t proto_payload_head(uint8_t *to, unsigned field, size_t body);

/* The same for a whole request, whose payload comes last; payload_size says how many bytes follow. */
size_t proto_request_head(uint8_t *to, enum proto_kind kind, const struct proto_request *request);

size_t proto_varint_field(uint8_t *to, unsigned field, uint64_t value);

#endif
