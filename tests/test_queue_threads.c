/* The queue and the fed reader between two threads, at random speeds: nothing lost, nothing twice, never both asleep. */
#include <tributary/queue.h>
#include <tributary/reader.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"
#include "tests/support/runner.h"

#include <check.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { TOTAL = 1 << 18, KEPT = 8 };

static const struct {
    size_t high, limit, chunk_max, take_max;
    uint32_t spin_us;
} shapes[] = {
    { 1 << 16, 1 << 20, 3000, 5000, 0 },    /* ordinary */
    { 100, 1 << 20, 50, 5000, 0 },          /* takes far above the high mark */
    { 1, 1 << 20, 200, 10, 0 },             /* one chunk at a time */
    { 4096, 1 << 20, 4096, 100, 0 },        /* every chunk fills it */
    { 1 << 20, 1 << 20, 3, 3, 0 },          /* tiny ones */
    { 2000, 1 << 20, 500, 700, 50 },        /* spinning */
};

struct race {
    struct trib_reader *reader;
    size_t chunk_max;
    uint64_t seed;
    bool use_hook;
    atomic_int room;
};

static void room(void *arg)
{
    atomic_store((atomic_int *)arg, 1);
}

/* Feeds without waiting: asks to be told of room, and yields until it is. */
static int feed_by_hook(struct race *race, struct trib_chunk *chunk)
{
    int rc;

    while ((rc = trib_reader_feed(race->reader, chunk, TRIB_NOWAIT, NULL)) == TRIB_AGAIN) {
        int64_t until = trib_deadline_ms(20000);
        atomic_store(&race->room, 0);
        ck_ok(trib_reader_on_room(race->reader, room, &race->room, NULL));
        while (atomic_load(&race->room) == 0 && trib_now() < until)
            sched_yield();
        ck_assert_int_eq(race->room, 1);
    }
    return rc;
}

static void produce(void *arg)
{
    struct race *race = arg;
    uint64_t position = 0, random = race->seed;

    while (position < TOTAL) {
        size_t len = 1 + feed_random(&random) % race->chunk_max;
        struct trib_chunk *chunk;
        if (len > TOTAL - position)
            len = TOTAL - position;
        chunk = feed_chunk(position, len);
        if (race->use_hook)
            ck_ok(feed_by_hook(race, chunk));
        else
            ck_ok(trib_reader_feed(race->reader, chunk, trib_deadline_ms(20000), NULL));
        position += len;
        if (feed_random(&random) % 64 == 0)
            sched_yield();
    }
    feed_finish(race->reader);
}

static void consume(struct trib_reader *reader, size_t take_max, uint64_t random)
{
    struct trib_view kept[KEPT] = { { NULL, 0, NULL } }, view;
    uint64_t at[KEPT] = { 0 }, position = 0;
    struct trib_error err;
    int rc;

    trib_reader_set_deadline(reader, trib_deadline_ms(30000));
    for (;;) {
        size_t n = 1 + feed_random(&random) % take_max, slot = feed_random(&random) % KEPT;
        uint64_t skipped = 0;
        rc = TRIB_OK;
        switch (feed_random(&random) % 4) {
        case 0: rc = trib_reader_skip(reader, n, &skipped, &err); break;
        case 1: rc = trib_reader_take_some(reader, n, &view, &err); break;
        default: rc = trib_reader_take(reader, n, &view, &err); break;
        }
        if (rc == TRIB_ERR_SHORT && skipped == 0)
            rc = trib_reader_take(reader, (size_t)err.got, &view, &err);
        if (rc == TRIB_EOF || skipped > 0) {
            position += skipped;
            if (rc == TRIB_EOF)
                break;
            continue;
        }
        ck_assert_msg(rc == TRIB_OK, "%s", err.message);
        feed_check(view, position, view.len);
        if (feed_random(&random) % 8 == 0) {
            trib_view_release(&kept[slot]);
            kept[slot] = trib_view_retain(view);
            at[slot] = position;
        }
        position += view.len;
    }
    ck_assert_uint_eq(position, TOTAL);
    for (int i = 0; i < KEPT; i++) {
        feed_check(kept[i], at[i], kept[i].len);
        trib_view_release(&kept[i]);
    }
}

START_TEST(random_speeds)
{
    struct race race = { .seed = (uint64_t)_i + 1, .use_hook = _i % 2 != 0, .chunk_max = shapes[_i / 2].chunk_max };
    struct runner runner;

    race.reader = feed_reader(shapes[_i / 2].high, shapes[_i / 2].limit);
    runner_start(&runner, produce, &race);
    consume(race.reader, shapes[_i / 2].take_max, (uint64_t)_i + 100);
    runner_join(&runner);
    trib_reader_free(race.reader);
}
END_TEST

/* ---- The bare queue ---- */

struct ends {
    struct trib_queue *queue;
    struct trib_budget *budget;
};

static void push_all(void *arg)
{
    struct ends *ends = arg;

    for (uint64_t i = 0; i < TOTAL / 2; i += 4) {
        struct trib_view view = trib_chunk_view(feed_chunk(i, 4));
        unsigned flags = (i % 64 == 0 ? TRIB_RECV_MARK : 0) | (i % 16 != 0 ? TRIB_QUEUE_MORE : 0);
        ck_ok(trib_queue_push(ends->queue, &view, flags, trib_deadline_ms(20000), NULL));
    }
    trib_queue_finish(ends->queue, TRIB_ERR_FAILED, "as said");
    trib_queue_unref(ends->queue);
}

START_TEST(marks_and_more)
{
    struct ends ends;
    struct runner runner;
    uint64_t position = 0;
    struct trib_error err;
    int rc = TRIB_OK;

    ck_ok(trib_budget_new(shapes[_i].high, shapes[_i].limit, &ends.budget, NULL));
    ck_ok(trib_queue_new(ends.budget, shapes[_i].spin_us, &ends.queue, NULL));
    trib_queue_ref(ends.queue);
    runner_start(&runner, push_all, &ends);
    while (rc == TRIB_OK) {
        struct trib_want want = { .size = sizeof(want), .min = 1, .align = 1, .budget = ends.budget };
        struct trib_view view;
        unsigned flags = 0;
        want.deadline = trib_deadline_ms(20000);
        rc = trib_queue_pop(ends.queue, &want, &view, &flags, &err);
        if (rc != TRIB_OK)
            break;
        feed_check(view, position, 4);
        ck_assert_uint_eq(flags, position % 64 == 0 ? TRIB_RECV_MARK : 0);
        position += view.len;
        trib_view_release(&view);
    }
    ck_assert_int_eq(rc, TRIB_ERR_FAILED);
    ck_assert_str_eq(err.message, "as said");
    ck_assert_uint_eq(position, TOTAL / 2);
    trib_queue_unref(ends.queue);
    runner_join(&runner);
    ck_assert_uint_eq(trib_budget_held(ends.budget), 0);
    trib_budget_unref(ends.budget);
}
END_TEST

/* Views are let go on a third thread while the producer sleeps. */
static void release_all(void *arg)
{
    struct trib_view *views = arg;

    for (int i = 0; i < 100; i++) {
        trib_view_release(&views[i]);
        sched_yield();
    }
}

START_TEST(released_on_a_third_thread)
{
    struct race race = { .chunk_max = 100, .seed = 5 };
    struct trib_view views[100];
    struct runner producer, releaser;
    uint64_t position = 0;

    race.reader = feed_reader(2000, 1 << 20);
    trib_reader_set_deadline(race.reader, trib_deadline_ms(30000));
    runner_start(&producer, produce, &race);
    for (int i = 0; i < 100; i++) {
        ck_ok(trib_reader_take_some(race.reader, SIZE_MAX, &views[i], NULL));
        feed_check(views[i], position, views[i].len);
        position += views[i].len;
        views[i] = trib_view_retain(views[i]);
    }
    runner_start(&releaser, release_all, views);
    for (struct trib_view view; trib_reader_take_some(race.reader, 64, &view, NULL) == TRIB_OK; position += view.len)
        feed_check(view, position, view.len);
    ck_assert_uint_eq(position, TOTAL);
    runner_join(&releaser);
    runner_join(&producer);
    trib_reader_free(race.reader);
}
END_TEST

enum { EXACT = 60, EXACT_TAKES = 30000 };

static void feed_exactly(void *arg)
{
    struct trib_reader *reader = arg;

    for (int i = 0; i < EXACT_TAKES; i++)
        ck_ok(trib_reader_feed(reader, feed_chunk((uint64_t)i * EXACT, EXACT), TRIB_FOREVER, NULL));
}

/* What is charged and on its way into the ring is not held by the consumer: who takes just what comes never meets the limit. */
START_TEST(exact_takes_at_the_limit)
{
    struct trib_reader *reader = feed_reader(100, 100);
    struct runner producer;
    struct trib_view view;
    struct trib_error err;

    runner_start(&producer, feed_exactly, reader);
    for (int i = 0; i < EXACT_TAKES; i++)
        ck_assert_msg(trib_reader_take(reader, EXACT, &view, &err) == TRIB_OK, "take %d: %s", i, err.message);
    runner_join(&producer);
    trib_reader_free(reader);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("queue_threads");
    TCase *tc = tcase_create("threads");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, random_speeds, 0, 2 * (int)(sizeof(shapes) / sizeof(shapes[0])));
    tcase_add_loop_test(tc, marks_and_more, 0, (int)(sizeof(shapes) / sizeof(shapes[0])));
    tcase_add_test(tc, released_on_a_third_thread);
    tcase_add_test(tc, exact_takes_at_the_limit);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
