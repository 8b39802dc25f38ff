/* What an engine sends, a file cut into DataRequests: the messages of an Arrow stream, or blocks of bytes. */
#ifndef TRIBUTARY_TOOLS_INPUT_H
#define TRIBUTARY_TOOLS_INPUT_H

#include "tools/source.h"

#include <tributary/arrow.h>
#include <tributary/reader.h>

struct input {
    struct source source;
    struct trib_reader *reader;      /* of all its bytes */
    struct trib_arrow_stream *arrow; /* NULL: blocks */
    struct trib_chunk *assembled;    /* a message that does not lie in the mapping */
    struct trib_view schema;         /* Arrow's first message, retained */
    size_t block;
    uint64_t count; /* of pieces that were given */
};

/* "-": standard input. block 0: an Arrow stream, whose schema is read at once. Once the descriptor `stop` is readable, waiting for bytes
 * ends with TRIB_ERR_CANCELLED. TRIB_ERR_PROTOCOL, TRIB_ERR_SHORT, TRIB_ERR_LIMIT: not an Arrow stream. */
int input_open(struct input *input, const char *path, size_t block, int stop, struct trib_error *err);
void input_close(struct input *input);

/* The next piece, valid until the next call; TRIB_EOF at the end. */
int input_next(struct input *input, struct trib_view *ret_view, struct trib_error *err);

/* Bytes of the file that were taken. */
uint64_t input_position(const struct input *input);

#endif
