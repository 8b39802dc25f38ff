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

/* What a message is, and how long it is with its prefix and its body. */
static int read_head(const struct answer *answer, struct trib_view head, size_t rest, struct trib_arrow_message *ret_message, size_t *ret_len,
                     struct trib_error *err)
{
    struct trib_error why;
    uint64_t body;

    if (trib_arrow_decode(head, ret_message, &body, &why) != TRIB_OK)
        return fail(answer, why.message, err);
    if (body > rest)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0,
                              "batch %" PRIu64 " of the answer is not one Arrow batch: its body has %" PRIu64 " bytes, and %zu follow",
                              answer->batches, body, rest);
    *ret_len = head.len + (size_t)body;
    return TRIB_OK;
}

/* The one that the worker sends in front of its batches: the first counts. */
static int take_schema(struct answer *answer, struct trib_view schema, struct trib_error *err)
{
    bool known = answer->own != NULL || answer->begun;

    if (known && (schema.len != answer->schema.len || memcmp(schema.data, answer->schema.data, schema.len) != 0))
        return fail(answer, "its schema differs from the one before", err);
    if (known)
        return TRIB_OK;
    /* copy: it is looked at again with each batch */
    if (trib_chunk_copy(schema.data, schema.len, &answer->own, err) != TRIB_OK)
        return TRIB_ERR_NOMEM;
    answer->schema = trib_chunk_view(answer->own);
    return TRIB_OK;
}

static int begin(struct answer *answer, struct trib_error *err)
{
    if (!answer->arrow || answer->begun)
        return TRIB_OK;
    answer->begun = true;
    return output_write(&answer->output, answer->schema, err);
}

static int take_batch(struct answer *answer, const struct trib_arrow_message *message, struct trib_view bytes, struct trib_error *err)
{
    int rc = begin(answer, err);

    if (message->kind == TRIB_ARROW_BATCH)
        answer->rows += (uint64_t)message->rows;
    return rc == TRIB_OK ? output_write(&answer->output, bytes, err) : rc;
}

/* One message at the front of `rest`; *ret_len: its length. */
static int take_message(struct answer *answer, struct trib_view rest, bool first, size_t *ret_len, struct trib_error *err)
{
    size_t length = head_length(rest);
    struct trib_arrow_message message;
    struct trib_chunk *head;
    int rc;

    if (length == 0)
        return fail(answer, "it does not begin with a message's length", err);
    /* copy: a flatbuffer is looked at on a multiple of 8, and what came may lie anywhere. */
    rc = trib_chunk_new(length, PREFIX, &head, err);
    if (rc != TRIB_OK)
        return rc;
    memcpy(trib_chunk_writable(head), rest.data, length);
    rc = read_head(answer, trib_chunk_view(head), rest.len - length, &message, ret_len, err);
    if (rc == TRIB_OK && message.kind != TRIB_ARROW_SCHEMA)
        rc = take_batch(answer, &message, trib_view_sub(rest, 0, *ret_len), err);
    else if (rc == TRIB_OK)
        rc = first ? take_schema(answer, trib_view_sub(rest, 0, length), err) : fail(answer, "a schema follows a batch", err);
    trib_chunk_unref(head);
    return rc;
}

/* A batch, or a stream of its own: schema, batches, the end. */
static int take_arrow(struct answer *answer, struct trib_view data, struct trib_error *err)
{
    size_t at = 0, length = 0;
    int rc = TRIB_OK;

    for (; rc == TRIB_OK && at < data.len; at += length) {
        struct trib_view rest = trib_view_sub(data, at, data.len);
        if (at > 0 && rest.len == PREFIX && memcmp(rest.data, end_marker, PREFIX) == 0)
            break;
        rc = take_message(answer, rest, at == 0, &length, err);
    }
    return rc;
}

int answer_put(struct answer *answer, struct trib_view data, struct trib_error *err)
{
    answer->batches++;
    answer->bytes += data.len;
    /* An empty one only says that the worker is alive. */
    if (data.len == 0)
        return TRIB_OK;
    return answer->arrow ? take_arrow(answer, data, err) : output_write(&answer->output, data, err);
}

int answer_end(struct answer *answer, struct trib_error *err)
{
    struct trib_view marker = {end_marker, sizeof(end_marker), NULL};
    int rc = begin(answer, err);

    return rc == TRIB_OK && answer->arrow ? output_write(&answer->output, marker, err) : rc;
}

void answer_done(struct answer *answer)
{
    answer->own = trib_chunk_unref(answer->own);
}
