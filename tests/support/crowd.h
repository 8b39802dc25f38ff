/* A client of very many streams on one connection, in frames, so that it costs next to nothing itself. It never opens a stream's window. */
#ifndef TRIBUTARY_TESTS_CROWD_H
#define TRIBUTARY_TESTS_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CROWD_STREAMS = 10000, CROWD_KEPT = 64 };

struct crowd_stream {
    int64_t credit;  /* bytes of DATA that may be said */
    uint32_t heard;  /* bytes of DATA */
    uint8_t first[CROWD_KEPT];
    bool begun, ended; /* ended: END_STREAM, or a reset */
};

struct crowd {
    int fd;
    uint32_t window; /* the server's, of a new stream */
    uint8_t *out, *in;
    size_t out_len, out_sent, out_room, in_len;
    unsigned marks;  /* PINGs that were answered */
    struct crowd_stream streams[CROWD_STREAMS];
};

/* Connects to "grpc+unix:@name"; the connection's window is wide open, and those of streams have 65535 bytes. */
void crowd_open(struct crowd *crowd, const char *address);
void crowd_close(struct crowd *crowd);

/* What is said is gathered, and leaves with the next crowd_exchange(). */
void crowd_begin(struct crowd *crowd, unsigned stream, const char *path);
void crowd_message(struct crowd *crowd, unsigned stream, const void *bytes, size_t len);

/* Says and hears until done(crowd) is true, or nothing has come for 20 seconds: then the test fails. */
void crowd_exchange(struct crowd *crowd, bool (*done)(struct crowd *crowd));
/* All that was said has been read, and all that the server said at once to it has been heard. */
void crowd_barrier(struct crowd *crowd);

#endif
