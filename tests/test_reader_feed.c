/* The producer's side of a reader: feed, finish, fail, the budget. */
#include <tributary/reader.h>

#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/feed.h"
#include "tests/support/runner.h"

#include <check.h>
#include <stdatomic.h>
#include <string.h>

static struct trib_reader *reader;
static struct trib_error err;

static void setup(void)
{
    balance_setup();
    reader = feed_reader(100, 1000);
    trib_reader_set_deadline(reader, TRIB_NOWAIT);
}

static void teardown(void)
{
    trib_reader_free(reader);
    balance_teardown();
}

static int feed(uint64_t position, size_t len, int64_t deadline)
{
    struct trib_chunk *chunk = feed_chunk(position, len);
    int rc = trib_reader_feed(reader, chunk, deadline, &err);

    if (rc != TRIB_OK)
        trib_chunk_unref(chunk); /* not taken */
    return rc;
}

static int take(size_t n, struct trib_view *ret_view)
{
    return trib_reader_take(reader, n, ret_view, &err);
}

START_TEST(free_null)
{
    trib_reader_free(NULL);
}
END_TEST

START_TEST(options)
{
    struct trib_reader_options short_options = { sizeof(size_t), 1, 1, NULL };
    struct trib_reader *other;

    ck_ok(trib_reader_new(NULL, &other, NULL));
    feed_pattern(other, 0, 8 << 20, 1 << 20); /* the default budget */
    trib_reader_free(other);
    ck_ok(trib_reader_new(&short_options, &other, NULL)); /* what it does not reach has its default */
    feed_pattern(other, 0, 1 << 20, 1 << 10);
    trib_reader_free(other);
}
END_TEST

START_TEST(initial_chunk)
{
    struct trib_chunk *chunk = feed_chunk(0, 10);
    struct trib_reader_options o = { sizeof(o), 0, 0, chunk };
    struct trib_reader *other;
    struct trib_view view;

    ck_ok(trib_reader_new(&o, &other, NULL));
    if (_i == 0)
        chunk = trib_chunk_unref(chunk); /* the reader has a reference of its own */
    feed_pattern(other, 10, 20, 7);
    feed_finish(other);
    ck_assert_uint_eq(trib_reader_available(other), 30);
    ck_ok(trib_reader_take(other, 4, &view, NULL));
    feed_check(view, 0, 4);
    if (chunk != NULL)
        ck_assert_ptr_eq(view.data, trib_chunk_data(chunk));
    ck_ok(trib_reader_take(other, 20, &view, NULL));
    feed_check(view, 4, 20);
    ck_ok(trib_reader_take(other, 6, &view, NULL));
    feed_check(view, 24, 6);
    ck_assert(trib_reader_finished(other));
    trib_reader_free(other);
    trib_chunk_unref(chunk);
}
END_TEST

START_TEST(initial_chunk_only)
{
    static const uint8_t memory[] = { 1, 2, 3 };
    struct trib_reader_options o = { sizeof(o), 1, 1, NULL };
    struct trib_reader *other;
    struct trib_view view;

    ck_ok(trib_chunk_wrap(memory, _i == 0 ? 3 : 0, NULL, NULL, &o.initial, NULL));
    ck_ok(trib_reader_new(&o, &other, NULL));
    trib_chunk_unref(o.initial);
    feed_finish(other);
    if (_i == 0) {
        ck_assert(!trib_reader_finished(other));
        ck_ok(trib_reader_take(other, 3, &view, NULL));
        ck_assert_ptr_eq(view.data, memory);
    }
    ck_assert(trib_reader_finished(other));
    ck_assert_int_eq(trib_reader_take(other, 1, &view, NULL), TRIB_EOF);
    trib_reader_free(other);
}
END_TEST

START_TEST(feed_null)
{
    ck_assert_int_eq(trib_reader_feed(reader, NULL, TRIB_NOWAIT, &err), TRIB_ERR_USAGE);
    ck_assert_uint_gt(strlen(err.message), 0);
}
END_TEST

START_TEST(feed_takes_the_reference)
{
    struct trib_chunk *chunk = feed_chunk(0, 10);
    const uint8_t *data = trib_chunk_data(chunk);
    struct trib_view view;

    ck_ok(trib_reader_feed(reader, chunk, TRIB_NOWAIT, NULL));
    ck_ok(take(10, &view));
    ck_assert_ptr_eq(view.data, data);
}
END_TEST

START_TEST(empty_chunks)
{
    struct trib_view view;

    ck_ok(feed(0, 0, TRIB_NOWAIT));
    ck_assert_int_eq(take(1, &view), TRIB_AGAIN);
    ck_ok(feed(0, 5, TRIB_NOWAIT));
    ck_ok(feed(0, 0, TRIB_NOWAIT));
    ck_ok(feed(5, 5, TRIB_NOWAIT));
    ck_ok(feed(0, 0, TRIB_NOWAIT));
    ck_ok(take(10, &view));
    feed_check(view, 0, 10);
    ck_assert_uint_eq(feed_stats(reader).chunks, 2);
    feed_finish(reader);
    ck_assert_int_eq(feed(0, 0, TRIB_NOWAIT), TRIB_ERR_USAGE);
}
END_TEST

START_TEST(empty_stream)
{
    struct trib_view view = { NULL, 0, NULL };

    ck_assert(!trib_reader_finished(reader));
    feed_finish(reader);
    ck_assert(trib_reader_finished(reader));
    ck_ok(take(0, &view));
    ck_assert_uint_eq(view.len, 0);
    ck_assert_int_eq(take(1, &view), TRIB_EOF);
    ck_assert_int_eq(trib_reader_take_some(reader, 5, &view, NULL), TRIB_EOF);
    ck_ok(trib_reader_take_all(reader, 0, &view, NULL));
    ck_assert_uint_eq(view.len, 0);
    ck_assert(trib_reader_finished(reader));
}
END_TEST

START_TEST(finish_is_idempotent)
{
    struct trib_view view;

    ck_ok(feed(0, 5, TRIB_NOWAIT));
    for (int i = 0; i < 3; i++)
        feed_finish(reader);
    ck_ok(trib_reader_fail(reader, TRIB_ERR_FAILED, "too late", NULL));
    ck_ok(take(5, &view));
    feed_check(view, 0, 5);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(take(1, &view), TRIB_EOF);
    feed_finish(reader);
}
END_TEST

START_TEST(feed_after_the_end)
{
    if (_i == 0)
        feed_finish(reader);
    else
        ck_ok(trib_reader_fail(reader, TRIB_ERR_FAILED, NULL, NULL));
    ck_assert_int_eq(feed(0, 5, TRIB_FOREVER), TRIB_ERR_USAGE);
    ck_assert_uint_eq(trib_reader_available(reader), 0);
}
END_TEST

/* The view of the last bytes is still there after the question whether they were the last. */
START_TEST(finished_leaves_the_view)
{
    struct trib_view view;

    ck_ok(feed(0, 50, TRIB_NOWAIT));
    ck_ok(feed(50, 50, TRIB_NOWAIT));
    ck_ok(take(50, &view));
    ck_assert(!trib_reader_finished(reader));
    feed_check(view, 0, 50);
    ck_ok(take(50, &view));
    ck_assert(!trib_reader_finished(reader));
    feed_finish(reader);
    ck_assert(trib_reader_finished(reader));
    feed_check(view, 50, 50);
}
END_TEST

START_TEST(take_the_last_then_finish)
{
    struct trib_view view;

    ck_ok(feed(0, 5, TRIB_NOWAIT));
    ck_ok(take(5, &view));
    ck_assert_int_eq(take(1, &view), TRIB_AGAIN);
    feed_finish(reader);
    ck_assert(trib_reader_finished(reader));
    ck_assert_int_eq(take(1, &view), TRIB_EOF);
}
END_TEST

/* ---- Fail ---- */

static const struct {
    int code;
    const char *text;
} failures[] = {
    { TRIB_ERR_FAILED, "the JVM lost its socket" },
    { TRIB_ERR_PROTOCOL, "100% wrong: %s %n" },
    { TRIB_ERR_CLOSED, "gone" },
    { TRIB_ERR_TIMEOUT, "the producer waited too long" },
    { TRIB_ERR_LIMIT, "the producer has limits" },
    { TRIB_ERR_NOMEM, "the producer has no memory" },
    { TRIB_ERR_USAGE, "the producer misused something" },
    { TRIB_ERR_SHORT, "short" },
    { TRIB_ERR_CANCELLED, "cancelled over there" },
};

/* What came before can be taken; then each call says the same. */
START_TEST(failure_reaches_the_consumer)
{
    struct trib_view view, views[2];
    uint64_t skipped;
    size_t count;
    uint32_t number;
    uint8_t buf[4];

    ck_ok(feed(0, 5, TRIB_NOWAIT));
    ck_ok(trib_reader_fail(reader, failures[_i].code, failures[_i].text, NULL));
    ck_ok(trib_reader_fail(reader, TRIB_ERR_FAILED, "the second", NULL));
    feed_finish(reader);
    ck_assert_int_eq(take(6, &view), failures[_i].code);
    ck_assert_str_eq(err.message, failures[_i].text);
    ck_ok(take(5, &view));
    feed_check(view, 0, 5);
    for (int i = 0; i < 10; i++) {
        memset(&err, 0, sizeof(err));
        ck_assert_int_eq(i == 0   ? take(1, &view)
                         : i == 1 ? trib_reader_peek(reader, 1, &view, &err)
                         : i == 2 ? trib_reader_take_some(reader, 9, &view, &err)
                         : i == 3 ? trib_reader_take_vector(reader, 1, views, 2, &count, &err)
                         : i == 4 ? trib_reader_take_all(reader, 9, &view, &err)
                         : i == 5 ? trib_reader_skip(reader, 1, &skipped, &err)
                         : i == 6 ? trib_reader_read_into(reader, buf, 4, &err)
                         : i == 7 ? trib_reader_be32(reader, &number, &err)
                         : i == 8 ? trib_reader_string_be32(reader, 100, &view, &err)
                                  : take(5000, &view),
                         failures[_i].code);
        ck_assert_str_eq(err.message, failures[_i].text);
        ck_assert_int_eq(err.code, failures[_i].code);
    }
    ck_ok(take(0, &view));
    ck_assert(!trib_reader_finished(reader));
}
END_TEST

START_TEST(fail_with_no_error)
{
    ck_assert_int_eq(trib_reader_fail(reader, TRIB_OK, "x", &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_reader_fail(reader, TRIB_EOF, "x", &err), TRIB_ERR_USAGE);
    ck_ok(feed(0, 5, TRIB_NOWAIT)); /* nothing has ended */
}
END_TEST

/* ---- Budget ---- */

START_TEST(full)
{
    struct trib_view view;

    ck_ok(feed(0, 60, TRIB_NOWAIT));
    ck_ok(feed(60, 40, TRIB_NOWAIT));
    ck_assert_int_eq(feed(100, 10, TRIB_NOWAIT), TRIB_AGAIN);
    ck_assert_int_eq(feed(100, 10, trib_deadline_ms(1)), TRIB_ERR_TIMEOUT);
    ck_ok(take(60, &view));
    ck_assert_int_eq(feed(100, 10, TRIB_NOWAIT), TRIB_AGAIN); /* the view is still there */
    ck_ok(take(1, &view));
    ck_ok(feed(100, 10, TRIB_NOWAIT));
    ck_assert_uint_eq(feed_stats(reader).held, 50);
    ck_assert_uint_eq(feed_stats(reader).peak_held, 100);
}
END_TEST

START_TEST(retained_views_count)
{
    struct trib_view view;

    ck_ok(feed(0, 100, TRIB_NOWAIT));
    ck_ok(take(1, &view));
    view = trib_view_retain(view);
    ck_ok(trib_reader_skip(reader, 99, NULL, NULL));
    ck_assert_int_eq(trib_reader_take_some(reader, 1, &(struct trib_view){ 0 }, NULL), TRIB_AGAIN);
    ck_assert_uint_eq(feed_stats(reader).held, 100); /* one byte pins its whole block */
    trib_view_release(&view);
    ck_assert_uint_eq(feed_stats(reader).held, 0);
}
END_TEST

static void feed_blocking(void *arg)
{
    *(int *)arg = feed(100, 10, trib_deadline_ms(20000));
}

START_TEST(blocked_feed)
{
    static const int codes[] = { TRIB_OK, TRIB_OK, TRIB_ERR_CANCELLED };
    struct runner runner;
    struct trib_view view;
    int rc = 1;

    ck_ok(feed(0, 100, TRIB_NOWAIT));
    ck_ok(take(100, &view));
    view = trib_view_retain(view);
    ck_assert_int_eq(take(1, &view), TRIB_AGAIN); /* he waits, and so a little is owed; it is his own view that is in the way */
    ck_ok(feed(0, 1, TRIB_NOWAIT));
    ck_ok(take(1, &(struct trib_view){ 0 }));
    runner_start(&runner, feed_blocking, &rc);
    runner_wait_asleep(&runner);
    if (_i == 0)
        trib_view_release(&view);
    else if (_i == 1)
        ck_assert_int_eq(trib_reader_take_some(reader, 1, &(struct trib_view){ 0 }, NULL), TRIB_AGAIN); /* asks */
    else
        trib_reader_cancel(reader);
    runner_join(&runner);
    ck_assert_int_eq(rc, codes[_i]);
    trib_view_release(&view);
}
END_TEST

START_TEST(larger_than_the_limit)
{
    ck_assert_int_eq(feed(0, 1001, TRIB_FOREVER), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.wanted, 1001);
    ck_assert_uint_eq(err.got, 1000);
    ck_ok(feed(0, 1000, TRIB_NOWAIT));
}
END_TEST

static void count(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

START_TEST(on_room)
{
    atomic_int calls = 0;
    struct trib_view view;

    ck_ok(feed(0, 100, TRIB_NOWAIT));
    ck_assert_int_eq(feed(100, 30, TRIB_NOWAIT), TRIB_AGAIN);
    ck_ok(trib_reader_on_room(reader, count, &calls, NULL));
    ck_assert_int_eq(calls, 0);
    ck_ok(take(100, &view));
    ck_assert_int_eq(take(1, &view), TRIB_AGAIN);
    ck_assert_int_eq(calls, 1);
    ck_ok(feed(100, 30, TRIB_NOWAIT));
    ck_ok(take(30, &view));
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(cancel_ends_feeding)
{
    ck_ok(feed(0, 10, TRIB_NOWAIT));
    trib_reader_cancel(reader);
    ck_assert_int_eq(feed(10, 10, TRIB_FOREVER), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(feed(10, 0, TRIB_FOREVER), TRIB_ERR_CANCELLED);
    feed_finish(reader);
}
END_TEST

/* ---- No memory ---- */

static int everything(void *arg, struct trib_error *e)
{
    struct trib_chunk *chunk = NULL;
    struct trib_reader_options o = { sizeof(o), 0, 0, NULL };
    struct trib_reader *r = NULL;
    int rc;

    (void)arg;
    rc = trib_chunk_new(100, 1, &o.initial, e);
    if (rc == TRIB_OK)
        rc = trib_reader_new(&o, &r, e);
    if (rc == TRIB_OK)
        rc = trib_chunk_new(100, 1, &chunk, e);
    if (rc == TRIB_OK) {
        rc = trib_reader_feed(r, trib_chunk_ref(chunk), TRIB_NOWAIT, e);
        if (rc != TRIB_OK)
            trib_chunk_unref(chunk);
    }
    trib_chunk_unref(chunk);
    trib_chunk_unref(o.initial);
    trib_reader_free(r);
    return rc;
}

START_TEST(every_allocation_fails)
{
    ck_assert_uint_ge(fail_alloc_every(everything, NULL), 8);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reader_feed");
    TCase *tc = tcase_create("feed");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, free_null);
    tcase_add_test(tc, options);
    tcase_add_loop_test(tc, initial_chunk, 0, 2);
    tcase_add_loop_test(tc, initial_chunk_only, 0, 2);
    tcase_add_test(tc, feed_null);
    tcase_add_test(tc, feed_takes_the_reference);
    tcase_add_test(tc, empty_chunks);
    tcase_add_test(tc, empty_stream);
    tcase_add_test(tc, finish_is_idempotent);
    tcase_add_loop_test(tc, feed_after_the_end, 0, 2);
    tcase_add_test(tc, finished_leaves_the_view);
    tcase_add_test(tc, take_the_last_then_finish);
    tcase_add_loop_test(tc, failure_reaches_the_consumer, 0, (int)(sizeof(failures) / sizeof(failures[0])));
    tcase_add_test(tc, fail_with_no_error);
    tcase_add_test(tc, full);
    tcase_add_test(tc, retained_views_count);
    tcase_add_loop_test(tc, blocked_feed, 0, 3);
    tcase_add_test(tc, larger_than_the_limit);
    tcase_add_test(tc, on_room);
    tcase_add_test(tc, cancel_ends_feeding);
    suite_add_tcase(s, tc);
    tc = tcase_create("memory");
    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_add_test(tc, every_allocation_fails);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
