/* Reads the data section of spark-socket, from either side: frames, groups, Arrow streams. */
#include "spark_socket-internal.h"

/* Data begins with what the eval type says. A marker of another message in its place is told by name. */
int tribi_spark_read_data(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    enum trib_session_state session = receiver->order.session;
    int32_t word;
    int rc;

    if (receiver->shape == 0)
        return trib_error_set(
            err, TRIB_ERR_UNSUPPORTED, 0, "spark-socket: data of eval type %d (%s) has a form of its own",
            (int)receiver->init->eval_type,
            trib_spark_eval_name(receiver->init->eval_type) != NULL ? trib_spark_eval_name(receiver->init->eval_type) : "unknown");
    rc = tribi_spark_peek_word(receiver, &word, err);
    if (rc == TRIB_OK && word == TRIB_SPARK_END_OF_STREAM)
        rc = trib_session_step(&session, TRIB_MESSAGE_FINISH, err);
    else if (rc == TRIB_OK && word == TRIB_SPARK_INIT)
        rc = trib_session_step(&session, TRIB_MESSAGE_INIT, err);
    event->kind = TRIB_EVENT_DATA;
    event->number = receiver->shape;
    return rc;
}

int tribi_spark_read_frame(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    int32_t word;
    int rc = tribi_spark_peek_word(receiver, &word, err);

    if (rc != TRIB_OK)
        return rc;
    if (word >= 0) {
        event->kind = TRIB_EVENT_FRAME;
        return tribi_spark_take_bytes(receiver, 0, "a frame", receiver->options.frame_limit, &event->bytes, err);
    }
    if (word != TRIB_SPARK_NULL && word != TRIB_SPARK_END_OF_DATA)
        return tribi_spark_refuse(receiver, word, err);
    event->kind = word == TRIB_SPARK_NULL ? TRIB_EVENT_NULL : TRIB_EVENT_DATA_END;
    return trib_reader_skip(receiver->reader, 4, NULL, err);
}

int tribi_spark_read_group(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    int32_t word, streams = receiver->shape == TRIB_DATA_PAIRS ? 2 : 1;
    int rc = tribi_spark_peek_word(receiver, &word, err);

    if (rc != TRIB_OK)
        return rc;
    if (word != 0 && word != streams)
        return tribi_spark_refuse(receiver, word, err);
    event->kind = word == 0 ? TRIB_EVENT_DATA_END : TRIB_EVENT_GROUP;
    event->number = word;
    return trib_reader_skip(receiver->reader, 4, NULL, err);
}

/* The engine puts no marker before a stream. */
int tribi_spark_read_stream(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    (void)err;
    trib_arrow_stream_restart(receiver->arrow);
    event->kind = TRIB_EVENT_STREAM;
    return TRIB_OK;
}

int tribi_spark_read_arrow(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    int rc = trib_arrow_stream_next(receiver->arrow, &event->arrow, err);

    event->kind = rc == TRIB_EOF ? TRIB_EVENT_STREAM_END : TRIB_EVENT_ARROW;
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

/* A single stream's end is the data's. */
int tribi_spark_read_data_end(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    (void)receiver, (void)err;
    event->kind = TRIB_EVENT_DATA_END;
    return TRIB_OK;
}
