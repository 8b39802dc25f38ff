/* Plays captured sessions over a channel, and compares what comes back. */
#ifndef TRIBUTARY_TOOLS_PLAY_H
#define TRIBUTARY_TOOLS_PLAY_H

#include "tools/capture.h"
#include "tools/compare.h"
#include "tools/tool.h"

/* The channel is chosen by the URI, and by nothing else. */
struct play {
    const struct tool *tool;
    const char *uri;
    size_t split;       /* send bytes in pieces of so many; 0: as the message layer writes them */
    int64_t timeout_ms; /* for one direction of one session */
};

/* One direction, there and back: near parses the capture and writes it to the channel (with `split`: sends its bytes), far parses
 * what arrives and writes it back, near compares that with the capture, byte by byte. TRIB_ERR_FAILED: it differs; the text says
 * where. */
int play_back(const struct play *play, const struct capture *capture, uint64_t *ret_events, struct trib_error *err);

/* Whether the session's first command names a serializer of this library and its answer was recorded; the serializer's name. */
int play_answerable(const struct session *session, bool *ret_answerable, const char **ret_serializer, struct trib_error *err);

/* The engine's direction goes to a worker that computes the answer by that serializer. Near compares it with the recorded one:
 * same length, every byte equal but for those of process ids and times. TRIB_ERR_FAILED: it differs. */
int play_answer(const struct play *play, const struct session *session, struct compare_masked *ret_masked,
                struct trib_error *err);

/* The line of an error of playing `what`; returns TOOL_FAILED. */
int play_fail(const struct play *play, const char *what, const struct trib_error *err);

#endif
