/* How a queue ends, who is woken by that, and its hooks. */
#include <tributary/queue.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"
#include "tests/support/pipe.h"
#include "tests/support/runner.h"

#include <check.h>
#include <stdatomic.h>
#include <string.h>

/* ---- Ends ---- */

START_TEST(finish)
{
    struct pipe p = pipe_of(100, 100);
    struct trib_view none;

    ck_ok(pipe_push(&p, 10, 0, TRIB_NOWAIT));
    trib_queue_finish(p.queue, 0, NULL);
    trib_queue_finish(p.queue, TRIB_ERR_FAILED, "too late");
    pipe_drop(&p, 10);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pipe_pop(&p, 1, TRIB_FOREVER, &none), TRIB_EOF);
    pipe_done(&p);
}
END_TEST

START_TEST(fail)
{
    struct pipe p = pipe_of(100, 100);
    struct trib_view none;

    ck_ok(pipe_push(&p, 10, 0, TRIB_NOWAIT));
    trib_queue_finish(p.queue, TRIB_ERR_FAILED, "the disk is 100% full");
    pipe_drop(&p, 10);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pipe_pop(&p, 1, TRIB_FOREVER, &none), TRIB_ERR_FAILED);
        ck_assert_str_eq(p.err.message, "the disk is 100% full");
    }
    pipe_done(&p);
}
END_TEST

START_TEST(fail_without_text_and_with_a_long_one)
{
    struct pipe p = pipe_of(100, 100);
    struct trib_view none;
    char text[5000];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    trib_queue_finish(p.queue, TRIB_ERR_PROTOCOL, _i == 0 ? NULL : text);
    ck_assert_int_eq(pipe_pop(&p, 1, TRIB_FOREVER, &none), TRIB_ERR_PROTOCOL);
    ck_assert_uint_gt(strlen(p.err.message), 0);
    pipe_done(&p);
}
END_TEST

START_TEST(close_lets_go)
{
    struct pipe p = pipe_of(100, 100);

    ck_ok(pipe_push(&p, 10, 0, TRIB_NOWAIT));
    ck_ok(pipe_push(&p, 10, 0, TRIB_NOWAIT));
    trib_queue_close(p.queue);
    ck_assert_uint_eq(trib_budget_held(p.budget), 0);
    ck_assert_int_eq(pipe_push(&p, 1, 0, TRIB_FOREVER), TRIB_ERR_CLOSED);
    ck_assert_int_eq(pipe_push(&p, 0, TRIB_RECV_MARK, TRIB_FOREVER), TRIB_ERR_CLOSED);
    pipe_done(&p);
}
END_TEST

START_TEST(cancel_both_ends)
{
    struct pipe p = pipe_of(100, 100);
    struct trib_view none;

    ck_ok(pipe_push(&p, 10, 0, TRIB_NOWAIT));
    trib_queue_cancel(p.queue);
    ck_assert_int_eq(pipe_pop(&p, 1, TRIB_FOREVER, &none), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(pipe_push(&p, 1, 0, TRIB_FOREVER), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(pipe_push(&p, 0, 0, TRIB_FOREVER), TRIB_ERR_CANCELLED);
    pipe_done(&p);
}
END_TEST

static void pop_until_cancelled(void *arg)
{
    struct trib_view none;

    ck_assert_int_eq(pipe_pop(arg, 1, trib_deadline_ms(20000), &none), TRIB_ERR_CANCELLED);
}

static void push_until_cancelled(void *arg)
{
    ck_assert_int_eq(pipe_push(arg, 50, 0, trib_deadline_ms(20000)), TRIB_ERR_CANCELLED);
}

static void push_until_closed(void *arg)
{
    ck_assert_int_eq(pipe_push(arg, 50, 0, trib_deadline_ms(20000)), TRIB_ERR_CLOSED);
}

START_TEST(ends_wake_who_sleeps)
{
    void (*const sleepers[])(void *) = { pop_until_cancelled, push_until_cancelled, push_until_closed };
    struct pipe p = pipe_of(100, 100);
    struct runner runner;

    if (_i > 0)
        ck_ok(pipe_push(&p, 100, 0, TRIB_NOWAIT));
    runner_start(&runner, sleepers[_i], &p);
    runner_wait_asleep(&runner);
    if (_i == 2)
        trib_queue_close(p.queue);
    else
        trib_queue_cancel(p.queue);
    runner_join(&runner);
    pipe_done(&p);
}
END_TEST

/* Either end may go last. */
START_TEST(references_of_both_ends)
{
    struct pipe p = pipe_of(100, 100);
    struct trib_queue *other = trib_queue_ref(p.queue);

    ck_ok(pipe_push(&p, 10, 0, TRIB_NOWAIT));
    ck_assert_ptr_null(trib_queue_unref(other));
    ck_assert_uint_eq(trib_budget_held(p.budget), 10);
    ck_assert_ptr_null(trib_queue_ref(NULL));
    ck_assert_ptr_null(trib_queue_unref(NULL));
    pipe_done(&p);
}
END_TEST

START_TEST(timeout_of_pop)
{
    struct pipe p = pipe_of(100, 100);
    struct trib_view none;

    ck_assert_int_eq(pipe_pop(&p, 1, trib_deadline_ms(1), &none), TRIB_ERR_TIMEOUT);
    ck_assert_int_eq(pipe_pop(&p, 1, trib_now() - 1, &none), TRIB_ERR_TIMEOUT);
    ck_assert_int_eq(pipe_pop(&p, 1, INT64_MIN, &none), TRIB_ERR_TIMEOUT);
    ck_ok(pipe_push(&p, 10, 0, TRIB_NOWAIT));
    ck_ok(pipe_pop(&p, 1, trib_now() - 1, &none)); /* what is there needs no time */
    trib_view_release(&none);
    pipe_done(&p);
}
END_TEST

/* ---- Hooks ---- */

static void count(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

START_TEST(on_bytes)
{
    struct pipe p = pipe_of(100, 100);
    atomic_int calls = 0;

    trib_queue_on_bytes(p.queue, count, &calls);
    ck_assert_int_eq(calls, 0);
    ck_ok(pipe_push(&p, 1, TRIB_QUEUE_MORE, TRIB_NOWAIT));
    ck_ok(pipe_push(&p, 1, 0, TRIB_NOWAIT));
    ck_ok(pipe_push(&p, 1, 0, TRIB_NOWAIT));
    ck_assert_int_eq(calls, 1); /* once */
    trib_queue_on_bytes(p.queue, count, &calls);
    ck_assert_int_eq(calls, 2); /* at once */
    for (int i = 0; i < 3; i++)
        pipe_drop(&p, 1);
    trib_queue_on_bytes(p.queue, count, &calls);
    trib_queue_on_bytes(p.queue, NULL, NULL);
    ck_ok(pipe_push(&p, 1, 0, TRIB_NOWAIT));
    ck_assert_int_eq(calls, 2); /* disarmed */
    pipe_drop(&p, 1);
    trib_queue_on_bytes(p.queue, count, &calls);
    if (_i == 0)
        trib_queue_finish(p.queue, 0, NULL);
    else
        trib_queue_cancel(p.queue);
    ck_assert_int_eq(calls, 3);
    pipe_done(&p);
}
END_TEST

/* A call that blocks in between does not take the hook away. */
START_TEST(hook_survives_a_blocking_call)
{
    struct pipe p = pipe_of(100, 100);
    struct trib_view none;
    atomic_int bytes = 0, room = 0;

    trib_queue_on_bytes(p.queue, count, &bytes);
    ck_assert_int_eq(pipe_pop(&p, 1, trib_deadline_ms(1), &none), TRIB_ERR_TIMEOUT);
    ck_ok(pipe_push(&p, 100, 0, TRIB_NOWAIT));
    ck_assert_int_eq(bytes, 1);
    ck_assert_int_eq(pipe_push(&p, 10, 0, TRIB_NOWAIT), TRIB_AGAIN);
    trib_queue_on_room(p.queue, count, &room);
    ck_assert_int_eq(pipe_push(&p, 10, 0, trib_deadline_ms(1)), TRIB_ERR_TIMEOUT);
    ck_assert_int_eq(room, 0);
    pipe_drop(&p, 100);
    ck_assert_int_eq(room, 1);
    pipe_done(&p);
}
END_TEST

START_TEST(on_room)
{
    struct pipe p = pipe_of(100, 100);
    struct trib_view view;
    atomic_int calls = 0;

    trib_queue_on_room(p.queue, count, &calls);
    ck_assert_int_eq(calls, 1); /* at once */
    ck_ok(pipe_push(&p, 50, 0, TRIB_NOWAIT));
    ck_ok(pipe_push(&p, 45, 0, TRIB_NOWAIT));
    ck_assert_int_eq(pipe_push(&p, 50, 0, TRIB_NOWAIT), TRIB_AGAIN);
    trib_queue_on_room(p.queue, count, &calls); /* there is room for a byte, but not for what was turned away */
    ck_assert_int_eq(calls, 1);
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &view));
    ck_assert_int_eq(calls, 1);
    trib_view_release(&view);
    ck_assert_int_eq(calls, 2);
    ck_ok(pipe_push(&p, 50, 0, TRIB_NOWAIT));
    ck_assert_int_eq(pipe_push(&p, 50, 0, TRIB_NOWAIT), TRIB_AGAIN);
    trib_queue_on_room(p.queue, count, &calls);
    trib_queue_on_room(p.queue, NULL, NULL);
    pipe_drop(&p, 45);
    pipe_drop(&p, 50);
    ck_assert_int_eq(calls, 2);
    pipe_done(&p);
}
END_TEST

START_TEST(on_room_sees_the_end)
{
    struct pipe p = pipe_of(100, 100);
    atomic_int calls = 0;

    ck_ok(pipe_push(&p, 100, 0, TRIB_NOWAIT));
    ck_assert_int_eq(pipe_push(&p, 1, 0, TRIB_NOWAIT), TRIB_AGAIN);
    trib_queue_on_room(p.queue, count, &calls);
    if (_i == 0)
        trib_queue_close(p.queue);
    else
        trib_queue_cancel(p.queue);
    ck_assert_int_eq(calls, 1);
    pipe_done(&p);
}
END_TEST

/* A push that fails after one with TRIB_QUEUE_MORE must not leave that one unseen. */
START_TEST(turned_back_push_wakes)
{
    struct pipe p = pipe_of(100, 100);
    atomic_int calls = 0;

    trib_queue_on_bytes(p.queue, count, &calls);
    ck_ok(pipe_push(&p, 4, TRIB_QUEUE_MORE, TRIB_NOWAIT));
    ck_assert_int_eq(calls, 0);
    ck_assert_int_eq(pipe_push(&p, 101, 0, TRIB_NOWAIT), TRIB_ERR_LIMIT);
    ck_assert_int_eq(calls, 1);
    pipe_drop(&p, 4);
    pipe_done(&p);
}
END_TEST

/* Room for just what was turned away is enough, however small a part of the budget it is. */
START_TEST(on_room_for_a_little)
{
    struct pipe p = pipe_of(1000, 1000);
    struct trib_view view;
    atomic_int calls = 0;

    ck_ok(pipe_push(&p, 100, 0, TRIB_NOWAIT));
    ck_ok(pipe_push(&p, 900, 0, TRIB_NOWAIT));
    ck_assert_int_eq(pipe_push(&p, 50, 0, TRIB_NOWAIT), TRIB_AGAIN);
    trib_queue_on_room(p.queue, count, &calls);
    ck_ok(pipe_pop(&p, 1, TRIB_NOWAIT, &view));
    trib_view_release(&view);
    ck_assert_int_eq(calls, 1);
    pipe_drop(&p, 900);
    pipe_done(&p);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("queue_ends");
    TCase *tc = tcase_create("ends");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, finish);
    tcase_add_test(tc, fail);
    tcase_add_loop_test(tc, fail_without_text_and_with_a_long_one, 0, 2);
    tcase_add_test(tc, close_lets_go);
    tcase_add_test(tc, cancel_both_ends);
    tcase_add_loop_test(tc, ends_wake_who_sleeps, 0, 3);
    tcase_add_test(tc, references_of_both_ends);
    tcase_add_test(tc, timeout_of_pop);
    tcase_add_loop_test(tc, on_bytes, 0, 2);
    tcase_add_test(tc, hook_survives_a_blocking_call);
    tcase_add_test(tc, on_room);
    tcase_add_loop_test(tc, on_room_sees_the_end, 0, 2);
    tcase_add_test(tc, turned_back_push_wakes);
    tcase_add_test(tc, on_room_for_a_little);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
