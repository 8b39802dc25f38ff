/* Channels over descriptors: sockets, pipes, ttys and files. */
#include <tributary/fd.h>

#include <tributary/alloc.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include "fd-internal.h"

enum { SEND_BUFFER = 1 << 20 }; /* the system's default of 208 KiB alone costs 40 % of the speed */
enum { SPIN_US_MAX = 1000 };

/* ---- Receiving ------------------------------------------------------------------------------------------------ */

/* Where the next bytes go. */
struct place {
    uint8_t *at;
    size_t room;
    unsigned flags;
};

static void let_block_go(struct tribi_fd *fd)
{
    fd->block = trib_chunk_unref(fd->block);
    fd->base = NULL;
    fd->len = fd->fill = 0;
}

/* All of the block that was received has been let go: it can be used from its start, which the cache still holds. */
static bool use_again(struct tribi_fd *fd, const struct trib_want *want, struct place *ret_place)
{
    if (fd->block == NULL || trib_chunk_writable(fd->block) == NULL || !tribi_readahead_again(&fd->readahead, fd->len, fd->fill))
        return false;
    if (want->min > fd->len || want->head > fd->len - want->min || (uintptr_t)fd->base % want->align != 0)
        return false;
    fd->fill = want->head;
    *ret_place = (struct place){fd->base + fd->fill, fd->len - fd->fill, want->head > 0 ? TRIB_RECV_HEADROOM : 0};
    return true;
}

/* The block has room behind what the reader holds of it, where the alignment fits. */
static bool go_on(struct tribi_fd *fd, const struct trib_want *want, struct place *ret_place)
{
    uint8_t *at;
    size_t off, gap;

    if (fd->block == NULL)
        return false;
    at = fd->base + fd->fill;
    off = ((uintptr_t)at - want->head) % want->align;
    gap = off == 0 ? 0 : want->align - off;
    if (want->head > 0 && (want->next != at || gap > 0))
        return false;
    if (gap > fd->len - fd->fill || want->min > fd->len - fd->fill - gap)
        return false;
    fd->fill += gap;
    *ret_place = (struct place){at + gap, fd->len - fd->fill, 0};
    return true;
}

static int new_block(struct tribi_fd *fd, const struct trib_want *want, struct place *ret_place, struct trib_error *err)
{
    size_t last_len = 0, last_used = 0, ahead;
    int rc;

    if (fd->block != NULL && want->next == fd->base + fd->fill) {
        last_len = fd->len;
        last_used = fd->fill;
    } else if (fd->full_end != NULL && (want->next == fd->full_end || want->head == 0)) {
        last_len = last_used = fd->full_len;
    }
    fd->full_end = NULL;
    ahead = tribi_readahead_plan(&fd->readahead, want, last_len, last_used);
    let_block_go(fd); /* before the new one is charged */
    rc = trib_want_alloc(want, ahead, &fd->block, err);
    if (rc != TRIB_OK)
        return rc;
    fd->base = trib_chunk_writable(fd->block);
    fd->len = trib_chunk_len(fd->block);
    fd->fill = want->head;
    *ret_place = (struct place){fd->base + fd->fill, fd->len - fd->fill, want->head > 0 ? TRIB_RECV_HEADROOM : 0};
    return TRIB_OK;
}

static int find_place(struct tribi_fd *fd, const struct trib_want *want, struct place *ret_place, struct trib_error *err)
{
    if (use_again(fd, want, ret_place) || go_on(fd, want, ret_place))
        return TRIB_OK;
    return new_block(fd, want, ret_place, err);
}

/* The received bytes as a view with a reference. A full block is left to the reader, so that it goes back to the pool with the
 * last view. */
static struct trib_view received(struct tribi_fd *fd, uint8_t *at, size_t got)
{
    struct trib_view view = {at, got, fd->block};

    fd->fill = (size_t)(at - fd->base) + got;
    if (fd->fill < fd->len)
        return trib_view_retain(view);
    fd->full_end = fd->base + fd->len;
    fd->full_len = fd->len;
    fd->block = NULL;
    fd->base = NULL;
    fd->len = fd->fill = 0;
    return view;
}

static int fd_recv(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags, struct trib_error *err)
{
    struct tribi_fd *fd = self;
    struct place place = {.at = NULL};
    bool big;
    size_t got = 0;
    int rc;

    if (atomic_load_explicit(&fd->cancelled, memory_order_acquire))
        return tribi_fd_cancelled(fd, "receive from", err);
    rc = find_place(fd, want, &place, err);
    if (rc != TRIB_OK)
        return rc;
    big = tribi_readahead_is_big(&fd->readahead, want);
    if (big && place.room > want->min)
        place.room = want->min;
    rc = tribi_fd_read(fd, place.at, place.room, big, want->deadline, &got, err);
    if (rc != TRIB_OK) {
        /* A channel that waits for its event holds no memory. */
        if (fd->block != NULL && trib_chunk_writable(fd->block) != NULL)
            let_block_go(fd);
        return rc;
    }
    tribi_readahead_received(&fd->readahead, want, place.room, got);
    *ret_view = received(fd, place.at, got);
    *ret_flags = place.flags;
    return TRIB_OK;
}

/* ---- Ending --------------------------------------------------------------------------------------------------- */

/* What a peer sees of a process that was killed. */
static void die(struct tribi_fd *fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    if (fd->out.socket && !fd->out.local)
        setsockopt(fd->out.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (fd->out.socket)
        shutdown(fd->out.fd, SHUT_RDWR);
    if (fd->in.socket && fd->in.fd != fd->out.fd)
        shutdown(fd->in.fd, SHUT_RDWR);
}

/* A file system may tell only here that it could not keep what was written. */
static int end_out(struct tribi_fd *fd, struct trib_error *err)
{
    int out = fd->out.fd;

    tribi_watch_done(&fd->out.watch);
    fd->out.fd = -1;
    if (close(out) != 0 && errno != EINTR)
        return trib_error_set(err, TRIB_ERR_IO, errno, "finish %s", fd->ops.name);
    return TRIB_OK;
}

static int fd_finish(void *self, int status, const char *text, int64_t deadline, struct trib_error *err)
{
    struct tribi_fd *fd = self;

    (void)text;
    (void)deadline;
    if (atomic_load_explicit(&fd->cancelled, memory_order_acquire))
        return tribi_fd_cancelled(fd, "finish", err);
    if (fd->out.fd < 0)
        return TRIB_OK;
    if (status != 0)
        die(fd);
    else if (fd->out.socket && shutdown(fd->out.fd, SHUT_WR) != 0)
        return trib_error_set(err, errno == ENOTCONN ? TRIB_ERR_CLOSED : TRIB_ERR_IO, errno, "finish %s", fd->ops.name);
    return !fd->out.socket && fd->out.fd != fd->in.fd && !fd->keep_open ? end_out(fd, err) : TRIB_OK;
}

static void fd_cancel(void *self)
{
    struct tribi_fd *fd = self;

    if (atomic_exchange(&fd->cancelled, true))
        return;
    if (fd->in.socket)
        shutdown(fd->in.fd, SHUT_RDWR);
    if (fd->out.socket && fd->out.fd != fd->in.fd)
        shutdown(fd->out.fd, SHUT_RDWR);
    tribi_wake_set(&fd->wake);
}

/* What set_buffer() did. Best effort: a pipe that holds more than it could before stays as it is. */
static void restore_buffer(const struct tribi_fd_side *side)
{
    int size = side->buffer_before;

    if (size == 0)
        return;
    if (side->socket) {
#ifdef __linux__
        size /= 2; /* it doubles what it is told, and tells that */
#endif
        setsockopt(side->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
#ifdef SO_BUF_LOCK
        if (side->lock_before >= 0)
            setsockopt(side->fd, SOL_SOCKET, SO_BUF_LOCK, &side->lock_before, sizeof(side->lock_before));
#endif
        return;
    }
#ifdef F_SETPIPE_SZ
    fcntl(side->fd, F_SETPIPE_SZ, size);
#endif
}

static void fd_close(void *self)
{
    struct tribi_fd *fd = self;

    if (fd->closed)
        return;
    fd->closed = true;
    tribi_watch_done(&fd->in.watch);
    tribi_watch_done(&fd->out.watch);
    if (fd->keep_open) {
        restore_buffer(&fd->in);
        restore_buffer(&fd->out);
    }
    if (!fd->keep_open && fd->out.fd >= 0 && fd->out.fd != fd->in.fd)
        close(fd->out.fd);
    if (!fd->keep_open)
        close(fd->in.fd);
    tribi_wake_done(&fd->wake);
    let_block_go(fd);
}

static void fd_free(void *self)
{
    fd_close(self);
    trib_free(self);
}

/* ---- Waiting for events ---------------------------------------------------------------------------------------- */

static int fd_watch(void *self, struct event_base *base, enum trib_direction direction, trib_ready_fn *fn, void *arg,
                    struct trib_error *err)
{
    struct tribi_fd *fd = self;
    struct tribi_fd_side *side = direction == TRIB_READABLE ? &fd->in : &fd->out;
    struct tribi_watched watched = {side->fd, direction, fd->wake.fd, -1, fd->ops.name};

    if (side->file)
        watched = (struct tribi_watched){-1, direction, -1, 0, fd->ops.name}; /* soon; epoll refuses it */
    if (fn != NULL && side->fd < 0)
        return trib_error_set(err, TRIB_ERR_CLOSED, EPIPE, "watch %s after the end", fd->ops.name);
    return tribi_watch_arm(&side->watch, base, &watched, fn, arg, err);
}

/* ---- Inspecting ----------------------------------------------------------------------------------------------- */

static int fd_peer(void *self, struct trib_peer *ret_peer, struct trib_error *err)
{
    struct tribi_fd *fd = self;
#ifdef SO_PEERCRED
    struct ucred who;
    socklen_t len = sizeof(who);

    if (fd->in.local && getsockopt(fd->in.fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
        ret_peer->pid = who.pid > 0 ? who.pid : -1;
        ret_peer->uid = who.uid == (uid_t)-1 ? -1 : (int64_t)who.uid;
        ret_peer->gid = who.gid == (gid_t)-1 ? -1 : (int64_t)who.gid;
        return TRIB_OK;
    }
#endif
    return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "peer of %s: only Unix sockets know it", fd->ops.name);
}

static void fd_stats(void *self, struct trib_channel_stats *stats)
{
    struct tribi_fd *fd = self;

    stats->system_calls_in += atomic_load_explicit(&fd->in.calls, memory_order_relaxed);
    stats->system_calls_out += atomic_load_explicit(&fd->out.calls, memory_order_relaxed);
    stats->waits += atomic_load_explicit(&fd->in.waits, memory_order_relaxed);
    stats->waits += atomic_load_explicit(&fd->out.waits, memory_order_relaxed);
}

/* ---- Opening -------------------------------------------------------------------------------------------------- */

static const struct trib_channel_ops fd_ops = {
    .size = sizeof(struct trib_channel_ops),
    .name = "fd",
    .capabilities = TRIB_CAP_EVENTS,
    .recv = fd_recv,
    .send = tribi_fd_send,
    .finish = fd_finish,
    .cancel = fd_cancel,
    .close = fd_close,
    .free = fd_free,
    .watch = fd_watch,
    .peer = fd_peer,
    .stats = fd_stats,
};

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

/* A character device without a poll of its own, such as /dev/null. */
static bool lacks_poll(int fd)
{
    bool lacks = false;
#ifdef __linux__
    struct epoll_event event = {.events = EPOLLIN};
    int probe = epoll_create1(EPOLL_CLOEXEC);

    lacks = probe >= 0 && epoll_ctl(probe, EPOLL_CTL_ADD, fd, &event) != 0 && errno == EPERM;
    if (probe >= 0)
        close(probe);
#else
    (void)fd;
#endif
    return lacks;
}

/* A caller that has a name is told of the side: the number may be that of a duplicate, which nobody has seen. */
static int refuse(const struct tribi_fd *fd, int number, bool is_in, int sys_errno, const char *why, struct trib_error *err)
{
    if (fd->ops.name == fd_ops.name)
        return trib_error_set(err, TRIB_ERR_USAGE, sys_errno, "channel over descriptor %d: %s", number, why);
    return trib_error_set(err, TRIB_ERR_USAGE, sys_errno, "%s: its %s: %s", fd->ops.name, is_in ? "input" : "output", why);
}

/* Fills the side from what the descriptor is. */
static int look_at(struct tribi_fd *fd, int number, bool is_in, struct trib_error *err)
{
    struct tribi_fd_side *side = is_in ? &fd->in : &fd->out;
    struct stat st;
    int mode = fcntl(number, F_GETFL);

    if (mode < 0 || fstat(number, &st) != 0)
        return refuse(fd, number, is_in, errno, "not open", err);
    if (S_ISDIR(st.st_mode))
        return refuse(fd, number, is_in, 0, "a directory", err);
    if ((mode & O_ACCMODE) == (is_in ? O_WRONLY : O_RDONLY))
        return refuse(fd, number, is_in, 0, is_in ? "open for writing only" : "open for reading only", err);
    side->socket = S_ISSOCK(st.st_mode);
    side->file = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || (S_ISCHR(st.st_mode) && lacks_poll(number));
    side->tty = !side->file && S_ISCHR(st.st_mode);
    side->nowait = !side->socket && !side->file;
    if (!side->socket && !side->file && !side->tty && !S_ISFIFO(st.st_mode))
        return refuse(fd, number, is_in, 0, "neither socket, pipe, tty nor file", err);
    if (side->socket && (socket_option(number, SO_TYPE) != SOCK_STREAM || socket_option(number, SO_ACCEPTCONN) > 0))
        return refuse(fd, number, is_in, 0, "not a connected stream socket", err);
#ifdef SO_DOMAIN
    side->local = side->socket && socket_option(number, SO_DOMAIN) == AF_UNIX;
#endif
    side->fd = number;
    return TRIB_OK;
}

/* `keep`: it will be set back. */
static void set_socket_buffer(struct tribi_fd_side *side, int size, bool keep)
{
    int before = keep ? socket_option(side->fd, SO_SNDBUF) : 0;

#ifdef SO_BUF_LOCK
    side->lock_before = keep ? socket_option(side->fd, SO_BUF_LOCK) : -1;
#endif
    if (setsockopt(side->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0 && before > 0)
        side->buffer_before = before;
}

/* Best effort: a limit of the system makes it smaller. Other sockets than Unix ones tune themselves unless told. */
static void set_buffer(struct tribi_fd_side *side, const struct trib_channel_options *options, bool keep)
{
    size_t asked = options->send_buffer;
    int size = asked == 0 ? SEND_BUFFER : asked > (1 << 30) ? 1 << 30 : (int)asked;
#ifdef F_SETPIPE_SZ
    int before = side->socket ? -1 : fcntl(side->fd, F_GETPIPE_SZ); /* -1: not a pipe */

    if (before > 0 && before < size && fcntl(side->fd, F_SETPIPE_SZ, size) >= 0)
        side->buffer_before = before;
#endif
    if (side->local || (side->socket && asked > 0))
        set_socket_buffer(side, size, keep);
}

static int64_t spin_ns(const struct trib_channel_options *options)
{
    uint32_t us = options->spin_us;
#ifdef CPU_COUNT
    cpu_set_t cpus;

    if (us > 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) < 2)
        return 0;
#endif
    return (int64_t)(us < SPIN_US_MAX ? us : SPIN_US_MAX) * 1000;
}

static int set_up(struct tribi_fd *fd, int in, int out, const struct trib_fd_options *fd_options, struct trib_error *err)
{
    int rc;

    fd->ops = fd_ops;
    if (fd_options->name != NULL)
        fd->ops.name = fd_options->name;
    rc = look_at(fd, in, true, err);
    if (rc == TRIB_OK)
        rc = look_at(fd, out, false, err);
    if (rc != TRIB_OK)
        return rc;
    fd->keep_open = fd_options->keep_open;
    if (in != out || fd->in.socket)
        fd->ops.capabilities |= TRIB_CAP_HALF_CLOSE;
    if (fd->in.local)
        fd->ops.capabilities |= TRIB_CAP_CREDENTIALS;
    tribi_readahead_init(&fd->readahead);
    return fd->in.socket && fd->out.socket ? TRIB_OK : tribi_wake_init(&fd->wake, err);
}

/* Whole copies, whatever the sizes of the caller's structs. *ret_asked has a send_buffer only if the caller asks for one. */
static int fill_options(int fd, const struct trib_fd_options *fd_options, const struct trib_channel_options *options,
                        struct trib_fd_options *ret_fd_options, struct trib_channel_options *ret_asked, struct trib_error *err)
{
    int rc = trib_channel_options_fill(options, ret_asked, err);

    if (rc != TRIB_OK)
        return rc;
    if (fd_options != NULL && fd_options->size < sizeof(fd_options->size))
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "channel over descriptor %d: size is %zu, use TRIB_FD_OPTIONS_INIT", fd,
                              fd_options->size);
    if (fd_options != NULL)
        memcpy(ret_fd_options, fd_options,
               fd_options->size < sizeof(*ret_fd_options) ? fd_options->size : sizeof(*ret_fd_options));
    if (options == NULL || options->size < offsetof(struct trib_channel_options, deadline) || options->send_buffer == 0)
        ret_asked->send_buffer = 0;
    return TRIB_OK;
}

static void close_on_exec(int fd)
{
    int flags = fcntl(fd, F_GETFD);

    if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
        fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

int trib_fd_channel(int in, int out, const struct trib_fd_options *fd_options, const struct trib_channel_options *options,
                    struct trib_channel **ret_channel, struct trib_error *err)
{
    struct trib_fd_options own = TRIB_FD_OPTIONS_INIT;
    struct trib_channel_options asked;
    struct tribi_fd *fd;
    int rc = fill_options(in, fd_options, options, &own, &asked, err);

    if (rc != TRIB_OK)
        return rc;
    fd = trib_alloc(sizeof(*fd));
    if (fd == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "channel over descriptor %d: no memory", in);
    fd->wake = (struct tribi_wake)TRIBI_WAKE_NONE;
    rc = set_up(fd, in, out, &own, err);
    if (rc == TRIB_OK) {
        fd->spin_ns = spin_ns(&asked);
        rc = trib_channel_new(&fd->ops, fd, &asked, ret_channel, err);
    }
    if (rc != TRIB_OK) {
        tribi_wake_done(&fd->wake);
        trib_free(fd);
        return rc;
    }
    set_buffer(&fd->in, &asked, fd->keep_open);
    if (out != in)
        set_buffer(&fd->out, &asked, fd->keep_open);
    if (!fd->keep_open) {
        close_on_exec(in);
        close_on_exec(out);
    }
    return TRIB_OK;
}
