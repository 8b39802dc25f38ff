/* Two processes over a Unix socket, two peers in turn: throughput, processor time, round trips. */
#ifndef TRIBUTARY_BENCH_PAIR_H
#define TRIBUTARY_BENCH_PAIR_H

#include "bench.h"
#include "socket.h"

enum {
    BENCH_ENGINE_CPU = 0,
    BENCH_WORKER_CPU = 1,
    BENCH_WINDOW_MESSAGES = 16, /* in flight when messages are echoed, or as many as BENCH_WINDOW_BYTES allow */
    BENCH_WINDOW_BYTES = 32 << 20,
    BENCH_TRIPS_MAX = 20000
};

enum bench_kind { BENCH_ONE_WAY, BENCH_ECHO, BENCH_PING_PONG, BENCH_CALLS };

struct bench_run {
    enum bench_kind kind;
    const struct bench_peer *peer;
    struct bench_work work;
    size_t count, warm_up;
    int engine_cpu, worker_cpu;
};

/* In memory that the two processes share with the one that started them. */
struct bench_result {
    double seconds, engine_cpu_seconds, worker_cpu_seconds;
    double trip_us; /* median */
};

/* Who is compared, and how the lines are called. */
struct bench_comparison {
    const char *rate, *cpu;
    enum bench_kind kind;
    size_t from; /* the smallest message that it is for */
    const struct bench_peer *ours, *theirs;
};

/* One run, in two processes. */
struct bench_result bench_pair(const struct bench_run *run);

/* One line for the rate, which is to be at least `bound` of theirs, and one for the processor time. */
void bench_throughput(const struct bench_options *options, const struct bench_comparison *comparison, struct bench_work work, double bound);

/* The median of the round trips, which is to be at most `bound` of theirs. */
void bench_ping_pong(const struct bench_options *options, const struct bench_comparison *comparison, struct bench_work work,
                     int worker_cpu, double bound);

/* The window of an echo. */
size_t bench_window(size_t size);

#endif
