/* Plays the engine of one execution: one thread writes, one reads, and one looks at the clock. */
#include "tools/execute_tell.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What Spark waits for Init, and for what comes after Finish and Cancel. */
#define PATIENCE_NS (INT64_C(30) * 1000000000)
enum { TICK_MS = 100 };

enum last_word { WORD_NONE, WORD_FINISH, WORD_CANCEL };

struct run {
    struct execute *execute;
    struct trib_execution *execution;
    struct execute_times times;
    struct trib_reply reply; /* the last one */
    _Atomic bool began; /* InitResponse came */
    bool ended;         /* a terminator did */
    bool writing;       /* the thread was started, and not joined */
    pthread_t writer, clock;
    _Atomic int exit_code;
    _Atomic uint64_t position; /* in the input */
    _Atomic uint64_t batches;
    _Atomic uint64_t bytes;
    _Atomic int64_t waits_since; /* when Finish or Cancel was sent, or something came after it; 0: not yet */
    pthread_mutex_t lock;        /* of what follows */
    const char *stop;            /* no more data, Cancel for this reason; NULL: go on */
    enum last_word word;
    bool over; /* the clock has nothing more to look at */
    pthread_cond_t wake;
};

/* ---- What goes wrong -------------------------------------------------------------------------------------------- */

/* The first exit code is the one; what follows is its consequence, and not worth a line. */
static bool note(struct run *run, int exit_code)
{
    int none = TOOL_OK;

    return atomic_compare_exchange_strong(&run->exit_code, &none, exit_code);
}

static void note_failure(struct run *run, const struct trib_error *err)
{
    char buf[256];
    const char *hint = execute_hint(err, run->execute->uri, buf, sizeof(buf));

    if (note(run, TOOL_FAILED))
        tool_line(run->execute->tool, "%s: %s%s%s", run->execute->uri, err->message, hint != NULL ? "; " : "", hint != NULL ? hint : "");
}

/* Of a file of this side's: there is nothing to look for at the worker. */
static void note_file(struct run *run, const struct trib_error *err)
{
    if (note(run, TOOL_FAILED))
        tool_line(run->execute->tool, "%s: %s", run->execute->uri, err->message);
}

/* ---- The thread that writes -------------------------------------------------------------------------------------- */

static bool is_stopped(struct run *run)
{
    bool stopped;

    pthread_mutex_lock(&run->lock);
    stopped = run->stop != NULL;
    pthread_mutex_unlock(&run->lock);
    return stopped;
}

static bool has_sent_enough(const struct run *run)
{
    return run->execute->cancels && atomic_load(&run->batches) >= run->execute->cancel_after;
}

/* TRIB_EOF: all has been sent, or no more is to be. *ret_reading: the input failed, not the stream. */
static int write_data(struct run *run, bool *ret_reading, struct trib_error *err)
{
    struct input *input = run->execute->input;
    struct trib_view view;
    int rc = input != NULL ? TRIB_OK : TRIB_EOF;

    while (rc == TRIB_OK && !is_stopped(run) && !has_sent_enough(run)) {
        *ret_reading = true;
        rc = input_next(input, &view, err);
        if (rc != TRIB_OK)
            break;
        *ret_reading = false;
        rc = trib_execution_data(run->execution, view, err);
        atomic_fetch_add(&run->batches, rc == TRIB_OK ? 1 : 0);
        atomic_fetch_add(&run->bytes, rc == TRIB_OK ? view.len : 0);
        atomic_store(&run->position, input_position(input));
    }
    return rc == TRIB_OK ? TRIB_EOF : rc;
}

/* Finish, or Cancel for a reason. */
static int say_last_word(struct run *run, const char *reason, struct trib_error *err)
{
    atomic_store(&run->waits_since, trib_now());
    return reason != NULL ? trib_execution_cancel(run->execution, reason, err) : trib_execution_finish(run->execution, err);
}

/* Which of the two it is, decided once. */
static const char *choose_last_word(struct run *run, bool unreadable)
{
    const char *reason;

    pthread_mutex_lock(&run->lock);
    if (run->stop == NULL && unreadable)
        run->stop = "the input of the engine cannot be read";
    else if (run->stop == NULL && run->execute->cancels)
        run->stop = "cancelled by the user";
    reason = run->stop;
    run->word = reason != NULL ? WORD_CANCEL : WORD_FINISH;
    pthread_mutex_unlock(&run->lock);
    return reason;
}

static void *write_main(void *arg)
{
    struct run *run = arg;
    struct trib_error err;
    bool reading = false;
    int rc = write_data(run, &reading, &err);
    bool unreadable = rc < 0 && reading && rc != TRIB_ERR_CANCELLED;

    if (unreadable)
        note_file(run, &err);
    /* Why a stream cannot be written is what its reader says. */
    if (rc == TRIB_EOF || reading)
        say_last_word(run, choose_last_word(run, unreadable), NULL);
    return NULL;
}

static void join_writer(struct run *run)
{
    if (run->writing)
        pthread_join(run->writer, NULL);
    run->writing = false;
}

static int start_writer(struct run *run)
{
    struct trib_error err;
    int rc = pthread_create(&run->writer, NULL, write_main, run);

    run->writing = rc == 0;
    if (rc == 0)
        return TRIB_OK;
    trib_error_set(&err, TRIB_ERR_IO, rc, "start a thread");
    note_failure(run, &err);
    return TRIB_ERR_IO;
}

static void end_input(struct run *run)
{
    int *stop = run->execute->input_stop;

    if (stop != NULL && *stop >= 0)
        close(*stop);
    if (stop != NULL)
        *stop = -1;
}

/* No more data; the worker gets a Cancel, from the thread that writes or, where that has finished, from here. */
static void cancel(struct run *run, const char *reason)
{
    bool here;

    pthread_mutex_lock(&run->lock);
    here = run->word == WORD_FINISH || (!run->writing && run->word == WORD_NONE);
    if (run->stop == NULL)
        run->stop = reason;
    run->word = here ? WORD_CANCEL : run->word;
    pthread_mutex_unlock(&run->lock);
    end_input(run);
    atomic_store(&run->waits_since, trib_now());
    if (here) {
        join_writer(run);
        say_last_word(run, reason, NULL);
    }
}

/* ---- Replies ----------------------------------------------------------------------------------------------------- */

static void refuse(struct run *run, const char *where)
{
    if (note(run, TOOL_REFUSED))
        execute_tell_error(run->execute, where, &run->reply.error);
}

static void take_init(struct run *run)
{
    struct trib_error err;

    if (run->began) {
        trib_error_set(&err, TRIB_ERR_PROTOCOL, 0, "a second InitResponse came");
        note_failure(run, &err);
        cancel(run, "a second InitResponse");
        return;
    }
    run->began = true;
    run->times.init = trib_now();
    atomic_store(&run->waits_since, 0);
    if (run->reply.error.kind != TRIB_UDF_NO_ERROR) {
        refuse(run, "init");
        cancel(run, "init failed");
    } else if (start_writer(run) != TRIB_OK) {
        cancel(run, "the engine failed");
    }
}

static void take_data(struct run *run)
{
    struct trib_error err;

    run->times.last = trib_now();
    if (run->times.first == 0)
        run->times.first = run->times.last;
    if (run->exit_code == TOOL_OK && answer_put(run->execute->answer, run->reply.data, &err) != TRIB_OK) {
        note_file(run, &err);
        cancel(run, "the engine cannot take the answer");
    }
}

static void take_end(struct run *run)
{
    struct trib_error err;

    run->ended = true;
    run->times.end = trib_now();
    execute_note_metrics(&run->times, &run->reply);
    if (run->reply.error.kind != TRIB_UDF_NO_ERROR)
        refuse(run, run->reply.kind == TRIB_REPLY_FINISH ? "finish" : "cancel");
    if (run->reply.kind == TRIB_REPLY_FINISH && run->exit_code == TOOL_OK && answer_end(run->execute->answer, &err) != TRIB_OK)
        note_file(run, &err);
    if (run->reply.kind == TRIB_REPLY_CANCEL && run->exit_code == TOOL_OK && !run->execute->cancels) {
        trib_error_set(&err, TRIB_ERR_PROTOCOL, 0, "CancelResponse came, and nobody cancelled");
        note_failure(run, &err);
    }
}

static void take_reply(struct run *run)
{
    if (atomic_load(&run->waits_since) != 0)
        atomic_store(&run->waits_since, trib_now());
    switch (run->reply.kind) {
    case TRIB_REPLY_INIT:
        take_init(run);
        break;
    case TRIB_REPLY_DATA:
        take_data(run);
        break;
    case TRIB_REPLY_ERROR:
        refuse(run, "data");
        cancel(run, "the UDF failed");
        break;
    default:
        take_end(run);
    }
}

/* ---- The thread that looks at the clock -------------------------------------------------------------------------- */

static const char *last_word(struct run *run)
{
    enum last_word word;

    pthread_mutex_lock(&run->lock);
    word = run->word;
    pthread_mutex_unlock(&run->lock);
    return word == WORD_NONE ? "Init" : word == WORD_FINISH ? "Finish" : "Cancel";
}

/* TRIB_OK: go on waiting. */
static int check_patience(struct run *run, struct trib_error *err)
{
    int64_t since = atomic_load(&run->waits_since), now = trib_now();

    if (now >= run->execute->deadline)
        return trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "the deadline passed%s", atomic_load(&run->began) ? "" : " before InitResponse");
    if (since != 0 && now - since >= PATIENCE_NS)
        return trib_error_numbers(err, TRIB_ERR_TIMEOUT, PATIENCE_NS, (uint64_t)(now - since), "nothing came for %d s after %s",
                                  (int)(PATIENCE_NS / 1000000000), last_word(run));
    return TRIB_OK;
}

static bool wait_tick(struct run *run)
{
    struct timespec until;
    bool over;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += TICK_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&run->lock);
    if (!run->over)
        pthread_cond_timedwait(&run->wake, &run->lock, &until);
    over = run->over;
    pthread_mutex_unlock(&run->lock);
    return !over;
}

static void *clock_main(void *arg)
{
    struct run *run = arg;
    struct tool_progress progress;
    struct trib_error err;
    bool patient = true;

    tool_progress_start(&progress, "sent", run->execute->total, true);
    while (wait_tick(run)) {
        tool_progress_show(&progress, atomic_load(&run->position));
        if (!patient || check_patience(run, &err) == TRIB_OK)
            continue;
        patient = false;
        note_failure(run, &err);
        trib_execution_reset(run->execution);
    }
    tool_progress_end(&progress);
    return NULL;
}

static void stop_clock(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    run->over = true;
    pthread_cond_signal(&run->wake);
    pthread_mutex_unlock(&run->lock);
    pthread_join(run->clock, NULL);
}

/* ---- The thread that reads --------------------------------------------------------------------------------------- */

static int next_reply(struct run *run, struct trib_error *err)
{
    run->reply.size = sizeof(run->reply);
    return trib_execution_next(run->execution, &run->reply, err);
}

static void read_replies(struct run *run)
{
    struct trib_error err;
    int rc = TRIB_OK;

    while (rc == TRIB_OK && !run->ended) {
        rc = next_reply(run, &err);
        if (rc == TRIB_OK)
            take_reply(run);
    }
    if (rc == TRIB_EOF)
        rc = trib_error_set(&err, TRIB_ERR_PROTOCOL, 0, "the stream ended before a terminator");
    if (rc != TRIB_OK)
        note_failure(run, &err);
}

/* After the terminator: half-close, as an engine does, and then the stream ends with a status. */
static void read_end(struct run *run)
{
    struct trib_error err;
    int rc;

    trib_execution_half_close(run->execution, NULL);
    rc = next_reply(run, &err);
    if (rc == TRIB_OK)
        rc = trib_error_set(&err, TRIB_ERR_PROTOCOL, 0, "%s came after the terminator", trib_reply_name(run->reply.kind));
    if (rc != TRIB_EOF)
        note_failure(run, &err);
}

/* ---- An execution ------------------------------------------------------------------------------------------------ */

static int write_chunks(struct run *run, struct trib_error *err)
{
    struct trib_view payload = run->execute->payload;
    size_t size = run->execute->payload_chunk, at = 0;
    int rc;

    do {
        struct trib_view piece = trib_view_sub(payload, at, size);
        at += piece.len;
        rc = trib_execution_chunk(run->execution, piece, at == payload.len, err);
    } while (rc == TRIB_OK && at < payload.len);
    return rc;
}

static int write_init(struct run *run, struct trib_error *err)
{
    const struct execute *execute = run->execute;
    struct trib_view name = {(const uint8_t *)execute->name, execute->name != NULL ? strlen(execute->name) : 0, NULL};
    struct trib_udf_init init;
    int rc;

    trib_udf_init_defaults(&init);
    init.has_udf = true;
    init.name = name;
    init.is_chunking_payload = execute->payload_chunk > 0;
    if (!init.is_chunking_payload)
        init.payload = execute->payload;
    init.has_payload_size = true;
    init.payload_size = (int64_t)execute->payload.len;
    init.has_payload_crc32 = true;
    init.payload_crc32 = trib_udf_crc32(0, execute->payload);
    /* What the UDF gives is not known here: it is of the input's schema, or brings its own. */
    if (execute->input != NULL && execute->input->arrow != NULL)
        init.input_schema = execute->input->schema;
    rc = trib_execution_init(run->execution, &init, err);
    return rc == TRIB_OK && init.is_chunking_payload ? write_chunks(run, err) : rc;
}

/* A writer that the end overtook may wait for a peer that reads no more. */
static bool stop_writer(struct run *run)
{
    bool overtaken;

    pthread_mutex_lock(&run->lock);
    overtaken = run->writing && run->word == WORD_NONE;
    if (run->stop == NULL)
        run->stop = "the worker has ended the session";
    pthread_mutex_unlock(&run->lock);
    if (overtaken || !run->ended)
        trib_execution_reset(run->execution);
    end_input(run);
    join_writer(run);
    return overtaken;
}

static void play(struct run *run)
{
    bool overtaken;

    atomic_store(&run->waits_since, trib_now());
    /* Where Init cannot be written, the reader says why. */
    write_init(run, NULL);
    read_replies(run);
    overtaken = stop_writer(run);
    if (run->ended && overtaken && run->reply.kind == TRIB_REPLY_FINISH && note(run, TOOL_FAILED))
        tool_line(run->execute->tool, "%s: FinishResponse came before Finish", run->execute->uri);
    else if (run->ended && !overtaken)
        read_end(run);
}

/* Failed before anything was sent. */
static int fail_start(struct run *run, const struct trib_error *err)
{
    note_failure(run, err);
    return TRIB_ERR_IO;
}

static int start(struct run *run, struct trib_engine *engine)
{
    struct trib_error err;
    int rc;

    if (trib_execution_new(engine, &run->execution, &err) != TRIB_OK)
        return fail_start(run, &err);
    rc = pthread_create(&run->clock, NULL, clock_main, run);
    if (rc == 0)
        return TRIB_OK;
    trib_execution_free(run->execution);
    trib_error_set(&err, TRIB_ERR_IO, rc, "start a thread");
    return fail_start(run, &err);
}

int execute_run(struct execute *execute, struct trib_engine *engine)
{
    struct run run = {.execute = execute, .exit_code = TOOL_OK, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

    run.times.start = trib_now();
    if (start(&run, engine) != TRIB_OK)
        return run.exit_code;
    play(&run);
    stop_clock(&run);
    trib_execution_free(run.execution);
    if (run.exit_code == TOOL_OK)
        execute_tell_totals(execute, &run.times, atomic_load(&run.batches), atomic_load(&run.bytes));
    return run.exit_code;
}
