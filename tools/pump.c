/* The throughput of a channel: one thread sends messages by reference, another takes them whole. */
#include "tools/pump.h"

#include "tools/link.h"

#include <tributary/chunk.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <inttypes.h>
#include <string.h>

/* Messages are references to these, in turn: no generator is measured. */
enum { PAYLOADS = 4 };

struct bench {
    const struct pump *pump;
    struct trib_chunk *payloads[PAYLOADS];
    uint64_t messages;
    struct pump_result near_result;
    struct pump_result far_result;
};

/* ---- Payloads --------------------------------------------------------------------------------------------------- */

static uint8_t pattern(size_t payload, size_t at)
{
    return (uint8_t)((at * 31 + at / 251 + payload * 97) & 0xff);
}

static int make_payloads(struct bench *bench, struct trib_error *err)
{
    for (size_t i = 0; i < PAYLOADS; i++) {
        uint8_t *bytes;
        int rc = trib_chunk_new(bench->pump->message, 64, &bench->payloads[i], err);
        if (rc != TRIB_OK)
            return rc;
        bytes = trib_chunk_writable(bench->payloads[i]);
        for (size_t at = 0; at < bench->pump->message; at++)
            bytes[at] = pattern(i, at);
    }
    return TRIB_OK;
}

static void free_payloads(struct bench *bench)
{
    for (size_t i = 0; i < PAYLOADS; i++)
        trib_chunk_unref(bench->payloads[i]);
}

/* Its length, and bytes at both ends and between: comparing all of them would be most of what is measured. */
static int check_message(const struct bench *bench, uint64_t number, struct trib_view view, struct trib_error *err)
{
    if (view.len != bench->pump->message)
        return trib_error_set(err, TRIB_ERR_FAILED, 0, "message %" PRIu64 " over %s: %zu bytes were sent, %zu came", number,
                              bench->pump->uri, bench->pump->message, view.len);
    for (size_t i = 0; i <= 16; i++) {
        size_t at = (view.len - 1) / 16 * i;
        if (view.data[at] != pattern(number % PAYLOADS, at))
            return trib_error_set(err, TRIB_ERR_FAILED, 0, "message %" PRIu64 " over %s: its byte %zu is wrong", number,
                                  bench->pump->uri, at);
    }
    return TRIB_OK;
}

/* ---- Both ends -------------------------------------------------------------------------------------------------- */

static void take_figures(struct trib_channel *channel, struct pump_result *result)
{
    struct trib_channel_stats stats = {.size = sizeof(stats)};
    struct trib_reader_stats reader = {.size = sizeof(reader)};
    struct trib_writer_stats writer = {.size = sizeof(writer)};

    trib_channel_stats(channel, &stats);
    trib_reader_stats(trib_channel_reader(channel), &reader);
    trib_writer_stats(trib_channel_writer(channel), &writer);
    result->calls_sending = stats.system_calls_out;
    result->calls_receiving = stats.system_calls_in;
    result->copied = reader.copied_crossing + reader.copied_aligning + reader.copied_into + writer.copied;
}

/* Far has taken everything when it ends its direction. */
static int wait_end(struct trib_channel *channel, struct trib_error *err)
{
    struct trib_view view;
    int rc = trib_reader_take_some(trib_channel_reader(channel), 1, &view, err);

    if (rc == TRIB_OK)
        return trib_error_set(err, TRIB_ERR_FAILED, 0, "%s: bytes came back that nobody sent", trib_channel_name(channel));
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

static int send_messages(struct trib_channel *channel, void *arg, struct link_fault *fault, struct trib_error *err)
{
    struct bench *bench = arg;
    struct trib_writer *writer = trib_channel_writer(channel);
    struct tool_progress progress;
    int64_t started = trib_now();
    int rc = TRIB_OK;

    (void)fault;
    tool_progress_start(&progress, bench->pump->what, bench->messages * bench->pump->message, true);
    for (uint64_t i = 0; rc == TRIB_OK && i < bench->messages; i++) {
        rc = trib_writer_bytes_be32(writer, trib_chunk_view(bench->payloads[i % PAYLOADS]), err);
        if (i % 64 == 0)
            tool_progress_show(&progress, i * bench->pump->message);
    }
    if (rc == TRIB_OK)
        rc = trib_writer_finish(writer, 0, NULL, err);
    if (rc == TRIB_OK)
        rc = wait_end(channel, err);
    bench->near_result.ns = trib_now() - started;
    tool_progress_end(&progress);
    take_figures(channel, &bench->near_result);
    return rc;
}

static int take_messages(struct trib_channel *channel, void *arg, struct link_fault *fault, struct trib_error *err)
{
    struct bench *bench = arg;
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_view view;
    uint64_t messages = 0;
    int rc = TRIB_OK;

    (void)fault;
    while (rc == TRIB_OK) {
        rc = trib_reader_bytes_be32(reader, bench->pump->message, &view, err);
        if (rc == TRIB_OK)
            rc = check_message(bench, messages++, view, err);
    }
    if (rc != TRIB_EOF)
        return rc;
    if (messages != bench->messages)
        return trib_error_set(err, TRIB_ERR_FAILED, 0, "%s: %" PRIu64 " messages were sent, %" PRIu64 " came", bench->pump->uri,
                              bench->messages, messages);
    rc = trib_writer_finish(trib_channel_writer(channel), 0, NULL, err);
    take_figures(channel, &bench->far_result);
    return rc;
}

int pump_run(const struct pump *pump, struct pump_result *ret_result, struct trib_error *err)
{
    struct bench bench = {.pump = pump, .messages = (pump->bytes + pump->message - 1) / pump->message};
    struct link_end near_end = {send_messages, &bench}, far_end = {take_messages, &bench};
    int rc = make_payloads(&bench, err);

    if (rc == TRIB_OK)
        rc = link_run(pump->tool, pump->uri, near_end, far_end, err);
    free_payloads(&bench);
    if (rc != TRIB_OK)
        return rc;
    ret_result->messages = bench.messages;
    ret_result->bytes = bench.messages * pump->message;
    ret_result->ns = bench.near_result.ns;
    ret_result->calls_sending = bench.near_result.calls_sending;
    ret_result->calls_receiving = bench.far_result.calls_receiving;
    ret_result->copied = bench.near_result.copied + bench.far_result.copied;
    return TRIB_OK;
}
