/* The writer's messages and its callback: what leaves in which send, and when. */
#include "tests/support/balance.h"
#include "tests/support/fake_channel.h"

#include <tributary/writer.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
enum { BEGIN = TRIB_SEND_BEGIN, END = TRIB_SEND_END, MORE = TRIB_SEND_MORE };

static struct fake_channel *fake;
static struct trib_channel *channel;
static struct trib_writer *writer;

static void open_fake(unsigned capabilities, size_t gather)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    options.gather = gather;
    ck_assert_int_eq(fake_channel_new(fake, capabilities, &options, &channel, NULL), TRIB_OK);
    writer = trib_channel_writer(channel);
}

static void setup(void)
{
    balance_setup();
    fake = calloc(1, sizeof(*fake));
}

static void teardown(void)
{
    trib_channel_free(channel);
    fake_channel_done(fake);
    free(fake);
    balance_teardown();
}

static void write_text(const char *text)
{
    ck_assert_int_eq(trib_writer_bytes(writer, text, strlen(text), NULL), TRIB_OK);
}

static void write_message(const char *text, int code)
{
    ck_assert_int_eq(trib_writer_begin_message(writer, strlen(text), NULL), TRIB_OK);
    write_text(text);
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), code);
}

static void expect_send(size_t i, unsigned flags, size_t offered)
{
    ck_assert_msg(fake->log[i].flags == flags, "send %zu has flags %u, not %u", i, fake->log[i].flags, flags);
    ck_assert_uint_eq(fake->log[i].offered, offered);
}

START_TEST(test_marks)
{
    open_fake(TRIB_CAP_MESSAGES, 0);
    write_message("hello", TRIB_OK);
    write_message("", TRIB_OK);
    write_message("bye", TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 3);
    expect_send(0, BEGIN | END, 5);
    expect_send(1, BEGIN | END, 0);
    expect_send(2, BEGIN | END, 3);
    ck_assert_uint_eq(fake->log[0].message_size, 5);
    ck_assert_uint_eq(fake->log[1].views, 0);
}
END_TEST

/* What stands outside of messages leaves in sends of its own. */
START_TEST(test_between_messages)
{
    open_fake(TRIB_CAP_MESSAGES, 0);
    write_text("before");
    write_message("in", TRIB_OK);
    write_text("after");
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 3);
    expect_send(0, MORE, 6);
    expect_send(1, BEGIN | END, 2);
    expect_send(2, 0, 5);
    ck_assert_mem_eq(fake->output, "beforeinafter", 13);
}
END_TEST

/* A message larger than the gathering: one BEGIN, one END, and what is between. */
START_TEST(test_long_message)
{
    open_fake(TRIB_CAP_MESSAGES, 4);
    ck_assert_int_eq(trib_writer_begin_message(writer, 12, NULL), TRIB_OK);
    write_text("abcd");
    write_text("efgh");
    write_text("ijkl");
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 3);
    expect_send(0, BEGIN, 4);
    expect_send(1, 0, 4);
    expect_send(2, END, 4);
}
END_TEST

/* A channel that takes a byte at a time: BEGIN with the first try until something left, END with every one that holds the end. */
START_TEST(test_partial_message)
{
    static const struct fake_step steps[] = { { TRIB_OK, 1 }, { TRIB_OK, 1 }, { TRIB_OK, 1 } };

    fake->sends = steps;
    fake->send_steps = COUNT(steps);
    open_fake(TRIB_CAP_MESSAGES, 0);
    write_message("abc", TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 3);
    expect_send(0, BEGIN | END, 3);
    expect_send(1, END, 2);
    expect_send(2, END, 1);
}
END_TEST

/* All bytes are written and flushed before end_message: the end goes with them, and is not sent twice. */
START_TEST(test_flush_before_the_end)
{
    open_fake(TRIB_CAP_MESSAGES, 0);
    ck_assert_int_eq(trib_writer_begin_message(writer, 4, NULL), TRIB_OK);
    write_text("ab");
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    write_text("cd");
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 2);
    expect_send(0, BEGIN, 2);
    expect_send(1, END, 2);
    write_message("", TRIB_OK);
    expect_send(2, BEGIN | END, 0);
}
END_TEST

/* A full channel: messages wait in order, then leave one by one. */
START_TEST(test_gathered_messages)
{
    static const struct fake_step steps[] = { { TRIB_AGAIN, 0 }, { TRIB_AGAIN, 0 }, { TRIB_AGAIN, 0 } };

    fake->sends = steps;
    fake->send_steps = COUNT(steps);
    open_fake(TRIB_CAP_MESSAGES, 0);
    trib_writer_set_deadline(writer, TRIB_NOWAIT);
    write_message("one", TRIB_AGAIN);
    write_message("", TRIB_AGAIN);
    write_message("three", TRIB_AGAIN);
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 6);
    expect_send(3, BEGIN | END | MORE, 3);
    expect_send(4, BEGIN | END | MORE, 0);
    expect_send(5, BEGIN | END, 5);
    ck_assert_mem_eq(fake->output, "onethree", 8);
}
END_TEST

/* More messages than can wait: TRIB_AGAIN before anything of the next one is taken. */
START_TEST(test_too_many_gathered)
{
    struct fake_step steps[200];
    int code = TRIB_OK;
    size_t begun = 0;

    for (size_t i = 0; i < COUNT(steps); i++)
        steps[i] = (struct fake_step){ TRIB_AGAIN, 0 };
    fake->sends = steps;
    fake->send_steps = COUNT(steps);
    open_fake(TRIB_CAP_MESSAGES, 0);
    trib_writer_set_deadline(writer, TRIB_NOWAIT);
    while ((code = trib_writer_begin_message(writer, 1, NULL)) == TRIB_OK) {
        ck_assert_uint_lt(begun++, 100);
        write_text("x");
        ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_AGAIN);
    }
    ck_assert_int_eq(code, TRIB_AGAIN);
    fake->send_steps = 0;
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->output_len, begun);
    write_message("y", TRIB_OK);
}
END_TEST

/* Corked, messages leave together: at flush, or when the gathering is full. */
START_TEST(test_corked)
{
    open_fake(TRIB_CAP_MESSAGES, 8);
    trib_writer_cork(writer, true);
    write_message("one", TRIB_OK);
    write_message("", TRIB_OK);
    write_message("three", TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 0);
    write_message("four", TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 3);
    expect_send(0, BEGIN | END | MORE, 3);
    expect_send(1, BEGIN | END | MORE, 0);
    ck_assert_mem_eq(fake->output, "onethree", 8);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    expect_send(3, BEGIN | END, 4);
    trib_writer_cork(writer, false);
    write_message("five", TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 5);
}
END_TEST

/* Also where the channel has no marks; the writer is as before after each mistake. */
static const unsigned both[] = { 0, TRIB_CAP_MESSAGES };

START_TEST(test_mistakes)
{
    struct trib_error err;

    open_fake(both[_i], 0);
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_begin_message(writer, UINT64_MAX, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_begin_message(writer, 3, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_begin_message(writer, 3, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_bytes(writer, "abcd", 4, &err), TRIB_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "3 bytes left"));
    ck_assert_int_eq(trib_writer_be32(writer, 1, NULL), TRIB_ERR_USAGE);
    write_text("ab");
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_ERR_USAGE);
    write_text("c");
    ck_assert_int_eq(trib_writer_u8(writer, 1, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_begin_message(writer, 1, NULL), TRIB_ERR_USAGE);
    ck_assert_uint_eq(fake->output_len, 3);
    ck_assert_uint_eq(fake->log[0].flags, both[_i] != 0 ? BEGIN | END : 0);
}
END_TEST

START_TEST(test_failure_inside_a_message)
{
    open_fake(TRIB_CAP_MESSAGES, 0);
    ck_assert_int_eq(trib_writer_begin_message(writer, 9, NULL), TRIB_OK);
    write_text("abc");
    ck_assert_int_eq(trib_writer_finish(writer, 1, "no more", NULL), TRIB_OK);
    expect_send(0, BEGIN, 3);
    ck_assert_int_eq(fake->finish_status, 1);
}
END_TEST

/* ---- The callback --------------------------------------------------------------------------------------------- */

static int calls;
static struct event_base *const base = (struct event_base *)&calls; /* the fake channel only passes it on */

static void on_writable(struct trib_writer *of, void *arg)
{
    ck_assert_ptr_eq(of, writer);
    ck_assert_ptr_eq(arg, &calls);
    calls++;
}

static void free_channel(struct trib_writer *of, void *arg)
{
    (void)of;
    (void)arg;
    trib_channel_free(channel);
    channel = NULL;
}

static void fire(void)
{
    fake_channel_fire(fake, TRIB_WRITABLE);
}

static void open_with_callback(const struct fake_step *steps, size_t count)
{
    fake->sends = steps;
    fake->send_steps = count;
    calls = 0;
    open_fake(TRIB_CAP_EVENTS, 4);
    ck_assert_int_eq(trib_writer_set_callback(writer, base, on_writable, &calls, NULL), TRIB_OK);
}

START_TEST(test_callback_runs_once_at_first)
{
    open_with_callback(NULL, 0);
    ck_assert_int_eq(calls, 0);
    fire();
    ck_assert_int_eq(calls, 1);
    ck_assert(!fake_channel_armed(fake, TRIB_WRITABLE));
}
END_TEST

/* After TRIB_AGAIN the rest leaves by itself, and the callback runs when all of it has left. */
START_TEST(test_callback_after_again)
{
    static const struct fake_step steps[] = { { TRIB_AGAIN, 0 }, { TRIB_OK, 2 }, { TRIB_AGAIN, 0 }, { TRIB_OK, 0 } };

    open_with_callback(steps, COUNT(steps)); /* whose own call is the one that comes at the end */
    write_text("abc");
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_AGAIN);
    ck_assert_uint_eq(fake->log[0].deadline, TRIB_NOWAIT);
    fire();
    ck_assert_int_eq(calls, 0);
    ck_assert_uint_eq(fake->output_len, 2);
    fire();
    ck_assert_int_eq(calls, 1);
    ck_assert_uint_eq(fake->output_len, 3);
    ck_assert(!fake_channel_armed(fake, TRIB_WRITABLE));
}
END_TEST

/* What is gathered beyond the mark while the channel is full is taken, and sent from the base; nobody was told TRIB_AGAIN, so nobody
 * is called. */
START_TEST(test_callback_sends_what_is_gathered)
{
    static const struct fake_step steps[] = { { TRIB_AGAIN, 0 } };

    open_with_callback(NULL, 0);
    fire();
    fake->sends = steps;
    fake->send_steps = 1;
    write_text("abcd");
    write_text("efgh");
    ck_assert_uint_eq(fake->send_calls, 1);
    write_text("ijkl");
    write_text("mnop");
    ck_assert_uint_eq(fake->send_calls, 1);
    fire();
    ck_assert_uint_eq(fake->output_len, 16);
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(test_callback_after_an_error)
{
    static const struct fake_step steps[] = { { TRIB_AGAIN, 0 }, { TRIB_ERR_CLOSED, 0 } };

    open_with_callback(NULL, 0);
    fire();
    fake->sends = steps;
    fake->send_steps = COUNT(steps);
    write_text("abcd");
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_AGAIN);
    fire();
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_ERR_CLOSED);
}
END_TEST

START_TEST(test_callback_may_free)
{
    open_fake(TRIB_CAP_EVENTS, 0);
    ck_assert_int_eq(trib_writer_set_callback(writer, base, free_channel, NULL, NULL), TRIB_OK);
    fire();
    ck_assert_uint_eq(fake->frees, 1);
}
END_TEST

START_TEST(test_callback_taken_away)
{
    open_with_callback(NULL, 0);
    ck_assert(fake_channel_armed(fake, TRIB_WRITABLE));
    ck_assert_int_eq(trib_writer_set_callback(writer, base, NULL, NULL, NULL), TRIB_OK);
    ck_assert(!fake_channel_armed(fake, TRIB_WRITABLE));
    trib_writer_set_deadline(writer, TRIB_FOREVER);
    write_text("abc");
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    ck_assert_int_eq(fake->log[0].deadline, TRIB_FOREVER);
}
END_TEST

START_TEST(test_callback_without_events)
{
    open_fake(0, 0);
    ck_assert_int_eq(trib_writer_set_callback(writer, base, on_writable, NULL, NULL), TRIB_ERR_UNSUPPORTED);
    ck_assert_int_eq(trib_writer_set_callback(writer, base, NULL, NULL, NULL), TRIB_OK);
}
END_TEST

START_TEST(test_finish_with_callback)
{
    static const int codes[] = { TRIB_AGAIN };

    open_with_callback(NULL, 0);
    fire();
    fake->finishes = codes;
    fake->finish_steps = 1;
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_AGAIN);
    fire();
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_OK);
}
END_TEST

static Suite *messages_suite(void)
{
    Suite *suite = suite_create("writer_messages");
    TCase *tcase = tcase_create("messages");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_marks);
    tcase_add_test(tcase, test_between_messages);
    tcase_add_test(tcase, test_long_message);
    tcase_add_test(tcase, test_partial_message);
    tcase_add_test(tcase, test_flush_before_the_end);
    tcase_add_test(tcase, test_gathered_messages);
    tcase_add_test(tcase, test_too_many_gathered);
    tcase_add_test(tcase, test_corked);
    tcase_add_loop_test(tcase, test_mistakes, 0, COUNT(both));
    tcase_add_test(tcase, test_failure_inside_a_message);
    tcase_add_test(tcase, test_callback_runs_once_at_first);
    tcase_add_test(tcase, test_callback_after_again);
    tcase_add_test(tcase, test_callback_sends_what_is_gathered);
    tcase_add_test(tcase, test_callback_after_an_error);
    tcase_add_test(tcase, test_callback_may_free);
    tcase_add_test(tcase, test_callback_taken_away);
    tcase_add_test(tcase, test_callback_without_events);
    tcase_add_test(tcase, test_finish_with_callback);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(messages_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
