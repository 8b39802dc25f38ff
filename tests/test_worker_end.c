/* The end of a worker: no client, whatever it has begun and leaves unread, and no UDF holds it. */
#include <tributary/grpc.h>
#include <tributary/worker.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/balance.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/grpc_talk.h"
#include "tests/support/worker.h"

#define SECOND INT64_C(1000000000)

static struct test_worker worker;

enum { SHUTDOWN_MS = 200 }; /* while a serializer has ten seconds to settle, and an engine ten minutes to read */

static void start(const struct trib_serializer *serializer, int64_t request_ms)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;

    balance_setup();
    options.serializer = serializer;
    options.request_ms = request_ms;
    options.shutdown_ms = SHUTDOWN_MS;
    test_worker_start(&worker, &options, NULL);
}

static void teardown(void)
{
    test_worker_stop(&worker);
    balance_teardown();
}

/* ---- Clients that hold on ------------------------------------------------------------------------------------------ */

#define INIT "\0\0\0\0\15\x0a\x0b\x0a\x09\x08\1\x10\1\x1a\3\x0a\1x"
#define CANCEL "\0\0\0\0\4\x0a\2\x22\0"

/* What a client has said when the worker is to end. It reads no data: its windows are closed. */
static const struct {
    const char *method;
    const char *bytes; /* messages with their prefix; NULL: none */
    size_t len;
    bool ends;
} holds[] = {
    {NULL, NULL, 0, false},                              /* an idle connection */
    {TRIB_UDF_MANAGE, NULL, 0, false},                   /* a call without its request, */
    {TRIB_UDF_MANAGE, "\0\0\0\0\2\x0a", 6, false},       /* with a part of it, */
    {TRIB_UDF_MANAGE, "\0\0\0\0\2\x0a\0", 7, true},      /* with all of it, and an answer that is not read */
    {TRIB_UDF_EXECUTE, NULL, 0, false},
    {TRIB_UDF_EXECUTE, INIT, 18, false},
    {TRIB_UDF_EXECUTE, CANCEL, 9, false},
    {TRIB_UDF_EXECUTE, INIT CANCEL, 27, true},
    {"/grpc.health.v1.Health/Watch", "\0\0\0\0\0", 5, true},
    {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", NULL, 0, false},
};
enum { HOLDS = sizeof(holds) / sizeof(holds[0]) };

/* Returns when the worker has acted upon it. */
static int hold(size_t which)
{
    enum { DATA = 0, SETTINGS = 4, PING = 6, END_STREAM = 1 };
    static const uint8_t no_window[] = {0, 4, 0, 0, 0, 0}, ping[8] = "hold";
    static struct grpc_raw_frame frame;
    int fd = grpc_raw_connect(worker.address);

    grpc_raw_preface();
    grpc_raw_frame(SETTINGS, 0, 0, no_window, sizeof(no_window));
    if (holds[which].method != NULL)
        grpc_raw_request(1, holds[which].method, 0);
    if (holds[which].bytes != NULL)
        grpc_raw_frame(DATA, holds[which].ends ? END_STREAM : 0, 1, holds[which].bytes, holds[which].len);
    grpc_raw_frame(PING, 0, 0, ping, sizeof(ping));
    ck_assert(grpc_raw_send(fd));
    ck_assert(grpc_raw_until(fd, PING, &frame));
    test_worker_barrier(&worker);
    return fd;
}

static void expect_end(int64_t from, int64_t within)
{
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_OK);
    ck_assert_msg(trib_now() - from < within, "ended after %lld ms", (long long)((trib_now() - from) / 1000000));
}

START_TEST(test_shutdown)
{
    int64_t from;
    int fd;

    start(&trib_serializer_echo, 0);
    fd = hold((size_t)_i);
    from = trib_now();
    trib_worker_shutdown(worker.worker, 0);
    expect_end(from, 5 * SECOND);
    close(fd);
}
END_TEST

START_TEST(test_shutdown_request)
{
    bool session = holds[_i].method != NULL && strcmp(holds[_i].method, TRIB_UDF_EXECUTE) == 0, settled = session;
    int64_t from;
    int fd;

    start(&trib_serializer_echo, 0);
    fd = hold((size_t)_i);
    from = trib_now();
    ck_assert_int_eq(trib_engine_shutdown(worker.engine, true, NULL, trib_deadline_ms(20000), &settled, NULL), TRIB_OK);
    ck_assert(settled == !session);
    expect_end(from, 5 * SECOND);
    close(fd);
}
END_TEST

/* The engine is answered without a UDF that does not return; it had cancelled it itself, or not. */
START_TEST(test_stuck_udf)
{
    struct trib_execution *execution;
    int64_t from;

    start(&test_serializer, 0);
    execution = execution_open(worker.engine, "");
    execution_data(execution, "gate");
    gate_wait(1);
    if (_i == 1)
        ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
    test_worker_barrier(&worker);
    from = trib_now();
    trib_worker_shutdown(worker.worker, 0);
    ck_assert_str_eq(execution_replies(execution, 0), _i == 1 ? "CANCEL:W" : "ERROR:W CANCEL");
    ck_assert_msg(strstr(execution_error(), "the worker is shutting down") != NULL, "%s", execution_error());
    trib_execution_free(execution);
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_ERR_TIMEOUT);
    ck_assert_int_lt(trib_now() - from, 5 * SECOND);
}
END_TEST

/* ---- Requests that do not come ------------------------------------------------------------------------------------- */

static void expect_given_up(struct trib_grpc_client *client, int status, const char *text, void (*meanwhile)(void))
{
    struct trib_grpc_call *call = grpc_talk_begin(client, TRIB_UDF_MANAGE);

    test_worker_barrier(&worker);
    meanwhile();
    grpc_talk_expect_status(call, status, text);
    grpc_talk_free(call);
}

static void nothing(void)
{
}

static void shut_down(void)
{
    trib_worker_shutdown(worker.worker, 0);
}

/* Each of them is told so: while the worker lives, and when it ends. */
START_TEST(test_no_request)
{
    struct trib_grpc_client *client;

    start(NULL, 100);
    client = grpc_talk_connect(worker.address);
    expect_given_up(client, TRIB_GRPC_DEADLINE_EXCEEDED, "no WorkerRequest", nothing);
    test_worker_barrier(&worker);
    trib_grpc_client_free(client);
}
END_TEST

START_TEST(test_no_request_at_the_end)
{
    struct trib_grpc_client *client;

    start(NULL, -1);
    client = grpc_talk_connect(worker.address);
    expect_given_up(client, TRIB_GRPC_UNAVAILABLE, "shutting down", shut_down);
    trib_grpc_client_free(client);
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker end");
    TCase *tcase = tcase_create("end");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, test_shutdown, 0, HOLDS);
    tcase_add_loop_test(tcase, test_shutdown_request, 0, HOLDS);
    tcase_add_loop_test(tcase, test_stuck_udf, 0, 2);
    tcase_add_test(tcase, test_no_request);
    tcase_add_test(tcase, test_no_request_at_the_end);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
