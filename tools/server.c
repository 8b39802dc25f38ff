/* The threads of `tributary serve`: each accepts, serves, and accepts again, and one waits for signals. */
#include "tools/server.h"

#include <tributary/chunk.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GRACE_MS = 2000, RETRY_MS = 100, RETRIES = 20 };

struct server;

struct slot {
    struct server *server;
    pthread_t thread;
    struct trib_channel *channel; /* guarded by the server's lock; NULL: none under way */
};

struct server {
    const struct server_options *options;
    struct trib_listener *listener;
    pthread_mutex_t accepting; /* held by the one thread that waits in accept: the others queue for it */
    pthread_mutex_t lock;      /* of everything below */
    bool stopping;             /* no new peers */
    bool cancelled;            /* nor old ones */
    bool over;                 /* all threads have ended */
    unsigned served;           /* peers, now */
    bool told_full;            /* since it was half empty */
    int exit_code;
    struct slot *slots;
};

void server_signals(sigset_t *ret_signals)
{
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGHUP);
}

static void stop_accepting(struct server *server)
{
    server->stopping = true;
    trib_listener_cancel(server->listener);
}

static void note_failure(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->exit_code = TOOL_FAILED;
    pthread_mutex_unlock(&server->lock);
}

/* ---- A thread that serves ------------------------------------------------------------------------------------- */

/* false: the channel came too late. */
static bool enter(struct slot *slot, struct trib_channel *channel)
{
    struct server *server = slot->server;
    bool welcome, full;

    pthread_mutex_lock(&server->lock);
    welcome = !server->cancelled;
    server->served += welcome;
    if (welcome)
        slot->channel = channel;
    if (server->options->once)
        stop_accepting(server);
    full = server->options->threads > 1 && server->served == server->options->threads && !server->told_full;
    server->told_full = server->told_full || full;
    pthread_mutex_unlock(&server->lock);
    if (full)
        tool_line(server->options->tool,
                  "%s: %zu connections are served at once, which is all: the next wait (--threads allows more, --timeout ends those that take long)",
                  server->options->uri, (size_t)server->options->threads);
    return welcome;
}

static void leave(struct slot *slot)
{
    struct server *server = slot->server;

    pthread_mutex_lock(&server->lock);
    server->served--;
    server->told_full = server->told_full && server->served > server->options->threads / 2;
    slot->channel = NULL;
    pthread_mutex_unlock(&server->lock);
}

static bool nobody_is_served(struct server *server)
{
    bool nobody;

    pthread_mutex_lock(&server->lock);
    nobody = server->served == 0;
    pthread_mutex_unlock(&server->lock);
    return nobody;
}

static void serve_channel(struct slot *slot, struct trib_channel *channel)
{
    const struct server_options *options = slot->server->options;

    if (enter(slot, channel)) {
        if (server_connection(options, channel) != TOOL_OK && options->once)
            note_failure(slot->server);
        leave(slot);
    }
    trib_channel_free(channel);
    if (nobody_is_served(slot->server))
        trib_pool_trim(); /* a burst of peers leaves nothing behind */
}

static bool is_stopping(struct server *server)
{
    bool stopping;

    pthread_mutex_lock(&server->lock);
    stopping = server->stopping;
    pthread_mutex_unlock(&server->lock);
    return stopping;
}

/* The next peer; false: there will be none. */
static bool accept_next(struct server *server, struct trib_channel **ret_channel)
{
    const struct timespec pause = {0, RETRY_MS * 1000000L};
    struct trib_error err;
    int rc = TRIB_ERR_CANCELLED;

    pthread_mutex_lock(&server->accepting);
    for (int i = 0; i < RETRIES && !is_stopping(server); i++) {
        rc = trib_listener_accept(server->listener, TRIB_FOREVER, ret_channel, &err);
        if (rc != TRIB_ERR_IO && rc != TRIB_ERR_NOMEM)
            break;
        nanosleep(&pause, NULL);
    }
    if (rc < 0 && !is_stopping(server)) {
        tool_fail(server->options->tool, &err, "the server ends");
        note_failure(server);
        pthread_mutex_lock(&server->lock);
        stop_accepting(server);
        pthread_mutex_unlock(&server->lock);
    }
    pthread_mutex_unlock(&server->accepting);
    return rc == TRIB_OK;
}

static void *slot_main(void *arg)
{
    struct slot *slot = arg;
    struct trib_channel *channel;

    while (accept_next(slot->server, &channel))
        serve_channel(slot, channel);
    return NULL;
}

/* ---- The thread that waits for signals ------------------------------------------------------------------------- */

static void cancel_active(struct server *server)
{
    server->cancelled = true;
    for (size_t i = 0; i < server->options->threads; i++)
        if (server->slots[i].channel != NULL)
            trib_channel_cancel(server->slots[i].channel);
}

/* A signal, or, once a first one has come, the end of the grace. */
static bool wait_signal(const sigset_t *signals, bool first)
{
    const struct timespec grace = {GRACE_MS / 1000, GRACE_MS % 1000 * 1000000L};
    int number;

    if (first)
        return sigwait(signals, &number) == 0;
    return sigtimedwait(signals, NULL, &grace) > 0;
}

static void *signal_main(void *arg)
{
    struct server *server = arg;
    sigset_t signals;
    bool over;

    server_signals(&signals);
    wait_signal(&signals, true);
    pthread_mutex_lock(&server->lock);
    over = server->over;
    if (!over)
        stop_accepting(server);
    pthread_mutex_unlock(&server->lock);
    if (over)
        return NULL;
    wait_signal(&signals, false);
    pthread_mutex_lock(&server->lock);
    cancel_active(server);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* ---- The server ----------------------------------------------------------------------------------------------- */

static size_t start_slots(struct server *server)
{
    size_t started = 0;

    while (started < server->options->threads) {
        struct slot *slot = &server->slots[started];
        slot->server = server;
        if (pthread_create(&slot->thread, NULL, slot_main, slot) != 0)
            break;
        started++;
    }
    return started;
}

static void finish(struct server *server, pthread_t waiter, size_t started)
{
    for (size_t i = 0; i < started; i++)
        pthread_join(server->slots[i].thread, NULL);
    pthread_mutex_lock(&server->lock);
    server->over = true;
    pthread_mutex_unlock(&server->lock);
    /* Wakes the waiter, who then sees that it is over. */
    pthread_kill(waiter, SIGTERM);
    pthread_join(waiter, NULL);
}

int server_run(const struct server_options *options, struct trib_listener *listener)
{
    struct server server = {.options = options,
                            .listener = listener,
                            .accepting = PTHREAD_MUTEX_INITIALIZER,
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .exit_code = TOOL_OK,
                            .slots = calloc(options->threads, sizeof(struct slot))};
    pthread_t waiter;
    size_t started;

    if (server.slots == NULL || pthread_create(&waiter, NULL, signal_main, &server) != 0) {
        tool_line(options->tool, "%s: no thread can be started", options->uri);
        free(server.slots);
        return TOOL_FAILED;
    }
    started = start_slots(&server);
    if (started == 0) {
        tool_line(options->tool, "%s: no thread can be started", options->uri);
        server.exit_code = TOOL_FAILED;
    }
    finish(&server, waiter, started);
    free(server.slots);
    return server.exit_code;
}
