/* `tributary serve`: listens, and serves each connection through a serializer. */
#include "tools/capture.h"
#include "tools/door.h"
#include "tools/launch.h"
#include "tools/server.h"
#include "tools/udf_worker.h"

#include <tributary/grpc.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_THREADS = 32, MAX_THREADS = 1024, DEFAULT_GRACE_MS = 2000 };

struct request {
    struct server_options server;
    struct udf_worker worker; /* with the protocol spark-grpc */
    const char *protocol;     /* NULL: not given */
    const char *serializer;   /* NULL: not given */
    const char *connection;   /* NULL: not given */
    const char *socket_only;  /* an option that was given and is not for spark-grpc, and one that is for nothing else */
    const char *grpc_only;
};

/* A transport without listeners, such as stdio:, has one channel to serve. */
static int serve_dialled(const struct request *request, const struct trib_channel_options *options)
{
    struct trib_channel *channel;
    struct trib_error err;
    int code;

    if (trib_dial(request->server.uri, options, &channel, &err) != TRIB_OK)
        return tool_fail_open(request->server.tool, &err, tool_hint(&err));
    code = server_connection(&request->server, channel);
    trib_channel_free(channel);
    return code;
}

/* The address to dial is another one where the URI left its port to the system. */
static void tell_address(const struct request *request, const char *address)
{
    bool other = address != NULL && strcmp(address, request->server.uri) != 0;

    tool_line(request->server.tool, "%s: listening%s%s, protocol %s, serializer %s", request->server.uri, other ? " at " : "",
              other ? address : "", request->protocol,
              request->serializer != NULL ? request->serializer : "by the session's command");
}

static int listen_at(const struct request *request, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                     struct trib_error *err)
{
    const struct trib_transport *transport = tool_transport(request->server.tool, request->server.uri);

    if (transport == &trib_transport_grpc_unix || transport == &trib_transport_grpc_tcp)
        return door_listen(request->server.tool, request->server.uri, options, ret_listener, err);
    return trib_listen(request->server.uri, options, ret_listener, err);
}

static int serve_listener(const struct request *request, const struct trib_channel_options *options)
{
    struct trib_listener *listener;
    struct trib_error err;
    sigset_t signals;
    int code;

    /* Before any thread: all inherit it, and none but the one that waits for them gets these. */
    server_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (listen_at(request, options, &listener, &err) != TRIB_OK)
        return tool_fail_open(request->server.tool, &err, tool_hint(&err));
    tell_address(request, trib_listener_address(listener));
    code = server_run(&request->server, listener);
    trib_listener_free(listener);
    return code;
}

static int serve(const struct request *request)
{
    const struct tool *tool = request->server.tool;
    const struct trib_transport *transport = tool_transport(tool, request->server.uri);
    struct trib_channel_options options = tool_channel_options(tool);
    int code = tool_check_outside(tool, request->server.uri, "serve where a process can dial, such as unix:PATH");

    if (code != TOOL_OK)
        return code;
    if (transport != NULL && transport->listen == NULL && transport->dial != NULL)
        return serve_dialled(request, &options);
    return serve_listener(request, &options);
}

static int serve_worker(struct request *request)
{
    struct launch_address address;
    const char *uris[LAUNCH_URIS];
    int code;

    request->worker.uris = uris;
    request->worker.uri_count = 1;
    uris[0] = request->server.uri;
    code = request->connection != NULL ? launch_address(request->server.tool, request->connection, &address)
                                       : tool_check_grpc(request->server.tool, request->server.uri, NULL);
    if (code != TOOL_OK)
        return code;
    if (request->connection != NULL) {
        request->worker.uri_count = address.count;
        for (size_t i = 0; i < address.count; i++)
            uris[i] = address.uris[i];
    }
    if (request->worker.id == NULL)
        request->worker.id = request->connection != NULL ? request->connection : request->server.uri;
    request->worker.tool = request->server.tool;
    request->worker.serializer = request->serializer;
    request->worker.options.threads = (unsigned)request->server.threads;
    request->worker.once = request->server.once;
    request->worker.verbose = request->server.verbose;
    return udf_worker_serve(&request->worker);
}

/* ---- The command line ------------------------------------------------------------------------------------------- */

static int choose_worker(const struct request *request)
{
    const struct tool *tool = request->server.tool;

    if (request->socket_only != NULL)
        return tool_usage(tool, "%s: not with the protocol spark-grpc", request->socket_only);
    if (tool->transport_count > 0)
        return tool_usage(tool, "--transport: not with the protocol spark-grpc");
    if (request->serializer != NULL && trib_serializer_find(request->serializer) == NULL)
        return tool_usage(tool, "--serializer %s: none of echo, upper and count", request->serializer);
    return TOOL_OK;
}

static int choose_server(struct request *request)
{
    const struct tool *tool = request->server.tool;
    bool raw = strcmp(request->protocol, "raw") == 0;

    if (request->grpc_only != NULL)
        return tool_usage(tool, "%s: only with --connection, or with the protocol spark-grpc", request->grpc_only);
    if (!raw && strcmp(request->protocol, "spark-socket") != 0)
        return tool_usage(tool, "--protocol %s: neither raw nor spark-socket nor spark-grpc", request->protocol);
    if (raw && request->serializer == NULL)
        request->serializer = "echo";
    if (raw)
        request->server.raw = raw_find(request->serializer);
    else if (request->serializer != NULL)
        request->server.serializer = trib_serializer_find(request->serializer);
    if (raw ? request->server.raw == NULL : request->serializer != NULL && request->server.serializer == NULL)
        return tool_usage(tool, "--serializer %s: none of echo, upper and count", request->serializer);
    if (request->server.threads == 0)
        request->server.threads = DEFAULT_THREADS;
    return TOOL_OK;
}

/* Which protocol with which serializer, and where. */
static int choose(struct request *request, int argc, char **argv)
{
    const struct tool *tool = request->server.tool;
    bool launched = request->connection != NULL;
    int code = TOOL_OK;

    if (request->protocol == NULL)
        request->protocol = launched ? "spark-grpc" : "raw";
    if (launched && strcmp(request->protocol, "spark-grpc") != 0)
        return tool_usage(tool, "--protocol %s: --connection is for spark-grpc", request->protocol);
    if (launched && optind < argc)
        return tool_usage(tool, "%s: where to listen is said by --connection", argv[optind]);
    if (!launched)
        code = tool_operands(tool, argc, 1, 1);
    if (code != TOOL_OK)
        return code;
    request->server.uri = argv[optind];
    return strcmp(request->protocol, "spark-grpc") == 0 ? choose_worker(request) : choose_server(request);
}

static bool take_time(struct request *request, int option)
{
    const struct tool *tool = request->server.tool;

    switch (option) {
    case 'g':
        request->grpc_only = "--grace";
        return tool_seconds(tool, "--grace", optarg, &request->worker.grace_ms);
    case 'B':
        request->grpc_only = "--batch-timeout";
        return tool_seconds(tool, "--batch-timeout", optarg, &request->worker.options.batch_ms);
    case 'I':
        request->grpc_only = "--idle-timeout";
        return tool_seconds(tool, "--idle-timeout", optarg, &request->worker.options.idle_ms);
    case 'S':
        request->grpc_only = "--stall-timeout";
        return tool_seconds(tool, "--stall-timeout", optarg, &request->worker.options.stall_ms);
    default:
        request->socket_only = "--timeout";
        return tool_seconds(tool, "--timeout", optarg, &request->server.timeout_ms);
    }
}

static bool take_handshake(struct request *request)
{
    int handshake = handshake_find(optarg);

    if (handshake < 0)
        return tool_usage(request->server.tool, "--handshake %s: none of none, pid, tcp-daemon and tcp-direct", optarg) == TOOL_OK;
    request->socket_only = "--handshake";
    request->server.handshake = (enum trib_handshake)handshake;
    return true;
}

static bool take_threads(struct request *request)
{
    uint64_t number;

    if (!tool_number(request->server.tool, "--threads", optarg, 1, MAX_THREADS, &number))
        return false;
    request->server.threads = (size_t)number;
    return true;
}

static bool take_option(struct request *request, int option)
{
    switch (option) {
    case 'p':
        request->protocol = optarg;
        return true;
    case 's':
        request->serializer = optarg;
        return true;
    case 'c':
        request->connection = optarg;
        return true;
    case 'i':
        request->grpc_only = "--id";
        request->worker.id = optarg;
        return true;
    case 'k':
        return take_handshake(request);
    case 'n':
        return take_threads(request);
    case '1':
        request->server.once = true;
        return true;
    case 'v':
        request->server.verbose = true;
        return true;
    default:
        return take_time(request, option);
    }
}

static int run(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        {"protocol", required_argument, NULL, 'p'},      {"serializer", required_argument, NULL, 's'},
        {"connection", required_argument, NULL, 'c'},    {"id", required_argument, NULL, 'i'},
        {"handshake", required_argument, NULL, 'k'},     {"threads", required_argument, NULL, 'n'},
        {"timeout", required_argument, NULL, 't'},       {"grace", required_argument, NULL, 'g'},
        {"batch-timeout", required_argument, NULL, 'B'}, {"idle-timeout", required_argument, NULL, 'I'},
        {"stall-timeout", required_argument, NULL, 'S'}, {"once", no_argument, NULL, '1'},
        {"verbose", no_argument, NULL, 'v'},             TOOL_OPTIONS_TRANSPORT};
    struct request request = {.server = {.tool = tool, .handshake = TRIB_HANDSHAKE_PID, .timeout_ms = -1},
                              .worker = {.options = TRIB_WORKER_OPTIONS_INIT, .grace_ms = DEFAULT_GRACE_MS}};
    int option, code;

    launch_forget_unknown(options, &argc, argv);
    while ((option = tool_option(tool, argc, argv, options)) != TOOL_END) {
        if (option == TOOL_STOP)
            return tool->exit_code;
        if (!take_option(&request, option))
            return TOOL_USAGE;
    }
    code = choose(&request, argc, argv);
    if (code != TOOL_OK)
        return code;
    if (strcmp(request.protocol, "spark-grpc") == 0)
        return serve_worker(&request);
    if (request.server.once)
        request.server.threads = 1;
    return serve(&request);
}

const struct tool_command tool_serve = {
    "serve",
    "[OPTION...] URI | [OPTION...] --connection PATH|PORT",
    "listen, and serve each connection",
    "Listens at the URI and serves each connection that comes, several at once, until SIGINT,\n"
    "SIGTERM or SIGHUP. A peer that goes wrong costs one line and its own connection. A\n"
    "transport that cannot listen, such as stdio:, is dialled, and that one connection is\n"
    "served. With --connection it is a worker that Spark starts.\n\n"
    "  --protocol NAME      raw: bytes, such as `tributary send` sends them (default)\n"
    "                       spark-socket: sessions of Apache Spark's Python-worker protocol\n"
    "                       spark-grpc: Spark's gRPC worker protocol, at grpc+unix: or grpc+tcp:\n"
    "  --serializer NAME    raw: echo sends the bytes back (default), upper in ASCII upper\n"
    "                       case, count answers at the end how many they were;\n"
    "                       spark-socket, spark-grpc: what a session's data goes through;\n"
    "                       default: the one that its command or payload names, such as c:echo\n"
    "  --handshake NAME     spark-socket: none, pid (default), tcp-daemon or tcp-direct\n"
    "  --threads N          serve so many connections at once (32); the others wait.\n"
    "                       spark-grpc: so many sessions (as many as processors, at least 4)\n"
    "  --timeout SECONDS    end a connection (spark-socket: a session) that takes longer\n"
    "  --once               serve one connection (spark-grpc: one session) and exit; exit code 1\n"
    "                       if it went wrong\n"
    "  --verbose            a line for each connection (session) that went well, too\n"
    "As Spark's worker:\n"
    "  --connection PATH    spark-grpc at this Unix socket, whatever else the command line has:\n"
    "                       flags that are not known are ignored, with their values\n"
    "  --connection PORT    the same over TCP, at 127.0.0.1 and [::1]\n"
    "  --id ID              the worker's name in lines on standard error\n"
    "  --grace SECONDS      how long a signal lets sessions end (2); the worker ends a second\n"
    "                       later, whatever they and their engines do\n"
    "  --batch-timeout SECONDS  end a session whose UDF takes longer for a batch (no limit)\n"
    "  --idle-timeout SECONDS   end one that waits longer for its engine (no limit)\n"
    "  --stall-timeout SECONDS  reset one whose engine reads nothing for so long (600)\n" TOOL_HELP_TRANSPORT,
    run,
};
