/* Peers that speak something else, or break HTTP/2: a server reports them, a client says what it met. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/grpc_talk.h"

#include <tributary/reader.h>

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct grpc_echo echo;

/* ---- A server ------------------------------------------------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct trib_error reported;
static int64_t reported_pid;
static int reports;

static void on_report(void *arg, const struct trib_peer *peer, const struct trib_error *err)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    reported = *err;
    reported_pid = peer->pid;
    reports++;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&lock);
}

static int do_set_report(void *arg)
{
    struct trib_grpc_settings settings = TRIB_GRPC_SETTINGS_INIT;

    (void)arg;
    settings.handshake_ms = 200;
    trib_grpc_server_configure(echo.server, &settings);
    trib_grpc_server_set_report(echo.server, on_report, NULL);
    return 0;
}

static void start(void)
{
    balance_setup();
    reports = 0;
    grpc_echo_start(&echo, NULL);
    grpc_echo_run(&echo, do_set_report, NULL);
}

static void stop(void)
{
    grpc_echo_stop(&echo);
    balance_teardown();
}

static void wait_report(void)
{
    pthread_mutex_lock(&lock);
    while (reports == 0) /* the case's own limit ends this */
        pthread_cond_wait(&cond, &lock);
    pthread_mutex_unlock(&lock);
}

#define EMPTY_SETTINGS "\0\0\0\4\0\0\0\0\0"

static const struct {
    const char *bytes;
    size_t len;
    bool closes;
    int code;
    const char *words;
} guests[] = {
    { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, false, TRIB_ERR_PROTOCOL,
      "the peer does not speak HTTP/2: what it sent begins with \"GET / HTTP/1.1\\r\\nHost: x\\r\"" },
    { "GET /", 5, true, TRIB_ERR_PROTOCOL, "the peer does not speak HTTP/2: what it sent begins with \"GET /\"" },
    { "\x16\x03\x01\"\\\xff and so on, more than a preface", 37, false, TRIB_ERR_PROTOCOL, "begins with \"\\x16\\x03\\x01\\\"\\\\\\xff and so on, " },
    { GRPC_RAW_PREFACE, 12, true, TRIB_ERR_PROTOCOL, "the peer broke HTTP/2: it closed the connection inside the preface" },
    { GRPC_RAW_PREFACE, 12, false, TRIB_ERR_TIMEOUT, "more than 200 ms for preface and SETTINGS" },
    { GRPC_RAW_PREFACE "\xff\xff\xff\0\0\0\0\0\1", 33, false, TRIB_ERR_PROTOCOL, "the peer broke HTTP/2: PROTOCOL_ERROR, SETTINGS expected" },
    { GRPC_RAW_PREFACE EMPTY_SETTINGS "\xff\xff\xff\0\0\0\0\0\1", 42, false, TRIB_ERR_PROTOCOL, "the peer broke HTTP/2: FRAME_SIZE_ERROR" },
    { GRPC_RAW_PREFACE EMPTY_SETTINGS "\0\0\1\0\0\0\0\0\0x", 43, false, TRIB_ERR_PROTOCOL, "the peer broke HTTP/2: PROTOCOL_ERROR" },
};

START_TEST(test_reported)
{
    int fd = grpc_raw_connect(echo.address);

    ck_assert(grpc_raw_write(fd, (const uint8_t *)guests[_i].bytes, guests[_i].len));
    if (guests[_i].closes)
        close(fd);
    wait_report();
    ck_assert_int_eq(reported.code, guests[_i].code);
    ck_assert_msg(strstr(reported.message, guests[_i].words) != NULL, "%s", reported.message);
    ck_assert_int_eq(reported_pid, getpid());
    ck_assert_int_eq(reports, 1);
    if (!guests[_i].closes)
        close(fd);
}
END_TEST

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Who comes and goes, in silence or in order, is none of them. */
START_TEST(test_not_reported)
{
    struct trib_grpc_client *client = grpc_talk_connect(echo.address);
    struct trib_grpc_call *call;
    struct trib_error err;
    int fd = grpc_raw_connect(echo.address);

    close(fd);
    ck_assert_int_eq(trib_grpc_call(client, "/test/Gone", NULL, &call, &err), TRIB_OK);
    trib_channel_free(trib_grpc_call_channel(call));
    trib_grpc_client_free(client);
    fd = grpc_raw_connect(echo.address);
    grpc_raw_preface();
    ck_assert(grpc_raw_send(fd));
    close(fd);
    for (int i = 0; i < 50; i++)
        grpc_echo_run(&echo, do_nothing, NULL);
    ck_assert_int_eq(reports, 0);
}
END_TEST

/* ---- A client ------------------------------------------------------------------------------------------------------ */

struct host {
    int listening;
    const char *answer;
    size_t len;
};

static void *answer_once(void *arg)
{
    struct host *host = arg;
    uint8_t request[4096];
    int fd = accept(host->listening, NULL, NULL);

    ck_assert(recv(fd, request, sizeof(request), 0) > 0);
    grpc_raw_write(fd, (const uint8_t *)host->answer, host->len);
    while (host->len > 9 && recv(fd, request, sizeof(request), 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void listen_at(struct host *host, char *uri, size_t room)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    char text[32];
    int len = snprintf(text, sizeof(text), "trib-strange-%ld", (long)getpid());

    memcpy(name.sun_path + 1, text, (size_t)len);
    snprintf(uri, room, "grpc+unix:@%s", text);
    host->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(host->listening, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)), 0);
    ck_assert_int_eq(listen(host->listening, 4), 0);
}

/* What a client says of what answers it. */
static const struct {
    const char *bytes;
    size_t len;
    int code;
    const char *words;
} hosts[] = {
    { "HTTP/1.1 400 Bad Request\r\n\r\n", 28, TRIB_ERR_PROTOCOL,
      "the peer does not speak HTTP/2: what it sent begins with \"HTTP/1.1 400 Bad Request\"" },
    { GRPC_RAW_PREFACE EMPTY_SETTINGS, 33, TRIB_ERR_PROTOCOL, "begins with \"PRI * HTTP/2.0\\r\\n" }, /* what echoes */
    { "\x8a\x01\x7f\x80random bytes, no frame", 26, TRIB_ERR_PROTOCOL, "begins with \"\\x8a\\x01\\x7f\\x80random" },
    { "hello", 5, TRIB_ERR_PROTOCOL, "begins with \"hello\"" },                              /* less than a frame's header, and the end */
    { "", 0, TRIB_ERR_CLOSED, "the peer closed the connection" },
    { EMPTY_SETTINGS, 9, TRIB_ERR_CLOSED, "the peer closed the connection" },
    { EMPTY_SETTINGS "\xff\xff\xff\0\0\0\0\0\1", 18, TRIB_ERR_PROTOCOL, "the peer broke HTTP/2: FRAME_SIZE_ERROR" },
};

START_TEST(test_met)
{
    struct host host = { -1, hosts[_i].bytes, hosts[_i].len };
    struct trib_channel *channel;
    struct trib_view view;
    struct trib_error err;
    pthread_t thread;
    char uri[64];
    int rc;

    listen_at(&host, uri, sizeof(uri));
    ck_assert_int_eq(pthread_create(&thread, NULL, answer_once, &host), 0);
    ck_assert_msg(trib_dial(uri, NULL, &channel, &err) == TRIB_OK, "%s", err.message);
    trib_reader_set_deadline(trib_channel_reader(channel), trib_deadline_ms(20000));
    rc = trib_reader_take(trib_channel_reader(channel), 1, &view, &err);
    ck_assert_msg(rc == hosts[_i].code, "%s: %s", trib_code_name(rc), err.message);
    ck_assert_msg(strstr(err.message, hosts[_i].words) != NULL, "%s", err.message);
    trib_channel_free(channel);
    pthread_join(thread, NULL);
    close(host.listening);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grpc_strangers");
    TCase *server = tcase_create("server"), *client = tcase_create("client");
    SRunner *runner;
    int failed;

    tcase_set_timeout(server, 30);
    tcase_set_timeout(client, 30);
    tcase_add_checked_fixture(server, start, stop);
    tcase_add_loop_test(server, test_reported, 0, sizeof(guests) / sizeof(guests[0]));
    tcase_add_test(server, test_not_reported);
    suite_add_tcase(suite, server);
    tcase_add_checked_fixture(client, balance_setup, balance_teardown);
    tcase_add_loop_test(client, test_met, 0, sizeof(hosts) / sizeof(hosts[0]));
    suite_add_tcase(suite, client);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
