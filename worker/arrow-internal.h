/* What the message layer shares about Arrow messages. */
#ifndef TRIBI_ARROW_INTERNAL_H
#define TRIBI_ARROW_INTERNAL_H

#include <tributary/arrow.h>

#define TRIBI_ARROW_PREFIX 8 /* FF FF FF FF and the length of the metadata */
#define TRIBI_ARROW_ALIGN 8  /* of the metadata: what a flatbuffer wants */

struct ArrowError;
struct ArrowIpcDecoder;
struct ArrowSchema;

uint32_t tribi_get_le32(const uint8_t *at);

/* The 8 bytes before a message. */
void tribi_arrow_prefix(uint8_t *at, size_t metadata_len);

/* Rows and codec of a batch or a dictionary whose flatbuffer has been verified. */
int tribi_arrow_table_batch(struct trib_arrow_message *message, struct trib_error *err);

/* Whether what nanoarrow reads without a look is there, in the verified flatbuffer of a schema message. */
bool tribi_arrow_table_schema_ok(const uint8_t *metadata);

/* What stands before a message: how much metadata follows, 0: the stream ends. TRIB_ERR_PROTOCOL; TRIB_ERR_LIMIT: more than `limit`. */
int tribi_arrow_check_prefix(const uint8_t *prefix, size_t limit, size_t *ret_length, struct trib_error *err);

/* trib_arrow_decode() with a decoder of the caller's; `head` has been checked and lies on TRIBI_ARROW_ALIGN. */
int tribi_arrow_decode_with(struct ArrowIpcDecoder *decoder, struct trib_view head, struct trib_arrow_message *ret_message,
                            uint64_t *ret_body_length, struct trib_error *err);

/* TRIB_ERR_PROTOCOL: a batch before the schema, a second schema, or one with a body. */
int tribi_arrow_check_order(enum trib_arrow_kind kind, bool has_schema, uint64_t body_length, struct trib_error *err);

/* Prefix and metadata of a message, in a chunk of their own. */
int tribi_arrow_head_copy(const struct trib_arrow_message *message, struct trib_chunk **ret_head, struct trib_error *err);

/* The schema that `head` (of a schema message) holds; the caller releases it. */
int tribi_arrow_schema(struct ArrowIpcDecoder *decoder, struct trib_chunk *head, struct ArrowSchema *ret_schema,
                       struct trib_error *err);

/* nanoarrow's failure as ours. */
int tribi_arrow_failed(int code, const struct ArrowError *error, const char *what, struct trib_error *err);

/* What a reader returned for `wanted` bytes of something. TRIB_EOF and TRIB_ERR_SHORT, for which the reader knows how many bytes are
 * missing but not of what, become a TRIB_ERR_SHORT that says so; every other code stays as it is. */
int tribi_name_short(int rc, const char *what, uint64_t wanted, struct trib_error *err);

#endif
