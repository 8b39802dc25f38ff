/* Taking: every kind, at every split point, with the copies that it may cost, and none that it may not. */
#include <tributary/reader.h>

#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/feed.h"

#include <check.h>
#include <string.h>

enum { LENGTH = 300 };

static struct trib_reader *reader;
static struct trib_error err;

static void setup(void)
{
    balance_setup();
    reader = feed_reader(0, 0);
    trib_reader_set_deadline(reader, TRIB_NOWAIT);
}

static void teardown(void)
{
    trib_reader_free(reader);
    balance_teardown();
}

static void no_copies(void)
{
    ck_assert_uint_eq(feed_stats(reader).copies, 0);
}

/* ---- Kinds: each takes n bytes at a position and checks them ---- */

typedef void kind_fn(uint64_t position, size_t n);

static void by_take(uint64_t position, size_t n)
{
    struct trib_view view;

    ck_ok(trib_reader_take(reader, n, &view, &err));
    feed_check(view, position, n);
}

static void by_peek(uint64_t position, size_t n)
{
    struct trib_view view;

    for (size_t part = 0; part <= n; part += n / 3 + 1) {
        ck_ok(trib_reader_peek(reader, part, &view, &err));
        feed_check(view, position, part);
    }
    ck_assert_uint_eq(trib_reader_position(reader), position);
    by_take(position, n);
}

static void by_take_aligned(uint64_t position, size_t n)
{
    struct trib_view view;

    ck_ok(trib_reader_take_aligned(reader, n, 64, &view, &err));
    feed_check(view, position, n);
    ck_assert_uint_eq((uintptr_t)view.data % 64, 0);
}

static void by_take_some(uint64_t position, size_t n)
{
    struct trib_view view;

    while (n > 0) {
        ck_ok(trib_reader_take_some(reader, n, &view, &err));
        ck_assert(view.len > 0 && view.len <= n);
        feed_check(view, position, view.len);
        position += view.len;
        n -= view.len;
    }
}

static void by_take_vector(uint64_t position, size_t n)
{
    struct trib_view views[LENGTH];
    size_t count;

    ck_ok(trib_reader_take_vector(reader, n, views, LENGTH, &count, &err));
    for (size_t i = 0; i < count; i++) {
        feed_check(views[i], position, views[i].len);
        position += views[i].len;
        n -= views[i].len;
    }
    ck_assert_uint_eq(n, 0);
}

static void by_skip(uint64_t position, size_t n)
{
    uint64_t skipped;

    ck_ok(trib_reader_skip(reader, n, &skipped, &err));
    ck_assert_uint_eq(skipped, n);
    ck_assert_uint_eq(trib_reader_position(reader), position + n);
}

static void by_read_into(uint64_t position, size_t n)
{
    uint8_t buf[LENGTH];

    ck_ok(trib_reader_read_into(reader, buf, n, &err));
    feed_check((struct trib_view){ buf, n, NULL }, position, n);
}

static void by_take_all(uint64_t position, size_t n)
{
    struct trib_view view;

    ck_ok(trib_reader_limit_push(reader, n, &err));
    ck_ok(trib_reader_take_all(reader, n, &view, &err));
    feed_check(view, position, n);
    ck_ok(trib_reader_limit_pop(reader, &err));
}

static kind_fn *const kinds[] = { by_take,        by_peek, by_take_aligned, by_take_some,
                                  by_take_vector, by_skip, by_read_into,    by_take_all };
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const size_t sizes[] = { 1, 2, 7, 64, 100, 299, 300 };

static void run_kind(kind_fn *kind, size_t first_chunk, size_t chunk)
{
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t position = trib_reader_position(reader), at;
        if (first_chunk > 0)
            feed_pattern(reader, position, first_chunk, 0);
        feed_pattern(reader, position + first_chunk, LENGTH - first_chunk, chunk);
        for (at = position; at + sizes[i] <= position + LENGTH; at += sizes[i])
            kind(at, sizes[i]);
        by_skip(at, (size_t)(position + LENGTH - at));
        ck_assert_uint_eq(trib_reader_available(reader), 0);
    }
}

/* Every split point of 300 bytes. */
START_TEST(every_split)
{
    for (size_t split = 0; split <= LENGTH; split++)
        run_kind(kinds[_i], split, 0);
}
END_TEST

START_TEST(small_chunks)
{
    for (size_t chunk = 1; chunk < 20; chunk++)
        run_kind(kinds[_i], 0, chunk);
}
END_TEST

/* Every split point, with the second part not yet there: nothing is consumed, nothing is lost. */
START_TEST(again_at_every_split)
{
    for (size_t split = 0; split < LENGTH; split++) {
        struct trib_view view, views[LENGTH];
        uint64_t position = trib_reader_position(reader);
        uint8_t buf[LENGTH];
        size_t count;
        feed_pattern(reader, position, split, 7);
        ck_assert_int_eq(trib_reader_take(reader, LENGTH, &view, &err), TRIB_AGAIN);
        ck_assert_int_eq(trib_reader_peek(reader, split + 1, &view, &err), TRIB_AGAIN);
        ck_assert_int_eq(trib_reader_take_aligned(reader, LENGTH, 64, &view, &err), TRIB_AGAIN);
        ck_assert_int_eq(trib_reader_take_vector(reader, LENGTH, views, LENGTH, &count, &err), TRIB_AGAIN);
        ck_assert_int_eq(trib_reader_read_into(reader, buf, LENGTH, &err), TRIB_AGAIN);
        ck_assert_int_eq(trib_reader_take_all(reader, LENGTH, &view, &err), TRIB_AGAIN);
        ck_assert_uint_eq(trib_reader_position(reader), position);
        ck_assert_uint_eq(trib_reader_available(reader), split);
        feed_pattern(reader, position + split, LENGTH - split, 0);
        kinds[_i](position, LENGTH);
    }
}
END_TEST

/* Every split point, and the stream ends before the last byte. */
START_TEST(short_at_every_split)
{
    for (size_t there = 0; there < LENGTH; there++) {
        struct trib_reader *other = feed_reader(0, 0);
        struct trib_view view = { NULL, 7, NULL };
        uint64_t skipped;
        int expected = there == 0 ? TRIB_EOF : TRIB_ERR_SHORT, rc;
        feed_pattern(other, 0, there, _i == 0 ? 1 : there);
        feed_finish(other);
        for (int again = 0; again < 2; again++) {
            rc = trib_reader_take(other, LENGTH, &view, &err);
            ck_assert_int_eq(rc, expected);
            if (rc == TRIB_ERR_SHORT) {
                ck_assert_uint_eq(err.wanted, LENGTH);
                ck_assert_uint_eq(err.got, there);
            }
            ck_assert_uint_eq(view.len, 7);
            ck_assert_uint_eq(trib_reader_position(other), 0);
        }
        ck_assert_int_eq(trib_reader_skip(other, LENGTH, &skipped, &err), expected);
        ck_assert_uint_eq(skipped, there);
        ck_assert(trib_reader_finished(other));
        ck_assert_int_eq(trib_reader_take(other, 1, &view, &err), TRIB_EOF);
        trib_reader_free(other);
    }
}
END_TEST

/* ---- Copies ---- */

START_TEST(inside_a_chunk_nothing_is_copied)
{
    struct trib_chunk *chunk = feed_chunk(0, LENGTH);
    const uint8_t *data = trib_chunk_data(chunk);
    struct trib_view view;

    ck_ok(trib_reader_feed(reader, chunk, TRIB_NOWAIT, NULL));
    for (size_t at = 0; at < LENGTH; at += 30) {
        ck_ok(trib_reader_take(reader, 30, &view, NULL));
        ck_assert_ptr_eq(view.data, data + at);
    }
    no_copies();
}
END_TEST

/* A take that fails in the middle leaves the chunks that come later whole. */
START_TEST(after_an_unfinished_take)
{
    struct trib_chunk *chunk = feed_chunk(60, 1000);
    const uint8_t *data = trib_chunk_data(chunk);
    struct trib_view view;

    feed_pattern(reader, 0, 60, 30);
    ck_assert_int_eq(trib_reader_take(reader, 100, &view, NULL), TRIB_AGAIN);
    by_take(0, 60);
    ck_ok(trib_reader_feed(reader, chunk, TRIB_NOWAIT, NULL));
    ck_ok(trib_reader_take(reader, (size_t)_i, &view, NULL));
    feed_check(view, 60, (size_t)_i);
    ck_assert(_i == 0 || view.data == data);
    ck_assert_uint_eq(feed_stats(reader).copied_crossing, 60);
}
END_TEST

/* Crossing: exactly the bytes asked for are copied, once. */
START_TEST(crossing_is_counted)
{
    struct trib_reader_stats stats;

    feed_pattern(reader, 0, 100, 50);
    by_take(0, 10);
    by_take(10, 60);
    stats = feed_stats(reader);
    ck_assert_uint_eq(stats.copied_crossing, 60);
    ck_assert_uint_eq(stats.copies, 1);
    by_take(70, 30); /* the rest of the second chunk lies where it lay */
    ck_assert_uint_eq(feed_stats(reader).copied_crossing, 60);
    ck_assert_uint_eq(feed_stats(reader).copied_aligning, 0);
    feed_pattern(reader, 100, 100, 1);
    by_peek(100, 100);
    ck_assert_uint_eq(feed_stats(reader).copied_crossing, 60 + 34 + 68 + 100); /* each of the peeks that grew */
}
END_TEST

START_TEST(aligning_is_counted)
{
    struct trib_chunk *chunk = feed_chunk(0, 256);
    const uint8_t *data = trib_chunk_data(chunk);
    struct trib_view view;

    ck_ok(trib_reader_feed(reader, chunk, TRIB_NOWAIT, NULL));
    ck_ok(trib_reader_take_aligned(reader, 64, 64, &view, NULL)); /* blocks begin on such a boundary */
    ck_assert_ptr_eq(view.data, data);
    no_copies();
    by_take(64, 1);
    by_take_aligned(65, 100);
    ck_assert_uint_eq(feed_stats(reader).copied_aligning, 100);
    ck_assert_uint_eq(feed_stats(reader).copied_crossing, 0);
    by_take(165, 91);
    ck_assert_uint_eq(feed_stats(reader).copies, 1);
}
END_TEST

START_TEST(read_into_is_counted)
{
    feed_pattern(reader, 0, 100, 9);
    by_read_into(0, 70);
    ck_assert_uint_eq(feed_stats(reader).copied_into, 70);
    ck_assert_uint_eq(feed_stats(reader).copies, 1);
    ck_assert_uint_eq(feed_stats(reader).copied_crossing, 0);
    by_read_into(70, 0);
    ck_assert_uint_eq(feed_stats(reader).copies, 1);
}
END_TEST

START_TEST(vector_and_skip_copy_nothing)
{
    feed_pattern(reader, 0, 300, 7);
    by_take_vector(0, 100);
    by_skip(100, 100);
    by_take_some(200, 100);
    no_copies();
}
END_TEST

static const size_t bad_aligns[] = { 0, 3, 48, 8192, SIZE_MAX };

START_TEST(bad_alignment)
{
    struct trib_view view;

    feed_pattern(reader, 0, 10, 0);
    ck_assert_int_eq(trib_reader_take_aligned(reader, 1, bad_aligns[_i], &view, &err), TRIB_ERR_USAGE);
    by_take(0, 10);
}
END_TEST

/* ---- Zero, much, views ---- */

START_TEST(zero_bytes_at_once)
{
    struct trib_view view = { NULL, 9, NULL };
    size_t count = 9;
    uint8_t nothing;

    trib_reader_set_deadline(reader, TRIB_FOREVER);
    for (int round = 0; round < 2; round++) {
        ck_ok(trib_reader_take(reader, 0, &view, &err));
        ck_assert_uint_eq(view.len, 0);
        ck_ok(trib_reader_peek(reader, 0, &view, &err));
        ck_ok(trib_reader_take_aligned(reader, 0, 64, &view, &err));
        ck_ok(trib_reader_take_some(reader, 0, &view, &err));
        ck_ok(trib_reader_take_vector(reader, 0, &view, 0, &count, &err));
        ck_assert_uint_eq(count, 0);
        ck_ok(trib_reader_skip(reader, 0, NULL, &err));
        ck_ok(trib_reader_read_into(reader, &nothing, 0, &err));
        view = trib_view_retain(view);
        trib_view_release(&view);
        feed_finish(reader);
    }
    ck_assert_uint_eq(feed_stats(reader).takes, 0);
}
END_TEST

START_TEST(retained_views_last)
{
    struct trib_view views[30];

    feed_pattern(reader, 0, LENGTH, 17);
    for (size_t i = 0; i < 30; i++) {
        ck_ok(trib_reader_take(reader, 10, &views[i], NULL));
        views[i] = trib_view_retain(views[i]);
    }
    trib_reader_free(reader);
    for (size_t i = 0; i < 30; i++) {
        feed_check(views[i], i * 10, 10);
        trib_view_release(&views[i]);
    }
    reader = NULL;
}
END_TEST

START_TEST(vector_of_too_many)
{
    struct trib_view views[5];
    size_t count = 77;

    feed_pattern(reader, 0, 50, 10);
    by_take(0, 5);
    ck_assert_int_eq(trib_reader_take_vector(reader, 45, views, 4, &count, &err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.wanted, 5);
    ck_assert_uint_eq(err.got, 4);
    ck_assert_uint_eq(count, 77);
    ck_ok(trib_reader_take_vector(reader, 45, views, 5, &count, &err));
    ck_assert_uint_eq(count, 5);
    ck_assert_uint_eq(views[0].len, 5);
    feed_pattern(reader, 50, 10, 0);
    by_take_vector(50, 10);
}
END_TEST

START_TEST(take_all)
{
    struct trib_view view;

    feed_pattern(reader, 0, LENGTH, 11);
    by_take(0, 1);
    ck_assert_int_eq(trib_reader_take_all(reader, 298, &view, &err), TRIB_ERR_LIMIT);
    ck_assert_uint_gt(err.wanted, 298);
    ck_assert_uint_eq(err.got, 298);
    ck_assert_int_eq(trib_reader_take_all(reader, SIZE_MAX, &view, &err), TRIB_AGAIN);
    feed_finish(reader);
    ck_assert_int_eq(trib_reader_take_all(reader, 298, &view, &err), TRIB_ERR_LIMIT);
    ck_ok(trib_reader_take_all(reader, 299, &view, &err));
    feed_check(view, 1, 299);
    ck_ok(trib_reader_take_all(reader, 0, &view, &err));
    ck_assert_uint_eq(view.len, 0);
}
END_TEST

START_TEST(messages_are_unsupported)
{
    struct trib_view view;

    feed_pattern(reader, 0, 10, 0);
    ck_assert_int_eq(trib_reader_take_message(reader, 100, &view, &err), TRIB_ERR_UNSUPPORTED);
    ck_assert(!trib_reader_at_mark(reader));
    by_take(0, 10);
}
END_TEST

START_TEST(cancelled)
{
    struct trib_view view, views[1];
    uint8_t buf[1];
    uint16_t number;
    size_t count;

    feed_pattern(reader, 0, 100, 0);
    by_take(0, 10);
    trib_reader_cancel(reader);
    ck_assert_int_eq(trib_reader_take(reader, 1, &view, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_take(reader, 0, &view, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_take_aligned(reader, 1, 1, &view, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_take_some(reader, 1, &view, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_take_vector(reader, 1, views, 1, &count, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_take_all(reader, 1, &view, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_peek(reader, 1, &view, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_skip(reader, 1, NULL, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_read_into(reader, buf, 1, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_le16(reader, &number, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_bytes_le32(reader, 5, &view, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_take_message(reader, 5, &view, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_limit_push(reader, 5, &err), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_reader_limit_pop(reader, &err), TRIB_ERR_CANCELLED);
    ck_assert_uint_eq(trib_reader_position(reader), 10);
    trib_reader_finished(reader);
    trib_reader_available(reader);
}
END_TEST

/* ---- No memory ---- */

static int retried;

/* Whatever allocation fails: the call says so, the second try works, and every byte is there. */
static int take_with_retry(struct trib_reader *r, size_t n, int kind, struct trib_view *ret_view, struct trib_error *e)
{
    struct trib_view views[64];
    uint8_t buf[LENGTH];
    size_t count;
    int rc = TRIB_ERR_NOMEM;

    for (int i = 0; i < 2 && rc == TRIB_ERR_NOMEM; i++) {
        retried += i;
        rc = kind == 0   ? trib_reader_take(r, n, ret_view, e)
             : kind == 1 ? trib_reader_take_aligned(r, n, 4096, ret_view, e)
             : kind == 2 ? trib_reader_take_vector(r, n, views, 64, &count, e)
             : kind == 3 ? trib_reader_take_some(r, n, ret_view, e)
                         : trib_reader_read_into(r, buf, n, e);
    }
    if (rc == TRIB_OK && kind == 4)
        ck_assert_uint_eq(buf[n - 1], feed_byte(trib_reader_position(r) - 1));
    return rc;
}

static int take_everything(void *arg, struct trib_error *e)
{
    struct trib_reader *r = NULL;
    struct trib_view view = { NULL, 0, NULL };
    int kind = *(int *)arg, rc = trib_reader_new(NULL, &r, e);

    for (size_t i = 0; rc == TRIB_OK && i < 50; i++) {
        struct trib_chunk *chunk = NULL;
        rc = trib_chunk_new(10, 1, &chunk, e);
        for (size_t j = 0; rc == TRIB_OK && j < 10; j++)
            trib_chunk_writable(chunk)[j] = feed_byte(i * 10 + j);
        if (rc == TRIB_OK) {
            rc = trib_reader_feed(r, chunk, TRIB_NOWAIT, e);
            if (rc == TRIB_ERR_NOMEM)
                rc = trib_reader_feed(r, chunk, TRIB_NOWAIT, e);
        }
    }
    while (rc == TRIB_OK && trib_reader_position(r) < 490) {
        uint64_t position = trib_reader_position(r);
        rc = take_with_retry(r, 49, kind, &view, e);
        if (rc == TRIB_OK && (kind < 2 || kind == 3))
            feed_check(view, position, view.len);
    }
    if (rc == TRIB_OK)
        ck_assert_uint_ge(trib_reader_position(r), 490);
    trib_reader_free(r);
    return rc;
}

START_TEST(every_allocation_fails)
{
    int kind = _i;

    retried = 0;
    fail_alloc_every(take_everything, &kind);
    if (kind == 3)
        ck_assert_int_eq(retried, 0); /* what has come in one piece takes no memory */
    else
        ck_assert_int_gt(retried, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reader_take");
    TCase *tc = tcase_create("take");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, every_split, 0, KINDS);
    tcase_add_loop_test(tc, small_chunks, 0, KINDS);
    tcase_add_loop_test(tc, again_at_every_split, 0, KINDS);
    tcase_add_loop_test(tc, short_at_every_split, 0, 2);
    tcase_add_test(tc, inside_a_chunk_nothing_is_copied);
    tcase_add_loop_test(tc, after_an_unfinished_take, 0, 50);
    tcase_add_test(tc, crossing_is_counted);
    tcase_add_test(tc, aligning_is_counted);
    tcase_add_test(tc, read_into_is_counted);
    tcase_add_test(tc, vector_and_skip_copy_nothing);
    tcase_add_loop_test(tc, bad_alignment, 0, (int)(sizeof(bad_aligns) / sizeof(bad_aligns[0])));
    tcase_add_test(tc, zero_bytes_at_once);
    tcase_add_test(tc, retained_views_last);
    tcase_add_test(tc, vector_of_too_many);
    tcase_add_test(tc, take_all);
    tcase_add_test(tc, messages_are_unsupported);
    tcase_add_test(tc, cancelled);
    suite_add_tcase(s, tc);
    tc = tcase_create("memory");
    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_add_loop_test(tc, every_allocation_fails, 0, 5);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
