/* What receiving over unix: costs: bytes copied and system calls, for messages of each size. */
#include "tests/support/balance.h"
#include "tests/support/runner.h"

#include <tributary/channel.h>
#include <tributary/reader.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct flow {
    struct trib_channel *from, *to;
    struct trib_chunk *source;
    size_t total, size;
    uint32_t seed;    /* 0: every message has `size` bytes; else random ones, up to it */
    uint32_t expects; /* the same for the receiver */
};

static size_t next_size(const struct flow *flow, uint32_t *seed, size_t left)
{
    size_t size = flow->size;

    if (*seed != 0) {
        *seed = *seed * 1664525u + 1013904223u;
        size = 1 + (*seed >> 8) % flow->size;
    }
    return size < left ? size : left;
}

/* The last byte of each message says which one it is. */
static void begin(struct flow *flow, size_t total, size_t size, uint32_t seed)
{
    uint8_t *bytes;

    *flow = (struct flow){.total = total, .size = size, .seed = seed, .expects = seed};
    ck_assert_int_eq(trib_unix_pair(NULL, &flow->from, &flow->to, NULL), TRIB_OK);
    ck_assert_int_eq(trib_chunk_new(size + 251, 64, &flow->source, NULL), TRIB_OK);
    bytes = trib_chunk_writable(flow->source);
    for (size_t i = 0; i < size + 251; i++)
        bytes[i] = (uint8_t)(i % 251);
}

static void end(struct flow *flow)
{
    trib_channel_free(flow->from);
    trib_channel_free(flow->to);
    trib_chunk_unref(flow->source);
}

static void put(struct flow *flow, size_t index, size_t size)
{
    struct trib_writer *writer = trib_channel_writer(flow->from);

    ck_assert_int_eq(trib_writer_be32(writer, (uint32_t)size, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_view(writer, trib_view_sub(trib_chunk_view(flow->source), index % 251, size), NULL), TRIB_OK);
}

static void get(struct flow *flow, size_t index, size_t size)
{
    struct trib_reader *reader = trib_channel_reader(flow->to);
    struct trib_error err = {.code = 0};
    struct trib_view view;
    uint32_t prefix = 0;

    ck_assert_msg(trib_reader_be32(reader, &prefix, &err) == TRIB_OK, "length %zu: %s", index, err.message);
    ck_assert_uint_eq(prefix, size);
    ck_assert_msg(trib_reader_take(reader, size, &view, &err) == TRIB_OK, "message %zu: %s", index, err.message);
    ck_assert_uint_eq(view.data[0], index % 251);
    ck_assert_uint_eq(view.data[size - 1], (index % 251 + size - 1) % 251);
}

static void send_all(void *arg)
{
    struct flow *flow = arg;
    size_t left = flow->total;

    for (size_t i = 0; left > 0; i++) {
        size_t size = next_size(flow, &flow->seed, left);
        put(flow, i, size);
        left -= size;
    }
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(flow->from), 0, NULL, NULL), TRIB_OK);
}

static void receive_all(struct flow *flow)
{
    size_t left = flow->total;
    uint32_t end_of_stream;

    for (size_t i = 0; left > 0; i++) {
        size_t size = next_size(flow, &flow->expects, left);
        get(flow, i, size);
        left -= size;
    }
    ck_assert_int_eq(trib_reader_be32(trib_channel_reader(flow->to), &end_of_stream, NULL), TRIB_EOF);
}

/* Sender and receiver on two threads, which the system runs as it likes. */
static void flow_freely(struct flow *flow)
{
    struct runner sender;

    runner_start(&sender, send_all, flow);
    receive_all(flow);
    runner_join(&sender);
}

/* Both on this thread: as many whole messages as the socket takes, then their receipt: the sender is always ahead. */
static void flow_in_turns(struct flow *flow, size_t at_once)
{
    size_t count = flow->total / flow->size;

    trib_writer_set_deadline(trib_channel_writer(flow->from), TRIB_NOWAIT);
    for (size_t sent = 0, got = 0; got < count;) {
        for (; sent < count && sent - got < at_once; sent++)
            put(flow, sent, flow->size);
        ck_assert_int_eq(trib_writer_flush(trib_channel_writer(flow->from), NULL), TRIB_OK);
        for (; got < sent; got++)
            get(flow, got, flow->size);
    }
}

static void check_costs(struct flow *flow, double percent_copied, size_t per, double calls_in, double calls_out)
{
    struct trib_reader_stats reader = {.size = sizeof(reader)};
    struct trib_channel_stats in = {.size = sizeof(in)}, out = {.size = sizeof(out)};
    double copied;

    trib_reader_stats(trib_channel_reader(flow->to), &reader);
    trib_channel_stats(flow->to, &in);
    trib_channel_stats(flow->from, &out);
    copied = 100.0 * (double)(reader.copied_crossing + reader.copied_aligning) / (double)flow->total;
    ck_assert_msg(copied <= percent_copied, "%zu: %.3f %% of the bytes were copied, at most %.3f %% is allowed", flow->size, copied,
                  percent_copied);
    ck_assert_msg((double)in.system_calls_in <= calls_in * (double)flow->total / (double)per + 8,
                  "%zu: %.2f calls received %zu bytes, at most %.2f are allowed", flow->size,
                  (double)in.system_calls_in * (double)per / (double)flow->total, per, calls_in);
    ck_assert_msg((double)out.system_calls_out <= calls_out * (double)flow->total / (double)per + 8,
                  "%zu: %.2f calls sent %zu bytes, at most %.2f are allowed", flow->size,
                  (double)out.system_calls_out * (double)per / (double)flow->total, per, calls_out);
}

/* How many messages go at once is what the smallest usual send buffer (208 KiB, doubled) holds. */
static const struct {
    size_t total, size, at_once;
    double percent_copied;
    size_t per;
    double calls_in, calls_out;
} turns[] = {
    { 4 * MIB, 64, 4096, 1.0, 64 * KIB, 1.1, 8.2 }, /* sending is bound by 1024 pieces a call */
    { 16 * MIB, 1000, 256, 1.0, 64 * KIB, 1.1, 1.1 },
    { 32 * MIB, 4 * KIB, 64, 1.0, 64 * KIB, 1.1, 1.1 },
    { 64 * MIB, 64 * KIB, 5, 5.0, 256 * KIB, 1.3, 1.8 },
    { 64 * MIB, 100000, 3, 5.0, 256 * KIB, 1.3, 1.8 },
};

START_TEST(test_sender_ahead)
{
    struct flow flow;

    begin(&flow, turns[_i].size * (turns[_i].total / turns[_i].size), turns[_i].size, 0);
    flow_in_turns(&flow, turns[_i].at_once);
    check_costs(&flow, turns[_i].percent_copied, turns[_i].per, turns[_i].calls_in, turns[_i].calls_out);
    end(&flow);
}
END_TEST

/* These bounds hold however the threads are scheduled: a big message is received by one call, which sleeps in the kernel. */
static const size_t big_sizes[] = { MIB, 3 * MIB + 17, 16 * MIB };

START_TEST(test_big_messages)
{
    struct flow flow;

    begin(&flow, 64 * MIB, big_sizes[_i], 0);
    flow_freely(&flow);
    check_costs(&flow, 1.0, 256 * KIB, 1.1, 1.1);
    end(&flow);
}
END_TEST

/* total, largest size, percent copied at most */
static const struct {
    size_t total, largest;
    double percent_copied;
} mixed[] = {
    { 16 * MIB, 4 * KIB, 5.0 }, { 32 * MIB, 100000, 15.0 }, { 128 * MIB, 300000, 10.0 }, { 64 * MIB, MIB, 4.0 },
};

/* Their bytes are right, and copies bounded. Calls depend on who is faster, down to one for each piece that the kernel makes of a send. */
START_TEST(test_random_sizes)
{
    struct flow flow;

    begin(&flow, mixed[_i].total, mixed[_i].largest, 12345);
    flow_freely(&flow);
    check_costs(&flow, mixed[_i].percent_copied, 4 * KIB, 1.0, 1.0);
    end(&flow);
}
END_TEST

/* ---- One large piece ------------------------------------------------------------------------------------------ */

static const size_t alignments[] = { 64, 4096 };

START_TEST(test_aligned_take)
{
    struct trib_reader_stats stats = {.size = sizeof(stats)};
    struct trib_reader *reader;
    struct runner sender;
    struct flow flow;

    begin(&flow, 64 * MIB, 16 * MIB, 0);
    runner_start(&sender, send_all, &flow);
    reader = trib_channel_reader(flow.to);
    for (size_t i = 0; i < 4; i++) {
        struct trib_view view;
        uint32_t size;
        uint64_t copied;
        size_t ahead;

        ck_assert_int_eq(trib_reader_be32(reader, &size, NULL), TRIB_OK);
        trib_reader_stats(reader, &stats);
        copied = stats.copied_crossing + stats.copied_aligning;
        ahead = trib_reader_available(reader);
        ck_assert_int_eq(trib_reader_take_aligned(reader, size, alignments[_i], &view, NULL), TRIB_OK);
        ck_assert_uint_eq((uintptr_t)view.data % alignments[_i], 0);
        ck_assert_uint_eq(view.len, 16 * MIB);
        for (size_t at = 0; at < view.len; at += 4093)
            ck_assert_uint_eq(view.data[at], (i % 251 + at) % 251);
        trib_reader_stats(reader, &stats);
        ck_assert_uint_le(stats.copied_crossing + stats.copied_aligning - copied, ahead);
        ck_assert_uint_le(ahead, i == 0 ? 64 * KIB : 4 * KIB);
    }
    runner_join(&sender);
    end(&flow);
}
END_TEST

/* ---- check-slow: 1 GiB, two threads ---------------------------------------------------------------------------- */

/* Calls: big messages as above. Others: as long as the sender is ahead, as in turns[]; a receiver that is faster wakes for each piece of 36 KiB that the
 * kernel makes of a send, and where a block ends. */
static const struct {
    size_t size;
    double percent_copied;
    size_t per;
    double calls_in, calls_out;
} gibibytes[] = {
    { 4 * KIB, 2.0, 64 * KIB, 4.0, 1.1 },
    { 64 * KIB, 5.0, 256 * KIB, 9.0, 1.3 },
    { MIB, 1.0, 256 * KIB, 1.1, 1.1 },
    { 16 * MIB, 1.0, 256 * KIB, 1.1, 1.1 },
};

START_TEST(test_gibibyte)
{
    struct flow flow;

    begin(&flow, 1024 * MIB, gibibytes[_i].size, 0);
    flow_freely(&flow);
    check_costs(&flow, gibibytes[_i].percent_copied, gibibytes[_i].per, gibibytes[_i].calls_in, gibibytes[_i].calls_out);
    end(&flow);
}
END_TEST

START_TEST(test_gibibyte_sender_ahead)
{
    struct flow flow;

    begin(&flow, turns[_i].size * (16 * turns[_i].total / turns[_i].size), turns[_i].size, 0);
    flow_in_turns(&flow, turns[_i].at_once);
    check_costs(&flow, turns[_i].percent_copied, turns[_i].per, turns[_i].calls_in, turns[_i].calls_out);
    end(&flow);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("copies");
    TCase *tcase = tcase_create("costs"), *slow = tcase_create("gibibytes");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_checked_fixture(slow, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_set_timeout(slow, 300);
    tcase_set_tags(slow, "slow");
    tcase_add_loop_test(tcase, test_sender_ahead, 0, COUNT(turns));
    tcase_add_loop_test(tcase, test_big_messages, 0, COUNT(big_sizes));
    tcase_add_loop_test(tcase, test_random_sizes, 0, COUNT(mixed));
    tcase_add_loop_test(tcase, test_aligned_take, 0, COUNT(alignments));
    tcase_add_loop_test(slow, test_gibibyte, 0, COUNT(gibibytes));
    tcase_add_loop_test(slow, test_gibibyte_sender_ahead, 0, COUNT(turns));
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, slow);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
