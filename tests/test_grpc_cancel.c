/* A client that has said all and then cancels: the request is complete, and whoever serves it learns that nobody waits for the answer. */
#include <tributary/engine.h>
#include <tributary/grpc.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/balance.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/worker.h"

/* ---- A handler that notes what it is told ------------------------------------------------------------------------------ */

static struct {
    struct event_base *base;
    struct trib_grpc_server *server;
    const char *address;
    struct trib_grpc_call *call;
    int watched, fd;
} side;

static void on_ended(void *arg)
{
    (void)arg;
    side.watched++;
}

static void on_call(struct trib_grpc_call *call, void *arg)
{
    (void)arg;
    side.call = call;
    ck_assert_int_eq(trib_grpc_call_watch(call, side.base, on_ended, NULL, NULL), TRIB_OK);
}

static void setup(void)
{
    struct trib_error err;
    char uri[64];

    balance_setup();
    memset(&side, 0, sizeof(side));
    side.base = event_base_new();
    snprintf(uri, sizeof(uri), "grpc+unix:@trib-cancel-%ld", (long)getpid());
    ck_assert_int_eq(trib_grpc_server_new(side.base, NULL, &side.server, &err), TRIB_OK);
    ck_assert_int_eq(trib_grpc_server_handle(side.server, NULL, on_call, NULL, &err), TRIB_OK);
    ck_assert_msg(trib_grpc_server_listen(side.server, uri, &side.address, &err) == TRIB_OK, "%s", err.message);
    side.fd = grpc_raw_connect(side.address);
    grpc_raw_preface();
}

static void teardown(void)
{
    if (side.call != NULL)
        trib_channel_free(trib_grpc_call_channel(side.call));
    close(side.fd);
    trib_grpc_server_free(side.server);
    event_base_free(side.base);
    balance_teardown();
}

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        event_base_loop(side.base, EVLOOP_NONBLOCK);
}

/* ---- Tests ---------------------------------------------------------------------------------------------------------------- */

static const uint8_t reset_code[] = { 0, 0, 0, 8 }; /* CANCEL */

/* The server reads request, end and reset at once (_i == 0), or each by itself; a request without a message (2). */
START_TEST(test_end_and_reset)
{
    static const uint8_t message[] = { 0, 0, 0, 0, 3, 'a', 'b', 'c' };
    struct trib_reader *reader;
    struct trib_writer *writer;
    struct trib_view view;
    const char *text;
    int status;

    grpc_raw_request(1, "/test/Any", _i == 2 ? 1 : 0);
    if (_i != 2)
        grpc_raw_frame(0, 1, 1, message, sizeof(message));
    if (_i == 1) {
        grpc_raw_send(side.fd);
        turn();
        ck_assert_ptr_nonnull(side.call);
        ck_assert_int_eq(side.watched, 0);
    }
    grpc_raw_frame(3, 0, 1, reset_code, sizeof(reset_code));
    grpc_raw_send(side.fd);
    turn();
    ck_assert_ptr_nonnull(side.call);
    ck_assert_int_eq(side.watched, 1);
    ck_assert_int_eq(trib_grpc_call_status(side.call, &status, &text), TRIB_OK);
    ck_assert_int_eq(status, TRIB_GRPC_CANCELLED);
    ck_assert_str_eq(text, "the stream was reset: CANCEL");
    reader = trib_channel_reader(trib_grpc_call_channel(side.call));
    writer = trib_channel_writer(trib_grpc_call_channel(side.call));
    if (_i != 2) {
        ck_assert_int_eq(trib_reader_take_message(reader, 100, &view, NULL), TRIB_OK);
        ck_assert_uint_eq(view.len, 3);
    }
    ck_assert_int_eq(trib_reader_take_message(reader, 100, &view, NULL), TRIB_EOF);
    ck_assert_int_eq(trib_writer_begin_message(writer, 3, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, "abc", 3, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_ERR_CLOSED);
}
END_TEST

/* Without an end the request is not complete: who comes too late is not called at all. */
START_TEST(test_reset)
{
    struct trib_view view;

    grpc_raw_request(1, "/test/Any", 0);
    if (_i == 1) {
        grpc_raw_send(side.fd);
        turn();
        ck_assert_ptr_nonnull(side.call);
    }
    grpc_raw_frame(3, 0, 1, reset_code, sizeof(reset_code));
    grpc_raw_send(side.fd);
    turn();
    ck_assert_int_eq(side.watched, _i);
    if (_i == 1)
        ck_assert_int_eq(trib_reader_take(trib_channel_reader(trib_grpc_call_channel(side.call)), 1, &view, NULL), TRIB_ERR_CLOSED);
    else
        ck_assert_ptr_null(side.call);
}
END_TEST

/* A session of the worker is lost by it, whatever was said before, and the report says how. */
START_TEST(test_session)
{
    static const uint8_t init[] = { 0, 0, 0, 0, 10, 10, 8, 10, 6, 8, 1, 16, 1, 26, 0 };
    static struct test_worker worker;
    int fd;

    balance_setup();
    test_worker_start(&worker, NULL, NULL);
    fd = grpc_raw_connect(worker.address);
    grpc_raw_preface();
    grpc_raw_request(1, TRIB_UDF_EXECUTE, 0);
    grpc_raw_frame(0, 1, 1, init, sizeof(init));
    grpc_raw_frame(3, 0, 1, reset_code, sizeof(reset_code));
    grpc_raw_send(fd);
    test_worker_wait_reports(&worker, 1);
    ck_assert_msg(worker.report.outcome == TRIB_WORKER_LOST, "%d: %s", worker.report.outcome, worker.message);
    ck_assert_str_eq(worker.message, "the stream was reset: CANCEL");
    ck_assert_uint_eq(test_worker_stats(&worker).in_flight, 0);
    close(fd);
    test_worker_stop(&worker);
    balance_teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC, cancelled after the end");
    TCase *tcase = tcase_create("handler"), *session = tcase_create("session");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_end_and_reset, 0, 3);
    tcase_add_loop_test(tcase, test_reset, 0, 2);
    tcase_set_timeout(session, 30);
    tcase_add_test(session, test_session);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, session);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
