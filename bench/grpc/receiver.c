/* The least that a receiver of gRPC can be, for the processor time that a worker's is set against: reads 256 KiB at a time into one
 * buffer, walks the frames, gives windows back, and says in the end how many bytes of payload came. It looks into the first message
 * only, and serves one connection after the other, each with one call at a time, one way. A worker only. */
#include "bench/bench.h"
#include "bench/grpc/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ = 256 << 10, FRAME_HEADER = 9, PREFIX = 5, GIVE_BACK = 4 << 20, FRAME_MAX = 256 << 10, WINDOW = 64 << 20 };
enum { DATA = 0, HEADERS = 1, SETTINGS = 4, PING = 6, WINDOW_UPDATE = 8 };
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct receiver {
    int fd;
    size_t skip; /* bytes of the preface that are to come */
    uint8_t header[FRAME_HEADER];
    size_t header_len, left; /* of the frame under way */
    uint8_t ping[8];
    size_t ping_len;
    uint32_t stream;
    uint64_t total, given; /* of the call: bytes of DATA, and how many of them were given back */
    uint8_t first[24];     /* of the first message */
    size_t first_len;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static size_t put_frame(uint8_t *to, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t len)
{
    const uint8_t header[FRAME_HEADER] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)type, (uint8_t)flags,
        (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream
    };

    memcpy(to, header, sizeof(header));
    if (len > 0)
        memcpy(to + sizeof(header), payload, len);
    return sizeof(header) + len;
}

static size_t put_window(uint8_t *to, uint32_t stream, uint32_t n)
{
    const uint8_t payload[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

    return put_frame(to, WINDOW_UPDATE, 0, stream, payload, sizeof(payload));
}

static void say(const struct receiver *receiver, const uint8_t *data, size_t len)
{
    if (send(receiver->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
        bench_die("receiver: send: %s", strerror(errno));
}

static void greet(const struct receiver *receiver)
{
    static const uint8_t settings[] = {0, 4, WINDOW >> 24, (WINDOW >> 16) & 255, 0, 0, 0, 5, 0, FRAME_MAX >> 16, 0, 0};
    uint8_t out[64];
    size_t n = put_frame(out, SETTINGS, 0, 0, settings, sizeof(settings));

    n += put_window(out + n, 0, WINDOW);
    say(receiver, out, n);
}

/* ---- The end of a call -------------------------------------------------------------------------------------------- */

static size_t varint_len(const uint8_t *p)
{
    size_t n = 1;

    while ((p[n - 1] & 0x80) != 0)
        n++;
    return n;
}

/* All messages are as long as the first: of how many bytes its payload is, and how many there were. */
static uint64_t payload_of_all(const struct receiver *receiver)
{
    uint64_t message = be32(receiver->first + 1);
    const uint8_t *outer = receiver->first + PREFIX + 1, *inner = outer + varint_len(outer) + 1;
    size_t envelope = (size_t)(inner + varint_len(inner) - (receiver->first + PREFIX));

    if (receiver->first_len < sizeof(receiver->first) || message <= envelope || receiver->total % (PREFIX + message) != 0)
        bench_die("receiver: not messages of one size");
    return receiver->total / (PREFIX + message) * (message - envelope);
}

static void answer(struct receiver *receiver)
{
    static const uint8_t head[] = "\x88\x0f\x10\x10" "application/grpc", tail[] = "\x00\x0b" "grpc-status" "\x01" "0";
    uint8_t message[PREFIX + 12] = {0, 0, 0, 0, 12, 0x12, 10, 0x0a, 8}, out[128];
    uint64_t payload = payload_of_all(receiver);
    size_t n;

    for (int i = 0; i < 8; i++)
        message[PREFIX + 4 + i] = (uint8_t)(payload >> (8 * i));
    n = put_frame(out, HEADERS, END_HEADERS, receiver->stream, head, sizeof(head) - 1);
    n += put_frame(out + n, DATA, 0, receiver->stream, message, sizeof(message));
    n += put_frame(out + n, HEADERS, END_HEADERS | END_STREAM, receiver->stream, tail, sizeof(tail) - 1);
    n += put_window(out + n, 0, (uint32_t)(receiver->total - receiver->given));
    say(receiver, out, n);
    receiver->total = receiver->given = receiver->first_len = 0;
}

/* ---- Frames ------------------------------------------------------------------------------------------------------- */

static void give_back(struct receiver *receiver)
{
    uint32_t n = (uint32_t)(receiver->total - receiver->given);
    uint8_t out[32];
    size_t len = put_window(out, 0, n);

    len += put_window(out + len, receiver->stream, n);
    receiver->given = receiver->total;
    say(receiver, out, len);
}

static void frame_begins(struct receiver *receiver)
{
    receiver->left = be32(receiver->header) >> 8;
    receiver->ping_len = 0;
    if (receiver->header[3] == HEADERS)
        receiver->stream = be32(receiver->header + 5);
}

static void frame_goes_on(struct receiver *receiver, const uint8_t *p, size_t len)
{
    if (receiver->header[3] == DATA) {
        for (size_t i = 0; i < len && receiver->first_len < sizeof(receiver->first); i++)
            receiver->first[receiver->first_len++] = p[i];
        receiver->total += len;
    } else if (receiver->header[3] == PING) {
        for (size_t i = 0; i < len && receiver->ping_len < sizeof(receiver->ping); i++)
            receiver->ping[receiver->ping_len++] = p[i];
    }
}

static void frame_ends(struct receiver *receiver)
{
    unsigned type = receiver->header[3], flags = receiver->header[4];
    uint8_t out[32];

    if (type == DATA && (flags & END_STREAM) != 0)
        answer(receiver);
    else if (type == DATA && receiver->total - receiver->given >= GIVE_BACK)
        give_back(receiver);
    else if (type == SETTINGS && (flags & ACK) == 0)
        say(receiver, out, put_frame(out, SETTINGS, ACK, 0, NULL, 0));
    else if (type == PING && (flags & ACK) == 0)
        say(receiver, out, put_frame(out, PING, ACK, 0, receiver->ping, sizeof(receiver->ping)));
}

static size_t step(struct receiver *receiver, const uint8_t *p, size_t len)
{
    size_t n;

    if (receiver->skip > 0) {
        n = receiver->skip < len ? receiver->skip : len;
        receiver->skip -= n;
        return n;
    }
    if (receiver->header_len < FRAME_HEADER) {
        n = FRAME_HEADER - receiver->header_len < len ? FRAME_HEADER - receiver->header_len : len;
        memcpy(receiver->header + receiver->header_len, p, n);
        receiver->header_len += n;
        if (receiver->header_len < FRAME_HEADER)
            return n;
        frame_begins(receiver);
    } else {
        n = receiver->left < len ? receiver->left : len;
        frame_goes_on(receiver, p, n);
        receiver->left -= n;
    }
    if (receiver->left == 0) {
        frame_ends(receiver);
        receiver->header_len = 0;
    }
    return n;
}

static void serve_one(int fd)
{
    static uint8_t in[READ];
    struct receiver receiver = {.fd = fd, .skip = sizeof(preface) - 1};
    ssize_t n;

    greet(&receiver);
    while ((n = recv(fd, in, sizeof(in), 0)) > 0)
        for (size_t at = 0; at < (size_t)n;)
            at += step(&receiver, in + at, (size_t)n - at);
    close(fd);
}

static void serve(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

    if (strlen(path) >= sizeof(address.sun_path))
        bench_die("%s: too long", path);
    memcpy(address.sun_path, path, strlen(path));
    unlink(path);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 4) != 0)
        bench_die("%s: %s", path, strerror(errno));
    peer_ready();
    while ((fd = accept(listener, NULL, NULL)) >= 0)
        serve_one(fd);
}

static void *connect_to(const char *path)
{
    bench_die("%s: the receiver is a worker only", path);
}

int main(int argc, char **argv)
{
    static const struct peer receiver = {connect_to, NULL, serve};

    return peer_main(&receiver, argc, argv);
}
