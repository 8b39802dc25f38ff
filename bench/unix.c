/* The same messages through the library: what a serializer does, with a channel over each end of the socketpair.
 *
 *  - The sender writes a length and a view of the payload, and flushes where it would wait otherwise; all options are the defaults.
 *  - The receiver takes the length, then the message: whole, in one piece, borrowed until the next take. bench_unix_parts takes
 *    what there is of it instead (take_some), which is all that the raw loop does.
 *  - The echoing worker writes back the views that it took.
 *  - The echoing engine has TRIB_NOWAIT on both sides, and sleeps in poll, or in a take when there is nothing to send. */
#include "bench.h"
#include "socket.h"

#include <tributary/chunk.h>
#include <tributary/fd.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <poll.h>
#include <stdlib.h>

enum { PREFIX = 4 };

struct side {
    int fd;
    const struct bench_work *work;
    struct trib_channel *channel;
    struct trib_reader *reader;
    struct trib_writer *writer;
    struct trib_chunk *payload;
    bool parts;
    size_t left; /* of a message whose length has been taken */
};

/* What TRIB_NOWAIT may answer besides is not an error. */
static bool done(int rc, const struct trib_error *err)
{
    if (rc < 0)
        bench_die("unix: %s", err->message);
    if (rc == TRIB_EOF)
        bench_die("unix: the peer has gone");
    return rc == TRIB_OK;
}

static struct side *open_side(int fd, const struct bench_work *work, bool parts)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct side *side = calloc(1, sizeof(*side));
    struct trib_error err;

    if (side == NULL)
        bench_die("no memory");
    options.spin_us = work->spin_us;
    done(trib_fd_channel(fd, fd, NULL, &options, &side->channel, &err), &err);
    done(trib_chunk_wrap(work->payload, work->size, NULL, NULL, &side->payload, &err), &err);
    side->fd = fd;
    side->work = work;
    side->parts = parts;
    side->reader = trib_channel_reader(side->channel);
    side->writer = trib_channel_writer(side->channel);
    return side;
}

static void *whole_open(int fd, const struct bench_work *work)
{
    return open_side(fd, work, false);
}

static void *parts_open(int fd, const struct bench_work *work)
{
    return open_side(fd, work, true);
}

static void side_close(void *self)
{
    struct side *side = self;

    trib_channel_free(side->channel);
    trib_chunk_unref(side->payload);
    free(side);
}

static bool write_message(struct side *side, struct trib_view view)
{
    struct trib_error err;

    return done(trib_writer_bytes_be32(side->writer, view, &err), &err);
}

static bool flush(struct side *side)
{
    struct trib_error err;

    return done(trib_writer_flush(side->writer, &err), &err);
}

/* A message, or a part of it, which may be its last. */
static bool read_bytes(struct side *side, struct trib_view *ret_view, bool *ret_last)
{
    struct trib_error err;
    uint32_t len;
    int rc;

    if (side->left == 0) {
        if (!done(trib_reader_be32(side->reader, &len, &err), &err))
            return false;
        if (len != side->work->size)
            bench_die("unix: a message of %u bytes came, %zu were sent", len, side->work->size);
        side->left = len;
    }
    if (side->parts)
        rc = trib_reader_take_some(side->reader, side->left, ret_view, &err);
    else
        rc = trib_reader_take(side->reader, side->left, ret_view, &err);
    if (!done(rc, &err))
        return false;
    side->left -= ret_view->len;
    *ret_last = side->left == 0;
    return true;
}

/* ---- One way -------------------------------------------------------------------------------------------------- */

static void side_send(void *self, size_t count)
{
    struct side *side = self;
    struct trib_view view = trib_chunk_view(side->payload);

    while (count-- > 0)
        write_message(side, view);
    flush(side);
}

static void side_receive(void *self, size_t count)
{
    struct side *side = self;
    struct trib_view view;
    bool last = false;

    while (count > 0) {
        read_bytes(side, &view, &last);
        count -= last;
    }
}

/* ---- Echo ----------------------------------------------------------------------------------------------------- */

/* Sends what the window allows and reads what has come. Returns whether either got on. */
static bool turn(struct side *side, size_t count, size_t *sent, size_t *ended)
{
    struct trib_view view, payload = trib_chunk_view(side->payload);
    size_t pending = trib_writer_pending(side->writer), sent_before = *sent, ended_before = *ended;
    uint64_t position = trib_reader_position(side->reader) + trib_reader_available(side->reader);
    bool last = false;

    while (*sent < count && *sent - *ended < side->work->window && write_message(side, payload))
        ++*sent;
    if (flush(side) && (*sent == count || *sent - *ended == side->work->window))
        trib_reader_set_deadline(side->reader, TRIB_FOREVER); /* nothing else to do */
    while (*ended < count && read_bytes(side, &view, &last)) {
        *ended += last;
        trib_reader_set_deadline(side->reader, TRIB_NOWAIT);
    }
    return *sent != sent_before || *ended != ended_before || trib_writer_pending(side->writer) != pending ||
           trib_reader_position(side->reader) + trib_reader_available(side->reader) != position;
}

static void side_echo(void *self, size_t count)
{
    struct side *side = self;
    size_t sent = 0, ended = 0;

    trib_reader_set_deadline(side->reader, TRIB_NOWAIT);
    trib_writer_set_deadline(side->writer, TRIB_NOWAIT);
    while (ended < count)
        if (!turn(side, count, &sent, &ended)) {
            struct pollfd polled = {.fd = side->fd, .events = POLLIN | POLLOUT};
            poll(&polled, 1, -1);
        }
    trib_reader_set_deadline(side->reader, TRIB_FOREVER);
    trib_writer_set_deadline(side->writer, TRIB_FOREVER);
}

static void write_bytes(struct side *side, bool first, struct trib_view view)
{
    struct trib_error err;

    if (first)
        done(trib_writer_be32(side->writer, (uint32_t)side->work->size, &err), &err);
    done(trib_writer_view(side->writer, view, &err), &err);
}

static void side_echo_back(void *self, size_t count)
{
    struct side *side = self;
    struct trib_view view;
    bool last = false;

    while (count > 0) {
        bool first = side->left == 0;
        /* What was answered leaves before we wait for more. */
        if (trib_reader_available(side->reader) < (side->parts ? 1 : PREFIX + side->work->size))
            flush(side);
        read_bytes(side, &view, &last);
        write_bytes(side, first, view);
        count -= last;
    }
    flush(side);
}

/* ---- Ping-pong ------------------------------------------------------------------------------------------------ */

static void side_ping(void *self)
{
    struct side *side = self;
    struct trib_view view;
    bool last;

    write_message(side, trib_chunk_view(side->payload));
    flush(side);
    read_bytes(side, &view, &last);
}

static void side_pong(void *self, size_t count)
{
    struct side *side = self;
    struct trib_view view;
    bool last;

    while (count-- > 0) {
        read_bytes(side, &view, &last);
        write_message(side, view);
        flush(side);
    }
}

#define SIDE(peer_name, open_fn)                                                                                       \
    {                                                                                                                  \
        .name = peer_name, .open = open_fn, .close = side_close, .send = side_send, .receive = side_receive,           \
        .echo = side_echo, .echo_back = side_echo_back, .ping = side_ping, .pong = side_pong                           \
    }

const struct bench_peer bench_unix = SIDE("unix", whole_open);
const struct bench_peer bench_unix_parts = SIDE("unix, in parts", parts_open);
