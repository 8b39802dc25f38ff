/* Checks and writes the data that a worker answers with. */
#include "tools/answer.h"

#include <tributary/arrow.h>

#include <string.h>

enum { PREFIX = 8 };

static const uint8_t end_marker[PREFIX] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};

static int fail(const struct answer *answer, const char *why, struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "batch %" PRIu64 " of the answer is not one Arrow batch: %s", answer->batches, why);
}

/* Prefix and metadata where their length fits the data; 0: it does not. */
static size_t head_length(struct trib_view data)
{
    uint64_t length = 0;

    if (data.len < PREFIX || memcmp(data.data, end_marker, 4) != 0)
        return 0;
    for (unsigned i = 0; i < 4; i++)
        length |= (uint64_t)data.data[4 + i] << 8 * i;
    return length > 0 && length <= data.len - PREFIX ? PREFIX + (size_t)length : 0;
}

static int check_head(const struct answer *answer, struct trib_view head, size_t rest, int64_t *ret_rows, struct trib_error *err)
{
    struct trib_arrow_message message;
    struct trib_error why;
    uint64_t body;

    if (trib_arrow_decode(head, &message, &body, &why) != TRIB_OK)
        return fail(answer, why.message, err);
    if (message.kind == TRIB_ARROW_SCHEMA)
        return fail(answer, "it is a schema", err);
    if (body != rest)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0,
                              "batch %" PRIu64 " of the answer is not one Arrow batch: its body has %" PRIu64 " bytes, and %zu follow",
                              answer->batches, body, rest);
    *ret_rows = message.kind == TRIB_ARROW_BATCH ? message.rows : 0;
    return TRIB_OK;
}

static int check_batch(struct answer *answer, struct trib_view data, struct trib_error *err)
{
    size_t length = head_length(data);
    struct trib_chunk *head;
    int64_t rows = 0;
    int rc;

    if (length == 0)
        return fail(answer, "it does not begin with a message's length", err);
    /* copy: a flatbuffer is looked at on a multiple of 8, and what came may lie anywhere. */
    rc = trib_chunk_new(length, PREFIX, &head, err);
    if (rc != TRIB_OK)
        return rc;
    memcpy(trib_chunk_writable(head), data.data, length);
    rc = check_head(answer, trib_chunk_view(head), data.len - length, &rows, err);
    trib_chunk_unref(head);
    if (rc == TRIB_OK)
        answer->rows += (uint64_t)rows;
    return rc;
}

static int begin(struct answer *answer, struct trib_error *err)
{
    if (!answer->arrow || answer->begun)
        return TRIB_OK;
    answer->begun = true;
    return output_write(&answer->output, answer->schema, err);
}

int answer_put(struct answer *answer, struct trib_view data, struct trib_error *err)
{
    int rc = TRIB_OK;

    answer->batches++;
    answer->bytes += data.len;
    /* An empty one only says that the worker is alive. */
    if (data.len == 0)
        return TRIB_OK;
    if (answer->arrow)
        rc = check_batch(answer, data, err);
    if (rc == TRIB_OK)
        rc = begin(answer, err);
    return rc == TRIB_OK ? output_write(&answer->output, data, err) : rc;
}

int answer_end(struct answer *answer, struct trib_error *err)
{
    struct trib_view marker = {end_marker, sizeof(end_marker), NULL};
    int rc = begin(answer, err);

    return rc == TRIB_OK && answer->arrow ? output_write(&answer->output, marker, err) : rc;
}
