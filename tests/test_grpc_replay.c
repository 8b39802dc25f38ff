/* A recorded connection of grpc-java, cut at every byte: the server answers each stream as if it had not been cut. */
#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/balance.h"
#include "tests/support/data.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/replay.h"

static struct grpc_echo echo;
static struct replay replay;
static struct replay_answer whole;

static void run_base(void *arg)
{
    (void)arg;
    event_base_loop(echo.base, EVLOOP_NONBLOCK);
}

static const struct replay_turn turn = { run_base, NULL };

static void setup(void)
{
    balance_setup();
    grpc_echo_open(&echo, NULL);
    replay_load(&replay, "grpc-java/calls.record");
    replay_run(&replay, echo.address, replay.len, 0, &turn, &whole);
}

static void teardown(void)
{
    replay_answer_done(&whole);
    replay_done(&replay);
    grpc_echo_stop(&echo);
    balance_teardown();
}

static void compare(size_t split, size_t piece)
{
    struct replay_answer parts;

    replay_run(&replay, echo.address, split, piece, &turn, &parts);
    replay_compare(&replay, &whole, &parts, split);
    replay_answer_done(&parts);
}

/* What the record holds, so that it is known what was compared. */
START_TEST(test_whole)
{
    static const struct {
        const char *path;
        const char *status;
        unsigned messages;
    } calls[] = {
        { "/test/Echo", "0", 1 }, { "/test/Echo", "0", 1 }, { "/test/Echo", "0", 3 },   { "/test/Echo", "0", 4 },     { "/test/Echo", "0", 0 },
        { "/test/Echo", "0", 1 }, { "/test/Echo", "0", 1 }, { "/test/Echo", "0", 1 },   { "/test/Status", "9", 0 },   { "/test/Nothing", "12", 0 },
        { "/test/Echo", "0", 2 }, { "/test/Echo", NULL, 1 },
    };
    char status[40];

    ck_assert_uint_eq(replay.streams, sizeof(calls) / sizeof(calls[0]));
    for (unsigned i = 0; i < replay.streams; i++) {
        ck_assert_str_eq(replay.paths[i], calls[i].path);
        ck_assert_uint_eq(whole.streams[i].messages, calls[i].messages);
        ck_assert_int_eq(replay.cancelled[i], calls[i].status == NULL);
        ck_assert_int_eq(whole.streams[i].ended, calls[i].status != NULL);
        snprintf(status, sizeof(status), "grpc-status: %s\n", calls[i].status != NULL ? calls[i].status : "");
        ck_assert_msg((strstr(whole.streams[i].headers, status) != NULL) == whole.streams[i].ended, "call %u: %s", i, whole.streams[i].headers);
    }
    ck_assert_uint_gt(whole.streams[5].len, 3000);
    ck_assert_ptr_nonnull(strstr(whole.streams[1].headers, "echo: some text\n"));
    ck_assert(!whole.goaway);
}
END_TEST

/* In the headers of frames and messages, and here and there. */
START_TEST(test_splits)
{
    for (size_t split = 1; split < replay.len; split += data_split_step())
        if (split % 7 == 0 || replay_near_frame(&replay, split))
            compare(split, 0);
}
END_TEST

START_TEST(test_every_split)
{
    for (size_t split = 1; split < replay.len; split++)
        compare(split, 0);
}
END_TEST

START_TEST(test_byte_by_byte)
{
    compare(0, 1);
    compare(0, 7);
    compare(0, 100);
}
END_TEST

/* Serves what is recorded at `uri`, until it is killed: tests/interop/record/run. */
static const char *uri;

START_TEST(serve)
{
    grpc_echo_open(&echo, NULL);
    ck_assert_int_eq(trib_grpc_server_listen(echo.server, uri, NULL, NULL), TRIB_OK);
    event_base_dispatch(echo.base);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("gRPC, a replay of grpc-java");
    TCase *tcase = tcase_create("replay"), *slow = tcase_create("every split");
    SRunner *runner;
    int failed;

    uri = argc == 2 ? argv[1] : NULL;
    if (uri != NULL) {
        tcase_add_test(tcase, serve);
    } else {
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, test_whole);
        tcase_add_test(tcase, test_splits);
        tcase_add_test(tcase, test_byte_by_byte);
        tcase_add_checked_fixture(slow, setup, teardown);
        tcase_set_timeout(slow, 120);
        tcase_set_tags(slow, "slow");
        tcase_add_test(slow, test_every_split);
        suite_add_tcase(suite, slow);
    }
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    if (uri != NULL)
        srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
