/* What the benchmarks share: options, clocks, pinning, medians, and the one line that each measure prints. */
#ifndef TRIBUTARY_BENCH_H
#define TRIBUTARY_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_ROUNDS_MAX = 101 };

struct bench_options {
    unsigned rounds;  /* at least 9, but for --quick */
    bool quick;       /* a tenth of the work in 3 rounds: shows that everything runs, not how fast */
    const char *only; /* measures whose name contains this */
    size_t size;      /* throughput: messages of this size alone; 0: all */
    const char *peer; /* chunks: a command that prints reads a second, to be set beside ours */
};

/* Reads the command line, or prints what is wrong with it and exits. */
void bench_parse(int argc, char **argv, struct bench_options *ret_options);

/* Whether --only lets this measure run. */
bool bench_wanted(const struct bench_options *options, const char *measure);

/* The calling thread runs on this CPU from now on; exits where there is none such. */
void bench_pin(int cpu);

int64_t bench_now(void);       /* nanoseconds, monotonic */
double bench_cpu(void);        /* seconds that this process has computed, user and system */
double bench_median(const double *values, size_t count);

/* Whether others use the processors meanwhile. A round that they disturbed is repeated, a bounded number of times in all: ask
 * bench_disturbed() after it, which waits a little where it says so. Linux only; elsewhere no round is known to be disturbed. */
struct bench_watch {
    double begin, others; /* seconds: the clock, and the processor time of all other processes */
    unsigned repeats_left;
};
void bench_watch_begin(struct bench_watch *watch);
bool bench_disturbed(struct bench_watch *watch);

/* Prints a message and exits with status 1. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum bench_goal {
    BENCH_NO_GOAL,
    BENCH_AT_LEAST, /* ours / theirs */
    BENCH_AT_MOST
};

/* One measure: the figures of ours and of the peer in each round, in which they ran one after the other. */
struct bench_measure {
    const char *name; /* "unix one-way" */
    const char *size; /* "64 KiB", or "" */
    const char *unit; /* "GB/s" */
    const char *peer; /* "raw" */
    enum bench_goal goal;
    double bound;
    unsigned rounds;
    double ours[BENCH_ROUNDS_MAX], theirs[BENCH_ROUNDS_MAX]; /* theirs all 0: no peer, the goal is one of ours alone */
};

/* Medians of both, median of the ratios of the rounds, the goal, "ok" or "MISS". */
void bench_print(const struct bench_measure *measure);

/* "4 KiB", "1 MiB": a static string for the sizes that are used here. */
const char *bench_size_name(size_t size);

#endif
