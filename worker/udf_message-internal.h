/* Control messages of Spark's gRPC worker protocol: from bytes to what the worker and the engine act on, and back. */
#ifndef TRIBI_UDF_MESSAGE_H
#define TRIBI_UDF_MESSAGE_H

#include <tributary/engine.h>
#include <tributary/spark_udf.h>

#include "udf_order-internal.h"

/* ---- Requests of an engine --------------------------------------------------------------------------------------- */

struct tribi_udf_init; /* an Init that was received, and its memory */

const struct trib_udf_init *tribi_udf_init_fields(const struct tribi_udf_init *init);
/* The payload is complete: these bytes, which must last as long as the Init. */
void tribi_udf_init_set_payload(struct tribi_udf_init *init, struct trib_view payload);
void tribi_udf_init_free(struct tribi_udf_init *init);

struct tribi_udf_request {
    enum tribi_udf_message kind; /* INIT, CHUNK, FINISH, CANCEL, or BAD: an empty oneof */
    struct tribi_udf_init *init; /* the caller's */
    struct trib_view bytes;      /* of a chunk, or Cancel's reason; until tribi_udf_request_done() */
    bool last;
    void *message;
};

/* TRIB_ERR_PROTOCOL: not a UdfControlRequest. TRIB_ERR_NOMEM. */
int tribi_udf_request_read(struct trib_view bytes, struct tribi_udf_request *ret_request, struct trib_error *err);
void tribi_udf_request_done(struct tribi_udf_request *request);

/* Each makes a whole UdfRequest in a chunk. TRIB_ERR_LIMIT: more than protobuf allows. TRIB_ERR_NOMEM. */
int tribi_udf_init_write(const struct trib_udf_init *init, struct trib_chunk **ret_chunk, struct trib_error *err);
int tribi_udf_chunk_write(struct trib_view bytes, bool last, struct trib_chunk **ret_chunk, struct trib_error *err);
int tribi_udf_finish_write(struct trib_chunk **ret_chunk, struct trib_error *err);
int tribi_udf_cancel_write(const char *reason, struct trib_chunk **ret_chunk, struct trib_error *err);

/* ---- Responses of a worker --------------------------------------------------------------------------------------- */

struct tribi_udf_response {
    enum trib_reply_kind kind; /* DATA is no control message */
    struct trib_udf_error error;
    const struct trib_udf_metrics *metrics; /* NULL: none */
    const struct trib_spark_pair *pairs;    /* of text */
    size_t pair_count;
};

/* A whole UdfResponse in a chunk. */
int tribi_udf_response_write(const struct tribi_udf_response *response, struct trib_chunk **ret_chunk, struct trib_error *err);

/* What was read of a response, and its memory. */
struct tribi_udf_reply {
    struct trib_reply reply; /* kind 0: an empty oneof */
    void *message;
    struct trib_spark_pair *pairs;
};
int tribi_udf_reply_read(struct trib_view bytes, struct tribi_udf_reply *ret_reply, struct trib_error *err);
void tribi_udf_reply_done(struct tribi_udf_reply *reply);

/* ---- Metrics, in both forms -------------------------------------------------------------------------------------- */

/* Reads the bytes of a field that carries either form: what is a message is merged into *metrics; what is an entry of a map goes to *pair,
 * and *ret_is_pair says so. */
int tribi_udf_get_metrics(struct trib_view bytes, struct trib_udf_metrics *metrics, struct trib_spark_pair *pair, bool *ret_is_pair,
                          struct trib_error *err);

/* ---- Manage ------------------------------------------------------------------------------------------------------ */

enum tribi_manage_kind { TRIBI_MANAGE_EMPTY = 0, TRIBI_MANAGE_HEARTBEAT = 1, TRIBI_MANAGE_SHUTDOWN = 2 };

/* Whole messages, without any envelope. */
int tribi_manage_read(struct trib_view bytes, enum tribi_manage_kind *ret_kind, bool *ret_cancel_sessions, struct trib_error *err);
int tribi_manage_write(enum tribi_manage_kind kind, bool cancel_sessions, const char *reason, struct trib_chunk **ret_chunk,
                       struct trib_error *err);
int tribi_manage_heartbeat_write(const struct trib_spark_pair *pairs, size_t count, struct trib_chunk **ret_chunk, struct trib_error *err);
int tribi_manage_shutdown_write(bool settled, struct trib_chunk **ret_chunk, struct trib_error *err);
/* An answer: fn runs with each metric of a heartbeat; *ret_settled is set by a shutdown's. *ret_kind EMPTY: neither. */
int tribi_manage_reply_read(struct trib_view bytes, trib_engine_metric_fn *fn, void *arg, enum tribi_manage_kind *ret_kind,
                            bool *ret_settled, struct trib_error *err);

/* ---- Shared by the files of this module --------------------------------------------------------------------------- */

struct ProtobufCAllocator;

/* Memory of the library for protobuf-c; with `failed` (a bool) as its data it tells want of memory from bytes that are no message. */
#define TRIBI_UDF_ALLOCATOR(failed) { tribi_udf_allocate, tribi_udf_release, (failed) }
void *tribi_udf_allocate(void *failed, size_t size);
void tribi_udf_release(void *failed, void *memory);

/* For what protobuf-c did not read. */
int tribi_udf_unreadable(bool failed, size_t len, const char *what, struct trib_error *err);

/* A view of text, without data for NULL. */
struct trib_view tribi_udf_text(const char *text);

#endif
