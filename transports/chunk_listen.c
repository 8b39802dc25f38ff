/* The names of chunk: who listens in this process, and who dials. */
#include "chunk-internal.h"

#include <tributary/alloc.h>
#include <tributary/transport.h>
#include <tributary/transports.h>
#include <tributary/uri.h>

#include "bell-internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { BACKLOG = 128 }; /* dials that wait for one listener */

/* A dial that nobody has accepted yet: it goes on at the dialler's end, as behind a socket's backlog. */
struct call {
    struct call *next;
    struct trib_channel *theirs; /* the listener's end */
};

struct door {
    struct door *next;
    size_t refs; /* the listener's, and one for each dial that waits */
    struct trib_channel_options options;
    struct call *calls; /* oldest first */
    size_t call_count;
    pthread_cond_t changed;
    bool cancelled; /* nobody will be accepted any more */
    struct tribi_bell bell;
    char address[]; /* "chunk:name" */
};

/* Guards the table, and all doors: opening a channel is rare. */
static pthread_mutex_t doors_lock = PTHREAD_MUTEX_INITIALIZER;
static struct door *doors;

static struct door **find_door(const char *name)
{
    struct door **at = &doors;

    while (*at != NULL && strcmp(strchr((*at)->address, ':') + 1, name) != 0)
        at = &(*at)->next;
    return at;
}

static void door_unref(struct door *door)
{
    if (--door->refs > 0)
        return;
    pthread_cond_destroy(&door->changed);
    trib_free(door);
}

/* TRIB_OK: something changed, look again. */
static int door_wait(struct door *door, int64_t deadline)
{
    int64_t at = deadline > 0 ? deadline : 0; /* before the clock began: passed */
    struct timespec until = { .tv_sec = (time_t)(at / 1000000000), .tv_nsec = (long)(at % 1000000000) };
    int rc;

    if (deadline == TRIB_NOWAIT)
        return TRIB_AGAIN;
    if (deadline == TRIB_FOREVER)
        return pthread_cond_wait(&door->changed, &doors_lock) == 0 ? TRIB_OK : TRIB_ERR_IO;
    rc = pthread_cond_timedwait(&door->changed, &doors_lock, &until);
    if (rc == ETIMEDOUT)
        return TRIB_ERR_TIMEOUT;
    return rc == 0 ? TRIB_OK : TRIB_ERR_IO;
}

static void enqueue(struct door *door, struct call *call)
{
    struct call **at = &door->calls;

    while (*at != NULL)
        at = &(*at)->next;
    *at = call;
    door->call_count++;
    pthread_cond_broadcast(&door->changed);
    tribi_bell_ring(&door->bell);
}

static struct call *dequeue(struct door *door)
{
    struct call *call = door->calls;

    door->calls = call->next;
    door->call_count--;
    pthread_cond_broadcast(&door->changed);
    return call;
}

/* Waits for a place in the queue. Under the lock. */
static int knock(struct door *door, struct call *call, int64_t deadline)
{
    int code = TRIB_OK;

    while (code == TRIB_OK && !door->cancelled && door->call_count == BACKLOG)
        code = door_wait(door, deadline);
    if (door->cancelled)
        return TRIB_ERR_IO;
    if (code == TRIB_OK)
        enqueue(door, call);
    return code;
}

static int dial_error(int code, const struct trib_uri *uri, struct trib_error *err)
{
    if (code == TRIB_AGAIN)
        return code;
    if (code == TRIB_ERR_TIMEOUT)
        return trib_error_set(err, code, 0, "dial %.100s: %d others wait to be accepted, and the deadline has passed", trib_uri_text(uri), BACKLOG);
    return trib_error_set(err, TRIB_ERR_IO, ECONNREFUSED, "dial %.100s", trib_uri_text(uri));
}

/* Under the lock but while it waits. */
static int dial_door(struct door *door, const struct trib_uri *uri, const struct trib_channel_options *options,
                     struct trib_channel **ret_channel, struct trib_error *err)
{
    struct call *call = trib_alloc(sizeof(*call));
    struct trib_channel *ours = NULL;
    int code;

    if (call == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "dial %.100s: no memory", trib_uri_text(uri));
    code = tribi_chunk_link(options, &door->options, &ours, &call->theirs, err);
    if (code != TRIB_OK) {
        trib_free(call);
        return code;
    }
    door->refs++;
    code = knock(door, call, options->deadline);
    door_unref(door);
    if (code == TRIB_OK) {
        *ret_channel = ours;
        return TRIB_OK;
    }
    trib_channel_free(ours);
    trib_channel_free(call->theirs);
    trib_free(call);
    return dial_error(code, uri, err);
}

static int check_uri(const struct trib_uri *uri, struct trib_error *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    static const char *const known[] = { NULL };
    const char *name = trib_uri_address(uri);
    size_t good = strspn(name, allowed);

    if (name[0] == '\0')
        return trib_uri_bad_address(uri, 0, "expected a name", err);
    if (name[good] != '\0')
        return trib_uri_bad_address(uri, good, "a name is made of letters, digits, '.', '_' and '-'", err);
    return trib_uri_known(uri, known, err);
}

static int chunk_dial(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_channel **ret_channel,
                      struct trib_error *err)
{
    struct door *door;
    int code = check_uri(uri, err);

    if (code != TRIB_OK)
        return code;
    pthread_mutex_lock(&doors_lock);
    door = *find_door(trib_uri_address(uri));
    code = door == NULL ? dial_error(TRIB_ERR_IO, uri, err) : dial_door(door, uri, options, ret_channel, err);
    pthread_mutex_unlock(&doors_lock);
    return code;
}

/* ---- The listener --------------------------------------------------------------------------------------------- */

static int chunk_accept(void *self, int64_t deadline, struct trib_channel **ret_channel, struct trib_error *err)
{
    struct door *door = self;
    int code = TRIB_OK;

    pthread_mutex_lock(&doors_lock);
    while (code == TRIB_OK && !door->cancelled && door->calls == NULL)
        code = door_wait(door, deadline);
    if (door->cancelled)
        code = trib_error_set(err, TRIB_ERR_CANCELLED, 0, "accept %s: cancelled", door->address);
    else if (code == TRIB_ERR_TIMEOUT && door->calls == NULL)
        trib_error_set(err, code, 0, "accept %s: nobody dialled before the deadline", door->address);
    else if (door->calls != NULL) {
        struct call *call = dequeue(door);

        *ret_channel = call->theirs;
        trib_free(call);
        code = TRIB_OK;
    } else if (code == TRIB_ERR_IO) {
        trib_error_set(err, code, 0, "accept %s: the system does not let it wait", door->address);
    }
    pthread_mutex_unlock(&doors_lock);
    return code;
}

static void chunk_listener_cancel(void *self)
{
    struct door *door = self;

    pthread_mutex_lock(&doors_lock);
    door->cancelled = true;
    pthread_cond_broadcast(&door->changed);
    tribi_bell_ring(&door->bell);
    pthread_mutex_unlock(&doors_lock);
}

static void chunk_listener_close(void *self)
{
    struct door *door = self;
    struct door **at;
    struct call *calls, *next;

    chunk_listener_cancel(door); /* whoever still dials is refused */
    pthread_mutex_lock(&doors_lock);
    at = find_door(strchr(door->address, ':') + 1);
    if (*at == door)
        *at = door->next;
    tribi_bell_done(&door->bell);
    calls = door->calls;
    door->calls = NULL;
    door->call_count = 0;
    pthread_mutex_unlock(&doors_lock);
    for (; calls != NULL; calls = next) { /* whoever was not accepted sees that the peer has gone */
        next = calls->next;
        trib_channel_free(calls->theirs);
        trib_free(calls);
    }
}

static void chunk_listener_free(void *self)
{
    pthread_mutex_lock(&doors_lock);
    door_unref(self);
    pthread_mutex_unlock(&doors_lock);
}

static int chunk_listener_watch(void *self, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    struct door *door = self;
    int code;

    pthread_mutex_lock(&doors_lock);
    code = tribi_bell_arm(&door->bell, base, fn, arg, err);
    if (code == TRIB_OK && (door->calls != NULL || door->cancelled))
        tribi_bell_ring(&door->bell);
    pthread_mutex_unlock(&doors_lock);
    return code;
}

static const char *chunk_listener_address(void *self)
{
    struct door *door = self;

    return door->address;
}

static const struct trib_listener_ops chunk_listener_ops = {
    .size = sizeof(chunk_listener_ops),
    .name = "chunk",
    .accept = chunk_accept,
    .cancel = chunk_listener_cancel,
    .close = chunk_listener_close,
    .free = chunk_listener_free,
    .watch = chunk_listener_watch,
    .address = chunk_listener_address,
};

static int door_new(const char *name, const struct trib_channel_options *options, struct door **ret_door, struct trib_error *err)
{
    size_t size = strlen("chunk:") + strlen(name) + 1;
    struct door *door = trib_alloc(sizeof(*door) + size);
    pthread_condattr_t attributes;

    if (door == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen chunk:%.100s: no memory", name);
    door->refs = 1;
    door->options = *options;
    snprintf(door->address, size, "chunk:%s", name);
    tribi_bell_init(&door->bell);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&door->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret_door = door;
    return TRIB_OK;
}

static int chunk_listen(const struct trib_uri *uri, const struct trib_channel_options *options,
                        struct trib_listener **ret_listener, struct trib_error *err)
{
    struct door *door = NULL;
    struct door **at;
    int code = check_uri(uri, err);

    if (code == TRIB_OK)
        code = door_new(trib_uri_address(uri), options, &door, err);
    if (code != TRIB_OK)
        return code;
    pthread_mutex_lock(&doors_lock);
    at = find_door(trib_uri_address(uri));
    if (*at != NULL)
        code = trib_error_set(err, TRIB_ERR_IO, EADDRINUSE, "listen %.100s", trib_uri_text(uri));
    else
        code = trib_listener_new(&chunk_listener_ops, door, ret_listener, err);
    if (code == TRIB_OK)
        *at = door;
    else
        door_unref(door);
    pthread_mutex_unlock(&doors_lock);
    return code;
}

const struct trib_transport trib_transport_chunk = {
    .size = sizeof(trib_transport_chunk),
    .scheme = "chunk",
    .capabilities = TRIBI_CHUNK_CAPABILITIES,
    .dial = chunk_dial,
    .listen = chunk_listen,
    .pair = trib_chunk_pair,
};
