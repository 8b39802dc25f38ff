/* A file as a row of views: mapped where it is a regular one, read where not. */
#ifndef TRIBUTARY_TOOLS_SOURCE_H
#define TRIBUTARY_TOOLS_SOURCE_H

#include <tributary/chunk.h>

struct source {
    const char *path;
    int fd;                   /* -1: mapped */
    int stop;                 /* readable: no more is to be read */
    struct trib_chunk *chunk; /* the mapping, or the block that was read last */
    size_t at;                /* of the mapping */
    size_t forgotten;         /* pages before this one were given back */
    bool interactive;         /* bytes come when they come: do not gather them */
};

/* TRIB_ERR_IO: there is no such file, or it cannot be read. */
int source_check(const char *path, struct trib_error *err);

/* Bytes of all of them; 0 where that cannot be known. */
uint64_t source_total(char *const *paths, size_t count);

/* "-": standard input. Once the descriptor `stop` is readable, source_next() fails with TRIB_ERR_CANCELLED instead of waiting for
 * bytes. */
int source_open(struct source *source, const char *path, int stop, struct trib_error *err);
void source_close(struct source *source);

/* The next piece, valid until the next call unless retained; TRIB_EOF at the end. */
int source_next(struct source *source, struct trib_view *ret_view, struct trib_error *err);

#endif
