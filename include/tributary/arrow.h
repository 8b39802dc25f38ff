/* Arrow IPC framing: where each message of a stream begins and ends, what it is, and its parts as views. */
#ifndef TRIBUTARY_ARROW_H
#define TRIBUTARY_ARROW_H

#include <tributary/chunk.h>
#include <tributary/error.h>
#include <tributary/reader.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* An Arrow IPC stream is a row of encapsulated messages: FF FF FF FF, a 4-byte little-endian length, so many bytes of metadata
 * (a flatbuffer and its padding), then the body, whose length the flatbuffer tells; a length of 0 ends the stream. The first
 * message is the schema, and there is one schema. Part of libtributary-worker. */

enum trib_arrow_kind {
    TRIB_ARROW_SCHEMA = 1,
    TRIB_ARROW_DICTIONARY = 2,
    TRIB_ARROW_BATCH = 3
};

enum trib_arrow_codec {
    TRIB_ARROW_PLAIN = 0,
    TRIB_ARROW_LZ4 = 1,
    TRIB_ARROW_ZSTD = 2
};

/* One message, without its 8-byte prefix, which follows from metadata.len. A view like any other: what returns it says when it
 * ends. */
struct trib_arrow_message {
    enum trib_arrow_kind kind;
    enum trib_arrow_codec codec; /* of the body's buffers; a schema has none */
    int64_t rows;                /* of a batch or a dictionary; 0 for a schema */
    struct trib_view metadata;   /* the flatbuffer with its padding, on a multiple of 8 */
    struct trib_view body;       /* in one piece; empty for a schema */
};

/* "schema", "dictionary", "batch". A static string. */
TRIB_API const char *trib_arrow_kind_name(enum trib_arrow_kind kind);

/* Verifies the flatbuffer of one message and takes out what *ret_message says (its body stays empty; *ret_body_length says how long
 * it is). head: the 8-byte prefix and the metadata, on a multiple of 8. TRIB_ERR_PROTOCOL: not a message of Arrow IPC with metadata
 * version 4 or 5. TRIB_ERR_USAGE: alignment. TRIB_ERR_NOMEM. The views of *ret_message share the lifetime of `head`. Any thread. */
TRIB_API int trib_arrow_decode(struct trib_view head, struct trib_arrow_message *ret_message, uint64_t *ret_body_length,
                               struct trib_error *err);

/* Writes the fields of a schema message as text, such as "struct<id: int64>", into buf, cut off to fit, always terminated.
 * TRIB_ERR_USAGE: not a schema, len is 0. TRIB_ERR_PROTOCOL: its fields make no sense. TRIB_ERR_NOMEM. */
TRIB_API int trib_arrow_describe(const struct trib_arrow_message *schema, char *buf, size_t len, struct trib_error *err);

/* ---- Following a stream ----------------------------------------------------------------------------------------
 * Takes exactly one Arrow IPC stream from a reader, message by message, and never a byte more. */

struct trib_arrow_options {
    size_t size;
    size_t metadata_limit; /* of one message; default 16 MiB */
    uint64_t body_limit;   /* of one message; default 256 MiB. The reader's own limit holds as well */
    size_t align;          /* of the body's first byte: a power of two up to 4096; 0: wherever it lies; Arrow recommends 64 */
};
#define TRIB_ARROW_OPTIONS_INIT { sizeof(struct trib_arrow_options), 0, 0, 0 }

struct trib_arrow_stream;

/* `reader` stays the caller's and must outlive the stream. options may be NULL. TRIB_ERR_USAGE: `align` is none. TRIB_ERR_NOMEM. */
TRIB_API int trib_arrow_stream_new(struct trib_reader *reader, const struct trib_arrow_options *options,
                                   struct trib_arrow_stream **ret_stream, struct trib_error *err);
TRIB_API void trib_arrow_stream_free(struct trib_arrow_stream *stream);

/* The next message; its views are valid until the next call on the stream or its reader (retain them to keep them).
 * TRIB_EOF: the end-of-stream marker was taken; again for ever, until restart. TRIB_AGAIN, TRIB_ERR_TIMEOUT, TRIB_ERR_NOMEM:
 * call again, nothing is lost. TRIB_ERR_SHORT: the reader ended before the end of the stream. TRIB_ERR_LIMIT: metadata or body
 * larger than the limit, with both numbers. TRIB_ERR_PROTOCOL: not Arrow. The last three stick, and so do the reader's own
 * errors. */
TRIB_API int trib_arrow_stream_next(struct trib_arrow_stream *stream, struct trib_arrow_message *ret_message,
                                    struct trib_error *err);

/* Another stream follows on the same reader. */
TRIB_API void trib_arrow_stream_restart(struct trib_arrow_stream *stream);

TRIB_END_DECLS

#endif
