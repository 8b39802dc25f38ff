/* Hands the calls of a gRPC server, whose base has a thread of its own, to whoever accepts. */
#include "tools/door.h"

#include "tools/strangers.h"

#include <tributary/grpc.h>
#include <tributary/grpc_services.h>
#include <tributary/uri.h>
#include <tributary/writer.h>

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* What the thread of the base is told. */
enum { DRAIN = 'd', STOP = 's' };

struct guest {
    struct guest *next;
    struct trib_channel *channel;
};

struct door {
    const struct tool *tool;
    const char *uri, *address;
    struct event_base *base;
    struct trib_grpc_server *server;
    struct event *belled;
    int bell[2];
    pthread_t thread;
    bool running;
    struct strangers strangers; /* of the thread */
    pthread_mutex_t lock;       /* of what follows */
    pthread_cond_t news;
    struct guest *first, **last;
    bool cancelled;
};

/* ---- The thread of the base ------------------------------------------------------------------------------------- */

static void on_call(struct trib_grpc_call *call, void *arg)
{
    struct door *door = arg;
    struct guest *guest = malloc(sizeof(*guest));

    if (guest == NULL) {
        trib_writer_finish(trib_channel_writer(trib_grpc_call_channel(call)), TRIB_GRPC_RESOURCE_EXHAUSTED, "no memory", NULL);
        trib_channel_free(trib_grpc_call_channel(call));
        return;
    }
    *guest = (struct guest){NULL, trib_grpc_call_channel(call)};
    pthread_mutex_lock(&door->lock);
    *door->last = guest;
    door->last = &guest->next;
    pthread_cond_signal(&door->news);
    pthread_mutex_unlock(&door->lock);
}

static void on_stranger(void *arg, const struct trib_peer *peer, const struct trib_error *err)
{
    struct door *door = arg;

    strangers_tell(&door->strangers, door->tool, door->uri, peer, err);
}

static void on_bell(evutil_socket_t fd, short what, void *arg)
{
    struct door *door = arg;
    char word;

    (void)what;
    while (read(fd, &word, 1) == 1) {
        if (word == DRAIN)
            trib_grpc_server_drain(door->server, NULL, NULL);
        else
            event_base_loopbreak(door->base);
    }
}

static void *door_main(void *arg)
{
    struct door *door = arg;

    event_base_loop(door->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

static void tell(struct door *door, char word)
{
    ssize_t written = write(door->bell[1], &word, 1);

    (void)written; /* a full pipe cannot be: each word is said once */
}

/* ---- The listener ----------------------------------------------------------------------------------------------- */

static struct guest *take(struct door *door)
{
    struct guest *guest = door->first;

    if (guest != NULL) {
        door->first = guest->next;
        if (door->first == NULL)
            door->last = &door->first;
    }
    return guest;
}

/* Under the lock. */
static int await(struct door *door, int64_t deadline)
{
    struct timespec until = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};
    int rc = 0;

    while (door->first == NULL && !door->cancelled && deadline != TRIB_NOWAIT && rc == 0)
        rc = deadline == TRIB_FOREVER ? pthread_cond_wait(&door->news, &door->lock)
                                      : pthread_cond_timedwait(&door->news, &door->lock, &until);
    return rc;
}

static int door_accept(void *self, int64_t deadline, struct trib_channel **ret_channel, struct trib_error *err)
{
    struct door *door = self;
    struct guest *guest = NULL;
    bool cancelled;

    pthread_mutex_lock(&door->lock);
    await(door, deadline);
    cancelled = door->cancelled;
    if (!cancelled)
        guest = take(door);
    pthread_mutex_unlock(&door->lock);
    if (cancelled)
        return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "accept gRPC: the listener was cancelled");
    if (guest == NULL && deadline == TRIB_NOWAIT)
        return TRIB_AGAIN;
    if (guest == NULL)
        return trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "accept gRPC: the deadline passed");
    *ret_channel = guest->channel;
    free(guest);
    return TRIB_OK;
}

static void door_cancel(void *self)
{
    struct door *door = self;
    bool first;

    pthread_mutex_lock(&door->lock);
    first = !door->cancelled;
    door->cancelled = true;
    pthread_cond_broadcast(&door->news);
    pthread_mutex_unlock(&door->lock);
    if (first)
        tell(door, DRAIN);
}

/* Who was not accepted is told so, as long as the base runs. */
static void dismiss(struct door *door, bool runs)
{
    struct guest *guest;

    while ((guest = take(door)) != NULL) {
        trib_writer_set_deadline(trib_channel_writer(guest->channel), trib_deadline_ms(1000));
        if (runs)
            trib_writer_finish(trib_channel_writer(guest->channel), TRIB_GRPC_UNAVAILABLE, "the server is shutting down", NULL);
        trib_channel_free(guest->channel);
        free(guest);
    }
}

static void door_close(void *self)
{
    struct door *door = self;

    if (door->running) {
        door_cancel(door);
        dismiss(door, true);
        tell(door, STOP);
        pthread_join(door->thread, NULL);
        dismiss(door, false);
        strangers_end(&door->strangers, door->tool, door->uri);
    }
    door->running = false;
    trib_grpc_server_free(door->server);
    door->server = NULL;
}

static void door_free(void *self)
{
    struct door *door = self;

    door_close(door);
    if (door->belled != NULL)
        event_free(door->belled);
    if (door->base != NULL)
        event_base_free(door->base);
    for (int i = 0; i < 2; i++)
        if (door->bell[i] >= 0)
            close(door->bell[i]);
    pthread_cond_destroy(&door->news);
    pthread_mutex_destroy(&door->lock);
    free(door);
}

static const char *door_address(void *self)
{
    return ((struct door *)self)->address;
}

static const struct trib_listener_ops door_ops = {
    .size = sizeof(struct trib_listener_ops),
    .name = "grpc",
    .accept = door_accept,
    .cancel = door_cancel,
    .close = door_close,
    .free = door_free,
    .address = door_address,
};

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static int make_base(struct door *door, struct trib_error *err)
{
    if (pipe2(door->bell, O_CLOEXEC | O_NONBLOCK) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "make a pipe");
    evthread_use_pthreads();
    door->base = event_base_new();
    if (door->base != NULL)
        door->belled = event_new(door->base, door->bell[0], EV_READ | EV_PERSIST, on_bell, door);
    if (door->belled == NULL || event_add(door->belled, NULL) != 0)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen at %s: no memory, or no descriptors, for an event_base", door->uri);
    return TRIB_OK;
}

/* The URI may name the one method that is served. */
static int handle(struct door *door, struct trib_error *err)
{
    struct trib_uri *uri;
    int rc = trib_uri_parse(door->uri, &uri, err);

    if (rc != TRIB_OK)
        return rc;
    rc = trib_grpc_server_listen(door->server, door->uri, &door->address, err);
    if (rc == TRIB_OK)
        rc = trib_grpc_server_handle(door->server, trib_uri_parameter(uri, "method"), on_call, door, err);
    trib_uri_free(uri);
    return rc;
}

static int make_server(struct door *door, const struct trib_channel_options *options, struct trib_error *err)
{
    int rc = trib_grpc_server_new(door->base, options, &door->server, err);

    if (rc != TRIB_OK)
        return rc;
    trib_grpc_server_set_report(door->server, on_stranger, door);
    rc = trib_grpc_server_set_health(door->server, "", TRIB_GRPC_HEALTH_SERVING, err);
    if (rc == TRIB_OK) /* of nothing but the server's own services, which tools ask for */
        rc = trib_grpc_server_describe(door->server, "", 0, err);
    return rc == TRIB_OK ? handle(door, err) : rc;
}

static int start(struct door *door, struct trib_error *err)
{
    int failed = pthread_create(&door->thread, NULL, door_main, door);

    door->running = failed == 0;
    return failed == 0 ? TRIB_OK : trib_error_set(err, TRIB_ERR_IO, failed, "listen at %s: start a thread", door->uri);
}

int door_listen(const struct tool *tool, const char *uri, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                struct trib_error *err)
{
    struct door *door = calloc(1, sizeof(*door));
    pthread_condattr_t by_monotonic;
    int rc;

    if (door == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen at %s: no memory", uri);
    *door = (struct door){.tool = tool, .uri = uri, .bell = {-1, -1}, .last = &door->first};
    pthread_condattr_init(&by_monotonic);
    pthread_condattr_setclock(&by_monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&door->news, &by_monotonic);
    pthread_condattr_destroy(&by_monotonic);
    pthread_mutex_init(&door->lock, NULL);
    rc = make_base(door, err);
    if (rc == TRIB_OK)
        rc = make_server(door, options, err);
    if (rc == TRIB_OK)
        rc = start(door, err);
    if (rc == TRIB_OK)
        rc = trib_listener_new(&door_ops, door, ret_listener, err);
    if (rc != TRIB_OK)
        door_free(door);
    return rc;
}
