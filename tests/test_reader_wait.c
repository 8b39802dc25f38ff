/* Waiting in a reader: deadlines, cancel from another thread in each call, ends and failures that arrive meanwhile. */
#include <tributary/reader.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"
#include "tests/support/runner.h"

#include <check.h>
#include <string.h>

static struct trib_reader *reader;

static void setup(void)
{
    balance_setup();
    reader = feed_reader(100, 1000);
}

static void teardown(void)
{
    trib_reader_free(reader);
    balance_teardown();
}

/* ---- Each call that may wait, asking for 10 bytes ---- */

typedef int call_fn(struct trib_error *err);

static int call_take(struct trib_error *err)
{
    struct trib_view view;

    return trib_reader_take(reader, 10, &view, err);
}

static int call_take_aligned(struct trib_error *err)
{
    struct trib_view view;

    return trib_reader_take_aligned(reader, 10, 64, &view, err);
}

static int call_take_some(struct trib_error *err)
{
    struct trib_view view;

    return trib_reader_take_some(reader, 10, &view, err);
}

static int call_take_vector(struct trib_error *err)
{
    struct trib_view views[10];
    size_t count;

    return trib_reader_take_vector(reader, 10, views, 10, &count, err);
}

static int call_take_all(struct trib_error *err)
{
    struct trib_view view;

    return trib_reader_take_all(reader, 10, &view, err);
}

static int call_peek(struct trib_error *err)
{
    struct trib_view view;

    return trib_reader_peek(reader, 10, &view, err);
}

static int call_skip(struct trib_error *err)
{
    return trib_reader_skip(reader, 10, NULL, err);
}

static int call_read_into(struct trib_error *err)
{
    uint8_t buf[10];

    return trib_reader_read_into(reader, buf, 10, err);
}

static int call_be64(struct trib_error *err)
{
    uint64_t value;

    return trib_reader_be64(reader, &value, err);
}

static int call_u8(struct trib_error *err)
{
    uint8_t value;

    return trib_reader_u8(reader, &value, err);
}

static int call_bytes(struct trib_error *err)
{
    struct trib_view view;

    return trib_reader_bytes_be32(reader, 100, &view, err);
}

static int call_string(struct trib_error *err)
{
    struct trib_view view;

    return trib_reader_string_le32(reader, 100, &view, err);
}

static call_fn *const calls[] = { call_take,      call_take_aligned, call_take_some, call_take_vector, call_take_all, call_peek,
                                  call_skip,      call_read_into,    call_be64,      call_u8,          call_bytes,    call_string };
enum { CALLS = sizeof(calls) / sizeof(calls[0]), CALL_TAKE_SOME = 2, CALL_TAKE_ALL = 4, CALL_U8 = 9 };

struct caller {
    struct runner runner;
    call_fn *call;
    int rc;
    struct trib_error err;
};

static void run_call(void *arg)
{
    struct caller *caller = arg;

    caller->rc = caller->call(&caller->err);
}

/* The call sleeps on a thread of its own; three bytes have come, but for the calls which those would satisfy. */
static void start(struct caller *caller, int which)
{
    static const uint8_t zeros[3];

    memset(caller, 0, sizeof(*caller));
    caller->call = calls[which];
    if (which != CALL_TAKE_SOME && which != CALL_U8)
        feed_bytes(reader, zeros, 3, 2);
    trib_reader_set_deadline(reader, trib_deadline_ms(20000));
    runner_start(&caller->runner, run_call, caller);
    runner_wait_asleep(&caller->runner);
}

START_TEST(cancel_while_blocked)
{
    struct caller caller;

    start(&caller, _i);
    trib_reader_cancel(reader);
    runner_join(&caller.runner);
    ck_assert_int_eq(caller.rc, TRIB_ERR_CANCELLED);
    ck_assert_int_eq(caller.err.code, TRIB_ERR_CANCELLED);
    for (int i = 0; i < CALLS; i++)
        ck_assert_int_eq(calls[i](NULL), TRIB_ERR_CANCELLED); /* sticks */
}
END_TEST

START_TEST(failure_while_blocked)
{
    struct caller caller;

    start(&caller, _i);
    ck_ok(trib_reader_fail(reader, TRIB_ERR_FAILED, "the engine gave up", NULL));
    runner_join(&caller.runner);
    ck_assert_int_eq(caller.rc, TRIB_ERR_FAILED);
    ck_assert_str_eq(caller.err.message, "the engine gave up");
}
END_TEST

START_TEST(finish_while_blocked)
{
    struct caller caller;

    start(&caller, _i);
    feed_finish(reader);
    runner_join(&caller.runner);
    ck_assert_int_eq(caller.rc, _i == CALL_TAKE_SOME || _i == CALL_U8 ? TRIB_EOF : _i == CALL_TAKE_ALL ? TRIB_OK : TRIB_ERR_SHORT);
    if (caller.rc == TRIB_ERR_SHORT)
        ck_assert_uint_eq(caller.err.got, 3);
}
END_TEST

START_TEST(bytes_while_blocked)
{
    static const uint8_t zeros[7];
    struct caller caller;

    start(&caller, _i);
    feed_bytes(reader, zeros, 7, 3);
    if (_i == CALL_TAKE_ALL)
        feed_finish(reader);
    runner_join(&caller.runner);
    ck_assert_int_eq(caller.rc, TRIB_OK);
}
END_TEST

START_TEST(deadline)
{
    struct trib_error err;
    uint64_t position;

    trib_reader_set_deadline(reader, trib_deadline_ms(1));
    ck_assert_int_eq(calls[_i](&err), TRIB_ERR_TIMEOUT);
    ck_assert_int_eq(err.code, TRIB_ERR_TIMEOUT);
    trib_reader_set_deadline(reader, trib_now() - 1); /* passed */
    ck_assert_int_eq(calls[_i](&err), TRIB_ERR_TIMEOUT);
    trib_reader_set_deadline(reader, -1);
    ck_assert_int_eq(calls[_i](&err), TRIB_ERR_TIMEOUT);
    trib_reader_set_deadline(reader, TRIB_NOWAIT);
    ck_assert_int_eq(calls[_i](&err), TRIB_AGAIN);
    position = trib_reader_position(reader);
    feed_pattern(reader, position, 10, 0);
    feed_finish(reader);
    trib_reader_set_deadline(reader, trib_now() - 1);
    ck_ok(call_take(NULL)); /* what is there needs no time */
}
END_TEST

/* A timeout is no end: what came before it is still there. */
START_TEST(after_a_timeout)
{
    struct trib_view view;

    feed_pattern(reader, 0, 4, 0);
    trib_reader_set_deadline(reader, trib_deadline_ms(1));
    ck_assert_int_eq(trib_reader_take(reader, 10, &view, NULL), TRIB_ERR_TIMEOUT);
    ck_assert_uint_eq(trib_reader_available(reader), 4);
    feed_pattern(reader, 4, 6, 0);
    ck_ok(trib_reader_take(reader, 10, &view, NULL));
    feed_check(view, 0, 10);
}
END_TEST

/* An error does not hide behind the success of an earlier call: *err is written by negative codes only. */
START_TEST(error_untouched)
{
    struct trib_error err;

    memset(&err, 0xab, sizeof(err));
    trib_reader_set_deadline(reader, TRIB_NOWAIT);
    ck_assert_int_eq(calls[_i](&err), TRIB_AGAIN);
    feed_finish(reader);
    ck_assert_int_eq(calls[_i](&err), _i == CALL_TAKE_ALL ? TRIB_OK : TRIB_EOF);
    for (size_t i = 0; i < sizeof(err); i++)
        if (((unsigned char *)&err)[i] != 0xab)
            ck_abort_msg("byte %zu of the error was written", i);
}
END_TEST

START_TEST(cancel_twice_and_early)
{
    trib_reader_cancel(reader);
    trib_reader_cancel(reader);
    ck_assert_int_eq(calls[_i](NULL), TRIB_ERR_CANCELLED);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reader_wait");
    TCase *tc = tcase_create("wait");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, cancel_while_blocked, 0, CALLS);
    tcase_add_loop_test(tc, failure_while_blocked, 0, CALLS);
    tcase_add_loop_test(tc, finish_while_blocked, 0, CALLS);
    tcase_add_loop_test(tc, bytes_while_blocked, 0, CALLS);
    tcase_add_loop_test(tc, deadline, 0, CALLS);
    tcase_add_test(tc, after_a_timeout);
    tcase_add_loop_test(tc, error_untouched, 0, CALLS);
    tcase_add_loop_test(tc, cancel_twice_and_early, 0, CALLS);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
