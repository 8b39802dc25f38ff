/* The same messages through the library: what a serializer does, with a channel over each end of the socketpair.
 *
 *  - The sender writes a length and a view of the payload, and flushes where it would wait otherwise; all options are the defaults.
 *  - The receiver takes the length, then the message: whole, in one piece, borrowed until the next take.
 *  - The echoing worker writes back the view that it took.
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
    bool inside; /* the length of the next message has been taken */
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

static void *side_open(int fd, const struct bench_work *work)
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
    side->reader = trib_channel_reader(side->channel);
    side->writer = trib_channel_writer(side->channel);
    return side;
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

static bool read_message(struct side *side, struct trib_view *ret_view)
{
    struct trib_error err;
    uint32_t len;

    if (!side->inside) {
        if (!done(trib_reader_be32(side->reader, &len, &err), &err))
            return false;
        if (len != side->work->size)
            bench_die("unix: a message of %u bytes came, %zu were sent", len, side->work->size);
        side->inside = true;
    }
    if (!done(trib_reader_take(side->reader, side->work->size, ret_view, &err), &err))
        return false;
    side->inside = false;
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

    while (count-- > 0)
        read_message(side, &view);
}

/* ---- Echo ----------------------------------------------------------------------------------------------------- */

/* Sends what the window allows and reads what has come. Returns whether either got on. */
static bool turn(struct side *side, size_t count, size_t *sent, size_t *ended)
{
    struct trib_view view, payload = trib_chunk_view(side->payload);
    size_t pending = trib_writer_pending(side->writer), sent_before = *sent, ended_before = *ended;
    uint64_t position = trib_reader_position(side->reader) + trib_reader_available(side->reader);

    while (*sent < count && *sent - *ended < side->work->window && write_message(side, payload))
        ++*sent;
    if (flush(side) && (*sent == count || *sent - *ended == side->work->window))
        trib_reader_set_deadline(side->reader, TRIB_FOREVER); /* nothing else to do */
    while (*ended < count && read_message(side, &view)) {
        ++*ended;
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

static void side_echo_back(void *self, size_t count)
{
    struct side *side = self;
    struct trib_view view;

    while (count-- > 0) {
        /* What was answered leaves before we wait for more. */
        if (trib_reader_available(side->reader) < PREFIX + side->work->size)
            flush(side);
        read_message(side, &view);
        write_message(side, view);
    }
    flush(side);
}

/* ---- Ping-pong ------------------------------------------------------------------------------------------------ */

static void side_ping(void *self)
{
    struct side *side = self;
    struct trib_view view;

    write_message(side, trib_chunk_view(side->payload));
    flush(side);
    read_message(side, &view);
}

static void side_pong(void *self, size_t count)
{
    struct side *side = self;
    struct trib_view view;

    while (count-- > 0) {
        read_message(side, &view);
        write_message(side, view);
        flush(side);
    }
}

const struct bench_peer bench_unix = {
    .name = "unix",
    .open = side_open,
    .close = side_close,
    .send = side_send,
    .receive = side_receive,
    .echo = side_echo,
    .echo_back = side_echo_back,
    .ping = side_ping,
    .pong = side_pong,
};
