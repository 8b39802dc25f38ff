/* grpc+unix: and grpc+tcp: as transports: what dial opens, what a listener accepts. */
#include "transports/grpc/owner-internal.h"

#include <tributary/alloc.h>
#include <tributary/uri.h>

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "transports/bell-internal.h"
#include "transports/grpc/client-internal.h"

#define DEFAULT_METHOD "/tributary.Stream/Open"
enum { BACK_OFF_MIN_MS = 10, BACK_OFF_MAX_MS = 1000 };

/* ---- Dialling ------------------------------------------------------------------------------------------------------- */

static int grpc_dial(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_channel **ret_channel,
                     struct trib_error *err)
{
    static const char *const known[] = { "method", "authority", NULL };
    const char *method;
    struct trib_grpc_client *client;
    struct trib_grpc_call *call;
    int rc = trib_uri_known(uri, known, err);

    if (rc == TRIB_OK)
        rc = tribi_grpc_method(uri, &method, err);
    if (rc == TRIB_OK)
        rc = tribi_grpc_client_new(uri, options, &client, err);
    if (rc != TRIB_OK)
        return rc;
    rc = trib_grpc_call(client, method != NULL ? method : DEFAULT_METHOD, NULL, &call, err);
    trib_grpc_client_free(client);
    if (rc == TRIB_OK)
        *ret_channel = call->channel;
    return rc;
}

/* ---- A listener ------------------------------------------------------------------------------------------------------ */

/* A connection, and the event that hears of it while a base waits for the listener. */
struct ear {
    struct ear *next;
    struct tribi_grpc_conn *conn;
    struct event *event; /* NULL: not made yet */
};

struct listener {
    struct tribi_grpc_owner owner;
    struct ear *ears;    /* one for each connection */
    struct tribi_grpc_bound bound;
    const struct trib_channel_ops *ops;
    struct trib_channel_options options;
    char *method;        /* the only one served; NULL: any */
    atomic_bool cancelled;
    bool closed;
    int64_t back_off_ms;
    struct pollfd *polled;
    size_t polled_capacity;
    /* events */
    struct event_base *base;
    struct event *ready, *woken, *clock;
    trib_ready_fn *fn;
    void *arg;
};

static int cancelled(struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "accept gRPC: the listener was cancelled");
}

static bool served(void *arg, const char *path)
{
    const struct listener *listener = arg;

    return listener->method == NULL || strcmp(listener->method, path) == 0;
}

/* Somebody else moves its bytes. */
static bool attended(const struct tribi_grpc_conn *conn)
{
    return conn->driving || conn->base != NULL;
}

/* What is complete on one connection, after a look at its socket if nobody else does that. */
static int take_from(struct listener *listener, struct tribi_grpc_conn *conn, struct trib_channel **ret_channel, struct trib_error *err)
{
    struct trib_grpc_call *stream;
    int rc;

    pthread_mutex_lock(&conn->lock);
    if (conn->incoming_first == NULL && !attended(conn)) {
        tribi_grpc_pump(conn);
        if (trib_now() >= tribi_grpc_clock_due(conn))
            tribi_grpc_clock_look(conn);
        tribi_grpc_flush(conn);
    }
    rc = tribi_grpc_take_incoming(conn, served, listener, ret_channel, &stream, err);
    pthread_mutex_unlock(&conn->lock);
    return rc;
}

static int welcome(struct listener *listener, int fd, struct trib_error *err)
{
    struct ear *ear = trib_alloc(sizeof(*ear));
    int rc = ear != NULL ? tribi_grpc_conn_new(fd, true, listener->ops, &listener->options, &ear->conn, err)
                         : trib_error_set(err, TRIB_ERR_NOMEM, 0, "accept gRPC: no memory");

    if (rc != TRIB_OK) {
        close(fd);
        trib_free(ear);
        return rc;
    }
    tribi_grpc_owner_add(&listener->owner, ear->conn);
    pthread_mutex_lock(&ear->conn->lock);
    tribi_grpc_flush(ear->conn);
    pthread_mutex_unlock(&ear->conn->lock);
    ear->next = listener->ears;
    listener->ears = ear;
    return TRIB_OK;
}

static void drop_event(struct event **event)
{
    if (*event != NULL)
        event_del(*event);
    trib_free(*event);
    *event = NULL;
}

static void farewell(struct listener *listener, struct ear **link)
{
    struct ear *ear = *link;

    *link = ear->next;
    drop_event(&ear->event);
    tribi_grpc_owner_remove(&listener->owner, ear->conn);
    trib_free(ear);
}

static int accept_all(struct listener *listener, struct trib_error *err)
{
    int fd, rc;

    do {
        rc = tribi_grpc_accept_from(&listener->bound, &listener->options, &fd, err);
        if (rc == TRIB_OK)
            rc = welcome(listener, fd, err);
    } while (rc == TRIB_OK);
    if (rc == TRIB_AGAIN)
        listener->back_off_ms = 0;
    return rc;
}

static bool is_lost(struct tribi_grpc_conn *conn)
{
    bool lost;

    pthread_mutex_lock(&conn->lock);
    lost = conn->lost;
    pthread_mutex_unlock(&conn->lock);
    return lost;
}

/* One look at everything. TRIB_AGAIN: nothing is complete. */
static int look(struct listener *listener, struct trib_channel **ret_channel, struct trib_error *err)
{
    struct ear **link = &listener->ears;
    int rc = accept_all(listener, err), found = TRIB_AGAIN;

    while (*link != NULL && found == TRIB_AGAIN) {
        found = take_from(listener, (*link)->conn, ret_channel, err);
        if (found == TRIB_AGAIN && is_lost((*link)->conn))
            farewell(listener, link);
        else
            link = &(*link)->next;
    }
    return found != TRIB_AGAIN ? found : rc;
}

/* Every descriptor that may bring something, and that nobody else polls. *ret_due: when one is to be looked at anyway. */
static size_t gather(struct listener *listener, int64_t *ret_due)
{
    size_t count = 2;

    for (struct tribi_grpc_conn *conn = listener->owner.conns; conn != NULL; conn = conn->next)
        count++;
    if (count > listener->polled_capacity) {
        struct pollfd *larger = trib_alloc(2 * count * sizeof(*larger));

        if (larger == NULL)
            return 0;
        trib_free(listener->polled);
        listener->polled = larger;
        listener->polled_capacity = 2 * count;
    }
    listener->polled[0] = (struct pollfd){ .fd = listener->owner.wake.fd, .events = POLLIN };
    listener->polled[1] = (struct pollfd){ .fd = listener->back_off_ms > 0 ? -1 : listener->bound.fd, .events = POLLIN };
    count = 2;
    for (struct tribi_grpc_conn *conn = listener->owner.conns; conn != NULL; conn = conn->next) {
        pthread_mutex_lock(&conn->lock);
        if (!attended(conn) && tribi_grpc_clock_due(conn) < *ret_due)
            *ret_due = tribi_grpc_clock_due(conn);
        if (!attended(conn))
            listener->polled[count++] = (struct pollfd){ .fd = conn->fd, .events = conn->out.bytes > 0 ? POLLIN | POLLOUT : POLLIN };
        pthread_mutex_unlock(&conn->lock);
    }
    return count;
}

static void clear(struct tribi_wake *wake)
{
    uint64_t rings;

    while (read(wake->fd, &rings, sizeof(rings)) > 0 && wake->other != wake->fd)
        ;
}

static int wait_for_news(struct listener *listener, int64_t deadline, struct trib_error *err)
{
    int64_t until = listener->back_off_ms > 0 ? trib_now() + listener->back_off_ms * 1000000 : TRIB_FOREVER;
    size_t count = gather(listener, &until);
    struct timespec room;
    int n;

    if (count == 0)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "accept gRPC: no memory");
    n = ppoll(listener->polled, count, tribi_time_left(until < deadline ? until : deadline, &room), NULL);
    if (n < 0 && errno != EINTR)
        return trib_error_set(err, TRIB_ERR_IO, errno, "accept gRPC: poll");
    if (n > 0 && listener->polled[0].revents != 0 && !atomic_load(&listener->cancelled))
        clear(&listener->owner.wake);
    if (n == 0 && until >= deadline)
        return trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "accept gRPC: the deadline passed");
    return TRIB_OK;
}

static int grpc_accept(void *self, int64_t deadline, struct trib_channel **ret_channel, struct trib_error *err)
{
    struct listener *listener = self;

    for (;;) {
        int rc;

        if (atomic_load(&listener->cancelled))
            return cancelled(err);
        rc = look(listener, ret_channel, err);
        if (rc == TRIB_ERR_IO && deadline != TRIB_NOWAIT && deadline > trib_now()) {
            /* Descriptors or memory are lacking: others may give some back. */
            listener->back_off_ms = listener->back_off_ms == 0 ? BACK_OFF_MIN_MS : listener->back_off_ms * 2;
            if (listener->back_off_ms > BACK_OFF_MAX_MS)
                listener->back_off_ms = BACK_OFF_MAX_MS;
            rc = TRIB_AGAIN;
        }
        if (rc != TRIB_AGAIN)
            return rc;
        if (deadline == TRIB_NOWAIT)
            return TRIB_AGAIN;
        rc = wait_for_news(listener, deadline, err);
        if (rc != TRIB_OK)
            return rc;
    }
}

/* ---- Waiting on a base ----------------------------------------------------------------------------------------------- */

/* Each descriptor has an event that is told of once, and added again by the next watch: so nothing is said to who does not wait. */
static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct listener *listener = arg;
    trib_ready_fn *fn = listener->fn;

    (void)fd, (void)what;
    listener->fn = NULL;
    if (fn != NULL)
        fn(listener->arg);
}

static void on_woken(evutil_socket_t fd, short what, void *arg)
{
    struct listener *listener = arg;

    if (!atomic_load(&listener->cancelled))
        clear(&listener->owner.wake);
    on_ready(fd, what, listener);
}

static int hear(struct listener *listener, struct event **event, int fd, short what, event_callback_fn fn,
                const struct timeval *time)
{
    if (*event == NULL)
        *event = trib_alloc(event_get_struct_event_size());
    else
        event_del(*event);
    if (*event == NULL)
        return TRIB_ERR_NOMEM;
    event_assign(*event, listener->base, fd, what, fn, listener);
    return event_add(*event, time) == 0 ? TRIB_OK : TRIB_ERR_IO;
}

/* *ret_complete: it has a request that waits to be accepted. */
static int hear_conn(struct listener *listener, struct ear *ear, int64_t *due, bool *ret_complete)
{
    struct tribi_grpc_conn *conn = ear->conn;
    bool heard = ear->event != NULL && event_pending(ear->event, EV_READ, NULL), others;
    short what;

    pthread_mutex_lock(&conn->lock);
    others = attended(conn);
    what = conn->out.bytes > 0 ? EV_READ | EV_WRITE : EV_READ;
    *ret_complete = *ret_complete || conn->incoming_first != NULL || conn->lost;
    if (!others && tribi_grpc_clock_due(conn) < *due)
        *due = tribi_grpc_clock_due(conn);
    pthread_mutex_unlock(&conn->lock);
    if (others && heard)
        event_del(ear->event); /* who attends it rings when he leaves, or finds a request */
    if (others || (heard && what == EV_READ))
        return TRIB_OK;
    return hear(listener, &ear->event, conn->fd, what, on_ready, NULL);
}

static void drop_watch(struct listener *listener)
{
    drop_event(&listener->ready);
    drop_event(&listener->woken);
    drop_event(&listener->clock);
    for (struct ear *ear = listener->ears; ear != NULL; ear = ear->next)
        drop_event(&ear->event);
    listener->base = NULL;
    listener->fn = NULL;
}

static int hear_all(struct listener *listener)
{
    int64_t due = TRIB_FOREVER, left;
    bool complete = false;
    struct timeval time;
    int rc = hear(listener, &listener->ready, listener->bound.fd, EV_READ, on_ready, NULL);

    if (rc == TRIB_OK)
        rc = hear(listener, &listener->woken, listener->owner.wake.fd, EV_READ, on_woken, NULL);
    for (struct ear *ear = listener->ears; ear != NULL && rc == TRIB_OK; ear = ear->next)
        rc = hear_conn(listener, ear, &due, &complete);
    left = complete ? 0 : due - trib_now();
    if (left < 0)
        left = 0;
    time = (struct timeval){ left / 1000000000, left % 1000000000 / 1000 + 1 };
    if (rc == TRIB_OK && (complete || due != TRIB_FOREVER))
        rc = hear(listener, &listener->clock, -1, 0, on_ready, &time);
    return rc;
}

static int grpc_watch(void *self, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    struct listener *listener = self;
    int rc;

    if (fn == NULL || listener->base != base)
        drop_watch(listener);
    if (fn == NULL)
        return TRIB_OK;
    listener->base = base;
    rc = hear_all(listener);
    if (rc != TRIB_OK) {
        drop_watch(listener);
        return trib_error_set(err, rc, 0, "watch a gRPC listener: %s",
                              rc == TRIB_ERR_NOMEM ? "no memory" : "the event_base does not take its sockets");
    }
    listener->fn = fn;
    listener->arg = arg;
    return TRIB_OK;
}

/* ---- Ending and opening ---------------------------------------------------------------------------------------------- */

static void grpc_cancel(void *self)
{
    struct listener *listener = self;

    if (!atomic_exchange(&listener->cancelled, true))
        tribi_wake_set(&listener->owner.wake);
}

static void grpc_close(void *self)
{
    struct listener *listener = self;

    if (listener->closed)
        return;
    listener->closed = true;
    drop_watch(listener);
    while (listener->ears != NULL)
        farewell(listener, &listener->ears);
    tribi_grpc_owner_done(&listener->owner);
    tribi_unix_file_remove(&listener->bound.file);
    if (listener->bound.fd >= 0)
        close(listener->bound.fd);
    listener->bound.fd = -1;
}

static void grpc_free(void *self)
{
    struct listener *listener = self;

    grpc_close(listener);
    tribi_grpc_bound_done(&listener->bound);
    tribi_wake_done(&listener->owner.wake);
    pthread_mutex_destroy(&listener->owner.lock);
    trib_free(listener->polled);
    trib_free(listener->method);
    trib_free(listener);
}

static const char *grpc_address(void *self)
{
    return ((struct listener *)self)->bound.address;
}

static const struct trib_listener_ops listener_ops = {
    .size = sizeof(struct trib_listener_ops),
    .name = "grpc",
    .accept = grpc_accept,
    .cancel = grpc_cancel,
    .close = grpc_close,
    .free = grpc_free,
    .watch = grpc_watch,
    .address = grpc_address,
};

static int grpc_listen(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                       struct trib_error *err)
{
    static const char *const known[] = { "method", "mode", "backlog", NULL };
    struct listener *listener = trib_alloc(sizeof(*listener));
    const char *method = NULL;
    int rc;

    if (listener == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen at %s: no memory", trib_uri_text(uri));
    pthread_mutex_init(&listener->owner.lock, NULL);
    listener->bound = (struct tribi_grpc_bound)TRIBI_GRPC_UNBOUND;
    listener->owner.wake = (struct tribi_wake)TRIBI_WAKE_NONE;
    listener->options = *options;
    listener->ops = strcmp(trib_uri_scheme(uri), "grpc+unix") == 0 ? &tribi_grpc_unix_ops : &tribi_grpc_tcp_ops;
    rc = trib_uri_known(uri, known, err);
    if (rc == TRIB_OK)
        rc = tribi_grpc_method(uri, &method, err);
    if (rc == TRIB_OK && method != NULL && (listener->method = trib_strdup(method)) == NULL)
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen at %s: no memory", trib_uri_text(uri));
    if (rc == TRIB_OK)
        rc = tribi_wake_init(&listener->owner.wake, err);
    if (rc == TRIB_OK)
        rc = tribi_grpc_bind_to(uri, &listener->bound, err);
    if (rc == TRIB_OK)
        rc = trib_listener_new(&listener_ops, listener, ret_listener, err);
    if (rc != TRIB_OK)
        grpc_free(listener);
    return rc;
}

#define CAPABILITIES (TRIB_CAP_MESSAGES | TRIB_CAP_HALF_CLOSE | TRIB_CAP_STATUS | TRIB_CAP_DETECTS_LOSS | TRIB_CAP_EVENTS)

const struct trib_transport trib_transport_grpc_unix = {
    .size = sizeof(struct trib_transport),
    .scheme = "grpc+unix",
    .capabilities = CAPABILITIES | TRIB_CAP_CREDENTIALS,
    .dial = grpc_dial,
    .listen = grpc_listen,
};

const struct trib_transport trib_transport_grpc_tcp = {
    .size = sizeof(struct trib_transport),
    .scheme = "grpc+tcp",
    .capabilities = CAPABILITIES,
    .dial = grpc_dial,
    .listen = grpc_listen,
};
