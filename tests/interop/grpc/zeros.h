/* Payloads of zeros, sent without a copy. */
#ifndef TRIBUTARY_TESTS_INTEROP_ZEROS_H
#define TRIBUTARY_TESTS_INTEROP_ZEROS_H

#include <tributary/chunk.h>

enum { ZEROS_MAX = 64 << 20 };

/* Once, before the others. */
bool zeros_init(void);

/* ZEROS_MAX of them. */
const uint8_t *zeros_data(void);

/* A message of `head` and so many zeros, at most ZEROS_MAX. */
int zeros_send(struct trib_writer *writer, const uint8_t *head, size_t head_len, size_t body, struct trib_error *err);

#endif
