/* The environment of a case: its channels, threads, memory and checks. */
#include "conformance/suite-internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Outcome --------------------------------------------------------------------------------------------------- */

bool conform_fail(struct conform_env *env, const char *file, int line, const char *format, ...)
{
    const char *name = strrchr(file, '/');
    struct conform_result *result = env->result;
    va_list args;

    pthread_mutex_lock(&env->lock);
    if (result->outcome == CONFORM_PASSED) {
        int n = snprintf(result->text, sizeof(result->text), "%s:%d: %s", name != NULL ? name + 1 : file, line,
                         atomic_load(&env->expired) ? "out of patience: " : "");

        result->outcome = CONFORM_FAILED;
        va_start(args, format);
        vsnprintf(result->text + n, sizeof(result->text) - (size_t)n, format, args);
        va_end(args);
    }
    pthread_mutex_unlock(&env->lock);
    return false;
}

bool conform_skip(struct conform_env *env, const char *missing)
{
    pthread_mutex_lock(&env->lock);
    if (env->result->outcome == CONFORM_PASSED) {
        env->result->outcome = CONFORM_SKIPPED;
        snprintf(env->result->text, sizeof(env->result->text), "without %s", missing);
    }
    pthread_mutex_unlock(&env->lock);
    return false;
}

/* ---- Channels -------------------------------------------------------------------------------------------------- */

static void pair_fill(struct conform_pair *pair)
{
    pair->ra = trib_channel_reader(pair->a);
    pair->rb = trib_channel_reader(pair->b);
    pair->wa = trib_channel_writer(pair->a);
    pair->wb = trib_channel_writer(pair->b);
}

bool conform_open(struct conform_env *env, const struct trib_channel_options *options, struct conform_pair **ret_pair)
{
    struct trib_channel_options defaults = TRIB_CHANNEL_OPTIONS_INIT;
    struct conform_pair *pair = conform_memory(env, sizeof(*pair));
    struct trib_error err;

    REQUIRE(env, pair != NULL, "no memory");
    REQUIRE_OK(env, env->target->open_pair(env->target->arg, options != NULL ? options : &defaults, &pair->a, &pair->b, &err));
    pair_fill(pair);
    REQUIRE(env, pair->ra != NULL && pair->rb != NULL && pair->wa != NULL && pair->wb != NULL, "a channel lacks an end");
    pthread_mutex_lock(&env->lock);
    pair->next = env->pairs;
    env->pairs = pair;
    pthread_mutex_unlock(&env->lock);
    *ret_pair = pair;
    return true;
}

/* Out of the watchdog's reach first, then free. */
static void close_one(struct conform_env *env, struct trib_channel **channel)
{
    struct trib_channel *gone;

    pthread_mutex_lock(&env->lock);
    gone = *channel;
    *channel = NULL;
    pthread_mutex_unlock(&env->lock);
    trib_channel_free(gone);
}

void conform_close_a(struct conform_env *env, struct conform_pair *pair)
{
    close_one(env, &pair->a);
}

void conform_close_b(struct conform_env *env, struct conform_pair *pair)
{
    close_one(env, &pair->b);
}

void conform_close(struct conform_env *env, struct conform_pair *pair)
{
    conform_close_a(env, pair);
    conform_close_b(env, pair);
}

struct trib_channel_options conform_small_options(size_t budget, size_t limit)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    options.budget = budget;
    options.limit = limit;
    options.gather = 16384;
    options.send_buffer = 65536;
    return options;
}

/* ---- Threads --------------------------------------------------------------------------------------------------- */

static void *task_main(void *arg)
{
    struct conform_task *task = arg;

    atomic_store(&task->entered, true);
    task->ok = task->run(task->env, task->arg);
    return NULL;
}

struct conform_task *conform_start(struct conform_env *env, bool (*run)(struct conform_env *env, void *arg), void *arg)
{
    struct conform_task *task = conform_memory(env, sizeof(*task));
    int code;

    if (task == NULL)
        return NULL;
    task->env = env;
    task->run = run;
    task->arg = arg;
    code = pthread_create(&task->thread, NULL, task_main, task);
    if (code != 0) {
        conform_fail(env, __FILE__, __LINE__, "start a thread: %s", strerror(code));
        return NULL;
    }
    pthread_mutex_lock(&env->lock);
    task->next = env->tasks;
    env->tasks = task;
    pthread_mutex_unlock(&env->lock);
    return task;
}

bool conform_join(struct conform_env *env, struct conform_task *task)
{
    REQUIRE(env, task != NULL, "a thread could not be started");
    if (!task->joined)
        pthread_join(task->thread, NULL);
    task->joined = true;
    return task->ok;
}

static void nap(long ns)
{
    const struct timespec time = { 0, ns };

    nanosleep(&time, NULL);
}

bool conform_pause(struct conform_env *env)
{
    nap(50000);
    return !atomic_load(&env->expired) || conform_fail(env, __FILE__, __LINE__, "waiting without progress");
}

void conform_let_block(struct conform_task *task)
{
    while (!atomic_load(&task->entered))
        nap(50000);
    nap(3000000);
}

/* ---- Memory and the end ---------------------------------------------------------------------------------------- */

struct memory {
    struct memory *next;
    max_align_t bytes[];
};

void *conform_memory(struct conform_env *env, size_t size)
{
    struct memory *memory = calloc(1, sizeof(*memory) + size);

    if (memory == NULL) {
        conform_fail(env, __FILE__, __LINE__, "no memory");
        return NULL;
    }
    pthread_mutex_lock(&env->lock);
    memory->next = env->memory;
    env->memory = memory;
    pthread_mutex_unlock(&env->lock);
    return memory->bytes;
}

void conform_env_done(struct conform_env *env)
{
    struct memory *memory = env->memory;

    for (struct conform_task *task = env->tasks; task != NULL; task = task->next)
        conform_join(env, task);
    for (struct conform_pair *pair = env->pairs; pair != NULL; pair = pair->next)
        conform_close(env, pair);
    pthread_mutex_lock(&env->lock);
    env->tasks = NULL;
    env->pairs = NULL;
    env->memory = NULL;
    pthread_mutex_unlock(&env->lock);
    while (memory != NULL) {
        struct memory *next = memory->next;

        free(memory);
        memory = next;
    }
}

/* ---- Patterned bytes ------------------------------------------------------------------------------------------- */

bool conform_check(struct conform_env *env, struct trib_view view, uint64_t seed, uint64_t offset, size_t len)
{
    size_t good;

    REQUIRE(env, view.len == len, "%zu bytes came at byte %llu where %zu were asked for", view.len, (unsigned long long)offset, len);
    good = conform_pattern_mismatch(view.data, len, seed, offset);
    REQUIRE(env, good == len, "byte %llu of the stream is wrong (%zu of %zu in this view are right)",
            (unsigned long long)offset + good, good, len);
    return true;
}

bool conform_chunk(struct conform_env *env, uint64_t seed, uint64_t offset, size_t len, struct trib_chunk **ret_chunk)
{
    struct trib_chunk *chunk;
    struct trib_error err;

    REQUIRE_OK(env, trib_chunk_new(len, 0, &chunk, &err));
    conform_pattern_fill(trib_chunk_writable(chunk), len, seed, offset);
    *ret_chunk = chunk;
    return true;
}

static bool write_chunk(struct conform_env *env, struct trib_writer *writer, uint64_t seed, uint64_t offset, size_t len)
{
    struct trib_chunk *chunk;
    struct trib_error err;
    int code;

    TRY(conform_chunk(env, seed, offset, len, &chunk));
    code = trib_writer_chunk(writer, chunk, &err);
    if (code != TRIB_OK)
        trib_chunk_unref(chunk);
    REQUIRE(env, code == TRIB_OK, "trib_writer_chunk of %zu bytes gave %s: %s", len, trib_code_name(code),
            code < 0 ? err.message : "");
    return true;
}

bool conform_write(struct conform_env *env, struct trib_writer *writer, uint64_t seed, uint64_t offset, size_t len, size_t piece)
{
    struct trib_error err;

    for (size_t done = 0; done < len; done += piece)
        TRY(write_chunk(env, writer, seed, offset + done, len - done < piece ? len - done : piece));
    REQUIRE_OK(env, trib_writer_flush(writer, &err));
    return true;
}

bool conform_read(struct conform_env *env, struct trib_reader *reader, uint64_t seed, uint64_t offset, size_t len, size_t piece)
{
    struct trib_error err;
    struct trib_view view;

    for (size_t done = 0; done < len; done += piece) {
        size_t n = len - done < piece ? len - done : piece;

        REQUIRE_OK(env, trib_reader_take(reader, n, &view, &err));
        TRY(conform_check(env, view, seed, offset + done, n));
    }
    return true;
}

bool conform_read_end(struct conform_env *env, struct trib_reader *reader)
{
    struct trib_error err;
    struct trib_view view;

    REQUIRE_CODE(env, TRIB_EOF, trib_reader_take(reader, 1, &view, &err));
    REQUIRE(env, trib_reader_finished(reader), "at the end trib_reader_finished() is false");
    return true;
}

static bool source_run(struct conform_env *env, void *arg)
{
    struct conform_source *source = arg;
    struct trib_error err;

    TRY(conform_write(env, source->writer, source->seed, 0, source->len, source->piece));
    if (source->finish)
        REQUIRE_OK(env, trib_writer_finish(source->writer, 0, NULL, &err));
    return true;
}

struct conform_task *conform_start_source(struct conform_env *env, struct trib_writer *writer, uint64_t seed, size_t len,
                                          size_t piece, bool finish)
{
    struct conform_source *source = conform_memory(env, sizeof(*source));

    if (source == NULL)
        return NULL;
    *source = (struct conform_source){ writer, seed, len, piece, finish };
    return conform_start(env, source_run, source);
}
