/* Chunks and views: who holds the bytes, and when they are let go. */
#include <tributary/chunk.h>

#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/feed.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 20000 };

struct released {
    atomic_int times;
    const void *data;
    size_t len;
};

static void count_release(void *arg, const void *data, size_t len)
{
    struct released *released = arg;

    atomic_fetch_add(&released->times, 1);
    released->data = data;
    released->len = len;
}

/* ---- New ---- */

static const size_t lengths[] = { 0,    1,     63,    64,     65,      255,     256,          257,     4095,
                                  4096, 65535, 65536, 1 << 20, (1 << 20) - 1, (1 << 20) + 1, 3000000 };

START_TEST(new_has_length_and_alignment)
{
    size_t len = lengths[_i];

    for (size_t align = 0; align <= 4096; align = align == 0 ? 1 : align * 2) {
        struct trib_chunk *chunk;
        ck_ok(trib_chunk_new(len, align, &chunk, NULL));
        ck_assert_uint_eq(trib_chunk_len(chunk), len);
        ck_assert_ptr_nonnull(trib_chunk_data(chunk));
        if (align > 1)
            ck_assert_uint_eq((uintptr_t)trib_chunk_data(chunk) & (align - 1), 0);
        ck_assert_ptr_eq(trib_chunk_writable(chunk), trib_chunk_data(chunk));
        memset(trib_chunk_writable(chunk), 0xa5, len);
        ck_assert_ptr_null(trib_chunk_unref(chunk));
    }
}
END_TEST

static const size_t bad_aligns[] = { 3, 6, 100, 4097, 8192, SIZE_MAX };

START_TEST(bad_alignment)
{
    struct trib_chunk *chunk = (void *)1;
    struct trib_error err;

    ck_assert_int_eq(trib_chunk_new(10, bad_aligns[_i], &chunk, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(err.code, TRIB_ERR_USAGE);
    ck_assert_ptr_eq(chunk, (void *)1);
}
END_TEST

static const size_t vast[] = { SIZE_MAX, SIZE_MAX - 64, SIZE_MAX / 2 + 1, SIZE_MAX / 2 };

START_TEST(more_than_there_is)
{
    struct trib_chunk *chunk = NULL;
    struct trib_error err;

    ck_assert_int_eq(trib_chunk_new(vast[_i], 1, &chunk, &err), TRIB_ERR_NOMEM);
    ck_assert_ptr_null(chunk);
    ck_assert_ptr_nonnull(strstr(err.message, "allocate"));
}
END_TEST

START_TEST(copy)
{
    uint8_t bytes[] = "not the same memory";
    struct trib_chunk *chunk;

    ck_ok(trib_chunk_copy(bytes, sizeof(bytes), &chunk, NULL));
    bytes[0] = 'X';
    ck_assert_str_eq((const char *)trib_chunk_data(chunk), "not the same memory");
    trib_chunk_unref(chunk);
    ck_ok(trib_chunk_copy(NULL, 0, &chunk, NULL));
    ck_assert_uint_eq(trib_chunk_len(chunk), 0);
    trib_chunk_unref(chunk);
    ck_assert_int_eq(trib_chunk_copy(NULL, 1, &chunk, NULL), TRIB_ERR_USAGE);
}
END_TEST

START_TEST(null_references)
{
    struct trib_view view = { (const uint8_t *)"ab", 2, NULL };

    ck_assert_ptr_null(trib_chunk_ref(NULL));
    ck_assert_ptr_null(trib_chunk_unref(NULL));
    view = trib_view_retain(view);
    ck_assert_uint_eq(view.len, 2);
    trib_view_release(&view);
    ck_assert_ptr_null(view.data);
    ck_assert_uint_eq(view.len, 0);
    trib_view_release(&view);
}
END_TEST

/* ---- Wrap ---- */

START_TEST(wrap_releases_once_at_the_last)
{
    static const char memory[] = "foreign";
    struct released released = { 0 };
    struct trib_chunk *chunk, *sub, *sub_of_sub;
    struct trib_view view;

    ck_ok(trib_chunk_wrap(memory, 7, count_release, &released, &chunk, NULL));
    ck_assert_ptr_eq(trib_chunk_data(chunk), memory);
    ck_assert_ptr_null(trib_chunk_writable(chunk));
    ck_ok(trib_chunk_sub(chunk, 1, 5, &sub, NULL));
    ck_ok(trib_chunk_sub(sub, 1, 3, &sub_of_sub, NULL));
    ck_assert_ptr_eq(trib_chunk_data(sub_of_sub), memory + 2);
    view = trib_view_retain(trib_chunk_view(sub_of_sub));
    trib_chunk_unref(chunk);
    trib_chunk_unref(sub);
    trib_chunk_unref(sub_of_sub);
    ck_assert_int_eq(released.times, 0);
    ck_assert_int_eq(memcmp(view.data, "rei", 3), 0);
    trib_view_release(&view);
    ck_assert_int_eq(released.times, 1);
    ck_assert_ptr_eq(released.data, memory);
    ck_assert_uint_eq(released.len, 7);
    trib_view_release(&view);
    ck_assert_int_eq(released.times, 1);
}
END_TEST

START_TEST(wrap_without_release_and_empty)
{
    struct released released = { 0 };
    struct trib_chunk *chunk, *sub;

    ck_ok(trib_chunk_wrap("lasts", 5, NULL, NULL, &chunk, NULL));
    trib_chunk_unref(chunk);
    ck_ok(trib_chunk_wrap(NULL, 0, count_release, &released, &chunk, NULL));
    ck_ok(trib_chunk_sub(chunk, 0, 0, &sub, NULL));
    trib_chunk_unref(chunk);
    trib_chunk_unref(sub);
    ck_assert_int_eq(released.times, 1);
    ck_assert_int_eq(trib_chunk_wrap(NULL, 1, count_release, &released, &chunk, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(released.times, 1);
}
END_TEST

/* ---- Sub ---- */

static const struct {
    size_t offset, len;
    int code;
} ranges[] = {
    { 0, 0, TRIB_OK },
    { 0, 10, TRIB_OK },
    { 10, 0, TRIB_OK },
    { 3, 7, TRIB_OK },
    { 0, 11, TRIB_ERR_USAGE },
    { 10, 1, TRIB_ERR_USAGE },
    { 11, 0, TRIB_ERR_USAGE },
    { 1, SIZE_MAX, TRIB_ERR_USAGE },
    { SIZE_MAX, 2, TRIB_ERR_USAGE },
    { SIZE_MAX, SIZE_MAX, TRIB_ERR_USAGE },
};

START_TEST(sub_range)
{
    struct trib_chunk *chunk = feed_chunk(0, 10), *sub = NULL;

    ck_assert_int_eq(trib_chunk_sub(chunk, ranges[_i].offset, ranges[_i].len, &sub, NULL), ranges[_i].code);
    if (sub != NULL) {
        ck_assert_ptr_eq(trib_chunk_data(sub), trib_chunk_data(chunk) + ranges[_i].offset);
        ck_assert_ptr_null(trib_chunk_writable(chunk));
        ck_assert_ptr_null(trib_chunk_writable(sub));
    }
    trib_chunk_unref(sub);
    ck_assert_ptr_nonnull(trib_chunk_writable(chunk));
    trib_chunk_unref(chunk);
}
END_TEST

/* Each of very many keeps the one before alive; the last one lets them all go, without a call for each on the stack. */
START_TEST(long_chain_of_subs)
{
    struct trib_chunk *chunk = feed_chunk(0, 10), *sub;

    for (int i = 0; i < 300000; i++) {
        ck_ok(trib_chunk_sub(chunk, 0, 10, &sub, NULL));
        trib_chunk_unref(chunk);
        chunk = sub;
    }
    feed_check(trib_chunk_view(chunk), 0, 10);
    trib_chunk_unref(chunk);
}
END_TEST

START_TEST(writable_only_alone)
{
    struct trib_chunk *chunk = feed_chunk(0, 10);
    struct trib_view view = trib_view_retain(trib_chunk_view(chunk));

    ck_assert_ptr_null(trib_chunk_writable(chunk));
    trib_view_release(&view);
    ck_assert_ptr_nonnull(trib_chunk_writable(chunk));
    trib_chunk_unref(chunk);
}
END_TEST

static const struct {
    size_t offset, len, at, got;
} cuts[] = {
    { 0, 10, 0, 10 }, { 0, 11, 0, 10 }, { 4, 3, 4, 3 },  { 4, 100, 4, 6 },
    { 10, 1, 10, 0 }, { 11, 1, 10, 0 }, { SIZE_MAX, SIZE_MAX, 10, 0 }, { 3, SIZE_MAX, 3, 7 },
};

START_TEST(view_sub)
{
    struct trib_chunk *chunk = feed_chunk(0, 10);
    struct trib_view view = trib_chunk_view(chunk), sub = trib_view_sub(view, cuts[_i].offset, cuts[_i].len);

    ck_assert_ptr_eq(sub.data, view.data + cuts[_i].at);
    ck_assert_uint_eq(sub.len, cuts[_i].got);
    ck_assert_ptr_eq(sub.holder, chunk);
    trib_chunk_unref(chunk);
    sub = trib_view_sub((struct trib_view){ NULL, 0, NULL }, 3, 3);
    ck_assert_uint_eq(sub.len, 0);
}
END_TEST

/* ---- Files ---- */

START_TEST(map_file)
{
    char path[] = "/tmp/tributary-test-XXXXXX";
    int fd = mkstemp(path);
    struct trib_chunk *chunk;
    struct trib_error err;

    ck_assert_int_ge(fd, 0);
    ck_ok(trib_chunk_map(path, &chunk, NULL));
    ck_assert_uint_eq(trib_chunk_len(chunk), 0);
    trib_chunk_unref(chunk);
    ck_assert_int_eq(write(fd, "mapped", 6), 6);
    close(fd);
    ck_ok(trib_chunk_map(path, &chunk, NULL));
    ck_assert_uint_eq(trib_chunk_len(chunk), 6);
    ck_assert_int_eq(memcmp(trib_chunk_data(chunk), "mapped", 6), 0);
    ck_assert_ptr_null(trib_chunk_writable(chunk));
    unlink(path);
    trib_chunk_unref(chunk);
    ck_assert_int_eq(trib_chunk_map(path, &chunk, &err), TRIB_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, path));
    ck_assert_int_ne(err.sys_errno, 0);
    ck_assert_int_eq(trib_chunk_map("/tmp", &chunk, &err), TRIB_ERR_IO);
}
END_TEST

/* ---- Threads ---- */

static void *use_chunk(void *arg)
{
    struct trib_chunk *chunk = arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct trib_chunk *sub;
        struct trib_view view = trib_view_retain(trib_chunk_view(chunk));
        ck_ok(trib_chunk_sub(chunk, (size_t)i % 8, 2, &sub, NULL));
        trib_view_release(&view);
        trib_chunk_unref(sub);
    }
    trib_chunk_unref(chunk); /* its own */
    return NULL;
}

START_TEST(references_across_threads)
{
    static const uint8_t memory[16];
    struct released released = { 0 };
    struct trib_chunk *chunk;
    pthread_t threads[THREADS];

    ck_ok(trib_chunk_wrap(memory, sizeof(memory), count_release, &released, &chunk, NULL));
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_chunk, trib_chunk_ref(chunk)), 0);
    trib_chunk_unref(chunk);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(released.times, 1);
}
END_TEST

/* ---- No memory ---- */

static int all_kinds(void *arg, struct trib_error *err)
{
    struct released *released = arg;
    struct trib_chunk *chunk = NULL, *sub = NULL, *wrapped = NULL, *copied = NULL;
    int rc;

    atomic_store(&released->times, 0);
    rc = trib_chunk_new(3000000, 4096, &chunk, err);
    if (rc == TRIB_OK)
        rc = trib_chunk_sub(chunk, 10, 10, &sub, err);
    if (rc == TRIB_OK)
        rc = trib_chunk_copy("abc", 3, &copied, err);
    if (rc == TRIB_OK)
        rc = trib_chunk_wrap("abc", 3, count_release, released, &wrapped, err);
    trib_chunk_unref(chunk);
    trib_chunk_unref(sub);
    trib_chunk_unref(copied);
    trib_chunk_unref(wrapped);
    ck_assert_int_eq(released->times, wrapped != NULL);
    return rc;
}

START_TEST(every_allocation_fails)
{
    struct released released = { 0 };

    ck_assert_uint_ge(fail_alloc_every(all_kinds, &released), 4);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

static Suite *suite(void)
{
    Suite *s = suite_create("chunk");
    TCase *tc = tcase_create("chunk");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, new_has_length_and_alignment, 0, COUNT(lengths));
    tcase_add_loop_test(tc, bad_alignment, 0, COUNT(bad_aligns));
    tcase_add_loop_test(tc, more_than_there_is, 0, COUNT(vast));
    tcase_add_test(tc, copy);
    tcase_add_test(tc, null_references);
    tcase_add_test(tc, wrap_releases_once_at_the_last);
    tcase_add_test(tc, wrap_without_release_and_empty);
    tcase_add_loop_test(tc, sub_range, 0, COUNT(ranges));
    tcase_add_test(tc, long_chain_of_subs);
    tcase_add_test(tc, writable_only_alone);
    tcase_add_loop_test(tc, view_sub, 0, COUNT(cuts));
    tcase_add_test(tc, map_file);
    tcase_add_test(tc, references_across_threads);
    tcase_add_test(tc, every_allocation_fails);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
