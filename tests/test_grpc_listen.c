/* A listener on an event_base: it is told when a request is complete on any connection, new or old, and not before somebody could look. */
#include "tests/support/balance.h"
#include "tests/support/grpc_raw.h"

#include <tributary/channel.h>
#include <tributary/grpc.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct event_base *base;
static struct trib_listener *listener;
static struct trib_error err;
static int told;

static void set_up(void)
{
    char uri[64];

    balance_setup();
    told = 0;
    base = event_base_new();
    snprintf(uri, sizeof(uri), "grpc+unix:@trib-listen-%ld", (long)getpid());
    ck_assert_msg(trib_listen(uri, NULL, &listener, &err) == TRIB_OK, "%s", err.message);
}

static void tear_down(void)
{
    trib_listener_free(listener);
    event_base_free(base);
    balance_teardown();
}

static void on_told(void *arg)
{
    ++*(int *)arg;
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    ck_abort_msg("nothing was told within 20 seconds");
}

/* The next channel, by watches alone. */
static struct trib_channel *accept_by_base(void)
{
    const struct timeval patience = { 20, 0 };
    struct event *guard = evtimer_new(base, on_patience, NULL);
    struct trib_channel *channel = NULL;
    int rc = TRIB_AGAIN;

    event_add(guard, &patience);
    while (rc == TRIB_AGAIN) {
        int before = told;

        ck_assert_msg(trib_listener_watch(listener, base, on_told, &told, &err) == TRIB_OK, "%s", err.message);
        while (told == before)
            event_base_loop(base, EVLOOP_ONCE);
        ck_assert_int_eq(told, before + 1);
        rc = trib_listener_accept(listener, TRIB_NOWAIT, &channel, &err);
    }
    event_free(guard);
    ck_assert_msg(rc == TRIB_OK, "%s", err.message);
    return channel;
}

static void on_readable(struct trib_reader *reader, void *arg)
{
    (void)reader;
    ++*(int *)arg;
}

/* As a handler on the same base would. */
static void serve(struct trib_channel *channel)
{
    int runs = 0;

    ck_assert_int_eq(trib_reader_set_callback(trib_channel_reader(channel), base, on_readable, &runs, &err), TRIB_OK);
    while (runs == 0)
        event_base_loop(base, EVLOOP_ONCE);
    trib_writer_set_deadline(trib_channel_writer(channel), TRIB_NOWAIT);
    trib_writer_finish(trib_channel_writer(channel), 0, NULL, NULL);
    trib_channel_free(channel);
}

START_TEST(test_requests_one_after_the_other)
{
    int fd = grpc_raw_connect(trib_listener_address(listener));

    grpc_raw_preface();
    ck_assert(grpc_raw_send(fd));
    for (uint32_t stream = 1; stream < 20; stream += 2) {
        grpc_raw_request(stream, "/a/B", 1);
        ck_assert(grpc_raw_send(fd));
        serve(accept_by_base());
    }
    close(fd);
}
END_TEST

/* A request in two parts, with time for the base to hear of the first. */
START_TEST(test_request_in_parts)
{
    int fd = grpc_raw_connect(trib_listener_address(listener));
    struct trib_channel *channel;
    size_t len;

    grpc_raw_preface();
    grpc_raw_request(1, "/a/B", 1);
    len = grpc_raw.len;
    for (size_t at = 0; at + 1 < len; at++) {
        ck_assert(grpc_raw_write(fd, grpc_raw.data + at, 1));
        ck_assert_int_eq(trib_listener_watch(listener, base, on_told, &told, &err), TRIB_OK);
        event_base_loop(base, EVLOOP_NONBLOCK);
        ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, &err), TRIB_AGAIN);
    }
    ck_assert(grpc_raw_write(fd, grpc_raw.data + len - 1, 1));
    serve(accept_by_base());
    close(fd);
}
END_TEST

/* Several complete at once: each is told of. */
START_TEST(test_many_at_once)
{
    enum { CONNECTIONS = 10, REQUESTS = 5 };
    int fds[CONNECTIONS];

    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = grpc_raw_connect(trib_listener_address(listener));
        grpc_raw_preface();
        for (uint32_t k = 0; k < REQUESTS; k++)
            grpc_raw_request(1 + 2 * k, "/a/B", 1);
        ck_assert(grpc_raw_send(fds[i]));
    }
    for (int i = 0; i < CONNECTIONS * REQUESTS; i++)
        serve(accept_by_base());
    for (int i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
}
END_TEST

/* Idle connections tell nothing, and no timer runs for them. */
START_TEST(test_idle)
{
    const struct timeval moment = { 0, 50000 };
    struct trib_channel *channel;
    int fds[5];

    for (int i = 0; i < 5; i++) {
        fds[i] = grpc_raw_connect(trib_listener_address(listener));
        grpc_raw_preface();
        ck_assert(grpc_raw_send(fds[i]));
    }
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, &err), TRIB_AGAIN);
    ck_assert_int_eq(trib_listener_watch(listener, base, on_told, &told, &err), TRIB_OK);
    event_base_loopexit(base, &moment);
    event_base_dispatch(base);
    ck_assert_int_eq(told, 0);
    trib_listener_cancel(listener);
    while (told == 0)
        event_base_loop(base, EVLOOP_ONCE);
    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, &err), TRIB_ERR_CANCELLED);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
}
END_TEST

static const char *const no_places[] = { "", "nonsense", "unix:@x", "grpc+tcp:example.org:80", "grpc+unix:", "grpc+unix:@x?mode=9" };

/* An address of a server that is none closes nothing: the balance counts descriptors, 0 among them. */
START_TEST(test_no_place)
{
    struct trib_grpc_server *server;
    const char *address = NULL;

    ck_assert_int_eq(trib_grpc_server_new(base, NULL, &server, &err), TRIB_OK);
    ck_assert_int_eq(trib_grpc_server_listen(server, no_places[_i], &address, &err), TRIB_ERR_USAGE);
    ck_assert_ptr_null(address);
    trib_grpc_server_free(server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC listeners");
    TCase *tcase = tcase_create("on a base");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, test_requests_one_after_the_other);
    tcase_add_test(tcase, test_request_in_parts);
    tcase_add_test(tcase, test_many_at_once);
    tcase_add_test(tcase, test_idle);
    tcase_add_loop_test(tcase, test_no_place, 0, sizeof(no_places) / sizeof(no_places[0]));
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
