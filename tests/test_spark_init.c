/* The init message: every field there and back, and what is refused. */
#include <tributary/spark.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/balance.h"
#include "tests/support/capture.h"
#include "tests/support/fail_alloc.h"

static struct trib_view text(const char *string)
{
    struct trib_view view = {(const uint8_t *)string, strlen(string), NULL};

    return view;
}

static void must_be(struct trib_view view, const char *string)
{
    ck_assert_msg(view.len == strlen(string) && memcmp(view.data, string, view.len) == 0, "\"%.*s\" is not \"%s\"", (int)view.len,
                  (const char *)view.data, string);
}

static int parse(const uint8_t *bytes, size_t len, size_t length, const struct trib_spark_init **ret_init, struct trib_error *err)
{
    struct cuts whole = {NULL, 0, 0};
    struct trib_reader *reader = capture_reader(bytes, len, whole);
    int rc = trib_spark_init_parse(reader, length, ret_init, err);

    if (rc == TRIB_OK)
        ck_assert_uint_eq(trib_reader_position(reader), length);
    ck_assert_uint_eq(trib_reader_limit_left(reader), UINT64_MAX);
    trib_reader_free(reader);
    return rc;
}

/* ---- There and back --------------------------------------------------------------------------------------------- */

static const struct trib_spark_argument arguments[] = {{4, false, {NULL, 0, NULL}},
                                                       {-1, true, {(const uint8_t *)"n\xC3\xA4me", 5, NULL}}};
static struct trib_view commands[2];
static struct trib_view includes[2];
static const int32_t children[] = {1, 0, 7};

/* One of each layout, with as much in it as there can be. */
static struct trib_spark_init example(int32_t eval_type)
{
    static struct trib_spark_broadcast broadcasts[2];
    static struct trib_spark_pair runner_conf[2], eval_conf[1];
    static struct trib_spark_udf udfs[2];
    struct trib_spark_init init;

    memset(&init, 0, sizeof(init));
    commands[0] = text("c:one");
    commands[1] = text("");
    includes[0] = text("a.zip");
    includes[1] = text("b.egg");
    broadcasts[0].id = 5;
    broadcasts[0].path = text("/tmp/b5");
    broadcasts[1].id = -3;
    runner_conf[0].key = text("spark.sql.session.timeZone");
    runner_conf[0].value = text("UTC");
    runner_conf[1].key = text("empty");
    runner_conf[1].value = text("");
    eval_conf[0].key = text("input_type");
    eval_conf[0].value = text("{}");
    udfs[0].arguments = arguments;
    udfs[0].argument_count = 2;
    udfs[0].commands = commands;
    udfs[0].command_count = 2;
    udfs[0].result_id = INT64_MIN;
    udfs[1] = udfs[0];
    udfs[1].argument_count = 0;
    udfs[1].command_count = 1;
    init.partition = 3;
    init.python_version = text("3.11");
    init.task_context = text("{\"cpus\":1}");
    init.files_dir = text("/files");
    init.includes = includes;
    init.include_count = 2;
    init.broadcasts = broadcasts;
    init.broadcast_count = 2;
    init.eval_type = eval_type;
    init.runner_conf = runner_conf;
    init.runner_conf_count = 2;
    init.eval_conf = eval_conf;
    init.eval_conf_count = 1;
    init.command = text("c:upper");
    init.udfs = udfs;
    init.udf_count = 2;
    init.table.arguments = arguments;
    init.table.argument_count = 2;
    init.table.partition_children = children;
    init.table.partition_child_count = 3;
    init.table.has_analysis = true;
    init.table.analysis = text("pickle");
    init.table.handler = text("c:table");
    init.table.return_type = text("struct<a:int>");
    init.table.name = text("tab");
    return init;
}

static void there_and_back(const struct trib_spark_init *init, const struct trib_spark_init **ret_parsed)
{
    struct trib_chunk *first, *second;
    struct trib_error err = {0};

    ck_assert_msg(trib_spark_init_chunk(init, &first, &err) == TRIB_OK, "%s", err.message);
    ck_assert_msg(parse(trib_chunk_data(first), trib_chunk_len(first), trib_chunk_len(first), ret_parsed, &err) == TRIB_OK, "%s",
                  err.message);
    ck_assert_int_eq(trib_spark_init_chunk(*ret_parsed, &second, &err), TRIB_OK);
    ck_assert_uint_eq(trib_chunk_len(first), trib_chunk_len(second));
    ck_assert_mem_eq(trib_chunk_data(first), trib_chunk_data(second), trib_chunk_len(first));
    trib_chunk_unref(first);
    trib_chunk_unref(second);
}

static const int32_t eval_types[] = {0, 100, 101, 207, 209, 254, 300, 301, 302};

START_TEST(test_there_and_back)
{
    struct trib_spark_init init = example(eval_types[_i]);
    const struct trib_spark_init *parsed;

    there_and_back(&init, &parsed);
    ck_assert_int_eq(parsed->partition, 3);
    must_be(parsed->task_context, "{\"cpus\":1}");
    must_be(parsed->includes[1], "b.egg");
    ck_assert(!parsed->broadcasts_encrypted);
    must_be(parsed->broadcasts[0].path, "/tmp/b5");
    ck_assert_int_eq(parsed->broadcasts[1].id, -3);
    must_be(trib_spark_init_conf(parsed, "spark.sql.session.timeZone"), "UTC");
    must_be(trib_spark_init_conf(parsed, "input_type"), "{}");
    ck_assert_ptr_nonnull(trib_spark_init_conf(parsed, "empty").data);
    ck_assert_ptr_null(trib_spark_init_conf(parsed, "absent").data);
    must_be(trib_spark_init_command(parsed), eval_types[_i] == 0 ? "c:upper" : eval_types[_i] < 300 ? "c:one" : "c:table");
    if (trib_spark_eval_layout(eval_types[_i]) == TRIB_SPARK_LAYOUT_UDFS) {
        ck_assert_uint_eq(parsed->udf_count, 2);
        ck_assert_int_eq(parsed->udfs[0].result_id, INT64_MIN);
        must_be(parsed->udfs[0].arguments[1].name, "n\xC3\xA4me");
    }
    if (trib_spark_eval_layout(eval_types[_i]) == TRIB_SPARK_LAYOUT_TABLE) {
        ck_assert_int_eq(parsed->table.partition_children[2], 7);
        must_be(parsed->table.name, "tab");
    }
    trib_spark_init_free(parsed);
}
END_TEST

START_TEST(test_encrypted_broadcasts)
{
    struct trib_spark_init init = example(207);
    const struct trib_spark_init *parsed;

    init.broadcasts_encrypted = true;
    init.broadcast_port = -1;
    init.broadcast_auth = text("/run/broadcast.sock");
    there_and_back(&init, &parsed);
    ck_assert(parsed->broadcasts_encrypted);
    ck_assert_int_eq(parsed->broadcast_port, -1);
    must_be(parsed->broadcast_auth, "/run/broadcast.sock");
    ck_assert_uint_eq(parsed->broadcasts[0].path.len, 0);
    trib_spark_init_free(parsed);
}
END_TEST

START_TEST(test_stop)
{
    const uint8_t bytes[] = {0xFF, 0xFF, 0xFF, 0xFF};
    const struct trib_spark_init *parsed;
    struct trib_chunk *chunk;

    ck_assert_int_eq(parse(bytes, 4, 4, &parsed, NULL), TRIB_OK);
    ck_assert(parsed->stop);
    ck_assert_int_eq(trib_spark_init_chunk(parsed, &chunk, NULL), TRIB_OK);
    ck_assert_uint_eq(trib_chunk_len(chunk), 4);
    trib_chunk_unref(chunk);
    trib_spark_init_free(parsed);
}
END_TEST

/* What the page about the protocol says of this capture, byte for byte. */
START_TEST(test_captured)
{
    const struct trib_spark_init *init;
    struct capture capture;
    struct trib_error err;

    capture_load("spark-4.3.0/c-map-in-arrow.tcp-daemon.engine-to-worker.bin", &capture);
    ck_assert_int_eq(parse(capture.file.bytes + 76, capture.file.len - 76, 4443, &init, &err), TRIB_OK);
    ck_assert_int_eq(init->partition, 0);
    must_be(init->python_version, "3.11");
    ck_assert_uint_eq(init->task_context.len, 3591);
    ck_assert_uint_eq(init->files_dir.len, 105);
    ck_assert_uint_eq(init->include_count, 0);
    ck_assert_uint_eq(init->broadcast_count, 0);
    ck_assert_int_eq(init->eval_type, 207);
    ck_assert_uint_eq(init->runner_conf_count, 10);
    ck_assert_uint_eq(init->eval_conf_count, 0);
    ck_assert_uint_eq(init->udf_count, 1);
    ck_assert_uint_eq(init->udfs[0].argument_count, 1);
    ck_assert_int_eq(init->udfs[0].arguments[0].offset, 0);
    ck_assert_uint_eq(init->udfs[0].command_count, 1);
    must_be(init->udfs[0].commands[0], "c:echo");
    ck_assert_int_eq(init->udfs[0].result_id, 1);
    trib_spark_init_free(init);
    capture_done(&capture);
}
END_TEST

/* ---- What is refused --------------------------------------------------------------------------------------------- */

static struct trib_chunk *example_bytes(int32_t eval_type)
{
    struct trib_spark_init init = example(eval_type);
    struct trib_chunk *chunk;

    ck_assert_int_eq(trib_spark_init_chunk(&init, &chunk, NULL), TRIB_OK);
    return chunk;
}

/* A message that says it is shorter than it is: its fields run past its end, at once, though the bytes are there. */
START_TEST(test_every_shorter_length)
{
    struct trib_chunk *chunk = example_bytes(eval_types[_i]);
    const struct trib_spark_init *init = NULL;
    struct trib_error err;

    for (size_t length = 0; length < trib_chunk_len(chunk); length++) {
        int rc = parse(trib_chunk_data(chunk), trib_chunk_len(chunk), length, &init, &err);
        ck_assert_msg(rc == TRIB_ERR_PROTOCOL, "length %zu: %s", length, trib_code_name(rc));
        ck_assert_msg(strstr(err.message, "init message: ") == err.message, "%s", err.message);
        ck_assert_ptr_null(init);
        /* The same, with the stream at its end there. */
        rc = parse(trib_chunk_data(chunk), length, trib_chunk_len(chunk), &init, &err);
        ck_assert_msg(rc == TRIB_ERR_SHORT, "cut to %zu: %s", length, trib_code_name(rc));
        ck_assert_msg(strstr(err.message, "the init message: wanted ") == err.message, "%s", err.message);
        ck_assert_uint_eq(err.wanted, trib_chunk_len(chunk));
        ck_assert_uint_eq(err.got, length);
    }
    trib_chunk_unref(chunk);
}
END_TEST

START_TEST(test_bytes_left_over)
{
    struct trib_chunk *chunk = example_bytes(207);
    size_t len = trib_chunk_len(chunk);
    uint8_t *bytes = calloc(1, len + 1);
    const struct trib_spark_init *init;
    struct trib_error err;

    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, trib_chunk_data(chunk), len);
    ck_assert_int_eq(parse(bytes, len + 1, len + 1, &init, &err), TRIB_ERR_PROTOCOL);
    ck_assert_msg(strstr(err.message, "left over") != NULL, "%s", err.message);
    free(bytes);
    trib_chunk_unref(chunk);
}
END_TEST

struct damage {
    size_t offset; /* of a word in the example of eval type 207 */
    int32_t value;
    const char *text;
};

/* partition 4, version 8, context 14, files 10; then the number of includes. */
enum { AT_VERSION = 4, AT_CONTEXT = 12, AT_FILES = 26, AT_INCLUDES = 36, AT_INCLUDE = 40, AT_BROADCASTS = 59, AT_EVAL_TYPE = 90 };

static const struct damage damages[] = {
    {AT_VERSION, -1, "Python version at byte 8 of"},
    {AT_VERSION, INT32_MAX, "length 2147483647"},
    {AT_CONTEXT, INT32_MIN, "task context"},
    {AT_FILES, 1000, "files directory"},
    {AT_INCLUDES, -1, "number of includes"},
    {AT_INCLUDES, INT32_MAX, "count 2147483647"}, /* no 50 GiB are asked for: the bytes that are left could not hold so many */
    {AT_INCLUDE, -5, "include"},
    {AT_BROADCASTS, 1 << 24, "number of broadcasts"},
    {AT_EVAL_TYPE, 50, "eval type"},
    {AT_EVAL_TYPE, 255, "is none: 255"},
    {AT_EVAL_TYPE, 303, "is none: 303"},
    {AT_EVAL_TYPE, -207, "is none: -207"},
    {AT_EVAL_TYPE + 4, -1, "runner conf"},
    {AT_EVAL_TYPE + 4, 1 << 20, "runner conf"},
};

START_TEST(test_damaged)
{
    const struct damage *damage = &damages[_i];
    struct trib_chunk *chunk = example_bytes(207);
    uint8_t *at = trib_chunk_writable(chunk) + damage->offset;
    const struct trib_spark_init *init;
    struct trib_error err;

    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)((uint32_t)damage->value >> (24 - 8 * i));
    ck_assert_int_eq(parse(trib_chunk_data(chunk), trib_chunk_len(chunk), trib_chunk_len(chunk), &init, &err), TRIB_ERR_PROTOCOL);
    ck_assert_msg(strstr(err.message, damage->text) != NULL, "%s", err.message);
    trib_chunk_unref(chunk);
}
END_TEST

/* Lists that fit into the message, and would take many times its bytes in memory. */
START_TEST(test_too_many_items)
{
    enum { MANY = 65537 };
    struct trib_view *list = calloc(MANY, sizeof(*list));
    struct trib_spark_init init = example(207);
    size_t others = 2 + 2 + 1 + 2 + 2 + 2 + 1; /* of the example */
    const struct trib_spark_init *parsed;
    struct trib_chunk *chunk;
    struct trib_error err;

    ck_assert_ptr_nonnull(list);
    for (size_t i = 0; i < MANY; i++)
        list[i] = text("");
    init.includes = list;
    init.include_count = _i == 0 ? MANY : MANY - 1;
    ck_assert_int_eq(trib_spark_init_chunk(&init, &chunk, NULL), TRIB_OK);
    ck_assert_int_eq(parse(trib_chunk_data(chunk), trib_chunk_len(chunk), trib_chunk_len(chunk), &parsed, &err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.got, MANY - 1);
    ck_assert_uint_ge(err.wanted, MANY);
    ck_assert_uint_le(err.wanted, MANY + others);
    ck_assert_msg(strstr(err.message, _i == 0 ? "number of includes" : "number of broadcasts") != NULL, "%s", err.message);
    trib_chunk_unref(chunk);
    free(list);
}
END_TEST

static const char *const not_utf8[] = {
    "\x80",  "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80",
    "a\xFFz"};

START_TEST(test_not_utf8)
{
    struct trib_spark_init init = example(207);
    const struct trib_spark_init *parsed;
    struct trib_chunk *chunk;
    struct trib_error err;

    init.files_dir = text(not_utf8[_i]);
    ck_assert_int_eq(trib_spark_init_chunk(&init, &chunk, NULL), TRIB_OK);
    ck_assert_int_eq(parse(trib_chunk_data(chunk), trib_chunk_len(chunk), trib_chunk_len(chunk), &parsed, &err), TRIB_ERR_PROTOCOL);
    ck_assert_msg(strstr(err.message, "files directory") != NULL && strstr(err.message, "UTF-8") != NULL, "%s", err.message);
    trib_chunk_unref(chunk);
}
END_TEST

START_TEST(test_writing_what_makes_no_sense)
{
    struct trib_spark_init init = example(255);
    struct trib_spark_udf udf = {NULL, 0, NULL, 0, 0};
    struct trib_chunk *chunk = NULL;
    struct trib_error err;

    ck_assert_int_eq(trib_spark_init_chunk(&init, &chunk, &err), TRIB_ERR_USAGE);
    init = example(207);
    init.udfs = &udf;
    init.udf_count = 1;
    ck_assert_int_eq(trib_spark_init_chunk(&init, &chunk, &err), TRIB_ERR_USAGE);
    init = example(207);
    init.files_dir.len = (size_t)INT32_MAX;
    ck_assert_int_eq(trib_spark_init_chunk(&init, &chunk, &err), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(err.got, INT32_MAX);
    ck_assert_ptr_null(chunk);
    trib_spark_init_free(NULL);
}
END_TEST

START_TEST(test_eval_types)
{
    ck_assert_str_eq(trib_spark_eval_name(207), "SQL_MAP_ARROW_ITER_UDF");
    ck_assert_ptr_null(trib_spark_eval_name(1));
    ck_assert_int_eq(trib_spark_eval_shape(0), TRIB_DATA_FRAMES);
    ck_assert_int_eq(trib_spark_eval_shape(210), TRIB_DATA_PAIRS);
    ck_assert_int_eq((int)trib_spark_eval_shape(211), 0);
    ck_assert_int_eq((int)trib_spark_eval_shape(110), 0);
    ck_assert_int_eq(trib_spark_eval_layout(99), TRIB_SPARK_LAYOUT_NONE);
    ck_assert_str_eq(trib_spark_word_name(-8), "START_OF_INIT_MESSAGE");
    ck_assert_ptr_null(trib_spark_word_name(-9));
    ck_assert_ptr_null(trib_spark_word_name(0));
}
END_TEST

/* No memory: the bytes are still the reader's, and the next try succeeds. */
static int parse_scenario(void *arg, struct trib_error *err)
{
    struct capture *capture = arg;
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    const struct trib_spark_init *init;
    struct trib_reader *reader = NULL;
    int rc = trib_chunk_wrap(capture->file.bytes + 76, 4443, NULL, NULL, &options.initial, err);

    if (rc == TRIB_OK)
        rc = trib_reader_new(&options, &reader, err);
    if (rc == TRIB_OK) {
        rc = trib_spark_init_parse(reader, 4443, &init, err);
        ck_assert_uint_eq(trib_reader_position(reader), rc == TRIB_OK ? 4443 : 0);
        if (rc == TRIB_OK || trib_spark_init_parse(reader, 4443, &init, NULL) == TRIB_OK)
            trib_spark_init_free(init);
    }
    trib_reader_free(reader);
    trib_chunk_unref(options.initial);
    return rc;
}

START_TEST(test_allocations_failing)
{
    struct capture capture;

    capture_load("spark-4.3.0/c-map-in-arrow.tcp-daemon.engine-to-worker.bin", &capture);
    ck_assert_uint_gt(fail_alloc_every(parse_scenario, &capture), 5);
    capture_done(&capture);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("init message");
    TCase *tcase = tcase_create("fields");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_loop_test(tcase, test_there_and_back, 0, sizeof(eval_types) / sizeof(eval_types[0]));
    tcase_add_loop_test(tcase, test_every_shorter_length, 0, sizeof(eval_types) / sizeof(eval_types[0]));
    tcase_add_loop_test(tcase, test_damaged, 0, sizeof(damages) / sizeof(damages[0]));
    tcase_add_loop_test(tcase, test_too_many_items, 0, 2);
    tcase_add_loop_test(tcase, test_not_utf8, 0, sizeof(not_utf8) / sizeof(not_utf8[0]));
    tcase_add_test(tcase, test_encrypted_broadcasts);
    tcase_add_test(tcase, test_stop);
    tcase_add_test(tcase, test_captured);
    tcase_add_test(tcase, test_bytes_left_over);
    tcase_add_test(tcase, test_writing_what_makes_no_sense);
    tcase_add_test(tcase, test_eval_types);
    tcase_add_test(tcase, test_allocations_failing);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
