/* gzip: messages that come compressed, and those that are sent so. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <string.h>
#include <zlib.h>

enum { OUTPUT = 64 << 10, GZIP_WINDOW = 15 + 16 };

struct tribi_grpc_inflate {
    z_stream z;
    bool begun;
    uint64_t total; /* of the message */
};

struct tribi_grpc_deflate {
    z_stream z;
};

int tribi_grpc_inflate_some(struct trib_grpc_call *stream, const uint8_t *data, size_t len, bool last)
{
    (void)data, (void)len, (void)last;
    tribi_grpc_stream_fail(stream, TRIB_ERR_UNSUPPORTED, TRIB_GRPC_UNIMPLEMENTED, "gzip");
    return TRIB_ERR_UNSUPPORTED;
}

void tribi_grpc_inflate_free(struct tribi_grpc_inflate *inflate)
{
    trib_free(inflate);
}

int tribi_grpc_deflate_views(struct trib_grpc_call *stream, const struct trib_send *send, size_t skip)
{
    (void)stream, (void)send, (void)skip;
    return TRIB_ERR_UNSUPPORTED;
}

void tribi_grpc_deflate_free(struct tribi_grpc_deflate *deflate)
{
    trib_free(deflate);
}
