/* What the files of the spark-socket dialect share: the two halves of its table, and the receiver that they read with. */
#ifndef TRIBI_SPARK_SOCKET_H
#define TRIBI_SPARK_SOCKET_H

#include <tributary/message.h>
#include <tributary/spark.h>

#include "spark_order-internal.h"

struct tribi_spark_receiver {
    struct trib_reader *reader;
    struct trib_message_options options;
    struct tribi_order order;
    struct trib_arrow_stream *arrow;
    bool init_announced; /* marker and length of the init message are taken */
    size_t init_length;
    const struct trib_spark_init *init; /* of this session */
    enum trib_data_shape shape;         /* of its data */
    uint64_t event_begin;               /* position where the next event begins */
};

/* Each reads one event: TRIB_OK, or as trib_receiver_next() says. */
int tribi_spark_read_data(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err);
int tribi_spark_read_frame(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err);
int tribi_spark_read_group(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err);
int tribi_spark_read_stream(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err);
int tribi_spark_read_arrow(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err);
int tribi_spark_read_data_end(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err);
int tribi_spark_read_reply(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err);
int tribi_spark_read_update(struct tribi_spark_receiver *receiver, struct trib_event *event, struct trib_error *err);

/* Looks at the next n bytes without taking them. TRIB_EOF only where the session may end; else the end of the stream is
 * TRIB_ERR_SHORT and the text says what was expected. */
int tribi_spark_peek(struct tribi_spark_receiver *receiver, size_t n, struct trib_view *ret_view, struct trib_error *err);

/* The next word, not taken. */
int tribi_spark_peek_word(struct tribi_spark_receiver *receiver, int32_t *ret_word, struct trib_error *err);

/* `skip` bytes, a length and so many bytes, taken together; *ret_bytes is what follows the length. `what` names it in errors. */
int tribi_spark_take_bytes(struct tribi_spark_receiver *receiver, size_t skip, const char *what, size_t limit,
                           struct trib_view *ret_bytes, struct trib_error *err);

/* TRIB_ERR_PROTOCOL: this word came, something else was expected. */
int tribi_spark_refuse(struct tribi_spark_receiver *receiver, int32_t word, struct trib_error *err);

int32_t tribi_get_be32(const uint8_t *at);
int64_t tribi_get_be64(const uint8_t *at);

/* The other half, in spark_socket_put.c. */
int tribi_spark_sender_new(struct trib_writer *writer, enum trib_side from, const struct trib_message_options *options,
                           void **ret_self, struct trib_error *err);
int tribi_spark_put(void *self, const struct trib_event *event, struct trib_error *err);
int tribi_spark_put_session(void *self, struct trib_error *err);
void tribi_spark_sender_free(void *self);

#endif
