/* `tributary serve --connection`: a worker of Spark's gRPC protocol as a process. */
#include "tools/udf_worker.h"

#include "tools/server.h"
#include "tools/strangers.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The second is what comes on top of a signal's grace; the default of that, this, the last words to clients and a UDF that does not return take three
 * seconds. An engine sends SIGKILL after five. */
enum { SETTLE_MS = 2000, SHUTDOWN_MS = 500 };

/* ---- Signals ---------------------------------------------------------------------------------------------------- */

/* What a handler sees; set while the signals are blocked. */
static struct trib_worker *signalled;
static volatile sig_atomic_t signal_grace_ms;

static void on_signal(int number)
{
    int saved = errno;

    (void)number;
    trib_worker_shutdown(signalled, signal_grace_ms);
    signal_grace_ms = 0;
    errno = saved;
}

static void block_signals(bool block)
{
    sigset_t signals;

    server_signals(&signals);
    pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

static void catch_signals(struct trib_worker *worker, int64_t grace_ms)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    signalled = worker;
    signal_grace_ms = (sig_atomic_t)grace_ms;
    server_signals(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

struct run {
    const struct udf_worker *worker;
    struct trib_worker *trib;
    struct strangers strangers;
    int exit_code;
};

static void tell_session(const struct udf_worker *worker, const struct trib_worker_report *report)
{
    static const char *const words[] = {"finished", "cancelled", "failed", "lost"};
    const uint64_t *values = report->metrics.values;

    if (report->outcome == TRIB_WORKER_FAILED)
        tool_line(worker->tool, "%s: session %" PRIu64 ": %s: %s", worker->id, report->session, trib_udf_error_kind_name(report->kind),
                  report->message);
    else if (report->outcome == TRIB_WORKER_LOST)
        tool_line(worker->tool, "%s: session %" PRIu64 ": lost: %s", worker->id, report->session, report->message);
    else if (worker->verbose)
        tool_line(worker->tool, "%s: session %" PRIu64 ": %s, %s: %" PRIu64 " batches, %s in; %" PRIu64 " batches, %s out; in %s", worker->id,
                  report->session, report->serializer, words[report->outcome], values[TRIB_UDF_BATCHES_IN],
                  tool_word_size(values[TRIB_UDF_BYTES_IN]).text, values[TRIB_UDF_BATCHES_OUT],
                  tool_word_size(values[TRIB_UDF_BYTES_OUT]).text, tool_word_time((int64_t)values[TRIB_UDF_PROCESSING_WALL_NANOS]).text);
}

static void on_report(void *arg, const struct trib_worker_report *report)
{
    struct run *run = arg;

    tell_session(run->worker, report);
    if (!run->worker->once)
        return;
    if (report->outcome == TRIB_WORKER_FAILED || report->outcome == TRIB_WORKER_LOST)
        run->exit_code = TOOL_FAILED;
    trib_worker_shutdown(run->trib, run->worker->grace_ms);
}

static void on_stranger(void *arg, const struct trib_peer *peer, const struct trib_error *err)
{
    struct run *run = arg;

    strangers_tell(&run->strangers, run->worker->tool, run->worker->id, peer, err);
}

/* ---- Listening -------------------------------------------------------------------------------------------------- */

static int listen_at(const struct run *run, const char *uri, bool may_lack)
{
    const struct udf_worker *worker = run->worker;
    const char *address;
    struct trib_error err;

    if (trib_worker_listen(run->trib, uri, &address, &err) == TRIB_OK) {
        tool_line(worker->tool, "%s: listening at %s, protocol spark-grpc, serializer %s", worker->id, address,
                  worker->serializer != NULL ? worker->serializer : "by the payload");
        return TOOL_OK;
    }
    /* A machine without IPv6 still has 127.0.0.1. */
    if (may_lack && (err.sys_errno == EADDRNOTAVAIL || err.sys_errno == EAFNOSUPPORT)) {
        tool_line(worker->tool, "%s: not at %s, which this machine does not have", worker->id, uri);
        return TOOL_OK;
    }
    return tool_fail_open(worker->tool, &err, tool_hint(&err));
}

static int listen_all(const struct run *run)
{
    int code = TOOL_OK;

    for (size_t i = 0; code == TOOL_OK && i < run->worker->uri_count; i++)
        code = listen_at(run, run->worker->uris[i], i > 0);
    return code;
}

/* ---- The worker ------------------------------------------------------------------------------------------------- */

static void tell_totals(const struct run *run)
{
    struct trib_worker_stats stats;

    if (!run->worker->verbose)
        return;
    stats.size = sizeof(stats);
    trib_worker_stats(run->trib, &stats);
    tool_line(run->worker->tool,
              "%s: ends: %" PRIu64 " sessions: %" PRIu64 " finished, %" PRIu64 " cancelled, %" PRIu64 " failed, %" PRIu64 " lost; %s in, %s out",
              run->worker->id, stats.sessions, stats.outcomes[TRIB_WORKER_FINISHED], stats.outcomes[TRIB_WORKER_CANCELLED],
              stats.outcomes[TRIB_WORKER_FAILED], stats.outcomes[TRIB_WORKER_LOST], tool_word_size(stats.bytes_in).text,
              tool_word_size(stats.bytes_out).text);
}

static void run_worker(struct run *run)
{
    struct trib_error err;
    int rc;

    catch_signals(run->trib, run->worker->grace_ms);
    block_signals(false);
    rc = trib_worker_run(run->trib, &err);
    block_signals(true);
    strangers_end(&run->strangers, run->worker->tool, run->worker->id);
    if (rc == TRIB_OK) {
        tell_totals(run);
        return;
    }
    run->exit_code = tool_fail(run->worker->tool, &err, NULL);
    /* Freeing would wait for a UDF that does not return. */
    if (rc == TRIB_ERR_TIMEOUT)
        _exit(run->exit_code);
}

static const struct trib_serializer *find_serializer(const char *name)
{
    if (name == NULL)
        return NULL;
    return strcmp(name, "echo") == 0 ? &trib_serializer_spark_echo : trib_serializer_find(name);
}

int udf_worker_serve(struct udf_worker *worker)
{
    struct run run = {.worker = worker, .exit_code = TOOL_OK};
    struct trib_worker_options options = worker->options;
    struct trib_error err;

    options.serializer = find_serializer(worker->serializer);
    options.settle_ms = SETTLE_MS;
    options.shutdown_ms = SHUTDOWN_MS;
    options.report = on_report;
    options.stranger = on_stranger;
    options.arg = &run;
    /* A signal that comes before there is a worker waits until there is one. */
    block_signals(true);
    if (trib_worker_new(NULL, &options, &run.trib, &err) != TRIB_OK)
        return tool_fail(worker->tool, &err, NULL);
    run.exit_code = listen_all(&run);
    if (run.exit_code == TOOL_OK)
        run_worker(&run);
    trib_worker_free(run.trib);
    return run.exit_code;
}
