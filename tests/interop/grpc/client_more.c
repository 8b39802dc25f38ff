/* What the official cases leave out: large messages in each kind of call, many streams, and ends seen from both sides. */
#include "tests/interop/grpc/client.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DUPLEX TEST_SERVICE "FullDuplexCall"

static const size_t sizes[] = { 0, 1, 5 << 20, 64 << 20 };
enum { SIZES = 4, STREAMS = 1000 };

/* A server whose clock has coarse steps may end a call so much too early. */
#define CLOCK_STEP INT64_C(5000000)

static void sizes_unary(struct peer *peer)
{
    for (size_t i = 0; i < SIZES; i++) {
        struct proto_request request = request_for(sizes[i], sizes[i]);

        unary(peer, &request, false);
    }
}

static void sizes_client_streaming(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, TEST_SERVICE "StreamingInputCall", NULL);
    uint64_t total = 0;

    for (size_t i = 0; i < SIZES; i++) {
        struct proto_request request = request_of(sizes[i]);

        send_request(call, PROTO_INPUT, &request);
        total += sizes[i];
    }
    half_close(call);
    receive_total(call, total);
    expect_status(call, 0);
    call_end(call);
}

static void sizes_server_streaming(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, TEST_SERVICE "StreamingOutputCall", NULL);
    struct proto_request request = request_of(0);

    request.size_count = SIZES;
    for (size_t i = 0; i < SIZES; i++)
        request.sizes[i] = (struct proto_size){ sizes[i], 0, -1 };
    send_request(call, PROTO_OUTPUT, &request);
    half_close(call);
    for (size_t i = 0; i < SIZES; i++)
        receive_payload(call, sizes[i]);
    expect_status(call, 0);
    call_end(call);
}

static void exchange(struct trib_grpc_call *call, size_t size)
{
    struct proto_request request = request_for(size, size);

    send_request(call, PROTO_OUTPUT, &request);
    receive_payload(call, size);
}

static void sizes_bidi(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, DUPLEX, NULL);

    for (size_t i = 0; i < SIZES; i++)
        exchange(call, sizes[i]);
    half_close(call);
    expect_status(call, 0);
    call_end(call);
}

/* All open at once on one connection; each has a message on its way before the first response is read. */
static void streams_1000(struct peer *peer)
{
    struct trib_grpc_call **calls = calloc(STREAMS, sizeof(*calls));

    if (calls == NULL)
        give_up("no memory for %d calls", (int)STREAMS);
    for (size_t i = 0; i < STREAMS; i++) {
        struct proto_request request = request_for(i, STREAMS - i);

        calls[i] = call_begin(peer, DUPLEX, NULL);
        send_request(calls[i], PROTO_OUTPUT, &request);
    }
    for (size_t i = 0; i < STREAMS; i++)
        receive_payload(calls[i], STREAMS - i);
    for (size_t i = 0; i < STREAMS; i++) {
        half_close(calls[i]);
        expect_status(calls[i], 0);
        call_end(calls[i]);
    }
    free(calls);
}

/* ---- Ends ------------------------------------------------------------------------------------------------------------ */

/* How many calls the server has seen end by their client. */
static unsigned long cancelled_calls(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, TEST_SERVICE "EmptyCall", NULL);
    struct trib_grpc_entry entry;
    unsigned long count = 0;
    bool found = false;

    send_empty(call);
    half_close(call);
    receive_empty(call);
    expect_status(call, 0);
    for (size_t i = 0; trib_grpc_call_trailer(call, i, &entry); i++)
        if (strcmp(entry.name, "x-cancelled") == 0) {
            char text[24] = "";

            memcpy(text, entry.value, entry.len < sizeof(text) ? entry.len : sizeof(text) - 1);
            count = strtoul(text, NULL, 10);
            found = true;
        }
    call_end(call);
    if (!found)
        give_up("the server does not say how many calls were cancelled");
    return count;
}

static void pause_ms(long ms)
{
    struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&pause, NULL);
}

static void server_saw_one_more(struct peer *peer, unsigned long before)
{
    for (int64_t end = trib_deadline_ms(10000); cancelled_calls(peer) <= before; pause_ms(10))
        if (trib_now() > end)
            give_up("the server did not see within 10 s that the call had ended");
}

static void deadline(struct peer *peer)
{
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    unsigned long before = cancelled_calls(peer);
    struct trib_grpc_call *call;

    options.deadline = trib_deadline_ms(200);
    call = call_begin(peer, DUPLEX, &options);
    exchange(call, 10);
    expect_status(call, TRIB_GRPC_DEADLINE_EXCEEDED);
    if (trib_now() < options.deadline - CLOCK_STEP)
        give_up("the call ended before its deadline");
    call_end(call);
    server_saw_one_more(peer, before);
}

static void cancel_by_client(struct peer *peer)
{
    unsigned long before = cancelled_calls(peer);
    struct trib_grpc_call *call = call_begin(peer, DUPLEX, NULL);

    exchange(call, 10);
    trib_channel_cancel(trib_grpc_call_channel(call));
    expect_status(call, TRIB_GRPC_CANCELLED);
    call_end(call);
    server_saw_one_more(peer, before);
}

static void cancel_by_server(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, DUPLEX, NULL);
    struct proto_request request = request_of(0);

    exchange(call, 10);
    request.status = TRIB_GRPC_CANCELLED;
    memcpy(request.status_text, "reset", sizeof("reset"));
    send_request(call, PROTO_OUTPUT, &request);
    expect_status(call, TRIB_GRPC_CANCELLED);
    call_end(call);
}

/* true: the server refuses new calls. C-core resets those that it had accepted and not begun. */
static bool refused(struct peer *peer)
{
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_grpc_call *call;
    const char *text;
    int code = TRIB_GRPC_UNAVAILABLE;

    options.deadline = trib_deadline_ms(10000);
    if (trib_grpc_call(peer->client, DUPLEX, &options, &call, NULL) != TRIB_OK)
        return true;
    if (trib_writer_finish(trib_channel_writer(trib_grpc_call_channel(call)), 0, NULL, NULL) == TRIB_OK)
        code = call_status(call, &text);
    call_end(call);
    if (code != 0 && code != TRIB_GRPC_UNAVAILABLE && code != TRIB_GRPC_CANCELLED)
        give_up("a new call got status %s", trib_grpc_code_name(code));
    return code != 0;
}

/* The server is asked to end while a call is open: that one goes on, new ones are refused. */
static void graceful_shutdown(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, DUPLEX, NULL);
    int64_t end = trib_deadline_ms(10000);

    exchange(call, 10);
    if (peer->pid <= 1 || kill((pid_t)peer->pid, SIGTERM) != 0)
        give_up("no server to end: --pid %ld", peer->pid);
    for (; !refused(peer); pause_ms(10))
        if (trib_now() > end)
            give_up("the server still takes new calls 10 s after SIGTERM");
    exchange(call, 5 << 20);
    half_close(call);
    expect_status(call, 0);
    call_end(call);
}

const struct client_case more_cases[] = {
    { "sizes_unary", sizes_unary },
    { "sizes_client_streaming", sizes_client_streaming },
    { "sizes_server_streaming", sizes_server_streaming },
    { "sizes_bidi", sizes_bidi },
    { "streams_1000", streams_1000 },
    { "deadline", deadline },
    { "cancel_by_client", cancel_by_client },
    { "cancel_by_server", cancel_by_server },
    { "graceful_shutdown", graceful_shutdown },
    { NULL, NULL },
};
