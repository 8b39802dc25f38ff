/* The data envelope of Spark's gRPC worker protocol: UdfRequest and UdfResponse, taken apart while their bytes come, and put in front of data. */
#ifndef TRIBI_UDF_ENVELOPE_H
#define TRIBI_UDF_ENVELOPE_H

#include <tributary/error.h>
#include <tributary/types.h>

/*   message = control: 0a LENGTH bytes               one of the two, once;
 *           | data:    12 LENGTH [0a LENGTH bytes]   other fields before and behind, in both messages, are stepped over
 *
 * What would need second thoughts is refused: another member of the oneof, or the same one again; data a second time in its message. */

enum tribi_envelope_part {
    TRIBI_ENVELOPE_EMPTY = 0, /* nothing began */
    TRIBI_ENVELOPE_CONTROL = 1,
    TRIBI_ENVELOPE_DATA = 2
};

enum tribi_envelope_step {
    TRIBI_ENVELOPE_MORE = 0,  /* all bytes are used */
    TRIBI_ENVELOPE_BEGIN = 1, /* envelope->part has begun: envelope->left bytes of it follow, in steps BYTES. Data without its field has none */
    TRIBI_ENVELOPE_BYTES = 2  /* the bytes that were used are some of them */
};

struct tribi_envelope {
    enum tribi_envelope_part part;
    uint64_t left;        /* bytes of the part that have not come */
    unsigned char expect; /* what the next byte belongs to */
    bool inside;          /* DataRequest or DataResponse, */
    uint64_t inside_left; /* of which so many bytes have not come; */
    bool announced;       /* its data began */
    unsigned shift, count; /* of the number that is being read */
    uint64_t number;
    uint32_t field;
    unsigned type;
    uint64_t skip;
};

/* For the first message; tribi_envelope_end() makes it ready for the next. */
void tribi_envelope_init(struct tribi_envelope *envelope);

/* Takes bytes of one message, up to the next step: *ret_used of them. TRIB_ERR_PROTOCOL: it is malformed, or not canonical; it sticks, as far as
 * the caller asks no more. */
int tribi_envelope_take(struct tribi_envelope *envelope, const uint8_t *data, size_t len, size_t *ret_used,
                        enum tribi_envelope_step *ret_step, struct trib_error *err);

/* The message ends here. TRIB_ERR_PROTOCOL: inside a field. */
int tribi_envelope_end(struct tribi_envelope *envelope, enum tribi_envelope_part *ret_part, struct trib_error *err);

/* Part of the message's payload is to come. */
static inline bool tribi_envelope_in_part(const struct tribi_envelope *envelope)
{
    return envelope->left > 0;
}

/* What stands in front of `len` bytes of data; returns how long it is. *ret_message: of the whole message. */
#define TRIBI_ENVELOPE_HEADER_MAX 22
size_t tribi_envelope_data_header(uint8_t header[TRIBI_ENVELOPE_HEADER_MAX], uint64_t len, uint64_t *ret_message);

/* The same in front of a control message. */
size_t tribi_envelope_control_header(uint8_t header[TRIBI_ENVELOPE_HEADER_MAX], uint64_t len, uint64_t *ret_message);

/* Protobuf's base-128 numbers: writes one, returns its length (at most 10). */
size_t tribi_varint_put(uint8_t *at, uint64_t value);
/* Reads one of at most `max` bytes; returns its length, 0: there is none. */
size_t tribi_varint_get(const uint8_t *at, size_t len, size_t max, uint64_t *ret_value);

#endif
