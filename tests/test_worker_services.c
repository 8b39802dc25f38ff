/* What tools see of a worker: its health, its service by reflection, and what it says of peers that speak something else. */
#include <tributary/grpc.h>

#include "tests/support/balance.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/grpc_talk.h"
#include "tests/support/worker.h"
#include "transports/grpc/proto-internal.h"

#include <proto/udf_worker.pb-c.h>

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PACKAGE "org.apache.spark.udf.worker"
#define REFLECTION "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

static struct test_worker worker;
static struct trib_grpc_client *client;
static atomic_int strangers;
static char stranger[256];

static void on_stranger(void *arg, const struct trib_peer *peer, const struct trib_error *err)
{
    (void)arg, (void)peer;
    snprintf(stranger, sizeof(stranger), "%s", err->message);
    atomic_fetch_add(&strangers, 1);
}

static void setup(void)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;

    balance_setup();
    options.stranger = on_stranger;
    test_worker_start(&worker, &options, NULL);
    client = grpc_talk_connect(worker.address);
}

static void teardown(void)
{
    trib_grpc_client_free(client);
    test_worker_stop(&worker);
    balance_teardown();
}

/* ---- Health ------------------------------------------------------------------------------------------------------ */

static struct trib_grpc_call *ask_health(const char *method, const char *service)
{
    struct tribi_proto_out out = { NULL, 0, 0, false };
    struct trib_grpc_call *call = grpc_talk_begin(client, method);

    tribi_proto_text(&out, 1, service);
    grpc_talk_send(call, out.data, out.len);
    grpc_talk_send_end(call);
    tribi_proto_done(&out);
    return call;
}

static void expect_health(struct trib_grpc_call *call, uint64_t status)
{
    struct tribi_proto_field field;
    struct tribi_proto_span span;

    span.len = grpc_talk_receive(call, &span.data);
    ck_assert_int_eq(tribi_proto_next(&span, &field), TRIB_OK);
    ck_assert_uint_eq(field.value, status);
}

START_TEST(test_health)
{
    static const char *const services[] = { "", PACKAGE ".UdfWorker" };

    for (size_t i = 0; i < 2; i++) {
        struct trib_grpc_call *call = ask_health("/grpc.health.v1.Health/Check", services[i]);

        expect_health(call, 1);
        grpc_talk_expect_status(call, 0, NULL);
        grpc_talk_free(call);
    }
}
END_TEST

/* A session holds the worker while it drains. */
START_TEST(test_health_drained)
{
    struct trib_grpc_call *watch = ask_health("/grpc.health.v1.Health/Watch", PACKAGE ".UdfWorker");
    struct trib_execution *execution = execution_open(worker.engine, "");

    expect_health(watch, 1);
    trib_worker_shutdown(worker.worker, -1);
    expect_health(watch, 2);
    ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), "FINISH");
    trib_execution_free(execution);
    grpc_talk_expect_status(watch, TRIB_GRPC_UNAVAILABLE, "shutting down");
    grpc_talk_free(watch);
    test_worker_join(&worker);
}
END_TEST

/* ---- Reflection -------------------------------------------------------------------------------------------------- */

/* The answer's field `number`, which is valid until the call is freed. */
static struct tribi_proto_span reflect(struct trib_grpc_call *call, uint32_t question, const char *text, uint32_t number)
{
    struct tribi_proto_out out = { NULL, 0, 0, false };
    struct tribi_proto_span span, answer;

    tribi_proto_text(&out, question, text);
    grpc_talk_send(call, out.data, out.len);
    tribi_proto_done(&out);
    span.len = grpc_talk_receive(call, &span.data);
    ck_assert(tribi_proto_find(span, number, &answer));
    return answer;
}

START_TEST(test_services_listed)
{
    struct trib_grpc_call *call = grpc_talk_begin(client, REFLECTION);
    struct tribi_proto_span list = reflect(call, 7, "", 6), name;
    struct tribi_proto_field service;
    int found = 0;

    while (tribi_proto_next(&list, &service) == TRIB_OK) {
        ck_assert(tribi_proto_find(service.bytes, 1, &name));
        found += name.len == strlen(PACKAGE ".UdfWorker") && memcmp(name.data, PACKAGE ".UdfWorker", name.len) == 0;
    }
    ck_assert_int_eq(found, 1);
    grpc_talk_free(call);
}
END_TEST

/* Whether `parent` has a member in `field` whose field 1 is this name; *ret_member is it. */
static bool find_named(struct tribi_proto_span parent, uint32_t number, const char *name, struct tribi_proto_span *ret_member)
{
    struct tribi_proto_field field;
    struct tribi_proto_span text;

    while (tribi_proto_next(&parent, &field) == TRIB_OK) {
        if (field.number == number && field.is_bytes && tribi_proto_find(field.bytes, 1, &text) && text.len == strlen(name) &&
            memcmp(text.data, name, text.len) == 0) {
            *ret_member = field.bytes;
            return true;
        }
    }
    return false;
}

static unsigned count(struct tribi_proto_span parent, uint32_t number)
{
    struct tribi_proto_field field;
    unsigned n = 0;

    while (tribi_proto_next(&parent, &field) == TRIB_OK)
        n += field.number == number;
    return n;
}

static uint64_t number_of(struct tribi_proto_span parent, uint32_t number)
{
    struct tribi_proto_field field;

    while (tribi_proto_next(&parent, &field) == TRIB_OK)
        if (field.number == number && !field.is_bytes)
            return field.value;
    return 0;
}

/* The numbers of google.protobuf.FieldDescriptorProto.Type for those of protobuf-c that the messages use. */
static uint64_t type_of(ProtobufCType type)
{
    static const uint8_t types[] = { [PROTOBUF_C_TYPE_INT32] = 5,   [PROTOBUF_C_TYPE_INT64] = 3,  [PROTOBUF_C_TYPE_UINT32] = 13,
                                     [PROTOBUF_C_TYPE_UINT64] = 4,  [PROTOBUF_C_TYPE_FIXED32] = 7, [PROTOBUF_C_TYPE_FIXED64] = 6,
                                     [PROTOBUF_C_TYPE_FLOAT] = 2,   [PROTOBUF_C_TYPE_DOUBLE] = 1, [PROTOBUF_C_TYPE_BOOL] = 8,
                                     [PROTOBUF_C_TYPE_ENUM] = 14,   [PROTOBUF_C_TYPE_STRING] = 9, [PROTOBUF_C_TYPE_BYTES] = 12,
                                     [PROTOBUF_C_TYPE_MESSAGE] = 11 };

    ck_assert_uint_lt((unsigned)type, sizeof(types));
    return types[type];
}

static void expect_message(struct tribi_proto_span file, const ProtobufCMessageDescriptor *message)
{
    struct tribi_proto_span described, field;

    ck_assert_msg(find_named(file, 4, message->short_name, &described), "%s", message->name);
    ck_assert_uint_eq(count(described, 2), message->n_fields);
    for (unsigned i = 0; i < message->n_fields; i++) {
        ck_assert_msg(find_named(described, 2, message->fields[i].name, &field), "%s.%s", message->name, message->fields[i].name);
        ck_assert_uint_eq(number_of(field, 3), message->fields[i].id);
        ck_assert_uint_eq(number_of(field, 5), type_of(message->fields[i].type));
    }
}

/* What reflection says of the service and its messages is what the code that was made from the same .proto knows. */
START_TEST(test_described)
{
    static const ProtobufCMessageDescriptor *const messages[] = {
        &tribi_pb__udf_request__descriptor,    &tribi_pb__udf_response__descriptor,      &tribi_pb__data_request__descriptor,
        &tribi_pb__data_response__descriptor,  &tribi_pb__udf_control_request__descriptor, &tribi_pb__udf_control_response__descriptor,
        &tribi_pb__init__descriptor,           &tribi_pb__init_response__descriptor,     &tribi_pb__udf_payload__descriptor,
        &tribi_pb__payload_chunk__descriptor,  &tribi_pb__finish__descriptor,            &tribi_pb__finish_response__descriptor,
        &tribi_pb__cancel__descriptor,         &tribi_pb__cancel_response__descriptor,   &tribi_pb__error_response__descriptor,
        &tribi_pb__execution_error__descriptor, &tribi_pb__worker_request__descriptor,   &tribi_pb__worker_response__descriptor,
        &tribi_pb__heartbeat_response__descriptor, &tribi_pb__shutdown_request__descriptor };
    struct trib_grpc_call *call = grpc_talk_begin(client, REFLECTION);
    struct tribi_proto_span files = reflect(call, 4, PACKAGE ".UdfWorker", 4), file, service, method;

    ck_assert(tribi_proto_find(files, 1, &file));
    ck_assert(find_named(file, 6, "UdfWorker", &service));
    ck_assert_uint_eq(count(service, 2), tribi_pb__udf_worker__descriptor.n_methods);
    ck_assert(find_named(service, 2, "Execute", &method));
    ck_assert(number_of(method, 5) == 1 && number_of(method, 6) == 1); /* streams both ways */
    ck_assert(find_named(service, 2, "Manage", &method));
    ck_assert(number_of(method, 5) == 0 && number_of(method, 6) == 0);
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        expect_message(file, messages[i]);
    grpc_talk_free(call);
}
END_TEST

/* ---- Strangers --------------------------------------------------------------------------------------------------- */

START_TEST(test_stranger)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    int fd = grpc_raw_connect(worker.address);
    uint8_t answer[256];

    ck_assert(grpc_raw_write(fd, (const uint8_t *)request, sizeof(request) - 1));
    grpc_raw_read(fd, answer, sizeof(answer), 0);
    close(fd);
    while (atomic_load(&strangers) == 0) /* the case's own limit ends this */
        usleep(1000);
    ck_assert_msg(strstr(stranger, "does not speak HTTP/2") != NULL, "%s", stranger);
    ck_assert_uint_eq(test_worker_stats(&worker).sessions, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker services");
    TCase *tcase = tcase_create("services");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, test_health);
    tcase_add_test(tcase, test_health_drained);
    tcase_add_test(tcase, test_services_listed);
    tcase_add_test(tcase, test_described);
    tcase_add_test(tcase, test_stranger);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
