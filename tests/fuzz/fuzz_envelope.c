/* Fuzzes the data envelope against protobuf-c: equal, or refused as not canonical. The first byte is the size of the pieces that it comes in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <proto/udf_worker.pb-c.h>

#include "worker/udf_envelope-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct found {
    enum tribi_envelope_part part;
    uint8_t *bytes;
    size_t len;
};

static int take_apart(const uint8_t *data, size_t size, size_t piece, struct found *found)
{
    enum tribi_envelope_step step;
    struct tribi_envelope envelope;
    int rc = TRIB_OK;

    tribi_envelope_init(&envelope);
    for (size_t at = 0, used; at < size && rc == TRIB_OK; at += used) {
        size_t len = size - at < piece ? size - at : piece;
        rc = tribi_envelope_take(&envelope, data + at, len, &used, &step, NULL);
        if (rc == TRIB_OK && used == 0)
            abort();
        if (rc == TRIB_OK && step == TRIBI_ENVELOPE_BYTES) {
            memcpy(found->bytes + found->len, data + at, used);
            found->len += used;
        }
    }
    return rc == TRIB_OK ? tribi_envelope_end(&envelope, &found->part, NULL) : rc;
}

/* What protobuf-c takes and we do not: a member of the oneof or data more than once, and a field number 0 that is written in more than one byte. The
 * message is well-formed, so a walk over its fields finds it. */
static bool is_canonical(const uint8_t *data, size_t size, bool inside)
{
    unsigned members = 0;

    for (size_t at = 0; at < size;) {
        uint64_t tag = 0, len = 0;
        size_t n = tribi_varint_get(data + at, size - at, 5, &tag);
        uint32_t field = (uint32_t)(tag >> 3);

        if (n == 0 || field == 0)
            return false;
        at += n;
        n = (tag & 7) == 1 ? 8 : (tag & 7) == 5 ? 4 : tribi_varint_get(data + at, size - at, 10, &len);
        if ((tag & 7) == 2) {
            members += field == 1 || (field == 2 && !inside);
            if (field == 2 && !inside && !is_canonical(data + at + n, (size_t)len, true))
                return false;
            n += (size_t)len;
        }
        at += n;
    }
    return members <= 1;
}

static bool equal(const TribiPb__UdfRequest *message, const struct found *found)
{
    if ((int)message->request_case != (int)found->part)
        return false;
    if (found->part != TRIBI_ENVELOPE_DATA)
        return true; /* that the control message itself is read alike is fuzz_control's */
    return message->data->data.len == found->len && (found->len == 0 || memcmp(message->data->data.data, found->bytes, found->len) == 0);
}

/* protobuf-c reads on into the control message, which the envelope leaves to others. */
static bool is_bad_control(const struct found *found)
{
    TribiPb__UdfControlRequest *control;

    if (found->part != TRIBI_ENVELOPE_CONTROL)
        return false;
    control = tribi_pb__udf_control_request__unpack(NULL, found->len, found->bytes);
    if (control == NULL)
        return true;
    tribi_pb__udf_control_request__free_unpacked(control, NULL);
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct found found = {TRIBI_ENVELOPE_EMPTY, NULL, 0};
    TribiPb__UdfRequest *message;
    bool right;
    int rc;

    if (size < 1)
        return 0;
    found.bytes = malloc(size);
    if (found.bytes == NULL)
        abort();
    message = tribi_pb__udf_request__unpack(NULL, size - 1, data + 1);
    rc = take_apart(data + 1, size - 1, data[0] != 0 ? data[0] : size, &found);
    if (rc == TRIB_OK)
        right = message != NULL ? equal(message, &found) : is_bad_control(&found);
    else
        right = message == NULL || !is_canonical(data + 1, size - 1, false);
    if (!right)
        abort();
    if (message != NULL)
        tribi_pb__udf_request__free_unpacked(message, NULL);
    free(found.bytes);
    return 0;
}
