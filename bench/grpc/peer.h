/* What the benchmarks' peers in C share: the command line, the loop of measurements, and the line of a result. */
#ifndef TRIBUTARY_BENCH_GRPC_PEER_H
#define TRIBUTARY_BENCH_GRPC_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum peer_mode { PEER_ONE_WAY, PEER_ECHO, PEER_PING_PONG, PEER_STREAMS, PEER_IDLE, PEER_PARTS /* an echo of what comes as it comes */ };

enum { PEER_WINDOW_MESSAGES = 16, PEER_WINDOW_BYTES = 32 << 20, PEER_AT_ONCE = 64, PEER_TRIPS_MAX = 1 << 20 };

struct peer_work {
    enum peer_mode mode;
    bool spins;     /* the engine's connection has a spin_us */
    bool session;   /* of the worker protocol, with Init and Finish around the data */
    size_t size;    /* of each message; PEER_IDLE: how many streams */
    int64_t until;  /* when to stop sending, as bench_now() counts */
    size_t window;  /* messages in flight */
    double seconds; /* the same as a duration */
};

struct peer_outcome {
    uint64_t bytes, messages;
    uint64_t copied; /* in user space, by both sides, as far as they know */
    uint64_t p50_ns; /* of round trips */
};

struct peer {
    void *(*connect)(const char *path);
    void (*measure)(void *self, const struct peer_work *work, struct peer_outcome *ret_outcome);
    void (*serve)(const char *path); /* prints "ready" (peer_ready) when it listens; does not return */
};

/* peer engine|worker PATH [--mode MODE --size N --seconds S]. oneway, echo, pingpong, streams; of ours also idle, parts, spin-echo and spin-parts,
 * and udf-echo and udf-pingpong, which are sessions of the worker protocol. An engine without --mode reads
 * "MODE SIZE SECONDS" lines from its standard input; a worker ends with its standard input. */
int peer_main(const struct peer *peer, int argc, char **argv);

void peer_ready(void);

/* The median of `count` times, which are sorted in place. */
uint64_t peer_median(uint64_t *times, size_t count);

#endif
