/* Cases about cancel: every call that waits returns, from whichever thread the cancel comes, and it sticks. */
#include "conformance/suite-internal.h"

/* ---- Calls that block ------------------------------------------------------------------------------------------ */

static int call_take(struct conform_pair *pair, struct trib_error *err)
{
    return trib_reader_take(pair->ra, 1, &(struct trib_view){ NULL, 0, NULL }, err);
}

static int call_take_large(struct conform_pair *pair, struct trib_error *err)
{
    return trib_reader_take_aligned(pair->ra, 1 << 20, 64, &(struct trib_view){ NULL, 0, NULL }, err);
}

static int call_take_some(struct conform_pair *pair, struct trib_error *err)
{
    return trib_reader_take_some(pair->ra, 100, &(struct trib_view){ NULL, 0, NULL }, err);
}

static int call_take_vector(struct conform_pair *pair, struct trib_error *err)
{
    struct trib_view views[4];
    size_t count;

    return trib_reader_take_vector(pair->ra, 100, views, 4, &count, err);
}

static int call_take_all(struct conform_pair *pair, struct trib_error *err)
{
    return trib_reader_take_all(pair->ra, 1000, &(struct trib_view){ NULL, 0, NULL }, err);
}

static int call_peek(struct conform_pair *pair, struct trib_error *err)
{
    return trib_reader_peek(pair->ra, 10, &(struct trib_view){ NULL, 0, NULL }, err);
}

static int call_skip(struct conform_pair *pair, struct trib_error *err)
{
    return trib_reader_skip(pair->ra, 10000, NULL, err);
}

static int call_read_into(struct conform_pair *pair, struct trib_error *err)
{
    uint8_t buf[64];

    return trib_reader_read_into(pair->ra, buf, sizeof(buf), err);
}

static int call_be32(struct conform_pair *pair, struct trib_error *err)
{
    return trib_reader_be32(pair->ra, &(uint32_t){ 0 }, err);
}

static int call_bytes_be32(struct conform_pair *pair, struct trib_error *err)
{
    return trib_reader_bytes_be32(pair->ra, 100, &(struct trib_view){ NULL, 0, NULL }, err);
}

static int call_take_message(struct conform_pair *pair, struct trib_error *err)
{
    return trib_reader_take_message(pair->ra, 100, &(struct trib_view){ NULL, 0, NULL }, err);
}

static int call_bytes(struct conform_pair *pair, struct trib_error *err)
{
    static const uint8_t bytes[100000];
    int code = TRIB_OK;

    while (code == TRIB_OK)
        code = trib_writer_bytes(pair->wa, bytes, sizeof(bytes), err);
    return code;
}

static int call_chunk(struct conform_pair *pair, struct trib_error *err)
{
    static const uint8_t bytes[100000];
    struct trib_chunk *chunk;
    int code = TRIB_OK;

    while (code == TRIB_OK) {
        code = trib_chunk_wrap(bytes, sizeof(bytes), NULL, NULL, &chunk, err);
        if (code == TRIB_OK && (code = trib_writer_chunk(pair->wa, chunk, err)) != TRIB_OK)
            trib_chunk_unref(chunk);
    }
    return code;
}

static int call_flush(struct conform_pair *pair, struct trib_error *err)
{
    return trib_writer_flush(pair->wa, err);
}

static int call_finish(struct conform_pair *pair, struct trib_error *err)
{
    return trib_writer_finish(pair->wa, 0, NULL, err);
}

static const struct call {
    const char *name;
    int (*run)(struct conform_pair *pair, struct trib_error *err);
    bool writes; /* blocks because the channel is full */
    unsigned needs;
} calls[] = {
    { "take", call_take, false, 0 },
    { "take_aligned", call_take_large, false, 0 },
    { "take_some", call_take_some, false, 0 },
    { "take_vector", call_take_vector, false, 0 },
    { "take_all", call_take_all, false, 0 },
    { "peek", call_peek, false, 0 },
    { "skip", call_skip, false, 0 },
    { "read_into", call_read_into, false, 0 },
    { "be32", call_be32, false, 0 },
    { "bytes_be32", call_bytes_be32, false, 0 },
    { "take_message", call_take_message, false, TRIB_CAP_MESSAGES },
    { "bytes", call_bytes, true, 0 },
    { "chunk", call_chunk, true, 0 },
    { "flush", call_flush, true, 0 },
    { "finish", call_finish, true, 0 },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

struct blocked {
    struct conform_pair *pair;
    const struct call *call;
};

static bool blocked_run(struct conform_env *env, void *arg)
{
    struct blocked *blocked = arg;
    struct trib_error err;
    int code = blocked->call->run(blocked->pair, &err);

    REQUIRE(env, code == TRIB_ERR_CANCELLED, "%s returned %s, not TRIB_ERR_CANCELLED%s%s", blocked->call->name,
            trib_code_name(code), code < 0 ? ": " : "", code < 0 ? err.message : "");
    return true;
}

/* ---- Around them ----------------------------------------------------------------------------------------------- */

/* Writes until the channel takes no more, and some is gathered besides. */
static bool fill(struct conform_env *env, struct trib_writer *writer)
{
    static const uint8_t bytes[8192];
    struct trib_error err;
    int code = TRIB_OK;

    trib_writer_set_deadline(writer, TRIB_NOWAIT);
    for (size_t i = 0; i < 4096 && code == TRIB_OK; i++)
        code = trib_writer_bytes(writer, bytes, sizeof(bytes), &err);
    REQUIRE(env, code == TRIB_AGAIN, "32 MiB that nobody reads: the writer gave %s", trib_code_name(code));
    trib_writer_set_deadline(writer, TRIB_FOREVER);
    return true;
}

static void cancel_somehow(struct conform_pair *pair, size_t way)
{
    if (way % 3 == 0)
        trib_channel_cancel(pair->a);
    else if (way % 3 == 1)
        trib_reader_cancel(pair->ra);
    else
        trib_writer_cancel(pair->wa);
}

/* Both directions have ended, for this side and, at the latest when this side goes, for the peer. */
static bool all_cancelled(struct conform_env *env, struct conform_pair *pair)
{
    struct trib_error err;
    struct trib_view view;
    int code = TRIB_OK;

    for (size_t i = 0; i < 6; i++)
        REQUIRE_CODE(env, TRIB_ERR_CANCELLED, calls[i].run(pair, &err));
    REQUIRE_CODE(env, TRIB_ERR_CANCELLED, trib_reader_take(pair->ra, 0, &view, &err));
    REQUIRE_CODE(env, TRIB_ERR_CANCELLED, trib_writer_bytes(pair->wa, "x", 1, &err));
    REQUIRE_CODE(env, TRIB_ERR_CANCELLED, trib_writer_flush(pair->wa, &err));
    REQUIRE_CODE(env, TRIB_ERR_CANCELLED, trib_writer_finish(pair->wa, 0, NULL, &err));
    trib_channel_cancel(pair->a);
    conform_close_a(env, pair);
    while (code == TRIB_OK)
        code = trib_reader_take_some(pair->rb, 1 << 20, &view, &err);
    REQUIRE(env, code == TRIB_EOF || (code < 0 && !atomic_load(&env->expired)), "the peer of a cancelled channel got %s",
            trib_code_name(code));
    return true;
}

static bool cancel_one(struct conform_env *env, const struct call *call, size_t way)
{
    struct trib_channel_options options = conform_small_options(65536, 0);
    struct blocked *blocked = conform_memory(env, sizeof(*blocked));
    struct conform_task *task;

    TRY(blocked != NULL && conform_open(env, &options, &blocked->pair));
    blocked->call = call;
    if (call->writes)
        TRY(fill(env, blocked->pair->wa));
    task = conform_start(env, blocked_run, blocked);
    TRY(task != NULL);
    conform_let_block(task);
    cancel_somehow(blocked->pair, way);
    TRY(conform_join(env, task));
    TRY(all_cancelled(env, blocked->pair));
    conform_close(env, blocked->pair);
    return true;
}

static bool cancel_blocked(struct conform_env *env, bool writes)
{
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].writes == writes && !(calls[i].needs & ~env->capabilities))
            TRY(cancel_one(env, &calls[i], i));
    return true;
}

static bool cancel_blocked_reader(struct conform_env *env)
{
    return cancel_blocked(env, false);
}

static bool cancel_blocked_writer(struct conform_env *env)
{
    return cancel_blocked(env, true);
}

/* A deadline makes the wait another one in most transports. */
static bool cancel_with_deadline(struct conform_env *env)
{
    for (size_t i = 0; i < CALLS; i++) {
        struct blocked *blocked = conform_memory(env, sizeof(*blocked));
        struct conform_task *task;

        if (calls[i].run != call_take && calls[i].run != call_flush)
            continue;
        TRY(blocked != NULL && conform_open(env, NULL, &blocked->pair));
        blocked->call = &calls[i];
        TRY(fill(env, blocked->pair->wa));
        trib_reader_set_deadline(blocked->pair->ra, trib_deadline_ms(3600000));
        trib_writer_set_deadline(blocked->pair->wa, trib_deadline_ms(3600000));
        task = conform_start(env, blocked_run, blocked);
        TRY(task != NULL);
        conform_let_block(task);
        trib_channel_cancel(blocked->pair->a);
        TRY(conform_join(env, task));
        conform_close(env, blocked->pair);
    }
    return true;
}

/* Reader and writer of one channel, blocked in two threads, and bytes that wait: one cancel ends it all. */
static bool cancel_both_directions(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(65536, 0);
    struct blocked *reading = conform_memory(env, sizeof(*reading)), *writing = conform_memory(env, sizeof(*writing));
    struct conform_task *reader, *writer;
    struct conform_pair *pair;

    TRY(reading != NULL && writing != NULL && conform_open(env, &options, &pair));
    TRY(conform_write(env, pair->wb, 30, 0, 100, 100));
    TRY(conform_read(env, pair->ra, 30, 0, 50, 50));
    TRY(fill(env, pair->wa));
    *reading = (struct blocked){ pair, &calls[1] };
    *writing = (struct blocked){ pair, &calls[CALLS - 2] };
    reader = conform_start(env, blocked_run, reading);
    writer = conform_start(env, blocked_run, writing);
    TRY(reader != NULL && writer != NULL);
    conform_let_block(reader);
    conform_let_block(writer);
    trib_channel_cancel(pair->a);
    TRY(conform_join(env, reader));
    TRY(conform_join(env, writer));
    return all_cancelled(env, pair);
}

/* ---- Listeners ------------------------------------------------------------------------------------------------- */

static bool accept_run(struct conform_env *env, void *arg)
{
    struct trib_channel *channel;
    struct trib_error err;

    REQUIRE_CODE(env, TRIB_ERR_CANCELLED, trib_listener_accept(arg, TRIB_FOREVER, &channel, &err));
    REQUIRE_CODE(env, TRIB_ERR_CANCELLED, trib_listener_accept(arg, TRIB_NOWAIT, &channel, &err));
    return true;
}

static bool accept_calls(struct conform_env *env, struct trib_listener *listener)
{
    struct trib_channel *channel;
    struct conform_task *task;
    struct trib_error err;
    int64_t deadline;

    REQUIRE_CODE(env, TRIB_AGAIN, trib_listener_accept(listener, TRIB_NOWAIT, &channel, &err));
    REQUIRE_CODE(env, TRIB_ERR_TIMEOUT, trib_listener_accept(listener, 1, &channel, &err));
    deadline = trib_deadline_ms(5);
    REQUIRE_CODE(env, TRIB_ERR_TIMEOUT, trib_listener_accept(listener, deadline, &channel, &err));
    REQUIRE(env, trib_now() >= deadline, "accept gave up before its deadline");
    task = conform_start(env, accept_run, listener);
    TRY(task != NULL);
    conform_let_block(task);
    trib_listener_cancel(listener);
    return conform_join(env, task);
}

static bool accept_waits(struct conform_env *env)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_listener *listener;
    struct trib_error err;
    bool ok;

    if (env->target->listen == NULL)
        return conform_skip(env, "a listener");
    REQUIRE_OK(env, env->target->listen(env->target->arg, &options, &listener, &err));
    ok = accept_calls(env, listener);
    trib_listener_cancel(listener);
    for (struct conform_task *task = env->tasks; task != NULL; task = task->next)
        ok = conform_join(env, task) && ok;
    trib_listener_free(listener);
    return ok;
}

const struct conform_case conform_cancel_cases[] = {
    { "cancel while each reading call is blocked", 0, cancel_blocked_reader },
    { "cancel while each writing call is blocked", 0, cancel_blocked_writer },
    { "cancel while waiting for a deadline", 0, cancel_with_deadline },
    { "cancel of both directions at once", 0, cancel_both_directions },
    { "accept: not now, deadlines, cancel", 0, accept_waits },
    CONFORM_CASES_END,
};
