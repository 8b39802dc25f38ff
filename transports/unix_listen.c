/* Listeners of unix: they accept, refuse strangers, and outlast a lack of descriptors. */
#include "unix-internal.h"

#include <tributary/alloc.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wake-internal.h"
#include "watch-internal.h"

enum { BACKLOG = 128, BACKLOG_MAX = 65535, BACK_OFF_MIN_MS = 10, BACK_OFF_MAX_MS = 1000 };

struct unix_listener {
    int fd;
    int pending;          /* accepted, and not made a channel for lack of memory; -1: none */
    int64_t back_off_ms;  /* how long to wait at the next lack of descriptors or memory; 0: there was none at the last accept */
    struct tribi_wake wake;
    atomic_bool cancelled;
    bool closed;
    struct tribi_watch watch;
    struct tribi_unix_file file;
    struct trib_channel_options options;
    char *address;        /* NULL: unknown */
};

/* ---- Accepting ------------------------------------------------------------------------------------------------ */

static int cancelled(struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "accept: the listener was cancelled");
}

/* Sleeps until a peer or a cancel comes (`for_peer`), or for a cancel alone; not beyond `until`. */
static int sleep_until(struct unix_listener *listener, bool for_peer, int64_t until, struct trib_error *err)
{
    struct pollfd polled[2] = {{.fd = listener->wake.fd, .events = POLLIN}, {.fd = listener->fd, .events = POLLIN}};
    struct timespec room;
    int n = ppoll(polled, for_peer ? 2 : 1, tribi_time_left(until, &room), NULL);

    if (n < 0 && errno != EINTR)
        return trib_error_set(err, TRIB_ERR_IO, errno, "accept: poll");
    if (atomic_load(&listener->cancelled))
        return cancelled(err);
    return n == 0 ? trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "accept: the deadline passed") : TRIB_OK;
}

/* Descriptors or memory are lacking: others may give some back. TRIB_OK: try again. */
static int back_off(struct unix_listener *listener, int64_t deadline, int failed, struct trib_error *err)
{
    int64_t now = trib_now(), until;
    int rc;

    if (listener->back_off_ms == 0)
        listener->back_off_ms = BACK_OFF_MIN_MS;
    else if (listener->back_off_ms < BACK_OFF_MAX_MS)
        listener->back_off_ms = listener->back_off_ms * 2 < BACK_OFF_MAX_MS ? listener->back_off_ms * 2 : BACK_OFF_MAX_MS;
    until = now + listener->back_off_ms * 1000000;
    if (deadline <= now)
        return trib_error_set(err, TRIB_ERR_IO, failed, "accept");
    rc = sleep_until(listener, false, until < deadline ? until : deadline, err);
    return rc == TRIB_ERR_TIMEOUT ? TRIB_OK : rc;
}

/* A connection becomes a channel. TRIB_AGAIN: it was a stranger's. */
static int welcome(struct unix_listener *listener, int fd, struct trib_channel **ret_channel, struct trib_error *err)
{
    int rc;

    listener->back_off_ms = 0;
    listener->pending = -1;
    if (tribi_unix_check_peer(fd, &listener->options, NULL) != TRIB_OK) {
        close(fd);
        return TRIB_AGAIN;
    }
    rc = tribi_unix_channel(fd, &listener->options, ret_channel, err);
    if (rc == TRIB_ERR_NOMEM)
        listener->pending = fd; /* the peer need not know */
    else if (rc != TRIB_OK)
        close(fd);
    return rc;
}

/* After an accept4() that failed. TRIB_OK: try again. */
static int not_accepted(struct unix_listener *listener, int64_t deadline, struct trib_error *err)
{
    switch (errno) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
        return deadline == TRIB_NOWAIT ? TRIB_AGAIN : sleep_until(listener, true, deadline, err);
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
        return TRIB_OK;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return back_off(listener, deadline, errno, err);
    default:
        return trib_error_set(err, TRIB_ERR_IO, errno, "accept");
    }
}

static int unix_accept(void *self, int64_t deadline, struct trib_channel **ret_channel, struct trib_error *err)
{
    struct unix_listener *listener = self;
    int rc = TRIB_OK;

    while (rc == TRIB_OK) {
        int fd;
        if (atomic_load(&listener->cancelled))
            return cancelled(err);
        fd = listener->pending >= 0 ? listener->pending : accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            rc = welcome(listener, fd, ret_channel, err);
            if (rc != TRIB_AGAIN)
                return rc;
            rc = TRIB_OK;
        } else {
            rc = not_accepted(listener, deadline, err);
        }
    }
    return rc;
}

static int unix_watch(void *self, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    struct unix_listener *listener = self;
    struct tribi_watched watched = {listener->fd, TRIB_READABLE, listener->wake.fd, -1, "a unix: listener"};

    if (listener->pending >= 0 || listener->back_off_ms > 0) {
        /* The socket stays readable while its peer cannot be accepted: the clock decides. */
        watched.fd = -1;
        watched.delay_ms = listener->pending >= 0 ? 0 : listener->back_off_ms;
    }
    return tribi_watch_arm(&listener->watch, base, &watched, fn, arg, err);
}

/* ---- Ending --------------------------------------------------------------------------------------------------- */

static void unix_cancel(void *self)
{
    struct unix_listener *listener = self;

    if (!atomic_exchange(&listener->cancelled, true))
        tribi_wake_set(&listener->wake);
}

static void unix_close(void *self)
{
    struct unix_listener *listener = self;

    if (listener->closed)
        return;
    listener->closed = true;
    tribi_watch_done(&listener->watch);
    tribi_unix_file_remove(&listener->file);
    if (listener->pending >= 0)
        close(listener->pending);
    if (listener->fd >= 0)
        close(listener->fd);
    tribi_wake_done(&listener->wake);
}

static void unix_free(void *self)
{
    struct unix_listener *listener = self;

    unix_close(listener);
    trib_free(listener->address);
    trib_free(listener);
}

static const char *unix_address(void *self)
{
    const struct unix_listener *listener = self;

    return listener->address;
}

static const struct trib_listener_ops unix_listener_ops = {
    .size = sizeof(struct trib_listener_ops),
    .name = "unix",
    .accept = unix_accept,
    .cancel = unix_cancel,
    .close = unix_close,
    .free = unix_free,
    .watch = unix_watch,
    .address = unix_address,
};

/* ---- Opening -------------------------------------------------------------------------------------------------- */

static int new_listener(const struct trib_channel_options *options, struct unix_listener **ret_listener, struct trib_error *err)
{
    struct unix_listener *listener;
    struct trib_channel_options whole;
    int rc = trib_channel_options_fill(options, &whole, err);

    if (rc != TRIB_OK)
        return rc;
    listener = trib_alloc(sizeof(*listener));
    if (listener == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "make a listener: no memory");
    listener->fd = listener->pending = -1;
    listener->file = (struct tribi_unix_file)TRIBI_UNIX_NO_FILE;
    listener->options = whole;
    rc = tribi_wake_init(&listener->wake, err);
    if (rc != TRIB_OK) {
        trib_free(listener);
        return rc;
    }
    *ret_listener = listener;
    return TRIB_OK;
}

static int bind_abstract(int fd, const struct tribi_unix_address *address, int backlog, const char *text, struct trib_error *err)
{
    if (bind(fd, (const struct sockaddr *)&address->name, address->len) == 0 && listen(fd, backlog) == 0)
        return TRIB_OK;
    if (errno == EADDRINUSE)
        return trib_error_set(err, TRIB_ERR_IO, errno, "listen at %s: somebody listens there", text);
    return trib_error_set(err, TRIB_ERR_IO, errno, "listen at %s", text);
}

static int start(struct unix_listener *listener, const struct trib_uri *uri, struct trib_error *err)
{
    static const char *const parameters[] = {"mode", "backlog", NULL};
    struct tribi_unix_address address;
    uint64_t mode = 0600, backlog = BACKLOG;
    int rc = trib_uri_known(uri, parameters, err);

    if (rc == TRIB_OK)
        rc = trib_uri_number(uri, "mode", 8, 0, 0777, 0600, &mode, err);
    if (rc == TRIB_OK)
        rc = trib_uri_number(uri, "backlog", 10, 1, BACKLOG_MAX, BACKLOG, &backlog, err);
    if (rc == TRIB_OK)
        rc = tribi_unix_address(uri, &address, err);
    if (rc != TRIB_OK)
        return rc;
    listener->address = tribi_unix_uri("unix:", &address);
    if (listener->address == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen at %s: no memory", trib_uri_text(uri));
    listener->fd = tribi_unix_socket(SOCK_NONBLOCK);
    if (listener->fd < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "socket for %s", trib_uri_text(uri));
    if (address.abstract)
        return bind_abstract(listener->fd, &address, (int)backlog, trib_uri_text(uri), err);
    return tribi_unix_file_bind(&listener->file, listener->fd, &address, (mode_t)mode, (int)backlog, err);
}

int tribi_unix_listen(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                      struct trib_error *err)
{
    struct unix_listener *listener;
    int rc = new_listener(options, &listener, err);

    if (rc != TRIB_OK)
        return rc;
    rc = start(listener, uri, err);
    if (rc == TRIB_OK)
        rc = trib_listener_new(&unix_listener_ops, listener, ret_listener, err);
    if (rc != TRIB_OK)
        unix_free(listener);
    return rc;
}

/* The address of a descriptor that listens. TRIB_ERR_USAGE: it does not. */
static int address_of(int fd, struct tribi_unix_address *ret_address, struct trib_error *err)
{
    struct tribi_unix_address address = {.len = sizeof(address.name)};
    int type = 0, listens = 0;
    socklen_t len = sizeof(int);

    if (getsockname(fd, (struct sockaddr *)&address.name, &address.len) != 0)
        return trib_error_set(err, TRIB_ERR_USAGE, errno, "listen with descriptor %d", fd);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0 ||
        address.name.sun_family != AF_UNIX || type != SOCK_STREAM || listens == 0)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "listen with descriptor %d: not a Unix stream socket that listens", fd);
    if (address.len > sizeof(address.name)) /* the system counts a NUL that has no room */
        address.len = sizeof(address.name);
    address.abstract = address.len > offsetof(struct sockaddr_un, sun_path) && address.name.sun_path[0] == '\0';
    *ret_address = address;
    return TRIB_OK;
}

/* The flag is shared with whoever else has the socket; without it accept could sleep where another process took the peer away. */
static int adopt(struct unix_listener *listener, int fd, struct trib_error *err)
{
    struct tribi_unix_address address;
    int flags, rc = address_of(fd, &address, err);

    if (rc != TRIB_OK)
        return rc;
    if (address.len > offsetof(struct sockaddr_un, sun_path)) {
        listener->address = tribi_unix_uri("unix:", &address);
        if (listener->address == NULL)
            return trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen with descriptor %d: no memory", fd);
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "listen with descriptor %d: set its flags", fd);
    return TRIB_OK;
}

int trib_unix_listener_fd(int fd, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                          struct trib_error *err)
{
    struct unix_listener *listener;
    int rc = new_listener(options, &listener, err);

    if (rc != TRIB_OK)
        return rc;
    rc = adopt(listener, fd, err);
    if (rc == TRIB_OK) {
        listener->fd = fd;
        rc = trib_listener_new(&unix_listener_ops, listener, ret_listener, err);
    }
    if (rc != TRIB_OK) {
        listener->fd = -1; /* stays the caller's */
        unix_free(listener);
    }
    return rc;
}
