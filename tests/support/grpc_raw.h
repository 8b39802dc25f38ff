/* HTTP/2 byte by byte, for tests: frames are gathered in one buffer, and written to a socket as they are, right or wrong. */
#ifndef TRIBUTARY_TESTS_GRPC_RAW_H
#define TRIBUTARY_TESTS_GRPC_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_RAW_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* What was put so far. */
struct grpc_raw {
    uint8_t data[1 << 20];
    size_t len;
};
extern struct grpc_raw grpc_raw;

/* A socket to "grpc+unix:@name". */
int grpc_raw_connect(const char *address);
/* A listening socket, for a server that says what a test wants it to; address becomes "grpc+unix:@name". */
int grpc_raw_listen(char *address, size_t room);

void grpc_raw_put(const void *data, size_t len);
void grpc_raw_frame(uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len);
/* One header, never indexed, so that blocks stand alone; below 127 bytes each. Returns its length. */
size_t grpc_raw_literal(uint8_t *to, const char *name, const char *value);
/* The headers of a request, in 512 bytes. */
size_t grpc_raw_block(uint8_t *to, const char *path);
void grpc_raw_request(uint32_t stream, const char *path, uint8_t flags);
/* Empties the buffer; then the preface and empty SETTINGS. */
void grpc_raw_preface(void);

/* Writes as far as the peer takes it; true if all. */
bool grpc_raw_write(int fd, const uint8_t *data, size_t len);
/* What was put, which is empty afterwards. */
bool grpc_raw_send(int fd);
/* Reads until the end, or until nothing has come for so long. Returns how many bytes. */
size_t grpc_raw_read(int fd, uint8_t *to, size_t room, int quiet_ms);

/* The next frame; false: the peer has closed, or said nothing for 20 seconds. */
struct grpc_raw_frame {
    uint8_t type, flags;
    uint32_t stream;
    size_t len;
    uint8_t payload[1 << 18];
};
bool grpc_raw_next(int fd, struct grpc_raw_frame *frame);
/* Reads frames up to the next one of this type; false as above. */
bool grpc_raw_until(int fd, uint8_t type, struct grpc_raw_frame *frame);

#endif
