/* The queue between one producer and one consumer: order, marks, budget. */
#include <tributary/queue.h>

#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/feed.h"
#include "tests/support/pipe.h"
#include "tests/support/runner.h"

#include <check.h>
#include <string.h>

/* ---- Order and marks ---- */

START_TEST(order)
{
    struct pipe p = pipe_of(1 << 20, 1 << 20);
    struct trib_view view;

    for (size_t i = 1; i <= 1000; i++) /* over several segments of the ring */
        ck_ok(pipe_push(&p, i % 50 + 1, 0, TRIB_NOWAIT));
    ck_assert_uint_eq(trib_queue_bytes(p.queue), p.pushed);
    for (size_t i = 1; i <= 1000; i++)
        pipe_drop(&p, i % 50 + 1);
    ck_assert_uint_eq(trib_queue_bytes(p.queue), 0);
    ck_assert_int_eq(pipe_pop(&p, 1, TRIB_NOWAIT, &view), TRIB_AGAIN);
    pipe_done(&p);
}
END_TEST

START_TEST(marks)
{
    struct pipe p = pipe_of(1000, 1000);
    struct trib_want want = pipe_want(&p, 1, 0, TRIB_NOWAIT);
    struct trib_view view, empty = { NULL, 0, NULL };
    unsigned flags;

    ck_ok(pipe_push(&p, 5, TRIB_RECV_MARK, TRIB_NOWAIT));
    ck_ok(trib_queue_push(p.queue, &empty, TRIB_RECV_MARK, TRIB_NOWAIT, NULL));
    ck_ok(trib_queue_push(p.queue, &empty, 0, TRIB_NOWAIT, NULL)); /* says nothing, and is not heard */
    ck_ok(pipe_push(&p, 0, 0, TRIB_NOWAIT));
    ck_ok(pipe_push(&p, 6, TRIB_QUEUE_MORE, TRIB_NOWAIT));
    ck_ok(trib_queue_pop(p.queue, &want, &view, &flags, NULL));
    ck_assert_uint_eq(flags, TRIB_RECV_MARK);
    ck_assert_uint_eq(view.len, 5);
    trib_view_release(&view);
    ck_ok(trib_queue_pop(p.queue, &want, &view, &flags, NULL));
    ck_assert_uint_eq(flags, TRIB_RECV_MARK);
    ck_assert_uint_eq(view.len, 0);
    ck_ok(trib_queue_pop(p.queue, &want, &view, &flags, NULL));
    ck_assert_uint_eq(flags, 0);
    ck_assert_uint_eq(view.len, 6);
    trib_view_release(&view);
    ck_assert_int_eq(trib_queue_pop(p.queue, &want, &view, &flags, NULL), TRIB_AGAIN);
    pipe_done(&p);
}
END_TEST

/* The memory that is pushed is the memory that comes out. */
START_TEST(references)
{
    struct pipe p = pipe_of(1000, 1000);
    struct trib_chunk *chunk = feed_chunk(0, 10);
    struct trib_view view = trib_view_retain(trib_chunk_view(chunk)), got;

    ck_ok(trib_queue_push(p.queue, &view, 0, TRIB_NOWAIT, NULL));
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &got));
    ck_assert_ptr_eq(got.data, trib_chunk_data(chunk));
    trib_chunk_unref(chunk);
    ck_assert_uint_eq(trib_budget_held(p.budget), 10);
    trib_view_release(&got);
    pipe_done(&p);
}
END_TEST

START_TEST(usage)
{
    struct pipe p = pipe_of(100, 200);
    struct trib_view lone = { (const uint8_t *)"abc", 3, NULL }, large = trib_chunk_view(feed_chunk(0, 201));

    ck_assert_int_eq(trib_queue_push(p.queue, &lone, 0, TRIB_NOWAIT, &p.err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_queue_push(p.queue, &large, 0, TRIB_NOWAIT, &p.err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(p.err.wanted, 201);
    ck_assert_uint_eq(p.err.got, 200);
    trib_view_release(&large);
    trib_queue_finish(p.queue, 0, NULL);
    ck_assert(trib_queue_finished(p.queue));
    ck_assert_int_eq(pipe_push(&p, 1, 0, TRIB_FOREVER), TRIB_ERR_USAGE);
    pipe_done(&p);
}
END_TEST

/* Views of 1 to count bytes of the pattern, each with a chunk of its own. */
static void views_of(struct trib_view *views, size_t count)
{
    uint64_t from = 0;

    for (size_t i = 0; i < count; from += ++i)
        views[i] = trib_chunk_view(feed_chunk(from, i + 1));
}

START_TEST(many_at_once)
{
    enum { COUNT = 300 }; /* over several segments of the ring */
    struct pipe p = pipe_of(1 << 20, 1 << 20);
    struct trib_view views[COUNT], got;
    struct trib_want want = pipe_want(&p, 1, 0, TRIB_NOWAIT);
    size_t bytes = 0;
    unsigned flags;

    views_of(views, COUNT);
    trib_chunk_ref(views[7].holder); /* somebody else has it, too */
    got = views[7];
    ck_ok(trib_queue_push_views(p.queue, views, COUNT, TRIB_RECV_MARK, TRIB_NOWAIT, &bytes, NULL));
    ck_assert_uint_eq(bytes, COUNT * (COUNT + 1) / 2);
    ck_assert_uint_eq(trib_queue_bytes(p.queue), bytes);
    ck_assert_uint_eq(trib_budget_held(p.budget), bytes);
    ck_assert_uint_eq(trib_budget_peak(p.budget), bytes);
    trib_view_release(&got);
    for (size_t i = 0; i < COUNT; i++)
        ck_assert_ptr_null(views[i].holder);
    for (size_t i = 1; i < COUNT; i++)
        pipe_drop(&p, i);
    ck_ok(trib_queue_pop(p.queue, &want, &got, &flags, NULL));
    ck_assert_uint_eq(got.len, COUNT);
    ck_assert_uint_eq(flags, TRIB_RECV_MARK); /* of the last one only */
    trib_view_release(&got);
    pipe_done(&p);
}
END_TEST

/* The budget stops the rest: what was taken before is there, without the mark. */
START_TEST(some_of_many)
{
    struct pipe p = pipe_of(11, 11);
    struct trib_want want = pipe_want(&p, 1, 0, TRIB_NOWAIT);
    struct trib_view views[5], lone = { (const uint8_t *)"abc", 3, NULL }, got;
    size_t bytes = 0;
    unsigned flags;

    views_of(views, 5);
    ck_ok(trib_queue_push_views(p.queue, views, 5, TRIB_RECV_MARK, TRIB_NOWAIT, &bytes, &p.err));
    ck_assert_uint_eq(bytes, 1 + 2 + 3 + 4);
    ck_assert_ptr_null(views[3].holder);
    ck_assert_ptr_nonnull(views[4].holder);
    bytes = 77;
    ck_assert_int_eq(trib_queue_push_views(p.queue, views + 4, 1, 0, TRIB_NOWAIT, &bytes, &p.err), TRIB_AGAIN);
    ck_assert_int_eq(trib_queue_push_views(p.queue, &lone, 1, 0, TRIB_NOWAIT, &bytes, &p.err), TRIB_ERR_USAGE);
    ck_assert_uint_eq(bytes, 77);
    for (size_t i = 1; i <= 3; i++)
        pipe_drop(&p, i);
    ck_ok(trib_queue_pop(p.queue, &want, &got, &flags, NULL));
    ck_assert_uint_eq(flags, 0);
    trib_view_release(&got);
    ck_ok(trib_queue_push_views(p.queue, views + 4, 1, TRIB_RECV_MARK, TRIB_NOWAIT, &bytes, &p.err));
    ck_assert_uint_eq(bytes, 5);
    ck_ok(trib_queue_pop(p.queue, &want, &got, &flags, NULL));
    ck_assert_uint_eq(flags, TRIB_RECV_MARK);
    trib_view_release(&got);
    pipe_done(&p);
}
END_TEST

/* ---- Budget ---- */

START_TEST(full)
{
    struct pipe p = pipe_of(100, 200);

    ck_ok(pipe_push(&p, 60, 0, TRIB_NOWAIT));
    ck_ok(pipe_push(&p, 40, 0, TRIB_NOWAIT));
    ck_assert_int_eq(pipe_push(&p, 1, 0, TRIB_NOWAIT), TRIB_AGAIN);
    ck_assert_int_eq(pipe_push(&p, 1, 0, trib_deadline_ms(1)), TRIB_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(p.err.message, "100"));
    ck_assert_int_eq(pipe_push(&p, 1, 0, -5), TRIB_ERR_TIMEOUT);
    pipe_drop(&p, 60);
    ck_ok(pipe_push(&p, 60, 0, TRIB_NOWAIT));
    ck_assert_int_eq(pipe_push(&p, 1, 0, TRIB_NOWAIT), TRIB_AGAIN);
    ck_assert_uint_eq(trib_budget_peak(p.budget), 100);
    pipe_done(&p);
}
END_TEST

START_TEST(always_taken_where_nothing_is_held)
{
    struct pipe p = pipe_of(10, 200);

    ck_ok(pipe_push(&p, 200, 0, TRIB_NOWAIT));
    ck_assert_int_eq(pipe_push(&p, 1, 0, TRIB_NOWAIT), TRIB_AGAIN);
    pipe_drop(&p, 200);
    ck_ok(pipe_push(&p, 11, 0, TRIB_NOWAIT));
    pipe_done(&p);
}
END_TEST

static void push_blocking(void *arg)
{
    ck_ok(pipe_push(arg, 50, 0, trib_deadline_ms(20000)));
}

/* The views are retained: only their release makes room. */
START_TEST(blocked_producer_released_by_unref)
{
    struct pipe p = pipe_of(100, 100);
    struct trib_view a, b;
    struct runner runner;

    ck_ok(pipe_push(&p, 50, 0, TRIB_NOWAIT));
    ck_ok(pipe_push(&p, 50, 0, TRIB_NOWAIT));
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &a));
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &b));
    runner_start(&runner, push_blocking, &p);
    runner_wait_asleep(&runner);
    trib_view_release(&a);
    runner_join(&runner);
    ck_assert_uint_eq(trib_budget_held(p.budget), 100);
    ck_assert_uint_ge(trib_queue_waits(p.queue), 1);
    trib_view_release(&b);
    pipe_drop(&p, 50);
    pipe_done(&p);
}
END_TEST

/* A consumer who waits for more than the high mark gets it, up to the hard limit. */
START_TEST(hungry_beyond_high)
{
    struct pipe p = pipe_of(100, 1000);
    struct trib_view views[10], none;

    for (int i = 0; i < 2; i++)
        ck_ok(pipe_push(&p, 50, 0, TRIB_NOWAIT));
    ck_assert_int_eq(pipe_push(&p, 100, 0, TRIB_NOWAIT), TRIB_AGAIN);
    for (int i = 0; i < 2; i++)
        ck_ok(pipe_pop(&p, 1000, TRIB_NOWAIT, &views[i]));
    ck_assert_int_eq(pipe_push(&p, 100, 0, TRIB_NOWAIT), TRIB_AGAIN); /* nobody has asked yet */
    for (int i = 2; i < 10; i++) {
        ck_assert_int_eq(pipe_pop(&p, 100, TRIB_NOWAIT, &none), TRIB_AGAIN);
        ck_ok(pipe_push(&p, 100, 0, TRIB_NOWAIT));
        ck_assert_int_eq(pipe_push(&p, 100, 0, TRIB_NOWAIT), TRIB_AGAIN);
        ck_ok(pipe_pop(&p, 100, TRIB_NOWAIT, &views[i]));
    }
    ck_assert_uint_eq(trib_budget_held(p.budget), 900);
    for (int i = 0; i < 10; i++)
        trib_view_release(&views[i]);
    pipe_done(&p);
}
END_TEST

/* What is owed is owed until it has come, in however many chunks. */
START_TEST(owed_in_many_chunks)
{
    struct pipe p = pipe_of(10, 1000);
    struct trib_view views[50], none;

    ck_assert_int_eq(pipe_pop(&p, 500, TRIB_NOWAIT, &none), TRIB_AGAIN);
    for (int i = 0; i < 50; i++)
        ck_ok(pipe_push(&p, 10, 0, TRIB_NOWAIT));
    ck_assert_int_eq(pipe_push(&p, 10, 0, TRIB_NOWAIT), TRIB_AGAIN);
    for (size_t i = 0; i < 50; i++)
        ck_ok(pipe_pop(&p, 500 - 10 * i, TRIB_NOWAIT, &views[i]));
    ck_assert_int_eq(pipe_push(&p, 10, 0, TRIB_NOWAIT), TRIB_AGAIN);
    for (int i = 0; i < 50; i++)
        trib_view_release(&views[i]);
    pipe_done(&p);
}
END_TEST

/* He holds it all himself: an error with both numbers, never a hang. */
START_TEST(limit_instead_of_a_hang)
{
    struct pipe p = pipe_of(100, 200);
    struct trib_view held, none;

    ck_ok(pipe_push(&p, 150, 0, TRIB_NOWAIT));
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &held));
    ck_assert_int_eq(pipe_pop(&p, 51, TRIB_FOREVER, &none), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(p.err.wanted, 201);
    ck_assert_uint_eq(p.err.got, 200);
    ck_assert_int_eq(pipe_pop(&p, SIZE_MAX, TRIB_FOREVER, &none), TRIB_ERR_LIMIT);
    ck_assert_int_eq(pipe_pop(&p, 50, TRIB_NOWAIT, &none), TRIB_AGAIN);
    ck_ok(pipe_push(&p, 50, 0, TRIB_NOWAIT));
    trib_view_release(&held);
    pipe_drop(&p, 50);
    pipe_done(&p);
}
END_TEST

static void push_120(void *arg)
{
    ck_ok(pipe_push(arg, 120, 0, trib_deadline_ms(20000)));
}

/* One byte would do for the consumer, but the next chunk has 120: neither may wait for the other. */
START_TEST(limit_where_the_next_chunk_is_too_large)
{
    struct pipe p = pipe_of(100, 200);
    struct trib_view held, none;
    struct runner runner;

    ck_ok(pipe_push(&p, 100, 0, TRIB_NOWAIT));
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &held));
    runner_start(&runner, push_120, &p);
    if (_i == 0)
        runner_wait_asleep(&runner); /* else: whichever comes first */
    ck_assert_int_eq(pipe_pop(&p, 1, trib_deadline_ms(20000), &none), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(p.err.wanted, 220);
    ck_assert_uint_eq(p.err.got, 200);
    trib_view_release(&held);
    runner_join(&runner);
    pipe_drop(&p, 120);
    pipe_done(&p);
}
END_TEST

/* Refused once, the producer came with less: that is no reason to complain. */
START_TEST(refused_chunk_is_forgotten)
{
    struct pipe p = pipe_of(100, 200);
    struct trib_view a, b, none;

    ck_ok(pipe_push(&p, 100, 0, TRIB_NOWAIT));
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &a));
    ck_assert_int_eq(pipe_pop(&p, 1, TRIB_NOWAIT, &none), TRIB_AGAIN);
    ck_assert_int_eq(pipe_push(&p, 120, 0, TRIB_NOWAIT), TRIB_AGAIN);
    ck_ok(pipe_push(&p, 30, 0, TRIB_NOWAIT));
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &b));
    ck_assert_int_eq(pipe_pop(&p, 1, TRIB_NOWAIT, &none), TRIB_AGAIN);
    trib_view_release(&a);
    trib_view_release(&b);
    pipe_done(&p);
}
END_TEST

/* Spare bytes are given back as soon as the next ones come: they are not in the way. */
START_TEST(spare)
{
    struct pipe p = pipe_of(100, 200);
    struct trib_want want = pipe_want(&p, 150, 100, TRIB_NOWAIT);
    struct trib_view held, got;
    unsigned flags;

    ck_ok(pipe_push(&p, 100, 0, TRIB_NOWAIT));
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &held));
    ck_assert_int_eq(trib_queue_pop(p.queue, &want, &got, &flags, &p.err), TRIB_AGAIN);
    ck_ok(pipe_push(&p, 200, 0, TRIB_NOWAIT));
    trib_view_release(&held);
    pipe_drop(&p, 200);
    pipe_done(&p);
}
END_TEST

/* Far more chunks than segments or entries in flight, in a budget that none of them fills. */
START_TEST(tiny_chunks)
{
    struct pipe p = pipe_of(1 << 20, 1 << 20);
    int rc = TRIB_OK;

    while (rc == TRIB_OK && p.pushed < 200000)
        rc = pipe_push(&p, 1, 0, TRIB_NOWAIT);
    ck_assert_int_eq(rc, TRIB_AGAIN); /* the number of entries is bounded as well */
    while (p.popped < p.pushed)
        pipe_drop(&p, 1);
    ck_ok(pipe_push(&p, 1, 0, TRIB_NOWAIT));
    pipe_done(&p);
}
END_TEST

/* ---- No memory ---- */

static int through(void *arg, struct trib_error *err)
{
    struct pipe p = { 0 };
    struct trib_view view;
    struct trib_chunk *chunk = NULL, *shared;
    int rc = trib_budget_new(100000, 100000, &p.budget, err);

    (void)arg;
    if (rc == TRIB_OK)
        rc = trib_queue_new(p.budget, 0, &p.queue, err);
    if (rc == TRIB_OK)
        rc = trib_chunk_new(300, 1, &chunk, err);
    for (int i = 0; rc == TRIB_OK && i < 300; i++) { /* shared: each needs a header of its own */
        shared = trib_chunk_ref(chunk);
        view = trib_chunk_view(shared);
        rc = trib_queue_push(p.queue, &view, 0, TRIB_NOWAIT, err);
        if (rc != TRIB_OK) {
            ck_assert_ptr_eq(view.holder, chunk);
            ck_assert_int_eq(trib_queue_push(p.queue, &view, 0, TRIB_NOWAIT, NULL), TRIB_OK); /* the second time there is memory */
        }
    }
    trib_chunk_unref(chunk);
    trib_queue_unref(p.queue);
    trib_budget_unref(p.budget);
    return rc;
}

START_TEST(every_allocation_fails)
{
    ck_assert_uint_ge(fail_alloc_every(through, NULL), 300);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("queue");
    TCase *tc = tcase_create("queue");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, order);
    tcase_add_test(tc, marks);
    tcase_add_test(tc, references);
    tcase_add_test(tc, usage);
    tcase_add_test(tc, many_at_once);
    tcase_add_test(tc, some_of_many);
    tcase_add_test(tc, full);
    tcase_add_test(tc, always_taken_where_nothing_is_held);
    tcase_add_test(tc, blocked_producer_released_by_unref);
    tcase_add_test(tc, hungry_beyond_high);
    tcase_add_test(tc, owed_in_many_chunks);
    tcase_add_test(tc, limit_instead_of_a_hang);
    tcase_add_loop_test(tc, limit_where_the_next_chunk_is_too_large, 0, 2);
    tcase_add_test(tc, refused_chunk_is_forgotten);
    tcase_add_test(tc, spare);
    tcase_add_test(tc, tiny_chunks);
    tcase_add_test(tc, every_allocation_fails);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
