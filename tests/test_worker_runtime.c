/* Threads, lines, shutdown and the watchdog of a worker: what is seen and answered while UDFs are busy. */
#include <tributary/grpc.h>
#include <tributary/worker.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/balance.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/worker.h"

static struct test_worker worker;

static void start(unsigned threads, int64_t batch_ms, int64_t idle_ms, int64_t stall_ms, int64_t settle_ms)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;

    balance_setup();
    options.threads = threads;
    options.batch_ms = batch_ms;
    options.idle_ms = idle_ms;
    options.stall_ms = stall_ms;
    options.settle_ms = settle_ms;
    test_worker_start(&worker, &options, NULL);
}

static void setup(void)
{
    start(2, 0, 0, 0, 0);
}

static void teardown(void)
{
    test_worker_stop(&worker);
    balance_teardown();
}

static struct trib_execution *busy(void)
{
    struct trib_execution *execution = execution_open(worker.engine, "");

    execution_data(execution, "gate");
    return execution;
}

static void finish(struct trib_execution *execution, const char *replies)
{
    ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), replies);
    trib_execution_free(execution);
}

/* ---- All threads busy ----------------------------------------------------------------------------------------------- */

struct figures {
    char running[16], waiting[16];
};

static void take_figure(void *arg, struct trib_view name, struct trib_view value)
{
    struct figures *figures = arg;

    if (name.len == 7 && memcmp(name.data, "running", 7) == 0)
        snprintf(figures->running, sizeof(figures->running), "%.*s", (int)value.len, (const char *)value.data);
    if (name.len == 7 && memcmp(name.data, "waiting", 7) == 0)
        snprintf(figures->waiting, sizeof(figures->waiting), "%.*s", (int)value.len, (const char *)value.data);
}

START_TEST(test_manage_while_all_are_busy)
{
    struct trib_execution *first = busy(), *second = busy(), *third = execution_begin(worker.engine);
    struct figures figures = {"", ""};

    gate_wait(2);
    execution_init(third, "");
    test_worker_barrier(&worker);
    ck_assert_int_eq(trib_engine_heartbeat(worker.engine, trib_deadline_ms(20000), take_figure, &figures, NULL), TRIB_OK);
    ck_assert_str_eq(figures.running, "2");
    ck_assert_str_eq(figures.waiting, "1");
    gate_open();
    finish(first, "FINISH");
    finish(second, "FINISH");
    finish(third, "INIT FINISH");
    ck_assert_uint_eq(test_worker_stats(&worker).threads, 2);
}
END_TEST

/* Whatever the threads of UDFs do, wait (_i == 0) or reckon, Manage is answered within 100 ms, as long as this machine lets anybody run in time: so the
 * best of a few rounds counts. */
enum { ROUNDS = 5, HEARTBEATS = 20, ANSWER_MS = 100, THREADS = 4 };

static int64_t slowest_heartbeat(void)
{
    int64_t slowest = 0;

    for (int i = 0; i < HEARTBEATS; i++) {
        int64_t since = trib_now();

        ck_assert_int_eq(trib_engine_heartbeat(worker.engine, trib_deadline_ms(20000), NULL, NULL, NULL), TRIB_OK);
        since = trib_now() - since;
        slowest = since > slowest ? since : slowest;
    }
    return slowest / 1000000;
}

START_TEST(test_manage_in_time)
{
    struct trib_execution *executions[THREADS];
    int64_t best = INT64_MAX;

    start(THREADS, 0, 0, 0, 0);
    for (int i = 0; i < THREADS; i++) {
        executions[i] = execution_open(worker.engine, "");
        execution_data(executions[i], _i == 0 ? "gate" : "spin");
    }
    gate_wait(THREADS);
    for (int i = 0; i < ROUNDS && best > ANSWER_MS; i++) {
        int64_t slowest = slowest_heartbeat();

        best = slowest < best ? slowest : best;
    }
    ck_assert_int_le(best, ANSWER_MS);
    ck_assert_uint_eq(test_worker_stats(&worker).running, THREADS);
    gate_open();
    for (int i = 0; i < THREADS; i++)
        finish(executions[i], "FINISH");
}
END_TEST

/* A session that waits for a thread is cancelled without one; the one behind it moves up. */
START_TEST(test_cancel_in_the_line)
{
    struct trib_execution *first = busy(), *second = busy(), *third = execution_begin(worker.engine), *fourth = execution_begin(worker.engine);

    gate_wait(2);
    execution_init(third, "");
    execution_init(fourth, "");
    ck_assert_int_eq(trib_execution_cancel(third, NULL, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(third, 0), "CANCEL");
    trib_execution_free(third);
    ck_assert_uint_eq(test_worker_stats(&worker).waiting, 1);
    gate_open();
    finish(first, "FINISH");
    finish(fourth, "INIT FINISH");
    finish(second, "FINISH");
}
END_TEST

/* The line is served in order: with one thread the second session is over before the third begins. */
START_TEST(test_order_of_the_line)
{
    struct trib_execution *executions[5];

    start(1, 0, 0, 0, 0);
    executions[0] = busy();
    gate_wait(1);
    for (int i = 1; i < 5; i++) {
        executions[i] = execution_begin(worker.engine);
        execution_init(executions[i], "");
        ck_assert_int_eq(trib_execution_finish(executions[i], NULL), TRIB_OK);
        test_worker_barrier(&worker);
    }
    ck_assert_int_eq(trib_execution_finish(executions[0], NULL), TRIB_OK);
    gate_open();
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_str_eq(execution_replies(executions[i], 0), i == 0 ? "FINISH" : "INIT FINISH");
        ck_assert_uint_eq(test_worker_stats(&worker).threads, 1);
    }
    test_worker_wait_reports(&worker, 5);
    ck_assert_uint_eq(worker.report.session, 5);
    for (int i = 0; i < 5; i++)
        trib_execution_free(executions[i]);
}
END_TEST

START_TEST(test_too_many_sessions)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;
    struct trib_execution *first, *second;
    struct trib_reply reply = TRIB_REPLY_INIT_EMPTY;
    struct trib_error err;

    balance_setup();
    options.sessions = 1;
    test_worker_start(&worker, &options, NULL);
    first = execution_open(worker.engine, "");
    second = execution_begin(worker.engine);
    ck_assert_int_eq(trib_execution_next(second, &reply, &err), TRIB_ERR_FAILED);
    ck_assert_msg(strstr(err.message, "1 sessions are in flight") != NULL, "%s", err.message);
    trib_execution_free(second);
    finish(first, "FINISH");
}
END_TEST

/* ---- Shutdown ------------------------------------------------------------------------------------------------------- */

/* Sessions in flight end normally, new ones are refused; the worker ends then, with the engine still connected. */
START_TEST(test_shutdown_at_leisure)
{
    struct trib_execution *first = busy(), *second = execution_open(worker.engine, ""), *third;
    struct trib_error err;
    bool settled = true;
    int rc;

    gate_wait(1);
    ck_assert_int_eq(trib_engine_shutdown(worker.engine, false, "for a reason", trib_deadline_ms(20000), &settled, NULL), TRIB_OK);
    ck_assert(!settled);
    rc = trib_execution_new(worker.engine, &third, &err);
    if (rc == TRIB_OK) { /* the engine had not heard of it yet */
        trib_execution_set_deadline(third, trib_deadline_ms(20000));
        ck_assert_str_eq(execution_replies(third, 0), "lost");
        trib_execution_free(third);
    } else {
        ck_assert_int_eq(rc, TRIB_ERR_CLOSED);
    }
    gate_open();
    execution_data(second, "still here");
    finish(second, "DATA FINISH");
    finish(first, "FINISH");
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_OK);
    ck_assert_uint_eq(test_worker_stats(&worker).outcomes[TRIB_WORKER_FINISHED], 2);
}
END_TEST

/* Manage is answered as long as sessions are in flight: the engine hears that the worker lives, and may think better of it. */
START_TEST(test_manage_after_shutdown)
{
    struct trib_execution *execution = execution_open(worker.engine, "");
    struct trib_error err;
    bool settled = true;

    ck_assert_int_eq(trib_engine_shutdown(worker.engine, false, NULL, trib_deadline_ms(20000), &settled, NULL), TRIB_OK);
    ck_assert(!settled);
    execution_data(execution, "still here");
    ck_assert_str_eq(execution_replies(execution, 1), "DATA");
    ck_assert_msg(trib_engine_heartbeat(worker.engine, trib_deadline_ms(20000), NULL, NULL, &err) == TRIB_OK, "%s", err.message);
    ck_assert_msg(trib_engine_shutdown(worker.engine, true, NULL, trib_deadline_ms(20000), &settled, &err) == TRIB_OK, "%s", err.message);
    ck_assert_str_eq(execution_replies(execution, 0), "ERROR:W CANCEL");
    trib_execution_free(execution);
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_OK);
}
END_TEST

START_TEST(test_shutdown_with_nothing_in_flight)
{
    bool settled = false;

    ck_assert_int_eq(trib_engine_shutdown(worker.engine, _i == 1, NULL, trib_deadline_ms(20000), &settled, NULL), TRIB_OK);
    ck_assert(settled);
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_OK);
}
END_TEST

/* A client that writes before it has read the last words does not find the socket broken: that would cost it those. */
START_TEST(test_end_hears_clients_out)
{
    enum { ACK = 1, PING = 6, GOAWAY = 7 };
    static struct grpc_raw_frame frame;
    int fd = grpc_raw_connect(worker.address);

    grpc_raw_preface();
    ck_assert(grpc_raw_send(fd));
    ck_assert(grpc_raw_until(fd, 4, &frame));
    test_worker_barrier(&worker);
    trib_worker_shutdown(worker.worker, 0);
    ck_assert(grpc_raw_until(fd, PING, &frame));
    nanosleep(&(struct timespec){0, 50000000}, NULL);
    grpc_raw_frame(PING, ACK, 0, frame.payload, frame.len);
    ck_assert(grpc_raw_send(fd));
    ck_assert(grpc_raw_until(fd, GOAWAY, &frame));
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_OK);
    close(fd);
}
END_TEST

/* cancel_sessions: an error and CancelResponse for each stream in flight, whatever its state. */
START_TEST(test_shutdown_cancels)
{
    struct trib_execution *open = execution_open(worker.engine, ""), *ended = execution_open(worker.engine, ""), *fresh = execution_begin(worker.engine);
    struct trib_error err;
    bool settled = false;

    test_worker_barrier(&worker);
    ck_assert_msg(trib_engine_shutdown(worker.engine, true, NULL, trib_deadline_ms(20000), &settled, &err) == TRIB_OK, "%s", err.message);
    ck_assert(settled);
    ck_assert_str_eq(execution_replies(open, 0), "ERROR:W CANCEL");
    ck_assert_str_eq(execution_error(), "the worker is shutting down");
    ck_assert_str_eq(execution_replies(ended, 0), "ERROR:W CANCEL");
    ck_assert_str_eq(execution_replies(fresh, 0), "INIT:W CANCEL");
    trib_execution_free(open);
    trib_execution_free(ended);
    trib_execution_free(fresh);
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_OK);
}
END_TEST

/* A UDF that does not return holds neither the answers nor the end up; run() says so. */
START_TEST(test_shutdown_with_a_stuck_udf)
{
    struct trib_execution *first;

    start(2, 0, 0, 0, 50);
    first = busy();
    gate_wait(1);
    ck_assert_int_eq(trib_execution_finish(first, NULL), TRIB_OK);
    test_worker_barrier(&worker);
    trib_worker_shutdown(worker.worker, 0);
    ck_assert_str_eq(execution_replies(first, 0), "ERROR:W CANCEL");
    trib_execution_free(first);
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_ERR_TIMEOUT);
}
END_TEST

/* The end of the time of grace cancels what is left. */
START_TEST(test_grace)
{
    struct trib_execution *open = execution_open(worker.engine, "");

    trib_worker_shutdown(worker.worker, -1);
    trib_worker_shutdown(worker.worker, 60000);
    execution_data(open, "still here");
    ck_assert_str_eq(execution_replies(open, 1), "DATA");
    trib_worker_shutdown(worker.worker, 1);
    trib_worker_shutdown(worker.worker, 60000);
    ck_assert_str_eq(execution_replies(open, 0), "ERROR:W CANCEL");
    trib_execution_free(open);
    test_worker_join(&worker);
    ck_assert_int_eq(worker.rc, TRIB_OK);
}
END_TEST

/* ---- Manage --------------------------------------------------------------------------------------------------------- */

START_TEST(test_empty_manage)
{
    static const struct { const char *bytes; size_t len; int status; } cases[] = {
        {"", 0, TRIB_GRPC_INVALID_ARGUMENT}, {"\x1a\x00", 2, TRIB_GRPC_INVALID_ARGUMENT}, {"\x0a\x09", 2, TRIB_GRPC_INVALID_ARGUMENT},
        {"\x0a\x02\x0a\x00", 4, TRIB_GRPC_OK}, /* a heartbeat with a field that is reserved */
    };
    struct trib_grpc_client *client;
    struct trib_grpc_call *call;
    struct trib_view view;
    const char *text;
    int status, rc;

    ck_assert_int_eq(trib_grpc_connect(worker.address, NULL, &client, NULL), TRIB_OK);
    ck_assert_int_eq(trib_grpc_call(client, TRIB_UDF_MANAGE, NULL, &call, NULL), TRIB_OK);
    {
        struct trib_writer *writer = trib_channel_writer(trib_grpc_call_channel(call));
        struct trib_reader *reader = trib_channel_reader(trib_grpc_call_channel(call));

        trib_reader_set_deadline(reader, trib_deadline_ms(20000));
        ck_assert_int_eq(trib_writer_begin_message(writer, cases[_i].len, NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_bytes(writer, cases[_i].bytes, cases[_i].len, NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_OK);
        trib_writer_finish(writer, 0, NULL, NULL);
        do
            rc = trib_reader_take_message(reader, 1 << 20, &view, NULL);
        while (rc == TRIB_OK);
    }
    ck_assert_int_eq(trib_grpc_call_status(call, &status, &text), TRIB_OK);
    ck_assert_int_eq(status, cases[_i].status);
    trib_channel_free(trib_grpc_call_channel(call));
    trib_grpc_client_free(client);
}
END_TEST

/* ---- The watchdog --------------------------------------------------------------------------------------------------- */

START_TEST(test_batch_limit)
{
    struct trib_execution *execution;

    start(2, 100, 0, 0, 0);
    execution = _i == 0 ? busy() : execution_begin(worker.engine);
    if (_i == 1)
        execution_init(execution, "gate");
    ck_assert_str_eq(execution_replies(execution, 0), _i == 0 ? "ERROR:W CANCEL" : "INIT:W CANCEL");
    ck_assert_msg(strstr(execution_error(), "watchdog") != NULL && strstr(execution_error(), "at most 100 are allowed") != NULL, "%s",
                  execution_error());
    trib_execution_free(execution);
    test_worker_wait_reports(&worker, 1);
    ck_assert_uint_eq(test_worker_stats(&worker).watchdog, 1);
    finish(execution_open(worker.engine, ""), "FINISH"); /* the other thread still serves */
}
END_TEST

START_TEST(test_no_progress)
{
    struct trib_execution *execution;

    start(2, 0, 100, 0, 0);
    execution = _i == 0 ? execution_begin(worker.engine) : execution_open(worker.engine, "");
    ck_assert_str_eq(execution_replies(execution, 0), _i == 0 ? "INIT:W CANCEL" : "ERROR:W CANCEL");
    ck_assert_msg(strstr(execution_error(), "no progress") != NULL, "%s", execution_error());
    trib_execution_free(execution);
}
END_TEST

START_TEST(test_engine_that_never_reads)
{
    struct trib_execution *execution;

    start(2, 0, 0, 200, 0);
    execution = execution_open(worker.engine, "");
    execution_data(execution, "big 67108864");
    test_worker_wait_reports(&worker, 1);
    ck_assert_int_eq(worker.report.outcome, TRIB_WORKER_LOST);
    ck_assert_msg(strstr(worker.message, "the engine has read nothing for 200 ms") != NULL, "%s", worker.message);
    ck_assert_str_eq(execution_replies(execution, 0), "lost");
    trib_execution_free(execution);
    finish(execution_open(worker.engine, ""), "FINISH");
}
END_TEST

START_TEST(test_udf_that_does_not_settle)
{
    struct trib_execution *execution;

    start(2, 0, 0, 0, 100);
    execution = busy();
    gate_wait(1);
    ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "CANCEL:W");
    ck_assert_msg(strstr(execution_error(), "has not returned") != NULL, "%s", execution_error());
    trib_execution_free(execution);
    ck_assert_int_eq(test_serializers_open(), 1);
}
END_TEST

/* ---- The engine's patience ------------------------------------------------------------------------------------------- */

/* The deadline counts that was set last, on the channel's reader or for the whole execution; what timed out goes on afterwards. */
START_TEST(test_deadline_of_the_reader)
{
    struct trib_execution *execution = execution_open(worker.engine, "");
    struct trib_reader *reader = trib_channel_reader(trib_execution_channel(execution));
    struct trib_reply reply = TRIB_REPLY_INIT_EMPTY;
    struct trib_error err;

    trib_reader_set_deadline(reader, TRIB_NOWAIT);
    ck_assert_int_eq(trib_execution_next(execution, &reply, &err), TRIB_AGAIN);
    trib_reader_set_deadline(reader, trib_deadline_ms(20));
    ck_assert_int_eq(trib_execution_next(execution, &reply, &err), TRIB_ERR_TIMEOUT);
    trib_execution_set_deadline(execution, trib_deadline_ms(20000));
    ck_assert(trib_reader_deadline(reader) > trib_now());
    execution_data(execution, "still here");
    finish(execution, "DATA FINISH");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker runtime");
    TCase *two = tcase_create("two threads"), *own = tcase_create("own options");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(two, setup, teardown);
    tcase_set_timeout(two, 30);
    tcase_add_test(two, test_manage_while_all_are_busy);
    tcase_add_test(two, test_cancel_in_the_line);
    tcase_add_test(two, test_shutdown_at_leisure);
    tcase_add_test(two, test_manage_after_shutdown);
    tcase_add_loop_test(two, test_shutdown_with_nothing_in_flight, 0, 2);
    tcase_add_test(two, test_end_hears_clients_out);
    tcase_add_test(two, test_shutdown_cancels);
    tcase_add_test(two, test_grace);
    tcase_add_loop_test(two, test_empty_manage, 0, 4);
    tcase_add_test(two, test_deadline_of_the_reader);
    tcase_add_checked_fixture(own, NULL, teardown);
    tcase_set_timeout(own, 30);
    tcase_add_loop_test(own, test_manage_in_time, 0, 2);
    tcase_add_test(own, test_order_of_the_line);
    tcase_add_test(own, test_too_many_sessions);
    tcase_add_test(own, test_shutdown_with_a_stuck_udf);
    tcase_add_loop_test(own, test_batch_limit, 0, 2);
    tcase_add_loop_test(own, test_no_progress, 0, 2);
    tcase_add_test(own, test_engine_that_never_reads);
    tcase_add_test(own, test_udf_that_does_not_settle);
    suite_add_tcase(suite, two);
    suite_add_tcase(suite, own);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
