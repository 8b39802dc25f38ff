/* The command line, the loop of measurements, and the line of a result. */
#include "bench/grpc/peer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

static const char *const modes[] = {"oneway", "echo", "pingpong", "streams", "idle", "parts"};

static int64_t cpu_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    uint64_t size, pages = 0;

    if (file != NULL && fscanf(file, "%" SCNu64 " %" SCNu64, &size, &pages) != 2)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int by_time(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

uint64_t peer_median(uint64_t *times, size_t count)
{
    qsort(times, count, sizeof(*times), by_time);
    return count > 0 ? times[count / 2] : 0;
}

static enum peer_mode mode_of(const char *name)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(modes[i], name) == 0)
            return (enum peer_mode)i;
    bench_die("--mode %s: not one of oneway, echo, pingpong, streams, idle, parts, nor one of them behind udf- or spin-", name);
}

static void measure(const struct peer *peer, void *self, const char *mode, size_t size, double seconds)
{
    struct peer_outcome outcome = {.bytes = 0};
    int64_t start = bench_now(), cpu = cpu_now();
    bool session = strncmp(mode, "udf-", 4) == 0, spins = strncmp(mode, "spin-", 5) == 0;
    struct peer_work work = {mode_of(session ? mode + 4 : spins ? mode + 5 : mode), spins, session, size, start + (int64_t)(seconds * 1e9), 1, seconds};

    if (size == 0 || seconds <= 0)
        bench_die("--size %zu, --seconds %g: more than nothing is needed", size, seconds);
    if ((work.mode == PEER_ECHO || work.mode == PEER_PARTS) && size < PEER_WINDOW_BYTES)
        work.window = PEER_WINDOW_BYTES / size < PEER_WINDOW_MESSAGES ? PEER_WINDOW_BYTES / size : PEER_WINDOW_MESSAGES;
    peer->measure(self, &work, &outcome);
    printf("bytes=%" PRIu64 " messages=%" PRIu64 " ns=%" PRId64 " cpu=%" PRId64, outcome.bytes, outcome.messages,
           bench_now() - start, cpu_now() - cpu);
    printf(" rss=%" PRIu64 " p50=%" PRIu64 " copied=%" PRIu64 "\n", resident(), outcome.p50_ns, outcome.copied);
    fflush(stdout);
}

static void engine(const struct peer *peer, int argc, char **argv)
{
    void *self = peer->connect(argv[2]);
    const char *mode = NULL;
    size_t size = 64;
    double seconds = 1;
    char word[16];

    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--mode") == 0)
            mode = argv[i + 1];
        else if (strcmp(argv[i], "--size") == 0)
            size = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtod(argv[i + 1], NULL);
        else
            bench_die("unknown option %s", argv[i]);
    }
    if (mode != NULL)
        measure(peer, self, mode, size, seconds);
    else
        while (scanf("%15s %zu %lf", word, &size, &seconds) == 3)
            measure(peer, self, word, size, seconds);
}

static void *end_with_stdin(void *arg)
{
    char bytes[256];

    (void)arg;
    while (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0)
        ;
    _exit(0);
}

void peer_ready(void)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    if (pthread_create(&thread, &attributes, end_with_stdin, NULL) != 0)
        bench_die("no thread");
    pthread_attr_destroy(&attributes);
    puts("ready");
    fflush(stdout);
}

int peer_main(const struct peer *peer, int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "engine") == 0)
        engine(peer, argc, argv);
    else if (argc == 3 && strcmp(argv[1], "worker") == 0)
        peer->serve(argv[2]);
    else
        bench_die("usage: %s engine|worker PATH [--mode MODE --size N --seconds S]", argv[0]);
    return 0;
}
