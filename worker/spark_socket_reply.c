/* Reads what the worker of spark-socket says besides Arrow: frames, timing, exception, accumulators, the last word. */
#include "spark_socket-internal.h"

#define TIMING_BYTES (4 + 6 * 8)

/* The event that a word begins, in this place; 0 where it is none. -1 means two things. */
static enum trib_event_kind kind_of(const struct tribi_spark_receiver *receiver, int32_t word)
{
    bool last = receiver->order.state == TRIBI_ORDER_REPLY_FINISH;

    switch (word) {
    case TRIB_SPARK_END_OF_DATA:
        return last ? TRIB_EVENT_FINISH : TRIB_EVENT_ACCUMULATORS;
    case TRIB_SPARK_END_OF_STREAM:
        return last ? TRIB_EVENT_FINISH : (enum trib_event_kind)0;
    case TRIB_SPARK_EXCEPTION:
        return TRIB_EVENT_EXCEPTION;
    case TRIB_SPARK_TIMING:
        return TRIB_EVENT_TIMING;
    case TRIB_SPARK_NULL:
        return TRIB_EVENT_NULL;
    case TRIB_SPARK_ARROW_STREAM:
        return TRIB_EVENT_STREAM;
    default:
        return word >= 0 ? TRIB_EVENT_FRAME : (enum trib_event_kind)0;
    }
}

static int read_timing(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    struct trib_timing *timing = &event->timing;
    struct trib_view view;
    int rc = tribi_spark_peek(receiver, TIMING_BYTES, &view, err);

    if (rc != TRIB_OK)
        return rc;
    timing->boot_ms = tribi_get_be64(view.data + 4);
    timing->init_ms = tribi_get_be64(view.data + 12);
    timing->finish_ms = tribi_get_be64(view.data + 20);
    timing->processing_ms = tribi_get_be64(view.data + 28);
    timing->memory_spilled = tribi_get_be64(view.data + 36);
    timing->disk_spilled = tribi_get_be64(view.data + 44);
    return trib_reader_skip(receiver->reader, TIMING_BYTES, NULL, err);
}

static int read_accumulators(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    struct trib_view view;
    int rc = tribi_spark_peek(receiver, 8, &view, err);

    if (rc != TRIB_OK)
        return rc;
    event->number = tribi_get_be32(view.data + 4);
    if (event->number < 0)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "spark-socket: number of accumulator updates: %lld is negative",
                              (long long)event->number);
    return trib_reader_skip(receiver->reader, 8, NULL, err);
}

static int read_kind(struct tribi_spark_receiver *receiver, int32_t word, struct trib_event *event, struct trib_error *err)
{
    switch (event->kind) {
    case TRIB_EVENT_FRAME:
        return tribi_spark_take_bytes(receiver, 0, "a frame", receiver->options.frame_limit, &event->bytes, err);
    case TRIB_EVENT_EXCEPTION:
        return tribi_spark_take_bytes(receiver, 4, "an exception's text", receiver->options.frame_limit, &event->bytes, err);
    case TRIB_EVENT_TIMING:
        return read_timing(receiver, event, err);
    case TRIB_EVENT_ACCUMULATORS:
        return read_accumulators(receiver, event, err);
    case TRIB_EVENT_STREAM:
        trib_arrow_stream_restart(receiver->arrow);
        break;
    case TRIB_EVENT_FINISH:
        event->number = word == TRIB_SPARK_END_OF_STREAM;
        break;
    default: /* NULL is its word alone */
        break;
    }
    return trib_reader_skip(receiver->reader, 4, NULL, err);
}

int tribi_spark_read_reply(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    int32_t word;
    int rc = tribi_spark_peek_word(receiver, &word, err);

    if (rc != TRIB_OK)
        return rc;
    event->kind = kind_of(receiver, word);
    if (event->kind == 0 || tribi_order_check(&receiver->order, event->kind, NULL) != TRIB_OK)
        return tribi_spark_refuse(receiver, word, err);
    return read_kind(receiver, word, event, err);
}

int tribi_spark_read_update(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err)
{
    event->kind = TRIB_EVENT_ACCUMULATOR;
    return tribi_spark_take_bytes(receiver, 0, "an accumulator update", receiver->options.frame_limit, &event->bytes, err);
}
