/* Serializers of raw bytes: what `tributary serve --protocol raw` does with a connection. */
#ifndef TRIBUTARY_TOOLS_RAW_H
#define TRIBUTARY_TOOLS_RAW_H

#include <tributary/error.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

/* Reads to the end, writes the answer, and finishes the writer. Deadlines are the caller's. */
typedef int raw_serve_fn(struct trib_reader *reader, struct trib_writer *writer, uint64_t *ret_bytes, struct trib_error *err);

/* "echo", "upper" or "count"; NULL: no such. */
raw_serve_fn *raw_find(const char *name);

#endif
