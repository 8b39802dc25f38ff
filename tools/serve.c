/* `tributary serve`: listens, and serves each connection through a serializer. */
#include "tools/capture.h"
#include "tools/server.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_THREADS = 32, MAX_THREADS = 1024 };

struct request {
    struct server_options server;
    const char *protocol;
    const char *serializer; /* NULL: not given */
};

/* A transport without listeners, such as stdio:, has one channel to serve. */
static int serve_dialled(const struct request *request, const struct trib_channel_options *options)
{
    struct trib_channel *channel;
    struct trib_error err;
    int code;

    if (trib_dial(request->server.uri, options, &channel, &err) != TRIB_OK)
        return tool_fail(request->server.tool, &err, tool_hint(&err));
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

static int serve_listener(const struct request *request, const struct trib_channel_options *options)
{
    struct trib_listener *listener;
    struct trib_error err;
    sigset_t signals;
    int code;

    /* Before any thread: all inherit it, and none but the one that waits for them gets these. */
    server_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (trib_listen(request->server.uri, options, &listener, &err) != TRIB_OK)
        return tool_fail(request->server.tool, &err, tool_hint(&err));
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
    struct trib_error err;

    if (tool_check_outside(tool, request->server.uri, &err) != TRIB_OK)
        return tool_fail(tool, &err, "serve where a process can dial, such as unix:PATH");
    if (transport != NULL && transport->listen == NULL && transport->dial != NULL)
        return serve_dialled(request, &options);
    return serve_listener(request, &options);
}

/* Which protocol with which serializer. */
static int choose(struct request *request)
{
    const struct tool *tool = request->server.tool;
    bool raw = strcmp(request->protocol, "raw") == 0;

    if (!raw && strcmp(request->protocol, "spark-socket") != 0)
        return tool_usage(tool, "--protocol %s: neither raw nor spark-socket", request->protocol);
    if (raw && request->serializer == NULL)
        request->serializer = "echo";
    if (raw)
        request->server.raw = raw_find(request->serializer);
    else if (request->serializer != NULL)
        request->server.serializer = trib_serializer_find(request->serializer);
    if (raw ? request->server.raw == NULL : request->serializer != NULL && request->server.serializer == NULL)
        return tool_usage(tool, "--serializer %s: none of echo, upper and count", request->serializer);
    return TOOL_OK;
}

static bool take_option(struct request *request, int option)
{
    const struct tool *tool = request->server.tool;
    uint64_t number;
    int handshake;

    switch (option) {
    case 'p':
        request->protocol = optarg;
        return true;
    case 's':
        request->serializer = optarg;
        return true;
    case 'k':
        handshake = handshake_find(optarg);
        if (handshake < 0)
            return tool_usage(tool, "--handshake %s: none of none, pid, tcp-daemon and tcp-direct", optarg) == TOOL_OK;
        request->server.handshake = (enum trib_handshake)handshake;
        return true;
    case 'n':
        if (!tool_number(tool, "--threads", optarg, 1, MAX_THREADS, &number))
            return false;
        request->server.threads = (size_t)number;
        return true;
    case 't':
        return tool_seconds(tool, "--timeout", optarg, &request->server.timeout_ms);
    case '1':
        request->server.once = true;
        return true;
    default:
        request->server.verbose = true;
        return true;
    }
}

static int run(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        {"protocol", required_argument, NULL, 'p'},  {"serializer", required_argument, NULL, 's'},
        {"handshake", required_argument, NULL, 'k'}, {"threads", required_argument, NULL, 'n'},
        {"timeout", required_argument, NULL, 't'},   {"once", no_argument, NULL, '1'},
        {"verbose", no_argument, NULL, 'v'},         TOOL_OPTIONS_TRANSPORT};
    struct request request = {{tool, NULL, NULL, NULL, TRIB_HANDSHAKE_PID, -1, DEFAULT_THREADS, false, false}, "raw", NULL};
    int option, code;

    while ((option = tool_option(tool, argc, argv, options)) != TOOL_END) {
        if (option == TOOL_STOP)
            return tool->exit_code;
        if (!take_option(&request, option))
            return TOOL_USAGE;
    }
    code = tool_operands(tool, argc, 1, 1);
    if (code == TOOL_OK)
        code = choose(&request);
    if (code != TOOL_OK)
        return code;
    request.server.uri = argv[optind];
    if (request.server.once)
        request.server.threads = 1;
    return serve(&request);
}

const struct tool_command tool_serve = {
    "serve",
    "[OPTION...] URI",
    "listen, and serve each connection",
    "Listens at the URI and serves each connection that comes, several at once, until SIGINT,\n"
    "SIGTERM or SIGHUP. A peer that goes wrong costs one line and its own connection. A\n"
    "transport that cannot listen, such as stdio:, is dialled, and that one connection is\n"
    "served.\n\n"
    "  --protocol NAME      raw: bytes, such as `tributary send` sends them (default)\n"
    "                       spark-socket: sessions of Apache Spark's Python-worker protocol\n"
    "  --serializer NAME    raw: echo sends the bytes back (default), upper in ASCII upper\n"
    "                       case, count answers at the end how many they were;\n"
    "                       spark-socket: what a session's data goes through; default: the one\n"
    "                       that its command names, such as c:echo\n"
    "  --handshake NAME     spark-socket: none, pid (default), tcp-daemon or tcp-direct\n"
    "  --threads N          serve so many connections at once (32); the others wait\n"
    "  --timeout SECONDS    end a connection (spark-socket: a session) that takes longer\n"
    "  --once               serve one connection and exit; exit code 1 if it went wrong\n"
    "  --verbose            a line for each connection that went well, too\n" TOOL_HELP_TRANSPORT,
    run,
};
