/* When the writer lets go of what it gathered: many pieces of one chunk share references. */
#include "tests/support/balance.h"
#include "tests/support/fake_channel.h"

#include <tributary/writer.h>

#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct fake_channel *fake;
static struct trib_channel *channel;
static struct trib_writer *writer;

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

static void open_fake(const struct fake_step *steps, size_t count)
{
    fake->sends = steps;
    fake->send_steps = count;
    ck_assert_int_eq(fake_channel_new(fake, 0, NULL, &channel, NULL), TRIB_OK);
    writer = trib_channel_writer(channel);
    trib_writer_set_deadline(writer, TRIB_NOWAIT);
}

static void count_release(void *arg, const void *data, size_t len)
{
    (void)data;
    (void)len;
    ++*(int *)arg;
}

/* Its views below have gaps between them, so that each is a piece. */
static struct trib_chunk *counted_chunk(int *released)
{
    static const uint8_t bytes[1000];
    struct trib_chunk *chunk;

    ck_assert_int_eq(trib_chunk_wrap(bytes, sizeof(bytes), count_release, released, &chunk, NULL), TRIB_OK);
    return chunk;
}

/* Many pieces of one chunk: it is let go when the last of them has left, not before, nor when all that is gathered has. */
START_TEST(test_release_with_the_last_piece)
{
    static const struct fake_step steps[] = { { TRIB_OK, 499 }, { TRIB_AGAIN, 0 }, { TRIB_OK, 2 }, { TRIB_AGAIN, 0 }, { TRIB_OK, 0 } };
    struct trib_chunk *chunks[2];
    int released[2] = { 0, 0 };

    fake->move_references = _i == 1;
    open_fake(steps, COUNT(steps));
    for (size_t c = 0; c < 2; c++) {
        chunks[c] = counted_chunk(&released[c]);
        for (size_t i = 0; i < 500; i++)
            ck_assert_int_eq(trib_writer_view(writer, trib_view_sub(trib_chunk_view(chunks[c]), 2 * i, 1), NULL), TRIB_OK);
        trib_chunk_unref(chunks[c]);
    }
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_AGAIN);
    ck_assert_int_eq(released[0], 0);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_AGAIN);
    fake_channel_drop_kept(fake);
    ck_assert_int_eq(released[0], 1);
    ck_assert_int_eq(released[1], 0);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    fake_channel_drop_kept(fake);
    ck_assert_int_eq(released[1], 1);
}
END_TEST

/* The chunk is written again while earlier pieces of it, and of another one in between, are still there. */
START_TEST(test_chunks_in_turn)
{
    static const struct fake_step steps[] = { { TRIB_AGAIN, 0 } };
    struct trib_chunk *chunks[2];
    int released[2] = { 0, 0 };

    fake->move_references = _i == 1;
    open_fake(steps, COUNT(steps));
    chunks[0] = counted_chunk(&released[0]);
    chunks[1] = counted_chunk(&released[1]);
    for (size_t i = 0; i < 300; i++) {
        size_t c = i / 3 % 2;
        ck_assert_int_eq(trib_writer_view(writer, trib_view_sub(trib_chunk_view(chunks[c]), 2 * i, 1), NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_u8(writer, 7, NULL), TRIB_OK);
    }
    trib_chunk_unref(chunks[0]);
    trib_chunk_unref(chunks[1]);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_AGAIN);
    ck_assert_int_eq(released[0] + released[1], 0);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    fake_channel_drop_kept(fake);
    ck_assert_int_eq(released[0], 1);
    ck_assert_int_eq(released[1], 1);
}
END_TEST

/* What was never sent. */
START_TEST(test_release_without_sending)
{
    int released = 0;
    struct trib_chunk *chunk = counted_chunk(&released);

    open_fake(NULL, 0);
    for (size_t i = 0; i < 100; i++)
        ck_assert_int_eq(trib_writer_view(writer, trib_view_sub(trib_chunk_view(chunk), 2 * i, 1), NULL), TRIB_OK);
    trib_chunk_unref(chunk);
    ck_assert_int_eq(released, 0);
    trib_channel_free(channel);
    channel = NULL;
    ck_assert_int_eq(released, 1);
}
END_TEST

static Suite *refs_suite(void)
{
    Suite *suite = suite_create("writer_refs");
    TCase *tcase = tcase_create("refs");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_release_with_the_last_piece, 0, 2);
    tcase_add_loop_test(tcase, test_chunks_in_turn, 0, 2);
    tcase_add_test(tcase, test_release_without_sending);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(refs_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
