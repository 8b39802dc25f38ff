/* Walks the conformance suite with Check. */
#include "tests/conformance_check.h"

#include "tests/support/balance.h"
#include "tests/support/data.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Check kills a case after CASE_SECONDS (times CK_TIMEOUT_MULTIPLIER); before that the suite says itself what it waited for. The longest case takes
 * about three seconds of one processor, which a machine that has other work may not give it in twenty. */
enum { TARGETS_MAX = 4, PATIENCE_MS = 120000, CASE_SECONDS = 180 };

static struct conform_target *current[TARGETS_MAX];
static char sessions[4096];

static void run_one(const struct conform_target *target, int index)
{
    struct conform_result result;

    conform_run(target, (size_t)index, &result);
    ck_assert_msg(result.outcome != CONFORM_FAILED, "%s: %s: %s", target->name, conform_name((size_t)index), result.text);
}

/* Check's loop tests know their index, but not which target they are for: one function for each. */
START_TEST(test_target_0)
{
    run_one(current[0], _i);
}
END_TEST

START_TEST(test_target_1)
{
    run_one(current[1], _i);
}
END_TEST

START_TEST(test_target_2)
{
    run_one(current[2], _i);
}
END_TEST

START_TEST(test_target_3)
{
    run_one(current[3], _i);
}
END_TEST

static Suite *target_suite(struct conform_target *target, size_t i)
{
    const TTest *const tests[TARGETS_MAX] = { test_target_0, test_target_1, test_target_2, test_target_3 };
    Suite *suite = suite_create(target->name);
    TCase *tcase = tcase_create(target->name);

    current[i] = target;
    target->data_dir = sessions;
    target->data_suffix = ".bin";
    target->data_step = data_split_step();
    target->patience_ms = PATIENCE_MS;
    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, CASE_SECONDS);
    tcase_add_loop_test(tcase, tests[i], 0, (int)conform_count());
    suite_add_tcase(suite, tcase);
    return suite;
}

int conformance_check(struct conform_target *targets, size_t count)
{
    SRunner *runner = srunner_create(NULL);
    int failed;

    snprintf(sessions, sizeof(sessions), "%s/spark-4.3.0", data_dir());
    for (size_t i = 0; i < count && i < TARGETS_MAX; i++)
        srunner_add_suite(runner, target_suite(&targets[i], i));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int conformance_check_uri(const char *uri)
{
    struct conform_target target;
    struct trib_error err;
    int code;

    if (conform_target_uri(uri, NULL, &target, &err) != TRIB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    code = conformance_check(&target, 1);
    conform_target_done(&target);
    return code;
}
