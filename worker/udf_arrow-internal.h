/* Arrow in Spark's gRPC worker protocol: DataRequests cut into messages, and messages made into DataResponses. */
#ifndef TRIBI_UDF_ARROW_H
#define TRIBI_UDF_ARROW_H

#include <tributary/message.h>

#include "arrow-internal.h"

/*   Init.input_schema     schema [end]                       one message
 *   DataRequest           (dictionary | batch)*              as Spark sends them: one batch each, of the schema that Init has
 *                         schema (dictionary | batch)* [end]  or whole streams; the schema of each is the first one's
 *
 * Together they are one Arrow stream. A message never goes on in the next DataRequest. */

/* ---- In ---------------------------------------------------------------------------------------------------------- */

struct tribi_arrow_in;

/* align: of bodies, 1: wherever they lie. */
int tribi_arrow_in_new(size_t align, struct tribi_arrow_in **ret_in, struct trib_error *err);
void tribi_arrow_in_free(struct tribi_arrow_in *in);

/* What the engine says that its data is: the first thing that tribi_arrow_in_next() gives. `bytes` is copied. TRIB_ERR_PROTOCOL: no schema. */
int tribi_arrow_in_schema(struct tribi_arrow_in *in, struct trib_view bytes, struct trib_error *err);

/* The data of DataRequest `number`, the caller's until TRIB_EOF or an error. */
void tribi_arrow_in_begin(struct tribi_arrow_in *in, struct trib_view data, uint64_t number);

/* The next message, in place where it lies right; its views end with the next call. A schema comes once. TRIB_EOF: all of the data is
 * cut. TRIB_ERR_PROTOCOL: it is no Arrow; the text says where and why. */
int tribi_arrow_in_next(struct tribi_arrow_in *in, struct trib_arrow_message *ret_message, struct trib_error *err);

/* The metadata of the schema, without data where none has come; ends with the object. */
struct trib_view tribi_arrow_in_metadata(const struct tribi_arrow_in *in);
/* The engine sends whole streams. */
bool tribi_arrow_in_whole(const struct tribi_arrow_in *in);
/* Bytes that did not lie right and were moved. */
uint64_t tribi_arrow_in_copied(const struct tribi_arrow_in *in);

/* Whether data of which nothing is known may be Arrow. */
bool tribi_arrow_begins(struct trib_view data);

/* ---- Out ----------------------------------------------------------------------------------------------------------
 * Each batch is one DataResponse: alone, as Spark reads it, where it has the schema that the engine knows; between its schema and the end of
 * a stream where the engine sends whole streams, or named no schema of the output and it differs from the input's. */

struct tribi_arrow_out {
    const struct tribi_arrow_in *in; /* NULL: the input is no Arrow */
    struct trib_chunk *expected;     /* Init.output_schema: prefix and metadata; NULL: not set */
    bool open;                       /* STREAM came, */
    bool has_schema;                 /* and its schema */
    bool whole;
    struct trib_chunk *schema;       /* whole: what holds its metadata; one reference */
    struct trib_view metadata;
};

/* What a DataResponse is made of. A view without a holder is the caller's, or a prefix. */
struct tribi_arrow_parts {
    uint8_t prefixes[3][TRIBI_ARROW_PREFIX];
    struct trib_view views[6];
    unsigned count;
    uint64_t size;
};

/* `expected` is Init.output_schema, or empty. TRIB_ERR_PROTOCOL: no schema. */
int tribi_arrow_out_init(struct tribi_arrow_out *out, const struct tribi_arrow_in *in, struct trib_view expected, struct trib_error *err);
void tribi_arrow_out_done(struct tribi_arrow_out *out);

/* STREAM, ARROW or STREAM_END. ret_parts->count is 0 where nothing is to be sent for it. TRIB_ERR_PROTOCOL: not in this order.
 * TRIB_ERR_UNSUPPORTED: a schema that is not the one that the engine reads its answer with, a dictionary where streams are whole. */
int tribi_arrow_out_put(struct tribi_arrow_out *out, const struct trib_event *event, struct tribi_arrow_parts *ret_parts, struct trib_error *err);

/* ---- Schemas ------------------------------------------------------------------------------------------------------ */

/* `bytes` are one schema message, maybe with the end of a stream behind it: a copy of it in *ret_head. The text begins with `what`. */
int tribi_arrow_schema_copy(struct trib_view bytes, const char *what, struct trib_chunk **ret_head, struct trib_error *err);

/* Whether a batch of the one schema is read right with the other: types and nesting, whatever the names. */
int tribi_arrow_same_types(struct trib_view metadata, struct trib_view other, bool *ret_same, struct trib_error *err);

#endif
