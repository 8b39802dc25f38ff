/* A worker of very many: sessions at once on one connection, and engines one after the other. */
#include <tributary/worker.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/balance.h"
#include "tests/support/crowd.h"
#include "tests/support/resident.h"
#include "tests/support/worker.h"
#include "worker/udf_message-internal.h"

enum { THREADS = 4, STALLED = 2, STREAM_MAX_KIB = 40, WARM = 1000, GROWTH_MAX_KIB = 1024 };

static struct test_worker worker;
static struct crowd crowd;
static struct trib_chunk *init, *finish;

static void setup(void)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;

    balance_setup();
    options.threads = THREADS;
    test_worker_start(&worker, &options, NULL);
}

static void teardown(void)
{
    test_worker_stop(&worker);
    balance_teardown();
}

/* ---- Sessions --------------------------------------------------------------------------------------------------------- */

static void say(unsigned stream, struct trib_chunk *message)
{
    crowd_message(&crowd, stream, trib_chunk_data(message), trib_chunk_len(message));
}

static void say_data(unsigned stream, const char *text)
{
    uint8_t message[100] = {0x12, (uint8_t)(strlen(text) + 2), 0x0a, (uint8_t)strlen(text)};

    memcpy(message + 4, text, strlen(text));
    crowd_message(&crowd, stream, message, strlen(text) + 4);
}

static void begin(unsigned stream, const char *text)
{
    crowd_begin(&crowd, stream, TRIB_UDF_EXECUTE);
    say(stream, init);
    say_data(stream, text);
}

static bool windows_full(struct crowd *of)
{
    return of->streams[0].heard == 65535 && of->streams[1].heard == 65535;
}

static bool all_ended(struct crowd *of)
{
    static unsigned from = STALLED; /* what was true stays true */

    while (from < CROWD_STREAMS && of->streams[from].ended)
        from++;
    return from == CROWD_STREAMS;
}

/* Two sessions are stalled with full windows, each with its UDF inside a send, and two stand at the gate, so all the others wait for a thread; then the
 * gate is opened, and all but the stalled ones come to their end by the two threads that are left. */
START_TEST(test_sessions_at_once)
{
    struct trib_udf_init fields;
    long before, after;

    trib_udf_init_defaults(&fields);
    ck_assert_int_eq(tribi_udf_init_write(&fields, &init, NULL), TRIB_OK);
    ck_assert_int_eq(tribi_udf_finish_write(&finish, NULL), TRIB_OK);
    crowd_open(&crowd, worker.address);
    for (unsigned i = 0; i < STALLED; i++)
        begin(i, "big 1048576");
    crowd_exchange(&crowd, windows_full);
    for (unsigned i = STALLED; i < THREADS; i++)
        begin(i, "gate");
    crowd_barrier(&crowd);
    gate_wait(THREADS - STALLED);
    before = resident_kib();
    for (unsigned i = THREADS; i < CROWD_STREAMS; i++)
        begin(i, "a small message");
    crowd_barrier(&crowd);
    ck_assert_uint_eq(test_worker_stats(&worker).in_flight, CROWD_STREAMS);
    ck_assert_uint_eq(test_worker_stats(&worker).waiting, CROWD_STREAMS - THREADS);
    after = resident_kib();
    ck_assert_msg(after - before <= STREAM_MAX_KIB * (CROWD_STREAMS - THREADS), "%ld KiB for each idle stream", (after - before) / CROWD_STREAMS);
    printf("%ld bytes of resident memory for each idle stream\n", (after - before) * 1024 / (CROWD_STREAMS - THREADS));
    for (unsigned i = STALLED; i < CROWD_STREAMS; i++)
        say(i, finish);
    gate_open();
    crowd_exchange(&crowd, all_ended);
    for (unsigned i = THREADS; i < CROWD_STREAMS; i++)
        ck_assert_msg(memmem(crowd.streams[i].first, CROWD_KEPT, "a small message", 15) != NULL, "stream %u has not echoed", i);
    test_worker_wait_reports(&worker, CROWD_STREAMS - STALLED);
    ck_assert_uint_eq(test_worker_stats(&worker).outcomes[TRIB_WORKER_FINISHED], CROWD_STREAMS - STALLED);
    ck_assert_uint_eq(test_worker_stats(&worker).in_flight, STALLED);
    crowd_close(&crowd);
    test_worker_wait_reports(&worker, CROWD_STREAMS);
    ck_assert_uint_eq(test_worker_stats(&worker).outcomes[TRIB_WORKER_LOST], STALLED);
    trib_chunk_unref(init);
    trib_chunk_unref(finish);
}
END_TEST

/* ---- Engines ----------------------------------------------------------------------------------------------------------- */

/* A session to its end, one that is left open, or only a heartbeat. */
static void come_and_go(unsigned i)
{
    struct trib_engine *engine;
    struct trib_error err;

    ck_assert_msg(trib_engine_connect(worker.address, NULL, &engine, &err) == TRIB_OK, "%s", err.message);
    if (i % 3 < 2) {
        struct trib_execution *execution = execution_open(engine, "");

        if (i % 3 == 0) {
            execution_data(execution, "hello");
            ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
            ck_assert_str_eq(execution_replies(execution, 0), "DATA FINISH");
        }
        trib_execution_free(execution);
    } else {
        ck_assert_int_eq(trib_engine_heartbeat(engine, trib_deadline_ms(20000), NULL, NULL, NULL), TRIB_OK);
    }
    trib_engine_free(engine);
}

/* All that there may be, so that they can be counted. */
static void start_threads(void)
{
    struct trib_execution *executions[THREADS];

    for (int i = 0; i < THREADS; i++)
        executions[i] = execution_open(worker.engine, "");
    for (int i = 0; i < THREADS; i++)
        trib_execution_free(executions[i]);
    test_worker_wait_reports(&worker, THREADS);
    test_worker_barrier(&worker);
}

static const unsigned counts[] = {2000, 10000};

START_TEST(test_engines_in_turn)
{
    struct balance start;
    long warm = 0;

    start_threads();
    balance_take(&start);
    for (unsigned i = 0; i < counts[_i]; i++) {
        come_and_go(i);
        if (i + 1 == WARM)
            warm = resident_kib();
    }
    ck_assert(balance_comes_back(&start)); /* the last ones may still be closed */
    ck_assert_int_le(resident_kib() - warm, GROWTH_MAX_KIB);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker, very many");
    TCase *tcase = tcase_create("many"), *slow = tcase_create("even more");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_sessions_at_once);
    tcase_add_loop_test(tcase, test_engines_in_turn, 0, 1);
    tcase_add_checked_fixture(slow, setup, teardown);
    tcase_set_timeout(slow, 120);
    tcase_set_tags(slow, "slow");
    tcase_add_loop_test(slow, test_engines_in_turn, 1, 2);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, slow);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
