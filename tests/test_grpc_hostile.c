/* Peers that mean harm, or are cut into any pieces: raw bytes written to a server, which stays within bounds and serves the others. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/grpc_talk.h"

#include <tributary/chunk.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct grpc_echo echo;
static struct trib_error err;

static void set_up(void)
{
    balance_setup();
    grpc_echo_start(&echo, NULL);
}

/* The server says GOAWAY with this code, and hangs up; -1: without a word. */
static void expect_goaway(int fd, int code)
{
    static struct grpc_raw_frame frame;
    struct pollfd polled = { .fd = fd, .events = POLLIN };
    int found = -1;

    while (grpc_raw_next(fd, &frame))
        if (frame.type == 7) {
            found = frame.payload[7];
            grpc_raw_frame(0, 1, 1, NULL, 0); /* libnghttp2's own GOAWAY lets the call go on that is open: it ends */
            grpc_raw_send(fd);
        }
    ck_assert_msg(found == code, "GOAWAY %d, not %d", found, code);
    ck_assert_msg(poll(&polled, 1, 0) == 1, "the server did not hang up");
    close(fd);
    grpc_talk_expect_service(echo.address);
}

/* What is in use: of the pool, and of the heap, in which the pool's smaller blocks lie. Others' allocators say nothing of theirs. */
static size_t memory(void)
{
    struct trib_pool_stats stats = { .size = sizeof(stats) };
#ifdef __GLIBC__
    struct mallinfo2 info = mallinfo2();
    size_t heap = info.uordblks + info.hblkhd;
#else
    size_t heap = 0;
#endif

    trib_pool_stats(&stats);
    return heap + stats.used_bytes;
}

/* ---- Every split point --------------------------------------------------------------------------------------------------- */

/* Whether a frame with END_STREAM is among what came. */
static bool has_end(const uint8_t *in, size_t len)
{
    for (size_t at = 0; at + 9 <= len; at += 9 + ((size_t)in[at] << 16 | (size_t)in[at + 1] << 8 | in[at + 2]))
        if (in[at + 8] == 1 && in[at + 3] <= 1 && (in[at + 4] & 1) != 0)
            return true;
    return false;
}

static size_t answer_to(size_t split, uint8_t *to, size_t room)
{
    int fd = grpc_raw_connect(echo.address);
    size_t len = 0, n = 1;

    ck_assert(grpc_raw_write(fd, grpc_raw.data, split));
    if (split < grpc_raw.len) {
        len = grpc_raw_read(fd, to, room, 0);
        ck_assert(grpc_raw_write(fd, grpc_raw.data + split, grpc_raw.len - split));
    }
    while (n > 0 && !has_end(to, len)) {
        struct pollfd polled = { .fd = fd, .events = POLLIN };

        n = poll(&polled, 1, 10000) > 0 ? grpc_raw_read(fd, to + len, room - len, 0) : 0;
        len += n;
    }
    close(fd);
    return len;
}

/* The same frames come back, whatever the pieces; acknowledgements may come earlier or later, so the frames of the stream are compared. */
static size_t stream_frames(const uint8_t *in, size_t len, uint8_t *to)
{
    size_t n = 0;

    for (size_t at = 0; at + 9 <= len;) {
        size_t frame = 9 + ((size_t)in[at] << 16 | (size_t)in[at + 1] << 8 | in[at + 2]);

        if (in[at + 8] != 0 && in[at + 3] != 8 && at + frame <= len) {
            memcpy(to + n, in + at, frame);
            n += frame;
        }
        at += frame;
    }
    return n;
}

START_TEST(test_every_split)
{
    static const uint8_t message[] = { 0, 0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o' };
    static uint8_t in[65536], whole[65536], parts[65536];
    size_t whole_len;

    grpc_raw_preface();
    grpc_raw_request(1, "/test/Echo", 0);
    grpc_raw_frame(0, 0, 1, message, 3); /* the prefix is cut as well */
    grpc_raw_frame(0, 1, 1, message + 3, sizeof(message) - 3);
    whole_len = stream_frames(in, answer_to(grpc_raw.len, in, sizeof(in)), whole);
    ck_assert_uint_gt(whole_len, 30);
    for (size_t split = 0; split < grpc_raw.len; split++) {
        size_t len = stream_frames(in, answer_to(split, in, sizeof(in)), parts);

        ck_assert_msg(len == whole_len && memcmp(parts, whole, len) == 0, "split at byte %zu", split);
    }
}
END_TEST

/* ---- Floods ---------------------------------------------------------------------------------------------------------------- */

enum { MEMORY_MAX = 8 << 20 }; /* that one hostile connection may cost */

/* Others are served in the midst of it. Returns whether the server took it all. */
static bool pour(int fd, void (*one)(uint32_t i), uint32_t count)
{
    size_t before = memory();
    bool taken = true;

    for (uint32_t i = 0; i < count && taken; i++) {
        one(i);
        if (grpc_raw.len > sizeof(grpc_raw.data) / 8 || i + 1 == count) {
            taken = grpc_raw_send(fd);
            ck_assert_uint_le(memory(), before + MEMORY_MAX);
        }
        if (i == count / 2)
            grpc_talk_expect_service(echo.address);
    }
    grpc_talk_expect_service(echo.address);
    ck_assert_uint_le(memory(), before + MEMORY_MAX);
    return taken;
}

static int open_echo(void)
{
    int fd = grpc_raw_connect(echo.address);

    grpc_raw_preface();
    grpc_raw_request(1, "/test/Echo", 0);
    return fd;
}

static void one_ping(uint32_t i)
{
    uint8_t payload[8] = { (uint8_t)i };

    grpc_raw_frame(6, 0, 0, payload, 8);
}

static void one_settings(uint32_t i)
{
    (void)i;
    grpc_raw_frame(4, 0, 0, NULL, 0);
}

static void one_empty_data(uint32_t i)
{
    (void)i;
    grpc_raw_frame(0, 0, 1, NULL, 0);
}

static void one_rapid_reset(uint32_t i)
{
    static const uint8_t cancel[4] = { 0, 0, 0, 8 };

    grpc_raw_request(3 + 2 * i, "/test/Echo", 0);
    grpc_raw_frame(3, 0, 3 + 2 * i, cancel, 4);
}

/* Only padding. */
static void one_padded_data(uint32_t i)
{
    static const uint8_t padding[10] = { 9 };

    (void)i;
    grpc_raw_frame(0, 8, 1, padding, sizeof(padding));
}

/* A message, a byte of it in each frame, that the handler waits for; */
static void one_trickle(uint32_t i)
{
    static const uint8_t prefix[5] = { 0, 1, 0, 0, 0 };

    grpc_raw_frame(0, 0, 1, i == 0 ? prefix : (const uint8_t *)"x", i == 0 ? sizeof(prefix) : 1);
}

/* and one that nobody reads. */
static void one_trickle_unread(uint32_t i)
{
    static const uint8_t prefix[5] = { 0, 1, 0, 0, 0 };

    if (i == 0)
        grpc_raw_request(3, "/test/Deaf", 0);
    grpc_raw_frame(0, 0, 3, i == 0 ? prefix : (const uint8_t *)"x", i == 0 ? sizeof(prefix) : 1);
}

static void one_priority(uint32_t i)
{
    static const uint8_t priority[5] = { 0, 0, 0, 0, 1 };

    grpc_raw_frame(2, 0, 5 + 2 * i, priority, sizeof(priority));
}

static void one_window(uint32_t i)
{
    static const uint8_t more[4] = { 0, 0, 0, 1 };

    grpc_raw_frame(8, 0, i % 2, more, sizeof(more));
}

static void one_of_no_kind(uint32_t i)
{
    static uint8_t nothing[1000];

    grpc_raw_frame(200, (uint8_t)i, i, nothing, sizeof(nothing));
}

static void one_unknown_method(uint32_t i)
{
    grpc_raw_request(3 + 2 * i, "/test/Nothing", 1);
}

static void one_refused(uint32_t i)
{
    uint8_t block[512];
    size_t n = grpc_raw_literal(block, ":method", "GET");

    n += grpc_raw_literal(block + n, ":scheme", "http");
    n += grpc_raw_literal(block + n, ":path", "/");
    n += grpc_raw_literal(block + n, ":authority", "x");
    grpc_raw_frame(1, 5, 3 + 2 * i, block, n);
}

static const struct {
    void (*one)(uint32_t i);
    uint32_t count;
    int code; /* of GOAWAY; -1: it is borne */
} floods[] = { { one_ping, 5000, 11 },      { one_settings, 5000, 11 }, { one_empty_data, 5000, 11 },    { one_padded_data, 5000, 11 },
               { one_rapid_reset, 5000, 2 }, { one_priority, 20000, -1 }, { one_window, 20000, -1 },     { one_of_no_kind, 20000, -1 },
               { one_unknown_method, 500, -1 }, { one_refused, 500, -1 },
               { one_trickle, 60000, -1 }, { one_trickle_unread, 60000, -1 } };

START_TEST(test_floods)
{
    int fd = open_echo();
    bool taken = pour(fd, floods[_i].one, floods[_i].count);

    if (floods[_i].code >= 0) {
        expect_goaway(fd, floods[_i].code);
        return;
    }
    ck_assert(taken);
    close(fd);
    grpc_talk_expect_service(echo.address);
}
END_TEST

/* Who does not even read what it is told is cut off. */
START_TEST(test_floods_unread)
{
    int fd = open_echo(), small = 4096;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (int i = 0; i < 1000 && pour(fd, floods[_i].one, floods[_i].count); i++)
        ;
    ck_assert(!grpc_raw_send(fd) || !pour(fd, floods[_i].one, floods[_i].count));
    close(fd);
}
END_TEST

START_TEST(test_continuation_flood)
{
    uint8_t block[512];
    size_t len = grpc_raw_block(block, "/test/Echo");
    int fd = grpc_raw_connect(echo.address);

    grpc_raw_preface();
    grpc_raw_frame(1, 0, 1, block, len);
    for (int i = 0; i < 1000; i++)
        grpc_raw_frame(9, 0, 1, "", 0);
    grpc_raw_send(fd);
    grpc_talk_expect_service(echo.address);
    expect_goaway(fd, -1);
}
END_TEST

static void put_header_list(uint32_t stream, size_t least)
{
    static uint8_t block[400000];
    size_t len = grpc_raw_block(block, "/test/Echo");
    char value[101];

    memset(value, 'v', 100);
    value[100] = '\0';
    while (len < least)
        len += grpc_raw_literal(block + len, "name", value);
    grpc_raw_frame(1, 0, stream, block, 16000);
    for (size_t at = 16000; at < len; at += 16000)
        grpc_raw_frame(9, at + 16000 >= len ? 4 : 0, stream, block + at, len - at < 16000 ? len - at : 16000);
}

/* Somewhat too long: an answer. Many times the limit: a reset. The connection goes on. */
START_TEST(test_header_list)
{
    static struct grpc_raw_frame frame;
    int fd = grpc_raw_connect(echo.address);

    grpc_raw_preface();
    put_header_list(1, _i == 0 ? 20000 : 100000);
    ck_assert(grpc_raw_send(fd));
    ck_assert(grpc_raw_until(fd, _i == 0 ? 1 : 3, &frame));
    ck_assert_uint_eq(frame.stream, 1);
    grpc_talk_expect_service(echo.address);
    grpc_raw_request(3, "/test/Echo", 1);
    ck_assert(grpc_raw_send(fd));
    while (frame.stream != 3)
        ck_assert(grpc_raw_until(fd, 1, &frame));
    close(fd);
}
END_TEST

/* The same by our own client: the answer has both numbers. */
START_TEST(test_header_list_answer)
{
    static char value[20000];
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_grpc_entry entry = { "name", value, sizeof(value) };
    struct trib_grpc_client *client = grpc_talk_connect(echo.address);
    struct trib_grpc_call *call;

    memset(value, 'v', sizeof(value));
    options.metadata = &entry;
    options.metadata_count = 1;
    ck_assert_int_eq(trib_grpc_call(client, "/test/Echo", &options, &call, &err), TRIB_OK);
    grpc_talk_expect_status(call, TRIB_GRPC_RESOURCE_EXHAUSTED, "the limit is 16384");
    grpc_talk_free(call);
    trib_grpc_client_free(client);
}
END_TEST

/* A window above 2^31 - 1, of the connection or of a stream, which alone is reset. */
START_TEST(test_window_overflow)
{
    static const uint8_t most[4] = { 0x7f, 0xff, 0xff, 0xff };
    static struct grpc_raw_frame frame;
    int fd = open_echo();

    grpc_raw_frame(8, 0, (uint32_t)_i, most, 4);
    ck_assert(grpc_raw_send(fd));
    if (_i == 0) {
        expect_goaway(fd, 3);
        return;
    }
    ck_assert(grpc_raw_until(fd, 3, &frame));
    ck_assert(frame.stream == 1 && frame.payload[3] == 3);
    close(fd);
}
END_TEST

/* DATA or HEADERS on a stream that the client has ended, with END_STREAM or RST_STREAM, in the same breath or when all of it has been handled. */
START_TEST(test_late_frames)
{
    static const uint8_t reason[4] = { 0, 0, 0, 8 }, ping[8] = "barrier";
    static struct grpc_raw_frame frame;
    bool reset = (_i & 1) != 0, apart = (_i & 2) != 0, headers = (_i & 4) != 0;
    int fd = grpc_raw_connect(echo.address);

    grpc_raw_preface();
    grpc_raw_request(1, "/test/Echo", reset ? 0 : 1);
    if (reset)
        grpc_raw_frame(3, 0, 1, reason, sizeof(reason));
    if (apart) {
        ck_assert(grpc_raw_send(fd));
        grpc_raw_frame(6, 0, 0, ping, sizeof(ping));
        ck_assert(reset || grpc_raw_until(fd, 1, &frame)); /* the answer, which is trailers only */
        ck_assert(grpc_raw_send(fd));
        do
            ck_assert(grpc_raw_until(fd, 6, &frame));
        while ((frame.flags & 1) == 0);
    }
    if (headers)
        grpc_raw_request(1, "/test/Echo", 0);
    else
        grpc_raw_frame(0, 0, 1, "late", 4);
    ck_assert(grpc_raw_send(fd));
    expect_goaway(fd, 5);
}
END_TEST

/* More than the window that was given: of a stream that nobody reads. */
START_TEST(test_window_disregarded)
{
    static struct grpc_raw_frame frame;
    static uint8_t bytes[16384];
    int fd = grpc_raw_connect(echo.address);

    grpc_raw_preface();
    grpc_raw_request(1, "/test/Deaf", 0);
    for (int i = 0; i < 60; i++)
        grpc_raw_frame(0, 0, 1, bytes, sizeof(bytes));
    ck_assert(grpc_raw_send(fd));
    ck_assert(grpc_raw_until(fd, 3, &frame));
    ck_assert(frame.stream == 1 && frame.payload[3] == 3);
    grpc_talk_expect_service(echo.address);
    close(fd);
}
END_TEST

/* ---- Malformed ---------------------------------------------------------------------------------------------------------------- */

static void put_garbage(void)
{
    grpc_raw.len = 0;
    for (size_t i = 0; i < 10000; i++)
        grpc_raw_put(&(uint8_t){ (uint8_t)(i * 251 >> 3) }, 1);
}

static void put_http1(void)
{
    grpc_raw.len = 0;
    grpc_raw_put("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
}

static void put_window_overflow(void)
{
    static const uint8_t most[4] = { 0x7f, 0xff, 0xff, 0xff };

    grpc_raw_preface();
    grpc_raw_frame(8, 0, 0, most, 4);
    grpc_raw_frame(8, 0, 0, most, 4);
}

static void put_data_on_idle(void)
{
    grpc_raw_preface();
    grpc_raw_frame(0, 0, 7, "x", 1);
}

static void put_frame_too_large(void)
{
    static const uint8_t header[9] = { 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1 };

    grpc_raw_preface();
    grpc_raw_request(1, "/test/Echo", 0);
    grpc_raw_put(header, 9);
}

static void put_huge_length(void)
{
    static const uint8_t prefix[5] = { 0, 0xff, 0xff, 0xff, 0xff };

    grpc_raw_preface();
    grpc_raw_request(1, "/test/Echo", 0);
    grpc_raw_frame(0, 0, 1, prefix, 5);
}

static void put_bad_flag(void)
{
    static const uint8_t prefix[6] = { 9, 0, 0, 0, 1, 'x' };

    grpc_raw_preface();
    grpc_raw_request(1, "/test/Echo", 0);
    grpc_raw_frame(0, 0, 1, prefix, 6);
}

static void put_short_message(void)
{
    static const uint8_t prefix[6] = { 0, 0, 0, 0, 9, 'x' };

    grpc_raw_preface();
    grpc_raw_request(1, "/test/Echo", 0);
    grpc_raw_frame(0, 1, 1, prefix, 6);
}

START_TEST(test_malformed)
{
    static void (*const kinds[])(void) = { put_garbage,         put_http1,       put_window_overflow, put_data_on_idle,
                                           put_frame_too_large, put_huge_length, put_bad_flag,        put_short_message };
    static uint8_t in[65536];
    int fd = grpc_raw_connect(echo.address);

    kinds[_i]();
    grpc_raw_write(fd, grpc_raw.data, grpc_raw.len);
    shutdown(fd, SHUT_WR);
    grpc_raw_read(fd, in, sizeof(in), 10000);
    close(fd);
    grpc_talk_expect_service(echo.address);
}
END_TEST

/* Connections that say nothing, or half a thing, and go. */
START_TEST(test_half_open)
{
    int fds[50];

    for (int i = 0; i < 50; i++) {
        fds[i] = grpc_raw_connect(echo.address);
        grpc_raw_write(fds[i], (const uint8_t *)GRPC_RAW_PREFACE, (size_t)i % 25);
    }
    grpc_talk_expect_service(echo.address);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    grpc_talk_expect_service(echo.address);
}
END_TEST

static void tear_down(void)
{
    grpc_echo_stop(&echo);
    balance_teardown();
}

int main(void)
{
    Suite *suite = suite_create("gRPC's hostile peers");
    TCase *tcase = tcase_create("hostile peers");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, test_every_split);
    tcase_add_loop_test(tcase, test_floods, 0, sizeof(floods) / sizeof(floods[0]));
    tcase_add_loop_test(tcase, test_floods_unread, 0, 4);
    tcase_add_test(tcase, test_continuation_flood);
    tcase_add_loop_test(tcase, test_header_list, 0, 2);
    tcase_add_test(tcase, test_header_list_answer);
    tcase_add_loop_test(tcase, test_window_overflow, 0, 2);
    tcase_add_loop_test(tcase, test_late_frames, 0, 8);
    tcase_add_test(tcase, test_window_disregarded);
    tcase_add_loop_test(tcase, test_malformed, 0, 8);
    tcase_add_test(tcase, test_half_open);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
