/* A worker in a thread of the test, a serializer that the test holds, and an engine that says what came back. */
#include "tests/support/worker.h"

#include <check.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- The worker --------------------------------------------------------------------------------------------------- */

static void on_report(void *arg, const struct trib_worker_report *report)
{
    struct test_worker *worker = arg;

    pthread_mutex_lock(&worker->lock);
    worker->report = *report;
    snprintf(worker->message, sizeof(worker->message), "%s", report->message);
    snprintf(worker->serializer, sizeof(worker->serializer), "%s", report->serializer);
    worker->reports++;
    pthread_cond_broadcast(&worker->cond);
    pthread_mutex_unlock(&worker->lock);
}

static void *run(void *arg)
{
    struct test_worker *worker = arg;

    worker->rc = trib_worker_run(worker->worker, NULL);
    return NULL;
}

void test_worker_start(struct test_worker *worker, const struct trib_worker_options *options, const char *uri)
{
    struct trib_worker_options own = TRIB_WORKER_OPTIONS_INIT;
    struct trib_error err;
    char name[64];

    memset(worker, 0, sizeof(*worker));
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->cond, NULL);
    if (options != NULL)
        own = *options;
    own.serializer = own.serializer == &test_by_name ? NULL : own.serializer != NULL ? own.serializer : &test_serializer;
    own.report = on_report;
    own.arg = worker;
    snprintf(name, sizeof(name), "grpc+unix:@trib-worker-%d", (int)getpid());
    gate_close();
    ck_assert_msg(trib_worker_new(NULL, &own, &worker->worker, &err) == TRIB_OK, "%s", err.message);
    ck_assert_msg(trib_worker_listen(worker->worker, uri != NULL ? uri : name, &worker->address, &err) == TRIB_OK, "%s", err.message);
    ck_assert_int_eq(pthread_create(&worker->thread, NULL, run, worker), 0);
    ck_assert_msg(trib_engine_connect(worker->address, NULL, &worker->engine, &err) == TRIB_OK, "%s", err.message);
}

void test_worker_join(struct test_worker *worker)
{
    if (!worker->joined)
        pthread_join(worker->thread, NULL);
    worker->joined = true;
}

void test_worker_stop(struct test_worker *worker)
{
    gate_open();
    trib_worker_shutdown(worker->worker, 0);
    trib_engine_free(worker->engine); /* nobody turns it, and the worker would hear a silent client out for a quarter of a second */
    test_worker_join(worker);
    trib_worker_free(worker->worker);
    ck_assert_int_eq(test_serializers_open(), 0);
    pthread_cond_destroy(&worker->cond);
    pthread_mutex_destroy(&worker->lock);
}

static struct timespec in_seconds(int seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    return until;
}

void test_worker_wait_reports(struct test_worker *worker, unsigned count)
{
    struct timespec until = in_seconds(20);
    unsigned reports;
    int rc = 0;

    pthread_mutex_lock(&worker->lock);
    while (worker->reports < count && rc == 0)
        rc = pthread_cond_timedwait(&worker->cond, &worker->lock, &until);
    reports = worker->reports;
    pthread_mutex_unlock(&worker->lock);
    ck_assert_uint_ge(reports, count);
}

void test_worker_barrier(struct test_worker *worker)
{
    struct trib_error err;

    for (int i = 0; i < 3; i++)
        ck_assert_msg(trib_engine_heartbeat(worker->engine, trib_deadline_ms(20000), NULL, NULL, &err) == TRIB_OK, "%s", err.message);
}

struct trib_worker_stats test_worker_stats(struct test_worker *worker)
{
    struct trib_worker_stats stats = {.size = sizeof(stats)};

    trib_worker_stats(worker->worker, &stats);
    return stats;
}

/* ---- The gate ----------------------------------------------------------------------------------------------------- */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_is_open;
static int at_gate;
static atomic_int open_count;

void gate_close(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_is_open = false;
    pthread_mutex_unlock(&gate_lock);
}

void gate_open(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_is_open = true;
    pthread_cond_broadcast(&gate_cond);
    pthread_mutex_unlock(&gate_lock);
}

void gate_wait(int count)
{
    struct timespec until = in_seconds(20);
    int there, rc = 0;

    pthread_mutex_lock(&gate_lock);
    while (at_gate < count && rc == 0)
        rc = pthread_cond_timedwait(&gate_cond, &gate_lock, &until);
    there = at_gate;
    pthread_mutex_unlock(&gate_lock);
    ck_assert_int_ge(there, count);
}

/* Without a rest. */
static void run_at_gate(void)
{
    bool open = false;

    pthread_mutex_lock(&gate_lock);
    at_gate++;
    pthread_cond_broadcast(&gate_cond);
    while (!open) {
        pthread_mutex_unlock(&gate_lock);
        for (volatile int i = 0; i < 100000; i++)
            ;
        pthread_mutex_lock(&gate_lock);
        open = gate_is_open;
    }
    at_gate--;
    pthread_mutex_unlock(&gate_lock);
}

static void stand_at_gate(void)
{
    pthread_mutex_lock(&gate_lock);
    at_gate++;
    pthread_cond_broadcast(&gate_cond);
    while (!gate_is_open)
        pthread_cond_wait(&gate_cond, &gate_lock);
    at_gate--;
    pthread_mutex_unlock(&gate_lock);
}

int test_serializers_open(void)
{
    return atomic_load(&open_count);
}

/* ---- The serializer ----------------------------------------------------------------------------------------------- */

struct state {
    bool fails_at_end;
};

static bool is(struct trib_view view, const char *text)
{
    return view.len == strlen(text) && memcmp(view.data, text, view.len) == 0;
}

static int obey(struct trib_view word, struct trib_error *err)
{
    if (is(word, "gate"))
        stand_at_gate();
    else if (is(word, "spin"))
        run_at_gate();
    else if (is(word, "fail"))
        return trib_error_set(err, TRIB_ERR_FAILED, 0, "the user's code failed");
    else if (is(word, "bad"))
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "the worker cannot \xff that");
    else
        return TRIB_EOF;
    return TRIB_OK;
}

static int test_open(const struct trib_event *init, void **ret_state, struct trib_error *err)
{
    int rc = obey(init->udf_init->payload, err);

    if (rc < 0)
        return rc;
    *ret_state = calloc(1, sizeof(struct state));
    ck_assert_ptr_nonnull(*ret_state);
    atomic_fetch_add(&open_count, 1);
    return TRIB_OK;
}

static int put_big(const char *digits, struct trib_sender *out, struct trib_error *err)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    struct trib_chunk *chunk;
    size_t len = strtoul(digits, NULL, 10);
    int rc = trib_chunk_new(len, 64, &chunk, err);

    if (rc != TRIB_OK)
        return rc;
    memset(trib_chunk_writable(chunk), 'b', len);
    event.kind = TRIB_EVENT_FRAME;
    event.bytes = trib_chunk_view(chunk);
    rc = trib_sender_put(out, &event, err);
    trib_chunk_unref(chunk);
    return rc;
}

static int test_event(void *arg, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    struct state *state = arg;
    int rc;

    if (event->kind == TRIB_EVENT_DATA_END && state->fails_at_end)
        return trib_error_set(err, TRIB_ERR_FAILED, 0, "the end failed");
    if (event->kind != TRIB_EVENT_FRAME)
        return TRIB_OK;
    rc = obey(event->bytes, err);
    if (rc != TRIB_EOF)
        return rc;
    if (is(event->bytes, "end")) {
        state->fails_at_end = true;
        return TRIB_OK;
    }
    if (event->bytes.len > 4 && event->bytes.len < 20 && memcmp(event->bytes.data, "big ", 4) == 0) {
        char digits[20] = "";
        memcpy(digits, event->bytes.data + 4, event->bytes.len - 4);
        return put_big(digits, out, err);
    }
    return trib_sender_put(out, event, err);
}

static void test_close(void *state)
{
    free(state);
    atomic_fetch_sub(&open_count, 1);
}

const struct trib_serializer test_serializer = {
    .size = sizeof(struct trib_serializer),
    .name = "test",
    .summary = "does what the test says",
    .open = test_open,
    .event = test_event,
    .close = test_close,
};

const struct trib_serializer test_by_name = {.size = 0};

static int test_frame(void *state, struct trib_reader *frame, uint64_t length, struct trib_sender *out, struct trib_error *err)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    struct trib_view view;
    uint64_t count = 0;
    char text[40];
    int rc = TRIB_OK;

    (void)state;
    while (rc == TRIB_OK && count < length) {
        rc = trib_reader_take_some(frame, count == 0 ? 1 : SIZE_MAX, &view, err);
        if (rc == TRIB_OK && count == 0 && view.data[0] == 'g')
            stand_at_gate();
        if (rc == TRIB_OK && count == 0 && view.data[0] == 'x')
            break; /* leaves the rest */
        count += rc == TRIB_OK ? view.len : 0;
    }
    if (rc != TRIB_OK)
        return rc;
    event.kind = TRIB_EVENT_FRAME;
    event.bytes.data = (const uint8_t *)text;
    event.bytes.len = (size_t)snprintf(text, sizeof(text), "%" PRIu64 " of %" PRIu64, count, length);
    return trib_sender_put(out, &event, err);
}

const struct trib_serializer test_streaming_serializer = {
    .size = sizeof(struct trib_serializer),
    .name = "streaming",
    .summary = "counts while it comes",
    .open = test_open,
    .event = test_event,
    .close = test_close,
    .frame = test_frame,
};

/* ---- The engine --------------------------------------------------------------------------------------------------- */

struct trib_execution *execution_begin(struct trib_engine *engine)
{
    struct trib_execution *execution;
    struct trib_error err;

    ck_assert_msg(trib_execution_new(engine, &execution, &err) == TRIB_OK, "%s", err.message);
    trib_execution_set_deadline(execution, trib_deadline_ms(20000));
    return execution;
}

void execution_init(struct trib_execution *execution, const char *payload)
{
    struct trib_udf_init init;
    struct trib_error err;

    trib_udf_init_defaults(&init);
    init.payload = (struct trib_view){(const uint8_t *)payload, strlen(payload), NULL};
    ck_assert_msg(trib_execution_init(execution, &init, &err) == TRIB_OK, "%s", err.message);
}

void execution_data(struct trib_execution *execution, const char *text)
{
    struct trib_view view = {(const uint8_t *)text, strlen(text), NULL};
    struct trib_error err;

    ck_assert_msg(trib_execution_data(execution, view, &err) == TRIB_OK, "%s", err.message);
}

struct trib_execution *execution_open(struct trib_engine *engine, const char *payload)
{
    struct trib_execution *execution = execution_begin(engine);

    execution_init(execution, payload);
    ck_assert_str_eq(execution_replies(execution, 1), "INIT");
    return execution;
}

static char error_text[600], data_text[300];

const char *execution_error(void)
{
    return error_text;
}

const char *execution_last_data(void)
{
    return data_text;
}

const char *execution_replies(struct trib_execution *execution, unsigned count)
{
    static char text[1024];
    struct trib_reply reply = TRIB_REPLY_INIT_EMPTY;
    struct trib_error err;
    size_t len = 0;
    int rc = TRIB_OK;

    text[0] = '\0';
    for (unsigned i = 0; (count == 0 || i < count) && rc == TRIB_OK && len < sizeof(text) - 40; i++) {
        rc = trib_execution_next(execution, &reply, &err);
        if (rc != TRIB_OK)
            break;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len > 0 ? " " : "", trib_reply_name(reply.kind));
        if (reply.kind == TRIB_REPLY_DATA)
            snprintf(data_text, sizeof(data_text), "%.*s", (int)(reply.data.len < 200 ? reply.data.len : 200), (const char *)reply.data.data);
        if (reply.error.kind == TRIB_UDF_NO_ERROR)
            continue;
        len += (size_t)snprintf(text + len, sizeof(text) - len, ":%c", trib_udf_error_kind_name(reply.error.kind)[0]);
        snprintf(error_text, sizeof(error_text), "%.*s", (int)reply.error.message.len, (const char *)reply.error.message.data);
    }
    if (rc == TRIB_ERR_FAILED || rc == TRIB_ERR_CLOSED)
        snprintf(text + len, sizeof(text) - len, "%slost", len > 0 ? " " : "");
    else if (rc < 0)
        snprintf(text + len, sizeof(text) - len, "%serror %s", len > 0 ? " " : "", err.message);
    return text;
}
