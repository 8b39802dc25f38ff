/* The worker of the gRPC benchmarks: a server on an event_base, on one thread, with callbacks. */
#include "calls.h"

#include <event2/event.h>
#include <stdlib.h>

/* ---- One stream of messages ----------------------------------------------------------------------------------------- */

static void ended(struct calls *calls)
{
    if (++calls->ended == calls->count)
        event_base_loopbreak(calls->base);
}

/* Hands on what is held; false: still held. */
static bool pass_on(struct calls *calls)
{
    if (calls->holding) {
        if (!bench_calls_write(calls, calls->held))
            return false;
        trib_view_release(&calls->held);
        calls->holding = false;
        ended(calls);
    }
    return true;
}

static void step(struct calls *calls)
{
    struct trib_view view;

    while (calls->ended < calls->count && pass_on(calls) && calls->ended < calls->count && bench_calls_read(calls, &view)) {
        if (!calls->echoes) {
            ended(calls);
        } else {
            calls->held = trib_view_retain(view);
            calls->holding = true;
        }
    }
    if (calls->echoes)
        bench_calls_flush(calls);
}

static void on_readable(struct trib_reader *reader, void *arg)
{
    (void)reader;
    step(arg);
}

static void on_writable(struct trib_writer *writer, void *arg)
{
    (void)writer;
    step(arg);
}

static void on_stream(struct trib_grpc_call *call, void *arg)
{
    struct calls *calls = arg;
    struct trib_error err;

    calls->channel = trib_grpc_call_channel(call);
    calls->reader = trib_channel_reader(calls->channel);
    calls->writer = trib_channel_writer(calls->channel);
    trib_writer_cork(calls->writer, true);
    bench_calls_done(trib_reader_set_callback(calls->reader, calls->base, on_readable, calls, &err), &err);
    bench_calls_done(trib_writer_set_callback(calls->writer, calls->base, on_writable, calls, &err), &err);
}

static void work(struct calls *calls, size_t count, bool echoes)
{
    calls->count = count;
    calls->ended = 0;
    calls->echoes = echoes;
    if (calls->channel != NULL)
        step(calls);
    if (calls->ended < count)
        event_base_dispatch(calls->base);
    if (echoes)
        while (!bench_calls_flush(calls))
            event_base_loop(calls->base, EVLOOP_ONCE);
}

void bench_calls_receive(void *self, size_t count)
{
    work(self, count, false);
}

void bench_calls_echo_back(void *self, size_t count)
{
    work(self, count, true);
}

void bench_calls_pong(void *self, size_t count)
{
    work(self, count, true);
}

/* ---- Calls ----------------------------------------------------------------------------------------------------------- */

struct answer {
    struct calls *calls;
    struct trib_channel *channel;
    bool answered;
};

static void on_question(struct trib_reader *reader, void *arg)
{
    struct answer *answer = arg;
    struct trib_writer *writer = trib_channel_writer(answer->channel);
    struct trib_view view;
    struct trib_error err;

    if (!answer->answered) {
        if (!bench_calls_done(trib_reader_take_message(reader, 1 << 20, &view, &err), &err))
            return;
        bench_calls_done(trib_writer_begin_message(writer, view.len, &err), &err);
        bench_calls_done(trib_writer_view(writer, view, &err), &err);
        bench_calls_done(trib_writer_end_message(writer, &err), &err);
        answer->answered = true;
    }
    if (trib_reader_take(reader, 1, &view, &err) == TRIB_AGAIN)
        return;
    bench_calls_done(trib_writer_finish(writer, 0, NULL, &err), &err);
    trib_channel_free(answer->channel);
    ended(answer->calls);
    free(answer);
}

static void on_unary(struct trib_grpc_call *call, void *arg)
{
    struct calls *calls = arg;
    struct answer *answer = malloc(sizeof(*answer));
    struct trib_error err;

    if (answer == NULL)
        bench_die("no memory");
    *answer = (struct answer){calls, trib_grpc_call_channel(call), false};
    bench_calls_done(trib_reader_set_callback(trib_channel_reader(answer->channel), calls->base, on_question, answer, &err), &err);
}

void bench_calls_answer(void *self, size_t count)
{
    work(self, count, false);
}

/* ---- The worker ------------------------------------------------------------------------------------------------------- */

struct calls *bench_calls_worker(const struct bench_work *work)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct calls *calls = calloc(1, sizeof(*calls));
    struct trib_error err;
    char address[80];

    if (calls == NULL)
        bench_die("no memory");
    calls->work = work;
    calls->base = event_base_new();
    options.spin_us = work->spin_us;
    bench_calls_address(work, address, sizeof(address));
    bench_calls_done(trib_grpc_server_new(calls->base, &options, &calls->server, &err), &err);
    bench_calls_done(trib_grpc_server_handle(calls->server, BENCH_STREAM, on_stream, calls, &err), &err);
    bench_calls_done(trib_grpc_server_handle(calls->server, BENCH_UNARY, on_unary, calls, &err), &err);
    bench_calls_done(trib_grpc_server_listen(calls->server, address, NULL, &err), &err);
    return calls;
}

void bench_calls_worker_close(struct calls *calls)
{
    trib_grpc_server_free(calls->server);
    event_base_free(calls->base);
}
