/* A peer that compresses, byte by byte, and a channel that reads what it sends. */
#ifndef TRIBUTARY_TESTS_GRPC_ZIP_H
#define TRIBUTARY_TESTS_GRPC_ZIP_H

#include "tests/support/grpc_raw.h"

#include <tributary/channel.h>

/* What zip made last. */
extern uint8_t grpc_zipped[1 << 19];

/* Compresses to grpc_zipped; window as zlib's windowBits: 31 is gzip. Returns the length. */
size_t grpc_zip(const uint8_t *data, size_t len, int window);
/* A message in frames of so many bytes. */
void grpc_zip_put_message(uint32_t stream, uint8_t flag, const uint8_t *data, size_t len, size_t frame);
void grpc_zip_put(uint32_t stream, const uint8_t *data, size_t len);
void grpc_zip_put_request(uint32_t stream, const char *path);

/* The channel that was accepted last, and its reader, which waits 20 seconds at most. */
extern struct trib_channel *grpc_zip_channel;
extern struct trib_reader *grpc_zip_reader;

void grpc_zip_listen(size_t budget, size_t limit);
/* Connects, and begins a call, which is accepted; what was put before is there still. Returns the peer's socket. */
int grpc_zip_meet(void);
void grpc_zip_part(int fd);
/* All must be as before grpc_zip_listen(). */
void grpc_zip_listen_no_more(void);

#endif
