/* Arrow framing: messages followed by their own lengths, and whatever is not Arrow refused before anything is reserved for it. */
#include <tributary/arrow.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/balance.h"
#include "tests/support/capture.h"
#include "tests/support/fail_alloc.h"

/* The stream of a capture: schema of 8 + 224 bytes, batch of 8 + 168 and a body of 40, end of stream. */
enum { SCHEMA = 0, SCHEMA_LEN = 232, BATCH = 232, BATCH_HEAD = 176, BODY = 408, BODY_LEN = 40, END = 448, STREAM_LEN = 456 };

static uint8_t stream_bytes[STREAM_LEN + 64] __attribute__((aligned(64)));

static void load_stream(void)
{
    struct capture capture;

    capture_load("spark-4.3.0/c-map-in-arrow.tcp-daemon.engine-to-worker.bin", &capture);
    memcpy(stream_bytes, capture.file.bytes + 4519, STREAM_LEN);
    memset(stream_bytes + STREAM_LEN, 0x55, 64);
    capture_done(&capture);
}

/* Reads all messages; a letter for each; returns what ended it. */
static int follow(const uint8_t *bytes, size_t len, const struct trib_arrow_options *options, char *letters, struct trib_error *err)
{
    struct cuts whole = {NULL, 0, 0};
    struct trib_reader *reader = capture_reader(bytes, len, whole);
    struct trib_arrow_message message;
    struct trib_arrow_stream *stream;
    int rc;

    ck_assert_int_eq(trib_arrow_stream_new(reader, options, &stream, err), TRIB_OK);
    while ((rc = trib_arrow_stream_next(stream, &message, err)) == TRIB_OK) {
        *letters++ = "?SDB"[message.kind];
        if (options != NULL && options->align != 0 && message.body.len > 0)
            ck_assert_uint_eq((uintptr_t)message.body.data % options->align, 0);
        ck_assert_uint_eq((uintptr_t)message.metadata.data % 8, 0);
    }
    *letters = '\0';
    ck_assert_int_eq(trib_arrow_stream_next(stream, &message, err), rc); /* it stays so */
    trib_arrow_stream_free(stream);
    trib_reader_free(reader);
    return rc;
}

static void put_le32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

START_TEST(test_a_stream)
{
    struct trib_arrow_options options = TRIB_ARROW_OPTIONS_INIT;
    struct cuts ones = {NULL, 0, 1};
    struct trib_reader *reader = capture_reader(stream_bytes, STREAM_LEN + 8, ones);
    struct trib_arrow_message message;
    struct trib_arrow_stream *stream;
    struct trib_error err;
    char text[64];

    options.align = 64;
    ck_assert_int_eq(trib_arrow_stream_new(reader, &options, &stream, &err), TRIB_OK);
    ck_assert_int_eq(trib_arrow_stream_next(stream, &message, &err), TRIB_OK);
    ck_assert_int_eq((int)message.kind, TRIB_ARROW_SCHEMA);
    ck_assert_str_eq(trib_arrow_kind_name(message.kind), "schema");
    ck_assert_uint_eq(message.metadata.len, SCHEMA_LEN - 8);
    ck_assert_uint_eq(message.body.len, 0);
    ck_assert_int_eq(trib_arrow_describe(&message, text, sizeof(text), &err), TRIB_OK);
    ck_assert_str_eq(text, "struct: struct<id: int64>");
    ck_assert_int_eq(trib_arrow_describe(&message, text, 8, &err), TRIB_OK);
    ck_assert_uint_lt(strlen(text), 8);
    ck_assert_int_eq(trib_arrow_describe(&message, text, 0, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_arrow_stream_next(stream, &message, &err), TRIB_OK);
    ck_assert_int_eq((int)message.kind, TRIB_ARROW_BATCH);
    ck_assert_int_eq((int)message.codec, TRIB_ARROW_PLAIN);
    ck_assert_int_eq(message.rows, 3);
    ck_assert_mem_eq(message.metadata.data, stream_bytes + BATCH + 8, BATCH_HEAD - 8);
    ck_assert_uint_eq(message.body.len, BODY_LEN);
    ck_assert_mem_eq(message.body.data, stream_bytes + BODY, BODY_LEN);
    ck_assert_uint_eq((uintptr_t)message.body.data % 64, 0);
    ck_assert_int_eq(trib_arrow_describe(&message, text, sizeof(text), &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_arrow_stream_next(stream, &message, &err), TRIB_EOF);
    ck_assert_uint_eq(trib_reader_position(reader), STREAM_LEN); /* and not a byte more */
    ck_assert_int_eq(trib_arrow_stream_next(stream, &message, &err), TRIB_EOF);
    trib_arrow_stream_restart(stream);
    ck_assert_int_eq(trib_arrow_stream_next(stream, &message, &err), TRIB_ERR_PROTOCOL);
    trib_arrow_stream_free(stream);
    trib_reader_free(reader);
}
END_TEST

START_TEST(test_alignments)
{
    static const size_t aligns[] = {0, 1, 8, 64, 4096};
    struct trib_arrow_options options = TRIB_ARROW_OPTIONS_INIT;
    struct trib_error err;
    char letters[8];

    for (size_t i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
        options.align = aligns[i];
        ck_assert_int_eq(follow(stream_bytes, STREAM_LEN, &options, letters, &err), TRIB_EOF);
        ck_assert_str_eq(letters, "SB");
    }
}
END_TEST

START_TEST(test_bad_alignments)
{
    static const size_t aligns[] = {3, 65, 8192, SIZE_MAX};
    struct trib_arrow_options options = TRIB_ARROW_OPTIONS_INIT;
    struct cuts whole = {NULL, 0, 0};
    struct trib_reader *reader = capture_reader(stream_bytes, STREAM_LEN, whole);
    struct trib_arrow_stream *stream = NULL;
    struct trib_error err;

    for (size_t i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
        options.align = aligns[i];
        ck_assert_int_eq(trib_arrow_stream_new(reader, &options, &stream, &err), TRIB_ERR_USAGE);
        ck_assert_ptr_null(stream);
        ck_assert_msg(strstr(err.message, "alignment") != NULL, "%s", err.message);
    }
    ck_assert_uint_eq(trib_reader_position(reader), 0);
    trib_reader_free(reader);
}
END_TEST

START_TEST(test_truncated)
{
    struct trib_error err;
    char letters[8];

    for (size_t len = 0; len < STREAM_LEN; len++) {
        int rc = follow(stream_bytes, len, NULL, letters, &err);
        ck_assert_msg(rc == TRIB_ERR_SHORT, "%zu bytes: %s", len, trib_code_name(rc));
        ck_assert_uint_gt(err.wanted, err.got);
        ck_assert_msg(strstr(err.message, "Arrow") != NULL && strstr(err.message, ": wanted ") != NULL, "%s", err.message);
        ck_assert_str_eq(letters, len < SCHEMA_LEN ? "" : len < END ? "S" : "SB");
    }
}
END_TEST

struct damage {
    size_t offset;
    uint32_t word;
    int code;
    const char *text;
};

static const struct damage damages[] = {
    {0, 0xFFFFFFFE, TRIB_ERR_PROTOCOL, "fe ff ff ff came, expected FF FF FF FF"},
    {0, 224, TRIB_ERR_PROTOCOL, "e0 00 00 00 came"}, /* as before Arrow 0.15 */
    {4, 0xFFFFFFFF, TRIB_ERR_PROTOCOL, "metadata length -1 is negative"},
    {4, 0x80000000, TRIB_ERR_PROTOCOL, "is negative"},
    {4, 0x7FFFFFFF, TRIB_ERR_LIMIT, "metadata of 2147483647 bytes, at most 16777216"},
    {4, (16 << 20) + 1, TRIB_ERR_LIMIT, "metadata of 16777217 bytes"},
    {4, 8, TRIB_ERR_PROTOCOL, "metadata"},
    {8, 0xFFFFFFF0, TRIB_ERR_PROTOCOL, "verification failed"},
    {BATCH + 4, 0xFFFFFF00, TRIB_ERR_PROTOCOL, "is negative"},
};

START_TEST(test_damaged)
{
    const struct damage *damage = &damages[_i];
    struct trib_error err;
    char letters[8];
    int rc;

    put_le32(stream_bytes + damage->offset, damage->word);
    rc = follow(stream_bytes, STREAM_LEN, NULL, letters, &err);
    ck_assert_msg(rc == damage->code, "%s: %s", trib_code_name(rc), err.message);
    ck_assert_msg(strstr(err.message, damage->text) != NULL, "%s", err.message);
}
END_TEST

/* Each bit of each head, one at a time: another stream, or an error with a name. */
START_TEST(test_every_bit)
{
    for (size_t bit = 0; bit < BODY * 8; bit++) {
        struct trib_error err = {0};
        char letters[64];
        int rc;
        stream_bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        rc = follow(stream_bytes, STREAM_LEN, NULL, letters, &err);
        ck_assert_msg(rc == TRIB_EOF || rc == TRIB_ERR_PROTOCOL || rc == TRIB_ERR_LIMIT || rc == TRIB_ERR_SHORT, "bit %zu: %s", bit,
                      trib_code_name(rc));
        stream_bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}
END_TEST

/* The place of bodyLength in the batch's flatbuffer: the one word 40 whose change changes the body. */
static size_t body_length_at(void)
{
    struct trib_view head = {stream_bytes + BATCH, BATCH_HEAD, NULL};
    struct trib_arrow_message message;
    uint64_t length;

    for (size_t at = BATCH + 8; at + 8 <= BODY; at += 4) {
        uint8_t kept = stream_bytes[at];
        int rc;
        if (kept != BODY_LEN)
            continue;
        stream_bytes[at] = BODY_LEN + 8;
        rc = trib_arrow_decode(head, &message, &length, NULL);
        stream_bytes[at] = kept;
        if (rc == TRIB_OK && length == BODY_LEN + 8)
            return at;
    }
    ck_abort_msg("no body length");
    return 0;
}

START_TEST(test_body_length)
{
    struct trib_arrow_options options = TRIB_ARROW_OPTIONS_INIT;
    size_t at = body_length_at();
    struct trib_error err;
    char letters[8];

    options.body_limit = BODY_LEN;
    ck_assert_int_eq(follow(stream_bytes, STREAM_LEN, &options, letters, &err), TRIB_EOF);
    options.body_limit = BODY_LEN - 1;
    ck_assert_int_eq(follow(stream_bytes, STREAM_LEN, &options, letters, &err), TRIB_ERR_LIMIT);
    ck_assert(err.wanted == BODY_LEN && err.got == BODY_LEN - 1);
    put_le32(stream_bytes + at + 4, 0x7FFFFFFF); /* 8 EiB */
    ck_assert_int_eq(follow(stream_bytes, STREAM_LEN, NULL, letters, &err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.wanted, UINT64_C(0x7FFFFFFF00000000) + BODY_LEN);
    put_le32(stream_bytes + at + 4, 0xFFFFFFFF);
    ck_assert_int_eq(follow(stream_bytes, STREAM_LEN, NULL, letters, &err), TRIB_ERR_PROTOCOL);
    ck_assert_msg(strstr(err.message, "negative") != NULL, "%s", err.message);
}
END_TEST

START_TEST(test_order)
{
    uint8_t bytes[SCHEMA_LEN * 2 + 8];
    struct trib_error err;
    char letters[8];

    ck_assert_int_eq(follow(stream_bytes + BATCH, STREAM_LEN - BATCH, NULL, letters, &err), TRIB_ERR_PROTOCOL);
    ck_assert_msg(strstr(err.message, "a batch came, expected the schema first") != NULL, "%s", err.message);
    memcpy(bytes, stream_bytes, SCHEMA_LEN);
    memcpy(bytes + SCHEMA_LEN, stream_bytes, SCHEMA_LEN);
    ck_assert_int_eq(follow(bytes, sizeof(bytes), NULL, letters, &err), TRIB_ERR_PROTOCOL);
    ck_assert_str_eq(letters, "S");
    ck_assert_msg(strstr(err.message, "a schema came, expected a batch or the end") != NULL, "%s", err.message);
}
END_TEST

START_TEST(test_decode)
{
    struct trib_view head = {stream_bytes, SCHEMA_LEN, NULL};
    struct trib_arrow_message message;
    uint64_t length = 1;
    struct trib_error err;

    ck_assert_int_eq(trib_arrow_decode(head, &message, &length, &err), TRIB_OK);
    ck_assert_uint_eq(length, 0);
    head.len--;
    ck_assert_int_eq(trib_arrow_decode(head, &message, &length, &err), TRIB_ERR_PROTOCOL);
    head.len = 8;
    ck_assert_int_eq(trib_arrow_decode(head, &message, &length, &err), TRIB_ERR_PROTOCOL);
    memmove(stream_bytes + 4, stream_bytes, SCHEMA_LEN);
    head.data += 4;
    head.len = SCHEMA_LEN;
    ck_assert_int_eq(trib_arrow_decode(head, &message, &length, &err), TRIB_ERR_USAGE);
    ck_assert_str_eq(trib_arrow_kind_name((enum trib_arrow_kind)9), "?");
    trib_arrow_stream_free(NULL);
}
END_TEST

/* Fields that a flatbuffer may leave out are not taken for granted: here a schema, whose metadata is one pair without key and value. */
/* nanoarrow ends the process where a field has a kind of type, but no type: the table of the field leaves it out. */
START_TEST(test_schema_with_a_field_without_type)
{
    uint8_t bytes[SCHEMA_LEN] __attribute__((aligned(8)));
    struct trib_arrow_message message;
    struct trib_error err;
    unsigned refused = 0;
    uint64_t length;
    char text[64];

    for (size_t i = 8; i + 1 < SCHEMA_LEN; i += 2) {
        memcpy(bytes, stream_bytes, SCHEMA_LEN);
        bytes[i] = bytes[i + 1] = 0; /* among them, an entry of the layout */
        if (trib_arrow_decode((struct trib_view){bytes, SCHEMA_LEN, NULL}, &message, &length, &err) == TRIB_OK &&
            trib_arrow_describe(&message, text, sizeof(text), &err) != TRIB_OK)
            refused += strstr(err.message, "a field without a type") != NULL;
    }
    ck_assert_uint_gt(refused, 0);
}
END_TEST

START_TEST(test_schema_with_an_empty_pair)
{
    static const uint8_t bytes[] __attribute__((aligned(8))) = {
        0xFF, 0xFF, 0xFF, 0xFF, 64, 0, 0, 0,             /* prefix */
        16, 0, 0, 0, 10, 0, 12, 0, 8, 0, 10, 0, 4, 0, 0, 0, /* root, layout of a message */
        12, 0, 0, 0, 20, 0, 0, 0, 4, 0, 1, 0,            /* message: schema, version 5 */
        10, 0, 8, 0, 0, 0, 0, 0, 4, 0, 0, 0,             /* layout of a schema */
        12, 0, 0, 0, 4, 0, 0, 0,                         /* schema: custom metadata */
        1, 0, 0, 0, 8, 0, 0, 0,                          /* one of them */
        4, 0, 4, 0, 4, 0, 0, 0,                          /* a pair without fields */
    };
    struct trib_view head = {bytes, sizeof(bytes), NULL};
    struct trib_arrow_message message;
    struct trib_error err;
    uint64_t length;
    char text[64];

    ck_assert_msg(trib_arrow_decode(head, &message, &length, &err) == TRIB_OK, "%s", err.message);
    ck_assert_int_eq(trib_arrow_describe(&message, text, sizeof(text), &err), TRIB_ERR_PROTOCOL);
    ck_assert_msg(strstr(err.message, "without key or value") != NULL, "%s", err.message);
}
END_TEST

/* No memory at one place: nothing is lost, the same call goes on. */
static int follow_scenario(void *arg, struct trib_error *err)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    struct trib_arrow_options arrow = TRIB_ARROW_OPTIONS_INIT;
    struct trib_arrow_stream *stream = NULL;
    struct trib_arrow_message message;
    struct trib_reader *reader = NULL;
    int rc = trib_chunk_wrap(stream_bytes + 1, STREAM_LEN, NULL, NULL, &options.initial, err);
    int failed = TRIB_OK, messages = 0;

    (void)arg;
    arrow.align = 64;
    if (rc == TRIB_OK)
        rc = trib_reader_new(&options, &reader, err);
    if (rc == TRIB_OK)
        rc = trib_reader_finish(reader, err);
    if (rc == TRIB_OK)
        rc = trib_arrow_stream_new(reader, &arrow, &stream, err);
    while (rc == TRIB_OK || (rc == TRIB_ERR_NOMEM && stream != NULL)) {
        rc = trib_arrow_stream_next(stream, &message, err);
        failed = rc < 0 ? rc : failed;
        messages += rc == TRIB_OK;
    }
    ck_assert(rc != TRIB_EOF || messages == 2);
    trib_arrow_stream_free(stream);
    trib_reader_free(reader);
    trib_chunk_unref(options.initial);
    return rc == TRIB_EOF ? failed : rc;
}

START_TEST(test_allocations_failing)
{
    memmove(stream_bytes + 1, stream_bytes, STREAM_LEN); /* so that heads and bodies have to be moved */
    ck_assert_uint_gt(fail_alloc_every(follow_scenario, NULL), 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arrow");
    TCase *tcase = tcase_create("framing");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_checked_fixture(tcase, load_stream, NULL);
    tcase_add_test(tcase, test_a_stream);
    tcase_add_test(tcase, test_alignments);
    tcase_add_test(tcase, test_bad_alignments);
    tcase_add_test(tcase, test_truncated);
    tcase_add_loop_test(tcase, test_damaged, 0, sizeof(damages) / sizeof(damages[0]));
    tcase_add_test(tcase, test_every_bit);
    tcase_add_test(tcase, test_body_length);
    tcase_add_test(tcase, test_order);
    tcase_add_test(tcase, test_decode);
    tcase_add_test(tcase, test_schema_with_a_field_without_type);
    tcase_add_test(tcase, test_schema_with_an_empty_pair);
    tcase_add_test(tcase, test_allocations_failing);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
