/* Captured sessions in tests: readers over pieces of them, a channel in memory that records what is written, and events there
 * and back. */
#ifndef TRIBUTARY_TESTS_CAPTURE_H
#define TRIBUTARY_TESTS_CAPTURE_H

#include <tributary/channel.h>
#include <tributary/spark.h>

#include "tests/support/data.h"

struct capture {
    struct data_file file;
    enum trib_side side;
    enum trib_handshake handshake;
};

/* Side and handshake follow from the file's name:
 * "<what>.<tcp-daemon|uds-direct|tcp-direct>.<engine-to-worker|worker-to-engine>.bin". */
void capture_load(const char *name, struct capture *ret_capture);
void capture_done(struct capture *capture);

/* The captures of tests/data/spark-4.3.0, as capture_load() takes them. */
#define CAPTURE_COUNT 40
const char *capture_name(size_t i);

/* Cuts of the bytes: pieces end before each cut, the rest is one piece. */
struct cuts {
    const size_t *at;
    size_t count;
    size_t every; /* not 0: instead, a cut after so many bytes each */
};

/* A reader that was fed the pieces and finished. */
struct trib_reader *capture_reader(const uint8_t *bytes, size_t len, struct cuts cuts);

/* A channel in memory: its reader gets `input` in pieces and then the end; what its writer sends is kept. */
struct memory_channel {
    const uint8_t *input;
    size_t input_len;
    size_t piece; /* 0: all at once */
    size_t at;
    bool stuck;      /* no end after the input: waiting for more times out */
    size_t send_max; /* not 0: takes at most so many bytes in one call */
    unsigned refuse; /* not 0: takes something only in every so many-th call that does not wait */
    unsigned refused;
    uint8_t *output;
    size_t output_len;
    size_t output_room;
    bool finished;          /* the writing direction was */
    const uint8_t *watched; /* if set: how many bytes were sent that lie in these, by reference */
    size_t watched_len;
    size_t watched_sent;
};

/* `memory` must outlive the channel, and is done with by memory_done(). */
struct trib_channel *memory_channel(struct memory_channel *memory, const uint8_t *input, size_t len);
struct trib_channel *memory_channel_gather(struct memory_channel *memory,
                                           size_t gather); /* without input; sends when so much is gathered */
int memory_channel_try(struct memory_channel *memory, struct trib_channel **ret_channel,
                       struct trib_error *err); /* without input */
void memory_done(struct memory_channel *memory);

/* Takes all events of the reader, puts each on a sender to `writer`, and flushes. Returns what ended it: TRIB_EOF where all went
 * well. */
int capture_echo(struct trib_reader *reader, struct trib_writer *writer, const struct capture *capture, struct trib_error *err);

#endif
