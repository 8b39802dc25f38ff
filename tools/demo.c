/* `tributary demo`: every captured session over every channel, through the same objects; then what the channels cost. */
#include "tools/link.h"
#include "tools/play.h"
#include "tools/pump.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CHANNELS_MAX = 16, SESSION_TIMEOUT_MS = 30000, TABLE_COLUMNS = 12 };

static const size_t message_sizes[] = {(size_t)1 << 20, (size_t)64 << 10};
#define MESSAGE_SIZES (sizeof(message_sizes) / sizeof(message_sizes[0]))

struct channel_result {
    size_t right;    /* sessions */
    size_t answered; /* of them, those whose answer was computed and compared */
    uint64_t streams;
    uint64_t bytes;
    uint64_t events;
    struct pump_result pumped[MESSAGE_SIZES];
};

struct demo {
    struct tool *tool;
    const char *data;
    uint64_t bytes; /* to pump through each channel */
    const char *uris[CHANNELS_MAX];
    size_t uri_count;
    char **names; /* of the sessions */
    size_t name_count;
    bool wrong;
    struct channel_result results[CHANNELS_MAX];
};

/* "unix:" of "unix:/tmp/x/socket": what a table has room for. */
static const char *label(const char *uri, char *buf, size_t len)
{
    const char *colon = strchr(uri, ':');

    snprintf(buf, len, "%.*s", colon != NULL ? (int)(colon - uri + 1) : (int)strlen(uri), uri);
    return buf;
}

static void report(struct demo *demo, const struct play *play, const char *what, const struct trib_error *err)
{
    demo->wrong = true;
    play_fail(play, what, err);
}

/* ---- Sessions --------------------------------------------------------------------------------------------------- */

static int play_half(const struct play *play, const struct capture *capture, struct channel_result *result,
                     struct trib_error *err)
{
    uint64_t events;
    int rc = capture->chunk != NULL ? play_back(play, capture, &events, err)
                                    : trib_error_set(err, TRIB_ERR_FAILED, 0, "one of the two directions is not there");

    if (rc != TRIB_OK)
        return rc;
    result->streams++;
    result->bytes += trib_chunk_len(capture->chunk);
    result->events += events;
    return TRIB_OK;
}

static int play_session(const struct play *play, const struct session *session, struct channel_result *result,
                        struct trib_error *err)
{
    const char *serializer;
    struct compare_masked masked;
    bool answerable = false;
    int rc = play_half(play, &session->engine, result, err);

    if (rc == TRIB_OK)
        rc = play_half(play, &session->worker, result, err);
    if (rc == TRIB_OK)
        rc = play_answerable(session, &answerable, &serializer, err);
    if (rc == TRIB_OK && answerable)
        rc = play_answer(play, session, &masked, err);
    if (rc != TRIB_OK)
        return rc;
    result->right++;
    result->answered += answerable ? 1 : 0;
    return TRIB_OK;
}

static void play_all(struct demo *demo, const char *uri, struct channel_result *result)
{
    struct play play = {demo->tool, uri, 0, SESSION_TIMEOUT_MS};
    struct tool_progress progress;
    char what[32];

    tool_progress_start(&progress, label(uri, what, sizeof(what)), demo->name_count, false);
    for (size_t i = 0; i < demo->name_count; i++) {
        struct session session;
        struct trib_error err;
        int rc = session_open(demo->names[i], &session, &err);
        tool_progress_show(&progress, i);
        if (rc == TRIB_OK) {
            rc = play_session(&play, &session, result, &err);
            session_done(&session);
        }
        if (rc != TRIB_OK)
            report(demo, &play, demo->names[i], &err);
    }
    tool_progress_end(&progress);
}

/* ---- Throughput ------------------------------------------------------------------------------------------------- */

static void pump_all(struct demo *demo, const char *uri, struct channel_result *result)
{
    struct play play = {demo->tool, uri, 0, SESSION_TIMEOUT_MS};
    char name[32], what[96];
    struct trib_error err;

    for (size_t i = 0; i < MESSAGE_SIZES; i++) {
        struct pump pump = {demo->tool, uri, what, demo->bytes, message_sizes[i]};
        snprintf(what, sizeof(what), "%s %s messages", label(uri, name, sizeof(name)), tool_word_size(message_sizes[i]).text);
        if (pump_run(&pump, &result->pumped[i], &err) != TRIB_OK)
            report(demo, &play, what, &err);
    }
}

/* ---- The table -------------------------------------------------------------------------------------------------- */

static void print_pumped(const struct pump_result *pumped, size_t message)
{
    double mib = (double)pumped->bytes / 1048576.0;
    double percent = pumped->bytes > 0 ? (double)pumped->copied / (double)pumped->bytes * 100.0 : 0.0;

    if (pumped->bytes == 0) {
        printf("  %8s  failed\n", tool_word_size(message).text);
        return;
    }
    printf("  %8s  %8.2f  %8.2f  %8.2f  %10s  %7.3f %%\n", tool_word_size(message).text,
           (double)pumped->bytes / (double)pumped->ns, (double)pumped->calls_sending / mib, (double)pumped->calls_receiving / mib,
           tool_word_size(pumped->copied).text, percent);
}

static void print_table(const struct demo *demo)
{
    char name[32], right[48];

    printf("                                                  system calls        copied in\n"
           "            sessions                              per MiB             user space\n"
           "channel     right       messages  GB/s      sending   receiving\n");
    for (size_t i = 0; i < demo->uri_count; i++) {
        const struct channel_result *result = &demo->results[i];
        snprintf(right, sizeof(right), "%zu of %zu", result->right, demo->name_count);
        for (size_t j = 0; j < MESSAGE_SIZES; j++) {
            printf("%-10s  %-10s", j == 0 ? label(demo->uris[i], name, sizeof(name)) : "", j == 0 ? right : "");
            print_pumped(&result->pumped[j], message_sizes[j]);
        }
    }
}

static void print_sessions(const struct demo *demo)
{
    const struct channel_result *result = &demo->results[0];

    printf("%zu captured sessions from %s:\n", demo->name_count, demo->data);
    for (size_t i = 0; i < demo->uri_count; i++)
        printf("  %s\n    %zu of %zu right: %" PRIu64 " streams of %" PRIu64 " events, %" PRIu64
               " bytes, came back equal to the byte; %zu answers computed\n",
               demo->uris[i], result[i].right, demo->name_count, result[i].streams, result[i].events, result[i].bytes,
               result[i].answered);
    printf("A stream is parsed by the message layer, written to the channel, parsed and written back at its\n"
           "other end, and compared. An answer is computed by the serializer that the session names (c:echo,\n"
           "c:upper), and compared with the recorded one but for process id and times.\n\n");
}

/* What every session would say of a URI that cannot be opened is said once. */
static int try_channels(const struct demo *demo)
{
    struct trib_error err;

    for (size_t i = 0; i < demo->uri_count; i++)
        if (link_try(demo->tool, demo->uris[i], &err) != TRIB_OK)
            return tool_fail_open(demo->tool, &err, tool_hint(&err));
    return TOOL_OK;
}

static int run_demo(struct demo *demo)
{
    struct trib_error err;
    int code = try_channels(demo);

    if (code != TOOL_OK)
        return code;
    if (session_names(demo->data, &demo->names, &demo->name_count, &err) != TRIB_OK)
        return tool_fail(demo->tool, &err, "give the folder of captured sessions with --data");
    for (size_t i = 0; i < demo->uri_count; i++)
        play_all(demo, demo->uris[i], &demo->results[i]);
    print_sessions(demo);
    tool_flush();
    for (size_t i = 0; i < demo->uri_count && demo->bytes > 0; i++)
        pump_all(demo, demo->uris[i], &demo->results[i]);
    if (demo->bytes > 0)
        print_table(demo);
    session_names_free(demo->names, demo->name_count);
    for (size_t i = 0; i < demo->uri_count; i++)
        demo->wrong = demo->wrong || demo->results[i].right != demo->name_count;
    return demo->wrong ? TOOL_FAILED : TOOL_OK;
}

static int run_default(struct demo *demo)
{
    struct link_place place;
    struct trib_error err;
    int code;

    if (link_place_init(&place, &err) != TRIB_OK)
        return tool_fail(demo->tool, &err, "set TMPDIR to a folder where sockets can be made");
    demo->uris[demo->uri_count++] = place.unix_uri;
    demo->uris[demo->uri_count++] = "chunk:demo";
    demo->uris[demo->uri_count++] = place.grpc_uri;
    demo->uris[demo->uri_count++] = "grpc+tcp:127.0.0.1:0";
    code = run_demo(demo);
    link_place_done();
    return code;
}

static int run(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"bytes", required_argument, NULL, 'b'},
                                            {"over", required_argument, NULL, 'o'},
                                            TOOL_OPTIONS_TRANSPORT};
    struct demo demo = {.tool = tool, .data = "tests/data/spark-4.3.0", .bytes = UINT64_C(1) << 30};
    int option, code;

    while ((option = tool_option(tool, argc, argv, options)) != TOOL_END) {
        if (option == TOOL_STOP)
            return tool->exit_code;
        if (option == 'd')
            demo.data = optarg;
        else if (option == 'b' && !tool_size(tool, "--bytes", optarg, 0, UINT64_C(1) << 50, &demo.bytes))
            return TOOL_USAGE;
        else if (option == 'o' && demo.uri_count == CHANNELS_MAX)
            return tool_usage(tool, "--over: at most %d channels", CHANNELS_MAX);
        else if (option == 'o')
            demo.uris[demo.uri_count++] = optarg;
    }
    code = tool_operands(tool, argc, 0, 0);
    if (code != TOOL_OK)
        return code;
    return demo.uri_count > 0 ? run_demo(&demo) : run_default(&demo);
}

const struct tool_command tool_demo = {
    "demo",
    "[OPTION...]",
    "the main job: captured sessions over every channel, and throughput",
    "Plays every captured session in a folder over every channel through one and the same\n"
    "code, chosen by the URI alone: each direction has to come back from the channel and the\n"
    "message layer equal to the byte, and the answers of sessions that name a serializer of\n"
    "this program (c:echo) have to be what was recorded. Then it pumps messages through each\n"
    "channel and prints a table: sessions right, GB/s, system calls, bytes copied in user\n"
    "space. Exit code 1 when anything is wrong.\n\n"
    "  --data DIR           the captured sessions (tests/data/spark-4.3.0)\n"
    "  --bytes SIZE         how much to pump with each size of message (1GiB); 0: nothing\n"
    "  --over URI           these channels instead of unix:, chunk:, grpc+unix: and\n"
    "                       grpc+tcp:; may be given again\n" TOOL_HELP_TRANSPORT,
    run,
};
