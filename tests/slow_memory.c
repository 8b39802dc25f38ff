/* Memory stays bounded however slow the consumer is: 4 GiB through a budget of 8 MiB, from a producer that is always ready. */
#include <tributary/channel.h>
#include <tributary/reader.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"
#include "tests/support/runner.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define TOTAL ((uint64_t)4 << 30)
enum { BUDGET = 8 << 20, GROWTH_MAX_KIB = 16 << 10, CHUNK = 1 << 18, PACE = 64 << 20 };

/* Peak resident set of this process, in KiB, as far as the system tells; 0 where it does not. */
static long peak_rss(void)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");

    if (file == NULL)
        return 0;
    while (kib == 0 && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "VmHWM: %ld", &kib) != 1)
            kib = 0;
    fclose(file);
    return kib;
}

struct flow {
    struct trib_reader *reader;
    struct trib_writer *writer; /* NULL: the reader is fed */
};

/* Every chunk is written to, as a producer would: its pages are really there. */
static struct trib_chunk *filled(uint64_t at)
{
    struct trib_chunk *chunk;

    ck_ok(trib_chunk_new(CHUNK, 64, &chunk, NULL));
    memset(trib_chunk_writable(chunk), (int)(at >> 18) & 0xff, CHUNK);
    return chunk;
}

static void produce(void *arg)
{
    struct flow *flow = arg;
    struct trib_error err;

    for (uint64_t at = 0; at < TOTAL; at += CHUNK) {
        struct trib_chunk *chunk = filled(at);
        int rc = flow->writer == NULL ? trib_reader_feed(flow->reader, chunk, TRIB_FOREVER, &err)
                                      : trib_writer_chunk(flow->writer, chunk, &err);
        if (rc != TRIB_OK)
            ck_abort_msg("%s", err.message);
    }
    if (flow->writer == NULL)
        feed_finish(flow->reader);
    else
        ck_ok(trib_writer_finish(flow->writer, 0, NULL, NULL));
}

/* Whenever the producer could run away, the consumer rests until it sleeps: it is as slow as can be, at no cost of time. */
static void consume(struct flow *flow, struct runner *producer)
{
    struct trib_view view;
    uint64_t taken = 0;
    int rc;

    while ((rc = trib_reader_take(flow->reader, 1 << 20, &view, NULL)) == TRIB_OK) {
        for (size_t i = 0; i < view.len; i += 4096)
            if (view.data[i] != (uint8_t)((taken + i) >> 18))
                ck_abort_msg("wrong byte at %llu", (unsigned long long)(taken + i));
        taken += view.len;
        if (taken % PACE == 0 && taken + PACE < TOTAL)
            runner_wait_asleep(producer);
    }
    ck_assert_int_eq(rc, TRIB_EOF);
    ck_assert_uint_eq(taken, TOTAL);
}

static void run(struct flow *flow)
{
    struct runner producer;
    long before = peak_rss(), after;

    runner_start(&producer, produce, flow);
    consume(flow, &producer);
    runner_join(&producer);
    after = peak_rss();
    printf("peak RSS %ld KiB before, %ld KiB after; peak held %zu\n", before, after, feed_stats(flow->reader).peak_held);
    ck_assert_int_lt(after - before, GROWTH_MAX_KIB);
}

START_TEST(fed_reader)
{
    struct flow flow = { feed_reader(BUDGET, 0), NULL };

    run(&flow);
    trib_reader_free(flow.reader);
}
END_TEST

START_TEST(channel)
{
    const struct trib_transport *transports[] = { &trib_transport_chunk, &trib_transport_unix };
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_channel *a, *b;
    struct flow flow;

    options.budget = BUDGET;
    ck_ok(transports[_i]->pair(&options, &a, &b, NULL));
    flow = (struct flow){ trib_channel_reader(b), trib_channel_writer(a) };
    run(&flow);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("memory");
    TCase *tc = tcase_create("memory");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, fed_reader);
    tcase_add_loop_test(tc, channel, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)
