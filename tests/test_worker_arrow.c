/* Arrow through a worker: the events that spark-socket gives, the answers of its serializers, errors of engines, and what is copied. */
#include <tributary/worker.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/arrow.h"
#include "tests/support/balance.h"
#include "tests/support/capture.h"
#include "tests/support/worker.h"

static struct test_worker worker;
static struct trib_view nothing;

static void start(const struct trib_serializer *serializer, size_t align)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;

    balance_setup();
    options.serializer = serializer;
    options.align = align;
    test_worker_start(&worker, &options, NULL);
}

static void teardown(void)
{
    test_worker_stop(&worker);
    balance_teardown();
}

/* The Arrow stream of a capture, from one of its bytes on. */
static void load(const char *session, size_t from, size_t len, struct arrow_stream *ret_stream)
{
    struct capture capture;
    char name[128];

    snprintf(name, sizeof(name), "spark-4.3.0/%s.engine-to-worker.bin", session);
    capture_load(name, &capture);
    arrow_load(capture.file.bytes + from, len, ret_stream);
    capture_done(&capture);
}

/* ---- An engine ---------------------------------------------------------------------------------------------------- */

static struct trib_execution *begin(struct trib_view input, struct trib_view output)
{
    struct trib_execution *execution = execution_begin(worker.engine);
    struct trib_udf_init init;

    trib_udf_init_defaults(&init);
    init.input_schema = input;
    init.output_schema = output;
    ck_assert_int_eq(trib_execution_init(execution, &init, NULL), TRIB_OK);
    return execution;
}

static void send(struct trib_execution *execution, struct trib_view data)
{
    struct trib_error err;

    ck_assert_msg(trib_execution_data(execution, data, &err) == TRIB_OK, "%s", err.message);
}

/* What came back: data one behind the other, and the metrics of the terminator in both forms. */
struct answer {
    uint8_t *bytes;
    size_t len;
    unsigned responses;
    struct trib_udf_metrics metrics;
    char pairs[300];
};

static void take_reply(struct answer *answer, const struct trib_reply *reply)
{
    ck_assert_msg(reply->error.kind == TRIB_UDF_NO_ERROR, "%.*s", (int)reply->error.message.len, (const char *)reply->error.message.data);
    if (reply->kind == TRIB_REPLY_DATA) {
        answer->bytes = realloc(answer->bytes, answer->len + reply->data.len);
        ck_assert_ptr_nonnull(answer->bytes);
        memcpy(answer->bytes + answer->len, reply->data.data, reply->data.len);
        answer->len += reply->data.len;
        answer->responses++;
    }
    answer->metrics = reply->metrics;
    for (size_t i = 0; i < reply->pair_count; i++) {
        size_t at = strlen(answer->pairs);
        snprintf(answer->pairs + at, sizeof(answer->pairs) - at, "%.*s=%.*s ", (int)reply->pairs[i].key.len, (const char *)reply->pairs[i].key.data,
                 (int)reply->pairs[i].value.len, (const char *)reply->pairs[i].value.data);
    }
}

static void finish(struct trib_execution *execution, struct answer *answer)
{
    struct trib_reply reply = TRIB_REPLY_INIT_EMPTY;
    struct trib_error err;
    int rc;

    memset(answer, 0, sizeof(*answer));
    ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    while ((rc = trib_execution_next(execution, &reply, &err)) == TRIB_OK)
        take_reply(answer, &reply);
    ck_assert_msg(rc == TRIB_EOF, "%s", err.message);
    trib_execution_free(execution);
}

/* As Spark sends a stream: its schema in Init, then a batch in each DataRequest. */
static void run_bare(const struct arrow_stream *stream, bool names_output, struct answer *answer)
{
    struct trib_execution *execution = begin(stream->messages[0], names_output ? stream->messages[0] : nothing);

    for (size_t i = 1; i < stream->count; i++)
        send(execution, stream->messages[i]);
    finish(execution, answer);
}

/* ---- The same events ---------------------------------------------------------------------------------------------- */

/* What a serializer was given: the name of each event, and all the bytes of Arrow. */
static struct record {
    char names[300];
    uint8_t bytes[8192];
    size_t len;
    size_t heads, bodies;           /* messages with a body, */
    size_t misplaced_8, misplaced_64; /* and bodies that do not lie on these */
} record;

static void keep(struct trib_view view)
{
    if (view.len == 0 || record.len + view.len > sizeof(record.bytes))
        return;
    memcpy(record.bytes + record.len, view.data, view.len);
    record.len += view.len;
}

static void note(const struct trib_event *event)
{
    size_t at = strlen(record.names);

    snprintf(record.names + at, sizeof(record.names) - at, "%s%s", at > 0 ? " " : "", trib_event_name(event->kind));
    keep(event->bytes);
    keep(event->arrow.metadata);
    keep(event->arrow.body);
    record.heads += ((uintptr_t)event->arrow.metadata.data & 7) != 0;
    if (event->arrow.body.len == 0)
        return;
    record.bodies++;
    record.misplaced_8 += ((uintptr_t)event->arrow.body.data & 7) != 0;
    record.misplaced_64 += ((uintptr_t)event->arrow.body.data & 63) != 0;
}

static int record_open(const struct trib_event *init, void **ret_state, struct trib_error *err)
{
    (void)init, (void)err;
    memset(&record, 0, sizeof(record));
    *ret_state = &record;
    return TRIB_OK;
}

static int record_event(void *state, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    (void)state, (void)out, (void)err;
    note(event);
    return TRIB_OK;
}

static void record_close(void *state)
{
    (void)state;
}

#define RECORDER(what) { .size = sizeof(struct trib_serializer), .name = "recorder", .summary = "writes down what comes", \
    .open = record_open, .event = record_event, .close = record_close, .takes = what }
static const struct trib_serializer recorder = RECORDER(TRIB_TAKES_ANY), arrow_recorder = RECORDER(TRIB_TAKES_ARROW),
                                    frame_recorder = RECORDER(TRIB_TAKES_FRAMES);

/* From the data section of a session of spark-socket. */
static void record_socket(const char *session)
{
    struct cuts whole = {NULL, 0, 0};
    struct trib_receiver *receiver;
    struct trib_reader *reader;
    struct trib_event event;
    struct capture capture;
    char name[128];
    bool data = false;

    memset(&record, 0, sizeof(record));
    snprintf(name, sizeof(name), "spark-4.3.0/%s.engine-to-worker.bin", session);
    capture_load(name, &capture);
    reader = capture_reader(capture.file.bytes, capture.file.len, whole);
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_ENGINE, NULL, &receiver, NULL), TRIB_OK);
    while (trib_receiver_next(receiver, &event, NULL) == TRIB_OK) {
        data = (data || event.kind == TRIB_EVENT_DATA) && event.kind != TRIB_EVENT_FINISH;
        if (data)
            note(&event);
    }
    trib_receiver_free(receiver);
    trib_reader_free(reader);
    capture_done(&capture);
}

START_TEST(test_events_of_the_socket)
{
    struct trib_execution *execution;
    struct arrow_stream stream;
    struct record socket;
    struct answer answer;

    record_socket("c-map-in-arrow.uds-direct");
    socket = record;
    ck_assert_str_eq(socket.names, "DATA STREAM ARROW ARROW STREAM_END DATA_END");
    load("c-map-in-arrow.uds-direct", 4519, 456, &stream);
    start(_i == 0 ? &recorder : &arrow_recorder, 0);
    for (int form = 0; form < 4; form++) {
        execution = begin(form < 2 ? stream.messages[0] : nothing, nothing);
        if (form == 0)
            send(execution, stream.messages[1]);
        else if (form == 1 || form == 2) /* the whole stream */
            send(execution, (struct trib_view){stream.bytes, stream.len, NULL});
        else
            for (size_t i = 0; i < stream.count; i++)
                send(execution, stream.messages[i]);
        finish(execution, &answer);
        ck_assert_str_eq(record.names, socket.names);
        ck_assert_uint_eq(record.len, socket.len);
        ck_assert_mem_eq(record.bytes, socket.bytes, socket.len);
        ck_assert_uint_eq(record.heads, 0);
    }
    arrow_done(&stream);
}
END_TEST

/* ---- What a serializer takes --------------------------------------------------------------------------------------- */

struct taking {
    const struct trib_serializer *serializer;
    const char *schema; /* "": none, "S": that of a stream, else this text */
    const char *data;   /* the same; "": none is sent; "B": the batch */
    const char *names;  /* of events; NULL: refused, */
    const char *text;   /* with this */
};

static const struct taking takings[] = {
    {&frame_recorder, "nonsense", "B", "DATA FRAME DATA_END", NULL},
    {&frame_recorder, "S", "ERROR", "DATA FRAME DATA_END", NULL},
    {&frame_recorder, "", "", "DATA DATA_END", NULL},
    {&recorder, "", "text", "DATA FRAME DATA_END", NULL},
    {&recorder, "", "", "DATA DATA_END", NULL},
    {&recorder, "S", "", "DATA STREAM ARROW STREAM_END DATA_END", NULL},
    {&recorder, "S", "B", "DATA STREAM ARROW ARROW STREAM_END DATA_END", NULL},
    {&recorder, "S", "ERROR", NULL, "DataRequest 1, byte 0: an Arrow message: wanted 8 bytes, the data ended after 5"},
    {&recorder, "S", "many channels", NULL, "DataRequest 1, byte 0: Arrow: 6d 61 6e 79 came, expected FF FF FF FF before a message"},
    {&recorder, "", "B", NULL, "DataRequest 1, byte 0: Arrow: a batch came, expected the schema first"},
    {&arrow_recorder, "", "text", NULL, "DataRequest 1, byte 0: an Arrow message: wanted 8 bytes, the data ended after 4"},
    {&arrow_recorder, "", "", "DATA DATA_END", NULL},
    {&arrow_recorder, "", "S", "DATA STREAM ARROW STREAM_END DATA_END", NULL},
};

static struct trib_view bytes_of(const struct arrow_stream *stream, const char *what)
{
    if (strcmp(what, "S") == 0)
        return stream->messages[0];
    return strcmp(what, "B") == 0 ? stream->messages[1] : (struct trib_view){(const uint8_t *)what, strlen(what), NULL};
}

START_TEST(test_what_is_taken)
{
    const struct taking *taking = &takings[_i];
    struct arrow_stream stream;
    struct answer answer;

    load("c-map-in-arrow.uds-direct", 4519, 456, &stream);
    start(taking->serializer, 0);
    for (int round = 0; round < 2; round++) { /* after an error, too, the worker serves on */
        struct trib_execution *execution = begin(bytes_of(&stream, taking->schema), nothing);
        if (taking->data[0] != '\0')
            send(execution, bytes_of(&stream, taking->data));
        if (taking->names != NULL) {
            finish(execution, &answer);
            ck_assert_str_eq(record.names, taking->names);
            continue;
        }
        ck_assert_str_eq(execution_replies(execution, 2), "INIT ERROR:P");
        ck_assert_str_eq(execution_error(), taking->text);
        ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
        ck_assert_str_eq(execution_replies(execution, 0), "CANCEL");
        trib_execution_free(execution);
    }
    arrow_done(&stream);
}
END_TEST

static const char *const bad_schemas[2][2] = {
    {"nonsense", "Init.input_schema: Arrow: 6e 6f 6e 73 came, expected FF FF FF FF before a message"},
    {"no", "Init.input_schema: 2 bytes, which is less than a message"},
};

/* Init's schemas are looked at before a serializer opens; one that takes frames may be told anything. */
START_TEST(test_schemas_that_are_none)
{
    struct trib_view bad = {(const uint8_t *)bad_schemas[_i][0], strlen(bad_schemas[_i][0]), NULL};
    struct trib_execution *execution;
    struct arrow_stream stream;
    char text[200];

    load("c-map-in-arrow.uds-direct", 4519, 456, &stream);
    start(&trib_serializer_upper, 0);
    for (int output = 0; output < 2; output++) {
        execution = begin(output ? stream.messages[0] : bad, output ? bad : nothing);
        ck_assert_str_eq(execution_replies(execution, 1), "INIT:P");
        snprintf(text, sizeof(text), "Init.%s%s", output ? "output" : "input", bad_schemas[_i][1] + strlen("Init.input"));
        ck_assert_str_eq(execution_error(), text);
        ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
        ck_assert_str_eq(execution_replies(execution, 0), "CANCEL");
        trib_execution_free(execution);
    }
    ck_assert_int_eq(worker.report.kind, TRIB_UDF_PROTOCOL_ERROR);
    test_worker_stop(&worker);
    balance_teardown();
    start(&trib_serializer_spark_echo, 0);
    execution = begin(bad, bad);
    send(execution, bad);
    ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "INIT DATA FINISH");
    ck_assert_str_eq(execution_last_data(), bad_schemas[_i][0]);
    trib_execution_free(execution);
    arrow_done(&stream);
}
END_TEST

/* ---- Answers ------------------------------------------------------------------------------------------------------- */

/* The Arrow stream that a serializer answers over spark-socket. */
static void answer_of_socket(const char *session, const struct trib_serializer *serializer, struct arrow_stream *ret_stream)
{
    struct trib_serve_options options = TRIB_SERVE_OPTIONS_INIT;
    struct trib_message_options messages = TRIB_MESSAGE_OPTIONS_INIT;
    struct cuts whole = {NULL, 0, 0};
    struct memory_channel memory;
    struct trib_receiver *receiver;
    struct trib_channel *channel;
    struct trib_reader *reader;
    struct trib_event event;
    struct capture capture;
    size_t begins = 0, ends = 0;
    char name[128];

    snprintf(name, sizeof(name), "spark-4.3.0/%s.engine-to-worker.bin", session);
    capture_load(name, &capture);
    channel = memory_channel(&memory, capture.file.bytes, capture.file.len);
    options.serializer = serializer;
    options.messages.handshake = messages.handshake = capture.handshake;
    ck_assert_int_eq(trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, NULL, NULL), TRIB_OK);
    trib_channel_free(channel);
    reader = capture_reader(memory.output, memory.output_len, whole);
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_WORKER, &messages, &receiver, NULL), TRIB_OK);
    while (trib_receiver_next(receiver, &event, NULL) == TRIB_OK) {
        if (event.kind == TRIB_EVENT_STREAM)
            begins = (size_t)(event.offset + event.length);
        if (event.kind == TRIB_EVENT_STREAM_END)
            ends = (size_t)(event.offset + event.length);
    }
    ck_assert_uint_gt(ends, begins);
    arrow_load(memory.output + begins, ends - begins, ret_stream);
    trib_receiver_free(receiver);
    trib_reader_free(reader);
    memory_done(&memory);
    capture_done(&capture);
}

struct likeness {
    const char *session;
    size_t from, len; /* of its Arrow stream */
    const struct trib_serializer *serializer;
    bool same_schema; /* of the answer, as of the input */
};

static const struct likeness likenesses[] = {
    {"c-scalar-string.uds-direct", 4521, 344, &trib_serializer_upper, true},
    {"c-map-in-arrow.uds-direct", 4519, 456, &trib_serializer_upper, true}, /* no text: nothing changes */
    {"c-scalar-string.uds-direct", 4521, 344, &trib_serializer_count, false},
    {"c-map-in-arrow.uds-direct", 4519, 456, &trib_serializer_count, false},
};

/* One serializer, two dialects: the same batches, and of another schema the same stream. */
START_TEST(test_answers_of_the_socket)
{
    const struct likeness *likeness = &likenesses[_i];
    struct arrow_stream stream, socket;
    struct answer answer;

    answer_of_socket(likeness->session, likeness->serializer, &socket);
    load(likeness->session, likeness->from, likeness->len, &stream);
    start(likeness->serializer, 0);
    for (int named = 0; named < (likeness->same_schema ? 2 : 1); named++) {
        run_bare(&stream, named != 0, &answer);
        ck_assert_uint_eq(answer.responses, 1);
        ck_assert_uint_eq(answer.len, likeness->same_schema ? socket.messages[1].len : socket.len);
        ck_assert_mem_eq(answer.bytes, likeness->same_schema ? socket.messages[1].data : socket.bytes, answer.len);
        free(answer.bytes);
    }
    arrow_done(&socket);
    arrow_done(&stream);
}
END_TEST

static const struct arrow_plan plans[] = {{3, 4, 5}, {1, 0, 0}, {5, 1000, 30}, {2, 100000, 40}};

/* Values of text change, and nothing else: metadata with letters stays, in each form. */
START_TEST(test_upper)
{
    struct arrow_stream lower, upper;
    struct trib_execution *execution;
    struct answer answer;

    arrow_make(&plans[_i], false, &lower);
    arrow_make(&plans[_i], true, &upper);
    start(&trib_serializer_upper, 0);
    run_bare(&lower, true, &answer);
    ck_assert_uint_eq(answer.responses, plans[_i].batches);
    ck_assert_uint_eq(answer.len, upper.len - upper.messages[0].len - 8);
    ck_assert_mem_eq(answer.bytes, upper.messages[1].data, answer.len);
    ck_assert_uint_eq(answer.metrics.values[TRIB_UDF_ROWS_IN], plans[_i].batches * plans[_i].rows);
    ck_assert_uint_eq(answer.metrics.values[TRIB_UDF_ROWS_OUT], plans[_i].batches * plans[_i].rows);
    free(answer.bytes);
    execution = begin(nothing, nothing);
    send(execution, (struct trib_view){lower.bytes, lower.messages[1].data + lower.messages[1].len - lower.bytes, NULL});
    finish(execution, &answer);
    ck_assert_uint_eq(answer.len, upper.messages[0].len + upper.messages[1].len + 8);
    ck_assert_mem_eq(answer.bytes, upper.bytes, answer.len - 8);
    ck_assert_mem_eq(answer.bytes + answer.len - 8, "\377\377\377\377\0\0\0\0", 8);
    free(answer.bytes);
    arrow_done(&lower);
    arrow_done(&upper);
}
END_TEST

/* A batch that does not fit its schema is the engine's mistake, found in the serializer; an answer that does not fit the output's is not sent. */
START_TEST(test_what_does_not_fit)
{
    struct arrow_stream words, numbers;
    struct trib_execution *execution;

    arrow_make(&plans[0], false, &words);
    load("c-map-in-arrow.uds-direct", 4519, 456, &numbers);
    start(&trib_serializer_upper, 0);
    execution = begin(words.messages[0], nothing);
    send(execution, numbers.messages[1]);
    ck_assert_str_eq(execution_replies(execution, 2), "INIT ERROR:P");
    ck_assert_int_eq(strncmp(execution_error(), "Arrow: batch: ", 14), 0);
    trib_execution_free(execution);
    execution = begin(words.messages[0], numbers.messages[0]);
    send(execution, words.messages[1]);
    ck_assert_str_eq(execution_replies(execution, 2), "INIT ERROR:W");
    ck_assert_str_eq(execution_error(),
                     "spark-grpc: the answer is <number: int64, word: string>, Init.output_schema says <struct: struct<id: int64>>");
    trib_execution_free(execution);
    arrow_done(&words);
    arrow_done(&numbers);
}
END_TEST

/* ---- Counters ------------------------------------------------------------------------------------------------------- */

START_TEST(test_rows)
{
    struct trib_execution *execution;
    struct arrow_stream stream;
    struct answer answer;

    arrow_make(&plans[0], false, &stream);
    start(&trib_serializer_count, 0);
    run_bare(&stream, false, &answer);
    ck_assert_ptr_nonnull(strstr(answer.pairs, "rows_in=12 rows_out=1 batches_in=3 batches_out=1 "));
    ck_assert_uint_eq(answer.metrics.values[TRIB_UDF_ROWS_IN], 12);
    ck_assert_uint_eq(answer.metrics.values[TRIB_UDF_ROWS_OUT], 1);
    free(answer.bytes);
    execution = begin(nothing, nothing); /* frames have no rows */
    execution_data(execution, "text");
    finish(execution, &answer);
    ck_assert_uint_eq(answer.len, strlen("frames=1 nulls=0 bytes=4"));
    ck_assert_mem_eq(answer.bytes, "frames=1 nulls=0 bytes=4", answer.len);
    ck_assert_uint_eq(answer.metrics.present & (1u << TRIB_UDF_ROWS_IN | 1u << TRIB_UDF_ROWS_OUT), 0);
    ck_assert_ptr_null(strstr(answer.pairs, "rows"));
    free(answer.bytes);
    arrow_done(&stream);
}
END_TEST

/* Bodies of this size, so many of them. */
struct placing {
    size_t letters, batches, align;
};

static const struct placing placings[] = {{100, 14, 0},  {4000, 14, 0},  {60000, 14, 0},  {1 << 20, 14, 0},  {16 << 20, 3, 0},
                                          {100, 14, 64}, {4000, 14, 64}, {60000, 14, 64}, {1 << 20, 14, 64}, {16 << 20, 3, 64}};

static void find_copied(void *arg, struct trib_view name, struct trib_view value)
{
    if (name.len == 6 && memcmp(name.data, "copied", 6) == 0)
        snprintf(arg, 24, "%.*s", (int)value.len, (const char *)value.data);
}

/* Metadata lies on 8; bodies where they were asked to, and at least on 8 where they are large. What was moved for that is counted. */
START_TEST(test_placing)
{
    const struct placing *placing = &placings[_i];
    struct arrow_plan plan = {placing->batches, 1, placing->letters};
    char heartbeat[24] = "", text[24];
    struct trib_worker_stats stats;
    struct arrow_stream stream;
    struct answer answer;

    arrow_make(&plan, false, &stream);
    start(&recorder, placing->align);
    run_bare(&stream, false, &answer);
    ck_assert_uint_eq(record.bodies, placing->batches);
    ck_assert_uint_eq(record.heads, 0);
    ck_assert_uint_eq(placing->align > 0 ? record.misplaced_64 : placing->letters >= 1 << 20 ? record.misplaced_8 : 0, 0);
    test_worker_wait_reports(&worker, 1);
    stats = test_worker_stats(&worker);
    ck_assert_uint_gt(stats.copied, 0);
    ck_assert_uint_le(stats.copied, 3 * stats.bytes_in);
    ck_assert_int_eq(trib_engine_heartbeat(worker.engine, trib_deadline_ms(20000), find_copied, heartbeat, NULL), TRIB_OK);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)stats.copied);
    ck_assert_str_eq(heartbeat, text);
    arrow_done(&stream);
}
END_TEST

/* Small frames stay where they came, and nothing is copied; where they are to lie on 64, nearly each is. */
START_TEST(test_copies_of_frames)
{
    struct trib_execution *execution;
    struct trib_worker_stats stats;
    struct answer answer;

    start(&frame_recorder, _i == 0 ? 0 : 64);
    execution = begin(nothing, nothing);
    for (int i = 0; i < 20; i++)
        execution_data(execution, "a frame of forty letters, give or take 1");
    finish(execution, &answer);
    test_worker_wait_reports(&worker, 1);
    stats = test_worker_stats(&worker);
    ck_assert_uint_eq(stats.bytes_in, 800);
    ck_assert_uint_le(stats.copied, _i == 0 ? 0 : 800);
    ck_assert_uint_ge(stats.copied, _i == 0 ? 0 : 400);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("Arrow through a worker");
    TCase *tcase = tcase_create("arrow");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_events_of_the_socket, 0, 2);
    tcase_add_loop_test(tcase, test_what_is_taken, 0, sizeof(takings) / sizeof(takings[0]));
    tcase_add_loop_test(tcase, test_schemas_that_are_none, 0, 2);
    tcase_add_loop_test(tcase, test_answers_of_the_socket, 0, sizeof(likenesses) / sizeof(likenesses[0]));
    tcase_add_loop_test(tcase, test_upper, 0, sizeof(plans) / sizeof(plans[0]));
    tcase_add_test(tcase, test_what_does_not_fit);
    tcase_add_test(tcase, test_rows);
    tcase_add_loop_test(tcase, test_copies_of_frames, 0, 2);
    tcase_add_loop_test(tcase, test_placing, 0, sizeof(placings) / sizeof(placings[0]));
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
