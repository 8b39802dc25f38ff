/* Threads that wait on channels of one connection: the one that drives it leaves, and another one takes over. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/grpc_talk.h"

#include <tributary/channel.h>
#include <tributary/reader.h>

#include <check.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, SETTINGS = 4, END_HEADERS = 4 };

struct waiter {
    pthread_t thread;
    struct trib_grpc_call *call;
    int64_t deadline;
    int rc;
};

static struct trib_reader *reader_of(const struct waiter *waiter)
{
    return trib_channel_reader(trib_grpc_call_channel(waiter->call));
}

static void *wait_for_a_byte(void *arg)
{
    struct waiter *waiter = arg;
    struct trib_view view;

    trib_reader_set_deadline(reader_of(waiter), waiter->deadline);
    waiter->rc = trib_reader_take(reader_of(waiter), 1, &view, NULL);
    return NULL;
}

/* Waits until the thread does: it counts that under the lock that it gives back when it sleeps. */
static void start(struct waiter *waiter, struct trib_grpc_client *client, int64_t deadline)
{
    struct trib_channel_stats stats = { .size = sizeof(stats) };

    waiter->call = grpc_talk_begin(client, "/x/Y");
    waiter->deadline = deadline;
    ck_assert_int_eq(pthread_create(&waiter->thread, NULL, wait_for_a_byte, waiter), 0);
    for (int i = 0; i < 20000 && stats.waits == 0; i++) {
        usleep(1000);
        trib_channel_stats(trib_grpc_call_channel(waiter->call), &stats);
    }
    ck_assert_uint_gt(stats.waits, 0);
}

/* A message of one byte as the first answer to a call. */
static void answer(int fd, uint32_t stream)
{
    uint8_t block[64];
    size_t n = grpc_raw_literal(block, ":status", "200");

    n += grpc_raw_literal(block + n, "content-type", "application/grpc");
    grpc_raw_frame(HEADERS, END_HEADERS, stream, block, n);
    grpc_raw_frame(DATA, 0, stream, "\0\0\0\0\1x", 6);
    ck_assert(grpc_raw_send(fd));
}

/* The first one drives, and leaves: with what it waited for, at its deadline, or cancelled. Nobody else touches the connection. */
START_TEST(test_hand_over)
{
    static const int codes[] = { TRIB_OK, TRIB_ERR_TIMEOUT, TRIB_ERR_CANCELLED };
    struct waiter first, second;
    struct trib_grpc_client *client;
    char address[64];
    int listening, fd;

    balance_setup();
    listening = grpc_raw_listen(address, sizeof(address));
    client = grpc_talk_connect(address);
    fd = accept(listening, NULL, NULL);
    grpc_raw.len = 0;
    grpc_raw_frame(SETTINGS, 0, 0, NULL, 0);
    ck_assert(grpc_raw_send(fd));
    start(&first, client, trib_deadline_ms(codes[_i] == TRIB_ERR_TIMEOUT ? 500 : 20000));
    start(&second, client, trib_deadline_ms(10000));
    if (codes[_i] == TRIB_OK)
        answer(fd, 1);
    else if (codes[_i] == TRIB_ERR_CANCELLED)
        trib_channel_cancel(trib_grpc_call_channel(first.call));
    pthread_join(first.thread, NULL);
    ck_assert_int_eq(first.rc, codes[_i]);
    answer(fd, 3);
    pthread_join(second.thread, NULL);
    ck_assert_msg(second.rc == TRIB_OK, "the other thread: %s", trib_code_name(second.rc));
    grpc_talk_free(first.call);
    grpc_talk_free(second.call);
    trib_grpc_client_free(client);
    close(fd);
    close(listening);
    balance_teardown();
}
END_TEST

/* ---- A handler that ends on a thread of its own just when the deadline of its call passes -------------------------------- */

enum { ROUNDS = 10, AT_ONCE = 40, CALLS = ROUNDS * AT_ONCE };

static pthread_t handlers[CALLS];
static unsigned handled;

/* Its read ends at the deadline, which is when the timer on the base does its work, too. */
static void *handle(void *arg)
{
    struct trib_view view;

    trib_reader_take(trib_channel_reader(arg), 1, &view, NULL);
    trib_channel_free(arg);
    return NULL;
}

static void on_call(struct trib_grpc_call *call, void *arg)
{
    (void)arg;
    ck_assert_uint_lt(handled, CALLS);
    ck_assert_int_eq(pthread_create(&handlers[handled], NULL, handle, trib_grpc_call_channel(call)), 0);
    handled++;
}

static void *run_base(void *arg)
{
    event_base_loop(arg, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

START_TEST(test_end_at_the_deadline)
{
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct event_base *base;
    struct trib_grpc_server *server;
    struct trib_grpc_client *client;
    struct trib_grpc_call *calls[AT_ONCE];
    struct trib_view view;
    const char *address;
    pthread_t thread;
    char uri[64];

    balance_setup();
    snprintf(uri, sizeof(uri), "grpc+unix:@tributary-threads-%ld", (long)getpid());
    evthread_use_pthreads();
    base = event_base_new();
    ck_assert_int_eq(trib_grpc_server_new(base, NULL, &server, NULL), TRIB_OK);
    ck_assert_int_eq(trib_grpc_server_handle(server, NULL, on_call, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(trib_grpc_server_listen(server, uri, &address, NULL), TRIB_OK);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_base, base), 0);
    client = grpc_talk_connect(address);
    for (unsigned i = 0; i < CALLS; i++) {
        if (i % AT_ONCE == 0)
            options.deadline = trib_deadline_ms(10);
        ck_assert_int_eq(trib_grpc_call(client, "/x/Y", &options, &calls[i % AT_ONCE], NULL), TRIB_OK);
        for (unsigned k = 0; k < AT_ONCE && i % AT_ONCE == AT_ONCE - 1; k++) {
            ck_assert_int_lt(trib_reader_take_message(trib_channel_reader(trib_grpc_call_channel(calls[k])), 1, &view, NULL), 0);
            trib_channel_free(trib_grpc_call_channel(calls[k]));
        }
    }
    trib_grpc_client_free(client);
    event_base_loopbreak(base);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < handled; i++)
        pthread_join(handlers[i], NULL);
    ck_assert_uint_gt(handled, 0);
    trib_grpc_server_free(server);
    event_base_free(base);
    balance_teardown();
}
END_TEST

/* ---- Looking again before anybody sleeps ------------------------------------------------------------------------------ */

enum { TRIPS = 200 };

static uint64_t waits(struct trib_grpc_call *call)
{
    struct trib_channel_stats stats = { .size = sizeof(stats) };

    trib_channel_stats(trib_grpc_call_channel(call), &stats);
    return stats.waits;
}

/* An answer that comes while the thread looks costs no wait. When that is, is the scheduler's: trips are made until there was one, or time is up. */
START_TEST(test_spin)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct grpc_echo echo;
    struct trib_grpc_client *client;
    struct trib_grpc_call *call;
    bool looks = _i == 1 && sysconf(_SC_NPROCESSORS_ONLN) > 1;
    int64_t end = trib_deadline_ms(20000);
    uint64_t trips = 0;

    balance_setup();
    options.spin_us = _i == 0 ? 0 : 1000;
    grpc_echo_start(&echo, &options);
    ck_assert_int_eq(trib_grpc_connect(echo.address, &options, &client, NULL), TRIB_OK);
    call = grpc_talk_begin(client, "/test/Echo");
    while (trips < TRIPS || (looks && waits(call) >= trips && trib_now() < end)) {
        grpc_talk_send(call, "x", 1);
        grpc_talk_expect(call, "x", 1);
        trips++;
    }
    if (looks)
        ck_assert_uint_lt(waits(call), trips);
    else
        ck_assert_uint_gt(waits(call), 0);
    grpc_talk_free(call);
    trib_grpc_client_free(client);
    grpc_echo_stop(&echo);
    balance_teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC's threads");
    TCase *tcase = tcase_create("threads");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_end_at_the_deadline);
    tcase_add_loop_test(tcase, test_hand_over, 0, 3);
    tcase_add_loop_test(tcase, test_spin, 0, 2);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
