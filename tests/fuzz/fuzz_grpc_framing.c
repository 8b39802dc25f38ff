/* Fuzzes what is inside DATA: the first byte says whether gzip was announced, and to which side; the second how long frames are, the third the
 * pieces; the rest is payload. */
#include "tests/fuzz/grpc_peer.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t literal(uint8_t *to, const char *name, const char *value)
{
    size_t name_len = strlen(name), len = strlen(value);

    to[0] = 0x10;
    to[1] = (uint8_t)name_len;
    memcpy(to + 2, name, name_len);
    to[2 + name_len] = (uint8_t)len;
    memcpy(to + 3 + name_len, value, len);
    return 3 + name_len + len;
}

static void feed_frame(struct grpc_peer *peer, uint8_t type, uint8_t flags, const uint8_t *payload, size_t len, size_t piece)
{
    uint8_t frame[9 + 512] = { 0, (uint8_t)(len >> 8), (uint8_t)len, type, flags, 0, 0, 0, 1 };

    if (len > 0)
        memcpy(frame + 9, payload, len);
    grpc_peer_feed(peer, frame, 9 + len, piece);
}

static void feed_headers(struct grpc_peer *peer, bool server, bool gzip)
{
    uint8_t block[512];
    size_t n = 0;

    if (server) {
        n += literal(block + n, ":method", "POST");
        n += literal(block + n, ":scheme", "http");
        n += literal(block + n, ":path", "/a/B");
    } else {
        n += literal(block + n, ":status", "200");
    }
    n += literal(block + n, "content-type", "application/grpc");
    if (gzip)
        n += literal(block + n, "grpc-encoding", "gzip");
    feed_frame(peer, 1, 4, block, n, sizeof(block));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t settings[9] = { 0, 0, 0, 4 };
    struct grpc_peer *peer;
    size_t frame, piece;
    bool server;

    if (size < 3)
        return 0;
    server = (data[0] & 1) == 0;
    frame = 1 + data[1];
    piece = 1 + data[2];
    peer = grpc_peer_new(server);
    if (server)
        grpc_peer_feed(peer, (const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, 24);
    grpc_peer_feed(peer, settings, sizeof(settings), sizeof(settings));
    feed_headers(peer, server, (data[0] & 2) != 0);
    for (size_t at = 3; at < size; at += frame)
        feed_frame(peer, 0, (data[0] & 4) != 0 && at + frame >= size, data + at, size - at < frame ? size - at : frame, piece);
    grpc_peer_free(peer);
    return 0;
}
