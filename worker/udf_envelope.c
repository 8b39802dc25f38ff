/* Takes the data envelope apart byte by byte as it comes: nothing is kept of it, and its payload is not touched. */
#include "udf_envelope-internal.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

enum { TAG = 0, LENGTH, VALUE, SKIP, BODY }; /* what is expected: numbers, then bytes */
enum { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };
enum { TAG_MAX = 5, LENGTH_MAX = 5, VALUE_MAX = 10 };

/* ---- Numbers ---------------------------------------------------------------------------------------------------- */

size_t tribi_varint_put(uint8_t *at, uint64_t value)
{
    size_t n = 0;

    for (; value >= 0x80; value >>= 7)
        at[n++] = (uint8_t)(value | 0x80);
    at[n++] = (uint8_t)value;
    return n;
}

size_t tribi_varint_get(const uint8_t *at, size_t len, size_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len && i < max; i++) {
        value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80) {
            *ret_value = value;
            return i + 1;
        }
    }
    return 0;
}

static size_t varint_len(uint64_t value)
{
    size_t n = 1;

    for (; value >= 0x80; value >>= 7)
        n++;
    return n;
}

size_t tribi_envelope_control_header(uint8_t header[TRIBI_ENVELOPE_HEADER_MAX], uint64_t len, uint64_t *ret_message)
{
    size_t n;

    header[0] = 0x0a;
    n = 1 + tribi_varint_put(header + 1, len);
    *ret_message = n + len;
    return n;
}

size_t tribi_envelope_data_header(uint8_t header[TRIBI_ENVELOPE_HEADER_MAX], uint64_t len, uint64_t *ret_message)
{
    uint64_t inner = len > 0 ? 1 + varint_len(len) + len : 0;
    size_t n;

    header[0] = 0x12;
    n = 1 + tribi_varint_put(header + 1, inner);
    *ret_message = n + inner;
    if (len > 0) {
        header[n++] = 0x0a;
        n += tribi_varint_put(header + n, len);
    }
    return n;
}

/* ---- The message ------------------------------------------------------------------------------------------------ */

void tribi_envelope_init(struct tribi_envelope *envelope)
{
    memset(envelope, 0, sizeof(*envelope));
}

static int malformed(struct trib_error *err, const char *what)
{
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "envelope: %s", what);
}

static void expect(struct tribi_envelope *envelope, unsigned char what)
{
    envelope->expect = what;
    envelope->shift = envelope->count = 0;
    envelope->number = 0;
}

/* One byte of a number. *ret_done: it is complete. */
static int number_byte(struct tribi_envelope *envelope, uint8_t byte, struct trib_error *err, bool *ret_done)
{
    unsigned max = envelope->expect == TAG ? TAG_MAX : envelope->expect == LENGTH ? LENGTH_MAX : VALUE_MAX;

    envelope->number |= (uint64_t)(byte & 0x7f) << envelope->shift;
    envelope->shift += 7;
    if (++envelope->count == max && byte >= 0x80)
        return malformed(err, envelope->expect == TAG ? "a tag of more than 5 bytes" : "a number that does not end");
    *ret_done = byte < 0x80;
    return TRIB_OK;
}

static int skip(struct tribi_envelope *envelope, uint64_t bytes)
{
    expect(envelope, bytes > 0 ? SKIP : TAG);
    envelope->skip = bytes;
    return TRIB_OK;
}

static int take_tag(struct tribi_envelope *envelope, struct trib_error *err)
{
    envelope->field = (uint32_t)(envelope->number >> 3);
    envelope->type = envelope->number & 7;
    if (envelope->field == 0)
        return malformed(err, "field number 0");
    if ((envelope->field == 1 || (envelope->field == 2 && !envelope->inside)) && envelope->type != DELIMITED)
        return malformed(err, "control or data with a wire type that is not theirs");
    switch (envelope->type) {
    case VARINT:
        expect(envelope, VALUE);
        return TRIB_OK;
    case FIXED64:
        return skip(envelope, 8);
    case DELIMITED:
        expect(envelope, LENGTH);
        return TRIB_OK;
    case FIXED32:
        return skip(envelope, 4);
    default:
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "envelope: wire type %u, which is none", envelope->type);
    }
}

static void begin_part(struct tribi_envelope *envelope, enum tribi_envelope_part part, uint64_t len, enum tribi_envelope_step *ret_step)
{
    envelope->part = part;
    envelope->left = len;
    expect(envelope, len > 0 ? BODY : TAG);
    *ret_step = TRIBI_ENVELOPE_BEGIN;
}

static int begin_member(struct tribi_envelope *envelope, uint64_t len, enum tribi_envelope_step *ret_step, struct trib_error *err)
{
    if (envelope->part != TRIBI_ENVELOPE_EMPTY)
        return malformed(err, "a second member of the oneof");
    if (envelope->field == 1) {
        begin_part(envelope, TRIBI_ENVELOPE_CONTROL, len, ret_step);
        return TRIB_OK;
    }
    envelope->part = TRIBI_ENVELOPE_DATA;
    envelope->inside = len > 0;
    envelope->inside_left = len;
    envelope->announced = false;
    expect(envelope, TAG);
    return TRIB_OK;
}

static int take_length(struct tribi_envelope *envelope, enum tribi_envelope_step *ret_step, struct trib_error *err)
{
    uint64_t len = envelope->number;

    if (len > INT_MAX)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "envelope: a field of %" PRIu64 " bytes, protobuf allows %d", len, INT_MAX);
    if (envelope->inside && len > envelope->inside_left)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "envelope: a field of %" PRIu64 " bytes in a message that has %" PRIu64 " left", len,
                              envelope->inside_left);
    if (!envelope->inside && envelope->field <= 2)
        return begin_member(envelope, len, ret_step, err);
    if (!envelope->inside || envelope->field != 1)
        return skip(envelope, len);
    if (envelope->announced)
        return malformed(err, "data a second time");
    envelope->announced = true;
    begin_part(envelope, TRIBI_ENVELOPE_DATA, len, ret_step);
    return TRIB_OK;
}

static int take_byte(struct tribi_envelope *envelope, uint8_t byte, enum tribi_envelope_step *ret_step, struct trib_error *err)
{
    bool done = false;
    int rc = number_byte(envelope, byte, err, &done);

    if (rc != TRIB_OK || !done)
        return rc;
    switch (envelope->expect) {
    case TAG:
        return take_tag(envelope, err);
    case LENGTH:
        return take_length(envelope, ret_step, err);
    default:
        expect(envelope, TAG);
        return TRIB_OK;
    }
}

/* Bytes that are not looked at: of the part, or of a field that is stepped over. */
static size_t take_bytes(struct tribi_envelope *envelope, size_t len, enum tribi_envelope_step *ret_step)
{
    uint64_t *left = envelope->expect == BODY ? &envelope->left : &envelope->skip;
    size_t part = len < *left ? len : (size_t)*left;

    if (envelope->inside && envelope->inside_left < part)
        part = (size_t)envelope->inside_left;
    if (envelope->inside)
        envelope->inside_left -= part;
    if (envelope->expect == BODY)
        *ret_step = TRIBI_ENVELOPE_BYTES;
    *left -= part;
    if (*left == 0)
        expect(envelope, TAG);
    return part;
}

/* The inner message is over. */
static int leave(struct tribi_envelope *envelope, struct trib_error *err)
{
    if (envelope->expect != TAG || envelope->count > 0)
        return malformed(err, "the message around data ends inside a field");
    envelope->inside = false;
    return TRIB_OK;
}

int tribi_envelope_take(struct tribi_envelope *envelope, const uint8_t *data, size_t len, size_t *ret_used,
                        enum tribi_envelope_step *ret_step, struct trib_error *err)
{
    enum tribi_envelope_step step = TRIBI_ENVELOPE_MORE;
    size_t used = 0;
    int rc = TRIB_OK;

    while (rc == TRIB_OK && used < len && step == TRIBI_ENVELOPE_MORE) {
        if (envelope->inside && envelope->inside_left == 0)
            rc = leave(envelope, err);
        if (rc != TRIB_OK)
            break;
        if (envelope->expect >= SKIP) {
            used += take_bytes(envelope, len - used, &step);
        } else {
            envelope->inside_left -= envelope->inside;
            rc = take_byte(envelope, data[used++], &step, err);
        }
    }
    *ret_used = used;
    *ret_step = step;
    return rc;
}

int tribi_envelope_end(struct tribi_envelope *envelope, enum tribi_envelope_part *ret_part, struct trib_error *err)
{
    enum tribi_envelope_part part = envelope->part;
    bool whole = envelope->expect == TAG && envelope->count == 0 && (!envelope->inside || envelope->inside_left == 0);

    tribi_envelope_init(envelope);
    if (!whole)
        return malformed(err, "the message ends inside a field");
    *ret_part = part;
    return TRIB_OK;
}
