/* Sub-streams, and the hard limit of the budget: past either there is an error with both numbers, never a wait. */
#include <tributary/reader.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"

#include <check.h>
#include <string.h>

static struct trib_reader *reader;
static struct trib_error err;

static void setup(void)
{
    balance_setup();
    reader = feed_reader(1 << 16, 1 << 16);
    trib_reader_set_deadline(reader, TRIB_FOREVER); /* whoever waited would wait for ever */
}

static void teardown(void)
{
    trib_reader_free(reader);
    balance_teardown();
}

static void take(uint64_t position, size_t n)
{
    struct trib_view view;

    ck_ok(trib_reader_take(reader, n, &view, &err));
    feed_check(view, position, n);
}

static void short_of(int rc, uint64_t wanted, uint64_t got)
{
    ck_assert_int_eq(rc, TRIB_ERR_SHORT);
    ck_assert_uint_eq(err.wanted, wanted);
    ck_assert_uint_eq(err.got, got);
}

/* ---- Sub-streams ---- */

START_TEST(without_one)
{
    ck_assert_uint_eq(trib_reader_limit_left(reader), UINT64_MAX);
    ck_assert_int_eq(trib_reader_limit_pop(reader, &err), TRIB_ERR_USAGE);
}
END_TEST

/* The bytes have come, some of them, or none: past the end is past the end. */
START_TEST(past_the_end)
{
    struct trib_view view = { NULL, 7, NULL }, views[9];
    uint8_t buf[64];
    uint64_t skipped = 99, number;
    size_t count;

    feed_pattern(reader, 0, (size_t)_i, 3);
    ck_ok(trib_reader_limit_push(reader, 10, &err));
    ck_assert_uint_eq(trib_reader_limit_left(reader), 10);
    short_of(trib_reader_take(reader, 11, &view, &err), 11, 10);
    short_of(trib_reader_take(reader, SIZE_MAX, &view, &err), SIZE_MAX, 10);
    short_of(trib_reader_peek(reader, 11, &view, &err), 11, 10);
    short_of(trib_reader_take_aligned(reader, 11, 64, &view, &err), 11, 10);
    short_of(trib_reader_take_vector(reader, 11, views, 9, &count, &err), 11, 10);
    short_of(trib_reader_read_into(reader, buf, 11, &err), 11, 10);
    short_of(trib_reader_skip(reader, 11, &skipped, &err), 11, 10);
    ck_assert_uint_eq(skipped, 0);
    ck_ok(trib_reader_limit_push(reader, 7, &err));
    short_of(trib_reader_be64(reader, &number, &err), 8, 7);
    short_of(trib_reader_limit_push(reader, 8, &err), 8, 7);
    ck_assert_uint_eq(view.len, 7);
    ck_assert_uint_eq(trib_reader_position(reader), 0);
}
END_TEST

START_TEST(at_the_end)
{
    struct trib_view view, views[1];
    uint8_t buf[1];
    size_t count;

    feed_pattern(reader, 0, 100, _i == 0 ? 0 : 4);
    ck_ok(trib_reader_limit_push(reader, 10, &err));
    take(0, 10);
    ck_assert(trib_reader_finished(reader));
    ck_assert_uint_eq(trib_reader_available(reader), 0);
    ck_assert_uint_eq(trib_reader_limit_left(reader), 0);
    ck_assert_int_eq(trib_reader_take(reader, 1, &view, &err), TRIB_EOF);
    ck_assert_int_eq(trib_reader_peek(reader, 1, &view, &err), TRIB_EOF);
    ck_assert_int_eq(trib_reader_take_some(reader, 1, &view, &err), TRIB_EOF);
    ck_assert_int_eq(trib_reader_take_vector(reader, 1, views, 1, &count, &err), TRIB_EOF);
    ck_assert_int_eq(trib_reader_read_into(reader, buf, 1, &err), TRIB_EOF);
    ck_assert_int_eq(trib_reader_skip(reader, 1, NULL, &err), TRIB_EOF);
    ck_assert_int_eq(trib_reader_bytes_be32(reader, 9, &view, &err), TRIB_EOF);
    ck_ok(trib_reader_take_all(reader, 0, &view, &err));
    ck_ok(trib_reader_take(reader, 0, &view, &err));
    ck_ok(trib_reader_limit_pop(reader, &err));
    take(10, 90);
}
END_TEST

START_TEST(left_over_is_next)
{
    feed_pattern(reader, 0, 100, 9);
    take(0, 5);
    ck_ok(trib_reader_limit_push(reader, 50, &err));
    take(5, 10);
    ck_assert_uint_eq(trib_reader_limit_left(reader), 40);
    ck_assert_uint_eq(trib_reader_available(reader), 40);
    ck_assert(!trib_reader_finished(reader));
    ck_ok(trib_reader_limit_pop(reader, &err));
    take(15, 85);
}
END_TEST

START_TEST(nested)
{
    feed_pattern(reader, 0, 1000, 33);
    for (unsigned depth = 0; depth < TRIB_READER_LIMITS_MAX; depth++) {
        ck_ok(trib_reader_limit_push(reader, 900 - 100 * depth, &err));
        take(depth * 10, 10);
    }
    ck_assert_int_eq(trib_reader_limit_push(reader, 0, &err), TRIB_ERR_USAGE);
    for (unsigned depth = TRIB_READER_LIMITS_MAX; depth-- > 0;) {
        uint64_t end = depth * 10 + 900 - 100 * depth;
        ck_assert_uint_eq(trib_reader_limit_left(reader), end - trib_reader_position(reader));
        take(trib_reader_position(reader), (size_t)trib_reader_limit_left(reader));
        ck_assert(trib_reader_finished(reader));
        ck_ok(trib_reader_limit_pop(reader, &err));
    }
    ck_assert_uint_eq(trib_reader_position(reader), 900);
    take(900, 100);
}
END_TEST

START_TEST(empty_and_vast)
{
    struct trib_view view;

    feed_pattern(reader, 0, 10, 0);
    ck_ok(trib_reader_limit_push(reader, 0, &err));
    ck_assert(trib_reader_finished(reader));
    ck_assert_int_eq(trib_reader_take(reader, 1, &view, &err), TRIB_EOF);
    ck_ok(trib_reader_limit_pop(reader, &err));
    ck_ok(trib_reader_limit_push(reader, UINT64_MAX, &err));
    take(0, 5);
    ck_assert_uint_eq(trib_reader_limit_left(reader), UINT64_MAX - 5);
    ck_assert_int_eq(trib_reader_limit_push(reader, UINT64_MAX, &err), TRIB_ERR_SHORT);
    ck_ok(trib_reader_limit_pop(reader, &err));
    ck_assert_int_eq(trib_reader_limit_push(reader, UINT64_MAX, &err), TRIB_ERR_SHORT); /* no such position */
    take(5, 5);
}
END_TEST

/* The stream ends inside the sub-stream: that is never a good end. */
START_TEST(cut_off)
{
    struct trib_view view;

    feed_pattern(reader, 0, (size_t)_i, 4);
    feed_finish(reader);
    ck_ok(trib_reader_limit_push(reader, 10, &err));
    short_of(trib_reader_take(reader, 10, &view, &err), 10, (uint64_t)_i);
    short_of(trib_reader_take_all(reader, 100, &view, &err), 10, (uint64_t)_i);
    take(0, (size_t)_i);
    short_of(trib_reader_take(reader, 1, &view, &err), 1, 0);
    short_of(trib_reader_skip(reader, 1, NULL, &err), 1, 0);
    ck_assert(!trib_reader_finished(reader));
}
END_TEST

START_TEST(take_all_of_it)
{
    struct trib_view view;

    feed_pattern(reader, 0, 100, 7);
    ck_ok(trib_reader_limit_push(reader, 50, &err));
    take(0, 10);
    ck_assert_int_eq(trib_reader_take_all(reader, 39, &view, &err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.wanted, 40);
    ck_assert_uint_eq(err.got, 39);
    ck_ok(trib_reader_take_all(reader, 40, &view, &err));
    feed_check(view, 10, 40);
}
END_TEST

/* Prefixed bytes do not reach out of it. */
START_TEST(prefix_inside_bytes_outside)
{
    static const uint8_t bytes[] = { 0, 0, 0, 8, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' };
    struct trib_view view;

    feed_bytes(reader, bytes, sizeof(bytes), _i == 0 ? 4 : _i == 1 ? 5 : 0);
    ck_ok(trib_reader_limit_push(reader, 11, &err));
    short_of(trib_reader_bytes_be32(reader, 100, &view, &err), 12, 11);
    ck_ok(trib_reader_limit_pop(reader, &err));
    ck_ok(trib_reader_limit_push(reader, 12, &err));
    ck_ok(trib_reader_bytes_be32(reader, 100, &view, &err));
    ck_assert_uint_eq(view.len, 8);
    ck_assert(trib_reader_finished(reader));
}
END_TEST

/* ---- The hard limit ---- */

static void over_limit(int rc, uint64_t wanted, uint64_t got)
{
    ck_assert_int_eq(rc, TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.got, got);
    if (wanted > 0)
        ck_assert_uint_eq(err.wanted, wanted);
}

START_TEST(more_than_the_limit)
{
    struct trib_view view, views[4];
    size_t count;

    feed_pattern(reader, 0, 100, 50);
    over_limit(trib_reader_take(reader, 65537, &view, &err), 65537, 65536);
    over_limit(trib_reader_take(reader, SIZE_MAX, &view, &err), SIZE_MAX, 65536);
    over_limit(trib_reader_peek(reader, 65537, &view, &err), 65537, 65536);
    over_limit(trib_reader_take_vector(reader, 65537, views, 4, &count, &err), 0, 65536);
    over_limit(trib_reader_read_into(reader, NULL, SIZE_MAX, &err), 0, 65536);
    take(0, 100);
    feed_finish(reader);
    ck_assert_int_eq(trib_reader_take(reader, 65537, &view, &err), TRIB_EOF);
}
END_TEST

/* More than the high mark and not more than the limit: granted, chunk by chunk, to a producer who does not wait. */
START_TEST(beyond_the_high_mark)
{
    struct trib_reader *other = feed_reader(100, 10000);
    struct trib_view view;
    uint64_t fed = 0;
    int rc;

    trib_reader_set_deadline(other, TRIB_NOWAIT);
    while ((rc = trib_reader_take(other, 9000, &view, &err)) == TRIB_AGAIN) {
        struct trib_chunk *chunk = feed_chunk(fed, 90);
        ck_ok(trib_reader_feed(other, chunk, TRIB_NOWAIT, &err)); /* he waits: there must be room for one */
        fed += 90;
    }
    ck_ok(rc);
    feed_check(view, 0, 9000);
    ck_assert_uint_eq(fed, 9000);
    ck_assert_uint_eq(feed_stats(other).copied_crossing, 9000);
    trib_reader_free(other);
}
END_TEST

/* What the caller himself keeps counts, and is named. */
START_TEST(held_by_the_caller)
{
    struct trib_reader *other = feed_reader(100, 1000);
    struct trib_view kept[2], view, views[9];
    size_t count;

    for (int i = 0; i < 2; i++) {
        feed_pattern(other, (uint64_t)i * 300, 300, 0);
        ck_ok(trib_reader_take(other, 300, &kept[i], NULL));
        trib_view_retain(kept[i]);
        trib_reader_set_deadline(other, TRIB_NOWAIT);
        ck_assert_int_eq(trib_reader_take(other, 400, &view, NULL), TRIB_AGAIN);
        trib_reader_set_deadline(other, TRIB_FOREVER);
    }
    over_limit(trib_reader_take(other, 401, &view, &err), 0, 1000);
    over_limit(trib_reader_take_vector(other, 401, views, 9, &count, &err), 0, 1000);
    trib_view_release(&kept[0]);
    feed_finish(other);
    ck_assert_int_eq(trib_reader_take(other, 401, &view, &err), TRIB_EOF);
    trib_view_release(&kept[1]);
    trib_reader_free(other);
}
END_TEST

/* A copy needs room as well: chunks of which views are kept do not go, and so the block comes on top of them. */
START_TEST(no_room_for_the_copy)
{
    struct trib_reader *other = feed_reader(1000, 1000);
    struct trib_view kept, view;

    trib_reader_set_deadline(other, TRIB_NOWAIT);
    feed_pattern(other, 0, 1000, 500);
    ck_ok(trib_reader_take(other, 400, &kept, NULL));
    trib_view_retain(kept);
    over_limit(trib_reader_take(other, 200, &view, &err), 200, 1000);
    ck_assert_uint_eq(trib_reader_position(other), 400);
    trib_view_release(&kept);
    ck_ok(trib_reader_take(other, 200, &view, &err));
    feed_check(view, 400, 200);
    trib_reader_free(other);
}
END_TEST

/* However many: a skip needs no room. */
START_TEST(skip_more_than_the_limit)
{
    struct trib_reader *other = feed_reader(10, 100);
    uint64_t total = 0, skipped;

    trib_reader_set_deadline(other, TRIB_NOWAIT);
    for (uint64_t fed = 0; total < 100000; fed += 100) {
        feed_pattern(other, fed, 100, 0);
        ck_assert_int_eq(trib_reader_skip(other, UINT64_MAX / 2, &skipped, &err), TRIB_AGAIN);
        ck_assert_uint_eq(skipped, 100);
        total += skipped;
    }
    feed_pattern(other, total, 100, 0);
    feed_finish(other);
    short_of(trib_reader_skip(other, UINT64_MAX, &skipped, &err), UINT64_MAX, 100);
    trib_reader_free(other);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reader_limits");
    TCase *tc = tcase_create("limits");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, without_one);
    tcase_add_loop_test(tc, past_the_end, 0, 20);
    tcase_add_loop_test(tc, at_the_end, 0, 2);
    tcase_add_test(tc, left_over_is_next);
    tcase_add_test(tc, nested);
    tcase_add_test(tc, empty_and_vast);
    tcase_add_loop_test(tc, cut_off, 0, 10);
    tcase_add_test(tc, take_all_of_it);
    tcase_add_loop_test(tc, prefix_inside_bytes_outside, 0, 3);
    tcase_add_test(tc, more_than_the_limit);
    tcase_add_test(tc, beyond_the_high_mark);
    tcase_add_test(tc, held_by_the_caller);
    tcase_add_test(tc, no_room_for_the_copy);
    tcase_add_test(tc, skip_more_than_the_limit);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
