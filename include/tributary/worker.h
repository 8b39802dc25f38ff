/* The worker of Spark's gRPC protocol: listens, keeps each session to the protocol, and runs UDFs on threads of its own. */
#ifndef TRIBUTARY_WORKER_H
#define TRIBUTARY_WORKER_H

#include <tributary/channel.h>
#include <tributary/error.h>
#include <tributary/serializer.h>
#include <tributary/spark_udf.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* Part of libtributary-worker.
 *
 * One I/O thread (whoever runs the base, or trib_worker_run()) reads every stream, keeps to the order of messages, answers Manage and watches the
 * clock. Serializers run on a bounded set of threads, one session each from open to close; more sessions wait their turn in the
 * order in which their Init was complete. The data is one Arrow stream, or frames of whatever it may be; which of the two, the table says (`takes`):
 *
 *   open(INIT, with udf_init)  InitResponse  event(DATA, TRIB_DATA_STREAM)  (STREAM  ARROW*  STREAM_END)?  event(DATA_END)  FinishResponse  close
 *                                            event(DATA, TRIB_DATA_FRAMES)  FRAME*
 *
 * The stream's schema is Init.input_schema, and comes at once; its batches are what DataRequests hold (doc/worker.md). With TRIB_TAKES_ANY and without an
 * input_schema, DATA comes with the first DataRequest or Finish. Without a schema there is no STREAM. What a serializer puts needs not be what it
 * got: each FRAME and each batch is one DataResponse.
 *
 * An error of a slot is told as doc/worker.md says: TRIB_ERR_FAILED as a UserError, TRIB_ERR_PROTOCOL as a ProtocolError, others as a WorkerError,
 * unless the table has `failure`. After
 * Cancel, a lost stream or the watchdog, trib_sender_put() returns TRIB_ERR_CANCELLED, and the serializer is closed when its slot returns. */
struct trib_worker;

/* How a session ended. */
enum trib_worker_outcome {
    TRIB_WORKER_FINISHED = 0,  /* FinishResponse without an error */
    TRIB_WORKER_CANCELLED = 1, /* CancelResponse after the engine's Cancel, without an error before it */
    TRIB_WORKER_FAILED = 2,    /* an error was told to the engine */
    TRIB_WORKER_LOST = 3       /* the stream was reset, or its connection was lost: nothing was told */
};
#define TRIB_WORKER_OUTCOMES 4

struct trib_worker_report {
    size_t size;
    uint64_t session;                  /* counted from 1 */
    enum trib_worker_outcome outcome;
    enum trib_udf_error_kind kind;     /* of what was told, TRIB_UDF_NO_ERROR: nothing */
    const char *message;               /* of that error, or why the stream was lost; "" */
    const char *serializer;            /* "" where none was chosen */
    struct trib_udf_metrics metrics;
    uint64_t queue_nanos;              /* waited for a thread */
};

/* Start from TRIB_WORKER_OPTIONS_INIT; 0 means the default; a negative time: no limit. */
struct trib_worker_options {
    size_t size;
    const struct trib_serializer *serializer; /* NULL: the one that the payload names ("upper" or "c:upper"), or else UdfPayload.name */
    const struct trib_channel_options *channel; /* of each stream, copied; NULL: defaults. budget bounds what a session holds */
    unsigned threads;         /* of UDFs, started when they are needed first; default: as many as CPUs, 4 at least, 64 at most */
    size_t sessions;          /* running and waiting; one more is refused with RESOURCE_EXHAUSTED; default 16384 */
    size_t control_limit;     /* bytes of a control message; default 16 MiB */
    size_t payload_limit;     /* of a UDF's payload, assembled; default 256 MiB */
    size_t frame_limit;       /* of the data of one DataRequest; default 256 MiB; the channel's limit holds as well */
    size_t align;             /* of the first byte of a FRAME or of an Arrow body: a power of two up to 4096; default 1: where it came; what is
                                 received in a place of its own, from 128 KiB on, lies on 64 */
    /* The watchdog. Each ends the session with an error that says which it was, and both numbers. */
    int64_t batch_ms;         /* one call of a serializer's slot; default: no limit */
    int64_t idle_ms;          /* nothing came from the engine while the worker waited for it; default: no limit */
    int64_t stall_ms;         /* the engine reads nothing of what is to be sent; default 600000. What was not sent then is lost: the stream is reset */
    int64_t settle_ms;        /* after Cancel or the watchdog: how long a busy serializer may take to return before the engine is answered without
                                 it; default 10000 */
    /* Runs on the I/O thread after each session; must not block. NULL: nobody is told. */
    void (*report)(void *arg, const struct trib_worker_report *report);
    /* Runs on the I/O thread, once, when the worker has ended (trib_worker_shutdown): nothing of it is on the base any more but what
     * trib_worker_free() takes away. NULL: nobody is told. */
    void (*ended)(void *arg);
    void *arg;                /* of all three */
    /* Runs on the I/O thread for each connection that was lost by its peer's fault, such as one that does not speak HTTP/2
     * (trib_grpc_server_set_report); must not block. NULL: nobody is told. */
    void (*stranger)(void *arg, const struct trib_peer *peer, const struct trib_error *err);
    int64_t request_ms;       /* a Manage call whose request does not come: then it ends with DEADLINE_EXCEEDED; default 10000 */
    size_t held_limit;        /* bytes of data that all sessions together hold; beyond it each holds 64 KiB, or one message, until there is room again;
                                 default 256 MiB */
    int64_t shutdown_ms;      /* after a shutdown's grace, for all sessions together: how long serializers may take to return, and engines to read what
                                 they are told; then they are answered without, or lost; default settle_ms */
};
#define TRIB_WORKER_OPTIONS_INIT { sizeof(struct trib_worker_options), NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, 0, 0, 0 }

/* `base` is the caller's, usable from several threads (evthread_use_pthreads() before it was made), and outlives the worker; whoever runs it is the I/O
 * thread, and makes all calls but those that say "any thread". NULL: the worker makes a base of its own, for trib_worker_run(). options may be NULL.
 * TRIB_ERR_USAGE: an option that makes no sense. */
TRIB_API int trib_worker_new(struct event_base *base, const struct trib_worker_options *options, struct trib_worker **ret_worker,
                    struct trib_error *err);

/* Listens at one more address: grpc+unix:/path, grpc+unix:@name, grpc+tcp:127.0.0.1:PORT, grpc+tcp:[::1]:PORT, with the parameters mode and backlog.
 * A stale socket file is replaced, a live one is TRIB_ERR_IO with EADDRINUSE; the file is removed when the worker ends.
 * *ret_address (may be NULL): the URI to dial, with the port that 0 became; lasts as long as the worker. */
TRIB_API int trib_worker_listen(struct trib_worker *worker, const char *uri, const char **ret_address, struct trib_error *err);

/* Is the I/O thread until the worker has ended, after a shutdown. TRIB_OK: ended in order. TRIB_ERR_TIMEOUT: ended, but so many UDFs (the text
 * says) have not returned; trib_worker_free() would wait for them. TRIB_ERR_USAGE: the worker has a base of its caller's. */
TRIB_API int trib_worker_run(struct trib_worker *worker, struct trib_error *err);

/* Any thread, and from a signal handler. No more sessions are taken; those in flight may end normally for grace_ms (0: at once, negative: however long),
 * then each gets an error (WorkerError) and CancelResponse, and has shutdown_ms to take it. The worker ends when the last has ended, or 250 ms later: clients
 * that are still connected, calls of Manage that are open and answers that nobody reads do not hold it.
 * Again: the earlier end counts. Manage's ShutdownRequest does the same, with 0 for cancel_sessions, else negative. */
TRIB_API void trib_worker_shutdown(struct trib_worker *worker, int64_t grace_ms);

struct trib_worker_stats {
    size_t size;              /* set it before the call */
    uint64_t sessions;        /* begun since the start */
    uint64_t outcomes[TRIB_WORKER_OUTCOMES];
    uint64_t running;         /* now on a thread */
    uint64_t waiting;         /* now for a thread */
    uint64_t in_flight;       /* streams whose terminator is not sent */
    uint64_t threads;         /* that were started */
    uint64_t bytes_in;        /* of data, since the start */
    uint64_t bytes_out;
    uint64_t batches_in;
    uint64_t batches_out;
    uint64_t copied;          /* bytes of what came in that were moved in user space, by the transport too (as soon as a stream has ended) */
    uint64_t queue_nanos;     /* sums over all sessions: waited for a thread, */
    uint64_t udf_nanos;       /* in slots of serializers, without */
    uint64_t send_nanos;      /* sending, */
    uint64_t receive_nanos;   /* and waiting for input */
    uint64_t watchdog;        /* sessions that it ended */
    uint64_t heartbeats;
    uint64_t held;            /* bytes of data that sessions have not let go, with 208 for each frame, now */
};

/* Any thread. What a Heartbeat answers, by the names of these fields. */
TRIB_API void trib_worker_stats(struct trib_worker *worker, struct trib_worker_stats *ret_stats);

/* Ends what has not ended: sessions lose their streams. Waits for UDFs that still run. Not inside one of the worker's callbacks. NULL is allowed. */
TRIB_API void trib_worker_free(struct trib_worker *worker);

TRIB_END_DECLS

#endif
