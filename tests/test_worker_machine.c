/* The order of messages on an Execute stream: every message in every state, over a real connection. */
#include <tributary/worker.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/balance.h"
#include "tests/support/worker.h"
#include "worker/udf_order-internal.h"

/* What comes back when a message has come in a state and the UDF was let go, to the end of the stream; where it is not the end, the engine sends
 * Cancel then, marked by "+". "lost": nothing comes back. */
static const char *const expected[TRIBI_UDF_STATES][TRIBI_UDF_MESSAGES] = {
    /* Init, Chunk, Data, Finish, Cancel, bad, half-close, lost */
    [TRIBI_UDF_START] = {"INIT + CANCEL", "INIT:P CANCEL", "INIT:P CANCEL", "INIT:P CANCEL", "CANCEL", "INIT:P CANCEL", "INIT:P CANCEL", "lost"},
    [TRIBI_UDF_CHUNKS] = {"INIT:P CANCEL", "INIT + CANCEL", "INIT:P CANCEL", "INIT:P CANCEL", "CANCEL", "INIT:P CANCEL", "INIT:P CANCEL", "lost"},
    [TRIBI_UDF_OPENING] = {"INIT:P CANCEL", "INIT:P CANCEL", "INIT DATA + CANCEL", "INIT FINISH", "CANCEL", "INIT:P CANCEL", "INIT:P CANCEL", "lost"},
    [TRIBI_UDF_OPEN] = {"ERROR:P CANCEL", "ERROR:P CANCEL", "DATA + CANCEL", "FINISH", "CANCEL", "ERROR:P CANCEL", "ERROR:P CANCEL", "lost"},
    [TRIBI_UDF_FINISHING] = {"FINISH:P", "FINISH:P", "FINISH:P", "FINISH:P", "CANCEL", "FINISH:P", "FINISH:P", "lost"},
    [TRIBI_UDF_FAILED] = {"CANCEL:P", "+ CANCEL", "+ CANCEL", "+ CANCEL", "CANCEL", "CANCEL:P", "CANCEL:P", "lost"},
    [TRIBI_UDF_CANCELLING] = {"CANCEL:P", "CANCEL:P", "CANCEL:P", "CANCEL:P", "CANCEL", "CANCEL:P", "CANCEL:P", "lost"},
    [TRIBI_UDF_CLOSING] = {"ERROR:P CANCEL", "ERROR:P CANCEL", "ERROR:P CANCEL", "ERROR:P CANCEL", "ERROR:P CANCEL", "ERROR:P CANCEL", "ERROR:P CANCEL",
                           "lost"},
    [TRIBI_UDF_ENDED] = {"", "", "", "", "", "", "", ""},
};

static const struct trib_view nothing = {NULL, 0, NULL};

static struct trib_execution *reach(struct test_worker *worker, enum tribi_udf_state state)
{
    struct trib_execution *execution;
    struct trib_udf_init init;

    if (state == TRIBI_UDF_START)
        return execution_begin(worker->engine);
    if (state == TRIBI_UDF_CHUNKS || state == TRIBI_UDF_OPENING) {
        execution = execution_begin(worker->engine);
        trib_udf_init_defaults(&init);
        init.is_chunking_payload = state == TRIBI_UDF_CHUNKS;
        init.payload = (struct trib_view){(const uint8_t *)"gate", state == TRIBI_UDF_CHUNKS ? 0 : 4, NULL};
        ck_assert_int_eq(trib_execution_init(execution, &init, NULL), TRIB_OK);
        if (state == TRIBI_UDF_OPENING)
            gate_wait(1);
        return execution;
    }
    execution = execution_open(worker->engine, "payload");
    if (state == TRIBI_UDF_FAILED) {
        execution_data(execution, "fail");
        ck_assert_str_eq(execution_replies(execution, 1), "ERROR:U");
    } else if (state == TRIBI_UDF_ENDED) {
        ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
        ck_assert_str_eq(execution_replies(execution, 1), "FINISH");
    } else if (state != TRIBI_UDF_OPEN) {
        execution_data(execution, "gate");
        gate_wait(1);
    }
    if (state == TRIBI_UDF_FINISHING)
        ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    if (state == TRIBI_UDF_CANCELLING)
        ck_assert_int_eq(trib_execution_cancel(execution, "enough", NULL), TRIB_OK);
    if (state == TRIBI_UDF_CLOSING)
        ck_assert_int_eq(trib_execution_raw(execution, nothing, NULL), TRIB_OK);
    return execution;
}

static void say(struct trib_execution *execution, enum tribi_udf_message message, bool may_fail)
{
    struct trib_udf_init init;
    struct trib_error err;
    int rc = TRIB_OK;

    trib_udf_init_defaults(&init);
    switch (message) {
    case TRIBI_UDF_INIT:
        rc = trib_execution_init(execution, &init, &err);
        break;
    case TRIBI_UDF_CHUNK:
        rc = trib_execution_chunk(execution, nothing, true, &err);
        break;
    case TRIBI_UDF_DATA:
        rc = trib_execution_data(execution, (struct trib_view){(const uint8_t *)"data", 4, NULL}, &err);
        break;
    case TRIBI_UDF_FINISH:
        rc = trib_execution_finish(execution, &err);
        break;
    case TRIBI_UDF_CANCEL:
        rc = trib_execution_cancel(execution, NULL, &err);
        break;
    case TRIBI_UDF_BAD:
        rc = trib_execution_raw(execution, nothing, &err);
        break;
    case TRIBI_UDF_HALF_CLOSE:
        rc = trib_execution_half_close(execution, &err);
        break;
    case TRIBI_UDF_LOST:
        trib_execution_reset(execution);
        break;
    }
    ck_assert_msg(rc == TRIB_OK || may_fail, "%s", err.message);
}

static void check_replies(struct trib_execution *execution, const char *wanted)
{
    const char *plus = strchr(wanted, '+');
    char first[100] = "";

    if (plus == NULL) {
        ck_assert_str_eq(execution_replies(execution, 0), wanted);
        return;
    }
    if (plus > wanted) {
        unsigned count = 1;
        memcpy(first, wanted, (size_t)(plus - wanted - 1));
        for (const char *at = first; *at != '\0'; at++)
            count += *at == ' ';
        ck_assert_str_eq(execution_replies(execution, count), first);
    }
    say(execution, TRIBI_UDF_CANCEL, false);
    ck_assert_str_eq(execution_replies(execution, 0), plus + 2);
}

static struct test_worker worker;

static void setup(void)
{
    balance_setup();
    test_worker_start(&worker, NULL, NULL);
}

static void teardown(void)
{
    test_worker_stop(&worker);
    balance_teardown();
}

START_TEST(test_cell)
{
    enum tribi_udf_state state = (enum tribi_udf_state)(_i / TRIBI_UDF_MESSAGES);
    enum tribi_udf_message message = (enum tribi_udf_message)(_i % TRIBI_UDF_MESSAGES);
    const char *wanted = expected[state][message];
    struct trib_execution *execution = reach(&worker, state);

    test_worker_barrier(&worker);
    say(execution, message, state == TRIBI_UDF_ENDED);
    test_worker_barrier(&worker);
    gate_open();
    if (strcmp(wanted, "lost") != 0 && message != TRIBI_UDF_LOST)
        check_replies(execution, wanted);
    trib_execution_free(execution);
    test_worker_wait_reports(&worker, 1);
    if (strcmp(wanted, "lost") == 0)
        ck_assert_uint_eq(test_worker_stats(&worker).outcomes[state == TRIBI_UDF_FAILED ? TRIB_WORKER_FAILED : TRIB_WORKER_LOST], 1);
}
END_TEST

/* What the tables say of actions and places, for what no cell above tells apart. */
START_TEST(test_names_and_places)
{
    for (int state = 0; state < TRIBI_UDF_STATES; state++) {
        ck_assert_str_ne(tribi_udf_state_name((enum tribi_udf_state)state), "?");
        ck_assert_str_ne(tribi_udf_expected((enum tribi_udf_state)state), "?");
    }
    for (int message = 0; message < TRIBI_UDF_MESSAGES; message++)
        ck_assert_str_ne(tribi_udf_message_name((enum tribi_udf_message)message), "?");
    ck_assert_str_eq(tribi_udf_state_name((enum tribi_udf_state)TRIBI_UDF_STATES), "?");
    ck_assert_str_eq(tribi_udf_message_name((enum tribi_udf_message)TRIBI_UDF_MESSAGES), "?");
    ck_assert_int_eq(tribi_udf_place(TRIBI_UDF_FINISHING, false), TRIBI_UDF_IN_INIT);
    ck_assert_int_eq(tribi_udf_place(TRIBI_UDF_FINISHING, true), TRIBI_UDF_IN_FINISH);
    ck_assert_int_eq(tribi_udf_place(TRIBI_UDF_ENDED, true), TRIBI_UDF_NOWHERE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker machine");
    TCase *cells = tcase_create("cells"), *names = tcase_create("names");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cells, setup, teardown);
    tcase_set_timeout(cells, 30);
    tcase_add_loop_test(cells, test_cell, 0, TRIBI_UDF_STATES * TRIBI_UDF_MESSAGES);
    tcase_add_test(names, test_names_and_places);
    suite_add_tcase(suite, cells);
    suite_add_tcase(suite, names);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
