/* Serving over channels of this process: one driver, whatever carries the bytes, with more data than any of them holds at once. */
#include <tributary/serializer.h>

#include <tributary/spark.h>
#include <tributary/transports.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/balance.h"
#include "tests/support/capture.h"
#include "tests/support/runner.h"

/* A session made of a captured one, with its batch `repeat` times: init, schema, batches, end of stream, end. */
enum { SCHEMA = 4519, BATCH = SCHEMA + 232, BATCH_LEN = 216, REST = BATCH + BATCH_LEN };

struct session {
    uint8_t *bytes;
    size_t len;
};

static void make_session(struct session *session, size_t repeat)
{
    struct capture capture;
    uint8_t *at;

    capture_load("spark-4.3.0/c-map-in-arrow.tcp-daemon.engine-to-worker.bin", &capture);
    session->len = capture.file.len + (repeat - 1) * BATCH_LEN;
    at = session->bytes = malloc(session->len);
    ck_assert_ptr_nonnull(at);
    memcpy(at, capture.file.bytes, BATCH);
    at += BATCH;
    for (size_t i = 0; i < repeat; i++, at += BATCH_LEN)
        memcpy(at, capture.file.bytes + BATCH, BATCH_LEN);
    memcpy(at, capture.file.bytes + REST, capture.file.len - REST);
    capture_done(&capture);
}

static int open_unix(struct trib_channel **ret_a, struct trib_channel **ret_b)
{
    return trib_unix_pair(NULL, ret_a, ret_b, NULL);
}

static int open_chunk(struct trib_channel **ret_a, struct trib_channel **ret_b)
{
    return trib_chunk_pair(NULL, ret_a, ret_b, NULL);
}

static int (*const kinds[])(struct trib_channel **ret_a, struct trib_channel **ret_b) = {open_unix, open_chunk};

/* ---- The engine's two halves, and the worker ---------------------------------------------------------------------- */

struct engine {
    struct trib_channel *channel;
    const struct session *session;
    int rc;
};

static void write_session(void *arg)
{
    struct engine *engine = arg;
    struct trib_writer *writer = trib_channel_writer(engine->channel);
    struct trib_chunk *chunk;

    engine->rc = trib_chunk_wrap(engine->session->bytes, engine->session->len, NULL, NULL, &chunk, NULL);
    for (size_t at = 0; engine->rc == TRIB_OK && at < engine->session->len; at += 60000) {
        struct trib_view piece = trib_view_sub(trib_chunk_view(chunk), at, 60000);
        engine->rc = trib_writer_view(writer, piece, NULL);
    }
    if (engine->rc == TRIB_OK)
        engine->rc = trib_writer_flush(writer, NULL);
    trib_chunk_unref(chunk);
}

struct worker {
    struct trib_channel *channel;
    struct trib_serve_result result;
    struct trib_error err;
    int rc;
};

static void serve_one(void *arg)
{
    struct worker *worker = arg;
    struct trib_serve_options options = TRIB_SERVE_OPTIONS_INIT;

    options.serializer = &trib_serializer_echo;
    options.messages.handshake = TRIB_HANDSHAKE_TCP_DAEMON;
    options.messages.align = 64;
    options.deadline = trib_deadline_ms(60000);
    worker->result.size = sizeof(worker->result);
    worker->rc = trib_session_serve(trib_channel_reader(worker->channel), trib_channel_writer(worker->channel), &options,
                                    &worker->result, &worker->err);
}

/* Takes the worker's answer apart; returns the rows in it. */
static uint64_t read_answer(struct trib_channel *channel)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_receiver *receiver;
    struct trib_event event;
    struct trib_error err;
    uint64_t rows = 0;
    int rc;

    options.handshake = TRIB_HANDSHAKE_TCP_DAEMON;
    trib_reader_set_deadline(reader, trib_deadline_ms(60000));
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_WORKER, &options, &receiver, &err), TRIB_OK);
    while ((rc = trib_receiver_next(receiver, &event, &err)) == TRIB_OK)
        rows += event.kind == TRIB_EVENT_ARROW ? (uint64_t)event.arrow.rows : 0;
    ck_assert_msg(rc == TRIB_EOF, "%s", err.message);
    trib_receiver_free(receiver);
    return rows;
}

START_TEST(test_echo)
{
    static const size_t repeats[] = {1, 100, 100000}; /* the last: 21 MB each way */
    size_t repeat = repeats[_i / 2];
    struct session session;
    struct engine engine = {.session = &session};
    struct worker worker = {.rc = 1};
    struct runner writing, serving;

    make_session(&session, repeat);
    ck_assert_int_eq(kinds[_i % 2](&engine.channel, &worker.channel), TRIB_OK);
    runner_start(&serving, serve_one, &worker);
    runner_start(&writing, write_session, &engine);
    ck_assert_uint_eq(read_answer(engine.channel), 3 * repeat);
    runner_join(&writing);
    runner_join(&serving);
    ck_assert_int_eq(engine.rc, TRIB_OK);
    ck_assert_msg(worker.rc == TRIB_OK, "%s", worker.err.message);
    ck_assert(worker.result.reusable);
    ck_assert_uint_eq(worker.result.rows, 3 * repeat);
    trib_channel_free(engine.channel);
    trib_channel_free(worker.channel);
    free(session.bytes);
}
END_TEST

/* An engine that asks for more only after it has read what there is: the worker sends before it waits. */
START_TEST(test_sends_before_it_waits)
{
    struct session session;
    struct worker worker = {.rc = 1};
    struct trib_channel *channel;
    struct trib_reader *reader;
    struct trib_writer *writer;
    struct trib_view view;
    struct runner serving;
    struct trib_error err;

    make_session(&session, 2);
    ck_assert_int_eq(kinds[_i](&channel, &worker.channel), TRIB_OK);
    reader = trib_channel_reader(channel);
    writer = trib_channel_writer(channel);
    runner_start(&serving, serve_one, &worker);
    trib_reader_set_deadline(reader, trib_deadline_ms(60000));
    ck_assert_int_eq(trib_reader_take(reader, 4, &view, &err), TRIB_OK); /* pid */
    ck_assert_int_eq(trib_writer_bytes(writer, session.bytes, 68, &err), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(reader, 6, &view, &err), TRIB_OK); /* "ok" */
    ck_assert_int_eq(trib_writer_bytes(writer, session.bytes + 68, BATCH + BATCH_LEN - 68, &err), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(reader, 4 + 232 + BATCH_LEN, &view, &err), TRIB_OK); /* -6, schema, first batch */
    ck_assert_int_eq(trib_writer_bytes(writer, session.bytes + BATCH + BATCH_LEN, BATCH_LEN, &err), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(reader, BATCH_LEN, &view, &err), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, session.bytes + BATCH + 2 * BATCH_LEN, session.len - BATCH - 2 * BATCH_LEN, &err),
                     TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(reader, 8 + 52 + 8 + 4, &view, &err), TRIB_OK);
    runner_join(&serving);
    ck_assert_int_eq(worker.rc, TRIB_OK);
    trib_channel_free(channel);
    trib_channel_free(worker.channel);
    free(session.bytes);
}
END_TEST

/* A peer that goes in the middle of a session is an error, at once. */
START_TEST(test_peer_goes)
{
    struct session session;
    struct worker worker = {.rc = 1};
    struct trib_channel *channel;
    struct runner serving;

    make_session(&session, 2);
    ck_assert_int_eq(kinds[_i](&channel, &worker.channel), TRIB_OK);
    runner_start(&serving, serve_one, &worker);
    ck_assert_int_eq(trib_writer_bytes(trib_channel_writer(channel), session.bytes, BATCH + 20, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(channel), NULL), TRIB_OK);
    trib_channel_free(channel);
    runner_join(&serving);
    ck_assert_msg(worker.rc == TRIB_ERR_SHORT || worker.rc == TRIB_ERR_CLOSED || worker.rc == TRIB_ERR_IO, "%s: %s",
                  trib_code_name(worker.rc), worker.err.message);
    ck_assert(!worker.result.reusable && !worker.result.exception);
    trib_channel_free(worker.channel);
    free(session.bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("serving over channels");
    TCase *tcase = tcase_create("echo");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 90);
    tcase_add_loop_test(tcase, test_echo, 0, 6);
    tcase_add_loop_test(tcase, test_sends_before_it_waits, 0, 2);
    tcase_add_loop_test(tcase, test_peer_goes, 0, 2);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
