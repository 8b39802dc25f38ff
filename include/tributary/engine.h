/* The engine's side of Spark's gRPC worker protocol: executions and management calls on one connection to a worker. */
#ifndef TRIBUTARY_ENGINE_H
#define TRIBUTARY_ENGINE_H

#include <tributary/channel.h>
#include <tributary/error.h>
#include <tributary/spark_udf.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* Part of libtributary-worker. */

/* ---- A connection to a worker ------------------------------------------------------------------------------------ */

struct trib_engine;

/* grpc+unix: or grpc+tcp:. `options` (may be NULL) are those of the executions' channels; their deadline is that of connecting. Any thread may use it. */
TRIB_API int trib_engine_connect(const char *uri, const struct trib_channel_options *options, struct trib_engine **ret_engine,
                        struct trib_error *err);

/* Executions go on; the connection closes with the last of them. NULL is allowed. */
TRIB_API void trib_engine_free(struct trib_engine *engine);

/* Heartbeat: fn(arg) runs with each of the worker's metrics, inside the call; NULL: none. */
typedef void trib_engine_metric_fn(void *arg, struct trib_view name, struct trib_view value);
TRIB_API int trib_engine_heartbeat(struct trib_engine *engine, int64_t deadline, trib_engine_metric_fn *fn, void *arg, struct trib_error *err);

/* ShutdownRequest; reason may be NULL. *ret_settled (may be NULL): sessions_settled. */
TRIB_API int trib_engine_shutdown(struct trib_engine *engine, bool cancel_sessions, const char *reason, int64_t deadline, bool *ret_settled,
                         struct trib_error *err);

/* ---- An execution ------------------------------------------------------------------------------------------------
 * One Execute stream. Writing calls come from one thread at a time, trib_execution_next() from one at a time, which may be another. They wait as long as
 * the deadlines say that are set on the channel's reader and writer (both by trib_execution_set_deadline). What is written is sent at once. Nothing is checked
 * against the order of the protocol: that is the worker's to do. */
struct trib_execution;

TRIB_API int trib_execution_new(struct trib_engine *engine, struct trib_execution **ret_execution, struct trib_error *err);

/* Resets the stream unless it has ended; frees. NULL is allowed. */
TRIB_API void trib_execution_free(struct trib_execution *execution);

/* For its reader's cancel, deadlines and stats; leave reading and writing to the calls below. */
TRIB_API struct trib_channel *trib_execution_channel(struct trib_execution *execution);

/* Of all calls from now on, reading and writing; TRIB_FOREVER at the start. Not while another thread is inside one. */
TRIB_API void trib_execution_set_deadline(struct trib_execution *execution, int64_t deadline);

/* Any thread: resets the stream (RST_STREAM), which is how a transport fails; calls return TRIB_ERR_CANCELLED. */
TRIB_API void trib_execution_reset(struct trib_execution *execution);

TRIB_API int trib_execution_init(struct trib_execution *execution, const struct trib_udf_init *init, struct trib_error *err);
TRIB_API int trib_execution_chunk(struct trib_execution *execution, struct trib_view bytes, bool last, struct trib_error *err);
TRIB_API int trib_execution_data(struct trib_execution *execution, struct trib_view bytes, struct trib_error *err);
TRIB_API int trib_execution_finish(struct trib_execution *execution, struct trib_error *err);
TRIB_API int trib_execution_cancel(struct trib_execution *execution, const char *reason, struct trib_error *err); /* reason may be NULL */

/* One message, whatever it is: the bytes of a UdfRequest. For tests of workers. */
TRIB_API int trib_execution_raw(struct trib_execution *execution, struct trib_view message, struct trib_error *err);

/* Half-closes. An engine does that after the terminator. */
TRIB_API int trib_execution_half_close(struct trib_execution *execution, struct trib_error *err);

enum trib_reply_kind {
    TRIB_REPLY_INIT = 1,   /* InitResponse: data, error */
    TRIB_REPLY_DATA = 2,   /* DataResponse: data, in one piece */
    TRIB_REPLY_ERROR = 3,  /* ErrorResponse: error */
    TRIB_REPLY_FINISH = 4, /* FinishResponse: data, error, metrics, pairs; a terminator */
    TRIB_REPLY_CANCEL = 5  /* CancelResponse: error, metrics, pairs; a terminator */
};

/* Views and pointers are valid until the next call of trib_execution_next(). */
struct trib_reply {
    size_t size;
    enum trib_reply_kind kind;
    struct trib_view data;
    struct trib_udf_error error;         /* kind TRIB_UDF_NO_ERROR: none */
    struct trib_udf_metrics metrics;
    const struct trib_spark_pair *pairs; /* metrics as a map, without the empty entry that is no entry */
    size_t pair_count;
};
#define TRIB_REPLY_INIT_EMPTY { sizeof(struct trib_reply), (enum trib_reply_kind)0, { NULL, 0, NULL }, TRIB_UDF_ERROR_INIT, { 0, { 0 } }, NULL, 0 }

/* The next message of the worker.
 * TRIB_EOF: the stream ended with status OK after a terminator. TRIB_ERR_PROTOCOL: what Spark's engine takes for a failure of the transport: data before
 * InitResponse, an empty message, an end without a terminator. TRIB_ERR_FAILED: a gRPC status other than OK, named in the text. TRIB_ERR_CLOSED: the
 * connection has gone. TRIB_AGAIN, TRIB_ERR_TIMEOUT, TRIB_ERR_NOMEM: call again. Others stick. */
TRIB_API int trib_execution_next(struct trib_execution *execution, struct trib_reply *ret_reply, struct trib_error *err);

/* "INIT", "DATA", ...; "?" for a number that is none. A static string. */
TRIB_API const char *trib_reply_name(enum trib_reply_kind kind);

TRIB_END_DECLS

#endif
