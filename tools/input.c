/* Cuts a file into the data of DataRequests: by reference where it is mapped. */
#include "tools/input.h"

#include <inttypes.h>
#include <string.h>

enum { PREFIX = 8 };

static const char file_magic[] = "ARROW1"; /* of Arrow's file format */

static int fail_at(const struct input *input, const struct trib_error *why, struct trib_error *err)
{
    struct trib_error cause = *why;

    return trib_error_set(err, cause.code, 0, "read %s: piece %" PRIu64 ": %s", input->source.path, input->count, cause.message);
}

/* ---- Bytes into the reader --------------------------------------------------------------------------------------- */

/* One block of a file that is not mapped. */
static int feed(struct input *input, struct trib_error *err)
{
    struct trib_view view;
    struct trib_chunk *chunk;
    int rc = source_next(&input->source, &view, err);

    if (rc == TRIB_EOF)
        return trib_reader_finish(input->reader, err);
    if (rc != TRIB_OK)
        return rc;
    rc = trib_chunk_sub(view.holder, (size_t)(view.data - trib_chunk_data(view.holder)), view.len, &chunk, err);
    if (rc != TRIB_OK)
        return rc;
    rc = trib_reader_feed(input->reader, chunk, TRIB_NOWAIT, err);
    if (rc != TRIB_OK)
        trib_chunk_unref(chunk);
    return rc == TRIB_AGAIN ? trib_error_set(err, TRIB_ERR_LIMIT, 0, "read %s: more than the reader holds", input->source.path) : rc;
}

static int make_reader(struct input *input, struct trib_error *err)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    int rc;

    if (input->source.fd < 0)
        options.initial = input->source.chunk;
    /* Feeding and taking are one thread's: what is fed must fit beside what is wanted. */
    options.budget = SIZE_MAX / 2;
    options.limit = SIZE_MAX / 2;
    rc = trib_reader_new(&options, &input->reader, err);
    if (rc != TRIB_OK)
        return rc;
    trib_reader_set_deadline(input->reader, TRIB_NOWAIT);
    return input->source.fd < 0 ? trib_reader_finish(input->reader, err) : TRIB_OK;
}

/* ---- Arrow ------------------------------------------------------------------------------------------------------- */

static int next_message(struct input *input, struct trib_arrow_message *ret_message, struct trib_error *err)
{
    struct trib_error why;
    int rc;

    while ((rc = trib_arrow_stream_next(input->arrow, ret_message, &why)) == TRIB_AGAIN) {
        rc = feed(input, err);
        if (rc != TRIB_OK)
            return rc;
    }
    /* The marker at the end may be left out. */
    if (rc == TRIB_ERR_SHORT && why.got == 0 && input->schema.len > 0 && trib_reader_available(input->reader) == 0)
        return TRIB_EOF;
    return rc < 0 ? fail_at(input, &why, err) : rc;
}

/* copy: prefix, metadata and body of what was read from a pipe may lie in several blocks. */
static int assemble(struct input *input, const struct trib_arrow_message *message, struct trib_view *ret_view, struct trib_error *err)
{
    size_t metadata = message->metadata.len, body = message->body.len;
    uint8_t prefix[PREFIX] = {0xff, 0xff, 0xff, 0xff};
    uint8_t *bytes;
    int rc;

    input->assembled = trib_chunk_unref(input->assembled);
    rc = trib_chunk_new(PREFIX + metadata + body, 64, &input->assembled, err);
    if (rc != TRIB_OK)
        return rc;
    for (unsigned i = 0; i < 4; i++)
        prefix[4 + i] = (uint8_t)(metadata >> 8 * i);
    bytes = trib_chunk_writable(input->assembled);
    memcpy(bytes, prefix, PREFIX);
    memcpy(bytes + PREFIX, message->metadata.data, metadata);
    if (body > 0)
        memcpy(bytes + PREFIX + metadata, message->body.data, body);
    *ret_view = trib_chunk_view(input->assembled);
    return TRIB_OK;
}

static int check_nothing_follows(const struct input *input, struct trib_error *err)
{
    size_t left = trib_reader_available(input->reader);

    if (left == 0)
        return TRIB_EOF;
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "read %s: %zu bytes follow the end of the Arrow stream", input->source.path, left);
}

static int next_arrow(struct input *input, struct trib_view *ret_view, struct trib_error *err)
{
    uint64_t from = trib_reader_position(input->reader);
    struct trib_arrow_message message;
    int rc = next_message(input, &message, err);

    if (rc == TRIB_EOF)
        return check_nothing_follows(input, err);
    if (rc != TRIB_OK)
        return rc;
    if (message.kind == TRIB_ARROW_SCHEMA && input->schema.len > 0)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "read %s: piece %" PRIu64 ": a second schema", input->source.path, input->count);
    if (input->source.fd >= 0)
        return assemble(input, &message, ret_view, err);
    *ret_view = trib_view_sub(trib_chunk_view(input->source.chunk), (size_t)from, (size_t)(trib_reader_position(input->reader) - from));
    return TRIB_OK;
}

static int refuse_file_format(struct input *input, struct trib_error *err)
{
    struct trib_view head;
    int rc;

    while ((rc = trib_reader_peek(input->reader, sizeof(file_magic) - 1, &head, NULL)) == TRIB_AGAIN) {
        rc = feed(input, err);
        if (rc != TRIB_OK)
            return rc;
    }
    if (rc != TRIB_OK || memcmp(head.data, file_magic, sizeof(file_magic) - 1) != 0)
        return TRIB_OK;
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "read %s: Arrow's file format, not a stream", input->source.path);
}

static int open_arrow(struct input *input, struct trib_error *err)
{
    struct trib_view schema;
    int rc = refuse_file_format(input, err);

    if (rc == TRIB_OK)
        rc = trib_arrow_stream_new(input->reader, NULL, &input->arrow, err);
    if (rc == TRIB_OK)
        rc = next_arrow(input, &schema, err);
    if (rc == TRIB_EOF)
        rc = trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "read %s: empty, not an Arrow stream", input->source.path);
    if (rc == TRIB_OK)
        input->schema = trib_view_retain(schema);
    return rc;
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

/* A block, or what is left at the end. */
static int next_block(struct input *input, struct trib_view *ret_view, struct trib_error *err)
{
    int rc;

    while ((rc = trib_reader_take(input->reader, input->block, ret_view, err)) == TRIB_AGAIN) {
        rc = feed(input, err);
        if (rc != TRIB_OK)
            return rc;
    }
    return rc == TRIB_ERR_SHORT ? trib_reader_take_some(input->reader, input->block, ret_view, err) : rc;
}

int input_open(struct input *input, const char *path, size_t block, int stop, struct trib_error *err)
{
    int rc;

    memset(input, 0, sizeof(*input));
    input->block = block;
    rc = source_open(&input->source, path, stop, err);
    if (rc != TRIB_OK)
        return rc;
    rc = make_reader(input, err);
    if (rc == TRIB_OK && block == 0)
        rc = open_arrow(input, err);
    if (rc != TRIB_OK)
        input_close(input);
    return rc;
}

void input_close(struct input *input)
{
    trib_view_release(&input->schema);
    trib_arrow_stream_free(input->arrow);
    trib_reader_free(input->reader);
    trib_chunk_unref(input->assembled);
    source_close(&input->source);
}

int input_next(struct input *input, struct trib_view *ret_view, struct trib_error *err)
{
    int rc;

    input->count++;
    rc = input->arrow != NULL ? next_arrow(input, ret_view, err) : next_block(input, ret_view, err);
    return rc;
}

uint64_t input_position(const struct input *input)
{
    return trib_reader_position(input->reader);
}
