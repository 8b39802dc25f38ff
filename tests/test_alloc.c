/* The process's allocator: replaced, restored, of every past size. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"

#include <tributary/alloc.h>
#include <tributary/chunk.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

static size_t allocations;
static size_t releases;

static void *dirty_allocate(void *arg, size_t size)
{
    void *memory = malloc(size);

    allocations += *(size_t *)arg;
    if (memory != NULL)
        memset(memory, 0xa5, size);
    return memory;
}

static void counted_release(void *arg, void *memory)
{
    ck_assert_ptr_nonnull(memory);
    releases += *(size_t *)arg;
    free(memory);
}

static void *none(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    return NULL;
}

static size_t one = 1;

static void setup(void)
{
    allocations = releases = 0;
}

static void teardown(void)
{
    trib_pool_trim();
    trib_set_allocator(NULL);
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

START_TEST(test_default_is_zeroed)
{
    uint8_t *memory = trib_alloc(1000);

    ck_assert_ptr_nonnull(memory);
    ck_assert(all_zero(memory, 1000));
    trib_free(memory);
    trib_free(NULL);
}
END_TEST

START_TEST(test_zero_bytes_are_not_a_failure)
{
    void *memory = trib_alloc(0);

    ck_assert_ptr_nonnull(memory);
    trib_free(memory);
}
END_TEST

START_TEST(test_strdup)
{
    char *copy = trib_strdup("abc");

    ck_assert_str_eq(copy, "abc");
    trib_free(copy);
}
END_TEST

START_TEST(test_replaced)
{
    struct trib_allocator allocator = { sizeof(allocator), dirty_allocate, counted_release, &one, false };
    uint8_t *memory;

    trib_set_allocator(&allocator);
    memory = trib_alloc(64);
    ck_assert_uint_eq(allocations, 1);
    ck_assert(all_zero(memory, 64));
    trib_free(memory);
    trib_free(NULL);
    ck_assert_uint_eq(releases, 1);
    trib_set_allocator(NULL);
    trib_free(trib_alloc(64));
    ck_assert_uint_eq(allocations, 1);
}
END_TEST

START_TEST(test_no_memory)
{
    struct trib_allocator allocator = { sizeof(allocator), none, counted_release, &one, false };

    trib_set_allocator(&allocator);
    ck_assert_ptr_null(trib_alloc(1));
    ck_assert_ptr_null(trib_strdup("abc"));
}
END_TEST

/* map_large false: even a large block of the pool comes from here. */
START_TEST(test_large_blocks)
{
    struct trib_allocator allocator = { sizeof(allocator), dirty_allocate, counted_release, &one, false };
    struct trib_chunk *chunk;
    size_t before;

    trib_set_allocator(&allocator);
    before = allocations;
    ck_assert_int_eq(trib_chunk_new(4 << 20, 64, &chunk, NULL), TRIB_OK);
    ck_assert_uint_ge(allocations - before, 2);
    trib_chunk_unref(chunk);
    trib_pool_trim();
    ck_assert_uint_eq(allocations, releases);
}
END_TEST

/* Tables as long as they ever were, allocated so that a sanitizer sees a read behind them; what they lack has its default. */
static const size_t past_sizes[] = {
    offsetof(struct trib_allocator, map_large),
    sizeof(struct trib_allocator),
};

START_TEST(test_past_sizes)
{
    struct trib_allocator whole = { past_sizes[_i], dirty_allocate, counted_release, &one, false };
    struct trib_allocator *table = malloc(past_sizes[_i]);

    memcpy(table, &whole, past_sizes[_i]);
    trib_set_allocator(table);
    free(table);
    trib_free(trib_alloc(8));
    ck_assert_uint_eq(allocations, 1);
}
END_TEST

static const struct trib_allocator useless[] = {
    { 0, dirty_allocate, counted_release, &one, true },
    { offsetof(struct trib_allocator, arg), dirty_allocate, counted_release, &one, true },
    { sizeof(struct trib_allocator), NULL, counted_release, &one, true },
    { sizeof(struct trib_allocator), dirty_allocate, NULL, &one, true },
};

START_TEST(test_useless_counts_as_null)
{
    trib_set_allocator(&useless[_i]);
    trib_free(trib_alloc(8));
    ck_assert_uint_eq(allocations + releases, 0);
}
END_TEST

static Suite *alloc_suite(void)
{
    Suite *suite = suite_create("alloc");
    TCase *tcase = tcase_create("alloc");

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_default_is_zeroed);
    tcase_add_test(tcase, test_zero_bytes_are_not_a_failure);
    tcase_add_test(tcase, test_strdup);
    tcase_add_test(tcase, test_replaced);
    tcase_add_test(tcase, test_no_memory);
    tcase_add_test(tcase, test_large_blocks);
    tcase_add_loop_test(tcase, test_past_sizes, 0, sizeof(past_sizes) / sizeof(past_sizes[0]));
    tcase_add_loop_test(tcase, test_useless_counts_as_null, 0, sizeof(useless) / sizeof(useless[0]));
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(alloc_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
