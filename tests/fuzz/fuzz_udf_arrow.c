/* Fuzzes the Arrow of Spark's gRPC worker protocol beside trib_arrow_stream: DataRequests of one stream give its messages, and those go through
 * upper and count and out again. The first byte: 1 a schema in Init, 2 alignment, 4 one more in Init, for the output; the second, where data
 * begins behind a multiple of 8. Then each piece has two bytes of length, little-endian, and that is Init's schema or a DataRequest. */
#include <stdlib.h>
#include <string.h>

#include <tributary/serializer.h>

#include "worker/message-internal.h"
#include "worker/udf_arrow-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_SCHEMA = 1, ALIGNED = 2, OUTPUT_SCHEMA = 4 };

/* ---- Pieces, each in memory exactly as long as it is ------------------------------------------------------------------ */

struct piece {
    uint8_t *block;
    struct trib_view view;
};

static size_t take_piece(const uint8_t *data, size_t size, size_t skip, struct piece *piece)
{
    size_t len = size >= 2 ? (size_t)(data[0] | data[1] << 8) : 0;

    len = size < 2 ? 0 : len < size - 2 ? len : size - 2;
    piece->block = malloc(skip + len + 1);
    if (piece->block == NULL)
        abort();
    if (len > 0)
        memcpy(piece->block + skip, data + 2, len);
    piece->view = (struct trib_view){.data = piece->block + skip, .len = len};
    return size < 2 ? size : 2 + len;
}

/* ---- Out ------------------------------------------------------------------------------------------------------------- */

static volatile uint64_t sum; /* keeps the compiler from leaving the touching out */

static void touch(struct trib_view view)
{
    for (size_t i = 0; i < view.len; i++)
        sum = sum + view.data[i];
}

static int put(void *self, const struct trib_event *event, struct trib_error *err)
{
    struct tribi_arrow_parts parts;
    uint64_t size = 0;
    int rc;

    if (event->kind != TRIB_EVENT_STREAM && event->kind != TRIB_EVENT_ARROW && event->kind != TRIB_EVENT_STREAM_END)
        return TRIB_OK;
    rc = tribi_arrow_out_put(self, event, &parts, err);
    for (unsigned i = 0; rc == TRIB_OK && i < parts.count; i++) {
        touch(parts.views[i]);
        size += parts.views[i].len;
    }
    if (rc == TRIB_OK && size != parts.size)
        abort();
    return rc;
}

static void sender_free(void *self)
{
    (void)self;
}

static const struct trib_dialect dialect = {.size = sizeof(struct trib_dialect), .name = "fuzz", .put = put, .sender_free = sender_free};

struct served {
    const struct trib_serializer *serializer;
    struct tribi_arrow_out out;
    struct trib_sender *sender;
    void *state;
    int rc;
};

static void serve_begin(struct served *served, const struct trib_serializer *serializer, const struct tribi_arrow_in *in, struct trib_view output)
{
    static const struct trib_event empty = TRIB_EVENT_INIT_EMPTY;
    struct trib_event event = empty;

    served->serializer = serializer;
    served->rc = tribi_arrow_out_init(&served->out, in, output, NULL);
    if (tribi_sender_wrap(&dialect, &served->out, &served->sender, NULL) != TRIB_OK || serializer->open(&event, &served->state, NULL) != TRIB_OK)
        abort();
    event.kind = TRIB_EVENT_DATA;
    event.number = TRIB_DATA_STREAM;
    if (served->rc == TRIB_OK)
        served->rc = serializer->event(served->state, &event, served->sender, NULL);
}

static void serve(struct served *served, enum trib_event_kind kind, const struct trib_arrow_message *message)
{
    static const struct trib_event empty = TRIB_EVENT_INIT_EMPTY;
    struct trib_event event = empty;

    event.kind = kind;
    if (message != NULL)
        event.arrow = *message;
    if (served->rc == TRIB_OK)
        served->rc = served->serializer->event(served->state, &event, served->sender, NULL);
}

static void serve_end(struct served *served)
{
    served->serializer->close(served->state);
    trib_sender_free(served->sender);
    tribi_arrow_out_done(&served->out);
}

/* ---- Beside it: what has been cut is put together and read as one stream ----------------------------------------------- */

struct same {
    struct trib_reader *reader;
    struct trib_arrow_stream *stream;
};

static void feed(struct same *same, const void *bytes, size_t len)
{
    struct trib_chunk *chunk;

    if (len == 0)
        return;
    if (trib_chunk_copy(bytes, len, &chunk, NULL) != TRIB_OK || trib_reader_feed(same->reader, chunk, TRIB_NOWAIT, NULL) != TRIB_OK)
        abort();
}

static void check(struct same *same, const struct trib_arrow_message *message)
{
    struct trib_arrow_message other;
    uint8_t prefix[TRIBI_ARROW_PREFIX];

    tribi_arrow_prefix(prefix, message->metadata.len);
    feed(same, prefix, sizeof(prefix));
    feed(same, message->metadata.data, message->metadata.len);
    feed(same, message->body.data, message->body.len);
    if (trib_arrow_stream_next(same->stream, &other, NULL) != TRIB_OK || other.kind != message->kind || other.rows != message->rows ||
        other.codec != message->codec || other.body.len != message->body.len)
        abort();
}

static void same_begin(struct same *same)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;

    options.budget = options.limit = (size_t)256 << 20;
    if (trib_reader_new(&options, &same->reader, NULL) != TRIB_OK || trib_arrow_stream_new(same->reader, NULL, &same->stream, NULL) != TRIB_OK)
        abort();
    trib_reader_set_deadline(same->reader, TRIB_NOWAIT);
}

/* ---- In -------------------------------------------------------------------------------------------------------------- */

struct run {
    struct tribi_arrow_in *in;
    size_t align;
    struct same same;
    struct served served[2];
};

static void pass(struct run *run, const struct trib_arrow_message *message)
{
    if (((uintptr_t)message->metadata.data & 7) != 0 || (message->body.len > 0 && ((uintptr_t)message->body.data & (run->align - 1)) != 0))
        abort();
    check(&run->same, message);
    for (int i = 0; i < 2; i++) {
        if (message->kind == TRIB_ARROW_SCHEMA)
            serve(&run->served[i], TRIB_EVENT_STREAM, NULL);
        serve(&run->served[i], TRIB_EVENT_ARROW, message);
    }
}

static int cut(struct run *run, struct trib_view data, uint64_t number)
{
    struct trib_arrow_message message;
    int rc;

    tribi_arrow_in_begin(run->in, data, number);
    while ((rc = tribi_arrow_in_next(run->in, &message, NULL)) == TRIB_OK)
        pass(run, &message);
    return rc;
}

static void cut_all(struct run *run, const uint8_t *data, size_t size, size_t skip)
{
    struct piece piece;
    int rc = TRIB_EOF;

    for (uint64_t number = 1; size > 0 && rc == TRIB_EOF; number++) {
        size_t used = take_piece(data, size, skip, &piece);
        rc = cut(run, piece.view, number);
        free(piece.block);
        data += used;
        size -= used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trib_arrow_message message;
    struct trib_view output = {.data = NULL};
    struct piece schemas[2] = {{.block = NULL}, {.block = NULL}};
    size_t at = 2, skip;
    struct run run;
    int rc = TRIB_OK;

    if (size < 2)
        return 0;
    skip = data[1] & 7;
    run.align = data[0] & ALIGNED ? 64 : 1;
    same_begin(&run.same);
    if (tribi_arrow_in_new(run.align, &run.in, NULL) != TRIB_OK)
        abort();
    if (data[0] & INPUT_SCHEMA) {
        at += take_piece(data + at, size - at, skip, &schemas[0]);
        rc = tribi_arrow_in_schema(run.in, schemas[0].view, NULL);
    }
    if (data[0] & OUTPUT_SCHEMA) {
        at += take_piece(data + at, size - at, skip, &schemas[1]);
        output = schemas[1].view;
    }
    serve_begin(&run.served[0], &trib_serializer_upper, run.in, output);
    serve_begin(&run.served[1], &trib_serializer_count, run.in, output);
    if (rc == TRIB_OK && (data[0] & INPUT_SCHEMA) != 0 && tribi_arrow_in_next(run.in, &message, NULL) == TRIB_OK)
        pass(&run, &message);
    if (rc == TRIB_OK)
        cut_all(&run, data + at, size - at, skip);
    for (int i = 0; i < 2; i++) {
        serve(&run.served[i], TRIB_EVENT_DATA_END, NULL);
        serve_end(&run.served[i]);
    }
    tribi_arrow_in_free(run.in);
    trib_arrow_stream_free(run.same.stream);
    trib_reader_free(run.same.reader);
    free(schemas[0].block);
    free(schemas[1].block);
    return 0;
}
