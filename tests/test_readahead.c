/* The policy of read-ahead by itself: windows, predictions, big wants. */
#include "tests/support/balance.h"
#include "transports/readahead-internal.h"

#include <check.h>
#include <stdlib.h>

#define KIB ((size_t)1024)
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct trib_want want_of(size_t head, size_t min)
{
    return (struct trib_want){.size = sizeof(struct trib_want), .min = min, .head = head, .align = 1};
}

/* A block of the planned length that the system fills at once. Returns its length. */
static size_t fill_block(struct tribi_readahead *ahead, size_t head, size_t min, size_t last_len)
{
    struct trib_want want = want_of(head, min);
    size_t len = head + min + tribi_readahead_plan(ahead, &want, last_len, last_len);

    tribi_readahead_received(ahead, &want, len - head, len - head);
    return len;
}

START_TEST(test_window_grows_while_filled)
{
    static const size_t lengths[] = { 64 * KIB, 128 * KIB, 256 * KIB, 256 * KIB };
    struct tribi_readahead ahead;

    tribi_readahead_init(&ahead);
    for (size_t i = 0; i < COUNT(lengths); i++)
        ck_assert_uint_eq(fill_block(&ahead, 0, 4, 0), lengths[i]);
}
END_TEST

START_TEST(test_window_stays_while_not_filled)
{
    struct trib_want want = want_of(0, 4);
    struct tribi_readahead ahead;

    tribi_readahead_init(&ahead);
    for (int i = 0; i < 10; i++) {
        ck_assert_uint_eq(tribi_readahead_plan(&ahead, &want, 0, 0), 64 * KIB - 4);
        tribi_readahead_received(&ahead, &want, 64 * KIB, 100);
    }
}
END_TEST

/* size of the want, window that small wants get after it */
static const struct {
    size_t size, after;
} big_wants[] = {
    { 256 * KIB, 1 * KIB }, { 512 * KIB, 2 * KIB }, { 1024 * KIB, 4 * KIB }, { 65536 * KIB, 4 * KIB },
};

START_TEST(test_big_wants_are_exact)
{
    struct tribi_readahead ahead;
    size_t len = 0;
    int calls = 0;

    tribi_readahead_init(&ahead);
    ck_assert_uint_eq(fill_block(&ahead, 100, big_wants[_i].size - 100, 0), big_wants[_i].size);
    ck_assert_uint_eq(fill_block(&ahead, 0, 4, 0), big_wants[_i].after);
    while (len < 256 * KIB) {
        len = fill_block(&ahead, 0, 4, 0);
        calls++;
    }
    ck_assert_int_le(calls, 8);
}
END_TEST

/* Messages of 4 + n bytes, read as a length and a body, from a system that always has more. Returns bytes copied after the first `warm` blocks. */
static size_t copied_in_stream(size_t body, int warm, int blocks, size_t (*next)(size_t body))
{
    struct tribi_readahead ahead;
    size_t copied = 0, len = 0, head = 0, left = 0; /* left: of the want, beyond the block */
    bool in_body = false;

    tribi_readahead_init(&ahead);
    for (int i = 0; i < blocks; i++) {
        size_t at = 0, want = head + left;
        if (want == 0)
            want = in_body ? next(body) : 4;
        copied += i >= warm ? head : 0;
        len = fill_block(&ahead, head, want - head, i == 0 ? 0 : len);
        while (want <= len - at) {
            at += want;
            in_body = !in_body;
            want = in_body ? next(body) : 4;
            if (len == at)
                break;
        }
        head = len - at;
        left = want - head;
    }
    return copied;
}

static size_t constant(size_t body)
{
    return body;
}

static const size_t bodies[] = { 60, 1000, 4096, 10000, 65536, 100000, 200000, 262000 };

START_TEST(test_constant_sizes_are_predicted)
{
    ck_assert_uint_eq(copied_in_stream(bodies[_i], 30, 300, constant), 0);
}
END_TEST

static uint32_t seed;

static size_t varied(size_t body)
{
    seed = seed * 1664525u + 1013904223u;
    return 1 + (seed >> 8) % body;
}

START_TEST(test_varied_sizes_stay_sane)
{
    size_t blocks = 4000, copied;

    seed = 1;
    copied = copied_in_stream(bodies[_i], 30, (int)blocks, varied);
    /* Half a message a block where blocks are long, much less where sizes are large and blocks exact. */
    ck_assert_uint_lt(copied, blocks * (bodies[_i] < 128 * KIB ? bodies[_i] / 2 + 4 : 16 * KIB));
}
END_TEST

START_TEST(test_cut_block_teaches_nothing)
{
    struct trib_want want = want_of(3000, 1000);
    struct tribi_readahead ahead;

    tribi_readahead_init(&ahead);
    for (int i = 0; i < 3; i++)
        fill_block(&ahead, 0, 4, 0);
    /* The budget allowed 10 KiB only: that they ended in a want says nothing of the window. */
    ck_assert_uint_eq(tribi_readahead_plan(&ahead, &want, 10 * KIB, 10 * KIB), 256 * KIB - 4000);
}
END_TEST

START_TEST(test_lulls_shrink_the_window)
{
    struct tribi_readahead ahead;
    int times = 0;

    tribi_readahead_init(&ahead);
    for (int i = 0; i < 3; i++)
        fill_block(&ahead, 0, 4, 0);
    while (tribi_readahead_again(&ahead, 256 * KIB, 64))
        times++;
    ck_assert_int_eq(times, 15);
    ck_assert_uint_eq(ahead.window, 128 * KIB);
    for (int i = 0; i < 100; i++)
        tribi_readahead_again(&ahead, ahead.window, 64);
    ck_assert_uint_eq(ahead.window, 64 * KIB);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readahead");
    TCase *tcase = tcase_create("policy");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_test(tcase, test_window_grows_while_filled);
    tcase_add_test(tcase, test_window_stays_while_not_filled);
    tcase_add_loop_test(tcase, test_big_wants_are_exact, 0, COUNT(big_wants));
    tcase_add_loop_test(tcase, test_constant_sizes_are_predicted, 0, COUNT(bodies));
    tcase_add_loop_test(tcase, test_varied_sizes_stay_sane, 0, COUNT(bodies));
    tcase_add_test(tcase, test_cut_block_teaches_nothing);
    tcase_add_test(tcase, test_lulls_shrink_the_window);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
