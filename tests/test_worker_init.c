/* Init and what follows it: payloads in chunks, sizes, checksums, versions, formats; errors and metrics where the protocol wants them. */
#include <tributary/worker.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/balance.h"
#include "tests/support/worker.h"

static struct test_worker worker;

static void setup(void)
{
    balance_setup();
    test_worker_start(&worker, NULL, NULL);
}

static void setup_echo(void)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;

    balance_setup();
    options.serializer = &trib_serializer_spark_echo;
    test_worker_start(&worker, &options, NULL);
}

static void teardown(void)
{
    test_worker_stop(&worker);
    balance_teardown();
}

static struct trib_view text(const char *bytes)
{
    return (struct trib_view){(const uint8_t *)bytes, strlen(bytes), NULL};
}

/* ---- Payloads ----------------------------------------------------------------------------------------------------- */

static const char whole[] = "a payload that comes in one piece or in many";

struct payload_case {
    size_t inline_len;   /* of it in Init; the rest in chunks of so many bytes each: */
    size_t chunk;        /* 0: no chunks */
    int64_t size;        /* -2: not said */
    int crc;             /* 0: not said, 1: right, 2: wrong */
    const char *error;   /* NULL: fine */
};

static const struct payload_case payloads[] = {
    {44, 0, -2, 0, NULL},
    {44, 0, 44, 1, NULL},
    {0, 44, 44, 1, NULL},
    {10, 7, 44, 1, NULL},
    {10, 1, -2, 1, NULL},
    {44, 100, 44, 1, NULL}, /* chunks were announced, and the last is empty */
    {0, 44, -2, 0, NULL},
    {44, 0, 43, 0, "44 bytes came, payload_size says 43"},
    {44, 0, 45, 1, "44 bytes came, payload_size says 45"},
    {44, 0, -1, 0, "payload_size says -1"},
    {44, 0, 44, 2, "CRC-32"},
    {3, 9, 44, 2, "CRC-32"},
    {3, 9, 1000, 1, "payload_size says 1000"},
};

START_TEST(test_payload)
{
    const struct payload_case *c = &payloads[_i];
    struct trib_execution *execution = execution_begin(worker.engine);
    struct trib_udf_init init;
    size_t at = c->inline_len;

    trib_udf_init_defaults(&init);
    init.payload = (struct trib_view){(const uint8_t *)whole, c->inline_len, NULL};
    init.is_chunking_payload = c->chunk > 0;
    init.has_payload_size = c->size != -2;
    init.payload_size = c->size;
    init.has_payload_crc32 = c->crc != 0;
    init.payload_crc32 = trib_udf_crc32(0, text(whole)) ^ (c->crc == 2 ? 1 : 0);
    ck_assert_int_eq(trib_execution_init(execution, &init, NULL), TRIB_OK);
    while (c->chunk > 0 && at <= 44) {
        size_t len = 44 - at < c->chunk ? 44 - at : c->chunk;
        struct trib_view piece = {(const uint8_t *)whole + at, len, NULL};
        bool last = at + len == 44;
        ck_assert_int_eq(trib_execution_chunk(execution, piece, last, NULL), TRIB_OK);
        at = last ? 45 : at + len;
    }
    ck_assert_str_eq(execution_replies(execution, 1), c->error == NULL ? "INIT" : "INIT:P");
    if (c->error != NULL)
        ck_assert_msg(strstr(execution_error(), c->error) != NULL, "%s", execution_error());
    ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "CANCEL");
    trib_execution_free(execution);
}
END_TEST

/* The CRC of the protocol is zlib's. */
START_TEST(test_crc)
{
    ck_assert_uint_eq(trib_udf_crc32(0, text("123456789")), 0xcbf43926);
    ck_assert_uint_eq(trib_udf_crc32(trib_udf_crc32(0, text("12345")), text("6789")), 0xcbf43926);
    ck_assert_uint_eq(trib_udf_crc32(0, text("")), 0);
}
END_TEST

/* ---- Version and format -------------------------------------------------------------------------------------------- */

static const struct {
    bool has_version;
    uint32_t version;
    int32_t format;
    const char *error;
} headers[] = {
    {true, 1, 1, NULL},
    {false, 0, 1, NULL},
    {true, 0, 1, "protocol_version 0 is not supported"},
    {true, 2, 1, "protocol_version 2 is not supported"},
    {true, 1, 0, "data_format 0 is not supported"},
    {true, 1, 2, "data_format 2 is not supported"},
    {true, 1, -1, "data_format -1 is not supported"},
};

START_TEST(test_header)
{
    struct trib_execution *execution = execution_begin(worker.engine);
    struct trib_udf_init init;

    trib_udf_init_defaults(&init);
    init.has_protocol_version = headers[_i].has_version;
    init.protocol_version = headers[_i].version;
    init.data_format = headers[_i].format;
    ck_assert_int_eq(trib_execution_init(execution, &init, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 1), headers[_i].error == NULL ? "INIT" : "INIT:P");
    if (headers[_i].error != NULL)
        ck_assert_msg(strstr(execution_error(), headers[_i].error) != NULL, "%s", execution_error());
    ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "CANCEL");
    trib_execution_free(execution);
}
END_TEST

/* ---- Bytes of other engines ---------------------------------------------------------------------------------------- */

static const struct {
    size_t len;
    const char *bytes;
    const char *replies; /* of a message in state OPEN; then Cancel is sent, where no terminator is among them */
} raws[] = {
    {sizeof("\x12\x06\x0a\x04" "abcd") - 1, "\x12\x06\x0a\x04" "abcd", "DATA"},
    {2, "\x12\x00", "DATA"},                                                 /* data of no bytes, without the field */
    {4, "\x12\x02\x0a\x00", "DATA"},                                         /* and with it */
    {12, "\x18\x07\x12\x08\x10\x01\x0a\x02hi\x18\x01", "DATA"},              /* unknown fields around, in both messages */
    {9, "\x0a\x02\x1a\x00\x9a\x06\x02xx", "FINISH"},                         /* and behind a control message */
    {8, "\x0a\x06\x22\x04\x0a\x02no", "CANCEL"},
    {0, "", "ERROR:P CANCEL"},
    {2, "\x0a\x00", "ERROR:P CANCEL"},                                       /* an empty control message */
    {2, "\x18\x07", "ERROR:P CANCEL"},                                       /* nothing but what is unknown */
    {8, "\x12\x06\x0a\x01" "a\x0a\x01" "b", "ERROR:P CANCEL"},               /* data twice */
    {8, "\x12\x02\x0a\x00\x12\x02\x0a\x00", "ERROR:P CANCEL"},               /* the member twice */
    {8, "\x12\x02\x0a\x00\x0a\x02\x1a\x00", "ERROR:P CANCEL"},               /* another member */
    {3, "\x12\x06\x0a", "ERROR:P CANCEL"},                                   /* cut off */
    {4, "\x12\x02\x0a\x09", "ERROR:P CANCEL"},                               /* longer than what is around it */
    {5, "\x0a\x03\x0a\x09x", "ERROR:P CANCEL"},                              /* a control message that is none */
    {2, "\x13\x14", "ERROR:P CANCEL"},                                       /* a group */
    {2, "\x10\x01", "ERROR:P CANCEL"},                                       /* data with a wire type that is not its own */
};

START_TEST(test_raw)
{
    struct trib_execution *execution = execution_open(worker.engine, "");
    struct trib_view view = {(const uint8_t *)raws[_i].bytes, raws[_i].len, NULL};
    bool ends = strstr(raws[_i].replies, "CANCEL") != NULL || strstr(raws[_i].replies, "FINISH") != NULL;

    ck_assert_int_eq(trib_execution_raw(execution, view, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, ends ? 0 : 1), raws[_i].replies);
    if (!ends) {
        ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
        ck_assert_str_eq(execution_replies(execution, 0), "CANCEL");
    }
    trib_execution_free(execution);
}
END_TEST

/* All fields of both revisions reach the serializer. */
static int look_open(const struct trib_event *event, void **ret_state, struct trib_error *err)
{
    const struct trib_udf_init *init = event->udf_init;
    bool right = init->payload.len == 1 && init->format.len == 2 && init->name.len == 3 && init->eval_type.len == 4 &&
                 init->invocation_id == -5 && init->schema_format.len == 6 && init->schema.len == 7 && init->argument_count == 2 &&
                 init->arguments[1].input_offset == 8 && init->arguments[1].name.len == 9 && init->arguments[0].name.data == NULL &&
                 init->input_schema.len == 10 && init->output_schema.data != NULL && init->output_schema.len == 0 &&
                 init->timezone.data == NULL && init->parameters.len == 3 && init->task_context_count == 1 &&
                 init->session_conf_count == 2 && init->environment_variable_count == 1 && init->resource_directory_count == 1 &&
                 memcmp(init->session_conf[1].value.data, "v2", 2) == 0 && memcmp(init->resource_directories[0].key.data, "r", 1) == 0;

    if (!right)
        return trib_error_set(err, TRIB_ERR_FAILED, 0, "a field is not as it was sent");
    return trib_serializer_echo.open(event, ret_state, err);
}

static int look_event(void *state, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    return trib_serializer_echo.event(state, event, out, err);
}

static void look_close(void *state)
{
    trib_serializer_echo.close(state);
}

static const struct trib_serializer looker = {
    .size = TRIB_SERIALIZER_SIZE_0_1, /* a table of the first release */
    .name = "looker",
    .summary = "looks at Init",
    .open = look_open,
    .event = look_event,
    .close = look_close,
};

START_TEST(test_fields)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;
    const struct trib_udf_argument arguments[] = {{7, {NULL, 0, NULL}}, {8, {(const uint8_t *)"123456789", 9, NULL}}};
    const struct trib_spark_pair pairs[] = {{text("k"), text("v")}, {text("k2"), text("v2")}};
    const struct trib_spark_pair directory = {text("r"), text("/tmp")};
    struct trib_execution *execution;
    struct trib_udf_init init;

    balance_setup();
    options.serializer = &looker;
    test_worker_start(&worker, &options, NULL);
    trib_udf_init_defaults(&init);
    init.payload = text("1");
    init.format = text("12");
    init.name = text("123");
    init.eval_type = text("1234");
    init.has_invocation_id = true;
    init.invocation_id = -5;
    init.has_input = true;
    init.schema_format = text("123456");
    init.schema = text("1234567");
    init.arguments = arguments;
    init.argument_count = 2;
    init.input_schema = text("1234567890");
    init.output_schema = text("");
    init.parameters = text("abc");
    init.task_context = pairs;
    init.task_context_count = 1;
    init.session_conf = pairs;
    init.session_conf_count = 2;
    init.environment_variables = pairs;
    init.environment_variable_count = 1;
    init.resource_directories = &directory;
    init.resource_directory_count = 1;
    execution = execution_begin(worker.engine);
    ck_assert_int_eq(trib_execution_init(execution, &init, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 1), "INIT");
    ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "FINISH");
    trib_execution_free(execution);
    teardown();
}
END_TEST

/* ---- Errors -------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *payload, *data, *replies, *error;
} errors[] = {
    {"fail", NULL, "INIT:U", "the user's code failed"},
    {"bad", NULL, "INIT:W", "the worker cannot ? that"},
    {"", "fail", "INIT ERROR:U", "the user's code failed"},
    {"", "bad", "INIT ERROR:W", "the worker cannot ? that"},
};

START_TEST(test_errors)
{
    struct trib_execution *execution = execution_begin(worker.engine);
    unsigned count = errors[_i].data != NULL ? 2 : 1;

    execution_init(execution, errors[_i].payload);
    if (errors[_i].data != NULL) {
        execution_data(execution, errors[_i].data);
        execution_data(execution, "on its way"); /* draws no second error */
        execution_data(execution, "fail");
    }
    ck_assert_str_eq(execution_replies(execution, count), errors[_i].replies);
    ck_assert_str_eq(execution_error(), errors[_i].error);
    test_worker_barrier(&worker);
    ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "CANCEL");
    trib_execution_free(execution);
    test_worker_wait_reports(&worker, 1);
    ck_assert_int_eq(worker.report.outcome, TRIB_WORKER_FAILED);
    ck_assert_str_eq(worker.message, errors[_i].error);
}
END_TEST

/* An error of the end is FinishResponse's. */
START_TEST(test_error_of_the_end)
{
    struct trib_execution *execution = execution_open(worker.engine, "");

    execution_data(execution, "end");
    ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "FINISH:U");
    ck_assert_str_eq(execution_error(), "the end failed");
    trib_execution_free(execution);
}
END_TEST

static const struct {
    const char *payload, *name, *replies, *data;
} choices[] = {
    {"c:count", NULL, "INIT DATA FINISH", "frames=1 nulls=0 bytes=3"},
    {"upper", NULL, "INIT DATA FINISH", "ABC"},
    {"\x01\x02", "echo", "INIT DATA FINISH", "Abc"},
    {"nothing", "such", "INIT:W", NULL},
};

START_TEST(test_chosen_by_payload)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;
    struct trib_execution *execution;
    struct trib_udf_init init;
    bool good = choices[_i].data != NULL;

    balance_setup();
    options.serializer = &test_by_name;
    test_worker_start(&worker, &options, NULL);
    trib_udf_init_defaults(&init);
    init.payload = text(choices[_i].payload);
    init.name = choices[_i].name != NULL ? text(choices[_i].name) : init.name;
    execution = execution_begin(worker.engine);
    ck_assert_int_eq(trib_execution_init(execution, &init, NULL), TRIB_OK);
    if (good) {
        execution_data(execution, "Abc");
        ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    }
    ck_assert_str_eq(execution_replies(execution, good ? 0 : 1), choices[_i].replies);
    if (good)
        ck_assert_str_eq(execution_last_data(), choices[_i].data);
    trib_execution_free(execution);
    teardown();
}
END_TEST

/* ---- Metrics ------------------------------------------------------------------------------------------------------- */

static bool has_pair(const struct trib_reply *reply, const char *key, const char *value)
{
    for (size_t i = 0; i < reply->pair_count; i++)
        if (reply->pairs[i].key.len == strlen(key) && memcmp(reply->pairs[i].key.data, key, strlen(key)) == 0)
            return value == NULL || (reply->pairs[i].value.len == strlen(value) && memcmp(reply->pairs[i].value.data, value, strlen(value)) == 0);
    return false;
}

START_TEST(test_metrics)
{
    struct trib_execution *execution = execution_open(worker.engine, "");
    struct trib_reply reply = TRIB_REPLY_INIT_EMPTY;

    execution_data(execution, "four");
    execution_data(execution, "seven..");
    ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 2), "DATA DATA");
    ck_assert_int_eq(trib_execution_next(execution, &reply, NULL), TRIB_OK);
    ck_assert_int_eq(reply.kind, TRIB_REPLY_FINISH);
    ck_assert(has_pair(&reply, "status", "ok"));
    ck_assert(has_pair(&reply, "bytes_in", "11"));
    ck_assert(has_pair(&reply, "batches_out", "2"));
    ck_assert(has_pair(&reply, "queue_nanos", NULL) && has_pair(&reply, "udf_nanos", NULL) && has_pair(&reply, "transport_nanos", NULL));
    ck_assert_uint_eq(reply.metrics.values[TRIB_UDF_BYTES_IN], 11);
    ck_assert_uint_eq(reply.metrics.values[TRIB_UDF_BYTES_OUT], 11);
    ck_assert_uint_eq(reply.metrics.values[TRIB_UDF_BATCHES_IN], 2);
    ck_assert_uint_eq(reply.metrics.present & (1u << TRIB_UDF_ROWS_IN), 0); /* not known, which is not 0 */
    ck_assert_uint_ne(reply.metrics.present & (1u << TRIB_UDF_WORK_CPU_NANOS), 0);
    ck_assert_uint_gt(reply.metrics.values[TRIB_UDF_PROCESSING_WALL_NANOS], 0);
    trib_execution_free(execution);
    test_worker_wait_reports(&worker, 1);
    ck_assert_int_eq(worker.report.outcome, TRIB_WORKER_FINISHED);
    ck_assert_uint_eq(worker.report.metrics.values[TRIB_UDF_BYTES_OUT], 11);
    ck_assert_str_eq(worker.serializer, "test");
}
END_TEST

/* ---- The echo that Spark's tests drive ------------------------------------------------------------------------------ */

START_TEST(test_spark_echo)
{
    struct trib_execution *execution = execution_open(worker.engine, "anything");
    size_t len = (size_t)5 << 20;
    uint8_t *big = malloc(len);
    struct trib_reply reply = TRIB_REPLY_INIT_EMPTY;

    ck_assert_ptr_nonnull(big);
    for (size_t i = 0; i < len; i++)
        big[i] = (uint8_t)(i * 31 >> 3);
    ck_assert_int_eq(trib_execution_data(execution, (struct trib_view){big, len, NULL}, NULL), TRIB_OK);
    ck_assert_int_eq(trib_execution_next(execution, &reply, NULL), TRIB_OK);
    ck_assert_uint_eq(reply.data.len, len);
    ck_assert_mem_eq(reply.data.data, big, len);
    execution_data(execution, "ERROR");
    ck_assert_int_eq(trib_execution_next(execution, &reply, NULL), TRIB_OK);
    ck_assert_int_eq(reply.error.kind, TRIB_UDF_USER_ERROR);
    ck_assert_mem_eq(reply.error.message.data, "simulated user-code error", 26);
    ck_assert_mem_eq(reply.error.error_class.data, "SimulatedError", 15);
    ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "CANCEL");
    trib_execution_free(execution);
    execution = execution_begin(worker.engine);
    execution_init(execution, "INIT_ERROR");
    ck_assert_str_eq(execution_replies(execution, 1), "INIT:W");
    ck_assert_str_eq(execution_error(), "simulated init failure");
    ck_assert_int_eq(trib_execution_cancel(execution, NULL, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "CANCEL");
    trib_execution_free(execution);
    free(big);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker init");
    TCase *held = tcase_create("test serializer"), *echo = tcase_create("echo"), *own = tcase_create("own");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(held, setup, teardown);
    tcase_set_timeout(held, 30);
    tcase_add_loop_test(held, test_payload, 0, sizeof(payloads) / sizeof(payloads[0]));
    tcase_add_test(held, test_crc);
    tcase_add_loop_test(held, test_header, 0, sizeof(headers) / sizeof(headers[0]));
    tcase_add_loop_test(held, test_raw, 0, sizeof(raws) / sizeof(raws[0]));
    tcase_add_loop_test(held, test_errors, 0, sizeof(errors) / sizeof(errors[0]));
    tcase_add_test(held, test_error_of_the_end);
    tcase_add_test(held, test_metrics);
    tcase_add_checked_fixture(echo, setup_echo, teardown);
    tcase_add_test(echo, test_spark_echo);
    tcase_add_test(own, test_fields);
    tcase_add_loop_test(own, test_chosen_by_payload, 0, sizeof(choices) / sizeof(choices[0]));
    suite_add_tcase(suite, held);
    suite_add_tcase(suite, echo);
    suite_add_tcase(suite, own);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
