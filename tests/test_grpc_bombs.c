/* What gzip that grows may cost, read in any way, or not at all; and metadata that does. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/grpc_talk.h"
#include "tests/support/grpc_zip.h"
#include "tests/support/resident.h"

#include <tributary/reader.h>

#include <check.h>
#include <stdatomic.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADERS = 1, END_STREAM = 1, END_HEADERS = 4, MIB = 1 << 20, FRAME = 16384 };

static struct trib_error err;
static uint8_t zeros[60 << 20];
static struct grpc_echo echo;

/* 60 MiB on each of many streams, which are read up to the limit, or not at all. */
START_TEST(test_bombs)
{
    const bool read = _i == 0;
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    static struct grpc_raw_frame frame;
    size_t len = grpc_zip(zeros, sizeof(zeros), 31);
    uint64_t before;
    int fd;

    ck_assert_uint_lt(len, 65530); /* within the first window */
    balance_setup();
    options.limit = MIB;
    options.budget = MIB;
    grpc_echo_start(&echo, &options);
    grpc_talk_expect_service(echo.address);
    before = pool_bytes();
    fd = grpc_raw_connect(echo.address);
    grpc_raw_preface();
    for (uint32_t i = 0; i < (read ? 50 : 8); i++) {
        grpc_zip_put_request(2 * i + 1, read ? "/test/Echo" : "/test/Deaf");
        grpc_zip_put_message(2 * i + 1, 1, grpc_zipped, len, FRAME);
        ck_assert(grpc_raw_send(fd));
        while (read && grpc_raw_until(fd, HEADERS, &frame) && (frame.flags & END_STREAM) == 0)
            ;
        if (i % 8 == 4)
            grpc_talk_expect_service(echo.address);
        ck_assert_uint_le(pool_bytes(), before + 4 * MIB);
    }
    grpc_talk_expect_service(echo.address);
    ck_assert_uint_le(pool_bytes(), before + 4 * MIB);
    close(fd);
    grpc_echo_stop(&echo);
    balance_teardown();
}
END_TEST

/* A reader that takes a little has no more than that, and some; one that takes all in pieces never more than its budget. */
START_TEST(test_bomb_in_pieces)
{
    struct trib_reader_stats stats = { .size = sizeof(stats) };
    struct trib_view view;
    uint64_t before, left = sizeof(zeros);
    int fd;

    grpc_zip_listen(MIB, (size_t)64 << 20);
    grpc_raw.len = 0;
    grpc_zip_put(1, zeros, sizeof(zeros));
    fd = grpc_zip_meet();
    before = pool_bytes();
    ck_assert(grpc_raw_send(fd));
    ck_assert_int_eq(trib_reader_take(grpc_zip_reader, 100, &view, &err), TRIB_OK);
    ck_assert_uint_le(pool_bytes(), before + MIB);
    for (left -= 100; left > 0; left -= view.len) {
        ck_assert_msg(trib_reader_take_some(grpc_zip_reader, SIZE_MAX, &view, &err) == TRIB_OK, "%s", err.message);
        ck_assert(view.len <= 65536 && memcmp(view.data, zeros, view.len) == 0);
    }
    ck_assert_uint_le(pool_bytes(), before + MIB);
    trib_reader_stats(grpc_zip_reader, &stats);
    ck_assert_uint_le(stats.peak_held, MIB);
    grpc_zip_part(fd);
    grpc_zip_listen_no_more();
}
END_TEST

/* One that keeps what it takes is told when that is too much. */
START_TEST(test_bomb_kept)
{
    static struct trib_view kept[8192];
    struct trib_view view;
    size_t count = 0, bytes = 0;
    int fd, rc;

    grpc_zip_listen(MIB, 4 * MIB);
    grpc_raw.len = 0;
    for (int i = 0; i < 5; i++)
        grpc_zip_put(1, zeros, MIB);
    fd = grpc_zip_meet();
    ck_assert(grpc_raw_send(fd));
    while ((rc = trib_reader_take_some(grpc_zip_reader, SIZE_MAX, &view, &err)) == TRIB_OK) {
        ck_assert_uint_lt(count, sizeof(kept) / sizeof(kept[0]));
        kept[count++] = trib_view_retain(view);
        bytes += view.len;
        ck_assert_uint_le(bytes, 4 * MIB);
    }
    ck_assert_msg(rc == TRIB_ERR_LIMIT && strstr(err.message, "release chunks") != NULL, "%s: %s", trib_code_name(rc), err.message);
    ck_assert_uint_ge(bytes, MIB);
    while (count > 0)
        trib_view_release(&kept[--count]);
    for (bytes = 5 * (size_t)MIB - bytes; bytes > 0; bytes -= view.len)
        ck_assert_msg(trib_reader_take_some(grpc_zip_reader, SIZE_MAX, &view, &err) == TRIB_OK, "%s", err.message);
    grpc_zip_part(fd);
    grpc_zip_listen_no_more();
}
END_TEST

/* ---- Metadata ------------------------------------------------------------------------------------------------------- */

static atomic_size_t live, peak;

struct counted {
    alignas(max_align_t) size_t len;
};

static void *count(void *arg, size_t size)
{
    struct counted *block = malloc(sizeof(*block) + size);
    size_t now = atomic_fetch_add(&live, size) + size, most = atomic_load(&peak);

    (void)arg;
    ck_assert_ptr_nonnull(block);
    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now))
        ;
    block->len = size;
    return block + 1;
}

static void discount(void *arg, void *memory)
{
    struct counted *block = (struct counted *)memory - 1;

    (void)arg;
    atomic_fetch_sub(&live, block->len);
    free(block);
}

static size_t put_length(uint8_t *to, size_t len)
{
    size_t n = 0;

    to[n++] = 127;
    for (len -= 127; len >= 128; len >>= 7)
        to[n++] = (uint8_t)(len | 128);
    to[n++] = (uint8_t)len;
    return n;
}

/* A request with a -bin header of a long name and as many empty values, which both sides' tables keep. */
static void put_commas(uint32_t stream, size_t name, size_t commas)
{
    static uint8_t block[8192];
    size_t n = grpc_raw_block(block, "/test/Deaf");

    block[n++] = 0x40;
    n += put_length(block + n, name);
    memset(block + n, 'a', name - 4);
    memcpy(block + n + name - 4, "-bin", 4);
    n += name;
    n += put_length(block + n, commas);
    memset(block + n, ',', commas);
    grpc_raw_frame(HEADERS, END_HEADERS, stream, block, n + commas);
}

/* The same, that header so many times, for one byte each. */
static void put_again(uint32_t stream, size_t times)
{
    uint8_t block[512 + 16];
    size_t n = grpc_raw_block(block, "/test/Deaf");

    memset(block + n, 0x80 | 62, times);
    grpc_raw_frame(HEADERS, END_HEADERS, stream, block, n + times);
}

/* Until as many have ended as were refused. */
static void expect_refusals(int fd, unsigned count_of_them)
{
    static struct grpc_raw_frame frame;
    unsigned seen = 0;

    while (seen < count_of_them) {
        ck_assert(grpc_raw_until(fd, HEADERS, &frame));
        seen += (frame.flags & END_STREAM) != 0;
    }
}

static int do_count_deaf(void *arg)
{
    return ((struct grpc_echo *)arg)->deaf_count;
}

static void until_deaf(unsigned calls)
{
    for (int i = 0; i < 2000 && grpc_echo_run(&echo, do_count_deaf, &echo) < (int)calls; i++)
        usleep(5000);
    ck_assert_int_eq(grpc_echo_run(&echo, do_count_deaf, &echo), (int)calls);
}

/* Values that cost a byte on their line, and lines that cost one: refused above the limit; what is within it is kept. */
START_TEST(test_metadata)
{
    static const struct trib_allocator allocator = { sizeof(allocator), count, discount, NULL, false };
    const bool refused = _i == 0;
    const unsigned streams = refused ? 64 : 8;
    size_t before;
    int fd;

    trib_set_allocator(&allocator);
    grpc_echo_start(&echo, NULL);
    grpc_talk_expect_service(echo.address);
    fd = grpc_raw_connect(echo.address);
    grpc_raw_preface();
    ck_assert(grpc_raw_send(fd));
    before = atomic_load(&live);
    atomic_store(&peak, before);
    put_commas(1, refused ? 1994 : 3000, refused ? 1990 : 400);
    for (uint32_t i = 1; i < streams; i++)
        refused ? put_again(2 * i + 1, 3) : put_commas(2 * i + 1, 3000, 400);
    ck_assert(grpc_raw_send(fd));
    if (refused)
        expect_refusals(fd, streams);
    else
        until_deaf(streams);
    ck_assert_uint_le(atomic_load(&peak), before + (refused ? 2 : 1) * MIB);
    grpc_talk_expect_service(echo.address);
    close(fd);
    grpc_echo_stop(&echo);
    trib_pool_trim();
    ck_assert_uint_eq(atomic_load(&live), 0);
    trib_set_allocator(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC's bombs");
    TCase *tcase = tcase_create("bombs");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_bombs, 0, 2);
    tcase_add_test(tcase, test_bomb_in_pieces);
    tcase_add_test(tcase, test_bomb_kept);
    tcase_add_loop_test(tcase, test_metadata, 0, 2);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
