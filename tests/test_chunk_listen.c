/* The names of chunk: listen, dial, accept, and what goes wrong there. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"

#include <tributary/reader.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct trib_listener *listener;

static void setup(void)
{
    balance_setup();
    ck_assert_int_eq(trib_listen("chunk:here", NULL, &listener, NULL), TRIB_OK);
}

static void teardown(void)
{
    trib_listener_free(listener);
    balance_teardown();
}

struct dialler {
    pthread_t thread;
    const char *uri;
    int64_t deadline;
    struct trib_channel *channel;
    struct trib_error err;
    int code;
};

static void *dial(void *arg)
{
    struct dialler *dialler = arg;
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    options.deadline = dialler->deadline;
    options.budget = 1111;
    dialler->code = trib_dial(dialler->uri, &options, &dialler->channel, &dialler->err);
    return NULL;
}

static void start(struct dialler *dialler, const char *uri)
{
    *dialler = (struct dialler){ .uri = uri, .deadline = TRIB_FOREVER };
    ck_assert_int_eq(pthread_create(&dialler->thread, NULL, dial, dialler), 0);
}

static struct trib_channel *accept_one(void)
{
    struct trib_channel *channel = NULL;

    ck_assert_int_eq(trib_listener_accept(listener, TRIB_FOREVER, &channel, NULL), TRIB_OK);
    return channel;
}

START_TEST(test_dial_and_accept)
{
    struct dialler dialler;
    struct trib_channel *accepted;
    struct trib_view view;

    ck_assert_str_eq(trib_listener_address(listener), "chunk:here");
    start(&dialler, trib_listener_address(listener));
    accepted = accept_one();
    pthread_join(dialler.thread, NULL);
    ck_assert_int_eq(dialler.code, TRIB_OK);
    ck_assert_uint_eq(trib_budget_high(trib_channel_budget(dialler.channel)), 1111);
    ck_assert_uint_eq(trib_budget_high(trib_channel_budget(accepted)), 8 << 20);
    ck_assert_int_eq(trib_writer_bytes(trib_channel_writer(dialler.channel), "hello", 5, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(dialler.channel), 0, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(accepted), 5, &view, NULL), TRIB_OK);
    ck_assert_mem_eq(view.data, "hello", 5);
    trib_channel_free(dialler.channel);
    trib_channel_free(accepted);
}
END_TEST

enum { MANY = 20 };

START_TEST(test_many)
{
    struct dialler diallers[MANY];
    struct trib_channel *accepted[MANY];

    for (size_t i = 0; i < MANY; i++)
        start(&diallers[i], "chunk:here");
    for (size_t i = 0; i < MANY; i++)
        accepted[i] = accept_one();
    for (size_t i = 0; i < MANY; i++) {
        pthread_join(diallers[i].thread, NULL);
        ck_assert_int_eq(diallers[i].code, TRIB_OK);
        trib_channel_free(diallers[i].channel);
        trib_channel_free(accepted[i]);
    }
}
END_TEST

START_TEST(test_nobody_listens)
{
    struct trib_channel *channel = NULL;
    struct trib_error err;

    ck_assert_int_eq(trib_dial("chunk:nowhere", NULL, &channel, &err), TRIB_ERR_IO);
    ck_assert_int_eq(err.sys_errno, ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(err.message, "chunk:nowhere"));
    ck_assert_ptr_null(channel);
}
END_TEST

START_TEST(test_name_in_use)
{
    struct trib_listener *second;
    struct trib_error err;

    ck_assert_int_eq(trib_listen("chunk:here", NULL, &second, &err), TRIB_ERR_IO);
    ck_assert_int_eq(err.sys_errno, EADDRINUSE);
    ck_assert_int_eq(trib_listen("chunk:there", NULL, &second, NULL), TRIB_OK);
    trib_listener_free(second);
    ck_assert_int_eq(trib_listen("chunk:there", NULL, &second, NULL), TRIB_OK);
    trib_listener_free(second);
}
END_TEST

static const struct {
    const char *uri;
    size_t byte;
} bad[] = {
    { "chunk:", 7 }, { "chunk:a/b", 8 }, { "chunk:a%20b", 8 }, { "chunk:a?x=1", 9 }, { "chunk:gr\xc3\xbc", 9 },
};

START_TEST(test_bad_names)
{
    struct trib_listener *second;
    struct trib_channel *channel;
    struct trib_error err;
    char where[32];

    snprintf(where, sizeof(where), "byte %zu", bad[_i].byte);
    ck_assert_int_eq(trib_listen(bad[_i].uri, NULL, &second, &err), TRIB_ERR_USAGE);
    ck_assert_msg(strstr(err.message, where) != NULL, "%s: expected %s", err.message, where);
    ck_assert_int_eq(trib_dial(bad[_i].uri, NULL, &channel, &err), TRIB_ERR_USAGE);
}
END_TEST

enum { BACKLOG = 128 };

/* As many as may wait to be accepted. */
static void fill_backlog(struct dialler diallers[BACKLOG])
{
    for (size_t i = 0; i < BACKLOG; i++) {
        diallers[i] = (struct dialler){ .uri = "chunk:here", .deadline = TRIB_NOWAIT };
        dial(&diallers[i]);
        ck_assert_int_eq(diallers[i].code, TRIB_OK);
    }
}

START_TEST(test_waits_end)
{
    static struct dialler diallers[BACKLOG];
    struct dialler dialler = { .uri = "chunk:here", .deadline = TRIB_NOWAIT };
    struct trib_channel *channel;

    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, NULL), TRIB_AGAIN);
    ck_assert_int_eq(trib_listener_accept(listener, trib_deadline_ms(2), &channel, NULL), TRIB_ERR_TIMEOUT);
    fill_backlog(diallers);
    dial(&dialler);
    ck_assert_int_eq(dialler.code, TRIB_AGAIN);
    dialler.deadline = trib_deadline_ms(2);
    dial(&dialler);
    ck_assert_int_eq(dialler.code, TRIB_ERR_TIMEOUT);
    dialler.deadline = -1; /* before the clock began: passed */
    dial(&dialler);
    ck_assert_int_eq(dialler.code, TRIB_ERR_TIMEOUT);
    for (size_t i = 0; i < BACKLOG; i++) {
        trib_channel_free(accept_one());
        trib_channel_free(diallers[i].channel);
    }
    /* Who did not get in is not found. */
    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, NULL), TRIB_AGAIN);
}
END_TEST

/* One thread for both ends: nobody waits for anybody. */
START_TEST(test_one_thread)
{
    struct dialler dialler = { .uri = "chunk:here", .deadline = TRIB_NOWAIT };
    struct trib_channel *accepted;
    struct trib_view view;

    dial(&dialler);
    ck_assert_int_eq(dialler.code, TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(trib_channel_writer(dialler.channel), "early", 5, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(dialler.channel), NULL), TRIB_OK);
    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &accepted, NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(accepted), 5, &view, NULL), TRIB_OK);
    ck_assert_mem_eq(view.data, "early", 5);
    trib_channel_free(dialler.channel);
    trib_channel_free(accepted);
}
END_TEST

static void *cancel(void *arg)
{
    trib_listener_cancel(arg);
    return NULL;
}

START_TEST(test_cancel)
{
    struct trib_channel *channel;
    struct trib_error err;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, cancel, listener), 0);
    ck_assert_int_eq(trib_listener_accept(listener, TRIB_FOREVER, &channel, &err), TRIB_ERR_CANCELLED);
    pthread_join(thread, NULL);
    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, NULL), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_dial("chunk:here", NULL, &channel, &err), TRIB_ERR_IO);
    ck_assert_int_eq(err.sys_errno, ECONNREFUSED);
}
END_TEST

static void count_calls(void *arg)
{
    ++*(int *)arg;
}

/* Who waits in dial is refused when the listener goes, and who was not accepted sees that there is nobody. */
START_TEST(test_free_refuses)
{
    static struct dialler diallers[BACKLOG];
    struct dialler late;
    struct trib_view view;

    fill_backlog(diallers);
    start(&late, "chunk:here");
    trib_listener_free(listener);
    listener = NULL;
    pthread_join(late.thread, NULL);
    ck_assert_int_eq(late.code, TRIB_ERR_IO);
    ck_assert_int_eq(late.err.sys_errno, ECONNREFUSED);
    for (size_t i = 0; i < BACKLOG; i++) {
        ck_assert_int_eq(trib_reader_take(trib_channel_reader(diallers[i].channel), 1, &view, NULL), TRIB_ERR_CLOSED);
        trib_channel_free(diallers[i].channel);
    }
}
END_TEST

START_TEST(test_watch)
{
    struct event_base *base = event_base_new();
    struct dialler dialler;
    int calls = 0;

    ck_assert_int_eq(trib_listener_watch(listener, base, count_calls, &calls, NULL), TRIB_OK);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(calls, 0);
    start(&dialler, "chunk:here");
    event_base_dispatch(base);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(trib_listener_watch(listener, base, count_calls, &calls, NULL), TRIB_OK); /* still worth it */
    event_base_dispatch(base);
    ck_assert_int_eq(calls, 2);
    trib_channel_free(accept_one());
    pthread_join(dialler.thread, NULL);
    trib_channel_free(dialler.channel);
    ck_assert_int_eq(trib_listener_watch(listener, base, count_calls, &calls, NULL), TRIB_OK);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(trib_listener_watch(listener, base, NULL, NULL, NULL), TRIB_OK);
    trib_listener_cancel(listener);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(calls, 2);
    trib_listener_free(listener);
    listener = NULL;
    event_base_free(base);
}
END_TEST

/* Before the clock began: passed. */
START_TEST(test_negative_deadlines)
{
    static const int64_t deadlines[] = { -1, -5000000000, INT64_MIN };
    struct trib_channel *channel = NULL;

    ck_assert_int_eq(trib_listener_accept(listener, deadlines[_i], &channel, NULL), TRIB_ERR_TIMEOUT);
    ck_assert_ptr_null(channel);
}
END_TEST

static int listen_scenario(void *arg, struct trib_error *err)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_listener *made;
    struct trib_channel *channel;
    int code = trib_listen("chunk:memory", NULL, &made, err);

    (void)arg;
    if (code != TRIB_OK)
        return code;
    options.deadline = TRIB_NOWAIT;
    code = trib_dial("chunk:memory", &options, &channel, err);
    trib_listener_free(made);
    if (code == TRIB_OK)
        trib_channel_free(channel);
    return code;
}

START_TEST(test_no_memory)
{
    trib_listener_free(listener);
    listener = NULL;
    ck_assert_uint_ge(fail_alloc_every(listen_scenario, NULL), 10);
}
END_TEST

static Suite *listen_suite(void)
{
    Suite *suite = suite_create("chunk_listen");
    TCase *tcase = tcase_create("names");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_dial_and_accept);
    tcase_add_test(tcase, test_many);
    tcase_add_test(tcase, test_nobody_listens);
    tcase_add_test(tcase, test_name_in_use);
    tcase_add_loop_test(tcase, test_bad_names, 0, COUNT(bad));
    tcase_add_test(tcase, test_waits_end);
    tcase_add_test(tcase, test_one_thread);
    tcase_add_loop_test(tcase, test_negative_deadlines, 0, 3);
    tcase_add_test(tcase, test_cancel);
    tcase_add_test(tcase, test_free_refuses);
    tcase_add_test(tcase, test_watch);
    tcase_add_test(tcase, test_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(listen_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
