/* The trace channel: every call is told, nothing is changed. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/fake_channel.h"

#include <tributary/reader.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char told[16384];

static void remember(void *arg, const char *line)
{
    size_t used = strlen(told);

    ck_assert_ptr_eq(arg, told);
    ck_assert_ptr_null(strchr(line, '\n'));
    ck_assert_uint_lt(used + strlen(line) + 2, sizeof(told));
    snprintf(told + used, sizeof(told) - used, "%s\n", line);
}

static void expect_told(const char *line)
{
    ck_assert_msg(strstr(told, line) != NULL, "not told: %s\ntold:\n%s", line, told);
}

static struct trib_channel *traced, *other;

static void setup(void)
{
    struct trib_channel *inner;

    balance_setup();
    told[0] = '\0';
    ck_assert_int_eq(trib_chunk_pair(NULL, &inner, &other, NULL), TRIB_OK);
    ck_assert_int_eq(trib_trace(inner, remember, told, NULL, &traced, NULL), TRIB_OK);
}

static void teardown(void)
{
    trib_channel_free(traced);
    trib_channel_free(other);
    balance_teardown();
}

START_TEST(test_calls_are_told)
{
    struct trib_writer *writer = trib_channel_writer(traced);
    struct trib_view view;
    struct trib_peer peer = { .size = sizeof(peer) };

    ck_assert_int_eq(trib_writer_begin_message(writer, 5, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, "hello", 5, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_OK);
    expect_told("send views=1 bytes=5 begin end -> TRIB_OK 5 bytes\n");
    ck_assert_int_eq(trib_reader_take_message(trib_channel_reader(other), 100, &view, NULL), TRIB_OK);
    ck_assert_mem_eq(view.data, "hello", 5);

    ck_assert_int_eq(trib_writer_bytes(trib_channel_writer(other), "answer", 6, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(other), NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(traced), 4, &view, NULL), TRIB_OK);
    ck_assert_mem_eq(view.data, "answ", 4);
    expect_told("recv want=4 head=0 align=1 -> TRIB_OK 6 bytes\n");

    ck_assert_int_eq(trib_channel_peer(traced, &peer, NULL), TRIB_OK);
    expect_told("peer -> TRIB_OK\n");
    ck_assert_int_eq(trib_writer_finish(writer, 4, "enough\nof it", NULL), TRIB_OK);
    expect_told("finish status=4 text=enough?of it -> TRIB_OK\n");
    trib_channel_cancel(traced);
    expect_told("cancel\n");
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(traced), 1, &view, NULL), TRIB_ERR_CANCELLED);
    trib_channel_free(traced);
    traced = NULL;
    expect_told("close\n");
}
END_TEST

START_TEST(test_outcomes_are_told)
{
    struct trib_view view;

    trib_reader_set_deadline(trib_channel_reader(traced), TRIB_NOWAIT);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(traced), 1, &view, NULL), TRIB_AGAIN);
    expect_told("recv want=1 head=0 align=1 -> TRIB_AGAIN\n");
    trib_channel_free(other);
    other = NULL;
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(traced), 1, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(traced), NULL), TRIB_ERR_CLOSED);
    expect_told("-> TRIB_ERR_CLOSED 0 bytes\n");
}
END_TEST

START_TEST(test_capabilities_are_the_inner_ones)
{
    struct fake_channel *fake = calloc(1, sizeof(*fake));
    struct trib_channel *inner, *outer;

    ck_assert_uint_eq(trib_channel_capabilities(traced), trib_channel_capabilities(other));
    ck_assert_int_eq(fake_channel_new(fake, TRIB_CAP_STATUS, NULL, &inner, NULL), TRIB_OK);
    ck_assert_int_eq(trib_trace(inner, remember, told, NULL, &outer, NULL), TRIB_OK);
    ck_assert_uint_eq(trib_channel_capabilities(outer), TRIB_CAP_STATUS);
    ck_assert_str_eq(trib_channel_name(outer), "trace");
    trib_channel_free(outer);
    ck_assert_uint_eq(fake->frees, 1);
    fake_channel_done(fake);
    free(fake);
}
END_TEST

START_TEST(test_references_pass_through)
{
    struct trib_chunk *chunk;
    struct trib_view view;
    const uint8_t *data;

    ck_assert_int_eq(trib_chunk_copy("reference", 9, &chunk, NULL), TRIB_OK);
    data = trib_chunk_data(chunk);
    ck_assert_int_eq(trib_writer_chunk(trib_channel_writer(traced), chunk, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(traced), NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(other), 9, &view, NULL), TRIB_OK);
    ck_assert_ptr_eq(view.data, data);
}
END_TEST

static void count_calls(void *arg)
{
    ++*(int *)arg;
}

START_TEST(test_watch)
{
    struct event_base *base = event_base_new();
    struct trib_channel_stats stats = { .size = sizeof(stats) };
    int calls = 0;

    ck_assert_int_eq(trib_channel_watch(traced, base, TRIB_WRITABLE, count_calls, &calls, NULL), TRIB_OK);
    expect_told("watch writable -> TRIB_OK\n");
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(trib_channel_watch(traced, base, TRIB_READABLE, NULL, NULL, NULL), TRIB_OK);
    expect_told("watch readable off -> TRIB_OK\n");
    trib_channel_stats(traced, &stats);
    trib_channel_free(traced);
    traced = NULL;
    event_base_free(base);
}
END_TEST

START_TEST(test_mistakes)
{
    struct trib_channel *outer;

    ck_assert_int_eq(trib_trace(NULL, remember, told, NULL, &outer, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_trace(other, NULL, NULL, NULL, &outer, NULL), TRIB_ERR_USAGE);
}
END_TEST

static int trace_scenario(void *arg, struct trib_error *err)
{
    struct trib_channel *outer, *inner, *peer;
    int code = trib_chunk_pair(NULL, &inner, &peer, err);

    (void)arg;
    if (code != TRIB_OK)
        return code;
    code = trib_trace(inner, remember, told, NULL, &outer, err);
    trib_channel_free(code == TRIB_OK ? outer : inner);
    trib_channel_free(peer);
    return code;
}

START_TEST(test_no_memory)
{
    trib_channel_free(traced);
    trib_channel_free(other);
    traced = other = NULL;
    ck_assert_uint_ge(fail_alloc_every(trace_scenario, NULL), 10);
}
END_TEST

static Suite *trace_suite(void)
{
    Suite *suite = suite_create("trace");
    TCase *tcase = tcase_create("trace");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_calls_are_told);
    tcase_add_test(tcase, test_outcomes_are_told);
    tcase_add_test(tcase, test_capabilities_are_the_inner_ones);
    tcase_add_test(tcase, test_references_pass_through);
    tcase_add_test(tcase, test_watch);
    tcase_add_test(tcase, test_mistakes);
    tcase_add_test(tcase, test_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(trace_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
