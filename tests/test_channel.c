/* Channels and listeners over a transport's table: what is checked, what has a default, what a URI chooses. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/fake_channel.h"

#include <tributary/reader.h>
#include <tributary/uri.h>
#include <tributary/writer.h>

#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct fake_channel *fake;
static struct trib_channel *channel;

static void open_fake(unsigned capabilities)
{
    ck_assert_int_eq(fake_channel_new(fake, capabilities, NULL, &channel, NULL), TRIB_OK);
}

static void setup(void)
{
    balance_setup();
    channel = NULL;
    fake = calloc(1, sizeof(*fake));
}

static void teardown(void)
{
    trib_channel_free(channel);
    fake_channel_done(fake);
    free(fake);
    balance_teardown();
}

/* ---- Tables --------------------------------------------------------------------------------------------------- */

/* As long as the tables of past releases were, allocated so that a sanitizer sees a read behind them. */
static const size_t past_sizes[] = {
    TRIB_CHANNEL_OPS_SIZE_0_1,
    offsetof(struct trib_channel_ops, peer),
    offsetof(struct trib_channel_ops, stats),
    offsetof(struct trib_channel_ops, inbox),
    offsetof(struct trib_channel_ops, soon),
    sizeof(struct trib_channel_ops),
};

static int some_peer(void *self, struct trib_peer *ret_peer, struct trib_error *err)
{
    (void)self;
    (void)err;
    ret_peer->pid = 7;
    return TRIB_OK;
}

static void never(void *arg)
{
    (void)arg;
    ck_abort_msg("no watch is armed");
}

START_TEST(test_past_sizes)
{
    struct trib_channel_ops *table = malloc(past_sizes[_i]);
    struct trib_channel_stats stats = { .size = sizeof(stats) };
    struct trib_peer peer = { .size = sizeof(peer) };
    bool has_peer = past_sizes[_i] > offsetof(struct trib_channel_ops, peer);

    open_fake(TRIB_CAP_EVENTS | TRIB_CAP_CREDENTIALS);
    trib_channel_free(channel);
    fake->ops.peer = some_peer;
    fake->ops.size = past_sizes[_i];
    memcpy(table, &fake->ops, past_sizes[_i]);
    ck_assert_int_eq(trib_channel_new(table, fake, NULL, &channel, NULL), TRIB_OK);
    ck_assert_int_eq(trib_channel_peer(channel, &peer, NULL), has_peer ? TRIB_OK : TRIB_ERR_UNSUPPORTED);
    ck_assert_uint_eq((trib_channel_capabilities(channel) & TRIB_CAP_CREDENTIALS) != 0, has_peer);
    ck_assert_uint_eq((trib_channel_capabilities(channel) & TRIB_CAP_EVENTS) != 0, _i > 0);
    trib_channel_stats(channel, &stats);
    ck_assert_int_eq(trib_channel_watch(channel, NULL, TRIB_READABLE, NULL, NULL, NULL), TRIB_OK);
    trib_channel_free(channel);
    channel = NULL;
    free(table);
}
END_TEST

START_TEST(test_tables_that_are_too_small)
{
    size_t size = (size_t)_i;
    struct trib_channel_ops *table = malloc(size < sizeof(size_t) ? sizeof(size_t) : size);
    struct trib_error err;

    open_fake(0);
    fake->ops.size = size;
    memcpy(table, &fake->ops, size < sizeof(size_t) ? sizeof(size_t) : size);
    trib_channel_free(channel);
    channel = NULL;
    fake->closes = 0;
    ck_assert_int_eq(trib_channel_new(table, fake, NULL, &channel, &err), TRIB_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "channel"));
    ck_assert_ptr_null(channel);
    ck_assert_uint_eq(fake->closes, 0); /* self stays the caller's */
    free(table);
}
END_TEST

static struct {
    trib_ready_fn *fn;
    void *arg;
    int outcome;
    unsigned runs;
} soon;

static int keep_soon(void *self, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    (void)self, (void)base;
    if (soon.outcome != TRIB_OK)
        return trib_error_set(err, soon.outcome, 0, "no");
    soon.fn = fn;
    soon.arg = arg;
    return TRIB_OK;
}

static void on_readable(struct trib_reader *reader, void *arg)
{
    (void)reader;
    ++*(unsigned *)arg;
}

/* A channel may run a reader's callback for the first time itself; it is a watch like any other. */
START_TEST(test_soon)
{
    struct event_base *base = event_base_new();
    struct trib_reader *reader;

    open_fake(TRIB_CAP_EVENTS);
    fake->ops.soon = keep_soon;
    memset(&soon, 0, sizeof(soon));
    reader = trib_channel_reader(channel);
    soon.outcome = TRIB_ERR_NOMEM;
    ck_assert_int_eq(trib_reader_set_callback(reader, base, on_readable, &soon.runs, NULL), TRIB_ERR_NOMEM);
    soon.outcome = TRIB_OK;
    ck_assert_int_eq(trib_reader_set_callback(reader, base, on_readable, &soon.runs, NULL), TRIB_OK);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_uint_eq(soon.runs, 0); /* no event of the reader's own */
    soon.fn(soon.arg);
    ck_assert_uint_eq(soon.runs, 1);
    ck_assert_int_eq(trib_reader_set_callback(reader, NULL, NULL, NULL, NULL), TRIB_OK);
    event_base_free(base);
}
END_TEST

static const size_t required[] = {
    offsetof(struct trib_channel_ops, name),   offsetof(struct trib_channel_ops, recv),  offsetof(struct trib_channel_ops, send),
    offsetof(struct trib_channel_ops, finish), offsetof(struct trib_channel_ops, cancel), offsetof(struct trib_channel_ops, close),
    offsetof(struct trib_channel_ops, free),
};

START_TEST(test_required_slots)
{
    struct trib_channel_ops table;

    open_fake(0);
    table = fake->ops;
    trib_channel_free(channel);
    channel = NULL;
    memset((char *)&table + required[_i], 0, sizeof(void *));
    ck_assert_int_eq(trib_channel_new(&table, fake, NULL, &channel, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_channel_new(NULL, fake, NULL, &channel, NULL), TRIB_ERR_USAGE);
}
END_TEST

/* ---- Options -------------------------------------------------------------------------------------------------- */

/* Options of every past size, allocated exactly so long; what they lack is a default. */
static const size_t option_sizes[] = {
    offsetof(struct trib_channel_options, budget),   offsetof(struct trib_channel_options, limit),
    offsetof(struct trib_channel_options, gather),   offsetof(struct trib_channel_options, send_buffer),
    offsetof(struct trib_channel_options, deadline), offsetof(struct trib_channel_options, spin_us),
    offsetof(struct trib_channel_options, any_user), offsetof(struct trib_channel_options, transports),
    sizeof(struct trib_channel_options),
};

START_TEST(test_option_sizes)
{
    struct trib_channel_options given = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_channel_options *options = malloc(option_sizes[_i]);
    struct trib_channel_options whole;

    given.size = option_sizes[_i];
    given.budget = 1000;
    memcpy(options, &given, option_sizes[_i]);
    ck_assert_int_eq(trib_channel_options_fill(options, &whole, NULL), TRIB_OK);
    free(options);
    ck_assert_uint_eq(whole.size, sizeof(whole));
    ck_assert_uint_eq(whole.budget, _i == 0 ? 8 << 20 : 1000);
    ck_assert_uint_eq(whole.limit, 256 << 20);
    ck_assert_uint_eq(whole.gather, 256 << 10);
    ck_assert_uint_eq(whole.send_buffer, 1 << 20);
    ck_assert_int_eq(whole.deadline, TRIB_FOREVER);
    ck_assert_ptr_null(whole.transports);
}
END_TEST

START_TEST(test_option_bounds)
{
    struct trib_channel_options given = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_channel_options whole;

    given.budget = (size_t)300 << 20;
    given.spin_us = 5000;
    ck_assert_int_eq(trib_channel_options_fill(&given, &whole, NULL), TRIB_OK);
    ck_assert_uint_eq(whole.limit, (size_t)300 << 20);
    ck_assert_uint_le(whole.spin_us, 1000);
    given.size = 0;
    ck_assert_int_eq(trib_channel_options_fill(&given, &whole, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_channel_new(&fake->ops, fake, &given, &channel, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_channel_options_fill(NULL, &whole, NULL), TRIB_OK);
}
END_TEST

START_TEST(test_budget)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    options.budget = 1234;
    options.limit = 5678;
    ck_assert_int_eq(fake_channel_new(fake, 0, &options, &channel, NULL), TRIB_OK);
    ck_assert_uint_eq(trib_budget_high(trib_channel_budget(channel)), 1234);
    ck_assert_uint_eq(trib_budget_limit(trib_channel_budget(channel)), 5678);
}
END_TEST

/* ---- Use ------------------------------------------------------------------------------------------------------ */

START_TEST(test_life)
{
    open_fake(0);
    ck_assert_str_eq(trib_channel_name(channel), "fake");
    ck_assert_ptr_nonnull(trib_channel_reader(channel));
    ck_assert_ptr_nonnull(trib_channel_writer(channel));
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(channel), 1, NULL), TRIB_OK);
    trib_channel_free(channel);
    channel = NULL;
    trib_channel_free(NULL);
    ck_assert_uint_eq(fake->closes, 1);
    ck_assert_uint_eq(fake->frees, 1);
    ck_assert_uint_eq(fake->send_calls, 0); /* what was gathered is dropped */
}
END_TEST

START_TEST(test_stats)
{
    static const struct fake_step steps[] = { { TRIB_OK, 2 }, { TRIB_OK, 0 } };
    struct trib_channel_stats stats = { .size = sizeof(stats) };
    struct trib_view view;

    fake->input = (const uint8_t *)"abcde";
    fake->input_len = 5;
    fake->recvs = steps;
    fake->recv_steps = COUNT(steps);
    open_fake(0);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(channel), 5, &view, NULL), TRIB_OK);
    ck_assert_mem_eq(view.data, "abcde", 5);
    ck_assert_int_eq(trib_writer_bytes(trib_channel_writer(channel), "xyz", 3, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(channel), NULL), TRIB_OK);
    trib_channel_stats(channel, &stats);
    ck_assert_uint_eq(stats.bytes_in, 5);
    ck_assert_uint_eq(stats.bytes_out, 3);
    ck_assert_uint_eq(stats.recv_calls, fake->recv_calls);
    ck_assert_uint_eq(stats.send_calls, 1);
}
END_TEST

START_TEST(test_cancel_reaches_everybody)
{
    struct trib_view view;

    open_fake(0);
    trib_channel_cancel(channel);
    trib_channel_cancel(channel);
    ck_assert_uint_eq(fake->cancels, 1);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(channel), 1, &view, NULL), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(channel), 1, NULL), TRIB_ERR_CANCELLED);
    ck_assert_uint_eq(fake->recv_calls + fake->send_calls, 0);
}
END_TEST

static int empty_recv(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                      struct trib_error *err)
{
    (void)self;
    (void)want;
    (void)err;
    *ret_view = (struct trib_view){ NULL, 0, NULL };
    *ret_flags = 0;
    return TRIB_OK;
}

START_TEST(test_recv_without_bytes)
{
    struct trib_view view;
    struct trib_error err;

    open_fake(0);
    fake->ops.recv = empty_recv;
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(channel), 1, &view, &err), TRIB_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "fake"));
}
END_TEST

START_TEST(test_defaults_of_optional_slots)
{
    struct trib_peer peer = { .size = sizeof(peer) };
    struct trib_error err;

    open_fake(0);
    ck_assert_int_eq(trib_channel_peer(channel, &peer, &err), TRIB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "fake"));
    peer.size = 0;
    ck_assert_int_eq(trib_channel_peer(channel, &peer, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_channel_watch(channel, NULL, TRIB_READABLE, never, NULL, &err), TRIB_ERR_UNSUPPORTED);
}
END_TEST

/* ---- Listeners ------------------------------------------------------------------------------------------------ */

struct fake_listener {
    int cancels, closes, frees;
};

static int listener_accept(void *self, int64_t deadline, struct trib_channel **ret_channel, struct trib_error *err)
{
    (void)self;
    (void)deadline;
    (void)ret_channel;
    (void)err;
    return TRIB_AGAIN;
}

static void listener_cancel(void *self)
{
    ((struct fake_listener *)self)->cancels++;
}

static void listener_close(void *self)
{
    ((struct fake_listener *)self)->closes++;
}

static void listener_free(void *self)
{
    ((struct fake_listener *)self)->frees++;
}

static const char *listener_address(void *self)
{
    (void)self;
    return "fake:here";
}

static const struct trib_listener_ops listener_ops = { sizeof(listener_ops), "fake",        listener_accept, listener_cancel,
                                                       listener_close,       listener_free, NULL,            listener_address };

static const size_t listener_sizes[] = {
    TRIB_LISTENER_OPS_SIZE_0_1,
    offsetof(struct trib_listener_ops, address),
    sizeof(struct trib_listener_ops),
};

START_TEST(test_listener_sizes)
{
    struct trib_listener_ops whole = listener_ops;
    struct trib_listener_ops *table = malloc(listener_sizes[_i]);
    struct fake_listener self = { 0, 0, 0 };
    struct trib_listener *listener;
    struct trib_channel *none;

    whole.size = listener_sizes[_i];
    memcpy(table, &whole, whole.size);
    ck_assert_int_eq(trib_listener_new(table, &self, &listener, NULL), TRIB_OK);
    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &none, NULL), TRIB_AGAIN);
    ck_assert_int_eq(trib_listener_watch(listener, NULL, never, NULL, NULL), TRIB_ERR_UNSUPPORTED);
    ck_assert_int_eq(trib_listener_watch(listener, NULL, NULL, NULL, NULL), TRIB_OK);
    if (_i == 2)
        ck_assert_str_eq(trib_listener_address(listener), "fake:here");
    else
        ck_assert_ptr_null(trib_listener_address(listener));
    trib_listener_cancel(listener);
    trib_listener_free(listener);
    trib_listener_free(NULL);
    ck_assert_int_eq(self.cancels * 100 + self.closes * 10 + self.frees, 111);
    free(table);
}
END_TEST

START_TEST(test_listener_refused)
{
    struct trib_listener_ops table = listener_ops;
    struct trib_listener *listener;

    table.size = TRIB_LISTENER_OPS_SIZE_0_1 - 1;
    ck_assert_int_eq(trib_listener_new(&table, NULL, &listener, NULL), TRIB_ERR_USAGE);
    table.size = sizeof(table);
    table.accept = NULL;
    ck_assert_int_eq(trib_listener_new(&table, NULL, &listener, NULL), TRIB_ERR_USAGE);
    table.name = NULL;
    ck_assert_int_eq(trib_listener_new(&table, NULL, &listener, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_listener_new(NULL, NULL, &listener, NULL), TRIB_ERR_USAGE);
}
END_TEST

/* ---- Dial and listen ------------------------------------------------------------------------------------------ */

static int dial_fake(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_channel **ret_channel,
                     struct trib_error *err)
{
    ck_assert_str_eq(trib_uri_address(uri), "there");
    ck_assert_uint_eq(options->budget, 8 << 20);
    return fake_channel_new(fake, 0, options, ret_channel, err);
}

static const struct trib_transport mine = { sizeof(mine), "mine", 0, dial_fake, NULL, NULL };
static const struct trib_transport my_chunk = { sizeof(my_chunk), "chunk", 0, dial_fake, NULL, NULL };
static const struct trib_transport too_old = { sizeof(size_t), "chunk", 0, dial_fake, NULL, NULL };

static int dial(const char *uri, const struct trib_transport *transport, struct trib_error *err)
{
    const struct trib_transport *transports[] = { transport, NULL };
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    options.transports = transports;
    return trib_dial(uri, &options, &channel, err);
}

START_TEST(test_own_transports)
{
    ck_assert_int_eq(dial("MINE:there", &mine, NULL), TRIB_OK);
    ck_assert_str_eq(trib_channel_name(channel), "fake");
}
END_TEST

START_TEST(test_own_transports_come_first)
{
    struct trib_error err;

    ck_assert_int_eq(dial("chunk:there", &my_chunk, NULL), TRIB_OK);
    ck_assert_str_eq(trib_channel_name(channel), "fake");
    trib_channel_free(channel);
    channel = NULL;
    ck_assert_int_eq(dial("chunk:nobody-listens-here", &too_old, &err), TRIB_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "chunk:nobody-listens-here"));
}
END_TEST

START_TEST(test_unknown_scheme)
{
    struct trib_listener *listener;
    struct trib_error err;

    ck_assert_int_eq(dial("carrier:pigeon", &mine, &err), TRIB_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "carrier"));
    ck_assert_ptr_nonnull(strstr(err.message, "mine:, unix:, chunk:"));
    ck_assert_int_eq(trib_listen("carrier:pigeon", NULL, &listener, &err), TRIB_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "known are unix:, chunk:"));
    ck_assert_int_eq(trib_dial("nothing", NULL, &channel, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_listen("nothing", NULL, &listener, &err), TRIB_ERR_USAGE);
}
END_TEST

START_TEST(test_transport_without_listen)
{
    const struct trib_transport *transports[] = { &mine, NULL };
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_listener *listener;
    struct trib_error err;

    options.transports = transports;
    ck_assert_int_eq(trib_listen("mine:there", &options, &listener, &err), TRIB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "mine"));
    options.size = 0;
    ck_assert_int_eq(trib_listen("mine:there", &options, &listener, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_dial("mine:there", &options, &channel, &err), TRIB_ERR_USAGE);
}
END_TEST

START_TEST(test_built_in)
{
    const struct trib_transport *const *list = trib_transports();

    ck_assert_str_eq(list[0]->scheme, "unix");
    ck_assert_str_eq(list[1]->scheme, "chunk");
    ck_assert_str_eq(list[2]->scheme, "grpc+unix");
    ck_assert_str_eq(list[3]->scheme, "grpc+tcp");
    ck_assert_ptr_null(list[4]);
}
END_TEST

static int open_scenario(void *arg, struct trib_error *err)
{
    struct trib_channel *made;
    int code = fake_channel_new(arg, 0, NULL, &made, err);

    if (code == TRIB_OK)
        trib_channel_free(made);
    return code;
}

START_TEST(test_no_memory)
{
    ck_assert_uint_ge(fail_alloc_every(open_scenario, fake), 2);
    ck_assert_uint_eq(fake->closes, 1); /* where it failed, self stayed the caller's */
}
END_TEST

static Suite *channel_suite(void)
{
    Suite *suite = suite_create("channel");
    TCase *tcase = tcase_create("channel");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_past_sizes, 0, COUNT(past_sizes));
    tcase_add_test(tcase, test_soon);
    tcase_add_loop_test(tcase, test_tables_that_are_too_small, 0, TRIB_CHANNEL_OPS_SIZE_0_1);
    tcase_add_loop_test(tcase, test_required_slots, 0, COUNT(required));
    tcase_add_loop_test(tcase, test_option_sizes, 0, COUNT(option_sizes));
    tcase_add_test(tcase, test_option_bounds);
    tcase_add_test(tcase, test_budget);
    tcase_add_test(tcase, test_life);
    tcase_add_test(tcase, test_stats);
    tcase_add_test(tcase, test_cancel_reaches_everybody);
    tcase_add_test(tcase, test_recv_without_bytes);
    tcase_add_test(tcase, test_defaults_of_optional_slots);
    tcase_add_loop_test(tcase, test_listener_sizes, 0, COUNT(listener_sizes));
    tcase_add_test(tcase, test_listener_refused);
    tcase_add_test(tcase, test_own_transports);
    tcase_add_test(tcase, test_own_transports_come_first);
    tcase_add_test(tcase, test_unknown_scheme);
    tcase_add_test(tcase, test_transport_without_listen);
    tcase_add_test(tcase, test_built_in);
    tcase_add_test(tcase, test_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(channel_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
