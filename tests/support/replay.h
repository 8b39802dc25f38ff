/* A recorded connection of a gRPC client, said again to a server in any pieces; and what the server answers, per stream. */
#ifndef TRIBUTARY_TESTS_REPLAY_H
#define TRIBUTARY_TESTS_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPLAY_STREAMS = 32 };

/* What came on a stream: frames joined, so that it does not matter how they were cut. */
struct replay_stream {
    char *headers; /* "name: value\n" of each block, an empty line behind it */
    size_t headers_len;
    uint8_t *data; /* of DATA */
    size_t len;
    unsigned messages; /* complete ones in it */
    size_t counted;    /* bytes of them */
    bool ended;
    bool reset; /* other than with NO_ERROR behind the end, which says that the rest of the request does not matter */
    uint32_t code;
};

struct replay_answer {
    struct replay_stream streams[REPLAY_STREAMS]; /* stream 3, the first of a client of Netty, 5, 7, ... */
    bool goaway;
};

/* A frame of the client begins here, which it said after it had heard so many messages on its stream, and perhaps the end. */
struct replay_frame {
    size_t at;
    unsigned stream; /* index; REPLAY_STREAMS: that of the connection */
    unsigned messages;
    bool after_end;
};

struct replay {
    uint8_t *said; /* all bytes of the client */
    size_t len;
    struct replay_frame *frames;
    size_t count;
    unsigned streams;
    bool cancelled[REPLAY_STREAMS]; /* the client reset it before it had ended */
    char paths[REPLAY_STREAMS][80];
};

/* Loads a record of tests/interop/record/. The test fails where it is none. */
void replay_load(struct replay *replay, const char *name);
void replay_done(struct replay *replay);

/* Who lets the server do what it can at the moment, without waiting. */
struct replay_turn {
    void (*fn)(void *arg);
    void *arg;
};

/* Connects to "grpc+unix:@name" and says all of it: in pieces of `piece` bytes that each are seen by themselves, or, where that is 0, in two, cut at
 * `split`. A frame waits until the server has said what the client had heard when it said it. */
void replay_run(const struct replay *replay, const char *address, size_t split, size_t piece, const struct replay_turn *turn,
                struct replay_answer *ret_answer);
void replay_answer_done(struct replay_answer *answer);

/* The test fails, and names the split, where two answers are not the same on each stream. */
void replay_compare(const struct replay *replay, const struct replay_answer *whole, const struct replay_answer *parts, size_t split);

/* In the header of a frame, or in what may be that of a message behind it. */
bool replay_near_frame(const struct replay *replay, size_t at);

#endif
