/* Arrow IPC framing over nanoarrow's decoder: the flatbuffer of a message checked and taken apart, a stream followed to its end. */
#include <tributary/arrow.h>

#include <tributary/alloc.h>

#include "arrow-internal.h"

#include <errno.h>
#include <nanoarrow/nanoarrow_ipc.h>
#include <stdio.h>
#include <string.h>

#define METADATA_LIMIT ((size_t)16 << 20)
#define BODY_LIMIT ((uint64_t)256 << 20)
#define ALIGN_MAX 4096
#define CONTINUATION UINT32_C(0xFFFFFFFF)

const char *trib_arrow_kind_name(enum trib_arrow_kind kind)
{
    static const char *const names[] = {"?", "schema", "dictionary", "batch"};

    return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

/* ---- One message ------------------------------------------------------------------------------------------------ */

int tribi_arrow_failed(int code, const struct ArrowError *error, const char *what, struct trib_error *err)
{
    if (code == ENOMEM)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "Arrow: %s: no memory", what);
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: %s: %.160s", what, error->message);
}

static struct ArrowBufferView buffer_view(struct trib_view view)
{
    struct ArrowBufferView buffer;

    buffer.data.as_uint8 = view.data;
    buffer.size_bytes = (int64_t)view.len;
    return buffer;
}

static int check_kind(const struct ArrowIpcDecoder *decoder, struct trib_error *err)
{
    if (decoder->metadata_version != NANOARROW_IPC_METADATA_VERSION_V4 &&
        decoder->metadata_version != NANOARROW_IPC_METADATA_VERSION_V5)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: metadata version %d, expected 4 or 5",
                              (int)decoder->metadata_version + 1);
    if (decoder->message_type != NANOARROW_IPC_MESSAGE_TYPE_SCHEMA &&
        decoder->message_type != NANOARROW_IPC_MESSAGE_TYPE_DICTIONARY_BATCH &&
        decoder->message_type != NANOARROW_IPC_MESSAGE_TYPE_RECORD_BATCH)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: message type %d, expected schema, dictionary or batch",
                              (int)decoder->message_type);
    if (decoder->body_size_bytes < 0)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: body length %lld is negative",
                              (long long)decoder->body_size_bytes);
    return TRIB_OK;
}

int tribi_arrow_decode_with(struct ArrowIpcDecoder *decoder, struct trib_view head, struct trib_arrow_message *ret_message,
                            uint64_t *ret_body_length, struct trib_error *err)
{
    struct trib_arrow_message message = {TRIB_ARROW_SCHEMA, TRIB_ARROW_PLAIN, 0, {NULL, 0, NULL}, {NULL, 0, NULL}};
    struct ArrowError error = {""};
    int rc;

    rc = ArrowIpcDecoderVerifyHeader(decoder, buffer_view(head), &error);
    if (rc != NANOARROW_OK)
        return tribi_arrow_failed(rc, &error, "metadata", err);
    rc = check_kind(decoder, err);
    if (rc != TRIB_OK)
        return rc;
    message.kind = decoder->message_type == NANOARROW_IPC_MESSAGE_TYPE_SCHEMA         ? TRIB_ARROW_SCHEMA
                   : decoder->message_type == NANOARROW_IPC_MESSAGE_TYPE_RECORD_BATCH ? TRIB_ARROW_BATCH
                                                                                      : TRIB_ARROW_DICTIONARY;
    message.metadata = trib_view_sub(head, TRIBI_ARROW_PREFIX, head.len - TRIBI_ARROW_PREFIX);
    if (message.kind != TRIB_ARROW_SCHEMA) {
        rc = tribi_arrow_table_batch(&message, err);
        if (rc != TRIB_OK)
            return rc;
    }
    *ret_message = message;
    *ret_body_length = (uint64_t)decoder->body_size_bytes;
    return TRIB_OK;
}

/* The prefix says as much metadata as there is. */
static int check_head(struct trib_view head, struct trib_error *err)
{
    if ((uintptr_t)head.data % TRIBI_ARROW_ALIGN != 0)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "Arrow: metadata does not lie on a multiple of %d", TRIBI_ARROW_ALIGN);
    if (head.len <= TRIBI_ARROW_PREFIX || tribi_get_le32(head.data) != CONTINUATION ||
        tribi_get_le32(head.data + 4) != head.len - TRIBI_ARROW_PREFIX)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: prefix and length do not fit %zu bytes of a message", head.len);
    return TRIB_OK;
}

int trib_arrow_decode(struct trib_view head, struct trib_arrow_message *ret_message, uint64_t *ret_body_length,
                      struct trib_error *err)
{
    struct ArrowIpcDecoder decoder;
    int rc = check_head(head, err);

    if (rc != TRIB_OK)
        return rc;
    if (ArrowIpcDecoderInit(&decoder) != NANOARROW_OK)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "Arrow: decoder: no memory");
    rc = tribi_arrow_decode_with(&decoder, head, ret_message, ret_body_length, err);
    ArrowIpcDecoderReset(&decoder);
    return rc;
}

int tribi_arrow_head_copy(const struct trib_arrow_message *message, struct trib_chunk **ret_head, struct trib_error *err)
{
    struct trib_chunk *head;
    uint8_t *at;
    int rc = trib_chunk_new(TRIBI_ARROW_PREFIX + message->metadata.len, TRIBI_ARROW_ALIGN, &head, err);

    if (rc != TRIB_OK)
        return rc;
    at = trib_chunk_writable(head);
    tribi_arrow_prefix(at, message->metadata.len);
    /* copy: the decoder wants prefix and metadata in one piece. */
    memcpy(at + TRIBI_ARROW_PREFIX, message->metadata.data, message->metadata.len);
    *ret_head = head;
    return TRIB_OK;
}

int tribi_arrow_schema(struct ArrowIpcDecoder *decoder, struct trib_chunk *head, struct ArrowSchema *ret_schema,
                       struct trib_error *err)
{
    struct ArrowError error = {""};
    struct ArrowBufferView buffer = buffer_view(trib_chunk_view(head));
    int rc = ArrowIpcDecoderVerifyHeader(decoder, buffer, &error);

    if (rc == NANOARROW_OK && !tribi_arrow_table_schema_ok(trib_chunk_data(head) + TRIBI_ARROW_PREFIX))
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: schema: a field without a type, or custom metadata without key or value");
    if (rc == NANOARROW_OK)
        rc = ArrowIpcDecoderDecodeHeader(decoder, buffer, &error);
    if (rc == NANOARROW_OK)
        rc = ArrowIpcDecoderDecodeSchema(decoder, ret_schema, &error);
    return rc == NANOARROW_OK ? TRIB_OK : tribi_arrow_failed(rc, &error, "schema", err);
}

/* "struct<...>" around the columns of the schema itself says nothing. */
static void strip_struct(char *text)
{
    size_t len = strlen(text);

    if (strncmp(text, "struct<", 7) == 0 && len > 8 && text[len - 1] == '>') {
        memmove(text, text + 7, len - 8);
        text[len - 8] = '\0';
    }
}

int trib_arrow_describe(const struct trib_arrow_message *schema, char *buf, size_t len, struct trib_error *err)
{
    struct ArrowIpcDecoder decoder;
    struct ArrowSchema decoded;
    struct trib_chunk *head = NULL;
    int rc;

    if (schema->kind != TRIB_ARROW_SCHEMA || len == 0)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "Arrow: describe: %s", len == 0 ? "no room for text" : "not a schema");
    rc = tribi_arrow_head_copy(schema, &head, err);
    if (rc != TRIB_OK)
        return rc;
    if (ArrowIpcDecoderInit(&decoder) != NANOARROW_OK) {
        trib_chunk_unref(head);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "Arrow: decoder: no memory");
    }
    rc = tribi_arrow_schema(&decoder, head, &decoded, err);
    if (rc == TRIB_OK) {
        ArrowSchemaToString(&decoded, buf, (int64_t)len, 1);
        strip_struct(buf);
        ArrowSchemaRelease(&decoded);
    }
    ArrowIpcDecoderReset(&decoder);
    trib_chunk_unref(head);
    return rc;
}

/* ---- A stream --------------------------------------------------------------------------------------------------- */

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_ENDED, PHASE_FAILED };

struct trib_arrow_stream {
    struct trib_reader *reader;
    struct trib_arrow_options options;
    struct ArrowIpcDecoder decoder;
    enum phase phase;
    bool has_schema;
    struct trib_view head;             /* retained from the taking of it until the next message */
    struct trib_arrow_message message; /* PHASE_BODY: its head is decoded */
    uint64_t body_length;
    struct trib_error failure; /* PHASE_FAILED: what it was */
};

static int complete_options(struct trib_arrow_options *ret_options, const struct trib_arrow_options *options,
                            struct trib_error *err)
{
    struct trib_arrow_options complete = TRIB_ARROW_OPTIONS_INIT;

    if (options != NULL)
        memcpy(&complete, options, options->size < sizeof(complete) ? options->size : sizeof(complete));
    if ((complete.align & (complete.align - 1)) != 0 || complete.align > ALIGN_MAX)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "Arrow: stream: %zu is not an alignment up to %d", complete.align, ALIGN_MAX);
    if (complete.metadata_limit == 0 || complete.metadata_limit > INT32_MAX - TRIBI_ARROW_PREFIX)
        complete.metadata_limit = METADATA_LIMIT;
    if (complete.body_limit == 0)
        complete.body_limit = BODY_LIMIT;
    *ret_options = complete;
    return TRIB_OK;
}

int trib_arrow_stream_new(struct trib_reader *reader, const struct trib_arrow_options *options,
                          struct trib_arrow_stream **ret_stream, struct trib_error *err)
{
    struct trib_arrow_options complete;
    struct trib_arrow_stream *stream;
    int rc = complete_options(&complete, options, err);

    if (rc != TRIB_OK)
        return rc;
    stream = trib_alloc(sizeof(*stream));
    if (stream == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "Arrow: stream: no memory");
    if (ArrowIpcDecoderInit(&stream->decoder) != NANOARROW_OK) {
        trib_free(stream);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "Arrow: decoder: no memory");
    }
    stream->options = complete;
    stream->reader = reader;
    *ret_stream = stream;
    return TRIB_OK;
}

void trib_arrow_stream_free(struct trib_arrow_stream *stream)
{
    if (stream == NULL)
        return;
    trib_view_release(&stream->head);
    ArrowIpcDecoderReset(&stream->decoder);
    trib_free(stream);
}

void trib_arrow_stream_restart(struct trib_arrow_stream *stream)
{
    trib_view_release(&stream->head);
    stream->phase = PHASE_HEAD;
    stream->has_schema = false;
}

/* The stream follows the messages' lengths: once one of them is wrong there is no way back. */
static int stick(struct trib_arrow_stream *stream, int rc, const struct trib_error *err)
{
    if (rc == TRIB_ERR_SHORT || rc == TRIB_ERR_LIMIT || rc == TRIB_ERR_PROTOCOL) {
        stream->phase = PHASE_FAILED;
        stream->failure = *err;
    }
    return rc;
}

int tribi_name_short(int rc, const char *what, uint64_t wanted, struct trib_error *err)
{
    uint64_t got = rc == TRIB_ERR_SHORT && err != NULL ? err->got : 0;

    if (rc != TRIB_EOF && rc != TRIB_ERR_SHORT)
        return rc;
    return trib_error_numbers(err, TRIB_ERR_SHORT, wanted, got, "%s: wanted %llu bytes, the stream ended after %llu", what,
                              (unsigned long long)wanted, (unsigned long long)got);
}

int tribi_arrow_check_prefix(const uint8_t *prefix, size_t limit, size_t *ret_length, struct trib_error *err)
{
    uint32_t word = tribi_get_le32(prefix), length = tribi_get_le32(prefix + 4);

    if (word != CONTINUATION)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: %02x %02x %02x %02x came, expected FF FF FF FF before a message",
                              prefix[0], prefix[1], prefix[2], prefix[3]);
    if (length > INT32_MAX)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: metadata length %ld is negative", (long)(int32_t)length);
    if (length > limit)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, length, limit, "Arrow: metadata of %lu bytes, at most %zu are allowed",
                                  (unsigned long)length, limit);
    *ret_length = length;
    return TRIB_OK;
}

int tribi_arrow_check_order(enum trib_arrow_kind kind, bool has_schema, uint64_t body_length, struct trib_error *err)
{
    bool schema = kind == TRIB_ARROW_SCHEMA;

    if (schema == has_schema)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: a %s came, expected %s", trib_arrow_kind_name(kind),
                              schema ? "a batch or the end: there is a schema already" : "the schema first");
    if (schema && body_length != 0)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: a schema with a body of %llu bytes", (unsigned long long)body_length);
    return TRIB_OK;
}

static int check_message(struct trib_arrow_stream *stream, struct trib_error *err)
{
    int rc = tribi_arrow_check_order(stream->message.kind, stream->has_schema, stream->body_length, err);

    if (rc != TRIB_OK)
        return rc;
    if (stream->body_length > stream->options.body_limit || stream->body_length > SIZE_MAX)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, stream->body_length, stream->options.body_limit,
                                  "Arrow: a body of %llu bytes, at most %llu are allowed", (unsigned long long)stream->body_length,
                                  (unsigned long long)stream->options.body_limit);
    stream->has_schema = true;
    return TRIB_OK;
}

static int take_end(struct trib_arrow_stream *stream, struct trib_error *err)
{
    int rc = trib_reader_skip(stream->reader, TRIBI_ARROW_PREFIX, NULL, err);

    return rc == TRIB_OK ? TRIB_EOF : rc;
}

/* Prefix and metadata, in one piece; TRIB_EOF for the end-of-stream marker. */
static int take_head(struct trib_arrow_stream *stream, struct trib_error *err)
{
    struct trib_view view;
    size_t length = 0;
    int rc = trib_reader_peek(stream->reader, TRIBI_ARROW_PREFIX, &view, err);

    rc = tribi_name_short(rc, "an Arrow message or the end of the Arrow stream", TRIBI_ARROW_PREFIX, err);
    if (rc == TRIB_OK)
        rc = tribi_arrow_check_prefix(view.data, stream->options.metadata_limit, &length, err);
    if (rc != TRIB_OK || length == 0)
        return rc != TRIB_OK ? rc : take_end(stream, err);
    rc = trib_reader_take_aligned(stream->reader, TRIBI_ARROW_PREFIX + length, TRIBI_ARROW_ALIGN, &view, err);
    if (rc != TRIB_OK)
        return tribi_name_short(rc, "Arrow metadata", TRIBI_ARROW_PREFIX + length, err);
    stream->head = trib_view_retain(view);
    rc = tribi_arrow_decode_with(&stream->decoder, stream->head, &stream->message, &stream->body_length, err);
    return rc == TRIB_OK ? check_message(stream, err) : rc;
}

static int take_body(struct trib_arrow_stream *stream, struct trib_error *err)
{
    size_t align = stream->options.align > 1 ? stream->options.align : 1;
    int rc = trib_reader_take_aligned(stream->reader, (size_t)stream->body_length, align, &stream->message.body, err);

    return tribi_name_short(rc, "an Arrow body", stream->body_length, err);
}

int trib_arrow_stream_next(struct trib_arrow_stream *stream, struct trib_arrow_message *ret_message, struct trib_error *err)
{
    struct trib_error local;
    int rc = TRIB_OK;

    err = err != NULL ? err : &local;
    if (stream->phase == PHASE_ENDED)
        return TRIB_EOF;
    if (stream->phase == PHASE_FAILED) {
        *err = stream->failure;
        return stream->failure.code;
    }
    if (stream->phase == PHASE_HEAD) {
        trib_view_release(&stream->head);
        rc = take_head(stream, err);
        stream->phase = rc == TRIB_OK ? PHASE_BODY : rc == TRIB_EOF ? PHASE_ENDED : PHASE_HEAD;
    }
    if (rc == TRIB_OK)
        rc = take_body(stream, err);
    if (rc != TRIB_OK)
        return stick(stream, rc, err);
    stream->phase = PHASE_HEAD;
    *ret_message = stream->message;
    return TRIB_OK;
}
