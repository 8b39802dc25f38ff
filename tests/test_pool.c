/* The block pool: what is kept, for how long, and what is given back. */
#include <tributary/chunk.h>
#include <tributary/reader.h>
#include <tributary/transports.h>

#include "lib/chunk-internal.h"
#include "tests/support/balance.h"
#include "tests/support/feed.h"
#include "tests/support/resident.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct trib_pool_stats stats_now(void)
{
    struct trib_pool_stats stats;

    memset(&stats, 0, sizeof(stats));
    stats.size = sizeof(stats);
    trib_pool_stats(&stats);
    return stats;
}

static void configure(size_t keep_bytes, int64_t keep_ms)
{
    struct trib_pool_options options = { sizeof(options), keep_bytes, keep_ms };

    trib_pool_configure(&options);
}

static struct trib_chunk *chunk_of(size_t len)
{
    struct trib_chunk *chunk;

    ck_ok(trib_chunk_new(len, 1, &chunk, NULL));
    return chunk;
}

static void setup(void)
{
    trib_pool_trim();
    configure((size_t)64 << 20, 60000);
}

static void teardown(void)
{
    ck_assert_uint_eq(stats_now().used_bytes, 0);
    trib_pool_trim();
    ck_assert_uint_eq(stats_now().idle_bytes, 0);
}

/* Four classes to each doubling, from 256 bytes to 32 MiB: around every boundary, a block holds its bytes with at most a quarter
 * of slack. */
START_TEST(classes)
{
    for (size_t base = 256; base < (size_t)32 << 20; base *= 2)
        for (size_t quarter = 0; quarter < 4; quarter++) {
            size_t edge = base + base / 4 * quarter;
            ck_assert_uint_eq(tribi_pool_block_size(edge), edge);
            ck_assert_uint_eq(tribi_pool_block_size(edge - 1), edge);
            ck_assert_uint_eq(tribi_pool_block_size(edge + 1), edge + base / 4);
        }
    ck_assert_uint_eq(tribi_pool_block_size(0), 256);
    ck_assert_uint_eq(tribi_pool_block_size(1), 256);
    ck_assert_uint_eq(tribi_pool_block_size((size_t)32 << 20), (size_t)32 << 20);
    ck_assert_uint_eq(tribi_pool_block_size(((size_t)32 << 20) + 1), 0);
}
END_TEST

/* Every class, with bytes written to both ends of every length around its boundary. */
START_TEST(blocks_hold_their_bytes)
{
    for (size_t base = 256; base <= (size_t)32 << 20; base *= 2)
        for (int delta = -65; delta <= 65; delta += 13) {
            size_t len = (size_t)((int64_t)base + delta);
            struct trib_chunk *chunk = chunk_of(len);
            uint8_t *bytes = trib_chunk_writable(chunk);
            bytes[0] = bytes[len - 1] = 1;
            ck_assert_uint_ge(stats_now().used_bytes, len);
            ck_assert_uint_le(stats_now().used_bytes, len + len / 4 + 4096);
            trib_chunk_unref(chunk);
        }
}
END_TEST

START_TEST(reuse)
{
    struct trib_chunk *chunk = chunk_of(1000);
    const uint8_t *data = trib_chunk_data(chunk);
    struct trib_pool_stats before = stats_now(), after;

    trib_chunk_unref(chunk);
    ck_assert_uint_ge(stats_now().idle_bytes, 1000);
    chunk = chunk_of(990);
    after = stats_now();
    ck_assert_ptr_eq(trib_chunk_data(chunk), data);
    ck_assert_uint_eq(after.blocks_new, before.blocks_new);
    ck_assert_uint_eq(after.blocks_reused, before.blocks_reused + 1);
    ck_assert_uint_eq(after.idle_bytes, 0);
    ck_assert_uint_eq(trib_chunk_len(chunk), 990);
    trib_chunk_unref(chunk);
}
END_TEST

/* A block that was used at one alignment serves another. */
START_TEST(reuse_at_another_alignment)
{
    struct trib_chunk *chunk;

    for (size_t align = 1; align <= 4096; align *= 2) {
        ck_ok(trib_chunk_new(100, align, &chunk, NULL));
        ck_assert_uint_eq((uintptr_t)trib_chunk_data(chunk) % align, 0);
        memset(trib_chunk_writable(chunk), 1, 100);
        trib_chunk_unref(chunk);
    }
}
END_TEST

START_TEST(keep_bytes)
{
    struct trib_chunk *a = chunk_of(60000), *b = chunk_of(60000);
    size_t each = (size_t)stats_now().used_bytes / 2;

    configure(each, 60000);
    trib_chunk_unref(a);
    ck_assert_uint_eq(stats_now().idle_bytes, each);
    trib_chunk_unref(b); /* above the mark: given back at once */
    ck_assert_uint_eq(stats_now().idle_bytes, each);
    configure(each - 1, 60000); /* what is too much now goes now */
    ck_assert_uint_eq(stats_now().idle_bytes, 0);
    configure(0, 60000);
    trib_chunk_unref(chunk_of(100));
    ck_assert_uint_eq(stats_now().idle_bytes, 0);
    configure(SIZE_MAX, INT64_MAX);
    trib_chunk_unref(chunk_of(100));
    ck_assert_uint_gt(stats_now().idle_bytes, 0);
}
END_TEST

START_TEST(defaults)
{
    struct trib_pool_options only_size = { sizeof(size_t), 0, 0 };

    configure(0, 0);
    trib_pool_configure(&only_size); /* what the caller's struct does not reach has its default */
    trib_chunk_unref(chunk_of(100));
    ck_assert_uint_gt(stats_now().idle_bytes, 0);
    configure(0, 0);
    trib_pool_configure(NULL);
    trib_chunk_unref(chunk_of(100));
    ck_assert_uint_gt(stats_now().idle_bytes, 0);
}
END_TEST

START_TEST(idle_blocks_go_back)
{
    const struct timespec moment = { 0, 5000000 };

    configure((size_t)64 << 20, 1);
    trib_chunk_unref(chunk_of(100000));
    for (int i = 0; i < 400 && stats_now().idle_bytes >= 100000; i++) { /* until the clock has moved on */
        nanosleep(&moment, NULL);
        trib_chunk_unref(chunk_of(100));
    }
    ck_assert_uint_lt(stats_now().idle_bytes, 100000);
}
END_TEST

START_TEST(trim)
{
    struct trib_chunk *held = chunk_of(5000);

    for (size_t len = 1; len <= (size_t)4 << 20; len *= 4)
        trib_chunk_unref(chunk_of(len));
    ck_assert_uint_gt(stats_now().idle_bytes, (size_t)4 << 20);
    trib_pool_trim();
    ck_assert_uint_eq(stats_now().idle_bytes, 0);
    memset(trib_chunk_writable(held), 1, 5000);
    trib_chunk_unref(held);
}
END_TEST

/* The largest go first, and only as many as it takes. */
START_TEST(shrink)
{
    static const size_t sizes[] = { 4096, 1 << 20, 2 << 20 };
    struct trib_chunk *chunks[3];

    for (size_t i = 0; i < 3; i++)
        chunks[i] = chunk_of(sizes[i]);
    for (size_t i = 0; i < 3; i++)
        trib_chunk_unref(chunks[i]);
    trib_pool_shrink((size_t)4 << 20);
    ck_assert_uint_gt(stats_now().idle_bytes, (size_t)3 << 20);
    trib_pool_shrink((size_t)2 << 20);
    ck_assert_uint_ge(stats_now().idle_bytes, ((size_t)1 << 20) + 4096);
    ck_assert_uint_le(stats_now().idle_bytes, (size_t)2 << 20);
    trib_pool_shrink(0);
    ck_assert_uint_eq(stats_now().idle_bytes, 0);
}
END_TEST

/* Nearly all goes back with the last channel, and with the last fed reader, whichever is later. */
START_TEST(last_channel)
{
    struct trib_channel *a, *b;
    struct trib_reader *reader;

    ck_assert_int_eq(trib_chunk_pair(NULL, &a, &b, NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_new(NULL, &reader, NULL), TRIB_OK);
    trib_chunk_unref(chunk_of((size_t)16 << 20));
    trib_channel_free(_i == 0 ? a : b);
    trib_channel_free(_i == 0 ? b : a);
    ck_assert_uint_ge(stats_now().idle_bytes, (size_t)16 << 20);
    trib_reader_free(reader);
    ck_assert_uint_le(stats_now().idle_bytes, (size_t)4 << 20);
}
END_TEST

START_TEST(larger_than_classes_is_not_kept)
{
    struct trib_chunk *chunk = chunk_of(((size_t)32 << 20) + 1);

    trib_chunk_writable(chunk)[(size_t)32 << 20] = 1;
    trib_chunk_unref(chunk);
    ck_assert_uint_eq(stats_now().idle_bytes, 0);
}
END_TEST

/* ---- Where the memory comes from ---- */

static struct {
    size_t largest, live;
} seen;

static void *watch_allocate(void *arg, size_t size)
{
    (void)arg;
    seen.live++;
    if (size > seen.largest)
        seen.largest = size;
    return malloc(size);
}

static void watch_release(void *arg, void *memory)
{
    (void)arg;
    seen.live--;
    free(memory);
}

START_TEST(large_blocks_are_mapped)
{
    struct trib_allocator allocator = { sizeof(allocator), watch_allocate, watch_release, NULL, _i != 0 };

    memset(&seen, 0, sizeof(seen));
    trib_chunk_unref(chunk_of(777)); /* idle: belongs to the allocator before */
    trib_set_allocator(&allocator);
    ck_assert_uint_eq(stats_now().idle_bytes, 0);
    trib_chunk_unref(chunk_of((size_t)1 << 20));
    trib_chunk_unref(chunk_of((size_t)40 << 20));
    if (_i != 0)
        ck_assert_uint_lt(seen.largest, 4096);
    else
        ck_assert_uint_ge(seen.largest, (size_t)40 << 20);
    trib_chunk_unref(chunk_of(777));
    trib_set_allocator(NULL); /* takes back what is idle */
    ck_assert_uint_eq(seen.live, 0);
}
END_TEST

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* From blocks of all sizes, in other threads too, the system has its memory back, whatever was allocated behind them meanwhile. */
static void *fill(void *arg)
{
    static const size_t sizes[] = { 4096, 16384, 65536, 200000, 1 << 20 };
    struct trib_chunk **chunks = arg;

    for (size_t i = 0; i < 1000; i++) {
        chunks[i] = chunk_of(sizes[i % 5]);
        memset(trib_chunk_writable(chunks[i]), 1, sizes[i % 5]);
    }
    return NULL;
}

START_TEST(trim_gives_memory_to_the_system)
{
    static struct trib_chunk *chunks[2][1000];
    long before = resident_kib(), full;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, fill, chunks[1]), 0);
    fill(chunks[0]);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    full = resident_kib();
    ck_assert_int_gt(full, before + (400 << 10));
    for (size_t i = 0; i < 1000; i++) {
        trib_chunk_unref(chunks[0][i]);
        trib_chunk_unref(chunks[1][i]);
    }
    trib_pool_trim();
    ck_assert_msg(resident_kib() < before + (8 << 10), "%ld KiB at first, %ld KiB in use, %ld KiB now", before, full, resident_kib());
}
END_TEST
#endif

START_TEST(short_stats)
{
    struct trib_pool_stats stats;

    memset(&stats, 0xee, sizeof(stats));
    stats.size = offsetof(struct trib_pool_stats, idle_bytes);
    trib_pool_stats(&stats);
    ck_assert_uint_eq(stats.used_bytes, 0);
    ck_assert_uint_eq(stats.idle_bytes, UINT64_C(0xeeeeeeeeeeeeeeee));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("pool");
    TCase *tc = tcase_create("pool");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, classes);
    tcase_add_test(tc, blocks_hold_their_bytes);
    tcase_add_test(tc, reuse);
    tcase_add_test(tc, reuse_at_another_alignment);
    tcase_add_test(tc, keep_bytes);
    tcase_add_test(tc, defaults);
    tcase_add_test(tc, idle_blocks_go_back);
    tcase_add_test(tc, trim);
    tcase_add_test(tc, shrink);
    tcase_add_loop_test(tc, last_channel, 0, 2);
    tcase_add_test(tc, larger_than_classes_is_not_kept);
    tcase_add_loop_test(tc, large_blocks_are_mapped, 0, 2);
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (getenv("TRIB_PLAIN_MALLOC") == NULL) /* under valgrind, whose malloc() keeps it */
        tcase_add_test(tc, trim_gives_memory_to_the_system);
#endif
    tcase_add_test(tc, short_stats);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
