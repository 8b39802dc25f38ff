/* The cases of gRPC's interoperability tests that need no TLS, credentials or load balancing, as their public description says. */
#include "tests/interop/grpc/client.h"

#include <string.h>

#define UNARY TEST_SERVICE "UnaryCall"
#define DUPLEX TEST_SERVICE "FullDuplexCall"

static const size_t request_sizes[] = { 27182, 8, 1828, 45904 };
static const size_t response_sizes[] = { 31415, 9, 2653, 58979 };
enum { SIZES = 4 };

static void empty_unary(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, TEST_SERVICE "EmptyCall", NULL);

    send_empty(call);
    half_close(call);
    receive_empty(call);
    expect_status(call, 0);
    call_end(call);
}

static void large_unary(struct peer *peer)
{
    struct proto_request request = request_for(271828, 314159);

    unary(peer, &request, false);
}

static void client_streaming(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, TEST_SERVICE "StreamingInputCall", NULL);

    for (size_t i = 0; i < SIZES; i++) {
        struct proto_request request = request_of(request_sizes[i]);

        send_request(call, PROTO_INPUT, &request);
    }
    half_close(call);
    receive_total(call, 74922);
    expect_status(call, 0);
    call_end(call);
}

static void server_streaming(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, TEST_SERVICE "StreamingOutputCall", NULL);
    struct proto_request request = request_of(0);

    request.size_count = SIZES;
    for (size_t i = 0; i < SIZES; i++)
        request.sizes[i] = (struct proto_size){ response_sizes[i], 0, -1 };
    send_request(call, PROTO_OUTPUT, &request);
    half_close(call);
    for (size_t i = 0; i < SIZES; i++)
        receive_payload(call, response_sizes[i]);
    expect_status(call, 0);
    call_end(call);
}

static void ping_pong(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, DUPLEX, NULL);

    for (size_t i = 0; i < SIZES; i++) {
        struct proto_request request = request_for(request_sizes[i], response_sizes[i]);

        send_request(call, PROTO_OUTPUT, &request);
        receive_payload(call, response_sizes[i]);
    }
    half_close(call);
    expect_status(call, 0);
    call_end(call);
}

static void empty_stream(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, DUPLEX, NULL);

    half_close(call);
    expect_status(call, 0);
    call_end(call);
}

/* ---- Compression ---------------------------------------------------------------------------------------------------- */

/* A message that is not compressed and says that it is: a server that looks at this refuses it. The cases without it are for those that do not. */
static void probe(struct peer *peer, const char *path, enum proto_kind kind)
{
    struct trib_grpc_call *call = call_begin(peer, path, NULL);
    struct proto_request request = request_for(27182, 31415);

    request.expect_compressed = 1;
    send_request(call, kind, &request);
    half_close(call);
    expect_status(call, TRIB_GRPC_INVALID_ARGUMENT);
    call_end(call);
}

static void client_compressed_unary_noprobe(struct peer *peer)
{
    struct proto_request request = request_for(271828, 314159);

    request.expect_compressed = 1;
    unary(peer, &request, true);
    request.expect_compressed = 0;
    unary(peer, &request, false);
}

static void client_compressed_unary(struct peer *peer)
{
    probe(peer, UNARY, PROTO_SIMPLE);
    client_compressed_unary_noprobe(peer);
}

static void client_compressed_streaming_noprobe(struct peer *peer)
{
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct proto_request request = request_of(27182);
    struct trib_grpc_call *call;
    struct trib_error err;

    options.compress = true;
    call = call_begin(peer, TEST_SERVICE "StreamingInputCall", &options);
    request.expect_compressed = 1;
    send_request(call, PROTO_INPUT, &request);
    if (trib_grpc_call_compress(call, false, &err) != TRIB_OK)
        give_up("%s", err.message);
    request = request_of(45904);
    request.expect_compressed = 0;
    send_request(call, PROTO_INPUT, &request);
    half_close(call);
    receive_total(call, 27182 + 45904);
    expect_status(call, 0);
    call_end(call);
}

static void client_compressed_streaming(struct peer *peer)
{
    probe(peer, TEST_SERVICE "StreamingInputCall", PROTO_INPUT);
    client_compressed_streaming_noprobe(peer);
}

static void expect_compressed(struct trib_grpc_call *call, bool compressed)
{
    if (trib_grpc_call_was_compressed(call) != compressed)
        give_up("a response came %s", compressed ? "without the compression that was asked for" : "compressed, which it should not");
}

static void server_compressed_unary(struct peer *peer)
{
    for (int compressed = 1; compressed >= 0; compressed--) {
        struct proto_request request = request_for(271828, 314159);
        struct trib_grpc_call *call = call_begin(peer, UNARY, NULL);

        request.sizes[0].compressed = compressed;
        send_request(call, PROTO_SIMPLE, &request);
        half_close(call);
        receive_payload(call, 314159);
        expect_compressed(call, compressed);
        expect_status(call, 0);
        call_end(call);
    }
}

static void server_compressed_streaming(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, TEST_SERVICE "StreamingOutputCall", NULL);
    struct proto_request request = request_of(0);

    request.size_count = 2;
    request.sizes[0] = (struct proto_size){ 31415, 0, 1 };
    request.sizes[1] = (struct proto_size){ 92653, 0, 0 };
    send_request(call, PROTO_OUTPUT, &request);
    half_close(call);
    receive_payload(call, 31415);
    expect_compressed(call, true);
    receive_payload(call, 92653);
    expect_compressed(call, false);
    expect_status(call, 0);
    call_end(call);
}

/* ---- Deadline and cancel -------------------------------------------------------------------------------------------- */

/* The deadline may pass before the message has gone: then sending fails, which is right too. */
static void timeout_on_sleeping_server(struct peer *peer)
{
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_grpc_call *call;
    struct trib_error err;

    options.deadline = trib_deadline_ms(1);
    if (trib_grpc_call(peer->client, DUPLEX, &options, &call, &err) != TRIB_OK) {
        if (err.code != TRIB_ERR_TIMEOUT)
            give_up("%s", err.message);
        return;
    }
    expect_status(call, TRIB_GRPC_DEADLINE_EXCEEDED);
    call_end(call);
}

static void cancel_after_begin(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, TEST_SERVICE "StreamingInputCall", NULL);

    trib_channel_cancel(trib_grpc_call_channel(call));
    expect_status(call, TRIB_GRPC_CANCELLED);
    call_end(call);
    empty_unary(peer);
}

static void cancel_after_first_response(struct peer *peer)
{
    struct trib_grpc_call *call = call_begin(peer, DUPLEX, NULL);
    struct proto_request request = request_for(27182, 31415);

    send_request(call, PROTO_OUTPUT, &request);
    receive_payload(call, 31415);
    trib_channel_cancel(trib_grpc_call_channel(call));
    expect_status(call, TRIB_GRPC_CANCELLED);
    call_end(call);
    empty_unary(peer);
}

/* ---- Status and metadata -------------------------------------------------------------------------------------------- */

static void status_of(struct peer *peer, const char *path, enum proto_kind kind, const char *text)
{
    struct trib_grpc_call *call = call_begin(peer, path, NULL);
    struct proto_request request = request_of(0);

    request.status = TRIB_GRPC_UNKNOWN;
    memcpy(request.status_text, text, strlen(text) + 1);
    send_request(call, kind, &request);
    half_close(call);
    expect_text(call, TRIB_GRPC_UNKNOWN, text);
    call_end(call);
}

static void status_code_and_message(struct peer *peer)
{
    status_of(peer, UNARY, PROTO_SIMPLE, "test status message");
    status_of(peer, DUPLEX, PROTO_OUTPUT, "test status message");
}

static void special_status_message(struct peer *peer)
{
    status_of(peer, UNARY, PROTO_SIMPLE, "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88\t\n");
}

typedef bool entry_at_fn(const struct trib_grpc_call *call, size_t index, struct trib_grpc_entry *ret_entry);

/* Exactly one with that name, and this value. */
static void expect_entry(const struct trib_grpc_call *call, entry_at_fn *at, const struct trib_grpc_entry *wanted)
{
    struct trib_grpc_entry entry;
    size_t count = 0;

    for (size_t i = 0; at(call, i, &entry); i++) {
        if (strcmp(entry.name, wanted->name) != 0)
            continue;
        count++;
        if (entry.len != wanted->len || memcmp(entry.value, wanted->value, entry.len) != 0)
            give_up("%s came with another value, of %zu bytes", entry.name, entry.len);
    }
    if (count != 1)
        give_up("%s came %zu times", wanted->name, count);
}

static void metadata_of(struct peer *peer, const char *path, enum proto_kind kind)
{
    static const struct trib_grpc_entry sent[] = {
        { "x-grpc-test-echo-initial", "test_initial_metadata_value", 27 },
        { "x-grpc-test-echo-trailing-bin", "\x0a\x0b\x0a\x0b\x0a\x0b", 6 },
    };
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct proto_request request = request_for(271828, 314159);
    struct trib_grpc_call *call;

    options.metadata = sent;
    options.metadata_count = 2;
    call = call_begin(peer, path, &options);
    send_request(call, kind, &request);
    half_close(call);
    receive_payload(call, 314159);
    expect_status(call, 0);
    expect_entry(call, trib_grpc_call_metadata, &sent[0]);
    expect_entry(call, trib_grpc_call_trailer, &sent[1]);
    call_end(call);
}

static void custom_metadata(struct peer *peer)
{
    metadata_of(peer, UNARY, PROTO_SIMPLE);
    metadata_of(peer, DUPLEX, PROTO_OUTPUT);
}

static void unimplemented(struct peer *peer, const char *path)
{
    struct trib_grpc_call *call = call_begin(peer, path, NULL);

    send_empty(call);
    half_close(call);
    expect_status(call, TRIB_GRPC_UNIMPLEMENTED);
    call_end(call);
}

static void unimplemented_method(struct peer *peer)
{
    unimplemented(peer, TEST_SERVICE "UnimplementedCall");
}

static void unimplemented_service(struct peer *peer)
{
    unimplemented(peer, "/grpc.testing.UnimplementedService/UnimplementedCall");
}

const struct client_case official_cases[] = {
    { "empty_unary", empty_unary },
    { "large_unary", large_unary },
    { "client_streaming", client_streaming },
    { "server_streaming", server_streaming },
    { "ping_pong", ping_pong },
    { "empty_stream", empty_stream },
    { "client_compressed_unary", client_compressed_unary },
    { "client_compressed_unary_noprobe", client_compressed_unary_noprobe },
    { "server_compressed_unary", server_compressed_unary },
    { "client_compressed_streaming", client_compressed_streaming },
    { "client_compressed_streaming_noprobe", client_compressed_streaming_noprobe },
    { "server_compressed_streaming", server_compressed_streaming },
    { "timeout_on_sleeping_server", timeout_on_sleeping_server },
    { "cancel_after_begin", cancel_after_begin },
    { "cancel_after_first_response", cancel_after_first_response },
    { "status_code_and_message", status_code_and_message },
    { "special_status_message", special_status_message },
    { "custom_metadata", custom_metadata },
    { "unimplemented_method", unimplemented_method },
    { "unimplemented_service", unimplemented_service },
    { NULL, NULL },
};
