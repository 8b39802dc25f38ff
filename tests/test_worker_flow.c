/* Data through a worker: large, in pieces while it comes, without bound where nobody reads, and from engines that die. */
#include <tributary/grpc.h>
#include <tributary/worker.h>

#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/balance.h"
#include "tests/support/resident.h"
#include "tests/support/worker.h"

#define MIB ((size_t)1 << 20)
#define SECOND INT64_C(1000000000)
#define LATE_MAX (SECOND / 10)

static struct test_worker worker;

static void start(const struct trib_serializer *serializer, size_t align, const char *uri)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;

    balance_setup();
    options.serializer = serializer;
    options.align = align;
    test_worker_start(&worker, &options, uri);
}

static void teardown(void)
{
    test_worker_stop(&worker);
    balance_teardown();
}

static void finish(struct trib_execution *execution, const char *replies)
{
    ck_assert_int_eq(trib_execution_finish(execution, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 0), replies);
    trib_execution_free(execution);
}

static uint8_t *pattern(size_t len)
{
    uint8_t *bytes = malloc(len);

    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    return bytes;
}

/* ---- Whole frames -------------------------------------------------------------------------------------------------- */

static const size_t sizes[] = {0, 1, 100, 4096, 16384, 65536, 100001, 1 << 20, 5 << 20, 16 << 20, 64 << 20};
static const char *const uris[] = {NULL, "grpc+tcp:127.0.0.1:0", "grpc+tcp:[::1]:0"};

/* Each size there and back, over each kind of connection. */
START_TEST(test_echo)
{
    struct trib_reply reply = TRIB_REPLY_INIT_EMPTY;
    struct trib_execution *execution;
    size_t most = _i == 0 ? 64 * MIB : 5 * MIB;
    uint8_t *bytes = pattern(most);
    struct trib_error err;

    start(&trib_serializer_echo, 0, uris[_i]);
    execution = execution_open(worker.engine, "");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && sizes[i] <= most; i++) {
        ck_assert_int_eq(trib_execution_data(execution, (struct trib_view){bytes, sizes[i], NULL}, NULL), TRIB_OK);
        ck_assert_msg(trib_execution_next(execution, &reply, &err) == TRIB_OK, "%zu: %s", sizes[i], err.message);
        ck_assert_int_eq(reply.kind, TRIB_REPLY_DATA);
        ck_assert_uint_eq(reply.data.len, sizes[i]);
        ck_assert(sizes[i] == 0 || memcmp(reply.data.data, bytes, sizes[i]) == 0);
    }
    finish(execution, "FINISH");
    free(bytes);
}
END_TEST

/* Frames lie where they were asked to; large ones were received there. */
static size_t misplaced, frames_seen;

static int place_open(const struct trib_event *init, void **ret_state, struct trib_error *err)
{
    (void)init, (void)err;
    *ret_state = &frames_seen;
    return TRIB_OK;
}

static int place_event(void *state, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    (void)state, (void)out, (void)err;
    if (event->kind == TRIB_EVENT_FRAME) {
        frames_seen++;
        misplaced += ((uintptr_t)event->bytes.data & 63) != 0;
    }
    return TRIB_OK;
}

static void place_close(void *state)
{
    (void)state;
}

static const struct trib_serializer placer = {
    .size = TRIB_SERIALIZER_SIZE_0_1, .name = "placer", .summary = "looks where frames lie", .open = place_open, .event = place_event, .close = place_close};

START_TEST(test_alignment)
{
    static const size_t lens[] = {7, 1000, 20000, 70000, 1 << 20, 4 << 20};
    struct trib_execution *execution;
    uint8_t *bytes = pattern(4 * MIB);

    misplaced = frames_seen = 0;
    start(&placer, 64, NULL);
    execution = execution_open(worker.engine, "");
    for (size_t round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
            ck_assert_int_eq(trib_execution_data(execution, (struct trib_view){bytes, lens[i], NULL}, NULL), TRIB_OK);
    finish(execution, "FINISH");
    ck_assert_uint_eq(frames_seen, 18);
    ck_assert_uint_eq(misplaced, 0);
    free(bytes);
}
END_TEST

/* ---- Frames in pieces ---------------------------------------------------------------------------------------------- */

/* The front of a frame is read before the rest was sent: nothing waits for the whole. */
START_TEST(test_read_while_it_comes)
{
    static const uint8_t header[] = {0x12, 0x85, 0x80, 0x80, 0x20, 0x0a, 0x80, 0x80, 0x80, 0x20}; /* data of 64 MiB */
    struct trib_execution *execution;
    struct trib_writer *writer;
    uint8_t *bytes = pattern(64 * MIB);

    start(&test_streaming_serializer, 0, NULL);
    execution = execution_open(worker.engine, "");
    writer = trib_channel_writer(trib_execution_channel(execution));
    bytes[0] = 'g';
    ck_assert_int_eq(trib_writer_begin_message(writer, sizeof(header) + 64 * MIB, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, header, sizeof(header), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, bytes, 100000, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    gate_wait(1);
    gate_open();
    ck_assert_int_eq(trib_writer_bytes(writer, bytes + 100000, 64 * MIB - 100000, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_end_message(writer, NULL), TRIB_OK);
    ck_assert_str_eq(execution_replies(execution, 1), "DATA");
    ck_assert_str_eq(execution_last_data(), "67108864 of 67108864");
    execution_data(execution, "xyz, of which only the first is read");
    execution_data(execution, "");
    execution_data(execution, "next");
    ck_assert_str_eq(execution_replies(execution, 3), "DATA DATA DATA");
    ck_assert_str_eq(execution_last_data(), "4 of 4");
    finish(execution, "FINISH");
    free(bytes);
}
END_TEST

/* A Cancel reaches a UDF that reads a frame whose rest does not come. */
START_TEST(test_reset_inside_a_frame)
{
    static const uint8_t header[] = {0x12, 0x85, 0x80, 0x80, 0x20, 0x0a, 0x80, 0x80, 0x80, 0x20};
    struct trib_execution *execution;
    struct trib_writer *writer;

    start(_i == 0 ? &test_streaming_serializer : &trib_serializer_echo, 0, NULL);
    execution = execution_open(worker.engine, "");
    writer = trib_channel_writer(trib_execution_channel(execution));
    ck_assert_int_eq(trib_writer_begin_message(writer, sizeof(header) + 64 * MIB, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, header, sizeof(header), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(writer, "abc", 3, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
    test_worker_barrier(&worker);
    trib_execution_free(execution);
    test_worker_wait_reports(&worker, 1);
    ck_assert_int_eq(worker.report.outcome, TRIB_WORKER_LOST);
    finish(execution_open(worker.engine, ""), "FINISH");
}
END_TEST

/* ---- Engines of another process -------------------------------------------------------------------------------------- */

/* Runs fn(engine) in a child as soon as the worker listens; it was forked before there was any thread. */
struct child {
    pid_t pid;
    int go[2], told[2];
};

static void child_start(struct child *child, void (*fn)(struct trib_engine *engine, int told))
{
    struct trib_engine *engine;
    char name[64], byte;

    ck_assert_int_eq(pipe(child->go), 0);
    ck_assert_int_eq(pipe(child->told), 0);
    snprintf(name, sizeof(name), "grpc+unix:@trib-worker-%d", (int)getpid());
    child->pid = fork();
    ck_assert_int_ge(child->pid, 0);
    if (child->pid != 0) {
        close(child->go[0]);
        close(child->told[1]);
        return;
    }
    close(child->go[1]);
    close(child->told[0]);
    alarm(60);
    if (read(child->go[0], &byte, 1) != 1 || trib_engine_connect(name, NULL, &engine, NULL) != TRIB_OK)
        _exit(1);
    fn(engine, child->told[1]);
    _exit(0);
}

static void child_go(struct child *child)
{
    char byte = 0;

    ck_assert_int_eq(write(child->go[1], "", 1), 1);
    ck_assert_int_eq(read(child->told[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 'k');
}

static void child_kill(struct child *child)
{
    kill(child->pid, SIGKILL);
    ck_assert_int_eq(waitpid(child->pid, NULL, 0), child->pid); /* the pipes go with the test: they were there before it counted */
}

static void tell(int told, bool good)
{
    if (write(told, good ? "k" : "f", 1) != 1)
        _exit(1);
    pause();
}

/* 100 streams in flight: some idle, some with data on the way, some with their UDF at the gate. */
static void hundred_streams(struct trib_engine *engine, int told)
{
    static uint8_t bytes[100000];
    struct trib_execution *execution;
    struct trib_udf_init init;
    bool good = true;

    trib_udf_init_defaults(&init);
    for (int i = 0; i < 100; i++) {
        good = good && trib_execution_new(engine, &execution, NULL) == TRIB_OK;
        if (good && i % 4 != 0)
            good = trib_execution_init(execution, &init, NULL) == TRIB_OK;
        if (good && i % 4 == 1)
            good = trib_execution_data(execution, (struct trib_view){(const uint8_t *)"gate", 4, NULL}, NULL) == TRIB_OK;
        if (good && i % 4 == 2)
            good = trib_execution_data(execution, (struct trib_view){bytes, sizeof(bytes), NULL}, NULL) == TRIB_OK;
    }
    good = good && trib_engine_heartbeat(engine, trib_deadline_ms(20000), NULL, NULL, NULL) == TRIB_OK;
    tell(told, good);
}

/* Within a second no stream is in flight, while UDFs still stand at the gate; when they return, nothing is left of them. */
START_TEST(test_killed_engine)
{
    struct trib_engine *next;
    struct child child;
    int64_t killed;

    child_start(&child, hundred_streams);
    start(&test_serializer, 0, NULL);
    child_go(&child);
    ck_assert_uint_eq(test_worker_stats(&worker).in_flight, 100);
    gate_wait(1);
    killed = trib_now();
    child_kill(&child);
    while (test_worker_stats(&worker).in_flight > 0)
        ck_assert_msg(trib_now() - killed < SECOND, "%" PRIu64 " streams are in flight a second later", test_worker_stats(&worker).in_flight);
    gate_open();
    test_worker_wait_reports(&worker, 100);
    ck_assert_uint_eq(test_worker_stats(&worker).outcomes[TRIB_WORKER_LOST], 100);
    while (test_serializers_open() + test_worker_stats(&worker).running + test_worker_stats(&worker).waiting > 0)
        ck_assert_msg(trib_now() - killed < SECOND, "a second later %d serializers are open", test_serializers_open());
    ck_assert_int_eq(trib_engine_connect(worker.address, NULL, &next, NULL), TRIB_OK);
    finish(execution_open(next, ""), "FINISH");
    trib_engine_free(next);
}
END_TEST

static struct child *self;
static size_t batch; /* bytes */

/* Sends 256 MiB in batches and never reads, until nothing more is taken; tells when it still was; then, if it is asked to, resets. */
static void never_reads(struct trib_engine *engine, int told)
{
    static uint8_t bytes[1 << 20];
    struct trib_execution *execution;
    struct trib_udf_init init;
    bool good = trib_execution_new(engine, &execution, NULL) == TRIB_OK;
    int64_t last = trib_now();
    size_t sent = 0;
    char byte;

    trib_udf_init_defaults(&init);
    good = good && trib_execution_init(execution, &init, NULL) == TRIB_OK;
    for (; good && sent < 256 * MIB; sent += batch) {
        trib_execution_set_deadline(execution, trib_deadline_ms(200));
        if (trib_execution_data(execution, (struct trib_view){bytes, batch, NULL}, NULL) != TRIB_OK)
            break;
        last = trib_now();
    }
    good = good && sent > 0 && sent < 64 * MIB;
    if (write(told, good ? "k" : "f", 1) == 1 && write(told, &last, sizeof(last)) == sizeof(last) && read(self->go[0], &byte, 1) == 1)
        trib_execution_reset(execution);
    pause();
}

/* Reset, loss of the connection, and the watchdog end such a session within 100 ms, as long as this machine lets anybody run in time: the best of a few
 * tries counts. */
enum ending { RESET, LOSS, WATCHDOG, ENDINGS };
enum { TRIES = 4, STALL_MS = 250 };

/* How much later than it should the session ended, in nanoseconds. The worker was stuck before the engine was: its first answer had filled the
 * window. */
static int64_t end_one(struct child *child, enum ending ending, unsigned reports)
{
    struct trib_pool_stats pool = {.size = sizeof(pool)};
    int64_t from, stuck;

    child_go(child);
    ck_assert_int_eq(read(child->told[0], &stuck, sizeof(stuck)), sizeof(stuck));
    trib_pool_stats(&pool);
    ck_assert_uint_lt(pool.used_bytes, 16 * MIB); /* the budget and 8 MiB */
    from = ending == WATCHDOG ? stuck + STALL_MS * INT64_C(1000000) : trib_now();
    if (ending == RESET)
        ck_assert_int_eq(write(child->go[1], "", 1), 1);
    else if (ending == LOSS)
        kill(child->pid, SIGKILL);
    test_worker_wait_reports(&worker, reports);
    from = trib_now() - from;
    ck_assert_int_eq(worker.report.outcome, TRIB_WORKER_LOST);
    ck_assert_msg((strstr(worker.message, "the engine has read nothing") != NULL) == (ending == WATCHDOG), "%s", worker.message);
    child_kill(child);
    return from;
}

/* What a session holds is bounded, in memory too: of small batches most is what each costs beside its bytes. */
static const size_t batches[] = {MIB, 1, 16, 1000};
enum { BATCHES = sizeof(batches) / sizeof(batches[0]) };

START_TEST(test_engine_that_sends_and_never_reads)
{
    enum ending ending = (enum ending)(_i % ENDINGS);
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;
    struct child children[TRIES];
    int64_t late = SECOND;
    long before;

    batch = batches[_i / ENDINGS];
    for (int i = 0; i < TRIES; i++) {
        self = &children[i];
        child_start(&children[i], never_reads);
    }
    balance_setup();
    options.serializer = &trib_serializer_echo;
    options.stall_ms = ending == WATCHDOG ? STALL_MS : 0;
    test_worker_start(&worker, &options, NULL);
    finish(execution_open(worker.engine, ""), "FINISH");
    before = resident_peak_kib();
    for (unsigned i = 0; i < TRIES; i++)
        if (late > LATE_MAX)
            late = end_one(&children[i], ending, i + 2);
        else
            child_kill(&children[i]);
    before = resident_peak_kib() - before;
    ck_assert_msg(before < 16 << 10, "batches of %zu bytes: %ld KiB more", batch, before);
    ck_assert_msg(late <= LATE_MAX, "ended %lld ms too late", (long long)(late / 1000000));
    finish(execution_open(worker.engine, ""), "FINISH");
}
END_TEST

/* All sessions together hold little more than they may: each what it takes to go on. */
START_TEST(test_held_limit)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;
    struct child children[TRIES];
    int64_t stuck;

    batch = 100000;
    for (int i = 0; i < TRIES; i++) {
        self = &children[i];
        child_start(&children[i], never_reads);
    }
    balance_setup();
    options.serializer = &trib_serializer_echo;
    options.held_limit = _i == 0 ? 2 * MIB : 0;
    test_worker_start(&worker, &options, NULL);
    for (int i = 0; i < TRIES; i++) {
        child_go(&children[i]);
        ck_assert_int_eq(read(children[i].told[0], &stuck, sizeof(stuck)), sizeof(stuck));
    }
    if (_i == 0)
        ck_assert_uint_le(test_worker_stats(&worker).held, 3 * MIB + TRIES * MIB / 4);
    else
        ck_assert_uint_ge(test_worker_stats(&worker).held, TRIES * 4 * MIB);
    for (int i = 0; i < TRIES; i++)
        child_kill(&children[i]);
    test_worker_wait_reports(&worker, TRIES);
    stuck = trib_now();
    while (test_worker_stats(&worker).held > 0)
        ck_assert_msg(trib_now() - stuck < SECOND, "a second later %" PRIu64 " bytes are held", test_worker_stats(&worker).held);
    finish(execution_open(worker.engine, ""), "FINISH");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker flow");
    TCase *tcase = tcase_create("flow");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_echo, 0, sizeof(uris) / sizeof(uris[0]));
    tcase_add_test(tcase, test_alignment);
    tcase_add_test(tcase, test_read_while_it_comes);
    tcase_add_loop_test(tcase, test_reset_inside_a_frame, 0, 2);
    tcase_add_test(tcase, test_killed_engine);
    tcase_add_loop_test(tcase, test_held_limit, 0, 2);
    tcase_add_loop_test(tcase, test_engine_that_sends_and_never_reads, 0, ENDINGS * BATCHES);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
