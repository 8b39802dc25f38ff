/* The library over a Unix socket against the raw loop, in turn: throughput, processor time, round trips. */
#include "pair.h"

#include <stdlib.h>
#include <string.h>

static const struct bench_comparison comparisons[] = {
    {"unix one-way", "unix one-way CPU", BENCH_ONE_WAY, 0, &bench_unix, &bench_raw},
    {"unix one-way, whole", "unix one-way, whole CPU", BENCH_ONE_WAY, 1 << 20, &bench_unix, &bench_raw_whole},
    {"unix echo", "unix echo CPU", BENCH_ECHO, 0, &bench_unix, &bench_raw},
    {"unix echo, whole", "unix echo, whole CPU", BENCH_ECHO, 1 << 20, &bench_unix, &bench_raw_whole},
    {"unix echo, in parts", "unix echo, in parts CPU", BENCH_ECHO, 1 << 20, &bench_unix_parts, &bench_raw},
};

static const struct bench_comparison ping_pong = {"unix ping-pong", NULL, BENCH_PING_PONG, 0, &bench_unix, &bench_raw};

/* The library alone: spinning against sleeping, on two CPUs. */
static void spinning(const struct bench_options *options, struct bench_work work)
{
    struct bench_measure trip = {"unix ping-pong, spinning", bench_size_name(work.size), "us p50", "sleeping", BENCH_AT_MOST, 0.2,
                                 options->rounds, {0}, {0}};
    struct bench_run run = {.kind = BENCH_PING_PONG, .peer = &bench_unix, .work = work, .engine_cpu = BENCH_ENGINE_CPU, .worker_cpu = BENCH_WORKER_CPU};
    struct bench_watch watch = {.repeats_left = 4 * options->rounds};

    if (!bench_wanted(options, trip.name))
        return;
    run.count = options->quick ? BENCH_TRIPS_MAX / 10 : BENCH_TRIPS_MAX;
    run.warm_up = run.count / 10;
    for (unsigned round = 0; round < options->rounds; round++) {
        do {
            bench_watch_begin(&watch);
            run.work.spin_us = 200;
            trip.ours[round] = bench_pair(&run).trip_us;
            run.work.spin_us = 0;
            trip.theirs[round] = bench_pair(&run).trip_us;
        } while (bench_disturbed(&watch));
    }
    bench_print(&trip);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {4096, 65536, 1 << 20, 16 << 20};
    const size_t largest = 16 << 20;
    struct bench_options options;
    struct bench_work work = {.payload = NULL};
    uint8_t *payload = malloc(largest);

    bench_parse(argc, argv, &options);
    if (payload == NULL)
        bench_die("no memory");
    memset(payload, 'x', largest);
    work.payload = payload;
    for (size_t c = 0; c < sizeof(comparisons) / sizeof(comparisons[0]); c++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            work.size = sizes[i];
            work.window = bench_window(work.size);
            bench_throughput(&options, &comparisons[c], work, 0.95);
        }
    work.size = 64;
    bench_ping_pong(&options, &ping_pong, work, BENCH_ENGINE_CPU, 1.05);
    bench_ping_pong(&options, &ping_pong, work, BENCH_WORKER_CPU, 1.05);
    spinning(&options, work);
    return 0;
}
