/* Two processes over a Unix socket, two peers in turn. */
#include "pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS_MAX = 120 };

static struct bench_result *result;
static int64_t trips[BENCH_TRIPS_MAX];

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

static void work_part(const struct bench_run *run, void *self, size_t count)
{
    if (run->kind == BENCH_ONE_WAY)
        run->peer->receive(self, count);
    else if (run->kind == BENCH_ECHO)
        run->peer->echo_back(self, count);
    else if (run->kind == BENCH_PING_PONG)
        run->peer->pong(self, count);
    else
        run->peer->answer(self, count);
}

static void worker(const struct bench_run *run, int fd, int done_fd)
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

static void ping_part(const struct bench_run *run, void *self, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t start = bench_now();
        run->peer->ping(self);
        trips[i] = bench_now() - start;
    }
    qsort(trips, count, sizeof(*trips), by_time);
    result->trip_us = 1e-3 * (double)trips[count / 2];
}

static void engine_part(const struct bench_run *run, void *self, size_t count)
{
    if (run->kind == BENCH_ONE_WAY)
        run->peer->send(self, count);
    else if (run->kind == BENCH_ECHO)
        run->peer->echo(self, count);
    else if (run->kind == BENCH_PING_PONG)
        ping_part(run, self, count);
    else
        run->peer->call(self, count);
}

static void engine(const struct bench_run *run, int fd, int done_fd)
{
    struct bench_work work = run->work;
    void *self = (work.engine = true, run->peer->open(fd, &work));
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

static pid_t start(void (*side)(const struct bench_run *, int, int), const struct bench_run *run, int fd, int other, int done_fd, int done_other)
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

static void reap(pid_t pid, const struct bench_run *run)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        bench_die("%s, %s: a process failed", run->peer->name, bench_size_name(run->work.size));
}

struct bench_result bench_pair(const struct bench_run *run)
{
    static unsigned runs;
    struct bench_run numbered = *run;
    int ends[2], done[2];
    pid_t engine_pid, worker_pid;

    if (result == NULL)
        result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == MAP_FAILED)
        bench_die("no memory");
    numbered.work.id = ++runs;
    run = &numbered;
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

/* Both in one round; which goes first alternates. */
static void round_of(struct bench_run *run, const struct bench_comparison *comparison, unsigned round, struct bench_watch *watch,
                     struct bench_result *ret_ours, struct bench_result *ret_theirs)
{
    do {
        bench_watch_begin(watch);
        for (unsigned turn = 0; turn < 2; turn++) {
            bool ours = (round + turn) % 2 == 0;
            run->peer = ours ? comparison->ours : comparison->theirs;
            *(ours ? ret_ours : ret_theirs) = bench_pair(run);
        }
    } while (bench_disturbed(watch));
}

static double giga(const struct bench_run *run)
{
    return 1e-9 * (double)run->count * (double)run->work.size;
}

size_t bench_window(size_t size)
{
    return BENCH_WINDOW_BYTES / size < BENCH_WINDOW_MESSAGES ? BENCH_WINDOW_BYTES / size : BENCH_WINDOW_MESSAGES;
}

void bench_throughput(const struct bench_options *options, const struct bench_comparison *comparison, struct bench_work work, double bound)
{
    const char *size = bench_size_name(work.size), *theirs_name = comparison->theirs->name;
    enum bench_kind kind = comparison->kind;
    struct bench_measure rate = {comparison->rate, size, "GB/s", theirs_name, BENCH_AT_LEAST, bound, options->rounds, {0}, {0}};
    struct bench_measure cpu = {comparison->cpu, size, "s/GB", theirs_name, BENCH_AT_MOST, 1.05, options->rounds, {0}, {0}};
    size_t bytes = (size_t)(kind == BENCH_ONE_WAY ? 1024 : 512) << (options->quick ? 17 : 20);
    struct bench_run run = {.kind = kind, .work = work, .engine_cpu = BENCH_ENGINE_CPU, .worker_cpu = BENCH_WORKER_CPU};
    struct bench_watch watch = {.repeats_left = 4 * options->rounds};
    struct bench_result ours, theirs;

    if (work.size < comparison->from || (options->size != 0 && options->size != work.size) || !bench_wanted(options, rate.name))
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

void bench_ping_pong(const struct bench_options *options, const struct bench_comparison *comparison, struct bench_work work,
                     int worker_cpu, double bound)
{
    char name[40];
    struct bench_measure trip = {name, bench_size_name(work.size), "us p50", comparison->theirs->name, BENCH_AT_MOST, bound,
                                 options->rounds, {0}, {0}};
    struct bench_run run = {.kind = BENCH_PING_PONG, .work = work, .engine_cpu = BENCH_ENGINE_CPU, .worker_cpu = worker_cpu};
    struct bench_watch watch = {.repeats_left = 4 * options->rounds};
    struct bench_result ours, theirs;

    snprintf(name, sizeof(name), "%s, %s", comparison->rate, worker_cpu == BENCH_ENGINE_CPU ? "one CPU" : "two CPUs");
    if (!bench_wanted(options, name))
        return;
    run.count = options->quick ? BENCH_TRIPS_MAX / 10 : BENCH_TRIPS_MAX;
    run.warm_up = run.count / 10;
    for (unsigned round = 0; round < options->rounds; round++) {
        round_of(&run, comparison, round, &watch, &ours, &theirs);
        trip.ours[round] = ours.trip_us;
        trip.theirs[round] = theirs.trip_us;
    }
    bench_print(&trip);
}
