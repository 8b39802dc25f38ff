/* Writes events of spark-socket, both directions: each is a few bytes of header, then views of what it carries. */
#include "spark_socket-internal.h"

#include <tributary/alloc.h>

#include "arrow-internal.h"

#include <string.h>

#define HEADER_MAX 56 /* TIMING: a word and six numbers */
#define PIECES_MAX 3

struct sender {
    struct trib_writer *writer;
    struct trib_message_options options;
    struct tribi_order order;
    /* The event that is being written: after TRIB_AGAIN or TRIB_ERR_NOMEM the same one comes again and goes on at `part`. What it
     * carries is the caller's for the time of each call: only what tells it from another event is kept. */
    bool busy;
    enum trib_event_kind kind;
    int64_t number;
    size_t lens[PIECES_MAX - 1];
    int part;
    uint8_t header[HEADER_MAX];
    size_t header_len;
    struct trib_chunk *init; /* what an INIT is written from */
};

static void header_be32(struct sender *sender, int32_t value)
{
    uint8_t *at = sender->header + sender->header_len;
    uint32_t v = (uint32_t)value;

    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)(v >> 16);
    at[2] = (uint8_t)(v >> 8);
    at[3] = (uint8_t)v;
    sender->header_len += 4;
}

static void header_be64(struct sender *sender, int64_t value)
{
    header_be32(sender, (int32_t)((uint64_t)value >> 32));
    header_be32(sender, (int32_t)((uint64_t)value & UINT32_MAX));
}

static int header_bytes(struct sender *sender, const char *what, struct trib_view bytes, struct trib_error *err)
{
    if (bytes.len > INT32_MAX)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, bytes.len, INT32_MAX, "spark-socket: %s of %zu bytes, at most %d", what,
                                  bytes.len, INT32_MAX);
    header_be32(sender, (int32_t)bytes.len);
    return TRIB_OK;
}

static int prepare_init(struct sender *sender, const struct trib_event *event, struct trib_error *err)
{
    int rc;

    if (event->spark_init == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "spark-socket: INIT without an init message");
    rc = trib_spark_init_chunk(event->spark_init, &sender->init, err);
    if (rc != TRIB_OK)
        return rc;
    header_be32(sender, TRIB_SPARK_INIT);
    header_be32(sender, (int32_t)trib_chunk_len(sender->init));
    return TRIB_OK;
}

static int prepare_data(const struct trib_event *event, struct trib_error *err)
{
    if (event->number < TRIB_DATA_FRAMES || event->number > TRIB_DATA_PAIRS)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "spark-socket: DATA of shape %lld, which is none", (long long)event->number);
    return TRIB_OK;
}

static int prepare_group(struct sender *sender, const struct trib_event *event, struct trib_error *err)
{
    int streams = sender->order.shape == TRIB_DATA_PAIRS ? 2 : 1;

    if (event->number != streams)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "spark-socket: GROUP of %lld streams, expected %d", (long long)event->number,
                              streams);
    header_be32(sender, streams);
    return TRIB_OK;
}

static int prepare_arrow(struct sender *sender, const struct trib_event *event, struct trib_error *err)
{
    size_t len = event->arrow.metadata.len;

    if (len == 0 || len > INT32_MAX)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "spark-socket: ARROW with %zu bytes of metadata", len);
    tribi_arrow_prefix(sender->header, len);
    sender->header_len = TRIBI_ARROW_PREFIX;
    return TRIB_OK;
}

static void prepare_timing(struct sender *sender, const struct trib_timing *timing)
{
    header_be32(sender, TRIB_SPARK_TIMING);
    header_be64(sender, timing->boot_ms);
    header_be64(sender, timing->init_ms);
    header_be64(sender, timing->finish_ms);
    header_be64(sender, timing->processing_ms);
    header_be64(sender, timing->memory_spilled);
    header_be64(sender, timing->disk_spilled);
}

static int prepare_accumulators(struct sender *sender, const struct trib_event *event, struct trib_error *err)
{
    if (event->number < 0 || event->number > INT32_MAX)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "spark-socket: ACCUMULATORS of %lld updates", (long long)event->number);
    header_be32(sender, TRIB_SPARK_END_OF_DATA);
    header_be32(sender, (int32_t)event->number);
    return TRIB_OK;
}

/* Data of frames ends with a word, groups with their count, a single stream with itself. */
static void prepare_data_end(struct sender *sender)
{
    if (sender->order.shape == TRIB_DATA_FRAMES)
        header_be32(sender, TRIB_SPARK_END_OF_DATA);
    else if (sender->order.shape != TRIB_DATA_STREAM)
        header_be32(sender, 0);
}

static int prepare(struct sender *sender, const struct trib_event *event, struct trib_error *err)
{
    bool worker = sender->order.from == TRIB_FROM_WORKER;

    switch (event->kind) {
    case TRIB_EVENT_AUTH:
        return header_bytes(sender, "a secret or the answer to it", event->bytes, err);
    case TRIB_EVENT_FRAME:
        return header_bytes(sender, "a frame", event->bytes, err);
    case TRIB_EVENT_ACCUMULATOR:
        return header_bytes(sender, "an accumulator update", event->bytes, err);
    case TRIB_EVENT_EXCEPTION:
        header_be32(sender, TRIB_SPARK_EXCEPTION);
        return header_bytes(sender, "an exception's text", event->bytes, err);
    case TRIB_EVENT_INIT:
        return prepare_init(sender, event, err);
    case TRIB_EVENT_DATA:
        return prepare_data(event, err);
    case TRIB_EVENT_GROUP:
        return prepare_group(sender, event, err);
    case TRIB_EVENT_ARROW:
        return prepare_arrow(sender, event, err);
    case TRIB_EVENT_ACCUMULATORS:
        return prepare_accumulators(sender, event, err);
    case TRIB_EVENT_PID:
        header_be32(sender, (int32_t)event->number);
        break;
    case TRIB_EVENT_STREAM:
        if (worker)
            header_be32(sender, TRIB_SPARK_ARROW_STREAM);
        break;
    case TRIB_EVENT_STREAM_END:
        tribi_arrow_prefix(sender->header, 0);
        sender->header_len = TRIBI_ARROW_PREFIX;
        break;
    case TRIB_EVENT_NULL:
        header_be32(sender, TRIB_SPARK_NULL);
        break;
    case TRIB_EVENT_DATA_END:
        prepare_data_end(sender);
        break;
    case TRIB_EVENT_TIMING:
        prepare_timing(sender, &event->timing);
        break;
    case TRIB_EVENT_FINISH:
        header_be32(sender, worker && event->number == 0 ? TRIB_SPARK_END_OF_DATA : TRIB_SPARK_END_OF_STREAM);
        break;
    }
    return TRIB_OK;
}

/* What follows the header; empty views are skipped. */
static void find_views(const struct sender *sender, const struct trib_event *event, struct trib_view *ret_views)
{
    memset(ret_views, 0, (PIECES_MAX - 1) * sizeof(*ret_views));
    switch (event->kind) {
    case TRIB_EVENT_AUTH:
    case TRIB_EVENT_FRAME:
    case TRIB_EVENT_ACCUMULATOR:
    case TRIB_EVENT_EXCEPTION:
        ret_views[0] = event->bytes;
        break;
    case TRIB_EVENT_INIT:
        ret_views[0] = trib_chunk_view(sender->init);
        break;
    case TRIB_EVENT_ARROW:
        ret_views[0] = event->arrow.metadata;
        ret_views[1] = event->arrow.body;
        break;
    default:
        break;
    }
}

static void reset(struct sender *sender)
{
    sender->init = trib_chunk_unref(sender->init);
    sender->header_len = 0;
    sender->part = 0;
    sender->busy = false;
}

static int begin(struct sender *sender, const struct trib_event *event, struct trib_view *ret_views, struct trib_error *err)
{
    int rc = tribi_order_check(&sender->order, event->kind, err);

    if (rc == TRIB_OK)
        rc = prepare(sender, event, err);
    if (rc != TRIB_OK) {
        reset(sender);
        return rc;
    }
    find_views(sender, event, ret_views);
    sender->kind = event->kind;
    sender->number = event->number;
    for (int i = 0; i < PIECES_MAX - 1; i++)
        sender->lens[i] = ret_views[i].len;
    sender->busy = true;
    return TRIB_OK;
}

/* A part of an event is out, and its lengths: the rest of another one in its place would be read as its own. */
static int go_on(const struct sender *sender, const struct trib_event *event, struct trib_view *ret_views, struct trib_error *err)
{
    bool same = event->kind == sender->kind && event->number == sender->number &&
                (event->kind != TRIB_EVENT_INIT || event->spark_init != NULL);

    if (same)
        find_views(sender, event, ret_views);
    for (int i = 0; i < PIECES_MAX - 1; i++)
        same = same && ret_views[i].len == sender->lens[i];
    if (same)
        return TRIB_OK;
    return trib_error_set(err, TRIB_ERR_USAGE, 0, "spark-socket: %s came while a part of %s is written, expected the same again",
                          trib_event_name(event->kind), trib_event_name(sender->kind));
}

static int write_part(struct sender *sender, const struct trib_view *views, struct trib_error *err)
{
    if (sender->part == 0)
        return sender->header_len > 0 ? trib_writer_bytes(sender->writer, sender->header, sender->header_len, err) : TRIB_OK;
    return views[sender->part - 1].len > 0 ? trib_writer_view(sender->writer, views[sender->part - 1], err) : TRIB_OK;
}

int tribi_spark_put(void *self, const struct trib_event *event, struct trib_error *err)
{
    struct sender *sender = self;
    struct trib_view views[PIECES_MAX - 1];
    int rc = sender->busy ? go_on(sender, event, views, err) : begin(sender, event, views, err);

    if (rc != TRIB_OK)
        return rc;
    for (; sender->part < PIECES_MAX; sender->part++) {
        rc = write_part(sender, views, err);
        if (rc != TRIB_OK) {
            if (sender->part == 0 || (sender->part == 1 && sender->header_len == 0))
                reset(sender);
            return rc;
        }
    }
    reset(sender);
    return tribi_order_step(&sender->order, event, err);
}

int tribi_spark_sender_new(struct trib_writer *writer, enum trib_side from, const struct trib_message_options *options,
                           void **ret_self, struct trib_error *err)
{
    struct sender *sender = trib_alloc(sizeof(*sender));

    if (sender == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "spark-socket: sender: no memory");
    sender->writer = writer;
    sender->options = *options;
    tribi_order_init(&sender->order, from, options->handshake);
    *ret_self = sender;
    return TRIB_OK;
}

int tribi_spark_put_session(void *self, struct trib_error *err)
{
    struct sender *sender = self;

    return tribi_order_restart(&sender->order, err);
}

void tribi_spark_sender_free(void *self)
{
    struct sender *sender = self;

    reset(sender);
    trib_free(sender);
}
