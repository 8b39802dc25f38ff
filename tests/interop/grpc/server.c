/* grpc.testing.TestService, the server of gRPC's interoperability tests: a thread for each call, one event_base for the connections.
 *   server [--describe FILE] [--old-reflection] [--frame-size BYTES] URI...     prints each address, then serves until SIGTERM
 * --describe: health checking, and reflection by the descriptors in FILE, too; --old-reflection: only in its version v1alpha.
 * Beyond the service: a request for status CANCELLED with the text "reset" has the call cancelled; the trailers of EmptyCall tell as x-cancelled how many
 * calls the clients ended. */
#include <tributary/grpc.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/interop/grpc/proto.h"
#include "tests/interop/grpc/services.h"
#include "tests/interop/grpc/zeros.h"

enum { MESSAGE_MAX = ZEROS_MAX + 4096 };

/* Calls that ended otherwise than by their handler: the client cancelled them, or their deadline passed. */
static atomic_uint cancelled;

/* ---- Answers -------------------------------------------------------------------------------------------------------- */

static int send_bytes(struct trib_grpc_call *call, const uint8_t *data, size_t len)
{
    return zeros_send(trib_channel_writer(trib_grpc_call_channel(call)), data, len, 0, NULL);
}

/* A response whose field 1 is a Payload with a body of so many zeros. */
static int send_payload(struct trib_grpc_call *call, size_t size)
{
    uint8_t head[PROTO_HEAD_MAX];

    if (size > ZEROS_MAX)
        return TRIB_ERR_LIMIT;
    return zeros_send(trib_channel_writer(trib_grpc_call_channel(call)), head, proto_payload_head(head, 1, size), size, NULL);
}

static void finish(struct trib_grpc_call *call, int status, const char *text)
{
    /* A client may half-close and reset at once, as Node does: then only this fails. */
    if (trib_writer_finish(trib_channel_writer(trib_grpc_call_channel(call)), status, text, NULL) < 0)
        atomic_fetch_add(&cancelled, 1);
}

/* false: the status that was asked for ended the call. */
static bool echo_status(struct trib_grpc_call *call, const struct proto_request *request)
{
    if (request->status == 0)
        return true;
    if (request->status == TRIB_GRPC_CANCELLED && strcmp(request->status_text, "reset") == 0)
        trib_channel_cancel(trib_grpc_call_channel(call));
    finish(call, request->status, request->status_text);
    return false;
}

static bool compression_as_expected(struct trib_grpc_call *call, const struct proto_request *request)
{
    if (request->expect_compressed < 0 || request->expect_compressed == (int)trib_grpc_call_was_compressed(call))
        return true;
    finish(call, TRIB_GRPC_INVALID_ARGUMENT, "the message is not compressed as announced");
    return false;
}

static void echo_metadata(struct trib_grpc_call *call)
{
    struct trib_grpc_entry entry;

    for (size_t i = 0; trib_grpc_call_metadata(call, i, &entry); i++) {
        if (strcmp(entry.name, "x-grpc-test-echo-initial") == 0)
            trib_grpc_call_add_metadata(call, &entry, NULL);
        if (strcmp(entry.name, "x-grpc-test-echo-trailing-bin") == 0)
            trib_grpc_call_add_trailer(call, &entry, NULL);
    }
}

static int next_message(struct trib_grpc_call *call, struct trib_view *ret_view)
{
    return trib_reader_take_message(trib_channel_reader(trib_grpc_call_channel(call)), MESSAGE_MAX, ret_view, NULL);
}

/* ---- Methods --------------------------------------------------------------------------------------------------------- */

static void empty_call(struct trib_grpc_call *call)
{
    struct trib_grpc_entry entry = { "x-cancelled", NULL, 0 };
    struct trib_view view;
    char text[16];

    if (next_message(call, &view) != TRIB_OK || send_bytes(call, NULL, 0) != TRIB_OK)
        return;
    entry.len = (size_t)snprintf(text, sizeof(text), "%u", atomic_load(&cancelled));
    entry.value = text;
    trib_grpc_call_add_trailer(call, &entry, NULL);
    finish(call, 0, NULL);
}

static void unary_call(struct trib_grpc_call *call)
{
    struct proto_request request;
    struct trib_view view;

    if (next_message(call, &view) != TRIB_OK)
        return;
    if (!proto_parse(view.data, view.len, PROTO_SIMPLE, &request)) {
        finish(call, TRIB_GRPC_INTERNAL, "malformed request");
        return;
    }
    if (!compression_as_expected(call, &request) || !echo_status(call, &request))
        return;
    if (request.sizes[0].compressed > 0)
        trib_grpc_call_compress(call, true, NULL);
    if (send_payload(call, request.sizes[0].size) == TRIB_OK)
        finish(call, 0, NULL);
}

static bool answer_sizes(struct trib_grpc_call *call, const struct proto_request *request)
{
    for (size_t i = 0; i < request->size_count; i++) {
        const struct proto_size *size = &request->sizes[i];
        struct timespec pause = { size->interval_us / 1000000, size->interval_us % 1000000 * 1000 };

        if (size->interval_us > 0)
            nanosleep(&pause, NULL);
        trib_grpc_call_compress(call, size->compressed > 0, NULL);
        if (send_payload(call, size->size) != TRIB_OK)
            return false;
    }
    return true;
}

static void streaming_output(struct trib_grpc_call *call)
{
    struct proto_request request;
    struct trib_view view;

    if (next_message(call, &view) != TRIB_OK || !proto_parse(view.data, view.len, PROTO_OUTPUT, &request))
        return;
    for (size_t i = 0; i < request.size_count; i++)
        if (request.sizes[i].compressed > 0)
            trib_grpc_call_compress(call, true, NULL); /* before the headers leave */
    if (answer_sizes(call, &request) && echo_status(call, &request))
        finish(call, 0, NULL);
}

static void streaming_input(struct trib_grpc_call *call)
{
    struct proto_request request;
    struct trib_view view;
    uint64_t total = 0;
    uint8_t answer[16];
    int rc;

    while ((rc = next_message(call, &view)) == TRIB_OK) {
        if (!proto_parse(view.data, view.len, PROTO_INPUT, &request) || !compression_as_expected(call, &request))
            return;
        total += request.payload_size;
    }
    if (rc == TRIB_EOF && send_bytes(call, answer, proto_varint_field(answer, 1, total)) == TRIB_OK)
        finish(call, 0, NULL);
}

static void full_duplex(struct trib_grpc_call *call)
{
    struct proto_request request;
    struct trib_view view;
    int rc;

    while ((rc = next_message(call, &view)) == TRIB_OK)
        if (!proto_parse(view.data, view.len, PROTO_OUTPUT, &request) || !echo_status(call, &request) || !answer_sizes(call, &request))
            return;
    if (rc == TRIB_EOF)
        finish(call, 0, NULL);
}

static void half_duplex(struct trib_grpc_call *call)
{
    struct proto_request *requests = NULL;
    struct trib_view view;
    size_t count = 0;
    int rc;

    while ((rc = next_message(call, &view)) == TRIB_OK) {
        requests = realloc(requests, (count + 1) * sizeof(*requests));
        if (requests == NULL || !proto_parse(view.data, view.len, PROTO_OUTPUT, &requests[count++]))
            abort();
    }
    for (size_t i = 0; i < count && rc == TRIB_EOF; i++)
        if (!answer_sizes(call, &requests[i]))
            rc = TRIB_ERR_FAILED;
    free(requests);
    if (rc == TRIB_EOF)
        finish(call, 0, NULL);
}

static void not_here(struct trib_grpc_call *call)
{
    finish(call, TRIB_GRPC_UNIMPLEMENTED, "not in this version");
}

static const struct method {
    const char *path;
    void (*run)(struct trib_grpc_call *call);
} methods[] = {
    { "/grpc.testing.TestService/EmptyCall", empty_call },
    { "/grpc.testing.TestService/UnaryCall", unary_call },
    { "/grpc.testing.TestService/CacheableUnaryCall", unary_call },
    { "/grpc.testing.TestService/StreamingOutputCall", streaming_output },
    { "/grpc.testing.TestService/StreamingInputCall", streaming_input },
    { "/grpc.testing.TestService/FullDuplexCall", full_duplex },
    { "/grpc.testing.TestService/HalfDuplexCall", half_duplex },
};

static const struct method new_reflection = { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", not_here };

/* ---- Serving --------------------------------------------------------------------------------------------------------- */

struct job {
    struct trib_grpc_call *call;
    const struct method *method;
};

/* An error sticks to the reader of a call that the handler did not end. */
static bool ended_by_client(struct trib_grpc_call *call)
{
    struct trib_reader *reader = trib_channel_reader(trib_grpc_call_channel(call));
    struct trib_view view;

    trib_reader_set_deadline(reader, TRIB_NOWAIT);
    return trib_reader_take_some(reader, 1, &view, NULL) < 0;
}

static void *job_main(void *arg)
{
    struct job *job = arg;

    echo_metadata(job->call);
    job->method->run(job->call);
    if (ended_by_client(job->call))
        atomic_fetch_add(&cancelled, 1);
    trib_channel_free(trib_grpc_call_channel(job->call));
    free(job);
    return NULL;
}

static void on_call(struct trib_grpc_call *call, void *arg)
{
    struct job *job = malloc(sizeof(*job));
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    if (job != NULL)
        *job = (struct job){ call, arg };
    if (job == NULL || pthread_create(&thread, &attributes, job_main, job) != 0) {
        trib_channel_free(trib_grpc_call_channel(call));
        free(job);
    }
    pthread_attr_destroy(&attributes);
}

static void on_drained(void *arg)
{
    event_base_loopbreak(arg);
}

struct ending {
    struct trib_grpc_server *server;
    struct event_base *base;
};

static void on_term(evutil_socket_t number, short what, void *arg)
{
    struct ending *ending = arg;

    (void)number, (void)what;
    trib_grpc_server_drain(ending->server, on_drained, ending->base);
}

static void serve_method(struct trib_grpc_server *server, const struct method *method)
{
    trib_grpc_server_handle(server, method->path, on_call, (void *)(uintptr_t)method, NULL);
}

static void set_frame_size(struct trib_grpc_server *server, const char *bytes)
{
    struct trib_grpc_settings settings = TRIB_GRPC_SETTINGS_INIT;

    settings.frame_size = (uint32_t)strtoul(bytes, NULL, 10);
    trib_grpc_server_configure(server, &settings);
}

/* The options that come first; returns where the addresses begin, or 0. */
static int obey(struct ending *ending, int argc, char **argv)
{
    int at = 1;

    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--describe") == 0 && at + 1 < argc) {
            if (!services_begin(ending->server, ending->base, argv[++at]))
                return 0;
        } else if (strcmp(argv[at], "--old-reflection") == 0) {
            serve_method(ending->server, &new_reflection);
        } else if (strcmp(argv[at], "--frame-size") == 0 && at + 1 < argc) {
            set_frame_size(ending->server, argv[++at]);
        } else {
            fprintf(stderr, "unknown option %s\n", argv[at]);
            return 0;
        }
    }
    return at;
}

static bool listen_at(struct trib_grpc_server *server, char **uris)
{
    const char *address;
    struct trib_error err;

    for (; *uris != NULL; uris++) {
        if (trib_grpc_server_listen(server, *uris, &address, &err) != TRIB_OK) {
            fprintf(stderr, "%s\n", err.message);
            return false;
        }
        printf("%s\n", address);
    }
    fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    struct ending ending;
    struct event *term;
    int first;

    if (!zeros_init())
        return 1;
    evthread_use_pthreads();
    ending.base = event_base_new();
    if (trib_grpc_server_new(ending.base, NULL, &ending.server, NULL) != TRIB_OK)
        return 1;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        serve_method(ending.server, &methods[i]);
    first = obey(&ending, argc, argv);
    if (first == 0 || !listen_at(ending.server, argv + first))
        return 1;
    term = evsignal_new(ending.base, SIGTERM, on_term, &ending);
    event_add(term, NULL);
    event_base_dispatch(ending.base);
    event_free(term);
    trib_grpc_server_free(ending.server);
    event_base_free(ending.base);
    return 0;
}
