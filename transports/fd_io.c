/* Moves bytes over descriptors: tries, spins, sleeps, and tells outcomes apart. */
#include "fd-internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x8
#endif
enum {
    PIECES_MAX = 1024,   /* IOV_MAX of Linux */
    TTY_PIECE = 256      /* a tty that is polled writable takes so much, unless it is stopped just then */
};

/* How the next attempt may behave. */
enum how {
    HOW_TRY,   /* must not sleep */
    HOW_SLEEP, /* may sleep in the system call: shutdown() wakes it */
    HOW_READY  /* must not sleep, and poll has just said that it need not */
};

struct attempt {
    struct tribi_fd *fd;
    struct tribi_fd_side *side;
    const char *operation; /* for messages: "receive from" */
    short events;
    int64_t deadline;
    enum how how;
    int64_t spin_until;
};

int tribi_fd_cancelled(const struct tribi_fd *fd, const char *operation, struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "%s %s: the channel was cancelled", operation, fd->ops.name);
}

static bool is_cancelled(struct tribi_fd *fd)
{
    return atomic_load_explicit(&fd->cancelled, memory_order_acquire);
}

static struct attempt begin(struct tribi_fd *fd, struct tribi_fd_side *side, const char *operation, short events, int64_t deadline)
{
    bool sleeps = side->socket && deadline == TRIB_FOREVER && fd->spin_ns == 0;

    return (struct attempt){fd, side, operation, events, deadline, sleeps ? HOW_SLEEP : HOW_TRY, 0};
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* True while the attempt should be repeated at once. */
static bool spins(struct attempt *a)
{
    int64_t now;

    if (a->fd->spin_ns == 0 || a->how != HOW_TRY)
        return false;
    now = trib_now();
    if (a->spin_until == 0)
        a->spin_until = a->deadline - now < a->fd->spin_ns ? a->deadline : now + a->fd->spin_ns;
    relax();
    return now < a->spin_until;
}

static int poll_side(struct attempt *a, struct trib_error *err)
{
    struct pollfd polled[2] = {{.fd = a->side->fd, .events = a->events}, {.fd = a->fd->wake.fd, .events = POLLIN}};
    struct timespec room;
    int n;

    tribi_fd_count(&a->side->calls);
    tribi_fd_count(&a->side->waits);
    n = ppoll(polled, a->fd->wake.fd >= 0 ? 2 : 1, tribi_time_left(a->deadline, &room), NULL);
    if (n < 0 && errno != EINTR)
        return trib_error_set(err, TRIB_ERR_IO, errno, "poll to %s %s", a->operation, a->fd->ops.name);
    if (is_cancelled(a->fd))
        return tribi_fd_cancelled(a->fd, a->operation, err);
    if (n == 0)
        return trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "%s %s: the deadline passed", a->operation, a->fd->ops.name);
    a->how = n > 0 ? HOW_READY : HOW_TRY;
    return TRIB_OK;
}

/* The attempt met EAGAIN. TRIB_OK: it is worth another one. */
static int wait_side(struct attempt *a, struct trib_error *err)
{
    if (a->deadline == TRIB_NOWAIT)
        return TRIB_AGAIN;
    if (spins(a))
        return TRIB_OK;
    if (a->how == HOW_TRY && a->side->socket && a->deadline == TRIB_FOREVER) {
        a->how = HOW_SLEEP;
        return TRIB_OK;
    }
    return poll_side(a, err); /* also where somebody made the socket non-blocking, or gave it a timeout */
}

/* After a system call that returned -1. TRIB_OK: try again. */
static int tried(struct attempt *a, struct trib_error *err)
{
    switch (errno) {
    case EINTR:
        return TRIB_OK;
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
        return wait_side(a, err);
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
    case ETIMEDOUT:
        return trib_error_set(err, TRIB_ERR_CLOSED, errno, "%s %s", a->operation, a->fd->ops.name);
    case ENOMEM:
    case ENOBUFS:
        return trib_error_set(err, TRIB_ERR_NOMEM, errno, "%s %s", a->operation, a->fd->ops.name);
    default:
        return trib_error_set(err, TRIB_ERR_IO, errno, "%s %s", a->operation, a->fd->ops.name);
    }
}

/* RWF_NOWAIT is what pipes have in place of MSG_DONTWAIT; O_NONBLOCK would be seen by every process that shares the descriptor.
 * Where it is not known, poll goes first. Of a file it would refuse what has to come from the disk, for which no poll waits. */
static bool lacks_nowait(struct tribi_fd_side *side)
{
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == EPERM) {
        side->nowait = false;
        errno = EAGAIN;
        return true;
    }
    return false;
}

static ssize_t read_once(struct attempt *a, uint8_t *at, size_t room, bool all)
{
    struct tribi_fd_side *side = a->side;
    struct iovec iov = {at, room};
    ssize_t n;

    if (side->socket) {
        tribi_fd_count(&side->calls);
        return recv(side->fd, at, room, a->how != HOW_SLEEP ? MSG_DONTWAIT : all ? MSG_WAITALL : 0);
    }
#ifdef __linux__
    if (side->nowait) {
        tribi_fd_count(&side->calls);
        n = preadv2(side->fd, &iov, 1, -1, RWF_NOWAIT);
        if (n >= 0 || !lacks_nowait(side))
            return n;
    }
#endif
    if (!side->file && a->how != HOW_READY) {
        errno = EAGAIN;
        return -1;
    }
    a->how = HOW_TRY; /* poll vouches for one call only */
    tribi_fd_count(&side->calls);
    n = readv(side->fd, &iov, 1);
    return n < 0 && errno == EIO && side->tty ? 0 : n; /* that is how a tty says that its other end was closed */
}

int tribi_fd_read(struct tribi_fd *fd, uint8_t *at, size_t room, bool all, int64_t deadline, size_t *ret_got, struct trib_error *err)
{
    struct attempt a = begin(fd, &fd->in, "receive from", POLLIN, deadline);
    int rc;

    do {
        ssize_t n = read_once(&a, at, room, all);
        if (is_cancelled(fd))
            return tribi_fd_cancelled(fd, a.operation, err);
        if (n >= 0) {
            *ret_got = (size_t)n;
            return n > 0 ? TRIB_OK : TRIB_EOF;
        }
        rc = tried(&a, err);
    } while (rc == TRIB_OK);
    return rc;
}

static size_t gather(const struct trib_send *send, struct iovec *pieces)
{
    size_t n = send->count < PIECES_MAX ? send->count : PIECES_MAX;

    for (size_t i = 0; i < n; i++)
        pieces[i] = (struct iovec){(void *)(uintptr_t)send->views[i].data, send->views[i].len};
    return n;
}

/* As many pieces as lie within the first `most` bytes, the last one cut. */
static size_t cut(struct iovec *pieces, size_t n, size_t most)
{
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].iov_len >= most) {
            pieces[i].iov_len = most;
            return i + 1;
        }
        most -= pieces[i].iov_len;
    }
    return n;
}

static ssize_t write_once(struct attempt *a, struct iovec *pieces, size_t n)
{
    struct tribi_fd_side *side = a->side;

    if (side->socket) {
        struct msghdr msg = {.msg_iov = pieces, .msg_iovlen = n};
        tribi_fd_count(&side->calls);
        return sendmsg(side->fd, &msg, MSG_NOSIGNAL | (a->how != HOW_SLEEP ? MSG_DONTWAIT : 0));
    }
#ifdef __linux__
    if (side->nowait) {
        ssize_t sent;
        tribi_fd_count(&side->calls);
        sent = pwritev2(side->fd, pieces, (int)n, -1, RWF_NOWAIT);
        if (sent >= 0 || !lacks_nowait(side))
            return sent;
    }
#endif
    if (!side->file && a->how != HOW_READY) {
        errno = EAGAIN;
        return -1;
    }
    a->how = HOW_TRY;
    tribi_fd_count(&side->calls);
    if (side->file)
        return writev(side->fd, pieces, (int)n);
    return writev(side->fd, pieces, (int)cut(pieces, n, side->tty ? TTY_PIECE : PIPE_BUF)); /* which does not block after poll */
}

int tribi_fd_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    struct tribi_fd *fd = self;
    struct attempt a = begin(fd, &fd->out, "send to", POLLOUT, send->deadline);
    struct iovec pieces[PIECES_MAX];
    size_t n = gather(send, pieces);
    int rc = TRIB_OK;

    if (is_cancelled(fd))
        return tribi_fd_cancelled(fd, a.operation, err);
    if (fd->out.fd < 0)
        return trib_error_set(err, TRIB_ERR_CLOSED, EPIPE, "send to %s after the end", fd->ops.name);
    do {
        ssize_t sent = write_once(&a, pieces, n);
        if (is_cancelled(fd))
            return tribi_fd_cancelled(fd, a.operation, err);
        if (sent >= 0) {
            *ret_bytes = (size_t)sent;
            return TRIB_OK;
        }
        rc = tried(&a, err);
    } while (rc == TRIB_OK);
    return rc;
}
