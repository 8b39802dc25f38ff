/* The reader's callback on an event_base: never inside a call, once after each TRIB_AGAIN, from whichever thread the bytes come. */
#include <tributary/reader.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"
#include "tests/support/runner.h"

#include <check.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <string.h>

enum { TOTAL = 200000 };

static struct event_base *base;
static struct trib_reader *reader;
static int calls;
static bool inside; /* a call on the reader is under way */

static void setup(void)
{
    balance_setup();
    ck_assert_int_eq(evthread_use_pthreads(), 0);
    base = event_base_new();
    ck_assert_ptr_nonnull(base);
    reader = feed_reader(1000, 100000);
    calls = 0;
    inside = false;
}

static void teardown(void)
{
    trib_reader_free(reader);
    event_base_free(base);
    libevent_global_shutdown();
    balance_teardown();
}

static void count(struct trib_reader *r, void *arg)
{
    ck_assert(!inside);
    ck_assert_ptr_eq(r, reader);
    ck_assert_ptr_eq(arg, &calls);
    calls++;
}

static void set_count(void)
{
    ck_ok(trib_reader_set_callback(reader, base, count, &calls, NULL));
}

static int take(size_t n)
{
    struct trib_view view;
    int rc;

    inside = true;
    rc = trib_reader_take(reader, n, &view, NULL);
    inside = false;
    return rc;
}

static void turn(void)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Once soon after it was set; then after a TRIB_AGAIN, when there is something. */
START_TEST(same_thread)
{
    set_count();
    ck_assert_int_eq(calls, 0);
    turn();
    ck_assert_int_eq(calls, 1);
    turn();
    feed_pattern(reader, 0, 10, 0);
    turn();
    ck_assert_int_eq(calls, 1); /* nobody has asked */
    ck_ok(take(10));
    ck_assert_int_eq(take(1), TRIB_AGAIN); /* it does not wait */
    ck_assert_int_eq(take(1), TRIB_AGAIN);
    turn();
    ck_assert_int_eq(calls, 1);
    feed_pattern(reader, 10, 10, 1);
    ck_assert_int_eq(calls, 1); /* not inside feed */
    turn();
    ck_assert_int_eq(calls, 2);
    turn();
    ck_assert_int_eq(calls, 2);
}
END_TEST

/* Bytes, end, failure, cancel. */
START_TEST(whatever_comes)
{
    static const int codes[] = { TRIB_OK, TRIB_EOF, TRIB_ERR_FAILED, TRIB_ERR_CANCELLED };

    set_count();
    turn();
    ck_assert_int_eq(take(1), TRIB_AGAIN);
    switch (_i) {
    case 0: feed_pattern(reader, 0, 1, 0); break;
    case 1: feed_finish(reader); break;
    case 2: ck_ok(trib_reader_fail(reader, TRIB_ERR_FAILED, "x", NULL)); break;
    default: trib_reader_cancel(reader); break;
    }
    turn();
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(take(1), codes[_i]);
}
END_TEST

/* The bytes came before the question. */
START_TEST(came_before)
{
    feed_pattern(reader, 0, 10, 0);
    set_count();
    turn();
    ck_assert_int_eq(calls, 1);
    ck_ok(take(4));
    ck_assert_int_eq(take(10), TRIB_AGAIN);
    turn();
    ck_assert_int_eq(calls, 1); /* six are there, and were not enough: more must come */
    feed_pattern(reader, 10, 4, 0);
    turn();
    ck_assert_int_eq(calls, 2);
    ck_ok(take(10));
}
END_TEST

START_TEST(ended)
{
    set_count();
    if (_i == 0)
        turn();
    ck_assert_int_eq(take(1), TRIB_AGAIN);
    ck_ok(trib_reader_set_callback(reader, NULL, NULL, NULL, NULL));
    calls = 0;
    feed_pattern(reader, 0, 10, 0);
    turn();
    ck_assert_int_eq(calls, 0);
    ck_ok(take(10));
    ck_ok(trib_reader_set_callback(reader, NULL, NULL, NULL, NULL)); /* twice */
}
END_TEST

START_TEST(freed_while_armed)
{
    struct trib_reader *other = feed_reader(0, 0);
    struct trib_view view;

    ck_ok(trib_reader_set_callback(other, base, count, &calls, NULL));
    ck_assert_int_eq(trib_reader_take(other, 1, &view, NULL), TRIB_AGAIN);
    feed_pattern(other, 0, 1, 0);
    trib_reader_free(other);
    turn();
    ck_assert_int_eq(calls, 0);
}
END_TEST

START_TEST(no_base)
{
    struct trib_error err;

    set_count();
    ck_assert_int_eq(trib_reader_set_callback(reader, NULL, count, &calls, &err), TRIB_ERR_USAGE);
    turn();
    ck_assert_int_eq(calls, 1); /* the one before is still set */
}
END_TEST

static void replace(struct trib_reader *r, void *arg)
{
    (void)arg;
    ck_ok(trib_reader_set_callback(r, base, count, &calls, NULL));
}

static void free_it(struct trib_reader *r, void *arg)
{
    (void)arg;
    trib_reader_free(r);
    reader = NULL;
}

START_TEST(changed_inside_itself)
{
    ck_ok(trib_reader_set_callback(reader, base, _i == 0 ? replace : free_it, NULL, NULL));
    turn();
    turn();
    ck_assert_int_eq(calls, _i == 0 ? 1 : 0);
}
END_TEST

/* finished() asks for nothing, and so changes nothing about the callback. */
START_TEST(finished_does_not_disturb)
{
    set_count();
    turn();
    ck_assert_int_eq(take(1), TRIB_AGAIN);
    ck_assert(!trib_reader_finished(reader));
    feed_finish(reader);
    ck_assert(trib_reader_finished(reader));
    turn();
    ck_assert_int_eq(calls, 2);
}
END_TEST

/* With a callback the reader never waits; without it the deadline counts again. */
START_TEST(deadline_in_between)
{
    set_count();
    turn();
    ck_assert_int_eq(take(1), TRIB_AGAIN);
    trib_reader_set_deadline(reader, trib_deadline_ms(1));
    ck_assert_int_eq(take(1), TRIB_AGAIN);
    feed_pattern(reader, 0, 1, 0);
    turn();
    ck_assert_int_eq(calls, 2);
    ck_ok(take(1));
    ck_ok(trib_reader_set_callback(reader, NULL, NULL, NULL, NULL));
    ck_assert_int_eq(take(1), TRIB_ERR_TIMEOUT);
}
END_TEST

START_TEST(deadline_before)
{
    trib_reader_set_deadline(reader, trib_deadline_ms(1));
    set_count();
    ck_assert_int_eq(take(1), TRIB_AGAIN);
    ck_ok(trib_reader_set_callback(reader, NULL, NULL, NULL, NULL));
    ck_assert_int_eq(take(1), TRIB_ERR_TIMEOUT);
}
END_TEST

/* ---- Fed from another thread ---- */

static uint64_t position;

static void produce(void *arg)
{
    uint64_t at = 0, random = 77;

    (void)arg;
    while (at < TOTAL) {
        size_t len = 1 + feed_random(&random) % 700;
        if (len > TOTAL - at)
            len = (size_t)(TOTAL - at);
        ck_ok(trib_reader_feed(reader, feed_chunk(at, len), trib_deadline_ms(20000), NULL));
        at += len;
    }
    feed_finish(reader);
}

static void drink(struct trib_reader *r, void *arg)
{
    struct trib_view view;
    int rc;

    (void)arg;
    while ((rc = trib_reader_take(r, 1000, &view, NULL)) == TRIB_OK) {
        feed_check(view, position, 1000);
        position += 1000;
    }
    calls++;
    ck_assert_msg(rc == TRIB_AGAIN || rc == TRIB_EOF, "%s", trib_code_name(rc));
    if (rc == TRIB_EOF)
        event_base_loopbreak(base);
}

/* The loop has nothing else to wait for, and yet goes on until the stream ends. */
START_TEST(fed_by_another_thread)
{
    struct runner producer;

    position = 0;
    ck_ok(trib_reader_set_callback(reader, base, drink, NULL, NULL));
    runner_start(&producer, produce, NULL);
    event_base_dispatch(base);
    ck_assert_uint_eq(position, TOTAL);
    runner_join(&producer);
}
END_TEST

static void stop(struct trib_reader *r, void *arg)
{
    struct trib_view view;
    int rc = trib_reader_take(r, 1, &view, NULL);

    (void)arg;
    if (rc != TRIB_AGAIN) {
        ck_assert_int_eq(rc, TRIB_ERR_CANCELLED);
        event_base_loopbreak(base);
    }
    calls++;
}

static void loop(void *arg)
{
    (void)arg;
    event_base_dispatch(base);
}

START_TEST(cancelled_by_another_thread)
{
    struct runner consumer;

    ck_ok(trib_reader_set_callback(reader, base, stop, NULL, NULL));
    runner_start(&consumer, loop, NULL);
    runner_wait_asleep(&consumer);
    trib_reader_cancel(reader);
    runner_join(&consumer);
    ck_assert_int_eq(calls, 2);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reader_events");
    TCase *tc = tcase_create("events");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, same_thread);
    tcase_add_loop_test(tc, whatever_comes, 0, 4);
    tcase_add_test(tc, came_before);
    tcase_add_loop_test(tc, ended, 0, 2);
    tcase_add_test(tc, freed_while_armed);
    tcase_add_test(tc, no_base);
    tcase_add_loop_test(tc, changed_inside_itself, 0, 2);
    tcase_add_test(tc, finished_does_not_disturb);
    tcase_add_test(tc, deadline_in_between);
    tcase_add_test(tc, deadline_before);
    tcase_add_test(tc, fed_by_another_thread);
    tcase_add_test(tc, cancelled_by_another_thread);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
