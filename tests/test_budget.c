/* Budgets: what counts, from when until when. */
#include <tributary/chunk.h>
#include <tributary/queue.h>
#include <tributary/reader.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/feed.h"

#include <check.h>
#include <pthread.h>
#include <string.h>

static struct trib_budget *budget_of(size_t high, size_t limit)
{
    struct trib_budget *budget;

    ck_ok(trib_budget_new(high, limit, &budget, NULL));
    return budget;
}

static struct trib_want want_of(struct trib_budget *budget, size_t min)
{
    return (struct trib_want){ .size = sizeof(struct trib_want), .min = min, .align = 1, .budget = budget };
}

START_TEST(marks)
{
    struct trib_budget *budget = budget_of(10, 100), *same;

    ck_assert_uint_eq(trib_budget_high(budget), 10);
    ck_assert_uint_eq(trib_budget_limit(budget), 100);
    ck_assert_uint_eq(trib_budget_held(budget), 0);
    ck_assert_uint_eq(trib_budget_peak(budget), 0);
    same = trib_budget_ref(budget);
    ck_assert_ptr_eq(same, budget);
    ck_assert_ptr_null(trib_budget_unref(budget));
    ck_assert_ptr_null(trib_budget_unref(same));
    ck_assert_ptr_null(trib_budget_ref(NULL));
    ck_assert_ptr_null(trib_budget_unref(NULL));
    budget = budget_of(10, 5); /* a limit below the mark is the mark */
    ck_assert_uint_eq(trib_budget_limit(budget), 10);
    trib_budget_unref(budget);
    ck_assert_int_eq(trib_budget_new(0, 5, &budget, NULL), TRIB_ERR_USAGE);
}
END_TEST

START_TEST(want_alloc_counts_until_unref)
{
    struct trib_budget *budget = budget_of(100000, 200000);
    struct trib_want want = want_of(budget, 1000);
    struct trib_chunk *block;
    struct trib_view view;

    want.head = 24;
    ck_ok(trib_want_alloc(&want, 500, &block, NULL));
    ck_assert_uint_eq(trib_chunk_len(block), 1524);
    ck_assert_uint_eq(trib_budget_held(budget), 1524);
    view = trib_view_retain(trib_chunk_view(block));
    trib_chunk_unref(block);
    ck_assert_uint_eq(trib_budget_held(budget), 1524);
    trib_view_release(&view);
    ck_assert_uint_eq(trib_budget_held(budget), 0);
    ck_assert_uint_eq(trib_budget_peak(budget), 1524);
    trib_budget_unref(budget);
}
END_TEST

/* The budget may be let go before what counts against it. */
START_TEST(outlived_by_its_chunks)
{
    struct trib_budget *budget = budget_of(100, 200);
    struct trib_want want = want_of(budget, 10);
    struct trib_chunk *block;

    ck_ok(trib_want_alloc(&want, 0, &block, NULL));
    trib_budget_unref(budget);
    trib_chunk_unref(block);
}
END_TEST

static const struct {
    size_t min, ahead;
    int code;
    size_t len;
} wants[] = {
    { 50, 0, TRIB_OK, 50 },
    { 10000, 5000, TRIB_OK, 15000 },
    { 10000, 500000, TRIB_OK, 20000 }, /* ahead stops at the high mark */
    { 30000, 5000, TRIB_OK, 30000 },   /* beyond the mark: the want, and nothing ahead */
    { 40000, 0, TRIB_OK, 40000 },
    { 40001, 0, TRIB_ERR_LIMIT, 0 },
    { SIZE_MAX, 0, TRIB_ERR_LIMIT, 0 },
    { SIZE_MAX - 3, 0, TRIB_ERR_LIMIT, 0 },
};

START_TEST(want_alloc_limits)
{
    struct trib_budget *budget = budget_of(20000, 40000);
    struct trib_want want = want_of(budget, wants[_i].min);
    struct trib_chunk *block = NULL;
    struct trib_error err;

    ck_assert_int_eq(trib_want_alloc(&want, wants[_i].ahead, &block, &err), wants[_i].code);
    if (block == NULL) {
        ck_assert_uint_eq(err.wanted, wants[_i].min);
        ck_assert_uint_eq(err.got, 40000);
    } else {
        ck_assert_uint_eq(trib_chunk_len(block), wants[_i].len);
    }
    ck_assert_uint_eq(trib_budget_held(budget), wants[_i].len);
    trib_chunk_unref(block);
    trib_budget_unref(budget);
}
END_TEST

START_TEST(head_that_overflows)
{
    struct trib_budget *budget = budget_of(100, 200);
    struct trib_want want = want_of(budget, SIZE_MAX - 5);
    struct trib_chunk *block;

    want.head = 10;
    ck_assert_int_eq(trib_want_alloc(&want, 0, &block, NULL), TRIB_ERR_LIMIT);
    trib_budget_unref(budget);
}
END_TEST

/* What will be given back is not in the way. */
START_TEST(spare)
{
    struct trib_budget *budget = budget_of(100, 200);
    struct trib_want want = want_of(budget, 150);
    struct trib_chunk *first, *second = NULL;

    ck_ok(trib_want_alloc(&want, 0, &first, NULL));
    ck_assert_int_eq(trib_want_alloc(&want, 0, &second, NULL), TRIB_ERR_LIMIT);
    want.spare = 150;
    ck_ok(trib_want_alloc(&want, 0, &second, NULL));
    trib_chunk_unref(first);
    ck_assert_uint_eq(trib_budget_held(budget), 150);
    trib_chunk_unref(second);
    trib_budget_unref(budget);
}
END_TEST

/* ---- Threads ---- */

enum { ROUNDS = 30000 };

static void *come_and_go(void *arg)
{
    struct trib_want want = want_of(arg, 64);

    for (int i = 0; i < ROUNDS; i++) {
        struct trib_chunk *block;
        ck_ok(trib_want_alloc(&want, 0, &block, NULL));
        trib_chunk_unref(block);
    }
    return NULL;
}

/* Several threads charge and release: never more than all of them hold, and the peak is a number that was held. */
START_TEST(threads_balance)
{
    struct trib_budget *budget = budget_of(100000, 100000);
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, budget), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(trib_budget_held(budget), 0);
    ck_assert_uint_ge(trib_budget_peak(budget), 64);
    ck_assert_uint_le(trib_budget_peak(budget), 4 * 64);
    trib_budget_unref(budget);
}
END_TEST

static int make_and_use(void *arg, struct trib_error *err)
{
    struct trib_budget *budget = NULL;
    struct trib_chunk *block = NULL;
    int rc = trib_budget_new(100, 200, &budget, err);

    (void)arg;
    if (rc == TRIB_OK) {
        struct trib_want want = want_of(budget, 10);
        rc = trib_want_alloc(&want, 0, &block, err);
        if (rc != TRIB_OK)
            ck_assert_uint_eq(trib_budget_held(budget), 0);
    }
    trib_chunk_unref(block);
    trib_budget_unref(budget);
    return rc;
}

START_TEST(every_allocation_fails)
{
    ck_assert_uint_ge(fail_alloc_every(make_and_use, NULL), 3);
}
END_TEST

/* A chunk of more than the receiver may ever hold goes over all the same, in parts that count one by one, and nothing is copied. */
START_TEST(more_than_the_limit_over_chunk)
{
    enum { LEN = 1 << 20, LIMIT = 256 << 10 };
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_channel *a, *b;
    struct trib_chunk *chunk;
    struct trib_view view;
    size_t got = 0;
    int code;

    options.budget = LIMIT / 4;
    options.limit = LIMIT;
    ck_assert_int_eq(trib_chunk_pair(&options, &a, &b, NULL), TRIB_OK);
    ck_assert_int_eq(trib_chunk_new(LEN, 0, &chunk, NULL), TRIB_OK);
    trib_writer_set_deadline(trib_channel_writer(a), TRIB_NOWAIT);
    trib_reader_set_deadline(trib_channel_reader(b), TRIB_NOWAIT);
    ck_assert_int_eq(trib_writer_begin_message(trib_channel_writer(a), LEN, NULL), TRIB_OK);
    ck_assert_int_ge(trib_writer_view(trib_channel_writer(a), trib_chunk_view(chunk), NULL), 0);
    ck_assert_int_eq(trib_writer_end_message(trib_channel_writer(a), NULL), TRIB_AGAIN);
    do {
        code = trib_reader_take_some(trib_channel_reader(b), LEN, &view, NULL);
        if (code == TRIB_OK) {
            ck_assert_ptr_eq(view.data, trib_chunk_data(chunk) + got);
            got += view.len;
        }
        ck_assert_uint_le(trib_budget_held(trib_channel_budget(b)), LIMIT);
        ck_assert_int_ge(trib_writer_flush(trib_channel_writer(a), NULL), 0);
    } while (got < LEN);
    ck_assert(trib_reader_at_mark(trib_channel_reader(b)));
    trib_chunk_unref(chunk);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("budget");
    TCase *tc = tcase_create("budget");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, marks);
    tcase_add_test(tc, want_alloc_counts_until_unref);
    tcase_add_test(tc, outlived_by_its_chunks);
    tcase_add_loop_test(tc, want_alloc_limits, 0, (int)(sizeof(wants) / sizeof(wants[0])));
    tcase_add_test(tc, head_that_overflows);
    tcase_add_test(tc, spare);
    tcase_add_test(tc, threads_balance);
    tcase_add_test(tc, more_than_the_limit_over_chunk);
    tcase_add_test(tc, every_allocation_fails);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
