/* The engine of the gRPC benchmarks.
 *
 *  - One way and ping-pong are blocking calls on the benchmark's only thread, which drives the connection while it waits.
 *  - The echo reads and writes by callbacks of an event_base: whichever side gets on.
 *  - Calls: one thread keeps `window` of them under way, and takes the answers in the order of the questions. */
#include "calls.h"

#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

enum { CALLS_MAX = 256 };

struct calls *bench_calls_engine(const struct bench_work *work)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct calls *calls = calloc(1, sizeof(*calls));
    struct trib_grpc_call *call;
    struct trib_error err;
    char address[80];
    int rc = TRIB_ERR_IO;

    if (calls == NULL)
        bench_die("no memory");
    calls->work = work;
    bench_calls_address(work, address, sizeof(address));
    options.spin_us = work->spin_us;
    for (int tries = 0; tries < 2000 && rc == TRIB_ERR_IO; tries++) {
        rc = trib_grpc_connect(address, &options, &calls->client, &err);
        if (rc == TRIB_ERR_IO)
            nanosleep(&pause, NULL);
    }
    bench_calls_done(rc, &err);
    calls->base = event_base_new();
    bench_calls_done(trib_grpc_call(calls->client, BENCH_STREAM, NULL, &call, &err), &err);
    calls->channel = trib_grpc_call_channel(call);
    calls->reader = trib_channel_reader(calls->channel);
    calls->writer = trib_channel_writer(calls->channel);
    trib_writer_cork(calls->writer, true);
    return calls;
}

void bench_calls_engine_close(struct calls *calls)
{
    trib_grpc_client_free(calls->client);
    event_base_free(calls->base);
}

void bench_calls_send(void *self, size_t count)
{
    struct calls *calls = self;
    struct trib_view view = trib_chunk_view(calls->payload);

    while (count-- > 0)
        bench_calls_write(calls, view);
    bench_calls_flush(calls);
}

void bench_calls_ping(void *self)
{
    struct calls *calls = self;
    struct trib_view view;

    bench_calls_write(calls, trib_chunk_view(calls->payload));
    bench_calls_flush(calls);
    bench_calls_read(calls, &view);
}

/* ---- Echo ----------------------------------------------------------------------------------------------------------- */

static void turn(struct calls *calls)
{
    struct trib_view view, payload = trib_chunk_view(calls->payload);
    bool room = true;

    do {
        while (room && calls->sent < calls->count && calls->sent - calls->ended < calls->work->window) {
            room = bench_calls_write(calls, payload);
            calls->sent += room;
        }
        room = bench_calls_flush(calls) && room;
        while (calls->ended < calls->count && bench_calls_read(calls, &view))
            calls->ended++;
    } while (room && calls->sent < calls->count && calls->sent - calls->ended < calls->work->window);
    if (calls->ended == calls->count)
        event_base_loopbreak(calls->base);
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

void bench_calls_echo(void *self, size_t count)
{
    struct calls *calls = self;
    struct trib_error err;

    calls->count = count;
    calls->sent = calls->ended = 0;
    bench_calls_done(trib_writer_set_callback(calls->writer, calls->base, on_writable, calls, &err), &err);
    bench_calls_done(trib_reader_set_callback(calls->reader, calls->base, on_readable, calls, &err), &err);
    event_base_dispatch(calls->base);
    trib_writer_set_callback(calls->writer, NULL, NULL, NULL, NULL);
    trib_reader_set_callback(calls->reader, NULL, NULL, NULL, NULL);
}

/* ---- Calls ---------------------------------------------------------------------------------------------------------- */

static struct trib_grpc_call *ask(struct calls *calls)
{
    struct trib_grpc_call *call;
    struct trib_writer *writer;
    struct trib_error err;

    bench_calls_done(trib_grpc_call(calls->client, BENCH_UNARY, NULL, &call, &err), &err);
    writer = trib_channel_writer(trib_grpc_call_channel(call));
    bench_calls_done(trib_writer_begin_message(writer, calls->work->size, &err), &err);
    bench_calls_done(trib_writer_view(writer, trib_chunk_view(calls->payload), &err), &err);
    bench_calls_done(trib_writer_end_message(writer, &err), &err);
    bench_calls_done(trib_writer_finish(writer, 0, NULL, &err), &err);
    return call;
}

static void take_answer(struct calls *calls, struct trib_grpc_call *call)
{
    struct trib_channel *channel = trib_grpc_call_channel(call);
    struct trib_view view;
    struct trib_error err;

    bench_calls_done(trib_reader_take_message(trib_channel_reader(channel), calls->work->size, &view, &err), &err);
    if (view.len != calls->work->size || trib_reader_take(trib_channel_reader(channel), 1, &view, &err) != TRIB_EOF)
        bench_die("grpc: not the answer that was to come");
    trib_channel_free(channel);
}

void bench_calls_call(void *self, size_t count)
{
    struct trib_grpc_call *under_way[CALLS_MAX];
    struct calls *calls = self;
    size_t window = calls->work->window;

    for (size_t asked = 0, answered = 0; answered < count; answered++) {
        /* A half at a time, so that questions leave together. */
        if (asked - answered <= window / 2)
            for (; asked < count && asked - answered < window; asked++)
                under_way[asked % CALLS_MAX] = ask(calls);
        take_answer(calls, under_way[answered % CALLS_MAX]);
    }
}
