/* Walks the tables of cases and runs one at a time, under a watchdog. */
#include "conformance/suite-internal.h"

#include <event2/thread.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000

static const struct conform_case *const tables[] = {
    conform_stream_cases, conform_message_cases, conform_end_cases,    conform_cancel_cases, conform_wait_cases,
    conform_event_cases,  conform_budget_cases,  conform_memory_cases, conform_many_cases,   conform_data_cases,
};

/* The case with this number; NULL past the last one. */
static const struct conform_case *find_case(size_t index)
{
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
        for (const struct conform_case *c = tables[t]; c->name != NULL; c++)
            if (index-- == 0)
                return c;
    return NULL;
}

size_t conform_count(void)
{
    size_t n = 0;

    while (find_case(n) != NULL)
        n++;
    return n;
}

const char *conform_name(size_t index)
{
    const struct conform_case *c = find_case(index);

    return c != NULL ? c->name : NULL;
}

/* ---- The watchdog ---------------------------------------------------------------------------------------------- */

static int64_t patience_ms(const struct conform_env *env)
{
    return env->target->patience_ms > 0 ? env->target->patience_ms : PATIENCE_MS;
}

/* Waits until the case is over; false when time is up. Called with the lock held. */
static bool wait_over(struct conform_env *env, int64_t ms)
{
    struct timespec until;
    int code = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000 + 1;
    while (!env->over && code == 0)
        code = pthread_cond_timedwait(&env->changed, &env->lock, &until);
    return env->over;
}

static void cancel_all(struct conform_env *env)
{
    for (struct conform_pair *pair = env->pairs; pair != NULL; pair = pair->next) {
        if (pair->a != NULL)
            trib_channel_cancel(pair->a);
        if (pair->b != NULL)
            trib_channel_cancel(pair->b);
    }
}

/* A case that takes too long is cancelled, so that its blocked calls return and it fails with the text of one of them. One
 * that hangs even so holds objects that cannot be freed: that ends the process. */
static void *watchdog_main(void *arg)
{
    struct conform_env *env = arg;

    pthread_mutex_lock(&env->lock);
    if (!wait_over(env, patience_ms(env))) {
        atomic_store(&env->expired, true);
        cancel_all(env);
        if (!wait_over(env, patience_ms(env))) {
            fprintf(stderr, "%s: a case hangs and cannot be cancelled\n", env->target->name);
            _exit(1);
        }
    }
    pthread_mutex_unlock(&env->lock);
    return NULL;
}

static void watchdog_stop(struct conform_env *env, pthread_t watchdog)
{
    pthread_mutex_lock(&env->lock);
    env->over = true;
    pthread_cond_broadcast(&env->changed);
    pthread_mutex_unlock(&env->lock);
    pthread_join(watchdog, NULL);
}

/* ---- One run --------------------------------------------------------------------------------------------------- */

static const char *missing_capability(unsigned missing)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        { TRIB_CAP_MESSAGES, "TRIB_CAP_MESSAGES" },         { TRIB_CAP_HALF_CLOSE, "TRIB_CAP_HALF_CLOSE" },
        { TRIB_CAP_CREDENTIALS, "TRIB_CAP_CREDENTIALS" },   { TRIB_CAP_STATUS, "TRIB_CAP_STATUS" },
        { TRIB_CAP_DETECTS_LOSS, "TRIB_CAP_DETECTS_LOSS" }, { TRIB_CAP_EVENTS, "TRIB_CAP_EVENTS" },
        { TRIB_CAP_REFERENCES, "TRIB_CAP_REFERENCES" },
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (missing & names[i].bit)
            return names[i].name;
    return "a capability";
}

/* What the channels can do is asked of a pair, not of the table: a wrapper's depend on what it wraps. */
static bool learn_capabilities(struct conform_env *env)
{
    struct conform_pair *pair;

    TRY(conform_open(env, NULL, &pair));
    env->capabilities = trib_channel_capabilities(pair->a);
    REQUIRE(env, env->capabilities == trib_channel_capabilities(pair->b), "the two ends differ in capabilities: %#x and %#x",
            env->capabilities, trib_channel_capabilities(pair->b));
    conform_close(env, pair);
    return true;
}

static void run_case(struct conform_env *env, const struct conform_case *c)
{
    unsigned missing;

    if (!learn_capabilities(env))
        return;
    missing = c->needs & ~env->capabilities;
    if (missing != 0)
        conform_skip(env, missing_capability(missing));
    else if (!c->run(env))
        conform_fail(env, __FILE__, __LINE__, "the case ended without saying why");
    else if (atomic_load(&env->expired))
        conform_fail(env, __FILE__, __LINE__, "the case went on only after its channels were cancelled");
}

static void watched_run(struct conform_env *env, const struct conform_case *c)
{
    pthread_t watchdog;
    int code = pthread_create(&watchdog, NULL, watchdog_main, env);

    if (code != 0) {
        conform_fail(env, __FILE__, __LINE__, "start the watchdog: %s", strerror(code));
        return;
    }
    run_case(env, c);
    if (env->result->outcome == CONFORM_FAILED) {
        pthread_mutex_lock(&env->lock);
        cancel_all(env);
        pthread_mutex_unlock(&env->lock);
    }
    conform_env_done(env);
    watchdog_stop(env, watchdog);
}

static void env_init(struct conform_env *env, const struct conform_target *target, struct conform_result *result)
{
    pthread_condattr_t attr;

    memset(env, 0, sizeof(*env));
    env->target = target;
    env->result = result;
    pthread_mutex_init(&env->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&env->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void conform_run(const struct conform_target *target, size_t index, struct conform_result *ret_result)
{
    const struct conform_case *c = find_case(index);
    struct sigaction ignore, before;
    struct conform_env env;
    int64_t start = trib_now();

    memset(ret_result, 0, sizeof(*ret_result));
    memset(&ignore, 0, sizeof(ignore));
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, &before); /* channels over pipes leave it to the process */
    evthread_use_pthreads();
    env_init(&env, target, ret_result);
    if (c != NULL)
        watched_run(&env, c);
    else
        conform_fail(&env, __FILE__, __LINE__, "there is no case number %zu", index);
    pthread_cond_destroy(&env.changed);
    pthread_mutex_destroy(&env.lock);
    sigaction(SIGPIPE, &before, NULL);
    ret_result->elapsed_ns = trib_now() - start;
}

size_t conform_run_all(const struct conform_target *target, FILE *out)
{
    static const char *const words[] = { "passed", "FAILED", "skipped" };
    size_t counts[3] = { 0, 0, 0 };

    for (size_t i = 0; conform_name(i) != NULL; i++) {
        struct conform_result result;

        conform_run(target, i, &result);
        counts[result.outcome]++;
        fprintf(out, "%-7s %-44s %6.0f ms%s%s\n", words[result.outcome], conform_name(i), (double)result.elapsed_ns / 1e6,
                result.text[0] != '\0' ? "  " : "", result.text);
        fflush(out);
    }
    fprintf(out, "%s: %zu passed, %zu failed, %zu skipped\n", target->name, counts[CONFORM_PASSED], counts[CONFORM_FAILED],
            counts[CONFORM_SKIPPED]);
    return counts[CONFORM_FAILED];
}
