/* Calls between the client and the server of the library: metadata, status, deadlines, gzip, windows, the end of a server. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"

#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct grpc_echo echo;
static struct trib_grpc_client *client;
static struct trib_error err;

static void set_up(void)
{
    balance_setup();
    grpc_echo_start(&echo, NULL);
    ck_assert_msg(trib_grpc_connect(echo.address, NULL, &client, &err) == TRIB_OK, "%s", err.message);
}

static void tear_down(void)
{
    trib_grpc_client_free(client);
    grpc_echo_stop(&echo);
    balance_teardown();
}

/* ---- Parts of calls --------------------------------------------------------------------------------------------------- */

static struct trib_grpc_call *call_with(const char *path, const struct trib_grpc_entry *entries, size_t count, int64_t deadline, bool compress)
{
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_grpc_call *call;

    options.metadata = entries;
    options.metadata_count = count;
    options.deadline = deadline;
    options.compress = compress;
    ck_assert_msg(trib_grpc_call(client, path, &options, &call, &err) == TRIB_OK, "%s", err.message);
    trib_reader_set_deadline(trib_channel_reader(trib_grpc_call_channel(call)), trib_deadline_ms(20000));
    trib_writer_set_deadline(trib_channel_writer(trib_grpc_call_channel(call)), trib_deadline_ms(20000));
    return call;
}

static struct trib_grpc_call *call_plain(const char *path)
{
    return call_with(path, NULL, 0, TRIB_FOREVER, false);
}

static struct trib_reader *reader_of(struct trib_grpc_call *call)
{
    return trib_channel_reader(trib_grpc_call_channel(call));
}

static struct trib_writer *writer_of(struct trib_grpc_call *call)
{
    return trib_channel_writer(trib_grpc_call_channel(call));
}

static void send_message(struct trib_grpc_call *call, const void *data, size_t len)
{
    struct trib_writer *writer = writer_of(call);

    ck_assert_int_eq(trib_writer_begin_message(writer, len, &err), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, data, len, &err), TRIB_OK);
    ck_assert_msg(trib_writer_end_message(writer, &err) == TRIB_OK && trib_writer_flush(writer, &err) == TRIB_OK, "%s", err.message);
}

static void expect_message(struct trib_grpc_call *call, const void *data, size_t len)
{
    struct trib_view view;
    int rc = trib_reader_take_message(reader_of(call), (size_t)64 << 20, &view, &err);

    ck_assert_msg(rc == TRIB_OK, "%s: %s", trib_code_name(rc), rc < 0 ? err.message : "");
    ck_assert_uint_eq(view.len, len);
    ck_assert_int_eq(memcmp(view.data, data, len), 0);
}

static void expect_status(struct trib_grpc_call *call, int status, const char *text)
{
    struct trib_view view;
    const char *got_text;
    int got, rc = trib_reader_take(reader_of(call), 1, &view, &err);

    ck_assert_msg(rc == (status == 0 ? TRIB_EOF : rc < 0 ? rc : TRIB_ERR_FAILED), "%s: %s", trib_code_name(rc), rc < 0 ? err.message : "");
    ck_assert_int_eq(trib_grpc_call_status(call, &got, &got_text), TRIB_OK);
    ck_assert_msg(got == status, "status %d, not %d: %s", got, status, got_text);
    if (text != NULL)
        ck_assert_msg(strstr(got_text, text) != NULL, "\"%s\" is not in \"%s\"", text, got_text);
}

static void end(struct trib_grpc_call *call)
{
    trib_channel_free(trib_grpc_call_channel(call));
}

/* ---- Tests ------------------------------------------------------------------------------------------------------------ */

START_TEST(test_unary)
{
    struct trib_grpc_call *call = call_plain("/test/Echo");

    send_message(call, "hello", 5);
    ck_assert_int_eq(trib_writer_finish(writer_of(call), 0, NULL, &err), TRIB_OK);
    expect_message(call, "hello", 5);
    expect_status(call, 0, "");
    end(call);
}
END_TEST

START_TEST(test_many_at_once)
{
    enum { CALLS = 300 };
    struct trib_grpc_call *calls[CALLS];
    char text[32];

    for (int i = 0; i < CALLS; i++)
        calls[i] = call_plain("/test/Echo");
    for (int i = 0; i < CALLS; i++)
        send_message(calls[i], text, (size_t)snprintf(text, sizeof(text), "call %d", i));
    for (int i = CALLS; i-- > 0;) {
        ck_assert_int_eq(trib_writer_finish(writer_of(calls[i]), 0, NULL, &err), TRIB_OK);
        expect_message(calls[i], text, (size_t)snprintf(text, sizeof(text), "call %d", i));
        expect_status(calls[i], 0, NULL);
        end(calls[i]);
    }
}
END_TEST

START_TEST(test_metadata)
{
    static const struct trib_grpc_entry sent[] = { { "echo", "some text", 9 }, { "echo-bin", "\0\1\xff", 3 }, { "trail-bin", "\xab", 1 } };
    struct trib_grpc_call *call = call_with("/test/Echo", sent, 3, TRIB_FOREVER, false);
    struct trib_grpc_entry entry;

    send_message(call, "x", 1);
    ck_assert_int_eq(trib_writer_finish(writer_of(call), 0, NULL, &err), TRIB_OK);
    expect_message(call, "x", 1);
    ck_assert(trib_grpc_call_metadata(call, 0, &entry) && entry.len == 9 && memcmp(entry.value, "some text", 9) == 0);
    ck_assert(trib_grpc_call_metadata(call, 1, &entry) && entry.len == 3 && memcmp(entry.value, "\0\1\xff", 3) == 0);
    ck_assert(!trib_grpc_call_metadata(call, 2, &entry));
    expect_status(call, 0, NULL);
    ck_assert(trib_grpc_call_trailer(call, 0, &entry) && strcmp(entry.name, "trail-bin") == 0 && entry.len == 1);
    end(call);
}
END_TEST

/* Every status, with a text that has to be encoded. */
START_TEST(test_status)
{
    static const char text[] = "\t\ntest with whitespace\r\nand Unicode \xe2\x98\xba and 100%\n";
    char number[8];
    struct trib_grpc_entry sent[] = { { "status", number, 0 }, { "text-bin", text, sizeof(text) - 1 } };
    struct trib_grpc_call *call;

    sent[0].len = (size_t)snprintf(number, sizeof(number), "%d", _i);
    call = call_with("/test/Status", sent, 2, TRIB_FOREVER, false);
    expect_status(call, _i, text);
    end(call);
}
END_TEST

START_TEST(test_unknown_method)
{
    struct trib_grpc_call *call = call_plain("/test/Nothing");

    expect_status(call, TRIB_GRPC_UNIMPLEMENTED, "/test/Nothing");
    end(call);
}
END_TEST

START_TEST(test_handler_dies)
{
    struct trib_grpc_call *call = call_plain("/test/Gone");

    expect_status(call, TRIB_GRPC_INTERNAL, NULL);
    end(call);
}
END_TEST

START_TEST(test_deadline)
{
    struct trib_grpc_call *call = call_with("/test/Echo", NULL, 0, trib_deadline_ms(30), false);

    expect_status(call, TRIB_GRPC_DEADLINE_EXCEEDED, NULL);
    end(call);
}
END_TEST

START_TEST(test_gzip)
{
    static const struct trib_grpc_entry ask[] = { { "compress", "1", 1 } };
    struct trib_grpc_call *call = call_with("/test/Echo", ask, (size_t)(_i & 1), TRIB_FOREVER, (_i & 2) != 0);
    static char text[300000];

    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(text); i += 97)
        text[i] = (char)i;
    for (size_t len = 1; len <= sizeof(text); len = len * 7 + 1) {
        send_message(call, text, len);
        expect_message(call, text, len);
        ck_assert_int_eq(trib_grpc_call_was_compressed(call), _i & 1);
    }
    ck_assert_int_eq(trib_writer_finish(writer_of(call), 0, NULL, &err), TRIB_OK);
    expect_status(call, 0, NULL);
    end(call);
}
END_TEST

/* Two streams are stalled with full windows; others on the same connection go on. */
START_TEST(test_stalled_streams)
{
    struct trib_grpc_call *deaf[2] = { call_plain("/test/Deaf"), call_plain("/test/Deaf") };
    static uint8_t bytes[65536];
    int rc;

    for (int i = 0; i < 2; i++) {
        trib_writer_set_deadline(writer_of(deaf[i]), TRIB_NOWAIT);
        for (rc = TRIB_OK; rc == TRIB_OK;)
            rc = trib_writer_bytes(writer_of(deaf[i]), bytes, sizeof(bytes), &err);
        ck_assert_msg(rc == TRIB_AGAIN, "%s: %s", trib_code_name(rc), rc < 0 ? err.message : "");
    }
    for (int i = 0; i < 20; i++) {
        struct trib_grpc_call *call = call_plain("/test/Echo");

        send_message(call, bytes, sizeof(bytes));
        expect_message(call, bytes, sizeof(bytes));
        end(call);
    }
    end(deaf[0]);
    end(deaf[1]);
}
END_TEST

/* A large message comes in one piece, on its alignment, and hardly any of it is copied. */
START_TEST(test_large_in_place)
{
    struct trib_grpc_call *call = call_plain("/test/Echo");
    struct trib_reader_stats stats = { .size = sizeof(stats) };
    const size_t len = (size_t)4 << 20;
    struct trib_chunk *chunk;
    struct trib_view view;

    ck_assert_int_eq(trib_chunk_new(len, 64, &chunk, &err), TRIB_OK);
    memset(trib_chunk_writable(chunk), 7, len);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(trib_writer_begin_message(writer_of(call), len, &err), TRIB_OK);
        ck_assert_int_eq(trib_writer_view(writer_of(call), trib_chunk_view(chunk), &err), TRIB_OK);
        trib_writer_set_deadline(writer_of(call), trib_deadline_ms(20000));
        ck_assert_msg(trib_writer_end_message(writer_of(call), &err) == TRIB_OK && trib_writer_flush(writer_of(call), &err) == TRIB_OK, "%s",
                      err.message);
        ck_assert_msg(trib_reader_take_aligned(reader_of(call), len, 64, &view, &err) == TRIB_OK, "%s", err.message);
        ck_assert(((uintptr_t)view.data & 63) == 0 && memcmp(view.data, trib_chunk_data(chunk), len) == 0);
    }
    trib_chunk_unref(chunk);
    trib_reader_stats(reader_of(call), &stats);
    ck_assert_msg(stats.copied_crossing + stats.copied_aligning < 8 * len / 50, "%llu bytes copied",
                  (unsigned long long)(stats.copied_crossing + stats.copied_aligning));
    end(call);
}
END_TEST

START_TEST(test_message_above_the_limit)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_grpc_call *call;
    struct grpc_echo small;
    static uint8_t bytes[200000];

    options.budget = 65536;
    options.limit = 100000;
    grpc_echo_start(&small, &options);
    trib_grpc_client_free(client);
    ck_assert_int_eq(trib_grpc_connect(small.address, NULL, &client, &err), TRIB_OK);
    call = call_plain("/test/Echo");
    trib_writer_begin_message(writer_of(call), sizeof(bytes), &err);
    trib_writer_bytes(writer_of(call), bytes, 1000, &err);
    trib_writer_flush(writer_of(call), &err);
    expect_status(call, TRIB_GRPC_RESOURCE_EXHAUSTED, "200000 bytes, the limit is 100000");
    end(call);
    trib_grpc_client_free(client);
    grpc_echo_stop(&small);
    ck_assert_int_eq(trib_grpc_connect(echo.address, NULL, &client, &err), TRIB_OK);
}
END_TEST

/* The server goes while calls are under way. */
START_TEST(test_server_goes)
{
    struct grpc_echo gone;
    struct trib_grpc_call *call;

    grpc_echo_start(&gone, NULL);
    trib_grpc_client_free(client);
    ck_assert_int_eq(trib_grpc_connect(gone.address, NULL, &client, &err), TRIB_OK);
    call = call_plain("/test/Echo");
    send_message(call, "x", 1);
    expect_message(call, "x", 1);
    grpc_echo_stop(&gone);
    expect_status(call, TRIB_GRPC_UNAVAILABLE, NULL);
    ck_assert_int_eq(trib_grpc_call(client, "/test/Echo", NULL, &(struct trib_grpc_call *){ NULL }, &err), TRIB_ERR_CLOSED);
    end(call);
}
END_TEST

START_TEST(test_usage)
{
    static const struct trib_grpc_entry bad = { "Upper", "x", 1 };
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_grpc_client *other;
    struct trib_grpc_call *call;

    options.metadata = &bad;
    options.metadata_count = 1;
    ck_assert_int_eq(trib_grpc_call(client, "/test/Echo", &options, &call, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_grpc_call(client, "Echo", NULL, &call, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_grpc_connect("unix:@x", NULL, &other, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_grpc_connect("grpc+tcp:example.org:80", NULL, &other, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_grpc_connect("grpc+tcp:127.0.0.1:99999", NULL, &other, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_grpc_connect("grpc+unix:@nobody-listens-here", NULL, &other, &err), TRIB_ERR_IO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC calls");
    TCase *tcase = tcase_create("calls");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, test_unary);
    tcase_add_test(tcase, test_many_at_once);
    tcase_add_test(tcase, test_metadata);
    tcase_add_loop_test(tcase, test_status, 0, 17);
    tcase_add_test(tcase, test_unknown_method);
    tcase_add_test(tcase, test_handler_dies);
    tcase_add_test(tcase, test_deadline);
    tcase_add_loop_test(tcase, test_gzip, 0, 4);
    tcase_add_test(tcase, test_stalled_streams);
    tcase_add_test(tcase, test_large_in_place);
    tcase_add_test(tcase, test_message_above_the_limit);
    tcase_add_test(tcase, test_server_goes);
    tcase_add_test(tcase, test_usage);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
