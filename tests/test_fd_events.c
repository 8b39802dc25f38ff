/* Channels over descriptors on an event_base: both directions, and cancel. */
#include "tests/support/balance.h"
#include "tests/support/runner.h"

#include <tributary/fd.h>
#include <tributary/reader.h>
#include <tributary/transport.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <check.h>
#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum kind { SOCKETS, PIPES, KINDS };
enum { PIECE = 3000, PIECES = 1000 };

struct side {
    struct trib_channel *channel;
    struct event_base *base;
    unsigned sent, got;
    bool finished, ended;
    int rc;
    int runs;
};

static void open_pair(enum kind kind, struct trib_channel **a, struct trib_channel **b)
{
    int there[2], back[2];

    if (kind == SOCKETS) {
        ck_assert_int_eq(trib_unix_pair(NULL, a, b, NULL), TRIB_OK);
        return;
    }
    ck_assert_int_eq(pipe2(there, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(back, O_CLOEXEC), 0);
    ck_assert_int_eq(trib_fd_channel(back[0], there[1], NULL, NULL, a, NULL), TRIB_OK);
    ck_assert_int_eq(trib_fd_channel(there[0], back[1], NULL, NULL, b, NULL), TRIB_OK);
}

static void leave_if_done(struct side *side)
{
    if (side->finished && side->ended)
        event_base_loopbreak(side->base);
}

static void send_more(struct trib_writer *writer, void *arg)
{
    static uint8_t bytes[PIECE];
    struct side *side = arg;
    int rc = TRIB_OK;

    while (rc == TRIB_OK && side->sent < PIECES) {
        memset(bytes, (int)(side->sent % 251), sizeof(bytes));
        rc = trib_writer_bytes(writer, bytes, sizeof(bytes), NULL);
        side->sent += rc == TRIB_OK;
    }
    if (rc == TRIB_OK)
        rc = trib_writer_finish(writer, 0, NULL, NULL);
    ck_assert_int_ge(rc, TRIB_OK);
    side->finished = rc == TRIB_OK;
    leave_if_done(side);
}

static void receive_more(struct trib_reader *reader, void *arg)
{
    struct side *side = arg;
    struct trib_view view;
    int rc;

    while ((rc = trib_reader_take(reader, PIECE, &view, NULL)) == TRIB_OK) {
        ck_assert_uint_eq(view.data[0], side->got % 251);
        ck_assert_uint_eq(view.data[PIECE - 1], side->got % 251);
        side->got++;
    }
    side->ended = rc == TRIB_EOF;
    ck_assert_msg(side->ended || rc == TRIB_AGAIN, "take: %d", rc);
    leave_if_done(side);
}

/* Both ends on one base: nothing may wait. */
START_TEST(test_both_directions)
{
    struct event_base *base = event_base_new();
    struct side a = {.base = base}, b = {.base = base};

    open_pair(_i, &a.channel, &b.channel);
    ck_assert_int_eq(trib_reader_set_callback(trib_channel_reader(a.channel), base, receive_more, &a, NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_set_callback(trib_channel_reader(b.channel), base, receive_more, &b, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_set_callback(trib_channel_writer(a.channel), base, send_more, &a, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_set_callback(trib_channel_writer(b.channel), base, send_more, &b, NULL), TRIB_OK);
    send_more(trib_channel_writer(a.channel), &a);
    send_more(trib_channel_writer(b.channel), &b);
    while (!(a.finished && a.ended && b.finished && b.ended))
        ck_assert_int_ge(event_base_dispatch(base), 0);
    ck_assert_uint_eq(a.got, PIECES);
    ck_assert_uint_eq(b.got, PIECES);
    trib_channel_free(a.channel);
    trib_channel_free(b.channel);
    event_base_free(base);
}
END_TEST

static void is_ready(void *arg)
{
    struct side *side = arg;

    side->runs++;
    event_base_loopbreak(side->base);
}

static void fill_up(struct trib_channel *channel)
{
    static const uint8_t zeros[65536];
    int rc;

    trib_writer_set_deadline(trib_channel_writer(channel), TRIB_NOWAIT);
    do
        rc = trib_writer_bytes(trib_channel_writer(channel), zeros, sizeof(zeros), NULL);
    while (rc == TRIB_OK);
}

static void cancel(void *arg)
{
    trib_channel_cancel(arg);
}

/* From another thread, with the watch armed and with it armed afterwards. */
START_TEST(test_cancel_fires_watches)
{
    static const enum trib_direction directions[] = { TRIB_READABLE, TRIB_WRITABLE };
    enum kind kind = _i % KINDS;
    enum trib_direction direction = directions[_i / KINDS];
    struct event_base *base = event_base_new();
    struct side side = {.base = base};
    struct trib_channel *other;
    struct runner runner;

    open_pair(kind, &side.channel, &other);
    fill_up(side.channel);
    ck_assert_int_eq(trib_channel_watch(side.channel, base, direction, is_ready, &side, NULL), TRIB_OK);
    ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
    ck_assert_int_eq(side.runs, 0);
    runner_start(&runner, cancel, side.channel);
    ck_assert_int_eq(event_base_dispatch(base), 0);
    runner_join(&runner);
    ck_assert_int_eq(side.runs, 1);
    ck_assert_int_eq(trib_channel_watch(side.channel, base, direction, is_ready, &side, NULL), TRIB_OK);
    ck_assert_int_eq(event_base_dispatch(base), 0);
    ck_assert_int_eq(side.runs, 2);
    trib_channel_free(side.channel);
    trib_channel_free(other);
    event_base_free(base);
}
END_TEST

START_TEST(test_disarmed_watch_does_not_run)
{
    struct event_base *base = event_base_new();
    struct side side = {.base = base};
    struct trib_channel *other;

    open_pair(_i, &side.channel, &other);
    ck_assert_int_eq(trib_channel_watch(side.channel, base, TRIB_WRITABLE, is_ready, &side, NULL), TRIB_OK);
    ck_assert_int_eq(trib_channel_watch(side.channel, base, TRIB_WRITABLE, NULL, NULL, NULL), TRIB_OK);
    ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
    ck_assert_int_eq(side.runs, 0);
    /* Closed while armed. */
    ck_assert_int_eq(trib_channel_watch(side.channel, base, TRIB_WRITABLE, is_ready, &side, NULL), TRIB_OK);
    trib_channel_free(side.channel);
    trib_channel_free(other);
    ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
    ck_assert_int_eq(side.runs, 0);
    event_base_free(base);
}
END_TEST

static void spoil_and_free(void *memory)
{
    volatile uint8_t *bytes = memory; /* not a memset(): a compiler leaves that out in front of free() */

    for (size_t i = 0, len = malloc_usable_size(memory); i < len; i++)
        bytes[i] = 0xee;
    free(memory);
}

/* Once a watch has fired or was disarmed, the channel does not touch the base any more. */
START_TEST(test_base_goes_first)
{
    struct side side = {.base = NULL};
    struct trib_channel *other;
    bool fires = _i / KINDS == 1;

    event_set_mem_functions(malloc, realloc, spoil_and_free);
    open_pair(_i % KINDS, &side.channel, &other);
    for (int round = 0; round < 2; round++) {
        side.base = event_base_new();
        ck_assert_int_eq(trib_channel_watch(side.channel, side.base, TRIB_WRITABLE, is_ready, &side, NULL), TRIB_OK);
        if (fires)
            ck_assert_int_ge(event_base_dispatch(side.base), 0);
        else
            ck_assert_int_eq(trib_channel_watch(side.channel, side.base, TRIB_WRITABLE, NULL, NULL, NULL), TRIB_OK);
        event_base_free(side.base);
        ck_assert_int_eq(side.runs, fires ? round + 1 : 0);
    }
    trib_channel_free(side.channel);
    trib_channel_free(other);
    event_set_mem_functions(malloc, realloc, free);
}
END_TEST

static void nothing_to_read(struct trib_reader *reader, void *arg)
{
    (void)reader;
    (void)arg;
}

/* The callback that runs soon after it was set leaves the watch armed that a TRIB_AGAIN before it made. */
START_TEST(test_ended_callback_leaves_nothing)
{
    struct event_base *base = event_base_new();
    struct trib_channel *a, *b;
    struct trib_reader *reader;
    uint8_t byte;

    open_pair(_i, &a, &b);
    reader = trib_channel_reader(a);
    ck_assert_int_eq(trib_reader_set_callback(reader, base, nothing_to_read, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_u8(reader, &byte, NULL), TRIB_AGAIN);
    ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
    ck_assert_int_eq(trib_reader_set_callback(reader, NULL, NULL, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 1); /* no event is left */
    trib_channel_free(a);
    trib_channel_free(b);
    event_base_free(base);
}
END_TEST

static void never(struct trib_writer *writer, void *arg)
{
    (void)writer;
    (void)arg;
    ck_abort_msg("no callback is set");
}

START_TEST(test_writer_without_base)
{
    struct trib_channel *a, *b;

    open_pair(_i, &a, &b);
    ck_assert_int_eq(trib_writer_set_callback(trib_channel_writer(a), NULL, never, NULL, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_set_callback(trib_channel_writer(a), NULL, NULL, NULL, NULL), TRIB_OK);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

/* An idle channel on an event_base holds no receive buffer. */
START_TEST(test_idle_holds_nothing)
{
    struct trib_pool_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    struct trib_channel *a, *b;
    uint8_t byte;

    trib_pool_stats(&before);
    open_pair(_i, &a, &b);
    trib_reader_set_deadline(trib_channel_reader(a), TRIB_NOWAIT);
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(a), &byte, NULL), TRIB_AGAIN);
    trib_pool_stats(&after);
    ck_assert_uint_eq(after.used_bytes, before.used_bytes);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fd_events");
    TCase *tcase = tcase_create("events");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, test_both_directions, 0, KINDS);
    tcase_add_loop_test(tcase, test_cancel_fires_watches, 0, 2 * KINDS);
    tcase_add_loop_test(tcase, test_disarmed_watch_does_not_run, 0, KINDS);
    tcase_add_loop_test(tcase, test_base_goes_first, 0, 2 * KINDS);
    tcase_add_loop_test(tcase, test_ended_callback_leaves_nothing, 0, KINDS);
    tcase_add_loop_test(tcase, test_writer_without_base, 0, KINDS);
    tcase_add_loop_test(tcase, test_idle_holds_nothing, 0, KINDS);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
