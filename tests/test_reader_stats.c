/* Figures of a reader: each counts what its header says, and nothing else. */
#include <tributary/reader.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"
#include "tests/support/runner.h"

#include <check.h>
#include <string.h>

static struct trib_reader *reader;

static void setup(void)
{
    balance_setup();
    reader = feed_reader(1000, 10000);
    trib_reader_set_deadline(reader, TRIB_NOWAIT);
}

static void teardown(void)
{
    trib_reader_free(reader);
    balance_teardown();
}

static void take(size_t n)
{
    struct trib_view view;

    ck_ok(trib_reader_take(reader, n, &view, NULL));
}

START_TEST(fresh)
{
    struct trib_reader_stats expected, stats = feed_stats(reader);

    memset(&expected, 0, sizeof(expected));
    expected.size = sizeof(expected);
    ck_assert_mem_eq(&stats, &expected, sizeof(stats));
}
END_TEST

/* A struct of an older header is filled as far as it goes. */
START_TEST(short_struct)
{
    struct trib_reader_stats stats;

    feed_pattern(reader, 0, 10, 0);
    take(4);
    memset(&stats, 0xee, sizeof(stats));
    stats.size = offsetof(struct trib_reader_stats, chunks);
    trib_reader_stats(reader, &stats);
    ck_assert_uint_eq(stats.size, offsetof(struct trib_reader_stats, chunks));
    ck_assert_uint_eq(stats.bytes, 4);
    ck_assert_uint_eq(stats.takes, 1);
    ck_assert_uint_eq(stats.chunks, UINT64_C(0xeeeeeeeeeeeeeeee));
}
END_TEST

START_TEST(bytes_takes_chunks)
{
    struct trib_view view, views[5];
    uint8_t buf[10];
    uint16_t number;
    size_t count;

    feed_pattern(reader, 0, 100, 20);
    ck_assert_uint_eq(feed_stats(reader).chunks, 0); /* none was asked for */
    take(10);                                                                  /* 1 */
    ck_ok(trib_reader_peek(reader, 10, &view, NULL));                          /* returns bytes, consumes none */
    ck_ok(trib_reader_take_some(reader, 5, &view, NULL));                      /* 2 */
    ck_ok(trib_reader_take_vector(reader, 35, views, 5, &count, NULL));        /* 3 */
    ck_ok(trib_reader_skip(reader, 5, NULL, NULL));                            /* 4 */
    ck_ok(trib_reader_read_into(reader, buf, 10, NULL));                       /* 5 */
    ck_ok(trib_reader_be16(reader, &number, NULL));                            /* 6 */
    ck_ok(trib_reader_take_aligned(reader, 3, 1, &view, NULL));                /* 7 */
    take(0);
    ck_assert_int_eq(trib_reader_take(reader, 1000, &view, NULL), TRIB_AGAIN);
    ck_assert_uint_eq(feed_stats(reader).bytes, 70);
    ck_assert_uint_eq(feed_stats(reader).takes, 7);
    ck_assert_uint_eq(feed_stats(reader).chunks, 5);
}
END_TEST

/* Calls that had to ask for more, however often each of them asked. */
START_TEST(waits)
{
    struct trib_view view;

    feed_pattern(reader, 0, 100, 10);
    take(100);
    ck_assert_uint_eq(feed_stats(reader).waits, 1);
    feed_pattern(reader, 100, 100, 0);
    for (int i = 0; i < 10; i++)
        take(10);
    ck_assert_uint_eq(feed_stats(reader).waits, 2);
    ck_assert_int_eq(trib_reader_take(reader, 1, &view, NULL), TRIB_AGAIN);
    ck_assert_uint_eq(feed_stats(reader).waits, 3);
    trib_reader_finished(reader);
    trib_reader_available(reader);
    ck_assert_uint_eq(feed_stats(reader).waits, 3);
}
END_TEST

START_TEST(held_and_peak)
{
    struct trib_view view;

    feed_pattern(reader, 0, 900, 300);
    ck_assert_uint_eq(feed_stats(reader).held, 900);
    take(300);
    ck_assert_uint_eq(feed_stats(reader).held, 900); /* the view is valid */
    take(1);
    ck_assert_uint_eq(feed_stats(reader).held, 600);
    ck_ok(trib_reader_take(reader, 299, &view, NULL));
    view = trib_view_retain(view);
    take(300);
    ck_assert_int_eq(trib_reader_take_some(reader, 1, &(struct trib_view){ 0 }, NULL), TRIB_AGAIN);
    ck_assert_uint_eq(feed_stats(reader).held, 300);
    trib_view_release(&view);
    ck_assert_uint_eq(feed_stats(reader).held, 0);
    ck_assert_uint_eq(feed_stats(reader).peak_held, 900);
}
END_TEST

/* Chunks of a long take go one by one: what is held is the block and a chunk or two, not everything twice. */
START_TEST(long_take_holds_little)
{
    struct trib_view view;
    uint64_t fed = 0;

    while (trib_reader_take(reader, 9000, &view, NULL) == TRIB_AGAIN) {
        ck_ok(trib_reader_feed(reader, feed_chunk(fed, 100), TRIB_NOWAIT, NULL));
        fed += 100;
    }
    feed_check(view, 0, 9000);
    ck_assert_uint_le(feed_stats(reader).peak_held, 9000 + 300);
}
END_TEST

static void feed_later(void *arg)
{
    feed_pattern(arg, 0, 10, 0);
}

static void take_blocking(void *arg)
{
    (void)arg;
    trib_reader_set_deadline(reader, trib_deadline_ms(20000));
    take(10);
}

START_TEST(blocked_time)
{
    struct runner consumer;

    runner_start(&consumer, take_blocking, NULL);
    runner_wait_asleep(&consumer);
    feed_later(reader);
    runner_join(&consumer);
    ck_assert_int_gt(feed_stats(reader).blocked_ns, 0);
    ck_assert_uint_eq(feed_stats(reader).waits, 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reader_stats");
    TCase *tc = tcase_create("stats");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, fresh);
    tcase_add_test(tc, short_struct);
    tcase_add_test(tc, bytes_takes_chunks);
    tcase_add_test(tc, waits);
    tcase_add_test(tc, held_and_peak);
    tcase_add_test(tc, long_take_holds_little);
    tcase_add_test(tc, blocked_time);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
