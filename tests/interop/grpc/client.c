/* grpc.testing.TestService, the client of gRPC's interoperability tests, on our library.
 *   client --uri URI --test_case NAME [--pid PID]     exit code 0: the case passed; PID is that of the server, which one case ends */
#include "tests/interop/grpc/client.h"
#include "tests/interop/grpc/zeros.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = ZEROS_MAX + 4096 };

void give_up(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static struct trib_reader *reader_of(struct trib_grpc_call *call)
{
    return trib_channel_reader(trib_grpc_call_channel(call));
}

static struct trib_writer *writer_of(struct trib_grpc_call *call)
{
    return trib_channel_writer(trib_grpc_call_channel(call));
}

/* ---- Calls ---------------------------------------------------------------------------------------------------------- */

struct trib_grpc_call *call_begin(struct peer *peer, const char *path, const struct trib_grpc_call_options *options)
{
    struct trib_grpc_call_options own = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_grpc_call *call;
    struct trib_error err;

    if (options != NULL)
        own = *options;
    if (own.deadline == TRIB_FOREVER)
        own.deadline = trib_deadline_ms(30000);
    if (trib_grpc_call(peer->client, path, &own, &call, &err) != TRIB_OK)
        give_up("%s", err.message);
    return call;
}

void call_end(struct trib_grpc_call *call)
{
    trib_channel_free(trib_grpc_call_channel(call));
}

struct proto_request request_of(size_t payload)
{
    struct proto_request request;

    memset(&request, 0, sizeof(request));
    request.payload_size = payload;
    request.expect_compressed = -1;
    request.sizes[0].compressed = -1;
    return request;
}

struct proto_request request_for(size_t payload, size_t response)
{
    struct proto_request request = request_of(payload);

    request.size_count = 1;
    request.sizes[0].size = response;
    return request;
}

/* ---- Sending -------------------------------------------------------------------------------------------------------- */

void send_request(struct trib_grpc_call *call, enum proto_kind kind, const struct proto_request *request)
{
    uint8_t head[PROTO_HEAD_MAX];
    size_t len = proto_request_head(head, kind, request);
    struct trib_error err;

    if (zeros_send(writer_of(call), head, len, request->payload_size, &err) != TRIB_OK)
        give_up("sending: %s", err.message);
}

void send_empty(struct trib_grpc_call *call)
{
    struct trib_error err;

    if (zeros_send(writer_of(call), NULL, 0, 0, &err) != TRIB_OK)
        give_up("sending an empty message: %s", err.message);
}

void half_close(struct trib_grpc_call *call)
{
    struct trib_error err;

    if (trib_writer_finish(writer_of(call), 0, NULL, &err) != TRIB_OK)
        give_up("half-closing: %s", err.message);
}

/* ---- Receiving ------------------------------------------------------------------------------------------------------ */

static struct trib_view receive(struct trib_grpc_call *call)
{
    struct trib_error err;
    struct trib_view view;
    int rc = trib_reader_take_message(reader_of(call), MESSAGE_MAX, &view, &err);

    if (rc == TRIB_EOF)
        give_up("the call ended where a message was expected");
    if (rc != TRIB_OK)
        give_up("receiving: %s", err.message);
    return view;
}

static void parse(struct trib_view view, const uint8_t **ret_body, size_t *ret_len, uint64_t *ret_total)
{
    if (!proto_parse_response(view.data, view.len, ret_body, ret_len, ret_total))
        give_up("a response of %zu bytes is malformed", view.len);
}

void receive_payload(struct trib_grpc_call *call, size_t size)
{
    const uint8_t *body;
    uint64_t total;
    size_t len;

    parse(receive(call), &body, &len, &total);
    if (len != size)
        give_up("a payload of %zu bytes came, %zu were expected", len, size);
    if (memcmp(body, zeros_data(), len) != 0)
        give_up("a payload of %zu bytes has others than zero", len);
}

void receive_total(struct trib_grpc_call *call, uint64_t total)
{
    const uint8_t *body;
    uint64_t got;
    size_t len;

    parse(receive(call), &body, &len, &got);
    if (got != total)
        give_up("the server counted %llu bytes, %llu were sent", (unsigned long long)got, (unsigned long long)total);
}

void receive_empty(struct trib_grpc_call *call)
{
    struct trib_view view = receive(call);

    if (view.len != 0)
        give_up("a message of %zu bytes came, an empty one was expected", view.len);
}

/* ---- Ends ----------------------------------------------------------------------------------------------------------- */

int call_status(struct trib_grpc_call *call, const char **ret_text)
{
    struct trib_view view;
    int code;
    int rc = trib_reader_take_message(reader_of(call), MESSAGE_MAX, &view, NULL);

    if (rc == TRIB_OK)
        give_up("a message of %zu bytes came after the last", view.len);
    if (trib_grpc_call_status(call, &code, ret_text) != TRIB_OK)
        give_up("the call has no status after %d", rc);
    if ((rc == TRIB_EOF) != (code == 0))
        give_up("the reader says %d, the status %d", rc, code);
    return code;
}

void expect_status(struct trib_grpc_call *call, int code)
{
    const char *text;
    int got = call_status(call, &text);

    if (got != code)
        give_up("status %s (%s), expected %s", trib_grpc_code_name(got), text != NULL ? text : "", trib_grpc_code_name(code));
}

void expect_text(struct trib_grpc_call *call, int code, const char *text)
{
    const char *got_text;

    expect_status(call, code);
    trib_grpc_call_status(call, &code, &got_text);
    if (got_text == NULL || strcmp(got_text, text) != 0)
        give_up("the message of the status is \"%s\", expected \"%s\"", got_text != NULL ? got_text : "(none)", text);
}

void unary(struct peer *peer, const struct proto_request *request, bool compress)
{
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_grpc_call *call;

    options.compress = compress;
    call = call_begin(peer, TEST_SERVICE "UnaryCall", &options);
    send_request(call, PROTO_SIMPLE, request);
    half_close(call);
    receive_payload(call, request->sizes[0].size);
    expect_status(call, 0);
    call_end(call);
}

/* ---- The program ------------------------------------------------------------------------------------------------------ */

static const struct client_case *find_case(const struct client_case *list, const char *name)
{
    while (list->name != NULL && strcmp(list->name, name) != 0)
        list++;
    return list->name != NULL ? list : NULL;
}

static void usage(void)
{
    fputs("client --uri URI --test_case NAME [--pid PID]; the cases are:", stderr);
    for (const struct client_case *one = official_cases; one->name != NULL; one++)
        fprintf(stderr, " %s", one->name);
    for (const struct client_case *one = more_cases; one->name != NULL; one++)
        fprintf(stderr, " %s", one->name);
    fputc('\n', stderr);
}

int main(int argc, char **argv)
{
    const struct client_case *one = NULL;
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct peer peer = { NULL, 0, NULL };
    struct trib_error err;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--uri") == 0)
            peer.uri = argv[i + 1];
        else if (strcmp(argv[i], "--pid") == 0)
            peer.pid = strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--test_case") == 0)
            one = find_case(official_cases, argv[i + 1]) ? find_case(official_cases, argv[i + 1]) : find_case(more_cases, argv[i + 1]);
    }
    if (one == NULL || peer.uri == NULL || !zeros_init()) {
        usage();
        return 2;
    }
    options.deadline = trib_deadline_ms(10000);
    if (trib_grpc_connect(peer.uri, &options, &peer.client, &err) != TRIB_OK)
        give_up("%s", err.message);
    one->run(&peer);
    trib_grpc_client_free(peer.client);
    return 0;
}
