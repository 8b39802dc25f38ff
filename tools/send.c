/* `tributary send`: sends files and takes the answer, both at once. */
#include "tools/output.h"
#include "tools/source.h"
#include "tools/tool.h"

#include <tributary/reader.h>
#include <tributary/writer.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REFRESH_MS = 100 };

struct sending {
    const struct tool *tool;
    const char *uri;
    char **files;
    size_t file_count;
    const char *out_path; /* NULL: the answer is discarded */
    struct output out;
    int64_t deadline;
    struct trib_channel *channel;
    int stop[2]; /* a pipe: closing its writing end stops a wait for input */
    _Atomic uint64_t sent;
    int code; /* of the thread that sends; after join */
    struct trib_error err;
};

/* ---- The thread that sends ------------------------------------------------------------------------------------ */

static int send_file(struct sending *sending, const char *path, struct trib_error *err)
{
    struct trib_writer *writer = trib_channel_writer(sending->channel);
    struct source source;
    struct trib_view view;
    int rc = source_open(&source, path, sending->stop[0], err);

    if (rc != TRIB_OK)
        return rc;
    while ((rc = source_next(&source, &view, err)) == TRIB_OK && (rc = trib_writer_view(writer, view, err)) == TRIB_OK) {
        atomic_fetch_add_explicit(&sending->sent, view.len, memory_order_relaxed);
        if (source.interactive && (rc = trib_writer_flush(writer, err)) != TRIB_OK)
            break;
    }
    source_close(&source);
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

static void *send_main(void *arg)
{
    struct sending *sending = arg;
    int rc = TRIB_OK;

    trib_writer_set_deadline(trib_channel_writer(sending->channel), sending->deadline);
    for (size_t i = 0; rc == TRIB_OK && i < sending->file_count; i++)
        rc = send_file(sending, sending->files[i], &sending->err);
    if (rc == TRIB_OK)
        rc = trib_writer_finish(trib_channel_writer(sending->channel), 0, NULL, &sending->err);
    sending->code = rc;
    if (rc != TRIB_OK)
        trib_channel_cancel(sending->channel);
    return NULL;
}

/* ---- The thread that takes the answer ------------------------------------------------------------------------- */

/* Wakes up for the bar: the answer may come only when all has been sent. */
static int take_answer(struct sending *sending, struct tool_progress *progress, uint64_t *received, struct trib_error *err)
{
    struct trib_reader *reader = trib_channel_reader(sending->channel);
    struct trib_view view;
    int rc = TRIB_OK;

    while (rc == TRIB_OK) {
        int64_t tick = trib_deadline_ms(REFRESH_MS);
        bool last = tick >= sending->deadline;
        trib_reader_set_deadline(reader, last ? sending->deadline : tick);
        rc = trib_reader_take_some(reader, SIZE_MAX, &view, err);
        if (rc == TRIB_OK) {
            *received += view.len;
            rc = output_write(&sending->out, view, err);
        } else if (rc == TRIB_ERR_TIMEOUT && !last) {
            rc = TRIB_OK;
        }
        tool_progress_show(progress, atomic_load_explicit(&sending->sent, memory_order_relaxed));
    }
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

/* ---- Both ----------------------------------------------------------------------------------------------------- */

/* The sending thread's failure led to the answer's, unless it was cancelled itself. */
static int settle(int rc, const struct sending *sending, struct trib_error *err)
{
    if (sending->code != TRIB_OK && sending->code != TRIB_ERR_CANCELLED && (rc == TRIB_OK || rc == TRIB_ERR_CANCELLED)) {
        *err = sending->err;
        return sending->code;
    }
    return rc;
}

static void print_totals(const struct sending *sending, uint64_t received, int64_t elapsed)
{
    uint64_t sent = atomic_load(&sending->sent);

    tool_line(sending->tool, "%s: sent %s, received %s in %s, %s", sending->uri, tool_word_size(sent).text,
              tool_word_size(received).text, tool_word_time(elapsed).text, tool_word_rate(sent, elapsed).text);
}

static int fail_transfer(const struct sending *sending, const struct trib_error *err)
{
    char buf[256];
    const char *hint = tool_hint_dial(err, sending->uri, buf, sizeof(buf));

    tool_line(sending->tool, "%s: %s%s%s", sending->uri, err->message, hint != NULL ? "; " : "", hint != NULL ? hint : "");
    return TOOL_FAILED;
}

static int transfer(struct sending *sending)
{
    struct tool_progress progress;
    struct trib_error err;
    uint64_t received = 0;
    int64_t started = trib_now();
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, send_main, sending);

    if (rc != 0) {
        trib_error_set(&err, TRIB_ERR_IO, rc, "start a thread");
        return fail_transfer(sending, &err);
    }
    tool_progress_start(&progress, "sent", source_total(sending->files, sending->file_count), true);
    rc = take_answer(sending, &progress, &received, &err);
    if (rc != TRIB_OK) {
        trib_channel_cancel(sending->channel);
        close(sending->stop[1]);
        sending->stop[1] = -1;
    }
    pthread_join(thread, NULL);
    tool_progress_end(&progress);
    rc = settle(rc, sending, &err);
    if (rc != TRIB_OK)
        return fail_transfer(sending, &err);
    print_totals(sending, received, trib_now() - started);
    return TOOL_OK;
}

/* Before anything is sent: what cannot be read is said while nothing has happened. */
static int check_files(const struct sending *sending)
{
    struct trib_error err;

    for (size_t i = 0; i < sending->file_count; i++)
        if (source_check(sending->files[i], &err) != TRIB_OK)
            return tool_fail(sending->tool, &err, "nothing was sent");
    return TOOL_OK;
}

static int connect_and_transfer(struct sending *sending)
{
    struct trib_channel_options options = tool_channel_options(sending->tool);
    struct trib_error err;
    char hint[256];
    int code;

    options.deadline = sending->deadline;
    if (trib_dial(sending->uri, &options, &sending->channel, &err) != TRIB_OK)
        return tool_fail_open(sending->tool, &err, tool_hint_dial(&err, sending->uri, hint, sizeof(hint)));
    code = pipe2(sending->stop, O_CLOEXEC);
    /* Only when there is a peer: where nothing could be sent, the answer before this one stays. */
    if (code == 0 && output_empty(&sending->out, &err) != TRIB_OK) {
        code = fail_transfer(sending, &err);
        close(sending->stop[0]);
        close(sending->stop[1]);
    } else if (code == 0) {
        code = transfer(sending);
        close(sending->stop[0]);
        if (sending->stop[1] >= 0)
            close(sending->stop[1]);
    } else {
        trib_error_set(&err, TRIB_ERR_IO, errno, "make a pipe");
        code = fail_transfer(sending, &err);
    }
    trib_channel_free(sending->channel);
    return code;
}

static int send_all(struct sending *sending)
{
    struct trib_error err;
    int code = check_files(sending);

    if (code != TOOL_OK)
        return code;
    if (output_open(&sending->out, sending->out_path, sending->files, sending->file_count, &err) != TRIB_OK)
        return tool_fail(sending->tool, &err, "nothing was sent");
    code = connect_and_transfer(sending);
    if (output_close(&sending->out, &err) != TRIB_OK && code == TOOL_OK)
        code = tool_fail(sending->tool, &err, NULL);
    return code;
}

static int run(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        {"out", required_argument, NULL, 'o'}, {"timeout", required_argument, NULL, 't'}, TOOL_OPTIONS_TRANSPORT};
    struct sending sending = {.tool = tool, .deadline = TRIB_FOREVER};
    int64_t timeout_ms = -1;
    int option, code;

    while ((option = tool_option(tool, argc, argv, options)) != TOOL_END) {
        if (option == TOOL_STOP)
            return tool->exit_code;
        if (option == 'o')
            sending.out_path = optarg;
        else if (!tool_seconds(tool, "--timeout", optarg, &timeout_ms))
            return TOOL_USAGE;
    }
    code = tool_operands(tool, argc, 2, argc);
    if (code != TOOL_OK)
        return code;
    sending.deadline = trib_deadline_ms(timeout_ms);
    sending.uri = argv[optind];
    code = tool_check_outside(tool, sending.uri, "send where another process listens, such as unix:PATH");
    if (code != TOOL_OK)
        return code;
    sending.files = argv + optind + 1;
    sending.file_count = (size_t)(argc - optind - 1);
    return send_all(&sending);
}

const struct tool_command tool_send = {
    "send",
    "[OPTION...] URI FILE...",
    "send files, and take the answer",
    "Dials the URI and sends the files one after the other, by reference: regular files are\n"
    "mapped, not read. The answer is taken at the same time, so neither waits for the other.\n"
    "FILE may be -, standard input. Totals and rates go to standard error, and a bar while it\n"
    "works if that is a terminal.\n\n"
    "  --out FILE           write the answer there, - is standard output; without it the\n"
    "                       answer is counted and discarded\n"
    "  --timeout SECONDS    for all of it\n" TOOL_HELP_TRANSPORT,
    run,
};
