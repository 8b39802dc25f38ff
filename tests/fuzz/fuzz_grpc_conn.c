/* Fuzzes a whole connection: the first byte chooses the side and whether the beginning is right, the second the size of the pieces. */
#include "tests/fuzz/grpc_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t settings[9] = { 0, 0, 0, 4 };
    struct grpc_peer *peer;
    bool server;

    if (size < 2)
        return 0;
    server = (data[0] & 1) == 0;
    peer = grpc_peer_new(server);
    if ((data[0] & 2) == 0) {
        if (server)
            grpc_peer_feed(peer, (const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, 24);
        grpc_peer_feed(peer, settings, sizeof(settings), sizeof(settings));
    }
    grpc_peer_feed(peer, data + 2, size - 2, data[1] != 0 ? data[1] : size);
    grpc_peer_free(peer);
    return 0;
}
