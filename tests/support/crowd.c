/* Frames of many streams. */
#include "tests/support/crowd.h"

#include "tests/support/grpc_raw.h"

#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 9, PATIENCE_MS = 20000, IN_ROOM = 1 << 20, FRAME_MAX = 16384 };

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- Saying --------------------------------------------------------------------------------------------------------- */

static void put(struct crowd *crowd, const void *bytes, size_t len)
{
    if (crowd->out_len + len > crowd->out_room) {
        crowd->out_room = 2 * (crowd->out_len + len);
        crowd->out = realloc(crowd->out, crowd->out_room);
        ck_assert_ptr_nonnull(crowd->out);
    }
    if (len > 0)
        memcpy(crowd->out + crowd->out_len, bytes, len);
    crowd->out_len += len;
}

static void put_frame(struct crowd *crowd, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
    const uint8_t header[HEADER] = { (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags,
                                     (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };

    put(crowd, header, HEADER);
    put(crowd, payload, len);
}

void crowd_begin(struct crowd *crowd, unsigned stream, const char *path)
{
    uint8_t block[512];

    put_frame(crowd, 1, 4, 2 * stream + 1, block, grpc_raw_block(block, path));
    crowd->streams[stream].credit = crowd->window;
    crowd->streams[stream].begun = true;
}

void crowd_message(struct crowd *crowd, unsigned stream, const void *bytes, size_t len)
{
    static uint8_t frame[FRAME_MAX];

    ck_assert_uint_le(len + 5, sizeof(frame));
    ck_assert_int_ge(crowd->streams[stream].credit, (int64_t)len + 5);
    memset(frame, 0, 3);
    frame[3] = (uint8_t)(len >> 8);
    frame[4] = (uint8_t)len;
    memcpy(frame + 5, bytes, len);
    put_frame(crowd, 0, 0, 2 * stream + 1, frame, len + 5);
    crowd->streams[stream].credit -= (int64_t)len + 5;
}

/* ---- Hearing -------------------------------------------------------------------------------------------------------- */

static void hear_data(struct crowd_stream *stream, const uint8_t *payload, size_t len)
{
    size_t kept = stream->heard < CROWD_KEPT ? CROWD_KEPT - stream->heard : 0;

    if (kept > 0 && len > 0)
        memcpy(stream->first + stream->heard, payload, len < kept ? len : kept);
    stream->heard += (uint32_t)len;
}

static void hear_settings(struct crowd *crowd, uint8_t flags, const uint8_t *payload, size_t len)
{
    if ((flags & 1) != 0)
        return;
    for (size_t at = 0; at + 6 <= len; at += 6)
        if (payload[at + 1] == 4)
            crowd->window = be32(payload + at + 2);
    put_frame(crowd, 4, 1, 0, NULL, 0);
}

static void hear(struct crowd *crowd, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *payload, size_t len)
{
    struct crowd_stream *stream = id > 0 ? &crowd->streams[id / 2] : NULL;

    ck_assert_msg(id == 0 || (id % 2 == 1 && id / 2 < CROWD_STREAMS), "a frame on stream %u", id);
    ck_assert_msg(type != 7, "GOAWAY: %.*s", (int)len - 8, (const char *)payload + 8);
    if (type == 4)
        hear_settings(crowd, flags, payload, len);
    else if (type == 6 && (flags & 1) == 0)
        put_frame(crowd, 6, 1, 0, payload, len);
    else if (type == 6)
        crowd->marks++;
    if (stream == NULL)
        return;
    if (type == 8)
        stream->credit += be32(payload);
    else if (type == 0)
        hear_data(stream, payload, len);
    stream->ended = stream->ended || type == 3 || (type <= 1 && (flags & 1) != 0);
}

static void hear_all(struct crowd *crowd)
{
    size_t at = 0;

    while (crowd->in_len - at >= HEADER) {
        const uint8_t *h = crowd->in + at;
        size_t len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];

        ck_assert_uint_lt(len + HEADER, IN_ROOM);
        if (crowd->in_len - at < HEADER + len)
            break;
        hear(crowd, h[3], h[4], be32(h + 5) & 0x7fffffff, h + HEADER, len);
        at += HEADER + len;
    }
    memmove(crowd->in, crowd->in + at, crowd->in_len - at);
    crowd->in_len -= at;
}

/* ---- Both ------------------------------------------------------------------------------------------------------------ */

static void send_some(struct crowd *crowd)
{
    ssize_t n = send(crowd->fd, crowd->out + crowd->out_sent, crowd->out_len - crowd->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

    crowd->out_sent += n > 0 ? (size_t)n : 0;
    if (crowd->out_sent == crowd->out_len)
        crowd->out_sent = crowd->out_len = 0;
}

void crowd_exchange(struct crowd *crowd, bool (*done)(struct crowd *crowd))
{
    while (crowd->out_len > 0 || !done(crowd)) {
        struct pollfd polled = { .fd = crowd->fd, .events = (short)(POLLIN | (crowd->out_len > 0 ? POLLOUT : 0)) };
        ssize_t n;

        ck_assert_msg(poll(&polled, 1, PATIENCE_MS) > 0, "nothing has come for 20 seconds");
        if ((polled.revents & POLLOUT) != 0)
            send_some(crowd);
        if ((polled.revents & (POLLIN | POLLHUP)) == 0)
            continue;
        n = recv(crowd->fd, crowd->in + crowd->in_len, IN_ROOM - crowd->in_len, MSG_DONTWAIT);
        ck_assert_msg(n > 0, "the server closed the connection");
        crowd->in_len += (size_t)n;
        hear_all(crowd);
    }
}

static unsigned marks_wanted;

static bool is_marked(struct crowd *crowd)
{
    return crowd->marks >= marks_wanted;
}

void crowd_barrier(struct crowd *crowd)
{
    static const uint8_t mark[8] = "barrier";

    /* Answers to PINGs overtake DATA, so it takes two. */
    for (int i = 0; i < 2; i++) {
        marks_wanted = crowd->marks + 1;
        put_frame(crowd, 6, 0, 0, mark, sizeof(mark));
        crowd_exchange(crowd, is_marked);
    }
}

void crowd_open(struct crowd *crowd, const char *address)
{
    static const uint8_t widest[4] = { 0x7f, 0xff, 0, 0 };

    memset(crowd, 0, sizeof(*crowd));
    crowd->fd = grpc_raw_connect(address);
    crowd->in = malloc(IN_ROOM);
    ck_assert_ptr_nonnull(crowd->in);
    put(crowd, GRPC_RAW_PREFACE, 24);
    put_frame(crowd, 4, 0, 0, NULL, 0);
    put_frame(crowd, 8, 0, 0, widest, sizeof(widest));
    crowd_barrier(crowd);
}

void crowd_close(struct crowd *crowd)
{
    close(crowd->fd);
    free(crowd->in);
    free(crowd->out);
}
