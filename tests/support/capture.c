/* Captured sessions in tests. */
#include "tests/support/capture.h"

#include <tributary/transport.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void capture_load(const char *name, struct capture *ret_capture)
{
    data_load(name, &ret_capture->file);
    ret_capture->side = strstr(name, ".engine-to-worker.") != NULL ? TRIB_FROM_ENGINE : TRIB_FROM_WORKER;
    ret_capture->handshake = strstr(name, ".tcp-daemon.") != NULL   ? TRIB_HANDSHAKE_TCP_DAEMON
                             : strstr(name, ".tcp-direct.") != NULL ? TRIB_HANDSHAKE_TCP_DIRECT
                                                                    : TRIB_HANDSHAKE_PID;
}

void capture_done(struct capture *capture)
{
    data_done(&capture->file);
}

const char *capture_name(size_t i)
{
    static const char *const sessions[CAPTURE_COUNT / 2] = {
        "c-exception.tcp-daemon",          "c-exception.uds-direct",          "c-grouped-map.tcp-daemon",
        "c-grouped-map.uds-direct",        "c-map-in-arrow.tcp-daemon",       "c-map-in-arrow.uds-direct",
        "c-rdd-lines.tcp-daemon",          "c-rdd-lines.uds-direct",          "c-scalar-arrow.tcp-daemon",
        "c-scalar-arrow.uds-direct",       "c-scalar-string.tcp-daemon",      "c-scalar-string.uds-direct",
        "python-cogrouped-map.tcp-direct", "python-grouped-agg.tcp-direct",   "python-grouped-map.tcp-direct",
        "python-map-in-arrow.tcp-direct",  "python-row-udf-arrow.tcp-direct", "python-row-udf-pickle.tcp-direct",
        "python-scalar-arrow.tcp-direct",  "python-window.tcp-direct",
    };
    static char name[128];

    snprintf(name, sizeof(name), "spark-4.3.0/%s.%s.bin", sessions[i / 2], i % 2 == 0 ? "engine-to-worker" : "worker-to-engine");
    return name;
}

static void feed(struct trib_reader *reader, const uint8_t *bytes, size_t len)
{
    struct trib_chunk *chunk;
    struct trib_error err;

    ck_assert_int_eq(trib_chunk_copy(bytes, len, &chunk, &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_feed(reader, chunk, TRIB_FOREVER, &err), TRIB_OK);
}

struct trib_reader *capture_reader(const uint8_t *bytes, size_t len, struct cuts cuts)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    struct trib_reader *reader;
    struct trib_error err;
    size_t at = 0;

    options.budget = (size_t)64 << 20; /* blocks of the pool count whole, one-byte chunks too */
    ck_assert_msg(trib_reader_new(&options, &reader, &err) == TRIB_OK, "%s", err.message);
    for (size_t i = 0; cuts.every == 0 && i < cuts.count; i++) {
        feed(reader, bytes + at, cuts.at[i] - at);
        at = cuts.at[i];
    }
    for (; cuts.every != 0 && at + cuts.every < len; at += cuts.every)
        feed(reader, bytes + at, cuts.every);
    feed(reader, bytes + at, len - at);
    ck_assert_int_eq(trib_reader_finish(reader, &err), TRIB_OK);
    return reader;
}

/* ---- The channel in memory -------------------------------------------------------------------------------------- */

static int memory_recv(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                       struct trib_error *err)
{
    struct memory_channel *memory = self;
    size_t len = memory->input_len - memory->at;
    struct trib_chunk *chunk;
    int rc;

    if (len == 0 && memory->stuck)
        return want->deadline == TRIB_NOWAIT ? TRIB_AGAIN : trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "memory: nothing will come");
    if (len == 0)
        return TRIB_EOF;
    if (memory->piece != 0 && len > memory->piece)
        len = memory->piece;
    rc = trib_chunk_copy(memory->input + memory->at, len, &chunk, err);
    if (rc != TRIB_OK)
        return rc;
    memory->at += len;
    *ret_view = trib_chunk_view(chunk);
    *ret_flags = 0;
    return TRIB_OK;
}

static void keep(struct memory_channel *memory, const uint8_t *data, size_t len)
{
    if (memory->output_len + len > memory->output_room) {
        memory->output_room = (memory->output_len + len) * 2;
        memory->output = realloc(memory->output, memory->output_room);
        ck_assert_ptr_nonnull(memory->output);
    }
    memcpy(memory->output + memory->output_len, data, len);
    memory->output_len += len;
}

static int memory_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    struct memory_channel *memory = self;
    size_t taken = 0;

    (void)err;
    if (memory->refuse != 0 && send->deadline == TRIB_NOWAIT && ++memory->refused % memory->refuse != 0)
        return TRIB_AGAIN;
    for (size_t i = 0; i < send->count; i++) {
        size_t len = send->views[i].len;
        if (memory->send_max != 0 && len > memory->send_max - taken)
            len = memory->send_max - taken;
        if (len > 0)
            keep(memory, send->views[i].data, len);
        if (memory->watched != NULL && send->views[i].data >= memory->watched &&
            send->views[i].data < memory->watched + memory->watched_len)
            memory->watched_sent += len;
        taken += len;
    }
    *ret_bytes = taken;
    return TRIB_OK;
}

static int memory_finish(void *self, int status, const char *text, int64_t deadline, struct trib_error *err)
{
    struct memory_channel *memory = self;

    (void)status, (void)text, (void)deadline, (void)err;
    memory->finished = true;
    return TRIB_OK;
}

static void memory_nothing(void *self)
{
    (void)self;
}

static const struct trib_channel_ops memory_ops = {
    .size = sizeof(struct trib_channel_ops),
    .name = "memory",
    .capabilities = TRIB_CAP_HALF_CLOSE,
    .recv = memory_recv,
    .send = memory_send,
    .finish = memory_finish,
    .cancel = memory_nothing,
    .close = memory_nothing,
    .free = memory_nothing,
};

struct trib_channel *memory_channel(struct memory_channel *memory, const uint8_t *input, size_t len)
{
    struct trib_channel *channel;
    struct trib_error err;

    memset(memory, 0, sizeof(*memory));
    memory->input = input;
    memory->input_len = len;
    ck_assert_msg(trib_channel_new(&memory_ops, memory, NULL, &channel, &err) == TRIB_OK, "%s", err.message);
    return channel;
}

struct trib_channel *memory_channel_gather(struct memory_channel *memory, size_t gather)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_channel *channel;
    struct trib_error err;

    memset(memory, 0, sizeof(*memory));
    options.gather = gather;
    ck_assert_msg(trib_channel_new(&memory_ops, memory, &options, &channel, &err) == TRIB_OK, "%s", err.message);
    return channel;
}

int memory_channel_try(struct memory_channel *memory, struct trib_channel **ret_channel, struct trib_error *err)
{
    memset(memory, 0, sizeof(*memory));
    return trib_channel_new(&memory_ops, memory, NULL, ret_channel, err);
}

void memory_done(struct memory_channel *memory)
{
    free(memory->output);
    memory->output = NULL;
}

/* ---- There and back --------------------------------------------------------------------------------------------- */

static int echo_events(struct trib_receiver *receiver, struct trib_sender *sender, struct trib_error *err)
{
    struct trib_event event;
    int rc = TRIB_OK;

    while (rc == TRIB_OK) {
        rc = trib_receiver_next(receiver, &event, err);
        if (rc == TRIB_OK)
            rc = trib_sender_put(sender, &event, err);
    }
    return rc;
}

int capture_echo(struct trib_reader *reader, struct trib_writer *writer, const struct capture *capture, struct trib_error *err)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct trib_receiver *receiver = NULL;
    struct trib_sender *sender = NULL;
    int rc, flushed;

    options.handshake = capture->handshake;
    rc = trib_receiver_new(&trib_dialect_spark_socket, reader, capture->side, &options, &receiver, err);
    if (rc == TRIB_OK)
        rc = trib_sender_new(&trib_dialect_spark_socket, writer, capture->side, &options, &sender, err);
    if (rc == TRIB_OK)
        rc = echo_events(receiver, sender, err);
    if (rc == TRIB_EOF) {
        flushed = trib_writer_flush(writer, err);
        rc = flushed == TRIB_OK ? TRIB_EOF : flushed;
    }
    trib_sender_free(sender);
    trib_receiver_free(receiver);
    return rc;
}
