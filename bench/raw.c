/* The hand-tuned loop that the library is measured against: system calls, and nothing that is not needed.
 *
 *  - SO_SNDBUF 1 MiB on both ends; sends gather messages up to 256 KiB (a larger one goes alone) in one sendmsg.
 *  - The receiver reads 256 KiB at a time into one and the same buffer, which stays in the cache, and walks it: it adds up lengths, and
 *    checks each. It never has a message in one piece, nor keeps one.
 *  - The echoing worker sends back what each read brought, a message's beginning before its end has come.
 *  - bench_raw_whole instead reads each message into one place of its size, and the worker sends it back from there once it is whole: the
 *    least that anybody has to do who wants to look at messages. For large messages only: a system call for each, at least.
 *  - The echoing engine sends and reads without blocking as long as either gets on, and sleeps in poll, or in recv when there is
 *    nothing to send. */
#include "bench.h"
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ = 256 << 10, GATHER = 256 << 10, PIECES_MAX = 1024, SEND_BUFFER = 1 << 20, PREFIX = 4 };

struct raw {
    int fd;
    const struct bench_work *work;
    uint32_t prefix; /* as it is sent */
    uint8_t *in;
    bool whole;
    size_t in_size, at; /* whole: where the next byte goes */
    /* The walk: how much of the current message is to come, and its prefix where a read ended inside that. */
    uint8_t partial[PREFIX];
    size_t partial_len, left;
    struct iovec pieces[PIECES_MAX];
};

static struct raw *open_raw(int fd, const struct bench_work *work, bool whole)
{
    struct raw *raw = calloc(1, sizeof(*raw));
    int size = SEND_BUFFER;

    if (raw == NULL)
        bench_die("no memory");
    raw->whole = whole;
    raw->in_size = whole ? PREFIX + work->size : READ;
    raw->in = malloc(raw->in_size);
    if (raw->in == NULL)
        bench_die("no memory");
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0)
        bench_die("SO_SNDBUF: %s", strerror(errno));
    memset(raw->in, 0, raw->in_size);
    raw->fd = fd;
    raw->work = work;
    raw->prefix = htonl((uint32_t)work->size);
    return raw;
}

static void *raw_open(int fd, const struct bench_work *work)
{
    return open_raw(fd, work, false);
}

static void *whole_open(int fd, const struct bench_work *work)
{
    return open_raw(fd, work, true);
}

static void raw_close(void *self)
{
    struct raw *raw = self;

    close(raw->fd);
    free(raw->in);
    free(raw);
}

/* ---- Receiving ------------------------------------------------------------------------------------------------ */

/* The prefix that lies at p, or in `partial` together with what was left of it; how many bytes of p it takes, 0: it is not whole yet. */
static size_t walk_prefix(struct raw *raw, const uint8_t *p, size_t len)
{
    size_t part = PREFIX - raw->partial_len;
    uint32_t prefix;

    if (part > len) {
        memcpy(raw->partial + raw->partial_len, p, len);
        raw->partial_len += len;
        return 0;
    }
    if (raw->partial_len > 0) {
        memcpy(raw->partial + raw->partial_len, p, part);
        p = raw->partial;
        raw->partial_len = 0;
    }
    memcpy(&prefix, p, PREFIX);
    raw->left = ntohl(prefix);
    if (raw->left != raw->work->size)
        bench_die("raw: a message of %zu bytes came, %zu were sent", raw->left, raw->work->size);
    return part;
}

/* Walks over len bytes; returns how many messages ended in them. */
static size_t walk(struct raw *raw, const uint8_t *p, size_t len)
{
    size_t ended = 0;

    while (len > 0) {
        size_t step;
        if (raw->left == 0) {
            step = walk_prefix(raw, p, len);
            if (step == 0)
                return ended;
        } else {
            step = raw->left < len ? raw->left : len;
            raw->left -= step;
            ended += raw->left == 0;
        }
        p += step;
        len -= step;
    }
    return ended;
}

static size_t read_some(struct raw *raw, int flags)
{
    ssize_t n;

    do
        n = recv(raw->fd, raw->in + raw->at, raw->in_size - raw->at, flags);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        bench_die("raw: recv: %s", n == 0 ? "the peer has gone" : strerror(errno));
    return (size_t)n;
}

/* The next bytes, walked over; how many messages ended in them. */
static size_t receive_some(struct raw *raw, int flags, size_t *ret_bytes)
{
    size_t n = read_some(raw, flags), ended = walk(raw, raw->in + raw->at, n);

    if (raw->whole)
        raw->at = (raw->at + n) % raw->in_size;
    *ret_bytes = n;
    return ended;
}

static void raw_receive(void *self, size_t count)
{
    struct raw *raw = self;
    size_t ended = 0, n;

    while (ended < count)
        ended += receive_some(raw, 0, &n);
}

/* ---- Sending -------------------------------------------------------------------------------------------------- */

/* The bytes of up to `messages` messages, the first without its first `skip` bytes, as pieces; as many as are gathered in one send. */
static size_t gather(struct raw *raw, size_t messages, size_t skip)
{
    size_t whole = PREFIX + raw->work->size, fit = GATHER > whole ? GATHER / whole : 1, n = 0;

    if (fit > PIECES_MAX / 2)
        fit = PIECES_MAX / 2;
    for (size_t i = 0; i < messages && i < fit; i++, skip = 0) {
        if (skip < PREFIX)
            raw->pieces[n++] = (struct iovec){(uint8_t *)&raw->prefix + skip, PREFIX - skip};
        skip = skip < PREFIX ? 0 : skip - PREFIX;
        raw->pieces[n++] = (struct iovec){(uint8_t *)(uintptr_t)raw->work->payload + skip, raw->work->size - skip};
    }
    return n;
}

/* Sends from byte `at` of a stream of messages that ends at byte `end`; returns where it got to. */
static uint64_t send_some(struct raw *raw, uint64_t at, uint64_t end, int flags)
{
    size_t whole = PREFIX + raw->work->size;
    struct msghdr msg = {.msg_iov = raw->pieces};
    ssize_t n;

    msg.msg_iovlen = gather(raw, (size_t)((end - at + whole - 1) / whole), (size_t)(at % whole));
    do
        n = sendmsg(raw->fd, &msg, flags | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN)
        bench_die("raw: sendmsg: %s", strerror(errno));
    return n < 0 ? at : at + (uint64_t)n;
}

static void raw_send(void *self, size_t count)
{
    struct raw *raw = self;
    uint64_t at = 0, end = (uint64_t)count * (PREFIX + raw->work->size);

    while (at < end)
        at = send_some(raw, at, end, 0);
}

/* ---- Echo ----------------------------------------------------------------------------------------------------- */

static void raw_echo(void *self, size_t count)
{
    struct raw *raw = self;
    size_t whole = PREFIX + raw->work->size, ended = 0;
    uint64_t at = 0;

    while (ended < count) {
        size_t allowed = ended + raw->work->window, n;
        uint64_t end = (uint64_t)(allowed < count ? allowed : count) * whole, before = at;
        if (at < end)
            at = send_some(raw, at, end, MSG_DONTWAIT);
        ended += receive_some(raw, at < end ? MSG_DONTWAIT : 0, &n);
        if (n == 0 && at == before) {
            struct pollfd polled = {.fd = raw->fd, .events = POLLIN | POLLOUT};
            poll(&polled, 1, -1);
        }
    }
}

static void write_all(struct raw *raw, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(raw->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            bench_die("raw: send: %s", strerror(errno));
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
}

/* Each message when it is whole. */
static void whole_echo_back(void *self, size_t count)
{
    struct raw *raw = self;

    while (count-- > 0) {
        for (size_t at = 0; at < raw->in_size;) {
            ssize_t n = recv(raw->fd, raw->in + at, raw->in_size - at, MSG_WAITALL);
            if (n <= 0 && errno != EINTR)
                bench_die("raw: recv: %s", n == 0 ? "the peer has gone" : strerror(errno));
            at += n > 0 ? (size_t)n : 0;
        }
        if (walk(raw, raw->in, raw->in_size) != 1)
            bench_die("raw: not one message");
        write_all(raw, raw->in, raw->in_size);
    }
}

static void raw_echo_back(void *self, size_t count)
{
    struct raw *raw = self;
    size_t ended = 0;

    while (ended < count) {
        size_t n = read_some(raw, 0);
        ended += walk(raw, raw->in, n);
        write_all(raw, raw->in, n);
    }
}

/* ---- Ping-pong ------------------------------------------------------------------------------------------------ */

/* Until one message has come; with spin_us, by asking again and again for so long. */
static size_t await(struct raw *raw)
{
    size_t n = 0;

    if (raw->work->spin_us > 0) {
        int64_t until = bench_now() + (int64_t)raw->work->spin_us * 1000;
        while ((n = read_some(raw, MSG_DONTWAIT)) == 0 && bench_now() < until)
            __builtin_ia32_pause();
    }
    if (n == 0)
        n = read_some(raw, 0);
    return n;
}

static void raw_ping(void *self)
{
    struct raw *raw = self;

    send_some(raw, 0, PREFIX + raw->work->size, 0);
    while (walk(raw, raw->in, await(raw)) == 0)
        ;
}

static void raw_pong(void *self, size_t count)
{
    struct raw *raw = self;

    for (size_t ended = 0, now; ended < count; ended += now) {
        size_t n = await(raw);
        now = walk(raw, raw->in, n);
        write_all(raw, raw->in, n);
    }
}

#define RAW(peer_name, open_fn, echo_back_fn)                                                                          \
    {                                                                                                                  \
        .name = peer_name, .open = open_fn, .close = raw_close, .send = raw_send, .receive = raw_receive,              \
        .echo = raw_echo, .echo_back = echo_back_fn, .ping = raw_ping, .pong = raw_pong                                \
    }

const struct bench_peer bench_raw = RAW("raw", raw_open, raw_echo_back);
const struct bench_peer bench_raw_whole = RAW("raw whole", whole_open, whole_echo_back);
