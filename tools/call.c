/* `tributary call`: plays Spark's engine to a worker of its gRPC protocol. */
#include "tools/execute_tell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_BATCH ((uint64_t)1 << 20)
#define BATCH_MAX ((uint64_t)1 << 30)

/* What Spark gives a worker to answer these. */
enum { MANAGE_TIMEOUT_MS = 30000 };

struct call {
    const struct tool *tool;
    const char *uri;
    const char *payload;      /* NULL: not given */
    const char *payload_file; /* NULL: not given */
    const char *name;         /* of the UDF; NULL: none */
    char *in;                 /* NULL: no data */
    const char *out;          /* NULL: the answer is discarded */
    uint64_t chunk;           /* of the payload; 0: it is inline */
    uint64_t batch;           /* bytes; 0: not given */
    uint64_t cancel_after;
    bool cancels;
    bool raw;
    bool raw_out;
    bool heartbeat;
    bool shutdown;
    bool shutdown_now;
    int64_t deadline;
};

static bool executes(const struct call *call)
{
    return call->payload != NULL || call->payload_file != NULL;
}

static int fail_dial(const struct call *call, const struct trib_error *err)
{
    char hint[256];

    return tool_fail_open(call->tool, err, execute_hint(err, call->uri, hint, sizeof(hint)));
}

/* ---- The execution ---------------------------------------------------------------------------------------------- */

static int execute_on(struct call *call, struct trib_engine *engine, struct execute *execute)
{
    struct trib_error err;

    execute->payload_chunk = (size_t)call->chunk;
    execute->name = call->name;
    execute->cancels = call->cancels;
    execute->cancel_after = call->cancel_after;
    if (output_empty(&execute->answer->output, &err) != TRIB_OK)
        return tool_fail(call->tool, &err, "nothing was sent");
    return execute_run(execute, engine);
}

/* ---- Manage ------------------------------------------------------------------------------------------------------ */

static void print_metric(void *arg, struct trib_view name, struct trib_view value)
{
    char line[512];
    int len = snprintf(line, sizeof(line), "%.*s %.*s", (int)name.len, (const char *)name.data, (int)value.len, (const char *)value.data);

    (void)arg;
    tool_clean(line, len < (int)sizeof(line) ? (size_t)len : sizeof(line) - 1);
    puts(line);
}

static int64_t manage_deadline(const struct call *call)
{
    int64_t deadline = trib_deadline_ms(MANAGE_TIMEOUT_MS);

    return deadline < call->deadline ? deadline : call->deadline;
}

static int fail_manage(const struct call *call, const struct trib_error *err)
{
    if (err->code == TRIB_ERR_TIMEOUT && trib_now() < call->deadline)
        return tool_fail(call->tool, err, EXECUTE_HINT_PATIENCE);
    return fail_dial(call, err);
}

static int manage(const struct call *call, struct trib_engine *engine)
{
    struct trib_error err;
    bool settled;

    if (call->heartbeat && trib_engine_heartbeat(engine, manage_deadline(call), print_metric, NULL, &err) != TRIB_OK)
        return fail_manage(call, &err);
    if (!call->shutdown && !call->shutdown_now)
        return TOOL_OK;
    if (trib_engine_shutdown(engine, call->shutdown_now, "tributary call", manage_deadline(call), &settled, &err) != TRIB_OK)
        return fail_manage(call, &err);
    tool_line(call->tool, "%s: the worker ends; %s", call->uri, settled ? "no session is in flight" : "sessions are still in flight");
    return TOOL_OK;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

/* `execute` NULL: there is none. */
static int connect_and_call(struct call *call, struct execute *execute)
{
    struct trib_channel_options options = tool_channel_options(call->tool);
    struct trib_engine *engine;
    struct trib_error err;
    int code = TOOL_OK, managed;

    options.deadline = call->deadline;
    if (trib_engine_connect(call->uri, &options, &engine, &err) != TRIB_OK)
        return fail_dial(call, &err);
    if (execute != NULL)
        code = execute_on(call, engine, execute);
    managed = manage(call, engine);
    trib_engine_free(engine);
    return code != TOOL_OK ? code : managed;
}

static int call_with_output(struct call *call, struct execute *execute)
{
    struct answer *answer = execute->answer;
    struct trib_error err;
    int code;

    if (output_open(&answer->output, call->out, &call->in, call->in != NULL ? 1 : 0, &err) != TRIB_OK)
        return tool_fail(call->tool, &err, "nothing was sent");
    code = connect_and_call(call, execute);
    if (output_close(&answer->output, &err) != TRIB_OK && code == TOOL_OK)
        code = tool_fail(call->tool, &err, NULL);
    return code;
}

static int call_with_input(struct call *call, struct execute *execute, int *stop)
{
    struct input input;
    struct trib_error err;
    int code;

    if (call->in == NULL)
        return call_with_output(call, execute);
    if (source_check(call->in, &err) != TRIB_OK ||
        input_open(&input, call->in, call->raw ? (size_t)call->batch : 0, stop[0], &err) != TRIB_OK)
        return tool_fail(call->tool, &err, "nothing was sent");
    execute->input = &input;
    execute->input_stop = &stop[1];
    execute->total = source_total(&call->in, 1);
    execute->answer->arrow = !call->raw && !call->raw_out;
    execute->answer->schema = input.schema;
    code = call_with_output(call, execute);
    input_close(&input);
    return code;
}

static int call_with_payload(struct call *call, struct trib_view payload)
{
    struct answer answer = {.output = {NULL, -1}};
    struct execute execute = {.tool = call->tool, .uri = call->uri, .payload = payload, .answer = &answer, .deadline = call->deadline};
    int stop[2], code;

    if (pipe2(stop, O_CLOEXEC) != 0) {
        tool_line(call->tool, "make a pipe: %s", strerror(errno));
        return TOOL_FAILED;
    }
    code = call_with_input(call, &execute, stop);
    answer_done(&answer);
    close(stop[0]);
    if (stop[1] >= 0)
        close(stop[1]);
    return code;
}

static int call_all(struct call *call)
{
    struct trib_chunk *chunk;
    struct trib_error err;
    int code;

    if (!executes(call))
        return connect_and_call(call, NULL);
    if (call->payload != NULL)
        return call_with_payload(call, (struct trib_view){(const uint8_t *)call->payload, strlen(call->payload), NULL});
    if (trib_chunk_map(call->payload_file, &chunk, &err) != TRIB_OK)
        return tool_fail(call->tool, &err, "nothing was sent");
    code = call_with_payload(call, trib_chunk_view(chunk));
    trib_chunk_unref(chunk);
    return code;
}

/* ---- The command line -------------------------------------------------------------------------------------------- */

static int check(struct call *call)
{
    const struct tool *tool = call->tool;
    bool data = call->in != NULL || call->out != NULL || call->cancels || call->chunk != 0 || call->name != NULL;

    if (call->payload != NULL && call->payload_file != NULL)
        return tool_usage(tool, "--payload and --payload-file: give one of them");
    if (!executes(call) && (data || !(call->heartbeat || call->shutdown || call->shutdown_now)))
        return tool_usage(tool, "which UDF? give --payload NAME, such as --payload echo");
    if (call->batch != 0 && !call->raw)
        return tool_usage(tool, "--batch: only with --raw; an Arrow stream has its own batches");
    if (call->out != NULL && !call->raw && !call->raw_out && call->in == NULL)
        return tool_usage(tool, "--out %s: without --in there is no Arrow schema; give --raw-out", call->out);
    if (call->heartbeat && call->out != NULL && output_is_stdout(call->out))
        return tool_usage(tool, "--heartbeat and --out -: both are for standard output");
    if (call->batch == 0)
        call->batch = DEFAULT_BATCH;
    if (call->name == NULL)
        call->name = call->payload;
    return TOOL_OK;
}

static bool take_number(struct call *call, int option, int64_t *timeout_ms)
{
    switch (option) {
    case 'k':
        return tool_size(call->tool, "--chunk", optarg, 1, BATCH_MAX, &call->chunk);
    case 'b':
        return tool_size(call->tool, "--batch", optarg, 1, BATCH_MAX, &call->batch);
    case 'c':
        call->cancels = true;
        return tool_number(call->tool, "--cancel-after", optarg, 0, UINT64_MAX, &call->cancel_after);
    default:
        return tool_seconds(call->tool, "--timeout", optarg, timeout_ms);
    }
}

static bool take_option(struct call *call, int option, int64_t *timeout_ms)
{
    switch (option) {
    case 'p':
        call->payload = optarg;
        return true;
    case 'f':
        call->payload_file = optarg;
        return true;
    case 'n':
        call->name = optarg;
        return true;
    case 'i':
        call->in = optarg;
        return true;
    case 'o':
        call->out = optarg;
        return true;
    case 'r':
        call->raw = true;
        return true;
    case 'R':
        call->raw_out = true;
        return true;
    case 'H':
        call->heartbeat = true;
        return true;
    case 's':
        call->shutdown = true;
        return true;
    case 'S':
        call->shutdown_now = true;
        return true;
    default:
        return take_number(call, option, timeout_ms);
    }
}

static int run(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        {"payload", required_argument, NULL, 'p'}, {"payload-file", required_argument, NULL, 'f'}, {"name", required_argument, NULL, 'n'},
        {"chunk", required_argument, NULL, 'k'},   {"in", required_argument, NULL, 'i'},           {"out", required_argument, NULL, 'o'},
        {"raw", no_argument, NULL, 'r'},           {"raw-out", no_argument, NULL, 'R'},            {"batch", required_argument, NULL, 'b'},
        {"heartbeat", no_argument, NULL, 'H'},     {"shutdown", no_argument, NULL, 's'},           {"shutdown-now", no_argument, NULL, 'S'},
        {"timeout", required_argument, NULL, 't'}, {"cancel-after", required_argument, NULL, 'c'}, TOOL_OPTIONS_HELP};
    static const char *const known[] = {"authority", NULL};
    struct call call = {.tool = tool};
    int64_t timeout_ms = -1;
    int option, code;

    while ((option = tool_option(tool, argc, argv, options)) != TOOL_END) {
        if (option == TOOL_STOP)
            return tool->exit_code;
        if (!take_option(&call, option, &timeout_ms))
            return TOOL_USAGE;
    }
    code = tool_operands(tool, argc, 1, 1);
    if (code == TOOL_OK)
        code = check(&call);
    if (code != TOOL_OK)
        return code;
    call.uri = argv[optind];
    code = tool_check_grpc(tool, call.uri, known);
    if (code != TOOL_OK)
        return code;
    call.deadline = trib_deadline_ms(timeout_ms);
    return call_all(&call);
}

const struct tool_command tool_call = {
    "call",
    "[OPTION...] URI --payload NAME [--in FILE] [--out FILE]",
    "play Spark's engine: run a UDF on a worker",
    "Connects to a worker of Spark's gRPC protocol at grpc+unix:PATH or grpc+tcp:HOST:PORT and\n"
    "plays the engine of one execution: Init, the data, Finish. FILE is an Arrow IPC stream,\n"
    "each of its batches one DataRequest, as Spark sends them; - is standard input or output.\n"
    "Totals, times and the worker's metrics go to standard error, and a bar while it works if\n"
    "that is a terminal. Exit code: 0, 1 where something failed, 2 where the command line is\n"
    "wrong, 3 where the worker answered with an error.\n\n"
    "  --payload NAME       the UDF's payload, such as echo, upper or count\n"
    "  --payload-file FILE  the same from a file\n"
    "  --name NAME          the UDF's name (what --payload says)\n"
    "  --chunk SIZE         send the payload behind Init, in chunks of this size\n"
    "  --in FILE            the data; without it there is none\n"
    "  --out FILE           write the answer there, an Arrow stream of the schema that it brings, or\n"
    "                       else of the input's; without it the answer is counted and discarded\n"
    "  --raw                FILE is any bytes, and so is the answer\n"
    "  --batch SIZE         --raw: bytes in each DataRequest (1MiB)\n"
    "  --raw-out            write the answer's bytes as they come, whatever they are\n"
    "  --cancel-after N     cancel after N batches instead of Finish\n"
    "  --timeout SECONDS    for all of it. Init and the end have 30 seconds in any case\n"
    "Of the worker as a whole, after the execution or without one:\n"
    "  --heartbeat          print the worker's metrics, one in each line\n"
    "  --shutdown           tell it to end once its sessions have\n"
    "  --shutdown-now       tell it to end them, and itself\n" TOOL_HELP_HELP,
    run,
};
