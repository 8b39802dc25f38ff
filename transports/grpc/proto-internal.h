/* What a few tiny protobuf messages need: fields one after the other, read in place and written by hand. */
#ifndef TRIBUTARY_GRPC_PROTO_INTERNAL_H
#define TRIBUTARY_GRPC_PROTO_INTERNAL_H

#include <tributary/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Reading ------------------------------------------------------------------------------------------------------ */

/* A span of bytes; what is in it is read from the front. */
struct tribi_proto_span {
    const uint8_t *data;
    size_t len;
};

struct tribi_proto_field {
    uint32_t number;
    bool is_bytes;                 /* else a number: */
    uint64_t value;
    struct tribi_proto_span bytes;
};

/* The next field, which *span is moved behind. TRIB_EOF: there is none. TRIB_ERR_PROTOCOL: this is no protobuf. */
int tribi_proto_next(struct tribi_proto_span *span, struct tribi_proto_field *ret_field);

/* The last field of this number that is bytes; empty where there is none. false: this is no protobuf. */
bool tribi_proto_find(struct tribi_proto_span span, uint32_t number, struct tribi_proto_span *ret_bytes);

/* ---- Writing ------------------------------------------------------------------------------------------------------ */

/* Grows; `failed` sticks where memory is lacking. Zeroed at the start. */
struct tribi_proto_out {
    uint8_t *data;
    size_t len, capacity;
    bool failed;
};

void tribi_proto_number(struct tribi_proto_out *out, uint32_t field, uint64_t value);
void tribi_proto_bytes(struct tribi_proto_out *out, uint32_t field, const void *data, size_t len);
void tribi_proto_text(struct tribi_proto_out *out, uint32_t field, const char *text);
/* A message inside: what is written up to end is in it. Its length takes 4 bytes, which protobuf allows. */
size_t tribi_proto_begin(struct tribi_proto_out *out, uint32_t field);
void tribi_proto_end(struct tribi_proto_out *out, size_t at);
void tribi_proto_done(struct tribi_proto_out *out); /* twice is safe */

#endif
