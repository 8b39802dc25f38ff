/* The receiving end of an Execute stream: where data comes to lie, and how much of it is copied for that. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/arrow.h"
#include "tests/support/balance.h"
#include "worker/udf_intake-internal.h"

/* ---- A transport --------------------------------------------------------------------------------------------------- */

/* Gives one message in two parts: the first in a block of its own, from `offset` on; the rest where it is wanted, or in another block. */
struct two_parts {
    const uint8_t *bytes;
    size_t len, first, offset;
    bool places;
    size_t at;
};

static int hand_out(struct two_parts *parts, struct trib_chunk *block, size_t from, size_t len, struct trib_view *ret_view, unsigned *ret_flags)
{
    memcpy(trib_chunk_writable(block) + from, parts->bytes + parts->at, len);
    *ret_view = trib_view_sub(trib_chunk_view(block), from, len);
    parts->at += len;
    *ret_flags |= parts->at == parts->len ? TRIB_RECV_MARK : 0;
    return TRIB_OK;
}

static int two_recv(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags, struct trib_error *err)
{
    struct two_parts *parts = self;
    size_t left = parts->len - parts->at;
    struct trib_chunk *block;
    int rc;

    *ret_flags = 0;
    if (left == 0)
        return TRIB_EOF;
    if (parts->at > 0 && parts->places && want->head > 0) {
        rc = trib_want_alloc(want, 0, &block, err);
        *ret_flags = TRIB_RECV_HEADROOM;
        return rc == TRIB_OK ? hand_out(parts, block, want->head, left, ret_view, ret_flags) : rc;
    }
    rc = trib_chunk_new(parts->len + 64, 64, &block, err);
    return rc == TRIB_OK ? hand_out(parts, block, parts->offset, parts->at > 0 ? left : parts->first, ret_view, ret_flags) : rc;
}

static int two_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    (void)self, (void)send, (void)ret_bytes;
    return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "two parts: send");
}

static int two_finish(void *self, int status, const char *text, int64_t deadline, struct trib_error *err)
{
    (void)self, (void)status, (void)text, (void)deadline, (void)err;
    return TRIB_OK;
}

static void two_end(void *self)
{
    (void)self;
}

static const struct trib_channel_ops two_ops = {
    .size = sizeof(two_ops),
    .name = "two parts",
    .capabilities = TRIB_CAP_MESSAGES,
    .recv = two_recv,
    .send = two_send,
    .finish = two_finish,
    .cancel = two_end,
    .close = two_end,
    .free = two_end,
};

/* ---- Cases --------------------------------------------------------------------------------------------------------- */

/* `letters` of text in one batch, of which `first` bytes come at once; the data of the message as Arrow, or as a frame. */
struct placing {
    size_t letters, first, offset, align;
    bool places, arrow;
    bool on_64;      /* what counts must lie on 64 */
    char copies;     /* '0': nothing is copied, 'f': what came first, 'a': all of it */
};

static const struct placing placings[] = {
    /* all at once: it stays, unless it is asked to lie elsewhere */
    {1000, SIZE_MAX, 5, 1, false, false, false, '0'},
    {1000, SIZE_MAX, 5, 64, false, false, true, 'a'},
    {1000, SIZE_MAX, 5, 64, false, true, true, 'a'},
    /* the rest comes to its place, behind the head that moves there */
    {300000, 500, 5, 1, true, false, true, 'f'},
    {300000, 500, 5, 1, true, true, true, 'f'},
    {300000, 500, 5, 4096, true, true, true, 'f'},
    {1000, 500, 5, 64, true, true, true, 'f'},
    {1000, 500, 5, 64, true, false, true, 'f'},
    /* two places: one is made for both */
    {300000, 500, 5, 1, false, true, true, 'a'},
    {300000, 500, 5, 64, false, false, true, 'a'},
    {1000, 500, 5, 1, false, false, false, 'a'},
    /* the prefix is not complete when the place is asked for: then the front is on 64, and the body is moved there if that was asked */
    {300000, 15, 5, 1, true, true, false, 'f'},
    {300000, 15, 5, 64, true, true, true, 'x'},
};

/* A message as it is on the wire, and its data. */
static size_t envelop(const struct trib_view data, uint8_t **ret_message)
{
    uint8_t header[TRIBI_ENVELOPE_HEADER_MAX];
    uint64_t size;
    size_t n = tribi_envelope_data_header(header, data.len, &size);

    *ret_message = malloc((size_t)size);
    ck_assert_ptr_nonnull(*ret_message);
    memcpy(*ret_message, header, n);
    memcpy(*ret_message + n, data.data, data.len);
    return n;
}

static bool lies_on_64(const struct placing *placing, struct trib_view data, size_t head)
{
    return (((uintptr_t)data.data + (placing->arrow ? head : 0)) & 63) == 0;
}

START_TEST(test_places)
{
    const struct placing *placing = &placings[_i];
    struct arrow_plan plan = {1, 1, placing->letters};
    struct two_parts parts = {.offset = placing->offset, .places = placing->places};
    struct tribi_intake_item item = {.kind = TRIBI_INTAKE_EMPTY};
    struct arrow_stream stream;
    struct trib_channel *channel;
    struct tribi_intake intake;
    struct trib_view data;
    struct trib_error err;
    size_t header, head, first;
    uint8_t *message;

    balance_setup();
    arrow_make(&plan, false, &stream);
    data = stream.messages[1];
    head = 8 + (data.data[4] | (size_t)data.data[5] << 8);
    header = envelop(data, &message);
    parts.bytes = message;
    parts.len = header + data.len;
    parts.first = placing->first < parts.len ? placing->first : parts.len;
    first = parts.first - header;
    ck_assert_int_eq(trib_channel_new(&two_ops, &parts, NULL, &channel, &err), TRIB_OK);
    tribi_intake_init(&intake, channel);
    intake.align = placing->align;
    intake.arrow = placing->arrow;
    ck_assert_msg(tribi_intake_next(&intake, TRIB_NOWAIT, &item, &err) == TRIB_OK, "%s", err.message);
    ck_assert_int_eq(item.kind, TRIBI_INTAKE_DATA);
    ck_assert_uint_eq(item.bytes.len, data.len);
    ck_assert_mem_eq(item.bytes.data, data.data, data.len);
    ck_assert(!placing->on_64 || lies_on_64(placing, item.bytes, head));
    ck_assert_uint_eq(intake.received, data.len);
    ck_assert_uint_eq(intake.copied, placing->copies == '0'   ? 0
                                     : placing->copies == 'f' ? first
                                     : placing->copies == 'a' ? data.len
                                                              : first + data.len);
    trib_view_release(&item.bytes);
    ck_assert_int_eq(tribi_intake_next(&intake, TRIB_NOWAIT, &item, &err), TRIB_EOF);
    tribi_intake_done(&intake);
    trib_channel_free(channel);
    free(message);
    arrow_done(&stream);
    balance_teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("intake");
    TCase *tcase = tcase_create("places");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tcase, test_places, 0, sizeof(placings) / sizeof(placings[0]));
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
