/* The file that an answer goes to, which keeps what it holds until there is a peer. */
#ifndef TRIBUTARY_TOOLS_OUTPUT_H
#define TRIBUTARY_TOOLS_OUTPUT_H

#include <tributary/chunk.h>
#include <tributary/error.h>

struct output {
    const char *path; /* NULL: the answer is discarded; "-": standard output */
    int fd;
};

/* "-", or what else means standard output, such as /dev/stdout. */
bool output_is_stdout(const char *path);

/* TRIB_ERR_USAGE: the file is one of the inputs, where writing would lose what is still to be sent. */
int output_open(struct output *output, const char *path, char *const *inputs, size_t input_count, struct trib_error *err);

/* A regular file becomes empty. */
int output_empty(const struct output *output, struct trib_error *err);

/* All of the bytes. */
int output_write(const struct output *output, struct trib_view view, struct trib_error *err);

/* Some systems tell of a full disk only here. */
int output_close(struct output *output, struct trib_error *err);

#endif
