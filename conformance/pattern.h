/* Bytes that know their place: a stream of them shows what is lost, repeated or out of order. */
#ifndef TRIBUTARY_CONFORMANCE_PATTERN_H
#define TRIBUTARY_CONFORMANCE_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* Bytes [offset, offset + len) of the stream `seed`. */
void conform_pattern_fill(void *buf, size_t len, uint64_t seed, uint64_t offset);

/* The index of the first byte that is not the pattern's; len if all are right. */
size_t conform_pattern_mismatch(const void *data, size_t len, uint64_t seed, uint64_t offset);

/* A small generator of numbers, the same on every machine. */
struct conform_random {
    uint64_t state;
};

uint64_t conform_random_next(struct conform_random *random);

/* A number in [0, n), n > 0. */
uint64_t conform_random_below(struct conform_random *random, uint64_t n);

/* A size in [0, max] whose logarithm is spread evenly, so that small and large ones are both frequent. */
size_t conform_random_size(struct conform_random *random, size_t max);

#endif
