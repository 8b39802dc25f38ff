/* `tributary replay`: plays a captured session over a channel to the message layer, and compares. */
#include "tools/link.h"
#include "tools/play.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_TIMEOUT_MS = 60000 };

static int replay_back(const struct play *play, const struct capture *capture)
{
    struct trib_error err;
    uint64_t events;

    if (capture->chunk == NULL)
        return TOOL_OK;
    if (play_back(play, capture, &events, &err) != TRIB_OK)
        return play_fail(play, capture->path, &err);
    printf("  %s: %zu bytes, %" PRIu64 " events: parsed, written again, and equal to the byte\n", side_name(capture->side),
           trib_chunk_len(capture->chunk), events);
    return TOOL_OK;
}

static const char *why_no_answer(const struct session *session)
{
    if (session->engine.chunk == NULL)
        return "the engine's direction is not there";
    if (session->worker.chunk == NULL)
        return "none was recorded";
    return "its command is none of echo, upper and count";
}

static int replay_answer(const struct play *play, const struct session *session)
{
    const char *serializer;
    struct compare_masked masked;
    struct trib_error err;
    bool answerable;

    if (play_answerable(session, &answerable, &serializer, &err) != TRIB_OK)
        return play_fail(play, session->name, &err);
    if (!answerable) {
        printf("  answer: not computed, as %s\n", why_no_answer(session));
        return TOOL_OK;
    }
    if (play_answer(play, session, &masked, &err) != TRIB_OK)
        return play_fail(play, session->name, &err);
    printf("  answer: computed by %s, %zu bytes: equal to the recorded one, with %zu bytes of process id and %zu bytes of times "
           "masked\n",
           serializer, trib_chunk_len(session->worker.chunk), masked.pid_bytes, masked.time_bytes);
    return TOOL_OK;
}

static int replay(const struct play *play, const char *path)
{
    struct session session;
    struct trib_error err;
    int code;

    if (link_try(play->tool, play->uri, &err) != TRIB_OK)
        return tool_fail_open(play->tool, &err, tool_hint(&err));
    if (session_open(path, &session, &err) != TRIB_OK)
        return tool_fail(play->tool, &err, "give the path of a capture, or its stem");
    printf("%s over %s\n", session.name, play->uri);
    code = replay_back(play, &session.engine);
    if (code == TOOL_OK)
        code = replay_back(play, &session.worker);
    if (code == TOOL_OK)
        code = replay_answer(play, &session);
    session_done(&session);
    return code;
}

static int run(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"over", required_argument, NULL, 'o'},
                                            {"split", required_argument, NULL, 's'},
                                            {"timeout", required_argument, NULL, 't'},
                                            TOOL_OPTIONS_TRANSPORT};
    struct play play = {tool, NULL, 0, DEFAULT_TIMEOUT_MS};
    uint64_t split = 0;
    int option, code;

    while ((option = tool_option(tool, argc, argv, options)) != TOOL_END) {
        if (option == TOOL_STOP)
            return tool->exit_code;
        if (option == 'o')
            play.uri = optarg;
        else if (option == 's' && !tool_size(tool, "--split", optarg, 1, SIZE_MAX / 2, &split))
            return TOOL_USAGE;
        else if (option == 't' && !tool_seconds(tool, "--timeout", optarg, &play.timeout_ms))
            return TOOL_USAGE;
    }
    code = tool_operands(tool, argc, 1, 1);
    if (code != TOOL_OK)
        return code;
    if (play.uri == NULL)
        return tool_usage(tool, "which channel? give --over URI, such as --over chunk:replay");
    play.split = (size_t)split;
    return replay(&play, argv[optind]);
}

const struct tool_command tool_replay = {
    "replay",
    "[OPTION...] CAPTURE --over URI",
    "play a captured session over a channel, and compare",
    "Plays a captured session over a channel whose two ends are both in this process, on\n"
    "threads of their own. Each direction is sent, parsed by the message layer, written back\n"
    "by it, and has to come back equal to the byte. Where the session's command names a\n"
    "serializer of this program (c:echo), the worker's answer is computed by it and compared\n"
    "with the recorded one: everything has to be equal but the worker's process id and the\n"
    "times. CAPTURE is a file, or the stem of two.\n\n"
    "  --over URI           the channel: unix:PATH, chunk:NAME, grpc+unix:PATH,\n"
    "                       grpc+tcp:127.0.0.1:0, or one of a loaded transport\n"
    "  --split SIZE         send the bytes in pieces of this size, each on its own\n"
    "  --timeout SECONDS    for each direction (60)\n" TOOL_HELP_TRANSPORT,
    run,
};
