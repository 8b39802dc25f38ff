/* Arrow for tests: streams of batches with numbers and words, and where their messages are. */
#include "tests/support/arrow.h"

#include <check.h>
#include <nanoarrow/nanoarrow_ipc.h>
#include <stdlib.h>
#include <string.h>

#define ck_arrow(call) ck_assert_int_eq((call), NANOARROW_OK)

static void make_schema(struct ArrowSchema *schema)
{
    ArrowSchemaInit(schema);
    ck_arrow(ArrowSchemaSetTypeStruct(schema, 2));
    ck_arrow(ArrowSchemaSetType(schema->children[0], NANOARROW_TYPE_INT64));
    ck_arrow(ArrowSchemaSetName(schema->children[0], "number"));
    ck_arrow(ArrowSchemaSetType(schema->children[1], NANOARROW_TYPE_STRING));
    ck_arrow(ArrowSchemaSetName(schema->children[1], "word"));
}

static void append_row(struct ArrowArray *array, size_t row, char *word, size_t letters, bool upper)
{
    struct ArrowStringView view = {word, (int64_t)letters};

    for (size_t i = 0; i < letters; i++)
        word[i] = (char)((upper ? 'A' : 'a') + (row + i) % 26);
    ck_arrow(ArrowArrayAppendInt(array->children[0], (int64_t)row));
    ck_arrow(ArrowArrayAppendString(array->children[1], view));
    ck_arrow(ArrowArrayFinishElement(array));
}

static void write_batch(struct ArrowIpcWriter *writer, const struct ArrowSchema *schema, const struct arrow_plan *plan, size_t first, bool upper)
{
    char *word = malloc(plan->letters + 1);
    struct ArrowArrayView view;
    struct ArrowArray array;

    ck_assert_ptr_nonnull(word);
    ck_arrow(ArrowArrayInitFromSchema(&array, schema, NULL));
    ck_arrow(ArrowArrayStartAppending(&array));
    for (size_t i = 0; i < plan->rows; i++)
        append_row(&array, first + i, word, plan->letters, upper);
    ck_arrow(ArrowArrayFinishBuildingDefault(&array, NULL));
    ck_arrow(ArrowArrayViewInitFromSchema(&view, schema, NULL));
    ck_arrow(ArrowArrayViewSetArray(&view, &array, NULL));
    ck_arrow(ArrowIpcWriterWriteArrayView(writer, &view, NULL));
    ArrowArrayViewReset(&view);
    ArrowArrayRelease(&array);
    free(word);
}

void arrow_make(const struct arrow_plan *plan, bool upper, struct arrow_stream *ret_stream)
{
    struct ArrowIpcOutputStream out;
    struct ArrowIpcWriter writer;
    struct ArrowSchema schema;
    struct ArrowBuffer buffer;

    make_schema(&schema);
    ArrowBufferInit(&buffer);
    ck_arrow(ArrowIpcOutputStreamInitBuffer(&out, &buffer));
    ck_arrow(ArrowIpcWriterInit(&writer, &out));
    ck_arrow(ArrowIpcWriterWriteSchema(&writer, &schema, NULL));
    for (size_t i = 0; i < plan->batches; i++)
        write_batch(&writer, &schema, plan, i * plan->rows, upper);
    ck_arrow(ArrowIpcWriterWriteArrayView(&writer, NULL, NULL));
    arrow_load(buffer.data, (size_t)buffer.size_bytes, ret_stream);
    ArrowIpcWriterReset(&writer);
    ArrowBufferReset(&buffer);
    ArrowSchemaRelease(&schema);
}

void arrow_load(const void *bytes, size_t len, struct arrow_stream *ret_stream)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    struct trib_arrow_message message;
    struct trib_arrow_stream *stream;
    struct trib_reader *reader;
    size_t from = 0;
    int rc;

    *ret_stream = (struct arrow_stream){.bytes = malloc(len), .len = len};
    ck_assert_ptr_nonnull(ret_stream->bytes);
    memcpy(ret_stream->bytes, bytes, len);
    ck_assert_int_eq(trib_chunk_copy(bytes, len, &options.initial, NULL), TRIB_OK);
    options.budget = options.limit = SIZE_MAX / 2;
    ck_assert_int_eq(trib_reader_new(&options, &reader, NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_finish(reader, NULL), TRIB_OK);
    ck_assert_int_eq(trib_arrow_stream_new(reader, NULL, &stream, NULL), TRIB_OK);
    while ((rc = trib_arrow_stream_next(stream, &message, NULL)) == TRIB_OK) {
        size_t to = (size_t)trib_reader_position(reader);
        ck_assert_uint_lt(ret_stream->count, ARROW_MESSAGES_MAX);
        ret_stream->messages[ret_stream->count++] = (struct trib_view){.data = ret_stream->bytes + from, .len = to - from};
        from = to;
    }
    ck_assert_int_eq(rc, TRIB_EOF);
    ck_assert(trib_reader_finished(reader));
    trib_arrow_stream_free(stream);
    trib_reader_free(reader);
    trib_chunk_unref(options.initial);
}

void arrow_done(struct arrow_stream *stream)
{
    free(stream->bytes);
    *stream = (struct arrow_stream){.bytes = NULL};
}
