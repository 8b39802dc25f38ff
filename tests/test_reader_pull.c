/* A reader in front of a channel: wants, headroom, marks, whatever a transport may do within its contract. */
#include <tributary/channel.h>
#include <tributary/reader.h>
#include <tributary/transport.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"

#include <check.h>
#include <string.h>

/* What the transport gives, step by step: so many bytes of the pattern, with a mark or not. Bytes go into blocks of its own,
 * received behind the head, or come as chunks. */
struct step {
    size_t len;
    bool mark;
};

struct source {
    const struct step *steps;
    size_t count, at;
    uint64_t position;
    bool blocks;  /* own memory: trib_want_alloc, and always headroom */
    size_t ahead; /* of it */
    struct trib_chunk *block;
    size_t used;
};

static int give(struct source *source, const struct trib_want *want, size_t len, struct trib_view *ret_view, unsigned *ret_flags,
                struct trib_error *err)
{
    uint8_t *to;
    int rc;

    if (!source->blocks || len == 0) {
        *ret_view = len == 0 ? (struct trib_view){ NULL, 0, NULL } : trib_chunk_view(feed_chunk(source->position, len));
        return TRIB_OK;
    }
    if (source->block != NULL && want->next == trib_chunk_data(source->block) + source->used &&
        trib_chunk_len(source->block) - source->used >= len) {
        to = (uint8_t *)(uintptr_t)want->next; /* goes on where the reader's last bytes end */
    } else {
        trib_chunk_unref(source->block);
        source->block = NULL;
        rc = trib_want_alloc(want, len + source->ahead, &source->block, err);
        if (rc != TRIB_OK)
            return rc;
        if (len > trib_chunk_len(source->block) - want->head)
            len = trib_chunk_len(source->block) - want->head;
        to = (uint8_t *)(uintptr_t)trib_chunk_data(source->block) + want->head;
        *ret_flags |= TRIB_RECV_HEADROOM;
    }
    for (size_t i = 0; i < len; i++)
        to[i] = feed_byte(source->position + i);
    source->used = (size_t)(to - trib_chunk_data(source->block)) + len;
    *ret_view = (struct trib_view){ to, len, trib_chunk_ref(source->block) };
    return TRIB_OK;
}

static int source_recv(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                       struct trib_error *err)
{
    struct source *source = self;
    const struct step *step = &source->steps[source->at];
    size_t left;
    int rc;

    ck_assert_uint_ge(want->min, 1);
    if (source->at == source->count)
        return TRIB_EOF;
    left = step->len;
    rc = give(source, want, left, ret_view, ret_flags, err);
    if (rc != TRIB_OK)
        return rc;
    source->position += ret_view->len;
    if (ret_view->len < left) { /* the rest comes the next time */
        static struct step rest[2];
        rest[0] = (struct step){ left - ret_view->len, step->mark };
        source->steps = rest;
        source->count = 1;
        source->at = 0;
        return TRIB_OK;
    }
    *ret_flags |= step->mark ? TRIB_RECV_MARK : 0u;
    source->at++;
    return TRIB_OK;
}

static int source_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    (void)self;
    (void)send;
    (void)ret_bytes;
    return trib_error_set(err, TRIB_ERR_CLOSED, 0, "send: a source takes nothing");
}

static int source_finish(void *self, int status, const char *text, int64_t deadline, struct trib_error *err)
{
    (void)self;
    (void)status;
    (void)text;
    (void)deadline;
    (void)err;
    return TRIB_OK;
}

static void source_close(void *self)
{
    struct source *source = self;

    source->block = trib_chunk_unref(source->block);
}

static void source_nothing(void *self)
{
    (void)self;
}

static struct trib_channel *open_source(struct source *source, unsigned capabilities)
{
    static struct trib_channel_ops ops;
    struct trib_channel *channel;

    ops = (struct trib_channel_ops){ .size = sizeof(ops), .name = "source", .capabilities = capabilities, .recv = source_recv,
                                     .send = source_send, .finish = source_finish, .cancel = source_nothing,
                                     .close = source_close, .free = source_nothing };
    ck_ok(trib_channel_new(&ops, source, NULL, &channel, NULL));
    return channel;
}

#define STEPS(...) (const struct step[]){ __VA_ARGS__ }, sizeof((const struct step[]){ __VA_ARGS__ }) / sizeof(struct step)

/* ---- Wants ---- */

static void never(struct trib_reader *reader, void *arg)
{
    (void)reader;
    (void)arg;
    ck_abort_msg("a callback that could not be set was run");
}

START_TEST(not_for_channels)
{
    struct source source = { STEPS({ 10, false }), .position = 0 };
    struct trib_channel *channel = open_source(&source, 0);
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_chunk *chunk = feed_chunk(0, 1);

    ck_assert_int_eq(trib_reader_feed(reader, chunk, TRIB_NOWAIT, NULL), TRIB_ERR_USAGE);
    trib_chunk_unref(chunk);
    ck_assert_int_eq(trib_reader_finish(reader, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_reader_fail(reader, TRIB_ERR_FAILED, NULL, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_reader_on_room(reader, NULL, NULL, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_reader_set_callback(reader, (struct event_base *)&source, never, NULL, NULL),
                     TRIB_ERR_UNSUPPORTED);
    trib_channel_free(channel);
}
END_TEST

/* The head moves in front of what was received: one piece, and no byte copied but the head's. */
START_TEST(headroom)
{
    struct source source = { STEPS({ 100, false }, { 900, false }, { 2000, false }), .blocks = true, .position = 0 };
    struct trib_channel *channel = open_source(&source, 0);
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_view view;

    ck_ok(trib_reader_take(reader, 40, &view, NULL));
    feed_check(view, 0, 40);
    ck_ok(trib_reader_take_aligned(reader, 960, 64, &view, NULL));
    feed_check(view, 40, 960);
    ck_assert_uint_eq((uintptr_t)view.data % 64, 0);
    ck_assert_uint_eq(feed_stats(reader).copied_crossing + feed_stats(reader).copied_aligning, 60);
    ck_ok(trib_reader_take(reader, 2000, &view, NULL));
    feed_check(view, 1000, 2000);
    ck_assert_uint_eq(feed_stats(reader).copies, 1);
    trib_channel_free(channel);
}
END_TEST

/* A transport that says "headroom" where nothing was to be moved: nothing is moved. */
START_TEST(headroom_for_nothing)
{
    struct source source = { STEPS({ 100, false }, { 100, false }, { 100, false }), .blocks = true, .position = 0 };
    struct trib_channel *channel = open_source(&source, 0);
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_view views[3], view;
    size_t count;

    ck_ok(trib_reader_take(reader, 10, &view, NULL));
    ck_ok(trib_reader_take_vector(reader, 290, views, 3, &count, NULL));
    for (size_t i = 0, at = 10; i < count; at += views[i++].len)
        feed_check(views[i], at, views[i].len);
    ck_assert_uint_eq(feed_stats(reader).copies, 0);
    trib_channel_free(channel);
}
END_TEST

/* Bytes that go on where the last ones end are one piece with them. */
START_TEST(joined)
{
    struct source source = { STEPS({ 100, false }, { 100, false }, { 100, false }), .blocks = true, .ahead = 10000, .position = 0 };
    struct trib_channel *channel = open_source(&source, 0);
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_view view;

    ck_ok(trib_reader_take(reader, 10, &view, NULL));
    ck_ok(trib_reader_take(reader, 290, &view, NULL));
    feed_check(view, 10, 290);
    ck_assert_uint_eq(feed_stats(reader).copies, 0);
    trib_channel_free(channel);
}
END_TEST

/* ---- Marks ---- */

static const struct {
    const char *name;
    struct step steps[8];
    size_t count;
} carvings[] = { /* the same messages: 5 bytes, 0 bytes, 0 bytes, 7 bytes */
    { "with the bytes", { { 5, true }, { 0, true }, { 0, true }, { 7, true } }, 4 },
    { "after the bytes", { { 5, false }, { 0, true }, { 0, true }, { 0, true }, { 7, false }, { 0, true } }, 6 },
    { "in parts", { { 2, false }, { 3, true }, { 0, true }, { 0, true }, { 1, false }, { 6, true } }, 6 },
    { "in parts, after",
      { { 2, false }, { 3, false }, { 0, true }, { 0, true }, { 0, true }, { 3, false }, { 4, false }, { 0, true } },
      8 },
};
enum { CARVINGS = sizeof(carvings) / sizeof(carvings[0]) };

static void take_message(struct trib_reader *reader, uint64_t position, size_t len)
{
    struct trib_view view;

    ck_ok(trib_reader_take_message(reader, 100, &view, NULL));
    feed_check(view, position, len);
    ck_assert(trib_reader_at_mark(reader));
}

static struct trib_channel *open_carving(struct source *source, int i, bool blocks)
{
    *source = (struct source){ .steps = carvings[i].steps, .count = carvings[i].count, .blocks = blocks };
    return open_source(source, TRIB_CAP_MESSAGES);
}

START_TEST(messages_however_they_come)
{
    struct source source;
    struct trib_channel *channel = open_carving(&source, _i % CARVINGS, _i >= CARVINGS);
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_view view;

    ck_assert(!trib_reader_at_mark(reader));
    take_message(reader, 0, 5);
    take_message(reader, 5, 0);
    take_message(reader, 5, 0);
    take_message(reader, 5, 7);
    ck_assert_int_eq(trib_reader_take_message(reader, 100, &view, NULL), TRIB_EOF);
    trib_channel_free(channel);
}
END_TEST

/* All of a message taken as bytes: the next message is the next one, whenever the mark came. */
START_TEST(bytes_then_messages)
{
    struct source source;
    struct trib_channel *channel = open_carving(&source, _i % CARVINGS, _i >= CARVINGS);
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_view view;

    ck_ok(trib_reader_take(reader, 5, &view, NULL));
    take_message(reader, 5, 0);
    take_message(reader, 5, 0);
    ck_ok(trib_reader_take(reader, 4, &view, NULL));
    ck_assert(!trib_reader_at_mark(reader));
    take_message(reader, 9, 3); /* the rest */
    ck_assert_int_eq(trib_reader_take_message(reader, 100, &view, NULL), TRIB_EOF);
    trib_channel_free(channel);
}
END_TEST

/* Who does not care for messages does not see them. */
START_TEST(bytes_across_messages)
{
    struct source source;
    struct trib_channel *channel = open_carving(&source, _i % CARVINGS, _i >= CARVINGS);
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_view view;

    ck_ok(trib_reader_take_all(reader, 100, &view, NULL));
    feed_check(view, 0, 12);
    ck_assert(trib_reader_at_mark(reader));
    trib_channel_free(channel);
}
END_TEST

START_TEST(message_that_does_not_end)
{
    struct source source = { STEPS({ 5, true }, { 4, false }), .position = 0 };
    struct trib_channel *channel = open_source(&source, TRIB_CAP_MESSAGES);
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_error err;
    struct trib_view view;

    take_message(reader, 0, 5);
    if (_i == 1)
        ck_ok(trib_reader_skip(reader, 2, NULL, NULL));
    if (_i == 2)
        ck_ok(trib_reader_skip(reader, 4, NULL, NULL));
    ck_assert_int_eq(trib_reader_take_message(reader, 100, &view, &err), TRIB_ERR_SHORT);
    ck_assert_uint_eq(err.got, 4 - 2 * (unsigned)_i);
    trib_channel_free(channel);
}
END_TEST

START_TEST(message_over_the_limit)
{
    struct source source = { STEPS({ 50, false }, { 51, true }, { 1, true }), .position = 0 };
    struct trib_channel *channel = open_source(&source, TRIB_CAP_MESSAGES);
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_error err;
    struct trib_view view;

    ck_assert_int_eq(trib_reader_take_message(reader, 100, &view, &err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.wanted, 101);
    ck_assert_uint_eq(err.got, 100);
    ck_ok(trib_reader_take_message(reader, 101, &view, &err));
    feed_check(view, 0, 101);
    take_message(reader, 101, 1);
    trib_channel_free(channel);
}
END_TEST

/* Neither bytes nor a mark: refused, not asked for for ever. */
START_TEST(nothing_at_all)
{
    struct source source = { STEPS({ 0, false }), .position = 0 };
    struct trib_channel *channel = open_source(&source, 0);
    struct trib_view view;

    ck_assert_int_eq(trib_reader_take(trib_channel_reader(channel), 1, &view, NULL), TRIB_ERR_USAGE);
    trib_channel_free(channel);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reader_pull");
    TCase *tc = tcase_create("pull");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_add_test(tc, not_for_channels);
    tcase_add_test(tc, headroom);
    tcase_add_test(tc, headroom_for_nothing);
    tcase_add_test(tc, joined);
    tcase_add_loop_test(tc, messages_however_they_come, 0, 2 * CARVINGS);
    tcase_add_loop_test(tc, bytes_then_messages, 0, 2 * CARVINGS);
    tcase_add_loop_test(tc, bytes_across_messages, 0, 2 * CARVINGS);
    tcase_add_loop_test(tc, message_that_does_not_end, 0, 3);
    tcase_add_test(tc, message_over_the_limit);
    tcase_add_test(tc, nothing_at_all);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
