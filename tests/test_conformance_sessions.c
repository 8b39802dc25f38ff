/* Every captured session over every channel, in two parts, at each split point: parsed by the message layer, written back by
 * it, equal to the byte. */
#include "tests/support/balance.h"
#include "tests/support/capture.h"

#include <tributary/message.h>
#include <tributary/transports.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

trib_transport_module_fn trib_transport_module; /* of examples/04-stdio-transport, linked in */

/* ---- The channels ---------------------------------------------------------------------------------------------- */

static int open_unix(struct trib_channel **ret_a, struct trib_channel **ret_b)
{
    return trib_unix_pair(NULL, ret_a, ret_b, NULL);
}

static int open_chunk(struct trib_channel **ret_a, struct trib_channel **ret_b)
{
    return trib_chunk_pair(NULL, ret_a, ret_b, NULL);
}

static int open_stdio(struct trib_channel **ret_a, struct trib_channel **ret_b)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    return trib_transport_module()->pair(&options, ret_a, ret_b, NULL);
}

static void no_sink(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

/* Only the side of the worker is traced: both directions pass it. */
static int open_trace(struct trib_channel **ret_a, struct trib_channel **ret_b)
{
    struct trib_channel *inner;
    int code = trib_unix_pair(NULL, ret_a, &inner, NULL);

    return code == TRIB_OK ? trib_trace(inner, no_sink, NULL, NULL, ret_b, NULL) : code;
}

static int (*const kinds[])(struct trib_channel **ret_a, struct trib_channel **ret_b) = { open_unix, open_chunk, open_stdio, open_trace };

/* ---- One session ----------------------------------------------------------------------------------------------- */

struct parser {
    struct trib_reader *reader;
    struct trib_writer *writer;
    struct trib_receiver *receiver;
    struct trib_sender *sender;
};

static void parser_init(struct parser *parser, struct trib_channel *channel, const struct capture *capture)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;

    options.handshake = capture->handshake;
    parser->reader = trib_channel_reader(channel);
    parser->writer = trib_channel_writer(channel);
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, parser->reader, capture->side, &options, &parser->receiver, NULL),
                     TRIB_OK);
    ck_assert_int_eq(trib_sender_new(&trib_dialect_spark_socket, parser->writer, capture->side, &options, &parser->sender, NULL),
                     TRIB_OK);
}

static void parser_done(struct parser *parser)
{
    trib_receiver_free(parser->receiver);
    trib_sender_free(parser->sender);
}

/* Parses until the session is over, or there is nothing more to parse; writes each event again. */
static int parse(struct parser *parser, int64_t deadline, struct trib_error *err)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    int code;

    trib_reader_set_deadline(parser->reader, deadline);
    while ((code = trib_receiver_next(parser->receiver, &event, err)) == TRIB_OK) {
        code = trib_sender_put(parser->sender, &event, err);
        if (code != TRIB_OK)
            break;
    }
    return code;
}

static void send_part(struct trib_channel *channel, const uint8_t *bytes, size_t len)
{
    const struct trib_view view = { bytes, len, NULL };

    ck_assert_int_eq(trib_writer_view(trib_channel_writer(channel), view, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(channel), NULL), TRIB_OK);
}

static void over_and_back(struct trib_channel *near, struct trib_channel *far, const struct capture *capture, size_t split)
{
    struct trib_error err = { .message = "" };
    struct trib_view view;
    struct parser parser;
    int code;

    parser_init(&parser, far, capture);
    send_part(near, capture->file.bytes, split);
    code = parse(&parser, TRIB_NOWAIT, &err);
    ck_assert_msg(code == TRIB_AGAIN, "%s, the first %zu bytes: %s %s", capture->file.name, split, trib_code_name(code), err.message);
    send_part(near, capture->file.bytes + split, capture->file.len - split);
    code = parse(&parser, trib_deadline_ms(30000), &err);
    ck_assert_msg(code == TRIB_EOF, "%s, split at %zu: %s %s", capture->file.name, split, trib_code_name(code), err.message);
    ck_assert_int_eq(trib_writer_flush(parser.writer, NULL), TRIB_OK);
    code = trib_reader_take(trib_channel_reader(near), capture->file.len, &view, &err);
    ck_assert_msg(code == TRIB_OK && memcmp(view.data, capture->file.bytes, view.len) == 0, "%s, split at %zu: not written as it was read",
                  capture->file.name, split);
    parser_done(&parser);
}

/* ---- Tests ----------------------------------------------------------------------------------------------------- */

/* One pair of channels carries a session as often as it has split points. */
static void every_split(size_t kind, size_t index)
{
    size_t step = data_split_step();
    struct trib_channel *near, *far;
    struct capture capture;

    capture_load(capture_name(index), &capture);
    ck_assert_int_eq(kinds[kind](&near, &far), TRIB_OK);
    trib_reader_set_deadline(trib_channel_reader(near), trib_deadline_ms(60000));
    for (size_t split = 1; split < capture.file.len; split += step)
        over_and_back(near, far, &capture, split);
    trib_channel_free(near);
    trib_channel_free(far);
    capture_done(&capture);
}

START_TEST(test_unix)
{
    every_split(0, (size_t)_i);
}
END_TEST

START_TEST(test_chunk)
{
    every_split(1, (size_t)_i);
}
END_TEST

START_TEST(test_stdio)
{
    every_split(2, (size_t)_i);
}
END_TEST

START_TEST(test_trace)
{
    every_split(3, (size_t)_i);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test)
{
    TCase *tcase = tcase_create(name);

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test, 0, CAPTURE_COUNT);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("captured sessions over channels");
    SRunner *runner;
    int failed;

    add(suite, "unix", test_unix);
    add(suite, "chunk", test_chunk);
    add(suite, "stdio", test_stdio);
    add(suite, "trace", test_trace);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
