/* Messages with gzip as bytes, and the channel that reads them. */
#include "tests/support/grpc_zip.h"

#include "tests/support/balance.h"

#include <tributary/reader.h>

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { DATA = 0, HEADERS = 1, FRAME = 16384, PATIENCE_MS = 20000 };

uint8_t grpc_zipped[1 << 19];
struct trib_channel *grpc_zip_channel;
struct trib_reader *grpc_zip_reader;
static struct trib_listener *listener;
static struct trib_error err;

size_t grpc_zip(const uint8_t *data, size_t len, int window)
{
    z_stream z;

    memset(&z, 0, sizeof(z));
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)len;
    z.next_out = grpc_zipped;
    z.avail_out = sizeof(grpc_zipped);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    len = sizeof(grpc_zipped) - z.avail_out;
    deflateEnd(&z);
    return len;
}

/* A message in frames of so many bytes. */
void grpc_zip_put_message(uint32_t stream, uint8_t flag, const uint8_t *data, size_t len, size_t frame)
{
    const uint8_t prefix[5] = { flag, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };

    grpc_raw_frame(DATA, 0, stream, prefix, sizeof(prefix));
    for (size_t n; len > 0; data += n, len -= n) {
        n = len < frame ? len : frame;
        grpc_raw_frame(DATA, 0, stream, data, n);
    }
}

void grpc_zip_put(uint32_t stream, const uint8_t *data, size_t len)
{
    grpc_zip_put_message(stream, 1, grpc_zipped, grpc_zip(data, len, 31), FRAME);
}

void grpc_zip_put_request(uint32_t stream, const char *path)
{
    uint8_t block[512];
    size_t n = grpc_raw_block(block, path);

    n += grpc_raw_literal(block + n, "grpc-encoding", "gzip");
    grpc_raw_frame(HEADERS, 4, stream, block, n);
}

void grpc_zip_listen(size_t budget, size_t limit)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    static int counter;
    char uri[64];

    balance_setup();
    options.budget = budget;
    options.limit = limit;
    snprintf(uri, sizeof(uri), "grpc+unix:@trib-gzip-%ld-%d", (long)getpid(), counter++);
    ck_assert_msg(trib_listen(uri, &options, &listener, &err) == TRIB_OK, "%s", err.message);
}

/* What was put follows the headers of the call, which is accepted. */
int grpc_zip_meet(void)
{
    static struct grpc_raw request;
    int fd = grpc_raw_connect(trib_listener_address(listener));

    request = grpc_raw;
    grpc_raw_preface();
    grpc_zip_put_request(1, "/test/Gzip");
    ck_assert(grpc_raw_send(fd));
    ck_assert_msg(trib_listener_accept(listener, trib_deadline_ms(PATIENCE_MS), &grpc_zip_channel, &err) == TRIB_OK, "%s", err.message);
    grpc_zip_reader = trib_channel_reader(grpc_zip_channel);
    trib_reader_set_deadline(grpc_zip_reader, trib_deadline_ms(PATIENCE_MS));
    grpc_raw = request;
    return fd;
}

void grpc_zip_part(int fd)
{
    trib_channel_free(grpc_zip_channel);
    close(fd);
}

void grpc_zip_listen_no_more(void)
{
    trib_listener_free(listener);
    balance_teardown();
}
