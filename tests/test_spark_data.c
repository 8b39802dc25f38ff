/* The engine's side after Init: the data section by eval type, and what may not come where. */
#include <tributary/spark.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/balance.h"
#include "tests/support/capture.h"

/* ---- Sessions put together ------------------------------------------------------------------------------------- */

struct bytes {
    uint8_t data[32768];
    size_t len;
};

static void add(struct bytes *bytes, const void *data, size_t len)
{
    ck_assert_uint_le(len, sizeof(bytes->data) - bytes->len);
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

static void add_word(struct bytes *bytes, int32_t word)
{
    uint32_t v = (uint32_t)word;
    uint8_t at[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    add(bytes, at, 4);
}

static void add_init(struct bytes *bytes, int32_t eval_type)
{
    struct trib_spark_init init;
    struct trib_spark_udf udf = {NULL, 0, NULL, 1, 0};
    struct trib_view command = {(const uint8_t *)"c:x", 3, NULL};
    struct trib_chunk *chunk;

    memset(&init, 0, sizeof(init));
    init.eval_type = eval_type;
    init.command = command;
    udf.commands = &command;
    init.udfs = &udf;
    init.udf_count = 1;
    ck_assert_int_eq(trib_spark_init_chunk(&init, &chunk, NULL), TRIB_OK);
    add_word(bytes, TRIB_SPARK_INIT);
    add_word(bytes, (int32_t)trib_chunk_len(chunk));
    add(bytes, trib_chunk_data(chunk), trib_chunk_len(chunk));
    trib_chunk_unref(chunk);
}

/* The Arrow stream of the capture c-map-in-arrow.tcp-daemon: 456 bytes at 4519. */
static void add_stream(struct bytes *bytes)
{
    struct capture capture;

    capture_load("spark-4.3.0/c-map-in-arrow.tcp-daemon.engine-to-worker.bin", &capture);
    add(bytes, capture.file.bytes + 4519, 456);
    capture_done(&capture);
}

/* Events of the bytes as one letter each; returns what ended them. */
static int letters(const struct bytes *bytes, const struct trib_message_options *options, char *text, size_t len,
                   struct trib_error *err)
{
    static const char letter[] = "?APIDGSMsFNdfXTUu";
    struct cuts whole = {NULL, 0, 0};
    struct trib_reader *reader = capture_reader(bytes->data, bytes->len, whole);
    struct trib_receiver *receiver;
    struct trib_event event;
    size_t at = 0;
    int rc;

    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_ENGINE, options, &receiver, err), TRIB_OK);
    while ((rc = trib_receiver_next(receiver, &event, err)) == TRIB_OK && at + 1 < len)
        text[at++] = letter[event.kind];
    text[at] = '\0';
    /* What sticks, sticks; what is over, stays so. */
    if (rc != TRIB_OK)
        ck_assert_int_eq(trib_receiver_next(receiver, &event, err), rc);
    ck_assert_int_eq(trib_receiver_next_session(receiver, NULL), rc == TRIB_EOF ? TRIB_OK : TRIB_ERR_USAGE);
    trib_receiver_free(receiver);
    trib_reader_free(reader);
    return rc;
}

START_TEST(test_shapes)
{
    static const struct {
        int32_t eval_type;
        const char *layout; /* a digit: that word; S: a stream; F: a frame; N, E: null, end of frames */
        const char *events;
    } shapes[] = {
        {207, "S", "IDSMMsdf"},         {250, "S", "IDSMMsdf"},          {302, "S", "IDSMMsdf"},   {209, "0", "IDdf"},
        {209, "1S1S0", "IDGSMMsGSMMsdf"}, {252, "1S0", "IDGSMMsdf"},     {210, "0", "IDdf"},       {206, "2SS0", "IDGSMMsSMMsdf"},
        {210, "2SS2SS0", "IDGSMMsSMMsGSMMsSMMsdf"}, {0, "E", "IDdf"},    {0, "FNFE", "IDFNFdf"},   {100, "FE", "IDFdf"},
        {300, "FE", "IDFdf"},
    };

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        static struct bytes bytes;
        struct trib_error err = {0};
        char text[64];
        bytes.len = 0;
        add_init(&bytes, shapes[i].eval_type);
        for (const char *c = shapes[i].layout; *c != '\0'; c++) {
            if (*c == 'S')
                add_stream(&bytes);
            else if (*c == 'F')
                add(&bytes, "\0\0\0\3abc", 7);
            else
                add_word(&bytes, *c == 'N' ? TRIB_SPARK_NULL : *c == 'E' ? TRIB_SPARK_END_OF_DATA : *c - '0');
        }
        add_word(&bytes, TRIB_SPARK_END_OF_STREAM);
        ck_assert_msg(letters(&bytes, NULL, text, sizeof(text), &err) == TRIB_EOF, "%d: %s", (int)shapes[i].eval_type, err.message);
        ck_assert_str_eq(text, shapes[i].events);
    }
}
END_TEST

/* ---- What may not come ------------------------------------------------------------------------------------------- */

struct wrong {
    int32_t eval_type;
    const char *layout; /* as above; and then the word */
    int32_t word;
    int code;
    const char *text;
};

static const struct wrong wrongs[] = {
    /* In the place of Init: -1 as eval type means none was sent. */
    {-1, "", TRIB_SPARK_END_OF_STREAM, TRIB_ERR_PROTOCOL, "-4 (END_OF_STREAM) came, expected -8 (START_OF_INIT_MESSAGE)"},
    {-1, "", TRIB_SPARK_TIMING, TRIB_ERR_PROTOCOL, "-3 (TIMING_DATA) came, expected -8 (START_OF_INIT_MESSAGE)"},
    {-1, "", 0x47455420, TRIB_ERR_PROTOCOL, "0x47455420) came, expected -8 (START_OF_INIT_MESSAGE)"},
    /* In the place of data. */
    {207, "", TRIB_SPARK_END_OF_STREAM, TRIB_ERR_PROTOCOL, "Finish came, expected Data"},
    {0, "", TRIB_SPARK_END_OF_STREAM, TRIB_ERR_PROTOCOL, "Finish came, expected Data"},
    {209, "", TRIB_SPARK_INIT, TRIB_ERR_PROTOCOL, "Init came, expected Data"},
    {207, "", 0x01020304, TRIB_ERR_PROTOCOL, "01 02 03 04 came, expected FF FF FF FF"},
    {207, "", TRIB_SPARK_ARROW_STREAM, TRIB_ERR_PROTOCOL, "FF FF FF FA came, expected FF FF FF FF"},
    /* Inside it. */
    {0, "F", TRIB_SPARK_END_OF_STREAM, TRIB_ERR_PROTOCOL, "-4 (END_OF_STREAM) came, expected a frame"},
    {0, "F", TRIB_SPARK_INIT, TRIB_ERR_PROTOCOL, "-8 (START_OF_INIT_MESSAGE) came, expected a frame"},
    {0, "F", -77, TRIB_ERR_PROTOCOL, "the word -77"},
    {0, "", INT32_MAX, TRIB_ERR_LIMIT, "a frame of 2147483647 bytes, at most 268435456"},
    {0, "F", INT32_MIN, TRIB_ERR_PROTOCOL, "0x80000000"},
    {209, "1S", 2, TRIB_ERR_PROTOCOL, "the word 2"},
    {210, "", 1, TRIB_ERR_PROTOCOL, "the word 1"},
    {209, "1S", -1, TRIB_ERR_PROTOCOL, "-1 (END_OF_DATA_SECTION) came, expected a group"},
    /* In the place of Finish. */
    {207, "S", TRIB_SPARK_INIT, TRIB_ERR_PROTOCOL, "-8 (START_OF_INIT_MESSAGE) came, expected -4"},
    {207, "S", TRIB_SPARK_END_OF_DATA, TRIB_ERR_PROTOCOL, "-1 (END_OF_DATA_SECTION) came, expected -4"},
    {0, "FE", 3, TRIB_ERR_PROTOCOL, "the word 3 (0x00000003) came, expected -4"},
    /* Data of another form. */
    {211, "", 1, TRIB_ERR_UNSUPPORTED, "eval type 211 (SQL_TRANSFORM_WITH_STATE"},
    {199, "", 1, TRIB_ERR_UNSUPPORTED, "eval type 199 (unknown)"},
};

START_TEST(test_wrong)
{
    const struct wrong *wrong = &wrongs[_i];
    static struct bytes bytes;
    struct trib_error err = {0};
    char text[64];
    int rc;

    bytes.len = 0;
    if (wrong->eval_type >= 0)
        add_init(&bytes, wrong->eval_type);
    for (const char *c = wrong->layout; *c != '\0'; c++) {
        if (*c == 'S')
            add_stream(&bytes);
        else if (*c == 'F')
            add(&bytes, "\0\0\0\3abc", 7);
        else
            add_word(&bytes, *c == 'E' ? TRIB_SPARK_END_OF_DATA : *c - '0');
    }
    add_word(&bytes, wrong->word);
    add_word(&bytes, 0);
    add_word(&bytes, 0);
    rc = letters(&bytes, NULL, text, sizeof(text), &err);
    ck_assert_msg(rc == wrong->code, "%s: %s", trib_code_name(rc), err.message);
    ck_assert_msg(strcasestr(err.message, wrong->text) != NULL, "%s", err.message);
}
END_TEST

START_TEST(test_length_of_init)
{
    static const int32_t lengths[] = {-1, INT32_MIN, INT32_MAX, (64 << 20) + 1, 64 << 20};
    static const int codes[] = {TRIB_ERR_PROTOCOL, TRIB_ERR_PROTOCOL, TRIB_ERR_LIMIT, TRIB_ERR_LIMIT, TRIB_ERR_SHORT};
    static struct bytes bytes;
    struct trib_error err = {0};
    char text[64];

    bytes.len = 0;
    add_word(&bytes, TRIB_SPARK_INIT);
    add_word(&bytes, lengths[_i]);
    add(&bytes, "some bytes", 10);
    ck_assert_int_eq(letters(&bytes, NULL, text, sizeof(text), &err), codes[_i]);
    if (codes[_i] == TRIB_ERR_LIMIT) {
        ck_assert_uint_eq(err.wanted, (uint64_t)lengths[_i]);
        ck_assert_uint_eq(err.got, 64 << 20);
    }
}
END_TEST

START_TEST(test_limits)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    static struct bytes bytes;
    struct trib_error err = {0};
    char text[64];

    bytes.len = 0;
    add_init(&bytes, 0);
    add(&bytes, "\0\0\0\3abc", 7);
    options.frame_limit = 2;
    ck_assert_int_eq(letters(&bytes, &options, text, sizeof(text), &err), TRIB_ERR_LIMIT);
    ck_assert(err.wanted == 3 && err.got == 2);
    options.init_limit = 8;
    ck_assert_int_eq(letters(&bytes, &options, text, sizeof(text), &err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.got, 8);
    bytes.len = 0;
    add_init(&bytes, 207);
    add_stream(&bytes);
    options.init_limit = 0;
    options.metadata_limit = 100;
    ck_assert_int_eq(letters(&bytes, &options, text, sizeof(text), &err), TRIB_ERR_LIMIT);
    ck_assert(err.wanted == 224 && err.got == 100);
    options.metadata_limit = 0;
    options.body_limit = 39;
    ck_assert_int_eq(letters(&bytes, &options, text, sizeof(text), &err), TRIB_ERR_LIMIT);
    ck_assert(err.wanted == 40 && err.got == 39);
}
END_TEST

/* Bodies lie where they were asked to, and come back out as the very bytes that came in. */
START_TEST(test_bodies_are_views)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct cuts whole = {NULL, 0, 0};
    static struct bytes bytes;
    struct trib_receiver *receiver;
    struct trib_reader *reader;
    struct trib_event event;
    struct trib_error err;
    int bodies = 0;

    bytes.len = 0;
    add_init(&bytes, 207);
    add_stream(&bytes);
    add_word(&bytes, TRIB_SPARK_END_OF_STREAM);
    reader = capture_reader(bytes.data, bytes.len, whole);
    options.align = 64;
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_ENGINE, &options, &receiver, &err), TRIB_OK);
    while (trib_receiver_next(receiver, &event, &err) == TRIB_OK) {
        if (event.kind != TRIB_EVENT_ARROW || event.arrow.kind != TRIB_ARROW_BATCH)
            continue;
        bodies++;
        ck_assert_uint_eq((uintptr_t)event.arrow.body.data % 64, 0);
        ck_assert_uint_eq((uintptr_t)event.arrow.metadata.data % 8, 0);
        ck_assert_ptr_nonnull(event.arrow.body.holder);
        ck_assert_ptr_nonnull(event.arrow.metadata.holder);
    }
    ck_assert_int_eq(bodies, 1);
    trib_receiver_free(receiver);
    trib_reader_free(reader);
}
END_TEST

START_TEST(test_two_sessions_on_a_connection)
{
    struct cuts whole = {NULL, 0, 0};
    static struct bytes bytes;
    struct trib_receiver *receiver;
    struct trib_reader *reader;
    struct trib_event event;
    struct trib_error err;

    bytes.len = 0;
    for (int i = 0; i < 2; i++) {
        add_init(&bytes, 0);
        add_word(&bytes, TRIB_SPARK_END_OF_DATA);
        add_word(&bytes, TRIB_SPARK_END_OF_STREAM);
    }
    reader = capture_reader(bytes.data, bytes.len, whole);
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_ENGINE, NULL, &receiver, &err), TRIB_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq((int)trib_receiver_state(receiver), TRIB_SESSION_START);
        ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
        ck_assert_int_eq((int)trib_receiver_state(receiver), TRIB_SESSION_READY);
        ck_assert_int_eq(trib_receiver_next_session(receiver, &err), TRIB_ERR_USAGE);
        ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
        ck_assert_int_eq((int)trib_receiver_state(receiver), TRIB_SESSION_FLOWING);
        ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
        ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_OK);
        ck_assert_int_eq((int)event.kind, TRIB_EVENT_FINISH);
        ck_assert_int_eq((int)trib_receiver_state(receiver), TRIB_SESSION_ENDED);
        ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_EOF);
        ck_assert_int_eq(trib_receiver_next_session(receiver, &err), TRIB_OK);
    }
    ck_assert_int_eq(trib_receiver_next(receiver, &event, &err), TRIB_EOF);
    trib_receiver_free(receiver);
    trib_reader_free(reader);
}
END_TEST

START_TEST(test_usage)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct trib_dialect small = trib_dialect_spark_socket;
    struct cuts whole = {NULL, 0, 0};
    struct trib_reader *reader = capture_reader(NULL, 0, whole);
    struct trib_receiver *receiver = NULL;

    small.size = 8;
    options.handshake = (enum trib_handshake)9;
    ck_assert_int_eq(trib_receiver_new(&small, reader, TRIB_FROM_ENGINE, NULL, &receiver, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_receiver_new(NULL, reader, TRIB_FROM_ENGINE, NULL, &receiver, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, (enum trib_side)0, NULL, &receiver, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_ENGINE, &options, &receiver, NULL), TRIB_ERR_USAGE);
    options.handshake = TRIB_HANDSHAKE_NONE;
    options.align = 48;
    ck_assert_int_eq(trib_receiver_new(&trib_dialect_spark_socket, reader, TRIB_FROM_ENGINE, &options, &receiver, NULL), TRIB_ERR_USAGE);
    ck_assert_ptr_null(receiver);
    ck_assert_ptr_eq(trib_dialect_find("spark-socket"), &trib_dialect_spark_socket);
    ck_assert_ptr_null(trib_dialect_find("nothing"));
    ck_assert_str_eq(trib_event_name(TRIB_EVENT_ACCUMULATOR), "ACCUMULATOR");
    ck_assert_str_eq(trib_event_name((enum trib_event_kind)99), "?");
    trib_receiver_free(NULL);
    trib_sender_free(NULL);
    trib_reader_free(reader);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data section");
    TCase *tcase = tcase_create("events");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_test(tcase, test_shapes);
    tcase_add_loop_test(tcase, test_wrong, 0, sizeof(wrongs) / sizeof(wrongs[0]));
    tcase_add_loop_test(tcase, test_length_of_init, 0, 5);
    tcase_add_test(tcase, test_limits);
    tcase_add_test(tcase, test_bodies_are_views);
    tcase_add_test(tcase, test_two_sessions_on_a_connection);
    tcase_add_test(tcase, test_usage);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
