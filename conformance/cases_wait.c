/* Cases about waiting: deadlines, not waiting at all, and signals that interrupt a wait. */
#include "conformance/suite-internal.h"

#include <signal.h>
#include <string.h>
#include <time.h>

/* ---- Deadlines ------------------------------------------------------------------------------------------------- */

static bool reader_times_out(struct conform_env *env, struct trib_reader *reader, size_t n)
{
    int64_t deadline = trib_deadline_ms(5);
    struct trib_error err;
    struct trib_view view;

    trib_reader_set_deadline(reader, 1); /* long past */
    REQUIRE_CODE(env, TRIB_ERR_TIMEOUT, trib_reader_take(reader, n, &view, &err));
    trib_reader_set_deadline(reader, deadline);
    REQUIRE_CODE(env, TRIB_ERR_TIMEOUT, trib_reader_take(reader, n, &view, &err));
    REQUIRE(env, trib_now() >= deadline, "the reader gave up before its deadline");
    REQUIRE_CODE(env, TRIB_ERR_TIMEOUT, trib_reader_peek(reader, n, &view, &err));
    return true;
}

/* Nothing is consumed by a call that timed out, and a deadline that has passed does not keep bytes back that are there. */
static bool reader_deadlines(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;

    TRY(conform_open(env, NULL, &pair));
    TRY(reader_times_out(env, pair->rb, 1));
    TRY(conform_write(env, pair->wa, 31, 0, 10, 10));
    TRY(reader_times_out(env, pair->rb, 100));
    REQUIRE(env, trib_reader_position(pair->rb) == 0, "a take that timed out consumed");
    TRY(conform_read(env, pair->rb, 31, 0, 4, 4));
    TRY(conform_write(env, pair->wa, 31, 10, 90, 90));
    trib_reader_set_deadline(pair->rb, TRIB_FOREVER);
    TRY(conform_read(env, pair->rb, 31, 4, 96, 96));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    return conform_read_end(env, pair->rb);
}

/* skip is the one call that consumes before it times out. */
static bool skip_deadline(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    uint64_t skipped = 0;

    TRY(conform_open(env, NULL, &pair));
    TRY(conform_write(env, pair->wa, 32, 0, 10, 10));
    TRY(conform_read(env, pair->rb, 32, 0, 1, 1));
    trib_reader_set_deadline(pair->rb, trib_deadline_ms(5));
    REQUIRE_CODE(env, TRIB_ERR_TIMEOUT, trib_reader_skip(pair->rb, 100, &skipped, &err));
    REQUIRE(env, skipped == 9 && trib_reader_position(pair->rb) == 10, "skipped %llu bytes of 9", (unsigned long long)skipped);
    return true;
}

/* ---- Not waiting ----------------------------------------------------------------------------------------------- */

/* Writes until TRIB_AGAIN; *done counts the bytes of stream `seed` that were accepted. */
static bool write_nowait(struct conform_env *env, struct trib_writer *writer, uint64_t seed, size_t *done, size_t len, size_t piece)
{
    struct trib_error err;
    int code = TRIB_OK;

    while (*done < len && code == TRIB_OK) {
        size_t n = len - *done < piece ? len - *done : piece;
        struct trib_chunk *chunk;

        TRY(conform_chunk(env, seed, *done, n, &chunk));
        code = trib_writer_chunk(writer, chunk, &err);
        if (code == TRIB_OK)
            *done += n;
        else
            trib_chunk_unref(chunk);
    }
    REQUIRE(env, code == TRIB_OK || code == TRIB_AGAIN, "writing without waiting gave %s: %s", trib_code_name(code),
            code < 0 ? err.message : "");
    return true;
}

/* Takes what comes until TRIB_AGAIN. */
static bool read_nowait(struct conform_env *env, struct trib_reader *reader, uint64_t seed, size_t *done, size_t piece)
{
    struct trib_error err;
    struct trib_view view;
    int code;

    while ((code = trib_reader_take_some(reader, piece, &view, &err)) == TRIB_OK) {
        TRY(conform_check(env, view, seed, *done, view.len));
        *done += view.len;
    }
    REQUIRE(env, code == TRIB_AGAIN || code == TRIB_EOF, "reading without waiting gave %s: %s", trib_code_name(code),
            code < 0 ? err.message : "");
    return true;
}

static bool finish_nowait(struct conform_env *env, struct trib_writer *writer, bool *finished)
{
    struct trib_error err;
    int code = trib_writer_finish(writer, 0, NULL, &err);

    REQUIRE(env, code == TRIB_OK || code == TRIB_AGAIN, "finish without waiting gave %s: %s", trib_code_name(code),
            code < 0 ? err.message : "");
    *finished = code == TRIB_OK;
    return true;
}

/* One thread, both ends: the writer is told TRIB_AGAIN when the channel is full, the reader when it is empty. */
static bool nowait_both_sides(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(65536, 0);
    const size_t len = 3000000;
    size_t sent = 0, got = 0, rounds = 0;
    bool finished = false;
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, &options, &pair));
    trib_reader_set_deadline(pair->rb, TRIB_NOWAIT);
    trib_writer_set_deadline(pair->wa, TRIB_NOWAIT);
    REQUIRE_CODE(env, TRIB_AGAIN, trib_reader_take(pair->rb, 1, &view, &err));
    REQUIRE_CODE(env, TRIB_AGAIN, trib_reader_take_some(pair->rb, 1, &view, &err));
    while (got < len) {
        size_t before = sent + got;

        TRY(write_nowait(env, pair->wa, 33, &sent, len, 5000));
        REQUIRE(env, sent < len || rounds > 0, "3 MB that nobody reads were accepted");
        if (sent == len && !finished)
            TRY(finish_nowait(env, pair->wa, &finished));
        TRY(read_nowait(env, pair->rb, 33, &got, 4321));
        if (sent + got == before && finished)
            TRY(conform_pause(env));
        rounds++;
    }
    trib_reader_set_deadline(pair->rb, TRIB_FOREVER);
    trib_writer_set_deadline(pair->wa, TRIB_FOREVER);
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    return conform_read_end(env, pair->rb);
}

/* A want stays as it is over any number of TRIB_AGAIN. */
static bool nowait_piece_by_piece(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;
    int code;

    TRY(conform_open(env, NULL, &pair));
    trib_reader_set_deadline(pair->rb, TRIB_NOWAIT);
    for (size_t i = 0; i < 100; i++) {
        code = trib_reader_take(pair->rb, 1000, &view, &err);
        REQUIRE(env, code == TRIB_AGAIN, "a take of 1000 bytes with %zu there gave %s", i * 10, trib_code_name(code));
        TRY(conform_write(env, pair->wa, 34, i * 10, 10, 10));
    }
    trib_reader_set_deadline(pair->rb, TRIB_FOREVER);
    return conform_read(env, pair->rb, 34, 0, 1000, 1000);
}

/* ---- A full channel -------------------------------------------------------------------------------------------- */

struct drain {
    struct trib_reader *reader;
    uint64_t seed;
    size_t len; /* that must come before the end */
};

static bool drain_run(struct conform_env *env, void *arg)
{
    struct drain *drain = arg;

    TRY(conform_read(env, drain->reader, drain->seed, 0, drain->len, 10000));
    return conform_read_end(env, drain->reader);
}

static bool writer_times_out(struct conform_env *env, struct trib_writer *writer, size_t offset)
{
    struct trib_chunk *chunk;
    struct trib_error err;
    int64_t deadline;
    int past, soon;

    TRY(conform_chunk(env, 35, offset, 5000, &chunk));
    trib_writer_set_deadline(writer, 1); /* long past */
    past = trib_writer_chunk(writer, chunk, &err);
    deadline = trib_deadline_ms(5);
    trib_writer_set_deadline(writer, deadline);
    soon = trib_writer_chunk(writer, chunk, &err);
    trib_chunk_unref(chunk);
    REQUIRE(env, past == TRIB_ERR_TIMEOUT && soon == TRIB_ERR_TIMEOUT, "writing to a full channel gave %s and %s",
            trib_code_name(past), trib_code_name(soon));
    REQUIRE(env, trib_now() >= deadline, "the writer gave up before its deadline");
    REQUIRE_CODE(env, TRIB_ERR_TIMEOUT, trib_writer_flush(writer, &err));
    REQUIRE_CODE(env, TRIB_ERR_TIMEOUT, trib_writer_finish(writer, 0, NULL, &err));
    return true;
}

/* What timed out was not taken; what was taken arrives once. */
static bool writer_deadlines(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(65536, 0);
    struct drain *drain = conform_memory(env, sizeof(*drain));
    struct conform_pair *pair;
    struct conform_task *task;
    struct trib_error err;
    size_t sent = 0;

    TRY(drain != NULL && conform_open(env, &options, &pair));
    trib_writer_set_deadline(pair->wa, TRIB_NOWAIT);
    TRY(write_nowait(env, pair->wa, 35, &sent, 32 << 20, 5000));
    REQUIRE(env, sent < 32 << 20, "32 MiB that nobody reads were accepted");
    TRY(writer_times_out(env, pair->wa, sent));
    REQUIRE(env, trib_writer_position(pair->wa) == sent, "the writer's position moved");
    *drain = (struct drain){ pair->rb, 35, sent };
    task = conform_start(env, drain_run, drain);
    trib_writer_set_deadline(pair->wa, TRIB_FOREVER);
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    return conform_join(env, task);
}

/* ---- Signals --------------------------------------------------------------------------------------------------- */

struct storm {
    pthread_t targets[2];
    atomic_bool over;
};

static void on_signal(int number)
{
    (void)number;
}

/* Interrupts both threads, over and over, until told to stop. */
static bool storm_run(struct conform_env *env, void *arg)
{
    const struct timespec moment = { 0, 50000 };
    struct storm *storm = arg;

    (void)env;
    while (!atomic_load(&storm->over)) {
        pthread_kill(storm->targets[0], SIGUSR2);
        pthread_kill(storm->targets[1], SIGUSR2);
        nanosleep(&moment, NULL);
    }
    return true;
}

/* Large takes and small buffers, so that both threads wait often. */
static bool storm_traffic(struct conform_env *env, struct storm *storm)
{
    struct trib_channel_options options = conform_small_options(262144, 0);
    struct conform_task *writer, *thunder;
    struct conform_pair *pair;
    bool ok;

    TRY(conform_open(env, &options, &pair));
    writer = conform_start_source(env, pair->wa, 36, 8 << 20, 50000, true);
    TRY(writer != NULL);
    storm->targets[0] = pthread_self();
    storm->targets[1] = writer->thread;
    thunder = conform_start(env, storm_run, storm);
    ok = conform_read(env, pair->rb, 36, 0, 8 << 20, 100000) && conform_read_end(env, pair->rb);
    atomic_store(&storm->over, true);
    ok = thunder != NULL && conform_join(env, thunder) && ok;
    return ok && conform_join(env, writer);
}

static bool idle_wait(struct conform_env *env, struct storm *storm)
{
    struct conform_task *thunder;
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;
    int64_t deadline;
    int code;

    TRY(conform_open(env, NULL, &pair));
    storm->targets[0] = storm->targets[1] = pthread_self();
    thunder = conform_start(env, storm_run, storm);
    deadline = trib_deadline_ms(10);
    trib_reader_set_deadline(pair->rb, deadline);
    code = trib_reader_take(pair->rb, 1, &view, &err);
    atomic_store(&storm->over, true);
    TRY(thunder != NULL && conform_join(env, thunder));
    REQUIRE(env, code == TRIB_ERR_TIMEOUT, "a wait that signals interrupted gave %s", trib_code_name(code));
    REQUIRE(env, trib_now() >= deadline, "a signal ended the wait before its deadline");
    return true;
}

static bool with_signals(struct conform_env *env, bool (*run)(struct conform_env *env, struct storm *storm))
{
    struct storm *storm = conform_memory(env, sizeof(*storm));
    struct sigaction action, before;
    bool ok;

    TRY(storm != NULL);
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal; /* without SA_RESTART: system calls return EINTR */
    sigaction(SIGUSR2, &action, &before);
    ok = run(env, storm);
    if (ok) /* otherwise a thread may still have one to come */
        sigaction(SIGUSR2, &before, NULL);
    return ok;
}

static bool signals_under_traffic(struct conform_env *env)
{
    return with_signals(env, storm_traffic);
}

static bool signals_while_waiting(struct conform_env *env)
{
    return with_signals(env, idle_wait);
}

const struct conform_case conform_wait_cases[] = {
    { "deadlines of a reader", 0, reader_deadlines },
    { "a skip that times out", 0, skip_deadline },
    { "deadlines of a writer", 0, writer_deadlines },
    { "not waiting, on both sides", 0, nowait_both_sides },
    { "a take over a hundred TRIB_AGAIN", 0, nowait_piece_by_piece },
    { "signals that interrupt traffic", 0, signals_under_traffic },
    { "signals that interrupt a wait", 0, signals_while_waiting },
    CONFORM_CASES_END,
};
