/* Compares a stream with the bytes that are expected, but for those that are masked. */
#ifndef TRIBUTARY_TOOLS_COMPARE_H
#define TRIBUTARY_TOOLS_COMPARE_H

#include "tools/capture.h"

/* What of a recorded answer another run cannot repeat. */
struct compare_masked {
    size_t pid_bytes;
    size_t time_bytes; /* boot, init, finish and processing time */
};

struct compare_span {
    uint64_t from;
    uint64_t to;
};

struct compare {
    struct trib_view expected;
    struct compare_span *spans; /* masked, in order */
    size_t span_count;
    struct compare_masked masked;
};

/* Expects the capture's bytes; with `mask`, but for process ids and times. */
int compare_init(struct compare *compare, const struct capture *capture, bool mask, struct trib_error *err);
void compare_done(struct compare *compare);

/* Takes the reader's stream and compares it: up to its end, or only as many bytes as are expected. TRIB_ERR_FAILED: it
 * differs. */
int compare_stream(const struct compare *compare, struct trib_reader *reader, bool to_the_end, struct trib_error *err);

#endif
