/* Inside one process: takes out of chunks, chunks from thread to thread, round trips, and ZeroCopyByteStream as a peer. */
#include "bench.h"

#include <tributary/channel.h>
#include <tributary/chunk.h>
#include <tributary/reader.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 << 10, TAKE = 1 << 10, FED_AT_ONCE = 64 };

/* So that a consumer that is slower for a moment does not put its producer to sleep: chunks of 64 KiB are counted whole, and cost nothing here. */
static const size_t budget = (size_t)256 << 20;

static uint8_t memory[CHUNK];

static void check(int rc, const struct trib_error *err)
{
    if (rc != TRIB_OK)
        bench_die("%s", rc < 0 ? err->message : trib_code_name(rc));
}

static struct trib_chunk *new_chunk(void)
{
    struct trib_chunk *chunk = NULL;
    struct trib_error err;

    check(trib_chunk_wrap(memory, sizeof(memory), NULL, NULL, &chunk, &err), &err);
    return chunk;
}

static struct trib_reader *new_reader(void)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    struct trib_reader *reader = NULL;
    struct trib_error err;

    options.budget = budget;
    check(trib_reader_new(&options, &reader, &err), &err);
    return reader;
}

static void feed(struct trib_reader *reader)
{
    struct trib_error err;

    check(trib_reader_feed(reader, new_chunk(), TRIB_FOREVER, &err), &err);
}

/* ---- Takes of 1 KiB, fed and taken on one thread ---------------------------------------------------------------- */

static double takes_per_second(size_t chunks)
{
    struct trib_reader *reader = new_reader();
    struct trib_view view;
    struct trib_error err;
    size_t takes = chunks * (CHUNK / TAKE);
    int64_t start = bench_now();

    for (size_t fed = 0; fed < chunks; fed += FED_AT_ONCE) {
        for (unsigned i = 0; i < FED_AT_ONCE; i++)
            feed(reader);
        for (unsigned i = 0; i < FED_AT_ONCE * (CHUNK / TAKE); i++)
            check(trib_reader_take(reader, TAKE, &view, &err), &err);
    }
    start = bench_now() - start;
    trib_reader_free(reader);
    return 1e9 * (double)takes / (double)start;
}

static double millions_of_takes(size_t chunks)
{
    return 1e-6 * takes_per_second(chunks);
}

/* ---- Chunks from one thread to another -------------------------------------------------------------------------- */

struct hand_over {
    struct trib_reader *reader;  /* taken from here */
    struct trib_writer *writer;  /* written here, or NULL: fed */
    size_t count;
    atomic_int ready;
};

static void *produce(void *arg)
{
    struct hand_over *job = arg;
    struct trib_error err;

    bench_pin(0);
    atomic_fetch_add(&job->ready, 1);
    while (atomic_load(&job->ready) < 2)
        ;
    for (size_t i = 0; i < job->count; i++) {
        if (job->writer == NULL)
            feed(job->reader);
        else
            check(trib_writer_chunk(job->writer, new_chunk(), &err), &err);
    }
    if (job->writer != NULL)
        check(trib_writer_flush(job->writer, &err), &err);
    return NULL;
}

/* Millions of chunks a second; the calling thread consumes. */
static double hand_over(struct hand_over *job)
{
    pthread_t thread;
    struct trib_view view;
    struct trib_error err;
    int64_t start;

    if (pthread_create(&thread, NULL, produce, job) != 0)
        bench_die("no thread");
    bench_pin(1);
    while (atomic_load(&job->ready) < 1)
        ;
    start = bench_now();
    atomic_fetch_add(&job->ready, 1);
    for (size_t i = 0; i < job->count; i++)
        check(trib_reader_take(job->reader, CHUNK, &view, &err), &err);
    start = bench_now() - start;
    pthread_join(thread, NULL);
    return 1e3 * (double)job->count / (double)start;
}

static double fed_hand_over(size_t count)
{
    struct hand_over job = {.reader = new_reader(), .count = count};
    double rate = hand_over(&job);

    trib_reader_free(job.reader);
    return rate;
}

static void new_pair(struct trib_channel **ret_a, struct trib_channel **ret_b)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_error err;

    options.budget = budget;
    check(trib_chunk_pair(&options, ret_a, ret_b, &err), &err);
}

static double channel_hand_over(size_t count)
{
    struct trib_channel *a, *b;
    struct hand_over job = {.count = count};
    double rate;

    new_pair(&a, &b);
    job.writer = trib_channel_writer(a);
    job.reader = trib_channel_reader(b);
    rate = hand_over(&job);
    trib_channel_free(a);
    trib_channel_free(b);
    return rate;
}

/* ---- Round trips between two threads ---------------------------------------------------------------------------- */

struct trips {
    struct trib_channel *channel;
    size_t count;
};

static void pass_on(struct trib_channel *channel, uint32_t value)
{
    struct trib_error err;

    check(trib_writer_be32(trib_channel_writer(channel), value, &err), &err);
    check(trib_writer_flush(trib_channel_writer(channel), &err), &err);
}

static uint32_t await(struct trib_channel *channel)
{
    struct trib_error err;
    uint32_t value;

    check(trib_reader_be32(trib_channel_reader(channel), &value, &err), &err);
    return value;
}

static void *pong(void *arg)
{
    const struct trips *trips = arg;

    bench_pin(0);
    for (size_t i = 0; i < trips->count; i++)
        pass_on(trips->channel, await(trips->channel));
    return NULL;
}

/* Microseconds for each, the mean of them all. */
static double trip_us(size_t count)
{
    struct trib_channel *a, *b;
    struct trips far = {.count = count};
    pthread_t thread;
    int64_t start;

    new_pair(&a, &b);
    far.channel = b;
    if (pthread_create(&thread, NULL, pong, &far) != 0)
        bench_die("no thread");
    bench_pin(1);
    start = bench_now();
    for (size_t i = 0; i < count; i++) {
        pass_on(a, (uint32_t)i);
        await(a);
    }
    start = bench_now() - start;
    pthread_join(thread, NULL);
    trib_channel_free(a);
    trib_channel_free(b);
    return 1e-3 * (double)start / (double)count;
}

/* ---- The peer --------------------------------------------------------------------------------------------------- */

/* Millions of reads a second, as the command prints reads a second. */
static double ask_peer(const char *command)
{
    FILE *pipe = popen(command, "r");
    double rate = 0;

    if (pipe == NULL || fscanf(pipe, "%lf", &rate) != 1)
        rate = 0;
    if (pipe == NULL || pclose(pipe) != 0 || rate <= 0)
        bench_die("%s: printed no figure", command);
    return 1e-6 * rate;
}

/* ---- Measures --------------------------------------------------------------------------------------------------- */

/* A measure of ours alone, or beside what the peer's command prints. */
static void rate(const struct bench_options *options, struct bench_measure measure, double (*run)(size_t), size_t count)
{
    struct bench_watch watch = {.repeats_left = 4 * options->rounds};
    bool peer = measure.peer[0] != '\0';

    if (!bench_wanted(options, measure.name) || peer != (options->peer != NULL))
        return;
    measure.rounds = options->rounds;
    bench_pin(1);
    for (unsigned round = 0; round < options->rounds; round++) {
        do {
            bench_watch_begin(&watch);
            measure.ours[round] = run(options->quick ? count / 10 : count);
            if (peer)
                measure.theirs[round] = ask_peer(options->peer);
        } while (bench_disturbed(&watch));
    }
    bench_print(&measure);
}

int main(int argc, char **argv)
{
    static const struct bench_measure takes = {"reader takes", "1 KiB", "M/s", "", BENCH_AT_LEAST, 150, 0, {0}, {0}};
    static const struct bench_measure fed = {"reader hand-overs", "64 KiB", "M/s", "", BENCH_AT_LEAST, 20, 0, {0}, {0}};
    static const struct bench_measure sent = {"chunk hand-overs", "64 KiB", "M/s", "", BENCH_AT_LEAST, 20, 0, {0}, {0}};
    static const struct bench_measure reads = {"reader takes, PySpark", "1 KiB", "M/s", "ZeroCopy..", BENCH_AT_LEAST, 100, 0, {0}, {0}};
    static const struct bench_measure trip = {"chunk ping-pong", "4 B", "us mean", "", BENCH_NO_GOAL, 0, 0, {0}, {0}};
    struct bench_options options;

    bench_parse(argc, argv, &options);
    rate(&options, takes, millions_of_takes, FED_AT_ONCE << 12);
    rate(&options, fed, fed_hand_over, 4000000);
    rate(&options, sent, channel_hand_over, 4000000);
    rate(&options, trip, trip_us, 20000);
    rate(&options, reads, millions_of_takes, FED_AT_ONCE << 12);
    return 0;
}
