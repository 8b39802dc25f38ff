/* What the files of the worker share: the worker, its sessions, and which thread touches what of them. */
#ifndef TRIBI_WORKER_H
#define TRIBI_WORKER_H

#include <tributary/grpc.h>
#include <tributary/worker.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "udf_arrow-internal.h"
#include "udf_intake-internal.h"
#include "udf_message-internal.h"
#include "udf_order-internal.h"
#include "udf_speech-internal.h"

struct event;
struct tribi_session;

/* What a serializer gets. A table of the time before it could say gets what it got then; and who reads frames while they come, reads frames. */
static inline enum trib_serializer_takes tribi_serializer_takes(const struct trib_serializer *serializer)
{
    bool says = serializer->size >= offsetof(struct trib_serializer, takes) + sizeof(serializer->takes);

    return says && serializer->frame == NULL ? serializer->takes : TRIB_TAKES_FRAMES;
}

/* Peers and serializers claim any number of rows. */
static inline void tribi_add_rows(uint64_t *sum, int64_t rows)
{
    if (rows > 0)
        *sum = *sum > (uint64_t)(INT64_MAX - rows) ? INT64_MAX : *sum + (uint64_t)rows;
}

/* Whether the table has an optional slot. */
#define tribi_serializer_has(serializer, slot) \
    ((serializer)->size >= offsetof(struct trib_serializer, slot) + sizeof((serializer)->slot) && (serializer)->slot != NULL)

/* ---- Sessions ---------------------------------------------------------------------------------------------------- */

enum tribi_item_kind {
    TRIBI_ITEM_FRAME = 1,  /* data of one DataRequest, whole */
    TRIBI_ITEM_BEGIN = 2,  /* data of `length` bytes begins, whose pieces are fed to the reader */
    TRIBI_ITEM_FINISH = 3
};

/* What the I/O thread has for a session's UDF. */
struct tribi_item {
    enum tribi_item_kind kind;
    uint64_t length;
    struct trib_view bytes; /* one reference */
};

/* What an item costs besides its bytes: its place in the ring, which may be half empty, and the reference to its bytes with what the transport keeps
 * for that. Of a frame of one byte it is nearly all. */
enum { TRIBI_ITEM_COST = 2 * sizeof(struct tribi_item) + 128 };

/* What it counts among what its session holds. Those that come in pieces are bounded by the stream's window. */
static inline size_t tribi_item_weight(const struct tribi_item *item)
{
    return item->bytes.len + TRIBI_ITEM_COST;
}

/* An error as it is told: texts of its own. */
struct tribi_told {
    enum trib_udf_error_kind kind;
    char *message, *traceback, *error_class; /* NULL: not set */
};

/* News from a UDF's thread to the I/O thread. */
enum { TRIBI_NEWS_OPENED = 1, TRIBI_NEWS_ROOM = 2, TRIBI_NEWS_LEFT = 4 };

/* What the times of a session are; the UDF's thread writes them until it has left. */
struct tribi_times {
    int64_t queued, started, opened; /* when */
    int64_t now; /* when the UDF's thread looked at the clock last: what ends one span begins the next, so that a small item costs few looks */
    uint64_t open, receive, send, work, cpu; /* how long */
};

/* How long it is since the last look. */
static inline uint64_t tribi_times_pass(struct tribi_times *times)
{
    int64_t before = times->now;

    times->now = trib_now();
    return (uint64_t)(times->now - before);
}

struct tribi_session {
    /* The I/O thread's. */
    struct trib_worker *worker;
    struct tribi_session *next, **link;
    uint64_t id;
    struct trib_grpc_call *call;
    struct trib_channel *channel;
    struct tribi_intake intake;
    struct tribi_speech speech;
    enum tribi_udf_state state;
    bool answered;       /* InitResponse without an error was sent */
    bool engaged;        /* it waits for a thread, or has one */
    bool lost;           /* nothing more can be said */
    bool buried;         /* it is to be freed when nobody is inside it */
    struct tribi_session *grave_next;
    uint64_t moved_io;   /* of what the intake has copied, what is in the totals */
    bool deaf;           /* nothing more is to be read */
    bool paused;         /* nothing is asked for: more than the budget is held */
    bool in_frame;       /* data that comes in pieces was begun */
    struct trib_view piece; /* of it, that the UDF has no room for; one reference */
    bool counted;        /* among those in flight */
    struct tribi_udf_init *init;
    struct trib_chunk *payload; /* what chunks add up to */
    size_t payload_len;
    enum tribi_udf_place place; /* where `words` are to be told when the UDF's thread has left */
    struct tribi_told words;
    int64_t heard;       /* when something came last */
    int64_t stopping;    /* since when the UDF is to return; 0: it is not */
    enum trib_worker_outcome outcome;
    struct tribi_told report; /* the first error that was told, for the report */

    /* Between the two, under `lock`; the atomics without. */
    pthread_mutex_t lock;
    sem_t called;            /* who waits for an item is told by it */
    struct tribi_item *items; /* a ring */
    size_t first, count, capacity;
    bool waits;              /* the UDF's thread sleeps until an item comes */
    atomic_bool stop;        /* the UDF is to return: nothing more is sent */
    atomic_size_t held;      /* bytes of data that it has not let go */
    atomic_bool starved;     /* the I/O thread wants to hear when they become fewer */
    atomic_llong slot_since; /* when the running slot was entered; 0: none is */
    atomic_bool sending;     /* inside it, a frame is being sent */
    struct trib_reader *frames; /* pieces of data, where the serializer reads those */

    /* Sending: whoever holds out_lock; once muted, the I/O thread alone. */
    pthread_mutex_t out_lock;
    bool muted;

    /* Mail, under the worker's lock. */
    struct tribi_session *ready_next, *mail_next;
    bool ready, mailed;
    unsigned news;

    /* The UDF's thread's until NEWS_LEFT. */
    const struct trib_serializer *serializer;
    struct trib_sender *sender;
    void *udf;
    uint64_t batch;           /* the one that it works on, counted from 1 */
    int rc;                   /* how it ended */
    bool ending;              /* at DATA_END */
    bool broken;              /* the channel failed */
    bool stalled;             /* the engine did not read */
    struct trib_error error;
    struct tribi_told failure;
    struct tribi_times times;
    uint64_t bytes_in, bytes_out, batches_in, batches_out;
    enum trib_data_shape shape; /* what the serializer gets: frames, or one Arrow stream; 0: the first data will tell */
    struct tribi_arrow_in *arrow;
    struct tribi_arrow_out answer;
    bool in_stream;           /* STREAM was passed */
    bool foreign;             /* what failed was what the engine sent, */
    bool misput;              /* or what the serializer put */
    uint64_t rows_in, rows_out;
    bool rows_unknown;        /* out: it put frames */
    uint64_t moved;           /* bytes that reading its input has copied; all of them are in the totals */
};

/* ---- The worker -------------------------------------------------------------------------------------------------- */

struct tribi_manage;

struct tribi_totals {
    atomic_ullong sessions, outcomes[TRIB_WORKER_OUTCOMES];
    atomic_ullong bytes_in, bytes_out, batches_in, batches_out, copied;
    atomic_ullong queue_nanos, udf_nanos, send_nanos, receive_nanos;
    atomic_size_t held; /* bytes of data, as the sessions count them */
    atomic_ullong running, waiting, in_flight, threads, watchdog, heartbeats;
};

#define TRIBI_NOT_STOPPED INT64_MAX
#define TRIBI_STOP_AT_LEISURE (INT64_MAX - 1)

struct trib_worker {
    struct trib_worker_options options; /* complete */
    struct trib_channel_options channel;
    struct event_base *base;
    bool own_base;
    struct trib_grpc_server *server;
    int bell[2];                       /* a pipe; a byte: look at the mail and the clock */
    struct event *belled, *tick;
    bool rests;                        /* the tick is a slow one */
    int64_t stirred_at;                /* when there was something to do last */
    struct tribi_session *sessions, *graves;
    size_t session_count;
    struct tribi_manage *manages;
    bool closing, cancelling, drained, ended;
    bool unwell;       /* health says so */
    int64_t farewell_until;            /* while closing: for so long clients may take to hear of it */
    int64_t cancelled_at, last_at;     /* when sessions were cancelled, and when none is waited for any more; INT64_MAX: not known */
    atomic_llong stop_at;              /* TRIBI_NOT_STOPPED, TRIBI_STOP_AT_LEISURE, or when what is in flight is cancelled */
    struct tribi_totals totals;

    pthread_mutex_t lock;              /* of what follows */
    pthread_cond_t work;
    struct tribi_session *ready_first, **ready_last;
    struct tribi_session *mail;
    pthread_t *threads;
    unsigned thread_count, idle, named, ready_count;
    bool quit;
};

/* ---- worker.c: any thread ---- */
void tribi_worker_ring(struct trib_worker *worker);
void tribi_worker_mail(struct tribi_session *session, unsigned news);
/* Frees the sessions that are over; not while one is read. */
void tribi_worker_reap(struct trib_worker *worker);

/* ---- udf_describe.c ---- */
int tribi_worker_describe(struct trib_grpc_server *server, struct trib_error *err);
void tribi_worker_unwell(struct trib_worker *worker); /* no session is taken any more */

/* ---- udf_session.c: I/O thread ---- */
int tribi_session_new(struct trib_worker *worker, struct trib_grpc_call *call, struct trib_error *err);
void tribi_session_free(struct tribi_session *session);
void tribi_session_read(struct tribi_session *session);
void tribi_session_news(struct tribi_session *session, unsigned news);
/* It ends with this error, told where its state says, when its UDF has let go of it. Takes the texts. */
void tribi_session_close(struct tribi_session *session, struct tribi_told *told);
void tribi_session_shut(struct tribi_session *session); /* the worker goes */
void tribi_session_lose(struct tribi_session *session, const char *why);
/* All is said, or cannot be. */
void tribi_session_over(struct tribi_session *session);

/* ---- udf_watchdog.c: I/O thread ---- */
void tribi_session_look(struct tribi_session *session, int64_t now);

/* ---- udf_tell.c: I/O thread ---- */
void tribi_told_set(struct tribi_told *told, enum trib_udf_error_kind kind, const char *format, ...) TRIB_PRINTF(3, 4);
void tribi_told_copy(struct tribi_told *told, const struct trib_udf_error *error);
void tribi_told_done(struct tribi_told *told);
/* The error alone, in InitResponse or ErrorResponse: the session goes on to wait for Cancel. */
void tribi_session_tell(struct tribi_session *session, enum tribi_udf_place place, struct tribi_told *told);
/* The terminator, where `place` says after the error, and the end. told may be empty: FinishResponse or CancelResponse without an error. */
void tribi_session_terminate(struct tribi_session *session, enum tribi_udf_place place, struct tribi_told *told);
void tribi_session_metrics(const struct tribi_session *session, struct trib_udf_metrics *ret_metrics);

/* ---- udf_feed.c: I/O thread, from a session to its UDF ---- */
int tribi_session_push(struct tribi_session *session, struct tribi_item *item, struct trib_error *err); /* takes its reference */
/* Hands on session->piece. TRIB_AGAIN: not yet, there will be news of room. */
int tribi_session_feed(struct tribi_session *session, struct trib_error *err);
/* Makes what the UDF's thread needs. */
int tribi_session_prepare(struct tribi_session *session, struct trib_error *err);
void tribi_session_stop(struct tribi_session *session);

/* ---- udf_thread.c ---- */
int tribi_threads_engage(struct tribi_session *session, struct trib_error *err);
/* Takes it out of the line again. False: a thread has it. */
bool tribi_threads_dismiss(struct tribi_session *session);
void tribi_threads_join(struct trib_worker *worker);

/* ---- udf_run.c: the UDF's thread ---- */
void tribi_session_run(struct tribi_session *session);

/* ---- udf_put.c: the UDF's thread ---- */

/* One message, written part by part; `part` goes on where a wait ended. */
enum { TRIBI_OUTGOING_VIEWS = 7 };
struct tribi_outgoing {
    uint8_t header[TRIBI_ENVELOPE_HEADER_MAX];
    struct trib_view views[TRIBI_OUTGOING_VIEWS];
    unsigned count, part;
    uint64_t size;
};

/* Waits as long as the engine reads. `message` NULL: sends what is gathered. TRIB_ERR_CANCELLED: the session was stopped. */
int tribi_session_send(struct tribi_session *session, struct tribi_outgoing *message, struct trib_error *err);
int tribi_session_stopped(struct trib_error *err);
/* What a serializer puts events on; the receiving half of the dialect is the worker itself. */
int tribi_session_sender_new(struct tribi_session *session, struct trib_sender **ret_sender, struct trib_error *err);

/* ---- udf_manage.c: I/O thread ---- */
void tribi_manage_new(struct trib_worker *worker, struct trib_grpc_call *call);
void tribi_manage_look(struct trib_worker *worker, int64_t now);
void tribi_manage_close(struct trib_worker *worker); /* calls whose request has not come end */
void tribi_manage_free_all(struct trib_worker *worker);
/* A call is answered with a status and nothing else. */
void tribi_manage_refuse(struct trib_worker *worker, struct trib_grpc_call *call, int status, const char *text);

#endif
