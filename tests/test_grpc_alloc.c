/* A server and its client in one thread, with each allocation failing in turn: a call then fails, or ends as if its peer had gone; nothing
 * hangs, nothing stays behind. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"

#include <tributary/grpc_services.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 2000, MESSAGE_MAX = 1 << 20 };

struct world {
    struct event_base *base;
    struct trib_grpc_server *server;
    struct trib_grpc_client *client;
    struct trib_grpc_call *call;   /* the client's, */
    struct trib_grpc_call *served; /* and what the handler got */
    const char *path;
    const void *request;
    size_t len;
    bool compress;
    bool ended;
};

static void on_call(struct trib_grpc_call *call, void *arg)
{
    struct world *world = arg;

    if (world->served == NULL)
        world->served = call;
    else
        trib_channel_free(trib_grpc_call_channel(call));
}

static int start(struct world *world, struct trib_error *err)
{
    static const uint8_t set[] = { 0x0a, 8, 0x0a, 6, 'a', '.', 'p', 'r', 'o', 't' };
    static int counter;
    const char *address;
    char uri[64];
    int rc;

    snprintf(uri, sizeof(uri), "grpc+unix:@trib-alloc-%ld-%d", (long)getpid(), counter++);
    rc = trib_grpc_server_new(world->base, NULL, &world->server, err);
    if (rc == TRIB_OK)
        rc = trib_grpc_server_handle(world->server, "/a/B", on_call, world, err);
    if (rc == TRIB_OK)
        rc = trib_grpc_server_set_health(world->server, "a", TRIB_GRPC_HEALTH_SERVING, err);
    if (rc == TRIB_OK)
        rc = trib_grpc_server_describe(world->server, set, sizeof(set), err);
    if (rc == TRIB_OK)
        rc = trib_grpc_server_listen(world->server, uri, &address, err);
    return rc == TRIB_OK ? trib_grpc_connect(address, NULL, &world->client, err) : rc;
}

static int begin(struct world *world, struct trib_error *err)
{
    struct trib_grpc_entry entries[] = { { "name", "value", 5 }, { "name-bin", "\0\1\2", 3 } };
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_writer *writer;
    int rc;

    options.metadata = entries;
    options.metadata_count = 2;
    options.compress = world->compress;
    options.deadline = trib_deadline_ms(60000);
    rc = trib_grpc_call(world->client, world->path, &options, &world->call, err);
    if (rc != TRIB_OK)
        return rc;
    writer = trib_channel_writer(trib_grpc_call_channel(world->call));
    trib_reader_set_deadline(trib_channel_reader(trib_grpc_call_channel(world->call)), TRIB_NOWAIT);
    trib_writer_set_deadline(writer, TRIB_NOWAIT);
    rc = trib_writer_begin_message(writer, world->len, err);
    if (rc == TRIB_OK && world->len > 0)
        rc = trib_writer_bytes(writer, world->request, world->len, err);
    if (rc == TRIB_OK)
        rc = trib_writer_end_message(writer, err);
    return rc == TRIB_AGAIN ? TRIB_OK : rc; /* the rest leaves before the end does */
}

static void serve(struct world *world)
{
    struct trib_channel *channel = trib_grpc_call_channel(world->served);
    struct trib_writer *writer = trib_channel_writer(channel);
    struct trib_view view;
    int rc;

    trib_reader_set_deadline(trib_channel_reader(channel), TRIB_NOWAIT);
    trib_writer_set_deadline(writer, TRIB_NOWAIT);
    if (world->compress)
        trib_grpc_call_compress(world->served, true, NULL);
    rc = trib_reader_take_message(trib_channel_reader(channel), MESSAGE_MAX, &view, NULL);
    if (rc == TRIB_OK)
        rc = trib_writer_view(writer, view, NULL);
    if (rc == TRIB_OK || rc == TRIB_EOF)
        rc = trib_writer_finish(writer, 0, NULL, NULL);
    if (rc == TRIB_AGAIN)
        return;
    trib_channel_free(channel);
    world->served = NULL;
}

/* Turns until the client has its answer, and the end. */
static int turn(struct world *world, struct trib_error *err)
{
    struct trib_reader *reader = trib_channel_reader(trib_grpc_call_channel(world->call));
    struct trib_view view;
    int rc = TRIB_AGAIN, status;
    const char *text;

    for (int i = 0; i < ROUNDS && (rc == TRIB_AGAIN || rc == TRIB_OK); i++) {
        rc = trib_writer_finish(trib_channel_writer(trib_grpc_call_channel(world->call)), 0, NULL, err);
        event_base_loop(world->base, EVLOOP_NONBLOCK);
        if (world->served != NULL)
            serve(world);
        if (rc >= 0)
            rc = trib_reader_take_message(reader, MESSAGE_MAX, &view, err);
    }
    ck_assert_msg(rc != TRIB_AGAIN && rc != TRIB_OK, "the call does not end");
    if (rc != TRIB_EOF)
        return rc;
    ck_assert(trib_grpc_call_status(world->call, &status, &text) == TRIB_OK && status == 0);
    return TRIB_OK;
}

/* What failed at the server reaches the client as one of several errors; all are excused by an allocation that failed. */
static int scenario(void *arg, struct trib_error *err)
{
    struct world world = *(struct world *)arg;
    int rc;

    world.base = event_base_new();
    rc = start(&world, err);
    if (rc == TRIB_OK)
        rc = begin(&world, err);
    if (rc == TRIB_OK)
        rc = turn(&world, err);
    if (world.call != NULL)
        trib_channel_free(trib_grpc_call_channel(world.call));
    trib_grpc_client_free(world.client);
    event_base_loop(world.base, EVLOOP_NONBLOCK);
    if (world.served != NULL)
        trib_channel_free(trib_grpc_call_channel(world.served));
    trib_grpc_server_free(world.server);
    event_base_free(world.base);
    if (rc != TRIB_OK && fail_alloc_hit())
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "an allocation failed: %s", trib_code_name(rc));
    return rc;
}

START_TEST(test_every_allocation)
{
    static const uint8_t check[] = { 0x0a, 1, 'a' }, list[] = { 0x3a, 1, '*' };
    static uint8_t large[100000];
    struct world worlds[] = {
        { .path = "/a/B", .request = "hello", .len = 5 },
        { .path = "/a/B", .request = large, .len = sizeof(large) },
        { .path = "/a/B", .request = large, .len = sizeof(large), .compress = true },
        { .path = "/grpc.health.v1.Health/Check", .request = check, .len = sizeof(check) },
        { .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", .request = list, .len = sizeof(list) },
    };

    ck_assert_uint_ge(fail_alloc_every(scenario, &worlds[_i]), 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC without memory");
    TCase *tcase = tcase_create("allocations");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_loop_test(tcase, test_every_allocation, 0, 5);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
