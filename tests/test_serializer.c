/* Serving a session: the recorded engines' bytes in, what the recorded workers answered out, with pid and times masked. */
#include <tributary/serializer.h>

#include <tributary/spark.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/balance.h"
#include "tests/support/capture.h"
#include "tests/support/fail_alloc.h"

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int64_t one_clock(void *arg)
{
    int64_t *now = arg;

    return (*now)++;
}

/* Where a worker's answer tells pid and times: by the recorded answer's own events. */
static void mask(const struct capture *answer, uint8_t *bytes, size_t len)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct cuts whole = {NULL, 0, 0};
    struct trib_reader *reader = capture_reader(answer->file.bytes, answer->file.len, whole);
    struct trib_receiver *receiver;
    struct trib_event event;

    options.handshake = answer->handshake;
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_WORKER, &options, &receiver, NULL), TRIB_OK);
    while (trib_receiver_next(receiver, &event, NULL) == TRIB_OK) {
        size_t skip = event.kind == TRIB_EVENT_TIMING ? 4 : 0;
        if ((event.kind == TRIB_EVENT_PID || event.kind == TRIB_EVENT_TIMING) && event.offset + event.length <= len)
            memset(bytes + event.offset + skip, 0xAA, event.length - skip);
    }
    trib_receiver_free(receiver);
    trib_reader_free(reader);
}

static int serve(struct capture *engine, const struct trib_serializer *serializer, size_t piece, struct memory_channel *memory,
                 struct trib_serve_result *result, struct trib_error *err)
{
    struct trib_serve_options options = TRIB_SERVE_OPTIONS_INIT;
    struct trib_channel *channel = memory_channel(memory, engine->file.bytes, engine->file.len);
    int64_t clock = 1000;
    int rc;

    memory->piece = piece;
    options.serializer = serializer;
    options.messages.handshake = engine->handshake;
    options.secret = engine->handshake == TRIB_HANDSHAKE_TCP_DIRECT ? "s" : SECRET;
    options.pid = 4711;
    options.now_ms = one_clock;
    options.now_arg = &clock;
    result->size = sizeof(*result);
    rc = trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, result, err);
    trib_channel_free(channel);
    return rc;
}

struct answer {
    const char *session;
    const char *serializer;
};

static const struct answer answers[] = {
    {"c-map-in-arrow.tcp-daemon", "echo"},   {"c-map-in-arrow.uds-direct", "echo"},   {"c-grouped-map.tcp-daemon", "echo"},
    {"c-grouped-map.uds-direct", "echo"},    {"c-rdd-lines.tcp-daemon", "upper"},     {"c-rdd-lines.uds-direct", "upper"},
    {"c-scalar-string.tcp-daemon", "upper"}, {"c-scalar-string.uds-direct", "upper"},
};

static void serve_and_compare(const struct answer *answer, size_t piece)
{
    struct trib_serve_result result;
    struct memory_channel memory;
    struct capture engine, worker;
    struct trib_error err;
    uint8_t *expected;
    char name[128];
    int rc;

    snprintf(name, sizeof(name), "spark-4.3.0/%s.engine-to-worker.bin", answer->session);
    capture_load(name, &engine);
    snprintf(name, sizeof(name), "spark-4.3.0/%s.worker-to-engine.bin", answer->session);
    capture_load(name, &worker);
    expected = malloc(worker.file.len);
    ck_assert_ptr_nonnull(expected);
    memcpy(expected, worker.file.bytes, worker.file.len);
    rc = serve(&engine, trib_serializer_find(answer->serializer), piece, &memory, &result, &err);
    ck_assert_msg(rc == TRIB_OK, "%s: %s", answer->session, err.message);
    ck_assert(result.reusable && !result.exception && !memory.finished);
    ck_assert_uint_eq(memory.output_len, worker.file.len);
    ck_assert_mem_eq(memory.output, "\0\0\x12\x67", 4); /* 4711 */
    mask(&worker, memory.output, memory.output_len);
    mask(&worker, expected, worker.file.len);
    ck_assert_mem_eq(memory.output, expected, worker.file.len);
    free(expected);
    memory_done(&memory);
    capture_done(&engine);
    capture_done(&worker);
}

START_TEST(test_answers_as_recorded)
{
    static const size_t pieces[] = {0, 1, 3, 100, 4096};

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        serve_and_compare(&answers[_i], pieces[i]);
}
END_TEST

/* ---- Other sessions --------------------------------------------------------------------------------------------- */

/* Takes apart what a worker answered; returns how many events there were of `kind`, and the last of them. */
static size_t find_events(const struct memory_channel *memory, enum trib_handshake handshake, enum trib_event_kind kind,
                          struct trib_event *ret_last, char *text, size_t text_len)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct cuts whole = {NULL, 0, 0};
    struct trib_reader *reader = capture_reader(memory->output, memory->output_len, whole);
    struct trib_receiver *receiver;
    struct trib_event event;
    struct trib_error err;
    size_t found = 0;
    int rc;

    options.handshake = handshake;
    options.align = 64;
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_WORKER, &options, &receiver, NULL), TRIB_OK);
    while ((rc = trib_receiver_next(receiver, &event, &err)) == TRIB_OK) {
        if (event.kind != kind)
            continue;
        found++;
        *ret_last = event;
        if (event.kind == TRIB_EVENT_ARROW && event.arrow.kind == TRIB_ARROW_SCHEMA)
            ck_assert_int_eq(trib_arrow_describe(&event.arrow, text, text_len, NULL), TRIB_OK);
        else if (event.kind != TRIB_EVENT_ARROW)
            snprintf(text, text_len, "%.*s", (int)event.bytes.len, (const char *)event.bytes.data);
        else
            memcpy(text + text_len / 2, event.arrow.body.data,
                   event.arrow.body.len < text_len / 2 ? event.arrow.body.len : text_len / 2);
    }
    ck_assert_msg(rc == TRIB_EOF, "%s", err.message);
    ck_assert(trib_reader_finished(reader));
    trib_receiver_free(receiver);
    trib_reader_free(reader);
    return found;
}

START_TEST(test_count_of_frames)
{
    struct trib_serve_result result;
    struct memory_channel memory;
    struct capture engine;
    struct trib_event event;
    struct trib_error err;
    char text[256];

    capture_load("spark-4.3.0/c-rdd-lines.tcp-daemon.engine-to-worker.bin", &engine);
    ck_assert_int_eq(serve(&engine, &trib_serializer_count, 0, &memory, &result, &err), TRIB_OK);
    ck_assert_uint_eq(find_events(&memory, engine.handshake, TRIB_EVENT_FRAME, &event, text, sizeof(text)), 1);
    ck_assert_str_eq(text, "frames=4 nulls=0 bytes=17");
    memory_done(&memory);
    capture_done(&engine);
}
END_TEST

START_TEST(test_count_of_arrow)
{
    struct trib_serve_result result;
    struct memory_channel memory;
    struct capture engine;
    struct trib_event event;
    struct trib_error err;
    char text[2048] = "";
    int64_t numbers[4];

    capture_load("spark-4.3.0/c-grouped-map.tcp-daemon.engine-to-worker.bin", &engine);
    ck_assert_int_eq(serve(&engine, &trib_serializer_count, 7, &memory, &result, &err), TRIB_OK);
    ck_assert_uint_eq(result.rows, 6);
    ck_assert_int_eq(result.eval_type, 209);
    ck_assert_uint_eq(find_events(&memory, engine.handshake, TRIB_EVENT_ARROW, &event, text, sizeof(text)), 2);
    ck_assert_str_eq(text, "_0: struct<streams: int64, batches: int64, rows: int64, bytes: int64>");
    ck_assert_int_eq(event.arrow.kind, TRIB_ARROW_BATCH);
    ck_assert_int_eq(event.arrow.rows, 1);
    /* Four columns without nulls, each in its own buffer of at least 8 bytes, in this order. */
    for (size_t i = 0, at = 0, step = event.arrow.body.len / 4; i < 4; i++, at += step)
        memcpy(&numbers[i], text + sizeof(text) / 2 + at, sizeof(numbers[i]));
    ck_assert_int_eq(numbers[0], 2);
    ck_assert_int_eq(numbers[1], 2);
    ck_assert_int_eq(numbers[2], 6);
    ck_assert_int_gt(numbers[3], 144);
    memory_done(&memory);
    capture_done(&engine);
}
END_TEST

/* Row counts are the peer's: batches of no columns may claim any. */
START_TEST(test_count_of_too_many_rows)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    struct trib_error err;
    void *state;

    ck_assert_int_eq(trib_serializer_count.open(&event, &state, &err), TRIB_OK);
    event.kind = TRIB_EVENT_ARROW;
    event.arrow.kind = TRIB_ARROW_BATCH;
    event.arrow.rows = INT64_MAX;
    ck_assert_int_eq(trib_serializer_count.event(state, &event, NULL, &err), TRIB_OK);
    event.arrow.rows = 0;
    ck_assert_int_eq(trib_serializer_count.event(state, &event, NULL, &err), TRIB_OK);
    event.arrow.rows = 1;
    ck_assert_int_eq(trib_serializer_count.event(state, &event, NULL, &err), TRIB_ERR_PROTOCOL);
    trib_serializer_count.close(state);
}
END_TEST

struct refusal {
    const char *session;
    const char *serializer; /* NULL: by the command */
    const char *text;
};

static const struct refusal refusals[] = {
    {"python-cogrouped-map.tcp-direct", "echo", "UnsupportedError: echo: pairs of groups have no identity\n  in serializer echo"},
    {"python-map-in-arrow.tcp-direct", NULL,
     "UnsupportedError: the function is a Python pickle; this worker runs functions by name, c:NAME"},
    {"c-exception.uds-direct", NULL, "UnsupportedError: no function is named \"c:throw\""},
};

START_TEST(test_exceptions)
{
    const struct refusal *refusal = &refusals[_i];
    struct trib_serve_result result;
    struct memory_channel memory;
    struct capture engine;
    struct trib_event event;
    struct trib_error err;
    char name[128], text[512];

    snprintf(name, sizeof(name), "spark-4.3.0/%s.engine-to-worker.bin", refusal->session);
    capture_load(name, &engine);
    ck_assert_int_eq(
        serve(&engine, refusal->serializer != NULL ? trib_serializer_find(refusal->serializer) : NULL, 0, &memory, &result, &err),
        TRIB_ERR_UNSUPPORTED);
    ck_assert(result.exception && result.drained && !result.reusable && memory.finished);
    ck_assert_uint_eq(memory.at, memory.input_len); /* all of the input was read before the end */
    ck_assert_uint_eq(find_events(&memory, engine.handshake, TRIB_EVENT_EXCEPTION, &event, text, sizeof(text)), 1);
    ck_assert_str_eq(text, refusal->text);
    memory_done(&memory);
    capture_done(&engine);
}
END_TEST

START_TEST(test_by_command)
{
    struct trib_serve_result result;
    struct memory_channel memory;
    struct capture engine;
    struct trib_error err;

    capture_load("spark-4.3.0/c-map-in-arrow.uds-direct.engine-to-worker.bin", &engine);
    ck_assert_int_eq(serve(&engine, NULL, 0, &memory, &result, &err), TRIB_OK);
    ck_assert_uint_eq(result.rows, 3);
    memory_done(&memory);
    capture_done(&engine);
}
END_TEST

/* An error in the middle of the output: the stream is ended first, then the exception follows. */
static int fail_event(void *state, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    int rc = trib_serializer_echo.event(state, event, out, err);

    if (rc == TRIB_OK && event->kind == TRIB_EVENT_ARROW && event->arrow.kind == TRIB_ARROW_BATCH)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "enough");
    return rc;
}

START_TEST(test_exception_inside_a_stream)
{
    struct trib_serializer failing = trib_serializer_echo;
    struct trib_serve_result result;
    struct memory_channel memory;
    struct capture engine;
    struct trib_event event;
    struct trib_error err;
    char text[512];

    failing.name = "failing";
    failing.event = fail_event;
    capture_load("spark-4.3.0/c-map-in-arrow.tcp-daemon.engine-to-worker.bin", &engine);
    ck_assert_int_eq(serve(&engine, &failing, 0, &memory, &result, &err), TRIB_ERR_USAGE);
    ck_assert(result.exception);
    ck_assert_uint_eq(find_events(&memory, engine.handshake, TRIB_EVENT_STREAM_END, &event, text, sizeof(text)), 1);
    ck_assert_uint_eq(find_events(&memory, engine.handshake, TRIB_EVENT_EXCEPTION, &event, text, sizeof(text)), 1);
    ck_assert_str_eq(text, "ValueError: enough\n  in serializer failing");
    memory_done(&memory);
    capture_done(&engine);
}
END_TEST

/* Cut off anywhere, the engine gets no answer that looks complete, and the call returns. */
START_TEST(test_truncated_input)
{
    struct capture engine;
    size_t whole;

    capture_load("spark-4.3.0/c-grouped-map.uds-direct.engine-to-worker.bin", &engine);
    whole = engine.file.len;
    for (engine.file.len = 0; engine.file.len < whole; engine.file.len += engine.file.len % 7 + 1) {
        struct trib_serve_result result;
        struct memory_channel memory;
        struct trib_error err;
        int rc = serve(&engine, &trib_serializer_echo, 0, &memory, &result, &err);
        ck_assert_msg(rc == (engine.file.len == 0 ? TRIB_EOF : TRIB_ERR_SHORT), "%zu bytes: %s", engine.file.len,
                      trib_code_name(rc));
        ck_assert(!result.reusable && !result.exception);
        memory_done(&memory);
    }
    engine.file.len = whole;
    capture_done(&engine);
}
END_TEST

/* Garbage where the init message belongs is told to the peer, and the garbage read to its end. */
START_TEST(test_garbage_input)
{
    struct trib_serve_result result;
    struct memory_channel memory;
    struct capture engine;
    struct trib_event event;
    struct trib_error err;
    char text[512];

    capture_load("spark-4.3.0/c-grouped-map.uds-direct.engine-to-worker.bin", &engine);
    memset(engine.file.bytes, 0x11, 4);
    ck_assert_int_eq(serve(&engine, &trib_serializer_echo, 0, &memory, &result, &err), TRIB_ERR_PROTOCOL);
    ck_assert(result.exception && result.drained);
    ck_assert_uint_eq(find_events(&memory, engine.handshake, TRIB_EVENT_EXCEPTION, &event, text, sizeof(text)), 1);
    ck_assert_msg(strstr(text, "ProtocolError: ") == text && strstr(text, "-8 (START_OF_INIT_MESSAGE)") != NULL, "%s", text);
    memory_done(&memory);
    capture_done(&engine);
}
END_TEST

/* What follows the data instead of the engine's last word: "do not use me again". */
START_TEST(test_wrong_last_word)
{
    struct trib_serve_result result;
    struct memory_channel memory;
    struct capture engine;
    struct trib_event event;
    struct trib_error err;
    char text[512];

    capture_load("spark-4.3.0/c-map-in-arrow.uds-direct.engine-to-worker.bin", &engine);
    memset(engine.file.bytes + engine.file.len - 4, 0, 4);
    ck_assert_int_eq(serve(&engine, &trib_serializer_echo, 0, &memory, &result, &err), TRIB_ERR_PROTOCOL);
    ck_assert(!result.reusable && !result.exception);
    ck_assert_uint_eq(find_events(&memory, engine.handshake, TRIB_EVENT_FINISH, &event, text, sizeof(text)), 1);
    ck_assert_int_eq(event.number, 0);
    memory_done(&memory);
    capture_done(&engine);
}
END_TEST

START_TEST(test_wrong_secret)
{
    struct trib_serve_options options = TRIB_SERVE_OPTIONS_INIT;
    struct memory_channel memory;
    struct trib_channel *channel;
    struct capture engine;
    struct trib_error err;

    capture_load("spark-4.3.0/c-map-in-arrow.tcp-daemon.engine-to-worker.bin", &engine);
    channel = memory_channel(&memory, engine.file.bytes, engine.file.len);
    options.serializer = &trib_serializer_echo;
    options.messages.handshake = TRIB_HANDSHAKE_TCP_DAEMON;
    options.secret = "another";
    options.pid = 1;
    ck_assert_int_eq(trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, NULL, &err),
                     TRIB_ERR_PROTOCOL);
    ck_assert_uint_eq(memory.output_len, 11);
    ck_assert_mem_eq(memory.output, "\0\0\0\1\0\0\0\3err", 11);
    trib_channel_free(channel);
    memory_done(&memory);
    capture_done(&engine);
}
END_TEST

/* A reused worker: sessions one after the other, then the peer closes. */
START_TEST(test_sessions_in_a_row)
{
    struct trib_serve_options options = TRIB_SERVE_OPTIONS_INIT;
    struct trib_serve_result result;
    struct memory_channel memory;
    struct trib_channel *channel;
    struct capture engine;
    struct trib_error err;
    uint8_t *twice;

    capture_load("spark-4.3.0/c-map-in-arrow.uds-direct.engine-to-worker.bin", &engine);
    twice = malloc(2 * engine.file.len);
    ck_assert_ptr_nonnull(twice);
    memcpy(twice, engine.file.bytes, engine.file.len);
    memcpy(twice + engine.file.len, engine.file.bytes, engine.file.len);
    channel = memory_channel(&memory, twice, 2 * engine.file.len);
    memory.piece = 1000;
    options.messages.handshake = TRIB_HANDSHAKE_PID;
    for (int i = 0; i < 2; i++) {
        result.size = sizeof(result);
        ck_assert_int_eq(trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, &result, &err),
                         TRIB_OK);
        ck_assert(result.reusable);
        options.messages.handshake = TRIB_HANDSHAKE_NONE;
    }
    ck_assert_int_eq(trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, &result, &err),
                     TRIB_EOF);
    trib_channel_free(channel);
    memory_done(&memory);
    capture_done(&engine);
    free(twice);
}
END_TEST

/* A peer that says nothing after its exception is not waited for longer than was asked. */
START_TEST(test_drain_ends)
{
    struct trib_serve_options options = TRIB_SERVE_OPTIONS_INIT;
    struct trib_serve_result result;
    struct memory_channel memory;
    struct trib_channel *channel;
    struct capture engine;
    struct trib_error err;

    capture_load("spark-4.3.0/c-exception.uds-direct.engine-to-worker.bin", &engine);
    channel = memory_channel(&memory, engine.file.bytes, engine.file.len);
    memory.stuck = true;
    options.messages.handshake = TRIB_HANDSHAKE_PID;
    result.size = sizeof(result);
    ck_assert_int_eq(trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, &result, &err),
                     TRIB_ERR_UNSUPPORTED);
    ck_assert(result.exception && !result.drained);
    trib_channel_free(channel);
    memory_done(&memory);
    capture_done(&engine);
}
END_TEST

START_TEST(test_tables)
{
    struct trib_serve_options options = TRIB_SERVE_OPTIONS_INIT;
    struct trib_serializer small = trib_serializer_echo;
    struct memory_channel memory;
    struct trib_channel *channel = memory_channel(&memory, NULL, 0);
    size_t count = 0;

    for (const struct trib_serializer *const *serializer = trib_serializers(); *serializer != NULL; serializer++, count++)
        ck_assert_ptr_eq(trib_serializer_find((*serializer)->name), *serializer);
    ck_assert_uint_eq(count, 3);
    ck_assert_ptr_null(trib_serializer_find("nobody"));
    small.size = 1;
    options.serializer = &small;
    ck_assert_int_eq(trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, NULL, NULL),
                     TRIB_ERR_USAGE);
    options.serializer = NULL;
    options.deadline = TRIB_NOWAIT;
    ck_assert_int_eq(trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, NULL, NULL),
                     TRIB_ERR_USAGE);
    trib_channel_free(channel);
    memory_done(&memory);
}
END_TEST

/* A serializer that runs out of memory in the middle of a frame. */
static int half_frame(void *state, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    static const uint8_t bytes[100000];
    struct trib_event large = *event;

    (void)state;
    if (event->kind != TRIB_EVENT_FRAME)
        return TRIB_OK;
    large.bytes.data = bytes;
    large.bytes.len = sizeof(bytes);
    large.bytes.holder = NULL;
    fail_alloc_at(1);
    return trib_sender_put(out, &large, err);
}

/* The peer would take an exception for the rest of the frame: it is not told. */
START_TEST(test_no_exception_inside_a_frame)
{
    struct trib_serializer half = trib_serializer_echo;
    struct trib_serve_result result;
    struct memory_channel memory;
    struct capture engine;
    struct trib_error err;

    half.event = half_frame;
    capture_load("spark-4.3.0/c-rdd-lines.tcp-daemon.engine-to-worker.bin", &engine);
    fail_alloc_install();
    ck_assert_int_eq(serve(&engine, &half, 0, &memory, &result, &err), TRIB_ERR_NOMEM);
    ck_assert(fail_alloc_hit());
    ck_assert(!result.exception && !result.reusable && !memory.finished);
    memory_done(&memory);
    fail_alloc_remove();
    capture_done(&engine);
}
END_TEST

struct scenario {
    struct capture engine;
    const struct trib_serializer *serializer;
};

static int serve_scenario(void *arg, struct trib_error *err)
{
    struct scenario *scenario = arg;
    struct trib_serve_options options = TRIB_SERVE_OPTIONS_INIT;
    struct memory_channel memory;
    struct trib_channel *channel = NULL;
    int rc = memory_channel_try(&memory, &channel, err);

    if (rc == TRIB_OK) {
        memory.input = scenario->engine.file.bytes;
        memory.input_len = scenario->engine.file.len;
        options.serializer = scenario->serializer;
        options.messages.handshake = scenario->engine.handshake;
        rc = trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, NULL, err);
        trib_channel_free(channel);
    }
    memory_done(&memory);
    return rc;
}

START_TEST(test_allocations_failing)
{
    static const char *const sessions[] = {"c-grouped-map.uds-direct", "c-scalar-string.uds-direct", "c-rdd-lines.tcp-daemon"};
    struct scenario scenario;
    char name[128];

    snprintf(name, sizeof(name), "spark-4.3.0/%s.engine-to-worker.bin", sessions[_i / 3]);
    capture_load(name, &scenario.engine);
    scenario.serializer = trib_serializers()[_i % 3];
    ck_assert_uint_gt(fail_alloc_every(serve_scenario, &scenario), 5);
    capture_done(&scenario.engine);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("serializers");
    TCase *tcase = tcase_create("serve");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_loop_test(tcase, test_answers_as_recorded, 0, sizeof(answers) / sizeof(answers[0]));
    tcase_add_loop_test(tcase, test_exceptions, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_test(tcase, test_count_of_frames);
    tcase_add_test(tcase, test_count_of_arrow);
    tcase_add_test(tcase, test_count_of_too_many_rows);
    tcase_add_test(tcase, test_by_command);
    tcase_add_test(tcase, test_exception_inside_a_stream);
    tcase_add_test(tcase, test_no_exception_inside_a_frame);
    tcase_add_test(tcase, test_truncated_input);
    tcase_add_test(tcase, test_garbage_input);
    tcase_add_test(tcase, test_wrong_last_word);
    tcase_add_test(tcase, test_wrong_secret);
    tcase_add_test(tcase, test_sessions_in_a_row);
    tcase_add_test(tcase, test_drain_ends);
    tcase_add_test(tcase, test_tables);
    tcase_add_loop_test(tcase, test_allocations_failing, 0, 9);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
