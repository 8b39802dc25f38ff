/* Serializers: what a worker does with the data of a session; and the driver that plays the worker for one. */
#ifndef TRIBUTARY_SERIALIZER_H
#define TRIBUTARY_SERIALIZER_H

#include <tributary/error.h>
#include <tributary/message.h>
#include <tributary/reader.h>
#include <tributary/types.h>
#include <tributary/writer.h>

TRIB_BEGIN_DECLS

/* Part of libtributary-worker. */

struct trib_udf_error; /* tributary/spark_udf.h */

/* What a serializer takes from an engine of Spark's gRPC worker protocol, where data is called Arrow and may be anything. */
enum trib_serializer_takes {
    TRIB_TAKES_ANY = 0,    /* one Arrow stream where Init has an input_schema, or else where the first data begins as Arrow does; else frames */
    TRIB_TAKES_FRAMES = 1, /* frames, whatever is in them */
    TRIB_TAKES_ARROW = 2   /* one Arrow stream; data that is no Arrow is an error of the engine's */
};

/* ---- The table ---------------------------------------------------------------------------------------------------
 * A serializer gets the events of the data section and puts events on a sender; it knows neither channel nor dialect. All slots
 * run on the thread of trib_session_serve(). A negative code ends the session: the peer reads the error's message as an
 * exception. */
struct trib_serializer {
    size_t size;
    const char *name;
    const char *summary; /* one line, for help texts */
    /* 0.1, required */
    /* At Init, with the INIT event: makes the state of one session. */
    int (*open)(const struct trib_event *init, void **ret_state, struct trib_error *err);
    /* One event of the data section, DATA and DATA_END included. The views end with the call: retain what is to last. */
    int (*event)(void *state, const struct trib_event *event, struct trib_sender *out, struct trib_error *err);
    void (*close)(void *state); /* after the session, however it ended */

    /* optional; asked for by a trib_worker alone (tributary/worker.h), where a frame is the data of one DataRequest */

    /* In place of the FRAME event: a frame that can be read while it still comes. Its `length` bytes are the next of `frame`, a sub-stream
     * that ends behind them; what the call leaves is skipped. NULL: frames come whole, as FRAME events. */
    int (*frame)(void *state, struct trib_reader *frame, uint64_t length, struct trib_sender *out, struct trib_error *err);

    /* What the engine is to be told of a slot that failed with *err (state: NULL if that was open); *ret_error holds what it would be told
     * otherwise: the message of *err as a UserError for TRIB_ERR_FAILED, as a ProtocolError for TRIB_ERR_PROTOCOL (but that of
     * trib_sender_put()), as a WorkerError for any other code. */
    void (*failure)(void *state, const struct trib_error *err, struct trib_udf_error *ret_error);

    /* With `frame`, or in a table without room for it: TRIB_TAKES_FRAMES. */
    enum trib_serializer_takes takes;
};
#define TRIB_SERIALIZER_SIZE_0_1 offsetof(struct trib_serializer, frame)

/* echo: the identity: frames as they came, which is all that it gets over gRPC; one output stream for all groups
 * (TRIB_ERR_UNSUPPORTED: pairs of groups, groups whose schemas differ).
 * upper: frames with ASCII letters in upper case; in Arrow streams the columns of text (utf8, large_utf8), which must not be
 * compressed.
 * count: takes everything, answers once at the end: a frame "frames=N nulls=N bytes=N", or a batch of one row with the int64
 * fields streams, batches, rows and bytes in a struct. */
TRIB_API extern const struct trib_serializer trib_serializer_echo;
TRIB_API extern const struct trib_serializer trib_serializer_upper;
TRIB_API extern const struct trib_serializer trib_serializer_count;

/* The echo worker that Spark's own tests drive: echo, but a frame "ERROR" is a UserError ("simulated user-code error", class SimulatedError), and
 * with a payload "INIT_ERROR" it opens with a WorkerError ("simulated init failure"). Not in the list below: a worker is given it. */
TRIB_API extern const struct trib_serializer trib_serializer_spark_echo;

/* All of them, NULL-terminated; one by its name, or NULL. */
TRIB_API const struct trib_serializer *const *trib_serializers(void);
TRIB_API const struct trib_serializer *trib_serializer_find(const char *name);

/* ---- Serving a session ------------------------------------------------------------------------------------------ */

struct trib_serve_options {
    size_t size;
    const struct trib_dialect *dialect;       /* default spark-socket */
    const struct trib_serializer *serializer; /* NULL: the one that the first command names; unknown: an exception */
    struct trib_message_options messages;     /* limits, handshake */
    int64_t pid;              /* what the handshake says; default this process's */
    const char *secret;       /* what TCP_DIRECT says and TCP_DAEMON expects; NULL: says "", accepts any */
    int64_t deadline;         /* of the whole session; default TRIB_FOREVER */
    int64_t drain_ms;         /* after an exception: how long the rest of the input is read; default 5000; negative: not at all */
    int64_t (*now_ms)(void *arg); /* milliseconds since the epoch, for TIMING; NULL: the system's clock */
    void *now_arg;
};
#define TRIB_SERVE_OPTIONS_INIT { sizeof(struct trib_serve_options), NULL, NULL, TRIB_MESSAGE_OPTIONS_INIT, 0, NULL, TRIB_FOREVER, \
    0, NULL, NULL }

struct trib_serve_result {
    size_t size;            /* set it before the call */
    bool reusable;          /* the session ended well: call again (with TRIB_HANDSHAKE_NONE) for the next one on this channel */
    bool exception;         /* the peer was sent an exception, whose text is in *err */
    bool drained;           /* after it: the peer's end was seen */
    bool stop;              /* the engine told the worker to exit */
    int32_t eval_type;
    uint64_t events;        /* of the data section */
    uint64_t rows;          /* in Arrow batches */
    uint64_t bytes;         /* of the data section */
};

/* Plays the worker for one session: handshake, Init, Data through the serializer, timing, end. It waits as long as the deadline
 * allows: deadlines of reader and writer are its own meanwhile (TRIB_FOREVER afterwards). What is gathered is sent before each
 * wait for input.
 * TRIB_OK: served; result->reusable. TRIB_EOF: the peer closed before a session began; or result->stop. Negative with
 * result->exception: the serializer failed or the input was not allowed; the peer was told, the writing direction is finished,
 * and the input read to its end, because closing before that can destroy what the peer has not read yet. Negative without: the
 * channel failed or ended in mid-session: nothing can be told to anybody. ret_result may be NULL, and is set on every return. */
TRIB_API int trib_session_serve(struct trib_reader *reader, struct trib_writer *writer, const struct trib_serve_options *options,
                                struct trib_serve_result *ret_result, struct trib_error *err);

TRIB_END_DECLS

#endif
