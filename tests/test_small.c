/* Small blocks of the default allocator: zeroed and whole however they were used before, given back with their thread. */
#include <tributary/alloc.h>
#include <tributary/chunk.h>

#include "tests/support/balance.h"

#include <check.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 5000, MANY = 3000 };

static bool all(const uint8_t *bytes, uint8_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

static uint8_t *dirty(size_t len, uint8_t value)
{
    uint8_t *memory = trib_alloc(len);

    ck_assert_ptr_nonnull(memory);
    ck_assert_msg(all(memory, 0, len), "%zu bytes are not zeroed", len);
    ck_assert_uint_eq((uintptr_t)memory % sizeof(long double), 0);
    return memset(memory, value, len);
}

START_TEST(test_used_again)
{
    for (size_t len = 1; len <= LARGEST; len++) {
        uint8_t *memory = dirty(len, 0xa5);

        trib_free(memory);
        trib_free(dirty(len, 0x5a));
    }
    trib_pool_trim();
    trib_free(dirty(64, 1));
}
END_TEST

/* More than is kept, of sizes in no order: no block is handed out twice, none is shorter than it was asked to be. */
START_TEST(test_many_at_once)
{
    static uint8_t *blocks[MANY];
    static size_t lens[MANY];

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            lens[i] = 1 + i * 7919 % LARGEST;
            blocks[i] = dirty(lens[i], (uint8_t)i);
        }
        for (size_t i = 0; i < MANY; i++) {
            ck_assert(all(blocks[i], (uint8_t)i, lens[i]));
            trib_free(blocks[i]);
        }
    }
}
END_TEST

static void *release_all(void *arg)
{
    uint8_t **blocks = arg;

    for (size_t i = 0; i < MANY; i++) {
        trib_free(blocks[i]);
        blocks[i] = dirty(100 + i % 100, 0xff);
    }
    return NULL;
}

/* What another thread lets go is kept there, and goes with it; what that one got stays good. */
START_TEST(test_other_thread)
{
    static uint8_t *blocks[MANY];
    pthread_t thread;

    for (size_t i = 0; i < MANY; i++)
        blocks[i] = dirty(100, 1);
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(pthread_create(&thread, NULL, release_all, blocks), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        ck_assert(all(blocks[i], 0xff, 100 + i % 100));
        trib_free(blocks[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("small blocks");
    TCase *tcase = tcase_create("blocks");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_test(tcase, test_used_again);
    tcase_add_test(tcase, test_many_at_once);
    tcase_add_test(tcase, test_other_thread);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
