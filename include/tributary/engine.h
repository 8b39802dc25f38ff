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

/* Told of one metric of a worker. The views end when it returns; it must not call the engine. */
typedef void trib_engine_metric_fn(void *arg, struct trib_view name, struct trib_view value);

/* Heartbeat: fn(arg) runs with each of the worker's metrics, inside the call, on its thread; NULL: none. */
TRIB_API int trib_engine_heartbeat(struct trib_engine *engine, int64_t deadline, trib_engine_metric_fn *fn, void *arg, struct trib_error *err);

/* ShutdownRequest; reason may be NULL. *ret_settled (may be NULL): sessions_settled. */
TRIB_API int trib_engine_shutdown(struct trib_engine *engine, bool cancel_sessions, const char *reason, int64_t deadline, bool *ret_settled,
                         struct trib_error *err);

/* ---- An execution ------------------------------------------------------------------------------------------------
 * One Execute stream. Writing calls come from one thread at a time, trib_execution_next() from one at a time, which may be another. They wait as long as
 * the deadlines say that are set on the channel's reader and writer (both by trib_execution_set_deadline). What is written is sent at once. Nothing is checked
 * against the order of the protocol: that is the worker's to do. */
struct trib_execution;

/* Begins the stream, whose headers leave with what is written or waited for first. The execution is the caller's, until trib_execution_free(), and
 * may outlive the engine. TRIB_ERR_CLOSED: the connection has gone, or the worker takes no new streams. TRIB_ERR_NOMEM: nothing was begun. Any thread. */
TRIB_API int trib_execution_new(struct trib_engine *engine, struct trib_execution **ret_execution, struct trib_error *err);

/* Resets the stream unless it has ended; frees. NULL is allowed. */
TRIB_API void trib_execution_free(struct trib_execution *execution);

/* The execution's own, and ends with it. For its reader's cancel, deadlines and stats; leave reading and writing to the calls below. */
TRIB_API struct trib_channel *trib_execution_channel(struct trib_execution *execution);

/* Of all calls from now on, reading and writing; TRIB_FOREVER at the start. Not while another thread is inside one. */
TRIB_API void trib_execution_set_deadline(struct trib_execution *execution, int64_t deadline);

/* Any thread: resets the stream (RST_STREAM), which is how a transport fails; calls return TRIB_ERR_CANCELLED. */
TRIB_API void trib_execution_reset(struct trib_execution *execution);

/* ---- Writing. TRIB_ERR_NOMEM, TRIB_ERR_LIMIT: nothing was written, the execution is as before. TRIB_ERR_TIMEOUT, TRIB_AGAIN: a part may have been
 * sent. After these and any other error (TRIB_ERR_CLOSED, _FAILED, _CANCELLED, _IO: the stream has ended) nothing more can be written: read
 * what the worker said of it, and free. */

/* Init. Copied, with all that *init points to, before the call returns: nothing of it is kept. `size` of *init must be set; what it does not reach is
 * not sent. */
TRIB_API int trib_execution_init(struct trib_execution *execution, const struct trib_udf_init *init, struct trib_error *err);

/* One part of a payload that Init announced by is_chunking_payload; last: none follows. The bytes are copied before the call returns. */
TRIB_API int trib_execution_chunk(struct trib_execution *execution, struct trib_view bytes, bool last, struct trib_error *err);

/* One DataRequest. The bytes are not copied where the view has a holder: that gets a reference, until they are sent, and must not change until then;
 * the caller keeps its own. A view without a holder is copied before the call returns. TRIB_ERR_LIMIT: a message of more than INT32_MAX bytes. */
TRIB_API int trib_execution_data(struct trib_execution *execution, struct trib_view bytes, struct trib_error *err);

/* Finish: no data follows. The worker's answers are still to be read, up to a terminator. */
TRIB_API int trib_execution_finish(struct trib_execution *execution, struct trib_error *err);

/* Cancel, in the place of Finish or after it. reason may be NULL, and is copied before the call returns. The worker's answers are still to be read. */
TRIB_API int trib_execution_cancel(struct trib_execution *execution, const char *reason, struct trib_error *err);

/* One message, whatever it is: the bytes of a UdfRequest, kept as those of trib_execution_data() are. For tests of workers. */
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
