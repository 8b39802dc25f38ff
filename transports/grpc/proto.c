/* Protobuf by hand, for messages of a few fields: libtributary needs no generator for them. */
#include "transports/grpc/proto-internal.h"

#include <tributary/alloc.h>
#include <tributary/error.h>

#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5, LENGTH_BYTES = 4 };

/* ---- Reading ------------------------------------------------------------------------------------------------------ */

static bool take_varint(struct tribi_proto_span *span, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 10 && i < span->len; i++) {
        value |= (uint64_t)(span->data[i] & 0x7f) << (7 * i);
        if ((span->data[i] & 0x80) == 0) {
            *ret_value = value;
            span->data += i + 1;
            span->len -= i + 1;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct tribi_proto_span *span, uint64_t len, struct tribi_proto_span *ret_bytes)
{
    if (len > span->len)
        return false;
    *ret_bytes = (struct tribi_proto_span){ span->data, (size_t)len };
    span->data += len;
    span->len -= (size_t)len;
    return true;
}

static bool take_value(struct tribi_proto_span *span, unsigned kind, struct tribi_proto_field *field)
{
    uint64_t len;

    field->is_bytes = kind == BYTES;
    switch (kind) {
    case VARINT:
        return take_varint(span, &field->value);
    case FIXED64:
    case FIXED32: /* none of the messages has such fields: stepped over */
        return take_bytes(span, kind == FIXED64 ? 8 : 4, &field->bytes);
    case BYTES:
        return take_varint(span, &len) && take_bytes(span, len, &field->bytes);
    default: /* groups have gone */
        return false;
    }
}

int tribi_proto_next(struct tribi_proto_span *span, struct tribi_proto_field *ret_field)
{
    struct tribi_proto_field field = { 0, false, 0, { NULL, 0 } };
    struct tribi_proto_span rest = *span;
    uint64_t key;

    if (rest.len == 0)
        return TRIB_EOF;
    if (!take_varint(&rest, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX >> 3 || !take_value(&rest, key & 7, &field))
        return TRIB_ERR_PROTOCOL;
    field.number = (uint32_t)(key >> 3);
    *span = rest;
    *ret_field = field;
    return TRIB_OK;
}

bool tribi_proto_find(struct tribi_proto_span span, uint32_t number, struct tribi_proto_span *ret_bytes)
{
    struct tribi_proto_field field;
    int rc;

    *ret_bytes = (struct tribi_proto_span){ NULL, 0 };
    while ((rc = tribi_proto_next(&span, &field)) == TRIB_OK)
        if (field.number == number && field.is_bytes)
            *ret_bytes = field.bytes;
    return rc == TRIB_EOF;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------ */

static uint8_t *room_for(struct tribi_proto_out *out, size_t len)
{
    size_t capacity = out->capacity == 0 ? 256 : out->capacity;
    uint8_t *data;

    while (capacity - out->len < len)
        capacity *= 2;
    if (capacity > out->capacity && !out->failed) {
        data = trib_alloc(capacity);
        out->failed = data == NULL;
        if (data != NULL && out->len > 0)
            memcpy(data, out->data, out->len);
        if (data != NULL) {
            trib_free(out->data);
            out->data = data;
            out->capacity = capacity;
        }
    }
    return out->failed ? NULL : out->data + out->len;
}

static void put(struct tribi_proto_out *out, const void *data, size_t len)
{
    uint8_t *at = room_for(out, len);

    if (at == NULL)
        return;
    if (len > 0)
        memcpy(at, data, len);
    out->len += len;
}

static void put_varint(struct tribi_proto_out *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;

    for (; value > 0x7f; value >>= 7)
        bytes[n++] = (uint8_t)(value | 0x80);
    bytes[n++] = (uint8_t)value;
    put(out, bytes, n);
}

void tribi_proto_number(struct tribi_proto_out *out, uint32_t field, uint64_t value)
{
    put_varint(out, (uint64_t)field << 3 | VARINT);
    put_varint(out, value);
}

void tribi_proto_bytes(struct tribi_proto_out *out, uint32_t field, const void *data, size_t len)
{
    put_varint(out, (uint64_t)field << 3 | BYTES);
    put_varint(out, len);
    put(out, data, len);
}

void tribi_proto_text(struct tribi_proto_out *out, uint32_t field, const char *text)
{
    tribi_proto_bytes(out, field, text, strlen(text));
}

size_t tribi_proto_begin(struct tribi_proto_out *out, uint32_t field)
{
    static const uint8_t later[LENGTH_BYTES];

    put_varint(out, (uint64_t)field << 3 | BYTES);
    put(out, later, sizeof(later));
    return out->len;
}

void tribi_proto_end(struct tribi_proto_out *out, size_t at)
{
    size_t len = out->len - at;

    if (out->failed)
        return;
    out->failed = len >> 7 * LENGTH_BYTES != 0;
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        out->data[at - LENGTH_BYTES + i] = (uint8_t)(len >> 7 * i & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0);
}

void tribi_proto_done(struct tribi_proto_out *out)
{
    trib_free(out->data);
    *out = (struct tribi_proto_out){ NULL, 0, 0, false };
}
