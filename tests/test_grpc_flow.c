/* Flow control, counted by a peer that is told of every byte it may send: windows begin small, grow, are given back on release, and have a bound. */
#include "tests/support/balance.h"
#include "tests/support/grpc_raw.h"

#include <tributary/grpc.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_WINDOW = 65535, QUANTUM = 16384, STREAMS = 16, HELD_MAX = 4096 };

/* ---- A server whose handlers read, hold, or do neither ------------------------------------------------------------------ */

static struct {
    pthread_t thread;
    struct event_base *base;
    struct trib_grpc_server *server;
    const char *address;
    int stop[2];
    struct trib_channel *channels[STREAMS];
    size_t channel_count;
    pthread_mutex_t lock; /* of what follows */
    struct trib_view held[HELD_MAX];
    size_t held_count;
    sem_t rests, goes_on;
    int first_end; /* what the handler's first finish said */
} side;

static void keep(struct trib_view view)
{
    pthread_mutex_lock(&side.lock);
    ck_assert_uint_lt(side.held_count, HELD_MAX);
    side.held[side.held_count++] = trib_view_retain(view);
    pthread_mutex_unlock(&side.lock);
}

/* The thread of the base rests between these two. */
static void on_rest(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    sem_post(&side.rests);
    while (sem_wait(&side.goes_on) != 0)
        ;
}

static void rest(void)
{
    ck_assert_int_eq(event_base_once(side.base, -1, EV_TIMEOUT, on_rest, NULL, NULL), 0);
    while (sem_wait(&side.rests) != 0)
        ;
}

static void go_on(void)
{
    sem_post(&side.goes_on);
}

/* On the test's thread: nobody reads because of it. */
static void release_all(void)
{
    pthread_mutex_lock(&side.lock);
    while (side.held_count > 0)
        trib_view_release(&side.held[--side.held_count]);
    pthread_mutex_unlock(&side.lock);
}

static void on_hold(struct trib_reader *reader, void *arg)
{
    struct trib_view view;

    (void)arg;
    while (trib_reader_take_some(reader, SIZE_MAX, &view, NULL) == TRIB_OK)
        keep(view);
}

static void on_drop(struct trib_reader *reader, void *arg)
{
    struct trib_view view;

    (void)arg;
    while (trib_reader_take_some(reader, SIZE_MAX, &view, NULL) == TRIB_OK)
        ;
}

static void on_whole(struct trib_reader *reader, void *arg)
{
    struct trib_view view;

    (void)arg;
    while (trib_reader_take(reader, (size_t)8 << 20, &view, NULL) == TRIB_OK)
        ;
}

/* Echoes the first message, and never ends. */
static void on_echo(struct trib_reader *reader, void *arg)
{
    struct trib_writer *writer = trib_channel_writer(arg);
    struct trib_view view;

    while (trib_reader_take_message(reader, 1 << 20, &view, NULL) == TRIB_OK) {
        trib_writer_begin_message(writer, view.len, NULL);
        trib_writer_view(writer, view, NULL);
        trib_writer_end_message(writer, NULL);
    }
}

enum { SMALL = 100, LARGE = 100000, EARLY = 6, LATE = 7 };

static void on_end(struct trib_writer *writer, void *arg)
{
    (void)arg;
    trib_writer_finish(writer, LATE, "late", NULL);
}

/* A message and the end behind it, which is said otherwise where it cannot go along. */
static void answer(struct trib_writer *writer, size_t len)
{
    static const uint8_t bytes[LARGE];

    ck_assert_int_eq(trib_writer_set_callback(writer, side.base, on_end, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_begin_message(writer, len, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, bytes, len, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_OK);
    side.first_end = trib_writer_finish(writer, EARLY, "early", NULL);
}

static void on_call(struct trib_grpc_call *call, void *arg)
{
    static const struct {
        const char *path;
        trib_readable_fn *fn;
    } kinds[] = { { "/test/Hold", on_hold }, { "/test/Drop", on_drop }, { "/test/Whole", on_whole }, { "/test/Echo", on_echo }, { "/test/Deaf", NULL } };
    struct trib_channel *channel = trib_grpc_call_channel(call);

    (void)arg;
    side.channels[side.channel_count++] = channel;
    if (strcmp(trib_grpc_call_path(call), "/test/Small") == 0 || strcmp(trib_grpc_call_path(call), "/test/Large") == 0)
        answer(trib_channel_writer(channel), trib_grpc_call_path(call)[6] == 'S' ? SMALL : LARGE);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(trib_grpc_call_path(call), kinds[i].path) == 0 && kinds[i].fn != NULL) {
            trib_writer_set_deadline(trib_channel_writer(channel), TRIB_NOWAIT);
            ck_assert_int_eq(trib_reader_set_callback(trib_channel_reader(channel), side.base, kinds[i].fn, channel, NULL), TRIB_OK);
        }
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    event_base_loopbreak(arg);
}

static void *run(void *arg)
{
    struct event *stop = event_new(side.base, side.stop[0], EV_READ, on_stop, side.base);

    (void)arg;
    event_add(stop, NULL);
    event_base_dispatch(side.base);
    event_free(stop);
    return NULL;
}

static void start(size_t budget, uint32_t window, uint32_t window_sum)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_grpc_settings settings = TRIB_GRPC_SETTINGS_INIT;
    static int counter;
    struct trib_error err;
    char uri[64];

    evthread_use_pthreads();
    memset(&side, 0, sizeof(side));
    pthread_mutex_init(&side.lock, NULL);
    sem_init(&side.rests, 0, 0);
    sem_init(&side.goes_on, 0, 0);
    options.budget = budget;
    settings.window = window;
    settings.window_sum = window_sum;
    side.base = event_base_new();
    ck_assert_int_eq(pipe(side.stop), 0);
    ck_assert_int_eq(trib_grpc_server_new(side.base, &options, &side.server, &err), TRIB_OK);
    trib_grpc_server_configure(side.server, &settings);
    ck_assert_int_eq(trib_grpc_server_handle(side.server, NULL, on_call, NULL, &err), TRIB_OK);
    snprintf(uri, sizeof(uri), "grpc+unix:@trib-flow-%ld-%d", (long)getpid(), counter++);
    ck_assert_msg(trib_grpc_server_listen(side.server, uri, &side.address, &err) == TRIB_OK, "%s", err.message);
    ck_assert_int_eq(pthread_create(&side.thread, NULL, run, NULL), 0);
}

static void stop(void)
{
    ck_assert_int_eq(write(side.stop[1], "x", 1), 1);
    pthread_join(side.thread, NULL);
    release_all();
    while (side.channel_count > 0)
        trib_channel_free(side.channels[--side.channel_count]);
    trib_grpc_server_free(side.server);
    event_base_free(side.base);
    close(side.stop[0]);
    close(side.stop[1]);
    pthread_mutex_destroy(&side.lock);
    sem_destroy(&side.rests);
    sem_destroy(&side.goes_on);
}

/* ---- The peer that counts ----------------------------------------------------------------------------------------------- */

static struct {
    int fd;
    int64_t credit[2 * STREAMS]; /* what may be sent on each stream */
    uint64_t granted[2 * STREAMS];
    uint64_t sent;
    uint64_t data; /* bytes of DATA that came */
    uint32_t first; /* the peer's SETTINGS_INITIAL_WINDOW_SIZE */
    struct grpc_raw_frame frame;
} peer;

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_setting(uint16_t id, uint32_t value)
{
    const uint8_t entry[6] = { 0, (uint8_t)id, (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value };

    grpc_raw_frame(4, 0, 0, entry, sizeof(entry));
}

static void handle(void)
{
    const struct grpc_raw_frame *frame = &peer.frame;

    if (frame->type == 8 && frame->stream < 2 * STREAMS) {
        peer.credit[frame->stream] += be32(frame->payload);
        peer.granted[frame->stream] += be32(frame->payload);
    } else if (frame->type == 0) {
        peer.data += frame->len;
    } else if (frame->type == 4 && (frame->flags & 1) == 0) {
        for (size_t at = 0; at + 6 <= frame->len; at += 6)
            if (frame->payload[at + 1] == 4)
                peer.first = be32(frame->payload + at + 2);
        grpc_raw_frame(4, 1, 0, NULL, 0);
        grpc_raw_send(peer.fd);
    } else if (frame->type == 6 && (frame->flags & 1) == 0) {
        grpc_raw_frame(6, 1, 0, frame->payload, 8);
        grpc_raw_send(peer.fd);
    }
}

static void next(void)
{
    ck_assert_msg(grpc_raw_next(peer.fd, &peer.frame), "the server said nothing more");
    handle();
}

/* All that the server had to say has been heard. */
static void barrier(void)
{
    static uint8_t mark[8] = "barrier";

    mark[7]++;
    grpc_raw_frame(6, 0, 0, mark, sizeof(mark));
    grpc_raw_send(peer.fd);
    do
        next();
    while (peer.frame.type != 6 || (peer.frame.flags & 1) == 0 || memcmp(peer.frame.payload, mark, sizeof(mark)) != 0);
}

static void meet(void)
{
    memset(&peer, 0, sizeof(peer));
    peer.fd = grpc_raw_connect(side.address);
    grpc_raw_preface();
    grpc_raw_send(peer.fd);
    barrier();
}

static void begin(uint32_t stream, const char *path)
{
    grpc_raw_request(stream, path, 0);
    grpc_raw_send(peer.fd);
    peer.credit[stream] = peer.first;
}

/* Bytes of DATA, within the credit. */
static void send_data(uint32_t stream, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t n = len < 16384 ? len : 16384;

        ck_assert_int_ge(peer.credit[stream], (int64_t)n);
        grpc_raw_frame(0, 0, stream, data, n);
        ck_assert(grpc_raw_send(peer.fd));
        peer.credit[stream] -= (int64_t)n;
        peer.sent += n;
        data += n;
        len -= n;
    }
}

static uint8_t *message(size_t len)
{
    uint8_t *bytes = calloc(1, 5 + len);

    bytes[1] = (uint8_t)(len >> 24);
    bytes[2] = (uint8_t)(len >> 16);
    bytes[3] = (uint8_t)(len >> 8);
    bytes[4] = (uint8_t)len;
    return bytes;
}

static void part(void)
{
    close(peer.fd);
    stop();
    balance_teardown();
}

/* ---- Tests --------------------------------------------------------------------------------------------------------------- */

/* What is held closes the window but for a little; its release, by a thread that reads nothing, opens it again. */
START_TEST(test_release_gives_back)
{
    uint8_t *bytes = message(FIRST_WINDOW - 5);

    balance_setup();
    start(65536, 0, 0);
    meet();
    ck_assert_uint_eq(peer.first, FIRST_WINDOW);
    begin(1, "/test/Hold");
    send_data(1, bytes, FIRST_WINDOW);
    while (peer.granted[1] < QUANTUM)
        next();
    barrier();
    barrier();
    ck_assert_uint_eq(peer.granted[1], QUANTUM);
    rest(); /* who looks in the midst of it opens the window bit by bit, and the last bit may be too small to be told */
    release_all();
    go_on();
    while (peer.granted[1] < FIRST_WINDOW)
        next();
    barrier();
    ck_assert_uint_le(peer.granted[1], 65536);
    free(bytes);
    part();
}
END_TEST

/* A stream that is read as fast as it comes gets a window of what a round trip takes, and no more than its budget. */
START_TEST(test_window_grows)
{
    const size_t len = 16379;
    uint8_t *bytes = message(len);
    const int64_t budget = 4 << 20;

    balance_setup();
    start((size_t)budget, 0, 0);
    meet();
    begin(1, "/test/Drop");
    while (peer.credit[1] < 1 << 20) {
        ck_assert_msg(peer.sent < (uint64_t)256 << 20, "the window is %lld after 256 MiB", (long long)peer.credit[1]);
        while (peer.credit[1] >= (int64_t)len + 5)
            send_data(1, bytes, len + 5);
        next();
        ck_assert_int_le(peer.credit[1], budget);
    }
    free(bytes);
    part();
}
END_TEST

/* What one stream was found to need is offered to the next ones, and is no reason to offer them more: they have used nothing of it. */
START_TEST(test_idle_streams_raise_nothing)
{
    const size_t len = 16379;
    uint8_t *bytes = message(len);
    int64_t most;

    balance_setup();
    start((size_t)64 << 20, 0, 0);
    meet();
    begin(1, "/test/Drop");
    while (peer.credit[1] < 1 << 20) {
        while (peer.credit[1] >= (int64_t)len + 5)
            send_data(1, bytes, len + 5);
        next();
    }
    barrier();
    barrier();
    most = peer.credit[1];
    for (uint32_t id = 3; id < 2 * STREAMS; id += 2) {
        begin(id, "/test/Drop");
        barrier();
        barrier();
        ck_assert_msg(peer.credit[id] <= 2 * most, "stream %u may send %lld bytes, the one that is used %lld", id, (long long)peer.credit[id], (long long)most);
        ck_assert_int_eq(peer.credit[id], peer.credit[3]);
    }
    free(bytes);
    part();
}
END_TEST

/* A handler that never reads: what may be sent to it is the first window, whatever the budget. */
START_TEST(test_deaf_handler)
{
    uint8_t *bytes = message((size_t)256 << 20);
    const uint32_t window = _i == 0 ? FIRST_WINDOW : 20000;

    balance_setup();
    start(0, _i == 0 ? 0 : window, 0);
    meet();
    ck_assert_uint_eq(peer.first, window);
    begin(1, "/test/Deaf");
    send_data(1, bytes, window);
    barrier();
    barrier();
    ck_assert_uint_eq(peer.granted[1], 0);
    free(bytes);
    part();
}
END_TEST

/* Each of many streams waits for more than all may get. */
START_TEST(test_bound_on_the_sum)
{
    const uint64_t sum = 1 << 20;
    uint8_t *bytes = message((size_t)8 << 20);
    uint64_t granted = 0;

    balance_setup();
    start(0, 0, (uint32_t)sum);
    meet();
    for (uint32_t i = 0; i < STREAMS; i++) {
        begin(2 * i + 1, "/test/Whole");
        send_data(2 * i + 1, bytes, 5);
    }
    barrier();
    barrier();
    for (size_t i = 0; i < 2 * STREAMS; i++)
        granted += i % 2 == 1 ? peer.granted[i] : 0;
    ck_assert_msg(granted >= sum && granted <= sum + 5 * STREAMS, "%llu bytes beyond the first windows", (unsigned long long)granted);
    ck_assert_uint_ge(peer.granted[0], (uint64_t)INT32_MAX - FIRST_WINDOW);
    free(bytes);
    part();
}
END_TEST

/* The peer changes the windows of streams that are under way: what it allows comes at once, and below zero nothing. */
START_TEST(test_initial_window_changes)
{
    uint8_t *bytes = message(1000);

    balance_setup();
    start(0, 0, 0);
    meet();
    put_setting(4, 10);
    begin(1, "/test/Echo");
    send_data(1, bytes, 1005);
    barrier();
    barrier();
    ck_assert_uint_eq(peer.data, 10);
    put_setting(4, 700);
    barrier(); /* whose answer overtakes DATA */
    barrier();
    ck_assert_uint_eq(peer.data, 700);
    put_setting(4, 100);
    grpc_raw_frame(8, 0, 1, (const uint8_t[]){ 0, 0, 2, 88 }, 4); /* 600: the window is 0 */
    barrier();
    barrier();
    ck_assert_uint_eq(peer.data, 700);
    put_setting(4, 65535);
    barrier();
    barrier();
    ck_assert_uint_eq(peer.data, 1005);
    free(bytes);
    part();
}
END_TEST

/* A peer that lets a byte or two come gets them, and nothing spins meanwhile. */
START_TEST(test_tiny_window)
{
    uint8_t *bytes = message(100);

    balance_setup();
    start(0, 0, 0);
    meet();
    put_setting(4, (uint32_t)_i);
    begin(1, "/test/Echo");
    send_data(1, bytes, 105);
    barrier();
    barrier();
    ck_assert_uint_eq(peer.data, _i);
    put_setting(4, 65535);
    barrier();
    barrier();
    ck_assert_uint_eq(peer.data, 105);
    free(bytes);
    part();
}
END_TEST

/* An end goes right behind the last message where the window has room for that. Where it has not, nothing of it is said: the writer may end otherwise. */
START_TEST(test_end_behind_a_message)
{
    struct trib_grpc_settings settings = TRIB_GRPC_SETTINGS_INIT;
    struct trib_grpc_client *client;
    struct trib_grpc_call *call;
    struct trib_channel *channel;
    struct trib_view view;
    struct trib_error err;
    const char *text;
    int status;

    balance_setup();
    start(0, 0, 0);
    settings.window = 1000;
    ck_assert_int_eq(trib_grpc_connect(side.address, NULL, &client, &err), TRIB_OK);
    trib_grpc_client_configure(client, &settings);
    ck_assert_int_eq(trib_grpc_call(client, _i == 0 ? "/test/Small" : "/test/Large", NULL, &call, &err), TRIB_OK);
    channel = trib_grpc_call_channel(call);
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(channel), 0, NULL, &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_take_message(trib_channel_reader(channel), 1 << 20, &view, &err), TRIB_OK);
    ck_assert_uint_eq(view.len, _i == 0 ? SMALL : LARGE);
    ck_assert_int_eq(trib_reader_take_message(trib_channel_reader(channel), 1 << 20, &view, &err), TRIB_ERR_FAILED);
    ck_assert_int_eq(trib_grpc_call_status(call, &status, &text), TRIB_OK);
    ck_assert_int_eq(status, _i == 0 ? EARLY : LATE);
    ck_assert_str_eq(text, _i == 0 ? "early" : "late");
    trib_channel_free(channel);
    trib_grpc_client_free(client);
    stop();
    ck_assert_int_eq(side.first_end, _i == 0 ? TRIB_OK : TRIB_AGAIN);
    balance_teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC's flow control");
    TCase *tcase = tcase_create("flow control");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, test_release_gives_back);
    tcase_add_test(tcase, test_window_grows);
    tcase_add_test(tcase, test_idle_streams_raise_nothing);
    tcase_add_loop_test(tcase, test_deaf_handler, 0, 2);
    tcase_add_test(tcase, test_bound_on_the_sum);
    tcase_add_test(tcase, test_initial_window_changes);
    tcase_add_loop_test(tcase, test_tiny_window, 1, 6);
    tcase_add_loop_test(tcase, test_end_behind_a_message, 0, 2);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
