/* `tributary inspect`: prints a captured session readably. */
#include "tools/capture.h"
#include "tools/inspect_print.h"
#include "tools/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int report_break(struct tool *tool, const struct capture *capture, uint64_t end, const struct trib_error *err)
{
    tool_flush();
    tool_line(tool, "%s: after byte %" PRIu64 " of %zu: %s; %s", capture->path, end, trib_chunk_len(capture->chunk), err->message,
              err->code == TRIB_ERR_SHORT ? "the capture is not whole" : "is it a capture of a Spark 4.3 worker's socket?");
    return TOOL_FAILED;
}

static int inspect(struct tool *tool, const struct capture *capture, bool full)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    struct capture_walk walk;
    struct trib_error err;
    uint64_t end = 0, events = 0;
    int rc = capture_walk_init(&walk, capture, &err);

    if (rc != TRIB_OK)
        return tool_fail(tool, &err, NULL);
    printf("%s: %s, handshake %s, %zu bytes\n   offset    length  event\n", capture->path, side_name(capture->side),
           handshake_name(capture->handshake), trib_chunk_len(capture->chunk));
    while ((rc = capture_walk_next(&walk, &event, &err)) == TRIB_OK) {
        inspect_print_event(&event, capture->side, full);
        end = event.offset + event.length;
        events++;
    }
    if (rc == TRIB_EOF)
        printf("%9" PRIu64 "  the end, after %" PRIu64 " events\n", end, events);
    capture_walk_done(&walk);
    return rc == TRIB_EOF ? TOOL_OK : report_break(tool, capture, end, &err);
}

static int inspect_session(struct tool *tool, const char *path, bool full)
{
    struct session session;
    struct trib_error err;
    int code = TOOL_OK;

    if (session_open(path, &session, &err) != TRIB_OK)
        return tool_fail(tool, &err, "give the path of a capture, or its stem");
    if (session.engine.chunk != NULL)
        code = inspect(tool, &session.engine, full);
    if (session.engine.chunk != NULL && session.worker.chunk != NULL)
        putchar('\n');
    if (session.worker.chunk != NULL && inspect(tool, &session.worker, full) != TOOL_OK)
        code = TOOL_FAILED;
    session_done(&session);
    return code;
}

static int inspect_file(struct tool *tool, const char *path, bool full)
{
    struct capture capture;
    struct trib_error err;
    int code;

    if (capture_open(path, &capture, &err) != TRIB_OK)
        return tool_fail(tool, &err, "give the path of a capture, or its stem");
    code = inspect(tool, &capture, full);
    capture_done(&capture);
    return code;
}

static int run(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"full", no_argument, NULL, 'f'}, TOOL_OPTIONS_HELP};
    bool full = false;
    int option, code;

    while ((option = tool_option(tool, argc, argv, options)) != TOOL_END) {
        if (option != 'f')
            return tool->exit_code;
        full = true;
    }
    code = tool_operands(tool, argc, 1, 1);
    if (code != TOOL_OK)
        return code;
    /* An ending means this file alone; a stem means both. */
    if (strlen(argv[optind]) > 4 && strcmp(argv[optind] + strlen(argv[optind]) - 4, ".bin") == 0)
        return inspect_file(tool, argv[optind], full);
    return inspect_session(tool, argv[optind], full);
}

const struct tool_command tool_inspect = {
    "inspect",
    "[OPTION...] CAPTURE",
    "print a captured session",
    "Prints what a captured session of the Spark socket protocol holds: each event with its\n"
    "offset and length, every field of the init message, every Arrow message with its kind,\n"
    "rows and sizes, every marker. CAPTURE is a file, or the stem of two:\n"
    "STEM.engine-to-worker.bin and STEM.worker-to-engine.bin. A broken capture is printed up\n"
    "to where it breaks.\n\n"
    "  --full               do not cut long texts\n" TOOL_HELP_HELP,
    run,
};
