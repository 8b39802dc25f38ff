/* The chunk: transport: references across threads, marks, ends, names, event bases. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"

#include <tributary/reader.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct trib_channel *a, *b;

static void pair_with(size_t budget)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    options.budget = budget;
    ck_assert_int_eq(trib_chunk_pair(&options, &a, &b, NULL), TRIB_OK);
}

static void setup(void)
{
    balance_setup();
    pair_with(0);
}

static void teardown(void)
{
    trib_channel_free(a);
    trib_channel_free(b);
    a = b = NULL;
    balance_teardown();
}

static void again(size_t budget)
{
    trib_channel_free(a);
    trib_channel_free(b);
    pair_with(budget);
}

static void send_text(struct trib_channel *channel, const char *text)
{
    ck_assert_int_eq(trib_writer_bytes(trib_channel_writer(channel), text, strlen(text), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(channel), NULL), TRIB_OK);
}

static void expect_text(struct trib_channel *channel, const char *text)
{
    struct trib_view view;

    ck_assert_int_eq(trib_reader_take(trib_channel_reader(channel), strlen(text), &view, NULL), TRIB_OK);
    ck_assert_mem_eq(view.data, text, strlen(text));
}

static int take_one(struct trib_channel *channel, struct trib_error *err)
{
    struct trib_view view;

    return trib_reader_take(trib_channel_reader(channel), 1, &view, err);
}

/* ---- Bytes and messages --------------------------------------------------------------------------------------- */

/* What the reader takes out of the queue itself counts as received all the same, and a mark is not passed over. */
START_TEST(test_reader_at_the_queue)
{
    struct trib_writer *writer = trib_channel_writer(a);
    struct trib_reader *reader = trib_channel_reader(b);
    struct trib_channel_stats stats = { .size = sizeof(stats) };
    struct trib_reader_stats read = { .size = sizeof(read) };
    struct trib_chunk *chunk;
    struct trib_view view;

    ck_assert_int_eq(trib_writer_begin_message(writer, 1000, NULL), TRIB_OK);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(trib_chunk_copy("0123456789", 10, &chunk, NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_chunk(writer, chunk, NULL), TRIB_OK);
    }
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_OK);
    send_text(a, "behind");
    for (int i = 0; i < 100; i++) {
        ck_assert(!trib_reader_at_mark(reader) || i == 0);
        ck_assert_int_eq(trib_reader_take(reader, 10, &view, NULL), TRIB_OK);
        ck_assert_mem_eq(view.data, "0123456789", 10);
    }
    ck_assert(trib_reader_at_mark(reader));
    expect_text(b, "behind");
    ck_assert(!trib_reader_at_mark(reader));
    trib_channel_stats(b, &stats);
    ck_assert_uint_eq(stats.bytes_in, 1006);
    ck_assert_uint_ge(stats.recv_calls, 2); /* the first, and the one with the mark */
    ck_assert_uint_lt(stats.recv_calls, 10);
    trib_reader_stats(reader, &read);
    ck_assert_uint_eq(read.bytes, 1006);
    ck_assert_uint_eq(read.chunks, 101);
    ck_assert_uint_eq(read.takes, 101);
}
END_TEST

START_TEST(test_both_ways)
{
    send_text(a, "ping");
    send_text(b, "pong");
    expect_text(b, "ping");
    expect_text(a, "pong");
}
END_TEST

START_TEST(test_references_pass)
{
    struct trib_reader_stats stats = { .size = sizeof(stats) };
    struct trib_chunk *chunk;
    struct trib_view view;
    const uint8_t *data;

    ck_assert_int_eq(trib_chunk_new(100000, 1, &chunk, NULL), TRIB_OK);
    data = trib_chunk_data(chunk);
    memset(trib_chunk_writable(chunk), 'x', 100000);
    ck_assert_int_eq(trib_writer_chunk(trib_channel_writer(a), chunk, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(a), NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(b), 100000, &view, NULL), TRIB_OK);
    ck_assert_ptr_eq(view.data, data);
    trib_reader_stats(trib_channel_reader(b), &stats);
    ck_assert_uint_eq(stats.copies, 0);
    ck_assert_uint_eq(stats.held, 100000);
    ck_assert_uint_eq(trib_budget_held(trib_channel_budget(b)), 100000);
}
END_TEST

START_TEST(test_messages)
{
    static const char *const texts[] = { "one", "", "three", "" };
    struct trib_writer *writer = trib_channel_writer(a);
    struct trib_view view;

    for (size_t i = 0; i < COUNT(texts); i++) {
        ck_assert_int_eq(trib_writer_begin_message(writer, strlen(texts[i]), NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_bytes(writer, texts[i], strlen(texts[i]), NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_OK);
    }
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_OK);
    for (size_t i = 0; i < COUNT(texts); i++) {
        ck_assert_int_eq(trib_reader_take_message(trib_channel_reader(b), 100, &view, NULL), TRIB_OK);
        ck_assert_uint_eq(view.len, strlen(texts[i]));
        ck_assert_mem_eq(view.data != NULL ? (const char *)view.data : "", texts[i], view.len);
        ck_assert(trib_reader_at_mark(trib_channel_reader(b)));
    }
    ck_assert_int_eq(trib_reader_take_message(trib_channel_reader(b), 100, &view, NULL), TRIB_EOF);
}
END_TEST

/* ---- The end -------------------------------------------------------------------------------------------------- */

START_TEST(test_half_close)
{
    send_text(a, "last");
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(a), 0, NULL, NULL), TRIB_OK);
    expect_text(b, "last");
    ck_assert_int_eq(take_one(b, NULL), TRIB_EOF);
    send_text(b, "answer");
    expect_text(a, "answer");
}
END_TEST

static const struct {
    const char *text, *expected;
} failures[] = {
    { "the disk is full", "the disk is full" },
    { NULL, "status 5" },
};

START_TEST(test_status)
{
    struct trib_error err;

    send_text(a, "x");
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(a), 5, failures[_i].text, NULL), TRIB_OK);
    expect_text(b, "x");
    ck_assert_int_eq(take_one(b, &err), TRIB_ERR_FAILED);
    ck_assert_ptr_nonnull(strstr(err.message, failures[_i].expected));
    ck_assert_int_eq(take_one(b, NULL), TRIB_ERR_FAILED);
}
END_TEST

/* Gone without finish: what it had sent, then the loss; after a finish: the end. */
START_TEST(test_loss)
{
    struct trib_error err;

    send_text(a, "x");
    trib_channel_free(a);
    a = NULL;
    expect_text(b, "x");
    ck_assert_int_eq(take_one(b, &err), TRIB_ERR_CLOSED);
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(b), 1, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(b), NULL), TRIB_ERR_CLOSED);
}
END_TEST

START_TEST(test_finish_then_free)
{
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(a), 0, NULL, NULL), TRIB_OK);
    trib_channel_free(a);
    a = NULL;
    ck_assert_int_eq(take_one(b, NULL), TRIB_EOF);
}
END_TEST

START_TEST(test_views_outlive_both_ends)
{
    struct trib_view view;

    send_text(a, "stay");
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(b), 4, &view, NULL), TRIB_OK);
    view = trib_view_retain(view);
    trib_channel_free(a);
    trib_channel_free(b);
    a = b = NULL;
    ck_assert_mem_eq(view.data, "stay", 4);
    trib_view_release(&view);
}
END_TEST

START_TEST(test_peer_is_this_process)
{
    struct trib_peer peer = { .size = sizeof(peer) };

    ck_assert_int_eq(trib_channel_peer(a, &peer, NULL), TRIB_OK);
    ck_assert_int_eq(peer.pid, getpid());
    ck_assert_int_eq(peer.uid, getuid());
}
END_TEST

/* ---- Budget and waiting --------------------------------------------------------------------------------------- */

START_TEST(test_nowait)
{
    struct trib_writer *writer = trib_channel_writer(a);
    struct trib_chunk *chunk;
    int code;

    again(1000);
    writer = trib_channel_writer(a);
    trib_writer_set_deadline(writer, TRIB_NOWAIT);
    trib_reader_set_deadline(trib_channel_reader(b), TRIB_NOWAIT);
    ck_assert_int_eq(take_one(b, NULL), TRIB_AGAIN);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(trib_chunk_copy("0123456789", 10, &chunk, NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_chunk(writer, chunk, NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    }
    ck_assert_int_eq(trib_chunk_new(990, 1, &chunk, NULL), TRIB_OK);
    memset(trib_chunk_writable(chunk), 'z', 990);
    ck_assert_int_eq(trib_writer_chunk(writer, chunk, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_AGAIN);
    expect_text(b, "0123456789");
    expect_text(b, "0123456789");
    expect_text(b, "012345678");
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    expect_text(b, "9zzz");
    code = trib_writer_flush(writer, NULL);
    ck_assert_int_eq(code, TRIB_OK);
}
END_TEST

START_TEST(test_deadlines)
{
    struct trib_chunk *chunk;
    struct trib_error err;

    again(100);
    trib_reader_set_deadline(trib_channel_reader(b), trib_deadline_ms(5));
    ck_assert_int_eq(take_one(b, &err), TRIB_ERR_TIMEOUT);
    trib_writer_set_deadline(trib_channel_writer(a), trib_deadline_ms(5));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(trib_chunk_new(80, 1, &chunk, NULL), TRIB_OK);
        memset(trib_chunk_writable(chunk), 'z', 80);
        ck_assert_int_eq(trib_writer_chunk(trib_channel_writer(a), chunk, NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_flush(trib_channel_writer(a), &err), i == 0 ? TRIB_OK : TRIB_ERR_TIMEOUT);
    }
    ck_assert_uint_eq(trib_writer_pending(trib_channel_writer(a)), 80);
}
END_TEST

struct producer {
    struct trib_channel *channel;
    size_t count;
    int code;
};

/* Numbers, prefix by prefix, so that references to header blocks cross as well. */
static void *produce(void *arg)
{
    struct producer *producer = arg;
    struct trib_writer *writer = trib_channel_writer(producer->channel);

    producer->code = TRIB_OK;
    for (uint32_t i = 0; i < producer->count && producer->code == TRIB_OK; i++) {
        struct trib_chunk *chunk;

        ck_assert_int_eq(trib_chunk_copy(&i, sizeof(i), &chunk, NULL), TRIB_OK);
        producer->code = trib_writer_bytes_be32(writer, trib_chunk_view(chunk), NULL);
        trib_chunk_unref(chunk);
        if (producer->code == TRIB_OK && i % 3 == 0)
            producer->code = trib_writer_flush(writer, NULL);
    }
    if (producer->code == TRIB_OK)
        producer->code = trib_writer_finish(writer, 0, NULL, NULL);
    return NULL;
}

/* Budgets from one byte up: nothing is lost, and neither side hangs. */
static const size_t budgets[] = { 1, 7, 100, 4096, 8 << 20 };

START_TEST(test_threads)
{
    struct producer producer = { NULL, 5000, TRIB_OK };
    pthread_t thread;
    struct trib_view view;
    uint32_t number;

    again(budgets[_i]);
    producer.channel = a;
    ck_assert_int_eq(pthread_create(&thread, NULL, produce, &producer), 0);
    for (uint32_t i = 0; i < producer.count; i++) {
        ck_assert_int_eq(trib_reader_bytes_be32(trib_channel_reader(b), 4, &view, NULL), TRIB_OK);
        memcpy(&number, view.data, sizeof(number));
        ck_assert_uint_eq(number, i);
    }
    ck_assert_int_eq(take_one(b, NULL), TRIB_EOF);
    pthread_join(thread, NULL);
    ck_assert_int_eq(producer.code, TRIB_OK);
}
END_TEST

static void *consume(void *arg)
{
    struct producer *consumer = arg;
    struct trib_view view;

    for (uint32_t i = 0; i < consumer->count && consumer->code == TRIB_OK; i++)
        consumer->code = trib_reader_bytes_be32(trib_channel_reader(consumer->channel), 4, &view, NULL);
    return NULL;
}

static void expect_growth(struct trib_channel *channel, struct trib_channel_stats *stats)
{
    struct trib_channel_stats before = *stats;

    trib_channel_stats(channel, stats);
    ck_assert_uint_ge(stats->bytes_in, before.bytes_in);
    ck_assert_uint_ge(stats->bytes_out, before.bytes_out);
    ck_assert_uint_ge(stats->recv_calls, before.recv_calls);
    ck_assert_uint_ge(stats->send_calls, before.send_calls);
}

/* While two threads send and receive, a third one asks how far they are. */
START_TEST(test_stats_by_a_third)
{
    struct producer producer = { NULL, 20000, TRIB_OK }, consumer = { NULL, 20000, TRIB_OK };
    struct trib_channel_stats sent = { .size = sizeof(sent) }, received = { .size = sizeof(received) };
    int64_t deadline = trib_deadline_ms(20000);
    pthread_t writing, reading;

    again(1000);
    producer.channel = a;
    consumer.channel = b;
    trib_reader_set_deadline(trib_channel_reader(b), deadline);
    ck_assert_int_eq(pthread_create(&writing, NULL, produce, &producer), 0);
    ck_assert_int_eq(pthread_create(&reading, NULL, consume, &consumer), 0);
    while (received.bytes_in < 8 * 20000 && trib_now() < deadline) {
        expect_growth(a, &sent);
        expect_growth(b, &received);
    }
    pthread_join(writing, NULL);
    pthread_join(reading, NULL);
    expect_growth(a, &sent);
    ck_assert_int_eq(producer.code, TRIB_OK);
    ck_assert_int_eq(consumer.code, TRIB_OK);
    ck_assert_uint_eq(sent.bytes_out, 8 * 20000);
    ck_assert_uint_eq(received.bytes_in, 8 * 20000);
}
END_TEST

static void *cancel_it(void *arg)
{
    trib_channel_cancel(arg);
    return NULL;
}

/* Whichever end is cancelled, whatever the other thread is doing: it returns. */
START_TEST(test_cancel)
{
    struct producer producer = { NULL, 1 << 30, TRIB_OK };
    pthread_t writing, cancelling;

    again(1000);
    producer.channel = a;
    ck_assert_int_eq(pthread_create(&writing, NULL, produce, &producer), 0);
    ck_assert_int_eq(pthread_create(&cancelling, NULL, cancel_it, _i == 0 ? a : b), 0);
    pthread_join(cancelling, NULL);
    pthread_join(writing, NULL);
    ck_assert_int_eq(producer.code, TRIB_ERR_CANCELLED);
    ck_assert_int_eq(take_one(b, NULL), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(take_one(a, NULL), TRIB_ERR_CANCELLED);
}
END_TEST

/* ---- With an event base --------------------------------------------------------------------------------------- */

struct loop {
    struct event_base *base;
    size_t received, sent, total;
    int code;
};

static void on_readable(struct trib_reader *reader, void *arg)
{
    struct loop *loop = arg;
    struct trib_view view;

    while ((loop->code = trib_reader_take_some(reader, 1 << 20, &view, NULL)) == TRIB_OK)
        loop->received += view.len;
    if (loop->code != TRIB_AGAIN)
        event_base_loopbreak(loop->base);
}

static void on_writable(struct trib_writer *writer, void *arg)
{
    struct loop *loop = arg;
    static const uint8_t bytes[700];
    int code = TRIB_OK;

    while (loop->sent < loop->total && (code = trib_writer_bytes(writer, bytes, sizeof(bytes), NULL)) == TRIB_OK)
        loop->sent += sizeof(bytes);
    if (code == TRIB_OK)
        code = trib_writer_flush(writer, NULL);
    if (code == TRIB_OK)
        code = trib_writer_finish(writer, 0, NULL, NULL);
    ck_assert(code == TRIB_OK || code == TRIB_AGAIN);
}

/* Both ends on one base, through a budget that is small against what passes. */
START_TEST(test_event_base)
{
    struct loop loop = { event_base_new(), 0, 0, 700 * 1000, TRIB_OK };

    again(2000);
    ck_assert_int_eq(trib_reader_set_callback(trib_channel_reader(b), loop.base, on_readable, &loop, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_set_callback(trib_channel_writer(a), loop.base, on_writable, &loop, NULL), TRIB_OK);
    event_base_dispatch(loop.base);
    ck_assert_int_eq(loop.code, TRIB_EOF);
    ck_assert_uint_eq(loop.received, loop.total);
    trib_channel_free(a);
    trib_channel_free(b);
    a = b = NULL;
    event_base_free(loop.base);
}
END_TEST

/* The producer is another thread, the base one that was not made for threads. */
START_TEST(test_event_base_and_thread)
{
    struct loop loop = { event_base_new(), 0, 0, 0, TRIB_OK };
    struct producer producer = { NULL, 5000, TRIB_OK };
    pthread_t thread;

    again(1000);
    producer.channel = a;
    ck_assert_int_eq(trib_reader_set_callback(trib_channel_reader(b), loop.base, on_readable, &loop, NULL), TRIB_OK);
    ck_assert_int_eq(pthread_create(&thread, NULL, produce, &producer), 0);
    event_base_dispatch(loop.base);
    pthread_join(thread, NULL);
    ck_assert_int_eq(loop.code, TRIB_EOF);
    ck_assert_uint_eq(loop.received, 8 * producer.count);
    trib_channel_free(b);
    b = NULL;
    event_base_free(loop.base);
}
END_TEST

static void count_calls(void *arg)
{
    ++*(int *)arg;
}

/* A watch runs once, not inside the call that arms it, and not after it was taken away. */
START_TEST(test_watch)
{
    struct event_base *base = event_base_new();
    int calls = 0;

    send_text(a, "x");
    ck_assert_int_eq(trib_channel_watch(b, base, TRIB_READABLE, count_calls, &calls, NULL), TRIB_OK);
    ck_assert_int_eq(trib_channel_watch(b, base, TRIB_WRITABLE, count_calls, &calls, NULL), TRIB_OK);
    ck_assert_int_eq(calls, 0);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(calls, 2);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(trib_channel_watch(b, base, TRIB_READABLE, count_calls, &calls, NULL), TRIB_OK);
    ck_assert_int_eq(trib_channel_watch(b, base, TRIB_READABLE, NULL, NULL, NULL), TRIB_OK);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(calls, 2);
    expect_text(b, "x");
    ck_assert_int_eq(trib_channel_watch(b, base, TRIB_READABLE, count_calls, &calls, NULL), TRIB_OK);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(calls, 2);
    trib_channel_cancel(a);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(calls, 3);
    trib_channel_free(b);
    b = NULL;
    event_base_free(base);
}
END_TEST

static int pair_scenario(void *arg, struct trib_error *err)
{
    struct trib_channel *one, *two;
    struct trib_view view;
    int code = trib_chunk_pair(NULL, &one, &two, err);

    (void)arg;
    if (code != TRIB_OK)
        return code;
    code = trib_writer_be32(trib_channel_writer(one), 5, err);
    if (code == TRIB_OK)
        code = trib_writer_flush(trib_channel_writer(one), err);
    if (code == TRIB_OK)
        code = trib_reader_take(trib_channel_reader(two), 4, &view, err);
    trib_channel_free(one);
    trib_channel_free(two);
    return code;
}

START_TEST(test_no_memory)
{
    teardown();
    ck_assert_uint_ge(fail_alloc_every(pair_scenario, NULL), 10);
    balance_setup();
}
END_TEST

static Suite *chunk_suite(void)
{
    Suite *suite = suite_create("chunk_transport");
    TCase *tcase = tcase_create("channel");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, test_reader_at_the_queue);
    tcase_add_test(tcase, test_both_ways);
    tcase_add_test(tcase, test_references_pass);
    tcase_add_test(tcase, test_messages);
    tcase_add_test(tcase, test_half_close);
    tcase_add_loop_test(tcase, test_status, 0, COUNT(failures));
    tcase_add_test(tcase, test_loss);
    tcase_add_test(tcase, test_finish_then_free);
    tcase_add_test(tcase, test_views_outlive_both_ends);
    tcase_add_test(tcase, test_peer_is_this_process);
    tcase_add_test(tcase, test_nowait);
    tcase_add_test(tcase, test_deadlines);
    tcase_add_loop_test(tcase, test_threads, 0, COUNT(budgets));
    tcase_add_test(tcase, test_stats_by_a_third);
    tcase_add_loop_test(tcase, test_cancel, 0, 2);
    tcase_add_test(tcase, test_event_base);
    tcase_add_test(tcase, test_event_base_and_thread);
    tcase_add_test(tcase, test_watch);
    tcase_add_test(tcase, test_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(chunk_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
