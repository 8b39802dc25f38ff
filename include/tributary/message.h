/* Messages: Init, Data, Finish of one UDF execution, as events that come from a reader and go to a writer, whatever the dialect. */
#ifndef TRIBUTARY_MESSAGE_H
#define TRIBUTARY_MESSAGE_H

#include <tributary/arrow.h>
#include <tributary/chunk.h>
#include <tributary/error.h>
#include <tributary/reader.h>
#include <tributary/types.h>
#include <tributary/writer.h>

TRIB_BEGIN_DECLS

/* Part of libtributary-worker. */

/* ---- The session's state machine ----------------------------------------------------------------------------- */

/*            Init            Data             Finish
 *   START ---------> READY ---------> FLOWING ---------> ENDED
 *     |                |                 |
 *     +----------------+-----------------+---- Cancel ---> ENDED
 *
 * Each message comes exactly once and in this order. Data is one message however many parts it comes in, and may be empty. */
enum trib_session_state {
    TRIB_SESSION_START = 0,   /* nothing has come; expects Init */
    TRIB_SESSION_READY = 1,   /* Init has come; expects Data */
    TRIB_SESSION_FLOWING = 2, /* Data has begun; expects Finish */
    TRIB_SESSION_ENDED = 3    /* expects nothing */
};
#define TRIB_SESSION_STATES 4

enum trib_message {
    TRIB_MESSAGE_INIT = 0,
    TRIB_MESSAGE_DATA = 1,
    TRIB_MESSAGE_FINISH = 2,
    TRIB_MESSAGE_CANCEL = 3 /* dialects that have it; before the end, at any time */
};
#define TRIB_MESSAGES 4

/* Moves *state on. TRIB_ERR_PROTOCOL: that message may not come here; the text names what came and what was expected; *state is
 * as before.
 * TRIB_ERR_USAGE: not a message. */
TRIB_API int trib_session_step(enum trib_session_state *state, enum trib_message message, struct trib_error *err);

/* "Init", ...; "START", ...: static strings; "?" for a number that is none. */
TRIB_API const char *trib_message_name(enum trib_message message);
TRIB_API const char *trib_session_state_name(enum trib_session_state state);

/* ---- Events ----------------------------------------------------------------------------------------------------
 * Everything that goes over the wire is an event. A receiver takes them from a reader, a sender puts them on a writer; what the one
 * gives the other writes again, equal to the byte. In the order of one session:
 *
 *   engine to worker   AUTH?  INIT  DATA  data*  DATA_END  FINISH
 *     data, by shape:  STREAM  ARROW*  STREAM_END                          one stream
 *                      (GROUP  (STREAM  ARROW*  STREAM_END){1 or 2})*      groups
 *                      (FRAME | NULL)*                                     frames
 *   worker to engine   (PID | AUTH)*  data*  TIMING?  ACCUMULATORS  ACCUMULATOR*  FINISH
 *                      or at any time before ACCUMULATORS, but inside a stream: EXCEPTION, and no more
 *
 * With spark-socket a worker's data is (STREAM ARROW* STREAM_END)? or (FRAME | NULL)*. */
enum trib_event_kind {
    TRIB_EVENT_AUTH = 1,     /* bytes: the secret, or the answer to it */
    TRIB_EVENT_PID = 2,      /* number: the worker's process id; negative: it could not start */
    TRIB_EVENT_INIT = 3,     /* spark_init, or, of Spark's gRPC worker protocol, udf_init */
    TRIB_EVENT_DATA = 4,     /* number: an enum trib_data_shape */
    TRIB_EVENT_GROUP = 5,    /* number: how many streams it has, 1 or 2 */
    TRIB_EVENT_STREAM = 6,   /* an Arrow stream begins */
    TRIB_EVENT_ARROW = 7,    /* arrow: one message of it */
    TRIB_EVENT_STREAM_END = 8,
    TRIB_EVENT_FRAME = 9,    /* bytes */
    TRIB_EVENT_NULL = 10,    /* a frame that is null */
    TRIB_EVENT_DATA_END = 11,
    TRIB_EVENT_FINISH = 12,  /* number, from a worker: 1: it can be used again, 0: not */
    TRIB_EVENT_EXCEPTION = 13, /* bytes: the text */
    TRIB_EVENT_TIMING = 14,  /* timing */
    TRIB_EVENT_ACCUMULATORS = 15, /* number: so many ACCUMULATOR follow; the worker's data is complete */
    TRIB_EVENT_ACCUMULATOR = 16 /* bytes */
};

enum trib_data_shape {
    TRIB_DATA_FRAMES = 1,
    TRIB_DATA_STREAM = 2,
    TRIB_DATA_GROUPS = 3, /* one stream each */
    TRIB_DATA_PAIRS = 4   /* groups of two streams */
};

struct trib_timing {
    int64_t boot_ms;  /* since the epoch: ready for Init */
    int64_t init_ms;  /* Init parsed */
    int64_t finish_ms; /* done */
    int64_t processing_ms;
    int64_t memory_spilled;
    int64_t disk_spilled;
};

struct trib_spark_init; /* tributary/spark.h */
struct trib_udf_init;   /* tributary/spark_udf.h */

/* From a receiver: views and pointers are valid until the next call on the receiver or its reader; trib_view_retain() makes a
 * view last. To a sender: the caller's for the time of the call; what has a holder is referenced, not copied. Fields that the
 * kind does not name are 0. */
struct trib_event {
    enum trib_event_kind kind;
    int64_t number;
    struct trib_view bytes;
    struct trib_arrow_message arrow;
    struct trib_timing timing;
    const struct trib_spark_init *spark_init;
    uint64_t offset; /* set by receivers: where in the reader's stream the event began */
    uint64_t length; /* and how many bytes it had there, markers and prefixes included */
    const struct trib_udf_init *udf_init;
};
#define TRIB_EVENT_INIT_EMPTY { (enum trib_event_kind)0, 0, { NULL, 0, NULL }, \
    { (enum trib_arrow_kind)0, TRIB_ARROW_PLAIN, 0, { NULL, 0, NULL }, { NULL, 0, NULL } }, { 0, 0, 0, 0, 0, 0 }, NULL, 0, 0, NULL }

/* "INIT", "ARROW", ... A static string. */
TRIB_API const char *trib_event_name(enum trib_event_kind kind);

/* ---- Dialects --------------------------------------------------------------------------------------------------
 * A dialect is a table: how events look on the wire. Applications only name one. */

enum trib_side {
    TRIB_FROM_ENGINE = 1, /* what an engine sends and a worker receives */
    TRIB_FROM_WORKER = 2
};

/* What is said on a connection before the first session of spark-socket. */
enum trib_handshake {
    TRIB_HANDSHAKE_NONE = 0,       /* nothing; also: it is over */
    TRIB_HANDSHAKE_PID = 1,        /* Unix sockets: PID */
    TRIB_HANDSHAKE_TCP_DAEMON = 2, /* worker PID, engine AUTH secret, worker AUTH "ok" */
    TRIB_HANDSHAKE_TCP_DIRECT = 3  /* worker AUTH secret, engine AUTH "ok", worker PID */
};

struct trib_message_options {
    size_t size;
    enum trib_handshake handshake; /* events that come first; default none */
    size_t init_limit;       /* bytes of Init; default 64 MiB */
    size_t frame_limit;      /* of a frame, an exception's text, an accumulator update; default 256 MiB */
    size_t metadata_limit;   /* of one Arrow message; default 16 MiB */
    uint64_t body_limit;     /* default 256 MiB */
    size_t align;            /* of Arrow bodies: see struct trib_arrow_options; default: wherever they lie */
};
#define TRIB_MESSAGE_OPTIONS_INIT { sizeof(struct trib_message_options), TRIB_HANDSHAKE_NONE, 0, 0, 0, 0, 0 }

/* The two pairs of slots are called by receiver.c and sender.c alone, with options complete (each default filled in) and never
 * NULL. `next` and `put` keep the session's order with trib_session_step(). */
struct trib_dialect {
    size_t size;
    const char *name;
    /* 0.1, required */
    int (*receiver_new)(struct trib_reader *reader, enum trib_side from, const struct trib_message_options *options,
                        void **ret_self, struct trib_error *err);
    /* *ret_event comes zeroed. */
    int (*next)(void *self, struct trib_event *ret_event, enum trib_session_state *ret_state, struct trib_error *err);
    int (*next_session)(void *self, struct trib_error *err);
    void (*receiver_free)(void *self);
    int (*sender_new)(struct trib_writer *writer, enum trib_side from, const struct trib_message_options *options, void **ret_self,
                      struct trib_error *err);
    int (*put)(void *self, const struct trib_event *event, struct trib_error *err);
    int (*put_session)(void *self, struct trib_error *err);
    void (*sender_free)(void *self);
};
#define TRIB_DIALECT_SIZE_0_1 sizeof(struct trib_dialect)

/* "spark-socket": Apache Spark 4.3's Python-worker protocol. */
TRIB_API extern const struct trib_dialect trib_dialect_spark_socket;

/* All of them, NULL-terminated; one by its name, or NULL. */
TRIB_API const struct trib_dialect *const *trib_dialects(void);
TRIB_API const struct trib_dialect *trib_dialect_find(const char *name);

/* ---- Receiver --------------------------------------------------------------------------------------------------
 * One thread at a time: the reader's. Waits as the reader does (deadline, TRIB_NOWAIT, callback). Streams are not assembled:
 * each event holds the bytes of one message or frame, as a view of the chunks that they came in. */
struct trib_receiver;

/* `reader` stays the caller's and must outlive the receiver. options may be NULL. TRIB_ERR_USAGE: a dialect's table too small, a
 * side, handshake or alignment that is none. */
TRIB_API int trib_receiver_new(const struct trib_dialect *dialect, struct trib_reader *reader, enum trib_side from,
                               const struct trib_message_options *options, struct trib_receiver **ret_receiver,
                               struct trib_error *err);

/* What the last event lent ends; the reader stays. NULL is allowed. */
TRIB_API void trib_receiver_free(struct trib_receiver *receiver);

/* The next event.
 * TRIB_EOF: after FINISH or EXCEPTION: the session is over; before the first byte of Init (or of the handshake): the peer
 * closed, a good end.
 * TRIB_AGAIN, TRIB_ERR_TIMEOUT, TRIB_ERR_NOMEM: call again, nothing is lost.
 * TRIB_ERR_SHORT: the stream ended inside a session; the text says in what. TRIB_ERR_PROTOCOL: what came is not allowed here;
 * the text names what came and what was expected. TRIB_ERR_LIMIT: a length above its limit, with both numbers, before anything
 * was reserved for it. These three stick, and so do the reader's own errors. */
TRIB_API int trib_receiver_next(struct trib_receiver *receiver, struct trib_event *ret_event, struct trib_error *err);

/* Goes back to the start, for the next session on the same connection (without handshake). TRIB_ERR_USAGE: this one is not over. */
TRIB_API int trib_receiver_next_session(struct trib_receiver *receiver, struct trib_error *err);

/* Where the session is: as the last event that was returned left it; TRIB_SESSION_START at the start and after trib_receiver_next_session().
 * The receiver's thread. */
TRIB_API enum trib_session_state trib_receiver_state(const struct trib_receiver *receiver);

/* ---- Sender ----------------------------------------------------------------------------------------------------
 * One thread at a time: the writer's. Nothing is flushed: trib_writer_flush() says when. */
struct trib_sender;

/* `writer` stays the caller's and must outlive the sender. options may be NULL. TRIB_ERR_USAGE: as trib_receiver_new(). */
TRIB_API int trib_sender_new(const struct trib_dialect *dialect, struct trib_writer *writer, enum trib_side from,
                             const struct trib_message_options *options, struct trib_sender **ret_sender, struct trib_error *err);

/* What was put stays with the writer, which sends it. NULL is allowed. */
TRIB_API void trib_sender_free(struct trib_sender *sender);

/* Writes one event. TRIB_ERR_PROTOCOL: it may not come here; nothing was written. TRIB_AGAIN, TRIB_ERR_TIMEOUT, TRIB_ERR_NOMEM: a
 * part of it may have been written: call again with the same event until TRIB_OK, before any other (or write no more: the peer
 * would take what comes for the rest of it). Its views need to be valid only during each call. TRIB_ERR_USAGE, TRIB_ERR_LIMIT: the
 * event makes no sense, is not the one that is half written, or is too large; nothing of it was written. TRIB_ERR_UNSUPPORTED: the
 * dialect has no form for it; likewise. Other errors are the writer's and stick. */
TRIB_API int trib_sender_put(struct trib_sender *sender, const struct trib_event *event, struct trib_error *err);

/* The next session on the same connection. TRIB_ERR_USAGE: this one is not over. */
TRIB_API int trib_sender_next_session(struct trib_sender *sender, struct trib_error *err);

TRIB_END_DECLS

#endif
