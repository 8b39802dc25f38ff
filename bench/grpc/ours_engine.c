/* The engine of the library as a peer.
 *
 *  - One way, ping-pong and new streams are blocking calls on the only thread, which drives the connection while it waits.
 *  - The echo reads and writes by callbacks of an event_base: whichever side gets on. */
#include "bench/grpc/ours.h"

#include <tributary/chunk.h>

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

enum { CLOCK_BYTES = 256 << 10 }; /* the clock is looked at once in so many */

struct engine {
    struct trib_grpc_client *client; /* of this measurement */
    struct trib_grpc_client *clients[2]; /* the second one spins before it sleeps */
    struct event_base *base;
    struct trib_chunk *payload;
    struct ours_stream *idle; /* streams that are held open until the next measurement */
    size_t idle_count;
};

static uint64_t trips[PEER_TRIPS_MAX];

void *ours_connect(const char *path)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_error err;
    char uri[256];

    if (engine == NULL)
        bench_die("no memory");
    snprintf(uri, sizeof(uri), "grpc+unix:%s", path);
    ours_check(trib_grpc_connect(uri, &options, &engine->clients[0], &err), &err);
    options.spin_us = 50;
    ours_check(trib_grpc_connect(uri, &options, &engine->clients[1], &err), &err);
    engine->base = event_base_new();
    return engine;
}

static void begin(struct engine *engine, const char *mode, struct ours_stream *ret_stream)
{
    const struct trib_grpc_entry entry = {OURS_MODE, mode, strlen(mode)};
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_grpc_call *call;
    struct trib_error err;

    options.metadata = &entry;
    options.metadata_count = 1;
    ours_check(trib_grpc_call(engine->client, OURS_PATH, &options, &call, &err), &err);
    ours_open(ret_stream, call);
    trib_writer_cork(ret_stream->writer, true);
}

static void finish(struct ours_stream *stream)
{
    struct trib_error err;

    ours_check(trib_writer_finish(stream->writer, 0, NULL, &err), &err);
}

/* The stream ends with status 0, and nothing before that. */
static void end(struct ours_stream *stream)
{
    struct trib_view view;

    if (ours_read(stream, &view) != TRIB_EOF)
        bench_die("ours: more came than was to come");
    trib_channel_free(stream->channel);
}

/* ---- One way ------------------------------------------------------------------------------------------------------ */

static void one_way(struct engine *engine, const struct peer_work *work, struct peer_outcome *outcome)
{
    size_t step = work->size < CLOCK_BYTES ? CLOCK_BYTES / work->size : 1;
    struct ours_stream stream;
    struct trib_view answer;
    uint64_t counts[2] = {0, 0};

    begin(engine, "sink", &stream);
    do
        for (size_t i = 0; i < step; i++)
            ours_write(&stream, trib_chunk_view(engine->payload));
    while (bench_now() < work->until);
    finish(&stream);
    if (ours_read(&stream, &answer) != TRIB_OK || answer.len < sizeof(counts[0]))
        bench_die("ours: no answer");
    memcpy(counts, answer.data, answer.len < sizeof(counts) ? sizeof(counts[0]) : sizeof(counts));
    outcome->bytes = counts[0];
    outcome->messages = counts[0] / work->size;
    outcome->copied = counts[1] + ours_copied(&stream);
    end(&stream);
}

/* ---- Sessions of the worker protocol --------------------------------------------------------------------------------- */

/* A control message of the worker protocol, and the answer to it, which must not be an error. */
static void control(struct ours_stream *stream, const uint8_t *message, size_t len)
{
    struct trib_view answer;
    struct trib_error err;

    ours_check(trib_writer_begin_message(stream->writer, len, &err), &err);
    ours_check(trib_writer_bytes(stream->writer, message, len, &err), &err);
    ours_check(trib_writer_end_message(stream->writer, &err), &err);
    ours_check(trib_writer_flush(stream->writer, &err), &err);
    if (ours_check(trib_reader_take_message(stream->reader, 1 << 20, &answer, &err), &err) != TRIB_OK || answer.len < 4 ||
        answer.data[0] != 0x0a || (answer.len > 4 && answer.data[4] == 0x12))
        bench_die("ours: the worker did not take a control message");
}

static void begin_echo(struct engine *engine, const struct peer_work *work, struct ours_stream *stream)
{
    /* UdfRequest{control{init{protocol_version 1, data_format ARROW, udf{}}}} */
    static const uint8_t init[] = {0x0a, 8, 0x0a, 6, 0x08, 1, 0x10, 1, 0x1a, 0};

    begin(engine, work->mode == PEER_PARTS ? "parts" : "echo", stream);
    if (work->session)
        control(stream, init, sizeof(init));
}

static void end_echo(const struct peer_work *work, struct ours_stream *stream)
{
    static const uint8_t last[] = {0x0a, 2, 0x1a, 0}; /* UdfRequest{control{finish{}}} */

    if (work->session)
        control(stream, last, sizeof(last));
    finish(stream);
    end(stream);
}

/* ---- Echo --------------------------------------------------------------------------------------------------------- */

struct echo {
    struct engine *engine;
    const struct peer_work *work;
    struct ours_stream stream;
    uint64_t sent, received;
    size_t came; /* of the message whose parts come */
    bool stopped;
};

/* A message that the writer took a part of comes first. */
static bool may_send(const struct echo *echo)
{
    return echo->stream.part > 0 || (!echo->stopped && echo->sent - echo->received < echo->work->window);
}

static void receive_parts(struct echo *echo)
{
    struct ours_stream *stream = &echo->stream;
    struct trib_view part;

    while (echo->sent > echo->received && ours_read_part(stream, &part) == TRIB_OK) {
        echo->came += part.len;
        if (stream->left == 0 && echo->came != echo->work->size)
            bench_die("ours: a message of %zu bytes came back", echo->came);
        echo->received += stream->left == 0;
        echo->came = stream->left == 0 ? 0 : echo->came;
    }
}

static void receive_whole(struct echo *echo)
{
    struct trib_view view;

    while (echo->sent > echo->received && ours_read(&echo->stream, &view) == TRIB_OK) {
        if (view.len != echo->work->size)
            bench_die("ours: a message of %zu bytes came back", view.len);
        echo->received++;
    }
}

static void receive(struct echo *echo)
{
    if (echo->work->mode == PEER_PARTS)
        receive_parts(echo);
    else
        receive_whole(echo);
    echo->stopped = echo->stopped || bench_now() >= echo->work->until;
}

static void turn(struct echo *echo)
{
    struct trib_error err;
    bool room = true;

    do {
        while (room && may_send(echo)) {
            room = ours_write(&echo->stream, trib_chunk_view(echo->engine->payload)) == TRIB_OK;
            echo->sent += room;
        }
        room = ours_check(trib_writer_flush(echo->stream.writer, &err), &err) == TRIB_OK && room;
        receive(echo);
    } while (room && may_send(echo));
    if (echo->stopped && echo->received == echo->sent && echo->stream.part == 0)
        event_base_loopbreak(echo->engine->base);
}

static void on_readable(struct trib_reader *reader, void *arg)
{
    (void)reader;
    turn(arg);
}

static void on_writable(struct trib_writer *writer, void *arg)
{
    (void)writer;
    turn(arg);
}

static void run_echo(struct engine *engine, const struct peer_work *work, struct peer_outcome *outcome)
{
    struct echo echo = {.engine = engine, .work = work};
    struct trib_error err;

    begin_echo(engine, work, &echo.stream);
    ours_check(trib_writer_set_callback(echo.stream.writer, engine->base, on_writable, &echo, &err), &err);
    ours_check(trib_reader_set_callback(echo.stream.reader, engine->base, on_readable, &echo, &err), &err);
    event_base_dispatch(engine->base);
    trib_writer_set_callback(echo.stream.writer, NULL, NULL, NULL, NULL);
    trib_reader_set_callback(echo.stream.reader, NULL, NULL, NULL, NULL);
    outcome->messages = echo.received;
    outcome->bytes = echo.received * work->size;
    outcome->copied = ours_copied(&echo.stream);
    end_echo(work, &echo.stream);
}

/* ---- Ping-pong ---------------------------------------------------------------------------------------------------- */

static size_t trip_after_trip(struct engine *engine, const struct peer_work *work, struct ours_stream *stream)
{
    struct trib_view view;
    struct trib_error err;
    size_t count = 0;
    int64_t before = bench_now(), now;

    do {
        ours_write(stream, trib_chunk_view(engine->payload));
        ours_check(trib_writer_flush(stream->writer, &err), &err);
        if (ours_read(stream, &view) != TRIB_OK || view.len != work->size)
            bench_die("ours: not what was sent");
        now = bench_now();
        trips[count++] = (uint64_t)(now - before);
        before = now;
    } while (now < work->until && count < PEER_TRIPS_MAX);
    return count;
}

static void ping_pong(struct engine *engine, const struct peer_work *work, struct peer_outcome *outcome)
{
    struct ours_stream stream;
    size_t count;

    begin_echo(engine, work, &stream);
    count = trip_after_trip(engine, work, &stream);
    end_echo(work, &stream);
    outcome->messages = count;
    outcome->bytes = count * work->size;
    outcome->p50_ns = peer_median(trips, count);
}

/* ---- New streams -------------------------------------------------------------------------------------------------- */

static void ask(struct engine *engine, struct ours_stream *stream, bool whole)
{
    struct trib_error err;

    begin(engine, "echo", stream);
    ours_write(stream, trib_chunk_view(engine->payload));
    if (whole)
        finish(stream);
    else
        ours_check(trib_writer_flush(stream->writer, &err), &err);
}

static void take_answer(struct ours_stream *stream, size_t size)
{
    struct trib_view view;

    if (ours_read(stream, &view) != TRIB_OK || view.len != size)
        bench_die("ours: not what was sent");
}

struct call {
    struct calls *calls;
    struct ours_stream stream;
    bool answered;
};

struct calls {
    struct engine *engine;
    const struct peer_work *work;
    struct call at_once[PEER_AT_ONCE];
    uint64_t answered, open;
};

static void on_answer(struct trib_reader *reader, void *arg);

static void next_call(struct call *call)
{
    struct trib_error err;

    call->answered = false;
    ask(call->calls->engine, &call->stream, true);
    ours_check(trib_reader_set_callback(call->stream.reader, call->calls->engine->base, on_answer, call, &err), &err);
}

/* One call ends, the next one begins: what all callbacks of a turn of the base send leaves together. */
static void on_answer(struct trib_reader *reader, void *arg)
{
    struct call *call = arg;
    struct calls *calls = call->calls;
    struct trib_view view;
    int rc = TRIB_OK;

    (void)reader;
    if (!call->answered && (rc = ours_read(&call->stream, &view)) == TRIB_OK) {
        if (view.len != calls->work->size)
            bench_die("ours: not what was sent");
        call->answered = true;
        rc = ours_read(&call->stream, &view);
    } else if (call->answered) {
        rc = ours_read(&call->stream, &view);
    }
    if (rc == TRIB_AGAIN)
        return;
    if (rc != TRIB_EOF || !call->answered)
        bench_die("ours: not one answer");
    trib_channel_free(call->stream.channel);
    calls->answered++;
    if (bench_now() < calls->work->until)
        next_call(call);
    else if (--calls->open == 0)
        event_base_loopbreak(calls->engine->base);
}

static void streams(struct engine *engine, const struct peer_work *work, struct peer_outcome *outcome)
{
    struct calls calls = {.engine = engine, .work = work, .open = PEER_AT_ONCE};

    for (unsigned i = 0; i < PEER_AT_ONCE; i++) {
        calls.at_once[i].calls = &calls;
        next_call(&calls.at_once[i]);
    }
    event_base_dispatch(engine->base);
    outcome->messages = calls.answered;
    outcome->bytes = calls.answered * work->size;
}

/* ---- Idle streams: each with one message there and back, then open until the next measurement ---------------------- */

static void end_idle(struct engine *engine)
{
    for (size_t i = 0; i < engine->idle_count; i++)
        finish(&engine->idle[i]);
    for (size_t i = 0; i < engine->idle_count; i++)
        end(&engine->idle[i]);
    free(engine->idle);
    engine->idle = NULL;
    engine->idle_count = 0;
}

static void idle(struct engine *engine, size_t count, struct peer_outcome *outcome)
{
    engine->idle = calloc(count, sizeof(*engine->idle));
    if (engine->idle == NULL)
        bench_die("no memory");
    for (engine->idle_count = 0; engine->idle_count < count; engine->idle_count++) {
        ask(engine, &engine->idle[engine->idle_count], false);
        take_answer(&engine->idle[engine->idle_count], trib_chunk_len(engine->payload));
    }
    outcome->messages = count;
}

void ours_measure(void *self, const struct peer_work *work, struct peer_outcome *ret_outcome)
{
    struct engine *engine = self;
    size_t size = work->mode == PEER_IDLE ? 64 : work->size;
    struct trib_error err;

    end_idle(engine);
    engine->client = engine->clients[work->spins];
    ours_check(trib_chunk_new(size, 64, &engine->payload, &err), &err);
    memset(trib_chunk_writable(engine->payload), 'x', size);
    if (work->mode == PEER_ONE_WAY)
        one_way(engine, work, ret_outcome);
    else if (work->mode == PEER_ECHO || work->mode == PEER_PARTS)
        run_echo(engine, work, ret_outcome);
    else if (work->mode == PEER_PING_PONG)
        ping_pong(engine, work, ret_outcome);
    else if (work->mode == PEER_STREAMS)
        streams(engine, work, ret_outcome);
    else
        idle(engine, work->size, ret_outcome);
    engine->payload = trib_chunk_unref(engine->payload);
}
