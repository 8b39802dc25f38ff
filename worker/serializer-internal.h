/* What serializers share: one output stream for all that comes in, and what they do to a batch of Arrow. */
#ifndef TRIBI_SERIALIZER_INTERNAL_H
#define TRIBI_SERIALIZER_INTERNAL_H

#include <tributary/serializer.h>

/* Upper case for the text columns of batches of one schema. */
struct tribi_arrow_upper;

int tribi_arrow_upper_new(const struct trib_arrow_message *schema, struct tribi_arrow_upper **ret_upper, struct trib_error *err);
void tribi_arrow_upper_free(struct tribi_arrow_upper *upper);

/* The body of a batch with the text columns in upper case, in a chunk of its own. TRIB_ERR_UNSUPPORTED: compressed. */
int tribi_arrow_upper_body(struct tribi_arrow_upper *upper, const struct trib_arrow_message *batch, struct trib_chunk **ret_body,
                           struct trib_error *err);

/* Puts a stream with one batch of one row on `out`: a struct of int64 fields. */
int tribi_arrow_put_numbers(struct trib_sender *out, const char *const *names, const int64_t *values, size_t count,
                            struct trib_error *err);

/* `len` bytes of `data` in upper case (ASCII letters alone) to `out`, which may be the same place. */
void tribi_ascii_upper(uint8_t *out, const uint8_t *data, size_t len);

#endif
