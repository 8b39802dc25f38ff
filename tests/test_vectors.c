/* Every captured session, both directions, is parsed wholly and written again, equal to the byte, however its bytes come in pieces. */
#include <tributary/spark.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/balance.h"
#include "tests/support/capture.h"
#include "tests/support/fail_alloc.h"

static void must_be_equal(const struct capture *capture, const struct memory_channel *memory, const char *how)
{
    size_t len = capture->file.len < memory->output_len ? capture->file.len : memory->output_len, at = 0;

    while (at < len && capture->file.bytes[at] == memory->output[at])
        at++;
    ck_assert_msg(at == capture->file.len && at == memory->output_len,
                  "%s, %s: written %zu bytes of %zu, the first that differs is %zu", capture->file.name, how, memory->output_len,
                  capture->file.len, at);
}

static void there_and_back(const struct capture *capture, struct cuts cuts, const char *how)
{
    struct trib_reader *reader = capture_reader(capture->file.bytes, capture->file.len, cuts);
    struct memory_channel memory;
    struct trib_channel *channel = memory_channel(&memory, NULL, 0);
    struct trib_error err = {0};
    int rc = capture_echo(reader, trib_channel_writer(channel), capture, &err);

    ck_assert_msg(rc == TRIB_EOF, "%s, %s: %s %s", capture->file.name, how, trib_code_name(rc), err.message);
    ck_assert_msg(trib_reader_finished(reader), "%s, %s: bytes are left over", capture->file.name, how);
    must_be_equal(capture, &memory, how);
    trib_channel_free(channel);
    trib_reader_free(reader);
    memory_done(&memory);
}

START_TEST(test_whole_and_in_pieces)
{
    static const size_t sizes[] = {1, 2, 3, 7, 8, 64, 1000};
    struct cuts whole = {NULL, 0, 0};
    struct capture capture;

    capture_load(capture_name((size_t)_i), &capture);
    there_and_back(&capture, whole, "whole");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct cuts cuts = {NULL, 0, sizes[i]};
        there_and_back(&capture, cuts, "in pieces");
    }
    capture_done(&capture);
}
END_TEST

START_TEST(test_every_split_point)
{
    struct capture capture;

    capture_load(capture_name((size_t)_i), &capture);
    for (size_t at = 1; at < capture.file.len; at++) {
        struct cuts cuts = {&at, 1, 0};
        there_and_back(&capture, cuts, "split");
    }
    capture_done(&capture);
}
END_TEST

/* One byte, then as far as it goes: every call gives up and is called again at every place. */
START_TEST(test_without_waiting)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct trib_receiver *receiver;
    struct trib_reader *reader;
    struct trib_event event;
    struct trib_error err;
    struct capture capture;
    uint64_t end = 0;
    int rc = TRIB_AGAIN;

    capture_load(capture_name((size_t)_i), &capture);
    options.handshake = capture.handshake;
    ck_assert_int_eq(trib_reader_new(NULL, &reader, &err), TRIB_OK);
    trib_reader_set_deadline(reader, TRIB_NOWAIT);
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, capture.side, &options, &receiver, &err), TRIB_OK);
    for (size_t i = 0; i < capture.file.len; i++) {
        struct trib_chunk *chunk;
        ck_assert_int_eq(rc, TRIB_AGAIN);
        ck_assert_int_eq(trib_chunk_copy(capture.file.bytes + i, 1, &chunk, &err), TRIB_OK);
        ck_assert_int_eq(trib_reader_feed(reader, chunk, TRIB_NOWAIT, &err), TRIB_OK);
        while ((rc = trib_receiver_next(receiver, &event, &err)) == TRIB_OK) {
            ck_assert_uint_eq(event.offset, end);
            end += event.length;
        }
    }
    ck_assert_msg(rc == TRIB_EOF, "%s: %s %s", capture.file.name, trib_code_name(rc), err.message);
    ck_assert_uint_eq(end, capture.file.len);
    trib_receiver_free(receiver);
    trib_reader_free(reader);
    capture_done(&capture);
}
END_TEST

static bool ends_well(const struct capture *capture, size_t len)
{
    /* Where the handshake is over and no session has begun, a peer may close. */
    size_t handshake = capture->side == TRIB_FROM_WORKER                 ? capture->handshake == TRIB_HANDSHAKE_PID          ? 4
                                                                           : capture->handshake == TRIB_HANDSHAKE_TCP_DAEMON ? 10
                                                                                                                             : 9
                       : capture->handshake == TRIB_HANDSHAKE_PID        ? 0
                       : capture->handshake == TRIB_HANDSHAKE_TCP_DAEMON ? 68
                                                                         : 6;

    return len == 0 || len == handshake;
}

START_TEST(test_truncated_at_every_byte)
{
    struct cuts whole = {NULL, 0, 0};
    struct capture capture;

    capture_load(capture_name((size_t)_i), &capture);
    for (size_t len = 0; len < capture.file.len; len++) {
        struct trib_reader *reader = capture_reader(capture.file.bytes, len, whole);
        struct memory_channel memory;
        struct trib_channel *channel = memory_channel(&memory, NULL, 0);
        struct trib_error err = {0};
        int rc = capture_echo(reader, trib_channel_writer(channel), &capture, &err);
        ck_assert_msg(rc == (ends_well(&capture, len) ? TRIB_EOF : TRIB_ERR_SHORT), "%s cut to %zu bytes: %s %s", capture.file.name,
                      len, trib_code_name(rc), err.message);
        ck_assert(rc != TRIB_ERR_SHORT || (err.code == rc && err.message[0] != '\0' && err.wanted > err.got));
        trib_channel_free(channel);
        trib_reader_free(reader);
        memory_done(&memory);
    }
    capture_done(&capture);
}
END_TEST

/* Any byte changed: another event, or a typed error; never a crash, and never more than there is. */
START_TEST(test_garbage_at_every_byte)
{
    static const uint8_t masks[] = {0xFF, 0x80, 0x01};
    struct cuts whole = {NULL, 0, 0};
    struct capture capture;

    capture_load(capture_name((size_t)_i), &capture);
    for (size_t at = 0; at < capture.file.len; at++) {
        for (size_t m = 0; m < sizeof(masks); m++) {
            struct memory_channel memory;
            struct trib_channel *channel = memory_channel(&memory, NULL, 0);
            struct trib_error err = {0};
            struct trib_reader *reader;
            int rc;
            capture.file.bytes[at] ^= masks[m];
            reader = capture_reader(capture.file.bytes, capture.file.len, whole);
            rc = capture_echo(reader, trib_channel_writer(channel), &capture, &err);
            ck_assert_msg(rc == TRIB_EOF || rc == TRIB_ERR_PROTOCOL || rc == TRIB_ERR_SHORT || rc == TRIB_ERR_LIMIT ||
                              rc == TRIB_ERR_UNSUPPORTED,
                          "%s with byte %zu changed: %s %s", capture.file.name, at, trib_code_name(rc), err.message);
            trib_channel_free(channel);
            trib_reader_free(reader);
            memory_done(&memory);
            capture.file.bytes[at] ^= masks[m];
        }
    }
    capture_done(&capture);
}
END_TEST

/* What lies in one piece goes out as it came in: by reference. Metadata may have to be moved to a multiple of 8. */
START_TEST(test_bodies_are_not_copied)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    struct trib_reader_stats stats = {.size = sizeof(stats)};
    struct memory_channel memory;
    struct trib_channel *channel = memory_channel(&memory, NULL, 0);
    struct trib_reader *reader;
    struct capture capture;
    struct trib_error err;

    capture_load("spark-4.3.0/c-grouped-map.tcp-daemon.engine-to-worker.bin", &capture);
    ck_assert_int_eq(trib_chunk_wrap(capture.file.bytes, capture.file.len, NULL, NULL, &options.initial, &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_new(&options, &reader, &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_finish(reader, &err), TRIB_OK);
    memory.watched = capture.file.bytes;
    memory.watched_len = capture.file.len;
    ck_assert_int_eq(capture_echo(reader, trib_channel_writer(channel), &capture, &err), TRIB_EOF);
    ck_assert_uint_ge(memory.watched_sent, 2 * 72); /* the two bodies */
    trib_reader_stats(reader, &stats);
    ck_assert_uint_eq(stats.copied_crossing, 0);
    ck_assert_uint_le(stats.copied_aligning, 2 * (280 + 224)); /* prefix and metadata of two schemas and two batches */
    trib_channel_free(channel);
    trib_reader_free(reader);
    trib_chunk_unref(options.initial);
    memory_done(&memory);
    capture_done(&capture);
}
END_TEST

START_TEST(test_guess)
{
    struct capture capture;
    enum trib_handshake handshake;
    enum trib_side side;
    struct trib_chunk *chunk;
    struct trib_error err;

    capture_load(capture_name((size_t)_i), &capture);
    ck_assert_int_eq(trib_chunk_wrap(capture.file.bytes, capture.file.len, NULL, NULL, &chunk, &err), TRIB_OK);
    ck_assert_int_eq(trib_spark_guess(chunk, &side, &handshake, &err), TRIB_OK);
    ck_assert_int_eq((int)side, (int)capture.side);
    ck_assert_msg(handshake == capture.handshake, "%s: %d", capture.file.name, (int)handshake);
    trib_chunk_unref(chunk);
    capture_done(&capture);
}
END_TEST

START_TEST(test_no_capture_is_left_out)
{
    size_t count;
    char **names = data_list("spark-4.3.0", ".bin", &count);

    data_list_free(names);
    ck_assert_uint_eq(count, CAPTURE_COUNT);
}
END_TEST

/* A broken capture is still known for what it is, so that its error is told where it breaks. */
START_TEST(test_guess_of_a_part)
{
    struct capture capture;
    enum trib_handshake handshake;
    enum trib_side side;
    struct trib_chunk *chunk;
    struct trib_error err;

    capture_load("spark-4.3.0/c-map-in-arrow.tcp-daemon.engine-to-worker.bin", &capture);
    ck_assert_int_eq(trib_chunk_wrap(capture.file.bytes, capture.file.len - 100, NULL, NULL, &chunk, &err), TRIB_OK);
    ck_assert_int_eq(trib_spark_guess(chunk, &side, &handshake, &err), TRIB_OK);
    ck_assert_int_eq((int)side, TRIB_FROM_ENGINE);
    ck_assert_int_eq((int)handshake, TRIB_HANDSHAKE_TCP_DAEMON);
    trib_chunk_unref(chunk);
    capture_done(&capture);
}
END_TEST

static int echo_scenario(void *arg, struct trib_error *err)
{
    struct capture *capture = arg;
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    struct trib_reader *reader = NULL;
    struct memory_channel memory = {0};
    struct trib_channel *channel = NULL;
    int rc = trib_chunk_wrap(capture->file.bytes, capture->file.len, NULL, NULL, &options.initial, err);

    if (rc == TRIB_OK)
        rc = trib_reader_new(&options, &reader, err);
    if (rc == TRIB_OK)
        rc = trib_reader_finish(reader, err);
    if (rc == TRIB_OK)
        rc = memory_channel_try(&memory, &channel, err);
    if (rc == TRIB_OK)
        rc = capture_echo(reader, trib_channel_writer(channel), capture, err);
    trib_channel_free(channel);
    trib_reader_free(reader);
    trib_chunk_unref(options.initial);
    memory_done(&memory);
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

START_TEST(test_allocations_failing)
{
    struct capture capture;

    capture_load(capture_name((size_t)_i), &capture);
    ck_assert_uint_gt(fail_alloc_every(echo_scenario, &capture), 0);
    capture_done(&capture);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test, bool slow)
{
    TCase *tcase = tcase_create(name);

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_loop_test(tcase, test, 0, CAPTURE_COUNT);
    tcase_set_timeout(tcase, 60);
    if (slow)
        tcase_set_tags(tcase, "slow");
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("captured sessions");
    TCase *once = tcase_create("once");
    SRunner *runner;
    int failed;

    add(suite, "whole and in pieces", test_whole_and_in_pieces, false);
    add(suite, "every split point", test_every_split_point, false);
    add(suite, "without waiting", test_without_waiting, false);
    add(suite, "truncated", test_truncated_at_every_byte, false);
    add(suite, "garbage", test_garbage_at_every_byte, true);
    add(suite, "guess", test_guess, false);
    add(suite, "allocations", test_allocations_failing, false);
    tcase_add_test(once, test_guess_of_a_part);
    tcase_add_test(once, test_bodies_are_not_copied);
    tcase_add_test(once, test_no_capture_is_left_out);
    suite_add_tcase(suite, once);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
