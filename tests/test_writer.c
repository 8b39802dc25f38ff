/* The writer in front of a scripted channel: what it gathers, what it sends, what sticks. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/fake_channel.h"

#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct fake_channel *fake;
static struct trib_channel *channel;
static struct trib_writer *writer;

static void open_fake(unsigned capabilities, size_t gather, size_t budget)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    options.gather = gather;
    options.budget = budget;
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
    channel = NULL;
    ck_assert_uint_eq(fake->closes, fake->frees);
    fake_channel_done(fake);
    free(fake);
    balance_teardown();
}

static struct trib_writer_stats stats_of(struct trib_writer *of)
{
    struct trib_writer_stats stats;

    memset(&stats, 0, sizeof(stats));
    stats.size = sizeof(stats);
    trib_writer_stats(of, &stats);
    return stats;
}

static struct trib_chunk *chunk_of(const char *text)
{
    struct trib_chunk *chunk;

    ck_assert_int_eq(trib_chunk_copy(text, strlen(text), &chunk, NULL), TRIB_OK);
    return chunk;
}

static void expect_output(const void *bytes, size_t len)
{
    ck_assert_uint_eq(fake->output_len, len);
    ck_assert_mem_eq(fake->output, bytes, len);
}

START_TEST(test_every_append)
{
    static const uint8_t expected[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                                      "\x03\x02\x07\x06\x05\x04\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08"
                                      "bytesviewchunk\0\0\0\x03" "abc\x03\0\0\0" "abc\0\0\0\0";
    struct trib_chunk *held = chunk_of("view");
    struct trib_view abc = { (const uint8_t *)"abc", 3, NULL };
    struct trib_view empty = { NULL, 0, NULL };

    open_fake(0, 0, 0);
    ck_assert_int_eq(trib_writer_u8(writer, 1, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_be16(writer, 0x0203, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_be32(writer, 0x04050607, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_be64(writer, UINT64_C(0x08090a0b0c0d0e0f), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_le16(writer, 0x0203, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_le32(writer, 0x04050607, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_le64(writer, UINT64_C(0x08090a0b0c0d0e0f), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, "bytes", 5, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_view(writer, trib_chunk_view(held), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_chunk(writer, chunk_of("chunk"), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes_be32(writer, abc, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes_le32(writer, abc, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes_be32(writer, empty, NULL), TRIB_OK);
    trib_chunk_unref(held);
    ck_assert_uint_eq(fake->send_calls, 0);
    ck_assert_uint_eq(trib_writer_pending(writer), sizeof(expected) - 1);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 1);
    expect_output(expected, sizeof(expected) - 1);
    ck_assert_uint_eq(trib_writer_pending(writer), 0);
    ck_assert_uint_eq(trib_writer_position(writer), sizeof(expected) - 1);
}
END_TEST

/* Small things that lie behind each other are one piece; what is empty is none. */
START_TEST(test_small_things_join)
{
    struct trib_view empty = { NULL, 0, NULL };

    open_fake(0, 0, 0);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(trib_writer_be32(writer, 7, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, "", 0, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_view(writer, empty, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_chunk(writer, chunk_of(""), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->log[0].views, 1);
    ck_assert_uint_eq(stats_of(writer).pieces, 1);
    ck_assert_uint_eq(stats_of(writer).copied, 400);
}
END_TEST

/* 4-byte prefixes and payloads: two pieces each, no byte of payload copied, no block of prefixes wasted. */
START_TEST(test_prefixed_payloads)
{
    struct trib_chunk *payload;
    struct trib_writer_stats stats;

    open_fake(0, 0, 0);
    ck_assert_int_eq(trib_chunk_new(4096, 1, &payload, NULL), TRIB_OK);
    memset(trib_chunk_writable(payload), 'x', 4096);
    for (int i = 0; i < 10000; i++)
        ck_assert_int_eq(trib_writer_bytes_be32(writer, trib_chunk_view(payload), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    trib_chunk_unref(payload);
    stats = stats_of(writer);
    ck_assert_uint_eq(stats.pieces, 20000);
    ck_assert_uint_eq(stats.copied, 40000);
    ck_assert_uint_eq(stats.bytes, UINT64_C(41000000));
    ck_assert_uint_le(stats.sends, 1 + 41000000 / (256 << 10));
    ck_assert_uint_eq(fake->output_len, 41000000);
}
END_TEST

START_TEST(test_sends_at_the_mark)
{
    open_fake(0, 10, 0);
    ck_assert_int_eq(trib_writer_bytes(writer, "0123456789", 10, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 0);
    ck_assert_int_eq(trib_writer_bytes(writer, "abc", 3, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 1);
    ck_assert_uint_eq(fake->output_len, 10);
    ck_assert_uint_eq(trib_writer_pending(writer), 3);
}
END_TEST

START_TEST(test_sends_at_1024_pieces)
{
    struct trib_chunk *a = chunk_of("a");
    struct trib_chunk *b = chunk_of("b");

    open_fake(0, 1 << 20, 0);
    for (int i = 0; i < 1025; i++)
        ck_assert_int_eq(trib_writer_view(writer, trib_chunk_view(i % 2 == 0 ? a : b), NULL), TRIB_OK);
    ck_assert_uint_eq(fake->send_calls, 1);
    ck_assert_uint_eq(fake->log[0].views, 1024);
    ck_assert_uint_eq(trib_writer_pending(writer), 1);
    trib_chunk_unref(a);
    trib_chunk_unref(b);
}
END_TEST

/* Bytes that are too many for the block come in a chunk of their own; on both sides of every size where that changes. */
static const size_t sizes[] = { 1, 4095, 4064, 4065, 4096, 4097, 8127, 8128, 8129, 8192, 100000 };

START_TEST(test_bytes_of_every_size)
{
    uint8_t *bytes = malloc(sizes[_i]);
    uint8_t *twice = malloc(2 * sizes[_i] + 4);

    for (size_t i = 0; i < sizes[_i]; i++)
        bytes[i] = (uint8_t)(i * 7);
    memcpy(twice, bytes, sizes[_i]);
    memcpy(twice + sizes[_i], "\1\1\1\1", 4);
    memcpy(twice + sizes[_i] + 4, bytes, sizes[_i]);
    open_fake(0, 1 << 20, 0);
    ck_assert_int_eq(trib_writer_bytes(writer, bytes, sizes[_i], NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_be32(writer, 0x01010101, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, bytes, sizes[_i], NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    expect_output(twice, 2 * sizes[_i] + 4);
    free(bytes);
    free(twice);
}
END_TEST

/* However the channel cuts it, with or without keeping references: the same bytes, in order. */
START_TEST(test_every_partial_send)
{
    static const uint8_t expected[] = "\0\0\0\x05hello\0\0\0\x05worldend";
    struct fake_step steps[sizeof(expected)];
    struct trib_chunk *hello = chunk_of("hello");
    struct trib_chunk *world = chunk_of("world");
    size_t cut = (size_t)_i / 2 + 1;

    for (size_t i = 0; i < COUNT(steps); i++)
        steps[i] = (struct fake_step){ TRIB_OK, cut };
    fake->sends = steps;
    fake->send_steps = COUNT(steps);
    fake->move_references = _i % 2 == 1;
    open_fake(0, 0, 0);
    ck_assert_int_eq(trib_writer_bytes_be32(writer, trib_chunk_view(hello), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes_be32(writer, trib_chunk_view(world), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, "end", 3, NULL), TRIB_OK);
    trib_chunk_unref(hello);
    trib_chunk_unref(world);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    expect_output(expected, sizeof(expected) - 1);
    ck_assert_uint_eq(fake->send_calls, (sizeof(expected) - 1 + cut - 1) / cut);
    ck_assert_uint_eq(stats_of(writer).partial_sends, fake->send_calls - 1);
}
END_TEST

/* A block of small things that the channel keeps is not written over. */
START_TEST(test_kept_blocks_stay)
{
    fake->move_references = true;
    open_fake(0, 0, 0);
    for (uint32_t i = 0; i < 4000; i++) {
        ck_assert_int_eq(trib_writer_be32(writer, i, NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    }
    ck_assert_uint_eq(fake->kept_count, 4000);
    for (uint32_t i = 0; i < 4000; i++)
        ck_assert_uint_eq((uint32_t)fake->kept[i].data[2] << 8 | fake->kept[i].data[3], i);
}
END_TEST

START_TEST(test_nowait_gathers_up_to_the_budget)
{
    static const struct fake_step full[] = { { TRIB_AGAIN, 0 }, { TRIB_AGAIN, 0 }, { TRIB_AGAIN, 0 }, { TRIB_AGAIN, 0 } };
    struct trib_chunk *chunk = chunk_of("0123456789");
    int code = TRIB_OK;
    size_t taken = 0;

    fake->sends = full;
    fake->send_steps = COUNT(full);
    open_fake(0, 10, 30);
    trib_writer_set_deadline(writer, TRIB_NOWAIT);
    while (code == TRIB_OK) {
        trib_chunk_ref(chunk);
        code = trib_writer_chunk(writer, chunk, NULL);
        taken += code == TRIB_OK;
    }
    trib_chunk_unref(chunk); /* of the call that took nothing */
    ck_assert_int_eq(code, TRIB_AGAIN);
    ck_assert_uint_eq(taken, 3);
    ck_assert_uint_eq(trib_writer_pending(writer), 30);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_AGAIN);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    expect_output("012345678901234567890123456789", 30);
    ck_assert_int_eq(trib_writer_chunk(writer, chunk, NULL), TRIB_OK);
    ck_assert_uint_eq(stats_of(writer).waits, 4);
}
END_TEST

/* A deadline reaches the channel; TRIB_ERR_TIMEOUT takes nothing and does not stick. */
START_TEST(test_timeout)
{
    static const struct fake_step late[] = { { TRIB_ERR_TIMEOUT, 0 } };
    struct trib_error err;

    fake->sends = late;
    fake->send_steps = 1;
    open_fake(0, 4, 0);
    trib_writer_set_deadline(writer, 12345);
    ck_assert_int_eq(trib_writer_bytes(writer, "abcd", 4, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, "efgh", 4, &err), TRIB_ERR_TIMEOUT);
    ck_assert_int_eq(err.code, TRIB_ERR_TIMEOUT);
    ck_assert_int_eq(fake->log[0].deadline, 12345);
    ck_assert_uint_eq(trib_writer_position(writer), 4);
    ck_assert_int_eq(trib_writer_bytes(writer, "efgh", 4, &err), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, &err), TRIB_OK);
    expect_output("abcdefgh", 8);
}
END_TEST

static const int sticking[] = { TRIB_ERR_CLOSED, TRIB_ERR_IO, TRIB_ERR_CANCELLED, TRIB_ERR_LIMIT, TRIB_ERR_PROTOCOL };

START_TEST(test_errors_stick)
{
    struct fake_step step = { sticking[_i], 0 };
    struct trib_chunk *chunk = chunk_of("x");
    struct trib_error first;
    struct trib_error again;

    fake->sends = &step;
    fake->send_steps = 1;
    open_fake(0, 0, 0);
    ck_assert_int_eq(trib_writer_view(writer, trib_chunk_view(chunk), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, &first), sticking[_i]);
    ck_assert_ptr_nonnull(trib_chunk_writable(chunk)); /* what was gathered has been let go */
    ck_assert_int_eq(trib_writer_chunk(writer, NULL, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_u8(writer, 1, &again), sticking[_i]);
    ck_assert_str_eq(first.message, again.message);
    ck_assert_int_eq(trib_writer_chunk(writer, chunk, &again), sticking[_i]);
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, &again), sticking[_i]);
    ck_assert_int_eq(trib_writer_begin_message(writer, 1, &again), sticking[_i]);
    ck_assert_str_eq(first.message, again.message);
    ck_assert_uint_eq(fake->send_calls, 1);
    ck_assert_uint_eq(trib_writer_pending(writer), 0);
    trib_chunk_unref(chunk);
}
END_TEST

START_TEST(test_length_limit)
{
    struct trib_view huge = { (const uint8_t *)"x", (size_t)INT32_MAX + 1, NULL };
    struct trib_error err;

    open_fake(0, 0, 0);
    ck_assert_int_eq(trib_writer_bytes_be32(writer, huge, &err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.wanted, (uint64_t)INT32_MAX + 1);
    ck_assert_uint_eq(err.got, INT32_MAX);
    ck_assert_int_eq(trib_writer_bytes_le32(writer, huge, NULL), TRIB_ERR_LIMIT);
    ck_assert_int_eq(trib_writer_u8(writer, 1, NULL), TRIB_OK);
    ck_assert_uint_eq(trib_writer_position(writer), 1);
}
END_TEST

/* ---- The end -------------------------------------------------------------------------------------------------- */

START_TEST(test_finish)
{
    open_fake(0, 0, 0);
    ck_assert_int_eq(trib_writer_bytes(writer, "last", 4, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_finish(writer, 3, "it broke", NULL), TRIB_OK);
    expect_output("last", 4);
    ck_assert_int_eq(fake->finish_status, 3);
    ck_assert_str_eq(fake->finish_text, "it broke");
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->finish_calls, 1);
    ck_assert_int_eq(trib_writer_u8(writer, 1, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_bytes(writer, "", 0, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    trib_writer_cancel(writer);
    ck_assert_int_eq(trib_writer_u8(writer, 1, NULL), TRIB_ERR_CANCELLED);
}
END_TEST

START_TEST(test_finish_again)
{
    static const int codes[] = { TRIB_AGAIN, TRIB_ERR_TIMEOUT };

    fake->finishes = codes;
    fake->finish_steps = COUNT(codes);
    open_fake(0, 0, 0);
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_AGAIN);
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_ERR_TIMEOUT);
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_OK);
    ck_assert_uint_eq(fake->finish_calls, 3);
}
END_TEST

START_TEST(test_cancel)
{
    struct trib_error err;

    open_fake(0, 0, 0);
    ck_assert_int_eq(trib_writer_u8(writer, 1, NULL), TRIB_OK);
    trib_writer_cancel(writer);
    trib_writer_cancel(writer);
    ck_assert_uint_eq(fake->cancels, 1);
    ck_assert_int_eq(trib_writer_u8(writer, 1, &err), TRIB_ERR_CANCELLED);
    ck_assert_ptr_nonnull(strstr(err.message, "cancelled"));
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_ERR_CANCELLED);
    ck_assert_uint_eq(fake->send_calls, 0);
}
END_TEST

/* ---- Transports that break the contract ----------------------------------------------------------------------- */

static int too_much(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    (void)self;
    (void)err;
    *ret_bytes = send->views[0].len + 1;
    return TRIB_OK;
}

static int nothing(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    (void)self;
    (void)send;
    (void)err;
    *ret_bytes = 0;
    return TRIB_OK;
}

static int half_moved(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    struct trib_view view = send->views[0];

    (void)self;
    (void)err;
    send->views[0].holder = NULL;
    trib_view_release(&view);
    *ret_bytes = 1;
    return TRIB_OK;
}

static int end_of_file(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    (void)self;
    (void)send;
    (void)ret_bytes;
    (void)err;
    return TRIB_EOF;
}

static int wordless(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    (void)self;
    (void)send;
    (void)ret_bytes;
    (void)err;
    return TRIB_ERR_IO;
}

static const struct {
    int (*send)(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err);
    int code;
} broken[] = {
    { too_much, TRIB_ERR_USAGE },    { nothing, TRIB_ERR_USAGE }, { half_moved, TRIB_ERR_USAGE },
    { end_of_file, TRIB_ERR_USAGE }, { wordless, TRIB_ERR_IO },
};

START_TEST(test_broken_transports)
{
    struct trib_error err;

    open_fake(0, 0, 0);
    fake->ops.send = broken[_i].send;
    ck_assert_int_eq(trib_writer_bytes(writer, "abc", 3, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, &err), broken[_i].code);
    ck_assert_int_eq(err.code, broken[_i].code);
    ck_assert_ptr_nonnull(strstr(err.message, "fake"));
    ck_assert_int_eq(trib_writer_flush(writer, NULL), broken[_i].code);
}
END_TEST

/* Statistics of every past size, allocated exactly so long. */
START_TEST(test_stats_sizes)
{
    size_t size = sizeof(size_t) + 8 * (size_t)_i;
    struct trib_writer_stats *stats = malloc(size);

    open_fake(0, 0, 0);
    ck_assert_int_eq(trib_writer_u8(writer, 1, NULL), TRIB_OK);
    stats->size = size;
    trib_writer_stats(writer, stats);
    ck_assert_uint_eq(stats->size, size);
    if (_i > 0)
        ck_assert_uint_eq(stats->bytes, 1);
    free(stats);
}
END_TEST

/* ---- No memory ------------------------------------------------------------------------------------------------ */

static int write_all_kinds(struct trib_writer *to, struct trib_chunk *chunk, struct trib_error *err)
{
    static const uint8_t plain[5000];
    struct trib_view view = { plain, sizeof(plain), NULL };
    int code = TRIB_OK;

    for (int i = 0; i < 100 && code == TRIB_OK; i++) {
        code = trib_writer_be32(to, 1, err);
        if (code == TRIB_OK)
            code = trib_writer_view(to, trib_chunk_view(chunk), err);
    }
    if (code == TRIB_OK)
        code = trib_writer_bytes(to, plain, sizeof(plain), err);
    if (code == TRIB_OK)
        code = trib_writer_bytes_be32(to, view, err);
    if (code == TRIB_OK)
        code = trib_writer_finish(to, 0, NULL, err);
    return code;
}

/* A call that has no memory takes nothing, and the writer goes on. */
static int no_memory_scenario(void *arg, struct trib_error *err)
{
    struct fake_channel *over = arg;
    struct trib_channel *made;
    struct trib_chunk *chunk;
    uint64_t before;
    int code = fake_channel_new(over, 0, NULL, &made, err);

    if (code != TRIB_OK)
        return code;
    code = trib_chunk_copy("x", 1, &chunk, err);
    if (code == TRIB_OK) {
        code = write_all_kinds(trib_channel_writer(made), chunk, err);
        before = trib_writer_position(trib_channel_writer(made));
        if (code == TRIB_ERR_NOMEM) {
            ck_assert_uint_eq(trib_writer_pending(trib_channel_writer(made)), before);
            ck_assert_int_eq(trib_writer_flush(trib_channel_writer(made), NULL), TRIB_OK);
        }
        trib_chunk_unref(chunk);
    }
    trib_channel_free(made);
    fake_channel_done(over);
    over->output_len = over->output_capacity = 0;
    return code;
}

START_TEST(test_no_memory)
{
    ck_assert_uint_ge(fail_alloc_every(no_memory_scenario, fake), 5);
}
END_TEST

static Suite *writer_suite(void)
{
    Suite *suite = suite_create("writer");
    TCase *tcase = tcase_create("writer");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_every_append);
    tcase_add_test(tcase, test_small_things_join);
    tcase_add_test(tcase, test_prefixed_payloads);
    tcase_add_test(tcase, test_sends_at_the_mark);
    tcase_add_test(tcase, test_sends_at_1024_pieces);
    tcase_add_loop_test(tcase, test_bytes_of_every_size, 0, COUNT(sizes));
    tcase_add_loop_test(tcase, test_every_partial_send, 0, 2 * 21);
    tcase_add_test(tcase, test_kept_blocks_stay);
    tcase_add_test(tcase, test_nowait_gathers_up_to_the_budget);
    tcase_add_test(tcase, test_timeout);
    tcase_add_loop_test(tcase, test_errors_stick, 0, COUNT(sticking));
    tcase_add_test(tcase, test_length_limit);
    tcase_add_test(tcase, test_finish);
    tcase_add_test(tcase, test_finish_again);
    tcase_add_test(tcase, test_cancel);
    tcase_add_loop_test(tcase, test_broken_transports, 0, COUNT(broken));
    tcase_add_loop_test(tcase, test_stats_sizes, 0, sizeof(struct trib_writer_stats) / 8);
    tcase_add_test(tcase, test_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(writer_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
