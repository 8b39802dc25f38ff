/* What serializers do inside Arrow batches, with nanoarrow: text to upper case, a row of numbers. */
#include "serializer-internal.h"

#include <tributary/alloc.h>

#include "arrow-internal.h"

#include <nanoarrow/nanoarrow_ipc.h>
#include <string.h>

#define BODY_ALIGN 64

void tribi_ascii_upper(uint8_t *out, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = data[i] >= 'a' && data[i] <= 'z' ? (uint8_t)(data[i] - 'a' + 'A') : data[i];
}

/* ---- upper ------------------------------------------------------------------------------------------------------ */

struct tribi_arrow_upper {
    struct ArrowIpcDecoder decoder;
    struct ArrowSchema schema;
};

int tribi_arrow_upper_new(const struct trib_arrow_message *schema, struct tribi_arrow_upper **ret_upper, struct trib_error *err)
{
    struct tribi_arrow_upper *upper = trib_alloc(sizeof(*upper));
    struct ArrowError error = {""};
    struct trib_chunk *head = NULL;
    int rc;

    if (upper == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "upper: no memory");
    rc = tribi_arrow_head_copy(schema, &head, err);
    if (rc == TRIB_OK && ArrowIpcDecoderInit(&upper->decoder) != NANOARROW_OK)
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "upper: decoder: no memory");
    if (rc == TRIB_OK)
        rc = tribi_arrow_schema(&upper->decoder, head, &upper->schema, err);
    trib_chunk_unref(head);
    if (rc == TRIB_OK) {
        int code = ArrowIpcDecoderSetSchema(&upper->decoder, &upper->schema, &error);
        rc = code == NANOARROW_OK ? TRIB_OK : tribi_arrow_failed(code, &error, "schema", err);
    }
    if (rc != TRIB_OK) {
        tribi_arrow_upper_free(upper);
        return rc;
    }
    *ret_upper = upper;
    return TRIB_OK;
}

void tribi_arrow_upper_free(struct tribi_arrow_upper *upper)
{
    if (upper == NULL)
        return;
    if (upper->schema.release != NULL)
        ArrowSchemaRelease(&upper->schema);
    if (upper->decoder.private_data != NULL)
        ArrowIpcDecoderReset(&upper->decoder);
    trib_free(upper);
}

struct body {
    uint8_t *data;
    size_t len;
};

/* The whole data buffer of a text column: offsets say where a string is, not whether it is text. */
static int upper_column(const struct ArrowArrayView *column, struct body body, struct trib_error *err)
{
    const uint8_t *text = column->buffer_views[2].data.as_uint8;
    size_t len = (size_t)column->buffer_views[2].size_bytes;

    if (len == 0)
        return TRIB_OK;
    if (text < body.data || len > body.len || (size_t)(text - body.data) > body.len - len)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "upper: a text column that does not lie in the batch's body");
    tribi_ascii_upper(body.data + (text - body.data), text, len);
    return TRIB_OK;
}

static int upper_columns(const struct ArrowArrayView *columns, struct body body, struct trib_error *err)
{
    int rc = TRIB_OK;

    if (columns->storage_type == NANOARROW_TYPE_STRING || columns->storage_type == NANOARROW_TYPE_LARGE_STRING)
        return upper_column(columns, body, err);
    for (int64_t i = 0; i < columns->n_children && rc == TRIB_OK; i++)
        rc = upper_columns(columns->children[i], body, err);
    return rc;
}

static int upper_in_place(struct tribi_arrow_upper *upper, struct trib_chunk *head, struct body body, struct trib_error *err)
{
    struct ArrowBufferView head_view, body_view;
    struct ArrowArrayView *columns = NULL;
    struct ArrowError error = {""};
    int code;

    head_view.data.as_uint8 = trib_chunk_data(head);
    head_view.size_bytes = (int64_t)trib_chunk_len(head);
    body_view.data.as_uint8 = body.data;
    body_view.size_bytes = (int64_t)body.len;
    code = ArrowIpcDecoderVerifyHeader(&upper->decoder, head_view, &error);
    if (code == NANOARROW_OK)
        code = ArrowIpcDecoderDecodeHeader(&upper->decoder, head_view, &error);
    if (code == NANOARROW_OK)
        code = ArrowIpcDecoderDecodeArrayView(&upper->decoder, body_view, -1, &columns, &error);
    return code == NANOARROW_OK ? upper_columns(columns, body, err) : tribi_arrow_failed(code, &error, "batch", err);
}

int tribi_arrow_upper_body(struct tribi_arrow_upper *upper, const struct trib_arrow_message *batch, struct trib_chunk **ret_body,
                           struct trib_error *err)
{
    struct trib_chunk *head = NULL, *chunk = NULL;
    struct body body;
    int rc;

    if (batch->codec != TRIB_ARROW_PLAIN)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "upper: compressed batches");
    rc = trib_chunk_new(batch->body.len, BODY_ALIGN, &chunk, err);
    if (rc == TRIB_OK)
        rc = tribi_arrow_head_copy(batch, &head, err);
    if (rc == TRIB_OK) {
        body.data = trib_chunk_writable(chunk);
        body.len = batch->body.len;
        /* copy: the letters change, and what came is not ours to change. */
        if (body.len > 0)
            memcpy(body.data, batch->body.data, body.len);
        rc = upper_in_place(upper, head, body, err);
    }
    trib_chunk_unref(head);
    if (rc != TRIB_OK) {
        trib_chunk_unref(chunk);
        return rc;
    }
    *ret_body = chunk;
    return TRIB_OK;
}

/* ---- A row of numbers ------------------------------------------------------------------------------------------- */

static int numbers_schema(struct ArrowSchema *schema, const char *const *names, size_t count)
{
    struct ArrowSchema *row;

    ArrowSchemaInit(schema);
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetTypeStruct(schema, 1));
    row = schema->children[0];
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetTypeStruct(row, (int64_t)count));
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(row, "_0"));
    for (size_t i = 0; i < count; i++) {
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetType(row->children[i], NANOARROW_TYPE_INT64));
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(row->children[i], names[i]));
    }
    return NANOARROW_OK;
}

static int numbers_array(struct ArrowArray *array, const struct ArrowSchema *schema, const int64_t *values, size_t count)
{
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromSchema(array, schema, NULL));
    NANOARROW_RETURN_NOT_OK(ArrowArrayStartAppending(array));
    for (size_t i = 0; i < count; i++)
        NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(array->children[0]->children[i], values[i]));
    NANOARROW_RETURN_NOT_OK(ArrowArrayFinishElement(array->children[0]));
    NANOARROW_RETURN_NOT_OK(ArrowArrayFinishElement(array));
    return ArrowArrayFinishBuildingDefault(array, NULL);
}

static int write_stream(const struct ArrowSchema *schema, const struct ArrowArray *array, struct ArrowBuffer *out)
{
    struct ArrowIpcOutputStream stream;
    struct ArrowIpcWriter writer;
    struct ArrowArrayView view;
    int code;

    NANOARROW_RETURN_NOT_OK(ArrowIpcOutputStreamInitBuffer(&stream, out));
    code = ArrowIpcWriterInit(&writer, &stream);
    if (code != NANOARROW_OK) {
        stream.release(&stream);
        return code;
    }
    code = ArrowArrayViewInitFromSchema(&view, schema, NULL);
    if (code == NANOARROW_OK)
        code = ArrowArrayViewSetArray(&view, array, NULL);
    if (code == NANOARROW_OK)
        code = ArrowIpcWriterWriteSchema(&writer, schema, NULL);
    if (code == NANOARROW_OK)
        code = ArrowIpcWriterWriteArrayView(&writer, &view, NULL);
    if (code == NANOARROW_OK)
        code = ArrowIpcWriterWriteArrayView(&writer, NULL, NULL); /* the end-of-stream marker */
    ArrowArrayViewReset(&view);
    ArrowIpcWriterReset(&writer);
    return code;
}

static int encode_numbers(const char *const *names, const int64_t *values, size_t count, struct ArrowBuffer *out)
{
    struct ArrowSchema schema;
    struct ArrowArray array = {0};
    int code = numbers_schema(&schema, names, count);

    if (code == NANOARROW_OK)
        code = numbers_array(&array, &schema, values, count);
    if (code == NANOARROW_OK)
        code = write_stream(&schema, &array, out);
    if (array.release != NULL)
        ArrowArrayRelease(&array);
    ArrowSchemaRelease(&schema);
    return code;
}

static int put_messages(struct trib_sender *out, struct trib_reader *reader, struct trib_error *err)
{
    static const struct trib_event empty = TRIB_EVENT_INIT_EMPTY;
    struct trib_arrow_stream *stream;
    struct trib_event event = empty;
    int rc = trib_arrow_stream_new(reader, NULL, &stream, err);

    if (rc != TRIB_OK)
        return rc;
    event.kind = TRIB_EVENT_STREAM;
    rc = trib_sender_put(out, &event, err);
    event.kind = TRIB_EVENT_ARROW;
    while (rc == TRIB_OK) {
        rc = trib_arrow_stream_next(stream, &event.arrow, err);
        if (rc == TRIB_OK)
            rc = trib_sender_put(out, &event, err);
    }
    event.kind = TRIB_EVENT_STREAM_END;
    rc = rc == TRIB_EOF ? trib_sender_put(out, &event, err) : rc;
    trib_arrow_stream_free(stream);
    return rc;
}

int tribi_arrow_put_numbers(struct trib_sender *out, const char *const *names, const int64_t *values, size_t count,
                            struct trib_error *err)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    struct trib_reader *reader = NULL;
    struct ArrowBuffer buffer;
    int rc = TRIB_OK;

    ArrowBufferInit(&buffer);
    if (encode_numbers(names, values, count, &buffer) != NANOARROW_OK)
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "count: no memory for the answer");
    /* copy: some hundred bytes, into memory that is counted. */
    if (rc == TRIB_OK)
        rc = trib_chunk_copy(buffer.data, (size_t)buffer.size_bytes, &options.initial, err);
    if (rc == TRIB_OK)
        rc = trib_reader_new(&options, &reader, err);
    if (rc == TRIB_OK)
        rc = trib_reader_finish(reader, err);
    if (rc == TRIB_OK)
        rc = put_messages(out, reader, err);
    trib_reader_free(reader);
    trib_chunk_unref(options.initial);
    ArrowBufferReset(&buffer);
    return rc;
}
