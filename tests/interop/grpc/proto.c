/* Reads and writes the few protobuf messages of grpc.testing.TestService. */
#include "tests/interop/grpc/proto.h"

#include <string.h>

struct cursor {
    const uint8_t *at, *end;
};

struct field {
    unsigned number, wire;
    uint64_t value;
    struct cursor bytes;
};

static bool varint(struct cursor *cursor, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        uint8_t byte = *cursor->at++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* false at the end, and where the bytes are no field: then at != end. */
static bool next(struct cursor *cursor, struct field *ret_field)
{
    uint64_t key, len;

    if (cursor->at == cursor->end || !varint(cursor, &key))
        return false;
    ret_field->number = (unsigned)(key >> 3);
    ret_field->wire = (unsigned)(key & 7);
    if (ret_field->wire == 0)
        return varint(cursor, &ret_field->value);
    if (ret_field->wire != 2 || !varint(cursor, &len) || len > (uint64_t)(cursor->end - cursor->at))
        return false;
    ret_field->bytes = (struct cursor){ cursor->at, cursor->at + len };
    cursor->at += len;
    return true;
}

static int bool_value(struct cursor cursor)
{
    struct field field;
    int value = 0;

    while (next(&cursor, &field))
        if (field.number == 1)
            value = field.value != 0;
    return value;
}

static size_t body_of(struct cursor payload)
{
    struct field field;
    size_t len = 0;

    while (next(&payload, &field))
        if (field.number == 2)
            len = (size_t)(field.bytes.end - field.bytes.at);
    return len;
}

static void status_of(struct cursor status, struct proto_request *request)
{
    struct field field;

    while (next(&status, &field)) {
        if (field.number == 1)
            request->status = (int)field.value;
        if (field.number == 2 && field.bytes.end - field.bytes.at < (int)sizeof(request->status_text))
            memcpy(request->status_text, field.bytes.at, (size_t)(field.bytes.end - field.bytes.at));
    }
}

static void parameters_of(struct cursor parameters, struct proto_request *request)
{
    struct proto_size *size = &request->sizes[request->size_count];
    struct field field;

    if (request->size_count == PROTO_SIZES_MAX)
        return;
    request->size_count++;
    size->compressed = -1;
    while (next(&parameters, &field)) {
        if (field.number == 1)
            size->size = (size_t)field.value;
        else if (field.number == 2)
            size->interval_us = (uint32_t)field.value;
        else if (field.number == 3)
            size->compressed = bool_value(field.bytes);
    }
}

static void simple_field(const struct field *field, struct proto_request *request)
{
    if (field->number == 2)
        request->sizes[0].size = (size_t)field->value;
    else if (field->number == 3)
        request->payload_size = body_of(field->bytes);
    else if (field->number == 6)
        request->sizes[0].compressed = bool_value(field->bytes);
    else if (field->number == 7)
        status_of(field->bytes, request);
    else if (field->number == 8)
        request->expect_compressed = bool_value(field->bytes);
}

bool proto_parse(const uint8_t *data, size_t len, enum proto_kind kind, struct proto_request *request)
{
    struct cursor cursor = { data, data + len };
    struct field field;

    memset(request, 0, sizeof(*request));
    request->expect_compressed = -1;
    request->sizes[0].compressed = -1;
    while (next(&cursor, &field)) {
        if (kind == PROTO_SIMPLE)
            simple_field(&field, request);
        else if (kind == PROTO_INPUT && field.number == 1)
            request->payload_size = body_of(field.bytes);
        else if (kind == PROTO_INPUT && field.number == 2)
            request->expect_compressed = bool_value(field.bytes);
        else if (kind == PROTO_OUTPUT && field.number == 2)
            parameters_of(field.bytes, request);
        else if (kind == PROTO_OUTPUT && field.number == 7)
            status_of(field.bytes, request);
    }
    return cursor.at == cursor.end;
}

static size_t put_varint(uint8_t *to, uint64_t value)
{
    size_t n = 0;

    for (; value >= 0x80; value >>= 7)
        to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

size_t proto_varint_field(uint8_t *to, unsigned field, uint64_t value)
{
    size_t n = put_varint(to, field << 3);

    return n + put_varint(to + n, value);
}

static size_t put_length(uint8_t *to, unsigned field, uint64_t len)
{
    size_t n = put_varint(to, field << 3 | 2);

    return n + put_varint(to + n, len);
}

static size_t put_bytes(uint8_t *to, unsigned field, const void *data, size_t len)
{
    size_t n = put_length(to, field, len);

    memcpy(to + n, data, len);
    return n + len;
}

static size_t put_bool(uint8_t *to, unsigned field, int value)
{
    uint8_t inner[4];

    return value < 0 ? 0 : put_bytes(to, field, inner, proto_varint_field(inner, 1, value > 0));
}

static size_t put_size(uint8_t *to, const struct proto_size *size)
{
    uint8_t inner[64];
    size_t n = proto_varint_field(inner, 1, size->size);

    n += proto_varint_field(inner + n, 2, size->interval_us);
    n += put_bool(inner + n, 3, size->compressed);
    return put_bytes(to, 2, inner, n);
}

static size_t put_status(uint8_t *to, const struct proto_request *request)
{
    uint8_t inner[sizeof(request->status_text) + 32];
    size_t n = proto_varint_field(inner, 1, (uint64_t)request->status);

    if (request->status == 0)
        return 0;
    n += put_bytes(inner + n, 2, request->status_text, strlen(request->status_text));
    return put_bytes(to, 7, inner, n);
}

size_t proto_payload_head(uint8_t *to, unsigned field, size_t body)
{
    uint8_t inner[16];
    size_t inner_len = put_length(inner, 2, body), n = put_length(to, field, inner_len + body);

    memcpy(to + n, inner, inner_len);
    return n + inner_len;
}

size_t proto_request_head(uint8_t *to, enum proto_kind kind, const struct proto_request *request)
{
    size_t n = 0;

    if (kind == PROTO_INPUT) {
        n += put_bool(to, 2, request->expect_compressed);
        return n + proto_payload_head(to + n, 1, request->payload_size);
    }
    if (kind == PROTO_SIMPLE) {
        n += proto_varint_field(to, 2, request->sizes[0].size);
        n += put_bool(to + n, 6, request->sizes[0].compressed);
        n += put_bool(to + n, 8, request->expect_compressed);
    }
    for (size_t i = 0; kind == PROTO_OUTPUT && i < request->size_count; i++)
        n += put_size(to + n, &request->sizes[i]);
    n += put_status(to + n, request);
    return n + proto_payload_head(to + n, 3, request->payload_size);
}

bool proto_parse_response(const uint8_t *data, size_t len, const uint8_t **ret_body, size_t *ret_body_len, uint64_t *ret_total)
{
    struct cursor cursor = { data, data + len };
    struct field field, inner;

    *ret_body = data;
    *ret_body_len = 0;
    *ret_total = 0;
    while (next(&cursor, &field)) {
        if (field.number != 1)
            continue;
        if (field.wire == 0)
            *ret_total = field.value;
        while (field.wire == 2 && next(&field.bytes, &inner))
            if (inner.number == 2) {
                *ret_body = inner.bytes.at;
                *ret_body_len = (size_t)(inner.bytes.end - inner.bytes.at);
            }
    }
    return cursor.at == cursor.end;
}
