/* The library as a peer: messages in the data envelope, over one call. */
#ifndef TRIBUTARY_BENCH_GRPC_OURS_H
#define TRIBUTARY_BENCH_GRPC_OURS_H

#include "bench/grpc/peer.h"

#include <tributary/grpc.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#define OURS_PATH "/org.apache.spark.udf.worker.UdfWorker/Execute"
#define OURS_MODE "bench-mode" /* metadata: "sink"; "parts" or anything else to be sent back what was sent, as it comes or message by message */

struct ours_stream {
    struct trib_grpc_call *call;
    struct trib_channel *channel;
    struct trib_reader *reader;
    struct trib_writer *writer;
    /* The envelope that is being read: which of its four fields comes, and the last length. */
    unsigned field;
    uint64_t left;
    /* The message that is being written, and which part of it comes next. */
    unsigned part;
    uint8_t header[24];
    size_t header_len, header_for;
};

void ours_open(struct ours_stream *stream, struct trib_grpc_call *call);

/* The next message's payload, in one piece, borrowed until the next read. TRIB_EOF: the peer has finished. Anything but these and
 * TRIB_AGAIN ends the process with a message. */
int ours_read(struct ours_stream *stream, struct trib_view *ret_payload);

/* The next part of a message's payload, as it came, borrowed until the next read; `left` is how much of the message follows. Else as ours_read(). */
int ours_read_part(struct ours_stream *stream, struct trib_view *ret_part);

/* The size of the message that the next part is of. */
int ours_read_size(struct ours_stream *stream, size_t *ret_size);

/* Begins a message of so many bytes, of which ours_write_part() writes some; TRIB_AGAIN: call again, with the same. */
int ours_begin(struct ours_stream *stream, size_t size);
int ours_write_part(struct ours_stream *stream, struct trib_view part, bool last);

/* TRIB_AGAIN: not all of it was taken; call again with the same payload. */
int ours_write(struct ours_stream *stream, struct trib_view payload);

/* For calls that may not fail. */
int ours_check(int rc, const struct trib_error *err);

/* Bytes that reader and writer have copied. */
uint64_t ours_copied(const struct ours_stream *stream);

void *ours_connect(const char *path);
void ours_measure(void *self, const struct peer_work *work, struct peer_outcome *ret_outcome);
void ours_serve(const char *path);

#endif
