/* Two processes over a Unix socket, the library and the raw loop in turn: throughput, processor time, round trips. */
#include "bench.h"
#include "socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENGINE_CPU = 0, WORKER_CPU = 1, WINDOW_MESSAGES = 16, WINDOW_BYTES = 32 << 20, SECONDS_MAX = 120, TRIPS_MAX = 20000 };

enum kind { ONE_WAY, ECHO, PING_PONG };

struct run {
    enum kind kind;
    const struct bench_peer *peer;
    struct bench_work work;
    size_t count, warm_up;
    int engine_cpu, worker_cpu;
};

/* In memory that the two processes share with the one that started them. */
struct result {
    double seconds, engine_cpu_seconds, worker_cpu_seconds;
    double trip_us; /* median */
};

static struct result *result;
static int64_t trips[TRIPS_MAX];

/* ---- One run, in two processes -------------------------------------------------------------------------------- */

/* The worker says that a part is done; the engine waits for that. */
static void tell(int fd)
{
    if (write(fd, "", 1) != 1)
        bench_die("write: %s", strerror(errno));
}

static void await(int fd)
{
    char byte;

    if (read(fd, &byte, 1) != 1)
        bench_die("the other process has gone");
}

static void work_part(const struct run *run, void *self, size_t count)
{
    if (run->kind == ONE_WAY)
        run->peer->receive(self, count);
    else if (run->kind == ECHO)
        run->peer->echo_back(self, count);
    else
        run->peer->pong(self, count);
}

static void worker(const struct run *run, int fd, int done_fd)
{
    void *self = run->peer->open(fd, &run->work);
    double before;

    bench_pin(run->worker_cpu);
    work_part(run, self, run->warm_up);
    before = bench_cpu();
    tell(done_fd);
    work_part(run, self, run->count);
    result->worker_cpu_seconds = bench_cpu() - before;
    tell(done_fd);
    run->peer->close(self);
}

static int by_time(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static void ping_part(const struct run *run, void *self, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t start = bench_now();
        run->peer->ping(self);
        trips[i] = bench_now() - start;
    }
    qsort(trips, count, sizeof(*trips), by_time);
    result->trip_us = 1e-3 * (double)trips[count / 2];
}

static void engine_part(const struct run *run, void *self, size_t count)
{
    if (run->kind == ONE_WAY)
        run->peer->send(self, count);
    else if (run->kind == ECHO)
        run->peer->echo(self, count);
    else
        ping_part(run, self, count);
}

static void engine(const struct run *run, int fd, int done_fd)
{
    void *self = run->peer->open(fd, &run->work);
    double before;
    int64_t start;

    bench_pin(run->engine_cpu);
    engine_part(run, self, run->warm_up);
    await(done_fd);
    before = bench_cpu();
    start = bench_now();
    engine_part(run, self, run->count);
    await(done_fd);
    result->seconds = 1e-9 * (double)(bench_now() - start);
    result->engine_cpu_seconds = bench_cpu() - before;
    run->peer->close(self);
}

static pid_t start(void (*side)(const struct run *, int, int), const struct run *run, int fd, int other, int done_fd, int done_other)
{
    pid_t pid = fork();

    if (pid < 0)
        bench_die("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    alarm(SECONDS_MAX);
    close(other);
    close(done_other);
    side(run, fd, done_fd);
    _exit(0);
}

static void reap(pid_t pid, const struct run *run)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        bench_die("%s, %s: a process failed", run->peer->name, bench_size_name(run->work.size));
}

static struct result measure(const struct run *run)
{
    int ends[2], done[2];
    pid_t engine_pid, worker_pid;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || pipe(done) != 0)
        bench_die("socketpair: %s", strerror(errno));
    worker_pid = start(worker, run, ends[1], ends[0], done[1], done[0]);
    engine_pid = start(engine, run, ends[0], ends[1], done[0], done[1]);
    close(ends[0]);
    close(ends[1]);
    close(done[0]);
    close(done[1]);
    reap(engine_pid, run);
    reap(worker_pid, run);
    return *result;
}

/* ---- Measures ------------------------------------------------------------------------------------------------- */

/* Who is compared, and how the lines are called. */
struct comparison {
    const char *rate, *cpu;
    enum kind kind;
    size_t from; /* the smallest message that it is for */
    const struct bench_peer *ours, *theirs;
};

static const struct comparison comparisons[] = {
    {"unix one-way", "unix one-way CPU", ONE_WAY, 0, &bench_unix, &bench_raw},
    {"unix one-way, whole", "unix one-way, whole CPU", ONE_WAY, 1 << 20, &bench_unix, &bench_raw_whole},
    {"unix echo", "unix echo CPU", ECHO, 0, &bench_unix, &bench_raw},
    {"unix echo, whole", "unix echo, whole CPU", ECHO, 1 << 20, &bench_unix, &bench_raw_whole},
    {"unix echo, in parts", "unix echo, in parts CPU", ECHO, 1 << 20, &bench_unix_parts, &bench_raw},
};

static const struct comparison plain = {.ours = &bench_unix, .theirs = &bench_raw};

/* Both in one round; which goes first alternates. */
static void round_of(struct run *run, const struct comparison *comparison, unsigned round, struct bench_watch *watch,
                     struct result *ret_ours, struct result *ret_theirs)
{
    do {
        bench_watch_begin(watch);
        for (unsigned turn = 0; turn < 2; turn++) {
            bool ours = (round + turn) % 2 == 0;
            run->peer = ours ? comparison->ours : comparison->theirs;
            *(ours ? ret_ours : ret_theirs) = measure(run);
        }
    } while (bench_disturbed(watch));
}

static double giga(const struct run *run)
{
    return 1e-9 * (double)run->count * (double)run->work.size;
}

static void throughput(const struct bench_options *options, const struct comparison *comparison, struct bench_work work)
{
    const char *size = bench_size_name(work.size), *theirs_name = comparison->theirs->name;
    enum kind kind = comparison->kind;
    struct bench_measure rate = {comparison->rate, size, "GB/s", theirs_name, BENCH_AT_LEAST, 0.95, options->rounds, {0}, {0}};
    struct bench_measure cpu = {comparison->cpu, size, "s/GB", theirs_name, BENCH_AT_MOST, 1.05, options->rounds, {0}, {0}};
    size_t bytes = (size_t)(kind == ONE_WAY ? 1024 : 512) << (options->quick ? 17 : 20);
    struct run run = {.kind = kind, .work = work, .engine_cpu = ENGINE_CPU, .worker_cpu = WORKER_CPU};
    struct bench_watch watch = {.repeats_left = 4 * options->rounds};
    struct result ours, theirs;

    if (work.size < comparison->from || !bench_wanted(options, rate.name))
        return;
    run.count = bytes / work.size;
    run.warm_up = run.count / 8 > 2 ? run.count / 8 : 2;
    for (unsigned round = 0; round < options->rounds; round++) {
        round_of(&run, comparison, round, &watch, &ours, &theirs);
        rate.ours[round] = giga(&run) / ours.seconds;
        rate.theirs[round] = giga(&run) / theirs.seconds;
        cpu.ours[round] = (ours.engine_cpu_seconds + ours.worker_cpu_seconds) / giga(&run);
        cpu.theirs[round] = (theirs.engine_cpu_seconds + theirs.worker_cpu_seconds) / giga(&run);
    }
    bench_print(&rate);
    bench_print(&cpu);
}

static void ping_pong(const struct bench_options *options, struct bench_work work, int worker_cpu)
{
    struct bench_measure trip = {worker_cpu == ENGINE_CPU ? "unix ping-pong, one CPU" : "unix ping-pong, two CPUs",
                                 bench_size_name(work.size), "us p50", "raw", BENCH_AT_MOST, 1.05, options->rounds, {0}, {0}};
    struct run run = {.kind = PING_PONG, .work = work, .engine_cpu = ENGINE_CPU, .worker_cpu = worker_cpu};
    struct bench_watch watch = {.repeats_left = 4 * options->rounds};
    struct result ours, theirs;

    if (!bench_wanted(options, trip.name))
        return;
    run.count = options->quick ? TRIPS_MAX / 10 : TRIPS_MAX;
    run.warm_up = run.count / 10;
    for (unsigned round = 0; round < options->rounds; round++) {
        round_of(&run, &plain, round, &watch, &ours, &theirs);
        trip.ours[round] = ours.trip_us;
        trip.theirs[round] = theirs.trip_us;
    }
    bench_print(&trip);
}

/* The library alone: spinning against sleeping, on two CPUs. */
static void spinning(const struct bench_options *options, struct bench_work work)
{
    struct bench_measure trip = {"unix ping-pong, spinning", bench_size_name(work.size), "us p50", "sleeping", BENCH_AT_MOST, 0.2,
                                 options->rounds, {0}, {0}};
    struct run run = {.kind = PING_PONG, .peer = &bench_unix, .work = work, .engine_cpu = ENGINE_CPU, .worker_cpu = WORKER_CPU};
    struct bench_watch watch = {.repeats_left = 4 * options->rounds};

    if (!bench_wanted(options, trip.name))
        return;
    run.count = options->quick ? TRIPS_MAX / 10 : TRIPS_MAX;
    run.warm_up = run.count / 10;
    for (unsigned round = 0; round < options->rounds; round++) {
        do {
            bench_watch_begin(&watch);
            run.work.spin_us = 200;
            trip.ours[round] = measure(&run).trip_us;
            run.work.spin_us = 0;
            trip.theirs[round] = measure(&run).trip_us;
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
    result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (payload == NULL || result == MAP_FAILED)
        bench_die("no memory");
    memset(payload, 'x', largest);
    work.payload = payload;
    for (size_t c = 0; c < sizeof(comparisons) / sizeof(comparisons[0]); c++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            work.size = sizes[i];
            work.window = WINDOW_BYTES / work.size < WINDOW_MESSAGES ? WINDOW_BYTES / work.size : WINDOW_MESSAGES;
            throughput(&options, &comparisons[c], work);
        }
    work.size = 64;
    ping_pong(&options, work, ENGINE_CPU);
    ping_pong(&options, work, WORKER_CPU);
    spinning(&options, work);
    return 0;
}
