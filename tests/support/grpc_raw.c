/* Frames as bytes. */
#include "tests/support/grpc_raw.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

struct grpc_raw grpc_raw;

int grpc_raw_connect(const char *address)
{
    const char *name = strchr(address, '@') + 1;
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(to.sun_path + 1, name, strlen(name));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))), 0);
    return fd;
}

int grpc_raw_listen(char *address, size_t room)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    static int counter;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), n;

    n = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "trib-raw-%ld-%d", (long)getpid(), counter++);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    snprintf(address, room, "grpc+unix:@%s", name.sun_path + 1);
    return fd;
}

void grpc_raw_put(const void *data, size_t len)
{
    ck_assert_uint_le(grpc_raw.len + len, sizeof(grpc_raw.data));
    if (len > 0)
        memcpy(grpc_raw.data + grpc_raw.len, data, len);
    grpc_raw.len += len;
}

void grpc_raw_frame(uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t header[9] = { (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags,
                          (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream };

    grpc_raw_put(header, 9);
    grpc_raw_put(payload, len);
}

size_t grpc_raw_literal(uint8_t *to, const char *name, const char *value)
{
    size_t n = 0, name_len = strlen(name), len = strlen(value);

    to[n++] = 0x10;
    to[n++] = (uint8_t)name_len;
    memcpy(to + n, name, name_len);
    n += name_len;
    to[n++] = (uint8_t)len;
    memcpy(to + n, value, len);
    return n + len;
}

size_t grpc_raw_block(uint8_t *to, const char *path)
{
    size_t n = grpc_raw_literal(to, ":method", "POST");

    n += grpc_raw_literal(to + n, ":scheme", "http");
    n += grpc_raw_literal(to + n, ":path", path);
    n += grpc_raw_literal(to + n, ":authority", "%2Ftmp%2Fsocket");
    n += grpc_raw_literal(to + n, "content-type", "application/grpc");
    return n + grpc_raw_literal(to + n, "te", "trailers");
}

void grpc_raw_request(uint32_t stream, const char *path, uint8_t flags)
{
    uint8_t block[512];

    grpc_raw_frame(1, flags | 4, stream, block, grpc_raw_block(block, path));
}

void grpc_raw_preface(void)
{
    grpc_raw.len = 0;
    grpc_raw_put(GRPC_RAW_PREFACE, 24);
    grpc_raw_frame(4, 0, 0, NULL, 0);
}

bool grpc_raw_write(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

bool grpc_raw_send(int fd)
{
    size_t len = grpc_raw.len;

    grpc_raw.len = 0;
    return grpc_raw_write(fd, grpc_raw.data, len);
}

size_t grpc_raw_read(int fd, uint8_t *to, size_t room, int quiet_ms)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };
    size_t len = 0;

    while (len < room && poll(&polled, 1, quiet_ms) > 0) {
        ssize_t n = recv(fd, to + len, room - len, 0);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return len;
}

static bool read_exactly(int fd, uint8_t *to, size_t len)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };

    while (len > 0) {
        ssize_t n = poll(&polled, 1, PATIENCE_MS) > 0 ? recv(fd, to, len, 0) : 0;

        if (n <= 0)
            return false;
        to += n;
        len -= (size_t)n;
    }
    return true;
}

bool grpc_raw_next(int fd, struct grpc_raw_frame *frame)
{
    uint8_t h[9];

    if (!read_exactly(fd, h, sizeof(h)))
        return false;
    frame->len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
    frame->type = h[3];
    frame->flags = h[4];
    frame->stream = ((uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8]) & 0x7fffffff;
    ck_assert_uint_le(frame->len, sizeof(frame->payload));
    return read_exactly(fd, frame->payload, frame->len);
}

bool grpc_raw_until(int fd, uint8_t type, struct grpc_raw_frame *frame)
{
    while (grpc_raw_next(fd, frame))
        if (frame->type == type)
            return true;
    return false;
}
