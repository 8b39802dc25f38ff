/* The spark-socket dialect: its table, and the receiver that takes handshake, Init and Finish and hands the rest to its readers. */
#include "spark_socket-internal.h"

#include <tributary/alloc.h>

#include "arrow-internal.h"

#define AUTH_LIMIT 4096

int32_t tribi_get_be32(const uint8_t *at)
{
    return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3]);
}

int64_t tribi_get_be64(const uint8_t *at)
{
    return (int64_t)((uint64_t)(uint32_t)tribi_get_be32(at) << 32 | (uint32_t)tribi_get_be32(at + 4));
}

/* ---- What the readers are made of ------------------------------------------------------------------------------- */

int tribi_spark_peek(struct tribi_spark_receiver *receiver, size_t n, struct trib_view *ret_view, struct trib_error *err)
{
    int rc = trib_reader_peek(receiver->reader, n, ret_view, err);

    if (rc == TRIB_EOF && tribi_order_may_end(&receiver->order))
        return rc;
    return tribi_name_short(rc, tribi_order_expected(&receiver->order), n, err);
}

int tribi_spark_peek_word(struct tribi_spark_receiver *receiver, int32_t *ret_word, struct trib_error *err)
{
    struct trib_view view;
    int rc = tribi_spark_peek(receiver, 4, &view, err);

    if (rc == TRIB_OK)
        *ret_word = tribi_get_be32(view.data);
    return rc;
}

int tribi_spark_take_bytes(struct tribi_spark_receiver *receiver, size_t skip, const char *what, size_t limit,
                           struct trib_view *ret_bytes, struct trib_error *err)
{
    struct trib_view view;
    int32_t length;
    int rc = tribi_spark_peek(receiver, skip + 4, &view, err);

    if (rc != TRIB_OK)
        return rc;
    length = tribi_get_be32(view.data + skip);
    if (length < 0)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "spark-socket: length of %s: %d is negative", what, (int)length);
    if ((size_t)length > limit)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, (uint64_t)length, limit,
                                  "spark-socket: %s of %d bytes, at most %zu are allowed", what, (int)length, limit);
    rc = tribi_name_short(trib_reader_take(receiver->reader, skip + 4 + (size_t)length, &view, err), what,
                          skip + 4 + (uint64_t)length, err);
    if (rc == TRIB_OK)
        *ret_bytes = trib_view_sub(view, skip + 4, (size_t)length);
    return rc;
}

int tribi_spark_refuse(struct tribi_spark_receiver *receiver, int32_t word, struct trib_error *err)
{
    const char *name = trib_spark_word_name(word);

    if (name == NULL)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "spark-socket: the word %d (0x%08lx) came, expected %s", (int)word,
                              (unsigned long)(uint32_t)word, tribi_order_expected(&receiver->order));
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "spark-socket: %d (%s) came, expected %s", (int)word, name,
                          tribi_order_expected(&receiver->order));
}

/* ---- Handshake, Init, Finish ------------------------------------------------------------------------------------ */

static int read_handshake(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    struct trib_view view;
    int rc;

    event->kind = tribi_order_handshake(&receiver->order);
    if (event->kind == TRIB_EVENT_AUTH)
        return tribi_spark_take_bytes(receiver, 0, "a secret or the answer to it", AUTH_LIMIT, &event->bytes, err);
    rc = tribi_spark_peek(receiver, 4, &view, err);
    if (rc == TRIB_OK)
        rc = trib_reader_take(receiver->reader, 4, &view, err);
    if (rc == TRIB_OK)
        event->number = tribi_get_be32(view.data);
    return rc;
}

static int read_announcement(struct tribi_spark_receiver *receiver, struct trib_error *err)
{
    struct trib_view view;
    int32_t word, length;
    int rc = tribi_spark_peek_word(receiver, &word, err);

    if (rc != TRIB_OK)
        return rc;
    if (word != TRIB_SPARK_INIT)
        return tribi_spark_refuse(receiver, word, err);
    rc = tribi_spark_peek(receiver, 8, &view, err);
    if (rc != TRIB_OK)
        return rc;
    length = tribi_get_be32(view.data + 4);
    if (length < 0)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "spark-socket: length of the init message: %d is negative", (int)length);
    if ((size_t)length > receiver->options.init_limit)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, (uint64_t)length, receiver->options.init_limit,
                                  "spark-socket: init message of %d bytes, at most %zu are allowed", (int)length,
                                  receiver->options.init_limit);
    rc = trib_reader_skip(receiver->reader, 8, NULL, err);
    if (rc == TRIB_OK) {
        receiver->init_length = (size_t)length;
        receiver->init_announced = true;
    }
    return rc;
}

static int read_init(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    int rc = receiver->init_announced ? TRIB_OK : read_announcement(receiver, err);

    if (rc == TRIB_OK)
        rc = trib_spark_init_parse(receiver->reader, receiver->init_length, &receiver->init, err);
    if (rc != TRIB_OK)
        return rc;
    receiver->init_announced = false;
    receiver->shape = trib_spark_eval_shape(receiver->init->eval_type);
    event->kind = TRIB_EVENT_INIT;
    event->spark_init = receiver->init;
    return TRIB_OK;
}

static int read_finish(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    int32_t word;
    int rc = tribi_spark_peek_word(receiver, &word, err);

    if (rc == TRIB_OK && word != TRIB_SPARK_END_OF_STREAM)
        return tribi_spark_refuse(receiver, word, err);
    event->kind = TRIB_EVENT_FINISH;
    return rc == TRIB_OK ? trib_reader_skip(receiver->reader, 4, NULL, err) : rc;
}

/* ---- The receiver ----------------------------------------------------------------------------------------------- */

static int read_nothing(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    (void)receiver, (void)event, (void)err;
    return TRIB_EOF;
}

typedef int read_fn(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err);

static read_fn *const readers[TRIBI_ORDER_STATES] = {
    [TRIBI_ORDER_INIT] = read_init,
    [TRIBI_ORDER_DATA] = tribi_spark_read_data,
    [TRIBI_ORDER_FRAMES] = tribi_spark_read_frame,
    [TRIBI_ORDER_GROUPS] = tribi_spark_read_group,
    [TRIBI_ORDER_STREAM] = tribi_spark_read_stream,
    [TRIBI_ORDER_ARROW] = tribi_spark_read_arrow,
    [TRIBI_ORDER_DATA_END] = tribi_spark_read_data_end,
    [TRIBI_ORDER_FINISH] = read_finish,
    [TRIBI_ORDER_REPLY] = tribi_spark_read_reply,
    [TRIBI_ORDER_REPLY_FRAMES] = tribi_spark_read_reply,
    [TRIBI_ORDER_REPLY_ARROW] = tribi_spark_read_arrow,
    [TRIBI_ORDER_REPLY_DONE] = tribi_spark_read_reply,
    [TRIBI_ORDER_REPLY_TIMED] = tribi_spark_read_reply,
    [TRIBI_ORDER_REPLY_ITEMS] = tribi_spark_read_update,
    [TRIBI_ORDER_REPLY_FINISH] = tribi_spark_read_reply,
    [TRIBI_ORDER_OVER] = read_nothing,
};

static int spark_receiver_new(struct trib_reader *reader, enum trib_side from, const struct trib_message_options *options,
                              void **ret_self, struct trib_error *err)
{
    struct trib_arrow_options arrow = TRIB_ARROW_OPTIONS_INIT;
    struct tribi_spark_receiver *receiver = trib_alloc(sizeof(*receiver));
    int rc;

    if (receiver == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "spark-socket: receiver: no memory");
    arrow.metadata_limit = options->metadata_limit;
    arrow.body_limit = options->body_limit;
    arrow.align = options->align;
    rc = trib_arrow_stream_new(reader, &arrow, &receiver->arrow, err);
    if (rc != TRIB_OK) {
        trib_free(receiver);
        return rc;
    }
    receiver->reader = reader;
    receiver->options = *options;
    receiver->event_begin = trib_reader_position(reader);
    tribi_order_init(&receiver->order, from, options->handshake);
    *ret_self = receiver;
    return TRIB_OK;
}

static int spark_next(void *self, struct trib_event *ret_event, enum trib_session_state *ret_state, struct trib_error *err)
{
    struct tribi_spark_receiver *receiver = self;
    read_fn *read = tribi_order_handshake(&receiver->order) != 0 ? read_handshake : readers[receiver->order.state];
    int rc = read(receiver, ret_event, err);

    if (rc == TRIB_OK)
        rc = tribi_order_step(&receiver->order, ret_event, err);
    if (rc != TRIB_OK)
        return rc;
    ret_event->offset = receiver->event_begin;
    receiver->event_begin = trib_reader_position(receiver->reader);
    ret_event->length = receiver->event_begin - ret_event->offset;
    *ret_state = receiver->order.session;
    return TRIB_OK;
}

static int spark_next_session(void *self, struct trib_error *err)
{
    struct tribi_spark_receiver *receiver = self;
    int rc = tribi_order_restart(&receiver->order, err);

    if (rc != TRIB_OK)
        return rc;
    trib_spark_init_free(receiver->init);
    receiver->init = NULL;
    receiver->event_begin = trib_reader_position(receiver->reader);
    return TRIB_OK;
}

static void spark_receiver_free(void *self)
{
    struct tribi_spark_receiver *receiver = self;

    trib_arrow_stream_free(receiver->arrow);
    trib_spark_init_free(receiver->init);
    trib_free(receiver);
}

const struct trib_dialect trib_dialect_spark_socket = {
    .size = sizeof(struct trib_dialect),
    .name = "spark-socket",
    .receiver_new = spark_receiver_new,
    .next = spark_next,
    .next_session = spark_next_session,
    .receiver_free = spark_receiver_free,
    .sender_new = tribi_spark_sender_new,
    .put = tribi_spark_put,
    .put_session = tribi_spark_put_session,
    .sender_free = tribi_spark_sender_free,
};
