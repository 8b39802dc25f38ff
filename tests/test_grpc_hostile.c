/* Peers that mean harm, or are cut into any pieces: raw bytes written to a server, which stays within bounds and serves the others. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"

#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static struct grpc_echo echo;
static struct trib_error err;

static void set_up(void)
{
    balance_setup();
    grpc_echo_start(&echo, NULL);
}

/* ---- Raw connections ---------------------------------------------------------------------------------------------------- */

static int connect_raw(void)
{
    const char *name = strchr(echo.address, '@') + 1;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path + 1, name, strlen(name));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))), 0);
    return fd;
}

struct bytes {
    uint8_t data[1 << 20];
    size_t len;
};
static struct bytes out;

static void put(const void *data, size_t len)
{
    ck_assert_uint_le(out.len + len, sizeof(out.data));
    memcpy(out.data + out.len, data, len);
    out.len += len;
}

static void put_frame(uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t header[9] = { (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags,
                          (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream };

    put(header, 9);
    put(payload, len);
}

static size_t literal(uint8_t *to, const char *name, const char *value)
{
    size_t n = 0, name_len = strlen(name), len = strlen(value);

    to[n++] = 0x10; /* never indexed, so that blocks stand alone */
    to[n++] = (uint8_t)name_len;
    memcpy(to + n, name, name_len);
    n += name_len;
    to[n++] = (uint8_t)len;
    memcpy(to + n, value, len);
    return n + len;
}

static size_t request_block(uint8_t *to, const char *path)
{
    size_t n = literal(to, ":method", "POST");

    n += literal(to + n, ":scheme", "http");
    n += literal(to + n, ":path", path);
    n += literal(to + n, ":authority", "%2Ftmp%2Fsocket");
    n += literal(to + n, "content-type", "application/grpc");
    return n + literal(to + n, "te", "trailers");
}

static void put_request(uint32_t stream, const char *path, uint8_t flags)
{
    uint8_t block[512];

    put_frame(1, flags | 4, stream, block, request_block(block, path));
}

static void put_preface(void)
{
    out.len = 0;
    put(PREFACE, 24);
    put_frame(4, 0, 0, NULL, 0);
}

/* Reads until the end, or until nothing has come for a while where `quiet_ms` says so. Returns how many bytes. */
static size_t read_all(int fd, uint8_t *to, size_t room, int quiet_ms)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };
    size_t len = 0;

    while (len < room && poll(&polled, 1, quiet_ms) > 0) {
        ssize_t n = recv(fd, to + len, room - len, 0);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return len;
}

/* Writes as far as the server takes it; true if all. */
static bool write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* Another client is served. */
static void expect_service(void)
{
    struct trib_grpc_client *client;
    struct trib_grpc_call *call;
    struct trib_view view;

    ck_assert_int_eq(trib_grpc_connect(echo.address, NULL, &client, &err), TRIB_OK);
    ck_assert_int_eq(trib_grpc_call(client, "/test/Echo", NULL, &call, &err), TRIB_OK);
    trib_writer_bytes(trib_channel_writer(trib_grpc_call_channel(call)), "still there", 11, &err);
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(trib_grpc_call_channel(call)), 0, NULL, &err), TRIB_OK);
    trib_reader_set_deadline(trib_channel_reader(trib_grpc_call_channel(call)), trib_deadline_ms(20000));
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(trib_grpc_call_channel(call)), 11, &view, &err), TRIB_OK);
    trib_channel_free(trib_grpc_call_channel(call));
    trib_grpc_client_free(client);
}

/* The server says GOAWAY with this code, or just hangs up. */
static void expect_goaway(int fd, int code)
{
    static uint8_t in[1 << 20];
    size_t len = read_all(fd, in, sizeof(in), 10000), at = 0;
    int found = -1;

    while (at + 9 <= len) {
        size_t n = (size_t)in[at] << 16 | (size_t)in[at + 1] << 8 | in[at + 2];

        if (in[at + 3] == 7 && at + 17 <= len)
            found = in[at + 16];
        at += 9 + n;
    }
    ck_assert_msg(found == code || found == -1, "GOAWAY %d, not %d", found, code);
    close(fd);
    expect_service();
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
    int fd = connect_raw();
    size_t len = 0, n = 1;

    ck_assert(write_all(fd, out.data, split));
    if (split < out.len) {
        len = read_all(fd, to, room, 0);
        ck_assert(write_all(fd, out.data + split, out.len - split));
    }
    while (n > 0 && !has_end(to, len)) {
        struct pollfd polled = { .fd = fd, .events = POLLIN };

        n = poll(&polled, 1, 10000) > 0 ? read_all(fd, to + len, room - len, 0) : 0;
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

    put_preface();
    put_request(1, "/test/Echo", 0);
    put_frame(0, 0, 1, message, 3); /* the prefix is cut as well */
    put_frame(0, 1, 1, message + 3, sizeof(message) - 3);
    whole_len = stream_frames(in, answer_to(out.len, in, sizeof(in)), whole);
    ck_assert_uint_gt(whole_len, 30);
    for (size_t split = 0; split < out.len; split++) {
        size_t len = stream_frames(in, answer_to(split, in, sizeof(in)), parts);

        ck_assert_msg(len == whole_len && memcmp(parts, whole, len) == 0, "split at byte %zu", split);
    }
}
END_TEST

/* ---- Floods ---------------------------------------------------------------------------------------------------------------- */

static void flood(void (*one)(uint32_t i), uint32_t count, int code)
{
    int fd = connect_raw();
    bool taken = true;

    put_preface();
    put_request(1, "/test/Echo", 0);
    for (uint32_t i = 0; i < count && taken; i++) {
        one(i);
        if (out.len > sizeof(out.data) / 2) {
            taken = write_all(fd, out.data, out.len);
            out.len = 0;
        }
    }
    if (taken)
        write_all(fd, out.data, out.len);
    expect_goaway(fd, code);
}

static void one_ping(uint32_t i)
{
    uint8_t payload[8] = { (uint8_t)i };

    put_frame(6, 0, 0, payload, 8);
}

static void one_settings(uint32_t i)
{
    (void)i;
    put_frame(4, 0, 0, NULL, 0);
}

static void one_empty_data(uint32_t i)
{
    (void)i;
    put_frame(0, 0, 1, NULL, 0);
}

static void one_rapid_reset(uint32_t i)
{
    static const uint8_t cancel[4] = { 0, 0, 0, 8 };

    put_request(3 + 2 * i, "/test/Echo", 0);
    put_frame(3, 0, 3 + 2 * i, cancel, 4);
}

START_TEST(test_floods)
{
    static const struct {
        void (*one)(uint32_t i);
        uint32_t count;
        int code;
    } floods[] = { { one_ping, 5000, 11 }, { one_settings, 5000, 11 }, { one_empty_data, 5000, 11 }, { one_rapid_reset, 5000, 2 } };

    flood(floods[_i].one, floods[_i].count, floods[_i].code);
}
END_TEST

START_TEST(test_continuation_flood)
{
    uint8_t block[512];
    size_t len = request_block(block, "/test/Echo");
    int fd = connect_raw();

    put_preface();
    put_frame(1, 0, 1, block, len);
    for (int i = 0; i < 1000; i++)
        put_frame(9, 0, 1, "", 0);
    write_all(fd, out.data, out.len);
    expect_goaway(fd, 2);
}
END_TEST

/* A header list of many times the limit. */
START_TEST(test_header_list)
{
    static uint8_t block[400000];
    size_t len = request_block(block, "/test/Echo");
    char value[101];
    int fd = connect_raw();

    memset(value, 'v', 100);
    value[100] = '\0';
    while (len < 100000)
        len += literal(block + len, "name", value);
    put_preface();
    put_frame(1, 0, 1, block, 16000);
    for (size_t at = 16000; at < len; at += 16000)
        put_frame(9, at + 16000 >= len ? 4 : 0, 1, block + at, len - at < 16000 ? len - at : 16000);
    write_all(fd, out.data, out.len);
    shutdown(fd, SHUT_WR);
    expect_goaway(fd, 11);
}
END_TEST

/* ---- Malformed ---------------------------------------------------------------------------------------------------------------- */

static void put_garbage(void)
{
    out.len = 0;
    for (size_t i = 0; i < 10000; i++)
        put(&(uint8_t){ (uint8_t)(i * 251 >> 3) }, 1);
}

static void put_http1(void)
{
    out.len = 0;
    put("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
}

static void put_window_overflow(void)
{
    static const uint8_t most[4] = { 0x7f, 0xff, 0xff, 0xff };

    put_preface();
    put_frame(8, 0, 0, most, 4);
    put_frame(8, 0, 0, most, 4);
}

static void put_data_on_idle(void)
{
    put_preface();
    put_frame(0, 0, 7, "x", 1);
}

static void put_frame_too_large(void)
{
    static const uint8_t header[9] = { 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1 };

    put_preface();
    put_request(1, "/test/Echo", 0);
    put(header, 9);
}

static void put_huge_length(void)
{
    static const uint8_t prefix[5] = { 0, 0xff, 0xff, 0xff, 0xff };

    put_preface();
    put_request(1, "/test/Echo", 0);
    put_frame(0, 0, 1, prefix, 5);
}

static void put_bad_flag(void)
{
    static const uint8_t prefix[6] = { 9, 0, 0, 0, 1, 'x' };

    put_preface();
    put_request(1, "/test/Echo", 0);
    put_frame(0, 0, 1, prefix, 6);
}

static void put_short_message(void)
{
    static const uint8_t prefix[6] = { 0, 0, 0, 0, 9, 'x' };

    put_preface();
    put_request(1, "/test/Echo", 0);
    put_frame(0, 1, 1, prefix, 6);
}

START_TEST(test_malformed)
{
    static void (*const kinds[])(void) = { put_garbage,         put_http1,       put_window_overflow, put_data_on_idle,
                                           put_frame_too_large, put_huge_length, put_bad_flag,        put_short_message };
    static uint8_t in[65536];
    int fd = connect_raw();

    kinds[_i]();
    write_all(fd, out.data, out.len);
    shutdown(fd, SHUT_WR);
    read_all(fd, in, sizeof(in), 10000);
    close(fd);
    expect_service();
}
END_TEST

/* Connections that say nothing, or half a thing, and go. */
START_TEST(test_half_open)
{
    int fds[50];

    for (int i = 0; i < 50; i++) {
        fds[i] = connect_raw();
        write_all(fds[i], (const uint8_t *)PREFACE, (size_t)i % 25);
    }
    expect_service();
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    expect_service();
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
    tcase_add_loop_test(tcase, test_floods, 0, 4);
    tcase_add_test(tcase, test_continuation_flood);
    tcase_add_test(tcase, test_header_list);
    tcase_add_loop_test(tcase, test_malformed, 0, 8);
    tcase_add_test(tcase, test_half_open);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
