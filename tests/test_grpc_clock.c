/* What connections do by the clock: keepalive, patience with slow peers, limits on PINGs, and the two steps of a drain. Only outcomes are
 * asserted, never how long they took. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/grpc_talk.h"

#include <tributary/reader.h>

#include <check.h>
#include <event2/event.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, CONTINUATION = 9 };
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4, ENHANCE_YOUR_CALM = 11, STALL_MS = 50, HANDSHAKE_MS = 1000 };

static struct grpc_echo echo;
static struct trib_error err;
static struct grpc_raw_frame frame;
static int drained;

static void set_up(void)
{
    balance_setup();
    drained = 0;
    grpc_echo_start(&echo, NULL);
}

static void tear_down(void)
{
    grpc_echo_stop(&echo);
    balance_teardown();
}

static int do_configure(void *arg)
{
    trib_grpc_server_configure(echo.server, arg);
    return 0;
}

static void configure(struct trib_grpc_settings settings)
{
    settings.size = sizeof(settings);
    grpc_echo_run(&echo, do_configure, &settings);
}

static void on_drained(void *arg)
{
    ++*(int *)arg;
}

static int do_drain(void *arg)
{
    trib_grpc_server_drain(echo.server, on_drained, arg);
    return 0;
}

static int do_drained(void *arg)
{
    return *(int *)arg;
}

/* Preface, SETTINGS, and a call that stays open. */
static int open_call(void)
{
    int fd = grpc_raw_connect(echo.address);

    grpc_raw_preface();
    grpc_raw_frame(SETTINGS, ACK, 0, NULL, 0);
    grpc_raw_request(1, "/test/Echo", 0);
    ck_assert(grpc_raw_send(fd));
    return fd;
}

static int goaway_code(void)
{
    return frame.payload[7];
}

/* The server says why, and hangs up. */
static void expect_end(int fd, int code, const char *why)
{
    int found = -1;

    while (grpc_raw_next(fd, &frame))
        if (frame.type == GOAWAY && found < 0) {
            found = goaway_code();
            ck_assert_msg(frame.len == 8 + strlen(why) && memcmp(frame.payload + 8, why, strlen(why)) == 0, "\"%.*s\", not \"%s\"",
                          (int)frame.len - 8, frame.payload + 8, why);
        }
    ck_assert_int_eq(found, code);
    close(fd);
}

/* ---- Keepalive ------------------------------------------------------------------------------------------------------------ */

/* A server that says SETTINGS, and nothing ever after. */
START_TEST(test_dead_server)
{
    struct trib_grpc_settings settings = TRIB_GRPC_SETTINGS_INIT;
    struct trib_grpc_client *client;
    struct trib_grpc_call *call;
    char address[128];
    int listening = grpc_raw_listen(address, sizeof(address)), fd;

    client = grpc_talk_connect(address);
    fd = accept(listening, NULL, NULL);
    grpc_raw.len = 0;
    grpc_raw_frame(SETTINGS, 0, 0, NULL, 0);
    ck_assert(grpc_raw_send(fd));
    settings.keepalive_ms = 20;
    settings.keepalive_timeout_ms = 30;
    trib_grpc_client_configure(client, &settings);
    call = grpc_talk_begin(client, "/x/Y");
    grpc_talk_expect_status(call, TRIB_GRPC_UNAVAILABLE, "keepalive: nothing came within 30 ms");
    ck_assert_int_eq(trib_grpc_call(client, "/x/Y", NULL, &call, &err), TRIB_ERR_CLOSED);
    grpc_talk_free(call);
    trib_grpc_client_free(client);
    close(fd);
    close(listening);
}
END_TEST

/* Who answers is kept, however long nothing else is said. */
START_TEST(test_living_server)
{
    struct trib_grpc_settings settings = TRIB_GRPC_SETTINGS_INIT;
    struct trib_grpc_client *client = grpc_talk_connect(echo.address);
    struct trib_grpc_call *call = grpc_talk_begin(client, "/test/Echo");
    struct trib_view view;

    settings.keepalive_ms = 10;
    trib_grpc_client_configure(client, &settings);
    trib_reader_set_deadline(trib_channel_reader(trib_grpc_call_channel(call)), trib_deadline_ms(150));
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(trib_grpc_call_channel(call)), 1, &view, &err), TRIB_ERR_TIMEOUT);
    trib_reader_set_deadline(trib_channel_reader(trib_grpc_call_channel(call)), trib_deadline_ms(20000));
    grpc_talk_send(call, "x", 1);
    grpc_talk_expect(call, "x", 1);
    grpc_talk_free(call);
    trib_grpc_client_free(client);
}
END_TEST

START_TEST(test_dead_client)
{
    bool idle = _i != 0;
    int fd;

    configure((struct trib_grpc_settings){ .keepalive_ms = 20, .keepalive_timeout_ms = 20, .keepalive_idle = idle });
    if (idle) {
        fd = grpc_raw_connect(echo.address);
        grpc_raw_preface();
        ck_assert(grpc_raw_send(fd));
    } else {
        fd = open_call();
    }
    ck_assert(grpc_raw_until(fd, PING, &frame) && (frame.flags & ACK) == 0);
    while (grpc_raw_next(fd, &frame))
        ;
    close(fd);
}
END_TEST

/* ---- Slow peers ----------------------------------------------------------------------------------------------------------- */

static void put_nothing(void)
{
    grpc_raw.len = 0;
}

static void put_part_of_preface(void)
{
    grpc_raw.len = 0;
    grpc_raw_put(GRPC_RAW_PREFACE, 10);
}

static void put_only_preface(void)
{
    grpc_raw.len = 0;
    grpc_raw_put(GRPC_RAW_PREFACE, 24);
}

static void put_part_of_settings(void)
{
    grpc_raw_preface();
    grpc_raw.len -= 4;
}

START_TEST(test_slow_handshake)
{
    static void (*const puts[])(void) = { put_nothing, put_part_of_preface, put_only_preface, put_part_of_settings };
    int fd;

    configure((struct trib_grpc_settings){ .handshake_ms = 30 });
    fd = grpc_raw_connect(echo.address);
    puts[_i]();
    ck_assert(grpc_raw_send(fd));
    expect_end(fd, ENHANCE_YOUR_CALM, "too_slow");
}
END_TEST

static void put_part_of_header(void)
{
    grpc_raw_frame(PING, 0, 0, "12345678", 8);
    grpc_raw.len -= 12;
}

static void put_part_of_headers(void)
{
    grpc_raw_request(3, "/test/Echo", 0);
    grpc_raw.len -= 5;
}

static void put_open_block(void)
{
    uint8_t block[512];

    grpc_raw_frame(HEADERS, 0, 3, block, grpc_raw_block(block, "/test/Echo"));
}

static void put_continuation(void)
{
    put_open_block();
    grpc_raw_frame(CONTINUATION, 0, 3, NULL, 0);
}

static void put_part_of_data(void)
{
    grpc_raw_frame(DATA, 0, 1, "\0\0\0\0\x10" "0123456789abcdef", 21);
    grpc_raw.len -= 3;
}

static const struct {
    void (*put)(void);
    bool trickles; /* a byte now and then follows */
} slow[] = { { put_part_of_header, false },  { put_part_of_headers, false }, { put_open_block, false },
             { put_continuation, false },    { put_part_of_data, false },    { put_part_of_headers, true } };

START_TEST(test_slow_frame)
{
    struct trib_grpc_client *other;
    struct trib_grpc_call *call;
    int fd;

    configure((struct trib_grpc_settings){ .handshake_ms = HANDSHAKE_MS, .frame_ms = 40 }); /* the first look comes after the former */
    fd = open_call();
    slow[_i].put();
    ck_assert(grpc_raw_send(fd));
    if (slow[_i].trickles)
        ck_assert(grpc_raw_write(fd, (const uint8_t *)"\x10", 1));
    other = grpc_talk_connect(echo.address); /* others are served meanwhile, and idle ones are not disturbed */
    call = grpc_talk_begin(other, "/test/Echo");
    grpc_talk_send(call, "x", 1);
    grpc_talk_expect(call, "x", 1);
    expect_end(fd, ENHANCE_YOUR_CALM, "too_slow");
    grpc_talk_send(call, "y", 1);
    grpc_talk_expect(call, "y", 1);
    grpc_talk_free(call);
    trib_grpc_client_free(other);
}
END_TEST

/* The base does not run for a while, again and again: so long nobody has looked, and how long the peer took is unknown. What it takes from the first
 * look to the last one is far too long, but for that. */
static struct {
    int fd, turns;
} stall;

static void on_stall(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval soon = { 0, 1 }; /* behind the look that is overdue */

    (void)fd, (void)what, (void)arg;
    if (stall.turns++ < 8) {
        usleep(2 * 1000 * STALL_MS);
        event_base_once(echo.base, -1, EV_TIMEOUT, on_stall, NULL, &soon);
    } else {
        ck_assert(grpc_raw_write(stall.fd, (const uint8_t *)"def", 3));
    }
}

static int do_stall(void *arg)
{
    (void)arg;
    stall.turns = 0;
    stall.fd = open_call();
    put_part_of_data();
    ck_assert(grpc_raw_send(stall.fd));
    return event_base_once(echo.base, -1, EV_TIMEOUT, on_stall, NULL, NULL);
}

START_TEST(test_slow_server)
{
    configure((struct trib_grpc_settings){ .handshake_ms = STALL_MS, .frame_ms = STALL_MS });
    ck_assert_int_eq(grpc_echo_run(&echo, do_stall, NULL), 0);
    ck_assert_msg(grpc_raw_until(stall.fd, DATA, &frame), "the server has closed");
    ck_assert(frame.len == 21 && memcmp(frame.payload + 5, "0123456789abcdef", 16) == 0);
    close(stall.fd);
}
END_TEST

/* ---- PINGs ------------------------------------------------------------------------------------------------------------------- */

START_TEST(test_ping_strikes)
{
    int fd;

    configure((struct trib_grpc_settings){ .ping_min_ms = 60000 });
    fd = open_call();
    for (int i = 0; i < 3; i++) {
        grpc_raw_frame(PING, 0, 0, "abcdefgh", 8);
        ck_assert(grpc_raw_send(fd));
        ck_assert(grpc_raw_until(fd, PING, &frame) && (frame.flags & ACK) != 0);
    }
    if (_i != 0) { /* an answer in between forgives them */
        grpc_raw_frame(DATA, 0, 1, "\0\0\0\0\1x", 6);
        ck_assert(grpc_raw_send(fd));
        ck_assert(grpc_raw_until(fd, DATA, &frame));
        grpc_raw_frame(PING, 0, 0, "abcdefgh", 8);
        ck_assert(grpc_raw_send(fd));
        ck_assert(grpc_raw_until(fd, PING, &frame));
        close(fd);
        return;
    }
    grpc_raw_frame(PING, 0, 0, "abcdefgh", 8);
    ck_assert(grpc_raw_send(fd));
    expect_end(fd, ENHANCE_YOUR_CALM, "too_many_pings");
}
END_TEST

/* ---- Draining ---------------------------------------------------------------------------------------------------------------- */

static uint32_t goaway_last(void)
{
    return ((uint32_t)frame.payload[0] << 24 | (uint32_t)frame.payload[1] << 16 | (uint32_t)frame.payload[2] << 8 | frame.payload[3]) &
           0x7fffffff;
}

/* Reads on until this stream has ended, or the last GOAWAY has come, where that is asked for. */
static bool seen_goaway, seen_end;

static void read_until(int fd, uint32_t stream, bool goaway)
{
    while (!(seen_end && (seen_goaway || !goaway))) {
        ck_assert(grpc_raw_next(fd, &frame));
        ck_assert_uint_ne(frame.stream, 5); /* which came too late */
        seen_end = seen_end || (frame.stream == stream && frame.type <= HEADERS && (frame.flags & END_STREAM) != 0);
        if (frame.type == GOAWAY) {
            ck_assert(goaway_last() == 3 && goaway_code() == 0);
            seen_goaway = true;
        }
    }
    seen_end = false;
}

START_TEST(test_drain)
{
    bool answers = _i != 0;
    int fd = open_call();
    uint8_t ping[8];

    grpc_raw_frame(DATA, 0, 1, "\0\0\0\0\1x", 6);
    ck_assert(grpc_raw_send(fd));
    ck_assert(grpc_raw_until(fd, DATA, &frame)); /* the call is there */
    grpc_echo_run(&echo, do_drain, &drained);
    ck_assert(grpc_raw_until(fd, GOAWAY, &frame));
    ck_assert(goaway_last() == 0x7fffffff && goaway_code() == 0);
    ck_assert(grpc_raw_until(fd, PING, &frame) && (frame.flags & ACK) == 0);
    memcpy(ping, frame.payload, 8);
    grpc_raw_request(3, "/test/Echo", END_STREAM); /* begun before the client heard of it */
    if (answers)
        grpc_raw_frame(PING, ACK, 0, ping, 8);
    ck_assert(grpc_raw_send(fd));
    read_until(fd, 3, true);
    grpc_raw_request(5, "/test/Echo", END_STREAM); /* too late: passed over */
    grpc_raw_frame(DATA, END_STREAM, 1, NULL, 0);
    ck_assert_int_eq(grpc_echo_run(&echo, do_drained, &drained), 0);
    ck_assert(grpc_raw_send(fd));
    read_until(fd, 1, false);
    while (grpc_raw_next(fd, &frame))
        ck_assert_uint_ne(frame.stream, 5);
    close(fd);
    for (int i = 0; i < 1000 && grpc_echo_run(&echo, do_drained, &drained) == 0; i++)
        usleep(10000);
    ck_assert_int_eq(grpc_echo_run(&echo, do_drained, &drained), 1);
}
END_TEST

/* A client of the library: what is under way goes on, nothing new begins. */
START_TEST(test_drain_client)
{
    struct trib_grpc_client *client = grpc_talk_connect(echo.address);
    struct trib_grpc_call *call = grpc_talk_begin(client, "/test/Echo"), *late;

    grpc_talk_send(call, "x", 1);
    grpc_talk_expect(call, "x", 1);
    grpc_echo_run(&echo, do_drain, &drained);
    grpc_talk_send(call, "y", 1);
    grpc_talk_expect(call, "y", 1);
    ck_assert_int_eq(trib_grpc_call(client, "/test/Echo", NULL, &late, &err), TRIB_ERR_CLOSED);
    grpc_talk_send_end(call);
    grpc_talk_expect_status(call, 0, NULL);
    grpc_talk_free(call);
    trib_grpc_client_free(client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC by the clock");
    TCase *tcase = tcase_create("clock"), *stalls = tcase_create("stalls");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_dead_server);
    tcase_add_test(tcase, test_living_server);
    tcase_add_loop_test(tcase, test_dead_client, 0, 2);
    tcase_add_loop_test(tcase, test_slow_handshake, 0, 4);
    tcase_add_loop_test(tcase, test_slow_frame, 0, sizeof(slow) / sizeof(slow[0]));
    tcase_add_loop_test(tcase, test_ping_strikes, 0, 2);
    tcase_add_loop_test(tcase, test_drain, 0, 2);
    tcase_add_test(tcase, test_drain_client);
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(stalls, set_up, tear_down);
    tcase_set_timeout(stalls, 30);
    tcase_add_test(stalls, test_slow_server);
    suite_add_tcase(suite, stalls);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
