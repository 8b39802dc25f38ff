/* The worker's side: every reply there and back, and every event where it may not come. */
#include <tributary/spark.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/balance.h"
#include "tests/support/capture.h"
#include "tests/support/fail_alloc.h"

static const struct trib_event no_event = TRIB_EVENT_INIT_EMPTY;

/* ---- Events by letter -------------------------------------------------------------------------------------------- */

static struct capture arrow; /* holds a stream: 456 bytes at 4519 */
static struct trib_arrow_message messages[2];
static uint8_t aligned[512] __attribute__((aligned(64)));

static void load_messages(void)
{
    struct trib_view head = {aligned, 232, NULL};
    uint64_t body_length;

    capture_load("spark-4.3.0/c-map-in-arrow.tcp-daemon.engine-to-worker.bin", &arrow);
    memcpy(aligned, arrow.file.bytes + 4519, 456);
    ck_assert_int_eq(trib_arrow_decode(head, &messages[0], &body_length, NULL), TRIB_OK);
    head.data += 232;
    head.len = 176;
    ck_assert_int_eq(trib_arrow_decode(head, &messages[1], &body_length, NULL), TRIB_OK);
    messages[1].body.data = aligned + 232 + 176;
    messages[1].body.len = (size_t)body_length;
    capture_done(&arrow);
}

/* F N frames, S M B s stream, schema, batch, end, T timing, 0 2 so many accumulators, a one of them, f again, x not again, X exception,
 * P pid, A auth; and of the engine's: I D d. */
static struct trib_event event_of(char letter)
{
    static const char *const kinds = "?APIDGSMsFNdfXT?a";
    static struct trib_spark_init init;
    struct trib_event event = no_event;
    const char *at = strchr(kinds, letter == 'B' ? 'M' : letter == 'x' ? 'f' : letter);

    event.kind = at != NULL ? (enum trib_event_kind)(at - kinds) : TRIB_EVENT_ACCUMULATORS;
    event.number = letter == '2'                    ? 2
                   : letter == 'P'                  ? 4711
                   : letter == 'f' || letter == 'G' ? 1
                   : letter == 'D'                  ? TRIB_DATA_FRAMES
                                                    : 0;
    event.bytes.data = (const uint8_t *)"text";
    event.bytes.len = 4;
    event.arrow = messages[letter == 'B'];
    event.timing.boot_ms = 1;
    event.timing.disk_spilled = INT64_MAX;
    event.spark_init = &init;
    return event;
}

static int put_letters(const char *letters, enum trib_side from, enum trib_handshake handshake, struct memory_channel *memory,
                       struct trib_error *err)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct trib_channel *channel = memory_channel(memory, NULL, 0);
    struct trib_sender *sender;
    int rc = TRIB_OK;

    options.handshake = handshake;
    ck_assert_int_eq(trib_sender_new(&trib_dialect_spark_socket, trib_channel_writer(channel), from, &options, &sender, err),
                     TRIB_OK);
    for (const char *letter = letters; *letter != '\0' && rc == TRIB_OK; letter++) {
        struct trib_event event = event_of(*letter);
        rc = trib_sender_put(sender, &event, err);
    }
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(channel), NULL), TRIB_OK);
    trib_sender_free(sender);
    trib_channel_free(channel);
    return rc;
}

struct reply {
    const char *letters;
    enum trib_handshake handshake;
    size_t len;
};

static const struct reply replies[] = {
    {"0f", TRIB_HANDSHAKE_NONE, 12},
    {"0x", TRIB_HANDSHAKE_NONE, 12},
    {"2aaf", TRIB_HANDSHAKE_NONE, 8 + 16 + 4},
    {"T0f", TRIB_HANDSHAKE_NONE, 52 + 12},
    {"FNFT0f", TRIB_HANDSHAKE_NONE, 20 + 52 + 12},
    {"SMBBsT0f", TRIB_HANDSHAKE_NONE, 4 + 232 + 2 * 216 + 8 + 52 + 12},
    {"SMs0f", TRIB_HANDSHAKE_NONE, 4 + 232 + 8 + 12},
    {"X", TRIB_HANDSHAKE_NONE, 12},
    {"FX", TRIB_HANDSHAKE_NONE, 20},
    {"SMBsX", TRIB_HANDSHAKE_NONE, 4 + 232 + 216 + 8 + 12},
    {"TX", TRIB_HANDSHAKE_NONE, 64},
    {"P0f", TRIB_HANDSHAKE_PID, 16},
    {"PA0f", TRIB_HANDSHAKE_TCP_DAEMON, 24},
    {"AP0f", TRIB_HANDSHAKE_TCP_DIRECT, 24},
};

START_TEST(test_there_and_back)
{
    const struct reply *reply = &replies[_i];
    struct memory_channel first, second;
    struct cuts ones = {NULL, 0, 1};
    struct capture capture = {.side = TRIB_FROM_WORKER, .handshake = reply->handshake};
    struct trib_channel *channel;
    struct trib_reader *reader;
    struct trib_error err;

    ck_assert_msg(put_letters(reply->letters, TRIB_FROM_WORKER, reply->handshake, &first, &err) == TRIB_OK, "%s", err.message);
    ck_assert_uint_eq(first.output_len, reply->len);
    reader = capture_reader(first.output, first.output_len, ones);
    channel = memory_channel(&second, NULL, 0);
    second.send_max = 5;
    ck_assert_int_eq(capture_echo(reader, trib_channel_writer(channel), &capture, &err), TRIB_EOF);
    ck_assert_uint_eq(second.output_len, reply->len);
    ck_assert_mem_eq(first.output, second.output, reply->len);
    trib_channel_free(channel);
    trib_reader_free(reader);
    memory_done(&first);
    memory_done(&second);
}
END_TEST

/* What was put comes back, field by field. */
START_TEST(test_fields)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct memory_channel memory;
    struct cuts whole = {NULL, 0, 0};
    struct trib_receiver *receiver;
    struct trib_reader *reader;
    struct trib_event event;
    struct trib_error err;

    ck_assert_int_eq(put_letters("PFT2aax", TRIB_FROM_WORKER, TRIB_HANDSHAKE_PID, &memory, &err), TRIB_OK);
    reader = capture_reader(memory.output, memory.output_len, whole);
    options.handshake = TRIB_HANDSHAKE_PID;
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_WORKER, &options, &receiver, &err), TRIB_OK);
    ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
    ck_assert(event.kind == TRIB_EVENT_PID && event.number == 4711 && event.offset == 0 && event.length == 4);
    ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
    ck_assert(event.kind == TRIB_EVENT_FRAME && event.bytes.len == 4 && event.offset == 4 && event.length == 8);
    ck_assert_mem_eq(event.bytes.data, "text", 4);
    ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
    ck_assert(event.kind == TRIB_EVENT_TIMING && event.timing.boot_ms == 1 && event.timing.disk_spilled == INT64_MAX);
    ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
    ck_assert(event.kind == TRIB_EVENT_ACCUMULATORS && event.number == 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
        ck_assert(event.kind == TRIB_EVENT_ACCUMULATOR && event.bytes.len == 4);
    }
    ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
    ck_assert(event.kind == TRIB_EVENT_FINISH && event.number == 0);
    ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_EOF);
    trib_receiver_free(receiver);
    trib_reader_free(reader);
    memory_done(&memory);
}
END_TEST

/* ---- Order: what may follow what, for a sender; a receiver keeps the same table ------------------------------------ */

struct place {
    const char *letters; /* how to get there */
    enum trib_side from;
    enum trib_handshake handshake;
    const char *allowed; /* of all letters */
};

static const char all_letters[] = "APIDGSMBsFNdfxXT02a";

static const struct place places[] = {
    {"", TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE, "SFNXT02"},  {"", TRIB_FROM_WORKER, TRIB_HANDSHAKE_PID, "P"},
    {"P", TRIB_FROM_WORKER, TRIB_HANDSHAKE_TCP_DAEMON, "A"}, {"", TRIB_FROM_WORKER, TRIB_HANDSHAKE_TCP_DIRECT, "A"},
    {"F", TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE, "FNXT02"},  {"S", TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE, "MBs"},
    {"SMBs", TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE, "XT02"}, {"T", TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE, "X02"},
    {"2a", TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE, "a"},      {"0", TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE, "fx"},
    {"0f", TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE, ""},       {"X", TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE, ""},
    {"", TRIB_FROM_ENGINE, TRIB_HANDSHAKE_NONE, "I"},        {"", TRIB_FROM_ENGINE, TRIB_HANDSHAKE_TCP_DAEMON, "A"},
    {"I", TRIB_FROM_ENGINE, TRIB_HANDSHAKE_NONE, "D"},       {"ID", TRIB_FROM_ENGINE, TRIB_HANDSHAKE_NONE, "FNd"},
    {"IDd", TRIB_FROM_ENGINE, TRIB_HANDSHAKE_NONE, "fx"},    {"IDdf", TRIB_FROM_ENGINE, TRIB_HANDSHAKE_NONE, ""},
};

START_TEST(test_order)
{
    const struct place *place = &places[_i];

    for (const char *letter = all_letters; *letter != '\0'; letter++) {
        bool allowed = strchr(place->allowed, *letter) != NULL;
        struct memory_channel memory, before;
        struct trib_error err = {0};
        char letters[16];
        int rc;
        snprintf(letters, sizeof(letters), "%s%c", place->letters, *letter);
        ck_assert_int_eq(put_letters(place->letters, place->from, place->handshake, &before, &err), TRIB_OK);
        rc = put_letters(letters, place->from, place->handshake, &memory, &err);
        ck_assert_msg(rc == (allowed ? TRIB_OK : TRIB_ERR_PROTOCOL), "after \"%s\": '%c': %s %s", place->letters, *letter,
                      trib_code_name(rc), err.message);
        if (!allowed) {
            ck_assert_uint_eq(memory.output_len, before.output_len);
            ck_assert_msg(strstr(err.message, " came, expected ") != NULL, "%s", err.message);
        }
        memory_done(&memory);
        memory_done(&before);
    }
}
END_TEST

/* ---- Without waiting ----------------------------------------------------------------------------------------------- */

/* A channel that is full most of the time: the same event again and again until it is taken, and nothing is written twice. */
START_TEST(test_put_again)
{
    static const size_t gathers[] = {1, 16, 100, 300};
    const struct reply *reply = &replies[_i];
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct memory_channel waiting;
    struct trib_error err;

    options.handshake = reply->handshake;
    ck_assert_int_eq(put_letters(reply->letters, TRIB_FROM_WORKER, reply->handshake, &waiting, &err), TRIB_OK);
    for (size_t i = 0; i < sizeof(gathers) / sizeof(gathers[0]); i++) {
        struct memory_channel memory;
        struct trib_channel *channel = memory_channel_gather(&memory, gathers[i]);
        struct trib_writer *writer = trib_channel_writer(channel);
        struct trib_sender *sender;
        int rc;
        memory.refuse = 3;
        memory.send_max = 10;
        trib_writer_set_deadline(writer, TRIB_NOWAIT);
        ck_assert_int_eq(trib_sender_new(&trib_dialect_spark_socket, writer, TRIB_FROM_WORKER, &options, &sender, &err), TRIB_OK);
        for (const char *letter = reply->letters; *letter != '\0'; letter++) {
            struct trib_event event = event_of(*letter);
            while ((rc = trib_sender_put(sender, &event, &err)) == TRIB_AGAIN)
                ;
            ck_assert_msg(rc == TRIB_OK, "%s", err.message);
        }
        while ((rc = trib_writer_flush(writer, &err)) == TRIB_AGAIN)
            ;
        ck_assert_int_eq(rc, TRIB_OK);
        ck_assert_uint_eq(memory.output_len, reply->len);
        ck_assert_mem_eq(memory.output, waiting.output, reply->len);
        trib_sender_free(sender);
        trib_channel_free(channel);
        memory_done(&memory);
    }
    memory_done(&waiting);
}
END_TEST

/* ---- Without memory ------------------------------------------------------------------------------------------------ */

enum { LARGE = 100000 }; /* what a writer copies into a chunk of its own */

static uint8_t *letters_a(size_t len)
{
    uint8_t *bytes = malloc(len);

    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'a', len);
    return bytes;
}

static int put_bytes(struct trib_sender *sender, enum trib_event_kind kind, const uint8_t *bytes, size_t len, struct trib_error *err)
{
    struct trib_event event = no_event;

    event.kind = kind;
    event.bytes.data = bytes;
    event.bytes.len = len;
    return trib_sender_put(sender, &event, err);
}

/* Memory that runs out behind an event's header: nothing but the same event goes on, and the bytes are those of the last call. */
START_TEST(test_put_again_without_memory)
{
    struct trib_event number = event_of('0'), init = event_of('I');
    struct memory_channel memory;
    struct trib_channel *channel;
    struct trib_sender *sender;
    uint8_t *bytes = letters_a(LARGE);
    struct trib_error err;

    fail_alloc_install();
    channel = memory_channel(&memory, NULL, 0);
    ck_assert_int_eq(
        trib_sender_new(&trib_dialect_spark_socket, trib_channel_writer(channel), TRIB_FROM_WORKER, NULL, &sender, &err), TRIB_OK);
    ck_assert_int_eq(put_bytes(sender, TRIB_EVENT_FRAME, (const uint8_t *)"text", 4, &err), TRIB_OK);
    fail_alloc_at(1);
    ck_assert_int_eq(put_bytes(sender, TRIB_EVENT_FRAME, bytes, LARGE, &err), TRIB_ERR_NOMEM);
    ck_assert(fail_alloc_hit());
    free(bytes);
    ck_assert_int_eq(put_bytes(sender, TRIB_EVENT_EXCEPTION, (const uint8_t *)"text", 4, &err), TRIB_ERR_USAGE);
    ck_assert_str_eq(err.message, "spark-socket: EXCEPTION came while a part of FRAME is written, expected the same again");
    ck_assert_int_eq(put_bytes(sender, TRIB_EVENT_FRAME, (const uint8_t *)"text", 4, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_sender_put(sender, &number, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_sender_put(sender, &init, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_sender_next_session(sender, &err), TRIB_ERR_USAGE);
    bytes = letters_a(LARGE);
    ck_assert_int_eq(put_bytes(sender, TRIB_EVENT_FRAME, bytes, LARGE, &err), TRIB_OK);
    ck_assert_int_eq(trib_sender_put(sender, &number, &err), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(channel), &err), TRIB_OK);
    ck_assert_uint_eq(memory.output_len, 8 + 4 + LARGE + 8);
    ck_assert_mem_eq(memory.output + 8, "\0\1\x86\xA0", 4);
    ck_assert_mem_eq(memory.output + 12, bytes, LARGE);
    trib_sender_free(sender);
    trib_channel_free(channel);
    memory_done(&memory);
    fail_alloc_remove();
    free(bytes);
}
END_TEST

/* ---- What a receiver refuses -------------------------------------------------------------------------------------- */

struct wrong {
    const char *bytes;
    size_t len;
    int code;
    const char *text;
};

#define BYTES(string) string, sizeof(string) - 1

static const struct wrong wrongs[] = {
    {BYTES("\xFF\xFF\xFF\xFC"), TRIB_ERR_PROTOCOL, "-4 (END_OF_STREAM) came"},
    {BYTES("\xFF\xFF\xFF\xF9"), TRIB_ERR_PROTOCOL, "-7 (END_OF_MICRO_BATCH) came"},
    {BYTES("\xFF\xFF\xFF\xF8"), TRIB_ERR_PROTOCOL, "-8 (START_OF_INIT_MESSAGE) came"},
    {BYTES("\xFF\xFF\xFF\x00"), TRIB_ERR_PROTOCOL, "the word -256 (0xffffff00) came"},
    {BYTES("\x7F\xFF\xFF\xFF"), TRIB_ERR_LIMIT, "a frame of 2147483647 bytes"},
    {BYTES("\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFF"), TRIB_ERR_PROTOCOL, "exception's text: -1 is negative"},
    {BYTES("\xFF\xFF\xFF\xFE\x40\x00\x00\x00"), TRIB_ERR_LIMIT, "exception's text of 1073741824 bytes"},
    {BYTES("\xFF\xFF\xFF\xFE\0\0\0\4abc"), TRIB_ERR_SHORT, "exception's text: wanted 12 bytes, the stream ended after 11"},
    {BYTES("\xFF\xFF\xFF\xFD\0\0\0\0"), TRIB_ERR_SHORT, "wanted 52 bytes, the stream ended after 8"},
    {BYTES("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), TRIB_ERR_PROTOCOL, "accumulator updates: -1 is negative"},
    {BYTES("\xFF\xFF\xFF\xFF\0\0\0\1\xFF\xFF\xFF\xFE"), TRIB_ERR_PROTOCOL, "accumulator update: -2 is negative"},
    {BYTES("\xFF\xFF\xFF\xFF\0\0\0\0\xFF\xFF\xFF\xFD"), TRIB_ERR_PROTOCOL, "-3 (TIMING_DATA) came, expected -4"},
    {BYTES("\xFF\xFF\xFF\xFF\0\0\0\0"), TRIB_ERR_SHORT, "-4 (END_OF_STREAM), or -1"},
    {BYTES("\xFF\xFF\xFF\xFA\xFF\xFF\xFF\xFF\0\0\0\0\xFF\xFF\xFF\xFA"), TRIB_ERR_PROTOCOL, "-6 (START_ARROW_STREAM) came"},
    {BYTES("\xFF\xFF\xFF\xFB\xFF\xFF\xFF\xFA"), TRIB_ERR_PROTOCOL, "-6 (START_ARROW_STREAM) came"},
};

START_TEST(test_wrong)
{
    const struct wrong *wrong = &wrongs[_i];
    struct cuts whole = {NULL, 0, 0};
    struct trib_reader *reader = capture_reader((const uint8_t *)wrong->bytes, wrong->len, whole);
    struct trib_receiver *receiver;
    struct trib_event event;
    struct trib_error err;
    int rc;

    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_WORKER, NULL, &receiver, &err), TRIB_OK);
    while ((rc = trib_receiver_next(receiver, &event, &err)) == TRIB_OK)
        ;
    ck_assert_msg(rc == wrong->code, "%s: %s", trib_code_name(rc), err.message);
    ck_assert_msg(strstr(err.message, wrong->text) != NULL, "%s", err.message);
    trib_receiver_free(receiver);
    trib_reader_free(reader);
}
END_TEST

/* ---- What a sender refuses ---------------------------------------------------------------------------------------- */

START_TEST(test_events_that_make_no_sense)
{
    struct memory_channel memory;
    struct trib_channel *channel = memory_channel(&memory, NULL, 0);
    struct trib_event event = no_event;
    struct trib_sender *worker, *engine;
    struct trib_error err;

    ck_assert_int_eq(
        trib_sender_new(&trib_dialect_spark_socket, trib_channel_writer(channel), TRIB_FROM_WORKER, NULL, &worker, &err), TRIB_OK);
    ck_assert_int_eq(
        trib_sender_new(&trib_dialect_spark_socket, trib_channel_writer(channel), TRIB_FROM_ENGINE, NULL, &engine, &err), TRIB_OK);
    event.kind = TRIB_EVENT_INIT;
    ck_assert_int_eq(trib_sender_put(engine, &event, &err), TRIB_ERR_USAGE);
    event.kind = TRIB_EVENT_ACCUMULATORS;
    event.number = -1;
    ck_assert_int_eq(trib_sender_put(worker, &event, &err), TRIB_ERR_USAGE);
    event.kind = TRIB_EVENT_FRAME;
    event.bytes.len = (size_t)INT32_MAX + 1;
    ck_assert_int_eq(trib_sender_put(worker, &event, &err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.got, INT32_MAX);
    event.kind = (enum trib_event_kind)77;
    ck_assert_int_eq(trib_sender_put(worker, &event, &err), TRIB_ERR_PROTOCOL);
    event = event_of('I');
    ck_assert_int_eq(trib_sender_put(engine, &event, &err), TRIB_OK);
    event.kind = TRIB_EVENT_DATA;
    event.number = 9;
    ck_assert_int_eq(trib_sender_put(engine, &event, &err), TRIB_ERR_USAGE);
    event.number = TRIB_DATA_PAIRS;
    ck_assert_int_eq(trib_sender_put(engine, &event, &err), TRIB_OK);
    event.kind = TRIB_EVENT_GROUP;
    event.number = 1;
    ck_assert_int_eq(trib_sender_put(engine, &event, &err), TRIB_ERR_USAGE);
    event = no_event;
    event.kind = TRIB_EVENT_STREAM;
    ck_assert_int_eq(trib_sender_put(worker, &event, &err), TRIB_OK);
    event.kind = TRIB_EVENT_ARROW;
    ck_assert_int_eq(trib_sender_put(worker, &event, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_sender_next_session(worker, &err), TRIB_ERR_USAGE);
    trib_sender_free(worker);
    trib_sender_free(engine);
    trib_channel_free(channel);
    memory_done(&memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replies");
    TCase *tcase = tcase_create("replies");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_checked_fixture(tcase, load_messages, NULL);
    tcase_add_loop_test(tcase, test_there_and_back, 0, sizeof(replies) / sizeof(replies[0]));
    tcase_add_loop_test(tcase, test_put_again, 0, sizeof(replies) / sizeof(replies[0]));
    tcase_add_test(tcase, test_put_again_without_memory);
    tcase_add_test(tcase, test_fields);
    tcase_add_loop_test(tcase, test_order, 0, sizeof(places) / sizeof(places[0]));
    tcase_add_loop_test(tcase, test_wrong, 0, sizeof(wrongs) / sizeof(wrongs[0]));
    tcase_add_test(tcase, test_events_that_make_no_sense);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
