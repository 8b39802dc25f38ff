/* gRPC through the library against the raw loop: throughput, processor time, round trips, new streams. */
#include "calls.h"
#include "pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GATHER = 256 << 10 };

/* ---- Messages ----------------------------------------------------------------------------------------------------- */

bool bench_calls_done(int rc, const struct trib_error *err)
{
    if (rc < 0)
        bench_die("grpc: %s", err->message);
    if (rc == TRIB_EOF)
        bench_die("grpc: the peer has gone");
    return rc == TRIB_OK;
}

bool bench_calls_write(struct calls *calls, struct trib_view payload)
{
    struct trib_error err;

    /* With that little gathered, all of a message is taken. */
    if (trib_writer_pending(calls->writer) >= GATHER && !bench_calls_flush(calls))
        return false;
    if (!bench_calls_done(trib_writer_begin_message(calls->writer, calls->envelope_len + payload.len, &err), &err))
        return false;
    bench_calls_done(trib_writer_bytes(calls->writer, calls->envelope, calls->envelope_len, &err), &err);
    bench_calls_done(trib_writer_view(calls->writer, payload, &err), &err);
    bench_calls_done(trib_writer_end_message(calls->writer, &err), &err);
    return true;
}

bool bench_calls_flush(struct calls *calls)
{
    struct trib_error err;

    return bench_calls_done(trib_writer_flush(calls->writer, &err), &err);
}

static bool read_varint(struct trib_reader *reader, size_t *ret_value)
{
    struct trib_error err;
    size_t value = 0;
    uint8_t byte;

    for (unsigned shift = 0;; shift += 7) {
        if (!bench_calls_done(trib_reader_u8(reader, &byte, &err), &err))
            return false;
        value |= (size_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    *ret_value = value;
    return true;
}

bool bench_calls_read(struct calls *calls, struct trib_view *ret_payload)
{
    struct trib_error err;
    size_t outer_tag, inner_tag, outer, inner;

    if (calls->left == 0) {
        struct trib_view envelope;

        if (!bench_calls_done(trib_reader_peek(calls->reader, calls->envelope_len, &envelope, &err), &err))
            return false;
        if (!read_varint(calls->reader, &outer_tag) || !read_varint(calls->reader, &outer) || !read_varint(calls->reader, &inner_tag) ||
            !read_varint(calls->reader, &inner) || inner != calls->work->size)
            bench_die("grpc: not a message of %zu bytes", calls->work->size);
        calls->left = inner;
    }
    if (!bench_calls_done(trib_reader_take(calls->reader, calls->left, ret_payload, &err), &err))
        return false;
    calls->left = 0;
    return true;
}

/* ---- The peer ------------------------------------------------------------------------------------------------------ */

void bench_calls_address(const struct bench_work *work, char *to, size_t room)
{
    snprintf(to, room, "grpc+unix:@tributary-bench-%ld-%u", (long)getppid(), work->id);
}

static size_t put_varint(uint8_t *to, size_t value)
{
    size_t n = 0;

    for (; value >= 0x80; value >>= 7)
        to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

static void make_envelope(struct calls *calls)
{
    uint8_t inner[8];
    size_t n = 0;

    inner[n++] = 0x0a;
    n += put_varint(inner + n, calls->work->size);
    calls->envelope[0] = 0x12;
    calls->envelope_len = 1 + put_varint(calls->envelope + 1, n + calls->work->size);
    memcpy(calls->envelope + calls->envelope_len, inner, n);
    calls->envelope_len += n;
}

static void *peer_open(int fd, const struct bench_work *work)
{
    struct calls *calls = work->engine ? bench_calls_engine(work) : bench_calls_worker(work);
    struct trib_error err;

    close(fd);
    bench_calls_done(trib_chunk_wrap(work->payload, work->size, NULL, NULL, &calls->payload, &err), &err);
    make_envelope(calls);
    return calls;
}

static void peer_close(void *self)
{
    struct calls *calls = self;

    trib_view_release(&calls->held);
    trib_channel_free(calls->channel);
    if (calls->work->engine)
        bench_calls_engine_close(calls);
    else
        bench_calls_worker_close(calls);
    trib_chunk_unref(calls->payload);
    free(calls);
}

const struct bench_peer bench_grpc = {
    .name = "grpc", .open = peer_open, .close = peer_close, .send = bench_calls_send, .receive = bench_calls_receive,
    .echo = bench_calls_echo, .echo_back = bench_calls_echo_back, .ping = bench_calls_ping, .pong = bench_calls_pong,
    .call = bench_calls_call, .answer = bench_calls_answer
};

/* ---- Measures ------------------------------------------------------------------------------------------------------ */

static const struct bench_comparison one_way = {"grpc one-way", "grpc one-way CPU", BENCH_ONE_WAY, 0, &bench_grpc, &bench_raw};
static const struct bench_comparison echo = {"grpc echo", "grpc echo CPU", BENCH_ECHO, 0, &bench_grpc, &bench_raw};
static const struct bench_comparison ping_pong = {"grpc ping-pong", NULL, BENCH_PING_PONG, 0, &bench_grpc, &bench_raw};

/* The library alone: calls of 64 bytes each way, so many a second. */
static void new_streams(const struct bench_options *options, struct bench_work work)
{
    struct bench_measure rate = {"grpc new streams", bench_size_name(work.size), "1/s", "", BENCH_AT_LEAST, 300000, options->rounds, {0}, {0}};
    struct bench_run run = {.kind = BENCH_CALLS, .peer = &bench_grpc, .work = work, .engine_cpu = BENCH_ENGINE_CPU, .worker_cpu = BENCH_WORKER_CPU};
    struct bench_watch watch = {.repeats_left = 4 * options->rounds};

    if (!bench_wanted(options, rate.name))
        return;
    run.work.window = 64;
    run.count = options->quick ? 10000 : 100000;
    run.warm_up = run.count / 10;
    for (unsigned round = 0; round < options->rounds; round++) {
        do {
            bench_watch_begin(&watch);
            rate.ours[round] = (double)run.count / bench_pair(&run).seconds;
        } while (bench_disturbed(&watch));
    }
    bench_print(&rate);
}

int main(int argc, char **argv)
{
    static const struct {
        size_t size;
        double one_way, echo;
    } goals[] = {{4096, 0.95, 1.2}, {65536, 0.95, 0.75}, {1 << 20, 0.95, 0.9}, {16 << 20, 0.95, 0.95}};
    const size_t largest = 16 << 20;
    struct bench_options options;
    struct bench_work work = {.payload = NULL};
    uint8_t *payload = malloc(largest);

    bench_parse(argc, argv, &options);
    if (payload == NULL)
        bench_die("no memory");
    memset(payload, 'x', largest);
    work.payload = payload;
    for (int kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
            work.size = goals[i].size;
            work.window = bench_window(work.size);
            bench_throughput(&options, kind == 0 ? &one_way : &echo, work, kind == 0 ? goals[i].one_way : goals[i].echo);
        }
    work.size = 64;
    bench_ping_pong(&options, &ping_pong, work, BENCH_ENGINE_CPU, 1.15);
    bench_ping_pong(&options, &ping_pong, work, BENCH_WORKER_CPU, 1.15);
    new_streams(&options, work);
    return 0;
}
