/* Who moves the bytes of a connection: the thread that waits, or an event_base.
 *
 * One thread at a time polls the socket, without the lock; what it finds it handles under the lock, for all streams. The others that
 * wait sleep on conditions of their own; when the driver has what it came for it leaves and wakes one of them to drive. Where the base
 * of a server drives, other threads only sleep. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "transports/grpc/owner-internal.h"

enum { AT_ONCE = 32, ROUNDS = 16 }; /* system calls in a row, before others of the same base have their turn */

/* ---- Notices ----------------------------------------------------------------------------------------------------- */

static bool on_base(const struct tribi_grpc_conn *conn)
{
    return conn->base != NULL && pthread_equal(conn->base_thread, pthread_self());
}

bool tribi_grpc_base_drives(const struct tribi_grpc_conn *conn)
{
    return conn->base_owned && !on_base(conn);
}

bool tribi_grpc_gathers(const struct tribi_grpc_conn *conn)
{
    return conn->handling && on_base(conn);
}

void tribi_grpc_ring(struct tribi_grpc_conn *conn)
{
    if (conn->base == NULL)
        return;
    if (on_base(conn)) /* perhaps inside the callback of another stream, which reads for all */
        event_active(conn->woken, EV_TIMEOUT, 0);
    else
        tribi_wake_set(&conn->bell);
}

static void wake_driver(struct tribi_grpc_conn *conn)
{
    if (conn->driving && !conn->rung) {
        conn->rung = true;
        tribi_wake_set(&conn->wake);
    }
}

/* The base is to run the side's callback, if it is armed; where the base handles the connection just now, it looks by itself. */
static void tell(struct tribi_grpc_side *side)
{
    struct tribi_grpc_conn *conn = side->stream->conn;

    if (side->fn == NULL || side->due_link != NULL || (!side->soon && !tribi_grpc_side_ready(side)))
        return;
    side->due_next = NULL;
    side->due_link = conn->due_last;
    *conn->due_last = side;
    conn->due_last = &side->due_next;
    conn->due++;
    if (!conn->handling || conn->looking)
        tribi_grpc_ring(conn);
}

static void not_due(struct tribi_grpc_side *side)
{
    struct tribi_grpc_conn *conn = side->stream->conn;

    if (side->due_link == NULL)
        return;
    *side->due_link = side->due_next;
    *(side->due_next != NULL ? &side->due_next->due_link : &conn->due_last) = side->due_link;
    side->due_link = NULL;
    conn->due--;
}

void tribi_grpc_notify(struct trib_grpc_call *stream, enum trib_direction direction)
{
    struct tribi_grpc_conn *conn = stream->conn;
    struct tribi_grpc_side *side = &stream->sides[direction];

    if (side->waiting)
        pthread_cond_signal(&side->cond);
    else if (conn->driving && conn->driver == side)
        wake_driver(conn);
    tell(side);
    if (direction == TRIB_READABLE) /* an end is something to read */
        tell(&stream->sides[TRIBI_GRPC_ENDED]);
}

void tribi_grpc_notify_writers(struct tribi_grpc_conn *conn)
{
    for (struct trib_grpc_call *stream = conn->streams; stream != NULL; stream = stream->next)
        if (stream->sides[TRIB_WRITABLE].waiting || stream->sides[TRIB_WRITABLE].fn != NULL || conn->driver == &stream->sides[TRIB_WRITABLE])
            tribi_grpc_notify(stream, TRIB_WRITABLE);
}

/* ---- Moving ------------------------------------------------------------------------------------------------------ */

void tribi_grpc_pump(struct tribi_grpc_conn *conn)
{
    if (tribi_grpc_receive(conn) == TRIB_OK)
        tribi_grpc_flush(conn);
    tribi_grpc_settle(conn);
}

/* ---- Threads that wait ------------------------------------------------------------------------------------------- */

static void clear(struct tribi_wake *wake)
{
    uint64_t rings;

    while (read(wake->fd, &rings, sizeof(rings)) > 0 && wake->other != wake->fd)
        ;
}

static int timed_out(struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "wait for a gRPC peer: the deadline passed");
}

static int drive(struct tribi_grpc_conn *conn, struct tribi_grpc_side *side, int64_t deadline, struct trib_error *err)
{
    struct pollfd polled[2] = { { .fd = conn->fd, .events = POLLIN }, { .events = POLLIN } };
    int64_t due = tribi_grpc_clock_due(conn);
    struct timespec room;
    int n = 1, failed = 0;

    if (conn->wake.fd < 0) {
        tribi_grpc_poke_lock(conn->poke);
        failed = tribi_wake_init(&conn->wake, err);
        tribi_grpc_poke_unlock(conn->poke);
        if (failed != TRIB_OK)
            return TRIB_ERR_IO;
        tribi_grpc_flush(conn); /* a release that found none */
    }
    polled[1].fd = conn->wake.fd;
    conn->driving = true;
    conn->driver = side;
    if (tribi_grpc_falls_asleep(conn))
        tribi_grpc_flush(conn);
    if (conn->out.bytes > 0 && !conn->out_broken)
        polled[0].events |= POLLOUT;
    if (deadline == TRIB_NOWAIT || !tribi_grpc_spin(conn, polled, 2)) {
        side->stream->waits++;
        pthread_mutex_unlock(&conn->lock);
        n = ppoll(polled, 2, tribi_time_left(due < deadline ? due : deadline, &room), NULL);
        failed = errno;
        pthread_mutex_lock(&conn->lock);
    }
    conn->driving = false;
    conn->driver = NULL;
    tribi_grpc_falls_asleep(conn);
    if (conn->rung || polled[1].revents != 0) {
        conn->rung = false;
        clear(&conn->wake);
        tribi_grpc_flush(conn);
    }
    if (n == 0 && due < deadline) {
        tribi_grpc_clock_look(conn);
        tribi_grpc_flush(conn);
        return TRIB_OK;
    }
    if (n == 0)
        return timed_out(err);
    if (n < 0)
        return failed == EINTR ? TRIB_OK : trib_error_set(err, TRIB_ERR_IO, failed, "poll a gRPC connection");
    if ((polled[0].revents & POLLOUT) != 0) {
        conn->writable_added = false;
        tribi_grpc_flush(conn);
    }
    if ((polled[0].revents & ~POLLOUT) != 0)
        tribi_grpc_pump(conn);
    return TRIB_OK;
}

static void make_cond(struct tribi_grpc_side *side)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&side->cond, &attributes);
    pthread_condattr_destroy(&attributes);
    side->slept = true;
}

static int sleep_on(struct tribi_grpc_side *side, int64_t deadline, struct trib_error *err)
{
    struct tribi_grpc_conn *conn = side->stream->conn;
    int64_t at = deadline > 0 ? deadline : 0;
    struct timespec until = { (time_t)(at / 1000000000), (long)(at % 1000000000) };
    int rc = 0;

    if (!side->slept)
        make_cond(side);
    side->stream->waits++;
    side->waiting = true;
    side->next = conn->sleepers;
    side->link = &conn->sleepers;
    if (side->next != NULL)
        side->next->link = &side->next;
    conn->sleepers = side;
    if (deadline == TRIB_FOREVER)
        pthread_cond_wait(&side->cond, &conn->lock);
    else
        rc = pthread_cond_timedwait(&side->cond, &conn->lock, &until);
    *side->link = side->next;
    if (side->next != NULL)
        side->next->link = side->link;
    side->waiting = false;
    return rc == ETIMEDOUT ? timed_out(err) : TRIB_OK;
}

int tribi_grpc_wait(struct tribi_grpc_side *side, int64_t deadline, struct trib_error *err)
{
    struct tribi_grpc_conn *conn = side->stream->conn;

    if (!conn->quiet)
        tribi_grpc_flush(conn);
    if (conn->driving || tribi_grpc_base_drives(conn) || conn->lost)
        return sleep_on(side, deadline, err);
    return drive(conn, side, deadline, err);
}

void tribi_grpc_hand_over(struct tribi_grpc_conn *conn)
{
    if (!conn->driving && !conn->base_owned && conn->sleepers != NULL)
        pthread_cond_signal(&conn->sleepers->cond);
    else if (!conn->driving && conn->owner != NULL)
        tribi_grpc_owner_ring(conn->owner);
}

/* ---- An event_base ----------------------------------------------------------------------------------------------- */

/* Callbacks run without the lock; each may arm anew, end its stream, or let go of the whole connection but for our reference. Those that become
 * due meanwhile have their turn later. */
static void run_due(struct tribi_grpc_conn *conn)
{
    for (unsigned n = conn->due; n > 0 && conn->due > 0; n--) {
        struct tribi_grpc_side *side = conn->due_first;
        trib_ready_fn *fn = side->fn;
        void *arg = side->arg;

        not_due(side);
        side->fn = NULL;
        side->soon = false;
        pthread_mutex_unlock(&conn->lock);
        if (fn != NULL)
            fn(arg);
        pthread_mutex_lock(&conn->lock);
        conn->base_thread = pthread_self();
        if (n > 1 && n % AT_ONCE == 1)
            tribi_grpc_flush(conn);
    }
}

/* Whoever is concerned by what came: handlers of new calls, callbacks. */
static void dispatch(struct tribi_grpc_conn *conn)
{
    struct tribi_grpc_owner *owner = conn->owner;

    if (conn->base_owned && owner != NULL && (conn->incoming_first != NULL || conn->lost || conn->finished)) {
        pthread_mutex_unlock(&conn->lock);
        tribi_grpc_owner_serve(owner, conn);
        pthread_mutex_lock(&conn->lock);
        conn->base_thread = pthread_self();
    }
    run_due(conn);
}

/* Nobody waits on the base any more. While an event is handled the last call may end and the next one begin: that is looked at in the end. */
static void unbind_idle(struct tribi_grpc_conn *conn)
{
    if (conn->base != NULL && conn->armed == 0 && !conn->base_owned && !conn->handling)
        tribi_grpc_unbind(conn);
}

/* An event of the base is handled between these two; what is sent meanwhile leaves together at the end. */
static struct tribi_grpc_conn *enter(void *arg)
{
    struct tribi_grpc_conn *conn = arg;

    pthread_mutex_lock(&conn->lock);
    conn->base_thread = pthread_self();
    conn->refs++;
    conn->handling = true;
    tribi_grpc_falls_asleep(conn);
    return conn;
}

static void leave(struct tribi_grpc_conn *conn)
{
    tribi_grpc_flush(conn);
    tribi_grpc_settle(conn);
    dispatch(conn);
    conn->handling = false;
    tribi_grpc_falls_asleep(conn);
    tribi_grpc_flush(conn);
    tribi_grpc_settle(conn);
    unbind_idle(conn);
    if (conn->lost && conn->readable != NULL)
        event_del(conn->readable);
    if (conn->due > 0 || (conn->base_owned && conn->lost))
        tribi_grpc_ring(conn);
    tribi_grpc_conn_unref_unlock(conn);
}

/* Before the base sleeps. What other threads do meanwhile rings as if it slept. */
static bool comes_soon(struct tribi_grpc_conn *conn)
{
    struct pollfd polled[2] = { { .fd = conn->fd, .events = POLLIN }, { .fd = conn->bell.fd, .events = POLLIN } };
    bool came;

    if (conn->options.spin_us == 0 || conn->lost || conn->base == NULL)
        return false;
    tribi_grpc_flush(conn);
    tribi_grpc_settle(conn);
    if (conn->due > 0 || conn->out.bytes > 0 || conn->lost || conn->base == NULL)
        return false;
    conn->looking = true;
    came = !tribi_grpc_falls_asleep(conn) && tribi_grpc_spin(conn, polled, 2);
    conn->looking = false;
    conn->base_thread = pthread_self();
    tribi_grpc_falls_asleep(conn);
    return came && (polled[0].revents & POLLIN) != 0; /* for the bell the base comes itself */
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct tribi_grpc_conn *conn = enter(arg);
    bool more = true;

    (void)fd, (void)what;
    for (int i = 0; i < ROUNDS && more && conn->base != NULL; i++) {
        more = tribi_grpc_receive(conn) == TRIB_OK && conn->more;
        tribi_grpc_flush_later(conn);
        dispatch(conn);
        more = more || comes_soon(conn);
    }
    leave(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct tribi_grpc_conn *conn = enter(arg);

    (void)fd, (void)what;
    conn->writable_added = false;
    leave(conn);
}

static void on_bell(evutil_socket_t fd, short what, void *arg)
{
    struct tribi_grpc_conn *conn = enter(arg);

    (void)fd;
    if ((what & EV_READ) != 0)
        clear(&conn->bell);
    leave(conn);
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    struct tribi_grpc_conn *conn = enter(arg);

    (void)fd, (void)what;
    for (int i = 0, rc = TRIB_OK; i < ROUNDS && rc == TRIB_OK; i++)
        rc = tribi_grpc_receive(conn);
    tribi_grpc_clock_look(conn);
    tribi_grpc_clock_arm(conn);
    leave(conn);
}

void tribi_grpc_want_out(struct tribi_grpc_conn *conn)
{
    if (conn->out.bytes == 0 || conn->out_broken || conn->lost)
        return;
    if (!on_base(conn)) {
        tribi_grpc_ring(conn);
        wake_driver(conn);
    } else if (!conn->writable_added && conn->writable != NULL) {
        conn->writable_added = event_add(conn->writable, NULL) == 0;
    }
}

static struct event *make_event(struct event_base *base, int fd, short what, event_callback_fn fn, void *arg)
{
    struct event *event = trib_alloc(event_get_struct_event_size());

    if (event != NULL)
        event_assign(event, base, fd, what, fn, arg);
    return event;
}

static void drop_event(struct event **event)
{
    if (*event != NULL)
        event_del(*event);
    trib_free(*event);
    *event = NULL;
}

void tribi_grpc_clock_arm(struct tribi_grpc_conn *conn)
{
    int64_t due = tribi_grpc_clock_due(conn), left = due - trib_now();
    struct timeval time;

    if (conn->base == NULL || due == TRIB_FOREVER)
        return;
    if (conn->clock.event == NULL)
        conn->clock.event = make_event(conn->base, -1, 0, on_clock, conn);
    if (left < 0)
        left = 0;
    time = (struct timeval){ left / 1000000000, left % 1000000000 / 1000 + 1 };
    if (conn->clock.event != NULL)
        event_add(conn->clock.event, &time);
}

void tribi_grpc_unbind(struct tribi_grpc_conn *conn)
{
    drop_event(&conn->clock.event);
    drop_event(&conn->readable);
    drop_event(&conn->writable);
    drop_event(&conn->woken);
    conn->writable_added = false;
    conn->base = NULL;
    if (conn->out.bytes > 0)
        wake_driver(conn); /* it is for the driver now to wait for room in the socket */
    tribi_grpc_falls_asleep(conn);
    tribi_grpc_poke_lock(conn->poke);
    tribi_wake_done(&conn->bell);
    tribi_grpc_poke_unlock(conn->poke);
    if (conn->owner != NULL && !conn->base_owned)
        tribi_grpc_owner_ring(conn->owner); /* a listener that waits on a base hears of it itself again */
}

int tribi_grpc_bind(struct tribi_grpc_conn *conn, struct event_base *base, struct trib_error *err)
{
    int rc;

    if (conn->base == base)
        return TRIB_OK;
    if (conn->base != NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "watch a gRPC channel: its connection is bound to another event_base");
    tribi_grpc_poke_lock(conn->poke);
    rc = tribi_wake_init(&conn->bell, err);
    tribi_grpc_poke_unlock(conn->poke);
    if (rc != TRIB_OK)
        return TRIB_ERR_IO;
    conn->base = base;
    conn->base_thread = pthread_self();
    conn->readable = make_event(base, conn->fd, EV_READ | EV_PERSIST, on_readable, conn);
    conn->writable = make_event(base, conn->fd, EV_WRITE, on_writable, conn);
    conn->woken = make_event(base, conn->bell.fd, EV_READ | EV_PERSIST, on_bell, conn);
    if (conn->readable != NULL && conn->writable != NULL && conn->woken != NULL &&
        (conn->lost || event_add(conn->readable, NULL) == 0) && event_add(conn->woken, NULL) == 0) {
        if (tribi_grpc_falls_asleep(conn))
            tribi_grpc_ring(conn);
        tribi_grpc_want_out(conn);
        tribi_grpc_clock_arm(conn);
        return TRIB_OK;
    }
    tribi_grpc_unbind(conn);
    return trib_error_set(err, TRIB_ERR_NOMEM, 0, "watch a gRPC channel: no memory, or the event_base does not take its socket");
}

/* ---- Watches ----------------------------------------------------------------------------------------------------- */

static void disarm(struct tribi_grpc_side *side)
{
    struct tribi_grpc_conn *conn = side->stream->conn;

    side->fn = NULL;
    not_due(side);
    if (side->base == NULL)
        return;
    side->base = NULL;
    conn->armed--;
    unbind_idle(conn);
}

int tribi_grpc_watch(struct tribi_grpc_side *side, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    struct tribi_grpc_conn *conn = side->stream->conn;
    int rc;

    if (fn == NULL || (side->base != NULL && side->base != base))
        disarm(side);
    if (fn == NULL) {
        side->soon = false;
        return TRIB_OK;
    }
    if (conn->base != base && conn->base != NULL && conn->armed == 0 && !conn->base_owned)
        tribi_grpc_unbind(conn);
    rc = tribi_grpc_bind(conn, base, err);
    if (rc != TRIB_OK)
        return rc;
    conn->base_thread = pthread_self();
    conn->armed += side->base == NULL;
    side->base = base;
    side->fn = fn;
    side->arg = arg;
    tell(side);
    return TRIB_OK;
}
